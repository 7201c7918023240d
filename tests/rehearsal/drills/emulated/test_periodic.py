"""What is done periodically, on a clock that the test moves."""

import threading
from collections.abc import Callable

from rehearsal.drills.emulated.periodic import PeriodicTask
from tests.rehearsal.workload.api import InstantClock


class Turns:
    """Lets a task wait on a clock without waiting, and stops it after so many turns."""

    def __init__(self, count: int) -> None:
        self.clock, self.waits, self._count = InstantClock(), list[float](), count

    def wait(self, stopped: threading.Event, seconds: float) -> bool:
        """Move the clock."""
        self.clock.now += seconds
        self.waits.append(seconds)
        return len(self.waits) > self._count or stopped.is_set()

    def run(self, work: Callable[[], object], seconds: float = 6.0) -> PeriodicTask:
        """A task that has run on this thread."""
        task = PeriodicTask("test", seconds, work, self.clock, self.wait)
        task.run()
        return task


def test_work_is_done_at_once_and_then_every_so_many_seconds() -> None:
    turns, moments = Turns(3), list[float]()
    turns.run(lambda: moments.append(turns.clock.now))
    assert moments == [100, 106, 112]


def test_work_that_takes_time_does_not_delay_the_next_turn_unless_it_takes_longer_than_that() -> None:
    turns, moments, takes = Turns(4), list[float](), iter([2.0, 20.0, 0.0, 0.0])

    def work() -> None:
        moments.append(turns.clock.now)
        turns.clock.now += next(takes)

    turns.run(work)
    assert moments == [100, 106, 126, 132]


def test_an_error_is_kept_and_the_next_turn_comes() -> None:
    errors = Turns(2).run(lambda: 1 // 0).errors
    assert [type(error) for error in errors] == [ZeroDivisionError] * 2


def test_a_task_stops_before_it_starts_and_twice() -> None:
    begun = threading.Event()
    task = PeriodicTask("test", 60.0, begun.set)
    task.stop()
    task = PeriodicTask("test", 60.0, begun.set)
    task.start()
    assert begun.wait(30)
    task.stop()
    task.stop()
    assert task.errors == []
