"""Compares the payments in table, ledger and receipts, and restores what one store has lost and another still has.

Runs as a function (`payments.reconcile.handler`) and as a command (`python -m payments.reconcile`). Only the leader
repairs; the other region reports. A second run changes nothing. It can be stopped at any moment; a run that ends early
is continued from the cursor in its answer.

It holds all payments in memory, about two kilobytes each.
"""
import argparse
import json
import os
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from contract import Store
from payments.deadline import Deadline, Timing
from payments.errors import Conflict, NotTheWriter, StoreUnavailable
from payments.payment import Record, parse_receipt
from payments.region import create_service, system_transport
from payments.runtime import LambdaContext, Runtime, system_runtime
from payments.service import PaymentService
from payments.stores import NextDeadline

MARGIN = 10.0  # seconds of Lambda's time reserved for the call in progress and the answer
UNLIMITED = 10.0**9  # seconds


@dataclass(frozen=True)
class Receipt:
    """A payment's receipt: the number of its versions, when the first arrived, and the size of the newest in bytes.

    `content` is the record in it, if it had to be read; it is `broken` if that is not a payment of this id.
    """

    payment_id: str
    versions: int
    arrived_at: datetime
    size: int
    content: Record | None = None
    broken: bool = False

    def opened(self, body: bytes) -> "Receipt":
        """The receipt with its content."""
        try:
            content = parse_receipt(body)
        except ValueError:
            return replace(self, broken=True)
        mine = content.payment.payment_id == self.payment_id
        return replace(self, content=content) if mine else replace(self, broken=True)


@dataclass(frozen=True)
class Snapshot:
    """The contents of the three stores. The postings are in the ledger's order."""

    table: Mapping[str, Record]
    ledger: Sequence[Record]
    receipts: Mapping[str, Receipt]

    def cases(self) -> list["Case"]:
        """The payments in the order of their ids. If one was posted several times, its first posting counts."""
        postings = {record.payment.payment_id: record for record in reversed(self.ledger)}
        return [Case(payment_id, self.table.get(payment_id), postings.get(payment_id), self.receipts.get(payment_id))
                for payment_id in sorted({*self.table, *postings, *self.receipts})]


