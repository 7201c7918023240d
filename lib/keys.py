"""Who must be able to use a region's customer key, and how: the key's policy is built from this table.

A test finds every use of a key in the program. It fails for one that is not in the table, or that the policy refuses.
"""
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from lib import policies
from lib.names import Names

DOCS = "https://docs.aws.amazon.com"
BUCKET_ENCRYPTION = "s3.BucketServerSideEncryptionConfiguration"


@dataclass(frozen=True, kw_only=True)
class KeyUse:
    """A use of the key: the arguments that ask for it, the KMS actions that it needs, and AWS's page that says so.

    An argument is `module.Type.argument`, with `*` for each item of a list. Some name a topic that the key encrypts.
    `service` uses the key in its own name, so the key's policy must admit it. Without a service, the key is used for a
    caller, whose own policy decides: that of a role, or of whoever deploys. `source`, `unsaid` and `conditions`:
    `policies.from_service`.
    """

    arguments: Sequence[str]
    actions: Sequence[str]
    page: str
    service: str | None = None
    source: str | None = None
    unsaid: Sequence[str] | None = None
    conditions: policies.Conditions | None = None


def key_uses(names: Names) -> list[KeyUse]:
    """Every use of the key in the region of `names`."""
    return [
        KeyUse(arguments=["cloudwatch.LogGroup.kmsKeyId"], service=f"logs.{names.region}",
               actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
               conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": names.arn("logs", "log-group:*")}},
               unsaid=[policies.SOURCE_ACCOUNT],
               page=f"{DOCS}/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html"),
        KeyUse(arguments=["cloudwatch.MetricAlarm.alarmActions.*", "cloudwatch.MetricAlarm.okActions.*",
                          "cloudwatch.MetricAlarm.insufficientDataActions.*"],
               service="cloudwatch", actions=["kms:Decrypt", "kms:GenerateDataKey*"], source=names.alarms_arn,
               page=f"{DOCS}/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services"),
        KeyUse(arguments=["cloudwatch.EventTarget.arn"], service="events", source=names.arn("events", "rule/*"),
               actions=["kms:Decrypt", "kms:GenerateDataKey*"],
               page=f"{DOCS}/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services"),
        # Lambda makes no grant for a package, and asks with no caller's right.
        KeyUse(arguments=["lambda.Function.sourceKmsKeyArn"], service="lambda",
               actions=["kms:GenerateDataKey", "kms:Decrypt"],
               conditions={"StringLike": {
                   "kms:EncryptionContext:aws:lambda:FunctionArn": names.arn("lambda", "function:*")}},
               unsaid=[policies.SOURCE_ACCOUNT], page=f"{DOCS}/lambda/latest/dg/encrypt-zip-package.html"),
        KeyUse(arguments=["lambda.Function.kmsKeyArn"], actions=["kms:CreateGrant", "kms:Encrypt", "kms:Decrypt"],
               page=f"{DOCS}/lambda/latest/dg/configuration-envvars-encryption.html"),
        KeyUse(arguments=[f"{BUCKET_ENCRYPTION}.rules.*.applyServerSideEncryptionByDefault.kmsMasterKeyId",
                          "s3.BucketObjectv2.kmsKeyId"],
               actions=["kms:GenerateDataKey", "kms:Decrypt"],
               page=f"{DOCS}/AmazonS3/latest/userguide/UsingKMSEncryption.html"),
        KeyUse(arguments=["s3.BucketReplicationConfig.rules.*.destination.encryptionConfiguration.replicaKmsKeyId"],
               actions=["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"],
               page=f"{DOCS}/AmazonS3/latest/userguide/replication-config-for-kms-objects.html"),
        KeyUse(arguments=["dynamodb.Table.serverSideEncryption.kmsKeyArn", "dynamodb.Table.replicas.*.kmsKeyArn"],
               actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey",
                        "kms:CreateGrant"],
               page=f"{DOCS}/amazondynamodb/latest/developerguide/encryption.usagenotes.html"),
        KeyUse(arguments=["rds.Cluster.kmsKeyId"], actions=["kms:CreateGrant", "kms:DescribeKey"],
               page=f"{DOCS}/AmazonRDS/latest/AuroraUserGuide/Overview.Encryption.Keys.html"),
        KeyUse(arguments=["rds.ClusterInstance.performanceInsightsKmsKeyId"],
               actions=["kms:Decrypt", "kms:GenerateDataKey"],
               page=f"{DOCS}/AmazonRDS/latest/AuroraUserGuide/USER_PerfInsights.access-control.cmk-policy.html"),
        KeyUse(arguments=["secretsmanager.Secret.kmsKeyId", "secretsmanager.Secret.replicas.*.kmsKeyId"],
               actions=["kms:GenerateDataKey", "kms:Decrypt"],
               page=f"{DOCS}/secretsmanager/latest/userguide/security-encryption.html"),
        KeyUse(arguments=["backup.Vault.kmsKeyArn"], actions=["kms:CreateGrant", "kms:GenerateDataKey", "kms:Decrypt"],
               page=f"{DOCS}/aws-backup/latest/devguide/encryption.html"),
        KeyUse(arguments=["sns.Topic.kmsMasterKeyId"], actions=["kms:GenerateDataKey*", "kms:Decrypt"],
               page=f"{DOCS}/sns/latest/dg/sns-key-management.html#allow-user-to-send-message-to-topic-with-sse"),
        KeyUse(arguments=["kms.ReplicaKey.primaryKeyArn", "kms.Alias.targetKeyId"],
               actions=["kms:ReplicateKey", "kms:CreateAlias"],
               page=f"{DOCS}/kms/latest/developerguide/multi-region-keys-auth.html"),
    ]


def key_policy(names: Names) -> pulumi.Output[str]:
    """The policy of a region's key: the account's own policies decide, and the services of the table are admitted."""
    account = {"Sid": "Account", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{names.account}:root"},
               "Action": "kms:*", "Resource": "*"}
    return policies.document(account, *(
        policies.from_service(use.service, names.account, use.actions, source=use.source, unsaid=use.unsaid,
                              conditions=use.conditions, Resource="*")
        for use in key_uses(names) if use.service))
