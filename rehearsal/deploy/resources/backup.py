"""AWS Backup."""

from collections.abc import Mapping

from rehearsal.deploy.resources.model import BotoCall, Listing, ResourceType

RESOURCE_TYPES: Mapping[str, ResourceType] = {
    "aws:backup/vault:Vault": ResourceType(
        service="backup", create=BotoCall("create_backup_vault", {"BackupVaultTags": "tags"}),
        renames={"name": "BackupVaultName", "kmsKeyArn": "EncryptionKeyArn"}, named="name", id="in.name",
        outputs={"arn": "out.BackupVaultArn"},
        # No backup runs, so there is nothing to empty.
        provider_only=frozenset({"forceDestroy"}),
        listed=(Listing("list_backup_vaults", "BackupVaultList[].BackupVaultName"),),
        delete=(BotoCall("delete_backup_vault", {"BackupVaultName": "id"}),)),
    "aws:backup/plan:Plan": ResourceType(
        service="backup",
        create=BotoCall("create_backup_plan", {"BackupPlan.BackupPlanName": "in.name", "BackupPlanTags": "tags"}),
        within="BackupPlan",
        renames={"targetVaultName": "TargetBackupVaultName", "schedule": "ScheduleExpression",
                 "startWindow": "StartWindowMinutes", "completionWindow": "CompletionWindowMinutes",
                 "deleteAfter": "DeleteAfterDays", "destinationVaultArn": "DestinationBackupVaultArn"},
        named="name", id="out.BackupPlanId",
        outputs={"arn": "out.BackupPlanArn", "version": "out.VersionId"},
        listed=(Listing("list_backup_plans", "BackupPlansList[].BackupPlanId"),),
        delete=(BotoCall("delete_backup_plan", {"BackupPlanId": "id"}),)),
    "aws:backup/selection:Selection": ResourceType(
        service="backup",
        create=BotoCall("create_backup_selection",
                    {"BackupPlanId": "in.planId", "BackupSelection.SelectionName": "in.name"}),
        within="BackupSelection", named="name", id="out.SelectionId",
        delete=(BotoCall("delete_backup_selection", {"BackupPlanId": "in.planId", "SelectionId": "id"}),)),
}
