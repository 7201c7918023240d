"""REST APIs."""

import pytest

from rehearsal.errors import DeploymentError
from tests.rehearsal.cloud import Cloud
from tests.rehearsal.deploy.conftest import Create

SETTINGS = "aws:apigateway/methodSettings:MethodSettings"
STAGE = {"restApi": "a", "stageName": "live", "methodPath": "*/*"}


def test_method_settings_become_patches(cloud: Cloud, create: Create) -> None:
    create(SETTINGS, **STAGE, settings={"metricsEnabled": True, "throttlingBurstLimit": 50})
    assert cloud.params("UpdateStage")["patchOperations"] == [
        {"op": "replace", "path": "/*/*/metrics/enabled", "value": "true"},
        {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": "50"}]


def test_an_unknown_method_setting_is_refused(create: Create) -> None:
    with pytest.raises(DeploymentError, match="does not support: colour"):
        create(SETTINGS, **STAGE, settings={"colour": 1})
