"""Aurora."""

from typing import Any

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy.resources.model import BotoCall, Databases, ResourceType, Template

_GLOBAL = {"GlobalClusterIdentifier": "id"}
_CLUSTER = {"DBClusterIdentifier": "id"}


def _create_database(  # pylint: disable=too-many-positional-arguments
        _clients: EmulatorClients, databases: Databases | None, region: str, database: str | None,
        username: str | None, password: str | None) -> dict[str, Any]:
    """Do what RDS does for a cluster: create its database, or a copy of the one in the other region."""
    if databases:
        databases.make(region, database, username, password)
    return {}


RESOURCE_TYPES = {
    "aws:rds/globalCluster:GlobalCluster": ResourceType(
        service="rds", create=BotoCall("create_global_cluster"), name_input="globalClusterIdentifier",
        id="out.GlobalCluster.GlobalClusterIdentifier",
        outputs={"endpoint": Template("{id}.global-{unique:.12}.global.rds.amazonaws.com")},
        listings={"describe_global_clusters": "GlobalClusters[].GlobalClusterIdentifier"},
        unprotect=(BotoCall("modify_global_cluster", {**_GLOBAL, "DeletionProtection": "`false`"},
                            when="in.deletionProtection"),),
        delete=(BotoCall("delete_global_cluster", _GLOBAL),)),
    "aws:rds/cluster:Cluster": ResourceType(
        service="rds", create=BotoCall("create_db_cluster", {"Port": "port || in.port"}),
        after_create=(BotoCall(_create_database, {
            "databases": "databases", "region": "region", "database": "in.databaseName",
            "username": "in.masterUsername", "password": "in.masterPassword"}),),
        renames={"clusterIdentifier": "DBClusterIdentifier", "masterPassword": "MasterUserPassword",
                 "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
                 "iamDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication"},
        name_input="clusterIdentifier", id="out.DBCluster.DBClusterIdentifier",
        outputs={"arn": "out.DBCluster.DBClusterArn", "endpoint": "port && 'localhost' || out.DBCluster.Endpoint",
                 "readerEndpoint": "port && 'localhost' || out.DBCluster.ReaderEndpoint", "port": "out.DBCluster.Port",
                 "clusterResourceId": "out.DBCluster.DbClusterResourceId"},
        listings={"describe_db_clusters": "DBClusters[].DBClusterIdentifier",
                  "describe_db_cluster_snapshots": "DBClusterSnapshots[].DBClusterSnapshotIdentifier"},
        unprotect=(BotoCall("modify_db_cluster", {**_CLUSTER, "DeletionProtection": "`false`"},
                            when="in.deletionProtection"),),
        # A member of a global database cannot be deleted; the provider removes it first.
        delete=(BotoCall("remove_from_global_cluster", {"GlobalClusterIdentifier": "in.globalClusterIdentifier",
                                                        "DbClusterIdentifier": "out.DBCluster.DBClusterArn"},
                         when="in.globalClusterIdentifier"),
                BotoCall("delete_db_cluster", {**_CLUSTER, "SkipFinalSnapshot": "in.skipFinalSnapshot || `false`",
                                               "FinalDBSnapshotIdentifier": "in.finalSnapshotIdentifier",
                                               "DeleteAutomatedBackups": "in.deleteAutomatedBackups"}),
                # AWS keeps the final snapshot; a rehearsal must leave nothing.
                BotoCall("delete_db_cluster_snapshot", {"DBClusterSnapshotIdentifier": "in.finalSnapshotIdentifier"},
                         when="!in.skipFinalSnapshot"))),
    "aws:rds/clusterInstance:ClusterInstance": ResourceType(
        service="rds", create=BotoCall("create_db_instance"),
        renames={"identifier": "DBInstanceIdentifier", "clusterIdentifier": "DBClusterIdentifier",
                 "instanceClass": "DBInstanceClass", "performanceInsightsEnabled": "EnablePerformanceInsights"},
        name_input="identifier", id="out.DBInstance.DBInstanceIdentifier",
        listings={"describe_db_instances": "DBInstances[].DBInstanceIdentifier"},
        delete=(BotoCall("delete_db_instance", {"DBInstanceIdentifier": "id", "SkipFinalSnapshot": "`true`"}),)),
    "aws:rds/subnetGroup:SubnetGroup": ResourceType(
        service="rds", create=BotoCall("create_db_subnet_group"),
        renames={"name": "DBSubnetGroupName", "description": "DBSubnetGroupDescription"}, name_input="name",
        id="in.name", listings={"describe_db_subnet_groups": "DBSubnetGroups[].DBSubnetGroupName"},
        delete=(BotoCall("delete_db_subnet_group", {"DBSubnetGroupName": "id"}),)),
    "aws:rds/clusterParameterGroup:ClusterParameterGroup": ResourceType(
        service="rds", create=BotoCall("create_db_cluster_parameter_group"),
        renames={"family": "DBParameterGroupFamily", "name": "DBClusterParameterGroupName"}, name_input="name",
        id="in.name",
        after_create=(BotoCall("modify_db_cluster_parameter_group", {
            "DBClusterParameterGroupName": "id",
            "Parameters": "in.parameters[].{ParameterName: name, ParameterValue: value, "
                          "ApplyMethod: applyMethod || 'immediate'}"}, when="in.parameters"),),
        listings={"describe_db_cluster_parameter_groups": "DBClusterParameterGroups[].DBClusterParameterGroupName"},
        delete=(BotoCall("delete_db_cluster_parameter_group", {"DBClusterParameterGroupName": "id"}),)),
}
