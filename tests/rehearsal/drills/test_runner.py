"""What is made of a scenario that was played, on a stage that is made up."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, Self

import pytest

from contract import Phase
from payments.leadership import LEASE
from recovery.journal import Run, StepProgress
from recovery.observation import Observation
from recovery.stack import Stack
from rehearsal.aws.faults import OUTSIDE, WORLD, ApiCall, Faults
from rehearsal.drills import runner
from rehearsal.drills.emulated.route53 import HealthChange
from rehearsal.drills.environment import CommandResult
from rehearsal.drills.report import model
from rehearsal.drills.runner import KILLS, MOMENTS, OVERHEAD, SLACK, ControllerTrap, ScenarioRunner, conclude
from rehearsal.drills.scenario import VERBS, Expectation, Scenario, ScenarioAction
from rehearsal.errors import CheckFailed
from rehearsal.rehearsed_stack import StoreContents
from rehearsal.workload.http import Answer, ApiClient
from rehearsal.workload.load import SentPayment
from tests.rehearsal.stack import EAST, OUTPUTS, REGIONS, WEST

AGAIN = "the program deployed again changes nothing"
AS_BEFORE = "everything is as it was, by the product's own means"
BLACKOUT = f"blackout: no call to {EAST}, to Route 53 or to IAM"
COMES_ABOUT = "it comes about"
OLD_ACCEPTS, OLD_REFUSES = "the old writer accepts none", "the old writer refuses, at least {}"
OWN_OVERHEAD = f"own overhead at most {OVERHEAD:.0f} s"
WHOLE = "every payment that was acknowledged and not lost is whole in both regions"

Script = Callable[[float], Sequence[SentPayment]]
"""What clients sent, by the moment of the outage (monotonic)."""


def sent(payment_id: str, at: float, region: str = EAST, status: int = 201, seconds: float = 0.1) -> SentPayment:
    """A payment that was sent at a moment, and its answer; none with status 0."""
    answer = Answer(status, {"error": f"error {status}"}) if status else None
    return SentPayment(payment={"payment_id": payment_id}, region=region, answer=answer, began=at, ended=at + seconds)


def outage(down: float = 5.0, region: str = WEST) -> Script:
    """Payments until an outage, failures for so many seconds, and payments in a region from then on."""
    def script(cut: float) -> list[SentPayment]:
        return [*(sent(f"before {number}", cut - 1 + number / 10) for number in range(8)),
                *(sent(f"failed {number}", cut + number / 10, status=0) for number in range(round(down * 10))),
                *(sent(f"after {number}", cut + down + number / 10, region) for number in range(10))]

    return script


class FakeLoad:
    """Clients that have sent what the script says."""

    def __init__(self, stores: "FakeStores") -> None:
        self._stores, self.accepted = stores, True
        self.sent: Sequence[SentPayment] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing goes on."""

    def wait_for(self, _check: object, _patience: float) -> bool:
        """Whether a payment is accepted at first."""
        return self.accepted

    def finish(self) -> Sequence[SentPayment]:
        """All of it; what the stores lack from now on is lost."""
        self._stores.lacking = self._stores.lost
        return self._stores.sent()


@dataclass
class FakeStores:
    """What the clients sent is in every store, but for what is late at first, lost after that, or missing in the end.

    missing: ids by region.
    """

    script: Script
    outage_at: float = field(default_factory=time.monotonic)
    late: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    missing: dict[str, set[str]] = field(default_factory=dict)
    lacking: set[str] = field(default_factory=set)

    def sent(self) -> Sequence[SentPayment]:
        """What the clients sent."""
        return self.script(self.outage_at)

    def kept(self, region: str) -> StoreContents:
        """What the stores of a region hold by now."""
        there = {each.payment_id for each in self.sent() if each.acknowledged} - self.lacking
        ids = sorted(there - self.missing.get(region, set()))
        settled: Any = SimpleNamespace(settled=True)
        return StoreContents(dict.fromkeys(ids, settled), frozenset(ids), dict.fromkeys(ids, 1))


