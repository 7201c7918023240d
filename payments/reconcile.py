"""Repair finds what one store has and another lacks, or holds differently, and restores it (`payments.reconcile`).

It is started every few minutes. A pass goes through all payments; it may take many starts, and continues from the
cursor that it keeps in the table (`!repair:REGION`). It reads in pages, so its memory does not grow with the payments.
Only the leader repairs; the other region reports. What is wrong is named in the receipts bucket, with its amounts:
`repair/REGION/PASS-REVISION-RANDOM.jsonl`. What is to be restored is named in the cursor first, so that it gets there
whatever happens. A pass that restored something is followed by another one at once, and one that did not by a rest, so
that a large table is not read all the time. A new epoch begins with the latest postings, and has short rests for a day,
while copies may arrive late. In a rest or a long pass, the leader looks at the latest postings every few starts; a look
that restores something ends the rest.
"""
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import timedelta
from enum import StrEnum
from functools import partial
from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, TypeVar

from contract import REPAIR_FOLDER, REPAIR_MINUTES, REPAIR_PREFIX, Store
from payments.case import Case, Wrong
from payments.clock import utc_now
from payments.deadline import Deadline, Timing
from payments.errors import Conflict, NotTheWriter, RepairFailed, StoreUnavailable
from payments.leadership import Leadership
from payments.ledger import LAST_PLACE, PostgresLedger
from payments.logs import request_logger
from payments.payment import STORED_ID, Record
from payments.region import create_service, system_transport
from payments.runtime import LambdaContext, Runtime, system_runtime
from payments.service import PaymentService
from payments.stores import BATCH, RECEIPT_DIFFERS, AwsResponse, Version, item_of

T = TypeVar("T")

MARGIN = 60.0  # seconds of Lambda's time reserved for a batch in progress, of which each payment may be suspect
SAVE = 1000  # payments after which the cursor is saved
GROUP = 25  # payments whose restoring begins together: the cursor, an item of at most 400 KB, names them
RECENT = 10_000  # postings with which a new epoch begins, and of a look
REST = 5000  # payments of a pass for each start that is left out after it
LOOK = 4  # starts from one look to the next
DAY = 24 * 60 // REPAIR_MINUTES  # starts
DENIED = "denied"  # the outcome where a permission is missing: nothing is wrong with the payment
YOUNG = timedelta(minutes=1)  # a payment of this age may still be in progress


