"""Aurora."""

from typing import Any

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy.resources.model import Call, ResourceType, Template, not_created
from rehearsal.postgres.aurora import Aurora


def _create_database(  # pylint: disable=too-many-positional-arguments
        _clients: EmulatorClients, databases: Aurora | None, region: str, database: str | None,
        username: str | None, password: str | None) -> dict[str, Any]:
    """Do what RDS does for a cluster: create its database, or a copy of the one in the other region."""
    if databases:
        databases.create_cluster(region, database, username, password)
    return {}


RESOURCE_TYPES = {
    "aws:rds/globalCluster:GlobalCluster": ResourceType(
        "rds", Call("create_global_cluster"), name_input="globalClusterIdentifier",
        id="out.GlobalCluster.GlobalClusterIdentifier",
        outputs={"endpoint": Template("{id}.global-{unique:.12}.global.rds.amazonaws.com")},
        listings={"describe_global_clusters": "GlobalClusters[].GlobalClusterIdentifier"},
        unprotect=(Call("modify_global_cluster", {"DeletionProtection": "`false`"}, when="in.deletionProtection"),),
        delete=(Call("delete_global_cluster"),)),
    "aws:rds/cluster:Cluster": ResourceType(
        "rds", Call("create_db_cluster", {"Port": "port || in.port"}),
        after_create=(Call(_create_database, {
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
        unprotect=(Call("modify_db_cluster", {"DeletionProtection": "`false`"}, when="in.deletionProtection"),),
        # A member of a global database cannot be deleted; the provider removes it first.
        delete=(Call("remove_from_global_cluster", {"DbClusterIdentifier": "out.DBCluster.DBClusterArn"},
                     when="in.globalClusterIdentifier"),
                Call("delete_db_cluster", {"SkipFinalSnapshot": "in.skipFinalSnapshot || `false`",
                                           "FinalDBSnapshotIdentifier": "in.finalSnapshotIdentifier",
                                           "DeleteAutomatedBackups": "in.deleteAutomatedBackups"}),
                # AWS keeps the final snapshot; a rehearsal must leave nothing.
                Call("delete_db_cluster_snapshot", {"DBClusterSnapshotIdentifier": "in.finalSnapshotIdentifier"},
                     when="!in.skipFinalSnapshot"))),
    "aws:rds/clusterInstance:ClusterInstance": ResourceType(
        "rds", Call("create_db_instance"),
        renames={"identifier": "DBInstanceIdentifier", "clusterIdentifier": "DBClusterIdentifier",
                 "instanceClass": "DBInstanceClass", "performanceInsightsEnabled": "EnablePerformanceInsights"},
        name_input="identifier", id="out.DBInstance.DBInstanceIdentifier",
        listings={"describe_db_instances": "DBInstances[].DBInstanceIdentifier"},
        delete=(Call("delete_db_instance", {"SkipFinalSnapshot": "`true`"}),)),
    "aws:rds/subnetGroup:SubnetGroup": ResourceType(
        "rds", Call("create_db_subnet_group"),
        renames={"name": "DBSubnetGroupName", "description": "DBSubnetGroupDescription"}, name_input="name",
        id="in.name", listings={"describe_db_subnet_groups": "DBSubnetGroups[].DBSubnetGroupName"},
        delete=(Call("delete_db_subnet_group"),)),
    "aws:rds/clusterParameterGroup:ClusterParameterGroup": ResourceType(
        "rds", Call("create_db_cluster_parameter_group"),
        renames={"family": "DBParameterGroupFamily", "name": "DBClusterParameterGroupName"}, name_input="name",
        id="in.name",
        after_create=(Call("modify_db_cluster_parameter_group",
                           {"Parameters": "in.parameters[].{ParameterName: name, ParameterValue: value, "
                                          "ApplyMethod: applyMethod || 'immediate'}"},
                           when="in.parameters"),),
        listings={"describe_db_cluster_parameter_groups": "DBClusterParameterGroups[].DBClusterParameterGroupName"},
        delete=(Call("delete_db_cluster_parameter_group"),)),
    "aws:rds/eventSubscription:EventSubscription": ResourceType(
        "rds", Call(not_created, {"topic": "in.snsTopic", "type": "in.sourceType", "sources": "in.sourceIds",
                                  "categories": "in.eventCategories", "tags": "tags"}),
        name_input="name", id="in.name"),
}
