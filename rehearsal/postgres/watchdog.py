"""The program that ends a process group: `python watchdog.py FOLDER DESCRIPTOR`.

It waits until the process that started it closes its standard input, or dies. Then it ends what is left of its process
group, and removes the folder. The descriptor reaches its end when every process of the group is gone.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
from pathlib import Path

PATIENCE = 10.0  # seconds from the request to end until processes are killed; they need 0.05


def watch(folder: Path, life: int) -> None:
    """Wait for the end of the process that started this one, and clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    with contextlib.suppress(ProcessLookupError):
        # It makes a server shut down at once, with its children. Other programs are not in this group: they end by
        # themselves without a server, and initdb would leave shared memory behind.
        os.killpg(0, signal.SIGQUIT)
    ended, _, _ = select.select([life], [], [], PATIENCE)
    shutil.rmtree(folder, ignore_errors=True)
    if not ended:
        os.killpg(0, signal.SIGKILL)  # this process too


if __name__ == "__main__":
    watch(Path(sys.argv[1]), int(sys.argv[2]))
