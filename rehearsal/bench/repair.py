"""`python -m rehearsal.bench.repair 10000 100000`: what a pass of the repair takes at so many payments.

Its stores hold nothing: each answer is computed from the number of a payment, so that the memory is the repair's own.
One payment in a thousand lacks its item, and is restored. The seconds are CPU time without any client's or network's.
"""
import json
import resource
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Annotated, Any

import typer

from contract import KEY_ATTRIBUTE, RECEIPTS_PREFIX, RECORD_KEY
from payments import ledger
from payments.deadline import Timing
from payments.leadership import DynamoLeadership, Lease
from payments.payment import PAYMENT_ID, Payment, Record
from payments.reconcile import Reconciliation
from payments.runtime import Runtime, system_runtime
from payments.service import PaymentService
from payments.stores import DynamoTable, S3Receipts, item_of
from rehearsal.report import lines

REGION = "us-east-1"
PAGE, SCANNED = 1000, 3000  # keys of a page of the bucket's listing, and items of one of the scan
LACKING = 1000  # one payment in so many lacks its item
SECONDS = 290.0  # of one start


class Inline:
    """Makes calls in the caller's own thread: the stores answer at once."""

    @staticmethod
    def call(function: Any, _: float) -> Any:
        """What it returns."""
        return function()


class Stores:
    """The clients of stores with so many payments."""

    def __init__(self, count: int) -> None:
        self.count, self.calls = count, Counter[str]()
        self._items: dict[str, dict[str, Any]] = {
            RECORD_KEY: {"epoch": {"N": "1"}, "region": {"S": REGION}}}  # and what was written

    @staticmethod
    def record(number: int) -> Record:
        """A payment; the order of their numbers is that of the keys."""
        payment = Payment(payment_id=f"pay-{number:09}", amount=number + 1, currency="EUR", payer="a", payee="b")
        return Record(payment=payment, fingerprint=payment.fingerprint(), epoch=1, settled=True,
                      created_at="2026-01-01T00:00:00.000+00:00")

    def item(self, key: str) -> dict[str, Any] | None:
        """What the table has."""
        if key in self._items or not PAYMENT_ID.fullmatch(key):
            return self._items.get(key)
        number = int(key[4:])
        return None if number % LACKING == 0 else item_of(self.record(number))

    def dynamodb(self) -> Any:
        """The table's client."""
        def get(**request: Any) -> Any:
            found = self.item(request["Key"][KEY_ATTRIBUTE]["S"])
            return {"Item": found} if found else {}

        def put(**request: Any) -> Any:
            self._items[request["Item"][KEY_ATTRIBUTE]["S"]] = request["Item"]
            return {}

        def batch(**request: Any) -> Any:
            keys = [key[KEY_ATTRIBUTE]["S"] for key in request["RequestItems"]["table"]["Keys"]]
            return {"Responses": {"table": [item for key in keys if (item := self.item(key))]}, "UnprocessedKeys": {}}

        def scan(**request: Any) -> Any:
            after = request.get("ExclusiveStartKey", {KEY_ATTRIBUTE: {"S": "pay--1"}})[KEY_ATTRIBUTE]["S"]
            first = int(after[4:]) + 1
            last = min(first + SCANNED, self.count)
            more = {"LastEvaluatedKey": {KEY_ATTRIBUTE: {"S": f"pay-{last - 1:09}"}}} if last < self.count else {}
            found = (self.item(f"pay-{number:09}") for number in range(first, last))
            return {"Items": [item for item in found if item], **more}

        return self._counted(get_item=get, put_item=put, batch_get_item=batch, scan=scan)

    def s3(self) -> Any:
        """The bucket's client."""
        def versions(**request: Any) -> Any:
            if request["Prefix"] != RECEIPTS_PREFIX:
                first = int(request["Prefix"][len(RECEIPTS_PREFIX) + 4:-5])
                last = first + 1
            else:
                marker = request.get("KeyMarker", f"{RECEIPTS_PREFIX}pay--1.json")
                first = int(marker[len(RECEIPTS_PREFIX) + 4:-5]) + 1
                last = min(first + PAGE, self.count)
            found = [{"Key": f"{RECEIPTS_PREFIX}pay-{number:09}.json", "VersionId": "1", "IsLatest": True,
                      "Size": len(self.record(number).receipt())} for number in range(first, last)]
            more = last < self.count and request["Prefix"] == RECEIPTS_PREFIX
            return {"Versions": found, "IsTruncated": more, **({"NextKeyMarker": found[-1]["Key"]} if more else {})}

        def get(**request: Any) -> Any:
            body = self.record(int(request["Key"][len(RECEIPTS_PREFIX) + 4:-5])).receipt()
            return {"Body": SimpleNamespace(read=lambda: body), "ContentLength": len(body)}

        def put(**_: Any) -> Any:
            return {}

        def head(**request: Any) -> Any:
            return {"ContentLength": get(**request)["ContentLength"]}

        return self._counted(list_object_versions=versions, get_object=get, put_object=put, head_object=head)

    def session(self) -> Any:
        """A session of the ledger."""
        def row(number: int) -> list[Any]:
            record = self.record(number)
            payment = record.payment
            return [number + 1, payment.payment_id, payment.payer, payment.payee, payment.amount, payment.currency,
                    record.fingerprint, record.epoch, record.created_at]

        def run(sql: str = ledger.POST, **values: Any) -> list[list[Any]]:
            self.calls["sql"] += 1
            match sql:
                case ledger.POST:
                    return [[values["created_at"]]]
                case ledger.FIND:
                    return [row(int(values["payment_id"][4:]))]
                case ledger.KNOWN:
                    return [[each] for each in values["payment_ids"]]
                case ledger.NEWEST:
                    last = min(values["before"] - 1, self.count)
                    return [row(number) for number in range(last - 1, max(last - 1 - values["page"], -1), -1)]
            first = int(values["after"][4:-5]) + 1 if values["after"] else 0
            return [row(number) for number in range(first, min(first + values["page"], self.count))]

        return SimpleNamespace(run=run, close=lambda: None, prepare=lambda _: SimpleNamespace(run=run))

    def _counted(self, **operations: Any) -> Any:
        def call(name: str, **request: Any) -> Any:
            self.calls[name] += 1
            return operations[name](**request)

        return SimpleNamespace(**{name: partial(call, name) for name in operations})


