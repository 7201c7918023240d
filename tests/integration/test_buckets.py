"""The buckets: private, encrypted and versioned; receipts are copied both ways."""
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract import CANARY_FOLDER, RECEIPTS_PREFIX, REPAIR_FOLDER
from lib.settings import Profile
from tests.integration.stack import OBJECT_ARRIVES, Region, emulator_lacks, eventually, existing, statements


@pytest.fixture(params=["receipts", "control", "logs"])
def bucket(request: pytest.FixtureRequest, region: Region) -> str:
    """The name of each of the region's buckets in turn."""
    return str(region[f"{request.param}_bucket"])


@pytest.fixture
def rule(region: Region) -> dict[str, Any]:
    """The only rule by which the region's receipts are copied."""
    answer = region.client("s3").get_bucket_replication(Bucket=region["receipts_bucket"])
    (found,) = answer["ReplicationConfiguration"]["Rules"]
    rule: dict[str, Any] = found
    return rule


def locked(region: Region) -> bool:
    """Whether versions of receipts are locked."""
    return existing(region.client("s3").get_object_lock_configuration, Bucket=region["receipts_bucket"]) is not None


def purge(region: Region, key: str) -> None:
    """Remove every version and delete marker of an object; such removals are not copied. What is locked is hidden."""
    s3, name = region.client("s3"), region["receipts_bucket"]
    if locked(region):
        s3.delete_object(Bucket=name, Key=key)
        return
    found = s3.list_object_versions(Bucket=name, Prefix=key)
    for version in (*found.get("Versions", ()), *found.get("DeleteMarkers", ())):
        s3.delete_object(Bucket=name, Key=key, VersionId=version["VersionId"])


def copied(region: Region, key: str) -> dict[str, Any]:
    """The copy of an object in the region, once it has arrived."""
    found: dict[str, Any] = eventually(
        lambda: existing(region.client("s3").get_object, Bucket=region["receipts_bucket"], Key=key),
        f"{key} is in {region['receipts_bucket']}", OBJECT_ARRIVES)
    return found


def put(region: Region, key: str, body: bytes = b"") -> str:
    """Put a receipt as the payments function does: the bucket refuses all others, also from an administrator.

    Returns its version.
    """
    return str(region.client("s3").put_object(
        Bucket=region["receipts_bucket"], Key=key, Body=body, IfNoneMatch="*")["VersionId"])


@pytest.fixture(scope="module")
def written(region: Region, peer: Region) -> Iterator[str]:
    """The key of an object put into the region's receipts bucket, with the key as its body."""
    key = f"{RECEIPTS_PREFIX}integration-test/{uuid.uuid4().hex}"
    put(region, key, key.encode())
    yield key
    for each in (region, peer):
        purge(each, key)


def test_the_bucket_is_in_its_region(region: Region, bucket: str) -> None:
    # us-east-1 is the only region that S3 does not name.
    assert (region.client("s3").get_bucket_location(Bucket=bucket)["LocationConstraint"] or "us-east-1") == region.name


def test_every_version_is_kept(region: Region, bucket: str) -> None:
    assert region.client("s3").get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled"


def test_objects_are_encrypted_with_the_regions_key(region: Region, bucket: str) -> None:
    (rule,) = region.client("s3").get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    if bucket == region["logs_bucket"]:  # S3 delivers access logs to no bucket with another key than its own
        assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
        return
    assert rule["ApplyServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": region["key_arn"]}
    assert rule["BucketKeyEnabled"], "each object would cost a call to KMS"


def test_access_is_logged_in_the_bucket_for_logs_which_only_s3_writes(region: Region, bucket: str) -> None:
    s3, logs = region.client("s3"), region["logs_bucket"]
    logging = s3.get_bucket_logging(Bucket=bucket).get("LoggingEnabled")
    assert logging == (None if bucket == logs else {"TargetBucket": logs, "TargetPrefix": f"{bucket}/"})
    (allowed,) = (each for each in statements(s3.get_bucket_policy(Bucket=logs)["Policy"]) if each["Effect"] == "Allow")
    assert allowed["Action"] == ["s3:PutObject"]
    assert (f"arn:aws:s3:::{bucket}" in allowed["Condition"]["ArnLike"]["aws:SourceArn"]) is (bucket != logs)


def test_nothing_can_be_made_public(region: Region, bucket: str) -> None:
    closed = region.client("s3").get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert closed == dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    owner = region.client("s3").get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert owner == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def test_only_tls_is_accepted(region: Region, bucket: str) -> None:
    found = statements(region.client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
    arn = f"arn:aws:s3:::{bucket}"
    admitted = [{"Service": "logging.s3.amazonaws.com"}] if bucket == region["logs_bucket"] else []
    assert [each["Principal"] for each in found if each["Effect"] == "Allow"] == admitted
    assert all(each["Principal"] == "*" for each in found if each["Effect"] == "Deny")
    found = [statement for statement in found if statement["Action"] == ["s3:*"]]
    for statement in found:
        assert set(statement["Resource"]) == {arn, f"{arn}/*"}
    conditions = [statement["Condition"] for statement in found]
    assert {"Bool": {"aws:SecureTransport": "false"}} in conditions
    assert {"NumericLessThan": {"s3:TlsVersion": "1.2"}} in conditions


def test_superseded_versions_and_logs_expire_and_others_never(region: Region, bucket: str, profile: Profile) -> None:
    rules = region.client("s3").get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert {each["Status"] for each in rules} == {"Enabled"}
    assert {each["Filter"]["Prefix"]: each["Expiration"]["Days"] for each in rules if "Expiration" in each} == {
        "" if bucket == region["logs_bucket"] else REPAIR_FOLDER: profile.log_retention_days}
    assert not RECEIPTS_PREFIX.startswith((CANARY_FOLDER, REPAIR_FOLDER))
    (rule,) = (each for each in rules if each["ID"] == "superseded")
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == profile.noncurrent_version_days
    assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] > 0
    assert "Expiration" not in rule


