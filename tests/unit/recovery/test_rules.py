"""The rules of a correct regional failover: each has bitten somebody, and each is a test here."""
import json
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from payments.leadership import LEASE, Leadership
from recovery import cli
from recovery.cloud import LEVER
from recovery.decision import Reaction, decide
from recovery.drill import Drill
from recovery.journal import Journal, Run
from recovery.observation import Observation, observe
from recovery.plan import STEPS, Action, refusals
from recovery.probe import ProbeResult
from recovery.runner import Runner, StepTimedOut, claim
from tests.unit.lib.conftest import CASES, recording
from tests.unit.lib.recorder import Recording, Resource
from tests.unit.lib.test_contract import alike, as_list, policies_of, regional
from tests.unit.payments.fakes import CONTROL, PAYMENT, Crash, Fault, Region, client_error, event
from tests.unit.recovery.fakes import AWAY, HOME, NOW, OUTPUTS, FakeAws, facts, plan

DOMAIN = "dev-domain-strong-swapped"
PLANNED = (Action.SWITCHOVER, Action.FAILBACK)
COOL_DOWN = 300.0
LOST = facts().watch or Observation(region=AWAY, at=NOW)  # as the standby sees it when the other region is gone
LOOKS = ("Get", "Describe", "Head", "look")


def well(region: str) -> Observation:
    """What a region's controller has written while the other region answers, and copies come at once."""
    return Observation(region=region, at=NOW, alive_at=NOW, ready=True, lags={"table": 0.0, "ledger": 0.5})


def carry_out(aws: FakeAws, action: Action = Action.FAILOVER, to: str = AWAY, driver: str = "first",
              clients: Any = None) -> Run:
    """What the command line does: look for what speaks against it, and drive it."""
    cloud = replace(aws.cloud(action, to), clients=clients or aws)
    found = refusals(cloud.plan, cloud.facts(), aws.clock.time())
    assert found == []
    return drive(aws, action, to, driver, clients)


def drive(aws: FakeAws, action: Action = Action.FAILOVER, to: str = AWAY, driver: str = "first",
          clients: Any = None) -> Run:
    """Claim the run of a plan, or one that broke off, and drive it."""
    cloud = replace(aws.cloud(action, to), clients=clients or aws)
    journal = Journal(cloud.table)
    run = claim(journal, cloud.plan, driver, why="asked for", clock=aws.clock)
    return Runner(plan=cloud.plan, steps=cloud, journal=journal, run=run, clock=aws.clock, beat=3600).drive()


def lost(**changes: Any) -> FakeAws:
    """The region with the right and the writer is cut off, and the standby's controller knows that."""
    aws = FakeAws(**changes)
    aws.table(AWAY).keep_watch(LOST)
    aws.cut.add(HOME)
    return aws


def healthy(to: str = AWAY) -> FakeAws:
    """Two healthy regions, whose controllers report."""
    aws = FakeAws()
    aws.table(to).keep_watch(well(to))
    return aws


def role(program: Recording, resource: Resource) -> str:
    """The role of the region that a resource is in."""
    return next(role for role in ("primary", "dr") if program.outputs[f"{role}_region"] == program.region(resource))


def keys(action: Action) -> list[str]:
    """The steps of an action."""
    return [step.key for step in STEPS[action]]


def test_rule_01_data_plane_only() -> None:
    aws = lost()
    carry_out(aws)
    assert (aws.right(AWAY)[1], aws.rds.writer, bool(aws.levers[AWAY])) == (AWAY, AWAY, True)
    assert {region for _, region, _ in aws.calls} == {AWAY}
    assert {service for service, _, _ in aws.calls} <= {"api", "dynamodb", "s3", "rds", "lambda"}

    both = healthy()  # a planned move does ask both, so the record tells them apart
    carry_out(both, Action.SWITCHOVER)
    assert {region for _, region, _ in both.calls} == {HOME, AWAY}


@pytest.mark.parametrize("case", CASES)
def test_rule_01_a_controller_may_not_even_call_a_global_control_plane(case: str) -> None:
    program = recording(case)
    controllers = [policy for policy in program.of("RolePolicy") if program.inside(policy, "Controller")]
    assert sorted(role(program, policy) for policy in controllers) == ["dr", "primary"]
    for policy in controllers:
        actions = [action for statement in policies_of(policy) for action in as_list(statement["Action"])]
        assert len(actions) > 10
        assert not [action for action in actions if action.startswith(("route53", "iam:", "sts:"))]


