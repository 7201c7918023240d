"""The alarms and the dashboard of a region, as plain values."""
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import pulumi

from contract import METRICS_NAMESPACE, REPAIR_MINUTES, REPLICATION_RULE, STACK_DIMENSION, Consistency, Metric
from lib.names import Names
from lib.region.api import ROUTES, STAGE
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
    """One metric and the threshold that it may not cross for `periods` minutes in a row, or of the last `within`.

    `section` of the runbook says more than `what`; it is the key unless it is given. `command` is what to type first.
    Both regions have the same alarms, and the metrics of a role (lag, copies) are emitted only in the region with that
    role. So missing data is never a breach: it is no failure, SILENCE_IS_A_FAILURE, or SILENCE_SAYS_NOTHING.
    """

    key: str
    what: str
    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    threshold: float = 0
    statistic: str = "Sum"
    periods: int = 3
    within: int = 0
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
    own = partial(AlarmSpec, namespace=METRICS_NAMESPACE, dimensions={STACK_DIMENSION: names.suffix})
    # Figures of the whole stage count health checks, too: hundreds a minute, among which a few failures would not show.
    accept, find = (partial(AlarmSpec, namespace="AWS/ApiGateway", statistic="Average", dimensions={
        "ApiName": names.api, "Stage": STAGE, "Method": each.method, "Resource": each.path}) for each in ROUTES)
    table, dynamodb = {"TableName": names.table}, partial(AlarmSpec, namespace="AWS/DynamoDB")
    backup = partial(AlarmSpec, namespace="AWS/Backup", dimensions={"BackupVaultName": names.vault}, periods=1)
    sent, received = ({"SourceBucket": source.receipts, "DestinationBucket": destination.receipts,
                       "RuleId": REPLICATION_RULE} for source, destination in ((names, peer), (peer, names)))

    def fails(function: str, key: str, what: str, **more: Any) -> AlarmSpec:
        return AlarmSpec(key=key, what=what, namespace="AWS/Lambda", dimensions={"FunctionName": function}, **{
            "metric": "Errors", "command": f"aws logs tail /aws/lambda/{function} --region {names.region}", **more})

    found = [
        own(key="other-region", what=f"{peer.region} does not answer, or the controller reports nothing",
            metric=Metric.OTHER_REGION_HEALTHY, statistic="Maximum", threshold=1, periods=2,
            comparison="LessThanThreshold", missing=SILENCE_IS_A_FAILURE),
        own(key="takeover-refused", what=f"A failover to {names.region} would be refused now",
            metric=Metric.FAILOVER_REFUSED, statistic="Average", threshold=0.5, missing=SILENCE_SAYS_NOTHING),
        fails(names.controller, "controller-errors", "The controller fails"),
        # A store that fails for a moment fails one start; of three starts, two fail if it lasts.
        fails(names.reconcile, "repair-errors", "Repair fails", periods=2, within=3 * REPAIR_MINUTES),
        accept(key="api-errors", what="Payments are answered 5xx", metric="5XXError", threshold=0.05),
        find(key="api-errors-get", what="Queries are answered 5xx", metric="5XXError", threshold=0.05,
             section="api-errors"),
        accept(key="api-latency", what="One payment in a hundred takes over 3 s", metric="Latency", statistic="p99",
               threshold=3000),
        fails(names.function, "function-errors", "The payments function fails"),
        fails(names.function, "function-throttles", "The payments function is out of concurrency", metric="Throttles",
              command=f"aws lambda get-account-settings --region {names.region}"),
        *_database(names, settings, behind),
        *(dynamodb(key=f"table-errors-{operation.lower()}", what=f"DynamoDB fails in {operation}",
                   metric="SystemErrors", dimensions={**table, "Operation": operation}, section="table-errors")
          for operation in OPERATIONS),
        *(dynamodb(key=f"table-throttles-{kind.lower()}", what=f"DynamoDB throttles a {kind.lower()}",
                   metric=f"{kind}ThrottleEvents", dimensions=table, section="table-throttles")
          for kind in ("Read", "Write")),
        # Emitted in the destination's region, while something is copied.
        AlarmSpec(key="receipts-late", what="Receipts arrive later than replication time control promises",
                  namespace="AWS/S3", metric="ReplicationLatency", dimensions=received, statistic="Maximum",
                  threshold=REPLICATION_MINUTES * 60),
        # Emitted in the source's region.
        AlarmSpec(key="receipts-failed", what="Receipts could not be copied", namespace="AWS/S3",
                  metric="OperationsFailedReplication", dimensions=sent, periods=1),
        backup(key="backup-failed", what="A backup failed", metric="NumberOfBackupJobsFailed",
               command=f"aws backup list-backup-jobs --by-state FAILED --region {names.region}"),
        backup(key="backup-copy-failed", what="A backup could not be copied to the other region",
               metric="NumberOfCopyJobsFailed",
               command=f"aws backup list-copy-jobs --by-state FAILED --region {names.region}"),
    ]
    if settings.table.consistency == Consistency.EVENTUAL:
        # A strongly consistent table has every payment, and no lag. Each region's controller writes all the time.
        found.append(dynamodb(
            key="table-lag", what=f"The table in {peer.region} lags behind the recovery point, or receives nothing",
            metric="ReplicationLatency", dimensions={**table, "ReceivingRegion": peer.region}, statistic="Average",
            threshold=behind, missing=SILENCE_IS_A_FAILURE))
        # Only the standby knows it. Where it is unknown, a failover would be refused, which is told by that alarm.
        found.append(own(
            key="exposure", what=f"A failover to {names.region} would lose {NEAR:.0%} of the recovery point, or more",
            metric=Metric.EXPOSURE, statistic="Maximum", threshold=settings.objectives.recovery_point * NEAR))
    return found


def _database(names: Names, settings: Settings, behind: float) -> list[AlarmSpec]:
    database = settings.database
    alarm = partial(AlarmSpec, namespace="AWS/RDS", dimensions={"DBClusterIdentifier": names.cluster})
    busy = ("ACUUtilization", "its greatest capacity") if database.serverless else ("CPUUtilization", "its full CPU")
    return [
        alarm(key="database-capacity", what=f"The cluster is near {busy[1]}", metric=busy[0], statistic="Average",
              threshold=90, periods=10),
        alarm(key="database-connections", what="The cluster is near the connection limit of its least capacity",
              metric="DatabaseConnections", statistic="Maximum", threshold=int(database.least_connections * 0.9)),
        # Emitted in the reader's region, once a minute.
        alarm(key="database-lag", what="The database's copy lags behind the recovery point, or receives nothing",
              metric="AuroraGlobalDBReplicationLag", statistic="Maximum", threshold=behind,
              missing=SILENCE_IS_A_FAILURE),
        # AWS's documents disagree on which region emits it, so both have the alarm.
        alarm(key="database-rpo-lag", what="A failover now would lose more than the recovery point",
              metric="AuroraGlobalDBRPOLag", statistic="Maximum", threshold=behind, missing=SILENCE_IS_A_FAILURE),
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
