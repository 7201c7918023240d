"""The steps: each does what is left, proves what it has done, and leaves a lost region alone."""
# pylint: disable=protected-access
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from payments.leadership import LEASE
from recovery.cloud import Cloud
from recovery.errors import AlreadyRunning, AwsFailure, EvidenceTooOld, GivenUp, StepTimedOut
from recovery.plan import (
    CATCH_UP,
    FAIL_OVER,
    FENCE,
    MOVE_TRAFFIC,
    RAISE_EPOCH,
    REJOIN,
    SNAPSHOT,
    SWITCH_OVER,
    VERIFY,
    Action,
    Evidence,
)
from recovery.plan import Step as PlanStep
from recovery.record import StepProgress
from recovery.runner import EVIDENCE_LASTS, STILL, Hold
from recovery.steps import AwsSteps, copy_name
from simulator.aurora import RdsClient
from simulator.faults import FAULTS
from simulator.vocabulary import FailureMode
from tests.unit.payments.fakes import client_error
from tests.unit.recovery.calm_world import EAST, WEST, CalmWorld


def do(world: CalmWorld, step: PlanStep, hold: Hold) -> str | None:
    """Do one step of a run."""
    return world.run_task(partial(AwsSteps(cloud=hold.cloud).do, step, hold))


@pytest.fixture(params=[False, True], ids=["eventual", "strong"])
def world(request: pytest.FixtureRequest) -> CalmWorld:
    """Both tables."""
    return CalmWorld(strong=request.param)


# --- Whole moves

def test_a_failover_takes_over_and_calls_nothing_in_the_lost_region(world: CalmWorld) -> None:
    world.cut_off(EAST)
    world.calls.clear()
    run = world.move()
    assert (run.outcome, world.aurora.writer, world.record().region) == ("done", WEST, WEST)
    assert world.lever(WEST)
    assert {region for region, _, _ in world.calls} <= {WEST, "outside"}
    assert not {service for _, service, _ in world.calls} & {"iam", "route53"}


def test_a_switchover_there_and_a_failback_leave_everything_as_it_was(world: CalmWorld) -> None:
    epochs = []
    for action, region in ((Action.SWITCHOVER, WEST), (Action.FAILBACK, EAST)):
        hold = world.claim(action, region)
        with_looks(world, hold)
        epochs.append(world.record(region).epoch)
        assert (world.record(region).region, world.aurora.writer, world.route53.leads_to()) == (region, region, region)
    assert epochs == [2, 3]
    world.look(times=3)
    assert [region for region in (EAST, WEST) if world.lever(region)] == []


def with_looks(world: CalmWorld, hold: Hold) -> None:
    """Carry out a run while the controllers look every 10 s."""
    for region in (EAST, WEST):
        watching = world.process(region, "controller")
        made = world.controller(region)

        def watch(made: Any = made) -> None:
            for _ in range(12):
                made.look_once("controller")
                made.cloud.clock.sleep(10.0)

        world.scheduler.spawn(watching, watch)
    assert world.drive(hold).outcome == "done"
    world.wait(130.0)


# --- Before the fence

def test_a_planned_move_waits_until_a_later_look_and_a_later_mark_have_arrived() -> None:
    world = CalmWorld()
    world.look(times=2)
    hold = world.claim(Action.SWITCHOVER)
    steps = AwsSteps(cloud=hold.cloud)
    catch_up = partial(world.run_task, partial(steps.do, CATCH_UP, hold))
    with pytest.raises(AwsFailure, match="no look of the controller of us-east-1 has arrived"):
        catch_up()
    world.table.stalled.add((EAST, WEST))
    world.aurora.stalled = True
    world.look(times=2)
    with pytest.raises(AwsFailure, match="no look of the controller of us-east-1 has arrived"):
        catch_up()
    world.table.stalled.clear()
    world.look(times=2)
    with pytest.raises(AwsFailure, match="no mark that us-east-1 has set since this step began has arrived"):
        catch_up()
    world.aurora.stalled = False
    world.drain()
    world.look(times=2)
    assert catch_up() == "table and ledger have caught up"


def test_without_any_report_nothing_has_caught_up(world: CalmWorld) -> None:
    hold = world.claim(Action.SWITCHOVER)
    with pytest.raises(AwsFailure, match="no look of the controller"):
        do(world, CATCH_UP, hold)


