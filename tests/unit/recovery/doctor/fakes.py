"""An account in which nothing is wrong, as AWS would describe it, and what a check finds in it."""
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import EndpointConnectionError
from botocore.validate import ParamValidator

from recovery.doctor.check import Checks, Symptom
from recovery.doctor.deployed import Deployed
from recovery.doctor.needs import Needs, RegionNeeds
from recovery.errors import AwsFailure
from simulator.world import REGIONS
from tests.unit.payments.fakes import Item, client_error
from tests.unit.recovery.fakes import AWAY, HOME, stack, unknown_keys

ACCOUNT = "123456789012"
SECRET = f"arn:aws:secretsmanager:{HOME}:{ACCOUNT}:secret:login-AbCdEf"
Answers = Mapping[str, Any]
"""By `service:Operation`, with a region behind it where only that one is meant: an answer, None (absent), a failure, or
a function of the request that returns one of these."""


def region_needs(region: str) -> RegionNeeds:
    """What a region needs."""
    return RegionNeeds(
        region=region, zones=(f"{region}a", f"{region}b", f"{region}c"),
        database_quotas={"DBClusters": 1, "DBInstances": 2}, log_role=f"logs-{region}",
        roles={"backup": f"backup-{region}"},
        log_groups=("/tapstack/dev/api",), buckets=(f"receipts-{region}-{ACCOUNT}",),
        secret="tapstack/dev/database", vault="tapstack-dev",
        final_snapshot=f"{region}-final")


def needs(**changes: Any) -> Needs:
    """A stack that uses everything but a domain and a secret of its own."""
    return replace(Needs(
        account=ACCOUNT, environment_suffix="dev", emulated=False, function="payments", reserved=300, busy=300,
        api_rate=100, owns_log_role=True, firewall=True,
        engine="aurora-postgresql", engine_version="17.7", instance_class="db.serverless",
        domain_name="", hosted_zone_id="", health_checks=0, custom_domains=0, secret_arn="", witness_region="",
        regions=(region_needs(HOME), region_needs(AWAY))), **changes)


def deployment(**changes: Any) -> Deployed:
    """The stack of the other fakes, deployed."""
    return Deployed(**{"stack": stack(), "needs": None, **changes})


def cluster(region: str, **changes: Any) -> Item:
    """A cluster that can tell in which region it is."""
    return {"DBClusters": [{
        "EngineVersion": "17.7", "DBClusterParameterGroup": "tls", "DbClusterResourceId": f"cluster-{region}",
        "BackupRetentionPeriod": 1, "DeletionProtection": True, "IAMDatabaseAuthenticationEnabled": True,
        "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 4.0}, **changes}]}


def policy(region: str, actions: Sequence[str] = ("rds-db:connect",)) -> Item:
    """A role's policy, which names its region and its cluster."""
    return {"RoleName": "role", "PolicyName": "function", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": list(actions),
         "Resource": f"arn:aws:rds-db:{region}:dbuser:cluster-{region}/app"}]}}


def key_policy(region: str, *services: str) -> Item:
    """A key's policy, which names its region."""
    statements = [{"Effect": "Allow", "Action": "kms:*", "Resource": "*",
                   "Principal": {"Service": f"{service}.{region}.amazonaws.com"}} for service in services or ("logs",)]
    return {"Policy": json.dumps({"Version": "2012-10-17", "Statement": statements})}


def quota(value: float) -> Item:
    """A quota of Service Quotas."""
    return {"Quota": {"Value": value}}


def account_limit(used: int, limit: int) -> Item:
    """A limit of Route 53."""
    return {"Limit": {"Type": "MAX_HEALTH_CHECKS_BY_OWNER", "Value": limit}, "Count": used}


def secret_value(**content: Any) -> Item:
    """A secret's value."""
    return {"SecretString": json.dumps({"username": "ledger", "password": "long-enough"} | content)}


