"""A stack in memory: its outputs, its table, a clock that moves when something sleeps, and steps.

`World` is the region that takes over, as the runner sees it; `FakeAws` is AWS in both regions.
"""
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import botocore.session
from botocore import xform_name
from botocore.exceptions import EndpointConnectionError
from botocore.validate import ParamValidator

from contract import JOURNAL_KEY, LEADERSHIP_KEY, OUTPUTS_VARIABLE, RECOVERY_OUTPUTS, REPLICATION_RULE, ROLES
from payments.deadline import Deadline, Timing
from payments.leadership import FIRST_EPOCH, DynamoLeadership, Leadership
from payments.payment import parse
from recovery.cli import Terminal, console_of
from recovery.cloud import Cloud
from recovery.control_table import ControlTable
from recovery.environment import Background, Environment, Http, HttpReply, K, T
from recovery.errors import AwsFailure
from recovery.journal import Run
from recovery.observation import Observation, ProbeResult
from recovery.permissions import OPERATOR
from recovery.plan import Action, Facts, Plan, Step
from recovery.runner import Runner, claim
from recovery.stack import Site, Stack
from recovery.steps import AwsSteps
from tests.unit.payments.fakes import (
    TABLE,
    FakeDynamoDB,
    Fault,
    Item,
    Network,
    StillClock,
    client_error,
    still_runtime,
)

HOME, AWAY = REGIONS = ("us-east-1", "us-west-2")
NOW = 1_800_000_000.0  # seconds since the epoch
OUTPUTS: Item = {
    **{key: f"the {key}" if least is None else least for key, least in RECOVERY_OUTPUTS.items()},
    **{key: f"{region}-{key.removeprefix(f'{role}_')}" for role, region in zip(ROLES, REGIONS, strict=True)
       for key, least in RECOVERY_OUTPUTS.items() if key.startswith(f"{role}_") and least is None},
    **{f"{role}_region": region for role, region in zip(ROLES, REGIONS, strict=True)},
    **{f"{role}_{key}": f"arn:aws:{service}:{region}:123456789012:{name}"
       for role, region in zip(ROLES, REGIONS, strict=True)
       for key, service, name in (("cluster_arn", "rds", "cluster:the-cluster"), ("topic_arn", "sns", "the-topic"),
                                  ("function_alias_arn", "lambda", "function:the-payments:live"))},
    "payments_table_name": TABLE, "table_consistency": "eventual", "failover_mode": "manual",
    "look_interval": 10, "health_check_interval": 10, "health_check_threshold": 3, "recovery_time_objective": 900,
    "recovery_point_objective": 60, "database_class": "db.r7g.large", "least_connections": 1669, "primary_instances": 1,
    "dr_instances": 1,
}


def stack(**changes: Any) -> Stack:
    """The stack, with other outputs than the defaults."""
    return Stack.of({**OUTPUTS, **changes})


def plan(action: Action = Action.FAILOVER, to: str = AWAY, **changes: Any) -> Plan:
    """An action on it."""
    there = stack(**changes)
    return Plan(action=action, stack=there, target=there.site(to))


def facts(to: str = AWAY, **changes: Any) -> Facts:
    """The other region leads and has the writer, and its standby's controller sees it dead and knows the lags.

    Nothing forbids a failover, nor a switchover: `other` is healthy.
    """
    there = REGIONS[to == HOME]
    observation = Observation(region=to, at=NOW, dead=3, unready=3, why="no answer", lags={"table": 2.0, "ledger": 0.5})
    return replace(
        Facts(leadership=Leadership(1, there), writer=there, cluster="available", instances=1,
              own=ProbeResult(alive=True, ready=False), observation=observation,
              other=ProbeResult(alive=True, ready=True)), **changes)


