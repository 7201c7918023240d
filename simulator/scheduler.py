"""One seeded scheduler with a virtual clock: tasks are greenlets, one runs at a time, and time passes only in waits."""
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

T = TypeVar("T")
EPOCH = 1_800_000_000.0  # seconds: the wall clock's time when the virtual clock starts
EVENT = -1  # in place of the number of a wait


class Process:
    """A machine's process: what is killed and frozen as one, and what its clocks say.

    place: the region that it runs in, or `outside`. skew: seconds that its wall clock is ahead. A frozen process does
    nothing; `stands_still`: its monotonic clock does not count that time either, as in Lambda.
    """

    __slots__ = ("alive", "asked", "calls", "ended", "idle_since", "name", "parked", "place", "proved", "scheduler",
                 "shuns", "skew", "spared", "stands_still", "stood", "thaw")

    def __init__(self, scheduler: "Scheduler", name: str, place: str, *, stands_still: bool = False) -> None:
        self.scheduler, self.name, self.place, self.stands_still = scheduler, name, place, stands_still
        self.alive, self.spared = True, False  # a spared process is never struck: it is no part of the product
        self.skew = self.stood = self.thaw = 0.0
        self.asked = 0.0  # when it began the call that is served now, before it was struck there
        self.calls, self.proved = 0, 0  # calls that it has begun, now and when it last proved that a run is its own
        self.shuns = ""  # the region that it must not call, since it fails over from it
        self.idle_since: float | None = None
        self.parked: list[Callable[[], None]] = []  # what goes on once it is no longer idle
        self.ended: list[Callable[[], None]] = []  # called when it is killed

    def time(self) -> float:
        """Seconds since the epoch by this machine's wall clock."""
        return EPOCH + self.scheduler.now + self.skew

    def monotonic(self) -> float:
        """Seconds by this machine's monotonic clock."""
        return self.scheduler.now - self.stood

    def sleep(self, seconds: float, /) -> None:
        """Wait."""
        self.scheduler.suspend(max(0.0, seconds))

    def freeze(self, seconds: float) -> None:
        """Let nothing in it run for so long; a longer freeze that is under way goes on."""
        now = self.scheduler.now
        thaw = max(self.thaw, now + seconds)
        if self.stands_still:
            self.stood += thaw - max(self.thaw, now)
        self.thaw = thaw

    def idle(self) -> None:
        """Freeze it until `resume`, as Lambda does between two invocations."""
        self.idle_since = self.scheduler.now

    def resume(self) -> None:
        """Let it run again."""
        if self.idle_since is not None:
            if self.stands_still:
                self.stood += self.scheduler.now - self.idle_since
            self.idle_since = None
            parked, self.parked = self.parked, []
            for go_on in parked:
                go_on()

    def kill(self) -> None:
        """End it at once; none of its code runs any more, not even what cleans up."""
        if self.alive:
            self.alive = False
            for ended in self.ended:
                ended()


class Task(greenlet):  # type: ignore[misc]
    """A thread of a process."""

    process: Process
    waiting: int  # which wait it is in: a wake-up for an earlier one is ignored

    def __init__(self, process: Process, run: Callable[[], object], hub: greenlet) -> None:
        super().__init__(run, hub)
        self.process, self.waiting = process, 0


