"""The record of the last drill."""
import pytest

from contract import DRILL_KEY
from payments.errors import StoreUnavailable
from recovery.drill.record import last_drill, restore
from tests.unit.payments.fakes import Fault, client_error
from tests.unit.recovery.drill.world import World
from tests.unit.recovery.fakes import AWAY, HOME


def test_the_newest_record_counts_and_of_two_that_of_the_region_that_stood_by() -> None:
    world = World()
    assert last_drill(world.environment, world.stack) is None
    assert restore(world.environment, world.stack) is None
    for table in world.tables.values():
        table.copy = lambda _key, _item: None
    old, broken, mended = ({"began": began, "to": AWAY, "broken": what}
                           for began, what in ((1.0, None), (2.0, {"region": HOME}), (2.0, None)))
    world.table(HOME).write_document(DRILL_KEY, broken)
    world.table(AWAY).write_document(DRILL_KEY, old)
    assert last_drill(world.environment, world.stack) == broken
    world.table(AWAY).write_document(DRILL_KEY, mended)
    assert last_drill(world.environment, world.stack) == mended


def test_one_region_that_answers_is_enough() -> None:
    world = World()
    world.table(AWAY).write_document(DRILL_KEY, {"began": 1.0, "to": AWAY, "broken": None})
    world.network.faults = [Fault(client_error("AccessDeniedException"))]
    assert last_drill(world.environment, world.stack) == {"began": 1.0, "to": AWAY, "broken": None}
    world.network.denied = frozenset({"GetItem"})
    with pytest.raises(StoreUnavailable):
        last_drill(world.environment, world.stack)
