"""Measurements through the deployed API: the throughput, and the calls to the stores that a payment causes."""

import os
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from contract import DATABASE_NAME, DATABASE_USER, HEALTH_PATH
from payments.clock import SYSTEM, Clock
from payments.deadline import Timing
from payments.leadership import LEASE
from payments.ledger import RDS_CA, Connection, DatabaseAddress, iam_login, open_connection
from recovery.outputs import LOOPBACK
from rehearsal.aws.proxy import RECORD
from rehearsal.bench import Measurement
from rehearsal.errors import BenchError
from rehearsal.workload.http import Answer, ApiClient
from rehearsal.workload.load import at_once, new_payment, send_all
from rehearsal.workload.region import RegionClient

CA_VARIABLE = "PGSSLROOTCERT"
CLIENTS = 4  # at once; more of them would wait for the two or so cores that all of this shares
ROUNDS, REQUESTS = 8, 40  # of each kind, in turns, so that other load on the machine affects both
COUNTED = 30  # payments, one after the other, whose calls are counted
FLUSH = 1.1  # seconds; a session of PostgreSQL publishes its counters at most once a second, at the end of a statement
END_SESSIONS = """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = :name AND usename = current_user"""
TRANSACTIONS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = :name"

MAX_TABLE, MAX_LEDGER, MAX_RECEIPTS = 2.0, 1.0, 1.0  # calls per payment
GOAL = 2.5  # no bound: other load slows payments, which need the processors, but not /health, which mostly waits
MAX_LEADERSHIP = 1 / LEASE  # reads per second of one execution environment, which trusts each for a lease

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


@dataclass(frozen=True)
class Round:
    """How many requests a second were answered, and after how many milliseconds each."""

    rate: float
    milliseconds: Sequence[float]


def timed(request: Callable[[], Answer], count: int = REQUESTS, clock: Clock = SYSTEM) -> Round:
    """Send requests, CLIENTS at a time."""
    began = clock.monotonic()
    answers = at_once(lambda _: request(), range(count), CLIENTS)
    return Round(count / (clock.monotonic() - began), [answer.seconds * 1000 for answer in answers])


def compared(rounds: Sequence[tuple[Round, Round]]) -> Iterator[Measurement]:
    """What pairs of rounds say: the first of each is the floor of the second."""
    floors, found = zip(*rounds, strict=True)
    of = f"{HEALTH_PATH}, {CLIENTS} clients"

    def rate(each: Sequence[Round]) -> float:
        return statistics.median(one.rate for one in each)

    def percentiles(each: Sequence[Round]) -> list[float]:
        return statistics.quantiles([one for some in each for one in some.milliseconds], n=100, method="inclusive")

    yield Measurement("payments a second", rate(found), "/s", rate(floors), of)
    yield Measurement(f"ratio (goal: {GOAL:g})", statistics.median(floor.rate / one.rate for floor, one in rounds),
                      "", 1.0, of)
    for percentile in (50, 99):
        yield Measurement(f"p{percentile}", percentiles(found)[percentile - 1], "ms",
                          percentiles(floors)[percentile - 1], of)


def throughput(region: RegionClient) -> Iterator[Measurement]:
    """Payments per second and how long one takes; the floor is the same path without a store."""
    with client_of(region) as api:
        # Starts as many execution environments as are needed; the first answers of each may come too late.
        send_all(api, (new_payment() for _ in range(3 * CLIENTS)), CLIENTS)
        health = partial(api.get, f"/{region.segment}{HEALTH_PATH}")
        rounds = [(timed(lambda: expected(health(), 200)), timed(partial(pay, api))) for _ in range(ROUNDS)]
    yield from compared(rounds)


def recorded(proxy: ApiClient, caller: str) -> Calls:
    """How often a region has made each call, by the record of the proxies."""
    found = expected(proxy.get(RECORD), 200).body
    return Counter({(each["service"], each["operation"]): each["calls"] for each in found if each["caller"] == caller})


def ledger_statistics(outputs: Mapping[str, Any], role: str) -> Connection:
    """A session beside the ledger's database, whose own transactions are not counted with the ledger's."""
    database = DatabaseAddress(host=outputs[f"{role}_cluster_endpoint"], port=int(outputs[f"{role}_cluster_port"]),
                               name="postgres")
    session = boto3.Session(region_name=outputs[f"{role}_region"])
    login = partial(iam_login, database, DATABASE_USER, session.region_name, session.get_credentials())
    opened: Connection = open_connection(database, Timing(), login, Path(os.environ.get(CA_VARIABLE, RDS_CA)))
    return opened


def per_payment(calls: Calls, count: int, seconds: float, statements: int) -> Iterator[Measurement]:
    """What each of `count` payments costs each store, from the calls that were made in `seconds`.

    A lease may begin with the first of the payments, and another with the last, so they see one more than fits between.
    """
    reads = calls["dynamodb", "GetItem"]  # of the leadership
    table = sum(number for (service, _), number in calls.items() if service == "dynamodb") - reads
    receipts = sum(number for (service, _), number in calls.items() if service == "s3")
    yield Measurement("calls to the table", table / count, "a payment", bound=MAX_TABLE)
    yield Measurement("reads of the leadership", reads / (seconds + LEASE), "/s", bound=MAX_LEADERSHIP)
    yield Measurement("transactions of the ledger", statements / count, "a payment", bound=MAX_LEDGER)
    yield Measurement("calls to the receipts", receipts / count, "a payment", bound=MAX_RECEIPTS)


def counts(region: RegionClient, outputs: Mapping[str, Any], endpoint: str,
           clock: Clock = SYSTEM) -> Iterator[Measurement]:
    """What a payment costs the stores if payments come one after another, and so share a ledger session."""
    proxy = ApiClient(region="", url=endpoint)
    with client_of(region) as api, closing(ledger_statistics(outputs, region.role)) as statistics_session:
        def flushed() -> int:
            clock.sleep(FLUSH)
            pay(api)
            rows = statistics_session.run(TRANSACTIONS, name=DATABASE_NAME)
            return int((rows or [[0]])[0][0])

        # What an idle session has counted before could be published while the payments are counted.
        statistics_session.run(END_SESSIONS, name=DATABASE_NAME)
        pay(api)
        before, calls, began = flushed(), recorded(proxy, region.name), clock.monotonic()
        for _ in range(COUNTED):
            pay(api)
        statements = flushed() - before
    yield from per_payment(recorded(proxy, region.name) - calls, COUNTED + 1, clock.monotonic() - began, statements)
