"""What the plan does in AWS: to whom it speaks, that a step may be repeated, that answers may be lost."""
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from payments.errors import StoreUnavailable
from payments.leadership import LEASE, Leadership
from recovery.cloud import AwsFailure, Cloud, failing, kept, reason
from recovery.journal import Run
from recovery.observation import Observation
from recovery.plan import STALE, STEPS, Action
from recovery.probe import ProbeResult
from tests.unit.payments.fakes import Crash, Fault, client_error
from tests.unit.recovery.fakes import AWAY, HOME, NOW, FakeAws

LOST = ReadTimeoutError(endpoint_url="https://rds")
MOVES = [(Action.FAILOVER, AWAY), (Action.SWITCHOVER, AWAY), (Action.FAILBACK, HOME)]
PULLED = [b"failover"]


def run_of(cloud: Cloud, name: str = "run-1") -> Run:
    """A run of its plan."""
    return Run(id=name, action=cloud.plan.action.value, target=cloud.plan.target.region, driver="me", began=NOW, why="")


def world(action: Action = Action.FAILOVER, to: str = AWAY, **changes: Any) -> tuple[FakeAws, Cloud]:
    """AWS with the other region active, and what a plan that leads away from there is carried out with."""
    aws = FakeAws(**changes)
    if to == HOME:
        aws.rds.writer = AWAY
        aws.table(AWAY).take_right(AWAY, 0)
    see(aws, to, table=0.0)
    return aws, aws.cloud(action, to)


def see(aws: FakeAws, region: str, *, ago: float = 0.0, **lags: float) -> None:
    """Let the controller of a region have seen the other one, and these lags."""
    moment = aws.clock.time() - ago
    aws.table(region).keep_watch(Observation(region=region, at=moment, alive_at=moment, lags=lags))


def finish(cloud: Cloud, key: str, run: Run, tries: int = 20) -> str:
    """What a step tells once it is done."""
    for _ in range(tries):
        note = cloud.step(key, run)
        if note is not None:
            return note
    raise AssertionError(f"{key} is not done")


def state(aws: FakeAws) -> Any:
    """Everything in AWS that a step may change."""
    return (aws.right(HOME), aws.right(AWAY), aws.rds.writer, aws.rds.moving, dict(aws.levers), dict(aws.payments),
            aws.rds.snapshots)


# --- Errors

@pytest.mark.parametrize(("error", "told"), [
    (client_error("AccessDenied"), "topic: AccessDenied: refused"),
    (ClientError({"Error": {"Code": "404"}}, "HeadObject"), "topic: 404:"),
    (NoCredentialsError(), "topic: Unable to locate credentials"),
    (StoreUnavailable("table", "Timeout"), "topic: table: Timeout"),
    (ResponseParserError("not\n  XML"), "topic: not XML"),
    (ConnectionResetError(), "topic: ConnectionResetError"),
])
def test_an_error_of_aws_is_told_in_one_line(error: Exception, told: str) -> None:
    with pytest.raises(AwsFailure, match=f"^{told}$"), failing("topic"):
        raise error


def test_a_mistake_is_not_taken_for_an_error_of_aws() -> None:
    with pytest.raises(KeyError), failing("topic"):
        raise KeyError
    assert reason(KeyError("x")) == "'x'"


# --- What is known

def test_the_facts_are_those_of_the_target() -> None:
    aws, cloud = world()
    facts = cloud.facts()
    assert replace(facts, watch=None) == replace(
        facts, right=Leadership(1, HOME), writer=HOME, cluster="available", instances=1, own=ProbeResult(alive=True, ready=False),
        wrong={}, watch=None, run=None, other=None)
    assert facts.watch == aws.table(AWAY).watch(AWAY)
    assert {region for _, region, _ in aws.calls} == {AWAY}


@pytest.mark.parametrize(("action", "to"), MOVES[1:])
def test_a_planned_move_looks_at_the_other_region_too(action: Action, to: str) -> None:
    aws, cloud = world(action, to)
    assert cloud.facts().other == ProbeResult(alive=True, ready=True)
    assert [region for service, region, _ in aws.calls if service == "api"] == [to, cloud.plan.other.region]


