"""The stores of one region: what the function needs of them, and how AWS provides it.

Every method takes the deadline of the request and raises StoreUnavailable when the store gives no answer by then,
or no usable one.
"""
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

from botocore import exceptions
from botocore.parsers import ResponseParserError

from payments.deadline import Deadline
from payments.payment import PAYMENT_ID, Payment, Record

AwsResponse = dict[str, Any]
Time = Callable[[], Deadline]  # for each of the calls that it takes to read much

_FAILURES = (exceptions.ClientError, exceptions.BotoCoreError, ResponseParserError, TimeoutError)
_NO_ANSWER = (exceptions.HTTPClientError, exceptions.ConnectionError, ResponseParserError, TimeoutError)
_TRY_AGAIN = frozenset({
    "ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException",
    "ReplicatedWriteConflictException",  # a strongly consistent table: another region is writing the item
    "ConditionalRequestConflict",  # S3: another conditional write of the key is in flight
    "RequestTimeout",
})
CONDITION_FAILED = "ConditionalCheckFailedException"


class State(StrEnum):
    """What a store is good for now: everything, or (a standby) reading, or nothing."""

    OK = "ok"
    STANDBY = "standby"
    UNAVAILABLE = "unavailable"


class StoreUnavailable(Exception):
    """A store did not do what it was asked to: `store` names it, `code` is its error code or the kind of failure."""

    def __init__(self, store: str, code: str) -> None:
        super().__init__(store, code)
        self.store = store
        self.code = code


class Table(Protocol):
    """Keeps one record a payment id, and decides which request an id belongs to."""

    @abstractmethod
    def register(self, record: Record, deadline: Deadline) -> Record:
        """Keeps the record if its payment id is new. Returns the record that the id has now."""

    @abstractmethod
    def adopt(self, record: Record, epoch: int, deadline: Deadline) -> Record:
        """Puts a pending record of an older epoch under this one, if the id still belongs to it.

        Returns the record that the id has now.
        """

    @abstractmethod
    def replace(self, found: Record, record: Record, deadline: Deadline) -> bool:
        """Puts a record in the place of the pending one that was found. Returns whether that was still there."""

    @abstractmethod
    def settle(self, record: Record, deadline: Deadline) -> Record:
        """Marks the record settled if the id still belongs to it and to its epoch.

        Returns the record that the id has now.
        """

    @abstractmethod
    def find(self, payment_id: str, deadline: Deadline) -> Record | None:
        """The record of an id; one that no payment can have is not asked for."""

    @abstractmethod
    def probe(self, deadline: Deadline) -> State:
        """Reads nothing, cheaply."""


class Ledger(Protocol):
    """Keeps one posting a payment, and refuses those of an epoch older than the newest that it has seen."""

    @abstractmethod
    def post(self, record: Record, deadline: Deadline) -> None:
        """Posts the payment unless it is posted.

        Raises NotTheWriter if the record's epoch is too old, and Conflict if the id is posted for another request.
        """

    @abstractmethod
    def probe(self, deadline: Deadline) -> State:
        """Tells, cheaply, a ledger that can be written from a standby, which can only be read."""


class Receipts(Protocol):
    """Keeps one receipt a payment."""

    @abstractmethod
    def put(self, record: Record, deadline: Deadline) -> None:
        """Keeps the receipt unless there is one."""

    @abstractmethod
    def probe(self, deadline: Deadline) -> State:
        """Reads nothing, cheaply."""


