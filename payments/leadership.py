"""Leadership: one region leads at a time and only it may write. A takeover makes another region the leader.

Leadership is an item of the payments table: the region that leads, and an epoch that every takeover raises. A region
trusts what it has read for one lease (LEASE), so a former leader may write for that long. A takeover waits that long
before it makes the new leader's ledger a writer.
"""
from dataclasses import dataclass
from typing import Any

from contract import KEY_ATTRIBUTE, LEADERSHIP_KEY, Store
from payments.clock import Clock
from payments.deadline import Deadline
from payments.errors import NotTheWriter, StoreUnavailable
from payments.stores import CONDITION_FAILED, IS_NEW, AwsResponse, call

LEASE = 1.0  # seconds
FIRST_EPOCH = 1

_KEY: AwsResponse = {KEY_ATTRIBUTE: {"S": LEADERSHIP_KEY}}


@dataclass(frozen=True)
class Leadership:
    """The region that leads, and the epoch that all its writes carry."""

    epoch: int
    region: str


@dataclass(frozen=True)
class DynamoLeadership:
    """Leadership as an item in the payments table."""

    client: Any
    table: str

    def read(self, deadline: Deadline) -> Leadership:
        """A consistent read. Raises StoreUnavailable, also if there has never been a leader."""
        answer = call(Store.TABLE, deadline, self.client.get_item, TableName=self.table, Key=_KEY, ConsistentRead=True)
        if "Item" not in answer:
            raise StoreUnavailable(Store.TABLE, "LeadershipMissing")
        return _leadership(answer["Item"])

    def create(self, region: str, deadline: Deadline) -> None:
        """Make a region the first leader; does nothing if there was one already. Raises StoreUnavailable."""
        call(Store.TABLE, deadline, self.client.put_item, CONDITION_FAILED, TableName=self.table,
             ConditionExpression=IS_NEW, Item={**_KEY, "epoch": {"N": str(FIRST_EPOCH)}, "region": {"S": region}})

    def take(self, region: str, deadline: Deadline, ledger_epoch: int = 0) -> Leadership:
        """Make a region the leader under the next epoch; does nothing if it leads already.

        `ledger_epoch` is the newest that the region's ledger has seen (`PostgresLedger.epoch`). It may be ahead of a
        table whose replica here lags; the new epoch is higher than both. If two regions take leadership at once, one
        gets it. Raises NotTheWriter, which names that one, and StoreUnavailable.

        The caller must wait LEASE before it makes the region's ledger a writer, even if the region led already: it may
        have taken leadership just now. The former leader may begin writes during that time. They may arrive later by
        one attempt (`Timing.attempt`), but carry the older epoch.
        """
        found = self.read(deadline)
        if found.region == region and found.epoch >= ledger_epoch:
            return found
        answer = call(Store.TABLE, deadline, self.client.update_item, CONDITION_FAILED, TableName=self.table, Key=_KEY,
                      UpdateExpression="SET #epoch = :next, #region = :region", ConditionExpression="#epoch = :epoch",
                      ExpressionAttributeNames={"#epoch": "epoch", "#region": "region"},
                      ExpressionAttributeValues={":epoch": {"N": str(found.epoch)}, ":region": {"S": region},
                                                 ":next": {"N": str(max(found.epoch, ledger_epoch) + 1)}},
                      ReturnValues="ALL_NEW", ReturnValuesOnConditionCheckFailure="ALL_OLD")
        now = _leadership(answer.get("Attributes") or answer["Item"])
        if now.region != region:
            raise NotTheWriter(now.region)
        return now


class Lease:
    """What a region knows about leadership from its last read, which it trusts for LEASE seconds."""

    def __init__(self, leadership: DynamoLeadership, region: str, clock: Clock) -> None:
        self._leadership = leadership
        self._region = region
        self._clock = clock
        self._known: tuple[int, float] | None = None  # the epoch under which this region leads, and the lease's end

    def epoch(self, deadline: Deadline) -> int:
        """The epoch under which this region may write now. Raises NotTheWriter and StoreUnavailable."""
        known = self._known
        if known is None or self._clock.monotonic() >= known[1]:
            # The lease runs from before the read: leadership may be lost right after it.
            end = self._clock.monotonic() + LEASE
            now = self._leadership.read(deadline)
            if now.region != self._region:
                self.drop()
                raise NotTheWriter(now.region)
            known = self._known = (now.epoch, end)
        return known[0]

    def hold(self, epoch: int, deadline: Deadline) -> None:
        """Check that writes of the epoch may still be sent. Raises NotTheWriter and StoreUnavailable."""
        if self.epoch(deadline) != epoch:
            raise NotTheWriter(self._region)

    def drop(self) -> None:
        """Forget what was read, because a store has refused it."""
        self._known = None


def _leadership(item: AwsResponse) -> Leadership:
    return Leadership(int(item["epoch"]["N"]), item["region"]["S"])
