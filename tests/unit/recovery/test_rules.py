"""The rules of a correct regional failover, as far as recovery and payments keep them. The rest: tests/unit/lib."""
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract import LEVER_KEY
from payments.leadership import LEASE, Leadership
from recovery.cli import run
from recovery.decision import decide
from recovery.drill import drill_refusals
from recovery.errors import StepTimedOut
from recovery.journal import Run
from recovery.observation import Observation, ProbeResult, observe
from recovery.plan import STEPS, Action, refusals
from recovery.runner import Runner, claim
from recovery.steps import AwsSteps
from tests.unit.payments.fakes import CONTROL, PAYMENT, Crash, Fault, Region, client_error, event
from tests.unit.recovery.fakes import AWAY, HOME, NOW, OUTPUTS, FakeAws, facts, plan, terminal_of

PLANNED = (Action.SWITCHOVER, Action.FAILBACK)
COOL_DOWN = 300.0
LOST = facts().observation or Observation(region=AWAY, at=NOW)  # as the standby sees it when the other region is gone
LOOKS = ("Get", "Describe", "Head", "look")


def well(region: str) -> Observation:
    """What a region's controller has written while the other region answers, and copies come at once."""
    return Observation(region=region, at=NOW, alive_at=NOW, ready=True, lags={"table": 0.0, "ledger": 0.5})


def carry_out(aws: FakeAws, action: Action = Action.FAILOVER, to: str = AWAY, driver: str = "first",
              clients: Any = None) -> Run:
    """What the command line does: check the plan, and carry it out."""
    cloud = aws.cloud(action, to)
    assert refusals(cloud.plan, cloud.facts(), aws.clock.time()) == []
    return drive(aws, action, to, driver, clients)


def drive(aws: FakeAws, action: Action = Action.FAILOVER, to: str = AWAY, driver: str = "first",
          clients: Any = None) -> Run:
    """Claim the run of a plan, or an unfinished one, and carry it out."""
    cloud = replace(aws.cloud(action, to), environment=replace(aws.environment, clients=clients or aws))
    run = claim(cloud, driver, why="requested")
    return Runner(cloud=cloud, do=AwsSteps(cloud=cloud).do, run=run, report=lambda *_: None).drive()


def lost(**changes: Any) -> FakeAws:
    """The region that leads and has the writer is cut off, and the standby's controller knows that."""
    aws = FakeAws(**changes)
    aws.table(AWAY).write_observation(LOST)
    aws.cut.add(HOME)
    return aws


def healthy(to: str = AWAY) -> FakeAws:
    """Two healthy regions, whose controllers report."""
    aws = FakeAws()
    aws.table(to).write_observation(well(to))
    return aws


def keys(action: Action) -> list[str]:
    """The steps of an action."""
    return [step.key for step in STEPS[action]]


def test_rule_01_data_plane_only() -> None:
    aws = lost()
    carry_out(aws)
    assert (aws.leadership(AWAY)[1], aws.rds.writer, bool(aws.levers[AWAY])) == (AWAY, AWAY, True)
    assert {region for _, region, _ in aws.calls} == {AWAY}
    assert {service for service, _, _ in aws.calls} <= {"api", "dynamodb", "s3", "rds", "lambda"}

    both = healthy()  # a planned move calls both, so the record would show a call
    carry_out(both, Action.SWITCHOVER)
    assert {region for _, region, _ in both.calls} == {HOME, AWAY}


def test_rule_02_the_standby_takes_over() -> None:
    region = Region()
    assert region.request(event("GET", "/takeover"))[0] != 200
    region.s3.write((CONTROL, LEVER_KEY), b"")
    assert region.request(event("GET", "/takeover"))[0] == 200

    # That object is all that a failover writes to move the traffic.
    aws = lost()
    carry_out(aws)
    assert [call for call in aws.calls if call[0] == "s3" and call[2] != "HeadObject"] == [
        ("s3", AWAY, "HeadBucket"), ("s3", AWAY, "PutObject")]


