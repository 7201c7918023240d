"""What a region's controller does, look by look, while the regions around it change."""
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError

from payments.leadership import LEASE
from recovery import controller
from recovery.cloud import METRICS_TIMEOUT
from recovery.controller import Controller, command, create
from recovery.errors import AlreadyRunning, StackError
from recovery.journal import HOLD, Run, next_heartbeat
from recovery.observation import Observation, ProbeResult
from recovery.plan import Action, Plan
from recovery.runner import claim
from tests.unit.payments.fakes import FakeContext, Fault, client_error
from tests.unit.recovery.fakes import AWAY, HOME, NOW, OUTPUTS, FakeAws

INTERVAL = 10.0
UNREADY = ProbeResult(alive=True, ready=False, why="ledger unavailable")
TAKE_OVER = f"python -m recovery failover --to {AWAY}"


def begin(region: str = AWAY, **changes: Any) -> tuple[FakeAws, Controller]:
    """Healthy AWS, and the controller of a region, which has looked once and knows the database's lag."""
    aws = FakeAws(**changes)
    aws.point(region, "AuroraGlobalDBReplicationLag", 900.0)
    found = controller_of(aws, region)
    tick(found)
    return aws, found


def controller_of(aws: FakeAws, region: str = AWAY) -> Controller:
    """The controller of a region, in an execution environment of its own."""
    return Controller(cloud=aws.cloud(to=region), interval=INTERVAL, window=60.0, cool_down=300.0)


def automatic() -> tuple[FakeAws, Controller]:
    """The same in automatic mode."""
    return begin(failover_mode="automatic")


def tick(found: Controller, times: int = 1) -> None:
    """Look at its usual interval."""
    clock = found.cloud.clock
    for _ in range(times):
        began = clock.monotonic()
        found.look_once("the controller")
        clock.sleep(max(0.0, began + INTERVAL - clock.monotonic()))


def seen(aws: FakeAws, region: str = AWAY) -> Observation:
    """What the controller of a region has written."""
    found = aws.table(region).observation(region)
    assert found
    return found


def subjects(aws: FakeAws) -> list[str]:
    """The subjects of all notifications."""
    return [subject for _, subject, _ in aws.notifications]


def broken_off(aws: FakeAws, plan: Plan, *keys: str) -> Run:
    """A run whose driver died after some steps."""
    steps = aws.steps(plan.action, plan.target.region)
    run = claim(steps.cloud, "somebody", why="requested")
    for step in plan.steps:
        if step.key in keys:
            steps.do(step, run)
    aws.calls.clear()
    return run


def beat(aws: FakeAws, region: str = AWAY) -> None:
    """A heartbeat of the driver of the run in a region's journal."""
    run = aws.run(region)
    aws.table(region).write_run(next_heartbeat(run), run)


# --- Looking

def test_a_look_is_stored_and_published() -> None:
    aws, _ = begin()
    assert seen(aws) == Observation(region=AWAY, at=NOW, alive_at=NOW, ready=True, lags={"ledger": 0.9})
    assert aws.metrics[AWAY] == [{"OtherRegionHealthy": 1.0, "OtherRegionReady": 1.0, "ThisRegionReady": 0.0}]
    assert {call for call in aws.calls if call[1] == HOME} == {("api", HOME, "look")}
    assert aws.notifications == []
    assert aws.operations("rds", "lambda", "sns") == []


def test_two_controllers_measure_the_lag_of_the_table() -> None:
    aws, here = begin()
    there = controller_of(aws, HOME)
    tick(there)
    tick(here)
    assert seen(aws).lags == {"table": 0.0, "ledger": 0.9}
    assert aws.metrics[AWAY][-1]["TableLag"] == 0.0
    aws.tables[HOME].copy = lambda *_: None
    for _ in range(3):
        tick(there)
        tick(here)
    assert seen(aws).lags == {"table": 60.0, "ledger": 0.9}


def test_the_last_known_lag_stays_while_the_other_region_does_not_answer() -> None:
    aws, here = automatic()
    assert seen(aws).lags == {"ledger": 0.9}
    aws.cut = {HOME}
    tick(here)
    assert (seen(aws).lags, seen(aws).dead, seen(aws).alive_at) == ({"ledger": 0.9}, 1, seen(aws).at - 10.0)
    assert aws.metrics[AWAY][-1] == {"OtherRegionHealthy": 0.0, "OtherRegionReady": 0.0, "ThisRegionReady": 0.0}


