"""The steps in AWS: which region they call, that they may be repeated, and that answers may be lost."""
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from contract import LEADERSHIP_KEY, OBSERVATION_PREFIX
from payments.leadership import LEASE
from recovery import plan
from recovery.errors import AwsFailure
from recovery.journal import Run
from recovery.observation import Observation, ProbeResult
from recovery.plan import STALE, STEPS, Action, Step
from recovery.steps import _IMPLEMENTATIONS, AwsSteps, copy_name
from tests.unit.payments.fakes import Crash, Fault, client_error
from tests.unit.recovery.fakes import AWAY, HOME, NOW, FakeAws

LOST = ReadTimeoutError(endpoint_url="https://rds")
MOVES = [(Action.FAILOVER, AWAY), (Action.SWITCHOVER, AWAY), (Action.FAILBACK, HOME)]


def run_of(steps: AwsSteps, name: str = "run-1") -> Run:
    """A run of its plan."""
    return Run(id=name, action=steps.cloud.plan.action.value, target=steps.target.region, driver="me", began=NOW,
               why="")


def world(action: Action = Action.FAILOVER, to: str = AWAY, **changes: Any) -> tuple[FakeAws, AwsSteps]:
    """AWS with the other region active, and the steps of a plan that moves away from there."""
    aws = FakeAws(**changes)
    if to == HOME:
        aws.rds.writer = AWAY
        aws.table(AWAY).take_leadership(AWAY, 0)
    see(aws, to, table=0.0)
    return aws, aws.steps(action, to)


def see(aws: FakeAws, region: str, *, ago: float = 0.0, **lags: float) -> None:
    """Let the controller of a region have seen the other one, with these lags."""
    moment = aws.clock.time() - ago
    aws.table(region).write_observation(Observation(region=region, at=moment, alive_at=moment, lags=lags))


def finish(steps: AwsSteps, step: Step, run: Run, attempts: int = 20) -> str:
    """The result of a step once it is done."""
    for _ in range(attempts):
        note = steps.do(step, run)
        if note is not None:
            return note
    raise AssertionError(f"{step.key} is not done")


def state(aws: FakeAws) -> Any:
    """Everything in AWS that a step may change."""
    return (aws.leadership(HOME), aws.leadership(AWAY), aws.rds.writer, aws.rds.moving, dict(aws.levers),
            dict(aws.payments), aws.rds.snapshots)


# --- Plans

def test_every_step_of_every_plan_is_implemented() -> None:
    assert {step for steps in STEPS.values() for step in steps} == _IMPLEMENTATIONS.keys()


@pytest.mark.parametrize(("action", "to"), [*MOVES, (Action.FAILOVER, HOME), (Action.SWITCHOVER, HOME)])
def test_a_plan_moves_everything_and_done_again_changes_nothing(action: Action, to: str) -> None:
    aws, steps = world(action, to)
    run = run_of(steps)
    for step in STEPS[action]:
        note = finish(steps, step, run)
        before = str(state(aws))
        again = finish(aws.steps(action, to), step, run, attempts=1)
        assert (str(state(aws)), again) == (before, note), step.key
    assert (aws.rds.writer, aws.leadership(to)[1], aws.writes(to)) == (to, to, True)
    assert list(aws.payments[to]) == ["recovery-run-1"]


@pytest.mark.parametrize("to", [HOME, AWAY])
def test_a_failover_calls_the_target_region_only(to: str) -> None:
    aws, steps = world(Action.FAILOVER, to)
    aws.cut = {steps.cloud.plan.other.region}
    assert steps.cloud.facts().wrong == {}
    for step in STEPS[Action.FAILOVER]:
        finish(steps, step, run_of(steps))
    assert {region for _, region, _ in aws.calls} == {to}
    assert {service for service, _, _ in aws.calls} == {"api", "dynamodb", "s3", "rds", "lambda"}


