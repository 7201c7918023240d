"""What recovery reads from AWS in the region that takes over, its levers, and what it publishes there.

A method that also calls the other region says so.
"""
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

from contract import DATABASE_EVENTS, LEVER_KEY, METRICS_NAMESPACE, REPLICATION_RULE, STACK_DIMENSION, Metric, Store
from payments.clock import Clock
from payments.errors import StoreUnavailable
from recovery.control_table import ControlTable
from recovery.environment import READ_TIMEOUT, Environment
from recovery.errors import AwsFailure, aws_failures
from recovery.observation import ProbeResult, look
from recovery.plan import AVAILABLE, Action, Facts, Plan
from recovery.stack import Site

METRICS_TIMEOUT = 1.0  # seconds: publishing must not delay the reaction to a look
MAX_SUBJECT = 99  # characters: SNS takes fewer than 100
EVENT_MINUTES = 14 * 24 * 60
RECENT = timedelta(minutes=15)  # CloudWatch publishes lag once a minute, and late


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """AWS in the region of the plan's target. Every method raises AwsFailure unless it says otherwise."""

    plan: Plan
    environment: Environment

    @property
    def clock(self) -> Clock:
        """The environment's."""
        return self.environment.clock

    @property
    def table(self) -> ControlTable:
        """The target's replica of the table."""
        return ControlTable(self.client("dynamodb"), self.plan.stack.payments_table_name, self.environment.runtime)

    def client(self, service: str, read: float = READ_TIMEOUT) -> Any:
        """The client of a service in the target's region, which waits at most `read` seconds for an answer."""
        return self.environment.clients(service, self.plan.target.region, read)

    def look(self, site: Site) -> ProbeResult:
        """A look at a region's API from outside. Never raises."""
        return look(self.environment, site.api_endpoint)

    def facts(self) -> Facts:
        """Everything on which `refusals` depends; what cannot be read is None, or `wrong` says why.

        Never raises for what AWS does. Calls the other region's API, unless the plan is a failover.
        """
        wrong: dict[str, str] = {}
        leadership = writer = observation = run = None
        cluster, instances = "", 0
        try:
            leadership, run = self.table.leadership(), self.table.latest_run()
            observation = self.table.observation(self.plan.target.region)
        except StoreUnavailable as error:
            wrong[Store.TABLE] = error.code
        try:
            with aws_failures("bucket"):
                self.client("s3").head_bucket(Bucket=self.plan.target.receipts_bucket)
        except AwsFailure as error:
            wrong[Store.RECEIPTS] = str(error)
        try:
            writer, cluster, instances = self.writer(), self.cluster(), self.instances()
        except AwsFailure as error:
            wrong[Store.LEDGER] = str(error)
        return Facts(
            leadership=leadership, writer=writer, cluster=cluster, instances=instances, own=self.look(self.plan.target),
            wrong=wrong, observation=observation, run=run,
            other=None if self.plan.action is Action.FAILOVER else self.look(self.plan.other))

    def global_database(self) -> dict[str, Any]:
        """The global database as RDS describes it here."""
        with aws_failures("global database"):
            found: dict[str, Any] = self.client("rds").describe_global_clusters(
                GlobalClusterIdentifier=self.plan.stack.global_cluster_id)["GlobalClusters"][0]
        return found

    def writer(self) -> str | None:
        """The region of the database's writer, None if it has none."""
        return writer_of(self.global_database())

    def cluster(self) -> str:
        """The state of the region's cluster, as RDS calls it."""
        with aws_failures("cluster"):
            found = self.client("rds").describe_db_clusters(
                DBClusterIdentifier=self.plan.target.cluster_id)["DBClusters"]
        return str(found[0]["Status"])

    def instances(self) -> int:
        """How many instances of the region's cluster are available."""
        with aws_failures("instances"):
            found = self.client("rds").describe_db_instances(
                Filters=[{"Name": "db-cluster-id", "Values": [self.plan.target.cluster_id]}])["DBInstances"]
        return sum(each["DBInstanceStatus"] == AVAILABLE for each in found)

    def latest_event(self) -> dict[str, str] | None:
        """The latest event of the region's cluster within the last 14 days, which is as long as RDS keeps them."""
        with aws_failures("events"):
            pages = self.client("rds").get_paginator("describe_events").paginate(
                SourceType="db-cluster", SourceIdentifier=self.plan.target.cluster_id, Duration=EVENT_MINUTES,
                EventCategories=list(DATABASE_EVENTS))
            newest = max((each for page in pages for each in page["Events"]), key=lambda event: event["Date"],
                         default=None)
        return newest and {"at": newest["Date"].isoformat(), "message": newest["Message"]}

    def lever(self, site: Site) -> bool:
        """Whether the lever of `site` is pulled; calls that region."""
        with aws_failures(f"lever in {site.region}"):
            try:
                self.environment.clients("s3", site.region).head_object(Bucket=site.control_bucket, Key=LEVER_KEY)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND:
                    return False
                raise
        return True

    def set_lever(self, site: Site, *, pulled: bool) -> None:
        """Pull the lever of `site`, or reset it; calls that region."""
        if self.lever(site) is pulled:
            return
        lever = {"Bucket": site.control_bucket, "Key": LEVER_KEY}
        with aws_failures(f"lever in {site.region}"):
            client = self.environment.clients("s3", site.region)
            if pulled:
                client.put_object(**lever, Body=self.plan.action.value.encode())
            else:
                client.delete_object(**lever)

    def lags(self, interval: float) -> dict[str, float]:
        """How far the target's copies lag, in seconds by store; one that is unknown is left out. Never raises.

        `interval` is the time between two heartbeats of the other region's controller, in seconds.
        """
        source, copy = self.plan.other, self.plan.target
        ledger = self._newest("AWS/RDS", "AuroraGlobalDBReplicationLag", DBClusterIdentifier=copy.cluster_id)
        found = {Store.TABLE: self._table_lag(interval), Store.LEDGER: None if ledger is None else ledger / 1000,
                 Store.RECEIPTS: self._newest("AWS/S3", "ReplicationLatency", SourceBucket=source.receipts_bucket,
                                              DestinationBucket=copy.receipts_bucket, RuleId=REPLICATION_RULE)}
        return {store.value: lag for store, lag in found.items() if lag is not None}

    def publish(self, metrics: Mapping[Metric, float]) -> None:
        """Put metrics of the stack into the region's CloudWatch."""
        dimensions = [{"Name": STACK_DIMENSION, "Value": self.plan.stack.environment_suffix}]
        with aws_failures("metrics"):
            self.client("cloudwatch", METRICS_TIMEOUT).put_metric_data(Namespace=METRICS_NAMESPACE, MetricData=[
                {"MetricName": metric.value, "Value": value, "Dimensions": dimensions}
                for metric, value in metrics.items()])

    def notify(self, subject: str, message: str) -> None:
        """Notify people through the region's topic."""
        with aws_failures("topic"):
            self.client("sns").publish(TopicArn=self.plan.target.topic_arn, Subject=subject[:MAX_SUBJECT],
                                       Message=message)

    def _table_lag(self, interval: float) -> float | None:
        if self.plan.stack.strong:
            return 0.0
        with suppress(StoreUnavailable):
            heartbeat = self.table.observation(self.plan.other.region)
            if heartbeat:
                return max(0.0, self.clock.time() - heartbeat.at - interval)
        return None

    def _newest(self, namespace: str, metric: str, **dimensions: str) -> float | None:
        """The newest value of a metric, None if there is no recent one or it cannot be read."""
        now = datetime.fromtimestamp(self.clock.time(), UTC)
        try:
            with aws_failures(metric):
                points = self.client("cloudwatch").get_metric_statistics(
                    Namespace=namespace, MetricName=metric, StartTime=now - RECENT, EndTime=now, Period=60,
                    Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
                    Statistics=["Maximum"])["Datapoints"]
        except AwsFailure:
            return None
        newest = max(points, key=lambda point: point["Timestamp"], default=None)
        return None if newest is None else float(newest["Maximum"])


def writer_of(global_database: Mapping[str, Any]) -> str | None:
    """The region of the writer in a description of the global database, None if there is no writer."""
    return next((str(member["DBClusterArn"]).split(":")[3]
                 for member in global_database.get("GlobalClusterMembers", ()) if member["IsWriter"]), None)