class PassPart(StrEnum):
    """The part of a pass: the latest postings; or first what the ledger or the receipts have, then only the table."""

    RECENT = "recent"
    LEDGER = "ledger"
    TABLE = "table"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far repair has come: the number of its pass, the epoch, and where to continue.

    `counts` are those of the pass; `repaired` is the number of payments restored since a pass found nothing to restore,
    `rest` the number of starts to leave out, `starts` the number of those since the epoch began, `begun` the lines of
    the payments that are being restored, by id.
    """

    number: int = 0
    epoch: int = 0
    phase: str = PassPart.ENDED
    cursor: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    repaired: int = 0
    rest: int = 0
    starts: int = 0
    begun: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, item: AwsResponse | None) -> "Progress":
        """The saved progress; a new one if that cannot be read."""
        try:
            found, new = json.loads(item["document"]["S"]) if item else {}, cls()
            kept = cls(**{each.name: found[each.name] for each in fields(cls)
                          if isinstance(getattr(new, each.name), type(found.get(each.name)))})
            rest = max(0, min(kept.rest, kept.longest_rest))  # that of an older release may be longer
            return replace(kept, rest=rest, counts={name: int(count) for name, count in kept.counts.items()}, begun={
                payment_id: line for payment_id, line in kept.begun.items()
                if STORED_ID.fullmatch(payment_id) and isinstance(line["wrong"], dict)})
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
            return cls()

    @property
    def longest_rest(self) -> int:
        """The most starts that may be left out: few on the first day of an epoch, when copies may arrive late."""
        return DAY if self.starts >= DAY else LOOK

    def next(self, phase: PassPart) -> "Progress":
        """The beginning of the next pass."""
        return Progress(number=self.number + 1, epoch=self.epoch, phase=phase, repaired=self.repaired,
                        starts=self.starts, begun=self.begun)

    def after(self, batch: "Batch", outcomes: Iterable[str]) -> "Progress":
        """The progress after a batch, with the outcomes of those of its suspects that were not restored."""
        counts = Counter(self.counts)
        counts.update(batch.counts)
        counts.update(outcomes)
        now = replace(self, phase=batch.phase, cursor=batch.cursor, counts=dict(+counts))
        if batch.phase != PassPart.ENDED:
            return now
        # What was restored is looked at again, since copies may still be on their way.
        again = self.phase == PassPart.RECENT or counts["repaired"]
        rest = min(counts["read"] // REST, LOOK if counts[DENIED] else self.longest_rest)
        return now.next(PassPart.LEDGER) if again else replace(now, rest=rest)

    def looked(self, found: "Progress") -> "Progress":
        """The progress after a look, which has come to `found`. If it has restored something in a rest, a pass follows.

        What else it has counted is dropped: the pass or the next look would count the same payments again.
        """
        restored = found.counts.get("repaired", 0)
        if restored and self.phase == PassPart.ENDED:
            return replace(found, repaired=restored).next(PassPart.LEDGER)
        rest = min(self.rest, LOOK) if found.counts.get(DENIED) else self.rest
        return replace(found, rest=rest, counts={**self.counts, "repaired": restored} if restored else self.counts)

    def finish(self, lines: Iterable[Mapping[str, Any]]) -> "Progress":
        """The progress after what was begun, with the lines that name what became of it."""
        counts = Counter(self.counts)
        for line in lines:
            counts.update({*map(str, line["wrong"].values()), line["outcome"]})
        restored = counts["repaired"] - self.counts.get("repaired", 0)
        return replace(self, counts=dict(counts), repaired=self.repaired + restored, begun={})


@dataclass(frozen=True)
class Batch:
    """A group of payments, of which the `suspects` need a closer look, and where to continue after them.

    `size` is their number; `counts` leaves out those that an earlier part of the pass has counted.
    """

    phase: PassPart
    cursor: str = ""
    size: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    suspects: Sequence[str] = ()


@dataclass(frozen=True)
class Reconciliation:
    """The comparison of a region's stores, and their repair by its payment service."""

    region: str
    service: PaymentService
    timing: Timing
    runtime: Runtime

    def answer(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Runs within Lambda's time; the event {"begin": true} ends a rest."""
        return self.run(context.get_remaining_time_in_millis() / 1000 - MARGIN, begin=event.get("begin") is True)

    def run(self, seconds: float, *, begin: bool = False) -> dict[str, Any]:
        """Compare and repair, for at most `seconds`; `begin`: without a rest. Returns JSON, also if a store fails.

        `done` says whether the latest pass has ended, and restored nothing; if not, another call continues. `counts`
        are those of that pass, but for `repaired`: all that was restored since a pass that restored nothing.
        """
        until = Deadline(self.timing, seconds, self.runtime)
        answer: dict[str, Any] = {"region": self.region, "done": False, "error": "", "pass": 0, "counts": {}}
        try:
            leadership = self.service.lease.read(Deadline(self.timing, self.timing.budget, self.runtime))
            with closing(Work(self, leadership)) as work:
                for saved in work.run(until, begin=begin):
                    answer.update({"done": saved.phase == PassPart.ENDED, "pass": saved.number,
                                   "counts": {**saved.counts, "repaired": saved.repaired}})
                answer["error"] = work.denied or (DENIED if answer["counts"].get(DENIED) else "")
        except StoreUnavailable as error:
            answer["error"] = _said(error)
        except NotTheWriter as error:
            answer.update(error="not the writer", writer=error.writer)
        return answer


class Work:
    """The work of one start, under one leadership."""

    def __init__(self, here: Reconciliation, leadership: Leadership) -> None:
        self._here, self._service, self._epoch = here, here.service, leadership.epoch
        self._table, self._receipts = here.service.table, here.service.receipts
        self._leads = leadership.region == here.region
        self._ledger: PostgresLedger = here.service.ledger if self._leads else here.service.ledger.replica()
        self._revision = 0
        self._lines: list[Mapping[str, Any]] = []  # what was wrong, until it is saved
        self.denied = ""
        """The last error for which repair was not permitted to restore a payment: it stops nothing."""

    def run(self, until: Deadline, *, begin: bool) -> Iterator[Progress]:
        """Continue until a pass ends that restored nothing, or the time is over. Yields what is saved."""
        item = self._table.item(REPAIR_PREFIX + self._here.region, self._deadline())
        revision = item.get("revision", {}).get("N", 0) if item else 0
        self._revision, progress = int(revision), Progress.of(item)
        progress, over = replace(progress, starts=progress.starts + 1), False
        looks = self._leads and progress.starts % LOOK == 0
        continues = progress.epoch == self._epoch and progress.phase in (PassPart.LEDGER, PassPart.TABLE)
        if progress.epoch != self._epoch:
            progress = replace(progress, epoch=self._epoch, repaired=0, starts=1).next(PassPart.RECENT)
        elif progress.phase == PassPart.ENDED and (begin or not progress.rest):
            progress = replace(progress, repaired=0).next(PassPart.LEDGER)
        elif progress.phase == PassPart.ENDED:
            # It is saved first, so that no failure prolongs the rest.
            progress = self._save(replace(progress, rest=progress.rest - 1))
            yield (progress := self._look(progress, until, wide=looks))
            over = until.remaining() <= 0
        unsaved = 0
        if progress.begun:  # an earlier start was interrupted
            yield (progress := self._save(self._finish(progress, {})))
            over = until.remaining() <= 0
        if looks and continues and not over:
            yield (progress := self._look(progress, until, wide=True))
            over = until.remaining() <= 0
        while progress.phase != PassPart.ENDED and not over:
            for batch in self._batches(progress):
                before = progress.phase
                progress, outcomes = self._examine_all(batch, progress, before)
                over = until.remaining() <= 0
                progress, unsaved = progress.after(batch, outcomes), unsaved + batch.size
                if over or unsaved >= SAVE or progress.phase != before:
                    progress, unsaved = self._save(progress), 0
                    yield progress
                if over:
                    break

    def _look(self, progress: Progress, until: Deadline, *, wide: bool) -> Progress:
        """The saved progress after what an interrupted start had begun, and if `wide` after a look at all of RECENT."""
        found = self._finish(progress, {}) if progress.begun else progress
        for batch in self._newest(LAST_PLACE, 0) if wide else ():
            found, _ = self._examine_all(batch, found, PassPart.RECENT)
            if until.remaining() <= 0:
                break
        return self._save(progress.looked(found)) if wide or self._lines else progress

    def close(self) -> None:
        """End the sessions of the ledger."""
        self._ledger.close()

    def _save(self, progress: Progress) -> Progress:
        if self._lines:
            # Of two repairs at once, both may write here before one of them finds that the other has saved its cursor.
            unique = f"{self._revision:08}-{self._here.runtime.random.getrandbits(64):016x}"
            self._receipts.note(f"{REPAIR_FOLDER}{self._here.region}/{progress.number:08}-{unique}.jsonl",
                                "".join(json.dumps(line) + "\n" for line in self._lines), self._deadline())
            self._lines.clear()
        self._revision += 1
        if not self._table.note(REPAIR_PREFIX + self._here.region, json.dumps(asdict(progress)), self._revision,
                                self._deadline()):
            raise StoreUnavailable(Store.TABLE, "AnotherRepair")
        return progress

    # --- Which payments need a closer look

    def _batches(self, progress: Progress) -> Iterator[Batch]:
        """The payments from where the progress is to the end of its pass."""
        match progress.phase:
            case PassPart.RECENT:
                before = int(progress.cursor) if progress.cursor.isdecimal() else LAST_PLACE
                yield from self._newest(before, progress.counts.get("read", 0))
            case PassPart.LEDGER:
                yield from self._in_order(progress.cursor)
                yield Batch(PassPart.TABLE)
                yield from self._only_in_table("")
            case _:
                yield from self._only_in_table(progress.cursor)

    def _newest(self, before: int, read: int) -> Iterator[Batch]:
        """The latest postings, which the other stores may not have yet."""
        while before and read < RECENT:
            before, postings = self._ledger.newest(before, self._deadline())
            read += len(postings)
            items = self._items([each.payment.payment_id for each in postings])
            suspects = [each.payment.payment_id for each in postings
                        if not _agrees(each, items) or self._size(each) != len(each.receipt())]
            yield Batch(PassPart.RECENT, str(before), len(postings), _counts(len(postings), suspects), suspects)
        yield Batch(PassPart.ENDED)

    def _in_order(self, after: str) -> Iterator[Batch]:
        """The payments that the ledger or the receipts have, in the order of the receipts' keys."""
        both: Iterator[tuple[str, Record | Version]] = merge(
            ((f"{each.payment.payment_id}.json", each) for each in self._ledger.postings(self._deadline, after)),
            ((f"{each.payment_id}.json", each) for each in self._receipts.versions(self._deadline, after)),
            key=itemgetter(0))
        payments = ((key.removesuffix(".json"), [each for _, each in group]) for key, group in groupby(
            both, itemgetter(0)))
        while part := list(islice(payments, BATCH)):
            items = self._items([payment_id for payment_id, _ in part])
            suspects = [payment_id for payment_id, found in part if not _whole(found, items)]
            yield Batch(PassPart.LEDGER, part[-1][0], len(part), _counts(len(part), suspects), suspects)

    def _only_in_table(self, after: str) -> Iterator[Batch]:
        """The payments that only the table has; what the receipts have, too, was looked at before."""
        for cursor, items in self._table.pages(after, self._deadline):
            known = self._ledger.known(list(items), self._deadline()) if items else set[str]()
            begun = {key for key, item in items.items() if self._begun(item)}
            keys = [*items]
            while len(keys) > BATCH:
                some, keys = keys[:BATCH], keys[BATCH:]
                yield Batch(PassPart.TABLE, some[-1], len(some), *_only_there(some, known, begun))
            part = PassPart.TABLE if cursor else PassPart.ENDED
            yield Batch(part, cursor, len(keys), *_only_there(keys, known, begun))

    def _items(self, payment_ids: Sequence[str]) -> dict[str, AwsResponse]:
        found: dict[str, AwsResponse] = {}
        for start in range(0, len(payment_ids), BATCH):
            found |= self._table.items(payment_ids[start:start + BATCH], self._deadline())
        return found

    def _size(self, posting: Record) -> int | None:
        """The size of a payment's receipt in bytes; None if there is none, or the store refuses to say."""
        return _unless_refused(partial(self._receipts.size, posting.payment.payment_id, self._deadline()))

    def _begun(self, item: AwsResponse) -> bool:
        """Whether a payment is pending under the present epoch: in progress, or its client will send it again."""
        return (item.get("status"), item.get("epoch")) == ({"S": "PENDING"}, {"N": str(self._epoch)})

    # --- A closer look

    def _examine_all(self, batch: Batch, progress: Progress, phase: str) -> tuple[Progress, list[str]]:
        """Examine the suspects of a batch, a group at a time. See `_examine`."""
        outcomes = list[str]()
        for start in range(0, len(batch.suspects), GROUP):
            progress, found = self._examine(batch.suspects[start:start + GROUP], progress, phase)
            outcomes += found
        return progress, outcomes

    def _examine(self, payment_ids: Sequence[str], progress: Progress, phase: str) -> tuple[Progress, list[str]]:
        """Examine payments in every store, and repair them in the leader.

        Returns the progress with those that were restored, and the counters to raise for the others.
        """
        cases = {each: self._case(each) for each in payment_ids}
        begun, outcomes = dict[str, Mapping[str, Any]](), list[str]()
        for payment_id, case in cases.items():
            wrong = sorted({*case.wrong.values()})
            if case.item and self._begun(case.item) and (
                    self._young(case.item) or not (case.posting or case.receipts)):
                outcomes.append("pending")
            elif phase == PassPart.TABLE and case.receipts:
                continue  # what has a receipt was looked at before
            elif {*wrong} <= {Wrong.DUPLICATED, Wrong.SUPERSEDED}:
                # Older versions of the same payment's receipt: from the other region, or from before a loss.
                outcomes += wrong or ["settled"]
            elif self._leads and case.repairable:
                begun[payment_id] = case.line(payment_id, "begun", self._epoch)
            else:
                outcomes += wrong if case.payment else [*wrong, "set aside"]
                self._lines.append(case.line(payment_id, "reported" if case.payment else "set aside", self._epoch))
        if begun:
            progress = self._finish(self._save(replace(progress, begun=begun)), cases)
        return progress, outcomes

    def _case(self, payment_id: str) -> Case:
        # In the order in which a payment is written: what is settled in the table is in the others.
        item = self._table.item(payment_id, self._deadline())
        posting = self._ledger.find(payment_id, self._deadline())
        versions = list(self._receipts.versions(self._deadline, payment_id=payment_id))
        return Case(item=item, posting=posting, readable=bool(versions) and versions[0].current, receipts=[
            _unless_refused(partial(self._receipts.read, each, self._deadline())) for each in versions])

    def _finish(self, progress: Progress, cases: Mapping[str, Case]) -> Progress:
        """Restore what has begun. What is whole by now was restored by the start that was interrupted."""
        lines = list[Mapping[str, Any]]()
        for payment_id, line in progress.begun.items():
            case = cases.get(payment_id) or self._case(payment_id)
            outcome = "reported"
            if case.payment and not case.repairable:
                outcome = "repaired"
            elif case.payment and self._leads:
                outcome = self._restore(case.payment, case.item)
            lines.append({**line, "outcome": outcome})
        self._lines += lines
        return progress.finish(lines)

    def _restore(self, payment: Record, item: AwsResponse | None) -> str:
        try:
            self._service.restore(payment, item, self._deadline())
        except Conflict:
            return "refused"
        except StoreUnavailable as error:
            if error.again:
                raise
            if not error.denied:
                return "refused"
            self.denied = _said(error)
            return DENIED
        return "repaired"

    def _young(self, item: AwsResponse) -> bool:
        now = utc_now(self._here.runtime.clock)
        earliest, latest = ((now + each).isoformat(timespec="milliseconds") for each in (-YOUNG, YOUNG))
        return earliest < str(item.get("created_at", {}).get("S", "")) < latest

    def _deadline(self) -> Deadline:
        return Deadline(self._here.timing, self._here.timing.budget, self._here.runtime)


def _unless_refused(call: Callable[[], T]) -> T | None:
    """What a call returns; None if its store refuses it. Raises StoreUnavailable if it may succeed later."""
    try:
        return call()
    except StoreUnavailable as error:
        if error.again:
            raise
        return None


def _said(error: StoreUnavailable) -> str:
    return f"{error.store}:{error.code}"


def _counts(read: int, suspects: Sequence[str]) -> dict[str, int]:
    return {"read": read, "settled": read - len(suspects)}


def _only_there(keys: Sequence[str], known: set[str], begun: set[str]) -> tuple[dict[str, int], list[str]]:
    """The counts, and the suspects among some keys of the table: those neither known to the ledger nor begun."""
    unknown = set(keys) - known
    return {"read": len(unknown), "pending": len(unknown & begun)}, [key for key in keys if key in unknown - begun]


def _agrees(posting: Record, items: Mapping[str, AwsResponse]) -> bool:
    """Whether the table has the posting, settled, and says nothing against its receipt."""
    item = items.get(posting.payment.payment_id, {})
    return {**item_of(posting), "epoch": item.get("epoch")}.items() <= item.items() and (
        not RECEIPT_DIFFERS.items() <= item.items())


def _whole(found: Sequence[Record | Version], items: Mapping[str, AwsResponse]) -> bool:
    """Whether a payment is in all three stores, as far as a receipt's size tells, with one version of its receipt."""
    match found:
        case [Record() as posting, Version(current=True) as version]:
            return version.size == len(posting.receipt()) and _agrees(posting, items)
    return False


def told(answer: dict[str, Any], logger: logging.Logger, *, awaited: bool) -> dict[str, Any]:
    """The answer of a start, which is logged as one line.

    Raises RepairFailed if a store has failed and the answer is not `awaited`, so that Lambda counts an error; what was
    saved stays saved. It is no failure that another region leads now.
    """
    failed = bool(answer["error"]) and "writer" not in answer
    logger.log(logging.ERROR if failed else logging.INFO, "repair", extra={"fields": answer})
    if failed and not awaited:
        raise RepairFailed(answer["error"])
    return answer


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """The entry point of the function. See `Reconciliation.answer`, and `told`: nobody reads what the schedule gets."""
    timing, runtime = Timing(), system_runtime()
    service = create_service(os.environ, timing, runtime, system_transport())
    answer = Reconciliation(os.environ["AWS_REGION"], service, timing, runtime).answer(event, context)
    return told(answer, request_logger(sys.stdout, runtime.clock), awaited=event.get("begin") is True)
