"""Status and plan for people, in rows and lines of text."""
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from recovery.plan import Plan, Prediction
from recovery.verdict import UNKNOWN

ROWS = {"alive": "answers", "ready": "can take payments", "right": "leader", "writer": "database writer",
        "cluster": "database cluster", "instances": "instances available", "lever": "lever pulled",
        "led_to": "Route 53 sends clients to", "exposure_s": "seconds of payments at risk",
        "watched_s": "seconds since a look"}
LINES = {"why": "cannot take payments", "refused": "a failover would be refused", "alarms": "alarms",
         "event": "latest database event"}
"""Long texts: shown in a line for each region that reports one."""
LEADS = "it leads"  # in place of what a failover to the leader would lose
OBSERVED = ("led_to", "exposure_s")
"""Figures that a controller has reported, and that may be old."""

SILENT = ("right", "cluster", "lever", "alarms")
"""Answers of different services: if all are unknown, the region does not answer at all."""
PARTS = {"record": "leader", "watch": "controller"}  # other parts of a region are shown under their own names

Rows = list[list[str]]


def regions(status: Mapping[str, Any]) -> Rows:
    """What `read_status` found in each region: a row for each thing; the first row names the regions."""
    found: Mapping[str, Mapping[str, Any]] = status["regions"]
    return [["", *(f"{name} ({region['role']})" for name, region in found.items())],
            *([label, *(LEADS if key == "exposure_s" and name == status["active"] else _cell(region, key)
                        for name, region in found.items())] for key, label in ROWS.items())]


def _cell(region: Mapping[str, Any], key: str) -> str:
    value = region[key]
    if key == "right" and isinstance(value, Mapping):
        return f"{value['region']} (epoch {value['epoch']})"
    if key in OBSERVED and region["stale"] is True:
        return f"{UNKNOWN if value is None else text(value)} ({region['watched_s']:.0f} s old)"
    return UNKNOWN if value is None and key != "writer" else text(value)


def stack(status: Mapping[str, Any]) -> list[str]:
    """What `read_status` found about the stack as a whole, line by line."""
    known = f"leader: {status['active']}, epoch {status['epoch']}; database writer: {text(status['writer'])}; "
    return [known + f"failoverMode: {status['mode']}", *_pause(status["pause"]),
            f"latest run: {_dated(status['run'], _run)}",
            f"last drill: {_dated(status['drill'], _drill)}",
            *(f"{name}: {label}: {text(region[key])}" for name, region in status["regions"].items()
              for key, label in LINES.items() if region[key] and region[key] != UNKNOWN),
            *(f"unknown in {name}: {', '.join(sorted(what))}: {why}"
              for name, region in status["regions"].items() for why, what in _by_reason(region).items())]


def _by_reason(region: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is unknown, by the reason; a region in which nothing answers gets a single reason."""
    found, unknown = dict[str, list[str]](), region["unknown"]
    if all(region[key] == UNKNOWN for key in SILENT):
        return {unknown.get("record", "no answer"): ["all that is not shown"]}
    for what, why in unknown.items():
        found.setdefault(why, []).append(PARTS.get(what, what))
    return found


def steps(planned: Plan) -> Rows:
    """The steps of a plan, after a row of headings."""
    return [["step", "does", "done when", "at most"],
            *([step.key, step.does, step.proof, f"{step.budget:.0f} s"]
              for step in planned.steps)]


def budget(planned: Plan) -> str:
    """What the plan may take, and the declared objective."""
    parts = planned.budget()
    added = " + ".join(f"{key} {seconds:.0f}" for key, seconds in parts.items())
    objective = planned.stack.recovery_time_objective
    return f"budget: {sum(parts.values()):.0f} s of {objective} s (recoveryTimeObjective): {added}"


def expected(predictions: Sequence[Prediction]) -> Rows:
    """What a failover is expected to take on AWS, after a row of headings."""
    least, most = (sum(getattr(each, bound) for each in predictions) for bound in ("least", "most"))
    return [["phase", "least", "most", "source"],
            *([each.phase, f"{each.least:.0f} s", f"{each.most:.0f} s", each.source] for each in predictions),
            ["total", f"{least:.0f} s", f"{most:.0f} s", ""]]


def text(value: Any) -> str:
    """A value of a JSON document as text for people."""
    match value:
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return ", ".join(f"{key} {text(each)}" for key, each in value.items()) or "none"
        case list():
            return ", ".join(map(text, value)) or "none"
        case float():
            return f"{value:.1f}"
        case None:
            return "none"
    return str(value)


def utc(moment: float) -> str:
    """A moment (seconds since the epoch) as text: `2026-11-27 08:00:00 UTC`; a figure that is none stays as it is."""
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return str(moment)


def _pause(pause: Any) -> list[str]:
    if not isinstance(pause, Mapping):
        return []
    return [f"automatic failover is paused until {utc(pause['until'])} by {pause['who']}: {pause['reason']}"]


def _dated(found: Any, describe: Callable[[Mapping[str, Any]], str]) -> str:
    if not isinstance(found, Mapping):
        return text(found)
    return f"{utc(found['began'])}, {describe(found)}"


def _run(run: Mapping[str, Any]) -> str:
    step = next((f", step {key}" for key, done in run["steps"].items() if done["ended"] is None), "")
    outcome = run["outcome"] or f"unfinished{step}"
    return f"{run['action']} to {run['target']} by {run['driver']}: {outcome}; {run['why']}"


def _drill(drill: Mapping[str, Any]) -> str:
    broken = "; what it broke is not restored" if drill["broken"] else ""
    return f"{drill['action']} from {drill['from']} to {drill['to']}: {'ok' if drill['ok'] else drill['why']}{broken}"