def test_rule_03_detection_is_automatic_the_decision_is_a_policy() -> None:
    manual, automatic = (decide(plan(failover_mode=mode), facts(), NOW, COOL_DOWN) for mode in ("manual", "automatic"))
    assert manual
    assert automatic
    assert (manual.takes_over, automatic.takes_over) == (False, True)
    assert manual.why.count("python -m recovery") == 1
    for decision in (manual, automatic):
        assert f"{HOME} does not answer: no answer" in decision.why
        assert "table 2.0 s behind" in decision.why


@pytest.mark.parametrize("missing", [
    {"observation": replace(LOST, dead=2)}, {"observation": replace(LOST, lags={})},
    {"own": ProbeResult(alive=False, ready=False)}, {"instances": 0},
    {"leadership": Leadership(2, AWAY)}, {"wrong": {"table": "Timeout"}}], ids=str)
def test_rule_03_no_evidence_may_be_missing(missing: dict[str, Any]) -> None:
    decision = decide(plan(failover_mode="automatic"), facts(**missing), NOW, COOL_DOWN)
    assert decision is None or not decision.takes_over


def test_rule_04_a_failover_creates_nothing() -> None:
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
        assert aws.leadership(to)[1] == to
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
    aws.table(AWAY).write_observation(replace(well(AWAY), lags={"table": 9.0}))
    with pytest.raises(StepTimedOut, match="caught-up"):
        carry_out(aws, Action.SWITCHOVER)
    assert (aws.leadership(AWAY)[1], aws.rds.writer, aws.levers) == (HOME, HOME, {HOME: [], AWAY: []})


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


def test_rule_07_every_plan_ends_with_the_comparison_and_reports_its_findings() -> None:
    assert {keys(action)[-1] for action in Action} == {"reconcile"}
    aws = lost()
    aws.reconciled[AWAY] = {"done": True, "error": "", "repaired": ["a", "b"], "refused": ["c"], "pending": []}
    assert carry_out(aws).steps["reconcile"].note == "2 repaired, 1 refused, 0 pending"


def come_back(aws: FakeAws) -> FakeAws:
    """The region that was lost is back, and its copies follow."""
    aws.cut.clear()
    for key, item in aws.tables[AWAY].items.items():
        aws.tables[HOME].items[key] = item
    aws.table(HOME).write_observation(replace(well(HOME), at=aws.clock.time(), alive_at=aws.clock.time()))
    aws.calls.clear()
    return aws


def test_rule_08_failing_back_is_deliberate() -> None:
    aws = lost()
    carry_out(aws)
    come_back(aws)
    # No controller fails back, whatever the old region looks like.
    for region, alive in ((HOME, True), (AWAY, True), (AWAY, False)):
        watch: Observation | None = None
        for number in range(50):
            watch = observe(watch, Observation(region=region, at=NOW + number),
                            ProbeResult(alive=alive, ready=False), leads=False)
        known = facts(region, leadership=Leadership(2, AWAY), writer=AWAY, observation=watch)
        leads = plan(Action.FAILOVER, region, failover_mode="automatic")
        assert decide(leads, known, NOW + 50, COOL_DOWN) is None

    # It waits for the old region to follow, and then moves as a switchover does.
    assert keys(Action.FAILBACK) == ["rejoin", "snapshot", *keys(Action.SWITCHOVER)]
    aws.rds.resyncing = {HOME}
    asked: list[tuple[str, str, bool]] = []

    def follows() -> None:
        asked.append((aws.rds.writer, aws.leadership(HOME)[1], bool(aws.levers[AWAY])))
        aws.rds.resyncing = set()

    aws.clock.sleeping = [int, int, follows]
    run = carry_out(aws, Action.FAILBACK, HOME)
    assert asked == [(AWAY, AWAY, True)]
    assert (run.outcome, aws.rds.writer, aws.leadership(HOME)[1]) == ("done", HOME, HOME)
    assert aws.levers == {HOME: [], AWAY: []}


