"""What is reported, and when."""

import io

import pytest
from rich.console import Console

from rehearsal.report import SPARSE, Progress, RunReport
from rehearsal.workload.checks import CheckResult
from tests.rehearsal.workload.api import ManualClock


@pytest.fixture
def printed() -> io.StringIO:
    """What has been printed."""
    return io.StringIO()


def test_the_document_holds_what_was_reported(printed: io.StringIO) -> None:
    findings = RunReport(Console(file=printed, width=300), ManualClock())
    with findings.phase("deployment") as notes:
        notes.append("2 resources")
    findings.check(CheckResult("POST", ok=True, milliseconds=12.345))
    assert findings.ok
    findings.check(CheckResult("GET", ok=False, milliseconds=1.0, detail="status: 500 instead of 200"))
    findings.fail("teardown", "bucket [b] is not empty")
    findings.document["not_exercised"] = ["Plan: no backup runs"]
    findings.conclude("FAILED", 1.23)
    assert [line.rstrip() for line in printed.getvalue().splitlines()] == [
        "deployment 0.0 s: 2 resources", "  ok     POST  12 ms", "  FAILED GET  1 ms  status: 500 instead of 200",
        "FAILED teardown: bucket [b] is not empty", "  not exercised here: Plan: no backup runs",
        "rehearsal FAILED in 1.2 s; every figure is the emulator's, none is AWS's"]
    document = findings.document
    assert (document["ok"], document["verdict"], document["seconds"]) == (False, "FAILED", 1.23)
    assert document["errors"] == ["teardown: bucket [b] is not empty"]
    assert document["checks"][0] == {"name": "POST", "ok": True, "milliseconds": 12.3, "detail": ""}
    assert [phase["name"] for phase in document["phases"]] == ["deployment"]


def test_a_phase_that_fails_is_reported_too(printed: io.StringIO) -> None:
    with pytest.raises(KeyError), RunReport(Console(file=printed), ManualClock()).phase("deployment"):
        raise KeyError
    assert printed.getvalue().startswith("deployment 0.0 s")


def test_without_a_terminal_progress_is_a_line_now_and_then(printed: io.StringIO) -> None:
    clock = ManualClock()
    progress = Progress(Console(file=printed), clock)
    with progress.phase("deployment", live=True):
        for name in ("one", "two"):
            with progress.step(name):
                pass
        assert printed.getvalue() == ""
        with progress.step("three"), progress.step("four"):
            clock.sleep(SPARSE)
    assert [line.rstrip() for line in printed.getvalue().splitlines()] == [
        "deployment 5.0 s, 3 done, 1 under way  three"]


def test_on_a_terminal_one_line_is_updated_and_removed(printed: io.StringIO) -> None:
    progress = Progress(Console(file=printed, force_terminal=True, width=80), ManualClock())
    with progress.phase("deployment", live=True), progress.step("Bucket one"):
        pass
    assert "deployment 0.0 s" in printed.getvalue()
    assert printed.getvalue().endswith("\x1b[2K")


def test_a_phase_in_which_something_else_prints_has_no_live_line(printed: io.StringIO) -> None:
    report = RunReport(Console(file=printed, force_terminal=True, color_system=None), ManualClock())
    with report.phase("pytest", live=False):
        assert printed.getvalue() == ""
    assert printed.getvalue().rstrip() == "pytest 0.0 s"
