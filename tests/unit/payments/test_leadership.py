"""Leadership: one region leads, and what was read of it is trusted for one lease."""
from typing import Any

import pytest

from contract import RECORD_KEY
from payments.errors import NotTheWriter, StoreUnavailable
from payments.leadership import LEASE, Leadership, Lease
from tests.unit.payments.fakes import Fault, Region, client_error

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
    assert here.dynamodb.items[RECORD_KEY] == {
        "payment_id": {"S": "!record"}, "version": {"N": "1"}, "revision": {"N": "1"}, "epoch": {"N": "1"},
        "region": {"S": HERE}}


def test_what_another_release_adds_to_the_record_is_ignored(region: Region) -> None:
    region.dynamodb.items[RECORD_KEY] |= {"version": {"N": "9"}, "run": {"S": "?"}, "new": {"M": {}}}
    assert region.leadership.read(region.deadline()) == Leadership(1, HERE)


@pytest.mark.parametrize("broken", [
    {"epoch": {"N": "x"}}, {"epoch": {"S": "1"}}, {"epoch": None}, {"region": {"N": "1"}}, {"region": "here"}])
def test_a_record_that_does_not_say_who_leads_allows_no_write(region: Region, broken: dict[str, Any]) -> None:
    region.dynamodb.items[RECORD_KEY] |= broken
    region.lease.drop()
    with pytest.raises(StoreUnavailable) as caught:
        region.lease.epoch(region.deadline())
    assert caught.value.code == "RecordMalformed"


def test_without_any_leader_the_table_counts_as_unavailable(region: Region) -> None:
    region.dynamodb.items.clear()
    with pytest.raises(StoreUnavailable) as caught:
        region.leadership.read(region.deadline())
    assert caught.value.code == "LeadershipMissing"


@pytest.mark.parametrize("frozen", [False, True])
def test_a_lease_is_trusted_until_it_ends_and_runs_from_before_the_read(frozen: bool) -> None:
    # An environment may be frozen: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
    here, there = two_regions()
    lease = Lease(here.leadership, HERE, here.clock)

    def passes(seconds: float) -> None:
        here.clock.frozen += seconds if frozen else 0  # nothing but the wall clock sees it
        here.clock.now += 0 if frozen else seconds

    here.network.meanwhile = {0: lambda: passes(LEASE / 2)}
    assert lease.epoch(here.deadline()) == 1
    there.take_leadership()
    passes(LEASE / 2 - 0.001)
    assert lease.epoch(here.deadline()) == 1
    passes(0.001)
    with pytest.raises(NotTheWriter) as caught:
        lease.epoch(here.deadline())
    assert caught.value.writer == THERE


def test_an_answer_that_took_as_long_as_a_lease_allows_no_write(region: Region) -> None:
    region.lease.drop()
    region.network.meanwhile = {0: lambda: region.clock.sleep(LEASE)}
    with pytest.raises(StoreUnavailable) as caught:
        region.lease.epoch(region.deadline())
    assert (caught.value.code, region.lease.epoch(region.deadline())) == ("LeaseExpired", 1)


def test_a_lease_that_cannot_be_renewed_allows_no_write(region: Region) -> None:
    region.clock.now += LEASE
    region.network.faults = [Fault(client_error("AccessDeniedException"))]
    with pytest.raises(StoreUnavailable):
        region.lease.hold(1, region.deadline())
    region.lease.hold(1, region.deadline())


def test_a_lease_on_another_epoch_allows_no_write(region: Region) -> None:
    with pytest.raises(NotTheWriter):
        region.lease.hold(2, region.deadline())
