"""Everything of one history: the simulated AWS in two regions, the product deployed on it, clients, and a person."""
import json
import logging
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from zlib import crc32

from contract import ALIAS, JOURNAL_KEY, LEADERSHIP_KEY, LEVER_KEY, OBSERVATION_PREFIX, OUTPUTS_VARIABLE
from payments.deadline import Timing
from payments import reconcile
from payments.region import Transport, create_api
from recovery import cli, controller
from simulator import adapters
from simulator.aurora import Aurora, RdsClient
from simulator.dynamodb import DynamoClient, Table
from simulator.functions import Function, Functions, Gateway, LambdaClient, Schedule
from simulator.history import History
from simulator.metrics import CloudWatchClient, Metrics, SnsClient
from simulator.network import OUTSIDE, Network, NoAnswer
from simulator.route53 import Resolver, Route53
from simulator.s3 import Buckets, S3Client
from simulator.scheduler import Process, Scheduler

SILENT = logging.Logger("silent", logging.CRITICAL)
REGIONS = ("us-east-1", "us-west-2")
TABLE, GLOBAL = "payment-transactions-sim", "tapstack-sim"
PAYMENTS, RECONCILE, CONTROLLER = "tapstack-payments-sim", "tapstack-reconcile-sim", "tapstack-controller-sim"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a seed draws for its world; times in seconds."""

    strong: bool = False
    automatic: bool = True
    recovery_point: int = 60
    recovery_time: int = 900
    interval: int = 10
    threshold: int = 3
    pay_every: float = 4.0
    clients: int = 2
    table_lag: tuple[float, float] = (0.1, 1.0)
    receipts_lag: tuple[float, float] = (0.5, 5.0)
    ledger_lag: tuple[float, float] = (0.05, 0.5)
    skews: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Acknowledged:
    """A payment that a client was told is made."""

    payment_id: str
    at: float
    region: str
    body: dict[str, Any]


class World:
    """The history's world, from its start."""

    def __init__(self, seed: int, options: Options, adversary: Any = None) -> None:
        self.options, self.history = options, History()
        self.scheduler = scheduler = Scheduler(seed)
        self.network = Network(scheduler, self.history)
        if adversary is not None:
            self.network.adversary = adversary
        self.regions = REGIONS
        primary, standby = REGIONS
        draw = scheduler.random
        self.table = Table(self.network, REGIONS, options.strong, lag=lambda: draw.uniform(*options.table_lag))
        self.receipts = {region: f"receipts-{region}" for region in REGIONS}
        self.control = {region: f"control-{region}" for region in REGIONS}
        self.buckets = Buckets(
            self.network, {**{name: region for region, name in self.receipts.items()},
                           **{name: region for region, name in self.control.items()}},
            {self.receipts[primary]: self.receipts[standby], self.receipts[standby]: self.receipts[primary]},
            lag=lambda: draw.uniform(*options.receipts_lag))
        self.aurora = Aurora(self.network, self.history, GLOBAL, {
            region: f"arn:aws:rds:{region}:123456789012:cluster:tapstack-sim-{region}" for region in REGIONS}, primary,
            lag=lambda: draw.uniform(*options.ledger_lag))
        self.metrics = Metrics(self.network, self.history)
        self.functions = Functions(self.network)
        self.denied: set[tuple[str, str]] = set()
        self.newer: set[str] = set()
        self.acknowledged: dict[str, Acknowledged] = {}
        self.drivers: list[Process] = []
        self._environments: list[tuple[str, str, Process]] = []
        self._leader = primary
        self._epoch = 1
        self._holders: dict[str, str] = {}  # by region, who wrote the journal there last
        self.aurora.asked = self._asked
        self.outputs = self._outputs()
        self._observe_table()
        for region in REGIONS:
            self._deploy(region)
        self.gateway = Gateway(self.network, self.functions, PAYMENTS)
        self.table.put(primary, LEADERSHIP_KEY, {
            "payment_id": {"S": LEADERSHIP_KEY}, "epoch": {"N": "1"}, "region": {"S": primary}})
        for view in self.table.views.values():
            view.update(self.table.views[primary])
        self.route53 = Route53(self.network, REGIONS, self._ask, options.interval, options.threshold)
        self.schedule = Schedule(self.network, self.functions, CONTROLLER, REGIONS)
        self._publish_lags()
        self.snapshots: list[dict[str, Any]] = []
        self.permanent: list[Any] = []
        self.given_up: set[str] = set()
        for number in range(options.clients):
            self._client(number)

    # --- What is deployed

    def _outputs(self) -> dict[str, Any]:
        options = self.options
        found: dict[str, Any] = {
            "environment_suffix": "sim", "profile": "dev", "payments_table_name": TABLE,
            "table_consistency": "strong" if options.strong else "eventual", "global_cluster_id": GLOBAL,
            "failover_mode": "automatic" if options.automatic else "manual",
            "health_check_interval": options.interval, "health_check_threshold": options.threshold,
            "recovery_time_objective": options.recovery_time, "recovery_point_objective": options.recovery_point,
            "dns": "on", "service_url": "https://pay.example.com"}
        for role, region in zip(("primary", "dr"), REGIONS, strict=True):
            arn = f"arn:aws:lambda:{region}:123456789012:function:{PAYMENTS}:{ALIAS}"
            found |= {f"{role}_{key}": value for key, value in {
                "region": region, "api_endpoint": f"https://{region}.pay.example.com",
                "cluster_arn": self.aurora.clusters[region], "cluster_id": f"tapstack-sim-{region}",
                "control_bucket": self.control[region], "receipts_bucket": self.receipts[region],
                "topic_arn": f"arn:aws:sns:{region}:123456789012:alarms", "function_alias_arn": arn,
                "reconcile_function_name": RECONCILE, "controller_function_name": CONTROLLER,
                "key_arn": f"arn:aws:kms:{region}:123456789012:key/1"}.items()}
        return found

    def _deploy(self, region: str) -> None:
        self.functions.add(Function(PAYMENTS, region, partial(self._payments, region), 10.0))
        self.functions.add(Function(RECONCILE, region, partial(self._reconcile, region), 900.0))
        self.functions.add(Function(CONTROLLER, region, partial(self._controller, region), 900.0))

    def environ(self, region: str) -> dict[str, str]:
        """The environment of a region's functions."""
        return {"AWS_REGION": region, "TABLE_NAME": TABLE, "RECEIPTS_BUCKET": self.receipts[region],
                "CONTROL_BUCKET": self.control[region], "DATABASE_HOST": f"writer.{region}",
                "DATABASE_READER_HOST": f"reader.{region}", "DATABASE_PORT": "5432", "DATABASE_NAME": "payments",
                "DATABASE_USER": "payments_app"}

    def clients(self, process: Process) -> Any:
        """The AWS clients of a process, as its code asks for them."""
        made: dict[tuple[str, str, float], Any] = {}

        def client(service: str, region: str, read: float = 5.0) -> Any:
            if (service, region, read) not in made:
                made[service, region, read] = self._client_of(process, service, region, read)
            return made[service, region, read]

        return client

    def _client_of(self, process: Process, service: str, region: str, read: float) -> Any:
        match service:
            case "dynamodb":
                return DynamoClient(self.table, process, region)
            case "s3":
                return Denying(self, region, S3Client(self.buckets, process, region), {"put_object": "PutObject"})
            case "rds":
                return Denying(self, region, RdsClient(self.aurora, process, region),
                               {"failover_global_cluster": "FailoverGlobalCluster"})
            case "lambda":
                return LambdaClient(self.functions, self.network, process, region, read)
            case "cloudwatch":
                return CloudWatchClient(self.metrics, process, region)
            case "sns":
                return SnsClient(self.metrics, process, region)
        raise AssertionError(service)

    def transport(self, process: Process) -> Transport:
        """How a function's process reaches AWS."""
        clients = self.clients(process)
        return Transport(lambda region: adapters.Session(clients, region), adapters.connecting(self.aurora, process))

    def environment(self, process: Process) -> Any:
        """What recovery takes from the machine of a process."""
        return adapters.environment(process, self.clients(process), self.http)

    def command(self, process: Process, words: str) -> tuple[int, str]:
        """Run a command of recovery; its exit code, and what it printed."""
        console = adapters.Silence()
        terminal = cli.Terminal(
            environ={OUTPUTS_VARIABLE: str(self._outputs_file())}, driver=process.name,
            console=lambda _: console, confirm=lambda _: True,  # type: ignore[arg-type,return-value]
            connect=lambda: self.environment(process))
        code = cli.run(words.split(), terminal)
        return code, " | ".join(console.lines)

    def _outputs_file(self) -> Path:
        path = Path(gettempdir()) / f"simulator-{crc32(json.dumps(self.outputs).encode())}.json"
        if not path.exists():
            path.write_text(json.dumps(self.outputs), encoding="utf-8")
        return path

    def _payments(self, region: str, process: Process) -> Any:
        self._environments.append((region, "payments", process))
        api = create_api(self.environ(region), Timing(), adapters.runtime(process), self.transport(process))
        return replace(api, logger=SILENT).answer

    def _reconcile(self, region: str, process: Process) -> Any:
        self._environments.append((region, "reconcile", process))
        return reconcile.create(
            self.environ(region), Timing(), adapters.runtime(process), self.transport(process)).answer

    def _controller(self, region: str, process: Process) -> Any:
        self._environments.append((region, "controller", process))
        process.skew = self.options.skews.get(region, 0.0)
        self.drivers.append(process)
        environ = {**self.environ(region), "STACK_OUTPUTS": json.dumps(self.outputs), "PROBE_SECONDS": "10",
                   "WATCH_SECONDS": "60", "COOL_DOWN_SECONDS": "300"}
        controller.logger.setLevel(logging.CRITICAL)
        made = controller.create(environ, self.environment(process))
        return lambda _event, context: made.watch(f"controller in {region} ({context.aws_request_id})")

    # --- HTTP

    def http(self, process: Process, url: str, method: str, body: bytes | None, timeout: float) -> tuple[int, bytes]:
        """Status and body of an answer to a request for a region's own host, or for the service's name. 0: none."""
        host, _, path = url.removeprefix("https://").partition("/")
        region = next((each for each in REGIONS if host.startswith(each)), "") or self.route53.leads_to()
        try:
            status, found = self.gateway.request(process, region, method, f"/{path}", body and body.decode(), timeout,
                                                 min(timeout, 1.0))
        except NoAnswer:
            return 0, b""
        return status, json.dumps(found).encode()

    def _ask(self, checker: Process, region: str, path: str) -> int:
        return self.gateway.request(checker, region, "GET", path, None, 2.0)[0]

    # --- Clients

    def _client(self, number: int) -> None:
        process = Process(self.scheduler, f"client-{number}", OUTSIDE)
        resolver = Resolver(self.route53, process)
        draw = self.scheduler.random

        def pay(payment: dict[str, Any]) -> tuple[int, dict[str, Any], str]:
            region = resolver.region()
            try:
                status, body = self.gateway.request(process, region, "POST", "/payment", json.dumps(payment), 5.0)
            except NoAnswer:
                return 0, {}, region
            return status, body, region

        def work() -> None:
            serial = 0
            while True:
                serial += 1
                payment = {"payment_id": f"p{number}-{serial}", "amount": draw.randint(1, 5000), "currency": "EUR",
                           "payer": f"payer{number}", "payee": "shop"}
                tries = 0
                while True:
                    status, body, region = pay(payment)
                    tries += 1
                    now = self.scheduler.now
                    self.history.note(now, "paid" if status == 201 else "failed", process.name,
                                      id=payment["payment_id"], status=status, region=region)
                    if status == 201:
                        self._acknowledge(payment["payment_id"], now, region, body)
                        break
                    if status == 409:
                        self.history.note(now, "conflict", process.name, id=payment["payment_id"])
                        break
                    process.sleep(draw.uniform(1.0, 3.0))
                if draw.random() < 0.1:
                    self._repeat(process, pay, payment)
                process.sleep(draw.uniform(0.5, 1.5) * self.options.pay_every)

        self.scheduler.spawn(process, work, draw.uniform(0.0, self.options.pay_every))

    def _repeat(self, process: Process, pay: Any, payment: dict[str, Any]) -> None:
        """Send an acknowledged request again: it must get its first answer."""
        process.sleep(self.scheduler.random.uniform(0.1, 20.0))
        status, body, region = pay(payment)
        first = self.acknowledged[payment["payment_id"]].body
        if status == 409 or (status == 201 and body != first):
            self.history.note(self.scheduler.now, "another answer", process.name, id=payment["payment_id"],
                              status=status, region=region, first=first, now=body)

    def _acknowledge(self, payment_id: str, at: float, region: str, body: dict[str, Any]) -> None:
        self.acknowledged.setdefault(payment_id, Acknowledged(payment_id, at, region, body))

    # --- What is true

    def stores_with(self, region: str, payment_id: str) -> set[str]:
        """The stores of a region that have a payment: the item settled or pending, its posting, a receipt."""
        found = set()
        if self.table.item(region, payment_id):
            found.add("table")
        if payment_id in self.aurora.books[region].postings:
            found.add("ledger")
        if self.buckets.newest(self.receipts[region], f"receipts/{payment_id}.json") is not None:
            found.add("receipts")
        return found

    def missing_in(self, region: str) -> list[Acknowledged]:
        """The acknowledged payments that no store of a region has."""
        return [each for each in self.acknowledged.values() if not self.stores_with(region, each.payment_id)]

    def leader(self, region: str) -> tuple[str, int]:
        """Who leads and under which epoch, as a region's replica says."""
        item = self.table.item(region, LEADERSHIP_KEY)
        return (item["region"]["S"], int(item["epoch"]["N"])) if item else ("", 0)

    def run(self, region: str) -> dict[str, Any] | None:
        """The journal's latest run, as a region's replica says."""
        item = self.table.item(region, JOURNAL_KEY)
        return json.loads(item["document"]["S"]) if item else None

    def observation(self, region: str) -> dict[str, Any] | None:
        """What a region's controller wrote last, as its replica says."""
        item = self.table.item(region, f"{OBSERVATION_PREFIX}{region}")
        return json.loads(item["document"]["S"]) if item else None

    def lever(self, region: str) -> bool:
        """Whether a region's lever is set."""
        return self.buckets.newest(self.control[region], LEVER_KEY) is not None

    def takes_payments(self, region: str) -> bool:
        """Whether a region leads by its own replica, and every store that a payment needs is there."""
        return (region not in self.network.dead and self.leader(region)[0] == region and self.aurora.accepting[region])

    def _observe_table(self) -> None:
        put = self.table.put

        def observed(region: str, key: str, item: dict[str, Any]) -> None:
            before = self.table.item(region, key)
            put(region, key, item)
            now = self.scheduler.now
            if key == JOURNAL_KEY and self.table.writer:
                self._holders[region] = self.table.writer.name
            if key == LEADERSHIP_KEY and before is not None and before != item:
                leader, epoch = item["region"]["S"], int(item["epoch"]["N"])
                if before["region"]["S"] != leader:
                    self._led(now, leader, epoch)
            elif item.get("status", {}).get("S") == "SETTLED" and (before or {}).get("status", {}).get("S") != "SETTLED":
                self.history.note(now, "settled", region, id=key, epoch=int(item["epoch"]["N"]))

        self.table.put = observed  # type: ignore[method-assign]

    def _led(self, now: float, leader: str, epoch: int) -> None:
        """Note a change of leadership with what was true at that moment."""
        other = next(each for each in REGIONS if each != leader)
        missing = self.missing_in(leader)
        run, seen = self.run(leader) or {}, self.observation(leader) or {}
        lags = seen.get("lags", {})
        self.history.note(
            now, "leads", leader, epoch=epoch, action=run.get("action"), run=run.get("id"), driver=run.get("driver"),
            accepted=run.get("accepted"), exposure=max((now - each.at for each in missing), default=0.0),
            missing=len(missing), reported=min(lags.values(), default=None),
            other_pays=self.takes_payments(other) and other not in self.network.dead,
            other_seen=self.route53.checks["primary" if other == REGIONS[0] else "dr"].healthy)

    def _asked(self, caller: Process, target: str, how: str) -> None:
        holder = self._holders.get(target, "")
        run = self.run(target)
        self.history.note(self.scheduler.now, "asked to promote", caller.name, target=target, how=how, holder=holder,
                          holds=holder == caller.name and run is not None and run["ended"] is None)

    def _publish_lags(self) -> None:
        for region in REGIONS:
            other = next(each for each in REGIONS if each != region)

            def ledger(region: str = region, other: str = other) -> float | None:
                if self.aurora.writer != other or self.aurora.stalled or not self.network.reaches(other, region):
                    return None
                return self.scheduler.random.uniform(*self.options.ledger_lag) * 1000

            def receipts(region: str = region, other: str = other) -> float | None:
                if (other, region) in self.buckets.stalled or not self.network.reaches(other, region):
                    return None
                return self.scheduler.random.uniform(*self.options.receipts_lag)

            self.metrics.publish_every(60.0, region, "AuroraGlobalDBReplicationLag", ledger)
            self.metrics.publish_every(60.0, region, "ReplicationLatency", receipts)

    # --- What faults do

    def drain(self) -> None:
        """Let what waited go on."""
        self.table.drain()
        self.buckets.drain()
        self.aurora.drain()

    def revive(self, region: str) -> None:
        """Let a lost region come back: what ran in it is gone."""
        self.network.dead.discard(region)
        self.drain()

    def mend_ways(self, ways: set[tuple[str, str]]) -> None:
        """Let packets go there again."""
        self.network.cuts -= ways
        self.drain()

    def stall_ledger(self, *, stalled: bool) -> None:
        """Stop the standby's copy of the log, or let it go on."""
        self.aurora.stalled = stalled
        self.drain()

    def kill_functions(self, region: str, kind: str) -> None:
        """Kill the environments of a function that run now."""
        for place, what, process in self._environments:
            if (place, what) == (region, kind):
                process.kill()

    def kill_driver(self, _: str) -> None:
        """Kill the newest driver that lives."""
        for process in reversed(self.drivers):
            if process.alive:
                process.kill()
                return

    def freeze_driver(self, seconds: float) -> None:
        """Freeze the newest driver that lives."""
        for process in reversed(self.drivers):
            if process.alive:
                process.freeze(seconds)
                return

    def restore_table(self, region: str) -> None:
        """Put the oldest snapshot of the table in place of its items."""
        if self.snapshots:
            self.table.restore(region, self.snapshots[0])

    def snapshot(self) -> None:
        """Keep the table as it is, for a restore."""
        self.snapshots.append({key: deepcopy(item) for key, (item, _) in self.table.views[REGIONS[0]].items()})


class Denying:
    """A client some of whose operations may be denied by a missing permission."""

    def __init__(self, world: World, region: str, client: Any, operations: Mapping[str, str]) -> None:
        self._world, self._region, self._client, self._operations = world, region, client, operations

    def __getattr__(self, name: str) -> Any:
        operation = self._operations.get(name)
        found = getattr(self._client, name)
        if operation is None:
            return found

        def denied(**given: Any) -> Any:
            if (self._region, operation) in self._world.denied and not given.get("Bucket", "receipts").startswith("control"):
                from simulator.dynamodb import failure
                raise failure(operation, "AccessDenied", 403)
            return found(**given)

        return denied
