"""What is wrong with which region: switches that tests and the command line throw, and everybody else reads.

The switches know nothing of sockets, copies or databases. Whoever carries them out (`relay`, `copies`, the database
pair) asks them for each call, or listens for changes.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

OUTSIDE = "outside"  # where clients and the operator are: no region
WORLD = "world"  # the same, where nobody is ever behind a region's cut: Route 53's checkers, and clients that ask it

# The service behind each store of the payments; any other store is called by its service's signing name.
SERVICES = {"table": "dynamodb", "receipts": "s3", "function": "lambda", "api": "execute-api"}


class FailureMode(StrEnum):
    """How a call fails: the connection is reset, nothing comes until it times out, or an error is the answer."""

    RESET = "reset"
    HANG = "hang"
    ERROR = "error"


@dataclass(slots=True)
class ApiCall:
    """A call as a relay sees it, kept for the record. `region` is the one that is called, empty where none is named.

    `at`: seconds since the epoch. `status`: 0 until there is an answer, and if there is none.
    """

    caller: str
    region: str
    service: str
    operation: str
    at: float = field(default_factory=time.time)
    status: int = 0


@dataclass(frozen=True)
class Cut:
    """How a region is cut off. `inside`: it lives on behind the cut, where its own and its clients' calls go on."""

    manner: FailureMode
    inside: bool


@dataclass(frozen=True)
class InjectedFailure:
    """The failure that a call has drawn: before it is done, or, `late`, once it is done and the answer gets lost."""

    manner: FailureMode
    late: bool


@dataclass(frozen=True)
class RegionFaults:
    """One region's. `delay` in seconds, `failing` the share of its calls that fail, `lost` services by name."""

    cut: Cut | None = None
    delay: float = 0.0
    failing: float = 0.0
    lost: Mapping[str, FailureMode] = field(default_factory=dict)


class Faults:
    """The switches of all regions. Each takes effect before the method returns, for calls under way too."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.RLock()
        self._switches: dict[str, RegionFaults] = {}
        self._random = random.Random(seed)  # noqa: S311  # it decides which calls fail, not who may call
        self._drawing = threading.Lock()  # not the other one: who holds that waits for listeners that may draw
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this after each change, in the order of these calls."""
        self._listeners.append(listener)

    def cut(self, region: str, manner: FailureMode = FailureMode.RESET, *, inside: bool = False) -> None:
        """Cut a region off: no call from it or to it succeeds; with `inside`, none across its border."""
        self._set(region, cut=Cut(manner, inside))

    def slow(self, region: str, milliseconds: float) -> None:
        """Delay every call from a region or to it."""
        self._set(region, delay=milliseconds / 1000)

    def fail(self, region: str, share: float) -> None:
        """Let a share (0 to 1) of the calls from a region or to it fail: half by an error, half by a reset."""
        self._set(region, failing=share)

    def lose(self, region: str, store: str, manner: FailureMode = FailureMode.ERROR) -> None:
        """Lose one store of a region, by its name in `SERVICES` or its service's; the rest goes on."""
        with self._lock:
            lost = self._switches.get(region, RegionFaults()).lost
            self._set(region, lost={**lost, SERVICES.get(store, store): manner})

    def heal(self, region: str) -> None:
        """Let everything in a region work again."""
        with self._lock:
            self._switches = {name: each for name, each in self._switches.items() if name != region}
            self._tell()

    def cut_off(self) -> list[str]:
        """The regions that are cut off; what two regions exchange stops if either is."""
        return sorted(region for region, each in self._switches.items() if each.cut)

    def lost(self) -> list[tuple[str, str]]:
        """The stores that are lost, by their names where they have one of their own: (store, region)."""
        names = {service: store for store, service in SERVICES.items()}
        return sorted((names.get(service, service), region)
                      for region, each in self._switches.items() for service in each.lost)

    def refusal(self, call: ApiCall) -> FailureMode | None:
        """How the call fails for sure, None if it need not."""
        for region in (call.caller, call.region):
            cut = self._of(region).cut
            if cut and not (cut.inside and self._within(call)):
                return cut.manner
        lost = self._of(call.region).lost
        behind = SERVICES["function"] if call.service == SERVICES["api"] else ""  # an API is nothing without it
        return lost.get(call.service) or lost.get(behind)

    def delay(self, call: ApiCall) -> float:
        """How long the call is delayed, in seconds."""
        return sum(self._of(region).delay for region in sorted({call.caller, call.region}))

    def draw(self, call: ApiCall) -> InjectedFailure | None:
        """Draw whether the call fails, and how; the draws follow from the seed."""
        for region in sorted({call.caller, call.region}):
            share = self._of(region).failing
            if share:
                with self._drawing:
                    drawn, late = self._random.random(), self._random.random() < 1 / 2
                if drawn < share:
                    return InjectedFailure(FailureMode.ERROR if drawn < share / 2 else FailureMode.RESET, late)
        return None

    @staticmethod
    def _within(call: ApiCall) -> bool:
        """Whether a call stays behind a region's cut, where the region's clients are too."""
        return call.caller == call.region or (call.caller == OUTSIDE and call.service == SERVICES["api"])

    def _of(self, region: str) -> RegionFaults:
        return self._switches.get(region, _WORKING)

    def _set(self, region: str, **switches: object) -> None:
        with self._lock:
            changed = replace(self._of(region), **switches)  # type: ignore[arg-type]
            self._switches = {**self._switches, region: changed}
            self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


_WORKING = RegionFaults()
