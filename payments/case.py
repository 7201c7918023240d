"""What a region's stores hold under one payment id: which payment counts, and what is wrong in which store."""
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cached_property
from itertools import islice
from typing import Any

from contract import Store
from payments.errors import StoreUnavailable
from payments.payment import Record, has_form
from payments.stores import AwsResponse, is_foreign, record_of

OTHERS = 5
"""The most contents of a payment that a line names, besides the one that counts."""


class Wrong(StrEnum):
    """The ways in which a store's copy of a payment can be wrong."""

    LOST = "lost"  # another store has it
    IN_DOUBT = "in doubt"  # pending, so that nobody knows whether it was acknowledged
    CONFLICTING = "conflicting"  # it has another request under the id, or another creation time
    DUPLICATED = "duplicated"  # it has it more than once
    SUPERSEDED = "superseded"  # an older receipt has another creation time: that answer was lost, and given again
    MALFORMED = "malformed"


@dataclass(frozen=True, kw_only=True)
class Case:
    """`receipts` are the versions of the receipt, newest first, None for one that is unreadable.

    `readable`: whether the newest is what a reader gets, and not a mark of its deletion.
    """

    item: AwsResponse | None
    posting: Record | None
    receipts: Sequence[Record | None]
    readable: bool

    @cached_property
    def record(self) -> Record | None:
        """The table's record; None if it has none, or one that is malformed."""
        try:
            found = record_of(self.item) if self.item else None
        except StoreUnavailable:
            return None
        return found if found and _sound(found) else None

    @cached_property
    def payment(self) -> Record | None:
        """The payment that counts: the ledger's, or else the one that is settled in the table, or in a receipt.

        A receipt with another creation time than the ledger's comes from a posting that the ledger has lost, so its
        time counts; but what table and ledger agree on has been answered, and a receipt that arrives later changes
        nothing. Times are not compared, since clocks differ. None if nothing can be read, if the ledger's posting is
        malformed, since nobody can change it, or if another release has given the item a status of its own.
        """
        if (self.item and is_foreign(self.item)) or (self.posting and not _sound(self.posting)):
            return None
        if self.posting and self.record and self.record.settled and self.record.agrees(self.posting):
            return self.posting
        receipts = [each for each in self.receipts if each]
        if self.posting:
            known = [self.posting]
        elif self.record and self.record.settled:
            known = [self.record]
        else:
            known = [*receipts[-1:], *([self.record] if self.record else [])]
        if not known:
            return None
        first = known[0]
        lost = [each.created_at for each in receipts if each.fingerprint == first.fingerprint
                and each.created_at != first.created_at and first is self.posting]
        return replace(first, created_at=lost[-1] if lost else first.created_at, settled=True)

    @cached_property
    def wrong(self) -> dict[Store, Wrong]:
        """What is wrong, by store; stores without a problem are left out."""
        stores = {Store.TABLE: self.item, Store.LEDGER: self.posting, Store.RECEIPTS: self.receipts}
        if self.payment is None:
            return {store: Wrong.MALFORMED for store, found in stores.items() if found}
        judged = zip(stores, (self._table, self._ledger, self._receipts), strict=True)
        return {store: wrong for store, judge in judged if (wrong := judge(self.payment))}

    @property
    def repairable(self) -> bool:
        """Whether a store can be given what it lacks. Older versions of a receipt stay as they are."""
        payment = self.payment
        if payment is None:
            return False
        whole = self.readable and self.receipts and self.receipts[0] and self.receipts[0].agrees(payment)
        return not whole or bool(self.wrong.keys() & {Store.TABLE, Store.LEDGER})

    def others(self) -> Iterator[dict[str, Any]]:
        """Every other content that a store holds under the id."""
        shown = list[Any]()
        for each in (self.record, self.posting, *self.receipts):
            if each and not (self.payment and each.agrees(self.payment)) and (content := _content(each)) not in shown:
                shown.append(content)
                yield content

    def line(self, payment_id: str, outcome: str, epoch: int) -> dict[str, Any]:
        """All of it as JSON, with the amounts, as it was found under an epoch."""
        return {"payment_id": payment_id, "outcome": outcome, "epoch": epoch, "wrong": self.wrong,
                "payment": _content(self.payment) if self.payment else None,
                "others": list(islice(self.others(), OTHERS))}

    def _table(self, payment: Record) -> Wrong | None:
        if self.item is None:
            return Wrong.LOST
        if self.record is None:
            return Wrong.MALFORMED
        if self.record.fingerprint == payment.fingerprint and not self.record.settled:
            return Wrong.IN_DOUBT
        return None if self.record.agrees(payment) else Wrong.CONFLICTING

    def _ledger(self, payment: Record) -> Wrong | None:
        if self.posting is None:
            return Wrong.LOST
        return None if self.posting.agrees(payment) else Wrong.CONFLICTING

    def _receipts(self, payment: Record) -> Wrong | None:
        if not self.readable:
            return Wrong.LOST
        if None in self.receipts:
            return Wrong.MALFORMED
        newest, *older = [each for each in self.receipts if each]
        if not newest.agrees(payment) or any(each.fingerprint != payment.fingerprint for each in older):
            return Wrong.CONFLICTING
        if not all(each.agrees(payment) for each in older):
            return Wrong.SUPERSEDED
        return Wrong.DUPLICATED if older else None


def _sound(record: Record) -> bool:
    return has_form(record) and record.payment.fingerprint() == record.fingerprint


def _content(record: Record) -> dict[str, Any]:
    return {**asdict(record.payment), "created_at": record.created_at}
