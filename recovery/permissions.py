"""The calls that commands make, and the permissions that they need: `make iam` writes docs/iam from these tables.

A call that is missing here fails the tests, and `doctor` refuses to make it. In ARNs `{region}`, `{account}`,
`{suffix}` and the physical names of lib/names.py are filled in by `make iam`.
"""
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contract import OUTPUTS_KEY, PROJECT, REPAIR_FOLDER


@dataclass(frozen=True)
class Permission:
    """The ARNs that a call concerns. Its IAM action has the call's own name, unless `actions` says otherwise.

    `key` is what the service does with a customer key in the caller's name.
    """

    resources: tuple[str, ...] = ("*",)
    actions: tuple[str, ...] = ()
    condition: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    key: tuple[str, ...] = ()


def on(*resources: str, **more: Any) -> Permission:
    """Permission for some ARNs."""
    return Permission(resources, **more)


READ = ("kms:Decrypt",)
USE = ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*")
COPY = (*USE, "kms:CreateGrant")
ANYWHERE = Permission()
"""For calls that take no resource, or that list everything."""
# No payment's id contains "!", which begins the key of every control record. The first condition alone would also hold
# where no key is given.
CONTROL_ITEMS = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["!*"]}, "Null": {"dynamodb:LeadingKeys": "false"}}
_TABLE = "arn:aws:dynamodb:{region}:{account}:table/{table}"
_CONTROL, _RECEIPTS, _LOGS = (f"arn:aws:s3:::{{{name}}}" for name in ("control", "receipts", "logs"))
_REPAIRS = f"{REPAIR_FOLDER}*"
_PAYMENTS, _RECONCILE, _CONTROLLER = (f"arn:aws:lambda:{{region}}:{{account}}:function:{{{name}}}" for name in (
    "function", "reconcile", "controller"))
_CLUSTERS = "arn:aws:rds:{region}:{account}:cluster:{cluster}"
_SNAPSHOTS = "arn:aws:rds:{region}:{account}:cluster-snapshot:*"
_INSTANCES = "arn:aws:rds:{region}:{account}:db:*"  # listing a cluster's means describing all and filtering
_EXPERIMENTS = "arn:aws:fis:{region}:{account}:experiment/*"
_OWN_ROLE = "arn:aws:iam::{account}:role/{operator_role}"
_GLOBAL = "arn:aws:rds::{account}:global-cluster:{global_cluster}"

OPERATOR: Mapping[str, Permission] = {
    "apigateway:GetApiKey": on("arn:aws:apigateway:{region}::/apikeys/*", actions=("apigateway:GET",)),
    "cloudwatch:DescribeAlarms": ANYWHERE,
    "dynamodb:GetItem": on(_TABLE, condition=CONTROL_ITEMS, key=USE),
    "dynamodb:PutItem": on(_TABLE, condition=CONTROL_ITEMS, key=USE),
    "fis:GetExperiment": on(_EXPERIMENTS),
    "fis:ListExperiments": ANYWHERE,
    # Of this stack's templates only: their names are AWS's. What begins by that has no tags.
    "fis:StartExperiment": on("arn:aws:fis:{region}:{account}:experiment-template/*", condition={
        "StringEquals": {"aws:ResourceTag/Environment": "{suffix}", "aws:ResourceTag/Project": PROJECT}}),
    "fis:StopExperiment": on(_EXPERIMENTS, actions=("fis:StartExperiment", "fis:StopExperiment")),
    # What the caller's own role may do; only that role's ARN, since anybody's answer tells where to attack.
    "iam:GetRole": on(_OWN_ROLE),
    "iam:SimulatePrincipalPolicy": on(_OWN_ROLE),
    "lambda:DeleteFunctionConcurrency": on(_PAYMENTS),
    "lambda:GetFunctionConcurrency": on(_PAYMENTS),
    "lambda:Invoke": on(f"{_PAYMENTS}:*", f"{_RECONCILE}:*", actions=("lambda:InvokeFunction",)),
    "lambda:PutFunctionConcurrency": on(_PAYMENTS),
    "rds:CopyDBClusterSnapshot": on(_CLUSTERS, _SNAPSHOTS, actions=(
        "rds:CopyDBClusterSnapshot", "rds:AddTagsToResource"), key=COPY),
    "rds:DescribeDBClusterSnapshots": on(_CLUSTERS, _SNAPSHOTS),
    "rds:DescribeDBClusters": on(_CLUSTERS),
    "rds:DescribeDBInstances": on(_INSTANCES),
    "rds:DescribeEvents": ANYWHERE,
    "rds:DescribeGlobalClusters": on(_GLOBAL),
    "rds:FailoverGlobalCluster": on(_GLOBAL, _CLUSTERS),
    "rds:SwitchoverGlobalCluster": on(_GLOBAL, _CLUSTERS),
    "route53:GetHealthCheck": on("arn:aws:route53:::healthcheck/*"),
    "route53:UpdateHealthCheck": on("arn:aws:route53:::healthcheck/*"),
    "s3:DeleteObject": on(f"{_CONTROL}/*"),
    "s3:GetObject": on(f"{_CONTROL}/*", f"{_RECEIPTS}/{_REPAIRS}", key=READ),
    # Without the right to list, S3 answers 403 for an object that does not exist.
    "s3:HeadObject": on(_CONTROL, f"{_CONTROL}/*", actions=("s3:GetObject", "s3:ListBucket"), key=READ),
    "s3:ListObjectsV2": on(_RECEIPTS, actions=("s3:ListBucket",), condition={"StringLike": {"s3:prefix": _REPAIRS}}),
    "s3:PutObject": on(f"{_CONTROL}/*", key=USE),
    "sns:Publish": on("arn:aws:sns:{region}:{account}:{topic}", key=USE),
    "sts:GetCallerIdentity": ANYWHERE,
}
"""The calls of all commands but `doctor`, as SERVICE:Operation of boto3."""

