"""Creating, tracking and deleting resources, and calling data functions."""

from typing import Any

import pytest

from rehearsal.deploy.engine import Engine
from rehearsal.deploy.provider.handlers import ProviderConfig
from rehearsal.deploy.resources.model import DeployTarget
from rehearsal.errors import DeploymentError
from tests.rehearsal.cloud import ENDPOINT, Cloud, refusal
from tests.rehearsal.deploy.conftest import Create

GROUP = "aws:cloudwatch/logGroup:LogGroup"
CLUSTER = "aws:rds/globalCluster:GlobalCluster"
SECRET = "aws:secretsmanager/getSecretVersion:getSecretVersion"
TABLE = {"name": "t", "hashKey": "id", "attributes": [{"name": "id", "type": "S"}]}


def test_a_resource_is_created_with_its_inputs_and_its_own_and_default_tags(cloud: Cloud, create: Create) -> None:
    cloud.answers["CreateKey"] = {"KeyMetadata": {"KeyId": "k1", "Arn": "arn:k1"}}
    key = create("aws:kms/key:Key", multiRegion=True, enableKeyRotation=True, deletionWindowInDays=7,
                 tags={"Owner": "me"})
    assert cloud.calls == [
        ("CreateKey", "us-west-2", {"MultiRegion": True, "Tags": [{"TagKey": "Owner", "TagValue": "me"},
                                                                  {"TagKey": "Project", "TagValue": "TapStack"}]}),
        ("EnableKeyRotation", "us-west-2", {"KeyId": "k1"})]
    assert key.outputs() == {"keyId": "k1", "arn": "arn:k1"}
    assert (key.scope["id"], key.label) == ("k1", "Key thing (us-west-2)")


def test_the_region_of_a_resource_takes_precedence_over_the_providers(cloud: Cloud, create: Create) -> None:
    create(GROUP, name="g", region="eu-west-1")
    assert [region for _, region, _ in cloud.calls] == ["eu-west-1"]


def test_a_resource_without_a_name_gets_one(cloud: Cloud, create: Create) -> None:
    name = create(GROUP).outputs()["name"]
    assert cloud.params("CreateLogGroup")["logGroupName"] == name
    assert name.startswith("thing-")


def test_a_call_is_made_in_the_region_that_the_description_names(cloud: Cloud, create: Create) -> None:
    cloud.answers["ReplicateKey"] = {"ReplicaKeyMetadata": {"KeyId": "k1", "Arn": "arn"}}
    create("aws:kms/replicaKey:ReplicaKey", primaryKeyArn="arn:aws:kms:us-east-1:0:key/k1")
    ((operation, region, params),) = cloud.calls
    assert (operation, region, params["ReplicaRegion"]) == ("ReplicateKey", "us-east-1", "us-west-2")


def test_a_later_call_takes_what_it_requires_from_the_inputs_or_the_id(
    cloud: Cloud, engine: Engine, create: Create
) -> None:
    engine.delete(create("aws:iam/rolePolicy:RolePolicy", role="r", name="p", policy="{}"))
    assert cloud.params("DeleteRolePolicy") == {"RoleName": "r", "PolicyName": "p"}
    cloud.answers["CreateResource"] = {"id": "id"}
    engine.delete(create("aws:apigateway/resource:Resource", restApi="a", parentId="/", pathPart="x"))
    assert cloud.params("DeleteResource") == {"restApiId": "a", "resourceId": "id"}
    engine.delete(create("aws:cloudwatch/dashboard:Dashboard", dashboardName="d", dashboardBody="{}"))
    assert cloud.params("DeleteDashboards") == {"DashboardNames": ["d"]}


def test_a_call_is_made_for_each_element_that_meets_its_condition(cloud: Cloud, create: Create) -> None:
    create("aws:dynamodb/table:Table", **TABLE, replicas=[
        {"regionName": "eu-west-1", "kmsKeyArn": "k", "pointInTimeRecovery": True},
        {"regionName": "eu-west-2", "pointInTimeRecovery": False}])
    assert [(operation, region) for operation, region, _ in cloud.calls] == [
        ("CreateTable", "us-west-2"), ("UpdateTable", "us-west-2"), ("UpdateTable", "us-west-2"),
        ("UpdateContinuousBackups", "eu-west-1"), ("DescribeTable", "us-west-2")]


def test_an_input_may_be_a_parameter_of_the_wrapper(cloud: Cloud, create: Create) -> None:
    cloud.answers["CreateBackupPlan"] = {"BackupPlanId": "p"}
    create("aws:backup/plan:Plan", name="p", rules=[{"ruleName": "r", "targetVaultName": "v"}])
    assert cloud.params("CreateBackupPlan")["BackupPlan"] == {
        "BackupPlanName": "p", "Rules": [{"RuleName": "r", "TargetBackupVaultName": "v"}]}


