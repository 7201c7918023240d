"""Making and unmaking single resources."""

from typing import Any

import pulumi
import pytest

from rehearsal.deploy.engine import DeployedResource, DeployTarget, Engine, ProviderConfig, RehearsalError
from rehearsal.deploy.resources import DATA_FUNCTIONS, acm
from tests.rehearsal.cloud import ENDPOINT, Cloud, refusal

SERVICES = ("acm", "apigateway", "backup", "dynamodb", "events", "kms", "lambda", "logs", "rds",
            "s3", "secretsmanager", "sts")
PROVIDER = ProviderConfig("us-west-2", dict.fromkeys(SERVICES, ENDPOINT), {"Project": "TapStack", "Owner": "all"})
KEY = {"KeyMetadata": {"KeyId": "k1", "Arn": "arn:k1"}}
GROUP = "aws:cloudwatch/logGroup:LogGroup"
BUCKET = "aws:s3/bucket:Bucket"
TABLE = {"name": "t", "hashKey": "id", "attributes": [{"name": "id", "type": "S"}]}


def _create(engine: Engine, token: str, protected: bool = False, /, **inputs: Any) -> DeployedResource:
    return engine.create(token, "thing", PROVIDER, inputs, protected)


def test_a_resource_is_made_with_its_inputs_and_both_sorts_of_tags(cloud: Cloud) -> None:
    cloud.answers["CreateKey"] = KEY
    engine = Engine(cloud, DeployTarget())
    made = _create(engine, "aws:kms/key:Key", multiRegion=True, enableKeyRotation=True, deletionWindowInDays=7,
                  tags={"Owner": "me"})
    assert cloud.calls == [
        ("CreateKey", "us-west-2", {"MultiRegion": True, "Tags": [{"TagKey": "Owner", "TagValue": "me"},
                                                                  {"TagKey": "Project", "TagValue": "TapStack"}]}),
        ("EnableKeyRotation", "us-west-2", {"KeyId": "k1"})]
    assert engine.outputs(made) == {"keyId": "k1", "arn": "arn:k1"}
    assert (made.scope["id"], made.label) == ("k1", "Key thing (us-west-2)")


def test_a_region_of_its_own_comes_before_the_providers(cloud: Cloud) -> None:
    _create(Engine(cloud, DeployTarget()), GROUP, name="g", region="eu-west-1")
    assert [region for _, region, _ in cloud.calls] == ["eu-west-1"]


def test_a_name_is_made_up_where_none_is_given(cloud: Cloud) -> None:
    engine = Engine(cloud, DeployTarget())
    shown = engine.outputs(_create(engine, GROUP))
    assert cloud.params("CreateLogGroup")["logGroupName"] == shown["name"]
    assert shown["name"].startswith("thing-")


def test_a_call_goes_to_another_region_where_the_entry_says_so(cloud: Cloud) -> None:
    cloud.answers["ReplicateKey"] = {"ReplicaKeyMetadata": {"KeyId": "k1", "Arn": "arn"}}
    engine = Engine(cloud, DeployTarget())
    _create(engine, "aws:kms/replicaKey:ReplicaKey", primaryKeyArn="arn:aws:kms:us-east-1:0:key/k1")
    ((operation, region, params),) = cloud.calls
    assert (operation, region, params["ReplicaRegion"]) == ("ReplicateKey", "us-east-1", "us-west-2")


def test_a_call_is_made_for_each_element_that_it_concerns(cloud: Cloud) -> None:
    _create(Engine(cloud, DeployTarget()), "aws:dynamodb/table:Table", **TABLE, replicas=[
        {"regionName": "eu-west-1", "kmsKeyArn": "k", "pointInTimeRecovery": True},
        {"regionName": "eu-west-2", "pointInTimeRecovery": False}])
    assert [(operation, region) for operation, region, _ in cloud.calls] == [
        ("CreateTable", "us-west-2"), ("UpdateTable", "us-west-2"), ("UpdateTable", "us-west-2"),
        ("UpdateContinuousBackups", "eu-west-1"), ("DescribeTable", "us-west-2")]


