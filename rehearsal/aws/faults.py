"""Everything that goes wrong in a rehearsal, behind one interface: `Faults`.

Each fault is a class; its fields are the fault's parameters. What a fault does to calls is in `Faults.refusal`, `delay`
and `draw`, which the HTTP proxies ask. Listeners carry out what it does to copies and databases. So a new fault
touches two places: its class, and where it takes effect.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

from contract import Store
from simulator.vocabulary import FailureMode

OUTSIDE = "outside"  # where clients and the operator are: in no region
WORLD = "world"  # outside too, but never inside a cut region: Route 53's checkers, and clients that resolve the name

# The signing names of the services that faults call by another name: those of two stores, the function and the API.
SERVICES: Mapping[str, str] = {
    Store.TABLE: "dynamodb", Store.RECEIPTS: "s3", "function": "lambda", "api": "execute-api"}


@dataclass(slots=True)
class ApiCall:
    """A call as a proxy records it. `region` is the one that is called, empty if the call names none.

    `at`: seconds since the epoch. `status`: 0 unless it has been answered. `port`: that of the caller's connection.
    """

    caller: str
    region: str
    service: str
    operation: str
    at: float = field(default_factory=time.time)
    status: int = 0
    port: int = 0


@dataclass(frozen=True)
class InjectedFailure:
    """A failure drawn for a call: before it is carried out or, if `late`, afterwards, so that its answer is lost."""

    mode: FailureMode
    late: bool


class Fault:
    """A fault, or the end of one."""


@dataclass(frozen=True)
class LastingFault(Fault):
    """A fault that holds until one of its `regions` heals, or until one with the same key is injected."""

    region: str

    @property
    def regions(self) -> frozenset[str]:
        """The regions that it concerns."""
        return frozenset({self.region})

    @property
    def key(self) -> tuple[object, ...]:
        """What a fault has in common with the one that it replaces."""
        return type(self), self.region


@dataclass(frozen=True)
class Cut(LastingFault):
    """Cut a region off: every call from it or to it fails; with `inside`, only those across its border.

    `spared`: services there that answer all the same, by their signing names.
    """

    mode: FailureMode = FailureMode.RESET
    inside: bool = False
    spared: tuple[str, ...] = ()


@dataclass(frozen=True)
class CutConnection(LastingFault):
    """Cut only the connection between the two regions: calls from one to the other fail, and nothing is copied."""

    other: str

    @property
    def regions(self) -> frozenset[str]:
        """The two regions."""
        return frozenset({self.region, self.other})


@dataclass(frozen=True)
class Lose(LastingFault):
    """Lose one store or service of a region, by its name in `SERVICES` or its signing name; the rest works."""

    store: str
    mode: FailureMode = FailureMode.ERROR

    @property
    def key(self) -> tuple[object, ...]:
        """What a fault has in common with the one that it replaces."""
        return *super().key, self.store


@dataclass(frozen=True)
class Slow(LastingFault):
    """Delay every call from a region or to it."""

    milliseconds: float


@dataclass(frozen=True)
class Fail(LastingFault):
    """Make a share (0 to 1) of the calls from a region or to it fail: half with an error, half with a reset."""

    share: float


@dataclass(frozen=True)
class Lag(Fault):
    """Delay a store's copies from the region `source` to `target` by so many seconds; infinity stops them.

    `growth`: seconds by which the lag grows each second; the ledger's does not grow. Healing does not end a lag.
    """

    store: str
    source: str
    target: str
    seconds: float
    growth: float = 0.0


@dataclass(frozen=True)
class Kill(Fault):
    """Kill every process of a region's database server at once."""

    region: str


@dataclass(frozen=True)
class Restart(Fault):
    """Start a region's dead database server in its previous role."""

    region: str


@dataclass(frozen=True)
class Destroy(Fault):
    """Lose a region for good: what it has not copied to the other region is lost."""

    region: str


@dataclass(frozen=True)
class Heal(Fault):
    """End a region's lasting faults, also that of the connection to it; a killed server stays down, and lags stay."""

    region: str


def unhindered(_call: ApiCall, _done: bool, /) -> bool:
    """Intercept no call."""
    return False


class Faults:
    """The active faults.

    `intercept` is called twice for each call: with False before it is carried out, and with True afterwards. If it
    returns true, the caller's connection is reset.
    """

    def __init__(self, seed: int = 0) -> None:
        self._active: list[LastingFault] = []
        self._lock = threading.RLock()
        self._random = random.Random(seed)  # noqa: S311  # it decides which calls fail, not who may call
        self._listeners: list[Callable[[Fault], None]] = []
        self.intercept: Callable[[ApiCall, bool], bool] = unhindered

    def listen(self, listener: Callable[[Fault], None]) -> None:
        """Call `listener` with each injected fault once it is active, after the listeners that were added before."""
        self._listeners.append(listener)

    def inject(self, fault: Fault) -> None:
        """Inject a fault. It has taken effect on return, for calls under way too. Raises what the listeners raise."""
        # Other faults need no lock: a server can be killed while another fault is still taking effect.
        with self._lock if isinstance(fault, LastingFault | Heal) else nullcontext():
            if isinstance(fault, Heal):
                self._active = [each for each in self._active if fault.region not in each.regions]
            elif isinstance(fault, LastingFault):
                others = [each for each in self._active if each.key != fault.key]
                # A cut comes first: it decides how a call fails.
                self._active = [fault, *others] if isinstance(fault, Cut) else [*others, fault]
            for listener in self._listeners:
                listener(fault)

    def cut_off(self) -> list[str]:
        """The regions that are cut off; what two regions exchange stops if either is."""
        return sorted(each.region for each in self._active if isinstance(each, Cut))

    @property
    def connection_cut(self) -> bool:
        """Whether the connection between the two regions is cut; what they exchange stops."""
        return any(isinstance(each, CutConnection) for each in self._active)

    def lost(self) -> list[tuple[str, str]]:
        """The stores that are lost: (store, region)."""
        return sorted((each.store, each.region) for each in self._active if isinstance(each, Lose))

    def refusal(self, call: ApiCall) -> FailureMode | None:
        """How the active faults make the call fail; None if it may succeed."""
        services = [call.service]
        if call.service == SERVICES["api"]:
            services.append(SERVICES["function"])  # an API fails with the function behind it
        # A region's own clients are inside it too.
        within = call.caller == call.region or (call.caller == OUTSIDE and call.service == SERVICES["api"])
        for fault in self._active:
            match fault:
                case Cut(region, mode, inside, spared) if region in (call.caller, call.region) and not (
                        (inside and within) or call.service in spared):
                    return mode
                case CutConnection() if fault.regions == {call.caller, call.region}:
                    return FailureMode.RESET
                case Lose(region, store, mode) if region == call.region and SERVICES.get(store, store) in services:
                    return mode
        return None

    def delay(self, call: ApiCall) -> float:
        """How long the call is delayed, in seconds."""
        return sum(each.milliseconds / 1000 for each in self._active
                   if isinstance(each, Slow) and each.region in (call.caller, call.region))

    def draw(self, call: ApiCall) -> InjectedFailure | None:
        """Draw whether the call fails, and how; the draws follow from the seed."""
        for each in self._active:
            if isinstance(each, Fail) and each.share and each.region in (call.caller, call.region):
                drawn, late = self._random.random(), self._random.random() < 1 / 2
                if drawn < each.share:
                    return InjectedFailure(FailureMode.ERROR if drawn < each.share / 2 else FailureMode.RESET, late)
        return None