@dataclass(frozen=True)
class DynamoTable:
    """The table as a DynamoDB table with the key `payment_id`.

    It holds other items too: the right to write and what recovery keeps. Their keys begin with `!`, as no payment id
    does, and they are never taken for payments.
    """

    client: Any
    name: str

    def register(self, record: Record, deadline: Deadline) -> Record:
        """A conditional put; a refusal brings the item that was there, so a repeat costs no read."""
        answer = self._call(deadline, self.client.put_item, expected=CONDITION_FAILED, Item=_item(record),
                            ConditionExpression="attribute_not_exists(payment_id)",
                            ReturnValuesOnConditionCheckFailure="ALL_OLD")
        return _record(answer["Item"]) if "Error" in answer else record

    def adopt(self, record: Record, epoch: int, deadline: Deadline) -> Record:
        """A conditional update: from then on, the older epoch's `settle` is refused."""
        values = {":new": {"N": str(epoch)}, ":status": {"S": "PENDING"}}
        return self._update(record, deadline, "SET #epoch = :new", values,
                            condition="fingerprint = :fingerprint AND #epoch = :epoch AND #status = :status")

    def settle(self, record: Record, deadline: Deadline) -> Record:
        """A conditional update. The item belongs to another request if the two were made in two regions at once."""
        return self._update(record, deadline, "SET #status = :status", {":status": {"S": "SETTLED"}},
                            condition="fingerprint = :fingerprint AND #epoch = :epoch")

    def replace(self, found: Record, record: Record, deadline: Deadline) -> bool:
        """A conditional put."""
        answer = self._call(deadline, self.client.put_item, expected=CONDITION_FAILED, Item=_item(record),
                            ConditionExpression="fingerprint = :fingerprint AND #status = :status",
                            ExpressionAttributeNames={"#status": "status"},
                            ExpressionAttributeValues={":fingerprint": {"S": found.fingerprint},
                                                       ":status": {"S": "PENDING"}})
        return "Error" not in answer

    def find(self, payment_id: str, deadline: Deadline) -> Record | None:
        """A consistent read."""
        if not PAYMENT_ID.fullmatch(payment_id):
            return None
        answer = self._call(deadline, self.client.get_item, Key=_key(payment_id), ConsistentRead=True)
        return _record(answer["Item"]) if "Item" in answer else None

    def probe(self, deadline: Deadline) -> State:
        """Reads an item that cannot be: its key has a character that no payment id has."""
        self._call(deadline, self.client.get_item, Key=_key("no payment"))
        return State.OK

    def records(self, time: Time) -> Iterator[Record]:
        """Every record there is, in no order, by consistent reads."""
        page = self._call(time(), self.client.scan, ConsistentRead=True)
        while True:
            yield from (_record(item) for item in page["Items"] if PAYMENT_ID.fullmatch(item["payment_id"]["S"]))
            if "LastEvaluatedKey" not in page:
                return
            page = self._call(time(), self.client.scan, ConsistentRead=True, ExclusiveStartKey=page["LastEvaluatedKey"])

    def _update(self, record: Record, deadline: Deadline, change: str, values: AwsResponse, condition: str) -> Record:
        answer = self._call(deadline, self.client.update_item, expected=CONDITION_FAILED,
                            Key=_key(record.payment.payment_id), UpdateExpression=change,
                            ConditionExpression=condition,
                            ExpressionAttributeNames={"#status": "status", "#epoch": "epoch"},
                            ExpressionAttributeValues={":fingerprint": {"S": record.fingerprint},
                                                       ":epoch": {"N": str(record.epoch)}, **values},
                            ReturnValues="ALL_NEW", ReturnValuesOnConditionCheckFailure="ALL_OLD")
        item = answer.get("Attributes") or answer.get("Item")
        if item is None:
            raise StoreUnavailable("table", "ItemMissing")
        return _record(item)

    def _call(self, deadline: Deadline, operation: Callable[..., AwsResponse], expected: str = "", **request: Any) -> AwsResponse:
        return call("table", deadline, partial(operation, TableName=self.name, **request), expected)


@dataclass(frozen=True)
class Version:
    """A version of a payment's receipt: when it came to this bucket, to the second, and how many bytes it has."""

    payment_id: str
    kept_at: datetime
    size: int


