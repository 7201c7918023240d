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

from botocore.exceptions import ClientError
from pg8000.exceptions import DatabaseError, InterfaceError

from contract import API_KEY_LENGTH, READINESS, RECORD_KEY
from payments import ledger, stores
from payments.api import Api
from payments.deadline import Deadline, Timing
from payments.leadership import DynamoLeadership, Lease
from payments.logs import request_logger
from payments.payment import Payment, Record
from payments.reconcile import Reconciliation
from payments.runtime import Runtime
from payments.service import PaymentService
from simulator.dynamodb import holds

T = TypeVar("T")
Item = dict[str, Any]

TABLE, RECEIPTS = "table", "receipts"
FIELDS: Item = {"amount": 1250, "currency": "EUR", "payer": "payer@example", "payee": "payee@example"}
PAYMENT: Item = {"payment_id": "pay-1", **FIELDS}
OTHER: Item = {**PAYMENT, "amount": 1}
COLUMNS = ("payment_id", "payer", "payee", "amount", "currency", "fingerprint", "epoch", "created_at")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def record(amount: int = 1, epoch: int = 1, *, name: str = "pay-1", second: int = 0, settled: bool = False) -> Record:
    """A record of PAYMENT with another amount and id, registered so many seconds after MOMENT."""
    payment = Payment(**{**PAYMENT, "payment_id": name, "amount": amount})
    return Record(payment=payment, fingerprint=payment.fingerprint(), epoch=epoch, settled=settled,
                  created_at=f"2026-01-01T00:00:{second:02}.000+00:00")


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
    failing: Mapping[str, BaseException] = field(default_factory=dict)  # operations that fail, before they do anything
    meanwhile: dict[int, Callable[[], object]] = field(default_factory=dict)  # what happens before the nth call

    def carry(self, operation: str, effect: Callable[[], Item]) -> Item:
        """Make the call, unless there is a fault for it."""
        self.meanwhile.pop(len(self.calls), int)()
        self.calls.append(operation)
        if operation in self.failing:
            raise self.failing[operation]
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
    frozen: float = 0.0  # seconds that only the wall clock has seen
    slept: list[float] = field(default_factory=list)

    def time(self) -> float:
        """Seconds since MOMENT began, which is this clock's start."""
        return MOMENT.timestamp() + self.now + self.frozen

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
        self.page, self.batch = 1000, 100
        self.copy: Callable[[str, Item], object] = _no_replica
        self._network = network

    def put_item(self, **request: Any) -> Item:
        """A conditional put."""
        return self._network.carry("PutItem", partial(self._put, request))

    def update_item(self, **request: Any) -> Item:
        """A conditional update; a missing item never meets the condition."""
        return self._network.carry("UpdateItem", partial(self._update, request))

    def get_item(self, **request: Any) -> Item:
        """A consistent read."""
        assert (request["TableName"], request["ConsistentRead"]) == (TABLE, True)
        return self._network.carry("GetItem", partial(self._get, request["Key"]["payment_id"]["S"]))

    def batch_get_item(self, **request: Any) -> Item:
        """Consistent reads of at most a hundred items, of which `batch` are made at once."""
        [(table, asked)] = request["RequestItems"].items()
        assert (table, asked["ConsistentRead"]) == (TABLE, True)
        keys = [key["payment_id"]["S"] for key in asked["Keys"]]
        assert 0 < len(keys) == len({*keys}) <= 100
        rest = {TABLE: {**asked, "Keys": asked["Keys"][self.batch:]}} if keys[self.batch:] else {}
        return self._network.carry("BatchGetItem", lambda: {"UnprocessedKeys": rest, "Responses": {
            TABLE: [dict(self.items[key]) for key in keys[:self.batch] if key in self.items]}})

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
        if not self._holds(request, key):
            raise self._refusal(request, key)
        pairs = (change.split(" = ") for change in request["UpdateExpression"].removeprefix("SET ").split(", "))
        names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
        self.write(key, {**self.items[key], **{names[name]: values[value] for name, value in pairs}})
        return {}

    def _holds(self, request: Item, key: str) -> bool:
        self._all_used(request)
        return holds(request["ConditionExpression"], self.items.get(key), request)

    @staticmethod
    def _all_used(request: Item) -> None:
        """DynamoDB refuses names and values that no expression uses."""
        used = request["ConditionExpression"] + request.get("UpdateExpression", "")
        for name in (*request.get("ExpressionAttributeNames", ()), *request.get("ExpressionAttributeValues", ())):
            assert name in used

    def _refusal(self, request: Item, key: str) -> ClientError:
        assert request["TableName"] == TABLE
        shown = self.items.get(key) if request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" else None
        return client_error("ConditionalCheckFailedException", item=shown and dict(shown))


