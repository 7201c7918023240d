"""What all component tests share: that of the unit tests, which run in the same process in the gate."""
from tests.unit.conftest import pytest_collection_finish, pytest_sessionfinish

__all__ = ["pytest_collection_finish", "pytest_sessionfinish"]
