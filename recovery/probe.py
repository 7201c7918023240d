"""What a region's public API says of itself, seen from outside. Nothing here raises for what it finds."""
import json
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from contract import HEALTH_PATH, LEVER_PATH, Store
from payments.deadline import Deadline, Timing
from recovery.environment import Environment
from recovery.http import HttpReply

# Seconds for a whole answer: a region that is cut off must not delay what is to be done about it.
LIVENESS_TIMEOUT = 2.0
READINESS_TIMEOUT = 4.0  # the API queries its stores for as long as a payment may take


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """What a region shows: whether it answers at all, whether it can take payments, and in a few words why not."""

    alive: bool
    ready: bool
    why: str = ""


@dataclass(frozen=True)
class ProbeReply:
    """An HTTP status (0: no answer), the JSON object in the body (empty if there is none), and what was wrong."""

    status: int
    body: dict[str, Any]
    why: str = ""


def look(environment: Environment, url: str) -> ProbeResult:
    """Liveness and readiness of the region whose API is at `url`."""
    alive = get(environment, url + HEALTH_PATH, LIVENESS_TIMEOUT)
    if alive.why:
        return ProbeResult(alive=False, ready=False, why=alive.why)
    deep = get(environment, f"{url}{HEALTH_PATH}?deep=1", READINESS_TIMEOUT)
    states = {store: deep.body.get(store, "ok") for store in Store}
    why = ", ".join(f"{store} {state}" for store, state in states.items() if state != "ok") or deep.why
    return ProbeResult(alive=True, ready=deep.body.get("writes") is True, why=why)


def lever_is_pulled(environment: Environment, url: str) -> bool:
    """Whether the API at `url` says that its region's lever is pulled; also true if it does not say."""
    return get(environment, url + LEVER_PATH, LIVENESS_TIMEOUT).body.get("takeover") is not False


def get(environment: Environment, url: str, timeout: float) -> ProbeReply:
    """Ask for a JSON object, and wait at most `timeout` seconds."""
    deadline = Deadline(Timing(connect=timeout, read=0, attempts=1), timeout, environment.runtime)
    try:
        reply = deadline.call(partial(environment.http, "GET", url, timeout), lambda _: False)
    except TimeoutError:
        reply = HttpReply(0, why="timed out")
    return ProbeReply(reply.status, json_object(reply.body),
                      reply.why or ("" if reply.status == HTTPStatus.OK else f"HTTP {reply.status}"))


def json_object(text: bytes) -> dict[str, Any]:
    """The JSON object in a text, an empty one if there is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
