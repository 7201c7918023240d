"""What all unit tests share."""
import gc
import os
from functools import cache

from botocore.loaders import JSONFileLoader
from hypothesis import HealthCheck, settings

# A person who waits for the tests gets few examples of a property each time, the gate (`make unit`) the usual hundred.
# Neither depends on the machine's speed.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("default"), max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# Each boto3 session would read the models of its services again: a tenth of a second for each of them.
JSONFileLoader.load_file = cache(JSONFileLoader.load_file)


def pytest_collection_finish() -> None:
    """Collect garbage seldom from here on: what the imports created stays, and a recorded program creates little."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
