"""The entry points with real clients, which call a server on loopback that answers as AWS does, or never."""
import importlib
import json
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pg8000.exceptions import InterfaceError

from contract import DATABASE_NAME, DATABASE_USER, READINESS
from payments import migrate, reconcile
from payments.api import Api
from payments.clock import SYSTEM
from payments.deadline import Timing
from payments.errors import RepairFailed
from payments.ledger import DatabaseAddress, Login
from payments.payment import PAYMENT_ID, Payment
from payments.region import Transport, create_api, create_service, system_transport
from payments.runtime import Runtime, ThreadCaller
from tests.unit.payments.fakes import (
    PAYMENT,
    FakeContext,
    FakePostgres,
    FakeSession,
    Network,
    event,
    record,
    still_runtime,
)

# Reached only if a test fails.
PATIENT = Timing(budget=300, connect=30, read=30, pause=0)
# For a server that never answers; a test that waits for its answer would never end.
IMPATIENT = Timing(budget=0.05, margin=0, connect=0.01, read=0.02, pause=0, attempts=1)
FINGERPRINT = Payment(**PAYMENT).fingerprint()
ITEM = {"payment_id": {"S": "pay-1"}, "amount": {"N": "1250"}, "currency": {"S": "EUR"},
        "payer": {"S": "payer@example"}, "payee": {"S": "payee@example"}, "fingerprint": {"S": FINGERPRINT},
        "created_at": {"S": "2026-01-01T00:00:00.000+00:00"}, "status": {"S": "SETTLED"}, "epoch": {"N": "1"}}
LEADS = (200, json.dumps({"Item": {"epoch": {"N": "1"}, "region": {"S": "us-east-1"}}}))
DONE = (200, "")
REFUSAL = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"
REGISTERED = (400, json.dumps({"__type": REFUSAL, "Item": ITEM}))
RECEIPT = record(PAYMENT["amount"]).receipt().decode()
PAY = event("POST", "/payment", body=json.dumps(PAYMENT))
READY = event("POST", READINESS)
PLENTY = FakeContext(900_000)
PRECONDITION_FAILED = (412, "<Error><Code>PreconditionFailed</Code></Error>")


@dataclass(frozen=True)
class Received:
    """A request that reached AWS."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Aws:
    """Every store at one address: gives `answers` (status, body) in turn; then is silent, or drips endless headers."""

    answers: list[tuple[int, str]] = field(default_factory=list)
    mood: str = "silent"
    received: list[Received] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.postgres = FakePostgres(Wire(aws=self))


class Server(BaseHTTPRequestHandler):
    """Serves one connection."""

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

    do_GET = do_PUT = do_POST = do_HEAD = _serve  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # pylint: disable=redefined-builtin
        """Log nothing."""


@dataclass(kw_only=True)
class Wire(Network):
    """The network to the ledger, which is dead whenever AWS has no answers left."""

    aws: Aws

    def carry(self, operation: str, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Make the call, or break it off at the end of all tests."""
        if not self.aws.answers:
            self.aws.over.wait()
            raise InterfaceError("network error")
        return super().carry(operation, effect)


def connect(postgres: FakePostgres, database: DatabaseAddress, timing: Timing,
            login: Callable[[], Login]) -> FakeSession:
    """In place of `open_connection`."""
    writer = database.host == "writer"
    host = "writer" if writer else "reader"
    assert (database, timing.attempt > 0) == (DatabaseAddress(host=host, port=5432, name="payments"), True)
    user, token = login()
    assert (user, token.startswith(f"{host}:5432/"), "X-Amz-Signature=" in token) == ("payments_app", True, True)
    return postgres.connect() if writer else postgres.connect_reader()


