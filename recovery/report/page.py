"""Renders reports: one HTML file that needs nothing else, and a JSON file beside it."""
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from recovery.report.model import Story
from recovery.report.timeline import COLOURS, Timeline, both, clean, seconds
from recovery.show import Rows

WIDE, NARROW = 960.0, 440.0
"""The widths of a timeline's two layouts: the page shows the narrow one on a phone."""


@dataclass(frozen=True, kw_only=True)
class ReportPage:
    """The page of one story. `tables` are by their captions, each with a row of headings first."""

    story: Story
    ok: bool
    verdict: str
    figures: Mapping[str, str]
    facts: Mapping[str, str]
    todo: Sequence[str]
    tables: Mapping[str, Rows]

    def html(self) -> str:
        """The page."""
        return environment().get_template("report.html.j2").render(
            title=self.story.title, ok=self.ok, verdict=self.verdict, page=self, wide=Timeline(self.story, WIDE),
            narrow=Timeline(self.story, NARROW))


def write(folder: Path, name: str, html: str, document: Mapping[str, Any]) -> Path:
    """Write a page and its document into a folder, which is made if need be, as `name` with .html and .json.

    Returns the path of the page. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{name}.html"
    page.write_text(html, encoding="utf-8", errors="replace")
    page.with_suffix(".json").write_text(f"{json.dumps(document, allow_nan=False)}\n", encoding="utf-8")
    return page


@cache
def environment(*folders: Path) -> Environment:
    """The environment that looks templates up in folders, and then here."""
    found = Environment(loader=FileSystemLoader([*folders, Path(__file__).parent]), autoescape=True,
                        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    found.filters |= {"seconds": seconds, "plain": "{:g} s".format, "clean": clean,
                      "short": lambda number: f"{round(number, 1):g}"}
    found.globals |= {"colours": COLOURS, "both": both}
    return found
