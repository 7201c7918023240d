"""A private bucket: encrypted, versioned, and reached over TLS only."""
from collections.abc import Sequence
from functools import partial

import pulumi
import pulumi_aws as aws

from contract import CANARY_FOLDER, REPAIR_FOLDER
from lib import policies
from lib.component import Component
from lib.settings import Profile

PAUSABLE = "PausableCopies"
"""The tag of a bucket whose copies a drill may pause; its value is the bucket's name."""


class SecureBucket(Component, type_name="SecureBucket"):
    """A private, versioned bucket, encrypted with the region's key, over TLS only; superseded versions expire.

    One that outlives the stack stays as closed as it was, so all of this outlives the stack with it. `statements` are
    further ones of its policy. For `lock_days` nobody deletes a version, except who may bypass governance.
    `pausable`: AWS FIS finds it by a tag.

    Its access logs go to the bucket `logs`. That one has none of its own, which would never end, so it is the one
    without `logs`. It has S3's own key, because S3 delivers logs to no bucket with another, and what is in it expires.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """

    def __init__(self, name: str, *, bucket: str, profile: Profile, opts: pulumi.ResourceOptions,
                 key_arn: pulumi.Input[str] | None = None, logs: "SecureBucket | None" = None,
                 statements: Sequence[policies.Statement] = (), lock_days: int = 0, pausable: bool = False) -> None:
        super().__init__(name, opts)
        self.bucket = aws.s3.Bucket(f"{name}-bucket", bucket=bucket, force_destroy=not profile.retain,
                                    tags={PAUSABLE: bucket} if pausable else None,
                                    opts=self.durable(retain=profile.retain))
        options = partial(self.opts, retain_on_delete=profile.retain)
        self.arn: pulumi.Output[str] = self.bucket.arn
        # One after the other: S3 refuses two changes of a bucket's access at the same time (409 OperationAborted).
        owner = aws.s3.BucketOwnershipControls(
            f"{name}-owner", bucket=self.bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=options())
        closed = aws.s3.BucketPublicAccessBlock(
            f"{name}-closed", bucket=self.bucket.id, block_public_acls=True, block_public_policy=True,
            ignore_public_acls=True, restrict_public_buckets=True, opts=options(depends_on=[owner]))
        versioning = aws.s3.BucketVersioning(f"{name}-versions", bucket=self.bucket.id,
                                                  versioning_configuration={"status": "Enabled"}, opts=options())
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption", bucket=self.bucket.id, opts=options(),
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms",
                                                                "kms_master_key_id": key_arn},
                    "bucket_key_enabled": True} if logs else
                   {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}])
        self.policy = aws.s3.BucketPolicy(
            f"{name}-policy", bucket=self.bucket.id, policy=policies.tls_only(self.bucket.arn, *statements),
            opts=options(depends_on=[closed]))
        if logs:
            aws.s3.BucketLogging(
                f"{name}-logging", bucket=self.bucket.id, target_bucket=logs.bucket.id, target_prefix=f"{bucket}/",
                opts=options(depends_on=[logs.policy]))
        self.locked, self.settled = bool(lock_days), list[pulumi.Resource]([versioning])
        if lock_days:
            self.settled.append(aws.s3.BucketObjectLockConfiguration(
                f"{name}-lock", bucket=self.bucket.id, opts=options(depends_on=[versioning]),
                object_lock_enabled="Enabled",
                rule={"default_retention": {"mode": "GOVERNANCE", "days": lock_days}}))
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle", bucket=self.bucket.id, opts=options(depends_on=[versioning]),
            rules=[{"id": "superseded", "status": "Enabled", "filter": {"prefix": ""},
                    "noncurrent_version_expiration": {"noncurrent_days": profile.noncurrent_version_days},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 7}},
                   {"id": "canaries", "status": "Enabled", "filter": {"prefix": CANARY_FOLDER},
                    "noncurrent_version_expiration": {"noncurrent_days": 1}},
                   {"id": "repairs" if logs else "logs", "status": "Enabled",
                    "filter": {"prefix": REPAIR_FOLDER if logs else ""},
                    "expiration": {"days": profile.log_retention_days}}])
        self.register_outputs({"arn": self.arn})