@pytest.mark.parametrize(("action", "to"), MOVES)
@pytest.mark.parametrize("done", [False, True])
def test_a_driver_that_dies_at_any_call_is_continued_by_another(action: Action, to: str, *, done: bool) -> None:
    def drive(aws: FakeAws, run: Run) -> None:
        steps = aws.steps(action, to)
        for step in STEPS[action]:
            finish(steps, step, run)

    def begin() -> tuple[FakeAws, AwsSteps]:
        aws, steps = world(action, to)
        aws.levers[steps.cloud.plan.other.region] = [b"failover"]
        aws.rds.snapshots[HOME][LEFT] = "available"
        return aws, steps

    reference, steps = begin()
    drive(reference, run_of(steps))
    changing = [name for name in reference.operations() if not name.startswith(("Describe", "Head", "Get", "look"))]
    assert len(changing) >= 6
    for number, name in enumerate(changing):
        aws, steps = begin()
        aws.faults[name] = [*[None] * changing[:number].count(name), Fault(Crash(), done=done)]
        with pytest.raises(Crash):
            drive(aws, run_of(steps))
        drive(aws, run_of(steps))
        assert str(state(aws)) == str(state(reference)), name


# --- The steps

def test_the_fence_takes_leadership_once() -> None:
    aws, steps = world()
    for _ in range(2):
        assert steps.do(plan.FENCE, run_of(steps)) == "epoch 2"
    assert aws.leadership(AWAY) == aws.leadership(HOME) == (2, AWAY)
    assert aws.operations("lambda") == []


def test_if_another_region_takes_leadership_at_the_same_moment_the_fence_fails() -> None:
    aws, steps = world()
    item = {**aws.tables[AWAY].items[LEADERSHIP_KEY], "epoch": {"N": "2"}}
    aws.faults["UpdateItem"] = [Fault(client_error("ConditionalCheckFailedException", item=item))]
    with pytest.raises(AwsFailure, match="us-east-1 took leadership at the same moment"):
        steps.do(plan.FENCE, run_of(steps))


def test_a_table_that_does_not_answer_fails_the_fence() -> None:
    aws, steps = world()
    aws.faults["GetItem"] = [Fault(client_error("AccessDenied"))]
    with pytest.raises(AwsFailure, match="fence: table: AccessDenied"):
        steps.do(plan.FENCE, run_of(steps))


@pytest.mark.parametrize(("action", "to", "levers"), [
    (Action.FAILOVER, AWAY, {HOME: [b"untouched"], AWAY: [b"failover"]}),
    (Action.FAILOVER, HOME, {HOME: [b"failover"], AWAY: [b"untouched"]}),
    (Action.SWITCHOVER, AWAY, {HOME: [], AWAY: [b"switchover"]}),
    (Action.SWITCHOVER, HOME, {HOME: [], AWAY: []}),
    (Action.FAILBACK, HOME, {HOME: [], AWAY: []}),
])
def test_the_levers(action: Action, to: str, levers: dict[str, list[bytes]]) -> None:
    aws, steps = world(action, to)
    other = steps.cloud.plan.other.region
    aws.levers[other] = [b"untouched"]
    steps.do(plan.MOVE_TRAFFIC, run_of(steps))
    assert aws.levers == levers
    assert {region for _, region, _ in aws.calls} == ({to} if action is Action.FAILOVER else {HOME, AWAY})


@pytest.mark.parametrize(("to", "order"), [(AWAY, ["PutObject", "DeleteObject"]), (HOME, ["DeleteObject"] * 2)])
def test_the_traffic_moves_with_the_second_lever(to: str, order: list[str]) -> None:
    aws, steps = world(Action.SWITCHOVER, to)
    aws.levers[HOME] = [b"failover"]
    if to == HOME:
        aws.levers[AWAY] = [b"failover"]
    assert steps.do(plan.MOVE_TRAFFIC, run_of(steps)) == ("lever in us-west-2 pulled" if to == AWAY else "levers reset")
    changes = [(region, name) for _, region, name in aws.calls if name != "HeadObject"]
    assert changes == list(zip((AWAY, HOME), order, strict=True))


