"""The copies from one region to the other."""
import pulumi
import pulumi_aws as aws

from contract import RECEIPTS_PREFIX, REPLICATION_RULE
from lib import policies
from lib.component import Component
from lib.region.alarms import REPLICATION_MINUTES
from lib.region.region import Region
from lib.settings import Profile, Settings
from lib.shared.pauses import Pauses

# What replication must read of a bucket with Object Lock:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html#object-lock-managing-replication
LOCKED = ("s3:GetObjectRetention", "s3:GetObjectLegalHold")
NIGHTLY = "cron(0 5 * * ? *)"


class Copies(Component, type_name="Copies"):
    """The copies in one direction: receipts as they are written, backups once a night. A stack has both directions.

    `pauses` is what pauses the receipts' and the table's, None unless that is wanted.
    """

    def __init__(self, name: str, *, settings: Settings, source: Region, destination: Region,
                 table: pulumi.Resource, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(provider=source.provider)))
        self._receipts(source, destination)
        self.plan = self._backups(settings.profile, source, destination, table)
        self.pauses = Pauses(f"{name}-pauses", source=source, destination=destination,
                             opts=pulumi.ResourceOptions(parent=self)) if settings.pauses else None
        self.register_outputs({"backup_plan_id": self.plan.id})

    def _receipts(self, source: Region, destination: Region) -> None:
        original, copy = source.receipts, destination.receipts
        names = source.names
        role, _ = self.role(
            "", names.replication_role, policies.trust("s3", names.account), "replicate",
            policies.allow(["s3:GetReplicationConfiguration", "s3:ListBucket"], original.arn),
            policies.allow(["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl",
                            "s3:GetObjectVersionTagging", *(LOCKED if original.locked else ())],
                           pulumi.Output.concat(original.arn, "/*")),
            policies.allow(["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"],
                           pulumi.Output.concat(copy.arn, "/*")),
            policies.key_use(source.key.arn, [f"s3.{names.region}"], ["kms:Decrypt"]),
            # Decrypt verifies the destination's bucket key.
            policies.key_use(destination.key.arn, [f"s3.{destination.names.region}"],
                             ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"]))
        aws.s3.BucketReplicationConfig(
            f"{self.name}-receipts", bucket=original.bucket.id, role=role.arn,
            rules=[{
                "id": REPLICATION_RULE, "status": "Enabled", "priority": 1, "filter": {"prefix": RECEIPTS_PREFIX},
                "delete_marker_replication": {"status": "Enabled"},
                "source_selection_criteria": {"sse_kms_encrypted_objects": {"status": "Enabled"},
                                              "replica_modifications": {"status": "Enabled"}},
                "destination": {
                    "bucket": copy.arn, "storage_class": "STANDARD",
                    "encryption_configuration": {"replica_kms_key_id": destination.key.arn},
                    "replication_time": {"status": "Enabled", "time": {"minutes": REPLICATION_MINUTES}},
                    "metrics": {"status": "Enabled", "event_threshold": {"minutes": REPLICATION_MINUTES}}}}],
            opts=self.opts(depends_on=[*original.settled, *copy.settled]))

    def _backups(self, profile: Profile, source: Region, destination: Region,
                 table: pulumi.Resource) -> aws.backup.Plan:
        names, days = source.names, profile.backup_retention_days
        role, grant = self.role("-backup", names.backup_role, policies.trust("backup", names.account), "backup",
                                *self._backup_permissions(source, destination))
        plan = aws.backup.Plan(
            f"{self.name}-plan", name=names.backup_plan, opts=self.opts(),
            rules=[{"rule_name": "nightly", "target_vault_name": source.vault.name, "schedule": NIGHTLY,
                    "start_window": 60, "completion_window": 300, "lifecycle": {"delete_after": days},
                    "copy_actions": [{"destination_vault_arn": destination.vault.arn,
                                       "lifecycle": {"delete_after": days}}]}])
        aws.backup.Selection(f"{self.name}-selection", name="data", plan_id=plan.id, iam_role_arn=role.arn,
                             resources=[names.table_arn, source.database.cluster.arn],
                             opts=self.opts(depends_on=[grant, table]))
        return plan

    @staticmethod
    def _backup_permissions(source: Region, destination: Region) -> list[policies.Statement]:
        names = source.names
        cluster = names.arn("rds", f"cluster:{names.cluster}")
        snapshots = [region.names.arn("rds", "cluster-snapshot:awsbackup:*") for region in (source, destination)]
        keys = [source.key.arn, destination.key.arn]
        through = [f"{service}.{region.names.region}" for region in (source, destination)
                   for service in ("dynamodb", "backup")]
        return [
            policies.allow(["dynamodb:DescribeTable", "dynamodb:CreateBackup", "dynamodb:StartAwsBackupJob",
                            "dynamodb:ListTagsOfResource"], names.table_arn),
            policies.allow(["dynamodb:DescribeBackup", "dynamodb:DeleteBackup"], f"{names.table_arn}/backup/*"),
            policies.allow(["rds:CreateDBClusterSnapshot", "rds:DescribeDBClusters", "rds:ListTagsForResource",
                            "rds:AddTagsToResource", "rds:CopyDBClusterSnapshot", "rds:DeleteDBClusterSnapshot",
                            "rds:DescribeDBClusterSnapshots"],
                           [cluster, *snapshots]),
            policies.allow(["backup:DescribeBackupVault", "backup:CopyIntoBackupVault"],
                           [source.vault.arn, destination.vault.arn]),
            # A backup and its copy take the tags of what they are of.
            policies.allow("backup:TagResource", [region.names.arn("backup", "recovery-point:*")
                                                  for region in (source, destination)]),
            # AWS Backup describes the key itself, through no other service.
            policies.allow("kms:DescribeKey", keys),
            policies.key_use(keys, through, ["kms:Decrypt", "kms:GenerateDataKey"]),
            policies.allow("kms:CreateGrant", keys, {"Bool": {"kms:GrantIsForAWSResource": "true"}}),
            # Resource Groups Tagging has no resources.
            policies.allow("tag:GetResources", "*"),
        ]
