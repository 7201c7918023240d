"""What the drills and the simulator call by the same words, and judge alike."""
import pytest

from contract import Store
from simulator.vocabulary import Durability, one_writer


@pytest.mark.parametrize(("stores", "kept"), [
    ([], Durability.LOST), ([Store.LEDGER], Durability.PENDING), ([Store.LEDGER, Store.RECEIPTS], Durability.PENDING),
    ([Store.TABLE], Durability.PARTLY), ([Store.TABLE, Store.RECEIPTS], Durability.PARTLY),
    ([*Store], Durability.WHOLE)])
def test_the_stores_say_what_became_of_a_payment(stores: list[Store], kept: Durability) -> None:
    assert Durability.of(stores) is kept
    assert kept.made is (Store.TABLE in stores)


@pytest.mark.parametrize(("leaders", "holds"), [(["a", "a"], True), (["a", "b"], False), (["b", "b"], False)])
def test_the_writer_is_where_every_region_takes_the_leader_to_be(leaders: list[str], holds: bool) -> None:
    assert one_writer(leaders, "a") is holds
