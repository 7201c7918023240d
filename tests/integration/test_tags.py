"""Tags, by which costs and owners are found."""
from collections.abc import Callable, Mapping
from functools import partial

import pytest

from tests.integration.stack import Region

Tags = Mapping[str, str]


def pairs(tags: list[dict[str, str]], prefix: str = "") -> Tags:
    """Tags as a mapping, from AWS's list of keys and values."""
    return {tag[f"{prefix}Key"]: tag[f"{prefix}Value"] for tag in tags}


def ec2_tags(region: Region, identifier: str) -> Tags:
    """The tags of an EC2 resource."""
    found = region.client("ec2").describe_tags(Filters=[{"Name": "resource-id", "Values": [identifier]}])
    return pairs(found["Tags"])


def bucket_tags(region: Region, kind: str) -> Tags:
    """The tags of one of the region's buckets."""
    return pairs(region.client("s3").get_bucket_tagging(Bucket=region[f"{kind}_bucket"])["TagSet"])


def table_tags(region: Region) -> Tags:
    """The tags of the region's replica."""
    dynamodb = region.client("dynamodb")
    table = dynamodb.describe_table(TableName=region.outputs["payments_table_name"])["Table"]
    return pairs(dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"])


def log_group_tags(region: Region) -> Tags:
    """The tags of the function's log group."""
    logs, name = region.client("logs"), region["function_log_group"]
    (found,) = [group for group in logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
                if group["logGroupName"] == name]
    tags: Tags = logs.list_tags_for_resource(resourceArn=found["logGroupArn"])["tags"]
    return tags


def alarm_tags(region: Region) -> Tags:
    """The tags of the first alarm."""
    cloudwatch = region.client("cloudwatch")
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=region["alarm_names"][:1])["MetricAlarms"]
    return pairs(cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"])


def rule_tags(region: Region) -> Tags:
    """The tags of the rule that starts the controller."""
    events = region.client("events")
    (name,) = events.list_rule_names_by_target(TargetArn=region["controller_alias_arn"])["RuleNames"]
    return pairs(events.list_tags_for_resource(ResourceARN=events.describe_rule(Name=name)["Arn"])["Tags"])


def vault_tags(region: Region) -> Tags:
    """The tags of the backup vault."""
    backup = region.client("backup")
    vault = backup.describe_backup_vault(BackupVaultName=region["backup_vault_name"])
    tags: Tags = backup.list_tags(ResourceArn=vault["BackupVaultArn"])["Tags"]
    return tags


TAGS_OF: dict[str, Callable[[Region], Tags]] = {
    "vpc": lambda region: ec2_tags(region, region["vpc_id"]),
    "subnet": lambda region: ec2_tags(region, region["subnet_ids"][0]),
    **{f"{kind} bucket": partial(bucket_tags, kind=kind) for kind in ("receipts", "control", "logs")},
    "key": lambda region: pairs(region.client("kms").list_resource_tags(KeyId=region["key_arn"])["Tags"], "Tag"),
    "cluster": lambda region: pairs(
        region.client("rds").list_tags_for_resource(ResourceName=region["cluster_arn"])["TagList"]),
    "function": lambda region: region.client("lambda").list_tags(
        Resource=region["function_alias_arn"].rpartition(":")[0])["Tags"],
    "controller": lambda region: region.client("lambda").list_tags(
        Resource=region["controller_alias_arn"].rpartition(":")[0])["Tags"],
    "role": lambda region: pairs(region.client("iam").list_role_tags(RoleName=region["function_role_name"])["Tags"]),
    "api": lambda region: region.client("apigateway").get_rest_api(restApiId=region["api_id"])["tags"],
    "topic": lambda region: pairs(
        region.client("sns").list_tags_for_resource(ResourceArn=region["topic_arn"])["Tags"]),
    "alarm": alarm_tags, "logs": log_group_tags, "rule": rule_tags, "table": table_tags,
    "vault": vault_tags,
}


@pytest.mark.parametrize("what", sorted(TAGS_OF))
def test_every_resource_names_its_project_and_environment(region: Region, what: str) -> None:
    tags = TAGS_OF[what](region)
    ours = {key: tags.get(key) for key in ("Project", "Environment", "ManagedBy")}
    assert ours == {"Project": "TapStack", "Environment": region.outputs["environment_suffix"], "ManagedBy": "pulumi"}
