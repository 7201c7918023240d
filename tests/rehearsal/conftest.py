"""What the tests of the rehearsal share."""

from collections.abc import Iterator

import pytest

from tests.rehearsal.cloud import Cloud

_CLOUD = Cloud()


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """A cloud that has not been called yet."""
    _CLOUD.reset()
    yield _CLOUD
    _CLOUD.reset()
