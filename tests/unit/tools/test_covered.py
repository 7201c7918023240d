"""What tests reached, measured on a small program in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools import covered

PROGRAM = '''
def reached(number):
    if number:
        return 1
    return 2

def missed():
    def inner():
        return 3
    return inner

def empty():
    """Nothing to run."""

if __name__ == "__main__":
    missed()
'''
TEST = """
import threading
from product import program

def test_it():
    threading.Thread(target=program.reached, args=[NUMBER]).start()
"""
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(name="measured", scope="module")
def measured_program(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, Any]:
    """The exit code, the output and the summary of a measured run."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "product").mkdir()
    (folder / "product" / "program.py").write_text(PROGRAM)
    (folder / "product" / "unused.py").write_text("import os\nimport sys\n")
    (folder / "test_program.py").write_text(TEST.replace("NUMBER", "1"))
    command = [sys.executable, "-m", "tools.covered", "summary.json", "--of", "product", "--", "-q"]
    environ = {"PYTHONPATH": f"{ROOT}:{folder}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=environ, check=False, text=True, capture_output=True)
    return done.returncode, done.stdout + done.stderr, json.loads((folder / "summary.json").read_text())


def test_a_file_is_counted_by_metric(measured: tuple[int, str, Any]) -> None:
    assert measured[2]["product/program.py"] == {
        "lines": {"total": 9, "covered": 5, "skipped": 0, "pct": 55.55},
        "statements": {"total": 9, "covered": 5, "skipped": 0, "pct": 55.55},
        "functions": {"total": 3, "covered": 1, "skipped": 0, "pct": 33.33},
        "branches": {"total": 2, "covered": 1, "skipped": 0, "pct": 50.0},
    }


def test_a_file_that_no_test_imports_is_counted(measured: tuple[int, str, Any]) -> None:
    assert measured[2]["product/unused.py"]["lines"] == {"total": 2, "covered": 0, "skipped": 0, "pct": 0.0}


def test_what_was_not_reached_fails_and_is_named(measured: tuple[int, str, Any]) -> None:
    code, output, summary = measured
    assert summary.keys() == {"total", "product/program.py", "product/unused.py"}
    assert code == 1
    assert "summary.json: lines 45.45 %, " in output
    assert "product/program.py: not reached: lines [5, 8, 9, 10], branches [(3, 5)]" in output


def test_only_all_is_a_hundred_percent() -> None:
    assert covered.figures(100_000, 99_999)["pct"] == 99.99
    assert covered.figures(100_000, 100_000)["pct"] == 100.0
    assert covered.figures(0, 0)["pct"] == 100.0
