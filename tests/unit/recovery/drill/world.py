"""A stack whose regions can be broken: its payments, its controllers, and a driver of plans."""
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from contract import DRILL_KEY, ROLES
from payments.leadership import DynamoLeadership
from recovery.cloud import Cloud
from recovery.control_table import ControlTable
from recovery.drill import Drill, DrillTargets, drill_refusals
from recovery.drill.outage import last_drill
from recovery.environment import HttpReply
from recovery.journal import Run, StepProgress
from recovery.observation import Observation
from recovery.plan import Action, Plan
from recovery.stack import Stack
from tests.unit.payments.fakes import TABLE, Crash, Item, Network, client_error
from tests.unit.recovery.fakes import (
    AWAY,
    HOME,
    OUTPUTS,
    REGIONS,
    FakeBackground,
    FakeClock,
    FakeTable,
    assert_declared,
    deadline,
    environment_of,
)

SERVICE = "https://pay.example"
KEY = "the key"
TICK = 0.5  # seconds between two payments, and two looks of the driver
CHECKS = {HOME: "check-home", AWAY: "check-away"}
FUNCTIONS = {HOME: "payments-home", AWAY: "payments-away"}
KEYS = {HOME: "key-home", AWAY: "key-away"}
MORE = {f"{role}_{name}": value[region] for role, region in zip(ROLES, REGIONS, strict=True)
        for name, value in (("function_name", FUNCTIONS), ("api_key_id", KEYS), ("health_check_id", CHECKS))}


@cache
def shape(service: str, operation: str) -> Any:
    """What AWS takes for an operation, as botocore has it."""
    model = botocore.session.get_session().get_service_model(service)
    name = "".join(part.capitalize() for part in operation.split("_"))
    assert_declared(service, name)
    return model.operation_model(name).input_shape


class Line(Network):
    """The drill's calls to AWS; `left` is their number until the process is killed. Calls of others are not counted."""

    left: int | None = None
    others = False
    denied: frozenset[str] = frozenset()

    def carry(self, operation: str, effect: Callable[[], Item]) -> Item:
        """Make the call, unless the process is dead."""
        if self.others:
            return effect()
        if self.left is not None:
            if self.left == 0:
                raise Crash
            self.left -= 1
        if operation in self.denied:
            raise client_error("AccessDeniedException")
        return super().carry(operation, effect)

    @contextmanager
    def off(self) -> Iterator[None]:
        """Calls of others."""
        before, self.others = self.others, True
        try:
            yield
        finally:
            self.others = before


@dataclass
class Client:
    """The client of a service in a region: each call is checked against botocore's model, and recorded."""

    world: "Aws"
    service: str
    region: str

    def __getattr__(self, operation: str) -> Callable[..., Item]:
        def call(**given: Any) -> Item:
            if self.service not in ("rds", "s3"):  # which only Cloud calls
                report = ParamValidator().validate(given, shape(self.service, operation))
                assert not report.has_errors(), report.generate_report()
            answer: Callable[..., Item] = getattr(self.world, operation)
            return self.world.network.carry(f"{operation} {self.region}", lambda: answer(self.region, **given))
        return call


class TickingClock(FakeClock):
    """A clock that calls `tick` every TICK seconds of sleep."""

    def __init__(self, tick: Callable[[], None]) -> None:
        super().__init__(tick=tick)

    def sleep(self, seconds: float, /) -> None:
        """Move the clock tick by tick."""
        for _ in range(round(seconds / TICK)):
            super().sleep(TICK)


