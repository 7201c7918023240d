"""The payments table and the receipts of one region, in DynamoDB and S3.

Every method takes the deadline of the request, and raises StoreUnavailable if the store gives no usable answer by then.
"""
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Any

from botocore import exceptions
from botocore.parsers import ResponseParserError

from contract import KEY_ATTRIBUTE, LEVER_KEY, RECEIPTS_PREFIX, Store
from payments.deadline import Deadline
from payments.errors import StoreUnavailable
from payments.payment import PAYMENT_ID, Payment, Record

AwsResponse = dict[str, Any]
NextDeadline = Callable[[], Deadline]
"""Returns a new deadline for each call of a long read."""

_FAILURES = (exceptions.ClientError, exceptions.BotoCoreError, ResponseParserError, TimeoutError)
_NO_ANSWER = (exceptions.HTTPClientError, exceptions.ConnectionError, ResponseParserError, TimeoutError)
_TRY_AGAIN = frozenset({
    "ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException",
    "ReplicatedWriteConflictException",  # a strongly consistent table: another region is writing the item
    "ConditionalRequestConflict",  # S3: another conditional write of the key is in flight
    "RequestTimeout",
})
CONDITION_FAILED = "ConditionalCheckFailedException"
IS_NEW = f"attribute_not_exists({KEY_ATTRIBUTE})"


