"""The metrics of the copies between regions, which AWS publishes; the emulator does not know these copies."""

from collections.abc import Mapping
from contextlib import suppress

from contract import ROLES
from rehearsal.aws.clients import EmulatorClients
from rehearsal.aws.ministack import RECEIPTS
from rehearsal.drills.emulated.eventbridge import PeriodicTask
from rehearsal.errors import PostgresError
from rehearsal.postgres.global_database import ServerRole
from rehearsal.rehearsed_stack import RehearsedStack

MINUTE = 60.0  # seconds
SHORTEST = 0.25  # seconds between two looks at the lag, at least: each asks both databases


class Telemetry(PeriodicTask):
    """Publishes the lag of the standby's database and that of the receipts, each where its copy is.

    Every minute as AWS does, divided by `factor`. Nothing is published of a copy while either end is cut off, or lost:
    how far it is behind is then unknown, and the last figure before remains the newest. `clients` are those of the
    emulator itself, since AWS is not behind a cut.
    """

    def __init__(self, rehearsed: RehearsedStack, factor: float, clients: EmulatorClients) -> None:
        super().__init__("telemetry", max(MINUTE / factor, SHORTEST), self.publish)
        self._rehearsed, self._clients = rehearsed, clients
        outputs = rehearsed.outputs
        self._clusters = {outputs[f"{role}_region"]: outputs[f"{role}_cluster_id"] for role in ROLES}
        self._rules = {region.name: self._rule(region.name, region.bucket) for region in rehearsed.writer_and_standby()}

    def publish(self) -> None:
        """Publish what is known now. Raises ClientError, BotoCoreError, OSError."""
        pair, faults, copies = self._rehearsed.pair, self._rehearsed.faults, self._rehearsed.copies
        cut = any(pair.member(region).is_cut for region in self._clusters)
        for region, cluster in self._clusters.items():
            if not cut and pair.role(pair.writer) is ServerRole.WRITER and pair.role(region) is ServerRole.STANDBY:
                with suppress(PostgresError):  # it has ended, or become the writer, since it was asked for its role
                    self._put(region, "AWS/RDS", "AuroraGlobalDBReplicationLag", {"DBClusterIdentifier": cluster},
                              value=pair.lag(region).milliseconds, unit="Milliseconds")
        gone = {*faults.cut_off(), *(region for store, region in faults.lost() if store == RECEIPTS)}
        for lane in copies.report():
            if lane["store"] == RECEIPTS and not gone & {lane["source"], lane["target"]}:
                self._put(lane["target"], "AWS/S3", "ReplicationLatency", self._rules[lane["source"]],
                          value=lane["lag_ms"] / 1000, unit="Seconds")

    def _put(self, region: str, namespace: str, metric: str, dimensions: Mapping[str, str], *, value: float,
             unit: str) -> None:
        self._clients("cloudwatch", region).put_metric_data(Namespace=namespace, MetricData=[{
            "MetricName": metric, "Value": value, "Unit": unit,
            "Dimensions": [{"Name": name, "Value": each} for name, each in dimensions.items()]}])

    def _rule(self, region: str, bucket: str) -> dict[str, str]:
        """The dimensions of the metrics of a bucket's replication."""
        (rule,) = self._clients("s3", region).get_bucket_replication(
            Bucket=bucket)["ReplicationConfiguration"]["Rules"]
        return {"SourceBucket": bucket, "DestinationBucket": rule["Destination"]["Bucket"].rpartition(":")[2],
                "RuleId": rule["ID"]}