def test_rule_10_health_checks_tell_the_truth() -> None:
    """Liveness needs the region's own function and none of its stores; readiness needs all of them."""
    region = Region()
    deep = event("GET", "/health", queryStringParameters={"deep": "1"})
    assert (region.request(event("GET", "/health"))[0], region.request(deep)[0]) == (200, 200)
    region.network.dead = frozenset({"GetItem", "Connect", "ConnectReader", "Select", "HeadBucket", "HeadObject"})
    assert (region.request(event("GET", "/health"))[0], region.request(deep)[0]) == (200, 503)


@pytest.mark.parametrize("interval", [10, 30])
@pytest.mark.parametrize("action", Action)
def test_rule_11_the_budget_adds_up(action: Action, interval: int) -> None:
    planned = plan(action, HOME if action is Action.FAILBACK else AWAY, health_check_interval=interval)
    budget = planned.budget()
    waited_for = {step.key: step.budget for step in planned.steps
                  if step.key not in ("rejoin", "snapshot", "caught-up", "reconcile")}
    detection = {"detect": interval * 3 * 2} if action is Action.FAILOVER else {}
    assert budget == {"dns": 60, "lever": interval, **detection, **waited_for}
    assert sum(budget.values()) <= 900  # the default objective


@pytest.mark.parametrize(("objective", "code"), [(900, 0), (674, 2)])
def test_rule_11_the_plan_refuses_an_objective_that_it_cannot_keep(
        objective: int, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps({**OUTPUTS, "recovery_time_objective": objective}), encoding="utf-8")
    assert run(["plan", "failover", "--to", AWAY], terminal_of(FakeAws(), outputs)) == code
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
    """The result of a failover, without its driver and times."""
    return (aws.leadership(AWAY), aws.rds.writer, aws.levers, [len(paid) for paid in aws.payments.values()],
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
        if not (after and number == counted.calls - 1):  # it crashed after the last call
            drive(aws, driver="second")
        assert left_by(aws) == left_by(whole)


def sees(**changes: Any) -> Callable[[FakeAws], None]:
    """What the standby's controller has written."""
    return lambda aws: aws.table(AWAY).write_observation(replace(LOST, **changes))


def has_no_writer(aws: FakeAws) -> None:
    """No member of the global database is one."""
    aws.rds.writer = "nowhere"


def has_moved(aws: FakeAws) -> None:
    """Another driver has done it."""
    aws.table(AWAY).take_leadership(AWAY, 0)
    aws.rds.writer = AWAY


REFUSED: dict[str, Callable[[FakeAws], object]] = {
    "does not answer: HTTP 503": lambda aws: aws.shown.update(
        {AWAY: ProbeResult(alive=False, ready=False, why="HTTP 503")}),
    "its database is creating": lambda aws: aws.rds.states.update({AWAY: "creating"}),
    "with 0 instances": lambda aws: aws.rds.instances.update({AWAY: ["rebooting"]}),
    "lost, and the recovery point objective is 60 s: table 61.0 s behind": sees(lags={"table": 61.0}),
    "unknown lag": sees(lags={}),
    "is not known to be down": sees(dead=0),
    "has not reported for 61 s": sees(at=NOW - 61),
    "does not know which region leads": lambda aws: aws.faults.update(
        {"GetItem": [Fault(client_error("AccessDeniedException"))]}),
    "does not know where the database's writer is": has_no_writer,
    "already leads": has_moved,
}


@pytest.mark.parametrize("why", REFUSED)
def test_rule_13_when_in_doubt_refuse(why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    aws = lost()
    REFUSED[why](aws)
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps(OUTPUTS), encoding="utf-8")
    assert run(["failover", "--to", AWAY], terminal_of(aws, outputs)) == 2
    assert why in capsys.readouterr().err
    assert [operation for operation in aws.operations() if not operation.startswith(LOOKS)] == []


def test_rule_13_a_drill_on_production_needs_to_be_confirmed_by_an_option() -> None:
    aws = FakeAws(profile="prod")
    assert drill_refusals(aws.environment, plan(profile="prod"), yes=False) == [
        "the profile is prod: a drill there needs --yes"]
    assert aws.calls == []