@contextmanager
def served(aws: Aws) -> Iterator[str]:
    """Serves AWS on loopback, at the URL that this yields."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, aws)) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,)).start()
        try:
            yield f"http://127.0.0.1:{http.server_port}"
        finally:
            aws.over.set()
            http.shutdown()


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    """The environment of the functions, with AWS on loopback."""
    aws = Aws()
    with pytest.MonkeyPatch.context() as patch, served(aws) as url:
        for name, value in {
                "TABLE_NAME": "table", "RECEIPTS_BUCKET": "receipts",
                "DATABASE_HOST": "writer", "DATABASE_READER_HOST": "reader", "DATABASE_PORT": "5432",
                "DATABASE_NAME": DATABASE_NAME, "DATABASE_USER": DATABASE_USER, "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "AWS_ENDPOINT_URL": url}.items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        yield aws


@pytest.fixture
def aws(server: Aws) -> Aws:
    """AWS, which has had no request yet."""
    server.answers.clear()
    server.received.clear()
    server.postgres.read_only = server.postgres.inactive = False
    return server


def transport(aws: Aws) -> Transport:
    """The network of the machine, but for the database."""
    return Transport(system_transport().session, partial(connect, aws.postgres))


@pytest.fixture(scope="module")
def environment(server: Aws) -> Api:
    """The payments function in an execution environment, with all the time that it needs."""
    return create_api(os.environ, PATIENT, still_runtime(), transport(server))


@pytest.fixture
def api(environment: Api, aws: Aws) -> Api:
    """The payments function as a new execution environment has it."""
    assert not aws.received
    environment.service.lease.drop()
    environment.service.ledger.close()
    return environment


@pytest.fixture(scope="module")
def hung(server: Aws) -> Iterator[tuple[Aws, Api]]:
    """AWS that stops answering, and the payments function with threads and little time.

    It has a server of its own: calls that the function gave up may arrive during a later test.
    """
    del server  # only its environment is needed
    aws = Aws()
    runtime = Runtime(SYSTEM, ThreadCaller(), random.Random(1))
    with served(aws) as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", url)
            api = create_api(os.environ, IMPATIENT, runtime, transport(aws))
        yield aws, api


def pay(api: Api) -> tuple[int, dict[str, Any]]:
    """Status and body of a request to pay, which begins with reading who leads."""
    api.service.lease.drop()
    answer = api.answer(PAY, PLENTY)
    return answer["statusCode"], json.loads(answer["body"])


def unavailable(api: Api, request: dict[str, Any]) -> Any:
    """The body of an answer that must be 503."""
    answer = api.answer(request, PLENTY)
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "1")
    return json.loads(answer["body"])


def test_a_payment_on_the_wire(api: Api, aws: Aws) -> None:
    aws.answers = [LEADS, DONE, DONE, DONE]
    status, body = pay(api)
    assert (status, body) == (201, {**PAYMENT, "created_at": "2026-01-01T00:00:00.000+00:00", "status": "settled"})

    leadership, put, receipt, update = aws.received
    assert leadership.headers["X-Amz-Target"] == "DynamoDB_20120810.GetItem"
    assert not PAYMENT_ID.fullmatch(json.loads(leadership.body)["Key"]["payment_id"]["S"])
    assert put.headers["X-Amz-Target"] == "DynamoDB_20120810.PutItem"
    request = json.loads(put.body)
    assert request["TableName"] == "table"
    assert {**request["Item"], "created_at": ITEM["created_at"]} == {**ITEM, "status": {"S": "PENDING"}}
    assert (receipt.method, receipt.path) == ("PUT", "/receipts/receipts/pay-1.json")
    assert (receipt.headers["If-None-Match"], receipt.headers["Content-Type"]) == ("*", "application/json")
    assert json.loads(receipt.body)["fingerprint"] == FINGERPRINT
    assert update.headers["X-Amz-Target"] == "DynamoDB_20120810.UpdateItem"
    assert json.loads(update.body)["Key"] == {"payment_id": {"S": "pay-1"}}


def test_a_failed_condition_is_an_answer_not_an_error(api: Api, aws: Aws) -> None:
    aws.answers = [LEADS, REGISTERED]
    first = pay(api)
    aws.answers = [LEADS, DONE, PRECONDITION_FAILED, (200, RECEIPT), DONE]
    assert pay(api) == first == (201, {**PAYMENT, "created_at": ITEM["created_at"]["S"], "status": "settled"})
    aws.answers = [LEADS, DONE, DONE, REGISTERED]
    assert pay(api) == first


def test_a_store_that_fails_for_a_moment_is_asked_again(api: Api, aws: Aws) -> None:
    aws.answers = [LEADS, (500, "{}"), DONE, (503, ""), DONE, (400, '{"__type": "ThrottlingException"}'), DONE]
    assert pay(api)[0] == 201
    assert len(aws.received) == 7


def test_the_canary_on_the_wire(api: Api, aws: Aws) -> None:
    aws.answers = [LEADS, *[DONE] * 3, DONE]  # one is left, so that the ledger answers too
    assert json.loads(api.answer(READY, PLENTY)["body"])["ready"] is True
    leadership, put, canary, update = aws.received
    assert [got.headers["X-Amz-Target"].partition(".")[2] for got in (leadership, put, update)] == [
        "GetItem", "PutItem", "UpdateItem"]
    assert (canary.method, canary.path, canary.headers.get("If-None-Match")) == (
        "PUT", "/receipts/canary/us-east-1.json", None)
    assert not PAYMENT_ID.fullmatch(json.loads(put.body)["Item"]["payment_id"]["S"])


def test_a_standby_is_reached_by_its_reader_endpoint(api: Api, aws: Aws) -> None:
    aws.postgres.read_only = aws.postgres.inactive = True
    aws.answers = [(200, LEADS[1].replace("us-east-1", "us-west-2")), DONE, DONE]
    found = json.loads(api.answer(READY, PLENTY)["body"])
    assert (found["ready"], found["leader"]) == (True, "us-west-2")
    assert [(got.method, got.path) for got in aws.received] == [
        ("POST", "/"), ("PUT", "/receipts/canary/us-east-1.json")]


def test_a_payment_is_read_consistently(api: Api, aws: Aws) -> None:
    aws.answers = [(200, json.dumps({"Item": ITEM}))]
    asked = event("GET", "/payment/{payment_id}", pathParameters={"payment_id": "pay-1"})
    answer = api.answer(asked, PLENTY)
    assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (200, "settled")
    assert json.loads(aws.received[0].body)["ConsistentRead"] is True


@pytest.mark.parametrize("mood", ["silent", "dripping"])
@pytest.mark.parametrize("answered", range(4))
def test_a_store_that_never_answers_does_not_hang_a_payment(hung: tuple[Aws, Api], answered: int, mood: str) -> None:
    aws, api = hung
    aws.mood, aws.answers = mood, [LEADS, DONE, DONE, DONE][:answered]
    api.service.lease.drop()
    unavailable(api, PAY)


def test_a_store_that_never_answers_does_not_hang_another_request(hung: tuple[Aws, Api]) -> None:
    aws, api = hung
    aws.mood, aws.answers = "silent", []
    asked = event("GET", "/payment/{payment_id}", pathParameters={"payment_id": "p"})
    assert unavailable(api, asked) == {"error": "table unavailable"}


def test_stores_that_never_answer_do_not_hang_the_readiness(hung: tuple[Aws, Api]) -> None:
    aws, api = hung
    aws.mood, aws.answers = "silent", []
    found = json.loads(api.answer(READY, PLENTY)["body"])
    assert (found["ready"], found["leader"], found["why"].endswith("TimeoutError")) == (False, None, True)


def test_the_clients_do_not_retry_and_stay_in_the_region(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    service = create_service(os.environ, Timing(), still_runtime(), transport(aws))
    for client, host in ((service.table.client, "dynamodb"), (service.receipts.client, "s3")):
        config = client.meta.config
        assert client.meta.endpoint_url == f"https://{host}.us-east-1.amazonaws.com"
        assert (config.connect_timeout, config.read_timeout) == (0.4, 0.8)
        assert config.retries["total_max_attempts"] == 1


# --- The entry points, as Lambda calls them

def test_importing_the_payments_function_creates_its_clients_and_sends_nothing(aws: Aws) -> None:
    function = importlib.import_module("payments.handler")
    answer = function.handler(event("GET", "/secret/health"), FakeContext())
    assert (answer["statusCode"], answer["headers"]["X-Region"], aws.received) == (200, "us-east-1", [])


def test_the_reconcile_function_runs_in_its_environment(aws: Aws) -> None:
    aws.answers = [(400, '{"__type": "AccessDeniedException"}')]
    answer = reconcile.handler({"begin": True}, PLENTY)
    assert (answer["region"], answer["error"]) == ("us-east-1", "table:AccessDeniedException")


def test_a_scheduled_start_of_the_reconcile_function_that_fails_says_why_and_counts_as_an_error(
        aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html: what the handler raises
    aws.answers = [(400, '{"__type": "AccessDeniedException"}')]
    with pytest.raises(RepairFailed, match="table:AccessDeniedException"):
        reconcile.handler({"source": "aws.events"}, PLENTY)
    [line] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["level"], line["event"], line["error"]) == ("ERROR", "repair", "table:AccessDeniedException")


@pytest.mark.usefixtures("aws")
def test_the_migrate_function_connects_to_the_database_of_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("DATABASE_HOST", "127.0.0.1")
        monkeypatch.setenv("DATABASE_PORT", str(closed.getsockname()[1]))
        with pytest.raises(ConnectionRefusedError):
            migrate.handler({"username": "master", "password": "secret"}, None)
