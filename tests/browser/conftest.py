"""One browser for all tests."""
from collections.abc import Iterator

import pytest

from tests.browser.chromium import Browser, browser


@pytest.fixture(scope="session", name="chromium")
def opened() -> Iterator[Browser]:
    """The browser."""
    with browser() as found:
        yield found
