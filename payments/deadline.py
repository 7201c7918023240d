"""How long a request may take, and how often a call to a store is tried within that time."""
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

T = TypeVar("T")

# A client's own timeouts do not bound a call: name resolution has none, each address of a name gets the connect
# timeout anew, the TLS handshake again, and each byte of an answer gets the read timeout. So a call runs beside the
# request, which stops waiting for it in time. One that is left behind ends by itself; it does no harm, because
# every write carries a condition.
MAX_CALLS = 16
_CALLS = ThreadPoolExecutor(MAX_CALLS, "store")


class Clock(Protocol):
    """What the module `time` does."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""

    def sleep(self, seconds: float, /) -> None:
        """Waits."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Times in seconds.

    `budget` bounds a request, `probe` a look at one store (Route 53, which asks for one, gives up 2 s after
    connecting); `margin` is left of Lambda's own time for the answer. `connect` and `read` are the clients' timeouts;
    `pause` is the most before the first retry, and doubles with each.
    """

    budget: float = 2.6
    probe: float = 1.6
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
    """The moment by which a request must have its answer."""

    def __init__(self, timing: Timing, seconds: float, clock: Clock = time,
                 guard: Callable[[], None] | None = None) -> None:
        self._timing = timing
        self._clock = clock
        self._end = clock.monotonic() + seconds
        self._guard = guard

    def remaining(self) -> float:
        """Seconds left; negative when it has passed."""
        return self._end - self._clock.monotonic()

    def within(self, seconds: float) -> "Deadline":
        """The earlier of this deadline and `seconds` from now."""
        return Deadline(self._timing, min(seconds, self.remaining()), self._clock, self._guard)

    def guarded(self, guard: Callable[[], None]) -> "Deadline":
        """This deadline for calls that are made only if `guard` raises nothing, asked before each attempt."""
        return Deadline(self._timing, self.remaining(), self._clock, guard)

    def hurried(self, part: float) -> "Deadline":
        """This deadline for calls whose attempts and pauses take at most this part (0 to 1) of their time."""
        timing = self._timing
        timing = replace(timing, connect=timing.connect * part, read=timing.read * part, pause=timing.pause * part)
        return Deadline(timing, self.remaining(), self._clock, self._guard)

    def call(self, function: Callable[[], T], transient: Callable[[Exception], bool]) -> T:
        """What `function` returns, tried again after a transient error while a whole attempt still fits.

        Raises what the last attempt raised, or TimeoutError.
        """
        attempt = 1
        while True:
            try:
                return self._attempt(function)
            except Exception as error:
                pause = random.uniform(0, self._timing.pause * 2 ** (attempt - 1))  # noqa: S311
                fits = attempt < self._timing.attempts and self.remaining() >= pause + self._timing.attempt
                if fits and transient(error):
                    self._clock.sleep(pause)
                    attempt += 1
                    continue
                raise

    def _attempt(self, function: Callable[[], T]) -> T:
        if self._guard:
            self._guard()
        allowed = min(self.remaining(), self._timing.attempt)
        if allowed <= 0:
            raise TimeoutError("no time left for an attempt")
        running = _CALLS.submit(function)
        try:
            return running.result(allowed)
        finally:
            running.cancel()
