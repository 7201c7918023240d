"""One PostgreSQL server with its data directory, reached over a Unix socket that only we may use."""

import ctypes
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pg8000.exceptions import Error
from pg8000.native import Connection

from rehearsal.errors import PostgresError
from rehearsal.polling import PATIENCE, wait_until
from rehearsal.postgres.process_group import ProcessGroup, last_lines

ADMIN = "rdsadmin"  # the superuser, as in RDS, where nobody else knows its password
SOCKET = ".s.PGSQL.5432"
SEGMENT = 1  # MB of a file of the log; small ones are quick to create and copy
PAUSE = 0.005  # seconds between two polls of a server

# Nothing is flushed to disk: only a crash of the machine could lose it, not the death of a process.
SETTINGS: Mapping[str, object] = {
    "listen_addresses": "", "unix_socket_permissions": "0700", "max_connections": 100, "timezone": "UTC",
    "fsync": "off", "shared_buffers": "16MB", "max_wal_size": "256MB", "min_wal_size": "32MB",
    "checkpoint_timeout": "30min",
    "autovacuum": "off",  # its commits would be counted in the lag
    "max_worker_processes": 2, "max_logical_replication_workers": 0, "max_wal_senders": 5, "jit": "off",
    "dynamic_shared_memory_type": "mmap",  # in the data directory, so that a killed server leaves nothing in /dev/shm
    "log_checkpoints": "off",
    # A standby that was cut off for minutes catches up from the writer's files. No timeouts: a link that is held up is
    # not dead, and one that is cut is closed.
    "wal_keep_size": "512MB", "wal_retrieve_retry_interval": "100ms",
    "wal_sender_timeout": 0, "wal_receiver_timeout": 0,
}
_BY_MAJOR: Mapping[int, Mapping[str, object]] = {18: {"io_method": "sync"}}  # no workers for asynchronous reads

_FAILURES = (Error, OSError, struct.error)  # of pg8000; the last, where a server dies in the middle of a message
_COMMIT = re.compile(r" desc: COMMIT(?:_PREPARED)? (\S+ \S+) UTC")


