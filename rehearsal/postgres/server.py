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
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pg8000.exceptions import Error
from pg8000.native import Connection

from rehearsal.errors import PostgresError
from rehearsal.polling import wait_until
from rehearsal.postgres.process_group import ProcessGroup, last_lines

ADMIN = "rdsadmin"  # the superuser, as in RDS, where nobody else knows its password
SOCKET = ".s.PGSQL.5432"
SEGMENT = 1 << 20  # bytes of a file of the log; small ones are made and copied quickly
TIMEOUT = 30.0  # seconds for a start, a stop, a promotion or a query; each takes less than one
PAUSE = 0.005  # seconds between two looks at a server

# Nothing is flushed to disk: only a crash of the machine could lose it, not the death of a process.
# full_page_writes and data checksums stay on, because pg_rewind needs them.
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
_COMMIT = re.compile(r"len \(rec/tot\): *\d+/ *(\d+),.* lsn: (\w+/\w+),.* desc: COMMIT(?:_PREPARED)? (\S+ \S+) UTC")


@dataclass(frozen=True)
class Commit:
    """A committed transaction in a server's log: where its record ends (bytes), and when it was committed."""

    end: int
    at: datetime


def position(text: str) -> int:
    """A place in the log, as PostgreSQL writes it (`0/3000148`), in bytes."""
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


