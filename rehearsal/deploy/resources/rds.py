"""Aurora."""

from rehearsal.deploy.resources.model import Call, ResourceType, Template, tagging, words

_TAGS = tagging("add_tags_to_resource", "remove_tags_from_resource", ResourceName="state.arn")
_PARAMETERS = Call("modify_db_cluster_parameter_group",
                   {"Parameters": "in.parameters[].{ParameterName: name, ParameterValue: value, "
                                  "ApplyMethod: applyMethod || 'immediate'}"}, when="in.parameters")
_NOW = {"ApplyImmediately": "`true`"}

RESOURCE_TYPES = {
    "aws:rds/globalCluster:GlobalCluster": ResourceType(
        "rds", Call("create_global_cluster"), name_input="globalClusterIdentifier",
        id="out.GlobalCluster.GlobalClusterIdentifier",
        outputs={"endpoint": Template("{id}.global-{unique:.12}.global.rds.amazonaws.com")},
        listings={"describe_global_clusters": "GlobalClusters[].GlobalClusterIdentifier"},
        read=(Call("describe_global_clusters", {"GlobalClusterIdentifier": "id"}),), found="out.GlobalClusters[0]",
        replace=words("engine globalClusterIdentifier storageEncrypted"), update={
            "deletionProtection engineVersion": (Call("modify_global_cluster", {
                "DeletionProtection": "in.deletionProtection || `false`"}),)},
        unprotect=(Call("modify_global_cluster", {"DeletionProtection": "`false`"}, when="in.deletionProtection"),),
        delete=(Call("delete_global_cluster"),)),
    "aws:rds/cluster:Cluster": ResourceType(
        "rds", Call("create_db_cluster", {"Port": "port || in.port"}),
        provider_only=words("applyImmediately"),
        renames={"clusterIdentifier": "DBClusterIdentifier", "masterPassword": "MasterUserPassword",
                 "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
                 "iamDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication"},
        name_input="clusterIdentifier", id="out.DBCluster.DBClusterIdentifier",
        outputs={"arn": "out.DBCluster.DBClusterArn", "endpoint": "port && 'localhost' || out.DBCluster.Endpoint",
                 "readerEndpoint": "port && 'localhost' || out.DBCluster.ReaderEndpoint", "port": "out.DBCluster.Port",
                 "clusterResourceId": "out.DBCluster.DbClusterResourceId"},
        listings={"describe_db_clusters": "DBClusters[].DBClusterIdentifier",
                  "describe_db_cluster_snapshots": "DBClusterSnapshots[].DBClusterSnapshotIdentifier"},
        read=(Call("describe_db_clusters"),), found="out.DBClusters[0]",
        # Not read: what a failover changes, which the program ignores, and what the emulator does not keep.
        held={"vpcSecurityGroupIds": "found.VpcSecurityGroups[].VpcSecurityGroupId",
              "iamDatabaseAuthenticationEnabled": "found.IAMDatabaseAuthenticationEnabled",
              **dict.fromkeys(words("dbSubnetGroupName dbClusterParameterGroupName enabledCloudwatchLogsExports "
                                    "engineVersion globalClusterIdentifier masterPassword masterUsername port"), "")},
        replace=words("clusterIdentifier databaseName dbSubnetGroupName engine engineMode kmsKeyId masterUsername "
                      "sourceRegion storageEncrypted"), update={
            "backupRetentionPeriod copyTagsToSnapshot deletionProtection serverlessv2ScalingConfiguration "
            "vpcSecurityGroupIds masterPassword": (Call("modify_db_cluster", {
                **_NOW, "DeletionProtection": "in.deletionProtection || `false`"}),),
            **_TAGS},
        unprotect=(Call("modify_db_cluster", {"DeletionProtection": "`false`"}, when="in.deletionProtection"),),
        # A member of a global database cannot be deleted; the provider removes it first.
        delete=(Call("remove_from_global_cluster", {"DbClusterIdentifier": "state.arn"},
                     when="in.globalClusterIdentifier"),
                Call("delete_db_cluster", {"SkipFinalSnapshot": "in.skipFinalSnapshot || `false`",
                                           "FinalDBSnapshotIdentifier": "in.finalSnapshotIdentifier",
                                           "DeleteAutomatedBackups": "in.deleteAutomatedBackups"}),
                # AWS keeps the final snapshot; a rehearsal must leave nothing.
                Call("delete_db_cluster_snapshot", {"DBClusterSnapshotIdentifier": "in.finalSnapshotIdentifier"},
                     when="!in.skipFinalSnapshot"))),
    "aws:rds/clusterInstance:ClusterInstance": ResourceType(
        "rds", Call("create_db_instance"),
        provider_only=words("applyImmediately"),
        renames={"identifier": "DBInstanceIdentifier", "clusterIdentifier": "DBClusterIdentifier",
                 "instanceClass": "DBInstanceClass", "performanceInsightsEnabled": "EnablePerformanceInsights"},
        name_input="identifier", id="out.DBInstance.DBInstanceIdentifier",
        listings={"describe_db_instances": "DBInstances[].DBInstanceIdentifier"},
        outputs={"arn": "out.DBInstance.DBInstanceArn"},
        read=(Call("describe_db_instances", {"DBInstanceIdentifier": "id"}),), found="out.DBInstances[0]",
        held={"dbSubnetGroupName": "found.DBSubnetGroup.DBSubnetGroupName", "performanceInsightsKmsKeyId": "",
              "performanceInsightsRetentionPeriod": ""},
        replace=words("clusterIdentifier dbSubnetGroupName engine identifier"), update={
            "autoMinorVersionUpgrade instanceClass performanceInsightsEnabled publiclyAccessible": (
                Call("modify_db_instance", _NOW),),
            **_TAGS},
        delete=(Call("delete_db_instance", {"SkipFinalSnapshot": "`true`"}),)),
    "aws:rds/subnetGroup:SubnetGroup": ResourceType(
        "rds", Call("create_db_subnet_group"),
        renames={"name": "DBSubnetGroupName", "description": "DBSubnetGroupDescription"}, name_input="name",
        id="in.name", listings={"describe_db_subnet_groups": "DBSubnetGroups[].DBSubnetGroupName"},
        outputs={"arn": "out.DBSubnetGroup.DBSubnetGroupArn"},
        read=(Call("describe_db_subnet_groups", {"DBSubnetGroupName": "id"}),), found="out.DBSubnetGroups[0]",
        held={"subnetIds": "found.Subnets[].SubnetIdentifier"}, replace=words("name"), update={
            "description subnetIds": (Call("modify_db_subnet_group", {"SubnetIds": "in.subnetIds"}),), **_TAGS},
        delete=(Call("delete_db_subnet_group"),)),
    "aws:rds/clusterParameterGroup:ClusterParameterGroup": ResourceType(
        "rds", Call("create_db_cluster_parameter_group"),
        renames={"family": "DBParameterGroupFamily", "name": "DBClusterParameterGroupName"}, name_input="name",
        id="in.name",
        after_create=(_PARAMETERS,), outputs={"arn": "out.DBClusterParameterGroup.DBClusterParameterGroupArn"},
        read=(Call("describe_db_cluster_parameter_groups", {"DBClusterParameterGroupName": "id"}),),
        found="out.DBClusterParameterGroups[0]", replace=words("description family name"),
        update={"parameters": (_PARAMETERS,), **_TAGS},
        listings={"describe_db_cluster_parameter_groups": "DBClusterParameterGroups[].DBClusterParameterGroupName"},
        delete=(Call("delete_db_cluster_parameter_group"),)),
}
