"""What most tests of actions begin with."""
from typing import Any

import pytest

from rehearsal.drills.context import ScenarioContext
from tests.rehearsal.drills.fakes import FakeStack, context


@pytest.fixture
def stack() -> Any:
    """A stack in which everything works, and every payment is taken."""
    return FakeStack()


@pytest.fixture
def run(stack: Any) -> ScenarioContext:
    """A scenario on it."""
    return context(stack)
