"""The folder of a run, which no other run uses meanwhile, and where temporary files cost least."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from rehearsal.errors import ProjectError

MEMORY = Path("/dev") / "shm"
"""Where a new database takes half the time that it takes on a disk, and files are removed at once."""
ROOM = 4 * 1024**3  # bytes that must be free there; two databases with all the log that they may keep take half of it


@contextmanager
def run_folder(parent: Path, name: str = "") -> Iterator[Path]:
    """A new folder of that name, or of one that no other run has. It is removed at the end.

    Raises ProjectError if it cannot be written, or if a run of that name is under way.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = parent / name if name else Path(mkdtemp(prefix="run-", dir=parent))
        folder.mkdir(exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise ProjectError(f"{error.filename}: {error.strerror}") from None
    try:
        _lock(lock, folder)
        try:
            for left in folder.iterdir():  # by a run that was killed
                left.unlink()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _lock(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ProjectError(f"{folder}: a run of that name is under way") from None


def require_writable(folder: Path) -> None:
    """Raise ProjectError unless files can be written to a folder, which is made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProjectError(f"{error.filename}: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise ProjectError(f"{folder}: cannot be written")


def memory() -> Path | None:
    """The folder of files in memory, or None, as the default folder of temporary files, if it has no room."""
    with suppress(OSError):
        found = os.statvfs(MEMORY)
        if found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_NOEXEC and os.access(MEMORY, os.W_OK):
            return MEMORY
    return None
