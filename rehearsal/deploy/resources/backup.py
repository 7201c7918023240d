"""AWS Backup."""

from rehearsal.deploy.resources.model import Adoption, Call, ResourceType, Template, not_created, tagging, words


def _tags(arn: str) -> dict[str, tuple[Call, ...]]:
    return tagging("tag_resource", "untag_resource", ("Tags", "TagKeyList"),
                   ResourceArn=Template(f"arn:aws:backup:{arn}"))


RESOURCE_TYPES = {
    "aws:backup/vault:Vault": ResourceType(
        "backup", Call("create_backup_vault", {"BackupVaultTags": "tags"}),
        renames={"name": "BackupVaultName", "kmsKeyArn": "EncryptionKeyArn"}, name_input="name", id="in.name",
        outputs={"arn": "out.BackupVaultArn"},
        # No backup runs, so the vault is empty.
        provider_only=words("forceDestroy"),
        read=(Call("describe_backup_vault"),), replace=words("name kmsKeyArn"),
        update=_tags("{region}:{account}:backup-vault:{id}"),
        listings={"list_backup_vaults": "BackupVaultList[].BackupVaultName"}, delete=(Call("delete_backup_vault"),)),
    "aws:backup/vaultLockConfiguration:VaultLockConfiguration": ResourceType(
        "backup", Call(not_created), id="in.backupVaultName", put=True, replace=words("backupVaultName"),
        provider_only=words("minRetentionDays")),
    "aws:backup/plan:Plan": ResourceType(
        "backup", Call("create_backup_plan", {"BackupPlan.BackupPlanName": "in.name", "BackupPlanTags": "tags"}),
        wrapper="BackupPlan",
        renames={"targetVaultName": "TargetBackupVaultName", "schedule": "ScheduleExpression",
                 "startWindow": "StartWindowMinutes", "completionWindow": "CompletionWindowMinutes",
                 "deleteAfter": "DeleteAfterDays", "destinationVaultArn": "DestinationBackupVaultArn"},
        name_input="name", id="out.BackupPlanId", listings={"list_backup_plans": "BackupPlansList[].BackupPlanId"},
        read=(Call("get_backup_plan"),), found="out.BackupPlan", replace=words("name"), update={
            "rules": (Call("update_backup_plan", {"BackupPlanId": "id", "BackupPlan.BackupPlanName": "in.name"}),),
            **_tags("{region}:{account}:backup-plan:{id}")},
        delete=(Call("delete_backup_plan"),)),
    "aws:backup/selection:Selection": ResourceType(
        "backup",
        Call("create_backup_selection", {"BackupPlanId": "in.planId", "BackupSelection.SelectionName": "in.name"}),
        wrapper="BackupSelection", name_input="name", id="out.SelectionId",
        read=(Call("get_backup_selection", {"BackupPlanId": "in.planId"}),), found="out.BackupSelection",
        adoption=Adoption(Template("{in[planId]}|{id}"), Call("list_backup_selections", {"BackupPlanId": "in.planId"}),
                          "[pick(out.BackupSelectionsList, {SelectionName: in.name}).SelectionId][?@]"),
        replace=words("iamRoleArn name planId resources"),
        delete=(Call("delete_backup_selection", {"BackupPlanId": "in.planId"}),)),
}
