"""The payments table and the receipts of one region, in DynamoDB and S3.

Every method takes the deadline of the request, and raises StoreUnavailable if the store gives no usable answer by then.
"""
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from botocore import exceptions
from botocore.parsers import ResponseParserError

from contract import CANARY_FOLDER, KEY_ATTRIBUTE, RECEIPTS_PREFIX, Store
from payments.deadline import Deadline
from payments.errors import StoreUnavailable
from payments.payment import MAX_BODY_BYTES, STORED_ID, Payment, Record, has_form, parse_receipt

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
_DECIDING = ("fingerprint", "epoch", "status")  # attributes by which an item is still the one that was found
_IS_SETTLED = {"SETTLED": True, "PENDING": False}
RECEIPT_DIFFERS: AwsResponse = {"receipt": {"S": "differs"}}
"""What an item says of a payment whose receipt was another one's: sizes do not show it."""
BATCH = 100
"""The most items that one call of DynamoDB reads by their keys."""


@dataclass(frozen=True)
class DynamoTable:
    """One item per payment id, in a DynamoDB table; the first request that registers an id owns it.

    The table has other items too: the recovery record, the canaries, and more. Their keys begin with `!`, which no
    payment id contains, so they cannot be payments. Attributes that are not known here are left as they are.
    """

    client: Any
    name: str

    def register(self, record: Record, deadline: Deadline, *, again: bool = False) -> AwsResponse:
        """Put an item if its key is new; `again`: also in place of one that does not have a newer epoch.

        Returns the item that is there now: a repeat costs no read.
        """
        item = item_of(record)
        more: AwsResponse = {"ConditionExpression": IS_NEW}
        if again:
            more = {"ConditionExpression": "NOT epoch > :epoch",
                    "ExpressionAttributeValues": {":epoch": item["epoch"]}}
        answer = call(Store.TABLE, deadline, self.client.put_item, CONDITION_FAILED, TableName=self.name, Item=item,
                      ReturnValuesOnConditionCheckFailure="ALL_OLD", **more)
        found: AwsResponse = answer["Item"] if "Error" in answer else item
        return found

    def update(self, found: AwsResponse, record: Record, deadline: Deadline,
               notes: AwsResponse | None = None) -> AwsResponse:
        """Make the item that was found the record's with some notes, if it is still of that request, epoch and status.

        Returns the item that is there now. Calls nothing if it is the record's but for the epoch.
        """
        wanted = item_of(record) | (notes or {})
        changes = {name: value for name, value in wanted.items() if found.get(name) != value}
        if changes.keys() <= {"epoch"}:
            return found
        conditions = [f"#{name} = :found_{name}" if name in found else f"attribute_not_exists(#{name})"
                      for name in _DECIDING]
        values = {f":{name}": value for name, value in changes.items()} | {
            f":found_{name}": found[name] for name in _DECIDING if name in found}
        answer = call(Store.TABLE, deadline, self.client.update_item, CONDITION_FAILED, TableName=self.name,
                      Key={KEY_ATTRIBUTE: found[KEY_ATTRIBUTE]}, ConditionExpression=" AND ".join(conditions),
                      UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in changes),
                      ExpressionAttributeNames={f"#{name}": name for name in {*changes, *_DECIDING}},
                      ExpressionAttributeValues=values, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        if "Error" not in answer:
            return {**found, **changes}
        if "Item" not in answer:
            raise StoreUnavailable(Store.TABLE, "ItemMissing", again=True)
        there: AwsResponse = answer["Item"]
        return there

    def item(self, key: str, deadline: Deadline) -> AwsResponse | None:
        """The item of a key, by a consistent read; None if there is none."""
        answer = call(Store.TABLE, deadline, self.client.get_item, TableName=self.name, Key=_key(key),
                      ConsistentRead=True)
        return answer.get("Item")

    def find(self, payment_id: str, deadline: Deadline) -> Record | None:
        """The record of a payment as it is stored, None if there is none. Calls nothing for what is no such id."""
        item = self.item(payment_id, deadline) if STORED_ID.fullmatch(payment_id) else None
        return record_of(item) if item else None

    def items(self, payment_ids: Sequence[str], deadline: Deadline) -> dict[str, AwsResponse]:
        """The items of at most BATCH ids, by consistent reads."""
        found: dict[str, AwsResponse] = {}
        wanted: AwsResponse = {self.name: {"Keys": list(map(_key, payment_ids)), "ConsistentRead": True}}
        while wanted:
            answer = call(Store.TABLE, deadline, self.client.batch_get_item, RequestItems=wanted)
            found |= {item[KEY_ATTRIBUTE]["S"]: item for item in answer["Responses"].get(self.name, ())}
            wanted = answer.get("UnprocessedKeys", {})
        return found

    def pages(self, after: str, deadline: NextDeadline) -> Iterator[tuple[str, dict[str, AwsResponse]]]:
        """Every payment's item in pages, in no particular order; with each page the key after which the next begins.

        `after` is such a key, or empty for the first page; the last page has an empty one. By consistent reads.
        """
        while True:
            more: AwsResponse = {"ExclusiveStartKey": _key(after)} if after else {}
            page = call(Store.TABLE, deadline(), self.client.scan, TableName=self.name, ConsistentRead=True, **more)
            after = page["LastEvaluatedKey"][KEY_ATTRIBUTE]["S"] if "LastEvaluatedKey" in page else ""
            keys = ((item[KEY_ATTRIBUTE]["S"], item) for item in page["Items"])
            yield after, {key: item for key, item in keys if STORED_ID.fullmatch(key)}
            if not after:
                return

    def note(self, key: str, text: str, revision: int, deadline: Deadline) -> bool:
        """Store a text under a key that no payment has, unless the stored revision is as new. Says whether it did."""
        number = {"N": str(revision)}
        answer = call(Store.TABLE, deadline, self.client.put_item, CONDITION_FAILED, TableName=self.name,
                      Item={**_key(key), "version": {"N": "1"}, "revision": number, "document": {"S": text}},
                      ConditionExpression="NOT revision >= :revision", ExpressionAttributeValues={":revision": number})
        return "Error" not in answer


