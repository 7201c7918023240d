"""The alarms and the dashboard of a region, as plain values."""
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from contract import METRICS_NAMESPACE, REPLICATION_RULE, STACK_DIMENSION, Consistency, Metric
from lib.names import Names
from lib.region.api import STAGE
from lib.settings import Objectives, TableSettings

REPLICATION_MINUTES = 15


@dataclass(frozen=True, kw_only=True)
class AlarmSpec:
    """One metric and the threshold that it may not cross for `periods` minutes in a row.

    Missing data is not a breach unless `missing` says so: both regions have the same alarms, and the metrics of a
    role (lag, copies) are emitted only in the region with that role.
    """

    key: str
    what: str
    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    threshold: float
    statistic: str = "Sum"
    periods: int = 3
    comparison: str = "GreaterThanThreshold"
    missing: str = "notBreaching"


def alarm_specs(names: Names, peer: Names, objectives: Objectives, table: TableSettings) -> list[AlarmSpec]:
    """The alarms in the region of `names`; `peer` is the other region."""
    behind = max(objectives.recovery_point, 1) * 1000  # milliseconds
    function = {"FunctionName": names.function}
    api = {"ApiName": names.api, "Stage": STAGE}
    cluster = {"DBClusterIdentifier": names.cluster}
    sent, received = ({"SourceBucket": source.receipts, "DestinationBucket": destination.receipts,
                       "RuleId": REPLICATION_RULE} for source, destination in ((names, peer), (peer, names)))
    found = [
        # A controller that publishes nothing must raise the alarm, too.
        AlarmSpec(key="other-region", what=f"{peer.region} does not answer, or it is not watched: "
                  f"`python -m recovery status`, then `python -m recovery failover --to {names.region}`",
                  namespace=METRICS_NAMESPACE, metric=Metric.OTHER_REGION_HEALTHY,
                  dimensions={STACK_DIMENSION: names.suffix}, statistic="Minimum", threshold=1, periods=1,
                  comparison="LessThanThreshold", missing="breaching"),
        AlarmSpec(key="controller-errors", what="The controller fails", namespace="AWS/Lambda", metric="Errors",
                  dimensions={"FunctionName": names.controller}, threshold=0),
        AlarmSpec(key="api-errors", what="The API answers 5xx", namespace="AWS/ApiGateway", metric="5XXError",
                  dimensions=api, statistic="Average", threshold=0.05),
        AlarmSpec(key="api-latency", what="One request in a hundred takes over 3 s", namespace="AWS/ApiGateway",
                  metric="Latency", dimensions=api, statistic="p99", threshold=3000),
        AlarmSpec(key="function-errors", what="The function fails", namespace="AWS/Lambda", metric="Errors",
                  dimensions=function, threshold=0),
        AlarmSpec(key="function-throttles", what="The function is out of concurrency", namespace="AWS/Lambda",
                  metric="Throttles", dimensions=function, threshold=0),
        AlarmSpec(key="database-capacity", what="The cluster is near its greatest capacity", namespace="AWS/RDS",
                  metric="ACUUtilization", dimensions=cluster, statistic="Average", threshold=90, periods=10),
        # Emitted in the reader's region.
        AlarmSpec(key="database-lag", what="The reader cluster lags behind the recovery point", namespace="AWS/RDS",
                  metric="AuroraGlobalDBReplicationLag", dimensions=cluster, statistic="Maximum",
                  threshold=behind),
        # AWS's documents disagree on which region emits it, so both have the alarm.
        AlarmSpec(key="database-rpo-lag", what="A failover now would lose more than the recovery point",
                  namespace="AWS/RDS", metric="AuroraGlobalDBRPOLag", dimensions=cluster, statistic="Maximum",
                  threshold=behind),
        AlarmSpec(key="table-errors", what="DynamoDB fails", namespace="AWS/DynamoDB", metric="SystemErrors",
                  dimensions={"TableName": names.table, "Operation": "PutItem"}, threshold=0),
        AlarmSpec(key="table-throttles", what="DynamoDB refuses writes for their rate", namespace="AWS/DynamoDB",
                  metric="WriteThrottleEvents", dimensions={"TableName": names.table}, threshold=0),
        # Emitted in the destination's region.
        AlarmSpec(key="receipts-late", what="Receipts arrive later than replication time control promises",
                  namespace="AWS/S3", metric="ReplicationLatency", dimensions=received, statistic="Maximum",
                  threshold=REPLICATION_MINUTES * 60),
        # Emitted in the source's region.
        AlarmSpec(key="receipts-failed", what="Receipts could not be copied", namespace="AWS/S3",
                  metric="OperationsFailedReplication", dimensions=sent, threshold=0, periods=1),
        AlarmSpec(key="backup-failed", what="A backup failed", namespace="AWS/Backup",
                  metric="NumberOfBackupJobsFailed",
                  dimensions={"BackupVaultName": names.vault}, threshold=0, periods=1),
        AlarmSpec(key="backup-copy-failed", what="A backup could not be copied to the other region",
                  namespace="AWS/Backup", metric="NumberOfCopyJobsFailed",
                  dimensions={"BackupVaultName": names.vault}, threshold=0, periods=1),
    ]
    if table.consistency is Consistency.EVENTUAL:
        # A strongly consistent table has no lag and emits no such metric.
        found.append(AlarmSpec(
            key="table-lag", what="The other region's replica lags behind the recovery point",
            namespace="AWS/DynamoDB", metric="ReplicationLatency",
            dimensions={"TableName": names.table, "ReceivingRegion": peer.region}, statistic="Average",
            threshold=behind))
    return found


def dashboard(region: str, specs: list[AlarmSpec]) -> str:
    """A dashboard body: one graph for each alarm, with its threshold, three in a row."""
    width, height = 8, 6
    return json.dumps({"widgets": [
        {"type": "metric", "x": width * (number % 3), "y": height * (number // 3), "width": width, "height": height,
         "properties": {
             "title": spec.what, "region": region, "stat": spec.statistic, "period": 60, "view": "timeSeries",
             "metrics": [[spec.namespace, spec.metric, *chain.from_iterable(spec.dimensions.items())]],
             "annotations": {"horizontal": [{"label": "alarm", "value": spec.threshold}]}}}
        for number, spec in enumerate(specs)]})
