"""A look at a region from outside: what its public API says of itself."""
import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from payments.deadline import Deadline, Timing

# Seconds for an answer, all of it: a region that is cut off must not hold up what is to be done about it.
LIVENESS = 2.0
READINESS = 4.0  # the API asks its stores as long as a payment may take


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """What a region shows: whether it answers at all, whether it can take payments, and in a word why not."""

    alive: bool
    ready: bool
    why: str = ""


def look(url: str) -> ProbeResult:
    """Liveness, and readiness where there is any: `url` is the region's API. Never raises for what it finds there."""
    alive = get(f"{url}/health", LIVENESS)
    if alive.status != HTTPStatus.OK:
        return ProbeResult(alive=False, ready=False, why=alive.why)
    deep = get(f"{url}/health?deep=1", READINESS)
    stores = {name: deep.body.get(name, "ok") for name in ("table", "ledger", "receipts")}
    why = ", ".join(f"{name} {state}" for name, state in stores.items() if state != "ok") or deep.why
    return ProbeResult(alive=True, ready=deep.body.get("writes") is True, why=why)


@dataclass(frozen=True)
class ProbeReply:
    """An HTTP status (0: no answer), its JSON object (empty if there is none), and what was wrong with it."""

    status: int
    body: dict[str, Any]
    why: str = ""


def get(url: str, timeout: float = LIVENESS) -> ProbeReply:
    """Ask for a JSON object, for `timeout` seconds; no answer is one too."""
    once = Deadline(Timing(connect=timeout, read=0, attempts=1), timeout)
    try:
        return once.call(partial(_get, url, timeout), lambda _: False)
    except (OSError, http.client.HTTPException) as error:
        return ProbeReply(0, {}, silence(error))


def silence(error: Exception) -> str:
    """In a word, why a request had no answer."""
    why = getattr(error, "reason", error)
    return type(why).__name__ if isinstance(why, Exception) else str(why)


def _get(url: str, timeout: float) -> ProbeReply:
    try:
        response = urllib.request.urlopen(url, timeout=timeout)  # noqa: S310  # the stack's own API
    except urllib.error.HTTPError as error:
        response = error
    with response:
        status: int = response.status
        return ProbeReply(status, _object(response.read()), "" if status == HTTPStatus.OK else f"HTTP {status}")


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
