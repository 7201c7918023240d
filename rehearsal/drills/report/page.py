"""A run of drills as one HTML file that needs nothing else, as JSON, as pictures, and as rows for a terminal.

Everywhere a measured figure is called emulated, and what AWS would do is called a prediction.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from contract import Phase, Store
from recovery.report.page import NARROW, WIDE, environment
from recovery.report.page import write as write_page
from recovery.report.timeline import Timeline, both, seconds
from rehearsal.drills.report.model import DrillResult, DrillRun

NAME = "drills"


def write(run: DrillRun, folder: Path) -> Path:
    """Write the page, the document and a picture for each drill into a folder, which is made if need be.

    Returns the path of the page; a picture is named after its scenario.
    """
    page = write_page(folder, NAME, html(run), document(run))
    for drill in run.drills:
        (folder / f"{drill.scenario}.svg").write_text(svg(drill, run.factor), encoding="utf-8", errors="replace")
    return page


def document(run: DrillRun) -> dict[str, Any]:
    """Everything that the page shows: the run, and figures derived from it."""
    return {"ok": run.ok, "verdict": verdict(run), "figures": "emulated", "summary": rows(run), **asdict(run)}


def verdict(run: DrillRun) -> str:
    """The run in a sentence."""
    if bad := [drill.scenario for drill in run.drills if not drill.ok]:
        return f"{len(bad)} of {len(run.drills)} drills not as expected: {', '.join(bad)}"
    return f"{len(run.drills)} of {len(run.drills)} drills as expected" if run.drills else "no drill was run"


def rows(run: DrillRun) -> list[dict[str, Any]]:
    """A row for each drill, for `rehearsal.report.lines`."""
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
    drills = [(f"drill-{number}", drill, *(Timeline(drill, width, run.factor) for width in (WIDE, NARROW)))
              for number, drill in enumerate(run.drills, 1)]
    return _ENVIRONMENT.get_template("page.html.j2").render(
        title=run.title, ok=run.ok, verdict=verdict(run), run=run, drills=drills, phases=tuple(Phase),
        stores=tuple(Store))


def svg(drill: DrillResult, factor: float) -> str:
    """The timeline of a drill as a file that needs nothing else; waiting was compressed by `factor`."""
    return _ENVIRONMENT.get_template("picture.svg.j2").render(drawn=Timeline(drill, WIDE, factor))


_ENVIRONMENT = environment(Path(__file__).parent)
