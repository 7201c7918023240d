"""`python -m rehearsal.bench`, while a rehearsal's stack is up: how fast payments are taken, and what one takes.

Each figure stands beside a floor of the same run, on the same machine; those with a bound must keep to it. Everything
happens on loopback, in a bounded number of requests and in bounded time.
"""

import http.client
import io
import itertools
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from functools import partial
from operator import truediv
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import boto3
import typer
from rich.console import Console
from rich.table import Table

from payments.api import Api
from payments.deadline import Timing
from payments.leadership import DynamoLeadership, Lease
from payments.ledger import RDS_CA, DatabaseAddress, PostgresLedger, iam_login, open_connection
from payments.logs import request_logger
from payments.runtime import system_runtime
from payments.service import PaymentService
from payments.stores import DynamoTable, S3Receipts
from rehearsal.aws.clients import EmulatorClients
from rehearsal.aws.proxy import RECORD
from rehearsal.workload.http import TIMEOUT
from rehearsal.workload.load import new_payment
from rehearsal.workload.region import RegionClient

OUTPUTS_VARIABLE, CA_VARIABLE = "TAPSTACK_OUTPUTS", "PGSSLROOTCERT"
CLIENTS = 4  # at once; beyond that they wait for the two or so cores that all of this shares
PAYMENTS, SECONDS = 200, 4.0  # whichever is over first
COUNTED = 30  # payments one after the other whose calls are counted
FLUSH = 1.1  # seconds; a session of PostgreSQL tells its counters at most once a second, at the end of a statement
STARTS = 7  # of an interpreter, for each of the two
REQUESTS = 300  # to the handler with its stores in memory

MAX_TABLE, MAX_LEDGER, MAX_RECEIPTS, MAX_RIGHT = 2.0, 1.0, 1.0, 1.0
MAX_START_RATIO, MAX_CPU_MS = 1.3, 1.0

# What the function makes of AWS's SDK and of the driver, without the function.
BARE = """
import boto3, pg8000.native
from botocore.config import Config
session = boto3.Session(region_name="us-east-1")
config = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1})
clients = [session.client(name, config=config) for name in ("dynamodb", "s3")]
session.get_credentials()
"""
FUNCTION = "import payments.handler"
_TIMED = "import time; began = time.perf_counter()\n{}\nprint(time.perf_counter() - began)"


class BenchError(Exception):
    """What makes the figures worthless."""


@dataclass(frozen=True)
class Measurement:
    """A figure, the floor of the same run, and the bound that it must not exceed."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    of: str = ""  # what the floor is
    bound: float | None = None

    @property
    def ok(self) -> bool:
        """Whether it keeps to its bound."""
        return self.bound is None or self.value <= self.bound


@dataclass(frozen=True)
class Latencies:
    """How long requests took, each and together, in seconds."""

    latencies: Sequence[float]
    seconds: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: int) -> float:
        """The milliseconds within which so many of a hundred had their answer."""
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[percent - 1] * 1000


class KeepAliveClient:
    """A client of a region's API with one lasting connection."""

    def __init__(self, region: RegionClient) -> None:
        url = urlsplit(region.url)
        if url.hostname not in ("127.0.0.1", "localhost"):
            raise BenchError(f"{region.url}: is not on loopback, and payments are not for trying out elsewhere")
        self._prefix, self._headers = url.path, {"Content-Type": "application/json", "x-api-key": region.key}
        self._connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=TIMEOUT)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def __call__(self, method: str, path: str, wanted: int, body: Mapping[str, Any] | None = None) -> float:
        """The seconds that one request takes. Raises BenchError for another status than `wanted`."""
        began = time.perf_counter()
        self._connection.request(method, self._prefix + path, json.dumps(body) if body else None, self._headers)
        with self._connection.getresponse() as response:
            text = response.read()
        if response.status != wanted:
            raise BenchError(f"{method} {path}: {response.status} {text.decode(errors='replace')}")
        return time.perf_counter() - began

    def pay(self) -> float:
        """A new payment."""
        return self("POST", "/payment", 201, new_payment())

    def look(self) -> float:
        """The least that the same way leads to: the gateway, the function, and no store."""
        return self("GET", "/health", 200)


