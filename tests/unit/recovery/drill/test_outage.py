"""What a drill breaks, and what it needs to know for that."""
import pytest

from recovery.drill.outage import DrillTargets
from recovery.errors import StackError
from tests.unit.recovery.drill.world import MORE, World


@pytest.mark.parametrize("value", [None, 7])
def test_outputs_that_a_drill_needs_must_be_there(value: object) -> None:
    with pytest.raises(StackError, match=r"dr_api_key_id = .*: must be a text"):
        DrillTargets.of({**MORE, "dr_api_key_id": value}, World().stack.sites[1])