class PostgresServer:
    """A server. `initialize` or `copy` creates its data; `start` runs it as a writer or as another server's standby.

    Positions in its log are strings, as PostgreSQL writes them (`0/3000148`).
    """

    def __init__(self, group: ProcessGroup, name: str) -> None:
        self.group, self.folder = group, group.folder / name
        self.data, self.socket = self.folder / "data", self.folder / SOCKET
        self.folder.mkdir(mode=0o700)
        group.chown(self.folder)
        group.closing.callback(self.kill)
        self._settings: dict[str, object] = {
            **SETTINGS, **_BY_MAJOR.get(group.major, {}), "unix_socket_directories": self.folder}
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = -1  # a descriptor that reaches its end once no process of this server is left
        self._session: Connection | None = None
        self._lock = threading.RLock()

    @property
    def running(self) -> bool:
        """Whether the server's main process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def is_standby(self) -> bool:
        """Whether it follows another server, or would if it ran, until it is promoted."""
        return (self.data / "standby.signal").exists()

    def initialize(self) -> None:
        """Create a new, empty database."""
        self.group.run("initdb", f"--pgdata={self.data}", f"--username={ADMIN}", "--auth=trust", "--encoding=UTF8",
                      "--locale=C", f"--wal-segsize={SEGMENT}", "--no-sync", "--no-instructions")

    def copy(self, source: "PostgresServer") -> None:
        """Replace the data directory by a base backup of a running server."""
        shutil.rmtree(self.data, ignore_errors=True)
        # The log is fetched at the end: a timer may prolong a stream in parallel to 10 s.
        self.group.run("pg_basebackup", f"--pgdata={self.data}", f"--host={source.folder}", f"--username={ADMIN}",
                      "--wal-method=fetch", "--checkpoint=fast", "--no-sync", "--no-manifest")

    def start(self, upstream: Path | None = None) -> None:
        """Start as a writer, or as a standby that streams from the socket in the folder `upstream`."""
        signal_file = self.data / "standby.signal"
        signal_file.unlink(missing_ok=True)
        self._settings.pop("primary_conninfo", None)
        if upstream:
            self.group.write(signal_file, "")
            self._settings["primary_conninfo"] = f"host={upstream} user={ADMIN} application_name={self.folder.name}"
        lines = [f"{name} = '{value}'\n" for name, value in self._settings.items()]
        self.group.write(self.data / "postgresql.conf", "".join(lines))
        self._forget()
        self._process, self._ended = self.group.start_server(["-D", str(self.data)], self.folder / "log")
        try:
            wait_until(self._ready, f"{self.folder.name}: start", pause=PAUSE)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout: float) -> None:
        """End sessions and stop; a writer waits until its standby has everything.

        Raises PostgresError, with the server killed, if it takes longer than `timeout` (s).
        """
        if self._process and self.running:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise PostgresError(f"{self.folder.name}: did not stop within {timeout:.0f} s and was killed") from None
        self._await_end()

    def kill(self) -> None:
        """Kill every process of the server at once."""
        if self._process and self.running:
            # Stopped first: it can neither react to the loss of a child nor reap it, so no process id is reused.
            self._process.send_signal(signal.SIGSTOP)
            with suppress(OSError):  # without /proc the children notice by themselves, and end
                children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
                for child in children.read_text(encoding="ascii").split():
                    os.kill(int(child), signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        self._await_end()
        # System V memory outlives its processes. The next start would remove it, but there may be none.
        with suppress(OSError, IndexError):
            identity = int((self.data / "postmaster.pid").read_text().splitlines()[6].split()[1])
            ctypes.CDLL(None).shmctl(identity, 0, None)  # IPC_RMID

    def promote(self) -> None:
        """Make a standby a writer; it keeps everything that it has received."""
        self.query("SELECT pg_promote(wait => false)")
        wait_until(lambda: self.query("SELECT pg_is_in_recovery()") == [[False]], f"{self.folder.name}: promotion",
                   pause=PAUSE)

    def connect(self, user: str = ADMIN, database: str = "postgres") -> Connection:
        """A connection that bypasses the endpoint. Raises PostgresError if the server does not take it."""
        channel = socket.socket(socket.AF_UNIX)
        try:
            channel.settimeout(PATIENCE)
            channel.connect(str(self.socket))
            return Connection(user, sock=channel, database=database, ssl_context=False)
        except _FAILURES as error:
            channel.close()  # pg8000 leaves it open
            raise PostgresError(f"{self.folder.name}: {error}") from error

    def query(self, sql: str, **values: object) -> list[list[Any]]:
        """One statement as the superuser, from any thread. Raises PostgresError."""
        with self._lock:
            if self._session is None:
                self._session = self.connect()
            try:
                return list(self._session.run(sql, **values) or ())
            except _FAILURES as error:
                self._forget()
                raise PostgresError(f"{self.folder.name}: {error}") from error

    def written(self) -> str:
        """How far a running writer's log reaches."""
        return str(self.query("SELECT pg_current_wal_flush_lsn()::text")[0][0])

    def has_applied(self, position: str) -> bool:
        """Whether a running standby has applied its writer's log up to a position."""
        return bool(self.query("SELECT pg_last_wal_replay_lsn() >= cast(:position AS pg_lsn)", position=position)[0][0])

    def is_followed_to(self, position: str) -> bool:
        """Whether a standby that streams has confirmed this running writer's log up to a position."""
        return bool(self.query("SELECT max(flush_lsn) >= cast(:position AS pg_lsn) FROM pg_stat_replication "
                               "WHERE state = 'streaming'", position=position)[0][0])

    def shut_down_at(self) -> str:
        """Where the log of a stopped server ends. Raises PostgresError unless it was stopped cleanly."""
        state = self.group.run("pg_controldata", str(self.data)).stdout
        end = re.search(r"cluster state: *shut down\n.*checkpoint location: *(\S+)", state, re.DOTALL)
        if not end:
            raise PostgresError(f"{self.folder.name}: was not stopped cleanly")
        return end[1]

    def commits_missing_in(self, standby: "PostgresServer") -> list[datetime]:
        """When this running writer committed the transactions that a standby has not applied, oldest first."""
        position = standby.query("SELECT pg_last_wal_replay_lsn()::text")[0][0]
        # For a position at the end of a file PostgreSQL names that file, but the log continues in the next one.
        first, last = self.query("SELECT pg_walfile_name(cast(:position AS pg_lsn) + 1), "
                                 "pg_walfile_name(pg_current_wal_flush_lsn())", position=position)[0]
        # Without file names it would read the size of a segment from any file, even from one that is not yet written.
        # It ends with an error where the log ends, and if there is nothing after the position.
        done = self.group.run("pg_waldump", f"--path={self.data / 'pg_wal'}", f"--start={position}",
                              "--rmgr=Transaction", first, last, check=False)
        return [datetime.fromisoformat(when).replace(tzinfo=UTC) for when in _COMMIT.findall(done.stdout)]

    def _ready(self) -> bool:
        if self._process is None or not self.running:
            raise PostgresError(f"{self.folder.name}: " + last_lines((self.folder / "log").read_text(errors="replace")))
        with suppress(OSError):
            # A killed server leaves such a file behind, so it must name this process.
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return lines[:1] == [str(self._process.pid)] and lines[7:8] == ["ready   "]
        return False

    def _await_end(self) -> None:
        """Wait until the children have ended too: they outlive a killed parent by a moment."""
        self._forget()
        with self._lock:
            ended, self._ended = self._ended, -1
        if ended != -1:
            gone, _, _ = select.select([ended], [], [], PATIENCE)
            os.close(ended)
            if not gone:
                raise PostgresError(f"{self.folder.name}: one of its processes does not end")

    def _forget(self) -> None:
        with self._lock:
            if self._session is not None:
                with suppress(*_FAILURES):
                    self._session.close()
                self._session = None
