"""Comparing the stores, repairing them, and continuing a run that ended early."""
import json
import runpy
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import DRILL_KEY, JOURNAL_KEY, LEADERSHIP_KEY, OBSERVATION_PREFIX, Store
from payments import reconcile
from payments.errors import Conflict
from payments.payment import Payment, Record, parse_receipt
from payments.reconcile import Receipt, Snapshot, compare, out_of_order
from tests.unit.payments.fakes import (
    FIELDS,
    MOMENT,
    OTHER,
    PAYMENT,
    RECEIPTS,
    Crash,
    FakeContext,
    Fault,
    Item,
    Region,
    client_error,
    database_error,
)
from tests.unit.payments.strategies import payments

PLACE = (RECEIPTS, "receipts/pay-1.json")


def record(payment_id: str = "pay-1", amount: int = 1250, *, second: int = 0, settled: bool = True) -> Record:
    """A record registered in that second."""
    payment = Payment(payment_id=payment_id, **{**FIELDS, "amount": amount})
    return Record(payment=payment, fingerprint=payment.fingerprint(), epoch=1, settled=settled,
                  created_at=f"2026-01-01T00:00:{second:02}.000+00:00")


def receipt(kept: Record, *, versions: int = 1, second: int = 0, **more: Any) -> Receipt:
    """The receipt of a record, which arrived in that second."""
    return Receipt(kept.payment.payment_id, versions, MOMENT + timedelta(seconds=second), len(kept.receipt()), **more)


def snapshot(table: list[Record], ledger: list[Record], receipts: list[Receipt]) -> Snapshot:
    """The contents of the stores."""
    return Snapshot({kept.payment.payment_id: kept for kept in table}, ledger,
                    {kept.payment_id: kept for kept in receipts})


def summary(found: Snapshot) -> dict[str, Any]:
    """The findings, without stores that have none."""
    findings = compare(found)
    stores = {store: {name: value for name, value in vars(finding).items() if value and name != "kept"}
              for store, finding in findings.stores.items()}
    return {**{store: finding for store, finding in stores.items() if finding},
            "pending": list(findings.pending), "repairs": list(findings.repairs)}


SETTLED, PENDING, POSTED = record(), record(settled=False), record(second=1)
SAME, READ = receipt(SETTLED), receipt(SETTLED, content=SETTLED)
RIVAL = record(amount=7)


@pytest.mark.parametrize(("table", "ledger", "receipts", "expected"), [
    ([], [], [], {}),
    ([SETTLED], [SETTLED], [SAME], {}),
    ([PENDING], [], [], {"pending": ["pay-1"]}),
    ([PENDING], [SETTLED], [], {"pending": ["pay-1"], "repairs": [PENDING]}),
    ([PENDING], [SETTLED], [SAME], {"pending": ["pay-1"], "repairs": [PENDING]}),
    ([PENDING], [], [READ], {"pending": ["pay-1"], "repairs": [PENDING]}),
    ([], [SETTLED], [SAME], {"table": {"lost": ["pay-1"]}, "repairs": [SETTLED]}),
    ([SETTLED], [], [SAME], {"ledger": {"lost": ["pay-1"]}, "repairs": [SETTLED]}),
    ([SETTLED], [SETTLED], [], {"receipts": {"lost": ["pay-1"]}, "repairs": [SETTLED]}),
    ([], [], [READ], {"table": {"lost": ["pay-1"]}, "ledger": {"lost": ["pay-1"]}, "repairs": [SETTLED]}),
    ([], [], [replace(SAME, broken=True)],
     {"table": {"lost": ["pay-1"]}, "ledger": {"lost": ["pay-1"]}, "receipts": {"conflicting": ["pay-1"]}}),
    ([PENDING], [RIVAL], [], {"table": {"conflicting": ["pay-1"]}, "pending": ["pay-1"], "repairs": [RIVAL]}),
    ([SETTLED], [RIVAL], [SAME], {"ledger": {"conflicting": ["pay-1"]}}),
    ([SETTLED], [RIVAL], [], {"ledger": {"conflicting": ["pay-1"]}, "receipts": {"lost": ["pay-1"]}}),
    ([SETTLED], [SETTLED], [receipt(RIVAL, content=RIVAL)], {"receipts": {"conflicting": ["pay-1"]}}),
    ([SETTLED], [SETTLED, SETTLED], [receipt(SETTLED, versions=3)],
     {"ledger": {"duplicated": ["pay-1"]}, "receipts": {"duplicated": ["pay-1"]}}),
])
def test_findings_about_one_payment(
        table: list[Record], ledger: list[Record], receipts: list[Receipt], expected: dict[str, Any]) -> None:
    assert summary(snapshot(table, ledger, receipts)) == {"pending": [], "repairs": [], **expected}