def test_a_returning_region_must_answer_and_pay_and_follow(world: CalmWorld) -> None:
    world.cut_off(EAST)
    assert world.move().outcome == "done"
    world.network.dead.clear()
    hold = world.claim(Action.FAILBACK, EAST)
    rejoin = partial(do, world, REJOIN, hold)
    world.gateway.down.add(EAST)
    with pytest.raises(AwsFailure, match="us-east-1 is not healthy: its API does not answer"):
        rejoin()
    world.gateway.down.clear()
    with pytest.raises(AwsFailure, match="its state in the global database is pending-resync"):
        rejoin()
    world.drain()
    world.wait(200.0)
    world.aurora.outside.add(EAST)
    with pytest.raises(AwsFailure, match="is not a member of the global database: AWS adds it"):
        rejoin()
    world.aurora.outside.clear()
    FAULTS["receipts-denied"][0](world, EAST)
    with pytest.raises(AwsFailure, match="us-east-1 is not healthy: receipts:AccessDenied"):
        rejoin()
    FAULTS["receipts-denied"][1](world, EAST)
    assert rejoin() == "us-east-1 can take payments, and follows the writer"


@pytest.mark.parametrize(("fault", "where", "reason"), [
    ("receipts-denied", WEST, "us-west-2 is not healthy: receipts:AccessDenied"),
    ("receipts-denied", EAST, r"us-east-1 cannot take payments \(receipts:AccessDenied\)")])
def test_a_planned_move_asks_again_what_forbids_it_before_it_fences(
        world: CalmWorld, fault: str, where: str, reason: str) -> None:
    world.look(times=2)
    hold = world.claim(Action.SWITCHOVER)
    FAULTS[fault][0](world, where)
    with pytest.raises(AwsFailure, match=f"{reason}.*; nothing is moved"):
        do(world, FENCE, hold)
    assert world.record().region == EAST
    FAULTS[fault][1](world, where)
    assert do(world, FENCE, hold) == "epoch 2"


def test_a_planned_move_that_is_forbidden_after_its_wait_ends_without_a_fence() -> None:
    world = CalmWorld()
    world.look(times=3)
    hold = world.claim(Action.SWITCHOVER)
    world.aurora.stalled = True
    world.at(60.0, partial(FAULTS["receipts-denied"][0], world, WEST))
    world.at(100.0, partial(setattr, world.aurora, "stalled", False))
    world.at(101.0, world.drain)
    with pytest.raises(StepTimedOut, match="fence was not done within 10 s: us-west-2 is not healthy: "
                       "receipts:AccessDenied; nothing is moved"):
        with_looks(world, hold)
    run = world.record().run
    assert run
    assert (run.epoch, bool(run.ended), world.record().region, world.aurora.writer) == (0, True, EAST, EAST)


@pytest.mark.parametrize("again", [True, False])
def test_a_planned_move_that_goes_on_after_its_fence_asks_nothing_more(world: CalmWorld, *, again: bool) -> None:
    world.look(times=2)
    hold = world.claim(Action.SWITCHOVER)
    assert do(world, FENCE, hold) == "epoch 2"
    if again:
        hold = world.claim(Action.SWITCHOVER, driver="bob")
    FAULTS["receipts-denied"][0](world, WEST)
    assert do(world, FENCE, hold) == "epoch 2"


