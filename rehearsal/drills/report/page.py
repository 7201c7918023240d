"""A run of drills as one HTML file that needs nothing else, as JSON, and as rows for a terminal.

Every figure that was measured is called emulated, and what AWS would do is called a prediction, wherever they stand.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rehearsal.drills.report.model import PHASES, STORES, DrillResult, DrillRun
from rehearsal.drills.report.style import COLOURS, both, seconds

TEMPLATE = Path(__file__).with_name("page.html.j2")
NAME = "drills"


def write(run: DrillRun, folder: Path) -> tuple[Path, Path]:
    """Write the page and the document into a folder, which is made if need be. Gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    page, data = folder / f"{NAME}.html", folder / f"{NAME}.json"
    page.write_text(html(run), encoding="utf-8", errors="replace")
    data.write_text(f"{json.dumps(document(run), allow_nan=False)}\n", encoding="utf-8")
    return page, data


def document(run: DrillRun) -> dict[str, Any]:
    """All that the page tells: the run itself, and what is made of it."""
    return {"ok": run.ok, "verdict": verdict(run), "figures": "emulated", "summary": rows(run), **asdict(run)}


def verdict(run: DrillRun) -> str:
    """The run in a sentence."""
    if run.ok or not run.drills:
        return f"{len(run.drills)} of {len(run.drills)} drills as expected" if run.drills else "no drill was run"
    bad = [drill.scenario for drill in run.drills if not drill.ok]
    return f"{len(bad)} of {len(run.drills)} drills not as expected: {', '.join(bad)}"


def rows(run: DrillRun) -> list[dict[str, Any]]:
    """A row for each drill, for `rehearsal.tables.lines`."""
    return [_row(drill) for drill in run.drills]


def _row(drill: DrillResult) -> dict[str, Any]:
    recovery = drill.recovery
    return {
        "scenario": drill.scenario,
        "verdict": "ok" if drill.ok else "FAILED",
        "outcome": drill.outcome,
        "recovery (uncompressed), emulated": both(recovery.wall_s, recovery.full_s) if recovery else "",
        "split uncompressed, emulated":
            {each.phase: seconds(each.full_s).replace(" ", "") for each in recovery.split} if recovery else "",
        "lost in each store, emulated": {each.store: each.lost for each in drill.stores},
        "failed": [f"{check.name}: {check.detail}".removesuffix(": ") for check in drill.checks if not check.ok],
    }


def html(run: DrillRun) -> str:
    """The page."""
    from rehearsal.drills.report import timeline  # noqa: PLC0415 # pylint: disable=import-outside-toplevel # matplotlib is slow

    environment = Environment(loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters |= {"seconds": seconds, "plain": "{:g} s".format}
    drills = [(f"drill-{number}", drill, Markup(timeline.svg(drill, run.factor, f"picture-{number}")))  # noqa: S704
              for number, drill in enumerate(run.drills, 1)]
    return environment.get_template(TEMPLATE.name).render(
        run=run, drills=drills, verdict=verdict(run), colours=COLOURS, phases=PHASES, stores=STORES)
