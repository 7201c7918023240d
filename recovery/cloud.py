"""What the plan does in AWS, in the region that takes over. What also calls the `other` one says so."""
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from payments.errors import NotTheWriter, StoreUnavailable
from payments.leadership import LEASE, Leadership
from recovery import probe
from recovery.clock import CLOCK, Clock
from recovery.control_table import ControlTable
from recovery.journal import Journal, Run
from recovery.observation import behind
from recovery.plan import STALE, Action, Facts, Plan, lags
from recovery.stack import Site

LEVER = "takeover"
READ = 5.0  # seconds
METRICS = 1.0  # seconds: what is to be done about a look does not wait long for what is told of it
RECONCILE = 900.0  # seconds, what Lambda gives a function
CAUGHT_UP = 2.0  # seconds of lag that a switchover need not wait for: it waits itself, with payments held back
REPLICATION_RULE = "receipts"  # as the program names it
ALIAS, AVAILABLE, RESYNCING = "live", "available", "pending-resync"
NAMESPACE, SUBJECT = "TapStack", 99  # characters: SNS takes less than 100
SNAPSHOT, KEPT = "rds:unplanned-global-failover-", "lost-"
IDENTIFIER = 63  # characters, which RDS takes for a snapshot's
RECENT = timedelta(minutes=15)  # CloudWatch publishes lag once a minute, and late


class AwsFailure(Exception):
    """Something in AWS did not do what it was asked to: says what and why, in one line. To try again may help."""


class ClientFactory(Protocol):
    """Where clients come from: boto3's, made once."""

    def __call__(self, service: str, region: str, read: float = READ) -> Any:
        """The client of a service in a region, which waits at most `read` seconds for an answer."""


