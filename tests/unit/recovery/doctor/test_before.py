"""What would stop a deployment is found, and each finding says what to do about it."""
from typing import Any

import pytest

from recovery.doctor.before import BEFORE
from recovery.doctor.check import Symptom
from recovery.doctor.deployed import DEPLOYED
from recovery.errors import AwsFailure
from tests.unit.recovery.doctor.fakes import (
    ACCOUNT,
    FINE,
    NEW,
    SECRET,
    FakeLook,
    account_limit,
    found,
    needs,
    quota,
    secret_value,
)
from tests.unit.recovery.fakes import AWAY, HOME

DOMAIN: dict[str, Any] = {
    "domain_name": "pay.example.com", "hosted_zone_id": "Z1", "health_checks": 5, "custom_domains": 2}
VAULT = f"arn:aws:backup:{HOME}:{ACCOUNT}:backup-vault:tapstack-dev"
SERVERS = ("ns-1.awsdns-01.com", "ns-2.awsdns-02.org")


def find(name: str, answers: dict[str, Any] | None = None, region: str = HOME, **changes: Any) -> list[Symptom]:
    """What a check finds if AWS answers something else, or the stack needs something else."""
    return found(BEFORE, name, FakeLook({**NEW, **(answers or {})}, SERVERS), needs(**changes), region)


def one(name: str, answers: dict[str, Any] | None = None, *, fails: bool = True, **changes: Any) -> str:
    """The problem and the remedy of the one finding."""
    (finding,) = find(name, answers, **changes)
    assert finding.fails is fails
    return f"{finding.problem}: {finding.remedy}"


@pytest.mark.parametrize("changes", [{}, DOMAIN, {**DOMAIN, "domain_name": "example.com"}])
@pytest.mark.parametrize("check", BEFORE, ids=lambda check: check.name)
def test_in_a_ready_account_no_check_finds_anything(check: Any, changes: dict[str, Any]) -> None:
    for region in (HOME, AWAY):
        assert find(check.name, region=region, **changes) == []


def test_the_names_of_the_checks_are_unique() -> None:
    names = [*(check.name for check in BEFORE), *(check.name for check in DEPLOYED)]
    assert len(set(names)) == len(names)


def test_the_account_must_be_that_of_the_settings() -> None:
    assert one("account", account="999999999999").startswith("account = 999999999999: you are signed in to ")


def test_a_zone_that_the_account_does_not_have_is_named_with_those_that_it_has() -> None:
    some = {f"ec2:DescribeAvailabilityZones {HOME}": {"AvailabilityZones": [
        {"ZoneName": f"{HOME}{letter}"} for letter in "acf"]}}
    assert f"zone {HOME}b is not available; these are: {HOME}a, {HOME}c, {HOME}f" in one("zones", some)


# --- Regions

def test_a_region_that_is_not_enabled_is_named_also_the_witness() -> None:
    regions = [{"RegionName": name, "OptInStatus": status}
               for name, status in ((HOME, "opted-in"), (AWAY, "not-opted-in"), ("eu-south-1", "not-opted-in"))]
    findings = find("regions", {"ec2:DescribeRegions": {"Regions": regions}}, witness_region="eu-south-1")
    assert [each.problem.partition(" ")[0] for each in findings] == [AWAY, "eu-south-1"]


def test_the_other_region_is_asked_about_one_that_refuses_every_call() -> None:
    refused = {f"ec2:DescribeRegions {HOME}": AwsFailure("AuthFailure")}
    regions = {"Regions": [{"RegionName": HOME, "OptInStatus": "not-opted-in"}]}
    assert HOME in one("regions", {**refused, f"ec2:DescribeRegions {AWAY}": regions})
    with pytest.raises(AwsFailure):
        find("regions", {**refused, f"ec2:DescribeRegions {AWAY}": AwsFailure("AuthFailure")})


# --- Lambda's concurrency

