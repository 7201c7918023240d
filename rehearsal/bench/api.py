"""Measurements through the deployed API: the throughput, and the calls to the stores that a payment causes."""

import os
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from contract import DATABASE_NAME, DATABASE_USER, HEALTH_PATH
from payments.clock import SYSTEM, Clock
from payments.deadline import Timing
from payments.ledger import RDS_CA, DatabaseAddress, iam_login, open_connection
from recovery.outputs import LOOPBACK
from rehearsal.aws.proxy import RECORD
from rehearsal.bench import Measurement
from rehearsal.errors import BenchError
from rehearsal.workload.http import Answer, ApiClient
from rehearsal.workload.load import at_once, new_payment
from rehearsal.workload.region import RegionClient

CA_VARIABLE = "PGSSLROOTCERT"
CLIENTS = 4  # at once; more of them would wait for the two or so cores that all of this shares
PAYMENTS = 200
COUNTED = 30  # payments, one after the other, whose calls are counted
FLUSH = 1.1  # seconds; a session of PostgreSQL publishes its counters at most once a second, at the end of a statement

MAX_TABLE, MAX_LEDGER, MAX_RECEIPTS = 2.0, 1.0, 1.0  # calls per payment
MAX_LEADERSHIP = 1.0  # reads per second

Calls = Counter[tuple[str, str]]
"""Numbers of calls, by service and operation."""


def client_of(region: RegionClient) -> ApiClient:
    """A client of the region's API that keeps its connections. Raises BenchError unless the API is on loopback."""
    if urlsplit(region.url).hostname not in LOOPBACK:
        raise BenchError(f"{region.url}: is not on loopback, and the bench pays nowhere else")
    return replace(region.api, keep_alive=True)


def expected(answer: Answer, status: int) -> Answer:
    """The answer. Raises BenchError if it has another status."""
    if answer.status != status:
        raise BenchError(f"{answer.status} instead of {status}: {answer.body}")
    return answer


def pay(api: ApiClient) -> Answer:
    """Make a new payment. Raises BenchError and NoAnswer."""
    return expected(api.pay(new_payment()), 201)


def timed(request: Callable[[], Answer], count: int, clock: Clock = SYSTEM) -> tuple[float, float, float]:
    """Send requests, CLIENTS at a time. Returns how many a second, and the 50th and 99th percentile in milliseconds."""
    began = clock.monotonic()
    answers = at_once(lambda _: request(), range(count), CLIENTS)
    seconds = clock.monotonic() - began
    percentiles = statistics.quantiles([answer.seconds * 1000 for answer in answers], n=100, method="inclusive")
    return count / seconds, percentiles[49], percentiles[98]


def throughput(region: RegionClient) -> Iterator[Measurement]:
    """Payments per second and how long one takes; the floor is the same path without a store."""
    with client_of(region) as api:
        timed(partial(pay, api), 3 * CLIENTS)  # starts as many execution environments as are needed
        floor = timed(lambda: expected(api.get(f"/{region.segment}{HEALTH_PATH}"), 200), PAYMENTS)
        found = timed(partial(pay, api), PAYMENTS)
    figures = (("payments a second", "/s"), ("p50", "ms"), ("p99", "ms"))
    for (name, unit), value, least in zip(figures, found, floor, strict=True):
        yield Measurement(name, value, unit, least, f"{HEALTH_PATH}, {CLIENTS} clients")


def recorded(proxy: ApiClient, caller: str) -> Calls:
    """How often a region has made each call, by the record of the proxies."""
    found = expected(proxy.get(RECORD), 200).body
    return Counter({(each["service"], each["operation"]): each["calls"] for each in found if each["caller"] == caller})


def transactions(outputs: Mapping[str, Any], role: str) -> int:
    """The number of transactions that the ledger's database has seen, by its own statistics."""
    database = DatabaseAddress(host=outputs[f"{role}_cluster_endpoint"], port=int(outputs[f"{role}_cluster_port"]),
                               name="postgres")  # not the database whose transactions are counted
    session = boto3.Session(region_name=outputs[f"{role}_region"])
    login = partial(iam_login, database, DATABASE_USER, session.region_name, session.get_credentials())
    with closing(open_connection(database, Timing(), login, Path(os.environ.get(CA_VARIABLE, RDS_CA)))) as connection:
        rows = connection.run("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = :name",
                              name=DATABASE_NAME)
    return int((rows or [[0]])[0][0])


def per_payment(calls: Calls, count: int, seconds: float, statements: int) -> Iterator[Measurement]:
    """What each of `count` payments costs each store, from the calls that were made in `seconds`."""
    reads = calls["dynamodb", "GetItem"]  # of the leadership
    table = sum(number for (service, _), number in calls.items() if service == "dynamodb") - reads
    receipts = sum(number for (service, _), number in calls.items() if service == "s3")
    yield Measurement("calls to the table", table / count, "a payment", bound=MAX_TABLE)
    yield Measurement("reads of the leadership", reads / seconds, "/s", bound=MAX_LEADERSHIP)
    yield Measurement("transactions of the ledger", statements / count, "a payment", bound=MAX_LEDGER)
    yield Measurement("calls to the receipts", receipts / count, "a payment", bound=MAX_RECEIPTS)


def counts(region: RegionClient, outputs: Mapping[str, Any], endpoint: str,
           clock: Clock = SYSTEM) -> Iterator[Measurement]:
    """What a payment costs the stores if payments come one after another, and so share a ledger session."""
    proxy = ApiClient(region="", url=endpoint)
    with client_of(region) as api:
        def flushed() -> int:
            clock.sleep(FLUSH)
            pay(api)
            return transactions(outputs, region.role)

        pay(api)
        before, calls, began = flushed(), recorded(proxy, region.name), clock.monotonic()
        for _ in range(COUNTED):
            pay(api)
        statements = flushed() - before
    yield from per_payment(recorded(proxy, region.name) - calls, COUNTED + 1, clock.monotonic() - began, statements)
