"""How scenarios are run, on a stack that is made up and a clock that only moves when something waits."""

import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, Self

import pytest

from payments.errors import StoreUnavailable
from recovery.observation import Observation
from recovery.record import Run, StepProgress
from recovery.stack import Stack
from rehearsal.aws.faults import ApiCall, Fault, Heal, Kill, Lag
from rehearsal.drills import runner
from rehearsal.drills.actions import parse
from rehearsal.drills.actions.faults import StoreLags
from rehearsal.drills.process_trap import KILLS, MOMENTS, ProcessTrap
from rehearsal.drills.recording import CommandResult
from rehearsal.drills.report import model
from rehearsal.drills.scenario import Expectation, Scenario, ScenarioCheck
from rehearsal.errors import CheckFailed
from rehearsal.postgres.global_database import ServerRole
from rehearsal.rehearsed_stack import StoreContents
from rehearsal.workload.load import SentPayment
from tests.rehearsal.cloud import Cloud
from tests.rehearsal.drills.fakes import FakeStack, contents, sent
from tests.rehearsal.stack import EAST, OUTPUTS, WEST, Stores

AGAIN = "the program deployed again changes nothing"
AS_BEFORE = "everything is where it was, by the product's own means"
WHOLE = "every payment that was acknowledged and not lost is whole in both regions"
CUT, MOVED = {"cut": "active"}, {"wait": "moved"}
LOST: dict[str, Any] = {"moves": 1, "active": "standby"}


# --- Outages


def outage(*checks: Sequence[dict[str, Any]], name: str = "made-up") -> Scenario:
    """An outage of these checks, each a list of actions."""
    return Scenario(name=name, title="t", expected="e", checks=[
        ScenarioCheck(name=f"{{active}} {number}", do=[*map(parse, each)]) for number, each in enumerate(checks, 1)])


@pytest.fixture
def stack(cloud: Cloud) -> Any:
    """A stack whose writer can be moved back."""
    made: Any = FakeStack()
    made.clients, made.stores = cloud, Stores(cloud)
    made.leadership = lambda _: SimpleNamespace(region=made.stores.record.region)
    return made


def shown(stack: Any, *scenarios: Scenario) -> list[tuple[str, bool, str]]:
    """Each check: its name, whether it held, and what was found."""
    return [(each.name, each.ok, each.detail) for each in runner.outages(stack, scenarios, stack.clock)]


def test_every_check_is_tried_whatever_came_of_those_before(stack: Any) -> None:
    found = shown(stack, outage([{"post": "x", "count": 2}, {"stored": "x"}],
                                [{"get": "x", "status": 404}, {"pass": 9}], [{"get": "x"}]))
    assert [each[:2] for each in found] == [
        (f"made-up: {EAST} 1", True), (f"made-up: {EAST} 2", False), (f"made-up: {EAST} 3", True)]
    assert found[0][2] == "2 payments, 2 of 2 payments"
    assert "200 instead of 404" in found[1][2]
    assert 9 not in stack.clock.slept


def test_after_each_scenario_everything_works_again_and_is_where_it_was(stack: Any) -> None:
    stack.stores.record, stack.stores.writer = stack.stores.record.next(region=WEST), WEST
    assert len(shown(stack, outage([CUT], name="one"), outage([{"lose": "table", "of": "standby"}], name="two"))) == 2
    assert (stack.faults.cut_off(), stack.faults.lost()) == ([], [])
    assert stack.done.count("heal") == 2
    assert ("catch up", WEST) in stack.done
    assert (stack.stores.record.region, stack.stores.writer) == (EAST, EAST)


@pytest.mark.parametrize(("change", "complaint"), [
    (lambda stack: stack.waiting.append({"store": "table", "waiting": ["x"]}), "copies that wait"),
    (lambda stack: stack.roles.update({WEST: ServerRole.DOWN}), f"{WEST}: 'down' instead of 'standby'")])
def test_where_that_fails_nothing_else_is_shown(stack: Any, change: Callable[[Any], None], complaint: str) -> None:
    change(stack)
    (first, restored) = shown(stack, outage([{"pass": 0}], name="one"), outage([{"pass": 0}], name="two"))
    assert (first[0], restored[:2]) == (f"one: {EAST} 1", ("one: restored", False))
    assert complaint in restored[2]


