"""Clients that make payments all the while, against answers that are made up."""

import itertools
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest

from rehearsal import load
from rehearsal.load import Load, acknowledged, send_all
from rehearsal.traffic import Answer

Respond = Callable[[], Answer]


@pytest.fixture
def respond(monkeypatch: pytest.MonkeyPatch) -> Callable[[Respond], None]:
    """Say what every request is answered."""
    def say(answer: Respond) -> None:
        monkeypatch.setattr(load, "request", lambda *_: answer())

    return say


def fail() -> Answer:
    """No answer."""
    raise ConnectionResetError


def test_outcomes_come_in_the_order_of_the_payments(respond: Callable[[Respond], None]) -> None:
    respond(lambda: Answer(201, {}))
    made: list[dict[str, Any]] = [{"payment_id": str(number)} for number in range(9)]
    sent = send_all("u", "k", made)
    assert [each.payment_id for each in sent] == [each["payment_id"] for each in made]
    assert acknowledged(sent) == sent


def test_no_answer_and_a_refusal_are_outcomes_too(respond: Callable[[Respond], None]) -> None:
    respond(fail)
    assert [(each.answer, each.acknowledged) for each in send_all("u", "k", [{}])] == [(None, False)]
    respond(lambda: Answer(503, {}))
    assert acknowledged(send_all("u", "k", [{}])) == []


def test_a_load_goes_on_until_it_is_stopped(respond: Callable[[Respond], None]) -> None:
    statuses, sent_so_far = itertools.cycle([201, 201, 503]), SimpleQueue[None]()

    def answer() -> Answer:
        sent_so_far.put(None)
        return Answer(next(statuses), {})

    respond(answer)
    with Load("u", "k", clients=2) as running:
        for _ in range(11):
            sent_so_far.get()
        assert running.accepted.is_set()
        sent = running.finish()
        number = len(sent)
    assert len(sent) == number >= 10
    assert len({each.payment_id for each in sent}) == number
    assert 0 < len(acknowledged(sent)) < number
