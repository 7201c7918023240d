"""What the drills and the simulator mean by the same words."""
import pytest

from contract import Store
from simulator.promise import Kept


@pytest.mark.parametrize(("stores", "kept"), [
    ([], Kept.LOST), ([Store.LEDGER], Kept.PENDING), ([Store.LEDGER, Store.RECEIPTS], Kept.PENDING),
    ([Store.TABLE], Kept.PARTLY), ([Store.TABLE, Store.RECEIPTS], Kept.PARTLY), ([*Store], Kept.WHOLE)])
def test_the_stores_say_what_became_of_a_payment(stores: list[Store], kept: Kept) -> None:
    assert Kept.by(stores) is kept
