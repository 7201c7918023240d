"""One region's member of the Aurora PostgreSQL global database."""
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from contract import DATABASE_NAME
from lib.component import Component
from lib.names import Names
from lib.region.network import POSTGRES, Network
from lib.settings import DatabaseSettings, Profile

ENGINE = aws.rds.EngineType.AURORA_POSTGRESQL
# A failover moves the writer, and an upgrade goes through the global cluster: an update must not undo either.
# A changed user, database name or source would replace the cluster, which may have been created in the other role; a
# password may have been rotated under the other one.
MOVED_BY_FAILOVER = ["replicationSourceIdentifier", "globalClusterIdentifier", "engineVersion", "masterUsername",
                     "masterPassword", "databaseName", "sourceRegion"]
INSIGHTS_DAYS = 7  # the only retention that AWS still offers without advanced Database Insights
# An instance follows its cluster's version, and AWS refuses another key once Performance Insights is on.
FIXED_AT_CREATION = ["engineVersion", "performanceInsightsKmsKeyId"]


@dataclass(frozen=True, kw_only=True)
class Writer:
    """The member that the global database starts with, by its master login."""

    username: pulumi.Input[str]
    password: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A member that replicates. AWS takes its login from the writer, which must have an instance first.

    `source_region` is the writer's: without it the provider cannot sign the request to copy encrypted data from there.
    """

    source_region: str
    after: Sequence[pulumi.Resource]


class Database(Component, type_name="Database"):
    """A cluster with its instances, subnet group, parameter group (TLS forced) and log group.

    `role` is what the cluster is created as. Aurora decides which one is the writer later, and no update changes that.
    """

    def __init__(self, name: str, *, names: Names, database: DatabaseSettings, instances: int, profile: Profile,
                 network: Network, key_arn: pulumi.Input[str], global_cluster_id: pulumi.Input[str],
                 role: Writer | Reader, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        subnets = aws.rds.SubnetGroup(f"{name}-subnets", name=names.subnet_group, subnet_ids=network.subnet_ids,
                                      description=f"TapStack {names.suffix}", opts=self.opts())
        # Otherwise RDS creates the group itself, unencrypted and without an end to its retention.
        logs = aws.cloudwatch.LogGroup(f"{name}-logs", name=names.database_logs, kms_key_id=key_arn,
                                       retention_in_days=profile.log_retention_days, opts=self.opts())
        joins: dict[str, Any] = {"source_region": role.source_region} if isinstance(role, Reader) else {
            "database_name": DATABASE_NAME, "master_username": role.username, "master_password": role.password}
        self.cluster = aws.rds.Cluster(
            f"{name}-cluster", cluster_identifier=names.cluster, global_cluster_identifier=global_cluster_id,
            engine=ENGINE, engine_mode="provisioned", engine_version=database.engine_version, port=POSTGRES, **joins,
            db_subnet_group_name=subnets.name, db_cluster_parameter_group_name=self._parameters(names, database).name,
            vpc_security_group_ids=[network.database_group.id],
            storage_encrypted=True, kms_key_id=key_arn, iam_database_authentication_enabled=True,
            enabled_cloudwatch_logs_exports=["postgresql"],
            serverlessv2_scaling_configuration={
                "min_capacity": database.min_capacity,
                "max_capacity": database.max_capacity} if database.serverless else None,
            backup_retention_period=profile.backup_retention_days, copy_tags_to_snapshot=True,
            delete_automated_backups=not profile.retain,
            apply_immediately=True, deletion_protection=profile.protect, skip_final_snapshot=not profile.retain,
            final_snapshot_identifier=f"{names.cluster}-final" if profile.retain else None,
            opts=self.durable(ignore_changes=MOVED_BY_FAILOVER,
                              depends_on=[logs, *(role.after if isinstance(role, Reader) else ())]))
        self.instances: list[aws.rds.ClusterInstance] = []
        for number in range(1, instances + 1):
            self.instances.append(aws.rds.ClusterInstance(
                f"{name}-instance-{number}", identifier=f"{names.cluster}-{number}",
                cluster_identifier=self.cluster.id, engine=ENGINE, instance_class=database.instance_class,
                db_subnet_group_name=subnets.name, publicly_accessible=False, auto_minor_version_upgrade=False,
                performance_insights_enabled=True, performance_insights_kms_key_id=key_arn,
                performance_insights_retention_period=INSIGHTS_DAYS,
                # A new class restarts an instance: at once, not at night, and one after the other.
                apply_immediately=True,
                opts=self.opts(ignore_changes=FIXED_AT_CREATION, depends_on=self.instances[-1:])))
        self.register_outputs({"endpoint": self.cluster.endpoint})

    def _parameters(self, names: Names, database: DatabaseSettings) -> aws.rds.ClusterParameterGroup:
        """The settings of the engine: TLS is forced.

        A cluster keeps using its group, so the next major version's must exist before the old one is deleted.
        `pending-reboot` is what AWS reports for a value that is its default, as this one is from version 17 on.
        """
        major = database.engine_version.partition(".")[0]
        return aws.rds.ClusterParameterGroup(
            f"{self.name}-parameters", name=f"{names.parameter_group}-{major}", description=f"TapStack {names.suffix}",
            family=f"{ENGINE.value}{major}", opts=self.opts(delete_before_replace=False),
            parameters=[{"name": "rds.force_ssl", "value": "1", "apply_method": "pending-reboot"}])
