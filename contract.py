"""What the program, the functions, recovery and the rehearsal agree on: each name and figure is defined here, once.

Every package imports this module, and it imports nothing but the standard library: it is shipped with each function.
Stored keys, output keys and metric names are read by what was deployed earlier, so their values never change.
"""
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

PROJECT = "TapStack"
VERSION = "0.5.0"
ROLES = ("primary", "dr")
"""What a region was deployed as; a failover does not change it. Prefixes of the outputs of one region."""

ALIAS = "live"
"""The alias through which every function is called."""


class Store(StrEnum):
    """The stores of a region's payments."""

    TABLE = "table"
    LEDGER = "ledger"
    RECEIPTS = "receipts"


class Phase(StrEnum):
    """The parts of a recovery time, in their order."""

    DETECT = "detect"
    DECIDE = "decide"
    FENCE = "fence"
    PROMOTE = "promote"
    DNS = "dns"
    FIRST_WRITE = "first write"


class FailoverMode(StrEnum):
    """Who decides that the standby takes over: a person or the standby's controller."""

    MANUAL = "manual"
    AUTOMATIC = "automatic"


class Consistency(StrEnum):
    """The consistency of the payments table between the two regions."""

    EVENTUAL = "eventual"
    STRONG = "strong"


# --- Times, in seconds

DNS_TTL = 60
"""The TTL of an alias record to API Gateway, which Route 53 sets."""
WATCH_SECONDS = 60
"""The time from one start of a controller to the next."""
COOL_DOWN_SECONDS = 300
"""How long a controller waits after a failover before it may begin another one."""
REPAIR_MINUTES = 5
"""The time between two starts of the repair, which is also its time limit."""
UNREADY = 2
"""A region that answers but cannot take payments counts as down after this multiple of the detection threshold.

A database that fails over within its own region is back by then.
"""
FAILOVER_SECONDS = 545
"""The longest time of a failover's steps until payments are taken again; 480 s of it are Aurora's promotion."""
SERVERLESS = "db.serverless"
"""RDS's class of the instances that scale with their load."""
INSTANCE_SECONDS = 420
"""How long AWS takes to create a database instance: an estimate from the times that the provider's tests take."""


def detection(interval: int, threshold: int, look: int) -> int:
    """Seconds until Route 53 and a controller that looks every `look` seconds both take a silent region for dead."""
    return math.ceil(interval * threshold / look) * look


def provable_loss(interval: int, look: int) -> int:
    """The least seconds of payments that looks and health checks can prove to be all that is lost.

    A mark arrives with the next look, the one after that fails, and a later one finds Route 53's verdict, whose first
    failed check may come an interval after the last payment; 10 s are for what the calls take.
    """
    return 3 * look + interval + 10


def longest_failover(interval: int, threshold: int, look: int, instances: int) -> int:
    """Seconds from an outage until payments are taken again, at most; `instances`: the standby's database instances."""
    return (detection(interval, threshold, look) * UNREADY + interval + DNS_TTL + FAILOVER_SECONDS
            + (0 if instances else INSTANCE_SECONDS))


# --- The payments table: no payment id contains "!", so none of these keys can be a payment

KEY_ATTRIBUTE = "payment_id"
CONTROL_PREFIX = "!"
RECORD_KEY = "!record"
"""The record: lock, journal and leadership in one item; see `docs/protocol.md`."""
PAUSE_KEY = "!pause"
DRILL_KEY = "!drill"
OBSERVATION_PREFIX = "!watch:"
"""Followed by the region whose controller wrote it."""
REPAIR_PREFIX = "!repair:"
"""Followed by the region whose repair continues from there."""
CANARY_PREFIX = "!canary:"
"""Followed by the region that keeps writing it, to show that it can."""

# --- Buckets, database and API

RECEIPTS_PREFIX = "receipts/"
CANARY_FOLDER = "canary/"
"""Where the canary's object lies in the receipts bucket: not copied, and superseded versions expire."""
REPAIR_FOLDER = "repair/"
"""The folder of the receipts bucket with repair's findings: `REGION/PASS-REVISION-RANDOM.jsonl`, a line a payment."""
REPLICATION_RULE = "receipts"
"""The id of the replication rule of the receipts, a dimension of its metrics."""
LEVER_KEY = "takeover"
"""The object in a region's control bucket that moves the traffic there."""
HEALTH_PATH, LEVER_PATH = "/health", "/takeover"
"""What Route 53's checkers and the controllers ask, behind a secret segment of the path: strangers cannot guess it."""
CHECK_PATH_KEY = "check-path"
"""The object in each region's control bucket that has that segment."""
RESPONSE_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age=63072000"}
"""Headers of every answer of the API, including API Gateway's own answers."""
CLIENT = re.compile("[a-z][a-z0-9]{0,19}")
"""A client's name: its API keys are that and API_KEY_LENGTH random characters. The default client's are these alone."""
DEFAULT_CLIENT = "default"
API_KEY_LENGTH = 40
CLIENT_SEPARATOR = "."
"""Between a client and its payment's id where payments are stored; no payment id contains it."""
READINESS = "/readiness"
"""The resource of an event that asks the payments function whether it can pay; no route of the API leads there."""
LEADS_LABEL, ALIVE_LABEL = "_region", "_alive"
"""Labels of TXT records: below the service's name, the region that Route 53 sends clients to; below a region's host
name, whether Route 53's checkers see its API answer, ALIVE or DEAD."""
ALIVE, DEAD = "yes", "no"
DATABASE_NAME, DATABASE_USER = "payments", "payments_app"
DATABASE_EVENTS = ("failover", "global-failover", "failure")
"""The categories of a cluster's events that people are told of. Only they say whether Aurora fenced an old writer."""

