"""The converter of coverage reports, on the report that coverage.py makes of a small program."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools import coverage_summary

Summary = dict[str, dict[str, dict[str, float]]]

PROGRAM = '''
def reached(number):
    if number:
        return 1
    return 2

def missed():
    def inner():
        return 3
    return inner

def excluded():  # pragma: no cover
    return 4

def empty():
    """Nothing to run."""

reached(1)
'''


@pytest.fixture(name="converted", scope="module")
def converted_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the program, its report and the summary of it."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "program.py").write_text(PROGRAM)
    (folder / "unused.py").write_text("")
    for command in ("run --branch --source=. program.py", "json -q -o report.json"):
        subprocess.run([sys.executable, "-m", "coverage", *command.split()], cwd=folder, check=True)
    coverage_summary.main([str(folder / "report.json"), str(folder / "summary.json")])
    return folder


@pytest.fixture(name="summary")
def converted_summary(converted: Path) -> Summary:
    """The summary as it was written."""
    summary: Summary = json.loads((converted / "summary.json").read_text())
    return summary


def test_a_file_is_counted_by_metric(summary: Summary) -> None:
    assert summary["program.py"] == {
        "lines": {"total": 10, "covered": 6, "skipped": 2, "pct": 60.0},
        "statements": {"total": 10, "covered": 6, "skipped": 2, "pct": 60.0},
        "functions": {"total": 3, "covered": 1, "skipped": 1, "pct": 33.33},
        "branches": {"total": 2, "covered": 1, "skipped": 0, "pct": 50.0},
    }


def test_a_file_without_code_is_wholly_covered(summary: Summary) -> None:
    assert summary["unused.py"]["functions"] == {"total": 0, "covered": 0, "skipped": 0, "pct": 100.0}


def test_the_total_is_the_sum_over_files(summary: Summary) -> None:
    assert set(summary) == {"total", "program.py", "unused.py"}
    assert summary["total"] == summary["program.py"]


def test_the_total_is_printed(converted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coverage_summary.main([str(converted / "report.json"), str(converted / "again.json")])
    assert capsys.readouterr().out.endswith(
        "again.json: lines 60 %, statements 60 %, functions 33.33 %, branches 50 %\n"
    )


def test_only_all_is_a_hundred_percent() -> None:
    assert coverage_summary.figures(100_000, 99_999)["pct"] == 99.99
    assert coverage_summary.figures(100_000, 100_000)["pct"] == 100.0