class State(StrEnum):
    """What a store can do now: everything, only reads (a standby), or nothing."""

    OK = "ok"
    STANDBY = "standby"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class DynamoTable:
    """One record per payment id, in a DynamoDB table; it decides which request an id belongs to.

    The table has other items too: leadership and what recovery stores. Their keys begin with `!`, which no payment id
    contains, so they cannot be payments.
    """

    client: Any
    name: str

    def register(self, record: Record, deadline: Deadline) -> Record:
        """Put the record if its payment id is new. Returns the record that the id has now: a repeat costs no read."""
        answer = call(Store.TABLE, deadline, self.client.put_item, CONDITION_FAILED, TableName=self.name,
                      Item=_item(record), ConditionExpression=IS_NEW, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        return _record(answer["Item"]) if "Error" in answer else record

    def adopt(self, record: Record, epoch: int, deadline: Deadline) -> Record:
        """Move a pending record to a newer epoch, if the id still belongs to it. Returns the record the id has now."""
        values = {":new": {"N": str(epoch)}, ":status": {"S": "PENDING"}}
        return self._update(record, deadline, "SET #epoch = :new", values,
                            condition="fingerprint = :fingerprint AND #epoch = :epoch AND #status = :status")

    def settle(self, record: Record, deadline: Deadline) -> Record:
        """Mark the record settled, if the id still belongs to it and its epoch. Returns the record the id has now."""
        return self._update(record, deadline, "SET #status = :status", {":status": {"S": "SETTLED"}},
                            condition="fingerprint = :fingerprint AND #epoch = :epoch")

    def replace(self, found: Record, record: Record, deadline: Deadline) -> bool:
        """Replace the pending record that was found by another one. Returns whether it was still there."""
        answer = call(Store.TABLE, deadline, self.client.put_item, CONDITION_FAILED, TableName=self.name,
                      Item=_item(record), ConditionExpression="fingerprint = :fingerprint AND #status = :status",
                      ExpressionAttributeNames={"#status": "status"},
                      ExpressionAttributeValues={":fingerprint": {"S": found.fingerprint},
                                                 ":status": {"S": "PENDING"}})
        return "Error" not in answer

    def find(self, payment_id: str, deadline: Deadline) -> Record | None:
        """The record of an id, by a consistent read; None if there is none. Calls nothing for an invalid id."""
        if not PAYMENT_ID.fullmatch(payment_id):
            return None
        answer = call(Store.TABLE, deadline, self.client.get_item, TableName=self.name, Key=_key(payment_id),
                      ConsistentRead=True)
        return _record(answer["Item"]) if "Item" in answer else None

    def probe(self, deadline: Deadline) -> State:
        """Read an item that cannot exist: its key has a character that no payment id contains."""
        call(Store.TABLE, deadline, self.client.get_item, TableName=self.name, Key=_key("no payment"))
        return State.OK

    def records(self, deadline: NextDeadline) -> Iterator[Record]:
        """Every record, in no particular order, by consistent reads."""
        scan = partial(self.client.scan, TableName=self.name, ConsistentRead=True)
        page = call(Store.TABLE, deadline(), scan)
        while True:
            yield from (_record(item) for item in page["Items"] if PAYMENT_ID.fullmatch(item[KEY_ATTRIBUTE]["S"]))
            if "LastEvaluatedKey" not in page:
                return
            page = call(Store.TABLE, deadline(), scan, ExclusiveStartKey=page["LastEvaluatedKey"])

    def _update(self, record: Record, deadline: Deadline, change: str, values: AwsResponse, condition: str) -> Record:
        answer = call(Store.TABLE, deadline, self.client.update_item, CONDITION_FAILED, TableName=self.name,
                      Key=_key(record.payment.payment_id), UpdateExpression=change, ConditionExpression=condition,
                      ExpressionAttributeNames={"#status": "status", "#epoch": "epoch"},
                      ExpressionAttributeValues={":fingerprint": {"S": record.fingerprint},
                                                 ":epoch": {"N": str(record.epoch)}, **values},
                      ReturnValues="ALL_NEW", ReturnValuesOnConditionCheckFailure="ALL_OLD")
        item = answer.get("Attributes") or answer.get("Item")
        if item is None:
            raise StoreUnavailable(Store.TABLE, "ItemMissing")
        return _record(item)


@dataclass(frozen=True)
class Version:
    """A version of a payment's receipt: when it arrived in this bucket (to the second) and its size in bytes."""

    payment_id: str
    arrived_at: datetime
    size: int


@dataclass(frozen=True)
class S3Receipts:
    """One receipt per payment: the objects `receipts/{payment_id}.json`."""

    client: Any
    bucket: str

    def put(self, record: Record, deadline: Deadline) -> None:
        """Put the receipt if there is none: another version would count as another receipt."""
        call(Store.RECEIPTS, deadline, self.client.put_object, "PreconditionFailed", Bucket=self.bucket,
             Key=_receipt_key(record.payment.payment_id), Body=record.receipt(), ContentType="application/json",
             IfNoneMatch="*")

    def versions(self, deadline: NextDeadline) -> Iterator[Version]:
        """Every version of every receipt, by payment id and then newest first; other objects are skipped."""
        request = partial(self.client.list_object_versions, Bucket=self.bucket, Prefix=RECEIPTS_PREFIX)
        page = call(Store.RECEIPTS, deadline(), request)
        while True:
            for found in page.get("Versions", ()):
                payment_id = found["Key"].removeprefix(RECEIPTS_PREFIX).removesuffix(".json")
                if PAYMENT_ID.fullmatch(payment_id):
                    yield Version(payment_id, found["LastModified"], found["Size"])
            if not page["IsTruncated"]:
                return
            page = call(Store.RECEIPTS, deadline(), request, KeyMarker=page["NextKeyMarker"],
                        VersionIdMarker=page["NextVersionIdMarker"])

    def read(self, payment_id: str, deadline: Deadline) -> bytes:
        """The newest version of a payment's receipt."""
        request = partial(self.client.get_object, Bucket=self.bucket, Key=_receipt_key(payment_id))
        return bytes(call(Store.RECEIPTS, deadline, lambda: {"Body": request()["Body"].read()})["Body"])

    def probe(self, deadline: Deadline) -> State:
        """Check that the bucket answers."""
        call(Store.RECEIPTS, deadline, self.client.head_bucket, Bucket=self.bucket)
        return State.OK


def lever_is_pulled(client: Any, bucket: str, deadline: Deadline) -> bool:
    """Whether the lever is pulled: whether the region's control bucket has the object `takeover`.

    The caller may list the bucket, so 404 means that there is no such object, and 403 says nothing about it.
    """
    return "Error" not in call("control", deadline, client.head_object, "404", Bucket=bucket, Key=LEVER_KEY)


def call(store: str, deadline: Deadline, operation: Callable[..., AwsResponse], expected: str = "",
         **request: Any) -> AwsResponse:
    """The answer; an error with the code `expected` is one too, with the key `Error`. Raises StoreUnavailable."""
    try:
        return deadline.call(partial(operation, **request), _transient)
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
    return {KEY_ATTRIBUTE: {"S": payment_id}}


def _receipt_key(payment_id: str) -> str:
    return f"{RECEIPTS_PREFIX}{payment_id}.json"


def _item(record: Record) -> AwsResponse:
    payment = record.payment
    texts = {KEY_ATTRIBUTE: payment.payment_id, "currency": payment.currency, "payer": payment.payer,
             "payee": payment.payee, "fingerprint": record.fingerprint, "created_at": record.created_at,
             "status": "SETTLED" if record.settled else "PENDING"}
    return {"amount": {"N": str(payment.amount)}, "epoch": {"N": str(record.epoch)},
            **{name: {"S": text} for name, text in texts.items()}}


def _record(item: AwsResponse) -> Record:
    payment = Payment(amount=int(item["amount"]["N"]),
                      **{name: item[name]["S"] for name in ("payment_id", "currency", "payer", "payee")})
    return Record(payment=payment, fingerprint=item["fingerprint"]["S"], created_at=item["created_at"]["S"],
                  epoch=int(item["epoch"]["N"]), settled=item["status"]["S"] == "SETTLED")