def every_state() -> Iterator[Facts]:
    """What may be known before a failover to AWAY, on both sides of each line that is drawn."""
    healths: tuple[Item, ...] = (
        {}, {"own": ProbeResult(alive=False, ready=False)}, {"cluster": "failing-over"}, {"instances": 0},
        {"wrong": {"table": "Timeout"}}, {"wrong": {"receipts": "403"}})
    lags: tuple[dict[str, float], ...] = ({}, {"table": 60.0}, {"table": 61.0}, {"table": 61.0, "ledger": 0.0})
    watches = (None, *(Observation(region=AWAY, at=NOW - age, dead=dead, unready=unready, lags=known)
                       for age in (60, 61) for dead, unready in ((2, 5), (3, 3), (0, 6)) for known in lags))
    for leader, writer, health, watch in product((None, *REGIONS), (None, *REGIONS), healths, watches):
        yield facts(leadership=leader and Leadership(1, leader), writer=writer, observation=watch, **health)


@dataclass
class FakeClock(StillClock):
    """Time that passes only when something sleeps; `sleeping` is what others do meanwhile, the next first."""

    sleeping: list[Callable[[], object]] = field(default_factory=list)
    tick: Callable[[], object] = bool
    """What happens after each sleep."""

    def time(self) -> float:
        """Seconds since the epoch."""
        return NOW + self.now

    def sleep(self, seconds: float, /) -> None:
        """Move the clock."""
        if self.sleeping:
            self.sleeping.pop(0)()
        super().sleep(seconds)
        self.tick()


class FakeBackground(Background):
    """No threads: repeated `tasks` run when a test calls them, and questions are asked one after the other."""

    def __init__(self) -> None:
        self.tasks: list[Callable[[], object]] = []
        self.late: Callable[[Any], bool] = lambda _name: False  # questions whose answers do not arrive in time

    def lock(self) -> AbstractContextManager[object]:
        """None is needed."""
        return nullcontext()

    @contextmanager
    def every(self, seconds: float, task: Callable[[], object], *, workers: int = 1) -> Iterator[None]:
        """Make it a task until the block ends."""
        assert seconds > 0 < workers
        self.tasks.append(task)
        try:
            yield
        finally:
            self.tasks.remove(task)

    def gather(self, questions: Mapping[K, Callable[[], T]], seconds: float) -> dict[K, T]:
        """Ask each at once, unless its answer would be late."""
        assert seconds > 0
        return {name: question() for name, question in questions.items() if not self.late(name)}


def environment_of(clock: FakeClock, clients: Any = None, http: Http | None = None,
                   background: Background | None = None) -> Environment:
    """An environment on a clock that tests move."""
    def refuse(*request: Any, **more: Any) -> HttpReply:
        raise AssertionError((request, more))

    return Environment(clients=clients or refuse, http=http or refuse, background=background or FakeBackground(),
                       runtime=still_runtime(clock))


class FakeTable(FakeDynamoDB):
    """The table of one region; everything but the journal is written without a condition."""

    refuses = False  # every write

    def _put(self, request: Item) -> Item:
        if self.refuses:
            raise client_error("AccessDeniedException")
        return super()._put(request)

    def _holds(self, request: Item, key: str) -> bool:
        if "ConditionExpression" in request:
            return super()._holds(request, key)
        assert key.startswith("!")
        return True


class Asked(NamedTuple):
    """A call for a step: by which driver, and when by the clock."""

    driver: str
    key: str
    at: float