def drive(calls: Sequence[Callable[[], float]], count: int, seconds: float) -> Latencies:
    """Each of `calls` again and again, all at once, until there are `count` or the time is over."""
    tickets, lock, began = iter(range(count)), threading.Lock(), time.perf_counter()

    def work(call: Callable[[], float]) -> list[float]:
        latencies = []
        while time.perf_counter() - began < seconds:
            with lock:
                if next(tickets, None) is None:
                    break
            latencies.append(call())
        return latencies

    with ThreadPoolExecutor(len(calls)) as pool:
        latencies = list(itertools.chain.from_iterable(pool.map(work, calls)))
    return Latencies(latencies, time.perf_counter() - began)


def throughput(region: RegionClient) -> Iterator[Measurement]:
    """Payments a second and how long one takes, beside /health on the same way."""
    with ExitStack() as stack:
        callers = [stack.enter_context(closing(KeepAliveClient(region))) for _ in range(CLIENTS)]
        drive([caller.pay for caller in callers], 3 * CLIENTS, SECONDS)  # the execution environments that it takes
        floor = drive([caller.look for caller in callers], PAYMENTS, SECONDS)
        found = drive([caller.pay for caller in callers], PAYMENTS, SECONDS)
    of = f"/health, {CLIENTS} clients"
    yield Measurement("payments a second", found.rate, "/s", floor.rate, of)
    for percent in (50, 99):
        yield Measurement(f"p{percent}", found.percentile(percent), "ms", floor.percentile(percent), of)


# --- Calls to the stores

Calls = Counter[tuple[str, str]]  # by service and operation


def recorded(endpoint: str, caller: str) -> Calls:
    """How often a region has called what, as the relays have seen it."""
    with urllib.request.urlopen(endpoint + RECORD, timeout=TIMEOUT) as response:
        found = json.loads(response.read())
    return Counter({(each["service"], each["operation"]): each["calls"] for each in found if each["caller"] == caller})


def transactions(outputs: Mapping[str, Any], role: str) -> int:
    """How many transactions the ledger's database has seen, as its statistics say."""
    database = DatabaseAddress(host=outputs[f"{role}_cluster_endpoint"], port=int(outputs[f"{role}_cluster_port"]),
                        name="postgres")  # not the one that is counted
    session = boto3.Session(region_name=outputs[f"{role}_region"])
    login = partial(iam_login, database, "payments_app", session.region_name, session.get_credentials())
    connection = open_connection(database, Timing(), login, Path(os.environ.get(CA_VARIABLE, RDS_CA)))
    try:
        rows = connection.run("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'payments'")
        return int((rows or [[0]])[0][0])
    finally:
        connection.close()


def shares(calls: Calls, count: int, seconds: float, statements: int) -> Iterator[Measurement]:
    """What `count` payments took of each store, by the calls made meanwhile."""
    reads = calls["dynamodb", "GetItem"]  # of the right to write
    table = sum(number for (service, _), number in calls.items() if service == "dynamodb") - reads
    receipts = sum(number for (service, _), number in calls.items() if service == "s3")
    yield Measurement("calls to the table", table / count, "a payment", bound=MAX_TABLE)
    yield Measurement("looks at the right to write", reads / seconds, "/s", bound=MAX_RIGHT)
    yield Measurement("transactions of the ledger", statements / count, "a payment", bound=MAX_LEDGER)
    yield Measurement("calls to the receipts", receipts / count, "a payment", bound=MAX_RECEIPTS)


