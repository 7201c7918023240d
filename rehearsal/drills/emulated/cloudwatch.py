"""The metrics of the copies between regions, which AWS publishes; the emulator does not know these copies."""

from collections.abc import Mapping
from contextlib import suppress

from contract import ROLES
from rehearsal.aws.clients import EmulatorClients
from rehearsal.aws.ministack import RECEIPTS
from rehearsal.drills.emulated.periodic import PeriodicTask
from rehearsal.errors import PostgresError
from rehearsal.postgres.global_database import ServerRole
from rehearsal.rehearsed_stack import RehearsedStack
from rehearsal.workload.region import RegionClient

MINUTE = 60.0  # seconds
SHORTEST = 0.25  # seconds between two looks at the lag, at least: each asks both databases


def telemetry(rehearsed: RehearsedStack, factor: float, clients: EmulatorClients) -> PeriodicTask:
    """A task that publishes the lag of the standby's database and that of the receipts, each where its copy is.

    Every minute as AWS does, divided by `factor`. Nothing is published of a copy while either end is cut off, or lost,
    or the connection between them is cut: how far it is behind is then unknown, and the last figure stays the newest.
    `clients` are those of the emulator itself, since AWS is not behind a cut.
    """
    outputs, database, faults = rehearsed.outputs, rehearsed.database, rehearsed.faults
    clusters = {outputs[f"{role}_region"]: outputs[f"{role}_cluster_id"] for role in ROLES}
    rules = {region.name: _rule(region, clients) for region in rehearsed.writer_and_standby()}

    def put(region: str, namespace: str, dimensions: Mapping[str, str], **datum: object) -> None:
        clients("cloudwatch", region).put_metric_data(Namespace=namespace, MetricData=[{
            **datum, "Dimensions": [{"Name": name, "Value": each} for name, each in dimensions.items()]}])

    def publish() -> None:
        if faults.connection_cut:
            return
        cut = any(database.member(region).is_cut for region in clusters)
        for region, cluster in clusters.items():
            roles = database.role(database.writer), database.role(region)
            if not cut and roles == (ServerRole.WRITER, ServerRole.STANDBY):
                with suppress(PostgresError):  # it has ended, or become the writer, since it was asked for its role
                    put(region, "AWS/RDS", {"DBClusterIdentifier": cluster}, Unit="Milliseconds",
                        MetricName="AuroraGlobalDBReplicationLag", Value=database.lag(region).milliseconds)
        gone = {*faults.cut_off(), *(region for store, region in faults.lost() if store == RECEIPTS)}
        for lane in rehearsed.copies.report():
            if lane["store"] == RECEIPTS and not gone & {lane["source"], lane["target"]}:
                put(lane["target"], "AWS/S3", rules[lane["source"]], Unit="Seconds",
                    MetricName="ReplicationLatency", Value=lane["lag_ms"] / 1000)

    return PeriodicTask("telemetry", max(MINUTE / factor, SHORTEST), publish)


def _rule(region: RegionClient, clients: EmulatorClients) -> dict[str, str]:
    """The dimensions of the metrics of a bucket's replication."""
    (rule,) = clients("s3", region.name).get_bucket_replication(
        Bucket=region.bucket)["ReplicationConfiguration"]["Rules"]
    return {"SourceBucket": region.bucket, "DestinationBucket": rule["Destination"]["Bucket"].rpartition(":")[2],
            "RuleId": rule["ID"]}
