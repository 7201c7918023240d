"""Small programs, run by Pulumi's own runtime; and single resources: created, tracked, deleted."""

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_random as random
import pytest

from rehearsal.deploy.deployment import Deployment
from rehearsal.deploy.project import Project
from rehearsal.deploy.provider.handlers import ProviderConfig
from rehearsal.deploy.resources.model import DeployTarget
from rehearsal.errors import DeploymentError
from tests.rehearsal.cloud import ENDPOINT, Cloud, refusal
from tests.rehearsal.deploy.conftest import Create

GROUP = "aws:cloudwatch/logGroup:LogGroup"
CLUSTER = "aws:rds/globalCluster:GlobalCluster"
SECRET = "aws:secretsmanager/getSecretVersion:getSecretVersion"
TABLE = {"name": "t", "hashKey": "id", "attributes": [{"name": "id", "type": "S"}]}
PROJECT = Project(folder=Path.cwd(), name="Small", stack="test", config={"Small:greeting": "hello"})


def _provider(name: str = "west", region: str = "us-west-2") -> aws.Provider:
    endpoints = aws.ProviderEndpointArgs(**dict.fromkeys(("logs", "s3", "secretsmanager"), ENDPOINT))
    return aws.Provider(name, region=region, endpoints=[endpoints], default_tags={"tags": {"Project": "Small"}})


def _group(name: str, west: aws.Provider, *after: pulumi.Resource) -> aws.cloudwatch.LogGroup:
    return aws.cloudwatch.LogGroup(name, name=name, opts=pulumi.ResourceOptions(provider=west, depends_on=list(after)))


@pytest.fixture
def deployment(cloud: Cloud) -> Deployment:
    """A deployment that has not begun."""
    return Deployment(cloud, DeployTarget())


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, even if the parent process ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_program_is_deployed_and_its_outputs_are_plain(cloud: Cloud, deployment: Deployment) -> None:
    cloud.answers["GetSecretValue"] = {"ARN": "a", "SecretString": "not-a-secret", "VersionId": "v"}

    def program() -> None:
        west = _provider()
        pulumi.export("arn", _group("one", west).arn)
        pulumi.export("version", aws.secretsmanager.get_secret_version(
            secret_id="a", opts=pulumi.InvokeOptions(provider=west)).version_id)
        pulumi.export("greeting", pulumi.Config("Small").require("greeting"))
        pulumi.export("numbers", [pulumi.Output.from_input(5432), 0.5])

    deployment.up(PROJECT, program)
    assert deployment.outputs == {
        "arn": "arn:aws:logs:us-west-2:000000000000:log-group:one", "version": "v", "greeting": "hello",
        "numbers": [5432, 0.5]}
    assert cloud.params("CreateLogGroup") == {"logGroupName": "one", "tags": {"Project": "Small"}}


def test_resources_are_deleted_in_reverse_order_despite_failures(cloud: Cloud, deployment: Deployment) -> None:
    def program() -> None:
        west = _provider()
        first = _group("first", west)
        _group("third", west, _group("second", west, first))

    deployment.up(PROJECT, program)
    cloud.answers["DeleteLogGroup"] = refusal("Busy")
    failures = deployment.down()
    names = [params["logGroupName"] for _, _, params in cloud.calls]
    assert names == ["first", "second", "third", "third", "second", "first"]
    assert [line.partition(" (")[0] for line in failures] == ["LogGroup third", "LogGroup second", "LogGroup first"]
    assert deployment.down() == []


def test_log_groups_are_deleted_last(cloud: Cloud, deployment: Deployment) -> None:
    def program() -> None:
        west = _provider()
        _group("late", west, aws.s3.Bucket("b", bucket="some-bucket", opts=pulumi.ResourceOptions(provider=west)))

    deployment.up(PROJECT, program)
    assert deployment.down() == []
    assert [name for name in cloud.operations() if name.startswith("Delete")] == ["DeleteBucket", "DeleteLogGroup"]


def test_a_failed_create_stops_what_depends_on_it(cloud: Cloud, deployment: Deployment) -> None:
    cloud.answers["CreateLogGroup"] = lambda params: {} if params["logGroupName"] == "first" else fail()

    def fail() -> dict[str, object]:
        raise refusal("LimitExceeded", "too many")

    def program() -> None:
        west = _provider()
        second = _group("second", west, _group("first", west))
        third = _group("third", west, second)
        pulumi.export("shouted", third.arn.apply(str.upper))

    with pytest.raises(DeploymentError, match=r"^LogGroup second .* LimitExceeded: too many$"):
        deployment.up(PROJECT, program)
    assert [resource.name for resource in deployment.resources] == ["first"]
    assert deployment.outputs == {}


