"""The report of a run of drills: what it shows, and that it needs nothing else to be read."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from contract import Phase, Store
from recovery.plan import Prediction
from recovery.report.model import LANES, RequestMark, TimelineEvent
from recovery.report.timeline import COLOURS, both, seconds
from rehearsal import report
from rehearsal.drills.report import page
from rehearsal.drills.report.model import (
    ControllerKill,
    DrillCheck,
    DrillResult,
    DrillRun,
    StoreCounts,
)
from tests.unit.recovery.report.reader import Reader
from tests.unit.recovery.report.stories import STORY, requests

NASTY = "</desc><script src='http://evil/'>x</script> & \"$x_{1$ \x00\x1b\n 支払い \ud800"

LOST = DrillResult(
    scenario="region-lost", title="The primary region is lost", consistency="strong", driver="controller",
    expected="the standby takes over by itself", outcome="taken over, but a payment is lost", ok=False,
    recovery=STORY.recovery, requests=STORY.requests, events=STORY.events,
    stores=[StoreCounts(store=Store.TABLE, acknowledged=8123, before=8123, after=8123),
            StoreCounts(store=Store.LEDGER, acknowledged=8123, before=8106, after=8122),
            StoreCounts(store=Store.RECEIPTS, acknowledged=8123, before=8070, after=8123)],
    lost=["pay-77"], refused_stale=29, errors={"timed out": 311, "503": 12},
    checks=[DrillCheck(name="no call to us-east-1", ok=True, detail="41 calls"),
            DrillCheck(name="no payment lost", ok=False, detail="1 instead of 0"), DrillCheck(name="bare", ok=False)],
    kills=[ControllerKill(step="promote", moment="before", resumed=True),
           ControllerKill(step="fence", moment="after", resumed=False)],
)
NOISE = replace(LOST, scenario="noise", title="Some requests fail", expected="no failover", outcome="none", ok=True,
                driver="command line", recovery=None, stores=[], lost=[], errors={}, events=[], checks=[], kills=[])
RUN = DrillRun(title="Drills of dev", started="2026-11-23T03:12:45Z", factor=10, consistency="strong",
          recovery_time_objective=900, recovery_point_objective=0, drills=[LOST, NOISE],
          prediction=[Prediction("detect", 20, 30, "interval x threshold"),
                      Prediction("promote", 60, 300.5, "AWS says minutes")])


@cache
def source() -> str:
    """The page of the example."""
    return page.html(RUN)


def read(run: DrillRun | None = None) -> Reader:
    """A page, parsed."""
    return Reader(page.html(run) if run else source())


def pictures(run: DrillRun) -> list[str]:
    """The pictures of a run's page: of each drill a wide one, then a narrow one."""
    return [f"<svg{part.partition('</svg>')[0]}" for part in page.html(run).split("<svg")[1:]]


def test_the_page_needs_nothing_else() -> None:
    reader = read()
    assert reader.open == []
    assert {tag for tag, _ in reader.tags} & {"script", "link", "img", "iframe", "object", "base", "form"} == set()
    assert [name for _, attributes in reader.tags for name in attributes if name.startswith(("on", "src"))] == []
    outside = ("http:", "https:", "//www", "@import", "xmlns", "<!doctype svg", "url(")
    assert [word for word in outside if word in source().lower()] == []
    identities = reader.values("id")
    assert len(identities) == len(set(identities))
    assert {link.removeprefix("#") for link in reader.values("href")} <= set(identities)
    assert {"drill-1", "drill-2", "prediction"} <= set(identities)


def test_every_drill_and_figure_is_shown() -> None:
    text = read().text
    words = {"29", "311", "12", "99 of 400", "41 calls", "pay-77", "resumed 1 of 2", "✗ after", RUN.started,
             seconds(1.37), "compressed 10 times", "driven by the command line"}
    for store in LOST.stores:
        words |= {f"{store.store} {store.acknowledged} {store.before} {store.after} {store.lost}", str(store.missing)}
    for drill in RUN.drills:
        words |= {drill.scenario, drill.title, drill.expected, drill.outcome, *(event.what for event in drill.events),
                  *(f"{check.name} {check.detail}".strip() for check in drill.checks)}
    assert [word for word in sorted(words) if word not in text] == []
    assert text.count("✗ not as expected") == 2 * text.count("✓ as expected") / 2 == 2
    assert text.startswith("✗ Drills of dev Drills of dev ✗ 1 of 2 drills not as expected: region-lost")