def test_an_input_is_also_found_within_the_operations_structure(cloud: Cloud) -> None:
    cloud.answers["CreateBackupPlan"] = {"BackupPlanId": "p"}
    engine = Engine(cloud, DeployTarget())
    _create(engine, "aws:backup/plan:Plan", name="p", rules=[{"ruleName": "r", "targetVaultName": "v"}])
    assert cloud.params("CreateBackupPlan")["BackupPlan"] == {
        "BackupPlanName": "p", "Rules": [{"RuleName": "r", "TargetBackupVaultName": "v"}]}


@pytest.mark.parametrize(
    ("token", "inputs", "complaint"),
    [
        ("aws:sqs/queue:Queue", {}, "thing: the rehearsal knows no resource type aws:sqs/queue:Queue"),
        (GROUP, {"colour": "red"}, "LogGroup thing .*: create_log_group: .* no place for the input 'colour'"),
        (BUCKET + "Versioning", {}, "knows no resource type"),
        ("aws:s3/bucketVersioning:BucketVersioning", {"bucket": "b", "versioningConfiguration": {"state": "on"}},
         "versioningConfiguration.state|VersioningConfiguration.state: VersioningConfiguration has no such member"),
        ("aws:sns/topic:Topic", {}, "its provider does not send sns to the emulator"),
        ("aws:ec2/vpc:Vpc", {}, "does not send ec2 to the emulator"),
        ("aws:lambda/function:Function", {"name": "f", "code": "x.zip"}, r"zip\(in.code, files\): cannot package str"),
        ("aws:kms/key:Key", {}, "out.KeyMetadata.KeyId is not in the answer"),
        ("aws:s3/bucketPolicy:BucketPolicy", {"bucket": "b"}, "put_bucket_policy: Parameter validation failed"),
    ],
)
def test_a_resource_that_cannot_be_made_is_named(
    cloud: Cloud, token: str, inputs: dict[str, Any], complaint: str
) -> None:
    engine = Engine(cloud, DeployTarget())
    with pytest.raises(RehearsalError, match=complaint):
        _create(engine, token, **inputs)


def test_a_failure_names_resource_call_and_reason(cloud: Cloud) -> None:
    cloud.answers["CreateLogGroup"] = refusal("LimitExceeded", "too\nmany")
    with pytest.raises(RehearsalError) as error:
        _create(Engine(cloud, DeployTarget()), GROUP, name="g")
    assert str(error.value) == "LogGroup thing (us-west-2): create_log_group: LimitExceeded: too many"


def test_what_exists_when_a_later_call_fails_is_deleted_with_the_others(cloud: Cloud) -> None:
    cloud.answers["PutRetentionPolicy"] = refusal("Invalid")
    engine = Engine(cloud, DeployTarget())
    with pytest.raises(RehearsalError, match="put_retention_policy"):
        _create(engine, GROUP, name="g", retentionInDays=7)
    engine.delete(engine.resources[0])
    assert cloud.operations()[-1] == "DeleteLogGroup"


def test_what_is_gone_counts_as_deleted_and_another_error_does_not(cloud: Cloud) -> None:
    engine = Engine(cloud, DeployTarget())
    for code in ("ResourceNotFoundException", "NoSuchEntity", "Busy"):
        cloud.answers["DeleteLogGroup"] = refusal(code)
        made = _create(engine, GROUP, name="g")
        if code == "Busy":
            with pytest.raises(RehearsalError, match="Busy"):
                engine.delete(made)
        else:
            engine.delete(made)
    assert engine.resources == []