def test_the_promotion_waits_until_the_lease_of_the_old_writer_has_run_out() -> None:
    aws, steps = world()
    run = run_of(steps)
    steps.do(plan.FENCE, run)
    aws.clock.now += 0.4
    assert steps.do(plan.FAIL_OVER, run) is None
    assert aws.clock.now == LEASE
    assert aws.operations("rds") == ["DescribeGlobalClusters", "FailoverGlobalCluster"]


def test_a_driver_that_continues_a_run_waits_for_the_whole_lease() -> None:
    aws, steps = world()
    steps.do(plan.FENCE, run_of(steps, "long ago"))
    aws.clock.now += 3600.0
    aws.table(HOME).take_leadership(HOME, 0)
    aws.steps().do(plan.FENCE, run_of(steps))
    moment = aws.clock.now
    aws.faults["FailoverGlobalCluster"] = [Fault(client_error("InvalidDBClusterStateFault"))]
    with pytest.raises(AwsFailure, match="promote: InvalidDBClusterStateFault"):
        steps.do(plan.FAIL_OVER, run_of(steps))
    steps.do(plan.FAIL_OVER, run_of(steps))
    assert aws.clock.now == moment + LEASE


@pytest.mark.parametrize(("action", "to"), MOVES)
def test_a_promotion_under_way_is_waited_for(action: Action, to: str) -> None:
    aws, steps = world(action, to)
    aws.rds.polls = 5
    aws.rds.states[to] = "promoting"
    run = run_of(steps)
    asked = [steps.do(plan.FAIL_OVER, run) for _ in range(9)]
    aws.rds.states[to] = "available"
    assert asked == [None] * 9
    assert steps.do(plan.FAIL_OVER, run) == "writer " + steps.cloud.plan.target.cluster_id
    moves = [(region, name) for _, region, name in aws.calls if name.endswith("overGlobalCluster")]
    assert moves == [(to, "FailoverGlobalCluster") if action is Action.FAILOVER
                     else (steps.cloud.plan.other.region, "SwitchoverGlobalCluster")]


@pytest.mark.parametrize("quiet", [0, 3])
def test_a_promotion_whose_answer_is_lost_is_under_way(quiet: int) -> None:
    aws, steps = world()
    aws.rds.quiet = quiet
    aws.faults["FailoverGlobalCluster"] = [Fault(LOST, done=True)]
    for why in ("Read timeout", *["InvalidGlobalClusterStateFault"] * quiet):
        with pytest.raises(AwsFailure, match=f"^promote: {why}"):
            steps.do(plan.FAIL_OVER, run_of(steps))
    assert finish(steps, plan.FAIL_OVER, run_of(steps)).startswith("writer")
    assert aws.rds.writer == AWAY


def test_a_promotion_that_another_driver_requested_is_not_requested_again() -> None:
    aws, steps = world()
    aws.rds.move(steps.cloud.plan.target.cluster_arn, loses=True)
    finish(steps, plan.FAIL_OVER, run_of(steps))
    assert "FailoverGlobalCluster" not in aws.operations()


def test_a_database_that_cannot_be_promoted_says_why() -> None:
    aws, steps = world()
    aws.faults["FailoverGlobalCluster"] = [Fault(client_error("GlobalClusterNotFoundFault", 404))]
    with pytest.raises(AwsFailure, match="promote: GlobalClusterNotFoundFault: refused"):
        steps.do(plan.FAIL_OVER, run_of(steps))


def test_the_epoch_is_raised_above_what_the_ledger_has_seen() -> None:
    aws, steps = world()
    steps.do(plan.FENCE, run_of(steps))
    aws.epochs[AWAY] = 7
    for _ in range(2):
        assert steps.do(plan.RAISE_EPOCH, run_of(steps)) == "epoch 8"
    assert aws.leadership(AWAY) == (8, AWAY)