# --- Metrics that the controllers publish

METRICS_NAMESPACE = "TapStack"
STACK_DIMENSION = "Stack"


class Metric(StrEnum):
    """What a controller publishes after each look."""

    OTHER_REGION_HEALTHY = "OtherRegionHealthy"
    OTHER_REGION_READY = "OtherRegionReady"
    THIS_REGION_READY = "ThisRegionReady"
    FAILOVER_REFUSED = "FailoverRefused"
    EXPOSURE = "Exposure"


# --- The environment of the functions


class Variable(StrEnum):
    """The environment variables by which the program configures the functions; times are in seconds."""

    TABLE_NAME = "TABLE_NAME"
    RECEIPTS_BUCKET = "RECEIPTS_BUCKET"
    DATABASE_HOST = "DATABASE_HOST"
    DATABASE_READER_HOST = "DATABASE_READER_HOST"
    DATABASE_PORT = "DATABASE_PORT"
    DATABASE_NAME = "DATABASE_NAME"
    DATABASE_USER = "DATABASE_USER"
    # of the controllers
    ROLE_ARN = "ROLE_ARN"
    NAME_SERVERS = "NAME_SERVERS"
    STACK_OUTPUTS = "STACK_OUTPUTS"
    PROBE_SECONDS = "PROBE_SECONDS"
    WATCH_SECONDS = "WATCH_SECONDS"
    COOL_DOWN_SECONDS = "COOL_DOWN_SECONDS"
    DETECTION_SECONDS = "DETECTION_SECONDS"


# --- The stack's outputs


@dataclass(frozen=True, kw_only=True)
class StackOutputs:
    """The outputs of the whole stack that recovery reads; times in seconds.

    `least_connections` are those that one database instance allows while it has its least capacity.

    Each is a string, or a whole number that is at least `least`.
    """

    environment_suffix: str
    profile: str
    payments_table_name: str
    table_consistency: str
    global_cluster_id: str
    failover_mode: str
    # Without a look and a failed check no region is dead, so none of these three may be 0.
    look_interval: int = field(metadata={"least": 1})
    health_check_interval: int = field(metadata={"least": 1})
    health_check_threshold: int = field(metadata={"least": 1})
    recovery_time_objective: int = field(metadata={"least": 0})
    recovery_point_objective: int = field(metadata={"least": 0})
    dns: str
    service_url: str
    database_class: str
    least_connections: int = field(metadata={"least": 0})


@dataclass(frozen=True, kw_only=True)
class RegionOutputs:
    """The outputs of each region that recovery reads; the role is their prefix: `primary_region`, `dr_region`."""

    region: str
    api_endpoint: str
    cluster_arn: str
    cluster_id: str
    control_bucket: str
    topic_arn: str
    function_alias_arn: str
    reconcile_function_name: str
    controller_function_name: str
    key_arn: str
    instances: int = field(metadata={"least": 0})


RECOVERY_OUTPUTS: Mapping[str, int | None] = {
    **{each.name: each.metadata.get("least") for each in fields(StackOutputs)},
    **{f"{role}_{each.name}": each.metadata.get("least") for role in ROLES for each in fields(RegionOutputs)},
}
"""The names of all outputs that recovery reads, each with its least value if it is a number, or else None.

A controller knows no other outputs, because the environment of a function has little room.
"""

OUTPUTS_FOLDER = Path("cfn-outputs")
"""The folder where only `make up` and `make outputs` write, the outputs of each stack as STACK.json."""
OUTPUTS_FILE = OUTPUTS_FOLDER / "flat-outputs.json"
"""A copy of the outputs that were written there last."""
OUTPUTS_VARIABLE = "TAPSTACK_OUTPUTS"
"""The environment variable that names another outputs file."""
REHEARSALS = Path(".rehearsal")
"""Where each rehearsal has a folder of its own while it runs; its outputs are `OUTPUTS_KEY` there."""
OUTPUTS_KEY = "outputs.json"
"""The object in each region's control bucket that has the stack's outputs."""
PAYMENTS_FILE = "payments.jsonl"
"""Beside a sandbox's outputs, its client's payments: {at (seconds since the epoch), ok, region} in each line."""
CONTROL_BUCKET = "tapstack-control-{suffix}-{region}-{account}"
EMULATOR = "emulator"
"""The entry that only a rehearsal's outputs have: `endpoint` of its emulator (URL) and `name_servers` (address)."""
EMULATED_ACCOUNT = "000000000000"


class OutputsError(ValueError):
    """The outputs cannot be used; the message says which and why, in one line."""


def read_outputs(environ: Mapping[str, str], folder: Path = Path(), stack: str = "") -> dict[str, Any]:
    """A stack's outputs: from the file that `environ` names, or else from `folder`, by default those written last.

    Raises OutputsError.
    """
    path = Path(environ.get(OUTPUTS_VARIABLE) or (
        folder / OUTPUTS_FOLDER / f"{stack}.json" if stack else folder / OUTPUTS_FILE))
    try:
        return parse_outputs(path.read_bytes(), str(path))
    except OSError as error:
        raise OutputsError(f"{path}: {error.strerror}: `make outputs` writes it") from None


def parse_outputs(text: bytes, where: str) -> dict[str, Any]:
    """The outputs in a JSON text that was found somewhere. Raises OutputsError."""
    try:
        outputs = json.loads(text)
    except (ValueError, RecursionError):
        raise OutputsError(f"{where}: is not JSON: `make outputs` writes it") from None
    if not isinstance(outputs, dict):
        raise OutputsError(f"{where}: is not a JSON object: `make outputs` writes it")
    return outputs