def test_rule_02_the_standby_takes_over() -> None:
    program = recording(DOMAIN)
    checks = {f"{check.name}-id": check.inputs for check in program.of("HealthCheck")}
    (primary,) = [record.inputs for record in program.of("Record")
                  if record.inputs.get("failoverRoutingPolicies") == [{"type": "PRIMARY"}]]
    calculated = checks[primary["healthCheckId"]]
    assert (calculated["type"], calculated["childHealthThreshold"]) == ("CALCULATED", 2)
    children = [checks[child] for child in calculated["childHealthchecks"]]
    (lever,) = [child for child in children if child["invertHealthcheck"]]
    assert (lever["fqdn"], lever["resourcePath"], lever["failureThreshold"]) == (
        program.outputs["dr_host_name"], "/takeover", 1)

    # Its object lies in the standby's own bucket, and is all that a failover writes to move the traffic.
    (function,) = [each.inputs for each in program.of("Function")
                   if each.inputs["name"] == program.outputs["dr_function_name"] and role(program, each) == "dr"]
    (bucket,) = [each for each in program.of("Bucket") if f"{each.name}-id" == program.outputs["dr_control_bucket"]]
    assert role(program, bucket) == "dr"
    assert function["environment"]["variables"]["CONTROL_BUCKET"] == bucket.inputs["bucket"]
    region = Region()
    assert region.request(event("GET", "/takeover"))[0] != 200
    region.s3.write((CONTROL, LEVER), b"")
    assert region.request(event("GET", "/takeover"))[0] == 200

    aws = lost()
    carry_out(aws)
    assert [call for call in aws.calls if call[0] == "s3" and call[2] != "HeadObject"] == [
        ("s3", AWAY, "HeadBucket"), ("s3", AWAY, "PutObject")]


def test_rule_03_detection_is_automatic_the_decision_is_a_policy() -> None:
    assert recording("dev").outputs["failover_mode"] == "manual"
    assert [rule.inputs["scheduleExpression"] for rule in recording("dev").of("EventRule")] == ["rate(1 minute)"] * 2

    manual, automatic = (decide(plan(failover_mode=mode), facts(), NOW, COOL_DOWN) for mode in ("manual", "automatic"))
    assert (manual.deed, automatic.deed) == (Reaction.TELL, Reaction.ACT)
    assert manual.why.count("python -m recovery") == 1
    for decision in (manual, automatic):
        assert f"{HOME} does not answer: no answer" in decision.why
        assert "table 2.0 s behind" in decision.why


@pytest.mark.parametrize("missing", [
    {"watch": replace(LOST, dead=2)}, {"watch": replace(LOST, lags={})}, {"own": ProbeResult(alive=False, ready=False)},
    {"instances": 0}, {"right": Leadership(2, AWAY)}, {"wrong": {"table": "Timeout"}}], ids=str)
def test_rule_03_no_evidence_may_be_missing(missing: dict[str, Any]) -> None:
    assert decide(plan(failover_mode="automatic"), facts(**missing), NOW, COOL_DOWN).deed is not Reaction.ACT


@pytest.mark.parametrize("case", ["dev", "prod", "prod-released-domain-zone-europe"])
def test_rule_04_what_the_standby_needs_is_there_and_warm(case: str) -> None:
    program = recording(case)
    here, there = (Counter(each.kind for each in resources) for resources in regional(program).values())
    for kind in ("ClusterInstance", "Function", "Alias", "Role", "RolePolicy", "Stage", "MetricAlarm", "Topic",
                 "EventRule", "EventTarget"):
        assert there[kind] > 0, kind
        # Route 53 publishes the metrics of its health checks in us-east-1 only.
        assert there[kind] == here[kind] or (kind == "MetricAlarm" and case != "dev"), kind
    assert there["ClusterInstance"] >= (1 if case == "dev" else 2)
    if case == "prod-released-domain-zone-europe":
        assert {role(program, each) for each in program.of("CertificateValidation")} == {"primary", "dr"}
        (secret,) = program.of("Secret")
        assert [replica["region"] for replica in secret.inputs["replicas"]] == [program.outputs["dr_region"]]


def test_rule_04_a_failover_makes_nothing_new() -> None:
    aws = lost()
    carry_out(aws)
    changes = {operation for operation in aws.operations() if not operation.startswith(LOOKS)}
    assert changes == {"PutItem", "UpdateItem", "PutObject", "FailoverGlobalCluster", "Invoke"}


