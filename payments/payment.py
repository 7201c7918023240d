"""A payment: what a client may request, and what is stored of it. Knows neither stores nor HTTP."""
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from contract import CANARY_PREFIX, CLIENT, CLIENT_SEPARATOR
from payments.currencies import CURRENCIES
from payments.errors import InvalidRequest

PAYMENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
STORED_ID = re.compile(rf"({CLIENT.pattern}[{CLIENT_SEPARATOR}])?{PAYMENT_ID.pattern}")
PARTY = re.compile(r"[A-Za-z0-9._:@-]{1,64}")
CURRENCY = re.compile(r"[A-Z]{3}")
CARD = re.compile(r"(?<![^\W_])[A-Za-z]*(\d{13,19}|\d{4}([-_.:])\d{4}\2\d{4}\2\d{1,7}|\d{4}([-_.:])\d{6}\3\d{4,5})"
                  r"[A-Za-z]*(?![^\W_])")
CARD_ISSUER = re.compile(r"[3-6]|2(?:2[2-9]|[3-6]|7[0-2])")
"""How a card's number is written (perhaps between letters, but not within a hexadecimal id), and how it begins."""
MAX_AMOUNT = 10**12
MAX_BODY_BYTES = 8 * 1024
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, kw_only=True)
class Payment:
    """What a client requests. `amount` is in minor units of `currency` (ISO 4217), `payment_id` as it is stored."""

    payment_id: str
    amount: int
    currency: str
    payer: str
    payee: str

    def fingerprint(self) -> str:
        """SHA-256 of the canonical request: two requests for one id are the same if their fingerprints are equal."""
        return hashlib.sha256(_canonical(vars(self))).hexdigest()


_FIELDS = frozenset(field.name for field in fields(Payment))


@dataclass(frozen=True, kw_only=True)
class Record:
    """A payment as the table keeps it: pending until all its parts are written, then settled.

    `epoch` is that of the leadership under which it is completed. Clients never see it, and it may grow while the
    payment is pending.
    """

    payment: Payment
    fingerprint: str
    created_at: str
    epoch: int
    settled: bool = False

    def agrees(self, other: "Record") -> bool:
        """Whether both are the same payment, created at the same time."""
        return (self.payment, self.created_at) == (other.payment, other.created_at)

    def answer(self) -> dict[str, Any]:
        """The response body. It has stored values only, so it is the same in every region and for every repeat."""
        return {**vars(self.payment), "payment_id": self.payment.payment_id.rpartition(CLIENT_SEPARATOR)[2],
                "created_at": self.created_at, "status": "settled" if self.settled else "pending"}

    def receipt(self) -> bytes:
        """The receipt as JSON: always the same bytes, whichever region writes it."""
        return _canonical({**vars(self.payment), "created_at": self.created_at, "fingerprint": self.fingerprint})


def stored_id(client: str, payment_id: str) -> str:
    """The id under which a client's payment is stored: two clients may use the same id. The default client is empty."""
    return f"{client}{CLIENT_SEPARATOR}{payment_id}" if client else payment_id


def parse(body: bytes, idempotency_keys: Iterable[object], client: str = "") -> Payment:
    """The payment in a client's request; `idempotency_keys` are its Idempotency-Key header's values.

    Raises InvalidRequest.
    """
    given = _json_object(body)
    for name in given:
        if name not in _FIELDS:
            raise InvalidRequest(name, "is not a field of a payment")
    payment = Payment(payment_id=stored_id(client, _payment_id(given, idempotency_keys)), amount=_amount(given),
                      currency=_currency(given), payer=_party(given, "payer"), payee=_party(given, "payee"))
    if payment.payer == payment.payee:
        raise InvalidRequest("payee", "must differ from the payer")
    return payment


