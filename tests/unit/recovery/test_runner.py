"""A run: who holds it, what it proves before each irreversible act, and how it ends."""
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from payments.clock import Stopwatch
from payments.errors import StoreUnavailable
from recovery.cloud import Cloud
from recovery.control_table import ControlTable
from recovery.errors import AlreadyRunning, AwsFailure, EvidenceTooOld, GivenUp, StepTimedOut
from recovery.plan import FAIL_OVER, FENCE, MOVE_TRAFFIC, Action, Evidence, Step
from recovery.record import ControlRecord, Run, StepProgress
from recovery.runner import (
    EVIDENCE_LASTS,
    LATE,
    PATIENCE,
    STILL,
    Hold,
    Intent,
    Runner,
    claim,
    end_open_run,
    end_undecided_run,
)
from simulator.faults import FAULTS
from tests.unit.recovery.calm_world import EAST, WEST, CalmWorld


@pytest.fixture
def world() -> CalmWorld:
    """A strong table, so that both regions see one record."""
    return CalmWorld(strong=True)


def leave_open(world: CalmWorld, action: Action = Action.FAILOVER, to: str = WEST, *, fenced: bool = False) -> Run:
    """A run whose driver has stopped."""
    hold = world.claim(action, to, driver="bob")
    if fenced:
        world.run_task(hold.fence)
    return hold.run


def claimed_by_a_clock(world: CalmWorld, skew: float) -> Run:
    """A failover, claimed on a machine whose clock is so many seconds ahead."""
    process = world.process()
    process.skew = skew
    cloud = world.cloud(process=process)

    def work() -> Run:
        since = Stopwatch(cloud.clock)
        return claim(cloud, Intent(plan=cloud.plan, driver="alice", why="", facts=cloud.facts(), since=since)).run

    return world.run_task(work)


# --- Claims

def test_a_new_run_says_who_began_it_and_why(world: CalmWorld) -> None:
    run = world.claim(accepted=True).run
    assert (run.action, run.target, run.driver, run.why, run.accepted) == ("failover", WEST, "alice", "asked for", True)
    assert (run.epoch, run.ended, world.record().run) == (0, None, run)
    assert world.record().region == EAST


def test_a_run_whose_driver_lives_is_left_alone(world: CalmWorld) -> None:
    hold = world.claim(driver="bob")
    world.at(1.0, partial(world.scheduler.spawn, world.process(), hold.prove))
    with pytest.raises(AlreadyRunning, match="already running: failover to us-west-2, by bob"):
        world.claim()


def test_who_has_taken_a_run_over_meanwhile_is_named(world: CalmWorld) -> None:
    left = leave_open(world, fenced=True)
    table, taken = world.table_in(WEST), replace(left, driver="the controller")
    world.at(1.0, partial(world.scheduler.spawn, world.process(), lambda: table.write_record(
        table.record().next(run=taken))))
    with pytest.raises(AlreadyRunning, match="by the controller"):
        world.claim()


def test_a_run_that_has_decided_nothing_is_replaced_once_its_driver_is_still(world: CalmWorld) -> None:
    left, began = leave_open(world), world.scheduler.now
    run = world.claim().run
    assert run.id != left.id
    assert world.scheduler.now - began >= STILL


def test_a_run_that_has_fenced_goes_on_under_another_driver(world: CalmWorld) -> None:
    left = leave_open(world, fenced=True)
    run = world.claim().run
    assert (run.id, run.epoch, run.driver) == (left.id, 2, "alice")


def test_the_journal_goes_on_by_the_new_drivers_clock(world: CalmWorld) -> None:
    left = leave_open(world, fenced=True)
    run = claimed_by_a_clock(world, 600.0)
    assert (run.id, run.driver) == (left.id, "alice")
    assert run.began - left.began == pytest.approx(600.0, abs=1.1)


@pytest.mark.parametrize("skew", [-600.0, 0.0, 600.0])
def test_when_the_other_region_failed_is_told_by_the_drivers_clock(world: CalmWorld, skew: float) -> None:
    world.cut_off(EAST)
    run = claimed_by_a_clock(world, skew)
    assert run.since
    assert run.ahead == pytest.approx(skew, abs=1.1)
    assert 40.0 <= run.began - run.since <= 70.0


@pytest.mark.parametrize("fenced", [False, True])
def test_a_failover_takes_the_record_from_a_planned_move_at_once(world: CalmWorld, *, fenced: bool) -> None:
    left, began = leave_open(world, Action.SWITCHOVER, fenced=fenced), world.scheduler.now
    hold = world.claim()
    assert hold.run.id != left.id
    assert world.scheduler.now - began < STILL