@dataclass(frozen=True)
class Case:
    """What the stores have for one payment id."""

    payment_id: str
    record: Record | None
    posting: Record | None
    receipt: Receipt | None

    @property
    def payment(self) -> Record | None:
        """The payment that counts: the table's if it is settled there, or else what was written after it.

        None if nothing shows that a payment was made, or which one.
        """
        if self.record and self.record.settled:
            return self.record
        later = self.posting or (self.receipt.content if self.receipt else None)
        return self.record if self.record and later and self.record.fingerprint == later.fingerprint else later

    @property
    def pending(self) -> bool:
        """Whether the payment is pending in the table. It was never reported as settled, so no store has lost it."""
        return self.record is not None and not self.record.settled

    @property
    def doubtful(self) -> bool:
        """Whether the receipt must be read: no other store has the payment, or the receipt's size does not match it."""
        known = self.record if self.record and self.record.settled else self.posting
        return self.receipt is not None and (known is None or len(known.receipt()) != self.receipt.size)

    @property
    def lost(self) -> dict[Store, bool]:
        """For each store, whether it lacks a payment that another store has."""
        found = {Store.TABLE: self.record, Store.LEDGER: self.posting, Store.RECEIPTS: self.receipt}
        return {store: value is None and not self.pending for store, value in found.items()}

    @property
    def conflicting(self) -> dict[Store, bool]:
        """For each store, whether it has something else under the payment's id."""
        content = self.receipt.content if self.receipt else None
        found = {Store.TABLE: self.record, Store.LEDGER: self.posting, Store.RECEIPTS: content}
        payment = self.payment
        other = {store: bool(payment and record and record.fingerprint != payment.fingerprint)
                 for store, record in found.items()}
        return {**other, Store.RECEIPTS: other[Store.RECEIPTS] or bool(self.receipt and self.receipt.broken)}

    @property
    def repairable(self) -> bool:
        """Whether a part is missing and can be written: it cannot if the ledger has another request under the id."""
        whole = self.record and self.record.settled and self.posting and self.receipt
        return self.payment is not None and not whole and not self.conflicting[Store.LEDGER]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong in one store: `kept` counts its payments, and `reordered` those that arrived out of order.

    `lost` are the ids of payments that only other stores have, `duplicated` those it has more than once, and
    `conflicting` those for which it has another request.
    """

    kept: int
    lost: Sequence[str]
    duplicated: Sequence[str]
    conflicting: Sequence[str]
    reordered: int


@dataclass(frozen=True)
class Findings:
    """A finding per store, the pending payments, and the records to restore, oldest first."""

    stores: Mapping[Store, Finding]
    pending: Sequence[str]
    repairs: Sequence[Record]


def compare(snapshot: Snapshot) -> Findings:
    """What each store has lost, has more than once, has differently and has out of order."""
    cases = snapshot.cases()
    ages = {case.payment_id: _age(case.payment) for case in cases if case.payment}
    postings = Counter(record.payment.payment_id for record in snapshot.ledger)
    # S3 gives an object's time only to the second, so nothing within one second is out of order.
    arrivals = sorted((receipt.arrived_at, ages[receipt.payment_id])
                      for receipt in snapshot.receipts.values() if receipt.payment_id in ages)
    counts: dict[Store, Mapping[str, int]] = {
        Store.TABLE: dict.fromkeys(snapshot.table, 1), Store.LEDGER: postings,
        Store.RECEIPTS: {receipt.payment_id: receipt.versions for receipt in snapshot.receipts.values()}}
    reordered = {Store.TABLE: 0, Store.LEDGER: out_of_order([ages[payment_id] for payment_id in postings]),
                 Store.RECEIPTS: out_of_order([age for _, age in arrivals])}
    findings = {store: Finding(kept=len(count), lost=[case.payment_id for case in cases if case.lost[store]],
                               duplicated=sorted(payment_id for payment_id, number in count.items() if number > 1),
                               conflicting=[case.payment_id for case in cases if case.conflicting[store]],
                               reordered=reordered[store]) for store, count in counts.items()}
    return Findings(findings, [case.payment_id for case in cases if case.pending],
                    sorted((case.payment for case in cases if case.payment and case.repairable), key=_age))


def out_of_order(places: Sequence[Any]) -> int:
    """The fewest places that must be left out so that the rest rise."""
    tails = list[Any]()
    for place in places:
        at = bisect_left(tails, place)
        tails[at:at + 1] = [place]
    return len(places) - len(tails)


@dataclass(frozen=True)
class Reconciliation:
    """The comparison of a region's stores, and their repair by its payment service."""

    region: str
    service: PaymentService
    timing: Timing
    runtime: Runtime

    def answer(self, event: Mapping[str, str], context: LambdaContext) -> dict[str, Any]:
        """Runs within Lambda's time: `epoch` for {"only": "epoch"}, or else `run` from the event's `cursor`."""
        seconds = context.get_remaining_time_in_millis() / 1000 - MARGIN
        return self.epoch(seconds) if event.get("only") == "epoch" else self.run(seconds, event.get("cursor", ""))

    def run(self, seconds: float, cursor: str = "") -> dict[str, Any]:
        """Compare and repair, for at most `seconds`. Returns JSON, also if a store fails or the region does not lead.

        `stores` has each store's finding before the repair. `repaired` names the payments that all stores have now,
        `refused` those that cannot be repaired because the stores disagree. `done` is false if the run ended early;
        then `error` says why and `cursor` where to continue.
        """
        until = Deadline(self.timing, seconds, self.runtime)
        answer: dict[str, Any] = {"region": self.region, "done": False, "error": "", "stores": {}, "pending": [],
                                  "repaired": [], "refused": [], "cursor": cursor}
        try:
            findings = compare(self._snapshot(until))
            answer.update(stores={store.value: asdict(finding) for store, finding in findings.stores.items()},
                          pending=findings.pending)
            for record in findings.repairs:
                position = " ".join(_age(record))
                if position > cursor:
                    outcome = "repaired"
                    try:
                        self.service.restore(record, until.within(self.timing.budget))
                    except Conflict:
                        outcome = "refused"
                    answer[outcome].append(record.payment.payment_id)
                    answer["cursor"] = position
            answer.update(done=True, cursor="")
        except StoreUnavailable as error:
            answer["error"] = f"{error.store}:{error.code}"
        except NotTheWriter as error:
            answer.update(error="not the writer", writer=error.writer)
        finally:
            self.service.ledger.close()
        return answer

    def epoch(self, seconds: float) -> dict[str, Any]:
        """The newest epoch that the region's ledger has seen, or the error instead. Returns JSON."""
        deadline = Deadline(self.timing, min(seconds, self.timing.budget), self.runtime)
        try:
            return {"region": self.region, "epoch": self.service.ledger.epoch(deadline)}
        except StoreUnavailable as error:
            return {"region": self.region, "error": f"{error.store}:{error.code}"}
        finally:
            self.service.ledger.close()

    def _snapshot(self, until: Deadline) -> Snapshot:
        # In the order in which a payment is written: what is settled in the table is in the others. What only the
        # others have may have been registered in the meantime, so the table is asked again.
        deadline = partial(until.within, self.timing.budget)
        table = {record.payment.payment_id: record for record in self.service.table.records(deadline)}
        ledger = list(self.service.ledger.postings(deadline))
        receipts = self._receipts(deadline)
        newer = {case.payment_id for case in Snapshot(table, ledger, receipts).cases()
                 if case.record is None and self.service.table.find(case.payment_id, deadline())}
        found = Snapshot(table, [record for record in ledger if record.payment.payment_id not in newer],
                         {key: receipt for key, receipt in receipts.items() if key not in newer})
        for case in found.cases():
            if case.receipt and case.doubtful:
                receipts[case.payment_id] = case.receipt.opened(self.service.receipts.read(case.payment_id, deadline()))
        return Snapshot(found.table, found.ledger, {key: receipts[key] for key in found.receipts})

    def _receipts(self, deadline: NextDeadline) -> dict[str, Receipt]:
        receipts: dict[str, Receipt] = {}
        for version in self.service.receipts.versions(deadline):
            newest = receipts.get(version.payment_id, Receipt(version.payment_id, 0, version.arrived_at, version.size))
            receipts[version.payment_id] = replace(newest, versions=newest.versions + 1, arrived_at=version.arrived_at)
        return receipts


def create_here() -> Reconciliation:
    """The reconciliation that this process's environment describes; see `create_service`."""
    timing, runtime = Timing(), system_runtime()
    service = create_service(os.environ, timing, runtime, system_transport())
    return Reconciliation(os.environ["AWS_REGION"], service, timing, runtime)


def handler(event: Mapping[str, str], context: LambdaContext) -> dict[str, Any]:
    """The entry point of the function. See `Reconciliation.answer`."""
    return create_here().answer(event, context)


def main(arguments: Sequence[str], create_reconciliation: Callable[[], Reconciliation]) -> int:
    """The command. Prints the answer. Returns 0 if all stores agree now, 1 if something is left."""
    parser = argparse.ArgumentParser("python -m payments.reconcile", description="Compare and repair the stores.")
    parser.add_argument("--cursor", default="", help="where to continue a run that ended early")
    cursor = parser.parse_args(arguments).cursor
    answer = create_reconciliation().run(UNLIMITED, cursor)
    print(json.dumps(answer, indent=2))  # noqa: T201
    return 0 if answer["done"] and not answer["refused"] else 1


def _age(record: Record) -> tuple[str, str]:
    return record.created_at, record.payment.payment_id


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], create_here))
