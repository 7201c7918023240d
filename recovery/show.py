"""Status and plan for people, in rows and lines of text."""
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from recovery.plan import Plan, Prediction

ROWS = {"alive": "answers", "ready": "can take payments", "why": "why not", "right": "right to write",
        "writer": "database's writer", "cluster": "cluster", "instances": "instances available",
        "lever": "lever pulled", "lags": "copies behind, s", "watched_s": "looked last, s ago", "alarms": "alarms"}

Rows = list[list[str]]


def regions(found: Mapping[str, Any]) -> Rows:
    """What `Status.take` found in each region: a row for each thing, the first one with the regions' names."""
    told: Mapping[str, Mapping[str, Any]] = found["regions"]
    return [["", *(f"{name} ({region['role']})" for name, region in told.items())],
            *([what, *(text(region[key]) for region in told.values())] for key, what in ROWS.items())]


def stack(found: Mapping[str, Any]) -> list[str]:
    """What it found of the whole."""
    known = f"payments: {found['active']}, epoch {found['epoch']}; database's writer: {text(found['writer'])}; "
    return [known + f"failoverMode: {found['mode']}", f"latest run: {_told(found['run'], _run)}",
            f"last drill: {_told(found['drill'], _drill)}",
            *(f"unknown of {name}: {', '.join(sorted(what))}: {why}"
              for name, region in found["regions"].items() for why, what in _by_reason(region["unknown"]).items())]


def _by_reason(unknown: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for what, why in unknown.items():
        found.setdefault(why, []).append(what)
    return found


def steps(planned: Plan) -> Rows:
    """The steps of a plan, the first row with what is told of them."""
    return [["step", "does", "done when", "at most"],
            *([step.key, step.does, step.proof, f"{step.budget:.0f} s{' (after)' if step.after else ''}"]
              for step in planned.steps)]


def budget(planned: Plan) -> str:
    """What is added up, beside what is declared."""
    parts = planned.budget()
    added = " + ".join(f"{key} {seconds:.0f}" for key, seconds in parts.items())
    objective = planned.stack.recovery_time_objective
    return f"budget: {sum(parts.values()):.0f} s of {objective} s (recoveryTimeObjective): {added}"


def expected(predictions: Sequence[Prediction]) -> Rows:
    """What AWS is expected to take for a failover, the first row with what is told of it."""
    least, most = (sum(getattr(each, bound) for each in predictions) for bound in ("least", "most"))
    return [["phase", "least", "most", "source"],
            *([each.phase, f"{each.least:.0f} s", f"{each.most:.0f} s", each.source] for each in predictions),
            ["all", f"{least:.0f} s", f"{most:.0f} s", ""]]


def text(value: Any) -> str:
    """A value of a JSON document."""
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


def _told(found: Any, tell: Callable[[Mapping[str, Any]], str]) -> str:
    """A run or a drill with the time at which it began."""
    if not isinstance(found, Mapping):
        return text(found)
    return f"{datetime.fromtimestamp(found['began'], UTC):%Y-%m-%d %H:%M:%S} UTC, {tell(found)}"


def _run(run: Mapping[str, Any]) -> str:
    at = next((f", at {key}" for key, done in run["steps"].items() if done["ended"] is None), "")
    outcome = run["outcome"] or f"not at its end{at}"
    return f"{run['action']} to {run['target']} by {run['driver']}: {outcome}; {run['why']}"


def _drill(drill: Mapping[str, Any]) -> str:
    broken = ", and what it broke is not restored" if drill["broken"] else ""
    return f"{drill['action']} from {drill['from']} to {drill['to']}: {'ok' if drill['ok'] else drill['why']}{broken}"
