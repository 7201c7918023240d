"""Reports in a browser: nothing must be scrolled sideways, and no label lies on another one."""
from dataclasses import replace
from pathlib import Path

import pytest

from recovery.report.model import TimelineEvent
from recovery.report.move import Repairs
from rehearsal.drills.report import page
from rehearsal.drills.report.model import DrillCheck
from tests.browser.chromium import Browser
from tests.rehearsal.drills.report.test_page import LOST, RUN
from tests.unit.recovery.report.report_world import line
from tests.unit.recovery.report.test_move import report

LONG = "exit 2: us-west-2 " + "─" * 120 + " arn:aws:sts::123456789012:assumed-role/" + "operator" * 20
DRILLS = page.html(replace(RUN, drills=[replace(
    LOST, checks=[DrillCheck(name=LONG, ok=True, detail=LONG)], lost=["pay-1" * 40],
    events=[*LOST.events, *(TimelineEvent(at_s=8 + number / 10, lane="plan", what=f"run failover {LONG}")
                            for number in range(9))])]))
MOVE = report(Repairs(ended=True, lines={f"p{number}": line(f"p{number}" * 12, "refused") for number in range(30)}),
              why=LONG, driver=LONG).page().html()
SOURCES = pytest.mark.parametrize("source", [DRILLS, MOVE], ids=["drills", "move"])
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
OVERLAPS = """[...document.querySelectorAll("svg")].flatMap(svg => {
    const boxes = [...svg.querySelectorAll("text")].map(each => [each.textContent, each.getBoundingClientRect()])
        .filter(([, box]) => box.width);
    return boxes.flatMap(([one, a], index) => boxes.slice(index + 1).filter(([, b]) =>
        a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3)
        .map(([other]) => [one, other])) })"""


def opened(chromium: Browser, source: str, width: int, folder: Path) -> Browser:
    """The browser, with a page of this source."""
    page = folder / "page.html"
    page.write_text(source, encoding="utf-8", errors="replace")
    chromium.open(page.as_uri(), width)
    return chromium


@SOURCES
@pytest.mark.parametrize("width", [500, 800, 1400])
def test_nothing_is_scrolled_sideways(chromium: Browser, source: str, width: int, tmp_path: Path) -> None:
    assert opened(chromium, source, width, tmp_path).value(OVERFLOW) == 0


@SOURCES
@pytest.mark.parametrize("width", [500, 1400])
def test_no_label_lies_on_another_one(chromium: Browser, source: str, width: int, tmp_path: Path) -> None:
    assert opened(chromium, source, width, tmp_path).value(OVERLAPS) == []
