"""The plan: its steps, its budget, and everything that forbids it."""
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from contract import COOL_DOWN_SECONDS, DNS_TTL, WATCH_SECONDS, Phase, longest_failover
from recovery.observation import Observation, ProbeResult
from recovery.plan import (
    FENCE,
    RESYNCING,
    STEPS,
    Action,
    Facts,
    Plan,
    describe_exposure,
    for_people,
    predict,
    reasons,
    refusals,
    resumes,
    shortfalls,
    waits_for,
)
from recovery.record import ControlRecord, Run
from simulator.world import Options, World
from tests.unit.recovery.calm_world import EAST, WEST

STACK = World(1, Options()).stack
WELL = Observation(region=WEST, at=1000.0, leader=EAST, writer=EAST, alive=True, ready=True, covered=990.0, seen=True,
                   led_to=EAST)
DEAD = replace(WELL, alive=False, ready=False, why="timed out", silent_since=960.0, silent_for=40.0, covered=950.0,
               seen=False, unseen_since=960.0, led_to=WEST)
FACTS = Facts(now=1001.0, record=ControlRecord(revision=1, epoch=1, region=EAST), writer=EAST, cluster="available",
              instances=1, own=ProbeResult(alive=True, ready=True, leader=EAST), observation=WELL, led_to=EAST,
              lever=False, other=ProbeResult(alive=True, ready=True))
DOWN = replace(FACTS, observation=DEAD, led_to=WEST, other=None)
MOVED = replace(FACTS, record=ControlRecord(revision=9, epoch=2, region=WEST), writer=WEST, led_to=WEST)
RUN = Run(id="1", action="failover", target=WEST, driver="bob", began=1.0, why="dead", epoch=2)


def plan(action: Action, to: str = WEST, **changes: Any) -> Plan:
    """A plan for a stack."""
    stack = replace(STACK, **changes)
    return Plan(action=action, stack=stack, target=stack.site(to))


def refused(action: Action, facts: Facts, to: str = WEST, **changes: Any) -> list[str]:
    """The reasons."""
    return reasons(refusals(plan(action, to, **changes), facts))


@pytest.mark.parametrize("action", Action)
def test_nothing_is_changed_before_the_fence(action: Action) -> None:
    before = STEPS[action][:STEPS[action].index(FENCE)]
    assert {step.key for step in before} <= {"rejoin", "snapshot", "caught-up"}
    assert len({step.key for step in STEPS[action]}) == len(STEPS[action])


@pytest.mark.parametrize("instances", [0, 1])
@pytest.mark.parametrize(("interval", "threshold", "look"), [(10, 3, 10), (30, 10, 10), (10, 3, 60)])
def test_settings_are_refused_where_a_failover_could_not_meet_its_objective(
        interval: int, threshold: int, look: int, instances: int) -> None:
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-attach.console.headless.html
    stack = replace(STACK, health_check_interval=interval, health_check_threshold=threshold, look_interval=look)
    standby = replace(stack.sites[1], instances=instances)
    planned = Plan(action=Action.FAILOVER, stack=replace(stack, sites=(stack.sites[0], standby)), target=standby)
    assert sum(planned.budget().values()) == longest_failover(interval, threshold, look, instances)


@pytest.mark.parametrize(("instances", "changes", "texts"), [
    ((1, 1), {}, []),
    ((1, 0), {},
     ["us-west-2 has no database instance: RDS refuses to promote its cluster until one is created, about 420 s"]),
    ((2, 1), {},
     [("us-west-2 has 1 of 2 database instances: until more are created (about 420 s each), 1669 of 3338 connections, "
       "and fewer spare instances")]),
    ((1, 1), {"database_class": "db.serverless", "least_connections": 83},
     [("a serverless instance allows 83 connections at its least capacity, and scales up only once it is promoted and "
       "under load")]),
])
def test_a_plan_says_what_a_smaller_standby_costs(
        instances: tuple[int, int], changes: dict[str, Any], texts: list[str]) -> None:
    primary, standby = (replace(site, instances=count) for site, count in zip(STACK.sites, instances, strict=True))
    stack = replace(STACK, sites=(primary, standby), **changes)
    assert shortfalls(Plan(action=Action.FAILOVER, stack=stack, target=standby)) == texts