def test_what_cannot_be_told_is_unknown() -> None:
    aws, cloud = world()
    for operation in ("GetItem", "HeadBucket", "DescribeDBInstances"):
        aws.faults[operation] = [Fault(client_error("AccessDenied"))]
    facts = cloud.facts()
    assert facts.wrong == {"table": "AccessDenied", "receipts": "bucket: AccessDenied: refused",
                           "ledger": "instances: AccessDenied: refused"}
    assert (facts.right, facts.writer, facts.cluster, facts.instances, facts.run) == (None, None, "", 0, None)


def test_only_instances_that_are_available_count() -> None:
    aws, cloud = world()
    aws.rds.instances[AWAY] = ["available", "rebooting", "available"]
    assert cloud.instances() == 2
    assert aws.calls == [("rds", AWAY, "DescribeDBInstances")]


def test_a_database_without_a_writer_has_none() -> None:
    aws, cloud = world()
    aws.rds.gone = {HOME}
    assert cloud.writer() is None


@pytest.mark.parametrize("site", [0, 1])
def test_a_lever_is_set_where_it_is(site: int) -> None:
    aws, cloud = world()
    where = cloud.plan.stack.sites[site]
    for wanted in (False, True, True, False, False):
        cloud.pull(where, wanted=wanted)
        assert cloud.lever(where) is wanted
        assert aws.levers[where.region] == (PULLED if wanted else [])
    assert {region for _, region, _ in aws.calls} == {where.region}
    assert [name for name in aws.operations() if name != "HeadObject"] == ["PutObject", "DeleteObject"]


def test_a_lever_that_must_not_be_seen_is_not_taken_for_one_that_is_down() -> None:
    aws, cloud = world()
    aws.faults["HeadObject"] = [Fault(client_error("403", 403))]
    with pytest.raises(AwsFailure, match="lever in us-west-2: 403"):
        cloud.lever(cloud.plan.target)


def test_the_lags_are_those_of_the_newest_points() -> None:
    aws, cloud = world()
    aws.table(AWAY).keep_watch(Observation(region=HOME, at=NOW - 13.0))
    for ago, lag in ((60.0, 1500.0), (120.0, 9000.0), (3600.0, 5.0)):
        aws.point(AWAY, "AuroraGlobalDBReplicationLag", lag, ago)
    aws.point(AWAY, "ReplicationLatency", 40.0)
    assert cloud.lags(10.0) == {"table": 3.0, "ledger": 1.5, "receipts": 40.0}
    assert {region for _, region, _ in aws.calls} == {AWAY}


def test_a_lag_that_nobody_tells_is_left_out() -> None:
    aws, cloud = world()
    aws.point(AWAY, "ReplicationLatency", 40.0, ago=3600.0)
    assert cloud.lags(10.0) == {}
    aws.table(AWAY).keep_watch(Observation(region=HOME, at=NOW))
    aws.point(AWAY, "ReplicationLatency", 40.0)
    aws.faults |= {"GetItem": [Fault(client_error("AccessDenied"))],
                   "GetMetricStatistics": [Fault(client_error("Throttling"))]}
    assert cloud.lags(10.0) == {"receipts": 40.0}


def test_a_strongly_consistent_table_does_not_lag() -> None:
    aws, cloud = world(table_consistency="strong")
    assert cloud.lags(10.0) == {"table": 0.0}
    assert "GetItem" not in aws.operations()


def test_metrics_and_news_go_out_in_the_region() -> None:
    aws, cloud = world()
    cloud.publish({"TableLag": 1.0})
    cloud.tell("s" * 200, "why")
    assert (aws.metrics[AWAY], aws.told) == ([{"TableLag": 1.0}], [(AWAY, "s" * 99, "why")])
    aws.faults |= {"PutMetricData": [Fault(LOST)], "Publish": [Fault(client_error("KMSDisabled"))]}
    with pytest.raises(AwsFailure, match="metrics: Read timeout"):
        cloud.publish({})
    with pytest.raises(AwsFailure, match="topic: KMSDisabled"):
        cloud.tell("subject", "why")


# --- Plans

