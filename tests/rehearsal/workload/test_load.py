"""Clients that send payments, with canned answers and a clock that the test moves."""

import itertools
import threading

import httpx
import pytest

from rehearsal.workload.http import ApiClient
from rehearsal.workload.load import (
    REFUSED_PAUSE,
    LoadGenerator,
    SentPayment,
    acknowledged,
    at_once,
    new_payment,
    send,
    send_all,
)
from tests.rehearsal.workload.api import InstantClock, Reply, api

WITHIN = 30.0  # seconds, reached only by a failing test


def answering(*replies: int) -> ApiClient:
    """An API with these statuses for its answers, 0 for none, and 201 from then on."""
    statuses = itertools.chain(replies, itertools.repeat(201))
    return api(lambda _: (status, {}) if (status := next(statuses)) else None)


def run(load: LoadGenerator, count: int) -> list[SentPayment]:
    """What the clients have sent once this many outcomes are known."""
    with load:
        assert load.wait_for(lambda sent: len(sent) >= count, WITHIN)
        return list(load.finish())


def test_an_outcome_says_where_the_payment_went_and_when() -> None:
    clock = InstantClock(now=7)

    def answer(_: httpx.Request) -> Reply:
        clock.sleep(0.5)
        return 201, {}

    sent = send(api(answer, region="us-west-2"), {"payment_id": "a"}, clock)
    assert (sent.region, sent.payment_id, sent.acknowledged, sent.began, sent.ended) == ("us-west-2", "a", True, 7, 7.5)


def test_outcomes_come_in_the_order_of_the_payments() -> None:
    payments = [new_payment() for _ in range(9)]
    sent = send_all(answering(), payments)
    assert [each.payment for each in sent] == payments
    assert acknowledged(sent) == sent


def test_as_many_items_as_clients_are_under_way_at_once() -> None:
    together = threading.Barrier(3)
    assert at_once(lambda number: (together.wait(WITHIN), number)[1], range(6), 3) == list(range(6))


def test_no_answer_and_a_refusal_are_outcomes_too() -> None:
    sent = send_all(answering(0, 503, 201), [new_payment() for _ in range(3)], clients=1)
    assert [each.answer and each.answer.status for each in sent] == [None, 503, 201]
    assert acknowledged(sent) == sent[2:]


def test_a_load_goes_on_until_it_is_stopped() -> None:
    load = LoadGenerator(answering, clients=2)
    sent = run(load, 10)
    assert len({each.payment_id for each in sent}) == len(sent) >= 10
    assert load.finish() == sent


def test_waiting_for_what_does_not_come_ends() -> None:
    with LoadGenerator(lambda: answering(*[503] * 99), clients=1, wait=lambda *_: True) as load:
        assert load.wait_for(acknowledged, 0) is False


def test_each_payment_asks_where_to_go() -> None:
    regions = map(str, itertools.count())
    sent = run(LoadGenerator(lambda: api(lambda _: (201, {}), region=next(regions)), clients=1), 3)
    assert [each.region for each in sent] == [str(number) for number in range(len(sent))]


def test_with_repeat_a_payment_is_sent_again_until_it_is_acknowledged() -> None:
    client, clock = answering(503, 0, 201, 201, 503), InstantClock()
    load = LoadGenerator(lambda: client, clients=1, repeat=True, clock=clock, wait=lambda event, _: event.is_set())
    first, second, third, other, next_one, *_ = (each.payment_id for each in run(load, 6))
    assert first == second == third
    assert len({first, other, next_one}) == 3


@pytest.mark.parametrize(("pause", "took", "status", "expected"), [
    (0.2, 0.05, 201, 0.15), (0.2, 0.05, 503, 0.15), (0.2, 0.18, 503, REFUSED_PAUSE), (0.2, 0.5, 201, 0),
    (0.2, 0.5, 503, REFUSED_PAUSE), (0, 0.02, 201, 0), (0, 0.02, 503, REFUSED_PAUSE)])
def test_a_client_keeps_its_pace_and_pauses_after_a_refusal(
        pause: float, took: float, status: int, expected: float) -> None:
    clock, waits = InstantClock(), list[float]()

    def answer(_: httpx.Request) -> Reply:
        clock.sleep(took)
        return status, {}

    def wait(_: threading.Event, seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) > 1

    run(LoadGenerator(lambda: api(answer), clients=1, pause=pause, clock=clock, wait=wait), 1)
    assert waits == pytest.approx([0, expected])


def test_clients_do_not_start_at_the_same_moment() -> None:
    delays: dict[str, float] = {}

    def wait(_: threading.Event, seconds: float) -> bool:
        delays[threading.current_thread().name] = seconds
        return True

    with LoadGenerator(answering, clients=4, pause=0.4, wait=wait):
        pass
    assert delays == pytest.approx({"client 0": 0, "client 1": 0.1, "client 2": 0.2, "client 3": 0.3})