FINE: Answers = {
    "apigateway:GetAccount": {"throttleSettings": {"rateLimit": 10000.0, "burstLimit": 5000}},
    "apigateway:GetDomainNames": {"items": []},
    "apigateway:GetRestApis": {"items": []},
    "backup:DescribeRegionSettings": {
        "ResourceTypeOptInPreference": {"Aurora": True, "DynamoDB": True, "EFS": False},
        "ResourceTypeManagementPreference": {"DynamoDB": True}},
    "backup:ListBackupVaults": {"BackupVaultList": [{"BackupVaultName": "Default", "BackupVaultArn": "arn"}]},
    "dynamodb:DescribeContinuousBackups": {"ContinuousBackupsDescription": {
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}},
    "dynamodb:DescribeTable": {"Table": {"DeletionProtectionEnabled": True}},
    **{f"ec2:DescribeAvailabilityZones {region}": {"AvailabilityZones": [
        {"ZoneName": f"{region}{letter}"} for letter in "abcd"]} for region in REGIONS},
    "ec2:DescribeRegions": {"Regions": [{"RegionName": region, "OptInStatus": "opt-in-not-required"}
                                        for region in REGIONS]},
    "ec2:DescribeVpcEndpoints": {"VpcEndpoints": []},
    "ec2:DescribeVpcs": {"Vpcs": [{"VpcId": "vpc-default"}]},
    **{f"iam:GetRolePolicy {region}": policy(region) for region in REGIONS},
    "iam:ListRolePolicies": {"PolicyNames": ["function"]},
    **{f"kms:GetKeyPolicy {region}": key_policy(region) for region in REGIONS},
    "lambda:GetAccountSettings": {
        "AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}},
    "lambda:GetFunctionConcurrency": {},
    "lambda:GetFunctionConfiguration": {"CodeSha256": "one", "Runtime": "python3.13", "MemorySize": 512,
                                        "Role": "arn:aws:iam::123456789012:role/role"},
    "logs:DescribeLogGroups": {"logGroups": []},
    "rds:DescribeAccountAttributes": {"AccountQuotas": [
        {"AccountQuotaName": name, "Used": 0, "Max": 40} for name in ("DBClusters", "DBInstances", "OptionGroups")]},
    "rds:DescribeDBClusterParameters": {"Parameters": [{"ParameterName": "rds.force_ssl", "ParameterValue": "1"}]},
    "rds:DescribeDBClusterSnapshots": None,
    **{f"rds:DescribeDBClusters {region}": cluster(region) for region in REGIONS},
    "rds:DescribeDBEngineVersions": {"DBEngineVersions": [
        {"EngineVersion": version} for version in ("16.11", "17.4", "17.7", "18.1")]},
    "rds:DescribeDBInstances": {"DBInstances": [{"DBInstanceClass": "db.serverless"}]},
    "rds:DescribeGlobalClusters": {"GlobalClusters": [{"GlobalClusterMembers": [
        {"DBClusterArn": site.cluster_arn, "IsWriter": site.region == HOME} for site in stack().sites]}]},
    "rds:DescribeOrderableDBInstanceOptions": {"OrderableDBInstanceOptions": [{"SupportsGlobalDatabases": True}]},
    "resourcegroupstaggingapi:GetResources": {"ResourceTagMappingList": []},
    "route53:GetAccountLimit": account_limit(0, 200),
    "route53:GetHostedZone": {"HostedZone": {"Id": "Z1", "Name": "example.com.", "CallerReference": "1"},
                              "DelegationSet": {"NameServers": ["NS-1.AWSDNS-01.com", "ns-2.awsdns-02.org"]}},
    "s3:HeadBucket": None,
    "secretsmanager:DescribeSecret": {"ARN": SECRET, "ReplicationStatus": [{"Region": AWAY}]},
    "secretsmanager:GetSecretValue": secret_value(),
    "service-quotas:GetAWSDefaultServiceQuota": quota(20),
    "service-quotas:GetServiceQuota": quota(5),
    "wafv2:ListWebACLs": {"WebACLs": []},
    "xray:GetSamplingRules": {"SamplingRuleRecords": [{"SamplingRule": {"RuleName": "Default"}}] + [
        {"SamplingRule": {"RuleName": f"other-{number}"}} for number in range(3)]},
}
NEW: Answers = {**FINE, "secretsmanager:DescribeSecret": None}
"""Before the first deployment."""


SESSION = botocore.session.get_session()  # one, which reads each description once


@cache
def model(call: str) -> Any:
    """How botocore describes a call."""
    service, _, operation = call.partition(":")
    return SESSION.get_service_model(service).operation_model(operation)


class FakeLook:
    """Shows what `answers` say; each request and answer is checked against botocore's description."""

    account = ACCOUNT

    def __init__(self, answers: Answers, servers: Iterable[str] | AwsFailure = ()) -> None:
        self.answers, self.servers, self.calls = answers, servers, set[str]()

    def __call__(self, service: str, operation: str, region: str, absent: Sequence[str] = (), **request: Any) -> Any:
        """An answer of AWS."""
        call = f"{service}:{operation}"
        self.calls.add(call)
        problems = ParamValidator().validate(request, model(call).input_shape)
        assert not problems.has_errors(), problems.generate_report()
        answer = self.answers.get(f"{call} {region}", self.answers.get(call))
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        assert absent or answer is not None
        assert answer is None or unknown_keys(answer, model(call).output_shape, call) == []
        return answer

    def name_servers(self, zone: str) -> frozenset[str]:
        """Who serves any zone."""
        assert zone
        if isinstance(self.servers, AwsFailure):
            raise self.servers
        return frozenset(self.servers)


class Account(FakeLook):
    """The same through clients; `cut` are regions that do not answer."""

    cut: frozenset[str] = frozenset()

    def client(self, service: str, region: str) -> "DoctorClient":
        """A client."""
        return DoctorClient(self, service, region)

    def answer(self, call: str, region: str, request: Item) -> Any:
        """What AWS answers, or raises."""
        if region in self.cut:
            raise EndpointConnectionError(endpoint_url=f"https://{call.partition(':')[0]}.{region}")
        if call == "sts:GetCallerIdentity":
            return {"Account": self.account}
        service, operation = call.split(":")
        answer = self(service, operation, region, absent=("any",), **request)
        if answer is None:
            raise client_error({"s3": "404", "rds": "DBClusterSnapshotNotFoundFault"}.get(
                service, "ResourceNotFoundException"))
        return answer


@dataclass(frozen=True)
class DoctorClient:
    """A client of one service in one region; pages are botocore's business."""

    account: Account
    service: str
    region: str

    def can_paginate(self, _method: str) -> bool:
        """No."""
        return False

    def __getattr__(self, method: str) -> Any:
        (operation,) = [name for name in list(SESSION.get_service_model(self.service).operation_names)
                        if xform_name(name) == method]
        return lambda **request: self.account.answer(f"{self.service}:{operation}", self.region, request)


def found(checks: Checks[Any], name: str, look: FakeLook, subject: Any, region: str = HOME) -> list[Symptom]:
    """What a check finds."""
    (check,) = [each for each in checks if each.name == name]
    return list(check.find(look, subject, region))
