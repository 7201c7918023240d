"""A report is one file that needs nothing else, and has no markup of others."""
import json
from dataclasses import replace
from pathlib import Path

from recovery.report.model import LANES
from recovery.report.page import ReportPage, write
from tests.unit.recovery.report.reader import Reader
from tests.unit.recovery.report.stories import STORY

NASTY = "<script src='http://evil/'>x</script> & {{ 1 }}"
PAGE = ReportPage(story=STORY, ok=True, verdict="all is well", figures={"RTO": "900 s"}, facts={"who": "alice"},
                  todo=["failback"], tables={"Steps": [["step", "took"], ["fence", "1 s"]]})


def test_the_page_shows_everything_and_needs_nothing_else() -> None:
    reader = Reader(PAGE.html())
    assert reader.open == []
    assert {tag for tag, _ in reader.tags} & {"script", "link", "img", "iframe", "form"} == set()
    assert reader.text.startswith("✓ The primary region is lost The primary region is lost ✓ all is well RTO 900 s who "
                                  "alice Still to do failback What happened Timeline of The primary region is lost")
    assert reader.text.endswith("Steps step took fence 1 s")
    assert {*LANES, "us-east-1", "6.41 s", "promote 1.51 s", "seconds"} <= set(reader.texts)
    assert reader.text.count("and took 6.41 s: detect 3.03 s") == 2


def test_nothing_from_outside_is_markup() -> None:
    page = replace(PAGE, story=replace(STORY, title=NASTY), verdict=NASTY, figures={NASTY: NASTY}, facts={NASTY: NASTY},
                   todo=[NASTY], tables={NASTY: [[NASTY], [NASTY]]})
    reader = Reader(page.html())
    assert "script" not in {tag for tag, _ in reader.tags}
    assert "".join(reader.texts).count(NASTY) >= 10


def test_without_anything_to_do_nothing_is_listed() -> None:
    assert "Still to do" not in Reader(replace(PAGE, todo=[]).html()).text


def test_page_and_document_lie_side_by_side(tmp_path: Path) -> None:
    page = write(tmp_path / "new", "failover-x", "<p>\ud800</p>", {"ok": True})
    assert page.read_text() == "<p>?</p>"
    assert json.loads((tmp_path / "new" / "failover-x.json").read_text()) == {"ok": True}
