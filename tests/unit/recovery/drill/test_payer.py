"""The clients that pay during a drill."""
# pylint: disable=protected-access
import json
from dataclasses import replace
from typing import Any

import pytest

from recovery.drill.payer import ATTEMPTS, SEARCH, Payer
from recovery.environment import HttpReply
from simulator.network import OUTSIDE
from simulator.scheduler import Process
from simulator.world import Options, World
from tests.unit.payments.fakes import StillClock
from tests.unit.recovery.calm_world import WEST
from tests.unit.recovery.fakes import FakeBackground

STACK = World(1, Options()).stack
SETTLED = HttpReply(200, b'{"status": "settled"}')


def payer_of(*replies: HttpReply, slow: float = 0.0) -> tuple[Payer, list[str]]:
    """Clients whose requests get these replies, the last one again and again; and what they asked for."""
    world, clock, asked, left = World(1, Options(clients=0)), StillClock(), list[str](), [*replies]
    environment = world.environment(Process(world.scheduler, "payer", OUTSIDE))

    def answer(method: str, url: str, _timeout: float, **_more: object) -> HttpReply:
        if method == "GET":
            asked.append(url.rpartition("/")[2])
            clock.now += slow
        return left.pop(0) if len(left) > 1 else left[0]

    made = replace(environment, http=answer, background=FakeBackground(),
                   runtime=replace(environment.runtime, clock=clock))
    return Payer(STACK, "the key", made, 60.0), asked


@pytest.mark.parametrize(("reply", "error"), [
    (HttpReply(201, b'{"payment_id": "x"}', {"X-Region": WEST}), ""),
    (HttpReply(201, b"", {"X-Region": WEST}, why="ConnectionResetError"), ""),
    (HttpReply(503, b'{"error": "not the writer"}', {"X-Region": WEST}), "503 not the writer"),
    (HttpReply(500, b'{"message": "Internal server error"}', {"X-Region": WEST}), "500 Internal server error"),
    (HttpReply(502, b"<html>", {"X-Region": WEST}), "502"), (HttpReply(502, b"[]", {"X-Region": WEST}), "502"),
    (HttpReply(0, headers={"X-Region": WEST}, why="gaierror"), "gaierror"),
])
def test_every_payment_has_an_outcome(reply: HttpReply, error: str) -> None:
    payer, _ = payer_of(reply)
    assert payer.latest == "none is answered yet"
    payer.pay()
    (write,) = payer.writes
    assert payer.latest == (error or "accepted")
    assert (write.accepted, write.kind, write.where) == (not error, error, WEST)
    assert len(payer.acknowledged) == (not error)


@pytest.mark.parametrize(("reply", "lost"), [
    (SETTLED, 0), (HttpReply(404), 1), (HttpReply(200, b'{"status": "pending"}'), 1), (HttpReply(200, b"<html>"), 1),
    (HttpReply(503), 1)])
def test_kept_is_what_is_found_settled(reply: HttpReply, lost: int) -> None:
    payer, asked = payer_of(HttpReply(201), reply)
    payer.pay()
    assert payer.lost(STACK.sites[1]) == lost
    assert len(asked) == (ATTEMPTS if lost else 1)


def test_a_copy_may_need_a_moment_to_arrive() -> None:
    payer, asked = payer_of(HttpReply(201), HttpReply(404), HttpReply(404), SETTLED)
    payer.pay()
    assert payer.lost(STACK.sites[1]) == 0
    assert asked == payer.acknowledged * 3


def test_after_the_time_limit_no_payment_is_looked_up() -> None:
    payer, asked = payer_of(HttpReply(201), HttpReply(201), HttpReply(404), slow=SEARCH)
    payer.pay()
    payer.pay()
    assert (payer.lost(STACK.sites[1]), len(asked)) == (2, 1)


def test_the_body_is_a_payment_of_one_minor_unit() -> None:
    sent: list[bytes] = []
    payer, _ = payer_of(HttpReply(201))

    def http(*_: Any, body: bytes, **__: Any) -> HttpReply:
        sent.append(body)
        return HttpReply(201)

    payer._environment = replace(payer._environment, http=http)
    payer.pay()
    found = json.loads(sent[0])
    assert (found["amount"], found["currency"], found["payment_id"].startswith("drill-")) == (1, "USD", True)
