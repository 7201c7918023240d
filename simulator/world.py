"""Everything of one history: simulated AWS in two regions, the product deployed on it, clients, and what is true."""
import json
import logging
import math
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache, partial
from http import HTTPStatus
from typing import Any

from contract import (
    ALIAS,
    CHECK_PATH_KEY,
    LEVER_KEY,
    OBSERVATION_PREFIX,
    PAUSE_KEY,
    RECEIPTS_PREFIX,
    RECORD_KEY,
    REPAIR_MINUTES,
    Metric,
    Store,
)
from payments.deadline import Timing
from payments.ledger import PostgresLedger
from payments.payment import Payment, Record, parse_receipt
from payments.reconcile import Reconciliation
from payments.region import Transport, create_api, create_service
from payments.stores import item_of, record_of
from recovery import cli, controller
from recovery.observation import Observation
from recovery.outputs import FoundOutputs
from recovery.plan import RAISE_EPOCH
from recovery.record import ControlRecord, Run
from recovery.stack import Stack
from recovery.terminal import Terminal
from simulator import adapters
from simulator.aurora import LedgerSession, RdsClient, SimulatedAurora
from simulator.aws import AwsClient
from simulator.clients import Acknowledged, Client
from simulator.dynamodb import DynamoClient, Table
from simulator.functions import MINUTE, SEGMENT, ApiGatewayClient, Function, Functions, Gateway, LambdaClient, Schedule
from simulator.history import History
from simulator.metrics import CloudWatchClient, IamClient, Metrics, SnsClient, StsClient
from simulator.network import OUTSIDE, NetworkCall, SimulatedNetwork, Unanswered
from simulator.route53 import Route53, Route53Client
from simulator.s3 import Buckets, S3Client
from simulator.scheduler import EPOCH, Process, Scheduler

SILENT = logging.Logger("silent", logging.CRITICAL)  # noqa: LOG001  # it has no parent
REGIONS = ("us-east-1", "us-west-2")
TABLE, GLOBAL = "payment-transactions-sim", "tapstack-sim"
PAYMENTS, RECONCILE, CONTROLLER = "tapstack-payments-sim", "tapstack-reconcile-sim", "tapstack-controller-sim"
MEMORY, ANSWER = 520_000, 4_000  # bytes that a limited repair may hold, and answer: those of some 250 payments
LEDGER_PAGE = 20  # postings that the repair reads at once where its memory is limited
RECORDS = {RECORD_KEY: "run", OBSERVATION_PREFIX.rstrip(":"): "document"}
"""Attributes with a JSON document, by what the keys of their items begin with."""
SETTLED = {"S": "SETTLED"}
CLIENTS: Mapping[str, type[AwsClient[Any]]] = {kind.service: kind for kind in (
    DynamoClient, S3Client, RdsClient, LambdaClient, ApiGatewayClient, Route53Client, CloudWatchClient, SnsClient,
    IamClient, StsClient)}
DRILLS = frozenset({"POST /payment", "PutFunctionConcurrency", "DeleteFunctionConcurrency", "UpdateHealthCheck"})
"""What a drill calls, which no failover does."""
REPAIR_SECONDS = 60.0  # between two starts of the repair
DRAIN_SECONDS = 5.0
RECENT = 15.0  # seconds within which a region that takes payments has acknowledged one


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a seed draws for its world; times in seconds.

    `older` payments are there from the start. `limited`: the repair may hold no more than a part of them. `reuse` is
    the part of repeats that have another body.
    """

    strong: bool = False
    automatic: bool = True
    recovery_point: int = 60
    recovery_time: int = 900
    interval: int = 10
    threshold: int = 3
    checkers: int = 1
    pay_every: float = 5.0
    clients: int = 2
    reuse: float = 0.0
    older: int = 0
    limited: bool = False
    table_lag: tuple[float, float] = (0.1, 1.0)
    receipts_lag: tuple[float, float] = (0.5, 5.0)
    ledger_lag: tuple[float, float] = (0.05, 0.5)
    failover_takes: tuple[float, float] = (4.0, 40.0)
    switchover_takes: tuple[float, float] = (4.0, 60.0)
    skews: Mapping[str, float] = field(default_factory=dict)


@dataclass(kw_only=True)
class Screen(Terminal):
    """A terminal whose outputs need no file."""

    known: Mapping[str, Any]

    def outputs(self) -> FoundOutputs:
        """The stack's outputs."""
        return FoundOutputs(values=self.known, where="the history", written=math.inf)

    def keep(self, *_: object, **_given: object) -> bool:
        """Write no report."""
        return True


