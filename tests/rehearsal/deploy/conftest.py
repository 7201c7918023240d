"""An engine in front of a cloud of canned answers, and a short way to create a resource with it."""

from typing import Any, Protocol

import pytest

from rehearsal.deploy.deployment import Deployment
from rehearsal.deploy.provider.handlers import ProviderConfig, Resource
from rehearsal.deploy.resources import RESOURCE_TYPES
from rehearsal.deploy.resources.model import DeployTarget
from tests.rehearsal.cloud import ENDPOINT, Cloud

SERVICES = {resource_type.service for resource_type in RESOURCE_TYPES.values()} - {""}


class Create(Protocol):
    """Creates a resource named `thing` of the type `token`."""

    def __call__(self, token: str, protected: bool = False, /, **inputs: Any) -> Resource: ...


@pytest.fixture
def config() -> ProviderConfig:
    """A provider that sends every service to the cloud."""
    return ProviderConfig("us-west-2", dict.fromkeys(SERVICES, ENDPOINT), {"Project": "TapStack", "Owner": "all"})


@pytest.fixture
def engine(cloud: Cloud) -> Deployment:
    """An engine without any resources."""
    return Deployment(cloud, DeployTarget())


@pytest.fixture
def create(engine: Deployment, config: ProviderConfig) -> Create:
    """Creates with `engine`."""
    def run(token: str, protected: bool = False, /, **inputs: Any) -> Resource:
        return engine.create(token, "thing", config, inputs, protected)

    return run