@pytest.mark.parametrize(("token", "inputs", "complaint"), [
    ("aws:sqs/queue:Queue", {}, "^thing: the rehearsal does not support the resource type aws:sqs/queue:Queue$"),
    (GROUP, {"colour": "red"}, "^LogGroup thing: the rehearsal does not support the input 'colour'$"),
    ("aws:s3/bucketVersioning:BucketVersioning", {"bucket": "b", "versioningConfiguration": {"state": "on"}},
     "VersioningConfiguration.state: VersioningConfiguration has no such member"),
    ("aws:lambda/function:Function", {"name": "f", "code": "x.zip"}, r"zip\(in.code, files\): cannot package str"),
    ("aws:kms/key:Key", {}, "out.KeyMetadata.KeyId is not in the answer"),
    ("aws:s3/bucketPolicy:BucketPolicy", {"bucket": "b"}, "put_bucket_policy: Parameter validation failed"),
])
def test_a_resource_that_cannot_be_created_is_named(
    create: Create, token: str, inputs: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(DeploymentError, match=complaint):
        create(token, **inputs)


def test_a_provider_must_send_its_calls_to_the_emulator(cloud: Cloud) -> None:
    engine = Engine(cloud, DeployTarget())
    for endpoints in ({}, {"sns": "https://sns.us-west-2.amazonaws.com"}, {"sqs": ENDPOINT}):
        with pytest.raises(DeploymentError, match="its provider does not send sns to the emulator"):
            engine.create("aws:sns/topic:Topic", "thing", ProviderConfig("us-west-2", endpoints, {}), {}, False)
    assert cloud.calls == []


def test_a_failure_names_resource_call_and_reason(cloud: Cloud, create: Create) -> None:
    cloud.answers["CreateLogGroup"] = refusal("LimitExceeded", "too\nmany")
    with pytest.raises(DeploymentError) as error:
        create(GROUP, name="g")
    assert str(error.value) == "LogGroup thing (us-west-2): create_log_group: LimitExceeded: too many"


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "NoSuchEntity"])
def test_what_is_already_gone_counts_as_deleted(cloud: Cloud, engine: Engine, create: Create, code: str) -> None:
    cloud.answers["DeleteLogGroup"] = refusal(code)
    engine.delete(create(GROUP, name="g"))
    assert cloud.operations() == ["CreateLogGroup", "DeleteLogGroup"]


def test_another_error_fails_the_deletion(cloud: Cloud, engine: Engine, create: Create) -> None:
    cloud.answers["DeleteLogGroup"] = refusal("Busy")
    with pytest.raises(DeploymentError, match="delete_log_group: Busy"):
        engine.delete(create(GROUP, name="g"))


def test_a_data_function_is_called_in_the_providers_region(
    cloud: Cloud, engine: Engine, config: ProviderConfig
) -> None:
    cloud.answers["GetSecretValue"] = {"ARN": "a", "SecretString": "s", "VersionId": "v"}
    result = engine.handlers.invoke(SECRET, config, {"secretId": "a"})
    assert (result["secretString"], result["id"]) == ("s", "a|v")
    assert cloud.calls == [("GetSecretValue", "us-west-2", {"SecretId": "a"})]


def test_a_data_function_that_fails_says_why(cloud: Cloud, engine: Engine, config: ProviderConfig) -> None:
    with pytest.raises(DeploymentError, match="does not support: colour, size"):
        engine.handlers.invoke(SECRET, config, {"size": 1, "colour": "red"})
    with pytest.raises(DeploymentError, match="does not support the function aws:index/getRegion:getRegion"):
        engine.handlers.invoke("aws:index/getRegion:getRegion", config, {})
    cloud.answers["GetSecretValue"] = refusal("ExpiredToken")
    with pytest.raises(DeploymentError, match="get_secret_value: ExpiredToken: no"):
        engine.handlers.invoke(SECRET, config, {"secretId": "a"})


def test_resources_are_listed_until_they_are_deleted(engine: Engine, create: Create) -> None:
    first, second = create(GROUP, name="a"), create(GROUP, name="b")
    create("random:index/randomPassword:RandomPassword", length=8)
    assert engine.scopes(GROUP) == [first.scope, second.scope]
    engine.delete(first)
    assert engine.scopes(GROUP) == [second.scope]


def test_a_resource_that_exists_when_a_later_call_fails_can_be_deleted(
    cloud: Cloud, engine: Engine, create: Create
) -> None:
    cloud.answers["PutRetentionPolicy"] = refusal("Invalid")
    with pytest.raises(DeploymentError, match="put_retention_policy"):
        create(GROUP, name="g", retentionInDays=7)
    engine.delete(engine.resources[0])
    assert cloud.operations()[-1] == "DeleteLogGroup"


def test_a_resource_that_cannot_be_deleted_is_no_longer_tracked(cloud: Cloud, engine: Engine, create: Create) -> None:
    cloud.answers["DeleteLogGroup"] = refusal("Busy")
    with pytest.raises(DeploymentError, match="Busy"):
        engine.delete(create(GROUP, name="g"))
    assert engine.resources == []


def test_protection_is_lifted_and_reported(cloud: Cloud, engine: Engine, create: Create) -> None:
    cloud.answers["CreateGlobalCluster"] = {"GlobalCluster": {"GlobalClusterIdentifier": "g"}}
    by_aws = create(CLUSTER, globalClusterIdentifier="g", deletionProtection=True)
    create(CLUSTER, globalClusterIdentifier="h")
    by_pulumi = create(GROUP, True)
    assert engine.lift_protection() == [by_aws, by_pulumi]
    assert cloud.params("ModifyGlobalCluster") == {"GlobalClusterIdentifier": "g", "DeletionProtection": False}


def test_only_gaps_of_given_inputs_are_noted(cloud: Cloud, engine: Engine, create: Create) -> None:
    cloud.answers["CreateVpcEndpoint"] = {"VpcEndpoint": {"VpcEndpointId": "e"}}
    create("aws:ec2/vpcEndpoint:VpcEndpoint", vpcId="v", serviceName="s3")
    assert engine.gaps == set()
    create("aws:ec2/vpcEndpoint:VpcEndpoint", vpcId="v", serviceName="s3", policy="{}")
    assert engine.gaps == {"VpcEndpoint.policy: stored, not enforced"}