@pytest.mark.parametrize(("action", "to"), [*MOVES, (Action.FAILOVER, HOME), (Action.SWITCHOVER, HOME)])
def test_a_plan_moves_everything_and_done_again_changes_nothing(action: Action, to: str) -> None:
    aws, cloud = world(action, to)
    run = run_of(cloud)
    for step in STEPS[action]:
        note = finish(cloud, step.key, run)
        before = str(state(aws))
        again = finish(aws.cloud(action, to), step.key, run, tries=1)
        assert (str(state(aws)), again) == (before, note), step.key
    assert (aws.rds.writer, aws.right(to)[1], aws.writes(to)) == (to, to, True)
    assert list(aws.payments[to]) == ["recovery-run-1"]


@pytest.mark.parametrize("to", [HOME, AWAY])
def test_a_failover_calls_nobody_but_the_target_region(to: str) -> None:
    aws, cloud = world(Action.FAILOVER, to)
    aws.cut = {cloud.plan.other.region}
    assert cloud.facts().wrong == {}
    for step in STEPS[Action.FAILOVER]:
        finish(cloud, step.key, run_of(cloud))
    assert {region for _, region, _ in aws.calls} == {to}
    assert {service for service, _, _ in aws.calls} == {"api", "dynamodb", "s3", "rds", "lambda"}


@pytest.mark.parametrize(("action", "to"), MOVES)
@pytest.mark.parametrize("done", [False, True])
def test_a_driver_that_dies_at_any_call_is_followed_by_another(action: Action, to: str, *, done: bool) -> None:
    def drive(aws: FakeAws, run: Run) -> None:
        cloud = aws.cloud(action, to)
        for step in STEPS[action]:
            finish(cloud, step.key, run)

    def begin() -> tuple[FakeAws, Cloud]:
        aws, cloud = world(action, to)
        aws.levers[cloud.plan.other.region] = [b"failover"]
        aws.rds.snapshots[HOME][LEFT] = "available"
        return aws, cloud

    reference, cloud = begin()
    drive(reference, run_of(cloud))
    changing = [name for name in reference.operations() if not name.startswith(("Describe", "Head", "Get", "look"))]
    assert len(changing) >= 6
    for number, name in enumerate(changing):
        aws, cloud = begin()
        aws.faults[name] = [*[None] * changing[:number].count(name), Fault(Crash(), done=done)]
        with pytest.raises(Crash):
            drive(aws, run_of(cloud))
        drive(aws, run_of(cloud))
        assert str(state(aws)) == str(state(reference)), name


# --- The steps

def test_the_fence_takes_the_right_once() -> None:
    aws, cloud = world()
    for _ in range(2):
        assert cloud.step("fence", run_of(cloud)) == "epoch 2"
    assert aws.right(AWAY) == aws.right(HOME) == (2, AWAY)
    assert aws.operations("lambda") == []


def test_a_right_that_another_one_takes_is_not_taken() -> None:
    aws, cloud = world()
    item = {**aws.tables[AWAY].items["!right"], "epoch": {"N": "2"}}
    aws.faults["UpdateItem"] = [Fault(client_error("ConditionalCheckFailedException", item=item))]
    with pytest.raises(AwsFailure, match="the right to write went to us-east-1"):
        cloud.step("fence", run_of(cloud))


def test_a_table_that_does_not_answer_fails_the_fence() -> None:
    aws, cloud = world()
    aws.faults["GetItem"] = [Fault(client_error("AccessDenied"))]
    with pytest.raises(AwsFailure, match="fence: table: AccessDenied"):
        cloud.step("fence", run_of(cloud))


@pytest.mark.parametrize(("action", "to", "levers"), [
    (Action.FAILOVER, AWAY, {HOME: [b"untouched"], AWAY: [b"failover"]}),
    (Action.FAILOVER, HOME, {HOME: [b"failover"], AWAY: [b"untouched"]}),
    (Action.SWITCHOVER, AWAY, {HOME: [], AWAY: [b"switchover"]}),
    (Action.SWITCHOVER, HOME, {HOME: [], AWAY: []}),
    (Action.FAILBACK, HOME, {HOME: [], AWAY: []}),
])
def test_the_levers(action: Action, to: str, levers: dict[str, list[bytes]]) -> None:
    aws, cloud = world(action, to)
    other = cloud.plan.other.region
    aws.levers[other] = [b"untouched"]
    cloud.step("traffic", run_of(cloud))
    assert aws.levers == levers
    assert {region for _, region, _ in aws.calls} == ({to} if action is Action.FAILOVER else {HOME, AWAY})


