"""A region in memory: clients of DynamoDB and S3 that keep their conditions, and faults to inject into their calls."""
import io
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from payments import stores
from payments.api import Api
from payments.deadline import Timing
from payments.logs import request_logger
from payments.service import PaymentService

Item = dict[str, Any]

TABLE, RECEIPTS, CONTROL = "table", "receipts", "control"
FIELDS: Item = {"amount": 1250, "currency": "EUR", "payer": "payer@example", "payee": "payee@example"}
PAYMENT: Item = {"payment_id": "pay-1", **FIELDS}


class Crash(BaseException):
    """The execution environment is gone: no code of the function runs any more."""


@dataclass(frozen=True)
class Fault:
    """What happens to one call instead of an answer: before the store has done it, or after."""

    error: BaseException
    done: bool = False


@dataclass
class Network:
    """Carries the calls to the stores of a region; `faults` are those of the calls to come (None: this one is well)."""

    calls: list[str] = field(default_factory=list)
    faults: list[Fault | None] = field(default_factory=list)

    def carry(self, operation: str, effect: Callable[[], Item]) -> Item:
        """Makes the call, unless a fault says otherwise."""
        self.calls.append(operation)
        fault = self.faults.pop(0) if self.faults else None
        if fault is None:
            return effect()
        if fault.done:
            with suppress(ClientError):
                effect()
        raise fault.error


def client_error(code: str, status: int = 400, item: Item | None = None) -> ClientError:
    """An error as a client raises it; `item` is what DynamoDB shows of the item that made a condition fail."""
    answer: Any = {"Error": {"Code": code, "Message": "refused"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError({**answer, "Item": item} if item else answer, "Operation")


class FakeDynamoDB:
    """One table with the key payment_id, for the expressions that the function uses and no others."""

    def __init__(self, network: Network) -> None:
        self.items: dict[str, Item] = {}
        self._network = network

    def put_item(self, **request: Any) -> Item:
        """A put under the condition that the key is new."""
        assert request["ConditionExpression"] == "attribute_not_exists(payment_id)"
        return self._network.carry("PutItem", partial(self._put, request))

    def update_item(self, **request: Any) -> Item:
        """An update of the status under the condition that the fingerprint is as given."""
        assert request["UpdateExpression"] == "SET #status = :settled"
        assert request["ConditionExpression"] == "fingerprint = :fingerprint"
        return self._network.carry("UpdateItem", partial(self._update, request))

    def get_item(self, **request: Any) -> Item:
        """A read."""
        assert request["TableName"] == TABLE
        item = self.items.get(request["Key"]["payment_id"]["S"])
        return self._network.carry("GetItem", lambda: {} if item is None else {"Item": dict(item)})

    def _put(self, request: Item) -> Item:
        key = request["Item"]["payment_id"]["S"]
        if key in self.items:
            raise self._refusal(request, key)
        self.items[key] = dict(request["Item"])
        return {}

    def _update(self, request: Item) -> Item:
        key, values = request["Key"]["payment_id"]["S"], request["ExpressionAttributeValues"]
        if self.items.get(key, {}).get("fingerprint") != values[":fingerprint"]:
            raise self._refusal(request, key)
        self.items[key][request["ExpressionAttributeNames"]["#status"]] = values[":settled"]
        return {"Attributes": dict(self.items[key])} if request["ReturnValues"] == "ALL_NEW" else {}

    def _refusal(self, request: Item, key: str) -> ClientError:
        assert request["TableName"] == TABLE
        shown = self.items.get(key) if request["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD" else None
        return client_error("ConditionalCheckFailedException", item=shown and dict(shown))


class FakeS3:
    """Versioned buckets: the versions of an object, by bucket and key."""

    def __init__(self, network: Network) -> None:
        self.objects: dict[tuple[str, str], list[bytes]] = {}
        self._network = network

    def put_object(self, **request: Any) -> Item:
        """A put, under the condition that the object is new if the request says so."""
        return self._network.carry("PutObject", partial(self._put, request))

    def head_object(self, **request: Any) -> Item:
        """Whether the object is there, for a caller who may list the bucket."""
        return self._network.carry("HeadObject", partial(self._head, request))

    def head_bucket(self, **request: Any) -> Item:
        """Whether the bucket is there."""
        assert request["Bucket"] in (RECEIPTS, CONTROL)
        return self._network.carry("HeadBucket", dict)

    def _put(self, request: Item) -> Item:
        versions = self.objects.setdefault((request["Bucket"], request["Key"]), [])
        if versions and request.get("IfNoneMatch") == "*":
            raise client_error("PreconditionFailed", 412)
        versions.append(request["Body"])
        return {}

    def _head(self, request: Item) -> Item:
        if (request["Bucket"], request["Key"]) not in self.objects:
            raise client_error("404", 404)
        return {}


@dataclass(frozen=True)
class FakeContext:
    """Lambda's context."""

    remaining_ms: int = 10_000
    aws_request_id: str = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        """As much as there is, always."""
        return self.remaining_ms


class Region:
    """The function over fake stores; `elsewhere` is a region whose stores these are too."""

    def __init__(self, name: str = "us-east-1", *, elsewhere: "Region | None" = None) -> None:
        self.network: Network = elsewhere.network if elsewhere else Network()
        self.dynamodb: FakeDynamoDB = elsewhere.dynamodb if elsewhere else FakeDynamoDB(self.network)
        self.s3: FakeS3 = elsewhere.s3 if elsewhere else FakeS3(self.network)
        self.output = io.StringIO()
        self.table = stores.DynamoTable(self.dynamodb, TABLE)
        self.receipts = stores.S3Receipts(self.s3, RECEIPTS)
        self.api = Api(region=name, service=PaymentService(self.table, self.receipts), timing=Timing(pause=0),
                       probes={"table": self.table.probe, "receipts": self.receipts.probe},
                       takeover=partial(stores.takeover, self.s3, CONTROL), logger=request_logger(self.output))

    def request(self, event: Mapping[str, Any], context: FakeContext | None = None) -> tuple[int, Item, dict[str, str]]:
        """Status, body and headers of the function's answer."""
        answer = self.api.answer(event, context or FakeContext())
        assert answer["isBase64Encoded"] is False
        return answer["statusCode"], json.loads(answer["body"]), answer["headers"]

    def pay(self, payment: object, headers: Mapping[str, str] | None = None) -> tuple[int, Item]:
        """Status and body of a request to pay."""
        return self.request(event("POST", "/payment", body=json.dumps(payment), headers=headers))[:2]

    def look(self, payment_id: str = "pay-1") -> tuple[int, Item]:
        """Status and body of a request for a payment."""
        return self.request(event("GET", "/payment/{payment_id}", pathParameters={"payment_id": payment_id}))[:2]

    def status(self, payment_id: str = "pay-1") -> str | None:
        """The status that the table keeps of a payment."""
        item = self.dynamodb.items.get(payment_id)
        return item["status"]["S"] if item else None

    def receipt_versions(self, payment_id: str = "pay-1") -> list[bytes]:
        """Every version of a payment's receipt."""
        return self.s3.objects.get((RECEIPTS, f"receipts/{payment_id}.json"), [])

    def log(self) -> list[Item]:
        """The lines logged so far."""
        return [json.loads(line) for line in self.output.getvalue().splitlines()]


def event(method: str, resource: str, **more: Any) -> Item:
    """An event of API Gateway, with nulls where it has nothing to say."""
    return {"resource": resource, "httpMethod": method, "headers": None, "multiValueHeaders": None, "body": None,
            "queryStringParameters": None, "pathParameters": None, "isBase64Encoded": False, **more}