@dataclass(frozen=True)
class Version:
    """A version of a payment's receipt: its id, its size in bytes, and whether it is what a reader gets."""

    payment_id: str
    version_id: str
    size: int
    current: bool


@dataclass(frozen=True)
class S3Receipts:
    """One receipt per payment: the objects `receipts/{payment_id}.json`."""

    client: Any
    bucket: str

    def put(self, record: Record, deadline: Deadline) -> Record | None:
        """Put the receipt if there is none: another version would count as another receipt.

        Returns the record whose receipt is there now; None if what is there is no receipt.
        """
        answer = self._put(_receipt_key(record.payment.payment_id), record.receipt(), deadline, IfNoneMatch="*")
        return self.find(record.payment.payment_id, deadline) if "Error" in answer else record

    def replace(self, record: Record, deadline: Deadline) -> None:
        """Put the receipt as the newest version."""
        self._put(_receipt_key(record.payment.payment_id), record.receipt(), deadline)

    def put_canary(self, record: Record, region: str, deadline: Deadline) -> None:
        """Put the receipt of a region's canary in place of the last one."""
        self._put(f"{CANARY_FOLDER}{region}.json", record.receipt(), deadline)

    def note(self, key: str, text: str, deadline: Deadline) -> None:
        """Put a text that is not a receipt."""
        self._put(key, text.encode(), deadline, ContentType="application/x-ndjson")

    def find(self, payment_id: str, deadline: Deadline) -> Record | None:
        """The settled record in a payment's receipt; None if there is no receipt of this payment."""
        request = partial(self.client.get_object, Bucket=self.bucket, Key=_receipt_key(payment_id))
        answer = call(Store.RECEIPTS, deadline, partial(_read, request), "NoSuchKey")
        return None if "Error" in answer else _receipt(payment_id, answer["Body"])

    def size(self, payment_id: str, deadline: Deadline) -> int | None:
        """The size of a payment's receipt in bytes, None if there is none."""
        answer = call(Store.RECEIPTS, deadline, self.client.head_object, "404", Bucket=self.bucket,
                      Key=_receipt_key(payment_id))
        return None if "Error" in answer else int(answer["ContentLength"])

    def versions(self, deadline: NextDeadline, after: str = "", payment_id: str = "") -> Iterator[Version]:
        """Every version of every receipt, in the order of the keys and then newest first; of one payment if given.

        `after` is the payment after which to begin. Other objects are skipped.
        """
        request = partial(self.client.list_object_versions, Bucket=self.bucket,
                          Prefix=_receipt_key(payment_id) if payment_id else RECEIPTS_PREFIX)
        more = {"KeyMarker": _receipt_key(after)} if after else {}
        while True:
            page = call(Store.RECEIPTS, deadline(), request, **more)
            for found in page.get("Versions", ()):
                name = found["Key"].removeprefix(RECEIPTS_PREFIX).removesuffix(".json")
                if payment_id and name != payment_id:
                    return  # the key of another payment, which begins with this one's
                if STORED_ID.fullmatch(name) and found["Key"] == _receipt_key(name):
                    yield Version(name, found["VersionId"], found["Size"], found["IsLatest"])
            if not page["IsTruncated"]:
                return
            more = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker", "")}

    def read(self, version: Version, deadline: Deadline) -> Record | None:
        """The settled record in a version; None if that is no receipt of its payment."""
        request = partial(self.client.get_object, Bucket=self.bucket, Key=_receipt_key(version.payment_id),
                          VersionId=version.version_id)
        return _receipt(version.payment_id, call(Store.RECEIPTS, deadline, partial(_read, request))["Body"])

    def _put(self, key: str, body: bytes, deadline: Deadline, **more: str) -> AwsResponse:
        # A bucket with a lock refuses an object without a checksum, and not every release of the client sends one:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html#object-lock-put-object
        # Bytes would be sent as a file is: after a first answer, 100 Continue, that takes a round trip of its own.
        return call(Store.RECEIPTS, deadline, self.client.put_object, "PreconditionFailed", **{
            "Bucket": self.bucket, "Key": key, "Body": bytearray(body), "ContentType": "application/json",
            "ChecksumAlgorithm": "CRC32", **more})


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
        raise StoreUnavailable(store, code, again=_transient(error)) from error


