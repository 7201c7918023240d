"""Leadership: one region leads at a time and only it may write. A takeover makes another region the leader.

The recovery record, an item of the payments table, says which region leads, and under which epoch; every takeover
raises the epoch. A region trusts what it has read for one lease (LEASE), so a former leader may begin writes for that
long. A takeover waits that long before it makes the new leader's ledger a writer.
"""
from dataclasses import dataclass
from typing import Any

from contract import KEY_ATTRIBUTE, RECORD_KEY, Store
from payments.clock import Clock, Stopwatch
from payments.deadline import Deadline
from payments.errors import NotTheWriter, StoreUnavailable
from payments.stores import CONDITION_FAILED, IS_NEW, AwsResponse, call

LEASE = 0.4  # seconds
FIRST_EPOCH = 1

_KEY: AwsResponse = {KEY_ATTRIBUTE: {"S": RECORD_KEY}}


@dataclass(frozen=True)
class Leadership:
    """The region that leads, and the epoch that all its writes carry."""

    epoch: int
    region: str


@dataclass(frozen=True)
class DynamoLeadership:
    """The part of the recovery record that says who leads. Only recovery changes it."""

    client: Any
    table: str

    def read(self, deadline: Deadline) -> Leadership:
        """A consistent read. Raises StoreUnavailable, also if there is no record that says who leads."""
        answer = call(Store.TABLE, deadline, self.client.get_item, TableName=self.table, Key=_KEY, ConsistentRead=True)
        if "Item" not in answer:
            raise StoreUnavailable(Store.TABLE, "LeadershipMissing", again=True)
        try:
            return Leadership(int(answer["Item"]["epoch"]["N"]), str(answer["Item"]["region"]["S"]))
        except (KeyError, TypeError, ValueError):
            raise StoreUnavailable(Store.TABLE, "RecordMalformed", again=True) from None

    def create(self, region: str, deadline: Deadline) -> None:
        """Make a region the first leader; does nothing if there was one already. Raises StoreUnavailable."""
        numbers = {"version": 1, "revision": 1, "epoch": FIRST_EPOCH}
        call(Store.TABLE, deadline, self.client.put_item, CONDITION_FAILED, TableName=self.table,
             ConditionExpression=IS_NEW,
             Item={**_KEY, "region": {"S": region}, **{name: {"N": str(number)} for name, number in numbers.items()}})


class Lease:
    """What `region` knows about leadership from its last read, which it trusts for LEASE seconds."""

    def __init__(self, leadership: DynamoLeadership, region: str, clock: Clock) -> None:
        self.region = region
        self._leadership, self._clock = leadership, clock
        self._known: tuple[int, Stopwatch] | None = None  # the epoch under which this region leads, and since when

    def read(self, deadline: Deadline) -> Leadership:
        """Read who leads, which begins another lease if this region does. Raises StoreUnavailable."""
        since = Stopwatch(self._clock)  # the lease runs from before the read: leadership may be lost right after it
        now = self._leadership.read(deadline)
        self._known = (now.epoch, since) if now.region == self.region else None
        return now

    def epoch(self, deadline: Deadline) -> int:
        """The epoch under which this region may write now. Raises NotTheWriter and StoreUnavailable."""
        known = self._known
        if known and known[1].seconds() < LEASE:
            return known[0]
        now = self.read(deadline)
        if now.region != self.region:
            raise NotTheWriter(now.region)
        if self._known and self._known[1].seconds() >= LEASE:
            raise StoreUnavailable(Store.TABLE, "LeaseExpired", again=True)  # the answer took too long to be trusted
        return now.epoch

    def hold(self, epoch: int, deadline: Deadline) -> None:
        """Check that writes of the epoch may still be sent. Raises NotTheWriter and StoreUnavailable."""
        if self.epoch(deadline) != epoch:
            raise NotTheWriter(self.region)

    def drop(self) -> None:
        """Forget what was read, because a store has refused it."""
        self._known = None
