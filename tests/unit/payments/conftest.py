"""What most tests of payments begin with."""
import pytest

from tests.unit.payments.fakes import Region


@pytest.fixture
def region() -> Region:
    """A region that leads, in which nothing was paid yet."""
    return Region()
