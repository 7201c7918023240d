"""Commands of recovery, and what is waited for, in an environment that is made up."""

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from contract import RECORD_KEY
from recovery.observation import Observation
from recovery.record import Run
from rehearsal.aws.faults import OUTSIDE, ApiCall, Cut
from rehearsal.drills.context import ScenarioContext
from rehearsal.drills.recording import CommandResult
from rehearsal.errors import CheckFailed
from tests.rehearsal.cloud import Cloud
from tests.rehearsal.drills.fakes import FakeStack, act, context, sent
from tests.rehearsal.stack import EAST, WEST, Stores

WINS = "one command wins, the other says who runs it"


class FakeEnvironment:
    """What a scenario asks of a drill's environment: `runs` and `told` by region, `answers` of commands."""

    look_seconds = 1.0

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.told: dict[str, str] = {}
        self.answers: list[tuple[int, str]] = []
        self.begun: list[str] = []
        self.signals: list[tuple[str, int, bool]] = []
        self.failed: list[str] = []
        self.leaders = {EAST: EAST, WEST: EAST}
        self.observer = SimpleNamespace(
            observation=self._observation, regions=self.leaders,
            record=lambda region: SimpleNamespace(region=self.leaders[region], run=self.runs.get(region)),
            failures=lambda region: [*self.failed] if region == WEST else [])

    def _observation(self, region: str) -> Observation | None:
        return Observation(region=region, at=0, notified=self.told[region]) if region in self.told else None

    def begin(self, words: str) -> Callable[[], CommandResult]:
        """Start a command."""
        self.begun.append(words)
        return lambda: CommandResult(words, *self.answers.pop(0))

    def signal_drivers(self, where: str, number: int, call: ApiCall | None = None) -> int:
        """Note the signal, and whether only the caller gets it."""
        self.signals.append((where, number, call is not None))
        return 1

    def wait(self, check: Callable[[], object], what: str) -> None:
        """For something that is so, or will never be."""
        if not check():
            raise CheckFailed(f"waited for: {what}")


@pytest.fixture
def environment() -> FakeEnvironment:
    """An environment in which nothing has happened."""
    return FakeEnvironment()


@pytest.fixture
def run(environment: Any) -> ScenarioContext:
    """A drill in it, which began at 1100 s by the wall clock."""
    return context(FakeStack(), environment)


def waiting(ok: bool, what: str) -> AbstractContextManager[object]:
    """A block that ends well, or in vain because something is waited for that will never be."""
    return nullcontext() if ok else pytest.raises(CheckFailed, match=f"^waited for: {what}")


def moved(ended: float | None, name: str = "r", outcome: str = "done") -> Run:
    """A run to the west."""
    return Run(id=name, action="failover", target=WEST, driver="d", began=0, why="", ended=ended,
               outcome=outcome if ended else "")


def test_time_passes_by_seconds_or_looks(run: ScenarioContext) -> None:
    act(run, pass_=1.5)
    act(run, looks=3)
    assert run.clock.monotonic() == 104.5


def test_an_outage_has_no_controllers_whose_looks_could_pass() -> None:
    with pytest.raises(CheckFailed, match=r"^only a drill can do that$"):
        act(context(FakeStack()), looks=3)


@pytest.mark.parametrize(("ended", "outcome", "ok"), [
    (None, "", False), (1099.0, "done", False), (1101.0, "us-east-1 answers again", False), (1101.0, "done", True)])
def test_a_move_counts_once_it_is_done_and_not_that_of_an_earlier_drill(  # pylint: disable=too-many-positional-arguments
        run: ScenarioContext, environment: FakeEnvironment, ended: float | None, outcome: str, ok: bool) -> None:
    environment.runs[WEST] = moved(ended, outcome=outcome)
    with waiting(ok, "moved"):
        act(run, wait="moved")
    assert [*run.recording.runs] == ["r"] * ok


@pytest.mark.parametrize(("east", "west", "ok"), [(WEST, WEST, False), (EAST, WEST, False), (EAST, EAST, True)])
def test_both_records_must_say_that_the_writers_region_leads(
        run: ScenarioContext, environment: FakeEnvironment, east: str, west: str, ok: bool) -> None:
    environment.leaders |= {EAST: east, WEST: west}
    with waiting(ok, "aligned"):
        act(run, wait="aligned")


@pytest.mark.parametrize(("told", "ok"), [
    ({}, False), ({WEST: ""}, False), ({WEST: "it must not"}, False), ({WEST: "it can take over"}, True)])
