"""Calls between places: each takes time both ways, and at each seam the seed may do something to it or to its caller.

A call leaves its caller, arrives, is served at once or by a task, and is answered. It may be lost, refused, held back,
done twice or answered too late; meanwhile others run. What a caller has given up on may still arrive.
"""
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from simulator.history import History
from simulator.scheduler import Process, Scheduler, Signal
from simulator.vocabulary import FailureMode

OUTSIDE, WITNESS = "outside", "witness"
HERE, AWAY = 0.002, 0.035  # seconds that a packet takes within a region, and between two places

Answer = Callable[[Any, BaseException | None], None]


class Unanswered(Exception):
    """Nothing came back: `connected` distinguishes a call that may have been done from one that never left."""

    def __init__(self, *, connected: bool) -> None:
        super().__init__(connected)
        self.connected = connected


class Unavailable(Exception):
    """The service answered with an error of its own; `throttled`: for the rate of calls."""

    def __init__(self, *, throttled: bool = False) -> None:
        super().__init__(throttled)
        self.throttled = throttled


@dataclass(slots=True)
class NetworkCall:
    """A call at a seam: who makes it, where it goes, and what it asks for.

    `record`: it changes the record of a run, leadership, a lever or the writer. `patience` is how long its caller waits
    for an answer, and `connect` how long to reach anybody (seconds).
    """

    caller: Process
    region: str
    service: str
    operation: str
    patience: float
    connect: float = 1.0
    record: bool = False


class Adversary(Protocol):
    """What may strike at a seam, while it is `active`."""

    active: bool

    def strike(self, call: NetworkCall, moment: str) -> None:
        """May kill or freeze the caller, or cut a region off, `before` a call leaves or `after` its answer is there."""

    def fate(self, call: NetworkCall) -> tuple[str, float]:
        """What happens to the call (nothing, `fail`, `lose` or `twice`), and seconds that it is held back."""


class Calm:
    """No adversary."""

    active = False

    def strike(self, call: NetworkCall, moment: str) -> None:
        """Does nothing."""

    def fate(self, call: NetworkCall) -> tuple[str, float]:
        """Nothing happens to it."""
        del call
        return "", 0.0


@dataclass
class SimulatedNetwork:
    """The connections between places: `cuts` holds each direction that is cut, as (from, to)."""

    scheduler: Scheduler
    history: History
    adversary: Adversary = field(default_factory=Calm)
    cuts: set[tuple[str, str]] = field(default_factory=set)
    dead: dict[str, float] = field(default_factory=dict)
    """Regions that are gone, and since when: nothing reaches them or leaves them."""
    refusing: dict[tuple[str, str], FailureMode] = field(default_factory=dict)
    """Services by (region, name) that refuse (`error`), `hang`, or `throttle`."""
    denied: set[tuple[str, str, str]] = field(default_factory=set)
    """Operations by (region, name, resource) that nobody is permitted to call."""

    shunned: Callable[[NetworkCall], None] = lambda _: None
    """Called with each call to a region that its caller shuns."""

    def __post_init__(self) -> None:
        self._draw = self.scheduler.random.random

    @property
    def calm(self) -> bool:
        """Whether every call is answered at once."""
        return not (self.adversary.active or self.cuts or self.dead or self.refusing)

    def reaches(self, source: str, target: str) -> bool:
        """Whether a packet gets from one place to the other now."""
        if source in self.dead or target in self.dead:
            return False
        return source == target or (source, target) not in self.cuts

    def connected(self, one: str, other: str) -> bool:
        """Whether packets get there and back."""
        return self.reaches(one, other) and self.reaches(other, one)

    def call(self, call: NetworkCall, serve: Callable[[], Any]) -> Any:
        """What `serve` gives at the moment at which the call arrives.

        Raises Unanswered within `connect` seconds if nobody is reached, and within `patience` if no answer comes.
        """
        began = self.scheduler.now
        fate, delay = self._leave(call)
        scheduler, task = self.scheduler, self.scheduler.task()
        number = task.waiting + 1
        answer: list[tuple[Any, Exception | None]] = []

        def arrive() -> None:
            back = self.latency(call.region, call.caller.place)
            waits = max(0.0, call.patience - delay)
            if call.region not in self.dead:
                call.caller.asked = began
                try:
                    found: tuple[Any, Exception | None] = serve(), None
                except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
                    found = None, error
                if fate == "twice":
                    scheduler.at(back, serve_again)
                if fate != "lose" and back <= waits and self.reaches(call.region, call.caller.place):
                    answer.append(found)
                    waits = back
            if delay < call.patience:
                scheduler.wake(task, number, waits)

        def serve_again() -> None:
            with suppress(Exception):  # nobody waits for what the second one gives
                serve()

        scheduler.at(delay, arrive)
        scheduler.suspend(call.patience if delay >= call.patience else None)
        self._return(call)
        if not answer:
            raise Unanswered(connected=True)
        found, error = answer[0]
        if error is not None:
            raise error
        return found

    def request(self, call: NetworkCall, arrive: Callable[[Answer], None]) -> Any:
        """As `call`, of something that takes its own time: `arrive` is given what to call with the answer."""
        fate, delay = self._leave(call)
        scheduler, answered = self.scheduler, Signal(self.scheduler)

        def answer(found: Any, error: BaseException | None) -> None:
            if fate != "lose" and self.reaches(call.region, call.caller.place):
                scheduler.at(self.latency(call.region, call.caller.place), lambda: answered.fire((found, error)))

        def arrives() -> None:
            if call.region not in self.dead:
                arrive(answer)
                if fate == "twice":
                    arrive(lambda _found, _error: None)

        scheduler.at(delay, arrives)
        answered.wait(call.patience)
        self._return(call)
        if not answered.set:
            raise Unanswered(connected=True)
        return answered.result()

    def latency(self, source: str, target: str) -> float:
        """Seconds that a packet takes."""
        return (HERE if source == target else AWAY) * (0.5 + 1.5 * self._draw())

    def _leave(self, call: NetworkCall) -> tuple[str, float]:
        """The call's fate, and seconds until it arrives. Raises Unanswered and Unavailable if it never does."""
        caller, region = call.caller, call.region
        caller.calls += 1
        if caller.shuns == region:
            self.shunned(call)
        struck = self.adversary.active and not caller.spared
        if struck:
            self.adversary.strike(call, "before")
            self._pause(caller)
        if (self.cuts or self.dead) and not self.connected(caller.place, region):
            hangs = self.scheduler.random.random() < 1 / 2 or caller.place in self.dead
            self.scheduler.suspend(call.connect if hangs else 0.01)
            raise Unanswered(connected=False)
        mode = self.refusing.get((region, call.service))
        if mode:
            self.scheduler.suspend(call.patience if mode is FailureMode.HANG else 0.01)
            if mode is FailureMode.HANG:
                raise Unanswered(connected=True)
            raise Unavailable(throttled=mode is FailureMode.THROTTLED)
        fate, held = self.adversary.fate(call) if struck else ("", 0.0)
        if fate == "fail":
            self.scheduler.suspend(0.01)
            raise Unavailable
        return fate, held + self.latency(caller.place, region)

    def _return(self, call: NetworkCall) -> None:
        if self.adversary.active and not call.caller.spared:
            self.adversary.strike(call, "after")
            self._pause(call.caller)

    def _pause(self, caller: Process) -> None:
        """Let a caller that was struck feel it: a frozen one waits here, a killed one never comes back."""
        if not caller.alive or caller.thaw > self.scheduler.now:
            self.scheduler.suspend(0.0)
