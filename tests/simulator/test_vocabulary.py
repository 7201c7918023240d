"""What the drills and the simulator mean by the same words."""
import pytest

from contract import Store
from simulator.vocabulary import Durability


@pytest.mark.parametrize(("stores", "kept"), [
    ([], Durability.LOST), ([Store.LEDGER], Durability.PENDING), ([Store.LEDGER, Store.RECEIPTS], Durability.PENDING),
    ([Store.TABLE], Durability.PARTLY), ([Store.TABLE, Store.RECEIPTS], Durability.PARTLY),
    ([*Store], Durability.WHOLE)])
def test_the_stores_say_what_became_of_a_payment(stores: list[Store], kept: Durability) -> None:
    assert Durability.of(stores) is kept