def counts(region: RegionClient, outputs: Mapping[str, Any], endpoint: str) -> Iterator[Measurement]:
    """What payments take of the stores when they come one after the other, so that one session of the ledger does."""
    with closing(KeepAliveClient(region)) as caller:
        def flushed() -> int:
            time.sleep(FLUSH)
            caller.pay()
            return transactions(outputs, region.role)

        caller.pay()
        before, calls, began = flushed(), recorded(endpoint, region.name), time.perf_counter()
        for _ in range(COUNTED):
            caller.pay()
        statements = flushed() - before
    yield from shares(recorded(endpoint, region.name) - calls, COUNTED + 1, time.perf_counter() - began, statements)


# --- The function alone


def cold_start() -> Iterator[Measurement]:
    """The import of the handler, which makes its clients, beside the bare import and making of the same clients."""
    found: dict[str, list[float]] = {BARE: [], FUNCTION: []}
    for _ in range(STARTS + 1):  # in turns, so that what else goes on hits both
        for code, seconds in found.items():
            seconds.append(_start(code))
    bare, function = (seconds[1:] for seconds in found.values())  # the first may write bytecode
    ratio = statistics.median(map(truediv, function, bare))
    yield Measurement("cold start", statistics.median(function) * 1000, "ms", statistics.median(bare) * 1000, "bare clients")
    yield Measurement("cold start, ratio", ratio, "", 1.0, "bare clients", MAX_START_RATIO)


def _start(code: str) -> float:
    environ = {"PATH": os.environ["PATH"], "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "key",
               "AWS_SECRET_ACCESS_KEY": "secret", "TABLE_NAME": "table", "RECEIPTS_BUCKET": "receipts",
               "CONTROL_BUCKET": "control", "DATABASE_HOST": "localhost", "DATABASE_READER_HOST": "localhost",
               "DATABASE_PORT": "5432", "DATABASE_NAME": "payments", "DATABASE_USER": "payments_app"}
    done = subprocess.run([sys.executable, "-c", _TIMED.format(code)], check=True, capture_output=True, env=environ,
                          cwd=Path(__file__).parents[1], timeout=30)
    return float(done.stdout)


class Memory:
    """Every client of the function in one: it keeps the items and says yes to everything."""

    def __init__(self, region: str) -> None:
        self._items: dict[str, Any] = {"!right": {"epoch": {"N": "1"}, "region": {"S": region}}}

    def put_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's."""
        self._items[request["Item"]["payment_id"]["S"]] = request["Item"]
        return {}

    def get_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's."""
        return {"Item": self._items[request["Key"]["payment_id"]["S"]]}

    def update_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's: what is settled."""
        return {"Attributes": {**self._items[request["Key"]["payment_id"]["S"]], "status": {"S": "SETTLED"}}}

    def put_object(self, **_request: Any) -> dict[str, Any]:
        """S3's."""
        return {}

    def prepare(self, _sql: str) -> "Memory":
        """The driver's."""
        return self

    def run(self, sql: str = "", **_values: Any) -> list[list[Any]]:  # noqa: ARG002  # pylint: disable=unused-argument
        """The driver's, with a statement and of one that is prepared."""
        return [[""]]

    def close(self) -> None:
        """The driver's."""


class FakeLambdaContext:
    """Lambda's context."""

    aws_request_id = "request"

    def get_remaining_time_in_millis(self) -> int:
        """As much as the function has."""
        return 10_000


def api_in_memory(region: str = "us-east-1") -> Api:
    """The function over stores that take no time."""
    memory = Memory(region)
    runtime = system_runtime()
    lease = Lease(DynamoLeadership(memory, "table"), region, runtime.clock)
    service = PaymentService(lease, DynamoTable(memory, "table"), PostgresLedger(lambda: memory),
                             S3Receipts(memory, "receipts"), runtime.clock)
    return Api(region=region, service=service, probes={}, takeover=lambda _: False, timing=Timing(),
               logger=request_logger(io.StringIO(), runtime.clock), runtime=runtime)