@contextmanager
def failing(what: str) -> Iterator[None]:
    """Raise Failed for whatever AWS refuses, or fails to answer."""
    try:
        yield
    except (ClientError, BotoCoreError, ResponseParserError, StoreUnavailable, OSError) as error:
        raise AwsFailure(f"{what}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Why something failed, in one line."""
    match error:
        case ClientError(response={"Error": {"Code": code, **more}}):
            text = f"{code}: {more.get('Message', '')}"
        case StoreUnavailable(store=store, code=code):
            text = f"{store}: {code}"
        case _:
            text = str(error) or type(error).__name__
    return " ".join(text.split())


@dataclass(kw_only=True)
class Cloud:
    """AWS as a plan needs it.

    Its steps are methods: each does what is left to do and tells of it, or gives None if that is not finished. To call
    it again is always right, also if nobody knows how far it came. They raise Failed.
    """

    plan: Plan
    clients: ClientFactory
    look: Callable[[str], probe.ProbeResult] = probe.look
    clock: Clock = CLOCK
    _fenced: tuple[str, float] = field(default=("", 0.0), init=False)
    """A run, and when by the monotonic clock the old writer was known to be fenced in it."""

    @property
    def _here(self) -> Site:
        return self.plan.target

    def _client(self, service: str, read: float = READ) -> Any:
        return self.clients(service, self._here.region, read)

    @property
    def table(self) -> ControlTable:
        """The target's replica of the table."""
        return ControlTable(self._client("dynamodb"), self.plan.stack.payments_table_name)

    # --- What is known

    def facts(self) -> Facts:
        """Everything that speaks for or against the plan; what cannot be told is None or says so.

        Never raises for what AWS does. Looks at the other region's API, unless the plan is a failover.
        """
        wrong: dict[str, str] = {}
        right = writer = watch = run = None
        cluster, instances = "", 0
        try:
            right, run = self.table.right(), Journal(self.table).latest()
            watch = self.table.watch(self._here.region)
        except StoreUnavailable as error:
            wrong["table"] = error.code
        try:
            with failing("bucket"):
                self._client("s3").head_bucket(Bucket=self._here.receipts_bucket)
        except AwsFailure as error:
            wrong["receipts"] = str(error)
        try:
            writer, cluster, instances = self.writer(), self.cluster(), self.instances()
        except AwsFailure as error:
            wrong["ledger"] = str(error)
        return Facts(
            right=right, writer=writer, cluster=cluster, instances=instances, own=self.look(self._here.api_endpoint),
            wrong=wrong, watch=watch, run=run,
            other=None if self.plan.action is Action.FAILOVER else self.look(self.plan.other.api_endpoint))

    def writer(self) -> str | None:
        """The region of the database's writer, by what RDS says here. Raises Failed."""
        return _writer(self._global())

    def cluster(self) -> str:
        """The state of the region's cluster, as RDS calls it. Raises Failed."""
        with failing("cluster"):
            found = self._client("rds").describe_db_clusters(DBClusterIdentifier=self._here.cluster_id)["DBClusters"]
        return str(found[0]["Status"])

    def instances(self) -> int:
        """How many instances of the region's cluster are available. Raises Failed."""
        with failing("instances"):
            found = self._client("rds").describe_db_instances(
                Filters=[{"Name": "db-cluster-id", "Values": [self._here.cluster_id]}])["DBInstances"]
        return sum(each["DBInstanceStatus"] == AVAILABLE for each in found)

    def lever(self, site: Site) -> bool:
        """Whether the lever of `site`, called there, says that it takes the traffic. Raises Failed."""
        with failing(f"lever in {site.region}"):
            try:
                self.clients("s3", site.region).head_object(Bucket=site.control_bucket, Key=LEVER)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND:
                    return False
                raise
        return True

    def pull(self, site: Site, *, wanted: bool) -> None:
        """Set the lever of `site`, called there. Raises Failed."""
        if self.lever(site) is wanted:
            return
        lever = {"Bucket": site.control_bucket, "Key": LEVER}
        with failing(f"lever in {site.region}"):
            client = self.clients("s3", site.region)
            if wanted:
                client.put_object(**lever, Body=self.plan.action.value.encode())
            else:
                client.delete_object(**lever)

    def lags(self, interval: float) -> dict[str, float]:
        """How far the target's copies are behind, in seconds by store; one that is not known is left out.

        `interval` is what lies between two heartbeats of the other region's controller, in seconds.
        """
        source, copy = self.plan.other, self._here
        ledger = self._newest("AWS/RDS", "AuroraGlobalDBReplicationLag", DBClusterIdentifier=copy.cluster_id)
        found = {"table": self._table_lag(interval), "ledger": None if ledger is None else ledger / 1000,
                 "receipts": self._newest("AWS/S3", "ReplicationLatency", SourceBucket=source.receipts_bucket,
                                          DestinationBucket=copy.receipts_bucket, RuleId=REPLICATION_RULE)}
        return {store: lag for store, lag in found.items() if lag is not None}

    def publish(self, metrics: Mapping[str, float]) -> None:
        """Put metrics of the stack into the region's CloudWatch. Raises Failed."""
        dimensions = [{"Name": "Stack", "Value": self.plan.stack.environment_suffix}]
        with failing("metrics"):
            self._client("cloudwatch", METRICS).put_metric_data(Namespace=NAMESPACE, MetricData=[
                {"MetricName": name, "Value": value, "Dimensions": dimensions} for name, value in metrics.items()])

    def tell(self, subject: str, message: str) -> None:
        """Tell people, through the region's topic. Raises Failed."""
        with failing("topic"):
            self._client("sns").publish(TopicArn=self._here.topic_arn, Subject=subject[:SUBJECT], Message=message)

    # --- The steps

    def step(self, key: str, run: Run) -> str | None:
        """Do what is left of a step. Raises Failed."""
        steps: Mapping[str, Callable[[Run], str | None]] = {
            "rejoin": self._rejoin, "snapshot": self._snapshot, "caught-up": self._caught_up, "fence": self._fence,
            "traffic": self._traffic, "promote": self._promote, "epoch": self._epoch, "verify": self._verify,
            "reconcile": self._reconcile}
        with failing(key):
            return steps[key](run)

    def _rejoin(self, _: Run) -> str | None:
        members = {member["DBClusterArn"]: member for member in _members(self._global())}
        member = members.get(self._here.cluster_arn)
        if member is None:
            raise AwsFailure(f"{self._here.cluster_id} is no member of the global database: AWS adds it by itself once its "
                         "region is well, or it is to be added by hand")
        follows = (self.look(self._here.api_endpoint).alive and member.get("SynchronizationStatus") != RESYNCING
                   and self.cluster() == AVAILABLE and self.instances())
        return f"{self._here.region} follows" if follows else None

    def _snapshot(self, _: Run) -> str | None:
        """Copy what expires with the cluster's backups; a copy stays until somebody deletes it."""
        rds = self._client("rds")
        pages = rds.get_paginator("describe_db_cluster_snapshots").paginate(DBClusterIdentifier=self._here.cluster_id)
        states = {each["DBClusterSnapshotIdentifier"]: each["Status"]
                  for page in pages for each in page["DBClusterSnapshots"]}
        copies = {each: kept(each) for each in states if each.startswith(SNAPSHOT)}
        for each, copy in copies.items():
            if copy not in states:
                rds.copy_db_cluster_snapshot(SourceDBClusterSnapshotIdentifier=each, KmsKeyId=self._here.key_arn,
                                             TargetDBClusterSnapshotIdentifier=copy, CopyTags=True)
        there = all(states.get(copy) == AVAILABLE for copy in copies.values())
        return f"kept: {', '.join(copies.values()) or 'there is none'}" if there else None

    def _caught_up(self, _: Run) -> str:
        """The ledger's lag may be unknown, since Aurora's own switchover waits for it; for the table's nobody does."""
        here, watch = self._here.region, self.table.watch(self._here.region)
        if watch is None or self.clock.time() - watch.alive_at > STALE:
            raise AwsFailure(f"the controller of {here} has not seen {self.plan.other.region} of late")
        if max(watch.lags.get("table", math.inf), watch.lags.get("ledger", 0.0)) > CAUGHT_UP:
            raise AwsFailure(f"{here} is behind: {lags(watch)}")
        return lags(watch)

    def _fence(self, run: Run) -> str:
        right = self.table.right()
        if right.region != self._here.region:
            right = self._take(0)
        self._fenced = run.id, self.clock.monotonic()
        return f"epoch {right.epoch}"

    def _traffic(self, _: Run) -> str:
        """A failover touches the target's lever only. Otherwise both are set, and the traffic moves with the second."""
        if self.plan.action is Action.FAILOVER:
            self.pull(self._here, wanted=True)
            return f"lever in {self._here.region} pulled"
        home, away = self.plan.stack.sites
        leaving = self._here == away
        self.pull(away, wanted=leaving)
        self.pull(home, wanted=False)
        return f"lever in {away.region} pulled" if leaving else "levers put back"

    def _promote(self, run: Run) -> str | None:
        """Ask for it once the old writer has stopped trusting that it has the right, and nobody else has asked."""
        found = self._global()
        if _writer(found) == self._here.region:
            return f"writer {self._here.cluster_id}" if self.cluster() == AVAILABLE else None
        if found.get("FailoverState"):
            return None
        if self._fenced[0] != run.id:  # by somebody who drove this run before, and nobody knows when
            self._fenced = run.id, self.clock.monotonic()
        self.clock.sleep(max(0.0, self._fenced[1] + LEASE - self.clock.monotonic()))
        target = {"GlobalClusterIdentifier": self.plan.stack.global_cluster_id,
                  "TargetDbClusterIdentifier": self._here.cluster_arn}
        if self.plan.action is Action.FAILOVER:
            self._client("rds").failover_global_cluster(**target, AllowDataLoss=True)
        else:
            # AWS wants this one asked where the writer is.
            self.clients("rds", self.plan.other.region).switchover_global_cluster(**target)
        return None

    def _epoch(self, _: Run) -> str:
        answer = self._invoke(self._here.reconcile_function_name, {"only": "epoch"}, READ)
        if "epoch" not in answer:
            raise AwsFailure(f"the ledger does not say which epoch it has seen: {answer.get('error')}")
        return f"epoch {self._take(answer['epoch']).epoch}"

    def _verify(self, run: Run) -> str:
        payment = {"payment_id": f"recovery-{run.id}", "amount": 1, "currency": "USD", "payer": "recovery:from",
                   "payee": "recovery:to"}
        event = {"resource": "/payment", "httpMethod": "POST", "headers": {"Content-Type": "application/json"},
                 "body": json.dumps(payment), "isBase64Encoded": False}
        answer = self._invoke(self._here.function_alias_arn, event, READ)
        if answer.get("statusCode") != HTTPStatus.CREATED:
            raise AwsFailure(f"the payment is not accepted: {answer.get('statusCode')} {answer.get('body')}")
        return f"{payment['payment_id']} accepted"

    def _reconcile(self, _: Run) -> str:
        """From the beginning each time: what was repaired before needs no repair any more."""
        answer = self._invoke(self._here.reconcile_function_name, {"cursor": ""}, RECONCILE)
        if not answer.get("done"):
            raise AwsFailure(f"reconcile: {answer.get('error')}")
        return ", ".join(f"{len(answer[key])} {key}" for key in ("repaired", "refused", "pending"))

    # --- What they are made of

    def _take(self, seen: int) -> Leadership:
        try:
            return self.table.take_right(self._here.region, seen)
        except NotTheWriter as error:
            raise AwsFailure(f"the right to write went to {error.writer}") from error

    def _invoke(self, function: str, event: Mapping[str, Any], read: float) -> dict[str, Any]:
        """What a function answers; it is named, or is the ARN of an alias."""
        qualified = {} if function.startswith("arn:") else {"Qualifier": ALIAS}
        answer = self._client("lambda", read).invoke(FunctionName=function, Payload=json.dumps(event), **qualified)
        try:
            found = json.loads(answer["Payload"].read())
        except ValueError:
            found = None
        if "FunctionError" in answer or not isinstance(found, dict):
            why = found.get("errorMessage") if isinstance(found, dict) else "its answer is no object"
            raise AwsFailure(f"{function}: {why}")
        return found

    def _global(self) -> dict[str, Any]:
        with failing("global database"):
            found: dict[str, Any] = self._client("rds").describe_global_clusters(
                GlobalClusterIdentifier=self.plan.stack.global_cluster_id)["GlobalClusters"][0]
        return found

    def _table_lag(self, interval: float) -> float | None:
        if self.plan.stack.strong:
            return 0.0
        with suppress(StoreUnavailable):
            heartbeat = self.table.watch(self.plan.other.region)
            if heartbeat:
                return behind(heartbeat.at, self.clock.time(), interval)
        return None

    def _newest(self, namespace: str, metric: str, **dimensions: str) -> float | None:
        """The newest value of a metric, None if there was none of late or nobody says."""
        now = datetime.fromtimestamp(self.clock.time(), UTC)
        try:
            with failing(metric):
                points = self._client("cloudwatch").get_metric_statistics(
                    Namespace=namespace, MetricName=metric, StartTime=now - RECENT, EndTime=now, Period=60,
                    Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
                    Statistics=["Maximum"])["Datapoints"]
        except AwsFailure:
            return None
        newest = max(points, key=lambda point: point["Timestamp"], default=None)
        return None if newest is None else float(newest["Maximum"])


def kept(snapshot: str) -> str:
    """The name of a snapshot's copy. It ends as the snapshot's own does, which is with the time that tells it apart."""
    return KEPT + snapshot.removeprefix(SNAPSHOT)[len(KEPT) - IDENTIFIER:].lstrip("-")


def _writer(found: Mapping[str, Any]) -> str | None:
    """The region of the writer in a description of the global database."""
    arns = (member["DBClusterArn"] for member in _members(found) if member["IsWriter"])
    return next((str(arn).split(":")[3] for arn in arns), None)


def _members(found: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    members: Sequence[Mapping[str, Any]] = found.get("GlobalClusterMembers", ())
    return members