def test_overlapping_starts_do_not_count_a_look_twice() -> None:
    aws, here = begin()
    other_start = controller_of(aws)
    aws.cut = {HOME}
    for _ in range(4):
        here.look_once("one")
        aws.clock.now += 3.0
        other_start.look_once("another")
        aws.clock.now += 7.0
    assert seen(aws).dead == 4


def test_it_looks_again_after_the_clock_was_set_back() -> None:
    aws, here = begin()
    aws.clock.now -= 3600.0
    tick(here)
    assert seen(aws).at == aws.clock.time() - INTERVAL


def test_it_looks_at_its_interval_and_catches_up_after_a_long_look() -> None:
    aws, here = begin()
    looks: list[float] = []

    def clients(service: str, region: str, read: float = 5.0) -> Any:
        if service == "cloudwatch" and read == METRICS_TIMEOUT:  # once a look
            looks.append(aws.clock.now)
            aws.clock.now += 17.0 if len(looks) == 2 else 1.0
        return aws(service, region, read)

    aws.clock.now = 100.0
    here.cloud = replace(here.cloud, environment=replace(aws.environment, clients=clients))
    here.watch("me")
    assert looks == [100.0, 110.0, 127.0, 140.0, 150.0]


# --- Notifying and acting

def test_in_manual_mode_people_are_notified_once_with_the_command() -> None:
    aws, here = begin()
    aws.cut = {HOME}
    tick(here, 2)
    assert aws.notifications == []
    tick(here, 10)
    assert subjects(aws) == [f"{HOME} does not answer: {AWAY} can take over"]
    assert aws.notifications[0][2].endswith(TAKE_OVER)
    assert aws.leadership(AWAY) == (1, HOME)


def test_a_new_incident_is_notified_again() -> None:
    aws, here = begin()
    for _ in range(2):
        aws.cut = {HOME}
        tick(here, 5)
        aws.cut = set()
        tick(here)
        assert seen(aws).notified == ""
    assert len(set(subjects(aws))) == 1
    assert len(subjects(aws)) == 2


def test_a_notification_that_failed_is_sent_again() -> None:
    aws, here = begin()
    aws.cut = {HOME}
    aws.faults["Publish"] = [Fault(client_error("InternalError", 500))]
    tick(here, 3)
    assert aws.notifications == []
    tick(here)
    assert len(aws.notifications) == 1


def test_a_region_that_answers_but_cannot_take_payments_is_given_twice_the_time() -> None:
    aws, here = begin()
    aws.shown[HOME] = UNREADY
    tick(here, 5)
    assert aws.notifications == []
    tick(here)
    assert subjects(aws)[0].startswith(f"{HOME} cannot take payments")
    assert "ledger unavailable" in aws.notifications[0][2]


def test_in_automatic_mode_it_takes_over_once_the_evidence_is_there() -> None:
    aws, here = automatic()
    aws.cut = {HOME}
    tick(here, 2)
    assert aws.operations("rds", "lambda") == []
    began = aws.clock.now
    looked = len(aws.calls)
    here.look_once("the controller")
    assert (aws.rds.writer, aws.leadership(AWAY), aws.levers[AWAY]) == (AWAY, (2, AWAY), [b"failover"])
    assert LEASE <= aws.clock.now - began < LEASE + 2
    assert subjects(aws) == [f"{AWAY} has taken over"]
    assert "reconcile: 0 repaired" in aws.notifications[0][2]
    run = aws.run(AWAY)
    assert (run.outcome, run.driver, run.target, run.accepted) == ("done", "the controller", AWAY, False)
    assert run.seen == seen(aws).at
    assert {region for _, region, operation in aws.calls[looked:] if operation != "look"} == {AWAY}
    assert aws.calls[looked:].count(("api", HOME, "look")) == 1


@pytest.mark.parametrize(("trouble", "reason"), [
    (lambda aws: aws.rds.instances.update({AWAY: []}), "with 0 instances available"),
    (lambda aws: aws.rds.states.update({AWAY: "stopped"}), "its database is stopped"),
    (lambda aws: aws.shown.update({AWAY: ProbeResult(alive=False, ready=False, why="HTTP 503")}),
     "its API does not answer"),
    (lambda aws: aws.faults.update(HeadBucket=[Fault(client_error("403", 403))] * 9), "receipts: bucket: 403"),
], ids=["instances", "cluster", "API", "bucket"])
def test_it_does_not_take_over_if_its_region_is_not_healthy(trouble: Callable[[FakeAws], None], reason: str) -> None:
    aws, here = automatic()
    aws.cut = {HOME}
    trouble(aws)
    tick(here, 6)
    assert (aws.rds.writer, aws.leadership(AWAY)) == (HOME, (1, HOME))
    assert subjects(aws) == [f"{HOME} does not answer, and {AWAY} must not take over"]
    assert reason in aws.notifications[0][2]
    assert "--accept-data-loss" not in aws.notifications[0][2]