class World:
    """The region that takes over: its table, and the steps that are done.

    `troubles` are what a step answers before it is done: an error, or None for "not yet". Everything goes through
    `network`, whose faults can kill the driver.
    """

    def __init__(self) -> None:
        self.network, self.clock = Network(), FakeClock()
        self.dynamodb = FakeTable(self.network)
        self.background = FakeBackground()
        self.environment = environment_of(self.clock, lambda *_: self.dynamodb, background=self.background)
        self.table = ControlTable(self.dynamodb, TABLE, self.environment.runtime)
        self.troubles: dict[str, list[str | None]] = {}
        self.done: list[str] = []
        self.asked: list[Asked] = []
        DynamoLeadership(self.dynamodb, TABLE).create(HOME, deadline(self.environment))
        assert self.table.leadership().epoch == FIRST_EPOCH
        self.network.calls.clear()

    def do(self, step: Step, run: Run) -> str | None:
        """Do a step, unless there is trouble; a step that is done stays done."""
        answer = self.network.carry(f"step {step.key}", lambda: self._step(step.key, run))
        if "error" in answer:
            raise AwsFailure(answer["error"])
        note: str | None = answer["note"]
        return note

    def journalled(self) -> Item:
        """The journal's document, without a call."""
        found: Item = json.loads(self.dynamodb.items[JOURNAL_KEY]["document"]["S"])
        return found

    def _step(self, key: str, run: Run) -> Item:
        self.asked.append(Asked(run.driver, key, self.clock.now))
        if self.journalled()["driver"] == run.driver:
            *before, last = self.journalled()["steps"]
            assert last == key
            assert all(self.journalled()["steps"][step]["ended"] for step in before)
        trouble = self.troubles.get(key)
        if trouble and key not in self.done:
            error = trouble.pop(0)
            return {"note": None} if error is None else {"error": error}
        if key not in self.done:
            self.done.append(key)
        return {"note": f"{key} is done"}

    def cloud(self, wanted: Plan) -> Cloud:
        """The cloud of a plan."""
        return Cloud(plan=wanted, environment=self.environment)

    def runner(self, wanted: Plan, run: Run, **changes: Any) -> Runner:
        """The runner of a run here."""
        return Runner(**{"cloud": self.cloud(wanted), "do": self.do, "run": run, "report": lambda *_: None, **changes})

    def command(self, wanted: Plan, driver: str = "first", **changes: Any) -> Run:
        """What the command line and the controller do, once the plan may begin."""
        return self.runner(wanted, claim(self.cloud(wanted), driver, why="requested"), **changes).drive()


# --- AWS in two regions, as botocore describes it


def deadline(environment: Environment) -> Deadline:
    """Time for a call."""
    return Deadline(Timing(), Timing().budget, environment.runtime)


@cache
def _session() -> Any:
    return botocore.session.get_session()


@cache
def _operations(service: str) -> dict[str, Any]:
    """The operations of a service by the names of a client's methods."""
    model = _session().get_service_model(service)
    return {xform_name(name): model.operation_model(name) for name in list(model.operation_names)}


CONTROLLER_ONLY = {"cloudwatch:PutMetricData"}  # its role is that of lib/region/controller.py


def assert_declared(service: str, operation: str) -> None:
    """A call that no policy of docs/iam permits fails: declare it in recovery/permissions.py, and `make iam`."""
    assert f"{service}:{operation}" in {*OPERATOR, *CONTROLLER_ONLY}


def unknown_keys(value: Any, shape: Any, where: str) -> list[str]:
    """What an answer has that AWS does not give."""
    if shape.type_name == "structure":
        strange = [f"{where}.{key}" for key in value if key not in shape.members]
        return strange or [wrong for key, each in value.items()
                           for wrong in unknown_keys(each, shape.members[key], f"{where}.{key}")]
    if shape.type_name == "list":
        return [wrong for each in value for wrong in unknown_keys(each, shape.member, f"{where}[]")]
    return []


