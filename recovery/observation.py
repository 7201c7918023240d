"""What a region's controller knows of the other region. Nothing here calls anybody."""
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from recovery.probe import ProbeResult
from recovery.stack import Stack

UNREADY = 2  # times the detection threshold: a database that fails over within its own region is back by then
ROW = 180.0  # seconds between two looks, after which they are not in a row: a few starts of the controller


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the controller of `region` saw last, `at` (seconds since the epoch). Its age elsewhere is the table's lag.

    `dead` and `unready` count looks in a row in which the other region did not answer, or could not take payments
    though it should; `alive_at` is when it last answered. `ready` is whether this region's own API answers. `lags` are
    those of this region's copies in seconds by store, as of `alive_at`; a store whose lag is not known is not in it.
    `told` is what people were last told.
    """

    region: str
    at: float
    dead: int = 0
    unready: int = 0
    alive_at: float = 0.0
    ready: bool = False
    why: str = ""
    lags: Mapping[str, float] = field(default_factory=dict)
    told: str = ""

    def is_dead(self, stack: Stack) -> bool:
        """Whether the other region has been without an answer for the detection threshold."""
        return self.dead >= stack.failures

    def is_unready(self, stack: Stack) -> bool:
        """Whether the other region has been unable to take payments for twice the detection threshold."""
        return self.unready >= stack.failures * UNREADY

    @property
    def exposure(self) -> float | None:
        """Seconds of payments that no store of this region has, None if unknown: what one of them has is repaired."""
        return min(self.lags.values(), default=None)

    def document(self) -> dict[str, Any]:
        """All of it as JSON."""
        return asdict(self)


def observe(before: Observation | None, now: Observation, other: ProbeResult, *, active: bool) -> Observation:
    """What is known after a look: `now` has when, by whom and with which lags; `active`: the other one has the right.

    A region that has not the right to write need not be ready. What was seen before a long pause is forgotten.
    """
    last = before if before and now.at - before.at <= ROW else Observation(region=now.region, at=0.0)
    return Observation(region=now.region, at=now.at, ready=now.ready, why=other.why, told=last.told,
                 dead=0 if other.alive else last.dead + 1,
                 unready=0 if other.ready or not active else last.unready + 1,
                 alive_at=now.at if other.alive else last.alive_at,
                 lags=now.lags if other.alive else last.lags)


def behind(written: float, now: float, interval: float) -> float:
    """How far a replica is behind for sure (s), in which the newest heartbeat is of `written`, one each `interval`."""
    return max(0.0, now - written - interval)
