"""The clocks that recovery looks at."""
import time
from typing import Protocol


class Clock(Protocol):
    """What the module `time` does."""

    def time(self) -> float:
        """Seconds since the epoch, for people and for other machines."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment, for what is waited for."""

    def sleep(self, seconds: float, /) -> None:
        """Waits."""


CLOCK: Clock = time
