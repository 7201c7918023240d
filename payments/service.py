"""Takes payments and finds them again."""
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from payments.deadline import Deadline
from payments.leadership import Lease, NotTheWriter
from payments.payment import Conflict, Payment, Record
from payments.stores import Ledger, Receipts, Table


def utc_now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class PaymentService:
    """Payments over the stores of one region.

    The table decides: the first request that registers an id owns it. Everything else is derived from the registered
    record and written under a condition, so whoever repeats the request completes what an earlier try left undone, and
    nothing is written twice. Between any two writes a crash leaves a pending record, which is openly not a payment yet.

    Only the region that has the right to write takes payments. Each attempt at a write is made while the right is held,
    and carries its epoch; a store that has seen a newer one refuses it.
    """

    lease: Lease
    table: Table
    ledger: Ledger
    receipts: Receipts
    now: Callable[[], datetime] = utc_now

    def accept(self, payment: Payment, deadline: Deadline) -> Record:
        """The settled record of the payment, the same however often the request is sent.

        Raises NotTheWriter if the region must not write, Conflict if the id belongs to another request, and
        StoreUnavailable, after which a repeat completes it.
        """
        created_at = self.now().isoformat(timespec="milliseconds")
        with self._writing(deadline) as (epoch, writing):
            new = Record(payment=payment, fingerprint=payment.fingerprint(), created_at=created_at, epoch=epoch)
            kept = self.table.register(new, writing)
            if kept.fingerprint != new.fingerprint:
                raise Conflict
            return kept if kept.settled else self._complete(kept, epoch, writing)

    def restore(self, record: Record, deadline: Deadline) -> None:
        """Writes whatever a store lacks of a payment that one of them has kept. Raises as `accept` does.

        A pending payment of another request gives way to one that the ledger takes: it can never be posted then, so it
        was never settled.
        """
        with self._writing(deadline) as (epoch, writing):
            lost = replace(record, epoch=epoch, settled=False)
            kept = self.table.register(lost, writing)
            if kept.fingerprint != lost.fingerprint:
                if kept.settled:
                    raise Conflict
                self.ledger.post(lost, writing)
                if not self.table.replace(kept, lost, writing):
                    raise Conflict
                kept = lost
            self._complete(kept, epoch, writing)

    def find(self, payment_id: str, deadline: Deadline) -> Record | None:
        """The record of an id, settled or not. Raises StoreUnavailable."""
        return self.table.find(payment_id, deadline)

    @contextmanager
    def _writing(self, deadline: Deadline) -> Iterator[tuple[int, Deadline]]:
        """The epoch to write under, and the deadline of writes that are made only while the right is held."""
        epoch = self.lease.epoch(deadline)
        try:
            yield epoch, deadline.guarded(partial(self.lease.hold, epoch, deadline))
        except NotTheWriter:
            self.lease.drop()
            raise

    def _complete(self, kept: Record, epoch: int, deadline: Deadline) -> Record:
        """Writes all that a registered record stands for: the posting, the receipt that vouches for it, `settled` last.

        A pending record of an older epoch is put under this one first, so that its writer can settle it no more.
        """
        old = not kept.settled and kept.epoch < epoch
        record = _own(kept, self.table.adopt(kept, epoch, deadline) if old else kept, epoch)
        self.ledger.post(replace(record, epoch=epoch), deadline)
        self.receipts.put(record, deadline)
        return record if record.settled else _own(record, self.table.settle(record, deadline), epoch)


def _own(asked: Record, found: Record, epoch: int) -> Record:
    """What the table has after a write: the record as asked, in the hands of this epoch or settled by another."""
    if found.fingerprint != asked.fingerprint:
        raise Conflict
    if found.epoch != epoch and not found.settled:
        raise NotTheWriter
    return found