class PostgresServer:
    """A server that `initialize` or `copy` makes, and `start` runs as a writer or as a standby of another server."""

    def __init__(self, group: ProcessGroup, name: str) -> None:
        self.group, self.folder = group, group.folder / name
        self.data, self.socket = self.folder / "data", self.folder / SOCKET
        self.folder.mkdir(mode=0o700)
        group.chown(self.folder)
        group.closing.callback(self.kill)
        self._settings: dict[str, object] = {
            **SETTINGS, **_BY_MAJOR.get(group.major, {}), "unix_socket_directories": self.folder}
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = -1  # reads as ended once no process of this server is left
        self._session: Connection | None = None
        self._lock = threading.RLock()

    @property
    def running(self) -> bool:
        """Whether the server's first process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def is_standby(self) -> bool:
        """Whether it follows another server, or would if it ran; a promotion ends that."""
        return (self.data / "standby.signal").exists()

    @property
    def timeline(self) -> int:
        """The number of the history that this server's log is in; each promotion begins a new one."""
        return max((int(file.name[:8], 16) for file in self._segments()), default=0)

    def initialize(self) -> None:
        """A new, empty database."""
        self.group.run("initdb", f"--pgdata={self.data}", f"--username={ADMIN}", "--auth=trust", "--encoding=UTF8",
                      "--locale=C", "--data-checksums", f"--wal-segsize={SEGMENT >> 20}", "--no-sync",
                      "--no-instructions")

    def copy(self, source: "PostgresServer") -> None:
        """Replace the data directory by a base backup of a running server."""
        shutil.rmtree(self.data, ignore_errors=True)
        # The log is fetched at the end: streaming it in parallel may take 10 s, a timer of the stream.
        self.group.run("pg_basebackup", f"--pgdata={self.data}", f"--host={source.folder}", f"--username={ADMIN}",
                      "--wal-method=fetch", "--checkpoint=fast", "--no-sync", "--no-manifest")

    def rewind(self, source: "PostgresServer") -> str:
        """Undo what a running writer does not have. Returns why that is impossible, or an empty string."""
        source.query("CHECKPOINT")  # its control file shows a promotion only after one
        done = self.group.run("pg_rewind", f"--target-pgdata={self.data}", "--no-sync",
                             f"--source-server=host={source.folder} user={ADMIN} dbname=postgres", check=False)
        return last_lines(done.stderr) if done.returncode else ""

    def start(self, upstream: Path | None = None) -> None:
        """Start as a writer, or as a standby that streams from the socket in the folder `upstream`."""
        if self.running:
            raise PostgresError(f"{self.folder.name}: is running already")
        signal_file = self.data / "standby.signal"
        signal_file.unlink(missing_ok=True)
        self._settings.pop("primary_conninfo", None)
        if upstream:
            self.group.write(signal_file, "")
            self._settings["primary_conninfo"] = f"host={upstream} user={ADMIN} application_name={self.folder.name}"
        self._write_settings()
        self._forget()
        self._process, self._ended = self.group.start_server(["-D", str(self.data)], self.folder / "log")
        try:
            wait_until(self._ready, f"{self.folder.name}: start", TIMEOUT, pause=PAUSE)
        except BaseException:
            self.kill()
            raise

    def stop(self, *, clean: bool = True, timeout: float = TIMEOUT) -> None:
        """End sessions and stop; a clean stop of a writer waits until its standby has everything.

        Raises PostgresError, with the server killed, if it takes too long.
        """
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(signal.SIGINT if clean else signal.SIGQUIT)
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise PostgresError(f"{self.folder.name}: did not stop within {timeout:.0f} s and was killed") from None
        self._await_end()

    def kill(self) -> None:
        """Kill every process of the server at once."""
        if self._process is None:
            return
        if self.running:
            # Stopped first: it can neither react to the loss of a child nor reap it, so no process id is reused.
            self._process.send_signal(signal.SIGSTOP)
            with suppress(OSError):  # without /proc the children notice by themselves, and end
                children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
                for child in children.read_text(encoding="ascii").split():
                    os.kill(int(child), signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        self._await_end()
        self._remove_shared_memory()

    def promote(self) -> None:
        """Make a standby a writer; it keeps everything that it has received."""
        self.query("SELECT pg_promote(wait => false)")
        wait_until(lambda: self.query("SELECT pg_is_in_recovery()") == [[False]], f"{self.folder.name}: promotion",
                   TIMEOUT, pause=PAUSE)

    def connect(self, user: str = ADMIN, database: str = "postgres") -> Connection:
        """A connection that bypasses the endpoint. Raises PostgresError if the server does not take it."""
        channel = socket.socket(socket.AF_UNIX)
        try:
            channel.settimeout(TIMEOUT)
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

    def written(self) -> int:
        """How far a running writer's log reaches."""
        return position(self.query("SELECT pg_current_wal_flush_lsn()::text")[0][0])

    def replayed(self) -> int:
        """How far a running standby has applied its writer's log."""
        return position(self.query("SELECT pg_last_wal_replay_lsn()::text")[0][0])

    def followed_to(self) -> int:
        """How much of this running writer's log a standby has confirmed; 0 while none streams."""
        reached = self.query("SELECT max(flush_lsn)::text FROM pg_stat_replication WHERE state = 'streaming'")[0][0]
        return position(reached) if reached else 0

    def shut_down_at(self) -> int:
        """Where the log of a stopped server ends. Raises PostgresError unless it was stopped cleanly."""
        state = self.group.run("pg_controldata", str(self.data)).stdout
        end = re.search(r"cluster state: *shut down\n.*checkpoint location: *(\S+)", state, re.DOTALL)
        if not end:
            raise PostgresError(f"{self.folder.name}: was not stopped cleanly")
        return position(end[1])

    def commits_after(self, place: int) -> list[Commit]:
        """The transactions in the log after a place, oldest first; the server need not run."""
        timeline, low = self.timeline, place & 0xFFFFFFFF
        first = f"{timeline:08X}{place >> 32:08X}{low // SEGMENT:08X}"
        last = max((file.name for file in self._segments() if file.name.startswith(first[:8])), default=first)
        # Without file names it would read the size of a segment from any file, even from one that is not yet written.
        # It ends with an error where the log ends, and if there is nothing after the place.
        done = self.group.run("pg_waldump", f"--path={self.data / 'pg_wal'}", f"--start={place >> 32:X}/{low:X}",
                             "--rmgr=Transaction", first, last, check=False)
        return [Commit(position(at) + int(length), datetime.fromisoformat(when).replace(tzinfo=UTC))
                for length, at, when in _COMMIT.findall(done.stdout)]

    def _segments(self) -> Iterator[Path]:
        return (self.data / "pg_wal").glob("?" * 24)

    def _write_settings(self) -> None:
        lines = [f"{name} = '{value}'\n" for name, value in self._settings.items()]
        self.group.write(self.data / "postgresql.conf", "".join(lines))

    def _ready(self) -> bool:
        if self._process is None or not self.running:
            raise PostgresError(f"{self.folder.name}: " + last_lines((self.folder / "log").read_text(errors="replace")))
        with suppress(OSError):
            # A killed server has left such a file too, so it must name this process.
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return lines[:1] == [str(self._process.pid)] and lines[7:8] == ["ready   "]
        return False

    def _await_end(self) -> None:
        """Wait until the children have ended too: they outlive a killed parent by a moment."""
        self._forget()
        with self._lock:
            ended, self._ended = self._ended, -1
        if ended != -1:
            gone, _, _ = select.select([ended], [], [], TIMEOUT)
            os.close(ended)
            if not gone:
                raise PostgresError(f"{self.folder.name}: one of its processes does not end")

    def _remove_shared_memory(self) -> None:
        # System V memory outlives its processes. The next start would remove it, but there may be none.
        with suppress(OSError, IndexError):
            identity = int((self.data / "postmaster.pid").read_text().splitlines()[6].split()[1])
            ctypes.CDLL(None).shmctl(identity, 0, None)  # IPC_RMID

    def _forget(self) -> None:
        with self._lock:
            if self._session is not None:
                with suppress(*_FAILURES):
                    self._session.close()
                self._session = None