def test_an_error_in_an_action_comes_out_after_everything_is_healed_and_the_clients_are_ended(stack: Any) -> None:
    def fail(fault: Fault) -> None:
        if isinstance(fault, Kill):
            raise ZeroDivisionError

    stack.faults.listen(fail)
    with pytest.raises(ZeroDivisionError):
        shown(stack, outage([{"load": "on"}, {"kill": "active"}]))
    assert "heal" in stack.done


# --- Drills


class FakeClients:
    """Clients that have sent what the environment says."""

    def __init__(self, environment: "FakeEnvironment") -> None:
        self._environment, self.sent = environment, [sent("x", 0) for _ in range(10)]

    def __enter__(self) -> Self:
        return self

    def wait_for(self, check: Callable[[Sequence[SentPayment]], object], _: float) -> bool:
        """Do not wait."""
        return bool(self._environment.accepted and check(self.sent))

    def finish(self) -> list[SentPayment]:
        """All of it; what is lost is missing from now on."""
        self._environment.missing = self._environment.lost
        return self._environment.paid()


class FakeEnvironment:
    """An environment in which the region's loss moves everything to the west, a second later, and all goes well.

    paid: what the clients sent. late, lost: ids that the stores lack at first, or for good.
    lose, answer, mend: what happens at a fault, what a command returns, and what is done to restore everything.
    """

    factor, look_seconds, accepted, told = 10.0, 1.0, True, ""

    def __init__(self, *, stays: bool = False) -> None:
        made: Any = FakeStack()
        self.rehearsed, self.clock, self.stack = made, made.clock, Stack.of(OUTPUTS)
        self.paid: Callable[[], list[SentPayment]] = lambda: [sent("a", 100), sent("b", 100)]
        self.lost, self.missing, self.done = set[str](), set[str](), list[Any]()
        self.runs: dict[str, Run] = {}
        self.lose: Callable[[], object] = (lambda: None) if stays else self.move
        self.answer: Callable[[str], CommandResult] = lambda words: CommandResult(words, 0, "")
        self.mend: Callable[[], object] = lambda: None
        self.differences: list[str] = []
        self.killed: list[str] = []
        self.leader = EAST
        self.checker = SimpleNamespace(history=[(99.0, "dr unhealthy"), (101.0, "primary unhealthy")])
        self.observer = SimpleNamespace(
            active=lambda: self.leader, regions=made.regions, other=lambda region: self.stack.other(region).region,
            contents=self._contents, record=lambda region: SimpleNamespace(run=self.runs.get(region)),
            observation=lambda region: Observation(region=region, at=0, notified=self.told))
        made.faults.listen(self._changed)

    def _contents(self, _: str) -> StoreContents:
        return contents(*{each.payment_id for each in self.paid() if each.acknowledged} - self.missing)

    def _changed(self, _: object) -> None:
        if self.rehearsed.faults.cut_off():
            self.lose()

    def move(self, driver: str = "controller in us-west-2") -> None:
        """Everything goes to the west, in a run of a second."""
        began = self.clock.now
        self.clock.now += 1
        self.runs[WEST] = Run(
            id=f"{driver} {began}", action="failover", target=WEST, driver=driver, began=began, seen=began,
            ended=began + 1, outcome="done", why="it is dead",
            steps={key: StepProgress(began=began, ended=began + 1, note="done") for key in ("fence", "promote")})
        self.leader = self.rehearsed.database.writer = WEST
        self.rehearsed.proxies.calls.append(ApiCall(WEST, WEST, "dynamodb", "UpdateItem", at=began))

    def ready(self) -> None:
        """It is."""
        self.done.append("ready")

    def clients(self, rate: float, keep: float) -> FakeClients:
        """Clients who have paid."""
        self.done.append(("clients", rate, keep))
        return FakeClients(self)

    def begin(self, words: str) -> Callable[[], CommandResult]:
        """A command."""
        self.done.append(words)
        return lambda: self.answer(words)

    def wait(self, check: Callable[[], object], what: str) -> None:
        """For something that is so, or will never be."""
        if not check():
            raise CheckFailed(f"waited for: {what}")

    def signal_drivers(self, region: str, number: int, call: ApiCall) -> int:
        """It had one process, which dies."""
        assert (number, call.caller) == (signal.SIGKILL, region)
        self.killed.append(region)
        return 1

    def restore(self) -> list[str]:
        """As the test says."""
        self.mend()
        return self.differences

    def check_drift(self) -> list[str]:
        """What a deployment would change."""
        return self.differences


