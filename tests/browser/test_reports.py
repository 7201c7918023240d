"""Reports in a browser: nothing must be scrolled sideways, and no label lies on another one."""
from dataclasses import replace
from pathlib import Path

import pytest

from recovery.report.model import TimelineEvent
from recovery.report.move import Repairs
from rehearsal.drills.report import page
from rehearsal.drills.report.model import DrillCheck
from tests.browser.chromium import evaluated
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


@SOURCES
@pytest.mark.parametrize("width", [500, 800, 1400])
def test_nothing_is_scrolled_sideways(source: str, width: int, tmp_path: Path) -> None:
    assert evaluated(source, OVERFLOW, width, tmp_path) == 0


@SOURCES
@pytest.mark.parametrize("width", [500, 1400])
def test_no_label_lies_on_another_one(source: str, width: int, tmp_path: Path) -> None:
    assert evaluated(source, OVERLAPS, width, tmp_path) == []