@pytest.mark.parametrize("action", Action)
def test_the_budget_is_within_the_default_objective(action: Action) -> None:
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
    budget = plan(action).budget()
    assert sum(budget.values()) <= STACK.recovery_time_objective == 900
    assert budget["dns"] == DNS_TTL
    assert budget.get("detect", 0.0) == (60.0 if action is Action.FAILOVER else 0.0)
    assert not {"rejoin", "snapshot", "caught-up"} & budget.keys()


def test_a_prediction_names_each_phase_and_its_source() -> None:
    found = predict(STACK)
    assert [each.phase for each in found] == [
        Phase.DETECT, f"{Phase.DECIDE} and {Phase.FENCE}", Phase.PROMOTE, Phase.DNS, Phase.FIRST_WRITE]
    assert all(each.least <= each.most and each.source for each in found)


def test_the_controller_starts_more_often_than_it_cools_down() -> None:
    assert WATCH_SECONDS < COOL_DOWN_SECONDS


# --- What may begin

@pytest.mark.parametrize(("action", "to", "facts"), [
    (Action.SWITCHOVER, WEST, FACTS), (Action.FAILOVER, WEST, DOWN),
    (Action.FAILBACK, EAST, replace(MOVED, observation=None)),
    (Action.FAILBACK, EAST, replace(MOVED, own=ProbeResult(alive=False), cluster="creating")),
    (Action.ALIGN, WEST, replace(MOVED, record=FACTS.record)),
    # It leads, but Aurora moves the writer away, its ledger has seen a newer epoch, clients are sent elsewhere, or a
    # run is open.
    (Action.SWITCHOVER, WEST, replace(MOVED, moving=True)),
    (Action.ALIGN, WEST, replace(MOVED, own=ProbeResult(alive=True, ready=False, ledger_epoch=5))),
    (Action.ALIGN, WEST, replace(MOVED, led_to=EAST)),
    (Action.ALIGN, WEST, replace(MOVED, record=replace(MOVED.record, run=RUN) if MOVED.record else None)),
    *((Action.FAILOVER, WEST, replace(DOWN, cluster=state)) for state in ("backing-up", "modifying")),
    # What nobody knows of the global database forbids nothing, nor what it says of the writer itself.
    *((Action.FAILOVER, WEST, replace(DOWN, sync=sync)) for sync in (None, "connected")),
    (Action.FAILOVER, WEST, replace(DOWN, writer=WEST, sync=RESYNCING)),
    # A person carries it out, whatever the controller may do.
    (Action.SWITCHOVER, WEST, replace(FACTS, observation=replace(WELL, denied=["sns:Publish"]))),
    # It leads already, the writer is elsewhere, and that region is dead: its function cannot pay, which is no obstacle.
    (Action.FAILOVER, WEST, replace(DOWN, record=MOVED.record, own=ProbeResult(alive=True, ready=False, why="ledger"))),
])
def test_what_nothing_forbids_may_begin(action: Action, to: str, facts: Facts) -> None:
    assert refused(action, facts, to) == []


