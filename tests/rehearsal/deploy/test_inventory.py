"""What the emulator holds."""

from rehearsal.deploy import inventory
from rehearsal.deploy.resources import RESOURCE_TYPES
from tests.rehearsal.cloud import Cloud


def test_everything_is_listed_with_its_type_and_region(cloud: Cloud) -> None:
    types = {token: RESOURCE_TYPES[token] for token in (
        "aws:kms/key:Key", "aws:cloudwatch/logGroup:LogGroup", "aws:s3/bucket:Bucket",
        "aws:apigateway/account:Account", "aws:s3/bucketPolicy:BucketPolicy")}
    cloud.answers.update(
        ListKeys={"Keys": [{"KeyId": "live"}, {"KeyId": "gone"}]},
        DescribeKey=lambda params: {"KeyMetadata": {
            "KeyId": params["KeyId"], "KeyState": "Enabled" if params["KeyId"] == "live" else "PendingDeletion"}},
        DescribeLogGroups={"logGroups": [{"logGroupName": "/a"}]}, ListBuckets={"Buckets": [{"Name": "b"}]})
    found = inventory.take(cloud, ["us-east-1", "us-west-2"], types)
    assert found == {
        "Key live (us-east-1)", "Key live (us-west-2)", "LogGroup /a (us-east-1)", "LogGroup /a (us-west-2)",
        "Bucket b (global)"}
    assert cloud.operations().count("ListBuckets") == 1