@pytest.mark.parametrize("milliseconds", [None, 61_000.0])
def test_beyond_the_recovery_point_it_leaves_the_decision_to_people(milliseconds: float | None) -> None:
    aws, here = automatic()
    aws.points.clear()
    if milliseconds:
        aws.point(AWAY, "AuroraGlobalDBReplicationLag", milliseconds)
    tick(here)
    aws.cut = {HOME}
    tick(here, 6)
    assert aws.rds.writer == HOME
    assert len(aws.notifications) == 1
    assert f"{TAKE_OVER} --accept-data-loss" in aws.notifications[0][2]


def test_it_waits_after_a_run_before_it_acts_again() -> None:
    aws, here = automatic()
    aws.cut = {HOME}
    tick(here, 3)
    aws.cut = set()
    aws.rds.writer = HOME
    aws.table(AWAY).take_leadership(HOME, 0)
    tick(here)
    aws.cut = {HOME}
    tick(here, 5)
    assert aws.rds.writer == HOME
    assert subjects(aws)[-1].startswith(f"{HOME} does not answer: {AWAY} waits")
    assert TAKE_OVER in aws.notifications[-1][2]
    tick(here, 40)
    assert aws.rds.writer == AWAY
    assert subjects(aws)[-1] == f"{AWAY} has taken over"
    assert len(aws.notifications) == 3


def test_it_never_fails_back_by_itself() -> None:
    aws, here = automatic()
    aws.cut = {HOME}
    tick(here, 3)
    aws.cut = set()
    there = controller_of(aws, HOME)
    aws.tables[HOME].items |= aws.tables[AWAY].items
    for _ in range(20):
        there.look_once("the controller of the old primary")
        tick(here)
    assert (aws.rds.writer, aws.leadership(HOME), aws.levers) == (AWAY, (2, AWAY), {HOME: [], AWAY: [b"failover"]})
    assert len(aws.notifications) == 1


def test_the_leader_must_be_known() -> None:
    aws, here = automatic()
    aws.cut = {HOME}
    tick(here, 2)
    aws.faults["GetItem"] = [None, None, None, Fault(client_error("AccessDenied"))]
    tick(here)
    assert (aws.rds.writer, aws.notifications, seen(aws).dead) == (HOME, [], 3)
    tick(here)
    assert aws.rds.writer == AWAY


def test_flapping_is_not_evidence() -> None:
    aws, here = automatic()
    for _ in range(10):
        aws.cut = {HOME}
        tick(here, 2)
        aws.cut = set()
        tick(here)
    assert (aws.rds.writer, aws.notifications) == (HOME, [])


# --- Runs of others

def test_during_a_failover_of_another_driver_it_calls_neither_the_run_nor_the_other_region() -> None:
    aws, here = automatic()
    aws.cut = {HOME}
    broken_off(aws, here.cloud.plan, "fence")
    for _ in range(10):
        tick(here)
        beat(aws)
    assert {operation for _, _, operation in aws.calls} == {"GetItem"}
    assert aws.run(AWAY).driver == "somebody"


def test_a_failover_whose_driver_died_is_continued() -> None:
    aws, here = automatic()
    aws.cut = {HOME}
    run = broken_off(aws, here.cloud.plan, "fence")
    tick(here)
    assert aws.run(AWAY) == run
    began = aws.clock.now
    here.look_once("the controller")
    done = aws.run(AWAY)
    assert (done.id, done.driver, done.outcome, done.why) == (run.id, "the controller", "done", "requested")
    assert (aws.rds.writer, aws.leadership(AWAY)) == (AWAY, (2, AWAY))
    assert aws.clock.now - began >= HOLD + LEASE
    assert {region for _, region, _ in aws.calls} == {AWAY}
    assert subjects(aws) == [f"{AWAY} has taken over"]


def test_a_run_whose_driver_is_alive_after_all_is_left_to_it() -> None:
    aws, here = automatic()
    broken_off(aws, here.cloud.plan)
    tick(here)
    aws.clock.sleeping = [lambda: beat(aws)]
    with pytest.raises(AlreadyRunning, match=r"by somebody$"):
        here.look_once("the controller")
    assert aws.run(AWAY).driver == "somebody"


