"""What the stores have under one id: which payment counts, and what is wrong where."""
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from contract import Store
from payments.case import OTHERS, Case
from payments.payment import Payment, Record, parse_receipt
from payments.stores import item_of
from tests.unit.payments.fakes import PAYMENT, record
from tests.unit.payments.strategies import payments

PENDING = record(1250)
OURS, LATER, RIVAL = (replace(each, settled=True) for each in (PENDING, record(1250, second=1), record(7)))
BAD_TEXTS = ["", "a" * 65, "p" * 190_000, "a b", "a\0", "\ud800", "é", 7, None, ["a"], {}]
BAD: list[tuple[str, Any]] = [
    *(("amount", each) for each in (0, -1, 10**12 + 1, 10**400, True, 9.0, float("nan"), "9", None, [9])),
    *(("currency", each) for each in ("eur", "EURO", "E\0R", 978, None, ["EUR"])),
    *((name, each) for name in ("payer", "payee") for each in BAD_TEXTS),
    *(("payment_id", each) for each in BAD_TEXTS), ("payment_id", "A.pay-1")]
"""Values that no client may send, of which PostgreSQL refuses NUL, and UTF-8 a lone surrogate."""
FORGED = replace(OURS, payment=replace(OURS.payment, amount=1))  # its fingerprint is that of another amount


def case(item: Record | dict[str, Any] | None, posting: Record | None, *receipts: Record | None,
         readable: bool = True) -> Case:
    """What the three stores have."""
    return Case(item=item_of(item) if isinstance(item, Record) else item, posting=posting, receipts=receipts,
                readable=readable and bool(receipts))


def found(given: Case) -> str:
    """What is wrong in table, ledger and receipts."""
    return ", ".join(f"{store.value} {given.wrong[store].value}" for store in Store if store in given.wrong)


@pytest.mark.parametrize(("given", "wrong", "counts", "repairable"), [
    (case(None, None), "", None, False),
    (case(OURS, OURS, OURS), "", OURS, False),
    # lost
    (case(None, OURS, OURS), "table lost", OURS, True),
    (case(OURS, None, OURS), "ledger lost", OURS, True),
    (case(OURS, OURS), "receipts lost", OURS, True),
    (case(OURS, OURS, OURS, readable=False), "receipts lost", OURS, True),
    (case(None, None, OURS), "table lost, ledger lost", OURS, True),
    (case(OURS, None), "ledger lost, receipts lost", OURS, True),
    # in doubt
    (case(PENDING, None), "table in doubt, ledger lost, receipts lost", OURS, True),
    (case(PENDING, OURS, OURS), "table in doubt", OURS, True),
    (case(PENDING, RIVAL, RIVAL), "table conflicting", RIVAL, True),
    (case(PENDING, None, RIVAL), "table conflicting, ledger lost", RIVAL, True),
    # conflicting: the ledger counts, then what is settled, then the first receipt
    (case(OURS, RIVAL, OURS), "table conflicting, receipts conflicting", RIVAL, True),
    (case(RIVAL, None, OURS), "ledger lost, receipts conflicting", RIVAL, True),
    (case(None, None, RIVAL, OURS), "table lost, ledger lost, receipts conflicting", OURS, True),
    (case(OURS, OURS, OURS, RIVAL), "receipts conflicting", OURS, False),
    (case(OURS, OURS, RIVAL, OURS), "receipts conflicting", OURS, True),
    (case(OURS, OURS, OURS, OURS), "receipts duplicated", OURS, False),
    # creation times: a receipt's counts against the ledger's alone, but not against what has been answered
    (case(LATER, LATER, OURS), "receipts conflicting", LATER, True),
    (case(LATER, LATER, LATER, OURS), "receipts superseded", LATER, False),
    (case(LATER, LATER, LATER, OURS, LATER), "receipts superseded", LATER, False),
    (case(LATER, LATER, LATER, OURS, RIVAL), "receipts conflicting", LATER, False),
    (case(LATER, LATER, LATER, None, OURS), "receipts malformed", LATER, False),
    (case(replace(LATER, settled=False), LATER, OURS), "table in doubt, ledger conflicting", OURS, True),
    (case(LATER, OURS, LATER), "ledger conflicting", LATER, True),
    (case(OURS, LATER, LATER), "table conflicting", LATER, True),
    (case(LATER, None, OURS), "ledger lost, receipts conflicting", LATER, True),
    # malformed
    (case(FORGED, OURS, OURS), "table malformed", OURS, True),
    (case({"payment_id": {"S": "pay-1"}}, OURS, OURS), "table malformed", OURS, True),
    (case({"payment_id": {"S": "pay-1"}}, None), "table malformed", None, False),
    (case(OURS, OURS, None), "receipts malformed", OURS, True),
    (case(OURS, OURS, OURS, None), "receipts malformed", OURS, False),
    (case(None, None, None), "receipts malformed", None, False),
    (case(OURS, replace(OURS, fingerprint="0" * 64)), "table malformed, ledger malformed", None, False),
    (case(OURS, replace(OURS, created_at="noon")), "table malformed, ledger malformed", None, False),
    (case(OURS, FORGED, OURS), "table malformed, ledger malformed, receipts malformed", None, False),
])
def test_what_counts_and_what_is_wrong(given: Case, wrong: str, counts: Record | None, repairable: bool) -> None:
    assert (found(given), given.payment, given.repairable) == (
        wrong, counts and replace(counts, epoch=given.payment.epoch if given.payment else 0), repairable)


