"""What is reported, and when."""

import io

import pytest
from rich.console import Console

from rehearsal.report import PROGRESS_INTERVAL, RunReport, lines
from rehearsal.workload.checks import CheckResult
from tests.rehearsal.workload.api import InstantClock


@pytest.fixture
def printed() -> io.StringIO:
    """What has been printed."""
    return io.StringIO()


def test_the_document_holds_what_was_reported(printed: io.StringIO) -> None:
    report = RunReport(Console(file=printed, width=300), InstantClock())
    with report.phase("deployment") as notes:
        notes.append("2 resources")
    report.check(CheckResult("POST", ok=True, milliseconds=12.345))
    assert report.ok
    report.check(CheckResult("GET", ok=False, milliseconds=1.0, detail="status: 500 instead of 200"))
    report.fail("teardown", "bucket [b] is not empty")
    report.document["not_exercised"] = ["Plan: no backup runs"]
    report.conclude("FAILED", 1.23)
    assert [line.rstrip() for line in printed.getvalue().splitlines()] == [
        "deployment 0.0 s: 2 resources", "  ok     POST  12 ms", "  FAILED GET  1 ms  status: 500 instead of 200",
        "FAILED teardown: bucket [b] is not empty", "  not exercised here: Plan: no backup runs",
        "rehearsal FAILED in 1.2 s; every figure is the emulator's, none is AWS's"]
    document = report.document
    assert (document["ok"], document["verdict"], document["seconds"]) == (False, "FAILED", 1.23)
    assert document["errors"] == ["teardown: bucket [b] is not empty"]
    assert document["checks"][0] == {"name": "POST", "ok": True, "milliseconds": 12.3, "detail": ""}
    assert [phase["name"] for phase in document["phases"]] == ["deployment"]


def test_a_phase_that_fails_is_reported_too(printed: io.StringIO) -> None:
    with pytest.raises(KeyError), RunReport(Console(file=printed), InstantClock()).phase("deployment"):
        raise KeyError
    assert printed.getvalue().startswith("deployment 0.0 s")


def test_without_a_terminal_progress_is_a_line_now_and_then(printed: io.StringIO) -> None:
    clock = InstantClock()
    report = RunReport(Console(file=printed), clock)
    with report.phase("deployment"):
        for name in ("one", "two"):
            with report.step(name):
                pass
        assert printed.getvalue() == ""
        with report.step("three"), report.step("four"):
            clock.sleep(PROGRESS_INTERVAL)
    assert [line.rstrip() for line in printed.getvalue().splitlines()] == [
        "deployment 5.0 s, 3 done, 1 under way  three", "deployment 5.0 s"]


def test_on_a_terminal_one_line_is_updated_and_removed(printed: io.StringIO) -> None:
    report = RunReport(Console(file=printed, force_terminal=True, color_system=None, width=80), InstantClock())
    with report.phase("deployment"), report.step("Bucket one"):
        pass
    live, _, rest = printed.getvalue().rpartition("\x1b[2K")
    assert "deployment 0.0 s, 1 done, 0 under way" in live
    assert rest.rstrip() == "deployment 0.0 s"


def test_a_phase_in_which_something_else_prints_has_no_live_line(printed: io.StringIO) -> None:
    report = RunReport(Console(file=printed, force_terminal=True, color_system=None), InstantClock())
    with report.phase("pytest", live=False):
        assert printed.getvalue() == ""
    assert printed.getvalue().rstrip() == "pytest 0.0 s"


def test_rows_are_printed_as_a_table_and_lists_below_it() -> None:
    printed = lines("kills", [{"run": 1, "lag": {"table": 5}, "ids": []}, {"run": 2, "lag": {"table": 6}, "ids": [
        {"id": "x", "ms": 3}, {"id": "y", "ms": 4}]}])
    assert printed[0].strip() == "kills"
    assert printed[1].split() == ["run", "lag"]
    assert [line.split() for line in printed[3:5]] == [["1", "table", "5"], ["2", "table", "6"]]
    assert printed[5:] == ["  run 2, ids: id x ms 3, id y ms 4"]
    assert lines("kills", []) == []
