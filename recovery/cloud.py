"""What recovery reads from AWS in the region that takes over, its levers, and what it publishes there.

A method that also calls the other region says so.
"""
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

from contract import (
    ALIAS,
    ALIVE,
    DATABASE_EVENTS,
    DEAD,
    LEVER_KEY,
    METRICS_NAMESPACE,
    STACK_DIMENSION,
    Metric,
    Store,
)
from payments.clock import Clock, Stopwatch
from payments.errors import StoreUnavailable
from recovery.control_table import ControlTable
from recovery.environment import READ_TIMEOUT, Environment
from recovery.errors import AwsFailure, StackError, aws_failures
from recovery.observation import DENIED, PublicChecks, ask_readiness
from recovery.plan import WORKING, Action, Facts, Plan
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
        """The environment's clock."""
        return self.environment.clock

    @cached_property
    def table(self) -> ControlTable:
        """The target's replica of the table."""
        return ControlTable(self.client("dynamodb"), self.plan.stack.payments_table_name, self.environment.runtime)

    def client(self, service: str, read: float = READ_TIMEOUT) -> Any:
        """The client of a service in the target's region, which waits at most `read` seconds for an answer."""
        return self.environment.clients(service, self.plan.target.region, read)

    @cached_property
    def checks(self) -> PublicChecks:
        """Asks regions what health checks ask, by the secret path that the target's region keeps."""
        return PublicChecks(environment=self.environment, keeper=self.plan.target)

    def led_to(self) -> str:
        """The region that the zone's own name servers send clients to, empty if that is unknown. Never raises."""
        return self.environment.verdict(self.plan.stack.leads_name) if self.plan.stack.service_url else ""

    def seen(self, site: Site) -> bool | None:
        """Whether Route 53's checkers see a region's API answer, None if that is unknown. Never raises.

        The levers do not matter for it. Asked at the zone's own name servers, so it calls no region.
        """
        stack = self.plan.stack
        text = self.environment.verdict(stack.alive_name(site.region)) if stack.service_url else ""
        return {ALIVE: True, DEAD: False}.get(text)

    def facts(self) -> Facts:
        """Everything on which `refusals` depends; what cannot be read is None, or `wrong` says why.

        Never raises for what AWS does. Calls the other region, unless the plan is a failover.
        """
        wrong: dict[str, str] = {}
        record = observation = lever = None
        database: dict[str, Any] = {}
        cluster, instances = "", 0
        try:
            record, observation = self.table.record(), self.table.observation(self.plan.target.region)
        except StoreUnavailable as error:
            wrong[Store.TABLE] = error.code
        try:
            # At the same time, since a decision must not grow old where RDS is slow.
            questions: Mapping[str, Callable[[], Any]] = {
                "database": self.global_database, "cluster": self.cluster, "instances": self.instances}
            database, cluster, instances = self.environment.background.gather(questions, math.inf).values()
        except AwsFailure as error:
            wrong[Store.LEDGER] = str(error)
        own, led_to = self.checks.look(self.plan.target), self.led_to()
        if not own.alive:  # its function may be well: its API may be flooded, or the way to it from here be cut
            asked = ask_readiness(self.environment, self.plan.target)
            own = replace(asked, alive=own.alive, why=own.why if asked.ready or own.alive is False else asked.why)
        try:
            lever = self.lever(self.plan.target)
        except AwsFailure as error:
            wrong["control bucket"] = str(error)
        other = self.checks.look(self.plan.other) if self.plan.action.planned else None
        now = self.table.now if record else 0.0  # last of all: what takes long here makes the observation older
        return Facts(now=now, record=record, writer=writer_of(database), cluster=cluster, instances=instances, own=own,
                     moving=bool(database.get("FailoverState")), sync=sync_of(database, self.plan.target.cluster_arn),
                     wrong=wrong, observation=observation, led_to=led_to, lever=lever, other=other)

    def global_database(self) -> dict[str, Any]:
        """The global database as RDS describes it here, empty if it knows none."""
        with aws_failures("global database"):
            found: list[dict[str, Any]] = self.client("rds").describe_global_clusters(
                GlobalClusterIdentifier=self.plan.stack.global_cluster_id)["GlobalClusters"]
        return found[0] if found else {}

    def writer(self) -> str | None:
        """The region of the database's writer, None if it has none."""
        return writer_of(self.global_database())

    def cluster(self) -> str:
        """The state of the region's cluster, as RDS calls it, empty if it knows none."""
        with aws_failures("cluster"):
            found = self.client("rds").describe_db_clusters(
                DBClusterIdentifier=self.plan.target.cluster_id)["DBClusters"]
        return str(found[0]["Status"]) if found else ""

    def instances(self) -> int:
        """How many instances of the region's cluster work."""
        with aws_failures("instances"):
            found = self.client("rds").describe_db_instances(
                Filters=[{"Name": "db-cluster-id", "Values": [self.plan.target.cluster_id]}])["DBInstances"]
        return sum(each["DBInstanceStatus"] in WORKING for each in found)

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
        lever = {"Bucket": site.control_bucket, "Key": LEVER_KEY}
        with aws_failures(f"lever in {site.region}"):
            client = self.environment.clients("s3", site.region, once=True)
            if pulled:
                client.put_object(**lever, Body=self.plan.action.value.encode())
            else:
                client.delete_object(**lever)

    def caller(self) -> str:
        """The ARN that this process has in AWS, empty if STS does not say. Raises StackError in another account."""
        try:
            with aws_failures("caller"):
                found = str(self.client("sts", METRICS_TIMEOUT).get_caller_identity()["Arn"])
        except AwsFailure:
            return ""
        account = self.plan.target.cluster_arn.split(":")[4]
        if found.split(":")[4] != account:  # where a stack of the same suffix has the same names
            raise StackError(f"the stack is in account {account}, and you are signed in as {found}")
        return found

    def denied(self, caller: str, within: float = math.inf, *, notifies: bool = False) -> list[str] | None:
        """The actions of the plan that IAM denies a caller (ARN) for certain; None if it does not answer. Never raises.

        It asks no more questions after `within` seconds. `notifies`: the plan must not begin if nobody would be told.
        Calls IAM, which is in us-east-1: a failover must not wait for it.
        """
        asked, denied = Stopwatch(self.clock), []
        try:
            with aws_failures(DENIED):
                iam = self.client("iam", METRICS_TIMEOUT)
                kind, _, name = caller.rpartition(":")[2].partition("/")
                if kind == "assumed-role":  # a session's ARN leaves out the path of its role
                    caller = iam.get_role(RoleName=name.partition("/")[0])["Role"]["Arn"]
                elif kind not in ("role", "user"):
                    return None
                for action, region, resources in self._actions(notifies=notifies):
                    if asked.seconds() > within:
                        return None
                    context = {"ContextKeyName": "aws:RequestedRegion", "ContextKeyType": "string",
                               "ContextKeyValues": [region]}
                    found = iam.simulate_principal_policy(
                        PolicySourceArn=caller, ActionNames=[action], ResourceArns=resources,
                        ContextEntries=[context])["EvaluationResults"]
                    if any(map(_denies, found)):
                        denied.append(action)
        except AwsFailure:
            return None
        return denied

    def _actions(self, *, notifies: bool) -> Iterator[tuple[str, str, list[str]]]:
        """The actions that the plan needs once it has fenced, each with the region of its call and all ARNs of it."""
        stack, target, other = self.plan.stack, self.plan.target, self.plan.other
        account = target.cluster_arn.split(":")[4]
        clusters = [target.cluster_arn, other.cluster_arn,
                    f"arn:aws:rds::{account}:global-cluster:{stack.global_cluster_id}"]
        if self.plan.action.planned:
            yield "rds:SwitchoverGlobalCluster", other.region, clusters
        elif self.plan.action is Action.FAILOVER:
            yield "rds:FailoverGlobalCluster", target.region, clusters
        yield "lambda:InvokeFunction", target.region, [target.function_alias_arn]
        yield "s3:PutObject", target.region, [f"arn:aws:s3:::{target.control_bucket}/{LEVER_KEY}"]
        if notifies:
            yield "sns:Publish", target.region, [target.topic_arn]

    def ledger_lag(self) -> tuple[float, float] | None:
        """CloudWatch's newest figure for the lag of the target's ledger, and its time; both in seconds.

        None if there is no recent one, or it cannot be read. Never raises.
        """
        now = datetime.fromtimestamp(self.table.now, UTC)
        dimensions: Sequence[Mapping[str, str]] = [
            {"Name": "DBClusterIdentifier", "Value": self.plan.target.cluster_id}]
        try:
            with aws_failures("lag"):
                points = self.client("cloudwatch", METRICS_TIMEOUT).get_metric_statistics(
                    Namespace="AWS/RDS", MetricName="AuroraGlobalDBReplicationLag", StartTime=now - RECENT, EndTime=now,
                    Period=60, Dimensions=dimensions, Statistics=["Maximum"])["Datapoints"]
        except AwsFailure:
            return None
        newest = max(points, key=lambda point: point["Timestamp"], default=None)
        return None if newest is None else (float(newest["Maximum"]) / 1000, newest["Timestamp"].timestamp())

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

    def start_repair(self) -> None:
        """Start the target's repair now, and do not wait for it. It also runs on a schedule."""
        with aws_failures("repair"):
            self.client("lambda").invoke(FunctionName=self.plan.target.reconcile_function_name, Qualifier=ALIAS,
                                         InvocationType="Event", Payload='{"begin": true}')


def _denies(result: Mapping[str, Any]) -> bool:
    """Whether IAM denies an action on one of its ARNs for certain: not if that depends on a value it was not told."""
    return any(each.get("EvalResourceDecision", each.get("EvalDecision")) != "allowed"
               and not each.get("MissingContextValues")
               for each in result.get("ResourceSpecificResults") or [result])


def writer_of(global_database: Mapping[str, Any]) -> str | None:
    """The region of the writer in a description of the global database, None if there is no writer."""
    return next((str(member["DBClusterArn"]).split(":")[3]
                 for member in global_database.get("GlobalClusterMembers", ()) if member.get("IsWriter")), None)


def sync_of(global_database: Mapping[str, Any], cluster_arn: str) -> str | None:
    """How far a cluster follows the writer, as a description of the global database says; as `Facts.sync`."""
    if not global_database:
        return None
    return next((member.get("SynchronizationStatus") for member in global_database.get("GlobalClusterMembers", ())
                 if member.get("DBClusterArn") == cluster_arn), "")
