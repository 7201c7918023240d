"""A region in memory: clients of DynamoDB, S3 and PostgreSQL that check conditions, faults, and a clock to move."""
import io
import json
import random
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar

from botocore.exceptions import ClientError, EndpointConnectionError
from pg8000.exceptions import DatabaseError, InterfaceError

from payments import ledger, stores
from payments.api import Api
from payments.deadline import Deadline, Timing
from payments.leadership import DynamoLeadership, Lease
from payments.logs import request_logger
from payments.reconcile import Reconciliation
from payments.runtime import Runtime
from payments.service import PaymentService

T = TypeVar("T")
Item = dict[str, Any]

TABLE, RECEIPTS, CONTROL = "table", "receipts", "control"
FIELDS: Item = {"amount": 1250, "currency": "EUR", "payer": "payer@example", "payee": "payee@example"}
PAYMENT: Item = {"payment_id": "pay-1", **FIELDS}
OTHER: Item = {**PAYMENT, "amount": 1}
COLUMNS = ("payment_id", "payer", "payee", "amount", "currency", "fingerprint", "epoch", "created_at")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


class Crash(BaseException):
    """The execution environment ends: none of the function's code runs any more."""


@dataclass(frozen=True)
class Fault:
    """One call fails: before the store has done what it asks, or (`done`) after."""

    error: BaseException
    done: bool = False


@dataclass
class Network:
    """Carries the calls to the stores of a region; `faults` are those of the next calls (None: this one succeeds)."""

    calls: list[str] = field(default_factory=list)
    faults: list[Fault | None] = field(default_factory=list)
    dead: frozenset[str] = frozenset()  # operations that reach no store
    meanwhile: dict[int, Callable[[], object]] = field(default_factory=dict)  # what happens before the nth call

    def carry(self, operation: str, effect: Callable[[], Item]) -> Item:
        """Make the call, unless there is a fault for it."""
        self.meanwhile.pop(len(self.calls), int)()
        self.calls.append(operation)
        if operation in self.dead:
            raise EndpointConnectionError(endpoint_url="https://store")
        fault = self.faults.pop(0) if self.faults else None
        if fault is None:
            return effect()
        if fault.done:
            with suppress(ClientError, DatabaseError):
                effect()
        raise fault.error


@dataclass
class StillClock:
    """Time that passes only when a test moves it, or when something sleeps."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def time(self) -> float:
        """Seconds since MOMENT began, which is this clock's start."""
        return MOMENT.timestamp() + self.now

    def monotonic(self) -> float:
        """Seconds since this clock's start."""
        return self.now

    def sleep(self, seconds: float, /) -> None:
        """Move the clock."""
        self.slept.append(seconds)
        self.now += seconds


class Hang(BaseException):
    """A fault: the call never returns."""


@dataclass(frozen=True)
class InlineCaller:
    """Makes calls in the caller's own thread. A call takes as long as it moves the clock; a Hang never returns."""

    clock: StillClock

    def call(self, function: Callable[[], T], seconds: float) -> T:
        """As ThreadCaller, of a call that moves the clock."""
        end = self.clock.now + seconds
        try:
            return function()
        except Hang:
            self.clock.now = end
            raise TimeoutError from None
        finally:
            if self.clock.now > end:
                self.clock.now = end
                raise TimeoutError


def still_runtime(clock: StillClock | None = None) -> Runtime:
    """A clock that stands still, no threads, and the same random numbers each time."""
    clock = clock or StillClock()
    return Runtime(clock, InlineCaller(clock), random.Random(1))


