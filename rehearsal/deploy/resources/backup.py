"""AWS Backup."""

from rehearsal.deploy.resources.model import Call, ResourceType

RESOURCE_TYPES = {
    "aws:backup/vault:Vault": ResourceType(
        "backup", Call("create_backup_vault", {"BackupVaultTags": "tags"}),
        renames={"name": "BackupVaultName", "kmsKeyArn": "EncryptionKeyArn"}, name_input="name", id="in.name",
        outputs={"arn": "out.BackupVaultArn"},
        # No backup runs, so the vault is empty.
        provider_only=frozenset({"forceDestroy"}),
        listings={"list_backup_vaults": "BackupVaultList[].BackupVaultName"}, delete=(Call("delete_backup_vault"),)),
    "aws:backup/plan:Plan": ResourceType(
        "backup", Call("create_backup_plan", {"BackupPlan.BackupPlanName": "in.name", "BackupPlanTags": "tags"}),
        wrapper="BackupPlan",
        renames={"targetVaultName": "TargetBackupVaultName", "schedule": "ScheduleExpression",
                 "startWindow": "StartWindowMinutes", "completionWindow": "CompletionWindowMinutes",
                 "deleteAfter": "DeleteAfterDays", "destinationVaultArn": "DestinationBackupVaultArn"},
        name_input="name", id="out.BackupPlanId", listings={"list_backup_plans": "BackupPlansList[].BackupPlanId"},
        delete=(Call("delete_backup_plan"),)),
    "aws:backup/selection:Selection": ResourceType(
        "backup",
        Call("create_backup_selection", {"BackupPlanId": "in.planId", "BackupSelection.SelectionName": "in.name"}),
        wrapper="BackupSelection", name_input="name", id="out.SelectionId",
        delete=(Call("delete_backup_selection", {"BackupPlanId": "in.planId"}),)),
}