class FakeStage:
    """A stage on which a region's loss moves everything to the west, unless `stays`, and everything goes well.

    A test may put something else in the place of `lose`, `answer` and `mend`: what happens at an outage, what a command
    says, and what is done to have everything as it was. `done` is what was asked for, in that order.
    """

    factor, look_seconds = 10.0, 0.0
    zone = SimpleNamespace(checks={"c": SimpleNamespace(name="primary")})

    def __init__(self, script: Script = lambda _: (), *, strong: bool = False, stays: bool = False) -> None:
        self.stack = Stack.of({**OUTPUTS, "table_consistency": "strong" if strong else "eventual"})
        self.stores = FakeStores(script)
        self.load = FakeLoad(self.stores)
        self.right, self.told = EAST, ""
        self.runs: dict[str, Run] = {}
        self.done: list[Any] = []
        self.differences: list[str] = []
        self.lose: Callable[[], object] = (lambda: None) if stays else self.move
        self.answer: Callable[[str], CommandResult] = lambda words: CommandResult(words, 0, "")
        self.mend: Callable[[], list[CommandResult]] = list
        self.killed, self.processes = list[str](), 1
        faults = Faults()
        faults.listen(self._changed)
        self.ground: Any = SimpleNamespace(
            faults=faults, relays=SimpleNamespace(calls=[]), lag=self._note("lag"),
            pair=SimpleNamespace(writer=EAST, kill=self._note("kill")), within=lambda region: f"inside {region.name}")
        self.regions: Any = {name: SimpleNamespace(name=name, key="k", api=ApiClient(region=name, url=name, key="k"))
                             for name in REGIONS}
        self.prober = SimpleNamespace(history=[HealthChange(0.0, "c", healthy=True)])

    def clients(self, rate: float, least: float) -> FakeLoad:
        """Those of the script."""
        self.done.append(("clients", rate, least))
        return self.load

    def ready(self) -> None:
        """It is."""
        self.done.append("ready")

    def active(self) -> str:
        """Who has the right."""
        return self.right

    def run(self, region: str) -> Run | None:
        """The journal's."""
        return self.runs.get(region)

    def watch(self, region: str) -> Observation | None:
        """With what people were told."""
        return Observation(region=region, at=0, notified=self.told)

    def kept(self, region: str) -> StoreContents:
        """What the stores hold by now."""
        return self.stores.kept(region)

    def wait(self, what: str, check: Callable[[], bool]) -> None:
        """For something that is so, or will never be."""
        self.done.append(f"wait {what}")
        if not check():
            raise CheckFailed(f"waited for: {what}")

    def begin(self, words: str) -> Callable[[], CommandResult]:
        """A command."""
        self.done.append(words)
        return lambda: self.answer(words)

    def kill_controller(self, region: str) -> int:
        """Its processes."""
        self.killed.append(region)
        return self.processes

    def restore(self) -> list[CommandResult]:
        """As the test says."""
        return self.mend()

    def again(self) -> list[str]:
        """What would change."""
        return self.differences

    def move(self, driver: str = "controller in us-west-2", action: str = "failover", *, after: float = 0.0,
             seconds: float = 1.0, why: str = "it is dead") -> Run:
        """Everything goes to the west, in a run of so many seconds that begins so long after now."""
        began = time.time() + after
        ends = {"fence": began, "promote": began + seconds}
        found = Run(id=f"{driver} {began}", action=action, target=WEST, driver=driver, began=began, seen=began,
                    ended=began + seconds, why=why, steps={
                        key: StepProgress(began=began, ended=end, note="done") for key, end in ends.items()})
        self.right = self.ground.pair.writer = WEST
        self.runs[WEST] = found
        self.ground.relays.calls.append(ApiCall(WEST, WEST, "dynamodb", "UpdateItem", at=began))
        return found

    def operated(self, words: str) -> CommandResult:
        """An operator moves everything to the west."""
        self.move("operator", words.partition(" ")[0])
        return CommandResult(words, 0, "done")

    def _changed(self, _fault: object) -> None:
        if self.ground.faults.cut_off() or self.ground.faults.lost():
            self.stores.outage_at, self.stores.lacking = time.monotonic(), self.stores.late
            self.lose()

    def _note(self, what: str) -> Callable[..., None]:
        return lambda *given, **more: self.done.append((what, *given, more))


def scenario(*deeds: Mapping[str, Any], name: str = "made-up", **others: Any) -> Scenario:
    """A scenario of these deeds; what belongs to `Expectation` is what is expected."""
    expected = {key: others.pop(key) for key in list(others) if key in vars(Expectation())}
    do = []
    for deed in deeds:
        verb = next(key for key in deed if key in VERBS)
        do.append(ScenarioAction(verb=verb, what=deed[verb], beside={key: each for key, each in deed.items() if key != verb}))
    return Scenario(name=name, title="t", expected="e", do=do, expect=Expectation(**expected), **others)


