"""Running the tests under load: every run counts, and no busy loop is left over."""
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools import loaded

ROOT = Path(__file__).parents[3]


class FakePytest:
    """Fails in the runs whose numbers are given, counted from 1 over all folders."""

    def __init__(self, *failing: int) -> None:
        self.commands: list[Sequence[str]] = []
        self.failing = failing

    def __call__(self, command: Sequence[str]) -> tuple[int, str]:
        self.commands.append(command)
        return (1, "AssertionError: found\n1 failed") if len(self.commands) in self.failing else (0, "12 passed")


def test_each_run_has_an_order_of_its_own_and_runs_every_folder(capsys: pytest.CaptureFixture[str]) -> None:
    tests = FakePytest()
    assert loaded.main(3, run=tests, loops=0) == 0
    seeds = [option for command in tests.commands for option in command if option.startswith("--randomly-seed=")]
    assert [command[-1] for command in tests.commands] == [*loaded.FOLDERS] * 3
    assert len(set(seeds)) == 3
    said = capsys.readouterr().out
    assert all(f"seed {seed.partition('=')[2]}" in said for seed in seeds)
    assert said.endswith("3 of 3 runs passed\n")


def test_a_failure_is_shown_and_does_not_end_the_series(capsys: pytest.CaptureFixture[str]) -> None:
    tests = FakePytest(1, 4)
    assert loaded.main(3, run=tests, loops=0) == 1
    assert len(tests.commands) == 3 * len(loaded.FOLDERS)
    said = capsys.readouterr().out
    assert said.count("AssertionError: found") == 2
    assert said.endswith("1 of 3 runs passed\n")


@pytest.mark.parametrize(("end", "code"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", -9)])
def test_busy_loops_end_with_the_process_that_started_them(end: str, code: int) -> None:
    script = f"import os, sys\nfrom tools import loaded\nloaded.keep_busy(1)\n{end}"
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=30, stdout=subprocess.PIPE, cwd=ROOT)
    assert done.returncode == code  # and the output ended: the loop, which could still write to it, has ended too
