"""The alarms and the dashboard of a region, as plain values."""
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import pulumi

from contract import METRICS_NAMESPACE, REPLICATION_RULE, STACK_DIMENSION, Consistency, Metric
from lib.names import Names
from lib.region.api import STAGE
from lib.settings import Settings

REPLICATION_MINUTES = 15
NEAR = 0.8
"""The share of the recovery point objective above which people are alerted."""
OPERATIONS = ("BatchGetItem", "GetItem", "PutItem", "UpdateItem", "Scan")
"""The operations that the functions call on the table: DynamoDB counts failures by operation."""
# What AWS publishes all the time where there is something to measure, so that silence is a failure. Where there never
# was any data, an alarm stays in the state INSUFFICIENT_DATA, which it begins with: only a change of state is notified.
SILENCE_IS_A_FAILURE = "missing"
# What a silent controller does not take back; its silence is told by the alarm other-region.
SILENCE_SAYS_NOTHING = "ignore"
RUNBOOK = "docs/runbook.md"
STATUS = "python -m recovery status"


@dataclass(frozen=True, kw_only=True)
class AlarmSpec:
    """One metric and the threshold that it may not cross for `periods` minutes in a row.

    `section` of the runbook says more than `what`; it is the key unless it is given. `command` is what to type first.
    Both regions have the same alarms, and the metrics of a role (lag, copies) are emitted only in the region with that
    role. So missing data is never a breach: it is no failure, SILENCE_IS_A_FAILURE, or SILENCE_SAYS_NOTHING.
    """

    key: str
    what: str
    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    threshold: float
    statistic: str = "Sum"
    periods: int = 3
    comparison: str = "GreaterThanThreshold"
    missing: str = "notBreaching"
    section: str = ""
    command: str = STATUS

    @property
    def text(self) -> str:
        """The text of the notification."""
        return f"{self.what}. {RUNBOOK}#{self.section or self.key}: `{self.command}`"


