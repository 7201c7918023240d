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


class Stopwatch:
    """Seconds since it was made, by the clock that says more: while a process is frozen one of them may stand still."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic(), clock.time()

    def seconds(self) -> float:
        """Seconds since it was made, at most."""
        monotonic, wall = self._began
        return max(self._clock.monotonic() - monotonic, self._clock.time() - wall, 0.0)

    def least(self) -> float:
        """Seconds since it was made, at least: by the clock that says less."""
        monotonic, wall = self._began
        return max(min(self._clock.monotonic() - monotonic, self._clock.time() - wall), 0.0)
