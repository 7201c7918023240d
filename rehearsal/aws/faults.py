"""Everything that goes wrong in a rehearsal, behind one interface: `Faults`.

Each fault is a class, registered in `FAULTS` by its name; its fields are the fault's parameters. What a fault does to
calls is in `Faults.refusal`, `delay` and `draw`, which the HTTP proxies ask. What it does to copies and databases is
done by those who `listen`. So a new fault touches two places: its class, and where it has its effect.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from contract import Store

OUTSIDE = "outside"  # where clients and the operator are: in no region
WORLD = "world"  # outside too, but never behind a region's cut: Route 53's checkers, and clients that resolve the name

# The service behind each store of the payments, and those that go by another name than their signing name.
SERVICES: Mapping[str, str] = {
    Store.TABLE: "dynamodb", Store.RECEIPTS: "s3", "function": "lambda", "api": "execute-api"}
_STORES = {service: store for store, service in SERVICES.items()}
FAULTS: dict[str, type["Fault"]] = {}
"""Every fault, by its name."""


class FailureMode(StrEnum):
    """How a call fails: the connection is reset, nothing comes until it times out, or an error is the answer."""

    RESET = "reset"
    HANG = "hang"
    ERROR = "error"


@dataclass(slots=True)
class ApiCall:
    """A call as a proxy sees it, kept for the record. `region` is the one that is called, empty where none is named.

    `at`: seconds since the epoch. `status`: 0 until there is an answer, and if there is none.
    """

    caller: str
    region: str
    service: str
    operation: str
    at: float = field(default_factory=time.time)
    status: int = 0


@dataclass(frozen=True)
class InjectedFailure:
    """A failure that was drawn for a call: before it is done or, `late`, after that, so that its answer is lost."""

    mode: FailureMode
    late: bool


@dataclass(frozen=True)
class Fault:
    """A fault, or the end of one. A `lasting` one holds until its region heals, or until it is injected again."""

    name: ClassVar[str]
    lasting: ClassVar[bool]

    def __init_subclass__(cls, *, name: str, lasting: bool = True) -> None:
        cls.name, cls.lasting = name, lasting
        FAULTS[name] = cls


@dataclass(frozen=True)
class Cut(Fault, name="cut"):
    """Cut a region off: no call from it or to it succeeds; with `inside`, none across its border."""

    region: str
    mode: FailureMode = FailureMode.RESET
    inside: bool = False


@dataclass(frozen=True)
class Lose(Fault, name="lose"):
    """Lose one store of a region, by its name in `SERVICES` or that of its service; the rest works."""

    region: str
    store: str
    mode: FailureMode = FailureMode.ERROR


@dataclass(frozen=True)
class Slow(Fault, name="slow"):
    """Delay every call from a region or to it."""

    region: str
    milliseconds: float


@dataclass(frozen=True)
class Fail(Fault, name="fail"):
    """Let a share (0 to 1) of the calls from a region or to it fail: half by an error, half by a reset."""

    region: str
    share: float


@dataclass(frozen=True)
class Lag(Fault, name="lag"):
    """Let what is written to a store in the region `source` reach `target` so many seconds late; infinite: never.

    `growth`: how many seconds longer the lag gets each second, which the ledger's does not. Healing does not end it.
    """

    store: str
    source: str
    target: str
    seconds: float
    growth: float = 0.0


@dataclass(frozen=True)
class Kill(Fault, name="kill", lasting=False):
    """Kill every process of a region's database server at once."""

    region: str


@dataclass(frozen=True)
class Restart(Fault, name="restart", lasting=False):
    """Start a region's database server that is down, as what it was."""

    region: str


@dataclass(frozen=True)
class Destroy(Fault, name="destroy", lasting=False):
    """Let a region never come back: what it has not copied to the other region is lost."""

    region: str


@dataclass(frozen=True)
class Heal(Fault, name="heal", lasting=False):
    """Let everything in a region work again; a killed server stays down, and lags stay."""

    region: str


