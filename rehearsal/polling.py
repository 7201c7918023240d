"""Wait for a condition by asking for it again and again."""

import time
from collections.abc import Callable
from typing import TypeVar

from payments.deadline import Clock
from rehearsal.errors import TimedOut

T = TypeVar("T")
PAUSE = 0.1  # seconds between two checks


def wait_until(check: Callable[[], T | None], what: str, patience: float, *, clock: Clock = time,
               pause: float = PAUSE) -> T:
    """The first value of `check` that counts as true.

    `patience` is how many seconds to wait; `check` is called at least once, and once more at the end of that time.
    Raises TimedOut, which names `what` was waited for.
    """
    end = clock.monotonic() + patience
    while not (found := check()):
        left = end - clock.monotonic()
        if left <= 0:
            raise TimedOut(f"{what}: not within {patience:g} s")
        clock.sleep(min(pause, left))
    return found