def test_what_people_are_told_is_recorded(
        run: ScenarioContext, environment: FakeEnvironment, told: dict[str, str], ok: bool) -> None:
    environment.told.update(told)
    with waiting(ok, "notified"):
        act(run, wait="notified", of="can take")
    assert run.recording.notified == ["it can take over"] * ok


@pytest.mark.parametrize(("last", "ok"), [([201] * 10, True), ([*[201] * 9, 503], False), ([201] * 9, False)])
def test_clients_have_recovered_after_enough_good_payments_in_a_row(
        run: ScenarioContext, last: list[int], ok: bool) -> None:
    run.load = SimpleNamespace(sent=[sent("x", 0, status=status) for status in [503, *last]])  # type: ignore[assignment]
    with waiting(ok, "recovered"):
        act(run, wait="recovered")


@pytest.mark.parametrize(("code", "text", "ok"), [
    (2, "5 s would be lost", True), (0, "5 s would be lost", False), (2, "all is well", False)])
@pytest.mark.parametrize("verb", ["run", "begin"])
def test_a_command_must_end_and_print_as_the_file_says(  # pylint: disable=too-many-positional-arguments
        run: ScenarioContext, environment: FakeEnvironment, verb: str, code: int, text: str, ok: bool) -> None:
    environment.answers = [(code, text)]
    act(run, **{verb: "failover --to {standby}", "exit": 2, "says": "would be lost"})
    act(run, join="it")
    (check,) = run.recording.checks
    assert environment.begun == [f"failover --to {WEST}"]
    assert (check.name, check.ok, check.detail) == (
        f"recovery failover --to {WEST}: exit code 2, says 'would be lost'", ok, f"exit {code}: {text}")


@pytest.mark.parametrize("verb", ["run", "begin"])
def test_a_command_that_should_succeed_is_given_again_when_it_is_refused(
        run: ScenarioContext, environment: FakeEnvironment, verb: str) -> None:
    environment.answers = [(2, "us-west-2 does not answer"), (2, "has not reported for 4 s"), (0, "done")]
    act(run, **{verb: "switchover --to {standby}", "exit": 0})
    act(run, join="it")
    (check,) = run.recording.checks
    assert (check.ok, environment.begun) == (True, [f"switchover --to {WEST}"] * 3)
    environment.answers = [(2, "refused")] * 100
    act(run, begin="failback", exit=0)
    with pytest.raises(CheckFailed, match=r"^recovery failback: refused$"):
        act(run, join="it")


def test_a_command_that_is_only_begun_may_end_as_it_likes_and_its_run_is_recorded(
        run: ScenarioContext, environment: FakeEnvironment) -> None:
    environment.answers = [(1, "")]
    act(run, begin="switchover --to {standby}")
    environment.runs.update({EAST: moved(1101.0), WEST: moved(1102.0, "s")})
    run.stack.faults.inject(Cut(EAST))
    act(run, join="it")
    assert (run.recording.checks, [*run.recording.runs], run.begun) == ([], ["s"], [])


PROOFS = f"PutItem {RECORD_KEY}"
TAKEOVER = (PROOFS, PROOFS, PROOFS, "PUT /receipts/canary", PROOFS, "PUT /control/takeover", PROOFS, PROOFS, PROOFS)
MOVES_NOTHING = "what was frozen moves nothing once it is thawed"


def calls(caller: str, *operations: str, status: int = 200) -> list[ApiCall]:
    """Calls that were answered like this; S3's begin with a method."""
    return [ApiCall(caller, WEST, "s3" if " /" in operation else "dynamodb", operation, status=status)
            for operation in operations]


def intercepted(run: ScenarioContext, made: list[ApiCall]) -> list[bool]:
    """What the trap says of calls, each before it is done and after it."""
    return [run.stack.faults.intercept(call, done) for call in made for done in (False, True)]


def test_a_command_is_frozen_at_its_proof_and_ends_once_it_is_thawed(
        run: ScenarioContext, environment: FakeEnvironment) -> None:
    began = environment.begin

    def begin(words: str) -> Callable[[], CommandResult]:
        assert not any(intercepted(run, calls(OUTSIDE, *TAKEOVER[:-1])))
        assert environment.signals == []
        assert not any(intercepted(run, calls(OUTSIDE, TAKEOVER[-1])))  # it is answered all the same
        return began(words)

    environment.answers, environment.begin = [(2, "already running")], begin  # type: ignore[method-assign]
    act(run, freeze="failover --to {standby}", exit_=2, says="already running")
    assert (environment.signals, len(run.begun)) == ([(OUTSIDE, signal.SIGSTOP, True)], 1)
    act(run, thaw="failover")
    assert (environment.signals[1:], run.begun) == ([(OUTSIDE, signal.SIGCONT, False)], [])
    assert [check.ok for check in run.recording.checks] == [True, True]


