"""Calls between places: each takes time both ways, and at each seam the seed may do something to it or to its caller.

A call leaves its caller, arrives, is served at once or by a task, and is answered. It may be lost, refused, held back,
done twice or answered too late; meanwhile others run. What a caller has given up on may still arrive.
"""
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from simulator.history import History
from simulator.scheduler import Process, Scheduler, Signal

OUTSIDE = "outside"


class NoAnswer(Exception):
    """Nothing came back: `connected` tells a call that may have been done from one that never left."""

    def __init__(self, *, connected: bool) -> None:
        super().__init__(connected)
        self.connected = connected


class Unavailable(Exception):
    """The service answered with an error of its own; `throttled`: for the rate of calls."""

    def __init__(self, *, throttled: bool = False) -> None:
        super().__init__(throttled)
        self.throttled = throttled


@dataclass(slots=True)
class Call:
    """A call at a seam: who makes it, where it goes, and what it asks for."""

    caller: Process
    region: str
    service: str
    operation: str


class Adversary(Protocol):
    """What may strike at a seam."""

    def strike(self, call: Call, moment: str) -> None:
        """May kill or freeze the caller `before` a call leaves it, or `after` its answer is there."""

    def fate(self, call: Call) -> str:
        """What happens to the call: empty for nothing, or `fail`, `lose` (done, not answered), `twice`, `late`."""


class Calm:
    """No adversary."""

    def strike(self, call: Call, moment: str) -> None:
        """Does nothing."""

    def fate(self, call: Call) -> str:
        """Nothing happens to it."""
        del call
        return ""


@dataclass
class Network:
    """The ways between places, and which of them are cut: `cuts` holds (from, to), both ways if both are in it."""

    scheduler: Scheduler
    history: History
    adversary: Adversary = field(default_factory=Calm)
    cuts: set[tuple[str, str]] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    """Regions that are gone: nothing in them answers or runs."""
    refusing: dict[tuple[str, str], str] = field(default_factory=dict)
    """Services by (region, name) that refuse (`error`), hang, or throttle."""
    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def reaches(self, source: str, target: str) -> bool:
        """Whether a packet gets from one place to the other now."""
        if source in self.dead or target in self.dead:
            return False
        return source == target or (source, target) not in self.cuts

    def call(self, caller: Process, region: str, service: str, operation: str, serve: Callable[[], Any],
             patience: float, connect: float = 1.0) -> Any:
        """What `serve` gives at the moment at which the call arrives.

        Raises NoAnswer within `connect` seconds if nobody is reached, and within `patience` if no answer comes.
        """
        def arrive(answer: Callable[[Any, BaseException | None], None]) -> None:
            try:
                answer(serve(), None)
            except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
                answer(None, error)

        return self.request(caller, region, service, operation, arrive, patience, connect)

    def request(self, caller: Process, region: str, service: str, operation: str,
                arrive: Callable[[Callable[[Any, BaseException | None], None]], None], patience: float,
                connect: float = 1.0) -> Any:
        """As `call`, of something that takes its own time: `arrive` is given what to call with the answer."""
        scheduler, call = self.scheduler, Call(caller, region, service, operation)
        self.calls[region, service, operation] += 1
        self.adversary.strike(call, "before")
        self._pause(caller)
        draw = scheduler.random
        if not (self.reaches(caller.place, region) and self.reaches(region, caller.place)):
            hangs = draw.random() < 1 / 2 or caller.place in self.dead
            scheduler.wait(connect if hangs else 0.01)
            raise NoAnswer(connected=False)
        mood = self.refusing.get((region, service), "")
        if mood == "hang":
            scheduler.wait(patience)
            raise NoAnswer(connected=True)
        if mood:
            scheduler.wait(0.01)
            raise Unavailable(throttled=mood == "throttle")
        fate = self.adversary.fate(call)
        if fate == "fail":
            scheduler.wait(0.01)
            raise Unavailable
        answered = Signal(scheduler)
        delay = self.latency(caller.place, region) + (draw.uniform(0.0, 2 * patience) if fate == "late" else 0.0)

        def answer(found: Any, error: BaseException | None) -> None:
            if fate != "lose" and self.reaches(region, caller.place):
                back = self.latency(region, caller.place)
                scheduler.at(back, lambda: answered.fire((found, error)))

        def arrives() -> None:
            if region not in self.dead:
                arrive(answer)
                if fate == "twice":
                    arrive(lambda _found, _error: None)

        scheduler.at(delay, arrives)
        if not answered.wait(patience):
            self.adversary.strike(call, "after")
            self._pause(caller)
            raise NoAnswer(connected=True)
        self.adversary.strike(call, "after")
        self._pause(caller)
        found, error = answered.value
        if error is not None:
            raise error
        return found

    def latency(self, source: str, target: str) -> float:
        """Seconds that a packet takes."""
        return (0.002 if source == target else 0.035) * self.scheduler.random.uniform(0.5, 2.0)

    def _pause(self, caller: Process) -> None:
        """Let a caller that was struck feel it: a frozen one waits here, a killed one never comes back."""
        if not caller.alive or caller.thaw > self.scheduler.now:
            self.scheduler.wait(0.0)
