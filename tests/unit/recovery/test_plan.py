"""The steps of each action, their budget, and what forbids an action."""
from dataclasses import replace
from typing import Any

import pytest

from contract import longest_failover
from payments.leadership import Leadership
from recovery.journal import Run
from recovery.observation import Observation, ProbeResult
from recovery.plan import STALE, Action, Plan, Refusal, describe_lags, predict, refusals, resumes, shortfalls, stale
from tests.unit.recovery.fakes import AWAY, HOME, NOW, every_state, facts, plan, stack

DOWN = ProbeResult(alive=False, ready=False, why="no answer")
WATCH = facts().observation or Observation(region=AWAY, at=NOW)
MOVE, SWAP = plan(), plan(Action.SWITCHOVER)
BACK = plan(Action.FAILBACK, HOME)


def target(action: Action) -> str:
    """Where an action moves to, in these tests."""
    return HOME if action is Action.FAILBACK else AWAY


def test_a_failover_fences_first_and_a_switchover_waits_first() -> None:
    after = ["epoch", "verify", "reconcile"]
    assert [step.key for step in MOVE.steps] == ["fence", "traffic", "promote", *after]
    assert [step.key for step in SWAP.steps] == ["caught-up", "traffic", "fence", "promote", *after]
    assert [step.key for step in BACK.steps] == ["rejoin", "snapshot", *(step.key for step in SWAP.steps)]


@pytest.mark.parametrize("action", Action)
def test_each_step_says_what_it_does_and_what_proves_it_within_which_time(action: Action) -> None:
    for step in plan(action).steps:
        assert step.does
        assert step.proof
        assert 10 <= step.budget <= 7200
    assert [step.key for step in plan(action).steps if step.after] == ["reconcile"]


def test_the_sites_of_a_plan() -> None:
    assert (MOVE.target.region, MOVE.other.region) == (AWAY, HOME)
    assert (BACK.target.region, BACK.other.region) == (HOME, AWAY)


def test_a_budget_counts_what_payments_wait_for() -> None:
    steps = {"fence": 10, "traffic": 10, "promote": 480, "epoch": 15, "verify": 30}
    assert plan(health_check_interval=30).budget() == {"dns": 60, "lever": 30, "detect": 180, **steps}
    for planned in (SWAP, BACK):
        assert planned.budget() == {"dns": 60, "lever": 10, **steps}


@pytest.mark.parametrize("instances", [0, 1])
@pytest.mark.parametrize(("interval", "threshold", "look"), [(10, 3, 10), (30, 10, 10), (10, 3, 60)])
def test_settings_are_refused_where_a_failover_could_not_meet_its_objective(
        interval: int, threshold: int, look: int, instances: int) -> None:
    planned = plan(health_check_interval=interval, health_check_threshold=threshold, look_interval=look,
                   dr_instances=instances)
    assert sum(planned.budget().values()) == longest_failover(interval, threshold, look, instances)


@pytest.mark.parametrize(("changes", "texts"), [
    ({}, []),
    ({"dr_instances": 0},
     ["us-west-2 has no database instance: RDS refuses to promote its cluster until one is created, about 420 s"]),
    ({"primary_instances": 2},
     [("us-west-2 has 1 of 2 database instances: until more are created, about 420 s each, 1669 of 3338 connections, "
       "and fewer to replace one that fails")]),
    ({"database_class": "db.serverless", "least_connections": 83},
     [("a serverless instance allows 83 connections at its least capacity, and scales up only once it is promoted and "
       "under load")]),
])
def test_a_plan_says_what_a_smaller_standby_costs(changes: dict[str, Any], texts: list[str]) -> None:
    assert shortfalls(plan(**changes)) == texts


def test_what_a_controller_wrote_counts_for_at_least_three_looks() -> None:
    assert [stale(stack(look_interval=look)) for look in (10, 20, 60)] == [60, 60, 180]


