"""Before a drill: where it leads, what forbids it, and what it warns of."""
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from recovery.drill.preflight import default_target, warning
from recovery.drill.report import NO_DNS
from recovery.journal import StepProgress
from recovery.plan import STALE, Action, predict
from tests.unit.recovery.drill.world import FUNCTIONS, World
from tests.unit.recovery.fakes import AWAY, HOME, NOW


def unfinished(world: World) -> None:
    """A run that broke off."""
    world.journal(replace(world.begun(world.plan(Action.FAILOVER), "", None), steps={"fence": StepProgress(began=NOW)}))


def in_arrears(world: World) -> None:
    """More lag than the objective."""
    world.lag = 61.0


def silent(world: World) -> None:
    """A table that gives no answer."""
    world.network.denied = frozenset({"GetItem"})


REFUSED: Mapping[str, tuple[Callable[[World], object], str]] = {
    "unknown state": (silent, f"unknown state: {AWAY} cannot tell which region leads"),
    "the active region is down": (lambda world: world.reserved.update({FUNCTIONS[HOME]: 0}), f"{HOME} does not answer"),
    "the active region is not ready": (lambda world: setattr(world, "active", ""), f"{HOME} cannot take payments"),
    "the standby is down": (lambda world: world.reserved.update({FUNCTIONS[AWAY]: 0}), f"{AWAY} is not healthy"),
    "the writer is elsewhere": (lambda world: setattr(world, "writer", AWAY),
                                f"unknown state: {HOME} leads, and {AWAY} has the database's writer"),
    "it is there": (lambda world: world.move(AWAY), f"{AWAY} already leads and already has the database's writer"),
    "a run": (unfinished, f"a run is unfinished: failover to {AWAY}, step fence, by one"),
    "lag": (in_arrears, "the last 61 s of payments would be lost"),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED)
def test_it_refuses_where_the_stack_is_not_in_order(change: Callable[[World], object], reason: str) -> None:
    world = World()
    change(world)
    world.drill()
    items = dict(world.tables[AWAY].items)
    found = world.refusals(yes=True)
    assert any(each.startswith(reason) for each in found), found
    assert world.tables[AWAY].items == items


def test_it_refuses_where_the_standbys_controller_does_not_report() -> None:
    world = World()
    world.drill()
    world.clock.now = STALE + 1
    assert "has not reported for 61 s" in world.refusals()[0]


def test_it_refuses_prod_without_a_yes_and_calls_nothing() -> None:
    world = World({"profile": "prod"})
    world.drill()
    assert world.refusals() == ["the profile is prod: a drill there needs --yes"]
    assert world.network.calls == []
    assert world.refusals(yes=True) == []


def test_a_failback_moves_to_the_primary_region() -> None:
    world = World()
    world.drill()
    assert world.refusals(Action.FAILBACK, yes=True) == [
        f"a failback always moves to {HOME}: use switchover --to {AWAY}"]


def test_it_says_what_it_breaks_and_for_how_long() -> None:
    world = World()
    planned = world.plan(Action.FAILOVER)
    text = warning(planned, world.targets())
    assert f"Blocks the payments function in {HOME}, and makes its health check fail" in text
    least, most = (sum(getattr(each, end) for each in predict(world.stack)) for end in ("least", "most"))
    assert f"{least:.0f} to {most:.0f} s (predicted; the budget is {sum(planned.budget().values()):.0f} s)" in text
    assert "drill:from to drill:to" in text
    assert NO_DNS not in text


def test_by_default_it_moves_away_from_the_leader_and_a_failback_to_the_primary_region() -> None:
    world = World()
    assert default_target(world.environment, world.stack, Action.SWITCHOVER).region == AWAY
    world.move(AWAY)
    assert default_target(world.environment, world.stack, Action.FAILOVER).region == HOME
    silent(world)
    assert default_target(world.environment, world.stack, Action.FAILOVER).region == AWAY
    assert default_target(world.environment, world.stack, Action.FAILBACK).region == HOME
