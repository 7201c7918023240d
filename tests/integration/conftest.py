"""Fixtures for the tests of a deployed stack."""
from typing import Any

import pytest

from contract import RECORD_KEY, ROLES
from lib.settings import PROFILES, Profile
from tests.integration.stack import NoStack, Outputs, Region, Secret


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--stack`: the stack that the outputs must describe."""
    parser.addoption("--stack", default="")


@pytest.fixture(scope="session")
def outputs(pytestconfig: pytest.Config) -> Outputs:
    """The stack's outputs. Without a stack the whole run ends with one line."""
    try:
        found = Outputs.load(pytestconfig.getoption("--stack"))
    except NoStack as error:
        pytest.exit(str(error), returncode=1)
    return found


@pytest.fixture(scope="session", params=ROLES)
def region(request: pytest.FixtureRequest, outputs: Outputs) -> Region:
    """Each region in turn, because both must pass the same tests."""
    return Region(request.param, outputs)


@pytest.fixture(scope="session")
def peer(region: Region) -> Region:
    """The other region than `region`."""
    return region.peer


@pytest.fixture(scope="session")
def profile(outputs: Outputs) -> Profile:
    """What the stack's profile promises."""
    return PROFILES[outputs["profile"]]


@pytest.fixture(scope="module")
def writer(outputs: Outputs) -> Region:
    """The region that leads, by the item of the table."""
    item = Region("primary", outputs).client("dynamodb").get_item(
        TableName=outputs["payments_table_name"], Key={"payment_id": {"S": RECORD_KEY}}, ConsistentRead=True)["Item"]
    return next(region for region in (Region(role, outputs) for role in ROLES) if region.name == item["region"]["S"])


@pytest.fixture(scope="module")
def standby(writer: Region) -> Region:
    """The region that does not lead."""
    return writer.peer


@pytest.fixture(scope="session")
def api_key(region: Region) -> Secret:
    """The value of the region's API key."""
    return Secret(region.client("apigateway").get_api_key(apiKey=region["api_key_id"], includeValue=True)["value"])


@pytest.fixture(scope="session")
def function(region: Region) -> dict[str, Any]:
    """Configuration of the function's version that the alias `live` runs."""
    name, _, alias = region["function_alias_arn"].rpartition(":")
    found: dict[str, Any] = region.client("lambda").get_function_configuration(FunctionName=name, Qualifier=alias)
    return found


@pytest.fixture(scope="session")
def cluster(region: Region) -> dict[str, Any]:
    """The region's Aurora cluster, as RDS describes it."""
    (found,) = region.client("rds").describe_db_clusters(DBClusterIdentifier=region["cluster_id"])["DBClusters"]
    described: dict[str, Any] = found
    return described
