"""What is a payment and what is not."""
import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given, settings
from iso4217 import Currency

from payments.currencies import CURRENCIES
from payments.errors import InvalidRequest
from payments.payment import MAX_AMOUNT, MAX_BODY_BYTES, Payment, Record, parse
from tests.unit.payments.fakes import FIELDS, PAYMENT
from tests.unit.payments.strategies import payments

NOT_AMOUNTS: list[Any] = [..., None, 0, -1, MAX_AMOUNT + 1, 1.0, float("nan"), float("inf"), "1", True, [1]]
NOT_CURRENCIES: list[Any] = [..., None, "eur", "EURO", "XXX", "DEM", "", 978, ["EUR"]]
NOT_PARTIES: list[Any] = [..., None, "", "a" * 65, "a b", "é", "a\n", "a/b", 7, {}, "\ud800"]
NOT_IDS: list[Any] = [None, "", "a" * 65, "a.b", "a\n", "../x", 7, []]


def refused(body: bytes, *keys: object) -> InvalidRequest:
    """Why a request is no payment."""
    with pytest.raises(InvalidRequest) as caught:
        parse(body, keys)
    return caught.value


def encoded(**changes: Any) -> bytes:
    """A request to pay with some fields changed; `...` leaves one out."""
    return json.dumps({name: value for name, value in {**PAYMENT, **changes}.items() if value is not ...}).encode()


def test_the_currencies_are_those_of_iso_4217_that_have_a_minor_unit() -> None:
    assert {each.code for each in Currency if each.exponent is not None} == CURRENCIES


@settings(max_examples=50)
@given(payments)
def test_a_valid_payment_is_read_as_it_was_sent(payment: dict[str, Any]) -> None:
    assert parse(json.dumps(payment).encode(), []) == Payment(**payment)


def test_a_payment_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Payment(**PAYMENT).amount = 1  # type: ignore[misc]


@pytest.mark.parametrize(("field", "value"), [
    *(("amount", value) for value in NOT_AMOUNTS), *(("currency", value) for value in NOT_CURRENCIES),
    *(("payer", value) for value in NOT_PARTIES), *(("payee", value) for value in NOT_PARTIES),
    *(("payment_id", value) for value in NOT_IDS),
    ("payee", PAYMENT["payer"]), ("colour", "red"), ("", 1), ("Amount", 1),
])
def test_a_wrong_field_is_named(field: str, value: Any) -> None:
    assert refused(encoded(**{field: value})).field == field


@pytest.mark.parametrize(("field", "value"), [
    ("amount", 1), ("amount", MAX_AMOUNT), ("currency", "JPY"), ("payer", "a"), ("payee", "Z9._:@-" * 9),
    ("payment_id", "x"), ("payment_id", "_-" * 32),
])
def test_the_bounds_themselves_are_allowed(field: str, value: Any) -> None:
    assert getattr(parse(encoded(**{field: value}), []), field) == value


@pytest.mark.parametrize("body", [
    b"", b"{", b"null", b"[]", b'"text"', b"1", b"\xff{}", b"\xef\xbb\xbf{}", b"{} {}", "{}".encode("utf-16"),
    b"[" * MAX_BODY_BYTES, b'{"amount": ' + b"9" * 5000 + b"}", b" " * (MAX_BODY_BYTES + 1),
    encoded() + b" " * MAX_BODY_BYTES,
], ids=range(14))
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    assert refused(body).field == "body"


def test_a_body_may_be_as_long_as_the_limit() -> None:
    assert parse(encoded().ljust(MAX_BODY_BYTES), []) == Payment(**PAYMENT)


@pytest.mark.parametrize("body", [encoded()[:-1] + b', "amount": 1250}', b'{"amount": {"amount": 1, "amount": 1}}'])
def test_a_name_that_is_given_twice_is_refused(body: bytes) -> None:
    assert refused(body).field == "amount"


def test_the_id_comes_from_the_header_or_the_body_or_both() -> None:
    without = encoded(payment_id=...)
    assert parse(without, ["pay-1"]) == parse(encoded(), []) == parse(encoded(), ["pay-1"]) == Payment(**PAYMENT)