def _twins() -> None:
    west = _provider()
    _group("twin", west)
    _group("twin", west)


def _orphan() -> None:
    aws.cloudwatch.LogGroup("orphan")


def _imported() -> None:
    aws.cloudwatch.LogGroup("old", opts=pulumi.ResourceOptions(provider=_provider(), import_="old-id"))


def _read() -> None:
    aws.cloudwatch.LogGroup.get("old", "old-id", opts=pulumi.ResourceOptions(provider=_provider()))


def _secret() -> None:
    pulumi.export("inner", {"list": [random.RandomPassword("password", length=8).result]})


def _unknown_output() -> None:
    pulumi.export("zone", aws.s3.Bucket("b", opts=pulumi.ResourceOptions(provider=_provider())).hosted_zone_id)


def _unknown_input() -> None:
    west = _provider()
    bucket = aws.s3.Bucket("b", opts=pulumi.ResourceOptions(provider=west))
    aws.cloudwatch.LogGroup("g", name=bucket.hosted_zone_id, opts=pulumi.ResourceOptions(provider=west))


def _without_region() -> None:
    aws.Provider("nowhere")


def _late_error() -> None:
    group = _group("first", _provider())
    pulumi.export("late", group.arn.apply(lambda _: 1 // 0))


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        (_twins, "two resources have the URN urn:pulumi:test::Small::aws:cloudwatch/logGroup:LogGroup::twin"),
        (_orphan, "LogGroup orphan: has no explicit provider"),
        (_imported, "old: a rehearsal begins with nothing, so old-id does not exist"),
        (_read, "old: a rehearsal begins with nothing, so old-id does not exist"),
        (_secret, "output inner: is secret"),
        (_unknown_output, "output zone: depends on an output that the rehearsal does not provide"),
        (_unknown_input, "g.name: depends on an output that the rehearsal does not provide"),
        (_without_region, "nowhere: the provider has no region"),
    ],
)
def test_what_a_rehearsal_refuses(deployment: Deployment, program: Callable[[], None], complaint: str) -> None:
    with pytest.raises(DeploymentError, match=complaint):
        deployment.up(PROJECT, program)


def test_an_unknown_function_fails_the_program(deployment: Deployment) -> None:
    def program() -> None:
        aws.get_region(opts=pulumi.InvokeOptions(provider=_provider()))

    with pytest.raises(Exception, match="the rehearsal does not support the function aws:index/getRegion:getRegion"):
        deployment.up(PROJECT, program)


def test_the_same_name_under_a_parent_of_another_type_is_another_resource(cloud: Cloud, deployment: Deployment) -> None:
    class Component(pulumi.ComponentResource):
        """A parent, of a type of its own."""

        def __init__(self, type_name: str, west: aws.Provider) -> None:
            super().__init__(f"small:index:{type_name}", "parent")
            aws.cloudwatch.LogGroup("same", opts=pulumi.ResourceOptions(parent=self, provider=west))
            self.register_outputs({"type": type_name})

    def program() -> None:
        west = _provider()
        random.RandomPassword("password", length=8, opts=pulumi.ResourceOptions(provider=random.Provider("dice")))
        Component("One", west)
        Component("Two", west)

    deployment.up(PROJECT, program)
    assert cloud.operations() == ["CreateLogGroup"] * 2


def test_an_error_in_an_apply_is_raised(deployment: Deployment) -> None:
    with pytest.raises(ZeroDivisionError):
        deployment.up(PROJECT, _late_error)
    assert "LogGroup" in {resource.type_name for resource in deployment.resources}


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_lets_running_calls_end_and_begins_nothing(cloud: Cloud, deployment: Deployment) -> None:
    def interrupted(_: object) -> dict[str, object]:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        assert deployment.stopping.wait(30)
        return {}

    def program() -> None:
        west = _provider()
        _group("second", west, _group("first", west))

    cloud.answers["CreateLogGroup"] = interrupted
    with pytest.raises(KeyboardInterrupt):
        deployment.up(PROJECT, program)
    assert [resource.name for resource in deployment.resources] == ["first"]


def test_the_programs_own_errors_are_raised(deployment: Deployment) -> None:
    def program() -> None:
        raise pulumi.RunError("profile = 'x': must be dev or prod")

    with pytest.raises(pulumi.RunError, match="must be dev or prod"):
        deployment.up(PROJECT, program)


def test_the_projects_program_runs_in_its_folder(tmp_path: Path, deployment: Deployment) -> None:
    (tmp_path / "neighbour.py").write_text("WHERE = 'neighbour'")
    (tmp_path / "__main__.py").write_text(
        "import os, pulumi, neighbour\npulumi.export('where', [neighbour.WHERE, os.getcwd(), __name__])")
    before = Path.cwd()
    deployment.up(Project(folder=tmp_path, name="Small", stack="test", config={}))
    assert deployment.outputs == {"where": ["neighbour", str(tmp_path), "__main__"]}
    assert Path.cwd() == before