@dataclass(kw_only=True)
class FakeRds:
    """The global database: `writer` is a region, `states` are those of the clusters, `instances` of their instances.

    A move takes `polls` looks at the global database; until it begins, AWS shows nothing of it for `quiet` looks.
    """

    stack: Stack
    writer: str = HOME
    polls: int = 2
    quiet: int = 0
    states: dict[str, str] = field(default_factory=lambda: dict.fromkeys(REGIONS, "available"))
    instances: dict[str, list[str]] = field(default_factory=lambda: {name: ["available"] for name in REGIONS})
    resyncing: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    moving: dict[str, Any] | None = None
    left: int = 0
    snapshots: dict[str, dict[str, str]] = field(default_factory=lambda: {name: {} for name in REGIONS})
    events: dict[str, list[Item]] = field(default_factory=lambda: {name: [] for name in REGIONS})

    def look(self) -> Item:
        """The global database; time goes by."""
        if self.moving:
            self.left -= 1
            if self.left <= 0:
                self.writer, self.moving = self.moving["ToDbClusterArn"].split(":")[3], None
        shown = {"FailoverState": self.moving} if self.moving and self.left < self.polls else {}
        return {"GlobalClusterIdentifier": self.stack.global_cluster_id, **shown, "GlobalClusterMembers": [
            {"DBClusterArn": site.cluster_arn, "IsWriter": site.region == self.writer,
             "SynchronizationStatus": "pending-resync" if site.region in self.resyncing else "connected"}
            for site in self.stack.sites if site.region not in self.gone]}

    def move(self, target: str, *, loses: bool) -> None:
        """Begin to move the writer to the cluster of an ARN."""
        if self.moving:
            raise client_error("InvalidGlobalClusterStateFault")
        if target.split(":")[3] == self.writer:
            raise client_error("InvalidDBClusterStateFault")
        home = next(site for site in self.stack.sites if site.region == self.writer)
        self.left = self.polls + self.quiet
        self.moving = {"Status": "pending", "FromDbClusterArn": home.cluster_arn, "ToDbClusterArn": target,
                       "IsDataLossAllowed": loses}


