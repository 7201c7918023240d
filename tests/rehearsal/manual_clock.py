"""A clock for the proxies that a test moves itself."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rehearsal.polling import PATIENCE
from rehearsal.sockets import LoopClock


class ManualClock(LoopClock):
    """Stands still until it is moved; a sleeper wakes when it has been moved far enough."""

    def __init__(self) -> None:
        self._now = 0.0
        self._sleepers: dict[asyncio.Future[None], float] = {}
        self._changed = threading.Condition()

    def time(self) -> float:
        """The seconds by which it was moved."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return when it has been moved by so many seconds."""
        future = asyncio.get_running_loop().create_future()
        with self._changed:
            self._sleepers[future] = self._now + seconds
            self._changed.notify_all()
        try:
            await future
        finally:
            with self._changed:
                del self._sleepers[future]

    def advance(self, seconds: float) -> None:
        """Move it on, and wake the sleepers that are due."""
        with self._changed:
            self._now += seconds
            for future, due in self._sleepers.items():
                if due <= self._now:
                    future.get_loop().call_soon_threadsafe(_wake, future)

    def wait_for_sleeper(self) -> float:
        """Wait until something sleeps. Returns the seconds until the first sleeper is due."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._sleepers, PATIENCE)
            return min(self._sleepers.values()) - self._now

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within the block it is moved on as soon as something sleeps."""
        over = threading.Event()

        def move() -> None:
            while not over.is_set():
                with self._changed:
                    due = min((each for future, each in self._sleepers.items() if not future.done()), default=None)
                    if due is None:
                        self._changed.wait(0.01)
                        continue
                self.advance(max(due - self._now, 0))

        mover = threading.Thread(target=move)
        mover.start()
        try:
            yield
        finally:
            over.set()
            mover.join()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