def before(action: Action) -> tuple[FakeAws, str]:
    """A stack to which an action may be done, and the region to which it leads."""
    if action is Action.FAILOVER:
        return lost(), AWAY
    if action is Action.SWITCHOVER:
        return healthy(), AWAY
    aws = lost()
    carry_out(aws)
    return come_back(aws), HOME


@pytest.mark.parametrize("action", Action)
def test_rule_05_fence_first(action: Action) -> None:
    aws, to = before(action)
    move = aws.rds.move
    moved: list[float] = []

    def watched(*args: Any, **kwargs: Any) -> None:
        assert aws.right(to)[1] == to
        moved.append(aws.clock.time())
        move(*args, **kwargs)

    aws.rds.move = watched  # type: ignore[method-assign]
    fenced = carry_out(aws, action, to).steps["fence"].ended
    assert fenced
    assert [at - fenced >= LEASE for at in moved] == [True]
    assert aws.rds.writer == to


def test_rule_05_a_stale_epoch_is_refused_by_the_store() -> None:
    here = Region(HOME)
    there = Region(AWAY, elsewhere=here)
    there.take_leadership()
    assert there.pay(PAYMENT)[0] == 201
    # The old writer still trusts what it knows, so only the store can refuse it.
    calls = len(here.network.calls)
    assert here.pay({**PAYMENT, "payment_id": "pay-2"})[0] == 503
    assert here.network.calls[calls:] == ["PutItem", "Post"]
    assert (here.posted("pay-2"), here.status("pay-2"), here.receipt_versions("pay-2")) == (None, "PENDING", [])


def test_rule_06_switchover_is_not_failover() -> None:
    swap, move = healthy(), lost()
    carry_out(swap, Action.SWITCHOVER)
    carry_out(move, Action.FAILOVER)
    assert [call for call in swap.calls if "GlobalCluster" in call[2] and "Describe" not in call[2]] == [
        ("rds", HOME, "SwitchoverGlobalCluster")]
    assert [call for call in move.calls if "GlobalCluster" in call[2] and "Describe" not in call[2]] == [
        ("rds", AWAY, "FailoverGlobalCluster")]
    assert swap.rds.writer == move.rds.writer == AWAY


@pytest.mark.parametrize("action", PLANNED)
def test_rule_06_a_planned_move_needs_two_healthy_regions_and_waits_for_the_copies(action: Action) -> None:
    to = before(action)[1]
    for other in (ProbeResult(alive=False, ready=False), ProbeResult(alive=True, ready=False)):
        assert refusals(plan(action, to), facts(to, other=other), NOW)
    assert keys(action).index("caught-up") < min(keys(action).index(key) for key in ("traffic", "fence", "promote"))
    aws = healthy()
    aws.table(AWAY).keep_watch(replace(well(AWAY), lags={"table": 9.0}))
    with pytest.raises(StepTimedOut, match="caught-up"):
        carry_out(aws, Action.SWITCHOVER)
    assert (aws.right(AWAY)[1], aws.rds.writer, aws.levers) == (HOME, HOME, {HOME: [], AWAY: []})


def test_rule_07_lost_writes_are_found_not_assumed() -> None:
    region = Region()
    for number in range(4):
        assert region.pay({**PAYMENT, "payment_id": f"pay-{number}"})[0] == 201
    del region.dynamodb.items["pay-0"]
    del region.postgres.postings["pay-1"]
    region.s3.objects[CONTROL, "x"] = []
    found = Region(AWAY, elsewhere=region)
    found.take_leadership()
    answer = found.reconciliation().run(found.timing.budget)
    assert {store: (finding["lost"], finding["duplicated"], finding["reordered"])
            for store, finding in answer["stores"].items()} == {
        "table": (["pay-0"], [], 0), "ledger": (["pay-1"], [], 0), "receipts": ([], [], 0)}
    assert answer["repaired"] == ["pay-0", "pay-1"]
    assert all(found.status(f"pay-{number}") == "SETTLED" for number in range(4))
    assert found.postgres.postings.keys() == {f"pay-{number}" for number in range(4)}


def test_rule_07_every_plan_ends_with_the_comparison_and_tells_what_it_found() -> None:
    assert {keys(action)[-1] for action in Action} == {"reconcile"}
    aws = lost()
    aws.reconciled[AWAY] = {"done": True, "error": "", "repaired": ["a", "b"], "refused": ["c"], "pending": []}
    assert carry_out(aws).steps["reconcile"].note == "2 repaired, 1 refused, 0 pending"