CUT, MOVED = {"cut": "active"}, {"wait": "moved"}
LOST: dict[str, Any] = {"moves": 1, "active": "standby"}


def drilled(stage: Any, made: Scenario) -> model.DrillResult:
    """The scenario, played."""
    return ScenarioRunner(stage, made).play()


def verdicts(drill: model.DrillResult) -> dict[str, bool]:
    """Whether each check held."""
    return {check.name: check.ok for check in drill.checks}


def detail(drill: model.DrillResult, name: str) -> str:
    """What a check has found."""
    (found,) = (check.detail for check in drill.checks if check.name == name)
    return found


def test_a_failover_that_is_as_it_must_be() -> None:
    stage = FakeStage(outage())
    drill = drilled(stage, scenario(CUT, MOVED, keeps=3.0, **LOST))
    assert [check.name for check in drill.checks if not check.ok] == []
    assert verdicts(drill).keys() == {
        COMES_ABOUT, "moves by itself: 1", "payments are taken in the region that was standby", "lost: none", BLACKOUT,
        OWN_OVERHEAD, AS_BEFORE, WHOLE, AGAIN}
    assert (drill.ok, drill.outcome, drill.driver) == (True, f"failover to {WEST}; nothing lost", "controller")
    assert (drill.scenario, drill.consistency, drill.errors) == ("made-up", "eventual", {"no answer": 50})
    assert (len(drill.requests), sum(request.ok for request in drill.requests)) == (68, 18)
    assert stage.done == [("clients", runner.RATE, 3.0), "wait moved"]


def test_what_happened_is_told_in_its_order_each_in_its_lane() -> None:
    stage = FakeStage(outage())
    stage.prober.history.append(HealthChange(time.monotonic() + 60, "c", healthy=False))
    drill = drilled(stage, scenario({"pass": 0}, CUT, MOVED, **LOST))
    told = [(event.lane, event.what) for event in drill.events]
    assert told[:3] == [("plan", "pass 0"), ("fault", "cut active"), ("plan", "wait moved")]
    assert set(told[3:]) == {("plan", "failover fence: done"), ("plan", "failover promote: done"),
                             ("dns", f"clients go to {WEST}"), ("health", "primary unhealthy")}
    assert [event.at_s for event in drill.events] == sorted(event.at_s for event in drill.events)


def test_the_recovery_is_told_on_both_clocks() -> None:
    recovery = drilled(FakeStage(outage(5.0)), scenario(CUT, MOVED, **LOST)).recovery
    assert recovery
    assert recovery.wall_s == pytest.approx(5.1, abs=0.05)
    waited = sum(phase.wall_s for phase in recovery.split if phase.phase in ("detect", "dns"))
    assert [phase.phase for phase in recovery.split] == list(Phase)
    assert recovery.full_s == pytest.approx(recovery.wall_s + 9 * waited, abs=0.01)
    assert recovery.overhead_s == 0


@pytest.mark.parametrize(("why", "promotion", "down", "ok"), [
    ("it is dead", 0.0, 3 + 6 + OVERHEAD - 0.5, True),  # detection and TTL, divided by the factor
    ("it is dead", 0.0, 3 + 6 + OVERHEAD + 0.5, False),
    ("it is dead", 2.0, 3 + 6 + 2 + OVERHEAD - 0.5, True),
    ("it cannot take payments", 0.0, 6 + 1 + 6 + OVERHEAD - 0.5, True),  # seen later, then the lever
    ("it cannot take payments", 0.0, 6 + 1 + 6 + OVERHEAD + 0.5, False),
])
def test_recovery_may_add_little_of_its_own(why: str, promotion: float, down: float, ok: bool) -> None:
    stage = FakeStage(outage(down))
    stage.lose = partial(stage.move, why=why, seconds=LEASE + promotion)
    assert verdicts(drilled(stage, scenario(CUT, MOVED, **LOST)))[OWN_OVERHEAD] is ok
    assert OWN_OVERHEAD not in verdicts(drilled(stage, scenario(CUT, MOVED, **LOST, overhead=False)))


def test_who_saw_no_outage_has_no_recovery() -> None:
    drill = drilled(FakeStage(outage(0.0)), scenario(CUT, MOVED, **LOST))
    assert (drill.recovery, drill.ok, OWN_OVERHEAD in verdicts(drill)) == (None, True, False)


LAG = {"table": 0.5, "receipts": 0.3, "ledger": 0.4}


