"""The entry point with its real clients, which speak to a server on loopback that answers as AWS does, or does not."""
import ast
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pg8000.exceptions import InterfaceError

import payments
from payments import region
from payments.api import Api
from payments.deadline import Timing
from payments.ledger import DatabaseAddress, Login
from payments.payment import PAYMENT_ID, Payment
from tests.unit.payments.fakes import PAYMENT, FakeContext, FakePostgres, FakeSession, Network, event

# A twentieth of the function's own times. What a request takes besides is not scaled: 3 s less the real budget.
IMPATIENT = Timing(budget=0.13, probe=0.08, margin=0.01, connect=0.02, read=0.04, pause=0.005)
OVERHEAD = 3 - Timing().budget
FINGERPRINT = Payment(**PAYMENT).fingerprint()
ITEM = {"payment_id": {"S": "pay-1"}, "amount": {"N": "1250"}, "currency": {"S": "EUR"},
        "payer": {"S": "payer@example"}, "payee": {"S": "payee@example"}, "fingerprint": {"S": FINGERPRINT},
        "created_at": {"S": "2026-01-01T00:00:00.000+00:00"}, "status": {"S": "SETTLED"}, "epoch": {"N": "1"}}
RIGHT = (200, json.dumps({"Item": {"epoch": {"N": "1"}, "region": {"S": "us-east-1"}}}))
DONE = (200, "")
SETTLED = (200, json.dumps({"Attributes": ITEM}))
REFUSAL = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"
REGISTERED = (400, json.dumps({"__type": REFUSAL, "Item": ITEM}))
PAY = event("POST", "/payment", body=json.dumps(PAYMENT))
READY = event("GET", "/health", queryStringParameters={"deep": "1"})
PRECONDITION_FAILED = (412, "<Error><Code>PreconditionFailed</Code></Error>")


@dataclass(frozen=True)
class Received:
    """A request that AWS got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Aws:
    """Every store at one address: gives `answers` (status, body) one by one, and then behaves as `mood` says."""

    answers: list[tuple[int, str]] = field(default_factory=list)
    mood: str = "silent"
    received: list[Received] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.postgres = FakePostgres(Wire(aws=self))


class Server(BaseHTTPRequestHandler):
    """One connection to it."""

    protocol_version = "HTTP/1.1"

    def __init__(self, aws: Aws, *args: Any) -> None:
        self._aws = aws
        super().__init__(*args)

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._aws.received.append(Received(self.command, self.path, dict(self.headers), body))
        if self._aws.answers:
            status, text = self._aws.answers.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text.encode())
        elif self._aws.mood == "silent":
            self._aws.over.wait()
        else:
            with suppress(OSError):
                self.wfile.write(b"HTTP/1.1 200 OK\r\nSlow: ")
                while not self._aws.over.wait(0.01):
                    self.wfile.write(b".")

    do_PUT = do_POST = do_HEAD = _serve  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # pylint: disable=redefined-builtin
        """Nothing."""


@dataclass(kw_only=True)
class Wire(Network):
    """The way to the ledger, which is dead whenever AWS has no answers left."""

    aws: Aws

    def carry(self, operation: str, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Makes the call, or breaks off long after everybody has given it up."""
        if not self.aws.answers:
            self.aws.over.wait(2 * IMPATIENT.attempt)
            raise InterfaceError("network error")
        return super().carry(operation, effect)


