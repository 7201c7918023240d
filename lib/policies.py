"""Policy documents as plain values. A resource in them may be an `Output`; nothing here calls AWS."""
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

# What publishes to the topic: alarms and events of RDS.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_Events.GrantingPermissions.html
PUBLISHERS = ["cloudwatch.amazonaws.com", "events.rds.amazonaws.com"]

Statement = dict[str, Any]
Resources = pulumi.Input[str] | Sequence[pulumi.Input[str]]
Conditions = Mapping[str, Mapping[str, Any]]


def document(*statements: Statement) -> pulumi.Output[str]:
    """A policy document as JSON text."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: str | Sequence[str], resources: Resources, conditions: Conditions | None = None) -> Statement:
    """An identity's permission for `actions` on `resources` (ARNs)."""
    statement: Statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": conditions} if conditions else statement


def trust(service: str, account: str | None = None) -> pulumi.Output[str]:
    """Who may assume a role: one AWS service, and with `account` only on behalf of that account."""
    statement: Statement = {"Effect": "Allow", "Action": "sts:AssumeRole",
                            "Principal": {"Service": f"{service}.amazonaws.com"}}
    only = {"Condition": {"StringEquals": {"aws:SourceAccount": account}}} if account else {}
    return document({**statement, **only})


def this_account_only(account: str) -> pulumi.Output[str]:
    """An endpoint's policy: only this account's callers, and only to this account's resources.

    A leaked program cannot carry data through it to another account's bucket, whatever keys it has.
    """
    return document({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", "Condition": {
        "StringEquals": {"aws:PrincipalAccount": account, "aws:ResourceAccount": account}}})


def tls_only(bucket_arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """A bucket policy that refuses plain HTTP and TLS below 1.2."""
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*",
            "Resource": [bucket_arn, pulumi.Output.concat(bucket_arn, "/*")]}
    return document({**deny, "Sid": "TlsOnly", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
                    {**deny, "Sid": "Tls12", "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}})


def key_policy(region: str, account: str) -> pulumi.Output[str]:
    """The policy of a region's key: the account's own identity policies decide, and three services may encrypt with it.

    CloudWatch Logs for this region's log groups; CloudWatch and RDS for what they publish to an encrypted topic.
    """
    logs = f"arn:aws:logs:{region}:{account}:log-group:*"
    return document(
        {"Sid": "Account", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
         "Action": "kms:*", "Resource": "*"},
        {"Sid": "Logs", "Effect": "Allow", "Principal": {"Service": f"logs.{region}.amazonaws.com"},
         "Action": ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
         "Resource": "*", "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": logs}}},
        {"Sid": "Topic", "Effect": "Allow", "Principal": {"Service": PUBLISHERS},
         "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
         "Resource": "*", "Condition": {"StringEquals": {"aws:SourceAccount": account}}})


def topic_policy(topic_arn: pulumi.Input[str], account: str) -> pulumi.Output[str]:
    """Who may publish to a topic: this account's alarms, and its databases."""
    return document({"Sid": "Publishers", "Effect": "Allow", "Principal": {"Service": PUBLISHERS},
                     "Action": "sns:Publish", "Resource": topic_arn,
                     "Condition": {"StringEquals": {"aws:SourceAccount": account}}})


def key_use(key_arn: Resources, actions: Sequence[str], services: Sequence[str]) -> Statement:
    """Permission to use a key, but only through the named services (`s3.us-east-1`)."""
    return allow(actions, key_arn, {"StringEquals": {"kms:ViaService": [f"{s}.amazonaws.com" for s in services]}})
