"""What AWS publishes of the copies between regions, and the emulator, which does not know them, cannot."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from rehearsal.aws.clients import EmulatorClients
from rehearsal.aws.ministack import RECEIPTS
from rehearsal.drills.emulated.eventbridge import MINUTE, PeriodicTask
from rehearsal.errors import PostgresError
from rehearsal.postgres.global_database import ServerRole
from rehearsal.rehearsed_stack import RehearsedStack

SOONEST = 0.25  # seconds between two looks at the lag, at least: each asks both databases


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A datum of a metric, and the region in which it is published."""

    region: str
    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    value: float
    unit: str


class Telemetry(PeriodicTask):
    """Publishes the lag of the standby's database and that of the receipts, each where its copy is.

    Every minute as AWS does, divided by `factor`. Nothing is published of a copy while either end is cut off, or lost:
    nobody could know how far it is behind, and the newest figure remains the last one before.
    """

    def __init__(self, ground: RehearsedStack, factor: float = 1.0) -> None:
        super().__init__("telemetry", max(MINUTE / factor, SOONEST), self.publish)
        self._ground, self._clients = ground, EmulatorClients(ground.emulator, 1)  # AWS itself is not behind a cut
        self._clusters = {ground.outputs[f"{role}_region"]: ground.outputs[f"{role}_cluster_id"]
                          for role in ("primary", "dr")}
        self._rules = {region.name: self._rule(region.name, region.bucket) for region in ground.sides()}

    def publish(self) -> None:
        """Publish what is known now. Raises ClientError, BotoCoreError, OSError."""
        for figure in (*self._database(), *self._receipts()):
            self._clients("cloudwatch", figure.region).put_metric_data(Namespace=figure.namespace, MetricData=[{
                "MetricName": figure.metric, "Value": figure.value, "Unit": figure.unit,
                "Dimensions": [{"Name": name, "Value": value} for name, value in figure.dimensions.items()]}])

    def _rule(self, region: str, bucket: str) -> dict[str, str]:
        """The dimensions of the metrics of a bucket's replication."""
        (rule,) = self._clients("s3", region).get_bucket_replication(
            Bucket=bucket)["ReplicationConfiguration"]["Rules"]
        return {"SourceBucket": bucket, "DestinationBucket": rule["Destination"]["Bucket"].rpartition(":")[2],
                "RuleId": rule["ID"]}

    def _database(self) -> Iterator[Figure]:
        pair = self._ground.pair
        if pair.role(pair.writer) is not ServerRole.WRITER or any(pair.member(region).is_cut for region in self._clusters):
            return
        for region, cluster in self._clusters.items():
            if pair.role(region) is ServerRole.STANDBY:
                with suppress(PostgresError):  # it has ended, or become the writer, since it was asked for its role
                    lag = pair.lag(region).milliseconds
                    yield Figure(region=region, namespace="AWS/RDS", metric="AuroraGlobalDBReplicationLag",
                                 dimensions={"DBClusterIdentifier": cluster}, value=lag, unit="Milliseconds")

    def _receipts(self) -> Iterator[Figure]:
        faults = self._ground.faults
        gone = {*faults.cut_off(), *(region for store, region in faults.lost() if store == RECEIPTS)}
        for lane in self._ground.copies.report():
            source, target = lane["source"], lane["target"]
            if lane["store"] == RECEIPTS and not gone & {source, target}:
                yield Figure(region=target, namespace="AWS/S3", metric="ReplicationLatency",
                             dimensions=self._rules[source], value=lane["lag_ms"] / 1000, unit="Seconds")