def test_a_protected_resource_is_released_and_told(cloud: Cloud) -> None:
    cloud.answers["CreateGlobalCluster"] = {"GlobalCluster": {"GlobalClusterIdentifier": "g"}}
    engine = Engine(cloud, DeployTarget())
    token = "aws:rds/globalCluster:GlobalCluster"
    held = _create(engine, token, globalClusterIdentifier="g", deletionProtection=True)
    _create(engine, token, globalClusterIdentifier="h")
    kept = _create(engine, GROUP, True)
    assert engine.lift_protection() == [held, kept]
    assert cloud.params("ModifyGlobalCluster") == {"GlobalClusterIdentifier": "g", "DeletionProtection": False}


@pytest.mark.parametrize(
    ("force", "lifted", "emptied"), [(False, False, False), (True, False, True), (False, True, True)])
def test_a_bucket_is_emptied_only_if_it_may_be(cloud: Cloud, force: bool, lifted: bool, emptied: bool) -> None:
    version = {"Key": "k", "VersionId": "1"}
    cloud.answers["ListObjectVersions"] = lambda params: {"IsTruncated": True, "NextKeyMarker": "k"} if (
        "KeyMarker" not in params) else {"Versions": [version], "DeleteMarkers": [{**version, "VersionId": "2"}]}
    engine = Engine(cloud, DeployTarget())
    made = _create(engine, BUCKET, bucket="b", forceDestroy=force)
    assert cloud.params("CreateBucket")["CreateBucketConfiguration"] == {"LocationConstraint": "us-west-2"}
    if lifted:
        engine.lift_protection()
    engine.delete(made)
    assert ("DeleteObjects" in cloud.operations()) is emptied
    if emptied:
        assert [item["VersionId"] for item in cloud.params("DeleteObjects")["Delete"]["Objects"]] == ["1", "2"]
    assert cloud.operations()[-1] == "DeleteBucket"


def test_each_plan_gets_every_key_of_the_value(cloud: Cloud) -> None:
    keys = iter(("k1", "k2", "k3"))
    cloud.answers["CreateApiKey"] = lambda _: {"id": next(keys)}
    cloud.answers["CreateUsagePlanKey"] = lambda params: {"id": params["keyId"]}
    engine = Engine(cloud, DeployTarget())
    for value in ("same", "same", "other"):
        _create(engine, "aws:apigateway/apiKey:ApiKey", value=value)
    _create(engine, "aws:apigateway/usagePlanKey:UsagePlanKey", keyId="k2", keyType="API_KEY", usagePlanId="p")
    attached = [params["keyId"] for operation, _, params in cloud.calls if operation == "CreateUsagePlanKey"]
    assert attached == ["k2", "k1"]


@pytest.mark.parametrize(
    ("settings", "complaint"), [({"colour": 1}, "no place for the settings colour"), ({"metricsEnabled": True}, "")])
def test_method_settings_become_patches(cloud: Cloud, settings: dict[str, Any], complaint: str) -> None:
    engine, token = Engine(cloud, DeployTarget()), "aws:apigateway/methodSettings:MethodSettings"
    inputs = {"restApi": "a", "stageName": "live", "methodPath": "*/*", "settings": settings}
    if complaint:
        with pytest.raises(RehearsalError, match=complaint):
            _create(engine, token, **inputs)
        return
    _create(engine, token, **inputs)
    assert cloud.params("UpdateStage")["patchOperations"] == [
        {"op": "replace", "path": "/*/*/metrics/enabled", "value": "true"}]


@pytest.mark.parametrize(("factor", "looks"), [(1, "10"), (20, "0.5")])
def test_a_function_goes_by_in_the_rehearsals_time_and_calls_through_its_regions_relay(
        cloud: Cloud, factor: float, looks: str) -> None:
    relay = "http://127.0.0.1:77"
    engine = Engine(cloud, DeployTarget(endpoints={"us-west-2": relay}, factor=factor))
    _create(engine, "aws:lambda/function:Function", name="f", role="r", code=pulumi.AssetArchive({}),
            environment={"variables": {"PROBE_SECONDS": "10", "SECONDS": "a", "NAME": "b"}})
    assert cloud.params("CreateFunction")["Environment"]["Variables"] == {
        "PROBE_SECONDS": looks, "SECONDS": "a", "NAME": "b", "AWS_ENDPOINT_URL": relay, "HTTP_PROXY": relay}