def test_a_line_names_the_amounts_of_all_that_the_stores_have() -> None:
    line = case(RIVAL, OURS, OURS, RIVAL, None).line("pay-1", "repaired", 3)
    assert json.loads(json.dumps(line)) == {
        "payment_id": "pay-1", "outcome": "repaired", "epoch": 3,
        "wrong": {"table": "conflicting", "receipts": "malformed"},
        "payment": {**PAYMENT, "created_at": OURS.created_at},
        "others": [{**PAYMENT, "amount": 7, "created_at": OURS.created_at}]}
    assert case(None, None, None).line("x", "set aside", 3)["payment"] is None


def test_a_line_names_no_more_contents_than_the_cursor_can_hold() -> None:
    line = case(OURS, OURS, *map(record, range(1, 100))).line("pay-1", "reported", 3)
    assert len(line["others"]) == OTHERS


def forged(name: str, value: Any) -> Record:
    """A record with that value, and the fingerprint that belongs to it."""
    payment = replace(OURS.payment, **{name: value})
    return replace(OURS, payment=payment, fingerprint=payment.fingerprint())


@pytest.mark.parametrize(("name", "value"), BAD, ids=range(len(BAD)))
def test_what_no_client_may_send_is_malformed_in_every_store(name: str, value: Any) -> None:
    bad = forged(name, value)
    assert found(case(bad, OURS, OURS)) == "table malformed"
    assert case(OURS, bad, OURS).payment is None
    with pytest.raises(ValueError, match="not a receipt"):
        parse_receipt(bad.receipt())


@pytest.mark.parametrize(("name", "value"), [
    ("payer", "4111111111111111"), ("currency", "BGN"), ("payment_id", "shop.pay-1"),
    ("payment_id", "5555555555554444")])
def test_what_was_accepted_under_older_rules_is_a_payment_still(name: str, value: str) -> None:
    kept = forged(name, value)
    assert parse_receipt(kept.receipt()) == replace(kept, epoch=0)
    assert case(kept, None).payment == case(None, kept).payment == kept


@given(payments)
def test_a_receipt_can_be_parsed(payment: dict[str, Any]) -> None:
    kept = replace(OURS, payment=Payment(**payment), fingerprint=Payment(**payment).fingerprint())
    assert parse_receipt(kept.receipt()) == replace(kept, epoch=0)


@pytest.mark.parametrize("body", [
    b"", b"\xff", b"[]", b"{}", b"1", b"[" * 10**6, OURS.receipt() + b" ", OURS.receipt()[:-1],
    OURS.receipt().replace(b"1250", b"1251"), OURS.receipt()[:-1] + b',"zzz":1}',
    json.dumps({**PAYMENT, "created_at": "x"}).encode(), replace(OURS, created_at="noon").receipt(),
    OURS.receipt().replace(f'"{OURS.created_at}"'.encode(), b"1"),
    replace(OURS, created_at="2026-01-02T03:04:05+00:00").receipt(),
], ids=range(14))
def test_other_bytes_are_not_parsed_as_a_receipt(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a receipt|Expecting|utf-8|Extra data"):
        parse_receipt(body)
