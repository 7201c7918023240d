"""What is known of a region from outside: by a look at its public API, and after many looks by a controller.

Nothing here raises for what it finds.
"""
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any

from contract import HEALTH_PATH, LEVER_PATH, UNREADY, Store
from payments.deadline import Deadline, Timing
from recovery.environment import Environment, HttpReply
from recovery.stack import Stack

# Seconds for a whole answer: a region that is cut off must not delay the reaction to it.
LIVENESS_TIMEOUT = 2.0
READINESS_TIMEOUT = 4.0  # the API queries its stores for as long as a payment may take
MAX_INTERVAL = 180.0  # seconds between two looks; beyond that they are not "in a row"


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """The result of a look: whether a region answers at all, whether it can take payments, and briefly why not."""

    alive: bool
    ready: bool
    why: str = ""


def look(environment: Environment, url: str) -> ProbeResult:
    """Liveness and readiness of the region whose API is at `url`."""
    _, why = get(environment, url + HEALTH_PATH, LIVENESS_TIMEOUT)
    if why:
        return ProbeResult(alive=False, ready=False, why=why)
    deep, why = get(environment, f"{url}{HEALTH_PATH}?deep=1", READINESS_TIMEOUT)
    states = ", ".join(f"{store} {deep[store]}" for store in Store if deep.get(store, "ok") != "ok")
    return ProbeResult(alive=True, ready=deep.get("writes") is True, why=states or why)


def lever_is_pulled(environment: Environment, url: str) -> bool:
    """Whether the API at `url` says that its region's lever is pulled; also true if it does not say."""
    return get(environment, url + LEVER_PATH, LIVENESS_TIMEOUT)[0].get("takeover") is not False


def get(environment: Environment, url: str, timeout: float) -> tuple[dict[str, Any], str]:
    """The JSON object in the answer within `timeout` seconds (empty if there is none), and what was wrong."""
    deadline = Deadline(Timing(connect=timeout, read=0, attempts=1), timeout, environment.runtime)
    try:
        reply = deadline.call(partial(environment.http, "GET", url, timeout), lambda _: False)
    except TimeoutError:
        reply = HttpReply(0, why="timed out")
    return json_object(reply.body), reply.why or ("" if reply.status == HTTPStatus.OK else f"HTTP {reply.status}")


def json_object(text: bytes) -> dict[str, Any]:
    """The JSON object in a text, an empty one if there is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


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


def observe(previous: Observation | None, now: Observation, other: ProbeResult, *, leads: bool) -> Observation:
    """What is known after a look at the `other` region, which may be the one that `leads`.

    `now` has the time of the look and the lags. A standby need not be ready. What was seen before a long pause does
    not count.
    """
    last = previous if previous and now.at - previous.at <= MAX_INTERVAL else Observation(region=now.region, at=0.0)
    return replace(now, why=other.why, notified=last.notified, dead=0 if other.alive else last.dead + 1,
                   unready=0 if other.ready or not leads else last.unready + 1,
                   alive_at=now.at if other.alive else last.alive_at, lags=now.lags if other.alive else last.lags)
