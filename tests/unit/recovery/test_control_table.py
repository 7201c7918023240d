"""What recovery keeps in the table, and the journal that is its lock."""
import json
from dataclasses import replace

import pytest

from payments.deadline import Deadline, Timing
from payments.errors import StoreUnavailable
from payments.leadership import Leadership
from recovery.control_table import DRILL, soon
from recovery.journal import KEY, AlreadyRunning, Run, StepProgress, next_beat
from recovery.observation import Observation
from tests.unit.payments.fakes import Fault, client_error
from tests.unit.recovery.fakes import AWAY, HOME, NOW, World

RUN = Run(id="1", action="failover", target=AWAY, driver="first", began=NOW, why="it is dead")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """One whose calls are repeated without a pause."""
    monkeypatch.setattr("recovery.control_table.soon", lambda: Deadline(Timing(pause=0), 2.6))
    return World()


def test_the_right_is_read_and_taken(world: World) -> None:
    assert world.table.right() == Leadership(1, HOME)
    assert world.table.take_right(AWAY, 4) == Leadership(5, AWAY)
    assert world.table.right() == Leadership(5, AWAY)


def test_each_region_has_a_watch_of_its_own(world: World) -> None:
    assert world.table.watch(AWAY) is None
    for region in (HOME, AWAY):
        world.table.keep_watch(Observation(region=region, at=NOW, lags={"table": 1.0}))
    assert world.table.watch(AWAY) == Observation(region=AWAY, at=NOW, lags={"table": 1.0})
    assert world.dynamodb.items.keys() == {"!right", f"!watch:{HOME}", f"!watch:{AWAY}"}


def test_a_document_replaces_the_last_one(world: World) -> None:
    assert world.table.document(DRILL) is None
    for outcome in ("failed", "passed"):
        world.table.keep(DRILL, {"outcome": outcome})
    assert world.table.document(DRILL) == {"outcome": "passed"}


def test_reads_are_consistent_and_of_the_table_that_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def get_item(**request: object) -> dict[str, object]:
        asked.append(request)
        return {}

    monkeypatch.setattr(world.dynamodb, "get_item", get_item)
    assert world.table.read("!x") is None
    assert asked == [{"TableName": "table", "Key": {"payment_id": {"S": "!x"}}, "ConsistentRead": True}]


def test_a_write_holds_what_it_was_told_to_find(world: World) -> None:
    first, second = ({"run": {"S": name}, "driver": {"S": "d"}} for name in "12")
    assert world.table.write("!x", first, {}) is None
    there = {"payment_id": {"S": "!x"}, **first}
    assert world.table.write("!x", second, {}) == there
    assert world.table.write("!x", second, {"run": "1", "driver": "another"}) == there
    assert world.table.write("!y", second, {"run": "1", "driver": "d"}) == {}
    assert world.table.write("!x", second, {"run": "1", "driver": "d"}) is None
    assert world.table.write("!x", first) is None
    assert world.table.read("!x") == there


def test_a_table_that_gives_no_answer_is_unavailable(world: World) -> None:
    world.network.faults = [Fault(client_error("AccessDeniedException"))] * 2
    for call in (world.table.right, lambda: world.table.keep("!x", {})):
        with pytest.raises(StoreUnavailable):
            call()


def test_a_call_has_as_long_as_a_payment() -> None:
    assert 2.5 < soon().remaining() <= 2.6


# --- The journal

def test_there_is_none_at_first(world: World) -> None:
    assert world.journal.latest() is None


def test_a_run_is_json_and_can_be_read_again(world: World) -> None:
    run = replace(RUN, steps={"fence": StepProgress(began=1, ended=2, note="x"), "traffic": StepProgress(began=3)}, ended=4.0)
    assert Run.of(json.loads(json.dumps(run.document()))) == run
    world.journal.keep(run, None)
    assert world.journal.latest() == run


def test_whoever_has_the_journal_keeps_it_until_it_is_given_away(world: World) -> None:
    world.journal.keep(RUN, None)
    later = next_beat(RUN, steps={"fence": StepProgress(began=1)})
    world.journal.keep(later, RUN)
    world.journal.keep(next_beat(later), RUN)  # its beat is not what is held
    taken = replace(later, driver="second")
    world.journal.keep(taken, later)
    for lost in (RUN, later):
        with pytest.raises(AlreadyRunning) as caught:
            world.journal.keep(next_beat(lost), lost)
        assert (caught.value.driver, caught.value.what) == ("second", f"failover to {AWAY}, step fence")
        assert str(caught.value) == f"second is at it: failover to {AWAY}, step fence"
    for another in (None, replace(taken, id="2")):
        with pytest.raises(AlreadyRunning):
            world.journal.keep(replace(taken, id="2"), another)
    assert world.journal.latest() == taken


@pytest.mark.parametrize("before", [None, replace(RUN, driver="second")], ids=["new", "taken over"])
def test_a_write_whose_answer_is_lost_has_got_through(world: World, before: Run | None) -> None:
    if before:
        world.journal.keep(before, None)
    world.network.faults = [Fault(TimeoutError(), done=True)]
    world.journal.keep(RUN, before)
    assert world.network.calls[-2:] == ["PutItem", "PutItem"]
    assert world.journal.latest() == RUN


def test_a_journal_that_is_gone_is_nobodys(world: World) -> None:
    world.journal.keep(RUN, None)
    del world.dynamodb.items[KEY]
    with pytest.raises(AlreadyRunning, match=r"^nobody is at it: the journal is gone$"):
        world.journal.keep(next_beat(RUN), RUN)


def test_a_beat_changes_the_count_and_what_it_is_told() -> None:
    assert next_beat(RUN) == replace(RUN, beat=1)
    assert next_beat(RUN, driver="second") == replace(RUN, beat=1, driver="second")
