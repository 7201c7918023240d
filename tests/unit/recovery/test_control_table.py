"""What recovery keeps in the payments table, and the journal of the latest run, which is the lock of all drivers."""
import json
from dataclasses import replace

import pytest

from contract import DRILL_KEY, JOURNAL_KEY
from payments.errors import StoreUnavailable
from payments.leadership import Leadership
from recovery.errors import AlreadyRunning, JournalGone
from recovery.journal import Run, StepProgress, next_heartbeat
from recovery.observation import Observation
from tests.unit.payments.fakes import Fault, Hang, client_error
from tests.unit.recovery.fakes import AWAY, HOME, NOW, World

RUN = Run(id="1", action="failover", target=AWAY, driver="first", began=NOW, why="it is dead")


@pytest.fixture
def world() -> World:
    """The region that takes over."""
    return World()


def test_leadership_is_read_and_taken(world: World) -> None:
    assert world.table.leadership() == Leadership(1, HOME)
    assert world.table.take_leadership(AWAY, 4) == Leadership(5, AWAY)
    assert world.table.leadership() == Leadership(5, AWAY)


def test_each_region_has_an_observation_of_its_own(world: World) -> None:
    assert world.table.observation(AWAY) is None
    for region in (HOME, AWAY):
        world.table.write_observation(Observation(region=region, at=NOW, lags={"table": 1.0}))
    assert world.table.observation(AWAY) == Observation(region=AWAY, at=NOW, lags={"table": 1.0})
    assert world.dynamodb.items.keys() == {"!right", f"!watch:{HOME}", f"!watch:{AWAY}"}


def test_a_document_replaces_the_last_one(world: World) -> None:
    assert world.table.document(DRILL_KEY) is None
    for outcome in ("failed", "passed"):
        world.table.write_document(DRILL_KEY, {"outcome": outcome})
    assert world.table.document(DRILL_KEY) == {"outcome": "passed"}


def test_reads_are_consistent_and_name_the_table(world: World) -> None:
    requests: list[object] = []

    class Client:
        """An empty table."""

        @staticmethod
        def get_item(**request: object) -> dict[str, object]:
            """Nothing."""
            requests.append(request)
            return {}

    assert replace(world.table, client=Client()).read("!x") is None
    assert requests == [{"TableName": "table", "Key": {"payment_id": {"S": "!x"}}, "ConsistentRead": True}]


def test_a_conditional_write_needs_what_it_expects(world: World) -> None:
    first, second = ({"run": {"S": name}, "driver": {"S": "d"}} for name in "12")
    assert world.table.write("!x", first, {}) is None
    there = {"payment_id": {"S": "!x"}, **first}
    assert world.table.write("!x", second, {}) == there
    assert world.table.write("!x", second, {"run": "1", "driver": "another"}) == there
    assert world.table.write("!y", second, {"run": "1", "driver": "d"}) == {}
    assert world.table.write("!x", second, {"run": "1", "driver": "d"}) is None
    assert world.table.write("!x", first) is None
    assert world.table.read("!x") == there


def test_a_table_that_does_not_answer_is_unavailable(world: World) -> None:
    world.network.faults = [Fault(client_error("AccessDeniedException"))] * 2
    for call in (world.table.leadership, lambda: world.table.write_document("!x", {})):
        with pytest.raises(StoreUnavailable):
            call()


def test_a_call_may_take_as_long_as_a_payment(world: World) -> None:
    world.network.faults = [Fault(Hang())] * 9
    with pytest.raises(StoreUnavailable):
        world.table.leadership()
    assert 2.0 < world.clock.now <= 2.6


# --- The journal

def test_at_first_there_is_no_run(world: World) -> None:
    assert world.table.latest_run() is None


def test_a_run_is_json_and_can_be_read_again(world: World) -> None:
    steps = {"fence": StepProgress(began=1, ended=2, note="x"), "traffic": StepProgress(began=3)}
    run = replace(RUN, steps=steps, ended=4.0)
    assert Run.of(json.loads(json.dumps(run.document()))) == run
    world.table.write_run(run, None)
    assert world.table.latest_run() == run


def test_a_driver_keeps_the_journal_until_another_one_takes_it(world: World) -> None:
    world.table.write_run(RUN, None)
    later = next_heartbeat(RUN, steps={"fence": StepProgress(began=1)})
    world.table.write_run(later, RUN)
    world.table.write_run(next_heartbeat(later), RUN)  # the heartbeat is not compared
    taken = replace(later, driver="second")
    world.table.write_run(taken, later)
    for lost in (RUN, later):
        with pytest.raises(AlreadyRunning) as caught:
            world.table.write_run(next_heartbeat(lost), lost)
        assert (caught.value.driver, caught.value.what) == ("second", f"failover to {AWAY}, step fence")
        assert str(caught.value) == f"already running: failover to {AWAY}, step fence, by second"
    for another in (None, replace(taken, id="2")):
        with pytest.raises(AlreadyRunning):
            world.table.write_run(replace(taken, id="2"), another)
    assert world.table.latest_run() == taken


@pytest.mark.parametrize("before", [None, replace(RUN, driver="second")], ids=["new", "taken over"])
def test_a_write_whose_answer_is_lost_succeeds(world: World, before: Run | None) -> None:
    if before:
        world.table.write_run(before, None)
    world.network.faults = [Fault(TimeoutError(), done=True)]
    world.table.write_run(RUN, before)
    assert world.network.calls[-2:] == ["PutItem", "PutItem"]
    assert world.table.latest_run() == RUN


def test_a_deleted_journal_ends_the_run(world: World) -> None:
    world.table.write_run(RUN, None)
    del world.dynamodb.items[JOURNAL_KEY]
    with pytest.raises(JournalGone, match=f"^the journal of this run was deleted: failover to {AWAY}$"):
        world.table.write_run(next_heartbeat(RUN), RUN)
