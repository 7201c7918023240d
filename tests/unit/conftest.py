"""What all unit tests share, and the component tests."""
import gc
import os
from functools import cache

import botocore.loaders
import botocore.session
import pytest
from hypothesis import HealthCheck, settings

# A person who waits for the tests gets few examples of a property each time, the gate (`make unit`) the usual hundred.
# Neither depends on the machine's speed.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("default"), max_examples=20)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
settings.load_profile(PROFILE)

# Each boto3 session would search for the models of all services, and read those of its own, again.
botocore.session.create_loader = cache(botocore.loaders.create_loader)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what examines a recorded program: `make quick` gives those tests a processor of their own."""
    for item in items:
        if isinstance(item, pytest.Function) and {"Recording", "recording"} & vars(item.module).keys():
            item.add_marker("program")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Let no garbage be collected during the tests either: it took a seventh of their time, and freed little."""
    gc.disable()


def pytest_sessionfinish() -> None:
    """In the gate, collect the garbage now, so that what a test left open is reported; pytest finds nothing more."""
    if PROFILE == "default":
        gc.collect()
    gc.freeze()
