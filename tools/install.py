"""Installs the packages of a requirements file into this interpreter's environment, and shows the progress.

`python -m tools.install requirements-dev.txt`. It needs only the standard library, since nothing is installed yet, and
prints to stderr, since the output of a make target may be read by a program.
"""
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
# Removed again. Python 3.11 puts setuptools (10 MB) into a new environment; pulumi lists debugpy (15 MB), which only
# `pulumi up --attach-debugger` starts.
UNUSED = ("setuptools", "debugpy")
TAIL = 20  # lines of pip's output that are shown if it fails


def follow(output: Iterable[str], total: int, screen: TextIO) -> str:
    """Show on `screen` how many of `total` packages pip has collected; returns the end of its output."""
    live, got, last = screen.isatty(), 0, deque[str](maxlen=TAIL)
    for line in output:
        last.append(line)
        if line.startswith("Collecting "):
            got += 1
            if live:
                print(f"\r  {got} of {total} packages", end="", file=screen, flush=True)
            elif got % 20 == 0:
                print(f"  {got} of {total} packages", file=screen, flush=True)
        elif line.startswith("Installing collected packages"):
            print(end="\n" if live else "", file=screen)
            print(f"  {got} of {total} packages: writing them to disk", file=screen, flush=True)
    return "".join(last)


def main(requirements: str) -> int:
    """Install; returns pip's exit code."""
    total = sum("==" in line for line in Path("constraints.txt").read_text(encoding="utf-8").splitlines())
    # A set with hashes is complete, and pip takes an extra of one of its packages for a package without a hash.
    options = ["--no-deps"] if "--hash=" in Path(requirements).read_text(encoding="utf-8") else []
    began = time.monotonic()
    with subprocess.Popen([*PIP, "install", "--no-compile", *options, "-r", requirements], text=True,  # noqa: S603
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as pip:
        last = follow(pip.stdout or (), total, sys.stderr)
    if pip.returncode:
        print(last, end="", file=sys.stderr)
    else:
        subprocess.run([*PIP, "uninstall", "-qq", "--yes", *UNUSED], check=True, stderr=subprocess.DEVNULL)  # noqa: S603
        print(f"  done in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return pip.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