def test_receipts_are_copied_in_time_with_deletions_and_changes(rule: dict[str, Any], peer: Region) -> None:
    assert rule["Status"] == "Enabled"
    assert rule["Filter"] == {"Prefix": RECEIPTS_PREFIX}
    assert rule["DeleteMarkerReplication"]["Status"] == "Enabled"
    assert rule["SourceSelectionCriteria"] == {
        "SseKmsEncryptedObjects": {"Status": "Enabled"}, "ReplicaModifications": {"Status": "Enabled"}}
    destination = rule["Destination"]
    assert destination["Bucket"] == f"arn:aws:s3:::{peer['receipts_bucket']}"
    assert destination["EncryptionConfiguration"]["ReplicaKmsKeyID"] == peer["key_arn"]
    assert destination["ReplicationTime"] == {"Status": "Enabled", "Time": {"Minutes": 15}}
    assert destination["Metrics"] == {"Status": "Enabled", "EventThreshold": {"Minutes": 15}}


def test_a_version_is_deleted_only_where_no_lock_keeps_it(region: Region, peer: Region) -> None:
    key, codes = f"{RECEIPTS_PREFIX}integration-test/{uuid.uuid4().hex}", list[str]()
    put(region, key)
    copied(peer, key)["Body"].close()  # with its lock: AWS copies that, too
    for each in (region, peer):
        (version,) = each.client("s3").list_object_versions(Bucket=each["receipts_bucket"], Prefix=key)["Versions"]
        try:
            each.client("s3").delete_object(Bucket=each["receipts_bucket"], Key=key, VersionId=version["VersionId"])
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])
    assert codes == (["AccessDenied"] * 2 if locked(region) else [])
    for each in (region, peer):
        purge(each, key)


def test_a_receipt_is_put_once_and_what_is_none_again_and_again(region: Region, written: str) -> None:
    with pytest.raises(ClientError, match="PreconditionFailed"):
        put(region, written)
    # A lock keeps versions from deletion, not from newer ones.
    canary = {"Bucket": region["receipts_bucket"], "Key": f"{CANARY_FOLDER}integration-test"}
    first, second = (region.client("s3").put_object(**canary)["VersionId"] for _ in range(2))
    purge(region, canary["Key"])
    assert first != second


@emulator_lacks("no policy of a bucket is enforced")
def test_a_receipt_that_could_replace_another_is_refused(region: Region) -> None:
    code = ""
    try:
        region.client("s3").put_object(Bucket=region["receipts_bucket"], Key=f"{RECEIPTS_PREFIX}integration-test/x")
    except ClientError as error:
        code = error.response["Error"]["Code"]
    assert code == "AccessDenied"


def test_the_control_bucket_is_not_copied(region: Region) -> None:
    # A copy of `takeover` would make both regions take over.
    assert existing(region.client("s3").get_bucket_replication, Bucket=region["control_bucket"]) is None


def test_an_object_written_in_one_region_is_in_the_other(region: Region, peer: Region, written: str) -> None:
    copy = copied(peer, written)
    with copy["Body"] as body:
        assert body.read() == written.encode()
    assert copy["ReplicationStatus"] == "REPLICA"
    eventually(
        lambda: region.client("s3").head_object(Bucket=region["receipts_bucket"], Key=written)["ReplicationStatus"]
        .startswith("COMPLETE"), f"{written} counts as copied in {region['receipts_bucket']}", OBJECT_ARRIVES)


@emulator_lacks("a copy keeps its source's key")
def test_a_copy_is_encrypted_with_its_own_regions_key(peer: Region, written: str) -> None:
    copy = copied(peer, written)
    copy["Body"].close()
    assert (copy["ServerSideEncryption"], copy["SSEKMSKeyId"]) == ("aws:kms", peer["key_arn"])


def test_an_object_deleted_in_one_region_is_gone_in_the_other(region: Region, peer: Region) -> None:
    key = f"{RECEIPTS_PREFIX}integration-test/{uuid.uuid4().hex}"
    source, target = region["receipts_bucket"], peer["receipts_bucket"]
    try:
        put(region, key)
        copied(peer, key)["Body"].close()
        region.client("s3").delete_object(Bucket=source, Key=key)
        eventually(lambda: existing(peer.client("s3").head_object, Bucket=target, Key=key) is None,
                   f"the delete marker of {key} is in {target}", OBJECT_ARRIVES)
        left = peer.client("s3").list_object_versions(Bucket=target, Prefix=key)
        assert len(left.get("Versions", ())) == 1, "the marker hides the version, which stays"
    finally:
        for each in (region, peer):
            purge(each, key)
