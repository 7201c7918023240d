"""S3: the bucket, and its settings, which are separate resources."""

from typing import Any

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy.resources.model import Call, ResourceType, Template, words


def _empty(clients: EmulatorClients, region: str, bucket: str) -> dict[str, Any]:
    """Delete every version and delete marker, locked ones too, as the provider's `force_destroy` does.

    https://www.pulumi.com/registry/packages/aws/api-docs/s3/bucket/#forcedestroy_python
    """
    client = clients("s3", region)
    # Read all pages first: the marker of the next page may be a version that is deleted by then, which skips others.
    for page in list(client.get_paginator("list_object_versions").paginate(Bucket=bucket)):
        found = [{"Key": item["Key"], "VersionId": item["VersionId"]}
                 for item in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))]
        if found:
            client.delete_objects(Bucket=bucket, BypassGovernanceRetention=True,
                                  Delete={"Objects": found, "Quiet": True})
    return {}


def _setting(put: str, delete: str, found: str = "out", wrapper: str = "") -> ResourceType:
    """A setting of a bucket, with the bucket's id. Without a `delete` operation it is deleted with the bucket."""
    return ResourceType(
        "s3", Call(put), wrapper=wrapper, id="in.bucket", read=(Call(put.replace("put", "get", 1)),), found=found,
        held={"bucket": "in.bucket"}, put=True, replace=words("bucket"), delete=(Call(delete),) if delete else ())


RESOURCE_TYPES = {
    "aws:s3/bucket:Bucket": ResourceType(
        "s3",
        # us-east-1 is the only region that must not be named.
        Call("create_bucket",
             {"CreateBucketConfiguration.LocationConstraint": "region != 'us-east-1' && region || null"}),
        name_input="bucket", id="in.bucket",
        after_create=(Call("put_bucket_tagging", {"Tagging.TagSet": "tags"}, when="tags"),),
        outputs={"arn": Template("arn:aws:s3:::{id}")}, listings={"list_buckets": "Buckets[].Name"},
        read=(Call("head_bucket"), Call("get_bucket_tagging", when="tags")),
        held={"bucket": "id", "tags": "out.TagSet"},
        replace=words("bucket"), update={"tags": (Call("put_bucket_tagging", {"Tagging.TagSet": "tags"}),)},
        delete=(Call(_empty, {"region": "region", "bucket": "id"}, when="in.forceDestroy || unprotected"),
                Call("delete_bucket"))),
    "aws:s3/bucketVersioning:BucketVersioning": _setting(
        "put_bucket_versioning", "", "{versioningConfiguration: out}"),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _setting(
        "put_bucket_encryption", "delete_bucket_encryption", "out.ServerSideEncryptionConfiguration",
        "ServerSideEncryptionConfiguration"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _setting(
        "put_public_access_block", "delete_public_access_block", "out.PublicAccessBlockConfiguration",
        "PublicAccessBlockConfiguration"),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _setting(
        "put_bucket_ownership_controls", "delete_bucket_ownership_controls", "out.OwnershipControls",
        "OwnershipControls"),
    "aws:s3/bucketPolicy:BucketPolicy": _setting("put_bucket_policy", "delete_bucket_policy"),
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": _setting(
        "put_object_lock_configuration", "", "out.ObjectLockConfiguration", "ObjectLockConfiguration"),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _setting(
        "put_bucket_lifecycle_configuration", "delete_bucket_lifecycle", "out", "LifecycleConfiguration"),
    "aws:s3/bucketLogging:BucketLogging": ResourceType(
        "s3", Call("put_bucket_logging", {"BucketLoggingStatus.LoggingEnabled.TargetBucket": "in.targetBucket",
                                          "BucketLoggingStatus.LoggingEnabled.TargetPrefix": "in.targetPrefix"}),
        id="in.bucket", read=(Call("get_bucket_logging"),), found="out.LoggingEnabled", held={"bucket": "in.bucket"},
        put=True, replace=words("bucket"), delete=(Call("put_bucket_logging", {"BucketLoggingStatus": "`{}`"}),)),
    "aws:s3/bucketObjectv2:BucketObjectv2": ResourceType(
        "s3", Call("put_object", {"ServerSideEncryption": "'aws:kms'"}),
        renames={"content": "Body", "kmsKeyId": "SSEKMSKeyId"}, id=Template("{in[bucket]}/{in[key]}"), put=True,
        provider_only=words("forceDestroy overrideProvider"), replace=words("bucket key"),
        read=(Call("head_object", {"Bucket": "in.bucket", "Key": "in.key"}),),
        held={"bucket": "in.bucket", "key": "in.key", "content": "", "kmsKeyId": "out.SSEKMSKeyId"},
        delete=(Call("delete_object", {"Bucket": "in.bucket", "Key": "in.key"}),)),
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": _setting(
        "put_bucket_replication", "delete_bucket_replication", "out.ReplicationConfiguration",
        "ReplicationConfiguration"),
}
