"""What the emulator (MiniStack 1.5.33) does not do, and so no rehearsal tests. The only place where it is listed.

A report prints the gaps of what was deployed, so that nobody concludes more from a passed rehearsal than it shows.
"""

from collections.abc import Container

# By resource type, or by one argument of a type as `TYPE.ARGUMENT`
GAPS = {
    "aws:ec2/vpc:Vpc": "routes, endpoints, security groups and flow logs are stored, but no packets flow",
    "aws:ec2/vpcEndpoint:VpcEndpoint.policy": "ignored",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule.prefixListId":
        "ignored, so two rules of a group that differ only in it become one",
    # With AUTH=true the bucket policies, which require TLS, would refuse the emulator's plain HTTP.
    "aws:iam/rolePolicy:RolePolicy": "stored, not enforced",
    "aws:rds/globalCluster:GlobalCluster": "has no writer endpoint; the endpoint shown does not exist",
    "aws:rds/cluster:Cluster":
        "runs PostgreSQL 18 whatever the engine version; size, storage and backups are stored only",
    "aws:rds/cluster:Cluster.enabledCloudwatchLogsExports": "ignored",
    "aws:rds/clusterInstance:ClusterInstance.performanceInsightsKmsKeyId": "ignored",
    "aws:kms/replicaKey:ReplicaKey": "does not show the rotation of its primary key",
    "aws:dynamodb/table:Table.replicas": "copied with the rehearsal's lag, without a replica's own key",
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig":
        "copied with the rehearsal's lag and the source's key; replication time control is stored only",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "no object expires",
    "aws:lambda/function:Function.architectures": "runs on the emulator's own Python and processor",
    "aws:lambda/permission:Permission": "not enforced",
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig":
        "ignored for an alias; a failed event is tried twice more",
    "aws:cloudwatch/eventRule:EventRule": "invokes its target only during drills, on the rehearsal's clock",
    "aws:cloudwatch/eventTarget:EventTarget.retryPolicy": "stored only",
    "aws:apigateway/usagePlanKey:UsagePlanKey":
        "a key is looked up by its value in all regions, so each plan also gets the other region's key",
    "aws:apigateway/stage:Stage.accessLogSettings": "no access log is written",
    "aws:apigateway/domainName:DomainName":
        "a name used in two regions always resolves to the first, so requests address the API by its id",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "dimensions, datapoints and missing data are ignored",
    "aws:sns/topicSubscription:TopicSubscription": "no e-mail is sent",
    "aws:backup/plan:Plan": "no backup runs and none is copied",
    "aws:route53/healthCheck:HealthCheck":
        "runs only during drills, with one checker of the rehearsal whose result counts at once",
    "aws:route53/healthCheck:HealthCheck.childHealthchecks": "stored, but read back as empty",
    "aws:route53/record:Record": "resolved only during drills, by the rehearsal, without the DNS protocol",
    "aws:acm/certificate:Certificate": "issued at once, without checking the validation record",
}


def of(token: str, inputs: Container[str]) -> set[str]:
    """A line for each gap that concerns a resource of this type with these inputs."""
    found = set()
    for key, reason in GAPS.items():
        of_type, _, argument = key.partition(".")
        if of_type == token and (not argument or argument in inputs):
            found.add(f"{key.rpartition(':')[2]}: {reason}")
    return found
