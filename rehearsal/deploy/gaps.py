"""What the emulator (MiniStack 1.5.33) does not do: the one place where it is named, with the reason.

A report prints those that concern what was deployed, so that nobody takes a green rehearsal for more than it is.
"""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Gap:
    """Something about a resource type that a rehearsal does not exercise, or one argument of it."""

    token: str
    argument: str
    reason: str

    def __str__(self) -> str:
        kind = self.token.rpartition(":")[2]
        return f"{kind}{self.argument and f'.{self.argument}'}: {self.reason}"


GAPS = (
    Gap("aws:ec2/vpc:Vpc", "", "no packets flow: routes, endpoints, groups and flow logs are records"),
    Gap("aws:ec2/vpcEndpoint:VpcEndpoint", "policy", "dropped"),
    Gap("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", "prefixListId", "dropped, so two rules of a group "
        "that differ in nothing else become one"),
    Gap("aws:iam/rolePolicy:RolePolicy", "", "stored, not enforced: with AUTH=true the bucket policies, which demand "
        "TLS, would refuse the emulator's plain HTTP"),
    Gap("aws:rds/globalCluster:GlobalCluster", "", "has no writer endpoint: the one that is shown is made up"),
    Gap("aws:rds/cluster:Cluster", "", "PostgreSQL 18 runs behind it, whatever the engine version; size, "
        "storage and backups are records"),
    Gap("aws:rds/cluster:Cluster", "enabledCloudwatchLogsExports", "dropped"),
    Gap("aws:rds/clusterInstance:ClusterInstance", "performanceInsightsKmsKeyId", "dropped"),
    Gap("aws:kms/replicaKey:ReplicaKey", "", "does not show the rotation of its primary key"),
    Gap("aws:dynamodb/table:Table", "replicas", "copied by the rehearsal's clock; a replica's key is dropped"),
    Gap("aws:s3/bucketReplicationConfig:BucketReplicationConfig", "", "copied by the rehearsal's clock, under the "
        "source's key; replication time control is a record"),
    Gap("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "", "nothing expires"),
    Gap("aws:lambda/function:Function", "architectures", "runs on the emulator's own Python and processor"),
    Gap("aws:lambda/permission:Permission", "", "not enforced"),
    Gap("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig", "", "an alias's is a record: what fails is "
        "tried twice more"),
    Gap("aws:cloudwatch/eventRule:EventRule", "", "starts its target by the rehearsal's clock, and only in drills"),
    Gap("aws:cloudwatch/eventTarget:EventTarget", "retryPolicy", "a record"),
    Gap("aws:apigateway/usagePlanKey:UsagePlanKey", "", "a key's value is looked up over all regions at once, so each "
        "plan also gets the other region's key of the same value"),
    Gap("aws:apigateway/stage:Stage", "accessLogSettings", "no access log is written"),
    Gap("aws:apigateway/domainName:DomainName", "", "one name in two regions always leads to the first, so requests "
        "name the API by its id"),
    Gap("aws:cloudwatch/metricAlarm:MetricAlarm", "", "dimensions, datapoints and missing data are ignored"),
    Gap("aws:sns/topicSubscription:TopicSubscription", "", "no e-mail is sent"),
    Gap("aws:backup/plan:Plan", "", "no backup runs, so none is copied"),
    Gap("aws:route53/healthCheck:HealthCheck", "", "executed only in drills, by one checker of the rehearsal's own, "
        "whose finding counts at once; its children read back blank, and its flags as false"),
    Gap("aws:route53/record:Record", "", "answered only in drills, by a resolver of the rehearsal's own, which does "
        "not speak DNS"),
    Gap("aws:acm/certificate:Certificate", "", "issued at once, whatever its validation record"),
)


def of(token: str) -> list[Gap]:
    """What is known of one resource type."""
    return [gap for gap in GAPS if gap.token == token]