class Faults:
    """The faults that there are now. A fault takes effect before the method returns, for calls under way too."""

    def __init__(self, seed: int = 0) -> None:
        self._active: dict[tuple[str, ...], Fault] = {}
        self._lock = threading.RLock()
        self._random = random.Random(seed)  # noqa: S311  # it decides which calls fail, not who may call
        self._drawing = threading.Lock()  # not the other one: its holder waits for listeners, which may draw
        self._listeners: list[Callable[[Fault], None]] = []
        self._intercept: Callable[[ApiCall, bool], bool] | None = None

    def listen(self, listener: Callable[[Fault], None]) -> None:
        """Call this with each fault that is injected, once it is active, in the order of these calls."""
        self._listeners.append(listener)

    def inject(self, fault: Fault) -> None:
        """Let a fault take effect. Raises what the listeners raise."""
        if fault.lasting or isinstance(fault, Heal):
            with self._lock:
                if isinstance(fault, Heal):
                    self._active = {key: each for key, each in self._active.items() if key[1] != fault.region}
                else:
                    self._active = dict(sorted({**self._active, _key(fault): fault}.items()))
                self._notify(fault)
        else:
            self._notify(fault)  # without the lock: a server is killed even while another fault waits for its effect

    def cut(self, region: str, mode: FailureMode = FailureMode.RESET, *, inside: bool = False) -> None:
        """See `Cut`."""
        self.inject(Cut(region, mode, inside))

    def slow(self, region: str, milliseconds: float) -> None:
        """See `Slow`."""
        self.inject(Slow(region, milliseconds))

    def fail(self, region: str, share: float) -> None:
        """See `Fail`."""
        self.inject(Fail(region, share))

    def lose(self, region: str, store: str, mode: FailureMode = FailureMode.ERROR) -> None:
        """See `Lose`."""
        self.inject(Lose(region, store, mode))

    def lag(self, store: str, source: str, target: str, seconds: float, growth: float = 0.0) -> None:
        """See `Lag`; 0 seconds end it."""
        self.inject(Lag(store, source, target, seconds, growth))

    def kill(self, region: str) -> None:
        """See `Kill`."""
        self.inject(Kill(region))

    def restart(self, region: str) -> None:
        """See `Restart`."""
        self.inject(Restart(region))

    def destroy(self, region: str) -> None:
        """See `Destroy`."""
        self.inject(Destroy(region))

    def heal(self, region: str) -> None:
        """See `Heal`."""
        self.inject(Heal(region))

    def intercept(self, decide: Callable[[ApiCall, bool], bool] | None) -> None:
        """Ask `decide` about each call, with False before it is done and with True after that; None ends this.

        If it returns true, the caller's connection is reset.
        """
        self._intercept = decide

    def cut_off(self) -> list[str]:
        """The regions that are cut off; what two regions exchange stops if either is."""
        return sorted(each.region for each in self._active.values() if isinstance(each, Cut))

    def lost(self) -> list[tuple[str, str]]:
        """The stores that are lost: (store, region)."""
        return sorted((_STORES.get(each.store, each.store), each.region)
                      for each in self._active.values() if isinstance(each, Lose))

    def refusal(self, call: ApiCall) -> FailureMode | None:
        """How the call is sure to fail; None if it may succeed."""
        services = [call.service]
        if call.service == SERVICES["api"]:
            services.append(SERVICES["function"])  # an API fails with the function behind it
        # A region's own clients are inside it too.
        within = call.caller == call.region or (call.caller == OUTSIDE and call.service == SERVICES["api"])
        for fault in self._active.values():  # a cut comes first
            match fault:
                case Cut(region, mode, inside) if region in (call.caller, call.region) and not (inside and within):
                    return mode
                case Lose(region, store, mode) if region == call.region and SERVICES.get(store, store) in services:
                    return mode
        return None

    def delay(self, call: ApiCall) -> float:
        """How long the call is delayed, in seconds."""
        return sum(each.milliseconds / 1000 for each in self._active.values()
                   if isinstance(each, Slow) and each.region in (call.caller, call.region))

    def draw(self, call: ApiCall) -> InjectedFailure | None:
        """Draw whether the call fails, and how; the draws follow from the seed."""
        for each in self._active.values():
            if isinstance(each, Fail) and each.share and each.region in (call.caller, call.region):
                with self._drawing:
                    drawn, late = self._random.random(), self._random.random() < 1 / 2
                if drawn < each.share:
                    return InjectedFailure(FailureMode.ERROR if drawn < each.share / 2 else FailureMode.RESET, late)
        return None

    def intercepts(self, call: ApiCall, *, done: bool) -> bool:
        """Whether the caller gets no answer because of `intercept`."""
        return self._intercept is not None and self._intercept(call, done)

    def _notify(self, fault: Fault) -> None:
        for listener in self._listeners:
            listener(fault)


def _key(fault: Fault) -> tuple[str, ...]:
    """A fault replaces an earlier one with the same key; they are sorted by it."""
    store: str = getattr(fault, "store", "")
    return (fault.name, getattr(fault, "region", ""), SERVICES.get(store, store), getattr(fault, "source", ""),
            getattr(fault, "target", ""))