@dataclass(frozen=True)
class Answering:
    """A Lambda client whose functions answer this."""

    payload: bytes
    more: dict[str, str]

    def __call__(self, service: str, region: str, read: float = 0.0) -> "Answering":
        """The client."""
        assert (service, region, read > 0) == ("lambda", AWAY, True)
        return self

    def invoke(self, **_: object) -> dict[str, Any]:
        """What the function gives."""
        return {"Payload": io.BytesIO(self.payload), **self.more}


@pytest.mark.parametrize(("payload", "more", "why"), [
    (b'{"error": "ledger:timeout"}', {}, "epoch is unknown: ledger:timeout"),
    (b'{"errorMessage": "Task timed out"}', {"FunctionError": "Unhandled"}, "reconcile_function_name: Task timed out"),
    (b"not JSON", {}, "its answer is not a JSON object"),
    (b"null", {"FunctionError": "Unhandled"}, "its answer is not a JSON object"),
])
def test_a_ledger_whose_epoch_is_unknown(payload: bytes, more: dict[str, str], why: str) -> None:
    aws, steps = world()
    environment = replace(aws.environment, clients=Answering(payload, more))
    broken = AwsSteps(cloud=replace(steps.cloud, environment=environment))
    with pytest.raises(AwsFailure, match=why):
        broken.do(plan.RAISE_EPOCH, run_of(steps))


def test_verify_makes_one_payment_for_the_run() -> None:
    aws, steps = world()
    run = run_of(steps, "20270115T080000Z-abc123")
    with pytest.raises(AwsFailure, match="the payment is not accepted: 503"):
        steps.do(plan.VERIFY, run)
    aws.rds.writer = AWAY
    steps.do(plan.FENCE, run)
    for _ in range(2):
        assert steps.do(plan.VERIFY, run) == "recovery-20270115T080000Z-abc123 accepted"
    assert list(aws.payments[AWAY]) == ["recovery-20270115T080000Z-abc123"]
    assert aws.reads["lambda"] < 30.0


def test_reconcile_reports_what_it_found() -> None:
    aws, steps = world()
    aws.reconciled[AWAY] = {"done": True, "repaired": ["a", "b"], "refused": ["c"], "pending": []}
    assert steps.do(plan.RECONCILE, run_of(steps)) == "2 repaired, 1 refused, 0 pending"
    assert aws.reads["lambda"] == 900.0


def test_a_reconciliation_that_was_stopped_is_not_done() -> None:
    aws, steps = world()
    aws.reconciled[AWAY] = {"done": False, "error": "ledger:timeout", "cursor": "x"}
    with pytest.raises(AwsFailure, match="reconcile: ledger:timeout"):
        steps.do(plan.RECONCILE, run_of(steps))


@pytest.mark.parametrize(("lags", "note"), [
    ({"table": 2.0}, "table 2.0 s behind"),
    ({"table": 0.0, "ledger": 1.0, "receipts": 600.0},
     "ledger 1.0 s behind, receipts 600.0 s behind, table 0.0 s behind"),
])
def test_a_region_that_has_caught_up_may_continue(lags: dict[str, float], note: str) -> None:
    aws, steps = world(Action.SWITCHOVER)
    see(aws, AWAY, **lags)
    assert steps.do(plan.CATCH_UP, run_of(steps)) == note


@pytest.mark.parametrize("lags", [{}, {"ledger": 0.0}, {"table": 2.1}, {"table": 0.0, "ledger": 2.1}])
def test_catching_up_waits_for_a_region_that_lags_or_may_lag(lags: dict[str, float]) -> None:
    aws, steps = world(Action.SWITCHOVER)
    see(aws, AWAY, **lags)
    with pytest.raises(AwsFailure, match="us-west-2 has not caught up: "):
        steps.do(plan.CATCH_UP, run_of(steps))


def test_old_lags_do_not_count() -> None:
    aws, steps = world(Action.SWITCHOVER)
    see(aws, AWAY, ago=STALE + 1, table=0.0)
    with pytest.raises(AwsFailure, match="the controller of us-west-2 has had no recent answer from us-east-1"):
        steps.do(plan.CATCH_UP, run_of(steps))
    del aws.tables[AWAY].items[f"{OBSERVATION_PREFIX}us-west-2"]
    with pytest.raises(AwsFailure, match="no recent answer"):
        steps.do(plan.CATCH_UP, run_of(steps))


