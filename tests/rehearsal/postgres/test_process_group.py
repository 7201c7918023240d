"""The servers' processes and files: whose they are, and that they end, whatever becomes of who started them."""

import os
import pwd
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from pg8000.exceptions import Error

from rehearsal.postgres import process_group as module
from rehearsal.postgres.process_group import USER, PostgresError, ProcessGroup
from rehearsal.postgres.server import PostgresServer

RUNS_AS = os.geteuid() or pwd.getpwnam(USER).pw_uid
ROOT = Path(__file__).parents[3]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")

BEGIN = """
import os, time
from rehearsal.postgres.global_database import GlobalDatabase
pair = GlobalDatabase(("us-east-1", "eu-west-1"), {})
pair.create("us-east-1", "payments", "master", "secret")
print(pair.ca_file.parent, flush=True)
"""
USE = """
pair.join("eu-west-1")
pair.member("us-east-1").server.query("CREATE TABLE t AS SELECT 1")
pair.catch_up("eu-west-1")
pair.kill("us-east-1")
pair.failover("eu-west-1")
print(pair.rejoin("us-east-1").method, os.getuid())
pair.catch_up("us-east-1")
pair.close()
"""


def python(script: str, program: str = sys.executable, **options: object) -> subprocess.Popen[str]:
    """A Python of its own that finds all that this one does."""
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    return subprocess.Popen([program, "-c", script], stdout=subprocess.PIPE, text=True, cwd="/",  # type: ignore[call-overload,no-any-return]
                            env={"PYTHONPATH": path, "PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}, **options)


def processes(folder: str | Path) -> list[int]:
    """Processes that work in a folder; one that has ended and waits to be noticed works nowhere."""
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


def gone(folder: str | Path, within: float = 5) -> bool:
    """Whether a folder and every process in it go away."""
    deadline = time.monotonic() + within
    while processes(folder) or Path(folder).exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_what_is_killed_is_gone_at_once_and_close_leaves_nothing() -> None:
    before = shared_memory()
    with closing(ProcessGroup(18)) as host:
        kept, killed = (PostgresServer(host, name) for name in ("kept", "killed"))
        kept.initialize()
        kept.start()
        killed.copy(kept)
        killed.start()
        assert len(processes(kept.data)) >= len(["postmaster", "checkpointer", "writer", "wal writer"])
        assert {Path(f"/proc/{number}").stat().st_uid for number in processes(host.folder)} == {RUNS_AS}
        sessions = [killed.connect() for _ in range(5)]
        killed.kill()
        assert not processes(killed.data)
        for session in sessions:
            with pytest.raises((Error, OSError, struct.error)):
                session.run("SELECT 1")
            with suppress(Error, OSError):
                session.close()
    assert not processes(host.folder)
    assert not host.folder.exists()
    assert shared_memory() <= before


def test_a_rehearsal_that_is_killed_leaves_nothing() -> None:
    with python(BEGIN + "time.sleep(60)") as rehearsal:
        assert rehearsal.stdout is not None
        folder = rehearsal.stdout.readline().strip()
        assert processes(folder)
        rehearsal.kill()
    assert gone(folder)


def test_a_rehearsal_that_ends_without_closing_leaves_nothing() -> None:
    with python(BEGIN + "raise RuntimeError", stderr=subprocess.DEVNULL) as rehearsal:
        folder, _ = rehearsal.communicate(timeout=30)
    assert folder
    assert gone(folder.strip())


@AS_ROOT
def test_an_ordinary_user_can_do_all_of_it() -> None:
    for program in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            with python(BEGIN + USE, program, user=USER, group=RUNS_AS, extra_groups=[]) as rehearsal:
                told, _ = rehearsal.communicate(timeout=30)
        except (PermissionError, FileNotFoundError):
            continue  # this one lies where only root may look, or is not installed
        folder, found = told.splitlines()
        assert found == f"rewind {RUNS_AS}"
        assert gone(folder)
        return
    pytest.skip("no Python of this version that another user may run")


@AS_ROOT
def test_programs_that_only_root_may_see_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    found = module.installed(18)
    hidden = Path(tempfile.mkdtemp())  # which nobody else may enter
    try:
        site = found.parents[1]
        (hidden / "site").mkdir()
        for name in (found.parent.name, f"{found.parent.name}.libs"):
            (hidden / "site" / name).symlink_to(site / name)
        monkeypatch.setattr(module, "installed", lambda _: hidden / "site" / found.relative_to(site))
        with closing(ProcessGroup(18)) as host:
            for program in ("initdb", "pg_rewind"):  # the second needs a library from beside the package
                assert "18." in host.run(program, "--version").stdout
    finally:
        shutil.rmtree(hidden)


def test_a_version_that_no_wheel_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PostgresError, match=r"PostgreSQL 9: only 16, 17, 18"):
        ProcessGroup(9)
    monkeypatch.setitem(module.WHEELS, 17, ("no-such-wheel", "x", "y"))
    with pytest.raises(PostgresError, match="PostgreSQL 17: pip install no-such-wheel"):
        ProcessGroup(17)


def test_a_server_that_cannot_start_says_why() -> None:
    with closing(ProcessGroup(18)) as host:
        server = PostgresServer(host, "one")
        server.initialize()
        server.configure(shared_buffers="a lot")
        with pytest.raises(PostgresError, match=r'one: .*invalid value for parameter "shared_buffers"'):
            server.start()
        assert not server.running
        server.configure(shared_buffers="1MB")
        server.start()
        with pytest.raises(PostgresError, match="running already"):
            server.start()
        with pytest.raises(PostgresError, match="no_such_table"):
            server.query("SELECT * FROM no_such_table")
        assert server.query("SELECT 1") == [[1]]
