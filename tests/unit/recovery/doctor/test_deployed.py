"""What is wrong with a deployed stack is found, above all where its regions differ."""
from typing import Any

import pytest

from recovery.doctor.check import Symptom
from recovery.doctor.deployed import DEPLOYED
from tests.unit.recovery.doctor.fakes import (
    FINE,
    FakeLook,
    cluster,
    deployment,
    found,
    key_policy,
    needs,
    policy,
    region_needs,
)
from tests.unit.recovery.fakes import AWAY, HOME, stack


def find(name: str, answers: dict[str, Any] | None = None, **changes: Any) -> list[Symptom]:
    """What a check finds if AWS answers something else."""
    return found(DEPLOYED, name, FakeLook({**FINE, **(answers or {})}), deployment(**changes))


@pytest.mark.parametrize("check", DEPLOYED, ids=lambda check: check.name)
def test_in_a_healthy_stack_no_check_finds_anything(check: Any) -> None:
    assert find(check.name) == find(check.name, needs=needs()) == []


def test_the_account_must_be_the_stacks() -> None:
    theirs = stack(primary_cluster_arn="arn:aws:rds:us-east-1:999999999999:cluster:x")
    (finding,) = find("stack's account", stack=theirs)
    assert finding.problem == "the stack is in account 999999999999, and you are signed in to 123456789012"


def members(*writers: str) -> dict[str, Any]:
    """The global database, with its writer in one of the regions."""
    return {"rds:DescribeGlobalClusters": {"GlobalClusters": [{"GlobalClusterMembers": [
        {"DBClusterArn": site.cluster_arn, "IsWriter": site.region in writers} for site in stack().sites]}]}}


def test_a_writer_that_has_moved_is_a_note() -> None:
    (finding,) = find("writer", members(AWAY))
    assert (finding.problem, finding.fails) == (f"the writer is in {AWAY}, not in the primary region {HOME}", False)


@pytest.mark.parametrize("answers", [members(), {"rds:DescribeGlobalClusters": {"GlobalClusters": []}}])
def test_a_database_without_a_writer_is_a_failure(answers: dict[str, Any]) -> None:
    (finding,) = find("writer", answers)
    assert (finding.problem, finding.fails) == ("the global database has no writer", True)


def test_settings_with_other_regions_would_replace_the_stack() -> None:
    swapped = needs(regions=(region_needs(AWAY), region_needs(HOME)))
    (finding,) = find("writer", needs=swapped)
    assert finding.problem.startswith(f"primaryRegion and drRegion are {AWAY} and {HOME}, and the stack was deployed ")
    assert finding.fails


def different(call: str, **changes: Any) -> dict[str, Any]:
    """Another answer in the other region."""
    return {f"{call} {AWAY}": {**FINE[call], **changes}}


@pytest.mark.parametrize(("check", "answers", "problem", "fails"), [
    ("versions", {f"rds:DescribeDBClusters {AWAY}": cluster(AWAY, EngineVersion="17.6")},
     "engine: 17.7 in us-east-1, 17.6 in us-west-2", True),
    ("capacity", different("rds:DescribeDBInstances", DBInstances=[]),
     "instances: db.serverless in us-east-1, none in us-west-2", False),
    ("capacity", {f"rds:DescribeDBClusters {AWAY}": cluster(AWAY, ServerlessV2ScalingConfiguration={})},
     "capacity: 0.5 to 4 ACU in us-east-1, none in us-west-2", False),
    ("capacity", different("lambda:GetFunctionConcurrency", ReservedConcurrentExecutions=300),
     "reserved executions: none in us-east-1, 300 in us-west-2", False),
    ("parameters", different("rds:DescribeDBClusterParameters", Parameters=[]),
     "rds.force_ssl: 1 in us-east-1, none in us-west-2", True),
    ("parameters", {f"rds:DescribeDBClusters {AWAY}": cluster(AWAY, BackupRetentionPeriod=7)},
     "days of backups: 1 in us-east-1, 7 in us-west-2", True),
    ("parameters", different("dynamodb:DescribeTable", Table={}),
     "table's deletion protection: True in us-east-1, False in us-west-2", True),
    ("parameters", different("dynamodb:DescribeContinuousBackups", ContinuousBackupsDescription={
        "ContinuousBackupsStatus": "ENABLED"}),
     "table's point-in-time recovery: ENABLED in us-east-1, none in us-west-2", True),
])
def test_a_difference_between_the_regions_is_shown_with_both_values(
        check: str, answers: dict[str, Any], problem: str, fails: bool) -> None:
    (finding,) = find(check, answers)
    assert (finding.problem, finding.fails) == (problem, fails)


def test_other_code_or_another_runtime_is_found_in_each_function() -> None:
    findings = find("versions", different("lambda:GetFunctionConfiguration", CodeSha256="two", Runtime="python3.12"))
    assert {each.problem.partition(":")[0] for each in findings} == {
        f"{what} of {name}" for what in ("code", "runtime") for name in ("payments", "reconcile", "controller")}


def test_a_permission_that_only_one_region_has_is_shown() -> None:
    findings = find("permissions", {f"iam:GetRolePolicy {AWAY}": policy(AWAY, ["rds-db:connect", "s3:*"])})
    assert all(each.fails for each in findings)
    assert len(findings) == 6  # the statement of either region, in each of three functions
    assert [each.problem for each in findings if "s3:*" in each.problem and each.problem.startswith("payments: ")] == [
        ('payments: {"Action": ["rds-db:connect", "s3:*"], "Effect": "Allow", "Resource": '
         '"arn:aws:rds-db:HERE:dbuser:CLUSTER/app"}: none in us-east-1, permitted in us-west-2')]


def test_a_service_that_may_use_only_one_of_the_keys_is_shown() -> None:
    (finding,) = find("permissions", {f"kms:GetKeyPolicy {AWAY}": key_policy(AWAY, "logs", "lambda")})
    assert finding.problem.startswith('key: {"Action": "kms:*"')
    assert "lambda.HERE.amazonaws.com" in finding.problem
    assert finding.problem.endswith("none in us-east-1, permitted in us-west-2")


def test_with_the_settings_every_role_is_compared_and_one_may_be_missing() -> None:
    more = {f"iam:GetRolePolicy {AWAY}": policy(AWAY, ["s3:*"])}
    assert {each.problem.partition(":")[0] for each in find("permissions", more, needs=needs())} == {"backup"}
    gone = {f"iam:ListRolePolicies {AWAY}": None}
    assert [each.problem.rpartition(": ")[2] for each in find("permissions", gone, needs=needs())] == [
        "permitted in us-east-1, none in us-west-2"]
    assert find("permissions", {"iam:ListRolePolicies": None}, needs=needs()) == []


def test_a_permission_for_the_other_region_is_no_difference() -> None:
    there = {f"iam:GetRolePolicy {region}": policy(other) for region, other in ((HOME, AWAY), (AWAY, HOME))}
    clusters = {f"rds:DescribeDBClusters {region}": cluster(other) for region, other in ((HOME, AWAY), (AWAY, HOME))}
    assert find("permissions", {**there, **clusters}) == []