def test_a_rule_has_its_target_until_it_is_deleted(cloud: Cloud) -> None:
    engine = Engine(cloud, DeployTarget())
    rule = _create(engine, "aws:cloudwatch/eventRule:EventRule", name="r", scheduleExpression="rate(1 minute)")
    assert engine.outputs(rule) == {"name": "r", "arn": "arn:aws:events:us-west-2:000000000000:rule/r"}
    assert cloud.params("PutRule")["State"] == "DISABLED"  # the rehearsal's own clock starts the target
    target = _create(engine, "aws:cloudwatch/eventTarget:EventTarget", rule="r", targetId="t", arn="f",
                     retryPolicy={"maximumRetryAttempts": 0, "maximumEventAgeInSeconds": 60})
    assert cloud.params("PutTargets") == {"Rule": "r", "Targets": [
        {"Id": "t", "Arn": "f", "RetryPolicy": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}}]}
    for made in (target, rule):
        engine.delete(made)
    assert cloud.params("RemoveTargets") == {"Rule": "r", "Ids": ["t"]}
    assert cloud.params("DeleteRule") == {"Name": "r"}


@pytest.mark.parametrize(("length", "special"), [(40, False), (12, None)])
def test_a_password_has_its_length_and_alphabet(cloud: Cloud, length: int, special: bool | None) -> None:
    engine = Engine(cloud, DeployTarget())
    made = _create(engine, "random:index/randomPassword:RandomPassword", length=length, special=special)
    result = engine.outputs(made)["result"]
    assert len(result) == length
    assert special is None or result.isalnum()
    assert made.label == "RandomPassword thing (us-west-2)"


@pytest.mark.parametrize("status", ["ISSUED", "PENDING_VALIDATION"])
def test_a_validation_waits_until_the_certificate_is_issued(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    monkeypatch.setattr(acm, "ISSUE_TIMEOUT", 0.01)
    monkeypatch.setattr(acm, "PAUSE", 0.02)
    cloud.answers["DescribeCertificate"] = {"Certificate": {"Status": status}}
    engine, token = Engine(cloud, DeployTarget()), "aws:acm/certificateValidation:CertificateValidation"
    arn = "arn:aws:acm:us-west-2:000000000000:certificate/c"
    if status == "ISSUED":
        assert _create(engine, token, certificateArn=arn).scope["id"] == arn
        return
    with pytest.raises(RehearsalError, match=f"wait_until_issued: {arn} is PENDING_VALIDATION, not ISSUED"):
        _create(engine, token, certificateArn=arn)


def test_a_function_asks_the_providers_region(cloud: Cloud) -> None:
    cloud.answers["GetSecretValue"] = {"ARN": "a", "SecretString": "s", "VersionId": "v"}
    token = "aws:secretsmanager/getSecretVersion:getSecretVersion"
    answer = Engine(cloud, DeployTarget()).ask(token, DATA_FUNCTIONS[token], PROVIDER, {"secretId": "a"})
    assert (answer["secretString"], answer["id"]) == ("s", "a|v")
    assert cloud.calls == [("GetSecretValue", "us-west-2", {"SecretId": "a"})]


def test_a_function_that_fails_says_why(cloud: Cloud) -> None:
    token = "aws:index/getCallerIdentity:getCallerIdentity"
    with pytest.raises(RehearsalError, match="no place for colour"):
        Engine(cloud, DeployTarget()).ask(token, DATA_FUNCTIONS[token], PROVIDER, {"colour": "red"})
    cloud.answers["GetCallerIdentity"] = refusal("ExpiredToken")
    with pytest.raises(RehearsalError, match="get_caller_identity: ExpiredToken: no"):
        Engine(cloud, DeployTarget()).ask(token, DATA_FUNCTIONS[token], PROVIDER, {})