class FakeAws:
    """Two regions of AWS: it makes the clients for them, and is their API over HTTP.

    Each call is recorded in `calls` as (service, region, operation), and its request and answer are checked against
    botocore's description. A look at a region's API is (`api`, region, `look`).

    `cut` are regions that cannot be reached, and whose table is not replicated. `faults` are those of an operation's
    next calls (None: no fault). `shown` is what a region's API shows instead of the truth.
    """

    def __init__(self, **changes: Any) -> None:
        self.stack, self.clock = stack(**changes), FakeClock()
        self.rds = FakeRds(stack=self.stack)
        self.calls: list[tuple[str, str, str]] = []
        self.reads: dict[str, float] = {}  # seconds that the last client of a service waits
        self.cut: set[str] = set()
        self.faults: dict[str, list[Fault | None]] = {}
        self.shown: dict[str, ProbeResult] = {}
        self.tables = {name: FakeTable(Network()) for name in REGIONS}
        self.levers = {name: list[bytes]() for name in REGIONS}
        self.epochs = dict.fromkeys(REGIONS, FIRST_EPOCH)  # the newest that a ledger has seen
        self.payments: dict[str, dict[str, Item]] = {name: {} for name in REGIONS}
        self.reconciled: dict[str, Item] = {}  # what the function answers in place of "nothing to do"
        self.metrics: dict[str, list[dict[str, float]]] = {name: [] for name in REGIONS}
        self.points: dict[tuple[str, str], list[Item]] = {}  # by region and metric
        self.alarms: dict[str, list[Item]] = {name: [] for name in REGIONS}
        self.more: dict[str, Callable[[Item], Item]] = {}  # answers of other operations
        self.notifications: list[tuple[str, str, str]] = []  # region, subject, message
        self.background = FakeBackground()
        self.environment = environment_of(self.clock, self, self.http, self.background)
        for name, table in self.tables.items():
            table.copy = partial(self._copy, name)
        self.tables[HOME].write(LEADERSHIP_KEY, {
            "payment_id": {"S": LEADERSHIP_KEY}, "epoch": {"N": str(FIRST_EPOCH)}, "region": {"S": HOME}})

    def __call__(self, service: str, region: str, read: float = 5.0) -> Any:
        """A client."""
        self.reads[service] = read
        return FakeClient(self, service, region)

    def cloud(self, action: Action = Action.FAILOVER, to: str = AWAY) -> Cloud:
        """AWS for a plan."""
        return Cloud(plan=Plan(action=action, stack=self.stack, target=self.stack.site(to)),
                     environment=self.environment)

    def steps(self, action: Action = Action.FAILOVER, to: str = AWAY) -> AwsSteps:
        """The steps of a plan, for a new driver."""
        return AwsSteps(cloud=self.cloud(action, to))

    def table(self, region: str) -> ControlTable:
        """A region's replica of the table; a call by it is not recorded."""
        return ControlTable(self.tables[region], TABLE, self.environment.runtime)

    def run(self, region: str) -> Run:
        """The run in a region's journal."""
        found = self.table(region).latest_run()
        assert found
        return found

    def leadership(self, region: str) -> tuple[int, str]:
        """Epoch and leader, in a region's replica."""
        item = self.tables[region].items[LEADERSHIP_KEY]
        return int(item["epoch"]["N"]), item["region"]["S"]

    def writes(self, region: str) -> bool:
        """Whether payments are taken in a region."""
        return (self.leadership(region)[1] == self.rds.writer == region and self.rds.states[region] == "available"
                and region not in self.cut)

    def http(self, method: str, url: str, timeout: float, **more: object) -> HttpReply:
        """What a region's API answers to `/health` and `/takeover`."""
        assert (method, more, timeout > 0) == ("GET", {}, True)
        region, path = url.split("-api_endpoint")
        if path != "/health?deep=1":
            self.calls.append(("api", region, "lever" if path == "/takeover" else "look"))
        if region in self.cut:
            return HttpReply(0, why="timed out")
        if path == "/takeover":
            return HttpReply(200, json.dumps({"takeover": bool(self.levers[region])}).encode())
        found = self.shown.get(region, ProbeResult(alive=True, ready=self.writes(region)))
        if not found.alive:
            return HttpReply(0, why=found.why or "no answer")
        store, _, state = found.why.partition(" ")
        return HttpReply(200, json.dumps({"writes": found.ready, **({store: state} if store else {})}).encode())

    def operations(self, *services: str) -> list[str]:
        """The operations that were called, of some services or all."""
        return [operation for service, _, operation in self.calls if not services or service in services]

    def point(self, region: str, metric: str, value: float, ago: float = 60.0) -> None:
        """Let CloudWatch have a value of a metric, of so many seconds ago."""
        moment = datetime.fromtimestamp(self.clock.time() - ago, UTC)
        self.points.setdefault((region, metric), []).append({"Timestamp": moment, "Maximum": value})

    def _copy(self, region: str, key: str, item: Item) -> None:
        for other, table in self.tables.items():
            if other != region and not {region, other} & self.cut:
                table.items[key] = item


def terminal_of(aws: FakeAws, outputs: Path, *, confirms: bool = False) -> Terminal:
    """A command line of the user alice, whose commands call `aws`."""
    return Terminal(environ={OUTPUTS_VARIABLE: str(outputs)}, driver="alice", console=console_of,
                    confirm=lambda _question: confirms, connect=lambda: aws.environment)


