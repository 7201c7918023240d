"""What is said, and when."""

import io

import pytest
from rich.console import Console

from rehearsal import report
from rehearsal.report import RunReport
from rehearsal.workload.checks import CheckResult


@pytest.fixture
def said() -> io.StringIO:
    """What has been printed."""
    return io.StringIO()


def test_the_document_holds_what_was_said(said: io.StringIO) -> None:
    findings = RunReport(Console(file=said, width=300))
    with findings.phase("deployment") as notes:
        notes.append("2 resources")
    findings.check(CheckResult("POST", ok=True, milliseconds=12.345))
    assert findings.ok
    findings.check(CheckResult("GET", ok=False, milliseconds=1.0, detail="status: 500 instead of 200"))
    findings.fail("teardown", "bucket [b] is not empty")
    findings.document["not_exercised"] = ["Plan: no backup runs"]
    findings.conclude("FAILED", 1.23)
    assert [line.rstrip() for line in said.getvalue().splitlines()] == [
        "deployment 0.0 s: 2 resources", "  ok     POST  12 ms", "  FAILED GET  1 ms  status: 500 instead of 200",
        "FAILED teardown: bucket [b] is not empty", "  not exercised here: Plan: no backup runs",
        "rehearsal FAILED in 1.2 s; every figure is the emulator's, none is AWS's"]
    document = findings.document
    assert (document["ok"], document["verdict"], document["seconds"]) == (False, "FAILED", 1.23)
    assert document["errors"] == ["teardown: bucket [b] is not empty"]
    assert document["checks"][0] == {"name": "POST", "ok": True, "milliseconds": 12.3, "detail": ""}
    assert [phase["name"] for phase in document["phases"]] == ["deployment"]


def test_a_phase_that_fails_is_told_too(said: io.StringIO) -> None:
    with pytest.raises(KeyError), RunReport(Console(file=said)).phase("deployment"):
        raise KeyError
    assert said.getvalue().startswith("deployment 0.0 s")


def test_without_a_terminal_progress_is_a_line_now_and_then(said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = report.Progress(Console(file=said))
    with progress.phase("deployment", live=True):
        for name in ("one", "two"):
            with progress.step(name):
                pass
        assert said.getvalue() == ""
        monkeypatch.setattr(report, "SPARSE", 0.0)
        with progress.step("three"), progress.step("four"):
            pass
    assert [line.rstrip() for line in said.getvalue().splitlines()] == [
        "deployment 0.0 s, 3 done, 1 under way  three", "deployment 0.0 s, 4 done, 0 under way"]


def test_on_a_terminal_one_line_lives_and_goes(said: io.StringIO) -> None:
    progress = report.Progress(Console(file=said, force_terminal=True, width=80))
    with progress.phase("deployment", live=True), progress.step("Bucket one"):
        pass
    assert "deployment 0.0 s" in said.getvalue()
    assert said.getvalue().endswith("\x1b[2K")


def test_a_phase_of_somebody_elses_output_has_no_live_line(said: io.StringIO) -> None:
    with RunReport(Console(file=said, force_terminal=True, color_system=None)).phase("pytest", live=False):
        assert said.getvalue() == ""
    assert said.getvalue().rstrip() == "pytest 0.0 s"