@pytest.mark.parametrize("trouble", [
    lambda aws: aws.shown.update({HOME: ProbeResult(alive=False, ready=False)}),
    lambda aws: aws.rds.resyncing.add(HOME),
    lambda aws: aws.rds.states.update({HOME: "creating"}), lambda aws: aws.rds.instances.update({HOME: ["creating"]}),
], ids=["API", "storage", "cluster", "instance"])
def test_a_region_has_returned_once_all_of_it_is_available(trouble: Callable[[FakeAws], None]) -> None:
    aws, steps = world(Action.FAILBACK, HOME)
    assert steps.do(plan.REJOIN, run_of(steps)) == "us-east-1 follows the writer"
    trouble(aws)
    assert steps.do(plan.REJOIN, run_of(steps)) is None


def test_a_cluster_that_was_removed_does_not_return() -> None:
    aws, steps = world(Action.FAILBACK, HOME)
    aws.rds.gone = {HOME}
    with pytest.raises(AwsFailure, match="us-east-1-cluster_id is not a member of the global database"):
        steps.do(plan.REJOIN, run_of(steps))


LEFT = "rds:unplanned-global-failover-tapstack-dev-us-east-1-2027-01-15-08-00"
COPY = "lost-tapstack-dev-us-east-1-2027-01-15-08-00"


def test_the_snapshot_of_the_lost_writer_is_copied() -> None:
    aws, steps = world(Action.FAILBACK, HOME)
    snapshots = aws.rds.snapshots[HOME]
    snapshots |= {LEFT: "available", "rds:tapstack-dev-us-east-1-daily": "available"}
    for _ in range(2):
        assert steps.do(plan.SNAPSHOT, run_of(steps)) is None
    assert steps.do(plan.SNAPSHOT, run_of(steps)) == f"copied: {COPY}"
    assert aws.operations().count("CopyDBClusterSnapshot") == 1


def test_a_snapshot_that_is_still_being_made_is_waited_for() -> None:
    aws, steps = world(Action.FAILBACK, HOME)
    aws.rds.snapshots[HOME][LEFT] = "available"
    aws.faults["CopyDBClusterSnapshot"] = [Fault(client_error("InvalidDBClusterSnapshotStateFault")),
                                           Fault(LOST, done=True)]
    for why in ("InvalidDBClusterSnapshotStateFault", "Read timeout"):
        with pytest.raises(AwsFailure, match=why):
            steps.do(plan.SNAPSHOT, run_of(steps))
    assert steps.do(plan.SNAPSHOT, run_of(steps)) is None
    assert aws.operations().count("CopyDBClusterSnapshot") == 2


def test_without_a_snapshot_nothing_is_copied() -> None:
    _, steps = world(Action.FAILBACK, HOME)
    assert steps.do(plan.SNAPSHOT, run_of(steps)) == "copied: no snapshot"


def test_a_copy_of_a_long_name_keeps_its_time() -> None:
    name = copy_name("rds:unplanned-global-failover-" + "x" * 40 + "-ap-northeast-1-2027-01-15-08-00")
    assert (len(name), name[-17:]) == (63, "-2027-01-15-08-00")
    assert copy_name("rds:unplanned-global-failover-" + "x" * 9 + "-" + "y" * 57) == "lost-" + "y" * 57
    assert copy_name(LEFT) == COPY


def test_a_service_that_cannot_be_reached_is_named() -> None:
    aws, steps = world()
    aws.faults["DescribeGlobalClusters"] = [Fault(ConnectTimeoutError(endpoint_url="https://rds"))]
    with pytest.raises(AwsFailure, match=r"^global database: Connect timeout on endpoint URL"):
        steps.do(plan.FAIL_OVER, run_of(steps))