class World:  # pylint: disable=too-many-instance-attributes,too-many-public-methods  # everything of a history
    """The history's world, from its start."""

    # pylint: disable-next=too-many-statements
    def __init__(self, seed: int, options: Options, adversary: Any = None) -> None:
        self.options, self.history, self.regions = options, History(), REGIONS
        self.scheduler = scheduler = Scheduler(seed)
        self.network = SimulatedNetwork(scheduler, self.history, shunned=self._shunned)
        if adversary is not None:
            self.network.adversary = adversary
        primary, standby = REGIONS
        draw = scheduler.random
        self.table = Table(self.network, REGIONS, options.strong, lag=lambda: draw.uniform(*options.table_lag),
                           writes=self._as_written)
        self.receipts = {region: f"receipts-{region}" for region in REGIONS}
        self.control = {region: f"control-{region}" for region in REGIONS}
        self.buckets = Buckets(
            self.network, {name: region for kind in (self.receipts, self.control) for region, name in kind.items()},
            {self.receipts[primary]: self.receipts[standby], self.receipts[standby]: self.receipts[primary]},
            lag=lambda: draw.uniform(*options.receipts_lag))
        self.aurora = SimulatedAurora(
            self.network, self.history, GLOBAL,
            {region: f"arn:aws:rds:{region}:123456789012:cluster:tapstack-sim-{region}" for region in REGIONS}, primary,
            lag=lambda: draw.uniform(*options.ledger_lag), failover_takes=options.failover_takes,
            switchover_takes=options.switchover_takes, asked=self._asked)
        self.metrics = Metrics(self.network, self.history)
        self.functions = Functions(self.network)
        self.gateway = Gateway(self.network, self.functions, PAYMENTS, self.lever)
        self.newer: set[str] = set()
        """Regions that have the next release."""
        self.acknowledged: dict[str, Acknowledged] = {}
        self.given_up: set[str] = set()
        """Acknowledged payments that no store of the region had that took over: an eventual table may lose them."""
        self.contested: set[str] = set()
        self.forked: set[str] = set()  # settled by a region where the other's receipt has not arrived: two times
        """Payment ids under which two requests were acknowledged."""
        self.skews = dict(options.skews)
        self.drivers: list[Process] = []
        self.permanent: list[Any] = []
        """The faults that stay for ever, in the second phase."""
        self.struck: Counter[str] = Counter()
        """How often processes were struck, by what struck them."""
        self.healed = 0.0
        """When the second phase began."""
        self.served = dict.fromkeys(REGIONS, 0.0)
        """When each region acknowledged a payment last."""
        self._environments: list[tuple[str, str, Process]] = []
        self._holders: dict[str, Process] = {}  # who wrote the run last, by region; of a strong table under ""
        self._names: dict[str, str] = {}  # by process, what it calls itself in a run
        self._looked: dict[str, float] = {}  # by region, when its controller wrote its last observation
        self._snapshot: dict[str, Any] = {}  # what the stores had in the primary region, by store
        self._silent_lag = draw.random() < 1 / 2
        self.outputs = self._outputs()
        self.stack = Stack.of(self.outputs)
        for region in REGIONS:
            self._deploy(region)
        self._fill()
        put = self.table.put
        self.table.put = partial(self._put, put)  # type: ignore[method-assign]
        self.route53 = Route53(self.network, REGIONS, self._check, interval=options.interval,
                               threshold=options.threshold, checkers=options.checkers)
        self.schedule = Schedule(self.network, self.functions, CONTROLLER, REGIONS)
        self.repairs = Schedule(self.network, self.functions, RECONCILE, REGIONS, REPAIR_SECONDS)
        self._publish_lags()
        self._alarms()
        self._drain_again()
        for number in range(options.clients):
            Client(self, number)

    # --- What is deployed

    def _outputs(self) -> dict[str, Any]:
        options = self.options
        found: dict[str, Any] = {
            "environment_suffix": "sim", "profile": "dev", "payments_table_name": TABLE,
            "table_consistency": "strong" if options.strong else "eventual", "global_cluster_id": GLOBAL,
            "failover_mode": "automatic" if options.automatic else "manual",
            "look_interval": 10, "health_check_interval": options.interval,
            "health_check_threshold": options.threshold,
            "recovery_time_objective": options.recovery_time, "recovery_point_objective": options.recovery_point,
            "dns": "on", "service_url": "https://pay.example.com", "database_class": "db.r7g.large",
            "least_connections": 1669}
        for role, region in zip(("primary", "dr"), REGIONS, strict=True):
            arn = f"arn:aws:lambda:{region}:123456789012:function:{PAYMENTS}:{ALIAS}"
            found |= {f"{role}_{key}": value for key, value in {
                "region": region, "instances": 1, "api_endpoint": f"https://{region}.pay.example.com",
                "cluster_arn": self.aurora.clusters[region], "cluster_id": f"tapstack-sim-{region}",
                "control_bucket": self.control[region], "receipts_bucket": self.receipts[region],
                "topic_arn": f"arn:aws:sns:{region}:123456789012:alarms", "function_alias_arn": arn,
                "function_name": PAYMENTS, "reconcile_function_name": RECONCILE, "controller_function_name": CONTROLLER,
                "api_key_id": "key", "health_check_id": role,
                "key_arn": f"arn:aws:kms:{region}:123456789012:key/1"}.items()}
        return found

    def _deploy(self, region: str) -> None:
        limited = self.options.limited
        self.functions.add(Function(PAYMENTS, region, partial(self._payments, region), 10.0))
        self.functions.add(Function(RECONCILE, region, partial(self._reconcile, region), REPAIR_MINUTES * 60,
                                    memory=MEMORY * limited, answer=ANSWER * limited))
        self.functions.add(Function(CONTROLLER, region, partial(self._controller, region), 900.0))

    def _fill(self) -> None:
        """Give all stores the leadership of the primary region, and the older payments; and the path of the checks."""
        for bucket in self.control.values():
            self.buckets.write(bucket, CHECK_PATH_KEY, SEGMENT.encode())
        self.table.put(REGIONS[0], RECORD_KEY, ControlRecord(revision=1, epoch=1, region=REGIONS[0]).item())
        for number in range(self.options.older):
            payment = Payment(payment_id=f"older-{number}", amount=1, currency="EUR", payer="payer", payee="shop")
            record = Record(payment=payment, fingerprint=payment.fingerprint(), epoch=1, settled=True,
                            created_at=f"2027-01-15T07:{number // 60:02}:{number % 60:02}.000+00:00")
            self.table.put(REGIONS[0], payment.payment_id, item_of(record))
            key = f"{RECEIPTS_PREFIX}{payment.payment_id}.json"
            self.buckets.write(self.receipts[REGIONS[0]], key, record.receipt())
            for books in self.aurora.books.values():
                books.write({**vars(payment), **vars(record), "corrects": False})
        for view in self.table.views.values():
            view.update(self.table.views[REGIONS[0]])

    def environ(self, region: str) -> dict[str, str]:
        """The environment of a region's functions."""
        return {"AWS_REGION": region, "TABLE_NAME": TABLE, "RECEIPTS_BUCKET": self.receipts[region],
                "DATABASE_HOST": f"writer.{region}",
                "DATABASE_READER_HOST": f"reader.{region}", "DATABASE_PORT": "5432", "DATABASE_NAME": "payments",
                "DATABASE_USER": "payments_app"}

    def clients(self, process: Process) -> Any:
        """The AWS clients of a process, as its code asks for them."""
        @cache
        def client(service: str, region: str, read: float = 5.0, *, once: bool = False) -> Any:
            return self._client_of(process, service, region, read, once=once)

        return client

    def _client_of(self, process: Process, service: str, region: str, read: float, *, once: bool) -> Any:
        parts = {"dynamodb": self.table, "s3": self.buckets, "rds": self.aurora, "lambda": self.functions,
                 "apigateway": self.gateway, "route53": self.route53}
        return CLIENTS[service](parts.get(service, self.metrics), process, region, read, once=once)

    def transport(self, process: Process) -> Transport:
        """How a function's process reaches AWS."""
        clients = self.clients(process)
        connect = adapters.connecting(self.aurora, process)
        return Transport(lambda region: adapters.BotoSession(clients, region), connect)

    def environment(self, process: Process) -> Any:
        """What recovery takes from the machine of a process."""
        return adapters.environment(process, self.network, self.clients(process), self.http, self.route53.text)

    def command(self, process: Process, words: str) -> tuple[int, str]:
        """Run a command of recovery; its exit code, and what it printed."""
        console = adapters.Silence()
        given: Any = {"console": lambda _: console, "confirm": lambda _: True}
        screen = Screen(environ={}, driver=process.name, known=self.outputs,
                        connect=lambda _: self.environment(process), **given)
        try:
            code = cli.run(words.split(), screen)
        finally:
            vars(screen).clear()  # recovery's commands keep what they were given last, and must not keep this world
        return code, " | ".join(console.lines)

    def _payments(self, region: str, process: Process) -> Any:
        self._environments.append((region, "payments", process))
        runtime = adapters.runtime(process, self.network)
        api = create_api(self.environ(region), Timing(), runtime, self.transport(process))
        return replace(api, logger=SILENT).answer

    def _reconcile(self, region: str, process: Process) -> Any:
        self._environments.append((region, "reconcile", process))
        timing, runtime = Timing(), adapters.runtime(process, self.network)
        service = create_service(self.environ(region), timing, runtime, self.transport(process))
        if self.options.limited:
            writer, reader = (partial(LedgerSession.connect, self.aurora, process, region, reader=reads)
                              for reads in (False, True))
            service = replace(service, ledger=PostgresLedger(writer, reader, page=LEDGER_PAGE))
        made = Reconciliation(region, service, timing, runtime)

        def answer(event: Any, context: Any) -> Any:
            leader, began = self.leader(region), self.scheduler.now
            found = made.answer(event, context)
            if found.get("done") and leader == self.leader(region):
                self.history.note(self.scheduler.now, "repaired", region, began=began, epoch=leader[1],
                                  leads=leader[0] == region, **found["counts"])
            return found

        return answer

    def _controller(self, region: str, process: Process) -> Any:
        self._environments.append((region, "controller", process))
        process.skew = self.skews.get(region, 0.0)
        self.drivers.append(process)
        environ = {**self.environ(region), "STACK_OUTPUTS": json.dumps(self.outputs), "PROBE_SECONDS": "10",
                   "WATCH_SECONDS": "60", "COOL_DOWN_SECONDS": "300",
                   "DETECTION_SECONDS": str(self.stack.detection), "ROLE_ARN": f"arn:aws:iam::1:role/{region}"}
        controller.logger.setLevel(logging.CRITICAL)
        made = controller.create(environ, self.environment(process))
        return lambda _event, context: made.watch(f"controller in {region} ({context.aws_request_id})")

    # --- HTTP

    def http(self, process: Process, url: str, method: str, body: bytes | None, timeout: float) -> tuple[int, bytes]:
        """Status and body of an answer to a request for a region's own host, or for the service's name. 0: none."""
        host, _, path = url.removeprefix("https://").partition("/")
        region = next((each for each in REGIONS if host.startswith(each)), "") or self.route53.leads_to()
        try:
            status, text = self.gateway.request(
                process, region, method, f"/{path}", body=body.decode() if body else None, patience=timeout,
                connect=min(timeout, 1.0))
        except Unanswered:
            return 0, b""
        if method == "POST" and status == HTTPStatus.CREATED:  # a drill's client pays
            answer = json.loads(text)
            self.acknowledge(Acknowledged(answer["payment_id"], self.scheduler.now, region, answer))
        return status, text.encode()

    def _check(self, checker: Process, region: str, path: str, patience: float) -> int:
        return self.gateway.request(checker, region, "GET", path, patience=patience)[0]

    def acknowledge(self, payment: Acknowledged) -> None:
        """Remember what a client was told."""
        self.acknowledged.setdefault(payment.payment_id, payment)
        self.served[payment.region] = payment.at

    # --- What is true

    def stores_with(self, region: str, payment_id: str) -> dict[Store, dict[str, Any]]:
        """The stores of a region that keep a payment, each with the answer that a client would get from it.

        The table keeps it once it is settled.
        """
        item = self.table.item(region, payment_id)
        receipt = self.buckets.newest(self.receipts[region], f"{RECEIPTS_PREFIX}{payment_id}.json")
        kept = {Store.TABLE: record_of(item).answer() if item and item.get("status") == SETTLED else None,
                Store.LEDGER: self.aurora.books[region].answer(payment_id),
                Store.RECEIPTS: parse_receipt(receipt).answer() if receipt else None}
        return {store: answer for store, answer in kept.items() if answer}

    def keeps(self, region: str, payment_id: str) -> bool:
        """Whether any store of a region has a payment."""
        item = self.table.item(region, payment_id)
        return (item is not None and item.get("status") == SETTLED) or (
            payment_id in self.aurora.books[region].postings) or self.buckets.newest(
                self.receipts[region], f"{RECEIPTS_PREFIX}{payment_id}.json") is not None

    def leader(self, region: str) -> tuple[str, int]:
        """Who leads and under which epoch, as a region's replica says."""
        item = self.table.item(region, RECORD_KEY)
        return (item["region"]["S"], int(item["epoch"]["N"])) if item else ("", 0)

    def run(self, region: str) -> Run | None:
        """The latest run, as a region's replica says."""
        item = self.table.item(region, RECORD_KEY)
        return ControlRecord.of(item).run if item else None

    def reported(self, region: str) -> float | None:
        """The seconds of payments that would be lost by what a region's controller wrote last, None if unknown."""
        item = self.table.item(region, f"{OBSERVATION_PREFIX}{region}")
        return Observation.of(json.loads(item["document"]["S"])).exposure(
            self.stack, EPOCH + self.scheduler.now) if item else None

    def paused(self, region: str) -> bool:
        """Whether automatic failover is paused, as a region's replica says."""
        item = self.table.item(region, PAUSE_KEY)
        return item is not None and json.loads(item["document"]["S"])["until"] > EPOCH + self.scheduler.now

    def lever(self, region: str) -> bool:
        """Whether a region's lever is set."""
        return self.buckets.newest(self.control[region], LEVER_KEY) is not None

    def takes_payments(self, region: str) -> bool:
        """Whether a region leads by its own replica, and its database takes writes."""
        return region not in self.network.dead and self.leader(region)[0] == region and self.aurora.accepting[region]

    def stranded(self) -> bool:
        """Whether the writer's region is dead, and the other one's database has not followed it: RDS promotes none."""
        writer = self.aurora.writer
        return writer in self.network.dead and not self.aurora.follows(self.other(writer))

    def other(self, region: str) -> str:
        """The other region."""
        return REGIONS[REGIONS[0] == region]

    # --- What is noted of writes

    def _put(self, put: Any, region: str, key: str, item: dict[str, Any]) -> None:
        """Write an item, and note what that changes."""
        before, now, writer = self.table.item(region, key), self.scheduler.now, self.table.writer
        if writer is not None:
            if key == RECORD_KEY:
                record, was = ControlRecord.of(item), self.run(region)
                if record.run:
                    self._hold(region, writer, record.run)
                fences = record.run is not None and record.run.epoch and not (was and was.epoch)
                if fences or (before is not None and before["region"] != item["region"]):
                    self._led(now, record, record.run if fences else None, writer)
            elif key.startswith(OBSERVATION_PREFIX):
                self._looked[region] = now
            elif item.get("status") == SETTLED != (before or {}).get("status"):
                self.history.note(now, "settled", region, id=key, epoch=int(item["epoch"]["N"]))
                theirs, ours = ({version.body for version in self.buckets.objects[self.receipts[each]].get(
                    f"{RECEIPTS_PREFIX}{key}.json", ())} for each in (self.other(region), region))
                if theirs - ours and not self.options.strong:
                    self.forked.add(key)
        put(region, key, item)

    def _hold(self, region: str, writer: Process, run: Run) -> None:
        """Somebody wrote the run in a region: it is theirs, and has been proved to be."""
        record = "" if self.options.strong else region
        holder = self._holders.get(record)
        if holder is not None and holder is not writer:
            holder.shuns = ""
        writer.proved, self._names[writer.name] = writer.calls, run.driver
        before = self.run(region)
        # Who only claims a run may have given that call up, and not know of it.
        goes_on = before is not None and (before.id, before.driver) == (run.id, run.driver) and run.ended is None
        writer.shuns = self.other(run.target) if goes_on and run.action == "failover" else ""
        if before and before.id == run.id and before.ended is not None and run.ended is None:
            self.history.note(self.scheduler.now, "reopened", writer.name, run=run.id)
        if before is None or (before.id, before.driver, before.ended) != (run.id, run.driver, run.ended):
            raised = (done := run.steps.get(RAISE_EPOCH.key)) is not None and done.ended is not None
            newest = max(run.epoch, *(self.leader(each)[1] for each in REGIONS))
            theirs = self.run(self.other(region))
            opposite = theirs is not None and theirs.ended is None and theirs.id != run.id
            self.history.note(self.scheduler.now, "runs" if run.ended is None else "ends", writer.name,
                              action=run.action, target=run.target, run=run.id, why=run.outcome or run.why,
                              writer=self.aurora.writer, led_to=self.route53.leads_to(),
                              split=(opposite or bool(self.network.cuts)) and not self.options.strong,
                              outrun=self.aurora.books[run.target].epoch - newest if raised else 0)
        self._holders[record] = writer

    def _shunned(self, call: NetworkCall) -> None:
        """Note a call to the region that a failover leaves alone, if its caller still drives that failover.

        The clients of a drill are in its driver's process, and so is what restores the region that the drill broke.
        """
        if call.operation in DRILLS:
            return
        run = self.run(self.other(call.region))
        if run and run.ended is None and run.driver == self._names[call.caller.name]:
            self.history.note(self.scheduler.now, "called", call.caller.name, region=call.region,
                              operation=call.operation)
        else:
            call.caller.shuns = ""

    def _led(self, now: float, record: ControlRecord, run: Run | None, writer: Process) -> None:
        """Note that a run fences, or, without one, that leadership is given back, with what is true at that moment."""
        leader = record.region
        other = self.other(leader)
        missing = [each for each in self.acknowledged.values()
                   if each.payment_id not in self.given_up and not self.keeps(leader, each.payment_id)]
        oldest = min((each.at for each in missing), default=0.0)
        failover = run is not None and run.action == "failover"
        # Whether it may have failed before it was lost.
        failed = other in self.gateway.down or not self.functions.reserved.get((other, PAYMENTS), 1)
        begun = next((event.who for event in self.history.of("runs") if run and event.facts["run"] == run.id), "")
        if failover and not self.options.strong:
            self.given_up.update(each.payment_id for each in missing)
        self.history.note(
            now, "leads", leader, epoch=record.epoch, action=run and run.action, run=run and run.id,
            by=writer.name, resumed=begun != writer.name,
            automatic=writer.place != OUTSIDE, accepted=run and run.accepted,
            missing=len(missing),
            exposure=round(self.served[other] - oldest, 1) if missing else 0.0, reported=self.reported(leader),
            looked=round(writer.asked - self._looked.get(leader, 0.0), 1), written_for=round(now - writer.asked, 1),
            served=round(now - self.served[other], 1),
            other_pays=self.takes_payments(other) and now - self.served[other] < RECENT,
            paused=self.paused(leader), seen=self.route53.sees(other),
            flooded=other in self.gateway.flooded,
            reached=self.network.reaches(leader, other) and self.network.reaches(other, leader),
            dead=round(now - self.network.dead[other], 1) if other in self.network.dead and not failed else None)

    def _asked(self, caller: Process, target: str, how: str, number: int) -> None:
        holder, run = self._holders.get("" if self.options.strong else target), self.run(target)
        holds = holder is caller and run is not None and run.ended is None
        self.history.note(self.scheduler.now, "asked to promote", caller.name, target=target, how=how, holds=holds,
                          holder=holder.name if holder else "nobody", proved=number == caller.proved + 1,
                          evidence=run.evidence if run else "", run=run.id if run else "",
                          seen=self.route53.seen_for(self.other(target), caller.asked))

    def _as_written(self, writer: Process, key: str, item: dict[str, Any]) -> dict[str, Any]:
        """An item as the release of its writer has it: the next one has another field."""
        part = RECORDS.get(key.partition(":")[0], "")
        if writer.place in self.newer and part in item:
            document = {**json.loads(item[part]["S"]), "release": 2}
            return {**item, "release": {"N": "2"}, part: {"S": json.dumps(document)}}
        return item

    # --- What AWS does by itself

    def _publish_lags(self) -> None:
        def lag(region: str, *, stalled: bool, usual: tuple[float, float]) -> float | None:
            """What CloudWatch shows of a copy: of a stalled one nothing, or for how long; nobody documents which."""
            if stalled or not self.network.reaches(self.other(region), region):
                return None if self._silent_lag else self.scheduler.now - self.served[self.other(region)]
            return self.scheduler.random.uniform(*usual)

        for region in REGIONS:
            def ledger(region: str = region) -> float | None:
                if self.aurora.writer == region:
                    return None
                found = lag(region, stalled=self.aurora.stalled, usual=self.options.ledger_lag)
                return None if found is None else found * 1000

            def receipts(region: str = region) -> float | None:
                return lag(region, stalled=(self.other(region), region) in self.buckets.stalled,
                           usual=self.options.receipts_lag)

            self.metrics.publish_every(60.0, region, "AuroraGlobalDBReplicationLag", ledger)
            self.metrics.publish_every(60.0, region, "ReplicationLatency", receipts)

    def _alarms(self) -> None:
        """Once a minute: people hear of it if a controller sees the other region unhealthy, or reports nothing.

        As the program's alarm does: for two minutes, and by the best figure of them.
        """
        for region in REGIONS:
            if region not in self.network.dead and self.scheduler.now > 2 * MINUTE:
                points = self.metrics.points.get((region, Metric.OTHER_REGION_HEALTHY), [])
                values = [value for at, value in points if at > self.scheduler.now - 2 * MINUTE]
                if not values or max(values) < 1:
                    self.history.note(self.scheduler.now, "alarm", region, message=(
                        f"{self.other(region)} does not answer, or it is not watched: `python -m recovery failover "
                        f"--to {region}`"))
        self.scheduler.at(MINUTE, self._alarms)

    def _drain_again(self) -> None:
        self.drain()
        self.scheduler.at(DRAIN_SECONDS, self._drain_again)

    def drain(self) -> None:
        """Let copies that waited go on where nothing holds them any more."""
        self.table.drain()
        self.buckets.drain()
        self.aurora.drain()

    # --- What faults do

    def lose(self, region: str, *, ends: bool) -> None:
        """Cut a region off from everything; `ends`: what runs in it ends, too."""
        self.network.dead.setdefault(region, self.scheduler.now)
        if ends:
            self.kill_in(region)

    def kill_in(self, region: str, kind: str = "") -> None:
        """Kill the environments of a region's functions, or of one kind of them."""
        for place, what, process in self._environments:
            if place == region and kind in ("", what):
                process.kill()
        self._environments = [each for each in self._environments if each[2].alive]

    def restore_table(self, region: str) -> None:
        """Put the snapshot of the table in place of its items."""
        self.table.restore(region, self._snapshot[Store.TABLE])

    def restore_receipts(self, region: str) -> None:
        """Put the snapshot of the receipts on top of a region's, as AWS Backup does."""
        for key, body in self._snapshot[Store.RECEIPTS].items():
            self.buckets.write(self.receipts[region], key, body)

    def snapshot(self) -> None:
        """Keep the stores as they are, for a restore."""
        primary = REGIONS[0]
        self._snapshot = {
            Store.TABLE: {key: deepcopy(item) for key, (item, _) in self.table.views[primary].items()},
            Store.RECEIPTS: {key: versions[-1].body
                             for key, versions in self.buckets.objects[self.receipts[primary]].items()},
            Store.LEDGER: self.aurora.books[primary].copy()}

    def restore_ledger(self) -> None:
        """Put the snapshot of the ledger in place of both regions' databases, which is the same cluster for clients."""
        self.aurora.restore(self._snapshot[Store.LEDGER])

    def jump(self, region: str, seconds: float) -> None:
        """Let the wall clocks of a region's functions jump."""
        self.skews[region] = self.skews.get(region, 0.0) + seconds
        for place, _, process in self._environments:
            if place == region:
                process.skew += seconds

    def freeze_driver(self, seconds: float) -> None:
        """Freeze the newest driver that lives."""
        living = [process for process in self.drivers if process.alive]
        if living:
            living[-1].freeze(seconds)
