"""Carrying out a plan: in order, journalled, by one driver at a time, and continued by any driver after any crash."""
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import JOURNAL_KEY
from payments.errors import StoreUnavailable
from recovery.errors import AlreadyRunning, StepTimedOut
from recovery.journal import HOLD, Run, StepProgress, next_heartbeat
from recovery.plan import Action, Plan, Step
from recovery.runner import PAUSE, claim
from tests.unit.payments.fakes import Crash, Fault, client_error
from tests.unit.recovery.fakes import AWAY, HOME, NOW, World, plan

PLANS = {action: plan(action, HOME if action is Action.FAILBACK else AWAY) for action in Action}
FAILOVER = PLANS[Action.FAILOVER]
troubles = st.dictionaries(
    st.sampled_from([step.key for step in PLANS[Action.FAILBACK].steps]),
    st.lists(st.sampled_from([None, "it does not answer"]), max_size=4), max_size=4)
kills = st.lists(st.lists(st.none(), max_size=30).flatmap(
    lambda well: st.booleans().map(lambda done: [*well, Fault(Crash(), done=done)])), max_size=4)
every_plan = pytest.mark.parametrize("wanted", PLANS.values(), ids=PLANS)


def keys(wanted: Plan) -> list[str]:
    """The steps of a plan."""
    return [step.key for step in wanted.steps]


def journal_of(world: World) -> Run:
    """The latest run."""
    found = world.table.latest_run()
    assert found
    return found


def beating(world: World) -> Callable[[], None]:
    """A heartbeat of the journal's driver, while another one waits for it."""
    return lambda: world.table.write_run(next_heartbeat(journal_of(world)), journal_of(world))


def claimed(world: World, wanted: Plan = FAILOVER, driver: str = "first") -> Run:
    """The run of a driver."""
    return claim(world.cloud(wanted), driver, why="requested")


# --- One driver

def test_a_run_consists_of_the_plan_and_the_reason() -> None:
    world = World()
    run = claim(world.cloud(FAILOVER), "somebody", why="it is dead", accepted=True, seen=NOW - 3)
    assert run == Run(id=run.id, action="failover", target=AWAY, driver="somebody", began=NOW, why="it is dead",
                      accepted=True, seen=NOW - 3)
    assert run.id.startswith("20270115T080000Z-")
    assert (journal_of(world), world.clock.now) == (run, 0)


