"""Periodic work of an AWS service."""

import threading
from collections.abc import Callable

from payments.clock import SYSTEM, Clock


class PeriodicTask:
    """Does some `work` at once and then every so many `seconds`, on a thread of its own, from `start` to `stop`.

    Work that takes longer skips a turn. What it raises is added to `errors`, and the next turn comes all the same.
    wait: waits for an event for so many seconds, and gives whether it is set.
    """

    def __init__(self, name: str, seconds: float, work: Callable[[], object], clock: Clock = SYSTEM,
                 wait: Callable[[threading.Event, float], bool] = threading.Event.wait) -> None:
        self.errors: list[Exception] = []
        self.seconds, self.work, self._clock, self._wait = seconds, work, clock, wait
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self.run, name=name, daemon=True)

    def start(self) -> None:
        """Start working."""
        self._thread.start()

    def stop(self) -> None:
        """Stop working. Returns once no work is under way; may be called at any time."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def run(self) -> None:
        """Work, on this thread, until it is stopped."""
        wait, due = 0.0, self._clock.monotonic()
        while not self._wait(self._stopped, wait):
            try:
                self.work()
            except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
                self.errors.append(error)
            now = self._clock.monotonic()
            due = max(due + self.seconds, now)
            wait = due - now