def obstacles() -> Iterator[tuple[Action, str, Facts, str, bool]]:
    """What forbids an action, the first reason, and whether accepting the loss overrides it."""
    unknown = "unknown state: us-west-2 does not know "
    yield Action.FAILOVER, WEST, replace(DOWN, record=None, wrong={"table": "timed out"}), (
        f"{unknown}which region leads: timed out"), False
    yield Action.FAILOVER, WEST, replace(DOWN, writer=None), (
        f"{unknown}where the database's writer is: none is reported"), False
    yield Action.FAILOVER, WEST, MOVED, (
        "us-west-2 already leads, has the database's writer, and clients are sent to it"), False
    yield Action.ALIGN, WEST, MOVED, "us-west-2 already leads", False
    yield Action.ALIGN, WEST, FACTS, "us-east-1 has the database's writer: use align --to us-east-1", False
    yield Action.ALIGN, WEST, replace(MOVED, record=FACTS.record, own=ProbeResult(alive=False, why="HTTP 500")), (
        "us-west-2 is not healthy: HTTP 500"), False
    yield Action.FAILBACK, WEST, FACTS, "a failback always moves to us-east-1: use switchover --to us-west-2", False
    sick = "us-west-2 is not healthy: "
    yield Action.FAILOVER, WEST, replace(DOWN, wrong={"control bucket": "lever: AccessDenied"}), (
        f"{sick}control bucket: lever: AccessDenied"), False
    yield Action.FAILOVER, WEST, replace(DOWN, own=ProbeResult(alive=False, why="timed out")), (
        f"{sick}its API does not answer: timed out"), False
    yield Action.FAILOVER, WEST, replace(DOWN, own=ProbeResult(alive=True, ready=False, why="ledger: 28P01")), (
        f"{sick}ledger: 28P01"), False
    yield Action.FAILOVER, WEST, replace(DOWN, own=ProbeResult(alive=True)), (
        f"{sick}its function does not say that it can take payments"), False
    yield Action.FAILOVER, WEST, replace(DOWN, cluster="", instances=0), (
        f"{sick}its database is missing, with 0 instances available"), False
    for action, facts in ((Action.FAILOVER, DOWN), (Action.SWITCHOVER, FACTS)):
        yield action, WEST, replace(facts, sync=""), (
            f"{sick}tapstack-sim-us-west-2 is not a member of the global database: AWS adds it once"), False
        yield action, WEST, replace(facts, sync=RESYNCING), (
            f"{sick}tapstack-sim-us-west-2 does not follow the writer yet: its state in the global database is "
            "pending-resync"), False
    yield Action.FAILOVER, WEST, replace(DOWN, observation=replace(DEAD, denied=["rds:FailoverGlobalCluster"])), (
        f"{sick}its controller may not call rds:FailoverGlobalCluster"), False
    yield Action.FAILOVER, WEST, replace(DOWN, observation=None), (
        "unknown state: the controller of us-west-2 has never reported, so it is unknown what would be lost"), True
    yield Action.FAILOVER, WEST, replace(DOWN, now=1031.0), (
        "unknown state: the controller of us-west-2 has not reported for 31 s, "
        "so it is unknown what would be lost"), True
    yield Action.FAILOVER, WEST, replace(DOWN, observation=WELL), "us-east-1 is not known to be down", True
    yield Action.FAILOVER, WEST, replace(DOWN, observation=replace(DEAD, seen=True, covered=990.0)), (
        "us-east-1 does not answer us-west-2, but Route 53 sees it"), True
    yield Action.FAILOVER, WEST, replace(DOWN, observation=replace(DEAD, covered=None)), "the lag is unknown", True
    yield Action.FAILOVER, WEST, replace(DOWN, observation=replace(DEAD, covered=890.0)), (
        "up to 71 s of payments would be lost, and the recovery point objective is 60 s"), True
    yield Action.SWITCHOVER, WEST, replace(FACTS, observation=None), (
        "unknown state: the controller of us-west-2 has never reported, so it is unknown how far it lags"), False
    yield Action.SWITCHOVER, WEST, replace(FACTS, other=None), (
        "us-east-1 does not answer (not asked): a planned move needs both regions"), False
    yield Action.SWITCHOVER, WEST, replace(FACTS, other=ProbeResult(alive=False, why="timed out")), (
        "us-east-1 does not answer (timed out): a planned move needs both regions"), False
    yield Action.SWITCHOVER, WEST, replace(FACTS, other=ProbeResult(alive=True, ready=False, why="table: x")), (
        "us-east-1 cannot take payments (table: x): a planned move needs both regions healthy"), False
    yield Action.FAILBACK, EAST, replace(FACTS, writer=WEST, other=ProbeResult(alive=True, ready=True, leader=WEST)), (
        "us-west-2 says that us-west-2 leads, and us-east-1 that us-east-1 does: wait until the table has been "
        "copied"), False