def test_a_command_that_never_comes_to_its_proof_is_not_waited_for(
        run: ScenarioContext, environment: FakeEnvironment) -> None:
    environment.answers = [(2, "")]
    with pytest.raises(CheckFailed, match=r"^waited for: the command is frozen$"):
        act(run, freeze="failover --to {standby}", exit_=2)


def test_the_standbys_controller_is_frozen_when_it_comes_to_its_proof(
        run: ScenarioContext, environment: FakeEnvironment) -> None:
    act(run, freeze="controller")
    others = [*calls(EAST, *TAKEOVER), *calls(OUTSIDE, *TAKEOVER)]
    assert not any(intercepted(run, [*others, *calls(WEST, *TAKEOVER[:-1])]))
    assert (environment.signals, environment.begun) == ([], [])
    assert not any(intercepted(run, calls(WEST, TAKEOVER[-1])))
    assert environment.signals == [(WEST, signal.SIGSTOP, True)]


def thawed(run: ScenarioContext, environment: FakeEnvironment, made: list[ApiCall], *failed: str) -> None:
    """Thaw a controller, which then makes calls and fails."""
    run.stack.proxies.calls += calls(WEST, *TAKEOVER, "FailoverGlobalCluster")
    environment.failed = ["already running: an earlier one"]

    signals = environment.signal_drivers

    def signal_drivers(where: str, number: int, call: ApiCall | None = None) -> int:
        run.stack.proxies.calls.extend(made)
        environment.failed.extend(failed)
        return signals(where, number, call)

    environment.signal_drivers = signal_drivers  # type: ignore[method-assign]
    act(run, thaw="controller")


@pytest.mark.parametrize(("made", "late"), [
    (calls(WEST, PROOFS, status=400), ""), (calls(WEST, "PUT /receipts/canary", "DELETE /control/takeover"), ""),
    (calls(EAST, PROOFS), ""), (calls(WEST, PROOFS), PROOFS),
    (calls(WEST, "PUT /control/takeover"), "PUT /control/takeover"),
    (calls(WEST, "FailoverGlobalCluster", status=0), "FailoverGlobalCluster"),
    (calls(WEST, "SwitchoverGlobalCluster", status=400), "SwitchoverGlobalCluster")])
def test_a_thawed_controller_may_move_nothing(
        run: ScenarioContext, environment: FakeEnvironment, made: list[ApiCall], late: str) -> None:
    thawed(run, environment, made, "StoreUnavailable", "AlreadyRunning: already running: failover, by d")
    assert environment.signals == [(WEST, signal.SIGCONT, False)]
    assert [(check.name, check.ok, check.detail) for check in run.recording.checks] == [(MOVES_NOTHING, not late, late)]


def test_a_thawed_controller_must_be_refused(run: ScenarioContext, environment: FakeEnvironment) -> None:
    with pytest.raises(CheckFailed, match=r"^waited for: the controller is refused$"):
        thawed(run, environment, [], "StoreUnavailable")


@pytest.mark.parametrize(("first", "second", "ok"), [
    ((0, "done"), (2, "operator a is already running: switchover"), True),
    ((2, "operator b is already running: switchover"), (0, "done"), True),
    ((0, "done"), (2, "no"), False), ((0, "done"), (0, "done"), False),
    ((2, "operator b is already running"), (2, "operator a is already running"), False)])
def test_of_two_operators_one_wins(
        run: ScenarioContext, environment: FakeEnvironment, first: Any, second: Any, ok: bool) -> None:
    environment.answers = [(2, "has not reported"), (2, "has not reported"), first, second]
    act(run, twice="switchover --to {standby}")
    assert {check.name: check.ok for check in run.recording.checks} == {WINS: ok}


def test_the_writer_is_moved_by_the_plan_from_the_targets_region(run: ScenarioContext, cloud: Cloud) -> None:
    asked: list[str] = []

    def clients(region: Any) -> Cloud:
        asked.append(region.name)
        return cloud

    run.stack.clients_in = clients  # type: ignore[method-assign]
    stores = Stores(cloud)
    assert act(run, move="failover", to="standby").startswith("epoch ")
    assert (asked, stores.record.region, stores.writer) == ([WEST], WEST, WEST)


def test_roles_can_be_swapped(run: ScenarioContext) -> None:
    act(run, swap_roles=True)
    assert (run.active.name, run.standby.name) == (WEST, EAST)
    assert run.recording.active == EAST
