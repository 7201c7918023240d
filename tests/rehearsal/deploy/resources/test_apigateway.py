"""REST APIs."""

import pytest

from rehearsal.deploy.engine import Engine
from rehearsal.deploy.provider.handlers import ProviderConfig
from rehearsal.deploy.resources.model import DeployTarget
from rehearsal.errors import DeploymentError
from tests.rehearsal.cloud import Cloud
from tests.rehearsal.deploy.conftest import Create

SETTINGS = "aws:apigateway/methodSettings:MethodSettings"
STAGE = {"restApi": "a", "stageName": "live", "methodPath": "*/*"}


def test_a_plan_gets_every_key_of_the_same_value_in_any_region(cloud: Cloud, config: ProviderConfig) -> None:
    keys = [{"id": "k1", "value": "same"}, {"id": "k2", "value": "same"}, {"id": "k3", "value": "other"}]
    cloud.answers["GetApiKeys"] = {"items": keys}
    cloud.answers["CreateUsagePlanKey"] = lambda params: {"id": params["keyId"]}
    engine = Engine(cloud, DeployTarget(endpoints={"us-east-1": "", "us-west-2": ""}))
    inputs = {"keyId": "k2", "keyType": "API_KEY", "usagePlanId": "p"}
    engine.create("aws:apigateway/usagePlanKey:UsagePlanKey", "thing", config, inputs, False)
    assert {region for operation, region, _ in cloud.calls if operation == "GetApiKeys"} == {"us-east-1", "us-west-2"}
    assert [(region, params["keyId"]) for operation, region, params in cloud.calls
            if operation == "CreateUsagePlanKey"] == [("us-west-2", "k2"), ("us-west-2", "k1")]


def test_method_settings_become_patches(cloud: Cloud, create: Create) -> None:
    create(SETTINGS, **STAGE, settings={"metricsEnabled": True, "throttlingBurstLimit": 50})
    assert cloud.params("UpdateStage")["patchOperations"] == [
        {"op": "replace", "path": "/*/*/metrics/enabled", "value": "true"},
        {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": "50"}]


def test_an_unknown_method_setting_is_refused(create: Create) -> None:
    with pytest.raises(DeploymentError, match="does not support: colour"):
        create(SETTINGS, **STAGE, settings={"colour": 1})
