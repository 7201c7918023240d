"""Accepts payments and finds them."""
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from contract import CANARY_PREFIX, Store
from payments.clock import Clock, utc_now
from payments.deadline import Deadline
from payments.errors import Conflict, NotTheWriter, StoreUnavailable
from payments.leadership import Lease
from payments.ledger import PostgresLedger
from payments.payment import Payment, Record
from payments.stores import RECEIPT_DIFFERS, AwsResponse, DynamoTable, S3Receipts, record_of


@dataclass(frozen=True)
class PaymentService:
    """Payments over the stores of one region.

    The table decides: the first request that registers an id owns it, unless the ledger has posted another one. All
    other writes derive from the registered record and carry a condition, so a repeated request completes what an
    earlier one left undone, and nothing is written twice. A crash between two writes leaves a pending record, which is
    visibly not a payment yet.

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
        with self._writing(deadline) as (epoch, writing):
            new = self._new(payment, epoch)
            item = self.table.register(new, writing)
            found = record_of(item)
            if found.fingerprint == new.fingerprint and found.settled:
                return found
            if found.fingerprint != new.fingerprint:
                found = self._acknowledged(new, found, writing)
            elif found.epoch > epoch:
                raise NotTheWriter
            posted, notes = self._post(found, epoch, writing)
            return self._settle(item, posted, writing, notes)

    def canary(self, deadline: Deadline) -> None:
        """Write to table and bucket what a payment writes, under a key of its own; its posting is a mark.

        Raises what `accept` raises.
        """
        with self._writing(deadline) as (epoch, writing):
            record = self._canary(epoch)
            item = self.table.register(record, writing, again=True)
            if record_of(item).epoch > epoch:
                raise NotTheWriter
            self.receipts.put_canary(record, self.lease.region, writing)
            self._settle(item, replace(record, settled=True), writing)

    def probe(self, deadline: Deadline) -> None:
        """Put the canary's receipt, which a region may do whether it leads or not. Raises StoreUnavailable."""
        self.receipts.put_canary(self._canary(0), self.lease.region, deadline)

    def restore(self, record: Record, item: AwsResponse | None, deadline: Deadline) -> None:
        """Write a payment that one store has to each store that lacks it or holds it differently.

        `item` is what the table has under the id. A receipt that differs becomes an older version. Raises what `accept`
        raises.
        """
        with self._writing(deadline) as (epoch, writing):
            kept = self._posted(replace(record, epoch=epoch, settled=True), writing, corrects=True)
            receipt = self.receipts.put(kept, writing)
            if receipt is None or not receipt.agrees(kept):
                self.receipts.replace(kept, writing)
            self._settle(item or self.table.register(kept, writing), kept, writing)

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
        except Conflict:
            self.lease.hold(epoch, deadline)  # a former leader does not know what has been acknowledged since
            raise

    def _canary(self, epoch: int) -> Record:
        return self._new(Payment(payment_id=CANARY_PREFIX + self.lease.region, amount=1, currency="XXX",
                                 payer="canary", payee="canary"), epoch)

    def _new(self, payment: Payment, epoch: int) -> Record:
        return Record(payment=payment, fingerprint=payment.fingerprint(), epoch=epoch,
                      created_at=utc_now(self.clock).isoformat(timespec="milliseconds"))

    def _acknowledged(self, new: Record, found: Record, deadline: Deadline) -> Record:
        """The record in ledger or receipts if the table has another request under the id. Raises Conflict."""
        payment_id = new.payment.payment_id
        kept = self.ledger.find(payment_id, deadline)
        if kept is None and not found.settled:
            kept = self.receipts.find(payment_id, deadline)
        if kept is None or kept.fingerprint != new.fingerprint:
            raise Conflict
        return kept

    def _post(self, record: Record, epoch: int, deadline: Deadline) -> tuple[Record, AwsResponse | None]:
        """Post the payment and write its receipt. Returns its settled record, and what its item says besides.

        A receipt with another creation time comes from a posting that the ledger has lost, so its time counts. One of
        another request, or one that is none, may be replaced by repair alone: the item tells it to look.
        """
        record = self._posted(replace(record, epoch=epoch, settled=True), deadline)
        receipt = self.receipts.put(record, deadline)
        if receipt is None or receipt.fingerprint != record.fingerprint:
            return record, RECEIPT_DIFFERS
        if receipt.created_at != record.created_at:
            record = self._posted(replace(record, created_at=receipt.created_at), deadline, corrects=True)
        return record, None

    def _posted(self, record: Record, deadline: Deadline, *, corrects: bool = False) -> Record:
        return replace(record, created_at=self.ledger.post(record, deadline, corrects=corrects))

    def _settle(self, item: AwsResponse, record: Record, deadline: Deadline,
                notes: AwsResponse | None = None) -> Record:
        """Replace the item by the settled record, as the last step. Returns the record that the table has now.

        Raises NotTheWriter if a newer epoch has taken it up, and StoreUnavailable if it has changed otherwise.
        """
        now = record_of(self.table.update(item, record, deadline, notes))
        if now.settled and now.fingerprint == record.fingerprint:
            return now
        if now.epoch > record.epoch:
            raise NotTheWriter
        raise StoreUnavailable(Store.TABLE, "ItemChanged", again=True)
