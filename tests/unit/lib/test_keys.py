"""Who uses a customer key, and whether the key's policy lets them.

How KMS decides: https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
"""
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.lib.conftest import CASES, recording
from tests.unit.lib.iam import ROOT, Context, Statement, allowed, policies_of
from tests.unit.lib.recorder import ACCOUNT, Recording, Resource
from tests.unit.lib.resource_types import short

STRANGER = "999999999999"
Request = tuple[str, set[str], Context]  # principal, KMS actions, what AWS sends with them


def logs(region: str, resource: Resource) -> Request:
    """A log group: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html ."""
    return (f"logs.{region}.amazonaws.com",
            {"kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey",
             "kms:DescribeKey"},
            {"kms:EncryptionContext:aws:logs:arn":
             f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{resource.inputs['name']}"})


def alarm(region: str, resource: Resource) -> Request:
    """An alarm: https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services ."""
    return ("cloudwatch.amazonaws.com", {"kms:GenerateDataKey", "kms:Decrypt"},
            {"aws:SourceAccount": ACCOUNT,
             "aws:SourceArn": f"arn:aws:cloudwatch:{region}:{ACCOUNT}:alarm:{resource.inputs['name']}"})


def event(region: str, resource: Resource) -> Request:
    """An event: https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services ."""
    return ("events.amazonaws.com", {"kms:GenerateDataKey", "kms:Decrypt"},
            {"aws:SourceAccount": ACCOUNT,
             "aws:SourceArn": f"arn:aws:events:{region}:{ACCOUNT}:rule/{resource.inputs['rule']}"})


def package(region: str, resource: Resource) -> Request:
    """A package: https://docs.aws.amazon.com/lambda/latest/dg/encrypt-zip-package.html ."""
    return ("lambda.amazonaws.com", {"kms:GenerateDataKey", "kms:Decrypt"},
            {"kms:EncryptionContext:aws:lambda:FunctionArn":
             f"arn:aws:lambda:{region}:{ACCOUNT}:function:{resource.inputs['name']}"})


# The arguments by which a service uses a key in its own name: `module.Type.argument`, with `*` for each item of a list.
SERVICES: Mapping[str, Callable[[str, Resource], Request]] = {
    "cloudwatch.LogGroup.kmsKeyId": logs,
    "cloudwatch.MetricAlarm.alarmActions.*": alarm,
    "cloudwatch.MetricAlarm.okActions.*": alarm,
    "cloudwatch.MetricAlarm.insufficientDataActions.*": alarm,
    "cloudwatch.EventTarget.arn": event,
    "lambda.Function.sourceKmsKeyArn": package,
}

# Those by which it uses a key for a caller, whose own policy decides (a role's, or that of whoever deploys): the KMS
# actions, and AWS's page that says so.
CALLERS: Mapping[str, tuple[set[str], str]] = {
    "lambda.Function.kmsKeyArn": (
        {"kms:CreateGrant", "kms:Encrypt", "kms:Decrypt"}, "lambda/latest/dg/configuration-envvars-encryption.html"),
    **dict.fromkeys((
        "s3.BucketServerSideEncryptionConfiguration.rules.*.applyServerSideEncryptionByDefault.kmsMasterKeyId",
        "s3.BucketObjectv2.kmsKeyId"), (
        {"kms:GenerateDataKey", "kms:Decrypt"}, "AmazonS3/latest/userguide/UsingKMSEncryption.html")),
    "s3.BucketReplicationConfig.rules.*.destination.encryptionConfiguration.replicaKmsKeyId": (
        {"kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"},
        "AmazonS3/latest/userguide/replication-config-for-kms-objects.html"),
    **dict.fromkeys(("dynamodb.Table.serverSideEncryption.kmsKeyArn", "dynamodb.Table.replicas.*.kmsKeyArn"), (
        {"kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey", "kms:CreateGrant"},
        "amazondynamodb/latest/developerguide/encryption.usagenotes.html")),
    "rds.Cluster.kmsKeyId": (
        {"kms:CreateGrant", "kms:DescribeKey"}, "AmazonRDS/latest/AuroraUserGuide/Overview.Encryption.Keys.html"),
    "rds.ClusterInstance.performanceInsightsKmsKeyId": (
        {"kms:Decrypt", "kms:GenerateDataKey"},
        "AmazonRDS/latest/AuroraUserGuide/USER_PerfInsights.access-control.cmk-policy.html"),
    **dict.fromkeys(("secretsmanager.Secret.kmsKeyId", "secretsmanager.Secret.replicas.*.kmsKeyId"), (
        {"kms:GenerateDataKey", "kms:Decrypt"}, "secretsmanager/latest/userguide/security-encryption.html")),
    "backup.Vault.kmsKeyArn": (
        {"kms:CreateGrant", "kms:GenerateDataKey", "kms:Decrypt"}, "aws-backup/latest/devguide/encryption.html"),
    "sns.Topic.kmsMasterKeyId": (
        {"kms:GenerateDataKey*", "kms:Decrypt"},
        "sns/latest/dg/sns-key-management.html#allow-user-to-send-message-to-topic-with-sse"),
    **dict.fromkeys(("kms.ReplicaKey.primaryKeyArn", "kms.Alias.targetKeyId"), (
        {"kms:ReplicateKey", "kms:CreateAlias"}, "kms/latest/developerguide/multi-region-keys-auth.html")),
}


def leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text in a value, with its path."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from leaves(each, f"{path}.{key}")
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each, f"{path}.*")
    elif isinstance(value, str):
        yield path, value


def uses(program: Recording) -> Iterator[tuple[Resource, str, Resource]]:
    """Every argument that names a key, or something that publishes to a topic with one: resource, argument, key."""
    keys = {name: key for key in program.of("Key", "ReplicaKey")
            for name in (program.arn(key), f"{key.name}/keyId", f"{key.name}-id")}
    topics = {program.arn(topic): keys[topic.inputs["kmsMasterKeyId"]] for topic in program.of("Topic")}
    for resource in program.custom:
        named = keys if resource.type.startswith("aws:sns/") else {**keys, **topics}
        for path, text in leaves(resource.inputs, short(resource)):
            if text in named:
                yield resource, path, named[text]


def refusals(program: Recording, policy_of: Callable[[Resource], list[Statement]]) -> list[str]:
    """The uses that neither table has, or that the key's policy refuses."""
    found = []
    for resource, argument, key in uses(program):
        if argument not in {**SERVICES, **CALLERS}:
            found.append(f"{argument} is not in a table")
            continue
        principal, actions, context = SERVICES[argument](program.region(key), resource) if argument in SERVICES else (
            ROOT, CALLERS[argument][0], {})
        found += [f"{argument}: {principal} {action}" for action in actions
                  if not allowed(policy_of(key), action, context=context, principal=principal)]
    return found


def own_policy(key: Resource) -> list[Statement]:
    """The policy of a recorded key."""
    return list(policies_of(key))


def test_every_use_of_a_key_is_in_a_table_and_admitted_by_the_keys_policy(deployed: Recording) -> None:
    assert refusals(deployed, own_policy) == []


def test_the_tables_have_only_uses_of_the_program() -> None:
    assert {*SERVICES, *CALLERS} == {argument for case in CASES for _, argument, _ in uses(recording(case))}


@pytest.mark.parametrize("kind", ["Key", "ReplicaKey"])
def test_no_statement_of_a_key_policy_can_be_missing(dev: Recording, kind: str) -> None:
    (reduced,) = dev.of(kind)
    for statement in own_policy(reduced):
        def without(key: Resource, gone: Statement = statement) -> list[Statement]:
            return [each for each in own_policy(key) if key is not reduced or each != gone]
        assert refusals(dev, without) != [], statement


def test_a_service_may_use_a_key_for_this_account_only(deployed: Recording) -> None:
    for resource, argument, key in uses(deployed):
        if argument in SERVICES:
            principal, actions, context = SERVICES[argument](deployed.region(key), resource)
            for strange in ({name: str(value).replace(ACCOUNT, STRANGER) for name, value in context.items()},
                            {**context, "aws:SourceAccount": STRANGER}):
                assert not any(allowed(own_policy(key), action, context=strange, principal=principal)
                               for action in actions), (argument, strange)


def test_only_eventbridge_may_use_a_key_without_a_word_of_its_source(deployed: Recording) -> None:
    silent = {argument for resource, argument, key in uses(deployed) if argument in SERVICES
              for principal, actions, _ in [SERVICES[argument](deployed.region(key), resource)]
              if all(allowed(own_policy(key), action, principal=principal) for action in actions)}
    assert silent == {"cloudwatch.EventTarget.arn"}


def test_a_use_that_no_table_knows_is_found(dev: Recording) -> None:
    (key,), topic = dev.of("Key"), dev.of("Topic")[0]
    for type_, inputs, argument in (
            ("aws:sqs/queue:Queue", {"kmsMasterKeyId": dev.arn(key)}, "sqs.Queue.kmsMasterKeyId"),
            ("aws:backup/vaultNotifications:VaultNotifications", {"snsTopicArn": dev.arn(topic)},
             "backup.VaultNotifications.snsTopicArn"),
            ("aws:s3/bucketNotification:BucketNotification", {"topics": [{"topicArn": dev.arn(topic)}]},
             "s3.BucketNotification.topics.*.topicArn")):
        new = replace(topic, urn="new", type=type_, inputs=inputs)
        program = replace(dev, resources={**dev.resources, "new": new})
        assert refusals(program, own_policy) == [f"{argument} is not in a table"]