def entrance(postgres: FakePostgres, database: DatabaseAddress, timing: Timing, login: Callable[[], Login]) -> FakeSession:
    """As `open_connection`."""
    writer = database.host == "writer"
    host = "writer" if writer else "reader"
    assert (database, timing.attempt > 0) == (DatabaseAddress(host=host, port=5432, name="payments"), True)
    user, token = login()
    assert (user, token.startswith(f"{host}:5432/"), "X-Amz-Signature=" in token) == ("payments_app", True, True)
    return postgres.connect() if writer else postgres.connect_reader()


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    """The environment of the function, with AWS on loopback."""
    aws = Aws()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, aws)) as http, pytest.MonkeyPatch.context() as patch:
        for name, value in {
                "TABLE_NAME": "table", "RECEIPTS_BUCKET": "receipts", "CONTROL_BUCKET": "control",
                "DATABASE_HOST": "writer", "DATABASE_READER_HOST": "reader", "DATABASE_PORT": "5432",
                "DATABASE_NAME": "payments", "DATABASE_USER": "payments_app", "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{http.server_port}"}.items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        patch.setattr(region, "open_connection", partial(entrance, aws.postgres))
        threading.Thread(target=http.serve_forever, args=(0.01,)).start()
        yield aws
        aws.over.set()
        http.shutdown()


@pytest.fixture
def aws(server: Aws) -> Aws:
    """AWS, which has not been asked anything yet."""
    server.answers.clear()
    server.received.clear()
    server.postgres.read_only = server.postgres.inactive = False
    return server


@pytest.fixture(scope="module")
def function(server: Aws) -> ModuleType:
    """The entry point, as Lambda loads it."""
    assert not server.received
    return importlib.import_module("payments.handler")


@pytest.fixture(scope="module")
def impatient(function: ModuleType) -> Api:
    """The function in less time."""
    api: Api = function.create(os.environ, IMPATIENT)
    return api


def pay(function: ModuleType) -> tuple[int, dict[str, Any]]:
    """Status and body of a request to pay."""
    function._API.service.lease.drop()  # pylint: disable=protected-access
    answer = function.handler(PAY, FakeContext())
    return answer["statusCode"], json.loads(answer["body"])


def assert_unavailable_in_time(api: Api, asked: dict[str, Any]) -> Any:
    """Returns what the answer says."""
    start = time.monotonic()
    answer = api.answer(asked, FakeContext())
    assert time.monotonic() - start < IMPATIENT.budget + OVERHEAD
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "1")
    return json.loads(answer["body"])


def test_it_runs_on_what_the_lambda_runtime_has_and_the_package_brings() -> None:
    imported = set()
    for source in Path(payments.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names == {"boto3", "botocore", "pg8000", "payments"}


def test_a_payment_on_the_wire(function: ModuleType, aws: Aws) -> None:
    aws.answers = [RIGHT, DONE, DONE, SETTLED]
    status, body = pay(function)
    assert (status, body) == (201, {**PAYMENT, "created_at": "2026-01-01T00:00:00.000+00:00", "status": "settled"})

    right, put, receipt, update = aws.received
    assert right.headers["X-Amz-Target"] == "DynamoDB_20120810.GetItem"
    assert not PAYMENT_ID.fullmatch(json.loads(right.body)["Key"]["payment_id"]["S"])
    assert put.headers["X-Amz-Target"] == "DynamoDB_20120810.PutItem"
    request = json.loads(put.body)
    assert request["TableName"] == "table"
    assert {**request["Item"], "created_at": ITEM["created_at"]} == {**ITEM, "status": {"S": "PENDING"}}
    assert (receipt.method, receipt.path) == ("PUT", "/receipts/receipts/pay-1.json")
    assert (receipt.headers["If-None-Match"], receipt.headers["Content-Type"]) == ("*", "application/json")
    assert json.loads(receipt.body)["fingerprint"] == FINGERPRINT
    assert update.headers["X-Amz-Target"] == "DynamoDB_20120810.UpdateItem"
    assert json.loads(update.body)["Key"] == {"payment_id": {"S": "pay-1"}}


def test_refused_conditions_are_answers(function: ModuleType, aws: Aws) -> None:
    aws.answers = [RIGHT, REGISTERED]
    first = pay(function)
    aws.answers = [RIGHT, DONE, PRECONDITION_FAILED, SETTLED]
    assert pay(function) == first == (201, {**PAYMENT, "created_at": ITEM["created_at"]["S"], "status": "settled"})
    aws.answers = [RIGHT, DONE, DONE, REGISTERED]
    assert pay(function) == first


def test_a_store_that_stumbles_is_asked_again(function: ModuleType, aws: Aws) -> None:
    aws.answers = [RIGHT, (500, "{}"), DONE, (503, ""), DONE, (400, '{"__type": "ThrottlingException"}'), SETTLED]
    assert pay(function)[0] == 201
    assert len(aws.received) == 7


@pytest.mark.parametrize(("answers", "status"), [
    ([(200, "")], 200), ([(404, "")], 404), ([(403, "")], 503), ([(503, ""), (404, "")], 404),
])
def test_the_takeover_switch_on_the_wire(
        function: ModuleType, aws: Aws, answers: list[tuple[int, str]], status: int) -> None:
    aws.answers = list(answers)
    assert function.handler(event("GET", "/takeover"), FakeContext())["statusCode"] == status
    assert {(got.method, got.path) for got in aws.received} == {("HEAD", "/control/takeover")}


def test_the_probes_on_the_wire(function: ModuleType, aws: Aws) -> None:
    aws.answers = [(200, "{}"), DONE]
    assert json.loads(function.handler(READY, FakeContext())["body"])["writes"] is True
    assert [(got.method, got.path) for got in aws.received] == [("POST", "/"), ("HEAD", "/receipts")]
    assert not PAYMENT_ID.fullmatch(json.loads(aws.received[0].body)["Key"]["payment_id"]["S"])


def test_a_standby_is_found_by_its_reader_endpoint(function: ModuleType, aws: Aws) -> None:
    function._API.service.ledger.close()  # pylint: disable=protected-access
    aws.postgres.read_only = aws.postgres.inactive = True
    aws.answers = [(200, "{}"), DONE]
    answer = function.handler(READY, FakeContext())
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {
        "status": "ok", "region": "us-east-1", "table": "ok", "ledger": "standby", "receipts": "ok", "writes": False})