def come_back(aws: FakeAws) -> FakeAws:
    """The region that was lost is back, and its copies follow."""
    aws.cut.clear()
    for key, item in aws.tables[AWAY].items.items():
        aws.tables[HOME].items[key] = item
    aws.table(HOME).keep_watch(replace(well(HOME), at=aws.clock.time(), alive_at=aws.clock.time()))
    aws.calls.clear()
    return aws


def test_rule_08_failing_back_is_deliberate() -> None:
    aws = lost()
    carry_out(aws)
    come_back(aws)
    # No controller does it, however well or ill the old region looks.
    for region, alive in ((HOME, True), (AWAY, True), (AWAY, False)):
        watch: Observation | None = None
        for number in range(50):
            watch = observe(watch, Observation(region=region, at=NOW + number), ProbeResult(alive=alive, ready=False), active=False)
        known = facts(region, right=Leadership(2, AWAY), writer=AWAY, watch=watch)
        leads = plan(Action.FAILOVER, region, failover_mode="automatic")
        assert decide(leads, known, NOW + 50, COOL_DOWN).deed is Reaction.NOTHING

    # It waits for the old region to follow, and then moves as a switchover does.
    assert keys(Action.FAILBACK) == ["rejoin", "snapshot", *keys(Action.SWITCHOVER)]
    aws.rds.resyncing = {HOME}
    asked: list[tuple[str, str, bool]] = []

    def follows() -> None:
        asked.append((aws.rds.writer, aws.right(HOME)[1], bool(aws.levers[AWAY])))
        aws.rds.resyncing = set()

    aws.clock.sleeping = [int, int, follows]
    run = carry_out(aws, Action.FAILBACK, HOME)
    assert asked == [(AWAY, AWAY, True)]
    assert (run.outcome, aws.rds.writer, aws.right(HOME)[1], aws.levers) == ("done", HOME, HOME, {HOME: [], AWAY: []})


@pytest.mark.parametrize("case", CASES)
def test_rule_09_regions_stay_symmetric(case: str) -> None:
    program = recording(case)
    here, there = (Counter(alike(each, program) for each in resources if each.kind in (
        "MetricAlarm", "ClusterParameterGroup", "Function", "Alias", "RolePolicy", "Role", "Stage", "MethodSettings",
        "EventRule", "EventTarget", "BucketPolicy")) for resources in regional(program).values())
    assert here.total() > 30
    differ = (here - there) + (there - here)
    assert {(kind, name.rpartition("-")[2]) for kind, name, _ in differ} <= {("MetricAlarm", "unhealthy")}


def test_rule_10_health_checks_tell_the_truth() -> None:
    program = recording(DOMAIN)
    asked = {(check.inputs["fqdn"], check.inputs["resourcePath"]) for check in program.of("HealthCheck")
             if check.inputs["type"] == "HTTPS"}
    hosts = {program.outputs[f"{side}_host_name"] for side in ("primary", "dr")}
    assert asked == {(host, path) for host in hosts for path in ("/health", "/takeover")}
    assert program.outputs["service_url"].removeprefix("https://") not in hosts
    # Liveness needs the region's own function, and none of its stores; readiness needs all of them.
    assert {each.inputs["type"] for each in program.of("Integration")} == {"AWS_PROXY"}
    region = Region()
    deep = event("GET", "/health", queryStringParameters={"deep": "1"})
    assert (region.request(event("GET", "/health"))[0], region.request(deep)[0]) == (200, 200)
    region.network.dead = frozenset({"GetItem", "Connect", "ConnectReader", "Select", "HeadBucket", "HeadObject"})
    assert (region.request(event("GET", "/health"))[0], region.request(deep)[0]) == (200, 503)


@pytest.mark.parametrize("interval", [10, 30])
@pytest.mark.parametrize("action", Action)
def test_rule_11_the_budget_adds_up(action: Action, interval: int) -> None:
    objective = recording("dev").outputs["recovery_time_objective"]
    planned = plan(action, HOME if action is Action.FAILBACK else AWAY, health_check_interval=interval)
    budget = planned.budget()
    waited_for = {step.key: step.budget for step in planned.steps
                  if step.key not in ("rejoin", "snapshot", "caught-up", "reconcile")}
    detection = {"detect": interval * 3 * 2} if action is Action.FAILOVER else {}
    assert budget == {"dns": 60, "lever": interval, **detection, **waited_for}
    assert sum(budget.values()) <= objective == 900


