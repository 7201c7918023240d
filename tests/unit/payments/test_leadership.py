"""Leadership: one region leads, a takeover raises the epoch, and what was read is trusted for one lease."""
import pytest

from payments.errors import NotTheWriter, StoreUnavailable
from payments.leadership import LEASE, Leadership, Lease
from tests.unit.payments.fakes import Crash, Fault, Region, client_error

HERE, THERE = "us-east-1", "eu-west-1"


def two_regions() -> tuple[Region, Region]:
    """The leader and a standby, with one table."""
    here = Region(HERE)
    return here, Region(THERE, elsewhere=here)


def test_there_is_one_first_leader() -> None:
    here, there = two_regions()
    assert here.leadership.read(here.deadline()) == Leadership(1, HERE)
    there.leadership.create(THERE, there.deadline())
    assert there.leadership.read(there.deadline()) == Leadership(1, HERE)


def test_without_any_leader_the_table_counts_as_unavailable() -> None:
    region = Region()
    region.dynamodb.items.clear()
    with pytest.raises(StoreUnavailable) as caught:
        region.leadership.read(region.deadline())
    assert caught.value.code == "LeadershipMissing"


def test_a_takeover_raises_the_epoch_once() -> None:
    here, there = two_regions()
    for _ in range(2):
        assert there.leadership.take(THERE, there.deadline()) == Leadership(2, THERE)
    assert here.leadership.take(HERE, here.deadline()) == Leadership(3, HERE)


def test_a_takeover_raises_the_epoch_above_what_the_ledger_has_seen() -> None:
    here, there = two_regions()
    here.postgres.epoch = 4
    assert here.ledger.epoch(here.deadline()) == 4
    assert here.leadership.take(HERE, here.deadline(), 4) == Leadership(5, HERE)
    assert here.leadership.take(HERE, here.deadline(), 5) == Leadership(5, HERE)
    assert there.leadership.take(THERE, there.deadline(), 4) == Leadership(6, THERE)


def test_a_takeover_whose_answer_is_lost_has_taken_leadership() -> None:
    _, there = two_regions()
    there.network.faults = [None, Fault(TimeoutError(), done=True)]
    assert there.leadership.take(THERE, there.deadline()) == Leadership(2, THERE)


def test_a_takeover_that_crashed_can_be_repeated() -> None:
    _, there = two_regions()
    there.network.faults = [None, Fault(Crash(), done=True)]
    with pytest.raises(Crash):
        there.leadership.take(THERE, there.deadline())
    assert there.leadership.take(THERE, there.deadline()) == Leadership(2, THERE)


def test_of_two_takeovers_one_wins_and_the_other_is_refused() -> None:
    here, there = two_regions()
    here.network.meanwhile = {1: lambda: there.leadership.take("ap-south-1", there.deadline())}
    with pytest.raises(NotTheWriter) as caught:
        here.leadership.take(THERE, here.deadline())
    assert caught.value.writer == "ap-south-1"
    assert here.leadership.read(here.deadline()) == Leadership(2, "ap-south-1")


def test_a_lease_is_trusted_until_it_ends_and_runs_from_before_the_read() -> None:
    here, there = two_regions()
    lease = Lease(here.leadership, HERE, here.clock)

    def slow() -> None:
        here.clock.now += LEASE / 2

    here.network.meanwhile = {0: slow}
    assert lease.epoch(here.deadline()) == 1
    there.take_leadership()
    here.clock.now += LEASE / 2 - 0.001
    assert lease.epoch(here.deadline()) == 1
    here.clock.now += 0.001
    with pytest.raises(NotTheWriter) as caught:
        lease.epoch(here.deadline())
    assert caught.value.writer == THERE


def test_a_lease_that_cannot_be_renewed_allows_no_write() -> None:
    region = Region()
    region.clock.now += LEASE
    region.network.faults = [Fault(client_error("AccessDeniedException"))]
    with pytest.raises(StoreUnavailable):
        region.lease.hold(1, region.deadline())
    region.lease.hold(1, region.deadline())


def test_a_lease_on_another_epoch_allows_no_write() -> None:
    region = Region()
    with pytest.raises(NotTheWriter):
        region.lease.hold(2, region.deadline())