class FakeS3:
    """Versioned buckets: the versions of an object, oldest first, by bucket and key; None is a delete marker."""

    def __init__(self, network: Network) -> None:
        self.objects: dict[tuple[str, str], list[bytes | None]] = {}
        self.page = 1000
        self.written_once = False  # the caller is not the repair, which alone may replace a receipt
        self.copy: Callable[[tuple[str, str], bytes], object] = _no_replica
        self._network = network

    def put_object(self, **request: Any) -> Item:
        """A put, under the condition that the object is new if the request says so."""
        return self._network.carry("PutObject", partial(self._put, request))

    def get_object(self, **request: Any) -> Item:
        """A version, or the newest."""
        return self._network.carry("GetObject", partial(self._get, request))

    def head_object(self, **request: Any) -> Item:
        """Whether the object is there, for a caller who may list the bucket."""
        return self._network.carry("HeadObject", partial(self._head, request))

    def list_object_versions(self, **request: Any) -> Item:
        """A page of versions, by key and then newest first."""
        return self._network.carry("ListObjectVersions", partial(self._list, request))

    def write(self, place: tuple[str, str], body: bytes) -> None:
        """Add a version, and replicate it."""
        self.objects.setdefault(place, []).append(body)
        self.copy(place, body)

    def _newest(self, request: Item) -> bytes | None:
        return self.objects.get((request["Bucket"], request["Key"]), [None])[-1]

    def _put(self, request: Item) -> Item:
        if request["Bucket"] == RECEIPTS and "ChecksumAlgorithm" not in request:  # as a bucket with a lock does
            raise client_error("InvalidRequest", 400)
        if self.written_once and "IfNoneMatch" not in request and request["Key"].startswith("receipts/"):
            raise client_error("AccessDenied", 403)
        if request.get("IfNoneMatch") == "*" and self._newest(request) is not None:
            raise client_error("PreconditionFailed", 412)
        self.write((request["Bucket"], request["Key"]), request["Body"])
        return {}

    def _get(self, request: Item) -> Item:
        body = self._newest(request)
        if "VersionId" in request:
            body = self.objects[request["Bucket"], request["Key"]][int(request["VersionId"])]
        if body is None:
            raise client_error("NoSuchKey", 404)
        return {"Body": io.BytesIO(body), "ContentLength": len(body)}

    def _head(self, request: Item) -> Item:
        body = self._newest(request)
        if body is None:
            raise client_error("404", 404)
        return {"ContentLength": len(body)}

    def _list(self, request: Item) -> Item:
        assert request["Prefix"].startswith("receipts/")
        found = [{"Key": key, "VersionId": str(number), "Size": len(body), "IsLatest": number == len(versions) - 1}
                 for (bucket, key), versions in sorted(self.objects.items())
                 if bucket == request["Bucket"] and key.startswith(request["Prefix"])
                 for number, body in reversed([*enumerate(versions)]) if body is not None]
        if "KeyMarker" in request:
            marker = request["KeyMarker"], -int(request.get("VersionIdMarker", 0))
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
        self.marks: dict[str, int] = {}
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
        return [[self.postings[values["payment_id"]]["created_at"]]]

    def mark(self, values: Item) -> list[list[Any]]:
        """As the schema's `post_mark`."""
        if self.read_only:
            raise database_error("25006")
        self.commit(values)
        return [[self.marks[values["region"]]]]

    def commit(self, values: Item) -> None:
        """A transaction, here or replayed on a standby; if it is refused, it changes nothing."""
        if values["epoch"] < self.epoch:
            raise database_error("TS001")
        if "region" in values:
            self.marks[values["region"]] = self.marks.get(values["region"], 0) + 1
        else:
            kept = self.postings.get(values["payment_id"], values)
            if kept["fingerprint"] != values["fingerprint"]:
                raise database_error("TS002")
            created_at = (values if values["corrects"] else kept)["created_at"]
            self.postings[values["payment_id"]] = {**kept, "created_at": created_at, "corrects": False}
        self.epoch = values["epoch"]
        self.commits.append(values)

    def read(self, sql: str, values: Item) -> list[list[Any]]:
        """The rows of a statement that reads."""
        rows = [[number, *(posting[name] for name in COLUMNS)] for number, posting in
                enumerate(self.postings.values(), 1)]
        match sql:
            case ledger.STATE:
                return [[self.epoch, dict(self.marks) or None]]
            case ledger.FIND:
                return [row for row in rows if row[1] == values["payment_id"]]
            case ledger.KNOWN:
                return [[row[1]] for row in rows if row[1] in values["payment_ids"]]
            case ledger.NEWEST:
                return [row for row in reversed(rows) if row[0] < values["before"]][:values["page"]]
        assert sql == ledger.IN_ORDER
        rows.sort(key=lambda row: f"{row[1]}.json")
        return [row for row in rows if f"{row[1]}.json" > values["after"]][:values["page"]]


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
        """A mark, or a statement that reads."""
        self._must_be_open()
        database = self._database
        if sql == ledger.MARK:
            return database.answer("Mark", partial(database.mark, values))
        return database.answer("Read", partial(database.read, sql, values))

    def close(self) -> None:
        """End it."""
        self._must_be_open()
        self.is_open = False

    def _post(self, **values: Any) -> list[list[Any]]:
        self._must_be_open()
        "".join(map(str, values.values())).encode()  # as pg8000 does: it raises UnicodeEncodeError for a lone surrogate
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
                       logger=request_logger(self.output, self.clock))
        if elsewhere is None:
            self.leadership.create(name, self.deadline())
            self.lease.epoch(self.deadline())
            self.ledger.find("none", self.deadline())
            self.network.calls.clear()

    def deadline(self) -> Deadline:
        """Time enough, and no pauses."""
        return Deadline(self.timing, self.timing.budget, self.runtime)

    def take_leadership(self) -> None:
        """The first step of a takeover: an epoch above all that table and ledger have seen."""
        leads = self.dynamodb.items[RECORD_KEY]
        epoch = max(int(leads["epoch"]["N"]), self.postgres.epoch) + 1
        self.dynamodb.write(RECORD_KEY, {**leads, "region": {"S": self.name}, "epoch": {"N": str(epoch)}})

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
        self.s3.written_once = True
        try:
            return self.request(event("POST", "/payment", body=json.dumps(payment), headers=headers))[:2]
        finally:
            self.s3.written_once = False

    def readiness(self) -> Item:
        """The answer to an event that asks for it."""
        status, answer, _ = self.request(event("POST", READINESS))
        assert status == 200
        return answer

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

    def receipt_versions(self, payment_id: str = "pay-1") -> list[bytes | None]:
        """Every version of a payment's receipt."""
        return self.s3.objects.get((RECEIPTS, f"receipts/{payment_id}.json"), [])

    def log(self) -> list[Item]:
        """The lines logged so far."""
        return [json.loads(line) for line in self.output.getvalue().splitlines()]


def event(method: str, resource: str, **more: Any) -> Item:
    """An event of API Gateway, which has nulls where nothing was sent."""
    return {"resource": resource, "httpMethod": method, "headers": None, "multiValueHeaders": None, "body": None,
            "queryStringParameters": None, "pathParameters": None, "isBase64Encoded": False, **sent_by(""), **more}


def sent_by(client: str) -> Item:
    """What API Gateway adds to the event of a client; the default one is empty."""
    return {"requestContext": {"identity": {"apiKey": client + "K7" * (API_KEY_LENGTH // 2)}}}