def test_times_stand_on_both_clocks() -> None:
    assert LOST.recovery
    text, drawn = read().text, Reader(pictures(RUN)[0])
    for each in LOST.recovery.split:
        assert f"{seconds(each.wall_s)} {seconds(each.full_s)}" in text
        assert f"{each.phase} {both(each.wall_s, each.full_s)}" in drawn.texts
    assert "6.41 s wall clock, 43.2 s uncompressed (emulated)" in drawn.texts
    assert {"seconds on the wall clock, emulated", "waiting is compressed 10 times"} <= set(drawn.texts)


def test_what_was_measured_is_called_emulated_and_what_was_not_a_prediction() -> None:
    text = read().text
    assert "6.41 s emulated" in text
    assert "43.2 s emulated" in text
    assert "1.37 s emulated" in text
    assert "29 emulated" in text
    assert "Recovery time, emulated" in text
    assert "Recovery point, emulated" in text
    _, prediction = text.split("Prediction for AWS")
    assert "330.5 s (prediction), which is within the declared recovery time of 900 s (objective)" in prediction
    assert "promote 300.5 s AWS says minutes" in prediction
    assert "emulated" not in prediction
    beyond = replace(RUN, drills=[], recovery_time_objective=300, recovery_point_objective=60)
    assert "330.5 s (prediction), which is beyond" in read(beyond).text


def test_nothing_from_outside_is_markup() -> None:
    drill = replace(
        LOST, title=NASTY, scenario=NASTY, expected=NASTY, outcome=NASTY, consistency=NASTY, lost=[NASTY],
        errors={NASTY: 1}, checks=[DrillCheck(name=NASTY, ok=False, detail=NASTY)],
        events=[TimelineEvent(at_s=1, lane="plan", what=NASTY)], requests=[RequestMark(at_s=1, ok=True, region=NASTY)],
        kills=[ControllerKill(step=NASTY, moment=NASTY, resumed=True)])
    reader = read(replace(RUN, title=NASTY, started=NASTY, drills=[drill], prediction=[
        Prediction(NASTY, 0, 1, NASTY)]))
    assert reader.open == []
    assert "script" not in {tag for tag, _ in reader.tags}
    assert not any("evil" in link for link in reader.values("href"))
    assert "".join(reader.texts).count("<script src='http://evil/'>x</script> & \"$x_{1$") > 15


def test_the_files_hold_the_same(tmp_path: Path) -> None:
    html = page.write(RUN, tmp_path / "new" / "folder")
    assert html.read_text(encoding="utf-8") == source()
    document = json.loads(html.with_suffix(".json").read_text(encoding="utf-8"))
    assert {key: document.pop(key) for key in ("ok", "verdict", "figures")} == {
        "ok": False, "verdict": "1 of 2 drills not as expected: region-lost", "figures": "emulated"}
    assert document.pop("summary") == page.rows(RUN)
    assert document == asdict(RUN)


def test_what_a_file_cannot_hold_does_not_stop_it(tmp_path: Path) -> None:
    html = page.write(replace(RUN, title=NASTY, drills=[]), tmp_path)
    assert "支払い ?" in html.read_text(encoding="utf-8")
    assert json.loads(html.with_suffix(".json").read_text(encoding="utf-8"))["title"] == NASTY


def test_the_same_run_gives_the_same_page() -> None:
    assert page.html(RUN) == source()


@pytest.mark.parametrize(("drills", "ok", "verdict"), [
    ([], False, "no drill was run"), ([NOISE], True, "1 of 1 drills as expected"),
    ([NOISE, LOST, LOST], False, "2 of 3 drills not as expected: region-lost, region-lost")])
def test_a_run_is_as_good_as_its_drills(drills: Sequence[DrillResult], ok: bool, verdict: str) -> None:
    run = replace(RUN, drills=drills)
    assert (run.ok, page.verdict(run)) == (ok, verdict)


def test_a_page_without_drills_says_so() -> None:
    assert "✗ no drill was run" in read(replace(RUN, drills=[], prediction=[])).text