def drill(*actions: dict[str, Any], **more: Any) -> Scenario:
    """A drill of these actions; what belongs to an expectation is what is expected."""
    expected = {key: more.pop(key) for key in [*more] if key in vars(Expectation())}
    return Scenario(name="made-up", title="t", expected="e", do=[*map(parse, actions)],
                    expect=Expectation(**expected), **more)


def run(environment: Any, scenario: Scenario) -> model.DrillResult:
    """What came of the drill."""
    return runner.drill(environment, scenario, environment.clock)


def verdicts(result: model.DrillResult) -> dict[str, bool]:
    """Whether each check held."""
    return {check.name: check.ok for check in result.checks}


def refused() -> None:
    """Everything stays where it is."""
    raise CheckFailed("failback refused")


def details(result: model.DrillResult) -> dict[str, str]:
    """What each check has found that failed."""
    return {check.name: check.detail for check in result.checks if not check.ok}


def test_a_failover_that_is_as_it_must_be() -> None:
    environment = FakeEnvironment()
    result = run(environment, drill(CUT, MOVED, {"wait": "recovered"}, keeps=3.0, rate=4.0, **LOST))
    assert details(result) == {}
    assert verdicts(result).keys() == {
        "3 actions carried out", "moves by itself: 1", "payments are taken in the region that was standby",
        "lost: none", f"blackout: no call to {EAST}, to Route 53 or to IAM", AS_BEFORE, WHOLE, AGAIN}
    assert (result.ok, result.outcome) == (True, f"failover to {WEST}; nothing lost")
    assert environment.done == ["ready", ("clients", 4.0, 3.0)]


def test_what_happened_is_in_its_order_each_in_its_lane() -> None:
    result = run(FakeEnvironment(), drill({"pass": 0}, CUT, MOVED, **LOST))
    assert [(event.at_s, event.lane, event.what) for event in result.events] == [
        (0, "plan", "pass 0.0"), (0, "fault", "cut active"), (1, "plan", "wait moved"),
        (1, "health", "primary unhealthy"), (1, "plan", "failover fence: done"), (1, "plan", "failover promote: done")]


def test_a_command_is_shown_with_the_names_of_its_regions() -> None:
    result = run(FakeEnvironment(), drill({"run": "failover --to {standby}"}, {"lag_back": {"table": 6}}))
    shown = [event.what for event in result.events if event.lane in ("plan", "fault")]
    assert shown == [f"run failover --to {WEST}", "lag back {'table': 6.0}"]


def test_the_standbys_copies_lag_from_the_beginning_and_the_loss_is_judged_by_that() -> None:
    environment = FakeEnvironment()
    environment.lost = {"b"}
    result = run(environment, drill({"pass": 0.2}, CUT, MOVED, **LOST, lost="lag",
                                    lag=StoreLags(table=0.5, receipts=0.3, ledger=0.4)))
    assert Lag("ledger", EAST, WEST, 0.4) in environment.rehearsed.done
    assert (result.ok, list(result.lost), result.outcome) == (True, ["b"], f"failover to {WEST}; 1 lost")


def test_recovery_is_timed_and_its_overhead_checked_unless_the_scenario_says_no() -> None:
    for overhead in (True, False):
        environment = FakeEnvironment()
        environment.paid = lambda: [sent("x", 100, status=0), *(sent(f"{number}", 120, WEST) for number in range(10))]
        result = run(environment, drill(CUT, MOVED, **LOST, overhead=overhead))
        assert result.recovery
        assert result.recovery.overhead_s == pytest.approx(20.1 - 3 - 6)
        assert ("own overhead at most 1 s" in verdicts(result)) is overhead


def test_what_fails_ends_the_actions_and_the_rest_is_judged_all_the_same() -> None:
    environment = FakeEnvironment(stays=True)
    result = run(environment, drill(MOVED, {"run": "status"}))
    assert details(result) == {"2 actions carried out": "waited for: moved"}
    assert "status" not in environment.done


def test_where_no_payment_is_accepted_at_first_nothing_is_done() -> None:
    environment = FakeEnvironment()
    environment.accepted = False
    result = run(environment, drill(CUT))
    assert details(result) == {"1 actions carried out": "no payment was acknowledged"}
    assert environment.rehearsed.faults.cut_off() == []


def test_what_goes_on_at_the_end_is_waited_for() -> None:
    environment = FakeEnvironment()
    environment.answer = lambda words: CommandResult(words, 1, "no")
    result = run(environment, drill({"begin": "status", "exit": 0}))
    assert details(result) == {"recovery status: exit code 0": "exit 1: no"}