@every_plan
def test_each_step_is_journalled_and_reported_as_it_begins_and_ends(wanted: Plan) -> None:
    world = World()
    reports: list[tuple[str, bool]] = []

    def report(step: Step, progress: StepProgress) -> None:
        assert journal_of(world).steps[step.key] == progress
        assert list(journal_of(world).steps) == keys(wanted)[:len(reports) // 2 + 1]
        reports.append((step.key, progress.ended is not None))

    run = world.command(wanted, report=report)
    assert reports == [(key, ended) for key in keys(wanted) for ended in (False, True)]
    assert world.done == keys(wanted)
    assert (run.outcome, run.ended, run.steps["fence"].note) == ("done", NOW, "fence is done")
    assert journal_of(world) == run


def test_a_step_that_is_not_finished_or_fails_is_tried_again() -> None:
    world = World()
    world.troubles = {"promote": [None, "it does not answer", None]}
    run = world.command(FAILOVER)
    assert world.done == keys(FAILOVER)
    assert run.steps["promote"] == StepProgress(began=NOW, ended=NOW + world.clock.now, note="promote is done")
    assert world.clock.now == pytest.approx(3 * PAUSE)


def test_a_long_step_is_asked_for_less_and_less_often() -> None:
    world = World()
    world.troubles = {"rejoin": [None] * 600}
    world.command(PLANS[Action.FAILBACK])
    asked = [asked.at for asked in world.asked if asked.key == "rejoin"]
    assert len(asked) == 601
    for (before, after), first in zip(pairwise(asked), [asked[0]] * 600, strict=True):
        assert after - before == pytest.approx(max(PAUSE, (before - first) / 100))


@pytest.mark.parametrize(("trouble", "why"), [(None, "it is not finished"), ("it is away", "it is away")])
def test_a_step_over_its_budget_ends_the_drive_and_the_same_command_continues(trouble: str | None, why: str) -> None:
    world = World()
    world.troubles = {"traffic": ["before that", *[trouble] * 60]}
    with pytest.raises(StepTimedOut) as caught:
        world.command(FAILOVER)
    assert str(caught.value) == f"traffic was not done within 10 s: {why}"
    assert 10 <= world.clock.now < 10 + 2 * PAUSE
    broken = journal_of(world)
    assert broken.what == f"failover to {AWAY}, step traffic"

    world.troubles.clear()
    run = world.command(FAILOVER)
    assert (run.id, run.began, run.steps["traffic"].began, run.what) == (broken.id, NOW, NOW, f"failover to {AWAY}")
    assert [asked.key for asked in world.asked].count("fence") == 1


@pytest.mark.parametrize("done", [False, True])
def test_a_step_whose_end_could_not_be_noted_is_done_again(done: bool) -> None:
    world = World()
    # To claim is a read and a write; a step is a write, the step itself and a write.
    world.network.faults = [*[None] * 4, Fault(client_error("AccessDeniedException"), done=done)]
    run = world.command(FAILOVER)
    assert [asked.key for asked in world.asked[:3]] == ["fence", "fence", "traffic"]
    assert (world.done, journal_of(world)) == (keys(FAILOVER), run)


def test_a_driver_that_cannot_write_the_journal_does_nothing_more() -> None:
    world = World()
    world.troubles = {"promote": [None] * 1000}
    world.network.meanwhile = {20: lambda: setattr(world.dynamodb, "refuses", True)}
    with pytest.raises(StepTimedOut, match="promote was not done within 480 s: table AccessDeniedException"):
        world.command(FAILOVER)
    assert max(asked.at for asked in world.asked) < 2 * HOLD
    with pytest.raises(StoreUnavailable):
        world.command(FAILOVER)


def test_an_internal_error_in_a_step_is_raised() -> None:
    world = World()
    world.network.faults = [*[None] * 3, Fault(KeyError("Status"))]
    with pytest.raises(KeyError):
        world.command(FAILOVER)


# --- The heartbeat

def test_a_driver_has_a_heartbeat_during_a_long_step_and_not_afterwards() -> None:
    world = World()
    beats: list[int] = []

    def promoting() -> None:
        beat = world.background.tasks[0]
        for fault in (None, Fault(client_error("AccessDeniedException")), None):
            world.network.faults = [fault]
            beat()
            beats.append(world.journalled()["beat"])

    run = claimed(world)
    world.network.meanwhile = {3: promoting}
    world.runner(FAILOVER, run).drive()
    assert beats == [2, 2, 3]  # one that the table refuses is followed by others
    assert world.background.tasks == []


def test_a_driver_whose_heartbeat_is_refused_stops_after_the_step() -> None:
    world = World()

    def taken_over() -> None:
        run = journal_of(world)
        world.table.write_run(next_heartbeat(run, driver="second"), run)
        world.background.tasks[0]()

    run = claimed(world)
    world.network.meanwhile = {3: taken_over}
    with pytest.raises(AlreadyRunning, match=f"^already running: failover to {AWAY}, step fence, by second$"):
        world.runner(FAILOVER, run).drive()
    assert world.done == ["fence"]

# --- Killed

def calls_of(wanted: Plan) -> int:
    """How many calls a run takes: two to claim it; for a step its beginning, itself and its end; the run's end."""
    world = World()
    world.command(wanted)
    assert len(world.network.calls) == 2 + 3 * len(wanted.steps) + 1
    return len(world.network.calls)


@every_plan
@pytest.mark.parametrize("done", [False, True])
def test_a_run_killed_before_or_after_any_call_is_finished_by_the_same_command(wanted: Plan, done: bool) -> None:
    calls = calls_of(wanted)
    for number in range(calls):
        world = World()
        world.network.faults = [*[None] * number, Fault(Crash(), done=done)]
        with pytest.raises(Crash):
            world.command(wanted, "first")
        if not (done and number == calls - 1):  # it crashed after the last call
            world.command(wanted, "second")
        run = journal_of(world)
        assert (world.done, list(run.steps), run.outcome) == (keys(wanted), keys(wanted), "done")
        assert all(step.ended for step in run.steps.values())
        asked = [asked.key for asked in world.asked]
        assert sum(asked.count(key) - 1 for key in keys(wanted)) <= 1  # at most the step at which it crashed


@given(st.sampled_from(Action), troubles, kills)
@settings(max_examples=60, deadline=None)
def test_a_run_killed_repeatedly_while_steps_fail_is_finished(
        action: Action, trouble: dict[str, list[str | None]], killed: list[list[Fault | None]]) -> None:
    wanted, world = PLANS[action], World()
    world.troubles = trouble
    for number, faults in enumerate([*killed, []]):
        world.network.faults = list(faults)
        try:
            run = world.command(wanted, f"driver {number}")
        except Crash:
            continue
        world.network.faults.clear()
        assert (world.done, list(run.steps), run.outcome) == (keys(wanted), keys(wanted), "done")
        assert journal_of(world) == run
        break
    else:
        raise AssertionError("it was not finished")


# --- Two drivers

@pytest.mark.parametrize("number", [0, 1])
def test_of_two_drivers_that_begin_at_once_one_wins_and_the_other_learns_its_name(number: int) -> None:
    world = World()
    won: list[Run] = []
    world.clock.sleeping = [beating(world)]
    world.network.meanwhile = {number: lambda: won.append(claimed(world, driver="second"))}
    with pytest.raises(AlreadyRunning, match=f"^already running: failover to {AWAY}, by second$"):
        claimed(world)
    assert (journal_of(world).id, journal_of(world).driver) == (won[0].id, "second")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_of_two_drivers_that_continue_for_a_third_one_wins_and_the_other_learns_its_name(number: int) -> None:
    world = World()
    broken = claimed(world, driver="third")
    world.network.calls.clear()
    won: list[Run] = []

    def overtaken() -> None:
        now = world.clock.now
        won.append(claimed(world, driver="second"))
        world.clock.now = now  # the other driver's time, not that of the call which it interrupts
        world.clock.sleeping = [beating(world)]

    world.network.meanwhile = {number: overtaken}
    with pytest.raises(AlreadyRunning, match=f"^already running: failover to {AWAY}, by second$"):
        claimed(world)
    assert (won[0].id, won[0].beat, won[0].began) == (broken.id, 1, broken.began)
    assert journal_of(world).driver == "second"


@dataclass
class Successor:
    """A driver that takes over and does everything: the steps and calls by then, and the result."""

    world: World
    wanted: Plan
    asked: int = 0
    calls: int = 0
    left: tuple[list[str], Run] | None = None

    def takes_over(self) -> None:
        """Do everything."""
        run = self.world.command(self.wanted, "second")
        self.asked, self.calls = len(self.world.asked), len(self.world.network.calls)
        self.left = list(self.world.done), run


@pytest.mark.parametrize("wanted", [FAILOVER, PLANS[Action.SWITCHOVER]], ids=["the same", "another"])
def test_a_driver_taken_for_dead_learns_who_took_over_and_changes_nothing_more(wanted: Plan) -> None:
    for number in range(1, calls_of(FAILOVER)):
        world = World()
        successor = Successor(world, wanted)
        world.network.meanwhile = {number: successor.takes_over}
        with pytest.raises(AlreadyRunning) as caught:
            world.command(FAILOVER)
        in_flight = world.network.calls[successor.calls]
        assert caught.value.driver == "second"
        assert [f"step {each.key}" for each in world.asked[successor.asked:]] == (
            [in_flight] if in_flight.startswith("step") else [])
        assert (world.done, journal_of(world)) == successor.left


def test_a_driver_taken_for_dead_during_a_step_does_not_ask_for_it_again() -> None:
    world = World()

    asked: list[str] = []

    def do(step: Step, _run: Run) -> None:
        """Not finished, and meanwhile another driver does everything."""
        asked.append(step.key)
        world.command(FAILOVER, "second")

    with pytest.raises(AlreadyRunning, match=f"^already running: failover to {AWAY}, by second$"):
        world.command(FAILOVER, do=do)
    assert asked == ["fence"]


def changing(world: World, **changes: Any) -> Callable[[], None]:
    """A sudden change of the journal."""
    return lambda: world.table.write_document(JOURNAL_KEY, replace(journal_of(world), **changes).document())


@every_plan
@pytest.mark.parametrize("happens", [
    beating, partial(changing, ended=NOW, beat=9), partial(changing, id="another"),
    lambda world: partial(world.dynamodb.items.pop, JOURNAL_KEY)], ids=["heartbeat", "end", "another", "gone"])
def test_a_run_with_a_live_driver_is_left_alone(
        wanted: Plan, happens: Callable[[World], Callable[[], object]]) -> None:
    world = World()
    claimed(world, driver="second")
    world.clock.sleeping = [happens(world)]
    with pytest.raises(AlreadyRunning, match=f"^already running: failover to {AWAY}, by second$"):
        claimed(world, wanted)
    assert "first" not in str(world.dynamodb.items)


def test_a_run_of_another_plan_is_replaced_if_its_driver_is_dead() -> None:
    world = World()
    broken = claimed(world)
    run = claimed(world, PLANS[Action.FAILBACK], "second")
    assert (run.id != broken.id, run.action, run.driver, run.steps) == (True, "failback", "second", {})
    assert world.clock.now == HOLD


@every_plan
def test_a_run_that_has_ended_is_replaced_at_once(wanted: Plan) -> None:
    world = World()
    first = world.command(FAILOVER)
    assert (claimed(world, wanted).id != first.id, world.clock.now) == (True, 0)