# --- Single resources


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
    cloud: Cloud, engine: Deployment, create: Create
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
    engine = Deployment(cloud, DeployTarget())
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
def test_what_is_already_gone_counts_as_deleted(cloud: Cloud, engine: Deployment, create: Create, code: str) -> None:
    cloud.answers["DeleteLogGroup"] = refusal(code)
    engine.delete(create(GROUP, name="g"))
    assert cloud.operations() == ["CreateLogGroup", "DeleteLogGroup"]


def test_another_error_fails_the_deletion(cloud: Cloud, engine: Deployment, create: Create) -> None:
    cloud.answers["DeleteLogGroup"] = refusal("Busy")
    with pytest.raises(DeploymentError, match="delete_log_group: Busy"):
        engine.delete(create(GROUP, name="g"))


def test_a_data_function_is_called_in_the_providers_region(
    cloud: Cloud, engine: Deployment, config: ProviderConfig
) -> None:
    cloud.answers["GetSecretValue"] = {"ARN": "a", "SecretString": "s", "VersionId": "v"}
    result = engine.handlers.invoke(SECRET, config, {"secretId": "a"})
    assert (result["secretString"], result["id"]) == ("s", "a|v")
    assert cloud.calls == [("GetSecretValue", "us-west-2", {"SecretId": "a"})]


def test_a_data_function_that_fails_says_why(cloud: Cloud, engine: Deployment, config: ProviderConfig) -> None:
    with pytest.raises(DeploymentError, match="does not support: colour, size"):
        engine.handlers.invoke(SECRET, config, {"size": 1, "colour": "red"})
    with pytest.raises(DeploymentError, match="does not support the function aws:index/getRegion:getRegion"):
        engine.handlers.invoke("aws:index/getRegion:getRegion", config, {})
    cloud.answers["GetSecretValue"] = refusal("ExpiredToken")
    with pytest.raises(DeploymentError, match="get_secret_value: ExpiredToken: no"):
        engine.handlers.invoke(SECRET, config, {"secretId": "a"})


def test_resources_are_listed_until_they_are_deleted(engine: Deployment, create: Create) -> None:
    first, second = create(GROUP, name="a"), create(GROUP, name="b")
    create("random:index/randomPassword:RandomPassword", length=8)
    assert engine.scopes(GROUP) == [first.scope, second.scope]
    engine.delete(first)
    assert engine.scopes(GROUP) == [second.scope]


def test_a_resource_that_exists_when_a_later_call_fails_can_be_deleted(
    cloud: Cloud, engine: Deployment, create: Create
) -> None:
    cloud.answers["PutRetentionPolicy"] = refusal("Invalid")
    with pytest.raises(DeploymentError, match="put_retention_policy"):
        create(GROUP, name="g", retentionInDays=7)
    engine.delete(engine.resources[0])
    assert cloud.operations()[-1] == "DeleteLogGroup"


def test_a_resource_that_cannot_be_deleted_is_no_longer_tracked(
        cloud: Cloud, engine: Deployment, create: Create) -> None:
    cloud.answers["DeleteLogGroup"] = refusal("Busy")
    with pytest.raises(DeploymentError, match="Busy"):
        engine.delete(create(GROUP, name="g"))
    assert engine.resources == []


def test_protection_is_lifted_and_reported(cloud: Cloud, engine: Deployment, create: Create) -> None:
    cloud.answers["CreateGlobalCluster"] = {"GlobalCluster": {"GlobalClusterIdentifier": "g"}}
    by_aws = create(CLUSTER, globalClusterIdentifier="g", deletionProtection=True)
    create(CLUSTER, globalClusterIdentifier="h")
    by_pulumi = create(GROUP, True)
    assert engine.lift_protection() == [by_aws, by_pulumi]
    assert cloud.params("ModifyGlobalCluster") == {"GlobalClusterIdentifier": "g", "DeletionProtection": False}


def test_only_gaps_of_given_inputs_are_noted(cloud: Cloud, engine: Deployment, create: Create) -> None:
    cloud.answers["CreateVpcEndpoint"] = {"VpcEndpoint": {"VpcEndpointId": "e"}}
    create("aws:ec2/vpcEndpoint:VpcEndpoint", vpcId="v", serviceName="s3")
    assert engine.gaps == set()
    create("aws:ec2/vpcEndpoint:VpcEndpoint", vpcId="v", serviceName="s3", policy="{}")
    assert engine.gaps == {"VpcEndpoint.policy: stored, not enforced"}
