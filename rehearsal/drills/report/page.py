"""A run of drills as one HTML file that needs nothing else, as JSON, as pictures, and as rows for a terminal.

Everywhere a measured figure is called emulated, and what AWS would do is called a prediction.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from contract import Phase, Store
from rehearsal.drills.report.model import DrillResult, DrillRun
from rehearsal.drills.report.timeline import COLOURS, Timeline, both, clean, seconds

NAME = "drills"
WIDE, NARROW = 960.0, 440.0
"""Of the two layouts of a timeline: the page shows the narrow one on a phone."""


def write(run: DrillRun, folder: Path) -> tuple[Path, Path]:
    """Write the page, the document and a picture for each drill into a folder, which is made if need be.

    Returns the paths of the first two; a picture is named after its scenario.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page, data = folder / f"{NAME}.html", folder / f"{NAME}.json"
    page.write_text(html(run), encoding="utf-8", errors="replace")
    data.write_text(f"{json.dumps(document(run), allow_nan=False)}\n", encoding="utf-8")
    for drill in run.drills:
        (folder / f"{drill.scenario}.svg").write_text(svg(drill, run.factor), encoding="utf-8", errors="replace")
    return page, data


def document(run: DrillRun) -> dict[str, Any]:
    """All that the page shows: the run itself, and what follows from it."""
    return {"ok": run.ok, "verdict": verdict(run), "figures": "emulated", "summary": rows(run), **asdict(run)}


def verdict(run: DrillRun) -> str:
    """The run in a sentence."""
    if run.ok or not run.drills:
        return f"{len(run.drills)} of {len(run.drills)} drills as expected" if run.drills else "no drill was run"
    bad = [drill.scenario for drill in run.drills if not drill.ok]
    return f"{len(bad)} of {len(run.drills)} drills not as expected: {', '.join(bad)}"


def rows(run: DrillRun) -> list[dict[str, Any]]:
    """A row for each drill, for `rehearsal.tables.lines`."""
    return [{
        "scenario": drill.scenario,
        "verdict": "ok" if drill.ok else "FAILED",
        "outcome": drill.outcome,
        "recovery (uncompressed), emulated":
            both(drill.recovery.wall_s, drill.recovery.full_s) if drill.recovery else "",
        "split uncompressed, emulated":
            {each.phase: seconds(each.full_s).replace(" ", "") for each in drill.recovery.split}
            if drill.recovery else "",
        "lost in each store, emulated": {each.store: each.lost for each in drill.stores},
        "failed": [f"{check.name}: {check.detail}".removesuffix(": ") for check in drill.checks if not check.ok],
    } for drill in run.drills]


def html(run: DrillRun) -> str:
    """The page."""
    drills = [(f"drill-{number}", drill, Timeline(drill, run.factor, WIDE), Timeline(drill, run.factor, NARROW))
              for number, drill in enumerate(run.drills, 1)]
    return _ENVIRONMENT.get_template("page.html.j2").render(
        run=run, drills=drills, verdict=verdict(run), phases=tuple(Phase), stores=tuple(Store))


def svg(drill: DrillResult, factor: float) -> str:
    """The timeline of a drill as a file that needs nothing else; waiting was compressed by `factor`."""
    return _ENVIRONMENT.get_template("picture.svg.j2").render(drawn=Timeline(drill, factor, WIDE))


_ENVIRONMENT = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
                           trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
_ENVIRONMENT.filters |= {"seconds": seconds, "plain": "{:g} s".format, "clean": clean,
                         "short": lambda number: f"{round(number, 1):g}"}
_ENVIRONMENT.globals |= {"colours": COLOURS, "both": both}
