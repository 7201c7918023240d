"""What the tests of recovery share."""
from collections.abc import Iterator

import pytest

from payments.runtime import ThreadCaller


@pytest.fixture(autouse=True, scope="module")
def calls_inline(request: pytest.FixtureRequest) -> Iterator[None]:
    """No call waits for a thread, but where the waiting itself is tested."""
    with pytest.MonkeyPatch.context() as patched:
        if not request.module.__name__.endswith("test_probe"):
            patched.setattr(ThreadCaller, "call", lambda _, function, _seconds: function())
        yield