def test_during_a_switchover_of_another_driver_it_looks_and_does_nothing_else() -> None:
    aws, here = automatic()
    broken_off(aws, aws.cloud(Action.SWITCHOVER).plan, "traffic")
    aws.shown[HOME] = UNREADY
    for _ in range(10):
        tick(here)
        beat(aws)
    assert seen(aws).at == aws.clock.time() - INTERVAL
    assert (seen(aws).unready, aws.notifications, aws.levers[AWAY]) == (10, [], [b"switchover"])
    assert aws.run(AWAY).driver == "somebody"


@pytest.mark.parametrize(("mode", "action", "to", "typed"), [
    ("manual", Action.FAILOVER, AWAY, TAKE_OVER),
    ("automatic", Action.SWITCHOVER, AWAY, f"python -m recovery switchover --to {AWAY}"),
    ("manual", Action.FAILBACK, HOME, "python -m recovery failback"),
])
def test_people_are_notified_once_of_a_run_whose_driver_died(mode: str, action: Action, to: str, typed: str) -> None:
    aws = FakeAws(failover_mode=mode)
    here, other = controller_of(aws, to), controller_of(aws, aws.stack.other(to).region)
    broken_off(aws, aws.cloud(action, to).plan, "traffic")
    lever = aws.levers[to].copy()
    for _ in range(5):
        other.look_once("the controller of the other region")
        tick(here)
    assert aws.notifications == [(to, f"{action} to {to} has stopped",
                         f"{action} to {to}: its driver, somebody, has stopped. To continue: {typed}")]
    assert aws.levers[to] == lever
    assert aws.run(to).ended is None


def test_a_switchover_whose_driver_died_is_replaced_by_a_failover_on_evidence() -> None:
    aws, here = automatic()
    broken_off(aws, aws.cloud(Action.SWITCHOVER).plan, "traffic")
    aws.cut = {HOME}
    tick(here, 4)
    assert (aws.rds.writer, aws.run(AWAY).action, aws.run(AWAY).outcome) == (AWAY, "failover", "done")


@pytest.mark.parametrize("watched", [True, False])
def test_a_step_that_times_out_is_notified_once_and_tried_again(*, watched: bool) -> None:
    aws, here = automatic()
    aws.cut = {HOME}
    aws.faults["FailoverGlobalCluster"] = [Fault(client_error("InternalFailure", 500))] * 10**5
    if watched:
        tick(here, 10)
    else:
        broken_off(aws, here.cloud.plan)
        del aws.tables[AWAY].items[f"!watch:{AWAY}"]
        tick(here, 2)
    assert subjects(aws) == [f"{AWAY} could not take over: promote"]
    assert "promote was not done within 480 s: promote: InternalFailure" in aws.notifications[0][2]
    aws.faults.clear()
    tick(here, 3)
    assert (aws.rds.writer, subjects(aws)[1:]) == (AWAY, [f"{AWAY} has taken over"])


# --- Levers

@pytest.mark.parametrize(("region", "holder", "levers", "left"), [
    (AWAY, AWAY, {AWAY}, {AWAY}),  # after a failover
    (AWAY, HOME, {AWAY}, set[str]()),  # the other region leads
    (HOME, HOME, {HOME, AWAY}, {HOME, AWAY}),  # the other one's is not down yet
    (HOME, HOME, {HOME}, set[str]()),  # it is
    (HOME, AWAY, {HOME}, set[str]()),  # the other region leads
    (HOME, AWAY, {HOME, AWAY}, {AWAY}),
    (AWAY, HOME, {HOME}, {HOME}),
    (AWAY, HOME, set[str](), set[str]()),
])
def test_a_stale_lever_is_reset(
        region: str, holder: str, levers: set[str], left: set[str]) -> None:
    aws = FakeAws()
    aws.rds.writer = holder
    aws.table(HOME).take_leadership(holder, 0)
    for name in levers:
        aws.levers[name] = [b"failover"]
    tick(controller_of(aws, region), 2)
    assert {name for name, lever in aws.levers.items() if lever} == left
    assert {where for service, where, _ in aws.calls if service == "s3"} == {region}


def test_no_lever_is_touched_while_the_other_region_does_not_answer() -> None:
    aws, here = begin()
    aws.levers[AWAY] = [b"failover"]
    aws.cut = {HOME}
    tick(here)
    assert aws.levers[AWAY]
    aws.cut = set()
    tick(here)
    assert not aws.levers[AWAY]


