"""The Aurora global database."""
from typing import Any

import pytest

from contract import ROLES
from lib.settings import Profile
from tests.integration.stack import Outputs, Region, emulator_lacks


@pytest.fixture
def global_cluster(outputs: Outputs) -> dict[str, Any]:
    """The global database, as RDS describes it."""
    (found,) = Region("primary", outputs).client("rds").describe_global_clusters(
        GlobalClusterIdentifier=outputs["global_cluster_id"])["GlobalClusters"]
    described: dict[str, Any] = found
    return described


@pytest.fixture
def instances(region: Region) -> list[dict[str, Any]]:
    """The instances of the region's cluster."""
    found: list[dict[str, Any]] = region.client("rds").describe_db_instances(
        Filters=[{"Name": "db-cluster-id", "Values": [region["cluster_id"]]}])["DBInstances"]
    return found


def test_both_clusters_are_members_and_the_primary_regions_writes(
        outputs: Outputs, global_cluster: dict[str, Any]) -> None:
    members = {member["DBClusterArn"]: member["IsWriter"] for member in global_cluster["GlobalClusterMembers"]}
    assert members == {outputs["primary_cluster_arn"]: True, outputs["dr_cluster_arn"]: False}, \
        "after a failover the other cluster is the writer, and these tests pass again after a switch back"


def test_the_global_database_is_encrypted_and_protected_as_declared(
        global_cluster: dict[str, Any], profile: Profile) -> None:
    assert global_cluster["StorageEncrypted"]
    assert global_cluster["DeletionProtection"] == profile.protect


def test_the_cluster_is_encrypted_and_protected_as_declared(
        region: Region, cluster: dict[str, Any], profile: Profile) -> None:
    assert (cluster["Status"], cluster["DBClusterArn"]) == ("available", region["cluster_arn"])
    assert (cluster["StorageEncrypted"], cluster["KmsKeyId"]) == (True, region["key_arn"])
    assert cluster["DeletionProtection"] == profile.protect
    assert cluster["BackupRetentionPeriod"] == profile.backup_retention_days


def test_the_cluster_runs_the_global_databases_version(cluster: dict[str, Any], global_cluster: dict[str, Any]) -> None:
    assert (cluster["Engine"], cluster["EngineVersion"]) == ("aurora-postgresql", global_cluster["EngineVersion"])


def test_the_cluster_takes_iam_logins_over_tls_only(region: Region, cluster: dict[str, Any]) -> None:
    assert cluster["IAMDatabaseAuthenticationEnabled"]
    pages = region.client("rds").get_paginator("describe_db_cluster_parameters").paginate(
        DBClusterParameterGroupName=cluster["DBClusterParameterGroup"])
    values = {each["ParameterName"]: each.get("ParameterValue") for page in pages for each in page["Parameters"]}
    assert values["rds.force_ssl"] == "1"


def test_the_cluster_is_in_the_private_subnets(region: Region, cluster: dict[str, Any]) -> None:
    (group,) = region.client("rds").describe_db_subnet_groups(
        DBSubnetGroupName=cluster["DBSubnetGroup"])["DBSubnetGroups"]
    assert group["VpcId"] == region["vpc_id"]
    assert {subnet["SubnetIdentifier"] for subnet in group["Subnets"]} == set(region["subnet_ids"])


def test_the_port_is_the_clusters(region: Region, cluster: dict[str, Any]) -> None:
    assert region["cluster_port"] == cluster["Port"]


def test_the_endpoints_are_the_clusters(outputs: Outputs) -> None:
    for region in (Region(role, outputs) for role in ROLES):
        (cluster,) = region.client("rds").describe_db_clusters(DBClusterIdentifier=region["cluster_id"])["DBClusters"]
        assert region["cluster_endpoint"] == cluster["Endpoint"]
        assert region["cluster_reader_endpoint"] == cluster["ReaderEndpoint"]


def test_instances_are_of_the_configured_class_private_and_monitored(
        instances: list[dict[str, Any]], outputs: Outputs) -> None:
    for instance in instances:
        assert (instance["DBInstanceStatus"], instance["DBInstanceClass"]) == ("available", outputs["database_class"])
        assert (instance["PubliclyAccessible"], instance["PerformanceInsightsEnabled"]) == (False, True)


def test_a_region_that_must_be_able_to_write_has_an_instance(
        region: Region, instances: list[dict[str, Any]], profile: Profile) -> None:
    if region.role == "primary" or profile.name == "prod":
        assert instances, f"{region['cluster_id']} is headless, so it cannot be promoted"


@emulator_lacks("log exports and the key of Performance Insights are not stored")
def test_logs_are_exported_and_insights_are_encrypted(
        region: Region, cluster: dict[str, Any], instances: list[dict[str, Any]]) -> None:
    assert cluster.get("EnabledCloudwatchLogsExports") == ["postgresql"]
    assert {instance.get("PerformanceInsightsKMSKeyId") for instance in instances} <= {region["key_arn"]}
