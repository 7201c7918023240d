"""The commands of the tutorial, taken from its code blocks, do what it says on a sandbox: `make tutorial`."""
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from rehearsal.polling import wait_until
from tests.unit.quoted import SHELL

ROOT = Path(__file__).parents[2]
COMMANDS = [line for block in SHELL.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
            for line in block.splitlines()]
SANDBOX, *REST = COMMANDS
PATIENCE = 300.0  # seconds for what a command waits for
SAYS = {"cut": "us-east-1 is cut off", "failover": "verify", "report": "failover from us-east-1 to us-west-2: done",
        "heal": "everything is healed", "failback": "report: "}
"""What a command prints, by its word."""


def words(line: str) -> list[str]:
    """The words of a command, for the interpreter of this test."""
    return [sys.executable if word == "python" else word for word in shlex.split(line)]


def started(line: str) -> "subprocess.Popen[str]":
    """A command that goes on until Ctrl-C."""
    return subprocess.Popen(words(line), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})


def until(stream: IO[str] | None, text: str) -> str:
    """What a command prints up to a line with a text."""
    assert stream
    said = ""
    for line in stream:
        said += line
        if text in line:
            return said
    raise AssertionError(said)


def ended(process: "subprocess.Popen[str]") -> str:
    """What a command prints after Ctrl-C."""
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE)
    return said


@pytest.fixture
def sandbox() -> Iterator["subprocess.Popen[str]"]:
    """The sandbox of the first command, once a client pays."""
    process = started(SANDBOX)
    try:
        until(process.stdout, "A client pays")
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def typed(line: str, awaited: str) -> str:
    """What a command prints, once it succeeds and says what is awaited: a person would repeat it, too."""
    def attempt() -> str | None:
        found = subprocess.run(words(line), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
        said = found.stdout + found.stderr
        return said if found.returncode == 0 and awaited in said else None

    return wait_until(attempt, line, PATIENCE)


def test_the_tutorial_does_what_it_says(sandbox: "subprocess.Popen[str]") -> None:
    lost = False
    for line in REST:
        word = next((word for word in SAYS if re.search(rf"\b{word}\b", line)), "")
        if "watch" in line:
            page = started(line)
            until(page.stdout, "http://127.0.0.1:")
            assert "interrupted" in ended(page)
            continue
        lost = (lost or word == "cut") and word != "failover"
        awaited = "recovery --stack sandbox failover --to us-west-2`" if lost and "recovery" in line else ""
        assert SAYS.get(word, "") in typed(line, awaited)
    assert "nothing left" in ended(sandbox)
