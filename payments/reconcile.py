"""Compares what table, ledger and receipts have kept of the payments, and repairs what one lost and another kept.

Runs as a function (`payments.reconcile.handler`) and as a command (`python -m payments.reconcile`). Only the region
that has the right to write repairs; another one reports. Run again, it does nothing the second time. It can be stopped
at any moment; what it could not finish in its time, it continues from the cursor of its answer.

It holds all payments in memory, about two kilobytes for each.
"""
import argparse
import json
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from payments.api import LambdaContext
from payments.deadline import Deadline, Timing
from payments.leadership import NotTheWriter
from payments.ledger import PostgresLedger
from payments.payment import Conflict, Record, parse_receipt
from payments.region import Stores
from payments.service import PaymentService
from payments.stores import DynamoTable, S3Receipts, StoreUnavailable, Time

MARGIN = 10.0  # seconds of Lambda's time that are left for what is under way, and for the answer
FOREVER = 10.0**9  # seconds


@dataclass(frozen=True)
class Receipt:
    """A payment's receipt: how many versions it has, when the first came and how many bytes the newest has.

    `content` is what it says, where it had to be read; it is `broken` if it says no payment of this id.
    """

    payment_id: str
    versions: int
    kept_at: datetime
    size: int
    content: Record | None = None
    broken: bool = False

    def opened(self, body: bytes) -> "Receipt":
        """The receipt with what it says."""
        try:
            content = parse_receipt(body)
        except ValueError:
            return replace(self, broken=True)
        mine = content.payment.payment_id == self.payment_id
        return replace(self, content=content) if mine else replace(self, broken=True)


@dataclass(frozen=True)
class Snapshot:
    """What the three stores have kept. The table has no order, the postings are in the ledger's."""

    table: Mapping[str, Record]
    ledger: Sequence[Record]
    receipts: Mapping[str, Receipt]

    def cases(self) -> list["Case"]:
        """What is kept of each payment, in the order of the ids; of a posting the first."""
        postings = {record.payment.payment_id: record for record in reversed(self.ledger)}
        return [Case(payment_id, self.table.get(payment_id), postings.get(payment_id), self.receipts.get(payment_id))
                for payment_id in sorted({*self.table, *postings, *self.receipts})]