def test_a_prediction_names_its_sources() -> None:
    found = predict(stack())
    assert [(each.phase, each.least, each.most) for each in found] == [
        ("detect", 30, 40), ("decide and fence", 1, 4), ("promote", 60, 480), ("dns", 0, 10), ("first write", 0, 5)]
    assert all(each.source for each in found)
    assert [(each.least, each.most) for each in predict(stack(health_check_interval=30))][::3] == [(90, 100), (0, 30)]


# --- Refusals

def half_done(to: str) -> list[dict[str, Any]]:
    """What is known when another driver has begun, and not finished, to move the payments to a region."""
    return [{}, {"leadership": Leadership(2, to)}, {"writer": to}]


@pytest.mark.parametrize("action", Action)
def test_a_healthy_target_may_begin(action: Action) -> None:
    there = target(action)
    for changes in [*half_done(there), {"instances": 2}]:
        assert refusals(plan(action, there), facts(there, **changes), NOW) == []


@pytest.mark.parametrize("action", Action)
def test_a_role_that_is_unclear_or_taken_is_refused(action: Action) -> None:
    there = target(action)
    for changes, reason in (
            ({"leadership": None}, "unknown state: TARGET does not know which region leads: none is reported"),
            ({"leadership": None, "writer": None, "wrong": {"table": "Timeout"}, "own": DOWN},
             "unknown state: TARGET does not know which region leads: Timeout"),
            ({"writer": None, "wrong": {"ledger": "Throttling"}},
             "unknown state: TARGET does not know where the database's writer is: Throttling"),
            ({"leadership": Leadership(2, there), "writer": there},
             "TARGET already leads and already has the database's writer")):
        assert refusals(plan(action, there), facts(there, **changes), NOW) == [
            Refusal(reason.replace("TARGET", there))]


@pytest.mark.parametrize("action", [Action.FAILOVER, Action.SWITCHOVER])
def test_a_target_that_is_not_healthy_is_refused_with_every_reason(action: Action) -> None:
    found = facts(own=DOWN, cluster="", instances=0, wrong={"table": "Timeout", "receipts": "403"}, observation=None,
                  other=DOWN)
    assert refusals(plan(action), found, NOW) == [Refusal(f"{AWAY} is not healthy: {reason}") for reason in (
        "receipts: 403", "table: Timeout", "its API does not answer: no answer",
        "its database is missing, with 0 instances available")]
    for changes in ({"cluster": "creating"}, {"instances": 0}):
        (refusal,) = refusals(plan(action), facts(**changes), NOW)
        assert not refusal.loses
        assert refusal.reason.startswith(f"{AWAY} is not healthy: its database is ")


def test_a_failback_waits_for_its_target_and_moves_to_the_primary_region_only() -> None:
    assert refusals(BACK, facts(HOME, own=DOWN, cluster="", instances=0), NOW) == []
    assert refusals(BACK, facts(HOME, wrong={"receipts": "403"}), NOW) == [
        Refusal(f"{HOME} is not healthy: receipts: 403")]
    assert refusals(plan(Action.FAILBACK, AWAY), facts(), NOW) == [
        Refusal(f"a failback always moves to {HOME}: use switchover --to {AWAY}")]


@pytest.mark.parametrize(("watch", "reasons"), [
    (None, [f"unknown state: the controller of {AWAY} has never reported, so it is unknown what would be lost"]),
    (replace(WATCH, at=NOW - STALE), []),
    (replace(WATCH, at=NOW - STALE - 1),
     [f"unknown state: the controller of {AWAY} has not reported for 61 s, so it is unknown what would be lost"]),
    (replace(WATCH, dead=2, unready=5),
     [f"{HOME} is not known to be down, and payments that it takes until it is fenced may be lost: use switchover"]),
    (replace(WATCH, dead=0, unready=6), []),
    (replace(WATCH, lags={}), ["unknown lag: it is unknown what would be lost"]),
    (replace(WATCH, lags={"table": 60.0, "ledger": 600.0}), []),
    (replace(WATCH, dead=0, lags={"table": 61.2, "ledger": 600.0}),
     [f"{HOME} is not known to be down, and payments that it takes until it is fenced may be lost: use switchover",
      ("the last 61 s of payments would be lost, and the recovery point objective is 60 s: ledger 600.0 s behind, "
       "table 61.2 s behind")]),
])
def test_a_failover_that_may_lose_more_than_is_declared_needs_to_be_accepted(
        watch: Observation | None, reasons: list[str]) -> None:
    assert refusals(MOVE, facts(observation=watch), NOW) == [Refusal(reason, loses=True) for reason in reasons]