def test_to_align_takes_the_record_from_a_planned_move_only_before_its_fence(world: CalmWorld) -> None:
    planned = world.claim(Action.SWITCHOVER, driver="bob")
    world.run_task(planned.prove)
    assert world.claim(Action.ALIGN).run.action == "align"
    with pytest.raises(AlreadyRunning):
        world.run_task(planned.prove)


def interfere(cloud: Cloud, other: Hold, writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the holder of another run write the record so many times, each between a read and the write after it."""
    left, read = [writes], ControlTable.record

    def interfered(table: ControlTable) -> ControlRecord:
        found = read(table)
        if table is cloud.table and left[0]:
            left[0] -= 1
            other.prove()
        return found

    monkeypatch.setattr(ControlTable, "record", interfered)


@pytest.mark.parametrize(("writes", "taken"), [(2, True), (99, False)])
def test_a_failover_takes_the_record_although_the_planned_moves_driver_writes_it_too(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch, writes: int, *, taken: bool) -> None:
    other, cloud = world.claim(Action.SWITCHOVER, driver="bob"), world.cloud()
    facts = world.run_task(cloud.facts)
    interfere(cloud, other, writes, monkeypatch)
    intent = Intent(plan=cloud.plan, driver="alice", why="dead", facts=facts, since=Stopwatch(cloud.clock))
    if taken:
        assert world.run_task(lambda: claim(cloud, intent)).run.driver == "alice"
    else:
        with pytest.raises(AlreadyRunning):
            world.run_task(lambda: claim(cloud, intent))


@pytest.mark.parametrize(("writes", "ends"), [(2, True), (99, False)])
def test_an_undecided_run_is_ended_although_its_driver_writes_it_too(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch, writes: int, *, ends: bool) -> None:
    other, cloud = world.claim(Action.SWITCHOVER, driver="bob"), world.cloud()
    interfere(cloud, other, writes, monkeypatch)
    if ends:
        assert world.run_task(lambda: end_undecided_run(cloud, "aborted")) == other.run
        assert world.record().open_run is None
    else:
        with pytest.raises(AlreadyRunning):
            world.run_task(lambda: end_undecided_run(cloud, "aborted"))


# --- Fences

@pytest.mark.parametrize(("seen", "ledger", "epoch"), [(1, 0, 2), (1, 6, 8), (1, 7, 8), (4, 3, 6)])
def test_a_fence_takes_an_epoch_above_every_one_that_is_known(
        world: CalmWorld, seen: int, ledger: int, epoch: int) -> None:
    world.set_record(epoch=seen)
    world.aurora.books[WEST].epoch = ledger
    hold = world.claim()
    assert world.run_task(hold.fence) == epoch
    record = world.record()
    assert (record.region, record.epoch, record.run and record.run.epoch) == (WEST, epoch, epoch)


def test_the_primary_regions_epochs_are_odd(world: CalmWorld) -> None:
    world.set_record(region=WEST, epoch=2)
    assert world.run_task(world.claim(Action.FAILOVER, EAST).fence) == 3


def test_a_region_that_seems_to_lead_already_takes_a_new_epoch(world: CalmWorld) -> None:
    world.set_record(region=WEST, epoch=2)
    assert world.run_task(world.claim().fence) == 4


def test_a_second_fence_of_the_same_run_changes_nothing(world: CalmWorld) -> None:
    hold = world.claim()
    world.run_task(hold.fence)
    revision = world.record().revision
    assert (world.run_task(hold.fence), world.record().revision) == (2, revision)


def test_a_decision_that_has_grown_old_is_not_fenced_on(world: CalmWorld) -> None:
    hold = world.claim()
    world.wait(EVIDENCE_LASTS + 0.1)
    with pytest.raises(EvidenceTooOld):
        world.run_task(hold.fence)
    assert world.record().region == EAST


def test_a_decision_that_grows_old_while_another_task_writes_is_not_fenced_on(world: CalmWorld) -> None:
    hold, process = world.claim(), world.process()

    def write_for_long() -> None:
        with hold._lock:  # pylint: disable=protected-access
            process.sleep(EVIDENCE_LASTS + 0.1)

    world.scheduler.spawn(process, write_for_long)
    world.wait(0.1)
    with pytest.raises(EvidenceTooOld):
        world.run_task(hold.fence)
    assert world.record().region == EAST


@pytest.mark.parametrize("stop", [
    lambda process: process.freeze(900.0), lambda process: setattr(process, "skew", -900.0)])
def test_a_driver_that_was_frozen_does_not_fence_whatever_its_clocks_say(
        world: CalmWorld, stop: Callable[[Any], object]) -> None:
    process = world.process()
    process.stands_still = True
    hold = world.claim()
    hold.intent.since.__init__(process)  # type: ignore[misc]  # pylint: disable=unnecessary-dunder-call
    stop(process)
    world.wait(900.0)
    with pytest.raises(EvidenceTooOld):
        world.run_task(hold.fence)


def fence_late(world: CalmWorld, monkeypatch: pytest.MonkeyPatch, hold: Hold, *, answered: bool) -> None:
    """Drive a run whose driver is frozen in the write of its fence, which may give it no answer."""
    write, process = ControlTable.write_record, world.process()

    def write_late(table: ControlTable, record: ControlRecord) -> ControlRecord:
        if record.run and record.run.epoch:
            monkeypatch.undo()
            process.sleep(LATE)
            found = write(table, record)
            if answered:
                return found
            raise StoreUnavailable("table", "TimeoutError", again=True)
        return write(table, record)

    def do(step: Step, held: Hold) -> str:
        if step != FENCE:
            return ""
        if not held.run.epoch:
            monkeypatch.setattr(ControlTable, "write_record", write_late)
        return str(held.fence())

    with suppress(EvidenceTooOld, StepTimedOut):
        world.run_task(Runner(hold=hold, do=do, report=lambda _step, _progress: None).drive)


def led(world: CalmWorld) -> tuple[str, int, str]:
    """Who leads, under which epoch, and what became of the run, which has ended."""
    found = world.record()
    assert found.run
    assert found.run.ended
    return found.region, found.epoch, found.run.outcome


@pytest.mark.parametrize("evidence", [Evidence.UNREADY, Evidence.NONE])
def test_a_driver_that_is_frozen_in_the_write_of_its_fence_gives_the_leadership_back(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch, evidence: Evidence) -> None:
    fence_late(world, monkeypatch, world.claim(evidence=evidence), answered=True)
    assert led(world) == (EAST, 3, "us-east-1 may have been fenced too late, so it is to lead again")
    assert world.record().moved == 0.0


@pytest.mark.parametrize(("evidence", "accepted"), [(Evidence.NONE, True), (Evidence.DEAD, False)])
def test_a_late_fence_counts_if_the_loss_is_accepted_or_the_second_view_is_asked_again(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch, evidence: Evidence, accepted: bool) -> None:
    fence_late(world, monkeypatch, world.claim(evidence=evidence, accepted=accepted), answered=True)
    assert led(world) == (WEST, 2, "done")


@pytest.mark.parametrize(("steps", "accepted", "leads"), [
    ({}, False, EAST), ({}, True, WEST), ({FENCE.key: StepProgress(began=1.0, ended=2.0)}, False, WEST),
    ({FENCE.key: StepProgress(began=1.0), FAIL_OVER.key: StepProgress(began=3.0)}, False, WEST)])
def test_whoever_carries_on_a_failover_for_a_failing_canary_must_know_that_its_fence_was_in_time(
        world: CalmWorld, steps: dict[str, StepProgress], accepted: bool, leads: str) -> None:
    hold = world.claim(evidence=Evidence.UNREADY, driver="bob")
    world.run_task(hold.fence)
    world.run_task(partial(hold.write, steps=steps))
    hold = world.claim(accepted=accepted)
    runner = Runner(hold=hold, do=lambda _step, held: str(held.fence()), report=lambda _step, _progress: None)
    with suppress(EvidenceTooOld):
        world.run_task(runner.drive)
    assert led(world)[0] == leads


@pytest.mark.parametrize(("action", "leader"), [
    (Action.FAILOVER, EAST), (Action.SWITCHOVER, EAST), (Action.ALIGN, WEST)])
def test_a_late_fence_without_an_answer_is_undone_but_where_the_writer_is(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch, action: Action, leader: str) -> None:
    world.aurora.writer = WEST if action is Action.ALIGN else EAST
    fence_late(world, monkeypatch, world.claim(action), answered=False)
    assert led(world) == (leader, 3 if leader == EAST else 2, "fence was not done within 10 s: table TimeoutError")


def test_a_region_that_led_before_a_late_fence_goes_on_leading(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.set_record(region=WEST, epoch=2)
    fence_late(world, monkeypatch, world.claim(evidence=Evidence.DEAD), answered=True)
    assert (world.record().region, world.record().epoch) == (WEST, 4)


def test_a_write_that_another_driver_has_overtaken_is_not_taken_for_an_unanswered_one(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    hold, write = world.claim(), ControlTable.write_record

    def unanswered(*_: Any) -> ControlRecord:
        raise StoreUnavailable("table", "TimeoutError", again=True)

    monkeypatch.setattr(ControlTable, "write_record", unanswered)
    with pytest.raises(StoreUnavailable):
        world.run_task(hold.prove)
    monkeypatch.setattr(ControlTable, "write_record", write)
    world.wait(STILL)
    world.claim(driver="bob")
    with pytest.raises(AlreadyRunning, match="by bob"):
        world.run_task(hold.prove)


@pytest.mark.parametrize(("seconds", "ends"), [(PATIENCE - 3.0, True), (PATIENCE + 3.0, False)])
def test_the_end_of_a_run_is_written_as_soon_as_the_table_answers_again(
        world: CalmWorld, seconds: float, ends: bool) -> None:
    hold = world.claim()
    world.run_task(hold.fence)
    FAULTS["lose-dynamodb-hang"][0](world, WEST)
    world.at(seconds, lambda: FAULTS["lose-dynamodb-hang"][1](world, WEST))
    with nullcontext() if ends else pytest.raises(StoreUnavailable):
        world.run_task(partial(hold.end, "it is back", give_back=True))
    world.wait(PATIENCE)
    assert (world.record().region, world.record().open_run is None) == ((EAST, True) if ends else (WEST, False))


def test_a_planned_move_may_wait_if_it_is_decided_again_before_its_fence(world: CalmWorld) -> None:
    hold = world.claim(Action.SWITCHOVER)
    world.wait(600.0)
    with pytest.raises(EvidenceTooOld):
        world.run_task(hold.fence)
    hold.intent = replace(hold.intent, since=Stopwatch(hold.cloud.clock))
    assert world.run_task(hold.fence) == 2


def test_a_run_whose_leadership_is_gone_is_given_up(world: CalmWorld) -> None:
    leave_open(world, fenced=True)
    world.set_record(region=EAST, epoch=3)
    with pytest.raises(GivenUp, match="us-east-1 has taken leadership under epoch 3 meanwhile"):
        world.run_task(world.claim().fence)


def test_whoever_lost_the_record_can_prove_nothing(world: CalmWorld) -> None:
    hold = world.claim(driver="bob")
    world.claim()
    hold.intent = replace(hold.intent, since=Stopwatch(hold.cloud.clock))
    for act in (hold.prove, hold.fence):
        with pytest.raises(AlreadyRunning, match="by alice"):
            world.run_task(act)


@pytest.mark.parametrize(("action", "cools"), [(Action.FAILOVER, True), (Action.SWITCHOVER, False)])
def test_a_failover_is_remembered_until_the_next_planned_move(world: CalmWorld, action: Action, *, cools: bool) -> None:
    world.set_record(moved=5.0)
    world.run_task(world.claim(action).fence)
    assert (world.record().moved > 5.0) is cools
    assert world.record().moved != 5.0


def test_to_bring_leader_and_writer_together_is_no_planned_move(world: CalmWorld) -> None:
    world.set_record(moved=5.0)
    world.run_task(world.claim(Action.ALIGN).fence)
    assert world.record().moved == 5.0


# --- Steps

def driven(
        world: CalmWorld, do: Callable[..., Any], action: Action = Action.FAILOVER) -> tuple[Hold, Callable[[], Run]]:
    """A run, and what carries it out."""
    hold = world.claim(action)
    return hold, lambda: world.run_task(Runner(hold=hold, do=do, report=lambda _step, _progress: None).drive)


def test_a_run_is_written_down_step_by_step_and_ends(world: CalmWorld) -> None:
    _, drive = driven(world, lambda step, _: f"{step.key} done")
    run = drive()
    assert [*run.steps] == ["fence", "traffic", "promote", "epoch", "verify"]
    assert all(progress.ended is not None and progress.note == f"{key} done" for key, progress in run.steps.items())
    assert (run.outcome, world.record().run) == ("done", run)


def test_a_step_is_tried_until_it_is_done(world: CalmWorld) -> None:
    answers = iter([None, AwsFailure("x"), StoreUnavailable("table", "y"), "at last"])

    def do(step: Any, _: Hold) -> str | None:
        found = next(answers) if step == MOVE_TRAFFIC else ""
        if isinstance(found, Exception):
            raise found
        return found

    _, drive = driven(world, do)
    assert drive().steps["traffic"].note == "at last"


@pytest.mark.parametrize(("failure", "why"), [(None, "it is not finished"), (AwsFailure("refused"), "refused")])
def test_a_step_that_takes_too_long_ends_the_run(world: CalmWorld, failure: Exception | None, why: str) -> None:
    def do(*_: Any) -> None:
        if failure:
            raise failure

    _, drive = driven(world, do)
    with pytest.raises(StepTimedOut, match=f"fence was not done within 10 s: {why}"):
        drive()
    found = world.record().run
    assert found
    assert (found.ended is not None, found.outcome) == (True, f"fence was not done within 10 s: {why}")


def test_a_run_that_is_given_up_ends_with_the_reason(world: CalmWorld) -> None:
    def do(*_: Any) -> None:
        raise GivenUp("no more")

    _, drive = driven(world, do)
    with pytest.raises(GivenUp):
        drive()
    assert world.ended() == ["failover to us-west-2: no more"]


@pytest.mark.parametrize(("error", "leads"), [(EvidenceTooOld("it is back"), EAST), (GivenUp("not permitted"), WEST)])
def test_a_failover_whose_reason_is_gone_gives_the_leadership_back_as_it_ends(
        world: CalmWorld, error: Exception, leads: str) -> None:
    def do(_: Any, hold: Hold) -> str:
        hold.fence()
        raise error

    _, drive = driven(world, do)
    with pytest.raises(type(error)):
        drive()
    assert world.ended() == [f"failover to us-west-2: {error}"]
    assert (world.record().region, world.record().epoch) == (leads, 3 if leads == EAST else 2)


def test_the_epoch_of_the_region_that_leads_again_is_above_what_the_ledger_has_seen(world: CalmWorld) -> None:
    hold = world.claim()
    facts = hold.intent.facts
    hold.intent = replace(hold.intent, facts=replace(facts, own=replace(facts.own, ledger_epoch=6)))
    world.run_task(hold.fence)
    world.run_task(partial(hold.end, "it is back", give_back=True))
    assert (world.record().region, world.record().epoch) == (EAST, 9)


def test_a_live_driver_keeps_writing_the_record(world: CalmWorld) -> None:
    revisions: list[int] = []

    def do(_: Any, hold: Hold) -> str:
        for _second in range(6):
            hold.cloud.clock.sleep(1.0)
            revisions.append(world.record().revision)
        return "done"

    _, drive = driven(world, do)
    drive()
    assert all(later > earlier for earlier, later in pairwise(revisions))


def test_a_driver_that_woke_up_proves_that_the_run_is_its_own_before_it_does_anything(world: CalmWorld) -> None:
    done: list[str] = []

    def do(step: Any, hold: Hold) -> str:
        done.append(step.key)
        if step == FENCE:
            world.set_record(run=replace(hold.run, driver="bob"))
            hold.cloud.clock.sleep(STILL)
        return "done"

    _, drive = driven(world, do)
    with pytest.raises(AlreadyRunning, match="by bob"):
        drive()
    assert done == ["fence"]


def test_done_is_proved_not_remembered(world: CalmWorld) -> None:
    """A run that goes on performs every step again from its fence, and none before it."""
    left = leave_open(world, Action.SWITCHOVER, fenced=True)
    steps = {key: StepProgress(began=1.0, ended=2.0, note="long ago") for key in ("caught-up", "fence", "promote")}
    world.set_record(run=replace(left, steps=steps))
    done: list[str] = []

    def do(step: Any, _: Any) -> str:
        done.append(step.key)
        return "again"

    _, drive = driven(world, do, Action.SWITCHOVER)
    run = drive()
    assert done == ["fence", "traffic", "promote", "epoch", "verify"]
    assert {key: each.note for key, each in run.steps.items()} == {
        "caught-up": "long ago", **dict.fromkeys(done, "again")}
    assert run.steps["promote"].began == 1.0


@pytest.mark.parametrize("ended", [False, True])
def test_a_run_that_nobody_holds_is_ended(world: CalmWorld, *, ended: bool) -> None:
    if ended:
        leave_open(world)
    cloud = world.cloud()
    world.run_task(lambda: end_open_run(cloud, cloud.table.record(), "expired"))
    assert world.ended() == (["failover to us-west-2: expired"] if ended else [])
