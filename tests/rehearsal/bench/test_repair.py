"""What the repair takes at so many payments."""
import pytest

from payments.ledger import PAGE
from rehearsal.bench.repair import LACKING, SCANNED, measure
from rehearsal.bench.repair import PAGE as LISTED


@pytest.mark.parametrize("count", [1, max(PAGE, LISTED, SCANNED) + 1])
def test_every_lost_payment_is_restored_and_the_answer_stays_small(count: int) -> None:
    found = measure(count)
    assert (found["error"], found["starts"], found["repaired"]) == ("", 1, -(-count // LACKING))
    assert found["answer bytes"] < 500