@pytest.mark.parametrize(("lost", "strong", "age", "ok"), [
    ("lag", False, 0.2, True),
    ("lag", False, 0.3 + SLACK - 0.05, True),
    ("lag", False, 0.3 + SLACK + 0.05, False),
    ("lag", False, -SLACK - 0.1, False),  # acknowledged after the outage, by whoever lived
    ("lag", True, 0.1, False),
    ("none", False, 0.1, False),
])
@pytest.mark.parametrize("later", [False, True])
def test_only_what_the_lag_had_not_copied_may_be_lost(
    lost: str, strong: bool, age: float, ok: bool, later: bool
) -> None:
    stage = FakeStage(lambda cut: [sent("x", cut - age - 0.1), sent("y", cut - 5)], strong=strong)
    stage.stores.lost = {"x"}
    lagging = dict.fromkeys(LAG, 9.0) if later else LAG
    drill = drilled(stage, scenario(*[{"lag": LAG}] * later, CUT, MOVED, **LOST, lost=lost, lag=lagging))
    assert verdicts(drill)[f"lost: {lost}"] is drill.ok is ok
    assert list(drill.lost) == ["x"]
    assert "; 1 lost" in drill.outcome
    assert ("lost, and not by the lag: ['x']" in detail(drill, f"lost: {lost}")) is not ok


def test_what_was_never_acknowledged_cannot_be_lost() -> None:
    stage = FakeStage(lambda cut: [sent("x", cut - 1, status=503), sent("x", cut + 1, WEST), sent("y", cut, status=0)])
    assert list(drilled(stage, scenario(CUT, MOVED, **LOST)).lost) == []


def test_each_store_is_counted_before_the_repair_and_after_it() -> None:
    stage = FakeStage(outage())
    stage.stores.late = {"before 6", "before 7", "after 1"}
    stage.stores.lost = {"before 7"}
    drill = drilled(stage, scenario(CUT, MOVED, **LOST))
    assert [(each.store, each.acknowledged, each.before, each.after) for each in drill.stores] == [
        (store, 8, 6, 7) for store in ("table", "ledger", "receipts")]


def test_of_several_outages_the_first_one_counts() -> None:
    stage = FakeStage(stays=True)
    began, losses = time.monotonic(), list[float]()
    stage.stores.script = lambda _: [sent("x", began - 1), sent("y", losses[0] if losses else began, seconds=0.005)]

    def lose() -> None:
        losses.append(time.monotonic())
        stage.stores.lacking = {"x"} if len(losses) == 1 else set()

    stage.lose = lose
    drill = drilled(stage, scenario(CUT, {"heal": "active"}, {"pass": 0.01}, CUT, {"lose": "ledger", "of": "active"}))
    assert len(losses) == 3
    assert {(each.acknowledged, each.before, each.after) for each in drill.stores} == {(1, 0, 1)}


def test_without_an_outage_no_store_is_counted() -> None:
    assert list(drilled(FakeStage(outage(0, EAST)), scenario({"pass": 0})).stores) == []


@pytest.mark.parametrize(("call", "ok"), [
    (ApiCall(WEST, EAST, "dynamodb", "GetItem"), False),
    (ApiCall(OUTSIDE, EAST, "rds", "DescribeGlobalClusters"), False),
    (ApiCall(WEST, WEST, "route53", "POST /change"), False),
    (ApiCall(OUTSIDE, WEST, "iam", "CreateRole"), False),
    (ApiCall(WORLD, EAST, "execute-api", "GET /health"), True),  # Route 53's checkers, and clients
    (ApiCall(EAST, EAST, "dynamodb", "PutItem"), True),
    (ApiCall(EAST, WEST, "s3", "PUT /"), True),
    (ApiCall(WEST, WEST, "rds", "FailoverGlobalCluster"), True),
])
@pytest.mark.parametrize(("after", "during"), [(-0.5, False), (0.5, True), (1.5, False)])
def test_a_failover_calls_nobody_that_may_be_down(call: ApiCall, ok: bool, after: float, during: bool) -> None:
    stage = FakeStage(outage())

    def lose() -> None:
        began = stage.move().began
        stage.ground.relays.calls.append(replace(call, at=began + after))

    stage.lose = lose
    drill = drilled(stage, scenario(CUT, MOVED, **LOST))
    assert verdicts(drill)[BLACKOUT] is (ok or not during)
    if during and not ok:
        assert detail(drill, BLACKOUT) == f"{call.caller} to {call.region}: {call.service} {call.operation}"


