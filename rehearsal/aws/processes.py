"""Child processes, and the signals that end a rehearsal: none may interrupt the start of a process."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

STOP_TIMEOUT = 10.0  # seconds from the request to end until a process is killed
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def raise_interrupts() -> None:
    """Make each of `STOP_SIGNALS` raise KeyboardInterrupt, even if the parent process ignored it."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let `STOP_SIGNALS` raise KeyboardInterrupt only at the end of the block. Only for the main thread."""
    pending: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        pending.append(number)

    before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if pending:
        raise KeyboardInterrupt


def end(process: subprocess.Popen[bytes], timeout: float = STOP_TIMEOUT) -> None:
    """Ask a process to end, and kill it after `timeout` seconds, with the process group that it leads, if any."""
    with undisturbed():
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout)
        process.kill()
        process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