@dataclass(frozen=True)
class Case:
    """What the stores have kept of one payment id."""

    payment_id: str
    record: Record | None
    posting: Record | None
    receipt: Receipt | None

    @property
    def payment(self) -> Record | None:
        """The payment that is to stand: the table's if it is settled there, or else what was written after it.

        None if nothing says that a payment was made, or nothing says which.
        """
        if self.record and self.record.settled:
            return self.record
        later = self.posting or (self.receipt.content if self.receipt else None)
        return self.record if self.record and later and self.record.fingerprint == later.fingerprint else later

    @property
    def pending(self) -> bool:
        """Whether the table says so. Nobody was promised the payment, so no store can have lost it."""
        return self.record is not None and not self.record.settled

    @property
    def doubtful(self) -> bool:
        """Whether the receipt tells something only when it is read.

        That is if no other store says what the payment was, or if its length is not what that makes it.
        """
        known = self.record if self.record and self.record.settled else self.posting
        return self.receipt is not None and (known is None or len(known.receipt()) != self.receipt.size)

    @property
    def lost(self) -> dict[str, bool]:
        """Of each store whether another one has the payment and it has not."""
        here = {"table": self.record, "ledger": self.posting, "receipts": self.receipt}
        return {store: found is None and not self.pending for store, found in here.items()}

    @property
    def conflicting(self) -> dict[str, bool]:
        """Of each store whether it has something else under the payment's id."""
        content = self.receipt.content if self.receipt else None
        found = {"table": self.record, "ledger": self.posting, "receipts": content}
        payment = self.payment
        other = {store: bool(payment and record and record.fingerprint != payment.fingerprint)
                 for store, record in found.items()}
        return {**other, "receipts": other["receipts"] or bool(self.receipt and self.receipt.broken)}

    @property
    def repairable(self) -> bool:
        """Whether something is lacking that can be written: in the ledger, another request may stand in the way."""
        whole = self.record and self.record.settled and self.posting and self.receipt
        return self.payment is not None and not whole and not self.conflicting["ledger"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is the matter with one store: payment ids, and how many payments came to it out of their order.

    Lost is what another store has kept. Duplicated is what it has more than once. Conflicting is what it has of another
    request than the payment.
    """

    kept: int
    lost: Sequence[str]
    duplicated: Sequence[str]
    conflicting: Sequence[str]
    reordered: int


@dataclass(frozen=True)
class Findings:
    """A finding for each store, the payments that are openly pending, and the records to restore, oldest first."""

    stores: Mapping[str, Finding]
    pending: Sequence[str]
    repairs: Sequence[Record]


def compare(snapshot: Snapshot) -> Findings:
    """What each store lost, has twice, has otherwise and has out of order."""
    cases = snapshot.cases()
    ages = {case.payment_id: _age(case.payment) for case in cases if case.payment}
    postings = Counter(record.payment.payment_id for record in snapshot.ledger)
    # S3 tells when an object came only to the second; within it, nothing is out of order.
    arrivals = sorted((receipt.kept_at, ages[receipt.payment_id])
                      for receipt in snapshot.receipts.values() if receipt.payment_id in ages)
    stores: dict[str, tuple[dict[str, int], int]] = {  # how often each payment is there, and how many are out of order
        "table": (dict.fromkeys(snapshot.table, 1), 0),
        "ledger": (dict(postings), out_of_order(ages[payment_id] for payment_id in postings)),
        "receipts": ({receipt.payment_id: receipt.versions for receipt in snapshot.receipts.values()},
                     out_of_order(age for _, age in arrivals))}
    findings = {store: Finding(kept=len(times), lost=[case.payment_id for case in cases if case.lost[store]],
                               duplicated=sorted(payment_id for payment_id, number in times.items() if number > 1),
                               conflicting=[case.payment_id for case in cases if case.conflicting[store]],
                               reordered=reordered) for store, (times, reordered) in stores.items()}
    return Findings(findings, [case.payment_id for case in cases if case.pending],
                    sorted((case.payment for case in cases if case.payment and case.repairable), key=_age))


def out_of_order(places: Iterable[Any]) -> int:
    """How many of the places must be left out until each is higher than the last."""
    number, tails = 0, list[Any]()
    for place in places:
        number += 1
        at = bisect_left(tails, place)
        tails[at:at + 1] = [place]
    return number - len(tails)


@dataclass(frozen=True)
class Reconciliation:
    """The comparison of a region's stores, and their repair by its payment service."""

    region: str
    service: PaymentService
    table: DynamoTable
    ledger: PostgresLedger
    receipts: S3Receipts
    timing: Timing

    def run(self, until: Deadline, cursor: str = "") -> dict[str, Any]:
        """Compares and repairs, as JSON. It never raises for a store or for the right to write.

        `stores` has each store's finding before the repair. `repaired` names the payments whose every store has now
        what it must, `refused` those that the stores hold too different things of. `done` is false if it was stopped,
        which `error` explains; then `cursor` says where to go on.
        """
        answer: dict[str, Any] = {"region": self.region, "done": False, "error": "", "stores": {}, "pending": [],
                                  "repaired": [], "refused": [], "cursor": cursor}
        try:
            findings = compare(self._snapshot(until))
            answer.update(stores={store: asdict(finding) for store, finding in findings.stores.items()},
                          pending=findings.pending)
            for record in findings.repairs:
                place = " ".join(_age(record))
                if place > cursor:
                    answer["repaired" if self._repaired(record, until) else "refused"].append(record.payment.payment_id)
                    answer["cursor"] = place
            answer.update(done=True, cursor="")
        except StoreUnavailable as error:
            answer["error"] = f"{error.store}:{error.code}"
        except NotTheWriter as error:
            answer.update(error="not the writer", writer=error.writer)
        finally:
            self.ledger.close()
        return answer

    def epoch(self, until: Deadline) -> dict[str, Any]:
        """The newest epoch that the region's ledger has seen, or the error in its place, as JSON."""
        try:
            return {"region": self.region, "epoch": self.ledger.epoch(until.within(self.timing.budget))}
        except StoreUnavailable as error:
            return {"region": self.region, "error": f"{error.store}:{error.code}"}
        finally:
            self.ledger.close()

    def _repaired(self, record: Record, until: Deadline) -> bool:
        try:
            self.service.restore(record, until.within(self.timing.budget))
        except Conflict:
            return False
        return True

    def _snapshot(self, until: Deadline) -> Snapshot:
        """In the order in which a payment is written, so what is settled in the table must be in the others.

        What only they have may have been registered since, so the table is asked again.
        """
        def time() -> Deadline:
            return until.within(self.timing.budget)

        table = {record.payment.payment_id: record for record in self.table.records(time)}
        ledger = list(self.ledger.postings(time))
        receipts = self._receipts(time)
        newer = {case.payment_id for case in Snapshot(table, ledger, receipts).cases()
                 if case.record is None and self.table.find(case.payment_id, time())}
        found = Snapshot(table, [record for record in ledger if record.payment.payment_id not in newer],
                         {key: receipt for key, receipt in receipts.items() if key not in newer})
        for case in found.cases():
            if case.receipt and case.doubtful:
                receipts[case.payment_id] = case.receipt.opened(self.receipts.read(case.payment_id, time()))
        return Snapshot(found.table, found.ledger, {key: receipts[key] for key in found.receipts})

    def _receipts(self, time: Time) -> dict[str, Receipt]:
        receipts: dict[str, Receipt] = {}
        for version in self.receipts.versions(time):
            newest = receipts.get(version.payment_id, Receipt(version.payment_id, 0, version.kept_at, version.size))
            receipts[version.payment_id] = replace(newest, versions=newest.versions + 1, kept_at=version.kept_at)
        return receipts


def create(environ: Mapping[str, str], timing: Timing) -> Reconciliation:
    """The reconciliation of AWS_REGION's stores; the environment is that of the payments function."""
    region, stores = environ["AWS_REGION"], Stores.create(environ, timing)
    return Reconciliation(region, stores.service(region), stores.table, stores.ledger, stores.receipts, timing)


def handler(event: Mapping[str, str], context: LambdaContext) -> dict[str, Any]:
    """Reconciles from the event's `cursor`, or from the beginning, in the time that Lambda gives. See `run`.

    With {"only": "epoch"} it compares nothing. See `epoch`.
    """
    until = Deadline(Timing(), context.get_remaining_time_in_millis() / 1000 - MARGIN)
    reconciliation = create(os.environ, Timing())
    if event.get("only") == "epoch":
        return reconciliation.epoch(until)
    return reconciliation.run(until, event.get("cursor", ""))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Prints the answer; 0 if all is well now, 1 if something is left."""
    parser = argparse.ArgumentParser("python -m payments.reconcile", description="Compares and repairs the stores.")
    parser.add_argument("--cursor", default="", help="where a run that was stopped goes on")
    cursor = parser.parse_args(arguments).cursor
    answer = create(os.environ, Timing()).run(Deadline(Timing(), FOREVER), cursor)
    print(json.dumps(answer, indent=2))  # noqa: T201
    return 0 if answer["done"] and not answer["refused"] else 1


def _age(record: Record) -> tuple[str, str]:
    return record.created_at, record.payment.payment_id


if __name__ == "__main__":
    raise SystemExit(main())
