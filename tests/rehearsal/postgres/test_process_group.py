"""The servers' processes and files: who owns them, and that they end even if the process that began them is killed."""

import os
import pwd
import shutil
import struct
import subprocess
import sys
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import pytest
from pg8000.exceptions import Error

from rehearsal.errors import PostgresError
from rehearsal.polling import PATIENCE, wait_until
from rehearsal.postgres.process_group import USER, ProcessGroup, installed
from rehearsal.postgres.server import PostgresServer

RUNS_AS = os.geteuid() or pwd.getpwnam(USER).pw_uid
ROOT = Path(__file__).parents[3]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")

BEGIN = """
import os, signal
from rehearsal.postgres.global_database import GlobalDatabase
database = GlobalDatabase(("us-east-1", "eu-west-1"), lambda *_: "")
database.create("us-east-1", "payments", "master", "secret")
print(database.ca_file.parent, flush=True)
"""
USE = """
database.join("eu-west-1")
database.member("us-east-1").server.query("CREATE TABLE t AS SELECT 1")
database.catch_up("eu-west-1")
database.kill("us-east-1")
database.failover("eu-west-1")
database.join("us-east-1")
print(os.getuid())
database.catch_up("us-east-1")
database.close()
"""


def python(script: str, program: str = sys.executable, **options: object) -> subprocess.Popen[str]:
    """A Python of its own that finds all that this one does."""
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    return subprocess.Popen([program, "-c", script], stdout=subprocess.PIPE, text=True, cwd="/",  # type: ignore[call-overload,no-any-return]
                            env={"PYTHONPATH": path, "PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}, **options)


def processes(folder: str | Path) -> list[int]:
    """The processes that run in a folder; not one that has ended, though its parent has not noticed."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in str((process / "cwd").readlink()):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def shared_memory() -> set[str]:
    """System V segments that nobody uses, by number: other servers of this machine may come and go meanwhile."""
    rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]]
    return {row[1] for row in rows if row[6] == "0"}


def wait_until_gone(folder: str | Path) -> None:
    """Wait until a folder and every process in it are gone."""
    wait_until(lambda: not processes(folder) and not Path(folder).exists(), f"the end of {folder}", PATIENCE)


def test_what_is_killed_is_gone_at_once_and_close_leaves_nothing() -> None:
    before = shared_memory()
    with closing(ProcessGroup(18)) as group:
        kept, killed = (PostgresServer(group, name) for name in ("kept", "killed"))
        kept.initialize()
        kept.start()
        killed.copy(kept)
        killed.start()
        assert len(processes(kept.data)) >= len(["postmaster", "checkpointer", "writer", "wal writer"])
        assert {Path(f"/proc/{number}").stat().st_uid for number in processes(group.folder)} == {RUNS_AS}
        sessions = [killed.connect() for _ in range(5)]
        killed.kill()
        assert not processes(killed.data)
        for session in sessions:
            with pytest.raises((Error, OSError, struct.error)):
                session.run("SELECT 1")
            with suppress(Error, OSError):
                session.close()
    assert not processes(group.folder)
    assert not group.folder.exists()
    assert shared_memory() <= before


def test_the_watchdog_inherits_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the caller's own")
    with closing(ProcessGroup(18)) as group:
        number = group._watchdog.pid  # pylint: disable=protected-access
        wait_until(lambda: b"watchdog.py" in Path(f"/proc/{number}/cmdline").read_bytes(), "its start", PATIENCE)
        assert b"AWS_SECRET_ACCESS_KEY" not in Path(f"/proc/{number}/environ").read_bytes()


def test_a_rehearsal_that_is_killed_leaves_nothing() -> None:
    with python(BEGIN + "signal.pause()") as rehearsal:
        assert rehearsal.stdout is not None
        folder = rehearsal.stdout.readline().strip()
        assert processes(folder)
        rehearsal.kill()
    wait_until_gone(folder)


def test_a_rehearsal_that_ends_without_closing_leaves_nothing() -> None:
    with python(BEGIN + "raise RuntimeError", stderr=subprocess.DEVNULL) as rehearsal:
        folder, _ = rehearsal.communicate(timeout=2 * PATIENCE)
    assert folder
    wait_until_gone(folder.strip())


@AS_ROOT
def test_an_ordinary_user_can_run_the_databases() -> None:
    for program in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            with python(BEGIN + USE, program, user=USER, group=RUNS_AS, extra_groups=[]) as rehearsal:
                output, _ = rehearsal.communicate(timeout=2 * PATIENCE)
        except (PermissionError, FileNotFoundError):
            continue  # this one lies where only root may look, or is not installed
        folder, found = output.splitlines()
        assert found == str(RUNS_AS)
        wait_until_gone(folder)
        return
    pytest.skip("no Python of this version that another user may run")


@AS_ROOT
def test_programs_that_only_root_may_see_are_copied() -> None:
    found = installed(18)
    hidden = Path(tempfile.mkdtemp())  # which nobody else may enter
    try:
        site = found.parents[1]
        (hidden / "site").mkdir()
        for name in (found.parent.name, f"{found.parent.name}.libs"):
            (hidden / "site" / name).symlink_to(site / name)
        with closing(ProcessGroup(18, hidden / "site" / found.relative_to(site))) as group:
            for program in ("initdb", "pg_basebackup"):  # the second needs a library that lies next to the package
                assert "18." in group.run(program, "--version").stdout
    finally:
        shutil.rmtree(hidden)


def test_a_version_that_no_wheel_holds_is_refused() -> None:
    with pytest.raises(PostgresError, match=r"PostgreSQL 9: only 16, 18"):
        ProcessGroup(9)
    with pytest.raises(PostgresError, match="PostgreSQL 18: pip install no-such-wheel"):
        installed(18, "no-such-wheel")


def test_a_server_that_cannot_start_says_why() -> None:
    with closing(ProcessGroup(18)) as group:
        server = PostgresServer(group, "one")
        server.initialize()
        server._settings["shared_buffers"] = "a lot"  # pylint: disable=protected-access
        with pytest.raises(PostgresError, match=r'one: .*invalid value for parameter "shared_buffers"'):
            server.start()
        assert not server.running
        server._settings["shared_buffers"] = "1MB"  # pylint: disable=protected-access
        server.start()
        with pytest.raises(PostgresError, match="no_such_table"):
            server.query("SELECT * FROM no_such_table")
        assert server.query("SELECT 1") == [[1]]
