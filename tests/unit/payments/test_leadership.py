"""The right to write: one region has it, a takeover raises its epoch, and a look at it is trusted for a moment."""
import pytest

from payments.leadership import LEASE, Leadership, Lease, NotTheWriter
from payments.stores import StoreUnavailable
from tests.unit.payments.fakes import Crash, Fault, Region, client_error

HERE, THERE = "us-east-1", "eu-west-1"


def two_regions() -> tuple[Region, Region]:
    """One with the right, and one without, at one table."""
    here = Region(HERE)
    return here, Region(THERE, elsewhere=here)


def test_the_first_right_is_given_once() -> None:
    here, there = two_regions()
    assert here.right.read(here.deadline()) == Leadership(1, HERE)
    there.right.create(THERE, there.deadline())
    assert there.right.read(there.deadline()) == Leadership(1, HERE)


def test_a_right_that_was_never_given_is_missing() -> None:
    region = Region()
    region.dynamodb.items.clear()
    with pytest.raises(StoreUnavailable) as caught:
        region.right.read(region.deadline())
    assert caught.value.code == "RightMissing"


def test_a_takeover_raises_the_epoch_once() -> None:
    here, there = two_regions()
    for _ in range(2):
        assert there.right.take(THERE, there.deadline()) == Leadership(2, THERE)
    assert here.right.take(HERE, here.deadline()) == Leadership(3, HERE)


def test_a_takeover_goes_beyond_what_the_ledger_has_seen() -> None:
    here, there = two_regions()
    here.postgres.epoch = 4
    assert here.ledger.epoch(here.deadline()) == 4
    assert here.right.take(HERE, here.deadline(), 4) == Leadership(5, HERE)
    assert here.right.take(HERE, here.deadline(), 5) == Leadership(5, HERE)
    assert there.right.take(THERE, there.deadline(), 4) == Leadership(6, THERE)


def test_a_takeover_whose_answer_is_lost_has_taken_the_right() -> None:
    _, there = two_regions()
    there.network.faults = [None, Fault(TimeoutError(), done=True)]
    assert there.right.take(THERE, there.deadline()) == Leadership(2, THERE)


def test_a_takeover_that_dies_may_be_done_again() -> None:
    _, there = two_regions()
    there.network.faults = [None, Fault(Crash(), done=True)]
    with pytest.raises(Crash):
        there.right.take(THERE, there.deadline())
    assert there.right.take(THERE, there.deadline()) == Leadership(2, THERE)


def test_of_two_takeovers_one_wins_and_the_other_is_told() -> None:
    here, there = two_regions()
    here.network.meanwhile = {1: lambda: there.right.take("ap-south-1", there.deadline())}
    with pytest.raises(NotTheWriter) as caught:
        here.right.take(THERE, here.deadline())
    assert caught.value.writer == "ap-south-1"
    assert here.right.read(here.deadline()) == Leadership(2, "ap-south-1")


def test_a_lease_is_trusted_until_it_ends_and_runs_from_before_the_look() -> None:
    here, there = two_regions()
    lease = Lease(here.right, HERE, here.clock)

    def slow() -> None:
        here.clock.now += LEASE / 2

    here.network.meanwhile = {0: slow}
    assert lease.epoch(here.deadline()) == 1
    there.take_right()
    here.clock.now += LEASE / 2 - 0.001
    assert lease.epoch(here.deadline()) == 1
    here.clock.now += 0.001
    with pytest.raises(NotTheWriter) as caught:
        lease.epoch(here.deadline())
    assert caught.value.writer == THERE


def test_a_lease_that_cannot_be_renewed_is_none() -> None:
    region = Region()
    region.clock.now += LEASE
    region.network.faults = [Fault(client_error("AccessDeniedException"))]
    with pytest.raises(StoreUnavailable):
        region.lease.hold(1, region.deadline())
    region.lease.hold(1, region.deadline())


def test_the_epoch_that_is_held_must_be_the_one_that_was_meant() -> None:
    region = Region()
    with pytest.raises(NotTheWriter):
        region.lease.hold(2, region.deadline())
