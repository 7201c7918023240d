"""Clients that make payments all the while, against answers that are made up."""

import itertools
import time
from collections.abc import Callable
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from rehearsal.workload import load
from rehearsal.workload.load import LoadGenerator, SentPayment, acknowledged, send, send_all
from rehearsal.workload.smoke import TIMEOUT, Answer, ApiEndpoint

Respond = Callable[[], Answer]
PLACE = ApiEndpoint(region="us-east-1", url="http://east", key="k")


@pytest.fixture
def respond(monkeypatch: pytest.MonkeyPatch) -> Callable[[Respond], list[tuple[object, ...]]]:
    """Say what every request is answered, and get what is asked."""
    def say(answer: Respond) -> list[tuple[object, ...]]:
        asked: list[tuple[object, ...]] = []

        def request(*arguments: object, via: str, timeout: float) -> Answer:
            asked.append((*arguments, via, timeout))
            return answer()

        monkeypatch.setattr(load, "request", request)
        return asked

    return say


def fail() -> Answer:
    """No answer."""
    raise ConnectionResetError


def run(running: LoadGenerator, count: int) -> list[SentPayment]:
    """What clients have sent by the time so many outcomes are known."""
    with running:
        while len(running.sent) < count:
            time.sleep(0.001)
        return list(running.finish())


def test_a_payment_goes_to_its_place_and_the_outcome_says_when(respond: Callable[[Respond], Any]) -> None:
    asked = respond(lambda: Answer(201, {}))
    made = {"payment_id": "a"}
    before = time.monotonic()
    sent = send(ApiEndpoint(region="us-west-2", url="http://west/live", key="k", via="http://proxy"), made, 3)
    assert asked == [("POST", "http://west/live/payment", made, "k", "http://proxy", 3)]
    assert (sent.region, sent.payment_id, sent.acknowledged) == ("us-west-2", "a", True)
    assert before <= sent.began <= sent.ended <= time.monotonic()


def test_outcomes_come_in_the_order_of_the_payments(respond: Callable[[Respond], Any]) -> None:
    respond(lambda: Answer(201, {}))
    made: list[dict[str, Any]] = [{"payment_id": str(number)} for number in range(9)]
    sent = send_all(PLACE, made)
    assert [each.payment_id for each in sent] == [each["payment_id"] for each in made]
    assert acknowledged(sent) == sent


def test_no_answer_and_a_refusal_are_outcomes_too(respond: Callable[[Respond], Any]) -> None:
    respond(fail)
    assert [(each.answer, each.acknowledged) for each in send_all(PLACE, [{}])] == [(None, False)]
    respond(lambda: Answer(503, {}))
    assert acknowledged(send_all(PLACE, [{}])) == []


def test_a_load_goes_on_until_it_is_stopped(respond: Callable[[Respond], Any]) -> None:
    statuses, sent_so_far = itertools.cycle([201, 201, 503]), SimpleQueue[None]()

    def answer() -> Answer:
        sent_so_far.put(None)
        return Answer(next(statuses), {})

    asked = respond(answer)
    with LoadGenerator(lambda: PLACE, clients=2) as running:
        for _ in range(11):
            sent_so_far.get()
        assert running.accepted.is_set()
        sent = running.finish()
        number = len(sent)
    assert len(sent) == len(asked) == number >= 10
    assert len({each.payment_id for each in sent}) == number
    assert 0 < len(acknowledged(sent)) < number
    assert {arguments[-1] for arguments in asked} == {TIMEOUT}


def test_each_payment_asks_where_to_go(respond: Callable[[Respond], Any]) -> None:
    respond(lambda: Answer(201, {}))
    places = (ApiEndpoint(region=str(number), url="u", key="k") for number in itertools.count())
    sent = run(LoadGenerator(lambda: next(places), clients=1), 3)
    assert [each.region for each in sent] == [str(number) for number in range(len(sent))]


def test_what_is_not_acknowledged_is_repeated_with_its_id_if_asked(respond: Callable[[Respond], Any]) -> None:
    statuses = itertools.chain([503, 0, 201, 201, 503], itertools.repeat(201))

    def answer() -> Answer:
        status = next(statuses)
        return Answer(status, {}) if status else fail()

    respond(answer)
    first, again, made, other, third, *_ = (
        each.payment_id for each in run(LoadGenerator(lambda: PLACE, clients=1, repeat=True), 6))
    assert first == again == made
    assert len({made, other, third}) == 3


@pytest.mark.parametrize(
    ("pause", "took", "status", "expected"),
    [(0.2, 0.05, 201, 0.15), (0.2, 0.05, 503, 0.15), (0.2, 0.18, 503, 0.05), (0.2, 0.5, 201, 0), (0.2, 0.5, 503, 0.05),
     (0, 0.02, 201, 0), (0, 0.02, 503, 0.05)])
def test_a_client_keeps_its_pace_and_waits_a_moment_after_a_refusal(
    monkeypatch: pytest.MonkeyPatch, pause: float, took: float, status: int, expected: float
) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) > 1

    monkeypatch.setattr(load, "send", lambda place, made, _: SentPayment(
        payment=made, region=place.region, answer=Answer(status, {}), began=7, ended=7 + took))
    running = LoadGenerator(lambda: PLACE, clients=1, pause=pause)
    monkeypatch.setattr(running, "_stopped", SimpleNamespace(wait=wait, set=lambda: None))
    run(running, 1)
    assert waits == pytest.approx([0, expected])


def test_clients_do_not_begin_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    monkeypatch.setattr(LoadGenerator, "_run", lambda _, delay: delays.append(delay))
    with LoadGenerator(lambda: PLACE, clients=4, pause=0.4):
        pass
    assert sorted(delays) == pytest.approx([0, 0.1, 0.2, 0.3])
