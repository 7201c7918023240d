"""What the function costs by itself, without a stack: the duration of its cold start, and CPU time."""

import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import truediv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from contract import HEALTH_PATH, KEY_ATTRIBUTE, RECORD_KEY
from payments.api import Api
from payments.deadline import Timing
from payments.leadership import DynamoLeadership, Lease
from payments.ledger import PostgresLedger
from payments.logs import request_logger
from payments.runtime import system_runtime
from payments.service import PaymentService
from payments.stores import DynamoTable, S3Receipts
from rehearsal.bench import Measurement
from rehearsal.errors import BenchError
from rehearsal.workload.load import new_payment

STARTS = 7  # of an interpreter, for each of the two programs
REQUESTS = 300  # to the handler with its stores in memory
MAX_START_RATIO, MAX_CPU_MS = 1.3, 1.0

# What the function uses of AWS's SDK and of the database driver, without the function.
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
_VARIABLES = {
    "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "TABLE_NAME": "table",
    "RECEIPTS_BUCKET": "receipts", "DATABASE_HOST": "localhost",
    "DATABASE_READER_HOST": "localhost", "DATABASE_PORT": "5432", "DATABASE_NAME": "payments",
    "DATABASE_USER": "payments_app"}
_CONTEXT: Any = SimpleNamespace(aws_request_id="request", get_remaining_time_in_millis=lambda: 10_000)


def cold_start(bare: str = BARE, function: str = FUNCTION, starts: int = STARTS) -> Iterator[Measurement]:
    """The import of the handler, which creates its clients; the floor is to create the same clients without it."""
    seconds: dict[str, list[float]] = {bare: [], function: []}
    for _ in range(starts + 1):  # alternating, so that other load on the machine affects both
        for code, taken in seconds.items():
            taken.append(_start(code))
    floor, found = seconds[bare][1:], seconds[function][1:]  # the first start may write bytecode
    ratio, of = statistics.median(map(truediv, found, floor)), "bare clients"
    yield Measurement("cold start", statistics.median(found) * 1000, "ms", statistics.median(floor) * 1000, of)
    yield Measurement("cold start, ratio", ratio, "", 1.0, of, MAX_START_RATIO)


def _start(code: str) -> float:
    """The seconds that code takes in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", _TIMED.format(code)], check=True, capture_output=True, timeout=30,
                          env={"PATH": os.environ["PATH"], **_VARIABLES}, cwd=Path(__file__).parents[2])
    return float(done.stdout)


def api_in_memory(region: str = "us-east-1") -> Api:
    """The function over stores that take no time: they keep items, and accept everything else."""
    items: dict[str, Any] = {RECORD_KEY: {"epoch": {"N": "1"}, "region": {"S": region}}}

    def answer(**request: Any) -> dict[str, Any]:
        """The item that is put, or that has the key; settled after an update."""
        item = request.get("Item") or items[request["Key"][KEY_ATTRIBUTE]["S"]]
        if "Item" in request:
            items[item[KEY_ATTRIBUTE]["S"]] = item
        return {"Item": item, "Attributes": {**item, "status": {"S": "SETTLED"}}}

    dynamodb = SimpleNamespace(put_item=answer, get_item=answer, update_item=answer)
    session: Any = SimpleNamespace(run=lambda **values: [[values["created_at"]]], prepare=lambda _: session)
    runtime = system_runtime()
    lease = Lease(DynamoLeadership(dynamodb, "table"), region, runtime.clock)
    service = PaymentService(lease, DynamoTable(dynamodb, "table"), PostgresLedger(lambda: session),
                             S3Receipts(SimpleNamespace(put_object=lambda **_: {}), "receipts"), runtime.clock)
    return Api(region=region, service=service, timing=Timing(),
               logger=request_logger(io.StringIO(), runtime.clock), runtime=runtime)


def _event(method: str, resource: str, body: Any = None) -> dict[str, Any]:
    return {"resource": resource, "httpMethod": method, "headers": {"Content-Type": "application/json"}, "body": body,
            "queryStringParameters": None, "pathParameters": None, "isBase64Encoded": False}


def own_cpu(requests: int = REQUESTS) -> Iterator[Measurement]:
    """The CPU time for a payment and for /health in all threads of the function; the floor is an empty loop."""
    api = api_in_memory()
    payments = [_event("POST", "/payment", json.dumps(new_payment())) for _ in range(requests + 1)]
    probes = [_event("GET", HEALTH_PATH)] * requests

    def answer(status: int, event: Mapping[str, Any]) -> None:
        if api.answer(event, _CONTEXT)["statusCode"] != status:
            raise BenchError(f"{event['resource']}: not {status}, with all stores in memory")

    answer(201, payments.pop())  # starts threads, loggers and a session
    floor, of = _milliseconds(lambda _: None, payments), "an empty loop"
    yield Measurement(f"handler's CPU for {HEALTH_PATH}", _milliseconds(partial(answer, 200), probes), "ms", floor, of,
                      MAX_CPU_MS)
    yield Measurement("handler's CPU for a payment", _milliseconds(partial(answer, 201), payments), "ms", floor, of,
                      MAX_CPU_MS)


def _milliseconds(work: Callable[[Any], None], given: Sequence[Any]) -> float:
    began = time.process_time()
    for each in given:
        work(each)
    return (time.process_time() - began) * 1000 / len(given)