@pytest.mark.parametrize(("watch", "age"), [
    (None, "has never reported"), (replace(WATCH, at=NOW - 61), "has not reported for 61 s")])
def test_a_planned_move_needs_a_controller_that_reports_and_a_failback_waits_for_it(
        watch: Observation | None, age: str) -> None:
    assert refusals(SWAP, facts(observation=watch), NOW) == [
        Refusal(f"unknown state: the controller of {AWAY} {age}, so it is unknown how far it lags")]
    assert refusals(BACK, facts(HOME, observation=watch), NOW) == []


def test_a_planned_move_ignores_exposure_and_whether_the_other_region_was_down() -> None:
    for watch in (replace(WATCH, dead=0, unready=0), replace(WATCH, lags={}), replace(WATCH, lags={"table": 900.0})):
        for planned in (SWAP, BACK):
            assert refusals(planned, facts(planned.target.region, observation=watch), NOW) == []


@pytest.mark.parametrize("planned", [SWAP, BACK], ids=["switchover", "failback"])
@pytest.mark.parametrize(("changes", "reason"), [
    ({"other": None}, "does not answer (not asked): a planned move needs both regions"),
    ({"other": DOWN}, "does not answer (no answer): a planned move needs both regions"),
    ({"other": ProbeResult(alive=True, ready=False, why="ledger unavailable")},
     "cannot take payments (ledger unavailable): a planned move needs both regions healthy"),
])
def test_a_planned_move_needs_both_regions(planned: Plan, changes: dict[str, Any], reason: str) -> None:
    there = planned.target.region
    assert refusals(planned, facts(there, **changes), NOW) == [Refusal(f"{planned.other.region} {reason}")]


def test_a_planned_move_that_was_half_done_needs_no_writer_where_there_is_none() -> None:
    standby = ProbeResult(alive=True, ready=False, why="ledger standby")
    assert refusals(SWAP, facts(writer=AWAY, other=standby), NOW) == []


@pytest.mark.parametrize("action", Action)
def test_only_the_loss_of_a_feasible_failover_can_be_accepted(action: Action) -> None:
    for known in every_state():
        found = refusals(plan(action), known, NOW)
        able = known.leadership is not None and known.writer is not None and not (
            known.leadership.region == known.writer == AWAY) and not known.wrong and (
            known.own.alive and known.cluster == "available" and known.instances > 0)
        may_be_lost = [refusal.loses for refusal in found]
        assert may_be_lost == [able and action is Action.FAILOVER] * len(found)
        assert able or action is Action.FAILBACK or found


# --- The rest

@pytest.mark.parametrize(("changes", "expected"), [
    ({}, True), ({"ended": NOW}, False), ({"action": "switchover"}, False), ({"target": HOME}, False)])
def test_only_an_unfinished_run_of_the_same_plan_is_resumed(changes: dict[str, Any], expected: bool) -> None:
    run = Run(**{"id": "1", "action": "failover", "target": AWAY, "driver": "d", "began": NOW, "why": "", **changes})
    assert resumes(MOVE, run) is expected
    assert not resumes(MOVE, None)


def test_lags_are_described_by_store() -> None:
    assert describe_lags(WATCH) == "ledger 0.5 s behind, table 2.0 s behind"
    assert describe_lags(replace(WATCH, lags={})) == "lag unknown"