def limits(total: int, free: int) -> dict[str, Any]:
    """What Lambda answers about the account."""
    return {"lambda:GetAccountSettings": {
        "AccountLimit": {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": free}}}


@pytest.mark.parametrize(("total", "free", "reserved", "fails"), [
    (1000, 400, 300, False), (1000, 399, 300, True), (10, 10, 300, True), (10, 10, 1, True), (100, 100, 90, False),
    (101, 101, 2, True), (101, 101, 1, False),
])
def test_a_reservation_must_leave_the_account_its_minimum(total: int, free: int, reserved: int, fails: bool) -> None:
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
    assert [each.fails for each in find("concurrency", limits(total, free), reserved=reserved)] == [True] * fails


def test_the_remedy_is_a_larger_quota_or_a_smaller_reservation() -> None:
    assert one("concurrency", limits(10, 10)).endswith(
        "request 400 concurrent executions (Service Quotas, lambda, L-B99A9384), or set functionConcurrency to -1")
    assert one("concurrency", limits(1000, 350)).endswith("request 1050 concurrent executions (Service Quotas, lambda, "
                                                          "L-B99A9384), or set functionConcurrency to at most 250")


def test_what_the_stack_itself_has_reserved_counts_as_free() -> None:
    held = {"lambda:GetFunctionConcurrency": {"ReservedConcurrentExecutions": 300}}
    assert find("concurrency", {**limits(1000, 100), **held}) == []
    assert find("concurrency", limits(1000, 100)) != []
    assert find("concurrency", {"lambda:GetFunctionConcurrency": None}) == []


def test_without_a_reservation_a_small_account_is_a_note() -> None:
    assert "10 concurrent executions for all functions" in one("concurrency", limits(10, 10), reserved=0, fails=False)


# --- Quotas

@pytest.mark.parametrize(("answers", "what"), [
    ({"rds:DescribeAccountAttributes": {"AccountQuotas": [
        {"AccountQuotaName": "DBInstances", "Used": 39, "Max": 40}]}}, "RDS's DBInstances: 39 of 40"),
    ({"ec2:DescribeVpcs": {"Vpcs": [{}] * 5}}, "VPCs: 5 of 5"),
    ({"ec2:DescribeVpcEndpoints": {"VpcEndpoints": [{}] * 4}}, "gateway endpoints: 4 of 5"),
    ({"apigateway:GetRestApis": {"items": [{}] * 5}}, "regional APIs: 5 of 5"),
    ({"apigateway:GetDomainNames": {"items": [{}] * 4}}, "custom domain names: 4 of 5"),
    ({"xray:GetSamplingRules": {"SamplingRuleRecords": [
        {"SamplingRule": {"RuleName": f"other-{number}"}} for number in range(4)]}}, "sampling rules: 4 of 5"),
    ({"wafv2:ListWebACLs": {"WebACLs": [{}] * 5}}, "web ACLs: 5 of 5"),
])
def test_a_quota_without_room_is_named(answers: dict[str, Any], what: str) -> None:
    assert one("quotas", answers, **DOMAIN).startswith(f"{what} are used, and the stack needs ")


def test_a_quota_is_not_asked_about_if_nothing_needs_it() -> None:
    full: dict[str, Any] = {
        "apigateway:GetDomainNames": {"items": [{}] * 5}, "wafv2:ListWebACLs": {"WebACLs": [{}] * 5}}
    assert find("quotas", full, firewall=False) == []


def test_a_quota_that_was_never_changed_is_aws_default() -> None:
    unset = {"service-quotas:GetServiceQuota": None}
    assert find("quotas", {**unset, "ec2:DescribeVpcs": {"Vpcs": [{}] * 19}}) == []
    assert "VPCs: 20 of 20" in one("quotas", {**unset, "ec2:DescribeVpcs": {"Vpcs": [{}] * 20}})


def test_each_quota_is_asked_for_by_its_code() -> None:
    asked: list[str] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(f"{request['ServiceCode']} {request['QuotaCode']}")
        return quota(9)

    find("quotas", {"service-quotas:GetServiceQuota": answer}, **DOMAIN)
    assert asked == ["vpc L-F678F1CE", "vpc L-1B52E74A", "apigateway L-AA0FF27B", "apigateway L-A93447B8",
                     "xray L-8C0C998A", "wafv2 L-2EC3DE7B"]


def test_route_53_needs_room_for_health_checks_and_for_a_zone_that_is_created() -> None:
    full = {"route53:GetAccountLimit": account_limit(196, 200)}
    assert "health checks: 196 of 200 are used, and the stack needs 5" in one("Route 53", full, **DOMAIN)
    both = find("Route 53", {"route53:GetAccountLimit": account_limit(200, 200)}, **{**DOMAIN, "hosted_zone_id": ""})
    assert [each.problem.partition(":")[0] for each in both if each.fails] == ["health checks", "hosted zones"]
    assert find("Route 53", full) == []


# --- The database

@pytest.mark.parametrize(("offers", "how"), [
    (None, "not at all"), ({}, "not at all"),
    ({"OrderableDBInstanceOptions": [{"SupportsGlobalDatabases": False}]}, "not for a global database")])
def test_a_version_that_the_region_does_not_offer_is_refused_with_those_it_does(offers: Any, how: str) -> None:
    text = one("database", {"rds:DescribeOrderableDBInstanceOptions": offers}, engine_version="17.9")
    assert f"aurora-postgresql 17.9 on db.serverless: offered {how}" in text
    assert text.endswith("; 17 here: 17.4, 17.7")


def test_a_major_version_that_the_region_lacks_has_no_alternative() -> None:
    text = one("database", {"rds:DescribeOrderableDBInstanceOptions": None}, engine_version="15.9")
    assert text.endswith("; 15 here: none")


# --- AWS Backup

def test_each_kind_that_backup_is_not_opted_in_for_is_named() -> None:
    off = {"ResourceTypeOptInPreference": {"DynamoDB": False}, "ResourceTypeManagementPreference": {}}
    findings = find("backup", {"backup:DescribeRegionSettings": off}, region=AWAY)
    assert [each.remedy.partition(f"in {AWAY}: ")[2] for each in findings] == [
        "switch Aurora on", "switch DynamoDB on", "switch advanced features for DynamoDB on"]


# --- API Gateway's account

def role(name: str) -> dict[str, Any]:
    """API Gateway's account with a log role."""
    return {"apigateway:GetAccount": {"cloudwatchRoleArn": f"arn:aws:iam::{ACCOUNT}:role/path/{name}"}}


def test_the_log_role_of_another_stack_is_left_alone() -> None:
    assert "belongs to another stack" in one("log role", role("theirs"))
    assert find("log role", role(f"logs-{HOME}")) == []
    assert find("log role", role("theirs"), owns_log_role=False) == []


def test_a_stack_without_a_log_role_of_its_own_needs_another_one() -> None:
    assert "has no log role" in one("log role", owns_log_role=False)


def test_clients_that_may_send_more_than_the_account_takes_are_a_note() -> None:
    low = {"apigateway:GetAccount": {"throttleSettings": {"rateLimit": 50.0}}}
    assert one("log role", low, fails=False).startswith(
        "the clients may send 100 requests a second, apiRateLimit each; all APIs of the account together may take 50: ")


# --- Names

@pytest.mark.parametrize(("answers", "what"), [
    ({"secretsmanager:DescribeSecret": {"ARN": SECRET}}, "secret tapstack/dev/database"),
    ({"logs:DescribeLogGroups": {"logGroups": [
        {"logGroupName": "/tapstack/dev/api", "arn": "arn:aws:logs:here:1:log-group:/tapstack/dev/api:*"},
        {"logGroupName": "/tapstack/dev/api-2", "arn": "arn:of:another"}]}}, "log group /tapstack/dev/api"),
    ({"s3:HeadBucket": {}}, f"bucket receipts-{HOME}-{ACCOUNT}"),
    ({"backup:ListBackupVaults": {"BackupVaultList": [
        {"BackupVaultName": "tapstack-dev", "BackupVaultArn": VAULT}]}}, "backup vault tapstack-dev"),
])
def test_a_name_that_is_taken_is_a_failure_unless_it_is_the_stacks_own(answers: dict[str, Any], what: str) -> None:
    assert one("names", answers).startswith(f"{what} exists, and does not belong to this stack")
    tagged = [SECRET, VAULT, "arn:aws:logs:here:1:log-group:/tapstack/dev/api",
              f"arn:aws:s3:::receipts-{HOME}-{ACCOUNT}"]
    own = {"resourcegroupstaggingapi:GetResources": {
        "ResourceTagMappingList": [{"ResourceARN": arn} for arn in tagged]}}
    assert one("names", {**answers, **own}, fails=False).startswith(f"{what} exists, with the tags of this stack")


def test_the_tags_that_are_asked_for_are_those_of_the_stack() -> None:
    asked: list[Any] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        asked.extend(request["TagFilters"])
        return {"ResourceTagMappingList": []}

    find("names", {"resourcegroupstaggingapi:GetResources": answer})
    assert asked == [{"Key": "Project", "Values": ["TapStack"]}, {"Key": "Environment", "Values": ["dev"]}]


def test_a_secret_that_waits_for_its_deletion_keeps_its_name() -> None:
    text = one("names", {"secretsmanager:DescribeSecret": {"ARN": SECRET, "DeletedDate": 1}})
    assert "waits for its deletion" in text
    assert "delete-secret --force-delete-without-recovery" in text


def test_a_final_snapshot_is_a_note_because_only_a_destroy_would_fail() -> None:
    taken: dict[str, Any] = {"rds:DescribeDBClusterSnapshots": {"DBClusterSnapshots": []}}
    assert f"snapshot {HOME}-final exists" in one("names", taken, fails=False)


# --- The domain

def zone(**changes: Any) -> dict[str, Any]:
    """The zone as Route 53 describes it."""
    given = FINE["route53:GetHostedZone"]
    return {"route53:GetHostedZone": {**given, "HostedZone": {**given["HostedZone"], **changes}}}


@pytest.mark.parametrize(("answers", "problem"), [
    ({"route53:GetHostedZone": None}, "there is no such zone in account 123456789012"),
    (zone(Name="other.com."), "domainName = pay.example.com does not end in its name other.com"),
    (zone(Name="ample.com."), "domainName = pay.example.com does not end in its name ample.com"),
    (zone(Config={"PrivateZone": True}), "is private"),
])
def test_a_zone_that_cannot_serve_the_domain_is_refused(answers: dict[str, Any], problem: str) -> None:
    assert f"hostedZoneId = Z1: {problem}" in one("hosted zone", answers, **DOMAIN)


@pytest.mark.parametrize(("servers", "whom"), [((), "nobody"), (("ns.registrar.net",), "ns.registrar.net")])
def test_a_zone_that_is_not_delegated_would_wait_for_certificates_for_ever(servers: tuple[str, ...], whom: str) -> None:
    (finding,) = found(BEFORE, "hosted zone", FakeLook(NEW, servers), needs(**DOMAIN))
    assert f"example.com is delegated to {whom}, not to this zone" in finding.problem
    assert finding.remedy == f"in the parent's zone, delegate example.com to {', '.join(SERVERS)}"


def test_a_resolver_that_does_not_answer_shows_nothing() -> None:
    with pytest.raises(AwsFailure, match="no answer"):
        found(BEFORE, "hosted zone", FakeLook(NEW, AwsFailure("no answer")), needs(**DOMAIN))


def test_a_zone_that_is_created_needs_somebody_to_delegate_it() -> None:
    assert "its zone is created" in one("Route 53", fails=False, **{**DOMAIN, "hosted_zone_id": ""})


# --- The secret

def test_a_secret_that_can_be_used_is_fine() -> None:
    assert find("secret", dict(FINE), secret_arn=SECRET) == []


@pytest.mark.parametrize(("content", "problem"), [
    ({"SecretString": "no JSON"}, "a JSON object"), ({"SecretString": "[]"}, "a JSON object"), ({}, "a JSON object"),
    (secret_value(username="1st"), "its username"), (secret_value(username="rdsadmin"), "its username"),
    (secret_value(password="short"), "its password"), (secret_value(password="with/slash"), "its password"),
    (secret_value(password="with space"), "its password"), (secret_value(password='with"quote'), "its password"),
    (secret_value(password="m" * 129), "its password"), (secret_value(password=None), "its password"),
])
def test_a_malformed_secret_is_refused_without_being_shown(content: dict[str, Any], problem: str) -> None:
    text = one("secret", {**FINE, "secretsmanager:GetSecretValue": content}, secret_arn=SECRET)
    assert f"databaseSecretArn = {SECRET}: " in text
    assert problem in text
    assert not any(part in text for part in ("no JSON", "1st", "slash", "quote", "mmm", "short"))


def test_a_secret_that_is_gone_or_of_another_account_is_refused() -> None:
    assert "does not exist" in one("secret", {"secretsmanager:GetSecretValue": None}, secret_arn=SECRET)
    theirs = SECRET.replace(ACCOUNT, "210987654321")
    assert "belongs to account 210987654321, and you are signed in to 123456789012" in one("secret", secret_arn=theirs)


def test_a_secret_without_a_replica_in_the_other_region_is_a_note() -> None:
    text = one("secret", {"secretsmanager:DescribeSecret": {"ARN": SECRET}}, secret_arn=SECRET, fails=False)
    assert f"has no replica in {AWAY}" in text
