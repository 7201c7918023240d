"""Policy documents as plain values. A resource in them may be an `Output`; nothing here calls AWS."""
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pulumi

from contract import CONTROL_PREFIX, RECEIPTS_PREFIX
from lib.names import Names

Statement = dict[str, Any]
Resources = pulumi.Input[str] | Sequence[pulumi.Input[str]]
Conditions = Mapping[str, Mapping[str, Any]]

SOURCE_ACCOUNT, SOURCE_ARN = "aws:SourceAccount", "aws:SourceArn"
LEADING_KEYS = "dynamodb:LeadingKeys"
PLAIN: Conditions = {"Bool": {"aws:SecureTransport": "false"}}
"""Of a request without TLS."""
# What AWS does not say that a service sends when it assumes a role or publishes to a topic: a condition on what it does
# not send would refuse it for ever.
UNSAID: Mapping[str, Collection[str]] = {
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html#set-up-access-logging-permissions
    "apigateway": (SOURCE_ACCOUNT, SOURCE_ARN),
    # https://docs.aws.amazon.com/aws-backup/latest/devguide/iam-service-roles.html
    "backup": (SOURCE_ACCOUNT, SOURCE_ARN),
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions
    "events": (SOURCE_ACCOUNT, SOURCE_ARN),
    # https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html. An example of AWS's demands the
    # account: https://github.com/aws/agent-toolkit-for-aws (lambda-trust-policy.json)
    "lambda": (SOURCE_ARN,),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html
    "s3": (SOURCE_ACCOUNT, SOURCE_ARN),
}


def document(*statements: Statement) -> pulumi.Output[str]:
    """A policy document as JSON text."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: str | Sequence[str], resources: Resources, conditions: Conditions | None = None) -> Statement:
    """An identity's permission for `actions` on `resources` (ARNs)."""
    statement: Statement = {"Effect": "Allow", "Action": [actions] if isinstance(actions, str) else actions,
                            "Resource": resources}
    return {**statement, "Condition": conditions} if conditions else statement


def deny(actions: str | Sequence[str], resources: Resources, conditions: Conditions) -> Statement:
    """What an identity may not do to `resources` (ARNs), whatever else allows it."""
    return {**allow(actions, resources, conditions), "Effect": "Deny"}


def records_only(names: Names, prefix: str) -> Statement:
    """Keeps an identity from writing an item whose key begins with `!`, except `prefix` followed by its own region.

    A payment's id has no `!`. Both conditions are about one key, since no action that writes several is allowed.
    """
    return deny(["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"], names.table_arn, {
        "ForAnyValue:StringLike": {LEADING_KEYS: [f"{CONTROL_PREFIX}*"]},
        "ForAnyValue:StringNotEquals": {LEADING_KEYS: [prefix + names.region]}})


def for_all(operator: str, key: str, values: Sequence[str]) -> Conditions:
    """A condition on every value of a key, which must be there: `ForAllValues` alone also holds where it is missing.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    return {f"ForAllValues:{operator}": {key: values}, "Null": {key: "false"}}


def from_service(service: str, account: str, actions: str | Sequence[str], *, source: Resources | None = None,
                 unsaid: Collection[str] | None = None, conditions: Conditions | None = None, **more: Any) -> Statement:
    """A service's permission, only on behalf of this account, or of its resources that match `source` (ARN).

    The condition on a key that is `unsaid` (by default, those of the table) holds also where the key is missing. `more`
    are further parts of the statement.
    """
    unsaid = UNSAID.get(service, ()) if unsaid is None else unsaid

    def only(operator: str, key: str, value: Resources) -> Conditions:
        return {operator + ("IfExists" if key in unsaid else ""): {key: value}}

    return {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": actions, **more,
            "Condition": {**only("StringEquals", SOURCE_ACCOUNT, account),
                          **(only("ArnLike", SOURCE_ARN, source) if source else {}), **(conditions or {})}}


def trust(service: str, account: str, source: Resources | None = None) -> pulumi.Output[str]:
    """Who may assume a role: one AWS service, for this account, or for its resources that match `source` (ARN)."""
    return document(from_service(service, account, "sts:AssumeRole", source=source))


def this_account_only(account: str) -> pulumi.Output[str]:
    """An endpoint's policy: only this account's callers, and only to this account's resources.

    A leaked program cannot carry data through it to another account's bucket, whatever keys it has.
    """
    return document({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", "Condition": {
        "StringEquals": {"aws:PrincipalAccount": account, "aws:ResourceAccount": account}}})


def written_once(names: Names) -> Statement:
    """Refuses a receipt that does not demand that there is none yet, except from repair: it replaces what differs.

    Copies from the other region are no puts.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
    """
    return {"Sid": "WrittenOnce", "Principal": "*",
            **deny("s3:PutObject", f"arn:aws:s3:::{names.receipts}/{RECEIPTS_PREFIX}*", {
                "Null": {"s3:if-none-match": "true"},
                "ArnNotEquals": {"aws:PrincipalArn": names.role_arn(names.reconcile_role)}})}


def log_delivery(names: Names) -> Statement:
    """Lets S3 put the access logs of a region's other buckets into the one for logs.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html#grant-log-delivery-permissions-general
    """
    return {"Sid": "LogDelivery", **from_service(
        "logging.s3", names.account, "s3:PutObject", Resource=f"arn:aws:s3:::{names.logs}/*",
        source=[f"arn:aws:s3:::{bucket}" for bucket in (names.receipts, names.control)])}


def tls_only(bucket_arn: pulumi.Input[str], *more: Statement) -> pulumi.Output[str]:
    """A bucket policy that refuses plain HTTP and TLS below 1.2, with `more` statements."""
    refused = {"Effect": "Deny", "Principal": "*", "Action": "s3:*",
               "Resource": [bucket_arn, pulumi.Output.concat(bucket_arn, "/*")]}
    return document({**refused, "Sid": "TlsOnly", "Condition": PLAIN},
                    {**refused, "Sid": "Tls12", "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}}, *more)


def topic_policy(topic_arn: pulumi.Input[str], names: Names) -> pulumi.Output[str]:
    """Who may publish to a topic, with TLS: the alarms of `names`, and EventBridge by this account's rules.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions
    https://docs.aws.amazon.com/sns/latest/dg/sns-security-best-practices.html#enforce-encryption-data-in-transit
    """
    return document({"Sid": "TlsOnly", "Principal": "*", **deny("sns:Publish", topic_arn, PLAIN)}, *(
        from_service(service, names.account, "sns:Publish", source=source, Resource=topic_arn)
        for service, source in (("cloudwatch", names.alarms_arn), ("events", names.arn("events", "rule/*")))))


def key_use(key_arn: Resources, services: Sequence[str], actions: Sequence[str] = (
        "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey")) -> Statement:
    """Permission to use a key, but only through these services (`s3.us-east-1`)."""
    return allow(actions, key_arn, {"StringEquals": {"kms:ViaService": [f"{s}.amazonaws.com" for s in services]}})
