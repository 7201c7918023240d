"""What recovery stores in the table: conditions, and whose clock counts."""
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from contract import OBSERVATION_PREFIX, PAUSE_KEY, RECORD_KEY
from payments.clock import Stopwatch
from payments.errors import StoreUnavailable
from recovery.control_table import ControlTable
from recovery.errors import AlreadyRunning, RecordGone
from recovery.observation import Observation
from recovery.record import Run
from simulator.dynamodb import DynamoClient
from simulator.scheduler import EPOCH
from tests.unit.recovery.calm_world import EAST, WEST, CalmWorld

RUN = Run(id="1", action="failover", target=WEST, driver="alice", began=1.0, why="dead")


@pytest.fixture
def world() -> CalmWorld:
    """An eventual table."""
    return CalmWorld()


def test_the_leader_of_a_new_stack_is_the_primary_region(world: CalmWorld) -> None:
    found = world.run_task(world.table_in(WEST).record)
    assert (found.region, found.epoch, found.revision, found.run) == (EAST, 1, 1, None)


def test_without_a_record_nobody_leads(world: CalmWorld) -> None:
    del world.table.views[WEST][RECORD_KEY]
    with pytest.raises(StoreUnavailable, match="LeadershipMissing"):
        world.run_task(world.table_in(WEST).record)


def test_only_the_next_revision_of_what_is_there_can_be_written(world: CalmWorld) -> None:
    table = world.table_in(WEST)
    first = world.run_task(table.record)
    second = world.run_task(lambda: table.write_record(first.next(run=RUN)))
    assert (second.revision, world.record().run) == (2, RUN)
    with pytest.raises(AlreadyRunning, match="already running: failover to us-west-2, by alice"):
        world.run_task(lambda: table.write_record(first.next(run=replace(RUN, driver="bob"))))
    assert world.record() == replace(second, at=0.0)


def test_a_write_whose_answer_was_lost_is_no_loss_of_the_run(world: CalmWorld) -> None:
    table = world.table_in(WEST)
    first = world.run_task(table.record)
    world.run_task(lambda: table.write_record(first.next(run=RUN)))
    assert world.run_task(lambda: table.write_record(first.next(run=RUN))).revision == 2


def test_another_driver_without_a_run_is_named_too(world: CalmWorld) -> None:
    table = world.table_in(WEST)
    first = world.run_task(table.record)
    world.run_task(lambda: table.write_record(first.next()))
    with pytest.raises(AlreadyRunning, match="already running: a run, by another driver"):
        world.run_task(lambda: table.write_record(first.next(run=RUN)))


def test_a_record_that_is_gone_ends_the_run(world: CalmWorld) -> None:
    table = world.table_in(WEST)
    first = world.run_task(table.record)
    del world.table.views[WEST][RECORD_KEY]
    with pytest.raises(RecordGone):
        world.run_task(lambda: table.write_record(first.next(run=RUN)))


def test_of_two_starts_of_a_controller_one_writes_what_it_saw(world: CalmWorld) -> None:
    table = world.table_in(WEST)
    first, second = (Observation(region=WEST, at=1.0, number=number) for number in (1, 2))
    assert world.run_task(lambda: table.write_observation(first, None))
    assert world.run_task(lambda: table.write_observation(second, first))
    assert not world.run_task(lambda: table.write_observation(replace(second, why="late"), first))
    found = world.run_task(lambda: table.observation(WEST))
    assert found
    assert (found.number, found.why) == (2, "")


@pytest.mark.parametrize("item", [
    {}, {"number": {"N": "one"}}, *({"document": {"S": document}} for document in (
        "{", "[]", "{}", '{"region": "us-west-2", "at": 5, "covered": 6}',
        '{"region": "us-west-2", "at": NaN, "covered": 5}', "[" * 100_000,
        '{"region": "us-west-2", "at": 5, "pending": [[1, 6]]}'))])
def test_an_observation_that_cannot_be_read_is_none(world: CalmWorld, item: dict[str, Any]) -> None:
    sound = {"number": {"N": "1"}, "document": {"S": '{"region": "us-west-2", "at": 5, "covered": 5}'}}
    world.table.put(WEST, OBSERVATION_PREFIX + WEST, sound)
    assert world.run_task(partial(world.table_in(WEST).observation, WEST))
    world.table.put(WEST, OBSERVATION_PREFIX + WEST, {**sound, **item} if item else {})
    assert world.run_task(partial(world.table_in(WEST).observation, WEST)) is None


@pytest.mark.parametrize(("document", "in_force"), [
    ('{"until": 9e9, "reason": "work", "who": "bob", "release": 2}', True), ('{"until": 1}', False), ("{", False),
    ('{"until": 0, "reason": "work", "who": "bob"}', False), ('["work"]', False),
    ("[" * 100_000, False), ('{"until": NaN, "reason": "work", "who": "bob"}', False),
    ('{"until": "noon", "reason": "work", "who": "bob"}', False)])
def test_a_pause_ends_by_itself_and_an_unreadable_one_is_none(
        world: CalmWorld, document: str, *, in_force: bool) -> None:
    table = world.table_in(WEST)
    assert world.run_task(table.pause) is None
    world.table.put(WEST, PAUSE_KEY, {"document": {"S": document}})
    found = world.run_task(table.pause)
    assert (found is not None) is in_force
    assert found is None or (found.reason, found.who) == ("work", "bob")


# --- Time

def table_of(world: CalmWorld, **changes: Any) -> ControlTable:
    """The table in the west, for a process whose clocks are changed."""
    process = world.process(WEST)
    for name, value in changes.items():
        setattr(process, name, value)
    return world.cloud(process=process).table


@pytest.mark.parametrize("skew", [0.0, -600.0, 600.0])
def test_the_time_is_that_of_the_table_service_whatever_the_machines_clock_says(world: CalmWorld, skew: float) -> None:
    table = table_of(world, skew=skew)
    world.wait(100.0)
    assert world.run_task(lambda: table.now) == pytest.approx(EPOCH + world.scheduler.now, rel=0, abs=1.1)
    assert table.heard <= EPOCH + world.scheduler.now


def test_the_time_goes_on_between_two_answers(world: CalmWorld) -> None:
    process = world.process(WEST)
    table = world.cloud(process=process).table
    before = world.run_task(lambda: table.now, process)
    world.wait(50.0)
    assert table.now == pytest.approx(before + 50.0, rel=0, abs=1.0)
    assert table.heard <= before


@pytest.mark.parametrize("stop", [
    lambda process: process.freeze(40.0), lambda process: setattr(process, "skew", -400.0)])
def test_a_clock_that_stands_still_or_is_set_back_does_not_hide_time(
        world: CalmWorld, stop: Callable[[Any], object]) -> None:
    process = world.process(WEST)
    process.stands_still = True
    watch = Stopwatch(process)
    stop(process)
    world.wait(40.0)
    assert watch.seconds() == pytest.approx(40.0)


def test_an_answer_without_a_date_leaves_the_time_unknown(world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DynamoClient, "get_item", lambda *_args, **_given: {})
    assert table_of(world).heard == 0.0
