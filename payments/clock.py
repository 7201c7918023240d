"""The clock of payments and recovery. It is passed in everywhere, so that tests and a simulator can move their own."""
import time
from abc import abstractmethod
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Reads the time and waits. All figures are in seconds."""

    @abstractmethod
    def time(self) -> float:
        """Seconds since 1970-01-01 UTC: for timestamps, and for what other machines read."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back: for deadlines and durations."""

    @abstractmethod
    def sleep(self, seconds: float, /) -> None:
        """Wait."""


SYSTEM: Clock = time
"""The machine's clock."""


def utc_now(clock: Clock) -> datetime:
    """The clock's present moment, in UTC."""
    return datetime.fromtimestamp(clock.time(), UTC)