def test_a_failover_without_any_call_shows_nothing() -> None:
    stage = FakeStage(outage())
    stage.lose = lambda: (stage.move(), stage.ground.relays.calls.clear())
    assert verdicts(drilled(stage, scenario(CUT, MOVED, **LOST)))[BLACKOUT] is False


def test_a_switchover_may_call_both_regions() -> None:
    stage = FakeStage(outage())
    stage.answer = stage.operated
    drill = drilled(stage, scenario({"run": "switchover --to {standby}"}, active="standby", overhead=False))
    assert (drill.ok, drill.driver, drill.outcome) == (True, "command line", f"switchover to {WEST}; nothing lost")
    assert not [name for name in verdicts(drill) if name.startswith("blackout")]


def stray(monkeypatch: pytest.MonkeyPatch, *answers: int) -> list[tuple[str, str]]:
    """Answers to those who know no better; gives where they ask, once they have."""
    asked: list[tuple[str, str]] = []

    def send_all(place: ApiClient, made: Sequence[Any]) -> list[SentPayment]:
        asked.append((place.region, place.url))
        return [sent(f"stray {number}", time.monotonic(), place.region, status)
                for number, (status, _) in enumerate(zip(answers, made, strict=True))]

    monkeypatch.setattr(runner, "send_all", send_all)
    return asked


@pytest.mark.parametrize(("verb", "url"), [("behind", f"inside {EAST}"), ("stale", EAST)])
@pytest.mark.parametrize(("strong", "answers", "expected"), [
    (True, (503, 503), {OLD_REFUSES.format(2): True, OLD_ACCEPTS: True}),
    (True, (503, 201), {OLD_REFUSES.format(2): False, OLD_ACCEPTS: False}),
    (True, (503, 0), {OLD_REFUSES.format(2): False, OLD_ACCEPTS: True}),
    (False, (503, 503), {OLD_REFUSES.format(2): True}),
    (False, (201, 503), {OLD_REFUSES.format(2): False}),
])
def test_the_old_writer_refuses(  # pylint: disable=too-many-positional-arguments
    monkeypatch: pytest.MonkeyPatch, verb: str, url: str, strong: bool, answers: tuple[int, ...],
    expected: dict[str, bool],
) -> None:
    asked = stray(monkeypatch, *answers)
    stage = FakeStage(outage(), strong=strong)
    drill = drilled(stage, scenario(CUT, MOVED, {verb: 2}, **LOST, refused=2))
    assert asked == [(EAST, url)]
    assert {name: ok for name, ok in verdicts(drill).items() if name.startswith("the old writer")} == expected
    assert drill.refused_stale == answers.count(503)


@pytest.mark.parametrize("found", [True, False])
def test_what_the_old_writer_accepts_with_an_eventual_table_must_be_found(
    monkeypatch: pytest.MonkeyPatch, found: bool
) -> None:
    stray(monkeypatch, 201)
    stage = FakeStage(lambda cut: [*outage()(cut), *[sent("stray 0", cut)] * found])
    drill = drilled(stage, scenario(CUT, MOVED, {"behind": 1}, **LOST))
    assert verdicts(drill)[WHOLE] is found


def test_clients_whose_name_still_leads_to_the_old_writer_count_as_well() -> None:
    stage = FakeStage(lambda cut: [sent("x", cut - 1, status=503), sent("y", cut + 1, status=503),
                                   sent("z", cut + 2, WEST, status=503)])
    assert drilled(stage, scenario(CUT, MOVED, **LOST, refused=1)).refused_stale == 1


@pytest.mark.parametrize(("first", "second", "ok"), [
    (CommandResult("", 0, "done"), CommandResult("", 2, "already running: switchover, by operator a"), True),
    (CommandResult("", 2, "already running: switchover, by operator b"), CommandResult("", 0, "done"), True),
    (CommandResult("", 0, "done"), CommandResult("", 2, "no"), False),
    (CommandResult("", 0, "done"), CommandResult("", 0, "done"), False),
    (CommandResult("", 2, "already running: x, by operator b"), CommandResult("", 2, "already running: x, by operator a"), False),
])
def test_of_two_operators_one_wins(first: CommandResult, second: CommandResult, ok: bool) -> None:
    stage = FakeStage()
    answers = iter((first, second))
    stage.answer = lambda _: next(answers)
    begin = {"begin": "switchover --to {standby}"}
    drill = drilled(stage, scenario(begin, begin, {"join": "one wins"}))
    assert verdicts(drill)["one wins, the other is told who"] is ok


