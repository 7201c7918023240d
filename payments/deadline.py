"""How long a request may take, and how often a call to a store is tried within that time."""
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from payments.clock import Stopwatch
from payments.runtime import Runtime

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Times in seconds.

    `budget` bounds a request; `margin` is reserved from Lambda's own time to send the answer. `connect` and `read` are
    the clients' timeouts; `pause` is the longest before the first retry, and doubles with each.
    """

    budget: float = 2.6
    margin: float = 0.2
    connect: float = 0.4
    read: float = 0.8
    pause: float = 0.1
    attempts: int = 3

    @property
    def attempt(self) -> float:
        """The longest that one attempt at a call takes."""
        return self.connect + self.read


class Deadline:
    """The moment by which a request must have its answer, `seconds` from now."""

    def __init__(self, timing: Timing, seconds: float, runtime: Runtime,
                 guard: Callable[[], None] | None = None) -> None:
        self._timing, self._runtime, self._guard = timing, runtime, guard
        self._seconds, self._since = seconds, Stopwatch(runtime.clock)

    def remaining(self) -> float:
        """Seconds left; negative when it has passed."""
        return self._seconds - self._since.seconds()

    def within(self, seconds: float) -> "Deadline":
        """A deadline at most so many seconds from now, and no later than this one."""
        return Deadline(self._timing, min(seconds, self.remaining()), self._runtime, self._guard)

    def guarded(self, guard: Callable[[], None]) -> "Deadline":
        """This deadline for calls that need permission: `guard` runs before each attempt and raises to refuse it."""
        return Deadline(self._timing, self.remaining(), self._runtime, guard)

    def call(self, function: Callable[[], T], transient: Callable[[Exception], bool]) -> T:
        """What `function` returns, tried again after a transient error while a whole attempt still fits.

        Raises what the last attempt raised, or TimeoutError.
        """
        attempt = 1
        while True:
            try:
                if self._guard:
                    self._guard()
                allowed = min(self.remaining(), self._timing.attempt)
                if allowed <= 0:
                    raise TimeoutError("no time left for an attempt")
                return self._runtime.caller.call(function, allowed)
            except Exception as error:
                pause = self._runtime.random.uniform(0, self._timing.pause * 2 ** (attempt - 1))
                fits = attempt < self._timing.attempts and self.remaining() >= pause + self._timing.attempt
                if fits and transient(error):
                    self._runtime.clock.sleep(pause)
                    attempt += 1
                    continue
                raise