def test_the_lever_stays_as_a_takeover_in_the_same_look_has_set_it() -> None:
    aws, here = automatic()
    aws.shown[HOME] = UNREADY
    tick(here, 6)
    assert (aws.rds.writer, aws.levers[AWAY]) == (AWAY, [b"failover"])


# --- What goes wrong

OPERATIONS = ["GetItem", "PutItem", "UpdateItem", "HeadBucket", "HeadObject", "PutObject", "DescribeGlobalClusters",
              "DescribeDBClusters", "DescribeDBInstances", "FailoverGlobalCluster", "Invoke", "Publish",
              "PutMetricData", "GetMetricStatistics"]


@pytest.mark.parametrize(("operation", "error"), [
    *((operation, client_error("AccessDenied", 403)) for operation in OPERATIONS), ("GetItem", NoCredentialsError()),
    ("DescribeDBClusters", EndpointConnectionError(endpoint_url="https://rds")),
])
def test_nothing_that_aws_raises_ends_the_loop(operation: str, error: Exception) -> None:
    aws, here = automatic()
    aws.cut = {HOME}
    aws.faults[operation] = [Fault(error)] * 10**4
    here.watch("me")
    aws.faults.clear()
    aws.clock.now += 10.0
    for _ in range(5):
        here.watch("me")
    assert aws.rds.writer == AWAY


def test_metrics_that_cannot_be_published_delay_nothing() -> None:
    aws, here = automatic()
    aws.cut = {HOME}
    aws.faults["PutMetricData"] = [Fault(client_error("InternalServiceError", 500))] * 3
    tick(here, 3)
    assert aws.rds.writer == AWAY
    assert aws.reads["cloudwatch"] <= 1.0


def test_an_internal_error_is_raised_after_the_last_look(caplog: pytest.LogCaptureFixture) -> None:
    aws, here = begin()
    aws.tables[AWAY].items[f"!watch:{AWAY}"]["document"] = {"S": '{"strange": 1}'}
    with caplog.at_level(logging.INFO, "recovery"), pytest.raises(TypeError, match="strange"):
        here.watch("me")
    failures = [record.__dict__["fields"]["error"] for record in caplog.records if record.message == "failed"]
    assert len(failures) == 6
    assert "strange" in failures[0]
    aws.tables[AWAY].items.pop(f"!watch:{AWAY}")
    aws.clock.now += 10.0
    here.watch("me")


# --- The function

@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The controller's logger, which is restored after the test."""
    found = controller.logger
    handlers, propagate, level = found.handlers, found.propagate, found.level
    yield found
    found.handlers, found.propagate = handlers, propagate
    found.setLevel(level)


@pytest.mark.usefixtures("logger")
def test_each_look_is_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    aws, here = begin()
    controller.log_to_stdout(aws.clock)
    here.cloud.clock.sleep(10.0)
    here.watch("me")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["look"] * 6
    assert (lines[0]["alive"], lines[0]["level"]) == (True, "INFO")


@pytest.mark.usefixtures("logger")
def test_the_controller_is_created_once_per_execution_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_REGION": AWAY, "STACK_OUTPUTS": json.dumps(OUTPUTS), "PROBE_SECONDS": "10",
                        "WATCH_SECONDS": "0", "COOL_DOWN_SECONDS": "300"}.items():
        monkeypatch.setenv(name, value)
    try:
        assert [controller.handler({}, FakeContext()) for _ in range(2)] == [{"region": AWAY}] * 2
        assert controller.resident() is controller.resident()
    finally:
        controller.resident.cache_clear()


def test_it_is_created_from_its_variables_for_its_own_region_only() -> None:
    aws = FakeAws()
    environ = {"AWS_REGION": AWAY, "STACK_OUTPUTS": json.dumps(OUTPUTS), "PROBE_SECONDS": "0.5", "WATCH_SECONDS": "3",
               "COOL_DOWN_SECONDS": "15"}
    assert create(environ, aws.environment) == Controller(cloud=aws.cloud(), interval=0.5, window=3.0, cool_down=15.0)
    with pytest.raises(StackError):
        create({**environ, "AWS_REGION": "mars"}, aws.environment)


def test_the_command_that_continues_a_run() -> None:
    aws = FakeAws()
    for action, to, typed in ((Action.FAILOVER, HOME, f"python -m recovery failover --to {HOME}"),
                              (Action.FAILBACK, HOME, "python -m recovery failback")):
        assert command(broken_off(aws, aws.cloud(action, to).plan)) == typed
        aws.tables[HOME].items.pop("!recovery")
