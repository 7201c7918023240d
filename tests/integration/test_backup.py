"""Backups: made every night in each region, copied to the other."""
from typing import Any

import pytest

from lib.settings import Profile
from tests.integration.stack import Region


def vault(region: Region) -> dict[str, Any]:
    """The region's vault, as AWS Backup describes it."""
    found: dict[str, Any] = region.client("backup").describe_backup_vault(BackupVaultName=region["backup_vault_name"])
    return found


@pytest.fixture
def rule(region: Region) -> dict[str, Any]:
    """The only rule of the region's plan."""
    (found,) = region.client("backup").get_backup_plan(BackupPlanId=region["backup_plan_id"])["BackupPlan"]["Rules"]
    rule: dict[str, Any] = found
    return rule


def test_the_vault_is_encrypted_with_the_regions_key(region: Region) -> None:
    assert vault(region)["EncryptionKeyArn"] == region["key_arn"]


def test_backups_are_made_nightly_and_kept_as_long_as_declared(
        region: Region, rule: dict[str, Any], profile: Profile) -> None:
    assert rule["TargetBackupVaultName"] == region["backup_vault_name"]
    minute, hour, *days = rule["ScheduleExpression"].removeprefix("cron(").removesuffix(")").split()
    assert (minute.isdecimal(), hour.isdecimal(), days) == (True, True, ["*", "*", "?", "*"])
    assert rule["Lifecycle"]["DeleteAfterDays"] == profile.backup_retention_days


def test_backups_are_copied_to_the_other_regions_vault(rule: dict[str, Any], peer: Region, profile: Profile) -> None:
    (copy,) = rule["CopyActions"]
    assert copy["DestinationBackupVaultArn"] == vault(peer)["BackupVaultArn"]
    assert copy["Lifecycle"]["DeleteAfterDays"] == profile.backup_retention_days


def test_table_and_database_are_backed_up(region: Region) -> None:
    backup, plan = region.client("backup"), region["backup_plan_id"]
    (found,) = backup.list_backup_selections(BackupPlanId=plan)["BackupSelectionsList"]
    selection = backup.get_backup_selection(BackupPlanId=plan, SelectionId=found["SelectionId"])["BackupSelection"]
    table = region.client("dynamodb").describe_table(TableName=region.outputs["payments_table_name"])["Table"]
    assert set(selection["Resources"]) == {table["TableArn"], region["cluster_arn"]}