def measure(count: int) -> dict[str, Any]:
    """The first pass after a failover, and the one that finds nothing more to restore."""
    stores, runtime = Stores(count), replace(system_runtime(), caller=Inline())
    service = _service(stores, runtime)
    repair, starts, began = Reconciliation(REGION, service, Timing(), runtime), 0, time.process_time()
    answer: dict[str, Any] = {"done": False, "error": ""}
    while not answer["done"] and not answer["error"]:
        answer, starts = repair.run(SECONDS), starts + 1
    seconds = time.process_time() - began
    return {"payments": count, "starts": starts, "CPU seconds": round(seconds, 1), "calls": stores.calls.total(),
            "peak MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "answer bytes": len(json.dumps(answer)), "repaired": answer["counts"].get("repaired", 0),
            "error": answer["error"]}


def _service(stores: Stores, runtime: Runtime) -> PaymentService:
    dynamodb = stores.dynamodb()
    return PaymentService(Lease(DynamoLeadership(dynamodb, "table"), REGION, runtime.clock),
                          DynamoTable(dynamodb, "table"), ledger.PostgresLedger(stores.session),
                          S3Receipts(stores.s3(), "receipts"), runtime.clock)


def main(payments: Annotated[list[int], typer.Argument(min=1, help="How many, the smallest number first.")]) -> None:
    """Measure the repair with stores that answer at once."""
    print(*lines("Passes of the repair until nothing is left to restore", list(map(measure, payments))), sep="\n")


if __name__ == "__main__":
    typer.run(main)