class Aws:
    """What a drill calls, in both regions."""

    def __init__(self, writer: str) -> None:
        self.network, self.writer = Line(), writer
        self.tables = {region: FakeTable(self.network) for region in REGIONS}
        for region, other in ((HOME, AWAY), (AWAY, HOME)):
            self.tables[region].copy = self.tables[other].items.__setitem__
        self.reserved: dict[str, int | None] = {FUNCTIONS[HOME]: 300, FUNCTIONS[AWAY]: None}
        self.checks: dict[str, Item] = {check: {"Type": "HTTPS"} for check in CHECKS.values()}
        self.broken: Any = None  # what the record said when the region was broken

    def __call__(self, service: str, region: str, read: float = 5.0) -> Any:
        """The client of a service in a region."""
        assert read > 0
        return self.tables[region] if service == "dynamodb" else Client(self, service, region)

    def get_function_concurrency(self, _: str, *, FunctionName: str) -> Item:  # noqa: N803  # pylint: disable=invalid-name
        """As Lambda has it: nothing, if none are reserved."""
        found = self.reserved[FunctionName]
        return {} if found is None else {"ReservedConcurrentExecutions": found}

    def put_function_concurrency(self, region: str, **given: Any) -> Item:
        """Reserves executions."""
        assert given["FunctionName"] == FUNCTIONS[region]
        self._breaking()
        self.reserved[given["FunctionName"]] = given["ReservedConcurrentExecutions"]
        return {}

    def delete_function_concurrency(self, _: str, *, FunctionName: str) -> Item:  # noqa: N803  # pylint: disable=invalid-name
        """Reserves none."""
        self.reserved[FunctionName] = None
        return {}

    def get_health_check(self, _: str, *, HealthCheckId: str) -> Item:  # noqa: N803  # pylint: disable=invalid-name
        """A check."""
        return {"HealthCheck": {"HealthCheckConfig": dict(self.checks[HealthCheckId])}}

    def update_health_check(self, _: str, *, HealthCheckId: str, **given: Any) -> Item:  # noqa: N803  # pylint: disable=invalid-name
        """Changes what is given."""
        self._breaking()
        self.checks[HealthCheckId].update(given)
        return {}

    def get_api_key(self, region: str, **given: Any) -> Item:
        """The key, with its value."""
        assert given == {"apiKey": KEYS[region], "includeValue": True}
        return {"value": KEY}

    def describe_global_clusters(self, _region: str, **_given: Any) -> Item:
        """The database's writer."""
        return {"GlobalClusters": [{"GlobalClusterMembers": [
            {"DBClusterArn": f"arn:aws:rds:{region}:1:cluster:x", "IsWriter": region == self.writer}
            for region in REGIONS]}]}

    def describe_db_clusters(self, _region: str, **_given: Any) -> Item:
        """A healthy cluster."""
        return {"DBClusters": [{"Status": "available", "DBClusterMembers": [{"DBInstanceIdentifier": "one"}]}]}

    def describe_db_instances(self, _region: str, **_given: Any) -> Item:
        """A healthy instance."""
        return {"DBInstances": [{"DBInstanceStatus": "available"}]}

    def head_bucket(self, _region: str, **_given: Any) -> Item:
        """A bucket that is there."""
        return {}

    def _breaking(self) -> None:
        """What is broken must be in the record before."""
        self.broken = json.loads(self.tables[AWAY].items[DRILL_KEY]["document"]["S"])["broken"]
        assert self.broken