@pytest.mark.parametrize(("to", "order"), [(AWAY, ["PutObject", "DeleteObject"]), (HOME, ["DeleteObject"] * 2)])
def test_the_traffic_moves_with_the_second_lever(to: str, order: list[str]) -> None:
    aws, cloud = world(Action.SWITCHOVER, to)
    aws.levers[HOME] = [b"failover"]
    if to == HOME:
        aws.levers[AWAY] = [b"failover"]
    assert cloud.step("traffic", run_of(cloud)) == ("lever in us-west-2 pulled" if to == AWAY else "levers put back")
    changes = [(region, name) for _, region, name in aws.calls if name != "HeadObject"]
    assert changes == list(zip((AWAY, HOME), order, strict=True))


def test_the_promotion_waits_until_the_lease_of_the_old_writer_is_over() -> None:
    aws, cloud = world()
    run = run_of(cloud)
    cloud.step("fence", run)
    aws.clock.now += 0.4
    assert cloud.step("promote", run) is None
    assert aws.clock.now == LEASE
    assert aws.operations("rds") == ["DescribeGlobalClusters", "FailoverGlobalCluster"]


def test_whoever_goes_on_with_a_run_waits_as_long() -> None:
    aws, cloud = world()
    cloud.step("fence", run_of(cloud, "long ago"))
    aws.clock.now += 3600.0
    aws.table(HOME).take_right(HOME, 0)
    aws.cloud().step("fence", run_of(cloud))
    moment = aws.clock.now
    aws.faults["FailoverGlobalCluster"] = [Fault(client_error("InvalidDBClusterStateFault"))]
    with pytest.raises(AwsFailure, match="promote: InvalidDBClusterStateFault"):
        cloud.step("promote", run_of(cloud))
    cloud.step("promote", run_of(cloud))
    assert aws.clock.now == moment + LEASE


@pytest.mark.parametrize(("action", "to"), MOVES)
def test_a_promotion_under_way_is_waited_for(action: Action, to: str) -> None:
    aws, cloud = world(action, to)
    aws.rds.polls = 5
    aws.rds.states[to] = "promoting"
    run = run_of(cloud)
    asked = [cloud.step("promote", run) for _ in range(9)]
    aws.rds.states[to] = "available"
    assert asked == [None] * 9
    assert cloud.step("promote", run) == "writer " + cloud.plan.target.cluster_id
    moves = [(region, name) for _, region, name in aws.calls if name.endswith("overGlobalCluster")]
    assert moves == [(to, "FailoverGlobalCluster") if action is Action.FAILOVER
                     else (cloud.plan.other.region, "SwitchoverGlobalCluster")]


@pytest.mark.parametrize("quiet", [0, 3])
def test_a_promotion_whose_answer_is_lost_is_under_way(quiet: int) -> None:
    aws, cloud = world()
    aws.rds.quiet = quiet
    aws.faults["FailoverGlobalCluster"] = [Fault(LOST, done=True)]
    for told in ("Read timeout", *["InvalidGlobalClusterStateFault"] * quiet):
        with pytest.raises(AwsFailure, match=f"^promote: {told}"):
            cloud.step("promote", run_of(cloud))
    assert finish(cloud, "promote", run_of(cloud)).startswith("writer")
    assert aws.rds.writer == AWAY


def test_a_promotion_that_somebody_else_has_asked_for_is_not_asked_for_again() -> None:
    aws, cloud = world()
    aws.rds.move(cloud.plan.target.cluster_arn, loses=True)
    finish(cloud, "promote", run_of(cloud))
    assert "FailoverGlobalCluster" not in aws.operations()


