"""The right to write: one region has it at a time. A takeover gives it to another, under a higher epoch.

The table keeps it as an item beside the payments. Whoever has read it trusts what was read for a moment (LEASE), so a
writer that lost it may go on that long. A takeover waits as long before it makes the other region's ledger a writer.
"""
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from payments.deadline import Clock, Deadline
from payments.stores import CONDITION_FAILED, AwsResponse, StoreUnavailable, call

LEASE = 1.0  # seconds
FIRST_EPOCH = 1

# No payment id has this character, so no payment is ever taken for it.
_KEY: AwsResponse = {"payment_id": {"S": "!right"}}
_NAMES = {"#epoch": "epoch", "#region": "region"}


class NotTheWriter(Exception):
    """This region has not the right to write, or not any more. `writer` has it, where that is known."""

    def __init__(self, writer: str | None = None) -> None:
        super().__init__(writer)
        self.writer = writer


@dataclass(frozen=True)
class Leadership:
    """The region that may write, and the epoch that all its writes carry."""

    epoch: int
    region: str


class LeadershipStore(Protocol):
    """Keeps the right to write."""

    def read(self, deadline: Deadline) -> Leadership:
        """The right as it is now. Raises StoreUnavailable."""


@dataclass(frozen=True)
class DynamoLeadership:
    """The right as an item of the table of payments."""

    client: Any
    table: str

    def read(self, deadline: Deadline) -> Leadership:
        """A consistent read. Raises StoreUnavailable, also if nobody was ever given the right."""
        answer = self._call(deadline, self.client.get_item, Key=_KEY, ConsistentRead=True)
        if "Item" not in answer:
            raise StoreUnavailable("table", "RightMissing")
        return _right(answer["Item"])

    def create(self, region: str, deadline: Deadline) -> None:
        """Gives the first right to a region, unless it has been given. Raises StoreUnavailable."""
        self._call(deadline, self.client.put_item, expected=CONDITION_FAILED,
                   Item={**_KEY, "epoch": {"N": str(FIRST_EPOCH)}, "region": {"S": region}},
                   ConditionExpression="attribute_not_exists(payment_id)")

    def take(self, region: str, deadline: Deadline, seen: int = 0) -> Leadership:
        """Gives the right to a region under the next epoch; does nothing if the region has it.

        `seen` is the newest epoch that the region's ledger has seen (`PostgresLedger.epoch`): where the table's copies
        lag, it may be newer than the table's here, and the right must be newer than both. Of two who take it at once,
        one gets it. Raises NotTheWriter, which names that one, and StoreUnavailable.

        Whoever takes it waits LEASE before making the region's ledger a writer, also if the region has it already: it
        may have been taken just now. So long the former writer may begin writes. They may arrive for an attempt
        (`Timing.attempt`) longer, under the epoch of their day.
        """
        found = self.read(deadline)
        if found.region == region and found.epoch >= seen:
            return found
        values = {":epoch": {"N": str(found.epoch)}, ":next": {"N": str(max(found.epoch, seen) + 1)},
                  ":region": {"S": region}}
        answer = self._call(deadline, self.client.update_item, expected=CONDITION_FAILED, Key=_KEY,
                            UpdateExpression="SET #epoch = :next, #region = :region",
                            ConditionExpression="#epoch = :epoch", ExpressionAttributeNames=_NAMES,
                            ExpressionAttributeValues=values,
                            ReturnValues="ALL_NEW", ReturnValuesOnConditionCheckFailure="ALL_OLD")
        right = _right(answer.get("Attributes") or answer["Item"])
        if right.region != region:
            raise NotTheWriter(right.region)
        return right

    def _call(self, deadline: Deadline, operation: Callable[..., AwsResponse], expected: str = "", **request: Any) -> AwsResponse:
        return call("table", deadline, partial(operation, TableName=self.table, **request), expected)


class Lease:
    """What a region knows of the right to write, from its last look at it."""

    def __init__(self, rights: LeadershipStore, region: str, clock: Clock = time) -> None:
        self._rights = rights
        self._region = region
        self._clock = clock
        self._known: tuple[int, float] | None = None  # the epoch of this region's right, and when the lease ends

    def epoch(self, deadline: Deadline) -> int:
        """The epoch under which this region may write now. Raises NotTheWriter and StoreUnavailable."""
        known = self._known
        if known is None or self._clock.monotonic() >= known[1]:
            # The lease runs from before the look: the right may be lost right after it.
            end = self._clock.monotonic() + LEASE
            right = self._rights.read(deadline)
            if right.region != self._region:
                self.drop()
                raise NotTheWriter(right.region)
            known = self._known = (right.epoch, end)
        return known[0]

    def hold(self, epoch: int, deadline: Deadline) -> None:
        """Makes sure that writes of the epoch may still be issued. Raises NotTheWriter and StoreUnavailable."""
        if self.epoch(deadline) != epoch:
            raise NotTheWriter(self._region)

    def drop(self) -> None:
        """Forgets what is known: a store knows better."""
        self._known = None


def _right(item: AwsResponse) -> Leadership:
    return Leadership(int(item["epoch"]["N"]), item["region"]["S"])
