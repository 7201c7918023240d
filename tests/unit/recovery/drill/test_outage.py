"""What a drill breaks, what it needs to know for that, and the record of the last drill."""
import pytest

from contract import DRILL_KEY
from payments.errors import StoreUnavailable
from recovery.drill.outage import DrillTargets, last_drill, restore
from recovery.errors import StackError
from tests.unit.payments.fakes import Fault, client_error
from tests.unit.recovery.drill.world import MORE, World
from tests.unit.recovery.fakes import AWAY, HOME


@pytest.mark.parametrize("value", [None, 7])
def test_outputs_that_a_drill_needs_must_be_there(value: object) -> None:
    with pytest.raises(StackError, match=r"dr_api_key_id = .*: must be a string"):
        DrillTargets.of({**MORE, "dr_api_key_id": value}, World().stack.sites[1])


def test_the_newest_record_counts_and_of_two_equally_new_ones_that_of_the_standby() -> None:
    world = World()
    assert last_drill(world.environment, world.stack) is None
    assert restore(world.environment, world.stack) is None
    for table in world.tables.values():
        table.copy = lambda _key, _item: None
    old, broken, restored = ({"began": began, "to": AWAY, "broken": what}
                           for began, what in ((1.0, None), (2.0, {"region": HOME}), (2.0, None)))
    world.table(HOME).write_document(DRILL_KEY, broken)
    world.table(AWAY).write_document(DRILL_KEY, old)
    assert last_drill(world.environment, world.stack) == broken
    world.table(AWAY).write_document(DRILL_KEY, restored)
    assert last_drill(world.environment, world.stack) == restored


def test_one_region_that_answers_is_enough() -> None:
    world = World()
    world.table(AWAY).write_document(DRILL_KEY, {"began": 1.0, "to": AWAY, "broken": None})
    world.network.faults = [Fault(client_error("AccessDeniedException"))]
    assert last_drill(world.environment, world.stack) == {"began": 1.0, "to": AWAY, "broken": None}
    world.network.denied = frozenset({"GetItem"})
    with pytest.raises(StoreUnavailable):
        last_drill(world.environment, world.stack)