def _code(error: Exception) -> str:
    return error.response["Error"]["Code"] if isinstance(error, exceptions.ClientError) else type(error).__name__


def _transient(error: Exception) -> bool:
    if isinstance(error, exceptions.ClientError):
        status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return _code(error) in _TRY_AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, _NO_ANSWER)


def _key(key: str) -> AwsResponse:
    return {KEY_ATTRIBUTE: {"S": key}}


def _receipt_key(payment_id: str) -> str:
    return f"{RECEIPTS_PREFIX}{payment_id}.json"


def _read(request: Callable[[], AwsResponse]) -> AwsResponse:
    """The body as bytes, read no further than the length of the longest receipt."""
    answer = request()
    return {"Body": answer["Body"].read() if answer["ContentLength"] <= MAX_BODY_BYTES else b""}


def _receipt(payment_id: str, body: bytes) -> Record | None:
    try:
        found = parse_receipt(body)
    except ValueError:
        return None
    return found if found.payment.payment_id == payment_id else None


def item_of(record: Record) -> AwsResponse:
    """The record as an item of the table."""
    payment = record.payment
    texts = {KEY_ATTRIBUTE: payment.payment_id, "currency": payment.currency, "payer": payment.payer,
             "payee": payment.payee, "fingerprint": record.fingerprint, "created_at": record.created_at,
             "status": "SETTLED" if record.settled else "PENDING"}
    return {"amount": {"N": str(payment.amount)}, "epoch": {"N": str(record.epoch)},
            **{name: {"S": text} for name, text in texts.items()}}


def is_foreign(item: AwsResponse) -> bool:
    """Whether an item has a status of another release, so that nobody here knows what became of the payment."""
    return item.get("status", {}).get("S", "PENDING") not in _IS_SETTLED


def record_of(item: AwsResponse) -> Record:
    """The record that an item holds. Raises StoreUnavailable if it is malformed."""
    try:
        payment = Payment(amount=int(item["amount"]["N"]),
                          **{name: item[name]["S"] for name in ("payment_id", "currency", "payer", "payee")})
        record = Record(payment=payment, fingerprint=item["fingerprint"]["S"], created_at=item["created_at"]["S"],
                        epoch=int(item["epoch"]["N"]), settled=_IS_SETTLED[item["status"]["S"]])
    except (KeyError, TypeError, ValueError):
        raise StoreUnavailable(Store.TABLE, "ItemMalformed") from None
    if not has_form(record):
        raise StoreUnavailable(Store.TABLE, "ItemMalformed")
    return record