def test_the_snapshot_of_what_was_lost_is_copied_once(world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html
    lost = "rds:unplanned-global-failover-tapstack-dev-us-east-1-2026-11-27-00-10"
    snapshots = {lost: "available", "rds:daily": "available"}

    def pages(**_: Any) -> list[Any]:
        return [{"DBClusterSnapshots": [
            {"DBClusterSnapshotIdentifier": name, "Status": state} for name, state in snapshots.items()]}]

    def copy(**given: Any) -> None:
        assert given["SourceDBClusterSnapshotIdentifier"] == lost
        assert given["KmsKeyId"] == world.stack.sites[0].key_arn
        assert given["TargetDBClusterSnapshotIdentifier"] not in snapshots
        snapshots[given["TargetDBClusterSnapshotIdentifier"]] = "creating"

    hold = world.claim(Action.FAILBACK, EAST)
    monkeypatch.setattr(world, "_client_of", lambda *_, **__: SimpleNamespace(
        get_paginator=lambda _: SimpleNamespace(paginate=pages), copy_db_cluster_snapshot=copy))
    hold = Hold(world.cloud(Action.FAILBACK, EAST), hold.intent, hold.record)
    assert do(world, SNAPSHOT, hold) is None
    assert do(world, SNAPSHOT, hold) is None
    snapshots.update(dict.fromkeys(snapshots, "available"))
    assert do(world, SNAPSHOT, hold) == f"copied: {copy_name(lost)}"
    snapshots[copy_name(lost)] = "failed"
    with pytest.raises(AwsFailure, match=f"the copy {copy_name(lost)}: its state is failed: delete it .*us-east-1"):
        do(world, SNAPSHOT, hold)
    del snapshots[copy_name(lost)]
    assert do(world, SNAPSHOT, hold) is None
    snapshots.clear()
    assert do(world, SNAPSHOT, hold) == "copied: no snapshot"


@pytest.mark.parametrize("cluster", ["c" * 63, "tapstack-dev-us-east-1", "a"])
def test_the_name_of_a_copy_fits_and_keeps_the_time(cluster: str) -> None:
    found = copy_name(f"rds:unplanned-global-failover-{cluster}-2026-11-27-00-10")
    assert len(found) <= 63
    assert found.startswith("lost-")
    assert found.endswith("2026-11-27-00-10")
    assert "--" not in found


# --- Levers

@pytest.mark.parametrize(("action", "region", "levers"), [
    (Action.FAILOVER, WEST, [WEST]), (Action.SWITCHOVER, WEST, [WEST]), (Action.FAILOVER, EAST, [EAST, WEST]),
    (Action.FAILBACK, EAST, []), (Action.ALIGN, WEST, [WEST]), (Action.ALIGN, EAST, [EAST, WEST])])
def test_only_the_targets_lever_is_sure_to_work(
        world: CalmWorld, action: Action, region: str, levers: list[str]) -> None:
    if region == EAST:
        world.buckets.write(world.control[WEST], "takeover", b"failover")
    hold = world.claim(action, region)
    assert do(world, MOVE_TRAFFIC, hold)
    before = len(world.calls)
    assert do(world, MOVE_TRAFFIC, hold)
    assert [each for each in (EAST, WEST) if world.lever(each)] == levers
    assert (EAST, "s3", "PutObject") not in world.calls[before:]


def test_a_planned_move_home_pulls_the_lever_if_the_other_one_cannot_be_reset(world: CalmWorld) -> None:
    world.buckets.write(world.control[WEST], "takeover", b"failover")
    hold = world.claim(Action.FAILBACK, EAST)
    world.network.refusing[WEST, "s3"] = FailureMode.ERROR
    assert do(world, MOVE_TRAFFIC, hold) == "lever in us-east-1 pulled"


# --- The promotion

def test_the_promotion_waits_for_the_old_writers_lease(world: CalmWorld) -> None:
    hold = world.claim()
    do(world, FENCE, hold)
    fenced = world.scheduler.now
    assert do(world, FAIL_OVER, hold) is None
    asked = world.history.of("asked to promote")
    assert len(asked) == 1
    assert asked[0].at >= fenced - 0.25 + LEASE - 0.25
    assert asked[0].facts["proved"]


def test_a_promotion_that_is_under_way_or_done_is_not_asked_for_again(world: CalmWorld) -> None:
    hold = world.claim()
    do(world, FENCE, hold)
    assert [do(world, FAIL_OVER, hold) for _ in range(2)] == [None, None]
    world.wait(3.0)
    assert do(world, FAIL_OVER, hold) == "writer tapstack-sim-us-west-2"
    world.aurora.status[WEST] = "failing-over"
    assert do(world, FAIL_OVER, hold) is None
    assert len(world.history.of("asked to promote")) == 1


def test_the_second_view_is_asked_once_more_before_the_promotion(world: CalmWorld) -> None:
    hold = world.claim(evidence=Evidence.DEAD)
    do(world, FENCE, hold)
    with pytest.raises(EvidenceTooOld, match="Route 53 sees us-east-1 as healthy, so it is to lead again"):
        do(world, FAIL_OVER, hold)
    assert not world.history.of("asked to promote")


def test_a_failover_waits_for_the_switchover_to_its_region_if_the_other_one_is_back(world: CalmWorld) -> None:
    world.look(times=2)
    world.aurora.switchover_takes = (20.0, 20.0)
    planned = world.claim(Action.SWITCHOVER)
    for step in (FENCE, MOVE_TRAFFIC, SWITCH_OVER):
        do(world, step, planned)
    run = world.drive(world.claim(evidence=Evidence.DEAD))
    assert (run.action, run.outcome, world.aurora.writer, world.record().region) == ("failover", "done", WEST, WEST)
    assert [event.facts["how"] for event in world.history.of("asked to promote")] == ["switchover"]


def test_leadership_stays_where_a_promotion_may_still_be_done(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = world.claim(evidence=Evidence.DEAD)
    do(world, FENCE, hold)
    views = iter([False, True, True])
    monkeypatch.setattr(Cloud, "seen", lambda _self, _site: next(views))

    def unanswered(*_: Any, **__: Any) -> None:
        raise client_error("InternalFailure", 500)

    monkeypatch.setattr(RdsClient, "failover_global_cluster", unanswered)
    with pytest.raises(AwsFailure, match="InternalFailure"):
        do(world, FAIL_OVER, hold)
    with pytest.raises(GivenUp, match="Route 53 sees us-east-1 as healthy, and the promotion may still be done"):
        do(world, FAIL_OVER, hold)
    world.run_task(partial(hold.write, steps={FAIL_OVER.key: StepProgress(began=1.0)}))
    world.wait(STILL)
    with pytest.raises(GivenUp, match="and the promotion may still be done"):
        do(world, FAIL_OVER, world.claim(driver="bob", evidence=Evidence.DEAD))
    assert world.record().region == WEST


def test_the_second_view_is_asked_again_if_the_driver_has_stopped_since(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = world.claim(evidence=Evidence.DEAD)
    do(world, FENCE, hold)
    views = iter([False, True])
    monkeypatch.setattr(Cloud, "seen", lambda _self, _site: next(views))
    monkeypatch.setattr(hold, "prove", lambda: hold.cloud.clock.sleep(EVIDENCE_LASTS + 1.0))
    assert do(world, FAIL_OVER, hold) is None
    with pytest.raises(EvidenceTooOld, match="Route 53 sees us-east-1 as healthy, so it is to lead again"):
        do(world, FAIL_OVER, hold)
    assert not world.history.of("asked to promote")


@pytest.mark.parametrize("evidence", [Evidence.UNREADY, Evidence.NONE])
def test_a_region_that_answers_is_left_on_other_evidence(world: CalmWorld, evidence: Evidence) -> None:
    hold = world.claim(evidence=evidence)
    do(world, FENCE, hold)
    assert do(world, FAIL_OVER, hold) is None
    assert len(world.history.of("asked to promote")) == 1


def test_a_promotion_that_aws_refuses_may_be_tried_again(world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = world.claim()
    do(world, FENCE, hold)

    def refuse(*_: Any, **__: Any) -> None:
        raise client_error("InvalidGlobalClusterStateFault", 400)

    with monkeypatch.context() as patched:
        patched.setattr(RdsClient, "failover_global_cluster", refuse)
        with pytest.raises(AwsFailure, match="InvalidGlobalClusterStateFault"):
            do(world, FAIL_OVER, hold)
    assert do(world, FAIL_OVER, hold) is None


def test_a_promotion_that_is_not_permitted_ends_the_run_and_another_error_does_not(world: CalmWorld) -> None:
    hold = world.claim()
    do(world, FENCE, hold)
    denied = (WEST, "FailoverGlobalCluster", "")
    world.network.denied.add(denied)
    with pytest.raises(GivenUp, match="the promotion is not permitted: AccessDenied"):
        do(world, FAIL_OVER, hold)
    world.network.denied.discard(denied)
    world.network.refusing[WEST, "rds"] = FailureMode.ERROR
    with pytest.raises(AwsFailure):
        do(world, FAIL_OVER, hold)


def test_whoever_wakes_up_before_the_promotion_without_the_run_does_not_promote(world: CalmWorld) -> None:
    hold = world.claim(driver="bob")
    do(world, FENCE, hold)
    world.set_record(run=world.claim().run)
    with pytest.raises(AlreadyRunning):
        do(world, FAIL_OVER, hold)
    assert not world.history.of("asked to promote")


def test_a_switchover_is_asked_for_in_the_writers_region(world: CalmWorld) -> None:
    hold = world.claim(Action.SWITCHOVER)
    world.run_task(hold.fence)
    assert do(world, FAIL_OVER, hold) is None
    assert (EAST, "rds", "SwitchoverGlobalCluster") in world.calls


def test_a_planned_move_waits_while_aurora_moves_the_writer_away(world: CalmWorld) -> None:
    world.aurora.switchover_takes = (20.0, 20.0)
    world.aurora.switch_over(WEST)
    assert do(world, FAIL_OVER, world.claim(to=EAST)) == "writer tapstack-sim-us-east-1"
    hold = world.claim(Action.SWITCHOVER, EAST, driver="bob")
    world.run_task(hold.fence)
    assert do(world, FAIL_OVER, hold) is None
    assert not world.history.of("asked to promote")
    world.wait(25.0)
    assert do(world, FAIL_OVER, hold) is None
    assert len(world.history.of("asked to promote")) == 1
    world.wait(25.0)
    assert do(world, FAIL_OVER, hold) == "writer tapstack-sim-us-east-1"


# --- After the promotion

def test_the_epoch_is_raised_above_what_the_ledger_turns_out_to_have_seen(world: CalmWorld) -> None:
    hold = world.claim()
    do(world, FENCE, hold)
    world.aurora.books[WEST].epoch = 1
    assert do(world, RAISE_EPOCH, hold) == "epoch 2"
    world.aurora.books[WEST].epoch = 5
    assert do(world, RAISE_EPOCH, hold) == "epoch 6"
    assert (world.record().epoch, hold.run.epoch) == (6, 6)


@pytest.mark.parametrize(("refuse", "why"), [
    (lambda world: world.functions.reserved.update({(WEST, "tapstack-payments-sim"): 0}), "its function does not"),
    (lambda world: world.network.refusing.update({(WEST, "postgres"): FailureMode.ERROR}), "ledger:57P03")])
def test_without_the_ledgers_epoch_the_step_is_not_done(
        world: CalmWorld, refuse: Callable[[CalmWorld], object], why: str) -> None:
    hold = world.claim()
    refuse(world)
    with pytest.raises(AwsFailure, match=f"the ledger's epoch is unknown: {why}"):
        do(world, RAISE_EPOCH, hold)


def test_a_payment_is_made_once_and_clients_must_be_led_here(world: CalmWorld) -> None:
    hold = world.claim(Action.ALIGN, EAST)
    paid = do(world, VERIFY, hold)
    assert paid == f"recovery-{hold.run.id}-{hold.claimed} accepted"
    assert do(world, VERIFY, hold) == paid
    world.buckets.write(world.control[WEST], "takeover", b"x")
    world.wait(60.0)
    with pytest.raises(AwsFailure, match="Route 53 still sends clients to us-west-2"):
        do(world, VERIFY, hold)


def test_a_driver_that_resumes_a_run_pays_again(world: CalmWorld) -> None:
    hold = world.claim(Action.ALIGN, EAST)
    do(world, FENCE, hold)
    do(world, VERIFY, hold)
    resumed = world.claim(Action.ALIGN, EAST)
    world.aurora.accepting[EAST] = False
    assert resumed.run.id == hold.run.id
    with pytest.raises(AwsFailure, match="the payment is not accepted: 503"):
        do(world, VERIFY, resumed)


def test_what_is_paid_is_paid_after_the_wait_for_route_53(world: CalmWorld) -> None:
    hold = world.claim(Action.ALIGN, EAST)
    lever = world.control[WEST], "takeover"
    world.buckets.write(*lever, b"x")
    world.wait(60.0)
    with pytest.raises(AwsFailure, match="Route 53 still sends clients to us-west-2"):
        do(world, VERIFY, hold)
    world.aurora.accepting[EAST] = False
    world.buckets.write(*lever, None)
    world.wait(60.0)
    with pytest.raises(AwsFailure, match="the payment is not accepted: 503"):
        do(world, VERIFY, hold)


def test_a_function_that_fails_is_named(world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = world.claim(Action.ALIGN, EAST)
    functions = world.functions._functions

    def broken(_event: object, _context: object) -> None:
        raise ValueError("out of order")

    function = functions[EAST, "tapstack-payments-sim"]
    monkeypatch.setattr(function, "start", lambda _process: broken)
    function.idle.clear()
    with pytest.raises(AwsFailure, match="ValueError: out of order"):
        do(world, VERIFY, hold)


@pytest.mark.parametrize(("step", "part", "what"), [
    (FENCE, "dynamodb", "fence: table"), (FAIL_OVER, "rds", "global database"),
    (MOVE_TRAFFIC, "s3", "lever in us-west-2")])
def test_what_aws_refuses_is_an_error_that_names_it(world: CalmWorld, step: PlanStep, part: str, what: str) -> None:
    hold = world.claim()
    world.network.refusing[WEST, part] = FailureMode.ERROR
    with pytest.raises(AwsFailure, match=f"{what}: InternalServerError"):
        do(world, step, hold)