def test_a_database_that_cannot_be_promoted_says_why() -> None:
    aws, cloud = world()
    aws.faults["FailoverGlobalCluster"] = [Fault(client_error("GlobalClusterNotFoundFault", 404))]
    with pytest.raises(AwsFailure, match="promote: GlobalClusterNotFoundFault: refused"):
        cloud.step("promote", run_of(cloud))


def test_the_epoch_is_raised_above_what_the_ledger_has_seen() -> None:
    aws, cloud = world()
    cloud.step("fence", run_of(cloud))
    aws.epochs[AWAY] = 7
    for _ in range(2):
        assert cloud.step("epoch", run_of(cloud)) == "epoch 8"
    assert aws.right(AWAY) == (8, AWAY)


@dataclass(frozen=True)
class Answering:
    """Lambda, whose functions answer this."""

    payload: bytes
    more: dict[str, str]

    def __call__(self, service: str, region: str, read: float = 0.0) -> "Answering":
        """The client."""
        assert (service, region, read > 0) == ("lambda", AWAY, True)
        return self

    def invoke(self, **_: object) -> dict[str, Any]:
        """What the function gives."""
        return {"Payload": io.BytesIO(self.payload), **self.more}


@pytest.mark.parametrize(("payload", "more", "told"), [
    (b'{"error": "ledger:timeout"}', {}, "seen: ledger:timeout"),
    (b'{"errorMessage": "Task timed out"}', {"FunctionError": "Unhandled"}, "reconcile_function_name: Task timed out"),
    (b"not JSON", {}, "its answer is no object"),
    (b"null", {"FunctionError": "Unhandled"}, "its answer is no object"),
])
def test_a_ledger_that_does_not_tell_its_epoch(payload: bytes, more: dict[str, str], told: str) -> None:
    _, cloud = world()
    with pytest.raises(AwsFailure, match=told):
        replace(cloud, clients=Answering(payload, more)).step("epoch", run_of(cloud))


def test_verify_makes_a_payment_that_is_the_runs_own() -> None:
    aws, cloud = world()
    run = run_of(cloud, "20270115T080000Z-abc123")
    with pytest.raises(AwsFailure, match="the payment is not accepted: 503"):
        cloud.step("verify", run)
    aws.rds.writer = AWAY
    cloud.step("fence", run)
    for _ in range(2):
        assert cloud.step("verify", run) == "recovery-20270115T080000Z-abc123 accepted"
    assert list(aws.payments[AWAY]) == ["recovery-20270115T080000Z-abc123"]
    assert aws.reads["lambda"] < 30.0


def test_reconcile_tells_what_it_found() -> None:
    aws, cloud = world()
    aws.reconciled[AWAY] = {"done": True, "repaired": ["a", "b"], "refused": ["c"], "pending": []}
    assert cloud.step("reconcile", run_of(cloud)) == "2 repaired, 1 refused, 0 pending"
    assert aws.reads["lambda"] == 900.0


def test_a_reconciliation_that_was_stopped_is_not_done() -> None:
    aws, cloud = world()
    aws.reconciled[AWAY] = {"done": False, "error": "ledger:timeout", "cursor": "x"}
    with pytest.raises(AwsFailure, match="reconcile: ledger:timeout"):
        cloud.step("reconcile", run_of(cloud))


@pytest.mark.parametrize(("lags", "told"), [
    ({"table": 2.0}, "table 2.0 s behind"),
    ({"table": 0.0, "ledger": 1.0, "receipts": 600.0},
     "ledger 1.0 s behind, receipts 600.0 s behind, table 0.0 s behind"),
])
def test_what_has_caught_up_may_go_on(lags: dict[str, float], told: str) -> None:
    aws, cloud = world(Action.SWITCHOVER)
    see(aws, AWAY, **lags)
    assert cloud.step("caught-up", run_of(cloud)) == told


@pytest.mark.parametrize("lags", [{}, {"ledger": 0.0}, {"table": 2.1}, {"table": 0.0, "ledger": 2.1}])
def test_what_lags_or_may_lag_is_waited_for(lags: dict[str, float]) -> None:
    aws, cloud = world(Action.SWITCHOVER)
    see(aws, AWAY, **lags)
    with pytest.raises(AwsFailure, match="us-west-2 is behind: "):
        cloud.step("caught-up", run_of(cloud))