@dataclass(frozen=True)
class S3Receipts:
    """Receipts as objects `receipts/{payment_id}.json`."""

    client: Any
    bucket: str

    def put(self, record: Record, deadline: Deadline) -> None:
        """A put under the condition that the object is new: a version more would be a receipt more."""
        request = partial(self.client.put_object, Bucket=self.bucket, Key=_receipt_key(record.payment.payment_id),
                          Body=record.receipt(), ContentType="application/json", IfNoneMatch="*")
        call("receipts", deadline, request, expected="PreconditionFailed")

    def versions(self, time: Time) -> Iterator[Version]:
        """Every version of every receipt, by payment id and then newest first; what has another name is none."""
        request = partial(self.client.list_object_versions, Bucket=self.bucket, Prefix="receipts/")
        page = call("receipts", time(), request)
        while True:
            for found in page.get("Versions", ()):
                payment_id = found["Key"].removeprefix("receipts/").removesuffix(".json")
                if PAYMENT_ID.fullmatch(payment_id):
                    yield Version(payment_id, found["LastModified"], found["Size"])
            if not page["IsTruncated"]:
                return
            page = call("receipts", time(), partial(request, KeyMarker=page["NextKeyMarker"],
                                                    VersionIdMarker=page["NextVersionIdMarker"]))

    def read(self, payment_id: str, deadline: Deadline) -> bytes:
        """The newest version of a payment's receipt."""
        request = partial(self.client.get_object, Bucket=self.bucket, Key=_receipt_key(payment_id))
        return bytes(call("receipts", deadline, lambda: {"Body": request()["Body"].read()})["Body"])

    def probe(self, deadline: Deadline) -> State:
        """Asks whether the bucket answers."""
        call("receipts", deadline, partial(self.client.head_bucket, Bucket=self.bucket))
        return State.OK


def takeover(client: Any, bucket: str, deadline: Deadline) -> bool:
    """Whether this region takes over: whether the object `takeover` is in its control bucket.

    The caller may list the bucket, so a missing object is a 404, and a 403 says nothing about it.
    """
    return "Error" not in call("control", deadline, partial(client.head_object, Bucket=bucket, Key="takeover"), "404")


def call(store: str, deadline: Deadline, request: Callable[[], AwsResponse], expected: str = "") -> AwsResponse:
    """The store's answer; an error whose code is `expected` is an answer too, and has the key `Error`."""
    try:
        return deadline.call(request, _transient)
    except _FAILURES as error:
        code = _code(error)
        if isinstance(error, exceptions.ClientError) and code == expected:
            refusal: AwsResponse = error.response
            return refusal
        raise StoreUnavailable(store, code) from error


def _code(error: Exception) -> str:
    return error.response["Error"]["Code"] if isinstance(error, exceptions.ClientError) else type(error).__name__


def _transient(error: Exception) -> bool:
    if isinstance(error, exceptions.ClientError):
        status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return _code(error) in _TRY_AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, _NO_ANSWER)


def _key(payment_id: str) -> AwsResponse:
    return {"payment_id": {"S": payment_id}}


def _receipt_key(payment_id: str) -> str:
    return f"receipts/{payment_id}.json"


def _item(record: Record) -> AwsResponse:
    payment = record.payment
    texts = {"payment_id": payment.payment_id, "currency": payment.currency, "payer": payment.payer,
             "payee": payment.payee, "fingerprint": record.fingerprint, "created_at": record.created_at,
             "status": "SETTLED" if record.settled else "PENDING"}
    return {"amount": {"N": str(payment.amount)}, "epoch": {"N": str(record.epoch)},
            **{name: {"S": text} for name, text in texts.items()}}


def _record(item: AwsResponse) -> Record:
    payment = Payment(amount=int(item["amount"]["N"]),
                      **{name: item[name]["S"] for name in ("payment_id", "currency", "payer", "payee")})
    return Record(payment=payment, fingerprint=item["fingerprint"]["S"], created_at=item["created_at"]["S"],
                  epoch=int(item["epoch"]["N"]), settled=item["status"]["S"] == "SETTLED")