def test_a_payment_is_read_as_it_was_last_written(function: ModuleType, aws: Aws) -> None:
    aws.answers = [(200, json.dumps({"Item": ITEM}))]
    asked = event("GET", "/payment/{payment_id}", pathParameters={"payment_id": "pay-1"})
    answer = function.handler(asked, FakeContext())
    assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (200, "settled")
    assert json.loads(aws.received[0].body)["ConsistentRead"] is True


@pytest.mark.parametrize("mood", ["silent", "dripping"])
@pytest.mark.parametrize("answered", range(4))
def test_a_store_that_never_answers_does_not_hang_a_payment(impatient: Api, aws: Aws, answered: int, mood: str) -> None:
    aws.mood, aws.answers = mood, [RIGHT, DONE, DONE, DONE][:answered]
    impatient.service.lease.drop()
    assert_unavailable_in_time(impatient, PAY)


@pytest.mark.parametrize(("asked", "told"), [
    (event("GET", "/payment/{payment_id}", pathParameters={"payment_id": "p"}), {"error": "table unavailable"}),
    (event("GET", "/takeover"), {"error": "control unavailable"}),
    (READY, {"status": "unavailable", "region": "us-east-1", "table": "unavailable", "ledger": "unavailable",
             "receipts": "unavailable", "writes": False}),
], ids=range(3))
def test_a_store_that_never_answers_does_not_hang_another_request(
        impatient: Api, aws: Aws, asked: dict[str, Any], told: dict[str, Any]) -> None:
    aws.mood = "silent"
    assert assert_unavailable_in_time(impatient, asked) == told


def test_the_clients_leave_retries_to_the_function_and_stay_in_the_region(
        function: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    service = function.create(os.environ, Timing()).service
    for client, host in ((service.table.client, "dynamodb"), (service.receipts.client, "s3")):
        config = client.meta.config
        assert client.meta.endpoint_url == f"https://{host}.us-east-1.amazonaws.com"
        assert (config.connect_timeout, config.read_timeout) == (0.4, 0.8)
        assert config.retries["total_max_attempts"] == 1