def parse_receipt(body: bytes) -> Record:
    """The settled record of a receipt. Raises ValueError if the bytes are not exactly those of a receipt."""
    try:
        given = json.loads(body)
        payment = Payment(**{name: given.pop(name) for name in _FIELDS})
        record = Record(payment=payment, epoch=0, settled=True, **given)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not a receipt") from error
    if not (has_form(record) and record.payment.fingerprint() == record.fingerprint and record.receipt() == body):
        raise ValueError("not a receipt")
    return record


def has_form(record: Record) -> bool:
    """Whether the values that a store holds, of whatever types, are of a form that is accepted: any store takes them.

    Rules that change are left out, since what was accepted under an older one stays valid: the list of currencies, and
    what looks like a card number. A canary's payer is its payee, which the ledger refuses for a payment.
    """
    payment = record.payment
    try:
        _amount(vars(payment))
        texts = ((STORED_ID, payment.payment_id.removeprefix(CANARY_PREFIX)), (CURRENCY, payment.currency),
                 (PARTY, payment.payer), (PARTY, payment.payee))
        return _is_time(record.created_at) and all(pattern.fullmatch(text) for pattern, text in texts)
    except (InvalidRequest, TypeError, AttributeError):
        return False


def _is_time(text: object) -> bool:
    """Whether a text is a time as records have it: others would compare differently here and in the ledger."""
    try:
        return isinstance(text, str) and (
            datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="milliseconds") == text)
    except (ValueError, OverflowError):
        return False


def _canonical(value: dict[str, Any]) -> bytes:
    return _CANONICAL.encode(value).encode()


def _json_object(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_BODY_BYTES:
        raise InvalidRequest("body", f"must be at most {MAX_BODY_BYTES} bytes")
    try:
        parsed = json.loads(body.decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("body", "must be JSON in UTF-8") from error
    if not isinstance(parsed, dict):
        raise InvalidRequest("body", "must be a JSON object")
    return parsed


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name in given:
            raise InvalidRequest(name, "must be given once")
        given[name] = value
    return given


def _payment_id(given: dict[str, Any], idempotency_keys: Iterable[object]) -> str:
    named = [("Idempotency-Key", key) for key in idempotency_keys]
    if "payment_id" in given:
        named.append(("payment_id", given["payment_id"]))
    ids = {_matching(PAYMENT_ID, name, value, "letters, digits, _ and -") for name, value in named}
    if not ids:
        raise InvalidRequest("payment_id", "must be given, here or as the header Idempotency-Key")
    if len(ids) > 1:
        raise InvalidRequest("payment_id", "must be equal where it is given: here and as the header Idempotency-Key")
    return ids.pop()


def _amount(given: dict[str, Any]) -> int:
    amount = given.get("amount")
    if not isinstance(amount, int) or isinstance(amount, bool) or not 0 < amount <= MAX_AMOUNT:
        raise InvalidRequest("amount", f"must be a whole number of minor units, 1 to {MAX_AMOUNT}")
    return amount


def _currency(given: dict[str, Any]) -> str:
    currency = given.get("currency")
    if not isinstance(currency, str) or currency not in CURRENCIES:
        raise InvalidRequest("currency", "must be an active ISO 4217 code with a minor unit, such as EUR")
    return currency


def _party(given: dict[str, Any], name: str) -> str:
    return _matching(PARTY, name, given.get(name), "letters, digits and . _ : @ -")


def _matching(pattern: re.Pattern[str], name: str, value: object, alphabet: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidRequest(name, f"must be 1 to 64 characters: {alphabet}")
    if any(_is_card_number(each[1]) for each in CARD.finditer(value)):
        raise InvalidRequest(name, "must not have what looks like a card number")
    return value


def _is_card_number(text: str) -> bool:
    """Whether a text begins as the numbers of payment cards do, and has their check digit (ISO/IEC 7812-1)."""
    digits = [int(each) for each in text if each.isdigit()]
    doubled = [sum(divmod(2 * each, 10)) for each in digits[-2::-2]]
    return bool(CARD_ISSUER.match(text)) and (sum(digits[::-2]) + sum(doubled)) % 10 == 0
