"""Functions."""

import pulumi
import pytest

from rehearsal.deploy.deployment import Deployment
from rehearsal.deploy.provider.handlers import ProviderConfig
from rehearsal.deploy.resources.model import DeployTarget
from tests.rehearsal.cloud import Cloud


@pytest.mark.parametrize(("factor", "seconds"), [(1, "10"), (20, "0.5")])
def test_a_function_runs_faster_and_calls_through_the_proxy_of_its_region(
    cloud: Cloud, config: ProviderConfig, factor: float, seconds: str
) -> None:
    proxy = "http://127.0.0.1:77"
    engine = Deployment(cloud, DeployTarget(endpoints={"us-west-2": proxy}, factor=factor, name_server="127.0.0.1:53"))
    engine.create("aws:lambda/function:Function", "thing", config, {
        "name": "f", "role": "r", "code": pulumi.AssetArchive({}),
        "environment": {"variables": {"PROBE_SECONDS": "10", "SECONDS": "a", "NAME": "b"}}}, False)
    assert cloud.params("CreateFunction")["Environment"]["Variables"] == {
        "PROBE_SECONDS": seconds, "SECONDS": "a", "NAME": "b", "AWS_ENDPOINT_URL": proxy, "HTTP_PROXY": proxy,
        "NAME_SERVERS": "127.0.0.1:53"}
