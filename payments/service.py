"""Accepts payments and finds them."""
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from payments.clock import Clock, utc_now
from payments.deadline import Deadline
from payments.errors import Conflict, NotTheWriter
from payments.leadership import Lease
from payments.ledger import PostgresLedger
from payments.payment import Payment, Record
from payments.stores import DynamoTable, S3Receipts


@dataclass(frozen=True)
class PaymentService:
    """Payments over the stores of one region.

    The table decides: the first request that registers an id owns it. All other writes derive from the registered
    record and carry a condition, so a repeated request completes what an earlier one left undone, and nothing is
    written twice. A crash between two writes leaves a pending record, which is visibly not a payment yet.

    Only the leader accepts payments. Each write is sent while the lease holds, and carries its epoch; a store that has
    seen a newer epoch refuses it.
    """

    lease: Lease
    table: DynamoTable
    ledger: PostgresLedger
    receipts: S3Receipts
    clock: Clock

    def accept(self, payment: Payment, deadline: Deadline) -> Record:
        """The settled record of the payment, the same however often the request is sent.

        Raises NotTheWriter if the region must not write, Conflict if the id belongs to another request, and
        StoreUnavailable, after which a repeat completes the payment.
        """
        created_at = utc_now(self.clock).isoformat(timespec="milliseconds")
        with self._writing(deadline) as (epoch, writing):
            new = Record(payment=payment, fingerprint=payment.fingerprint(), created_at=created_at, epoch=epoch)
            registered = self.table.register(new, writing)
            if registered.fingerprint != new.fingerprint:
                raise Conflict
            return registered if registered.settled else self._complete(registered, epoch, writing)

    def restore(self, record: Record, deadline: Deadline) -> None:
        """Write what any store lacks of a payment that another store still has. Raises what `accept` raises.

        If the table has a pending payment of another request, and the ledger accepts this one, this one replaces it:
        the other can never be posted then, so it was never settled.
        """
        with self._writing(deadline) as (epoch, writing):
            lost = replace(record, epoch=epoch, settled=False)
            registered = self.table.register(lost, writing)
            if registered.fingerprint != lost.fingerprint:
                if registered.settled:
                    raise Conflict
                self.ledger.post(lost, writing)
                if not self.table.replace(registered, lost, writing):
                    raise Conflict
                registered = lost
            self._complete(registered, epoch, writing)

    def find(self, payment_id: str, deadline: Deadline) -> Record | None:
        """The record of an id, settled or pending. Raises StoreUnavailable."""
        return self.table.find(payment_id, deadline)

    @contextmanager
    def _writing(self, deadline: Deadline) -> Iterator[tuple[int, Deadline]]:
        """The epoch to write under, and the deadline for writes, which are sent only while the lease holds."""
        epoch = self.lease.epoch(deadline)
        try:
            yield epoch, deadline.guarded(partial(self.lease.hold, epoch, deadline))
        except NotTheWriter:
            self.lease.drop()
            raise

    def _complete(self, registered: Record, epoch: int, deadline: Deadline) -> Record:
        """Write all that a registered record stands for: the posting, then the receipt, and `settled` last.

        A pending record of an older epoch is first moved to this one, so that its writer can no longer settle it.
        """
        old = not registered.settled and registered.epoch < epoch
        record = _own(registered, self.table.adopt(registered, epoch, deadline) if old else registered, epoch)
        self.ledger.post(replace(record, epoch=epoch), deadline)
        self.receipts.put(record, deadline)
        return record if record.settled else _own(record, self.table.settle(record, deadline), epoch)


def _own(asked: Record, found: Record, epoch: int) -> Record:
    """What the table has after a write, if that is the request's record, settled or under this epoch.

    Raises Conflict if it belongs to another request, and NotTheWriter if it is pending under another epoch.
    """
    if found.fingerprint != asked.fingerprint:
        raise Conflict
    if found.epoch != epoch and not found.settled:
        raise NotTheWriter
    return found