def test_the_terminal_gets_a_short_table() -> None:
    said = report.lines("drills", page.rows(RUN))
    assert "".join(said[1:3]).count("emulated") == 3
    assert any(all(word in line for word in ("region-lost", "FAILED", "6.41 s (43.2 s)")) for line in said)
    assert page.rows(RUN)[0]["lost in each store, emulated"] == {"table": 0, "ledger": 1, "receipts": 0}
    assert said[-1] == "  scenario region-lost, failed: no payment lost: 1 instead of 0, bare"
    assert max(map(len, said)) <= report.WIDTH


# --- The pictures


def test_a_picture_can_be_read_without_eyes() -> None:
    reader = read()
    svgs = [attributes for tag, attributes in reader.tags if tag == "svg"]
    assert [each["role"] for each in svgs] == ["img"] * 4
    for name in " ".join(str(each["aria-labelledby"]) for each in svgs).split():
        assert name in reader.values("id")
    first = Reader(pictures(RUN)[0]).text
    assert first.startswith("Timeline of The primary region is lost 400 requests, of which 99 failed. The recovery")
    assert "5.00 s client: first failed write. 8.00 s health: unhealthy." in first


def test_both_layouts_show_the_same_drill_and_one_of_them_is_shown() -> None:
    wide, narrow = (Reader(each) for each in pictures(RUN)[:2])
    texts = {*LANES, "us-east-1", "us-west-2", "acknowledged", "failed", *(event.what for event in LOST.events)}
    assert texts <= set(wide.texts) & set(narrow.texts)
    assert source().count('<div class="on-paper">') == source().count('<div class="on-phone">') == len(RUN.drills)
    assert source().count(".on-paper { display: none; }") == source().count(".on-phone { display: none; }") == 1


def test_without_a_recovery_there_are_no_phases() -> None:
    with_one, _, without, _ = pictures(RUN)
    assert all(f'class="c-{name}"' in with_one for name in ("phase", "phase-next", "shade", "shade-next"))
    assert "phase" not in without
    assert "shade" not in without


def test_colours_are_names_that_the_page_gives_in_light_and_in_dark() -> None:
    for name, (light, dark) in COLOURS.items():
        assert source().count(f"--{name}: {light};") == source().count(f"--{name}: {dark};") == 1
    for drawn in pictures(RUN):
        used = {name for value in Reader(drawn).values("class") for name in value.split() if name.startswith("c-")}
        assert used <= {f"c-{name}" for name in COLOURS}
        assert "#" not in drawn
        assert "font-family" not in drawn


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_a_picture_stays_small(count: int) -> None:
    wide, narrow = pictures(replace(RUN, drills=[replace(LOST, requests=requests(count))]))
    assert len(wide) + len(narrow) < 60_000


def test_each_drill_is_also_a_picture_that_needs_no_page(tmp_path: Path) -> None:
    page.write(RUN, tmp_path)
    for drill in RUN.drills:
        drawn = (tmp_path / f"{drill.scenario}.svg").read_text(encoding="utf-8")
        assert ET.fromstring(drawn).tag == "{http://www.w3.org/2000/svg}svg"
        used = {name for value in Reader(drawn).values("class") for name in value.split() if name.startswith("c-")}
        assert {name for name in used if f".{name} {{ color: " not in drawn} == set()
        assert "var(" not in drawn


def luminance(colour: str) -> float:
    """How light a colour is, as WCAG defines it."""
    shares = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", ["ink", "muted", "first", "second", "nowhere", "failed"])
@pytest.mark.parametrize("mode", [0, 1])
def test_text_stands_out_from_every_background(name: str, mode: int) -> None:
    for background in (COLOURS["paper"][mode], COLOURS["shade"][mode]):
        dark, light = sorted((luminance(COLOURS[name][mode]), luminance(background)))
        assert (light + 0.05) / (dark + 0.05) >= (3 if name in {"first", "second", "failed"} else 4.5)


@pytest.mark.parametrize(("value", "text"), [(0, "0.00 s"), (9.994, "9.99 s"), (31.04, "31.0 s"), (512.6, "513 s")])
def test_seconds_have_three_digits(value: float, text: str) -> None:
    assert seconds(value) == text


def test_every_phase_has_a_column() -> None:
    head = read().text.partition("Recovery time, emulated")[2]
    assert " ".join(("total", *Phase, *Store)) in head