def test_of_several_postings_the_first_counts() -> None:
    assert summary(snapshot([], [SETTLED, RIVAL], [SAME]))["repairs"] == [SETTLED]


def test_repairs_are_in_the_order_of_registration() -> None:
    young, old = record("a", second=2), record("b", second=1)
    assert compare(snapshot([young, old], [], [])).repairs == [old, young]


def test_each_store_is_compared_with_the_order_of_registration() -> None:
    first, second, third = (record(name, second=number) for number, name in enumerate("cba"))
    table = [first, second, third]
    found = compare(snapshot(table, [third, first, second],
                             [receipt(each, second=3 - number) for number, each in enumerate(table)])).stores
    assert [found[store].reordered for store in Store] == [0, 1, 2]
    at_once = compare(snapshot(table, table, [receipt(each) for each in reversed(table)])).stores
    assert [at_once[store].reordered for store in Store] == [0, 0, 0]


@given(st.permutations(range(7)))
def test_as_few_as_possible_count_as_out_of_order(places: list[int]) -> None:
    rising = [[each for number, each in enumerate(places) if chosen >> number & 1] for chosen in range(2**7)]
    longest = max(len(kept) for kept in rising if kept == sorted(kept))
    assert out_of_order(places) == 7 - longest


@given(payments)
def test_a_receipt_can_be_parsed(payment: dict[str, Any]) -> None:
    kept = replace(record(), payment=Payment(**payment), fingerprint=Payment(**payment).fingerprint())
    assert parse_receipt(kept.receipt()) == replace(kept, epoch=0)