@pytest.mark.parametrize(("code", "text", "ok"), [
    (2, "5 s would be lost", True), (0, "5 s would be lost", False), (2, "all is well", False)])
@pytest.mark.parametrize("verb", ["run", "begin"])
def test_a_command_must_end_and_say_as_the_file_tells(verb: str, code: int, text: str, ok: bool) -> None:
    stage = FakeStage()
    stage.answer = lambda words: CommandResult(words, code, text)
    drill = drilled(stage, scenario({verb: "failover --to {standby}", "exit": 2, "says": "would be lost"}))
    assert verdicts(drill)[f"recovery failover --to {WEST}: exit code 2, says 'would be lost'"] is ok


def test_a_command_that_is_only_begun_may_end_as_it_likes_and_its_run_is_told() -> None:
    stage = FakeStage(outage())
    stage.answer = lambda words: replace(stage.operated(words), code=1)
    drill = drilled(stage, scenario({"begin": "switchover --to {standby}"}, active="standby"))
    assert (drill.ok, drill.outcome) == (True, f"switchover to {WEST}; nothing lost")


@pytest.mark.parametrize("expected", [{}, {"moves": 0, "active": "standby"}])
def test_a_move_that_nobody_asked_for_is_seen_though_nobody_waits_for_it(expected: dict[str, Any]) -> None:
    drill = drilled(FakeStage(), scenario(CUT, {"pass": 0}, **expected))
    assert verdicts(drill)["moves by itself: 0"] is False
    assert drill.outcome == f"not as expected: failover to {WEST}; nothing lost"


def test_a_move_by_command_is_no_move_by_itself() -> None:
    stage = FakeStage(stays=True)
    stage.answer = stage.operated
    drill = drilled(stage, scenario(CUT, {"run": "failover --to {standby}"}, active="standby"))
    assert (drill.ok, drill.driver) == (True, "command line")


def test_a_run_of_an_earlier_drill_does_not_count() -> None:
    stage = FakeStage(stays=True)
    stage.move(after=-60)
    stage.right = stage.ground.pair.writer = EAST
    drill = drilled(stage, scenario(CUT, MOVED))
    assert (verdicts(drill)[COMES_ABOUT], verdicts(drill)["moves by itself: 0"]) == (False, True)


@pytest.mark.parametrize(("right", "writer", "ok"), [(WEST, WEST, True), (EAST, WEST, False), (WEST, EAST, False)])
def test_right_and_writer_must_be_where_they_are_expected(right: str, writer: str, ok: bool) -> None:
    stage = FakeStage()

    def lose() -> None:
        stage.right, stage.ground.pair.writer = right, writer

    stage.lose = lose
    drill = drilled(stage, scenario(CUT, active="standby"))
    assert verdicts(drill)["payments are taken in the region that was standby"] is ok


@pytest.mark.parametrize(("told", "waits", "ok"), [
    ("west must not take over", True, True), ("west must not take over", False, False), ("all is well", True, False)])
def test_people_must_have_been_told(told: str, waits: bool, ok: bool) -> None:
    stage = FakeStage(stays=True)
    stage.told = told
    drill = drilled(stage, scenario(CUT, *[{"wait": "told"}] * waits, told="must not take over"))
    assert verdicts(drill)["people were told"] is ok


@pytest.mark.parametrize(("seconds", "ok"), [(4.0, True), (2.5, False)])
def test_clients_may_see_errors_for_so_long(seconds: float, ok: bool) -> None:
    stage = FakeStage(lambda cut: [sent("x", cut, status=503), sent("y", cut + 3, status=503), sent("z", cut + 9)])
    name = f"errors for at most {seconds:.0f} s"
    assert verdicts(drilled(stage, scenario({"pass": 0}, errors=seconds)))[name] is ok


def test_clients_that_saw_no_errors_saw_them_for_no_time() -> None:
    drill = drilled(FakeStage(), scenario({"pass": 0}, errors=1.0))
    assert (drill.ok, detail(drill, "errors for at most 1 s")) == (True, "0.0 s")


@pytest.mark.parametrize(("last", "ok"), [([201] * 10, True), ([*[201] * 9, 503], False), ([201] * 9, False)])
def test_clients_have_recovered_after_some_good_payments_in_a_row(last: list[int], ok: bool) -> None:
    stage = FakeStage()
    stage.load.sent = [sent("x", 0, status=status) for status in [503, *last]]
    assert verdicts(drilled(stage, scenario({"wait": "recovered"})))[COMES_ABOUT] is ok


