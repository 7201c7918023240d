"""What the emulator (MiniStack 1.5.33) does not do, and so no rehearsal tests. The only place where it is listed.

A report prints the gaps of what was deployed, so that nobody concludes more from a passed rehearsal than it shows.
"""

from collections.abc import Container
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Gap:
    """What a rehearsal does not test of a resource type, or of one argument of it."""

    token: str
    argument: str
    reason: str

    def __str__(self) -> str:
        argument = f".{self.argument}" if self.argument else ""
        return f"{self.token.rpartition(':')[2]}{argument}: {self.reason}"


GAPS = (
    Gap("aws:ec2/vpc:Vpc", "", "routes, endpoints, security groups and flow logs are stored, but no packets flow"),
    Gap("aws:ec2/vpcEndpoint:VpcEndpoint", "policy", "ignored"),
    Gap("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", "prefixListId",
        "ignored, so two rules of a group that differ only in it become one"),
    # With AUTH=true the bucket policies, which require TLS, would refuse the emulator's plain HTTP.
    Gap("aws:iam/rolePolicy:RolePolicy", "", "stored, not enforced"),
    Gap("aws:rds/globalCluster:GlobalCluster", "", "has no writer endpoint; the endpoint shown does not exist"),
    Gap("aws:rds/cluster:Cluster", "",
        "runs PostgreSQL 18 whatever the engine version; size, storage and backups are stored only"),
    Gap("aws:rds/cluster:Cluster", "enabledCloudwatchLogsExports", "ignored"),
    Gap("aws:rds/clusterInstance:ClusterInstance", "performanceInsightsKmsKeyId", "ignored"),
    Gap("aws:kms/replicaKey:ReplicaKey", "", "does not show the rotation of its primary key"),
    Gap("aws:dynamodb/table:Table", "replicas", "copied with the rehearsal's lag, without a replica's own key"),
    Gap("aws:s3/bucketReplicationConfig:BucketReplicationConfig", "",
        "copied with the rehearsal's lag and the source's key; replication time control is stored only"),
    Gap("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "", "no object expires"),
    Gap("aws:lambda/function:Function", "architectures", "runs on the emulator's own Python and processor"),
    Gap("aws:lambda/permission:Permission", "", "not enforced"),
    Gap("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig", "",
        "ignored for an alias; a failed event is tried twice more"),
    Gap("aws:cloudwatch/eventRule:EventRule", "", "invokes its target only during drills, on the rehearsal's clock"),
    Gap("aws:cloudwatch/eventTarget:EventTarget", "retryPolicy", "stored only"),
    Gap("aws:apigateway/usagePlanKey:UsagePlanKey", "",
        "a key is looked up by its value in all regions, so each plan also gets the other region's key"),
    Gap("aws:apigateway/stage:Stage", "accessLogSettings", "no access log is written"),
    Gap("aws:apigateway/domainName:DomainName", "",
        "a name used in two regions always resolves to the first, so requests address the API by its id"),
    Gap("aws:cloudwatch/metricAlarm:MetricAlarm", "", "dimensions, datapoints and missing data are ignored"),
    Gap("aws:sns/topicSubscription:TopicSubscription", "", "no e-mail is sent"),
    Gap("aws:backup/plan:Plan", "", "no backup runs and none is copied"),
    Gap("aws:route53/healthCheck:HealthCheck", "",
        "runs only during drills, with one checker of the rehearsal whose result counts at once"),
    Gap("aws:route53/healthCheck:HealthCheck", "childHealthchecks", "stored, but read back as empty"),
    Gap("aws:route53/record:Record", "", "resolved only during drills, by the rehearsal, without the DNS protocol"),
    Gap("aws:acm/certificate:Certificate", "", "issued at once, without checking the validation record"),
)


def of(token: str, inputs: Container[str]) -> set[Gap]:
    """The gaps that concern a resource of this type with these inputs."""
    return {gap for gap in GAPS if gap.token == token and (not gap.argument or gap.argument in inputs)}
