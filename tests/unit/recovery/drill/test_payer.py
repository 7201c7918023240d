"""The clients that pay during a drill."""
from dataclasses import replace

import pytest

from recovery.drill.payer import SEARCH, Payer
from recovery.environment import HttpReply
from tests.unit.recovery.drill.world import KEY, World, quick
from tests.unit.recovery.fakes import AWAY


@pytest.mark.parametrize(("reply", "error"), [
    (HttpReply(201, b'{"payment_id": "x"}', {"X-Region": AWAY}), ""),
    (HttpReply(201, b"", {"X-Region": AWAY}, why="ConnectionResetError"), ""),
    (HttpReply(503, b'{"error": "not the writer"}', {"X-Region": AWAY}), "503 not the writer"),
    (HttpReply(500, b'{"message": "Internal server error"}', {"X-Region": AWAY}), "500 Internal server error"),
    (HttpReply(502, b"<html>", {"X-Region": AWAY}), "502"), (HttpReply(502, b"[]", {"X-Region": AWAY}), "502"),
    (HttpReply(0, headers={"X-Region": AWAY}, why="gaierror"), "gaierror"),
])
def test_every_payment_has_an_outcome(reply: HttpReply, error: str) -> None:
    world = World()
    environment = replace(world.environment, http=lambda *_request, **_more: reply)
    payer = Payer(world.stack, KEY, environment, 60.0)
    payer.pay()
    (write,) = payer.writes
    assert (write.accepted, write.kind, write.where) == (not error, error, AWAY)
    assert len(payer.acknowledged) == (not error)


def test_a_copy_may_need_a_moment_to_arrive() -> None:
    world = quick()
    payer = Payer(world.stack, KEY, world.environment, 60.0)
    payer.pay()
    late = dict(world.paid)
    world.paid.clear()
    world.controller = lambda: world.paid.update(late) if world.clock.now >= 2.0 else None
    assert payer.lost(world.stack.sites[1]) == 0
    assert world.clock.now == 2.0
    assert [payer.over, payer.acknowledged] == [False, list(late)]


def test_after_the_time_limit_no_payment_is_looked_up() -> None:
    world = World()
    asked: list[str] = []

    def slow(method: str, url: str, timeout: float, **_more: object) -> HttpReply:
        if method == "GET" and timeout:
            asked.append(url)
            world.clock.now += SEARCH
        return HttpReply(404 if method == "GET" else 201)

    payer = Payer(world.stack, KEY, replace(world.environment, http=slow), 60.0)
    payer.pay()
    payer.pay()
    assert (payer.lost(world.stack.sites[1]), len(asked)) == (2, 1)
