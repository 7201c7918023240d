"""The payments function, and what its role and those of the controller and the copies may do."""
import json
from typing import Any

import pytest

from tests.integration.stack import EMULATED, Region, statements

# Actions without resource types, for which a policy cannot name resources.
UNBOUND = {"xray:PutTraceSegments", "xray:PutTelemetryRecords", "tag:GetResources", "cloudwatch:PutMetricData",
           "cloudwatch:GetMetricStatistics", *(f"ec2:{action}" for action in (
               "CreateNetworkInterface", "DescribeNetworkInterfaces", "DescribeSubnets", "DeleteNetworkInterface",
               "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses"))}
# Set by a rehearsal: a function calls AWS through its region's proxy.
PROXY_VARIABLES = {"AWS_ENDPOINT_URL", "HTTP_PROXY", "NAME_SERVERS"} if EMULATED else set[str]()
# Wildcards that stand for one thing: GenerateDataKey with and without its plaintext, ReEncrypt from and to.
FAMILIES = {"kms:GenerateDataKey*", "kms:ReEncrypt*"}


def function_role(region: Region) -> str:
    """The name of the role that the function runs with."""
    return str(region["function_role_name"])


def controller_role(region: Region) -> str:
    """The name of the role that the controller runs with."""
    found = region.client("lambda").get_function_configuration(FunctionName=region["controller_function_name"])
    return str(found["Role"].rpartition("/")[2])


def replication_role(region: Region) -> str:
    """The name of the role that S3 copies receipts with."""
    answer = region.client("s3").get_bucket_replication(Bucket=region["receipts_bucket"])
    return str(answer["ReplicationConfiguration"]["Role"].rpartition("/")[2])


def backup_role(region: Region) -> str:
    """The name of the role that backups are made with."""
    (found,) = region.client("backup").list_backup_selections(
        BackupPlanId=region["backup_plan_id"])["BackupSelectionsList"]
    return str(found["IamRoleArn"].rpartition("/")[2])


EACH_ROLE = pytest.mark.parametrize(("role", "service"), [
    pytest.param(function_role, "lambda", id="function"),
    pytest.param(controller_role, "lambda", id="controller"),
    pytest.param(replication_role, "s3", id="replication"),
    pytest.param(backup_role, "backup", id="backup")])


def variables_of(function: dict[str, Any]) -> dict[str, str]:
    """The environment that the program gives a function."""
    found: dict[str, str] = function["Environment"]["Variables"]
    return {key: value for key, value in found.items() if key not in PROXY_VARIABLES}


def permissions(region: Region, role: str) -> list[dict[str, Any]]:
    """The statements of a role's own policies."""
    iam = region.client("iam")
    names = sorted(iam.list_role_policies(RoleName=role)["PolicyNames"])
    return [each for name in names
            for each in statements(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])]


def test_the_alias_runs_a_published_version_of_the_current_code(region: Region, function: dict[str, Any]) -> None:
    assert function["Version"].isdecimal(), f"the alias runs {function['Version']}"
    current = region.client("lambda").get_function_configuration(FunctionName=region["function_name"])
    assert function["CodeSha256"] == current["CodeSha256"]
    assert (function["State"], function["LastUpdateStatus"]) == ("Active", "Successful")


def test_the_function_runs_in_the_private_subnets(region: Region, function: dict[str, Any]) -> None:
    assert function["VpcConfig"]["VpcId"] == region["vpc_id"]
    assert set(function["VpcConfig"]["SubnetIds"]) == set(region["subnet_ids"])


def test_the_function_is_traced_and_runs_on_arm_with_a_current_python(function: dict[str, Any]) -> None:
    assert function["Architectures"] == ["arm64"]
    assert function["TracingConfig"] == {"Mode": "Active"}
    version = tuple(map(int, function["Runtime"].removeprefix("python").split(".")))
    assert version >= (3, 12), function["Runtime"]


def test_the_environment_names_the_stores_and_is_encrypted(region: Region, function: dict[str, Any]) -> None:
    assert variables_of(function) == {
        "TABLE_NAME": region.outputs["payments_table_name"], "RECEIPTS_BUCKET": region["receipts_bucket"],
        "DATABASE_HOST": region["cluster_endpoint"],
        "DATABASE_READER_HOST": region["cluster_reader_endpoint"], "DATABASE_PORT": str(region["cluster_port"]),
        "DATABASE_NAME": "payments", "DATABASE_USER": "payments_app"}
    assert function["KMSKeyArn"] == region["key_arn"]


def test_the_function_logs_to_its_group(region: Region, function: dict[str, Any]) -> None:
    assert function["LoggingConfig"]["LogGroup"] == region["function_log_group"]


def test_only_this_regions_api_may_call_the_function(region: Region) -> None:
    name, _, alias = region["function_alias_arn"].rpartition(":")
    (found,) = statements(region.client("lambda").get_policy(FunctionName=name, Qualifier=alias)["Policy"])
    assert (found["Effect"], found["Principal"]) == ("Allow", {"Service": "apigateway.amazonaws.com"})
    source = found["Condition"]["ArnLike"]["AWS:SourceArn"]
    assert f":{region.name}:" in source
    assert f":{region['api_id']}/" in source


@EACH_ROLE
def test_only_its_service_may_assume_a_role(region: Region, role: Any, service: str) -> None:
    found = region.client("iam").get_role(RoleName=role(region))["Role"]
    (trust,) = statements(found["AssumeRolePolicyDocument"])
    assert trust["Principal"] == {"Service": f"{service}.amazonaws.com"}
    account = region["cluster_arn"].split(":")[4]
    assert {"aws:SourceAccount": account} in trust["Condition"].values()


@EACH_ROLE
def test_a_role_names_its_actions_and_resources(region: Region, role: Any, service: str) -> None:
    name = role(region)
    managed = region.client("iam").list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert managed == [], f"{service}: managed policies change without us"
    allowed = [each for each in permissions(region, name) if each["Effect"] == "Allow"]
    assert allowed
    for statement in allowed:
        assert not [action for action in statement["Action"] if "*" in action and action not in FAMILIES], statement
        if "*" in statement["Resource"]:
            assert set(statement["Action"]) <= UNBOUND, statement


@EACH_ROLE
def test_the_roles_of_the_two_regions_differ_only_by_region(
        region: Region, peer: Region, role: Any, service: str) -> None:
    own, others = permissions(region, role(region)), permissions(peer, role(peer))
    assert region.neutral(own) == peer.neutral(others), service


def test_the_function_may_use_only_its_own_regions_stores(region: Region, peer: Region) -> None:
    found = permissions(region, function_role(region))
    assert peer.name not in json.dumps(found), "in a failover that region does not answer"
    actions = {action for each in found if each["Effect"] == "Allow" for action in each["Action"]}
    assert {action for action in actions if action.startswith("dynamodb:")} == {
        "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"}
    assert not [action for action in actions if "Delete" in action and not action.startswith("ec2:")]
