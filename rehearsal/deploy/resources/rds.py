"""Aurora."""

from collections.abc import Mapping
from typing import Any

from rehearsal.deploy.resources.model import BotoCall, Listing, ResourceContext, ResourceType, Template

_GLOBAL = {"GlobalClusterIdentifier": "id"}
_CLUSTER = {"DBClusterIdentifier": "id"}



def _database(context: ResourceContext, **member: str | None) -> Mapping[str, Any]:
    """What RDS does behind a cluster: a database, or a copy of the one in the other region."""
    if context.aurora:
        context.aurora.make(**member)  # type: ignore[arg-type]
    return {}


RESOURCE_TYPES: Mapping[str, ResourceType] = {
    "aws:rds/globalCluster:GlobalCluster": ResourceType(
        service="rds", create=BotoCall("create_global_cluster"), named="globalClusterIdentifier",
        id="out.GlobalCluster.GlobalClusterIdentifier",
        outputs={"arn": "out.GlobalCluster.GlobalClusterArn",
                 "globalClusterResourceId": "out.GlobalCluster.GlobalClusterResourceId",
                 "endpoint": Template("{id}.global-{unique:.12}.global.rds.amazonaws.com")},
        listed=(Listing("describe_global_clusters", "GlobalClusters[].GlobalClusterIdentifier"),),
        unprotect=(BotoCall("modify_global_cluster", {**_GLOBAL, "DeletionProtection": "`false`"},
                        when="in.deletionProtection"),),
        delete=(BotoCall("delete_global_cluster", _GLOBAL),)),
    "aws:rds/cluster:Cluster": ResourceType(
        service="rds", create=BotoCall("create_db_cluster", {"Port": "port || in.port"}),
        then=(BotoCall(_database, {"region": "region", "database": "in.databaseName", "username": "in.masterUsername",
                               "password": "in.masterPassword"}),),
        renames={"clusterIdentifier": "DBClusterIdentifier", "masterPassword": "MasterUserPassword",
                 "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
                 "iamDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication"},
        named="clusterIdentifier", id="out.DBCluster.DBClusterIdentifier",
        outputs={"arn": "out.DBCluster.DBClusterArn", "endpoint": "port && 'localhost' || out.DBCluster.Endpoint",
                 "readerEndpoint": "port && 'localhost' || out.DBCluster.ReaderEndpoint", "port": "out.DBCluster.Port",
                 "clusterResourceId": "out.DBCluster.DbClusterResourceId",
                 "engineVersionActual": "out.DBCluster.EngineVersion"},
        listed=(Listing("describe_db_clusters", "DBClusters[].DBClusterIdentifier"),
                Listing("describe_db_cluster_snapshots", "DBClusterSnapshots[].DBClusterSnapshotIdentifier")),
        unprotect=(BotoCall("modify_db_cluster", {**_CLUSTER, "DeletionProtection": "`false`"},
                        when="in.deletionProtection"),),
        # As the provider does: a member of a global database cannot be deleted.
        delete=(BotoCall("remove_from_global_cluster", {"GlobalClusterIdentifier": "in.globalClusterIdentifier",
                                                    "DbClusterIdentifier": "out.DBCluster.DBClusterArn"},
                     when="in.globalClusterIdentifier"),
                BotoCall("delete_db_cluster", {**_CLUSTER, "SkipFinalSnapshot": "in.skipFinalSnapshot || `false`",
                                           "FinalDBSnapshotIdentifier": "in.finalSnapshotIdentifier",
                                           "DeleteAutomatedBackups": "in.deleteAutomatedBackups"})),
        dispose=(BotoCall("delete_db_cluster_snapshot", {"DBClusterSnapshotIdentifier": "in.finalSnapshotIdentifier"},
                      when="!in.skipFinalSnapshot"),)),
    "aws:rds/clusterInstance:ClusterInstance": ResourceType(
        service="rds", create=BotoCall("create_db_instance"),
        renames={"identifier": "DBInstanceIdentifier", "clusterIdentifier": "DBClusterIdentifier",
                 "instanceClass": "DBInstanceClass", "performanceInsightsEnabled": "EnablePerformanceInsights"},
        named="identifier", id="out.DBInstance.DBInstanceIdentifier",
        outputs={"arn": "out.DBInstance.DBInstanceArn", "endpoint": "out.DBInstance.Endpoint.Address",
                 "port": "out.DBInstance.Endpoint.Port", "dbiResourceId": "out.DBInstance.DbiResourceId"},
        listed=(Listing("describe_db_instances", "DBInstances[].DBInstanceIdentifier"),),
        delete=(BotoCall("delete_db_instance", {"DBInstanceIdentifier": "id", "SkipFinalSnapshot": "`true`"}),)),
    "aws:rds/subnetGroup:SubnetGroup": ResourceType(
        service="rds", create=BotoCall("create_db_subnet_group"),
        renames={"name": "DBSubnetGroupName", "description": "DBSubnetGroupDescription"}, named="name", id="in.name",
        outputs={"arn": "out.DBSubnetGroup.DBSubnetGroupArn"},
        listed=(Listing("describe_db_subnet_groups", "DBSubnetGroups[].DBSubnetGroupName"),),
        delete=(BotoCall("delete_db_subnet_group", {"DBSubnetGroupName": "id"}),)),
    "aws:rds/clusterParameterGroup:ClusterParameterGroup": ResourceType(
        service="rds", create=BotoCall("create_db_cluster_parameter_group"),
        renames={"family": "DBParameterGroupFamily", "name": "DBClusterParameterGroupName"}, named="name", id="in.name",
        then=(BotoCall("modify_db_cluster_parameter_group", {
            "DBClusterParameterGroupName": "id",
            "Parameters": "in.parameters[].{ParameterName: name, ParameterValue: value, "
                          "ApplyMethod: applyMethod || 'immediate'}"}, when="in.parameters"),),
        outputs={"arn": "out.DBClusterParameterGroup.DBClusterParameterGroupArn"},
        listed=(Listing("describe_db_cluster_parameter_groups",
                        "DBClusterParameterGroups[].DBClusterParameterGroupName"),),
        delete=(BotoCall("delete_db_cluster_parameter_group", {"DBClusterParameterGroupName": "id"}),)),
}
