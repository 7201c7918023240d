"""The stack as it changes: what `watch` shows."""
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recovery.environment import Environment
from recovery.observation import json_object
from recovery.show import text
from recovery.stack import Stack
from recovery.status import read_status
from recovery.verdict import UNKNOWN

EVENTS, PAYMENTS = 200, 120  # of the timeline and of the client, that are shown
TAIL = 64 * 1024  # bytes at the end of the payments' file that are read


@dataclass(kw_only=True)
class Watch:
    """Follows a stack's status. `payments` is the file to which a sandbox's client writes, if there is one."""

    environment: Environment
    stack: Stack
    payments: Path | None = None
    timeline: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=EVENTS))
    known: dict[str, str] = field(default_factory=dict)

    def look(self) -> dict[str, Any]:
        """The present state: {at, status, timeline: [{at, what}], payments: [{at, ok, region}] or null}.

        Times in seconds since the epoch, the newest last; `status` is that of `read_status`. Never raises for what AWS
        does.
        """
        found = read_status(self.environment, self.stack)
        now, state = self.environment.clock.time(), dict(facts(found))
        self.timeline.extend({"at": now, "what": what} for key, what in state.items() if self.known.get(key) != what)
        self.known = state
        return {"at": now, "status": found, "timeline": [*self.timeline],
                "payments": None if self.payments is None else recent(self.payments)}


def facts(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the timeline shows of a status: a text for each fact, under a name that stays the same."""
    yield "leader", f"{found['active']} leads, epoch {found['epoch']}"
    yield "writer", f"the database's writer is in {text(found['writer'])}"
    for name, region in found["regions"].items():
        yield f"{name} alive", f"{name} answers: {text(region['alive'])}"
        yield f"{name} ready", f"{name} can take payments: {text(region['ready'])}"
        if region["led_to"] not in (None, "", UNKNOWN):
            yield f"{name} led_to", f"Route 53 sends clients to {region['led_to']}, as {name} sees it"
        refused = UNKNOWN if region["refused"] in (None, UNKNOWN) else bool(region["refused"])
        yield f"{name} refused", f"a failover to {name} would be refused: {text(refused)}"
        yield f"{name} alarms", f"alarms in {name}: {text(region['alarms'])}"
    if isinstance(found["run"], Mapping):
        yield from _journal(found["run"])


def _journal(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    what = f"{run['action']} to {run['target']}"
    yield run["id"], f"{what} begun by {run['driver']}: {run['why']}"
    for key, done in run["steps"].items():
        yield f"{run['id']} {key}", f"{what}, {key}: {done['note'] or 'under way'}"
    if run["outcome"]:
        yield f"{run['id']} outcome", f"{what}: {run['outcome']}"


def recent(payments: Path) -> list[dict[str, Any]]:
    """The newest lines of the payments' file; empty if there is none."""
    try:
        with payments.open("rb") as file:
            file.seek(max(0, payments.stat().st_size - TAIL))
            lines = file.read().split(b"\n")[:-1]  # the last one may be half written, or is empty
    except OSError:
        return []
    return [*filter(None, map(json_object, lines[-PAYMENTS:]))]
