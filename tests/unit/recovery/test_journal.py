"""The journal of the latest run, which is the lock of all drivers."""
import json
from dataclasses import replace

import pytest

from contract import JOURNAL_KEY
from recovery.errors import AlreadyRunning, JournalGone
from recovery.journal import Run, StepProgress, next_heartbeat
from tests.unit.payments.fakes import Fault
from tests.unit.recovery.fakes import AWAY, NOW, World

RUN = Run(id="1", action="failover", target=AWAY, driver="first", began=NOW, why="it is dead")


@pytest.fixture
def world() -> World:
    """The region that takes over."""
    return World()


def test_at_first_there_is_no_run(world: World) -> None:
    assert world.journal.latest() is None


def test_a_run_is_json_and_can_be_read_again(world: World) -> None:
    steps = {"fence": StepProgress(began=1, ended=2, note="x"), "traffic": StepProgress(began=3)}
    run = replace(RUN, steps=steps, ended=4.0)
    assert Run.of(json.loads(json.dumps(run.document()))) == run
    world.journal.write(run, None)
    assert world.journal.latest() == run


def test_a_driver_keeps_the_journal_until_another_one_takes_it(world: World) -> None:
    world.journal.write(RUN, None)
    later = next_heartbeat(RUN, steps={"fence": StepProgress(began=1)})
    world.journal.write(later, RUN)
    world.journal.write(next_heartbeat(later), RUN)  # the heartbeat is not compared
    taken = replace(later, driver="second")
    world.journal.write(taken, later)
    for lost in (RUN, later):
        with pytest.raises(AlreadyRunning) as caught:
            world.journal.write(next_heartbeat(lost), lost)
        assert (caught.value.driver, caught.value.what) == ("second", f"failover to {AWAY}, step fence")
        assert str(caught.value) == f"already running: failover to {AWAY}, step fence, by second"
    for another in (None, replace(taken, id="2")):
        with pytest.raises(AlreadyRunning):
            world.journal.write(replace(taken, id="2"), another)
    assert world.journal.latest() == taken


@pytest.mark.parametrize("before", [None, replace(RUN, driver="second")], ids=["new", "taken over"])
def test_a_write_whose_answer_is_lost_succeeds(world: World, before: Run | None) -> None:
    if before:
        world.journal.write(before, None)
    world.network.faults = [Fault(TimeoutError(), done=True)]
    world.journal.write(RUN, before)
    assert world.network.calls[-2:] == ["PutItem", "PutItem"]
    assert world.journal.latest() == RUN


def test_a_deleted_journal_ends_the_run(world: World) -> None:
    world.journal.write(RUN, None)
    del world.dynamodb.items[JOURNAL_KEY]
    with pytest.raises(JournalGone, match=f"^the journal of this run was deleted: failover to {AWAY}$"):
        world.journal.write(next_heartbeat(RUN), RUN)


def test_a_heartbeat_changes_the_count_and_what_is_asked_for() -> None:
    assert next_heartbeat(RUN) == replace(RUN, beat=1)
    assert next_heartbeat(RUN, driver="second") == replace(RUN, beat=1, driver="second")