def test_everything_must_be_where_it_was_at_the_end() -> None:
    environment = FakeEnvironment(stays=True)
    environment.mend = refused
    environment.differences = ["~ Bucket b: versioning", "- Key k"]
    environment.paid = lambda: [sent("a", 100)]
    held = iter([contents("a"), contents("a"), contents()])
    environment.observer.contents = lambda _: next(held)
    result = run(environment, drill({"pass": 0}))
    assert details(result) == {AS_BEFORE: "failback refused", WHOLE: f"not whole in {WEST}: a",
                               AGAIN: "~ Bucket b: versioning; - Key k"}
    assert result.outcome == "not as expected: nobody moved; nothing lost"


def test_a_drill_whose_stack_cannot_be_read_cannot_be_run() -> None:
    environment: Any = FakeEnvironment()

    def fail() -> None:
        raise StoreUnavailable("table", "TimeoutError")

    environment.ready = fail
    with pytest.raises(CheckFailed, match=r"^StoreUnavailable: "):
        run(environment, drill({"pass": 0}))


# --- Drills in which the controller is killed


@pytest.fixture
def deadly() -> Any:
    """An environment in which a takeover makes each call at which it may be killed; what has moved comes back."""
    environment: Any = FakeEnvironment()
    calls = [ApiCall(WEST, WEST, kill.service, f"{kill.operation}key")
             for kill in KILLS for _ in range(kill.earlier + 1)]

    def lose() -> None:
        for call in calls:
            for done in (False, True):
                environment.rehearsed.faults.intercept(call, done)
        environment.move()

    def mend() -> None:
        environment.leader = environment.rehearsed.database.writer = EAST
        environment.rehearsed.faults.inject(Heal(EAST))

    environment.lose, environment.mend = lose, mend
    return environment


KILLED = drill(CUT, MOVED, **LOST, kills=True, overhead=False)


def test_the_controller_is_killed_at_each_call_before_it_and_after_it(deadly: Any) -> None:
    result = run(deadly, KILLED)
    assert [*result.kills] == [
        model.ControllerKill(step=kill.step, moment=moment, resumed=True) for kill in KILLS for moment in MOMENTS]
    assert (result.ok, result.outcome) == (True, "resumed after 8 of 8 kills")
    assert (deadly.killed, deadly.done.count("ready")) == ([WEST] * 8, 8)
    assert sum(check.name.endswith("the controller was killed") for check in result.checks) == 8


def test_the_first_kill_that_is_not_survived_ends_it_and_what_was_lost_is_told(deadly: Any) -> None:
    mend = deadly.mend
    deadly.lost = {"b"}
    deadly.mend = lambda: refused() if len(deadly.killed) == 3 else mend()
    result = run(deadly, drill(CUT, MOVED, **LOST, lost="lag", lag=StoreLags(table=9, receipts=9, ledger=9), kills=True,
                               overhead=False))
    assert [(kill.step, kill.moment, kill.resumed) for kill in result.kills] == [
        ("fence", "before", True), ("fence", "after", True), ("traffic", "before", False)]
    assert (result.ok, result.outcome, [*result.lost]) == (False, "resumed after 2 of 8 kills", ["b"] * 3)
    assert [*details(result)] == [f"killed before traffic: {AS_BEFORE}"]


def test_a_drill_begins_without_the_trap_of_the_one_before(deadly: Any) -> None:
    deadly.rehearsed.faults.intercept = ProcessTrap(partial(deadly.signal_drivers, WEST, signal.SIGKILL),
                                                    WEST, KILLS[0], after=True)
    run(deadly, drill(CUT, MOVED, **LOST))
    assert deadly.killed == []


def test_a_controller_that_was_not_killed_shows_nothing() -> None:
    result = run(FakeEnvironment(), KILLED)
    assert verdicts(result)["killed before fence: the controller was killed"] is False
    assert (result.ok, result.outcome) == (False, "resumed after 0 of 8 kills")


def test_a_run_says_what_was_declared_and_what_aws_may_take() -> None:
    found = runner.conclude(Stack.of(OUTPUTS), [], started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), factor=10)
    assert (found.started, found.factor, found.consistency) == ("2026-01-02T03:04:05+00:00", 10, "eventual")
    assert (found.recovery_time_objective, found.recovery_point_objective) == (600, 5)
    assert [each.phase for each in found.prediction] == ["detect", "decide and fence", "promote", "dns", "first write"]
    assert all(each.source and each.most > 0 for each in found.prediction)