def client_error(code: str, status: int = 400, item: Item | None = None) -> ClientError:
    """An error as a client raises it; `item` is the one that made a condition of DynamoDB fail, if it returns that."""
    answer: Any = {"Error": {"Code": code, "Message": "refused"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError({**answer, "Item": item} if item else answer, "Operation")


class FakeDynamoDB:
    """One table with the key payment_id; it accepts only the forms of expressions that the function uses."""

    def __init__(self, network: Network) -> None:
        self.items: dict[str, Item] = {}
        self.page = 1000
        self.copy: Callable[[str, Item], object] = _no_replica
        self._network = network

    def put_item(self, **request: Any) -> Item:
        """A conditional put."""
        return self._network.carry("PutItem", partial(self._put, request))

    def update_item(self, **request: Any) -> Item:
        """A conditional update; a missing item never meets the condition."""
        return self._network.carry("UpdateItem", partial(self._update, request))

    def get_item(self, **request: Any) -> Item:
        """A read."""
        assert request["TableName"] == TABLE
        return self._network.carry("GetItem", partial(self._get, request["Key"]["payment_id"]["S"]))

    def scan(self, **request: Any) -> Item:
        """A page of a consistent scan."""
        assert (request["TableName"], request["ConsistentRead"]) == (TABLE, True)
        return self._network.carry("Scan", partial(self._scan, request))

    def write(self, key: str, item: Item) -> None:
        """Store an item, and replicate it."""
        self.items[key] = item
        self.copy(key, item)

    def _get(self, key: str) -> Item:
        return {"Item": dict(self.items[key])} if key in self.items else {}

    def _scan(self, request: Item) -> Item:
        keys = sorted(self.items)
        if "ExclusiveStartKey" in request:
            keys = [key for key in keys if key > request["ExclusiveStartKey"]["payment_id"]["S"]]
        page = {"Items": [dict(self.items[key]) for key in keys[:self.page]]}
        more = {"LastEvaluatedKey": {"payment_id": {"S": keys[self.page - 1]}}} if len(keys) > self.page else {}
        return {**page, **more}

    def _put(self, request: Item) -> Item:
        key = request["Item"]["payment_id"]["S"]
        if not self._holds(request, key):
            raise self._refusal(request, key)
        self.write(key, dict(request["Item"]))
        return {}

    def _update(self, request: Item) -> Item:
        key = request["Key"]["payment_id"]["S"]
        changes = request["UpdateExpression"].removeprefix("SET ").split(", ")
        if not self._holds(request, key):
            raise self._refusal(request, key)
        self.write(key, {**self.items[key], **dict(self._pair(request, change) for change in changes)})
        return {"Attributes": dict(self.items[key])} if request["ReturnValues"] == "ALL_NEW" else {}

    def _holds(self, request: Item, key: str) -> bool:
        self._all_used(request)
        condition = request["ConditionExpression"]
        if condition == "attribute_not_exists(payment_id)":
            return key not in self.items
        item = self.items.get(key, {})
        pairs = [self._pair(request, part) for part in condition.split(" AND ")]
        return all(item.get(name) == value for name, value in pairs)

    @staticmethod
    def _pair(request: Item, equation: str) -> tuple[str, Item]:
        name, value = equation.split(" = ")
        return request.get("ExpressionAttributeNames", {}).get(name, name), request["ExpressionAttributeValues"][value]

    @staticmethod
    def _all_used(request: Item) -> None:
        """DynamoDB refuses names and values that no expression uses."""
        used = request["ConditionExpression"] + " " + request.get("UpdateExpression", "")
        for name in (*request.get("ExpressionAttributeNames", ()), *request.get("ExpressionAttributeValues", ())):
            assert name in used

    def _refusal(self, request: Item, key: str) -> ClientError:
        assert request["TableName"] == TABLE
        shown = self.items.get(key) if request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" else None
        return client_error("ConditionalCheckFailedException", item=shown and dict(shown))


class FakeS3:
    """Versioned buckets: the versions of an object, oldest first, by bucket and key."""

    def __init__(self, network: Network) -> None:
        self.objects: dict[tuple[str, str], list[bytes]] = {}
        self.page = 1000
        self.copy: Callable[[tuple[str, str], bytes], object] = _no_replica
        self._network = network

    def put_object(self, **request: Any) -> Item:
        """A put, under the condition that the object is new if the request says so."""
        return self._network.carry("PutObject", partial(self._put, request))

    def get_object(self, **request: Any) -> Item:
        """The newest version."""
        return self._network.carry("GetObject", lambda: {
            "Body": io.BytesIO(self.objects[request["Bucket"], request["Key"]][-1])})

    def head_object(self, **request: Any) -> Item:
        """Whether the object is there, for a caller who may list the bucket."""
        return self._network.carry("HeadObject", partial(self._head, request))

    def head_bucket(self, **request: Any) -> Item:
        """Whether the bucket is there."""
        assert request["Bucket"] in (RECEIPTS, CONTROL)
        return self._network.carry("HeadBucket", dict)

    def list_object_versions(self, **request: Any) -> Item:
        """A page of versions, by key and then newest first."""
        return self._network.carry("ListObjectVersions", partial(self._list, request))

    def write(self, place: tuple[str, str], body: bytes) -> None:
        """Add a version, and replicate it."""
        self.objects.setdefault(place, []).append(body)
        self.copy(place, body)

    def _put(self, request: Item) -> Item:
        place = request["Bucket"], request["Key"]
        if place in self.objects and request.get("IfNoneMatch") == "*":
            raise client_error("PreconditionFailed", 412)
        self.write(place, request["Body"])
        return {}

    def _head(self, request: Item) -> Item:
        if (request["Bucket"], request["Key"]) not in self.objects:
            raise client_error("404", 404)
        return {}

    def _list(self, request: Item) -> Item:
        assert request["Prefix"] == "receipts/"
        found = [{"Key": key, "VersionId": str(number), "Size": len(versions[number]), "LastModified": MOMENT}
                 for (bucket, key), versions in sorted(self.objects.items()) if bucket == request["Bucket"]
                 for number in reversed(range(len(versions)))]
        if "KeyMarker" in request:
            marker = request["KeyMarker"], -int(request["VersionIdMarker"])
            found = [each for each in found if (each["Key"], -int(str(each["VersionId"]))) > marker]
        if len(found) <= self.page:
            return {"IsTruncated": False, **({"Versions": found} if found else {})}
        last = found[self.page - 1]
        return {"IsTruncated": True, "Versions": found[:self.page],
                "NextKeyMarker": last["Key"], "NextVersionIdMarker": last["VersionId"]}


def _no_replica(*_write: object) -> None:
    """Replicates nowhere."""


def database_error(code: str) -> DatabaseError:
    """An error that the database reports."""
    return DatabaseError({"S": "ERROR", "C": code, "M": "refused"})


class FakePostgres:
    """The ledger's database: posts as the schema's function does, and accepts no other statement."""

    def __init__(self, network: Network) -> None:
        self.epoch = 0
        self.postings: dict[str, Item] = {}  # in their order
        self.commits: list[Item] = []
        self.read_only = False
        self.inactive = False  # the writer endpoint cannot be reached, as that of a standby on AWS
        self.sessions: list[FakeSession] = []
        self.network = network

    def connect(self) -> "FakeSession":
        """A session at the writer endpoint."""
        return self._session("Connect", self._resolve)

    def connect_reader(self) -> "FakeSession":
        """A session at the reader endpoint."""
        return self._session("ConnectReader", dict)

    def _session(self, operation: str, effect: Callable[[], Item]) -> "FakeSession":
        self.network.carry(operation, effect)
        self.sessions.append(FakeSession(self))
        return self.sessions[-1]

    def _resolve(self) -> Item:
        if self.inactive:
            raise socket.gaierror
        return {}

    def answer(self, operation: str, rows: Callable[[], list[list[Any]]]) -> list[list[Any]]:
        """The rows of a statement, which the network carries."""
        return list(self.network.carry(operation, lambda: {"rows": rows()})["rows"])

    def post(self, values: Item) -> list[list[Any]]:
        """As the schema's `post_payment`."""
        if self.read_only:
            raise database_error("25006")
        self.commit(values)
        return [[""]]

    def commit(self, values: Item) -> None:
        """Its transaction, here or replayed on a standby; if it is refused, it changes nothing."""
        if values["epoch"] < self.epoch:
            raise database_error("TS001")
        kept = self.postings.get(values["payment_id"])
        if kept and kept["fingerprint"] != values["fingerprint"]:
            raise database_error("TS002")
        self.epoch = values["epoch"]
        if kept is None:
            self.postings[values["payment_id"]] = dict(values)
        self.commits.append(values)

    def read(self, values: Item) -> list[list[Any]]:
        """A page of postings."""
        rows = [[number, *(posting[name] for name in COLUMNS)] for number, posting in
                enumerate(self.postings.values(), 1)]
        return rows[values["after"]:values["after"] + values["page"]]


class FakeSession:
    """A connection to it."""

    def __init__(self, database: FakePostgres) -> None:
        self.is_open = True
        self._database = database

    def prepare(self, sql: str) -> SimpleNamespace:
        """The statement that posts."""
        assert sql == ledger.POST
        self._must_be_open()
        return SimpleNamespace(run=self._post)

    def run(self, sql: str, **values: Any) -> list[list[Any]]:
        """A probe, the fence, or a page of postings."""
        self._must_be_open()
        database = self._database
        answers: dict[str, Callable[[], list[list[Any]]]] = {
            ledger.FENCE: lambda: [[database.epoch]], ledger.PROBE: lambda: [[database.read_only]],
            ledger.READ: partial(database.read, values)}
        return database.answer("Read" if sql == ledger.READ else "Select", answers[sql])

    def close(self) -> None:
        """End it."""
        self._must_be_open()
        self.is_open = False

    def _post(self, **values: Any) -> list[list[Any]]:
        self._must_be_open()
        return self._database.answer("Post", partial(self._database.post, values))

    def _must_be_open(self) -> None:
        """As in pg8000, a closed session refuses everything."""
        if not self.is_open:
            raise InterfaceError("connection is closed")


@dataclass(frozen=True)
class FakeBoto:
    """boto3's session, with these clients by their services."""

    clients: Mapping[str, object]

    def client(self, service: str, **_config: object) -> object:
        """The service's client."""
        return self.clients[service]


@dataclass(frozen=True)
class FakeContext:
    """Lambda's context."""

    remaining_ms: int = 10_000
    aws_request_id: str = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        """Always the same."""
        return self.remaining_ms


class Region:
    """The payments function over fake stores, in an environment that has just read that its region leads.

    `elsewhere` is a region that shares its stores with this one, and leads.
    """

    def __init__(self, name: str = "us-east-1", *, elsewhere: "Region | None" = None) -> None:
        self.name = name
        self.network: Network = elsewhere.network if elsewhere else Network()
        self.dynamodb: FakeDynamoDB = elsewhere.dynamodb if elsewhere else FakeDynamoDB(self.network)
        self.s3: FakeS3 = elsewhere.s3 if elsewhere else FakeS3(self.network)
        self.postgres: FakePostgres = elsewhere.postgres if elsewhere else FakePostgres(self.network)
        self.output = io.StringIO()
        self.clock = StillClock()
        self.runtime = still_runtime(self.clock)
        self.table = stores.DynamoTable(self.dynamodb, TABLE)
        self.ledger = ledger.PostgresLedger(self.postgres.connect, self.postgres.connect_reader)
        self.receipts = stores.S3Receipts(self.s3, RECEIPTS)
        self.leadership = DynamoLeadership(self.dynamodb, TABLE)
        self.lease = Lease(self.leadership, name, self.clock)
        self.service = PaymentService(self.lease, self.table, self.ledger, self.receipts, self.clock)
        self.timing = Timing(pause=0)
        self.api = Api(region=name, service=self.service, timing=self.timing, runtime=self.runtime,
                       logger=request_logger(self.output, self.clock),
                       probes={"table": self.table.probe, "ledger": self.ledger.probe, "receipts": self.receipts.probe},
                       lever_is_pulled=partial(stores.lever_is_pulled, self.s3, CONTROL))
        if elsewhere is None:
            self.leadership.create(name, self.deadline())
            self.lease.epoch(self.deadline())
            self.ledger.probe(self.deadline())
            self.network.calls.clear()

    def deadline(self) -> Deadline:
        """Time enough, and no pauses."""
        return Deadline(self.timing, self.timing.budget, self.runtime)

    def take_leadership(self) -> None:
        """The first step of a takeover."""
        self.leadership.take(self.name, self.deadline(), self.postgres.epoch)

    def reconciliation(self) -> Reconciliation:
        """The reconciliation of these stores."""
        return Reconciliation(self.name, self.service, self.timing, self.runtime)

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

    def posted(self, payment_id: str = "pay-1") -> Item | None:
        """What the ledger has of a payment."""
        return self.postgres.postings.get(payment_id)

    def receipt_versions(self, payment_id: str = "pay-1") -> list[bytes]:
        """Every version of a payment's receipt."""
        return self.s3.objects.get((RECEIPTS, f"receipts/{payment_id}.json"), [])

    def log(self) -> list[Item]:
        """The lines logged so far."""
        return [json.loads(line) for line in self.output.getvalue().splitlines()]


def event(method: str, resource: str, **more: Any) -> Item:
    """An event of API Gateway, which has nulls where nothing was sent."""
    return {"resource": resource, "httpMethod": method, "headers": None, "multiValueHeaders": None, "body": None,
            "queryStringParameters": None, "pathParameters": None, "isBase64Encoded": False, **more}
