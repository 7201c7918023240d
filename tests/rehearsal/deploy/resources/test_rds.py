"""Aurora clusters, and the databases behind them."""

from typing import Any

from rehearsal.deploy.deployment import Deployment
from rehearsal.deploy.provider.handlers import ProviderConfig
from rehearsal.deploy.resources.model import DeployTarget
from tests.rehearsal.cloud import Cloud

CLUSTER = "aws:rds/cluster:Cluster"
INPUTS = {"clusterIdentifier": "c", "engine": "aurora-postgresql"}
LOGIN = {"databaseName": "payments", "masterUsername": "admin", "masterPassword": "secret"}


def create_cluster(
    cloud: Cloud, target: DeployTarget, config: ProviderConfig, inputs: dict[str, Any]
) -> dict[str, Any]:
    """The outputs of a cluster."""
    cloud.answers["CreateDBCluster"] = {"DBCluster": {
        "DBClusterIdentifier": "c", "Endpoint": "c.rds.example", "ReaderEndpoint": "c-ro.rds.example", "Port": 5433}}
    return Deployment(cloud, target).create(CLUSTER, "thing", config, {**INPUTS, **inputs}, False).outputs()


def test_a_cluster_has_a_database_on_this_machine(cloud: Cloud, config: ProviderConfig) -> None:
    for inputs in (LOGIN, {}):
        outputs = create_cluster(cloud, DeployTarget(ports={"us-west-2": 5433}), config, inputs)
        assert (outputs["endpoint"], outputs["readerEndpoint"], outputs["port"]) == ("localhost", "localhost", 5433)
    assert {params["Port"] for _, _, params in cloud.calls} == {5433}


def test_without_databases_a_cluster_is_a_record(cloud: Cloud, config: ProviderConfig) -> None:
    outputs = create_cluster(cloud, DeployTarget(), config, {**LOGIN, "port": 5432})
    assert (outputs["endpoint"], outputs["readerEndpoint"]) == ("c.rds.example", "c-ro.rds.example")
    assert cloud.params("CreateDBCluster")["Port"] == 5432
