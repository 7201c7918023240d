"""What the tests of recovery share."""
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from payments import deadline


class Inline:
    """An executor that does the work at once: for what is asked of a fake a thread costs more than the rest."""

    @staticmethod
    def submit(function: Callable[[], Any]) -> Future[Any]:
        """The future of work that is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
            future.set_exception(error)
        return future


@pytest.fixture(autouse=True, scope="module")
def calls_inline(request: pytest.FixtureRequest) -> Iterator[None]:
    """No call waits for a thread, but where the waiting itself is tested."""
    with pytest.MonkeyPatch.context() as patched:
        if not request.module.__name__.endswith("test_probe"):
            patched.setattr(deadline, "_CALLS", Inline)
        yield
