"""Buckets."""

import pytest

from rehearsal.deploy.deployment import Deployment
from tests.rehearsal.cloud import Cloud
from tests.rehearsal.deploy.conftest import Create


@pytest.mark.parametrize(
    ("force", "unprotected", "emptied"), [(False, False, False), (True, False, True), (False, True, True)])
def test_a_bucket_is_emptied_only_if_it_may_be(  # pylint: disable=too-many-positional-arguments
    cloud: Cloud, engine: Deployment, create: Create, force: bool, unprotected: bool, emptied: bool
) -> None:
    version = {"Key": "k", "VersionId": "1"}
    cloud.answers["ListObjectVersions"] = lambda params: {"IsTruncated": True, "NextKeyMarker": "k"} if (
        "KeyMarker" not in params) else {"Versions": [version], "DeleteMarkers": [{**version, "VersionId": "2"}]}
    bucket = create("aws:s3/bucket:Bucket", bucket="b", forceDestroy=force)
    assert cloud.params("CreateBucket")["CreateBucketConfiguration"] == {"LocationConstraint": "us-west-2"}
    if unprotected:
        engine.lift_protection()
    engine.delete(bucket)
    assert ("DeleteObjects" in cloud.operations()) is emptied
    if emptied:
        assert [item["VersionId"] for item in cloud.params("DeleteObjects")["Delete"]["Objects"]] == ["1", "2"]
        assert cloud.params("DeleteObjects")["BypassGovernanceRetention"] is True
    assert cloud.operations()[-1] == "DeleteBucket"


def test_us_east_1_is_not_named(cloud: Cloud, create: Create) -> None:
    create("aws:s3/bucket:Bucket", bucket="b", region="us-east-1")
    assert "LocationConstraint" not in cloud.params("CreateBucket").get("CreateBucketConfiguration", {})


def test_access_logs_are_turned_on_read_and_off(cloud: Cloud, engine: Deployment, create: Create) -> None:
    kept = {"TargetBucket": "logs", "TargetPrefix": "b/"}
    logging = create("aws:s3/bucketLogging:BucketLogging", bucket="b", targetBucket="logs", targetPrefix="b/")
    cloud.answers["GetBucketLogging"] = {"LoggingEnabled": {**kept, "TargetBucket": "others"}}
    assert engine.handlers.read(logging) == {"bucket": "b", "targetBucket": "others", "targetPrefix": "b/"}
    engine.delete(logging)
    puts = [params["BucketLoggingStatus"] for name, _, params in cloud.calls if name == "PutBucketLogging"]
    assert puts == [{"LoggingEnabled": kept}, {}]
    logging.scope["out"].clear()
    cloud.answers["GetBucketLogging"] = {}
    assert engine.handlers.read(logging) is None