def test_lags_of_long_ago_say_nothing() -> None:
    aws, cloud = world(Action.SWITCHOVER)
    see(aws, AWAY, ago=STALE + 1, table=0.0)
    with pytest.raises(AwsFailure, match="the controller of us-west-2 has not seen us-east-1 of late"):
        cloud.step("caught-up", run_of(cloud))
    del aws.tables[AWAY].items["!watch:us-west-2"]
    with pytest.raises(AwsFailure, match="has not seen"):
        cloud.step("caught-up", run_of(cloud))


@pytest.mark.parametrize("trouble", [
    lambda aws: aws.shown.update({HOME: ProbeResult(alive=False, ready=False)}), lambda aws: aws.rds.resyncing.add(HOME),
    lambda aws: aws.rds.states.update({HOME: "creating"}), lambda aws: aws.rds.instances.update({HOME: ["creating"]}),
], ids=["API", "storage", "cluster", "instance"])
def test_a_region_comes_back_once_all_of_it_is_there(trouble: Callable[[FakeAws], None]) -> None:
    aws, cloud = world(Action.FAILBACK, HOME)
    assert cloud.step("rejoin", run_of(cloud)) == "us-east-1 follows"
    trouble(aws)
    assert cloud.step("rejoin", run_of(cloud)) is None


def test_a_cluster_that_was_thrown_out_does_not_come_back() -> None:
    aws, cloud = world(Action.FAILBACK, HOME)
    aws.rds.gone = {HOME}
    with pytest.raises(AwsFailure, match="us-east-1-cluster_id is no member of the global database"):
        cloud.step("rejoin", run_of(cloud))


LEFT = "rds:unplanned-global-failover-tapstack-dev-us-east-1-2027-01-15-08-00"
COPY = "lost-tapstack-dev-us-east-1-2027-01-15-08-00"


def test_what_the_lost_writer_had_is_kept() -> None:
    aws, cloud = world(Action.FAILBACK, HOME)
    snapshots = aws.rds.snapshots[HOME]
    snapshots |= {LEFT: "available", "rds:tapstack-dev-us-east-1-daily": "available"}
    for _ in range(2):
        assert cloud.step("snapshot", run_of(cloud)) is None
    assert cloud.step("snapshot", run_of(cloud)) == f"kept: {COPY}"
    assert aws.operations().count("CopyDBClusterSnapshot") == 1


def test_a_snapshot_that_is_still_being_made_is_waited_for() -> None:
    aws, cloud = world(Action.FAILBACK, HOME)
    aws.rds.snapshots[HOME][LEFT] = "available"
    aws.faults["CopyDBClusterSnapshot"] = [Fault(client_error("InvalidDBClusterSnapshotStateFault")),
                                           Fault(LOST, done=True)]
    for told in ("InvalidDBClusterSnapshotStateFault", "Read timeout"):
        with pytest.raises(AwsFailure, match=told):
            cloud.step("snapshot", run_of(cloud))
    assert cloud.step("snapshot", run_of(cloud)) is None
    assert aws.operations().count("CopyDBClusterSnapshot") == 2


def test_no_snapshot_is_no_obstacle() -> None:
    _, cloud = world(Action.FAILBACK, HOME)
    assert cloud.step("snapshot", run_of(cloud)) == "kept: there is none"


def test_a_copy_of_a_long_name_keeps_its_time() -> None:
    name = kept("rds:unplanned-global-failover-" + "x" * 40 + "-ap-northeast-1-2027-01-15-08-00")
    assert (len(name), name[-17:]) == (63, "-2027-01-15-08-00")
    assert kept("rds:unplanned-global-failover-" + "x" * 9 + "-" + "y" * 57) == "lost-" + "y" * 57
    assert kept(LEFT) == COPY


def test_a_client_that_cannot_be_reached_is_told() -> None:
    aws, cloud = world()
    aws.faults["DescribeGlobalClusters"] = [Fault(ConnectTimeoutError(endpoint_url="https://rds"))]
    with pytest.raises(AwsFailure, match=r"^global database: Connect timeout on endpoint URL"):
        cloud.step("promote", run_of(cloud))
