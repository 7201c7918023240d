"""What the faults of a scenario do to a stack."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from rehearsal.aws.faults import OUTSIDE, ApiCall, Destroy, Kill, Lag, Restart
from rehearsal.drills.context import ScenarioContext
from simulator.vocabulary import FailureMode
from tests.rehearsal.drills.fakes import FakeStack, act, contents, context
from tests.rehearsal.stack import EAST, WEST


def test_a_region_is_cut_off_and_healed(run: ScenarioContext, stack: Any) -> None:
    act(run, cut="active")
    assert stack.faults.cut_off() == [EAST]
    assert stack.faults.refusal(ApiCall(EAST, EAST, "s3", "GET")) is not None
    act(run, heal="active")
    assert stack.faults.cut_off() == []


def test_a_region_that_is_cut_off_inside_lives_on(stack: Any) -> None:
    act(context(stack), cut="active", inside=True)
    assert stack.faults.refusal(ApiCall(EAST, EAST, "s3", "GET")) is None
    assert stack.faults.refusal(ApiCall(WEST, EAST, "s3", "GET")) is not None


@pytest.mark.parametrize("role", ["active", "standby"])
def test_where_the_way_was_cut_first_the_copies_are_as_far_behind_when_the_region_is_lost(
        run: ScenarioContext, stack: Any, role: str) -> None:
    act(run, lag={"ledger": 0.3, "table": 0.2, "receipts": 0.4})
    act(run, cut_connection=role)
    assert (stack.faults.connection_cut, run.recording.outage, run.recording.shortest_lag) == (True, None, 0.2)
    stack.clock.now += 7
    act(run, cut="active")
    assert run.recording.shortest_lag == 7.2


def test_the_table_is_put_back_as_it_was_kept(stack: Any) -> None:
    restored: list[Any] = []
    drill: Any = SimpleNamespace(observer=SimpleNamespace(
        items=lambda region: {"from": region}, restore=lambda *given: restored.append(given)))
    run = context(stack, drill)
    act(run, back_up="table")
    act(run, restore="table", in_="standby")
    assert restored == [(WEST, {"from": EAST})]


def test_stores_are_lost_and_calls_fail_or_are_slow(run: ScenarioContext, stack: Any) -> None:
    act(run, lose="ledger", of="standby")
    act(run, fail=1.0, of="standby")
    act(run, slow=150, of="active")
    assert stack.faults.lost() == [("ledger", WEST)]
    assert stack.faults.draw(ApiCall(OUTSIDE, WEST, "s3", "GET")) is not None
    assert stack.faults.delay(ApiCall(OUTSIDE, EAST, "s3", "GET")) == 0.15


def test_a_service_is_lost_or_throttled(stack: Any) -> None:
    call = ApiCall(OUTSIDE, EAST, "execute-api", "GET")
    for throttled, mode in ((False, FailureMode.ERROR), (True, FailureMode.THROTTLED)):
        act(context(stack), lose="api", of="active", throttled=throttled)
        assert stack.faults.refusal(call) is mode


def test_servers_are_killed_and_restarted_and_copies_destroyed(run: ScenarioContext, stack: Any) -> None:
    stack.clock.now = 105.0
    for verb in ("kill", "restart", "destroy"):
        act(run, **{verb: "active"})
    assert stack.done == [Kill(EAST), Restart(EAST), Destroy(EAST)]
    assert (run.recording.killed, run.recording.outage) == (105.0, 105.0)


def test_the_first_fault_begins_the_outage_and_the_standbys_stores_are_recorded_once_in_a_drill(stack: Any) -> None:
    held = iter([contents("x"), contents()])
    drill: Any = type("Drill", (), {"observer": type("Observer", (), {"contents": lambda *_: next(held)})()})()
    run = context(stack, drill)
    stack.clock.now = 103.0
    act(run, lose="api", of="active")
    stack.clock.now = 104.0
    act(run, cut="active")
    assert (run.recording.outage, run.recording.before) == (103.0, contents("x"))


def test_an_outage_does_not_read_the_stores(run: ScenarioContext) -> None:
    act(run, cut="active")
    assert run.recording.before is None


@pytest.mark.parametrize(("strong", "table"), [(False, 0.5), (True, 0.0)])
def test_copies_lag_in_one_direction_and_a_strong_table_never_does(strong: bool, table: float) -> None:
    stack: Any = FakeStack(strong=strong)
    run = context(stack)
    act(run, lag={"table": 0.5, "receipts": 0.3, "ledger": 0.4, "growth": 0.1})
    assert stack.done == [Lag("table", EAST, WEST, table, 0.1), Lag("receipts", EAST, WEST, 0.3),
                          Lag("ledger", EAST, WEST, 0.4)]
    assert run.recording.lags == {"table": table, "receipts": 0.3, "ledger": 0.4}
    assert run.recording.shortest_lag == min(table, 0.3)


def test_copies_lag_in_the_other_direction_or_are_stopped(run: ScenarioContext, stack: Any) -> None:
    act(run, lag_back={"table": "stopped"})
    assert stack.done == [Lag("table", WEST, EAST, math.inf), Lag("receipts", WEST, EAST, 0.0),
                          Lag("ledger", WEST, EAST, 0.0)]
    assert run.recording.lags == {}
