"""What a region's controller knows of the other region. Pure functions: nothing here calls AWS."""
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from recovery.probe import ProbeResult
from recovery.stack import Stack

UNREADY = 2  # times the detection threshold: a database that fails over within its own region is back by then
MAX_INTERVAL = 180.0  # seconds between two looks; beyond that they are not "in a row". A few starts of the controller


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the controller of `region` saw last, `at` (seconds since the epoch). Its age elsewhere is the table's lag.

    `dead` and `unready` count looks in a row in which the other region did not answer, or could not take payments
    although it leads; `alive_at` is when it last answered. `ready` says whether this region's own API answers. `lags`
    are those of this region's copies in seconds by store, as of `alive_at`; a store whose lag is unknown is left out.
    `notified` is the subject of the last notification.
    """

    region: str
    at: float
    dead: int = 0
    unready: int = 0
    alive_at: float = 0.0
    ready: bool = False
    why: str = ""
    lags: Mapping[str, float] = field(default_factory=dict)
    notified: str = ""

    def is_dead(self, stack: Stack) -> bool:
        """Whether the other region has not answered for the detection threshold."""
        return self.dead >= stack.failures

    def is_unready(self, stack: Stack) -> bool:
        """Whether the other region has been unable to take payments for twice the detection threshold."""
        return self.unready >= stack.failures * UNREADY

    @property
    def exposure(self) -> float | None:
        """Seconds of payments that no store of this region has, None if unknown. What one store has can be repaired."""
        return min(self.lags.values(), default=None)

    def document(self) -> dict[str, Any]:
        """All of it as JSON. `notified` is stored as `told`."""
        document = asdict(self)
        document["told"] = document.pop("notified")
        return document

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Observation":
        """The opposite of `document`."""
        return cls(**{"notified" if key == "told" else key: value for key, value in document.items()})


def observe(before: Observation | None, now: Observation, other: ProbeResult, *, leads: bool) -> Observation:
    """What is known after a look at the `other` region, which may be the one that `leads`.

    `now` has the time of the look and the lags. A standby need not be ready. What was seen before a long pause is
    forgotten.
    """
    last = before if before and now.at - before.at <= MAX_INTERVAL else Observation(region=now.region, at=0.0)
    return Observation(region=now.region, at=now.at, ready=now.ready, why=other.why, notified=last.notified,
                       dead=0 if other.alive else last.dead + 1,
                       unready=0 if other.ready or not leads else last.unready + 1,
                       alive_at=now.at if other.alive else last.alive_at,
                       lags=now.lags if other.alive else last.lags)


def least_lag(written: float, now: float, interval: float) -> float:
    """The least lag (s) of a replica whose newest heartbeat was `written` then; one is due every `interval` seconds."""
    return max(0.0, now - written - interval)