def alarm_specs(names: Names, peer: Names, settings: Settings) -> list[AlarmSpec]:
    """The alarms in the region of `names`; `peer` is the other region."""
    behind = max(settings.objectives.recovery_point, 1) * 1000  # milliseconds
    function, controller, repair = ({"FunctionName": each} for each in (
        names.function, names.controller, names.reconcile))
    api = {"ApiName": names.api, "Stage": STAGE}
    table, vault = {"TableName": names.table}, {"BackupVaultName": names.vault}
    sent, received = ({"SourceBucket": source.receipts, "DestinationBucket": destination.receipts,
                       "RuleId": REPLICATION_RULE} for source, destination in ((names, peer), (peer, names)))
    logs, backups = f"aws logs tail /aws/lambda/{{}} --region {names.region}", (
        f"aws backup list-backup-jobs --by-state FAILED --region {names.region}")
    found = [
        AlarmSpec(key="other-region", what=f"{peer.region} does not answer, or the controller reports nothing",
                  namespace=METRICS_NAMESPACE, metric=Metric.OTHER_REGION_HEALTHY,
                  dimensions={STACK_DIMENSION: names.suffix}, statistic="Maximum", threshold=1, periods=2,
                  comparison="LessThanThreshold", missing=SILENCE_IS_A_FAILURE),
        AlarmSpec(key="takeover-refused", what=f"A failover to {names.region} would be refused now",
                  namespace=METRICS_NAMESPACE, metric=Metric.FAILOVER_REFUSED,
                  dimensions={STACK_DIMENSION: names.suffix}, statistic="Average", threshold=0.5,
                  missing=SILENCE_SAYS_NOTHING),
        AlarmSpec(key="controller-errors", what="The controller fails", namespace="AWS/Lambda", metric="Errors",
                  dimensions=controller, threshold=0, command=logs.format(names.controller)),
        AlarmSpec(key="repair-errors", what="Repair fails", namespace="AWS/Lambda", metric="Errors",
                  dimensions=repair, threshold=0, periods=1, command=logs.format(names.reconcile)),
        AlarmSpec(key="api-errors", what="The API answers 5xx", namespace="AWS/ApiGateway", metric="5XXError",
                  dimensions=api, statistic="Average", threshold=0.05),
        AlarmSpec(key="api-latency", what="One request in a hundred takes over 3 s", namespace="AWS/ApiGateway",
                  metric="Latency", dimensions=api, statistic="p99", threshold=3000),
        AlarmSpec(key="function-errors", what="The payments function fails", namespace="AWS/Lambda", metric="Errors",
                  dimensions=function, threshold=0, command=logs.format(names.function)),
        AlarmSpec(key="function-throttles", what="The payments function is out of concurrency", namespace="AWS/Lambda",
                  metric="Throttles", dimensions=function, threshold=0,
                  command=f"aws lambda get-account-settings --region {names.region}"),
        *_database(names, settings, behind),
        *(AlarmSpec(key=f"table-errors-{operation.lower()}", what=f"DynamoDB fails in {operation}",
                    namespace="AWS/DynamoDB", metric="SystemErrors", dimensions={**table, "Operation": operation},
                    threshold=0, section="table-errors") for operation in OPERATIONS),
        *(AlarmSpec(key=f"table-throttles-{kind.lower()}", what=f"DynamoDB throttles a {kind.lower()}",
                    namespace="AWS/DynamoDB", metric=f"{kind}ThrottleEvents", dimensions=table, threshold=0,
                    section="table-throttles") for kind in ("Read", "Write")),
        # Emitted in the destination's region, while something is copied.
        AlarmSpec(key="receipts-late", what="Receipts arrive later than replication time control promises",
                  namespace="AWS/S3", metric="ReplicationLatency", dimensions=received, statistic="Maximum",
                  threshold=REPLICATION_MINUTES * 60),
        # Emitted in the source's region.
        AlarmSpec(key="receipts-failed", what="Receipts could not be copied", namespace="AWS/S3",
                  metric="OperationsFailedReplication", dimensions=sent, threshold=0, periods=1),
        AlarmSpec(key="backup-failed", what="A backup failed", namespace="AWS/Backup",
                  metric="NumberOfBackupJobsFailed", dimensions=vault, threshold=0, periods=1, command=backups),
        AlarmSpec(key="backup-copy-failed", what="A backup could not be copied to the other region",
                  namespace="AWS/Backup", metric="NumberOfCopyJobsFailed", dimensions=vault, threshold=0, periods=1,
                  command=backups.replace("backup-jobs", "copy-jobs")),
    ]
    if settings.table.consistency == Consistency.EVENTUAL:
        # A strongly consistent table has every payment, and no lag. Each region's controller writes all the time.
        found.append(AlarmSpec(
            key="table-lag", what=f"The table in {peer.region} lags behind the recovery point, or receives nothing",
            namespace="AWS/DynamoDB", metric="ReplicationLatency", dimensions={**table, "ReceivingRegion": peer.region},
            statistic="Average", threshold=behind, missing=SILENCE_IS_A_FAILURE))
        # Only the standby knows it. Where it is unknown, a failover would be refused, which is told by that alarm.
        found.append(AlarmSpec(
            key="exposure", what=f"A failover to {names.region} would lose {NEAR:.0%} of the recovery point, or more",
            namespace=METRICS_NAMESPACE, metric=Metric.EXPOSURE, dimensions={STACK_DIMENSION: names.suffix},
            statistic="Maximum", threshold=settings.objectives.recovery_point * NEAR))
    return found


def _database(names: Names, settings: Settings, behind: float) -> list[AlarmSpec]:
    cluster, database = {"DBClusterIdentifier": names.cluster}, settings.database
    busy = ("ACUUtilization", "its greatest capacity") if database.serverless else ("CPUUtilization", "its full CPU")
    return [
        AlarmSpec(key="database-capacity", what=f"The cluster is near {busy[1]}", namespace="AWS/RDS", metric=busy[0],
                  dimensions=cluster, statistic="Average", threshold=90, periods=10),
        AlarmSpec(key="database-connections", what="The cluster is near the connection limit of its least capacity",
                  namespace="AWS/RDS", metric="DatabaseConnections", dimensions=cluster, statistic="Maximum",
                  threshold=int(database.least_connections * 0.9)),
        # Emitted in the reader's region, once a minute.
        AlarmSpec(key="database-lag", what="The database's copy lags behind the recovery point, or receives nothing",
                  namespace="AWS/RDS", metric="AuroraGlobalDBReplicationLag", dimensions=cluster, statistic="Maximum",
                  threshold=behind, missing=SILENCE_IS_A_FAILURE),
        # AWS's documents disagree on which region emits it, so both have the alarm.
        AlarmSpec(key="database-rpo-lag", what="A failover now would lose more than the recovery point",
                  namespace="AWS/RDS", metric="AuroraGlobalDBRPOLag", dimensions=cluster, statistic="Maximum",
                  threshold=behind, missing=SILENCE_IS_A_FAILURE),
    ]


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
