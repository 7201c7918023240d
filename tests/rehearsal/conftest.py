"""What the tests of the rehearsal share."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from rehearsal.report import Progress
from tests.rehearsal.cloud import Cloud

_CLOUD = Cloud()


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """A cloud that nothing was asked of yet."""
    _CLOUD.reset()
    yield _CLOUD
    _CLOUD.reset()


@pytest.fixture
def progress() -> Progress:
    """Progress that nobody sees."""
    return Progress(Console(file=io.StringIO()))