class World(Aws):
    """Both regions, their payments, their controllers, and a driver of plans."""

    def __init__(self, changes: Mapping[str, Any] | None = None, active: str = HOME) -> None:
        super().__init__(active)
        self.active = active
        self.clock, self.background = TickingClock(self.tick), FakeBackground()
        self.environment = environment_of(self.clock, self, self.http, self.background)
        with self.network.off():
            DynamoLeadership(self.tables[HOME], TABLE).create(self.active, deadline(self.environment))
        self.stack = Stack.of({**OUTPUTS, "dns": "on", "service_url": SERVICE, **(changes or {})})
        self.paid: dict[str, str] = {}  # the region that took a payment
        self.said: list[str] = []
        self.driven: list[tuple[str, str, float | None]] = []
        self.dead = dict.fromkeys(REGIONS, 0)
        self.reactions: dict[str, Callable[[], object]] = {}  # what happens when this is said
        self.lag: float | None = 1.0
        self.delay = 0.0  # seconds after which DNS follows
        self.names: list[tuple[float, str]] = [(0.0, self.active)]  # where the service's name points, and since when
        self.controller: Callable[[], object] = bool  # what else happens with each tick

    def is_well(self, region: str) -> bool:
        """Whether a region's payments function runs."""
        return self.reserved[FUNCTIONS[region]] != 0

    def resolve(self) -> str:
        """The region that the service's name points to."""
        return [region for at, region in self.names if at <= self.clock.now][-1]

    def http(self, method: str, url: str, timeout: float, *, headers: Mapping[str, str] | None = None,
             body: bytes | None = None) -> HttpReply:
        """A request to a region's API, or to the service by its name."""
        assert timeout > 0
        host, path = url.removeprefix("https://").split("/", 1)
        region = self.resolve() if f"https://{host}" == SERVICE else host.removesuffix("-api_endpoint")
        if not self.is_well(region):
            return HttpReply(500, b'{"message": "Internal server error"}')
        writes = region == self.active == self.writer
        if path.startswith("health"):
            return HttpReply(200, json.dumps({"writes": writes}).encode())
        assert (headers or {})["x-api-key"] == KEY
        if method == "GET":
            return HttpReply(200 if path.removeprefix("payment/") in self.paid else 404, b"{}", {"X-Region": region})
        assert (method, path, (headers or {})["Content-Type"]) == ("POST", "payment", "application/json")
        if not writes:
            return HttpReply(503, b'{"error": "not the writer"}', {"X-Region": region})
        self.paid[json.loads(body or b"")["payment_id"]] = region
        return HttpReply(201, b"{}", {"X-Region": region})

    def tick(self) -> None:
        """Let the clients pay, and the controllers look."""
        for task in self.background.tasks:
            task()
        if self.clock.now % 10 == 0:
            for region, other in ((HOME, AWAY), (AWAY, HOME)):
                self.dead[region] = 0 if self.is_well(other) else self.dead[region] + 1
                self.watch(region)
        self.controller()

    def watch(self, region: str) -> None:
        """What a region's controller writes down."""
        lags = {} if self.lag is None else {"table": self.lag}
        with self.network.off():
            self.table(region).write_observation(
                Observation(region=region, at=self.clock.time(), dead=self.dead[region], lags=lags))

    def table(self, region: str) -> ControlTable:
        """A region's replica."""
        return ControlTable(self.tables[region], TABLE, self.environment.runtime)

    def move(self, to: str) -> None:
        """Payments go there from now on."""
        self.active = self.writer = to
        with self.network.off():
            self.table(to).take_leadership(to, 0)
        self.names.append((self.clock.now + self.delay, to))

    def begun(self, planned: Plan, why: str, seen: float | None) -> Run:
        """A run of a plan that begins now."""
        return Run(id=f"run at {self.clock.now}", action=planned.action.value, target=planned.target.region,
                   driver="one", began=self.clock.time(), why=why, seen=seen)

    def carried(self, run: Run) -> Run:
        """The run at its end, some seconds later."""
        self.clock.sleep(2.0)
        fenced, self.active = self.clock.time(), ""
        self.clock.sleep(20.0)
        self.move(run.target)
        now = self.clock.time()
        return replace(run, ended=now, outcome="done", steps={
            "fence": StepProgress(began=run.began, ended=fenced), "promote": StepProgress(began=fenced, ended=now)})

    def journal(self, run: Run) -> None:
        """The latest run is this one."""
        with self.network.off():
            table = self.table(run.target)
            table.write_run(run, table.latest_run())

    def drive(self, cloud: Cloud, why: str, seen: float | None) -> Run:
        """Carry out a plan."""
        self.driven.append((cloud.plan.action.value, cloud.plan.target.region, seen))
        run = self.carried(self.begun(cloud.plan, why, seen))
        self.journal(run)
        return run

    def say(self, what: str) -> None:
        """What the drill reports meanwhile."""
        self.said.append(what)
        self.reactions.get(what, bool)()

    def plan(self, action: Action, to: str = AWAY) -> Plan:
        """An action here."""
        return Plan(action=action, stack=self.stack, target=self.stack.site(to))

    def drill(self, action: Action = Action.FAILOVER, to: str = AWAY, **changes: Any) -> Drill:
        """A drill here."""
        for region in REGIONS:
            self.watch(region)
        return Drill(**{
            "cloud": Cloud(plan=self.plan(action, to), environment=self.environment), "targets": self.targets(),
            "drive": self.drive, "say": self.say, **changes})

    def targets(self) -> dict[str, DrillTargets]:
        """What can be broken."""
        none = {} if self.stack.service_url else dict.fromkeys(("primary_health_check_id", "dr_health_check_id"), "")
        return {site.region: DrillTargets.of({**MORE, **none}, site) for site in self.stack.sites}

    def refusals(self, action: Action = Action.FAILOVER, to: str = AWAY, *, yes: bool = False) -> list[str]:
        """What forbids a drill."""
        return drill_refusals(self.environment, self.plan(action, to), yes=yes)

    def recorded(self) -> Item:
        """The record of the last drill."""
        with self.network.off():
            found = last_drill(self.environment, self.stack)
        assert found
        return found

    def assert_as_found(self) -> None:
        """Nothing is broken any more."""
        assert self.reserved == {FUNCTIONS[HOME]: 300, FUNCTIONS[AWAY]: None}
        assert not any(config.get(key) for config in self.checks.values() for key in ("Inverted", "Disabled"))
        assert self.recorded()["broken"] is None


def quick(**changes: Any) -> World:
    """A stack in which one look is enough evidence."""
    return World({"health_check_threshold": 1, **changes})