def test_what_does_not_come_about_ends_the_deeds_and_the_rest_is_judged_all_the_same() -> None:
    stage = FakeStage(stays=True)
    drill = drilled(stage, scenario(MOVED, {"run": "status"}))
    assert (verdicts(drill)[COMES_ABOUT], detail(drill, COMES_ABOUT)) == (False, "waited for: moved")
    assert stage.done[1:] == ["wait moved"]
    assert verdicts(drill)[AGAIN] is True


def test_where_no_payment_is_accepted_at_first_nothing_is_done() -> None:
    stage = FakeStage()
    stage.load.accepted = False
    drill = drilled(stage, scenario(CUT))
    assert (verdicts(drill)[COMES_ABOUT], stage.ground.faults.cut_off()) == (False, [])


def test_everything_must_be_as_it_was_at_the_end() -> None:
    stage = FakeStage(outage(), stays=True)
    stage.mend = lambda: [CommandResult("failback", 2, "no")]
    stage.stores.missing = {WEST: {"before 3"}}
    stage.differences = ["~ Bucket b: versioning", "- Key k"]
    drill = drilled(stage, scenario({"pass": 0}))
    assert {name: detail(drill, name) for name, ok in verdicts(drill).items() if not ok} == {
        AS_BEFORE: "recovery failback: no: 2 instead of 0", WHOLE: f"not whole in {WEST}: ['before 3'] instead of []",
        AGAIN: "~ Bucket b: versioning; - Key k"}
    assert drill.outcome == "not as expected: nobody moved; nothing lost"


def test_every_fault_is_thrown_in_the_region_of_the_role() -> None:
    stage = FakeStage(stays=True)
    stage.right = stage.ground.pair.writer = WEST  # so the west is the active one
    faults, thrown = stage.ground.faults, list[Any]()
    faults.listen(lambda _: thrown.append((faults.cut_off(), faults.lost())))
    drilled(stage, scenario(
        {"cut": "active", "inside": True}, {"heal": "active"}, {"lose": "ledger", "of": "standby"},
        {"fail": 1.0, "of": "standby"}, {"kill": "active"}, {"lag": LAG}, {"lag_back": LAG}, {"looks": 2},
        active="active"))
    assert thrown == [([WEST], []), ([], []), ([], [("ledger", EAST)]), ([], [("ledger", EAST)])]
    assert faults.draw(ApiCall(OUTSIDE, EAST, "s3", "GET")) is not None
    west, east = stage.regions[WEST], stage.regions[EAST]
    assert stage.done[1:] == [("kill", WEST, {}), ("lag", west, east, LAG), ("lag", east, west, LAG)]


def test_a_region_that_is_cut_inside_lives_on() -> None:
    stage = FakeStage(stays=True)
    drilled(stage, scenario({"cut": "active", "inside": True}))
    assert stage.ground.faults.refusal(ApiCall(EAST, EAST, "s3", "GET")) is None
    assert stage.ground.faults.refusal(ApiCall(WEST, EAST, "s3", "GET")) is not None


# --- Kills


def spring(trap: ControllerTrap, stage: Any, *calls: ApiCall) -> list[bool]:
    """What a trap for the west says of calls, each before it is done and after it."""
    trap.set(WEST)
    return [stage.ground.faults.intercepts(call, done=done) for call in calls for done in (False, True)]


MINE = ApiCall(WEST, WEST, "dynamodb", "UpdateItem")


@pytest.fixture
def stage() -> Any:
    """A stage on which the region is lost."""
    return FakeStage(outage())


@pytest.mark.parametrize("after", [False, True])
def test_a_trap_springs_once_before_the_call_or_after_it(stage: Any, after: bool) -> None:
    trap = ControllerTrap(stage, ["dynamodb", "UpdateItem"], 0, after)
    assert spring(trap, stage, MINE, MINE) == [not after, after, False, False]
    assert (stage.killed, trap.killed) == ([WEST], 1)


@pytest.mark.parametrize("other", [
    ApiCall(EAST, WEST, "dynamodb", "UpdateItem"), ApiCall(WEST, WEST, "s3", "UpdateItem"),
    ApiCall(WEST, WEST, "dynamodb", "GetItem")])
def test_a_trap_lets_any_other_call_pass(stage: Any, other: ApiCall) -> None:
    assert not any(spring(ControllerTrap(stage, ["dynamodb", "UpdateItem"], 0, after=True), stage, other))
    assert stage.killed == []


