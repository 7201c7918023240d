"""Runs the fast tests many times, in random order and on a busy machine: none may depend on speed or on order.

`python -m tools.loaded [RUNS]`. Every processor is busy all the time, and each folder of tests runs in a process
of its own. Each run has a seed, which is printed: the same seed gives the same order.
"""
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

FOLDERS = ("tests/unit", "tests/component", "tests/rehearsal")
# Ends with the process that started it, however that one ends.
BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    sum(range(100_000))"

Execute = Callable[[Sequence[str]], tuple[int, str]]
"""Runs a command; returns its exit code and its output."""


def keep_busy(processors: int) -> None:
    """Keep this many processors busy until this process ends."""
    for _ in range(processors):
        subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())])  # noqa: S603  # pylint: disable=consider-using-with


def execute(command: Sequence[str]) -> tuple[int, str]:
    """Run a command, without a terminal."""
    done = subprocess.run(command, check=False, text=True, stdin=subprocess.DEVNULL,  # noqa: S603
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def run_once(seed: int, run: Execute) -> bool:
    """Whether the tests of every folder pass in the order of this seed; prints the result of each folder."""
    passed = True
    for folder in FOLDERS:
        began = time.monotonic()
        code, output = run([sys.executable, "-m", "pytest", "-q", "-p", "randomly", f"--randomly-seed={seed}", folder])
        passed = passed and code == 0
        if code:
            print(output)
        last = (output.splitlines() or [""])[-1].strip("= ")
        print(f"  {folder}: {last if code == 0 else f'FAILED, exit code {code}: {last}'}"
              f" ({time.monotonic() - began:.0f} s)", flush=True)
    return passed


def main(runs: int = 10, *, run: Execute = execute, loops: int = os.cpu_count() or 1) -> int:
    """Run all; returns the exit code."""
    passed = 0
    keep_busy(loops)
    for number in range(1, runs + 1):
        seed = random.SystemRandom().randrange(2**32)
        print(f"run {number} of {runs}, with {loops} busy loops, seed {seed}", flush=True)
        passed += run_once(seed, run)
    print(f"{passed} of {runs} runs passed")
    return int(passed < runs)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the tests that are running are ended, too
    sys.exit(main(*map(int, sys.argv[1:])))