IN_THE_OPERATORS_NAME: Mapping[str, Permission] = {
    "iam:CreateServiceLinkedRole": on("arn:aws:iam::{account}:role/aws-service-role/fis.amazonaws.com/*", condition={
        "StringEquals": {"iam:AWSServiceName": "fis.amazonaws.com"}}),
}
"""What AWS calls in an operator's name: FIS creates its role when an account's first experiment begins.

https://docs.aws.amazon.com/fis/latest/userguide/using-service-linked-roles.html
"""

DOCTOR: Mapping[str, Permission] = {
    "apigateway:GetAccount": on("arn:aws:apigateway:{region}::/account", actions=("apigateway:GET",)),
    "apigateway:GetDomainNames": on("arn:aws:apigateway:{region}::/domainnames", actions=("apigateway:GET",)),
    "apigateway:GetRestApis": on("arn:aws:apigateway:{region}::/restapis", actions=("apigateway:GET",)),
    "backup:DescribeRegionSettings": ANYWHERE,
    "backup:ListBackupVaults": ANYWHERE,
    "dynamodb:DescribeContinuousBackups": on(_TABLE),
    "dynamodb:DescribeTable": on(_TABLE),
    "ec2:DescribeAvailabilityZones": ANYWHERE,
    "ec2:DescribeRegions": ANYWHERE,
    "ec2:DescribeVpcEndpoints": ANYWHERE,
    "ec2:DescribeVpcs": ANYWHERE,
    "iam:GetRolePolicy": on("arn:aws:iam::{account}:role/tapstack-*-{suffix}-*"),
    "iam:ListRolePolicies": on("arn:aws:iam::{account}:role/tapstack-*-{suffix}-*"),
    "kms:GetKeyPolicy": on("arn:aws:kms:{region}:{account}:key/*", condition={
        "ForAnyValue:StringEquals": {"kms:ResourceAliases": "{key_alias}"}}),
    "lambda:GetAccountSettings": ANYWHERE,
    "lambda:GetFunctionConcurrency": on(_PAYMENTS),
    "lambda:GetFunctionConfiguration": on(*(f"{each}:*" for each in (_PAYMENTS, _RECONCILE, _CONTROLLER))),
    "logs:DescribeLogGroups": ANYWHERE,
    "rds:DescribeAccountAttributes": ANYWHERE,
    "rds:DescribeDBClusterParameters": on("arn:aws:rds:{region}:{account}:cluster-pg:{parameter_group}-*"),
    "rds:DescribeDBClusterSnapshots": on(_CLUSTERS, _SNAPSHOTS),
    "rds:DescribeDBClusters": on(_CLUSTERS),
    "rds:DescribeDBEngineVersions": ANYWHERE,
    "rds:DescribeDBInstances": on(_INSTANCES),
    "rds:DescribeGlobalClusters": on(_GLOBAL),
    "rds:DescribeOrderableDBInstanceOptions": ANYWHERE,
    "resourcegroupstaggingapi:GetResources": Permission(actions=("tag:GetResources",)),
    "route53:GetAccountLimit": ANYWHERE,
    "route53:GetHostedZone": on("arn:aws:route53:::hostedzone/*"),
    # Where `--region` and `--suffix` say which stack it is.
    "s3:GetObject": on(f"{_CONTROL}/{OUTPUTS_KEY}", key=READ),
    "s3:HeadBucket": on(_CONTROL, _RECEIPTS, _LOGS, actions=("s3:ListBucket",)),
    "secretsmanager:DescribeSecret": on("arn:aws:secretsmanager:{region}:{account}:secret:{secret}-*",
                                        "arn:aws:secretsmanager:{region}:{account}:secret:{given_secret}"),
    # Only the secret that the settings name.
    "secretsmanager:GetSecretValue": on("arn:aws:secretsmanager:{region}:{account}:secret:{given_secret}", key=READ),
    "service-quotas:GetAWSDefaultServiceQuota": Permission(actions=("servicequotas:GetAWSDefaultServiceQuota",)),
    "service-quotas:GetServiceQuota": Permission(actions=("servicequotas:GetServiceQuota",)),
    "sts:GetCallerIdentity": ANYWHERE,
    "wafv2:ListWebACLs": ANYWHERE,
    "xray:GetSamplingRules": ANYWHERE,
}
"""The calls of `doctor`, none of which changes anything."""