@dataclass(frozen=True)
class FakeClient:
    """A client of one service in one region."""

    aws: FakeAws
    service: str
    region: str

    def __getattr__(self, method: str) -> Callable[..., Item]:
        return partial(self._call, _operations(self.service)[method])

    def get_paginator(self, method: str) -> "FakePaginator":
        """Pages of an operation that has some."""
        operation = _operations(self.service)[method]
        _session().get_paginator_model(self.service).get_paginator(operation.name)
        return FakePaginator(partial(self._call, operation))

    def _call(self, operation: Any, **request: Any) -> Item:
        assert_declared(self.service, operation.name)
        problems = ParamValidator().validate(request, operation.input_shape)
        assert not problems.has_errors(), problems.generate_report()
        self.aws.calls.append((self.service, self.region, operation.name))
        if self.region in self.aws.cut:
            raise EndpointConnectionError(endpoint_url=f"https://{self.service}.{self.region}.amazonaws.com")
        faults = self.aws.faults.get(operation.name)
        fault = faults.pop(0) if faults else None
        if fault and not fault.done:
            raise fault.error
        answer = self._answer(operation.name, request)
        if fault:
            raise fault.error
        if operation.output_shape:
            assert not unknown_keys(answer, operation.output_shape, operation.name)
        return answer

    def _answer(self, operation: str, request: Item) -> Item:
        if self.service == "dynamodb":
            found: Item = getattr(self.aws.tables[self.region], xform_name(operation))(**request)
            return found
        answers: dict[str, Callable[[Item], Item | None]] = {
            "DescribeGlobalClusters": lambda _: {"GlobalClusters": [self.aws.rds.look()]},
            "DescribeDBClusters": self._clusters, "DescribeDBInstances": self._instances,
            "FailoverGlobalCluster": self._failover, "SwitchoverGlobalCluster": self._switchover,
            "DescribeDBClusterSnapshots": self._snapshots, "CopyDBClusterSnapshot": self._copy_snapshot,
            "HeadBucket": self._head_bucket, "HeadObject": self._head, "PutObject": self._put,
            "DeleteObject": self._delete, "Invoke": self._invoke, "Publish": self._publish,
            "PutMetricData": self._metrics, "GetMetricStatistics": self._statistics, "DescribeAlarms": self._alarms,
            "DescribeEvents": self._events,
            **self.aws.more}
        return answers[operation](request) or {}

    @property
    def _site(self) -> Site:
        return self.aws.stack.site(self.region)

    # --- RDS

    def _clusters(self, request: Item) -> Item:
        assert request == {"DBClusterIdentifier": self._site.cluster_id}
        return {"DBClusters": [{"Status": self.aws.rds.states[self.region]}]}

    def _instances(self, request: Item) -> Item:
        assert request == {"Filters": [{"Name": "db-cluster-id", "Values": [self._site.cluster_id]}]}
        return {"DBInstances": [{"DBInstanceStatus": state} for state in self.aws.rds.instances[self.region]]}

    def _failover(self, request: Item) -> None:
        assert (request["GlobalClusterIdentifier"], request["AllowDataLoss"]) == ("the global_cluster_id", True)
        assert self.aws.stack.site(self.region).cluster_arn == request["TargetDbClusterIdentifier"]
        self.aws.rds.move(request["TargetDbClusterIdentifier"], loses=True)

    def _switchover(self, request: Item) -> None:
        """AWS documents that this one is asked in the region of the writer."""
        assert (request["GlobalClusterIdentifier"], self.region) == ("the global_cluster_id", self.aws.rds.writer)
        self.aws.rds.move(request["TargetDbClusterIdentifier"], loses=False)

    def _snapshots(self, request: Item) -> Item:
        assert request == {"DBClusterIdentifier": self._site.cluster_id}
        snapshots = self.aws.rds.snapshots[self.region]
        found = [{"DBClusterSnapshotIdentifier": name, "Status": state} for name, state in snapshots.items()]
        snapshots.update(dict.fromkeys(snapshots, "available"))
        return {"DBClusterSnapshots": found}

    def _copy_snapshot(self, request: Item) -> None:
        snapshots, name = self.aws.rds.snapshots[self.region], request["TargetDBClusterSnapshotIdentifier"]
        assert re.fullmatch(r"(?!.*--)[a-z][a-z0-9-]{0,61}[a-z0-9]", name)
        assert (request["KmsKeyId"], request["CopyTags"]) == (self._site.key_arn, True)
        assert snapshots[request["SourceDBClusterSnapshotIdentifier"]] == "available"
        if name in snapshots:
            raise client_error("DBClusterSnapshotAlreadyExistsFault")
        snapshots[name] = "creating"

    def _events(self, request: Item) -> Item:
        assert (request["SourceType"], request["SourceIdentifier"]) == ("db-cluster", self._site.cluster_id)
        assert (request["Duration"], {"failover", "global-failover"} - {*request["EventCategories"]}) == (20160, set())
        return {"Events": self.aws.rds.events[self.region]}

    # --- S3

    def _head_bucket(self, request: Item) -> None:
        assert request == {"Bucket": self._site.receipts_bucket}

    def _lever(self, request: Item) -> list[bytes]:
        assert (request["Bucket"], request["Key"]) == (self._site.control_bucket, "takeover")
        return self.aws.levers[self.region]

    def _head(self, request: Item) -> None:
        if not self._lever(request):
            raise client_error("404", 404)

    def _put(self, request: Item) -> None:
        self._lever(request).append(request["Body"])

    def _delete(self, request: Item) -> None:
        self._lever(request).clear()

    # --- Lambda

    def _invoke(self, request: Item) -> Item:
        event = json.loads(request["Payload"])
        if request["FunctionName"] == self._site.function_alias_arn:
            answer = self._pay(event)
        else:
            assert (request["FunctionName"], request["Qualifier"]) == (self._site.reconcile_function_name, "live")
            answer = self._reconcile(event)
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(answer).encode())}

    def _pay(self, event: Item) -> Item:
        """As the payments function does: the event is one of API Gateway's."""
        assert (event["httpMethod"], event["resource"]) == ("POST", "/payment")
        payment = parse(event["body"].encode(), set())
        if not self.aws.writes(self.region):
            return {"statusCode": 503, "body": json.dumps({"error": "not the writer"})}
        assert self.aws.payments[self.region].setdefault(payment.payment_id, vars(payment)) == vars(payment)
        return {"statusCode": 201, "body": json.dumps({"payment_id": payment.payment_id})}

    def _reconcile(self, event: Item) -> Item:
        if event == {"only": "epoch"}:
            return {"region": self.region, "epoch": self.aws.epochs[self.region]}
        assert event == {"cursor": ""}
        return self.aws.reconciled.get(self.region, {
            "done": True, "error": "", "repaired": [], "refused": [], "pending": [], "cursor": ""})

    # --- SNS and CloudWatch

    def _publish(self, request: Item) -> Item:
        assert request["TopicArn"] == self._site.topic_arn
        assert len(request["Subject"]) < 100
        assert request["Subject"].isprintable()
        self.aws.notifications.append((self.region, request["Subject"], request["Message"]))
        return {"MessageId": "1"}

    def _metrics(self, request: Item) -> None:
        assert request["Namespace"] == "TapStack"
        dimensions = [{"Name": "Stack", "Value": self.aws.stack.environment_suffix}]
        assert all(each["Dimensions"] == dimensions for each in request["MetricData"])
        self.aws.metrics[self.region].append({each["MetricName"]: each["Value"] for each in request["MetricData"]})

    def _statistics(self, request: Item) -> Item:
        here, other = self._site, self.aws.stack.other(self.region)
        dimensions = {each["Name"]: each["Value"] for each in request["Dimensions"]}
        assert (request["Namespace"], dimensions) == {
            "AuroraGlobalDBReplicationLag": ("AWS/RDS", {"DBClusterIdentifier": here.cluster_id}),
            "ReplicationLatency": ("AWS/S3", {"SourceBucket": other.receipts_bucket, "RuleId": REPLICATION_RULE,
                                              "DestinationBucket": here.receipts_bucket})}[request["MetricName"]]
        points = self.aws.points.get((self.region, request["MetricName"]), [])
        return {"Datapoints": [point for point in points
                               if request["StartTime"] <= point["Timestamp"] < request["EndTime"]]}

    def _alarms(self, request: Item) -> Item:
        assert request["StateValue"] == "ALARM"
        return {"MetricAlarms": [alarm for alarm in self.aws.alarms[self.region]
                                 if alarm["AlarmName"].startswith(request["AlarmNamePrefix"])]}


@dataclass(frozen=True)
class FakePaginator:
    """One page."""

    call: Callable[..., Item]

    def paginate(self, **request: Any) -> list[Item]:
        """All that there is."""
        return [self.call(**request)]