@pytest.mark.parametrize(("action", "to", "facts", "reason", "loses"), [*obstacles()])
def test_what_forbids_an_action(action: Action, to: str, facts: Facts, reason: str, *, loses: bool) -> None:
    found = refusals(plan(action, to), facts)
    assert found
    assert found[0].reason.startswith(reason)
    assert all(each.loses is loses for each in found)


SICK = ProbeResult(alive=True, ready=False, why="receipts:AccessDenied")
NOT_BACK = [
    (replace(MOVED, own=SICK), "us-east-1 is not healthy: receipts:AccessDenied"),
    (replace(MOVED, own=ProbeResult(alive=False, why="timed out")),
     "us-east-1 is not healthy: its API does not answer: timed out"),
    (replace(MOVED, cluster="creating"),
     "us-east-1 is not healthy: its database is creating, with 1 instances available"),
    (replace(MOVED, sync=RESYNCING),
     ("us-east-1 is not healthy: tapstack-sim-us-east-1 does not follow the writer yet: its state in the global "
      "database is pending-resync"))]


@pytest.mark.parametrize(("facts", "reason"), NOT_BACK)
def test_a_failback_waits_for_what_is_still_to_come_and_does_not_fence_without_it(facts: Facts, reason: str) -> None:
    failback = plan(Action.FAILBACK, EAST)
    assert refusals(failback, facts) == []
    assert waits_for(failback, facts) == [reason]
    assert waits_for(failback.at_its_fence, facts) == []
    assert reasons(refusals(failback.at_its_fence, facts))[0] == reason


@pytest.mark.parametrize("observation", [DEAD, replace(DEAD, covered=890.0)])
def test_what_a_controller_may_not_do_forbids_no_person(observation: Observation) -> None:
    facts = replace(DOWN, observation=replace(observation, denied=["sns:Publish"]))
    found = refusals(plan(Action.FAILOVER), facts)
    assert reasons(found)[0] == "us-west-2 is not healthy: its controller may not call sns:Publish"
    assert for_people(found) == found[1:] == refusals(plan(Action.FAILOVER), replace(DOWN, observation=observation))


def test_a_region_that_answers_and_cannot_pay_may_be_left_although_route_53_sees_it() -> None:
    unready = replace(WELL, ready=False, failing_since=930.0, failing_for=70.0, covered=990.0, led_to=EAST)
    assert refused(Action.FAILOVER, replace(DOWN, observation=unready)) == []


def test_a_strong_table_loses_nothing() -> None:
    facts = replace(DOWN, observation=replace(DEAD, covered=None))
    assert refused(Action.FAILOVER, facts, table_consistency="strong") == []


@pytest.mark.parametrize(("run", "seen", "resumed"), [
    (None, 0, False), (RUN, 2, True), (replace(RUN, epoch=0), 2, False), (replace(RUN, ended=2.0), 2, False),
    (replace(RUN, action="switchover"), 2, False), (replace(RUN, target=EAST), 2, False), (RUN, 3, False)])
def test_only_a_run_that_has_fenced_and_is_not_restored_is_gone_on_with(
        run: Run | None, seen: int, *, resumed: bool) -> None:
    record = ControlRecord(revision=1, epoch=2, region=WEST, run=run)
    assert resumes(plan(Action.FAILOVER), record, seen) is resumed
    assert not resumes(plan(Action.FAILOVER), None, seen)


@pytest.mark.parametrize(("exposure", "words"), [
    (None, "it is unknown what would be lost"), (12.3, "at most 12 s of payments at risk")])
def test_exposure_in_words(exposure: float | None, words: str) -> None:
    assert describe_exposure(exposure) == words