@pytest.mark.parametrize("body", [
    b"", b"\xff", b"[]", b"{}", b"1", b"[" * 10**6, SETTLED.receipt() + b" ", SETTLED.receipt()[:-1],
    SETTLED.receipt().replace(b"1250", b"1251"), SETTLED.receipt()[:-1] + b',"zzz":1}',
    json.dumps({**PAYMENT, "created_at": "x"}).encode(),
], ids=range(11))
def test_other_bytes_are_not_parsed_as_a_receipt(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a receipt|Expecting|utf-8|Extra data"):
        parse_receipt(body)


# --- Runs over stores

def run(region: Region, cursor: str = "", *, seconds: float = 10) -> Item:
    """A run; its answer must be JSON."""
    region.network.calls.clear()
    answer = region.reconciliation().run(seconds, cursor)
    return dict(json.loads(json.dumps(answer)))


def everything(region: Region) -> object:
    """What the stores have of pay-1."""
    return region.status(), region.posted(), region.receipt_versions()


def lose_item(region: Region) -> None:
    """The table loses pay-1."""
    del region.dynamodb.items["pay-1"]


def lose_posting(region: Region) -> None:
    """The ledger loses it."""
    del region.postgres.postings["pay-1"]


def lose_receipt(region: Region) -> None:
    """The receipts lose it."""
    del region.s3.objects[PLACE]


@pytest.mark.parametrize("losses", [
    [lose_item], [lose_posting], [lose_receipt], [lose_item, lose_posting], [lose_item, lose_receipt],
    [lose_posting, lose_receipt],
])
def test_after_the_repair_every_store_has_what_any_store_had(losses: list[Callable[[Region], None]]) -> None:
    region = Region()
    first = region.pay(PAYMENT)
    before = everything(region)
    for lose in losses:
        lose(region)
    there = Region("eu-west-1", elsewhere=region)
    there.take_leadership()  # a repair writes under the current epoch, like any write

    answer = run(there)
    assert (answer["done"], answer["repaired"], answer["refused"]) == (True, ["pay-1"], [])
    assert sum(len(finding["lost"]) for finding in answer["stores"].values()) == len(losses)
    after = everything(there)
    epoch = {"epoch": 2} if lose_posting in losses else {}
    assert after == (before[0], {**before[1], **epoch}, before[2])  # type: ignore[index]
    assert there.pay(PAYMENT) == first

    again = run(there)
    assert (again["done"], again["repaired"]) == (True, [])
    assert not {"PutItem", "UpdateItem", "Post", "PutObject"} & set(there.network.calls)


def test_if_the_stores_agree_receipts_are_listed_but_not_read() -> None:
    region = Region()
    region.pay(PAYMENT)
    assert run(region)["stores"]["receipts"] == {
        "kept": 1, "lost": [], "duplicated": [], "conflicting": [], "reordered": 0}
    assert region.network.calls == ["Scan", "Read", "Read", "ListObjectVersions"]


def test_a_payment_that_is_made_during_the_comparison_is_not_lost() -> None:
    region = Region()
    region.network.meanwhile = {1: lambda: region.pay(PAYMENT)}
    answer = run(region)
    assert (answer["done"], answer["repaired"], answer["stores"]["table"]["lost"]) == (True, [], [])
    assert [finding["kept"] for finding in answer["stores"].values()] == [0, 0, 0]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_pending_payment_that_another_store_has_is_completed(number: int) -> None:
    region = Region()
    region.network.faults = [*[None] * number, Fault(Crash())]
    with pytest.raises(Crash):
        region.pay(PAYMENT)
    answer = run(region)
    assert answer["pending"] == ["pay-1"]
    assert (region.status(), answer["repaired"]) == (("PENDING", []) if number == 1 else ("SETTLED", ["pay-1"]))


def test_a_posted_payment_replaces_one_that_was_never_settled() -> None:
    region = Region()
    region.pay(OTHER)
    lose_item(region)
    assert region.pay(PAYMENT)[0] == 409
    answer = run(region)
    assert (answer["stores"]["table"]["conflicting"], answer["repaired"]) == (["pay-1"], ["pay-1"])
    assert (region.pay(OTHER)[0], region.pay(PAYMENT)[0]) == (201, 409)


def test_a_pending_payment_is_not_replaced_if_the_ledger_has_posted_it() -> None:
    region = Region()
    region.pay(OTHER)
    [kept] = region.table.records(region.deadline)
    lose_item(region)
    lose_posting(region)
    region.network.faults = [None, None, Fault(Crash())]
    with pytest.raises(Crash):
        region.pay(PAYMENT)
    before = everything(region), region.dynamodb.items["pay-1"]
    with pytest.raises(Conflict):
        region.service.restore(kept, region.deadline())
    assert (everything(region), region.dynamodb.items["pay-1"]) == before


@pytest.mark.parametrize(("status", "call"), [("SETTLED", 4), ("PENDING", 6)])
def test_a_record_that_changes_during_the_repair_is_refused(status: str, call: int) -> None:
    region = Region()
    region.pay(OTHER)
    lose_item(region)
    region.pay(PAYMENT)
    other = {**region.dynamodb.items["pay-1"], "status": {"S": status}, "fingerprint": {"S": "f" * 64}}

    def change() -> None:
        region.dynamodb.items["pay-1"] = other

    region.network.meanwhile = {call: change}
    answer = run(region)
    assert (answer["done"], answer["refused"]) == (True, ["pay-1"])
    assert region.network.calls[4:] == ["PutItem", "Post", "PutItem"][:call - 3]


def test_a_receipt_of_something_else_is_reported_and_not_changed() -> None:
    region = Region()
    region.pay(PAYMENT)
    region.s3.objects[PLACE] = [b"{}"]
    region.s3.objects[RECEIPTS, "receipts/pay-9.json"] = [record("pay-8").receipt()]
    answer = run(region)
    assert answer["stores"]["receipts"]["conflicting"] == ["pay-1", "pay-9"]
    assert (answer["done"], answer["repaired"], region.receipt_versions()) == (True, [], [b"{}"])


def test_only_the_leader_repairs() -> None:
    here = Region("us-east-1")
    here.pay(PAYMENT)
    lose_posting(here)
    there = Region("eu-west-1", elsewhere=here)
    answer = run(there)
    assert (answer["done"], answer["error"], answer["writer"]) == (False, "not the writer", "us-east-1")
    assert (answer["stores"]["ledger"]["lost"], here.posted()) == (["pay-1"], None)


def three(region: Region) -> None:
    """Three payments, none of which is in the ledger any more."""
    for number in range(3):
        region.pay({**PAYMENT, "payment_id": f"pay-{number}"})
    region.postgres.postings.clear()


def test_a_run_that_ended_early_is_continued_from_its_cursor() -> None:
    region = Region()
    three(region)
    assert run(region, "9")["repaired"] == []
    region.network.meanwhile = {8: lambda: region.network.faults.append(Fault(database_error("42501")))}
    first = run(region)
    assert (first["done"], first["error"], first["repaired"]) == (False, "ledger:42501", ["pay-0"])
    second = run(region, first["cursor"])
    assert (second["done"], second["cursor"], second["repaired"]) == (True, "", ["pay-1", "pay-2"])


@pytest.mark.parametrize("number", range(20))
def test_a_repair_that_crashed_anywhere_can_be_repeated(number: int) -> None:
    region = Region()
    three(region)
    del region.dynamodb.items["pay-1"]
    region.network.faults = [*[None] * number, Fault(Crash(), done=True)]
    with suppress(Crash):
        run(region)
    region.network.faults = []
    assert run(region)["done"]
    assert len(region.postgres.postings) == 3
    assert run(region)["repaired"] == []


def test_other_items_and_objects_are_not_taken_for_payments() -> None:
    region = Region()
    first = region.pay(PAYMENT)
    for key in (LEADERSHIP_KEY, JOURNAL_KEY, DRILL_KEY, f"{OBSERVATION_PREFIX}us-east-1"):
        region.dynamodb.items[key] = {**region.dynamodb.items["pay-1"], "payment_id": {"S": key}, **(
            region.dynamodb.items.get(key, {}))}
        region.s3.write((RECEIPTS, f"receipts/{key}.json"), record(key).receipt())
        assert region.look(key)[0] == 404
        assert region.pay({**PAYMENT, "payment_id": key})[0] == 400
        assert region.table.find(key, region.deadline()) is None
    before = dict(region.dynamodb.items)
    lose_posting(region)
    answer = run(region)
    assert (answer["repaired"], "!" in json.dumps(answer)) == (["pay-1"], False)
    assert [finding["kept"] for finding in answer["stores"].values()] == [1, 0, 1]
    assert (region.dynamodb.items, region.look(), region.pay(PAYMENT)) == (before, (200, first[1]), first)
    assert list(region.postgres.postings) == ["pay-1"]


def test_a_run_leaves_no_session_open() -> None:
    region = Region()
    three(region)
    run(region)
    assert not any(session.is_open for session in region.postgres.sessions)


def test_without_time_a_run_does_nothing_and_reports_a_timeout() -> None:
    region = Region()
    assert run(region, seconds=0)["error"] == "table:TimeoutError"
    assert region.network.calls == []


# --- The function and the command

def test_the_function_answers_within_lambdas_time() -> None:
    region = Region()
    three(region)
    function = region.reconciliation().answer
    assert function({}, FakeContext(9_000))["error"] == "table:TimeoutError"
    answer = function({}, FakeContext(900_000))
    assert (answer["done"], len(answer["repaired"])) == (True, 3)
    region.postgres.postings.clear()
    assert function({"cursor": "9"}, FakeContext(900_000))["repaired"] == []


def test_the_function_may_be_asked_for_the_newest_epoch_only() -> None:
    region = Region()
    three(region)
    region.network.calls.clear()
    region.postgres.epoch = 7
    function, event = region.reconciliation().answer, {"only": "epoch", "cursor": "9"}
    assert function(event, FakeContext(900_000)) == {"region": "us-east-1", "epoch": 7}
    assert (region.network.calls, region.postgres.sessions[0].is_open) == (["Select"], False)
    region.network.faults = [Fault(database_error("42501"))]
    assert function(event, FakeContext(900_000)) == {"region": "us-east-1", "error": "ledger:42501"}
    assert function(event, FakeContext(9_000)) == {"region": "us-east-1", "error": "ledger:TimeoutError"}
    assert not any(session.is_open for session in region.postgres.sessions)
    region.postgres.epoch = 1
    assert function({"only": ""}, FakeContext(900_000))["repaired"] == ["pay-0", "pay-1", "pay-2"]


def test_the_command_prints_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    region = Region()
    assert reconcile.main([], region.reconciliation) == 0
    assert json.loads(capsys.readouterr().out)["done"] is True
    region.network.faults = [Fault(client_error("AccessDeniedException"))]
    assert reconcile.main(["--cursor", "9"], region.reconciliation) == 1
    assert json.loads(capsys.readouterr().out)["error"] == "table:AccessDeniedException"


def test_the_command_has_a_help_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["reconcile", "--help"])
    monkeypatch.delitem(sys.modules, "payments.reconcile")
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("payments.reconcile", run_name="__main__")
    assert (caught.value.code, "--cursor" in capsys.readouterr().out) == (0, True)