@pytest.mark.parametrize(("body", "keys", "field"), [
    (encoded(payment_id=...), [], "payment_id"),
    (encoded(), ["pay-2"], "payment_id"),
    (encoded(payment_id=...), ["pay-1", "pay-2"], "payment_id"),
    (encoded(payment_id=...), ["pay 1"], "Idempotency-Key"),
    (encoded(), [None], "Idempotency-Key"),
])
def test_a_request_has_exactly_one_id(body: bytes, keys: list[object], field: str) -> None:
    assert refused(body, *keys).field == field


def test_each_client_has_ids_of_its_own() -> None:
    own, others = parse(encoded(), ["pay-1"], "shop"), parse(encoded(), ["pay-1"], "kiosk")
    assert [each.payment_id for each in (own, others)] == ["shop.pay-1", "kiosk.pay-1"]
    assert len({each.fingerprint() for each in (own, others, parse(encoded(), []))}) == 3
    shown = Record(payment=own, fingerprint=own.fingerprint(), created_at="", epoch=1).answer()
    assert shown["payment_id"] == "pay-1"
    assert refused(encoded(payment_id="shop.pay-1")).field == "payment_id"


def test_a_refusal_does_not_quote_the_value() -> None:
    error = refused(encoded(payer="jane doe"))
    assert "jane" not in error.reason
    assert "1 to 64" in error.reason


@pytest.mark.parametrize("number", [
    "4111111111111111", "4222222222222", "5555555555554444", "2223003122003222", "378282246310005", "6011111111111117",
    "4111-1111-1111-1111", "order-4111111111111111", "order4111111111111111x", "card_4111_1111_1111_1111_1",
    "3782-822463-10005", "6304-9000-1774-0292-441"])
@pytest.mark.parametrize("field", ["payment_id", "payer", "payee"])
def test_what_looks_like_a_card_number_is_refused_and_not_quoted(field: str, number: str) -> None:
    error = refused(encoded(**{field: number}))
    assert (error.field, error.reason) == (field, "must not have what looks like a card number")
    without = encoded(payment_id=...)
    assert field != "payment_id" or refused(without, number).field == "Idempotency-Key"


@pytest.mark.parametrize("text", [
    "4111111111111112", "1764214800000", "20261127034512", "order-1042", "411111111111", "4111-1111-1111-111",
    "41111111111111111111", "0000000000000000", "4111_1111-1111_1111",
    "f7d7a80e4111111111111111a2413f8d", "1a4111111111111111", "a1b2c3d4-4111-1111-1111-111111111111"])
def test_other_digits_are_allowed(text: str) -> None:
    assert parse(encoded(payment_id=text), []).payment_id == text


def test_the_fingerprint_does_not_depend_on_the_spelling_of_the_request() -> None:
    spaced = json.dumps(dict(reversed(PAYMENT.items())), indent=2).encode()
    assert parse(spaced, []).fingerprint() == parse(encoded(payment_id=...), ["pay-1"]).fingerprint()
    # Stored in the table, so it must not change from one version of the function to the next.
    assert parse(spaced, []).fingerprint() == "91d27c0dcad5b355a0549cdd97dd722ec70263f976c0dfd52c2b3319fe37dd0e"


@pytest.mark.parametrize("change", [
    {"amount": 1}, {"currency": "USD"}, {"payer": "x"}, {"payee": "x"}, {"payment_id": "x"},
])
def test_every_field_is_in_the_fingerprint(change: dict[str, Any]) -> None:
    assert Payment(**PAYMENT).fingerprint() != Payment(**{**PAYMENT, **change}).fingerprint()


def test_an_answer_has_the_payment_and_its_status() -> None:
    record = Record(payment=Payment(**PAYMENT), fingerprint="f", created_at="2026-01-01T00:00:00.000+00:00", epoch=1)
    assert record.answer() == {**PAYMENT, "created_at": "2026-01-01T00:00:00.000+00:00", "status": "pending"}
    assert json.loads(record.receipt()) == {**PAYMENT, "created_at": record.created_at, "fingerprint": "f"}
    assert FIELDS.items() <= record.answer().items()