@pytest.mark.parametrize(("objective", "code"), [(900, 0), (674, 2)])
def test_rule_11_the_plan_refuses_an_objective_that_it_cannot_keep(
        objective: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps({**OUTPUTS, "recovery_time_objective": objective}), encoding="utf-8")
    monkeypatch.setenv("TAPSTACK_OUTPUTS", str(outputs))
    monkeypatch.setattr(sys, "argv", ["recovery", "plan", "failover", "--to", AWAY])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == code
    refused = f"recoveryTimeObjective = {objective}: the plan may take 675 s"
    assert (refused in capsys.readouterr().err) is (code == 2)


@dataclass
class Mortal:
    """Clients of a driver that is killed before its nth call, or after it."""

    aws: FakeAws
    last: int
    after: bool
    calls: int = field(default=0)

    def __call__(self, service: str, region: str, read: float = 5.0) -> "MortalClient":
        """A client."""
        return MortalClient(self, self.aws(service, region, read))

    def make(self, operation: Callable[..., Any], **request: Any) -> Any:
        """A call, unless it is the last."""
        number, self.calls = self.calls, self.calls + 1
        if number != self.last:
            return operation(**request)
        if self.after:
            with suppress(ClientError):
                operation(**request)
        raise Crash


@dataclass(frozen=True)
class MortalClient:
    """A client of it."""

    driver: Mortal
    client: Any

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return partial(self.driver.make, getattr(self.client, method))


def left_by(aws: FakeAws) -> tuple[object, ...]:
    """What a failover has come to, but for who did it and when."""
    return (aws.right(AWAY), aws.rds.writer, aws.levers, [len(paid) for paid in aws.payments.values()],
            aws.operations().count("FailoverGlobalCluster"), aws.run(AWAY).outcome, list(aws.run(AWAY).steps))


@pytest.mark.parametrize("after", [False, True])
def test_rule_12_the_controller_may_die(after: bool) -> None:
    whole = lost()
    counted = Mortal(whole, -1, after)
    drive(whole, clients=counted)
    for number in range(counted.calls):
        aws = lost()
        with pytest.raises(Crash):
            drive(aws, clients=Mortal(aws, number, after))
        if not (after and number == counted.calls - 1):  # it died of the news that all is done
            drive(aws, driver="second")
        assert left_by(aws) == left_by(whole)


def sees(**changes: Any) -> Callable[[FakeAws], None]:
    """What the standby's controller has written."""
    return lambda aws: aws.table(AWAY).keep_watch(replace(LOST, **changes))


def has_no_writer(aws: FakeAws) -> None:
    """No member of the global database is one."""
    aws.rds.writer = "nowhere"


def has_moved(aws: FakeAws) -> None:
    """Somebody has done it."""
    aws.table(AWAY).take_right(AWAY, 0)
    aws.rds.writer = AWAY


REFUSED: dict[str, Callable[[FakeAws], object]] = {
    "does not answer: HTTP 503": lambda aws: aws.shown.update({AWAY: ProbeResult(alive=False, ready=False, why="HTTP 503")}),
    "its database is creating": lambda aws: aws.rds.states.update({AWAY: "creating"}),
    "with 0 instances": lambda aws: aws.rds.instances.update({AWAY: ["rebooting"]}),
    "lost, and the recovery point is 60 s: table 61.0 s behind": sees(lags={"table": 61.0}),
    "unknown lag": sees(lags={}),
    "is not known to be down": sees(dead=0),
    "has not reported for 61 s": sees(at=NOW - 61),
    "does not say who has the right": lambda aws: aws.faults.update(
        {"GetItem": [Fault(client_error("AccessDeniedException"))]}),
    "does not say where the database's writer is": has_no_writer,
    "already": has_moved,
}


@pytest.mark.parametrize("why", REFUSED)
def test_rule_13_when_in_doubt_refuse(why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    aws = lost()
    REFUSED[why](aws)
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps(OUTPUTS), encoding="utf-8")
    monkeypatch.setenv("TAPSTACK_OUTPUTS", str(outputs))
    monkeypatch.setattr(cli, "Cloud", lambda plan, **_: aws.cloud(plan.action, plan.target.region))
    monkeypatch.setattr(sys, "argv", ["recovery", "failover", "--to", AWAY])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert why in capsys.readouterr().err
    assert [operation for operation in aws.operations() if not operation.startswith(LOOKS)] == []


def test_rule_13_a_drill_on_production_needs_to_be_meant() -> None:
    aws = FakeAws(profile="prod")
    drill = Drill(plan=plan(profile="prod"), handles={}, clients=aws, drive=lambda *_: pytest.fail("it began"),
                  look=aws.look, clock=aws.clock)
    assert drill.against(yes=False) == ["the profile is prod: a drill there needs --yes"]
    assert aws.calls == []
