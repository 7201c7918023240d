"""Takes payments and finds them again."""
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from payments.deadline import Deadline
from payments.payment import PAYMENT_ID, Payment, Record
from payments.stores import Receipts, Table


class Conflict(Exception):
    """The payment id belongs to another request."""


def utc_now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class PaymentService:
    """Payments over the stores of one region.

    The table decides: the first request that registers an id owns it. Everything else is derived from the registered
    record and written under a condition, so whoever repeats the request completes what an earlier try left undone, and
    nothing is written twice. Between any two writes a crash leaves a pending record, which is openly not a payment yet.
    """

    table: Table
    receipts: Receipts
    now: Callable[[], datetime] = utc_now

    def accept(self, payment: Payment, deadline: Deadline) -> Record:
        """The settled record of the payment, the same however often the request is sent.

        Raises Conflict if the id belongs to another request, and StoreUnavailable, after which a repeat completes it.
        """
        created_at = self.now().isoformat(timespec="milliseconds")
        pending = Record(payment=payment, fingerprint=payment.fingerprint(), created_at=created_at)
        record = self.table.register(pending, deadline)
        if record.fingerprint == pending.fingerprint and not record.settled:
            record = self._complete(record, deadline)
        if record.fingerprint != pending.fingerprint:
            raise Conflict
        return record

    def find(self, payment_id: str, deadline: Deadline) -> Record | None:
        """The record of an id, settled or not; an id that cannot exist is not asked for. Raises StoreUnavailable."""
        return self.table.find(payment_id, deadline) if PAYMENT_ID.fullmatch(payment_id) else None

    def _complete(self, record: Record, deadline: Deadline) -> Record:
        """Writes all that a registered record stands for, `settled` last.

        A posting to the books belongs before the receipt, which vouches for it.
        """
        self.receipts.put(record, deadline)
        return self.table.settle(record, deadline)