def _event(method: str, resource: str, body: Any = None) -> dict[str, Any]:
    return {"resource": resource, "httpMethod": method, "headers": {"Content-Type": "application/json"}, "body": body,
            "queryStringParameters": None, "pathParameters": None, "isBase64Encoded": False}


def own_cpu() -> Iterator[Measurement]:
    """The processor's time for a payment in all threads of the function, beside one for /health and for nothing."""
    api, events = api_in_memory(), [_event("POST", "/payment", json.dumps(new_payment())) for _ in range(REQUESTS)]
    healthy = [_event("GET", "/health")] * REQUESTS

    def answer(wanted: int, event: Mapping[str, Any]) -> None:
        if api.answer(event, FakeLambdaContext())["statusCode"] != wanted:
            raise BenchError(f"{event['resource']}: not {wanted}, with all stores in memory")

    answer(201, _event("POST", "/payment", json.dumps(new_payment())))  # threads, loggers, a session
    bare = _milliseconds(lambda _: None, events)
    yield Measurement("handler's CPU for /health", _milliseconds(partial(answer, 200), healthy), "ms", bare, "an empty loop",
                 MAX_CPU_MS)
    yield Measurement("handler's CPU for a payment", _milliseconds(partial(answer, 201), events), "ms", bare,
                 "an empty loop", MAX_CPU_MS)


def _milliseconds(work: Callable[[Any], None], given: Sequence[Any]) -> float:
    began = time.process_time()
    for each in given:
        work(each)
    return (time.process_time() - began) * 1000 / len(given)


# --- The command line


def show(figures: Sequence[Measurement]) -> Table:
    """The figures for people."""
    table = Table("", "measured", "floor", "of", "at most", title="Payments on the emulator; no figure is AWS's")
    for figure in figures:
        floor = "" if figure.floor is None else f"{figure.floor:.3g}"
        table.add_row(figure.name, f"{figure.value:.3g} {figure.unit}", floor, figure.of,
                      "" if figure.bound is None else f"{figure.bound:g}", style="" if figure.ok else "red")
    return table


def broken(figures: Sequence[Measurement]) -> list[str]:
    """A line for each bound that is broken."""
    return [f"{figure.name}: {figure.value:.3g} {figure.unit}".rstrip() + f", but at most {figure.bound:g} is allowed"
            for figure in figures if not figure.ok]


def main(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> None:
    """Measure payments on the stack of a rehearsal that is up; exit with 1 if a bound is broken."""
    try:
        outputs = json.loads(Path(os.environ[OUTPUTS_VARIABLE]).read_text(encoding="utf-8"))
        endpoint = os.environ["AWS_ENDPOINT_URL"]
    except (KeyError, OSError, ValueError) as error:
        typer.echo(f"bench: no stack is up here ({type(error).__name__}: {error}): use make bench", err=True)
        raise typer.Exit(2) from None
    began = time.monotonic()
    try:
        region = RegionClient.of("primary", outputs, EmulatorClients(endpoint, CLIENTS))
        # The load comes last: what it leaves behind would weigh on the others.
        figures = [*cold_start(), *own_cpu(), *counts(region, outputs, endpoint), *throughput(region)]
    except (BenchError, OSError, http.client.HTTPException, subprocess.SubprocessError) as error:
        typer.echo(f"bench: {type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from None
    wrong = broken(figures)
    if as_json:
        print(json.dumps({"figures": [{**asdict(figure), "ok": figure.ok} for figure in figures], "broken": wrong,
                          "seconds": round(time.monotonic() - began, 1)}, indent=2))
    else:
        Console().print(show(figures))
        print(f"measured in {time.monotonic() - began:.1f} s")
    for line in wrong:
        typer.echo(f"bench: {line}", err=True)
    raise typer.Exit(1 if wrong else 0)


if __name__ == "__main__":
    typer.run(main)
