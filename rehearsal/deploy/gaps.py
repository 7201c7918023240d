"""What the emulator (MiniStack 1.5.33) does not do, so that no rehearsal tests it. This is the only list of it.

A report prints the gaps of what was deployed, so that nobody concludes more from a passed rehearsal than it shows.
"""

from collections.abc import Iterable

# By the name of a resource type, or by one argument of a type as `TYPE.ARGUMENT`
GAPS = {
    "Vpc": "routes, endpoints, security groups and flow logs are stored, but no packets flow",
    "VpcEndpoint.policy": "stored, not enforced",
    "SecurityGroupEgressRule.prefixListId": "ignored, so two rules of a group that differ only in it become one",
    "RolePolicy": "not enforced for keys, logs, traces and network interfaces, and for roles that services assume",
    "GlobalCluster": "has no writer endpoint; the endpoint shown does not exist",
    "Cluster": "runs PostgreSQL 18 whatever the engine version; size, storage and backups are stored only",
    "Cluster.enabledCloudwatchLogsExports": "ignored",
    "ClusterInstance.performanceInsightsKmsKeyId": "ignored",
    "SamplingRule": "not created: the emulator traces nothing",
    "ReplicaKey": "does not show the rotation of its primary key",
    "Table.replicas": "copied with the rehearsal's lag, without a replica's own key",
    "BucketReplicationConfig":
        "copied with the rehearsal's lag and the source's key; replication time control is stored only",
    "BucketLifecycleConfiguration": "no object expires",
    "BucketLogging": "stored only: no access log is written",
    "Function.architectures": "runs on the emulator's own Python and processor",
    "Function.reservedConcurrentExecutions": "not enforced when an alias is called, so no drill stops a function by it",
    "Permission": "not enforced",
    "FunctionEventInvokeConfig": "ignored for an alias; a failed event is tried twice more",
    "EventRule": "starts its function only during drills, on the rehearsal's clock; the database tells nothing",
    "EventTarget.retryPolicy": "stored only",
    "UsagePlanKey": "a key is looked up by its value in all regions, so each plan takes the other region's key, too",
    "Integration.credentials": "the role is not assumed: the lever is read without its permissions",
    "SecretVersion.versionStages": "a label of one's own is dropped",
    "Stage.accessLogSettings": "no access log is written",
    "DomainName": "a name used in two regions always resolves to the first, so requests address the API by its id",
    "MetricAlarm": "dimensions, datapoints and missing data are ignored",
    "TopicSubscription": "no e-mail is sent",
    "WebAcl": "not created: the emulator inspects no request",
    "ExperimentTemplate": "not created: the emulator has no AWS FIS, so no copy is paused by a drill",
    "VaultLockConfiguration": "not created: the emulator has none",
    "BucketObjectLockConfiguration": "who may bypass governance is not checked",
    "Plan": "no backup runs and none is copied",
    "HealthCheck": "runs only during drills, with one checker of the rehearsal whose result counts at once",
    "HealthCheck.childHealthchecks": "stored, but read back as empty",
    "Record": "resolved only during drills, by the rehearsal, without the DNS protocol",
    "Certificate": "issued at once, without checking the validation record",
}


def of(type_name: str, inputs: Iterable[str]) -> set[str]:
    """A line for each gap that concerns a resource of this type with these inputs."""
    concerned = {type_name, *(f"{type_name}.{argument}" for argument in inputs)}
    return {f"{key}: {reason}" for key, reason in GAPS.items() if key in concerned}