def test_a_trap_lets_so_many_of_its_calls_pass(stage: Any) -> None:
    invoke = ApiCall(WEST, WEST, "lambda", "POST /2015-03-31/functions/tapstack-reconcile-x/invocations")
    trap = ControllerTrap(stage, ["lambda", "tapstack-reconcile"], 1, after=True)
    assert spring(trap, stage, invoke, MINE, invoke) == [False, False, False, False, False, True]
    assert stage.killed == [WEST]


def test_a_trap_that_finds_nobody_to_kill_has_not_sprung(stage: Any) -> None:
    stage.processes = 0
    trap = ControllerTrap(stage, ["dynamodb", "UpdateItem"], 0, after=False)
    assert (any(spring(trap, stage, MINE)), trap.killed) == (False, 0)


@pytest.fixture
def deadly(stage: Any) -> Any:
    """A stage on which a takeover makes each call at which it may be killed; what has moved comes back."""
    calls = [ApiCall(WEST, WEST, service, f"{operation}key") for _, service, operation, number in KILLS
             for _ in range(number + 1)]

    def lose() -> None:
        for call in calls:
            for done in (False, True):
                stage.ground.faults.intercepts(call, done=done)
        stage.move(after=len(stage.killed))

    def mend() -> list[CommandResult]:
        stage.right = stage.ground.pair.writer = EAST
        stage.ground.faults.heal(EAST)
        return []

    stage.lose, stage.mend = lose, mend
    return stage


DEADLY = {**LOST, "kills": True, "overhead": False}


def test_the_controller_is_killed_at_each_call_before_it_and_after_it(deadly: Any) -> None:
    drill = runner.play(deadly, scenario(CUT, MOVED, **DEADLY))
    assert list(drill.kills) == [
        model.ControllerKill(step=step, moment=moment, resumed=True) for step, *_ in KILLS for moment in MOMENTS]
    assert (drill.ok, drill.outcome) == (True, "resumed after 12 of 12 kills")
    assert (deadly.killed, deadly.done.count("ready")) == ([WEST] * 12, 12)
    assert sum(check.name.endswith("the controller was killed") for check in drill.checks) == 12


def test_the_first_kill_that_is_not_survived_ends_it(deadly: Any) -> None:
    mend = deadly.mend
    deadly.mend = lambda: mend() or [CommandResult("failback", 2, "no")] * (len(deadly.killed) == 3)
    drill = runner.play(deadly, scenario(CUT, MOVED, **DEADLY))
    assert [(kill.step, kill.moment, kill.resumed) for kill in drill.kills] == [
        ("fence", "before", True), ("fence", "after", True), ("traffic", "before", False)]
    assert (drill.ok, drill.outcome) == (False, "resumed after 2 of 12 kills")
    assert [check.name for check in drill.checks if not check.ok] == [f"killed before traffic: {AS_BEFORE}"]


def test_what_is_lost_after_any_kill_is_told(deadly: Any) -> None:
    ready = deadly.ready

    def losing() -> None:
        ready()
        deadly.stores.lost = {"before 5"} if deadly.done.count("ready") == 4 else set()

    deadly.ready = losing
    drill = runner.play(deadly, scenario(CUT, MOVED, **DEADLY, lost="lag", lag=dict.fromkeys(LAG, 9.0)))
    assert (drill.ok, list(drill.lost)) == (True, ["before 5"])


def test_a_controller_that_was_not_killed_shows_nothing(stage: Any) -> None:
    drill = runner.play(stage, scenario(CUT, MOVED, kills=True, overhead=False, **LOST))
    assert verdicts(drill)["killed before fence: the controller was killed"] is False
    assert (drill.ok, drill.outcome) == (False, "resumed after 0 of 12 kills")


def test_a_scenario_without_kills_is_played_once_and_nobody_is_killed(stage: Any) -> None:
    assert runner.play(stage, scenario(CUT, MOVED, **LOST)).ok
    assert (stage.done[0], stage.done.count("ready"), stage.killed) == ("ready", 1, [])


def test_a_run_says_what_was_promised_and_what_aws_may_take() -> None:
    stack = Stack.of(OUTPUTS)
    run = conclude(stack, [], started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), factor=10)
    assert (run.started, run.factor, run.consistency) == ("2026-01-02T03:04:05+00:00", 10, "eventual")
    assert run.objectives == model.DeclaredObjectives(recovery_time_s=600, recovery_point_s=5)
    assert [each.step for each in run.prediction] == ["detect", "decide and fence", "promote", "dns", "first write"]
    assert all(each.source and each.seconds > 0 for each in run.prediction)
