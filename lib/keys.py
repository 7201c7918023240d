"""The policy of a region's customer key: who may use it.

A test finds every use of a key in the program, and fails for one that it does not know, or that this policy refuses.
"""
from collections.abc import Sequence
from typing import Any

import pulumi

from lib import policies
from lib.names import Names

PUBLISH = ("kms:Decrypt", "kms:GenerateDataKey*")


def key_policy(names: Names) -> pulumi.Output[str]:
    """The policy of a region's key: the account's own policies decide, and four services are admitted."""
    def admit(service: str, actions: Sequence[str], **limits: Any) -> policies.Statement:
        return policies.from_service(service, names.account, list(actions), Resource="*", **limits)

    account = {"Sid": "Account", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{names.account}:root"},
               "Action": "kms:*", "Resource": "*"}
    return policies.document(
        account,
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
        admit(f"logs.{names.region}",
              ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
              unsaid=[policies.SOURCE_ACCOUNT],
              conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": names.arn("logs", "log-group:*")}}),
        # To publish to the topic, which the key encrypts:
        # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
        admit("cloudwatch", PUBLISH, source=names.alarms_arn),
        admit("events", PUBLISH, source=names.arn("events", "rule/*")),
        # Lambda makes no grant for a package, and asks with no caller's right:
        # https://docs.aws.amazon.com/lambda/latest/dg/encrypt-zip-package.html
        admit("lambda", ["kms:GenerateDataKey", "kms:Decrypt"], unsaid=[policies.SOURCE_ACCOUNT],
              conditions={"StringLike": {
                  "kms:EncryptionContext:aws:lambda:FunctionArn": names.arn("lambda", "function:*")}}))
