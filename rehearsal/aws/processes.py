"""Child processes, and the requests to end that must not come between a process and the note that it exists."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

STOP_TIMEOUT = 10.0  # seconds from the request to end until a process is killed
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def raise_interrupts() -> None:
    """Make every request to end a KeyboardInterrupt, also SIGINT where the parent process had it ignored."""
    for number in ENDING:
        signal.signal(number, signal.default_int_handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put off such a request until the end of the block. For the main thread, which alone may do that."""
    pending: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        pending.append(number)

    before = {number: signal.signal(number, note) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if pending:
        raise KeyboardInterrupt


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, then make it and, where it leads one, its whole process group."""
    with undisturbed():
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
        process.kill()
        process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