class Signal:
    """Something that happens once, with a value; tasks may wait for it."""

    __slots__ = ("_scheduler", "_waiting", "set", "value")

    def __init__(self, scheduler: "Scheduler") -> None:
        self._scheduler = scheduler
        self.set = False
        self.value: Any = None
        self._waiting: list[tuple[Task, int]] = []

    def fire(self, value: Any = None) -> None:
        """Wake who waits; a second time changes nothing."""
        if not self.set:
            self.set, self.value = True, value
            for task, number in self._waiting:
                self._scheduler.wake(task, number, 0.0)

    def result(self) -> Any:
        """What the task that it is of has returned. Raises what the task raised."""
        found, error = self.value
        if error is not None:
            raise error
        return found

    def wakes(self, task: Task, number: int) -> None:
        """Let it wake a task from a wait."""
        self._waiting.append((task, number))

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for it, at most so long; whether it has happened."""
        if not self.set:
            task = self._scheduler.task()
            self._waiting.append((task, task.waiting + 1))
            self._scheduler.suspend(seconds)
        return self.set


class Scheduler:
    """Runs tasks and events in the order of virtual time; of those at one moment the seed draws the order.

    Who waits lets the others run: what comes next is taken from the queue in the task that waits, and in the hub, which
    is where `run` was called, only where no task is left that could do so.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.ended = False
        self._hub = getcurrent()
        self._until = 0.0
        self._queue: list[tuple[float, float, int, Any, int]] = []  # ends with what happens, and the wait of a task
        self._draw, self._number = self.random.random, count().__next__
        self._tasks: set[Task] = set()  # a greenlet that is collected would run its cleanup

    def at(self, seconds: float, event: Callable[[], object]) -> None:
        """Let an event happen so many seconds from now; it must not wait."""
        heappush(self._queue, (self.now + seconds, self._draw(), self._number(), event, EVENT))

    def wake(self, task: Task, number: int, seconds: float) -> None:
        """Let a task go on after so many seconds, if it is still in that wait then, and its process lives."""
        heappush(self._queue, (self.now + seconds, self._draw(), self._number(), task, number))

    def spawn(self, process: Process, work: Callable[[], object], after: float = 0.0) -> Signal:
        """Start a task of a process; the signal carries what it returns, or the exception that it raised."""
        done, task = self._prepare(process, work)
        self.wake(task, 0, after)
        return done

    def run_within(self, process: Process, work: Callable[[], object], seconds: float) -> Signal:
        """Run a task of the present task's process at once, and wait for it at most so long; its signal."""
        done, task = self._prepare(process, work)
        present = self.task()
        present.waiting += 1
        done.wakes(present, present.waiting)
        self.wake(present, present.waiting, seconds)
        task.waiting += 1
        task.switch()
        if self.ended:
            raise GreenletExit
        return done

    def _prepare(self, process: Process, work: Callable[[], object]) -> tuple[Signal, Task]:
        done = Signal(self)

        def run() -> None:
            try:
                done.fire((work(), None))
            except GreenletExit:
                raise
            except BaseException as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
                done.fire((None, error))
            self._tasks.discard(task)

        task = Task(process, run, self._hub)
        self._tasks.add(task)
        return done, task

    def tasks_of(self, process: Process) -> list[Task]:
        """The tasks of a process that have begun and not ended, in no particular order."""
        return [task for task in self._tasks if task.process is process]

    def task(self) -> Task:
        """The task that runs now."""
        found = getcurrent()
        if not isinstance(found, Task) or self.ended:
            raise GreenletExit
        return found

    def suspend(self, seconds: float | None) -> None:
        """Run others until the present task is woken, at the latest after so many seconds."""
        task = self.task()
        task.waiting += 1
        if seconds is not None:
            self.wake(task, task.waiting, seconds)
        self._pass_time(task)
        if self.ended:
            raise GreenletExit

    def _pass_time(self, waiting: Task | None) -> None:
        """Let happen what comes next, in a task that waits until it is woken, or in the hub until the time is over."""
        queue = self._queue
        while queue and queue[0][0] <= self._until:
            self.now, _, _, what, number = heappop(queue)
            if number == EVENT:
                try:
                    what()
                except BaseException as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
                    self._hub.throw(error)  # it is no concern of the task that waits
            elif self._goes_on(what, number):
                if what is not waiting:
                    what.switch()
                if waiting is not None:
                    return
        if waiting is not None:
            self._hub.switch()

    def _goes_on(self, task: Task, number: int) -> bool:
        """Whether a task that is woken from a wait goes on now: one of an idle or frozen process does so later."""
        process = task.process
        if task.waiting != number or not process.alive or task.dead:
            return False
        if process.idle_since is not None:
            process.parked.append(partial(self.wake, task, number, 0.0))
        elif process.thaw > self.now:
            self.wake(task, number, process.thaw - self.now)
        else:
            task.waiting += 1
            return True
        return False

    def run(self, until: float) -> None:
        """Let virtual time pass until a moment."""
        self._until = until
        self._pass_time(None)
        self.now = until

    def end(self) -> None:
        """Drop everything; nothing of it runs any more."""
        self.ended = True
        self._queue.clear()
        for task in list(self._tasks):
            task.throw()  # what a suspended task refers to is invisible to Python's collector
        self._tasks.clear()
