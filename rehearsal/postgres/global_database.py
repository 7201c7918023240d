"""The global database: a writer and a streaming standby, each in a region, and what can be done to them."""

import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pg8000.native import identifier, literal

from rehearsal.postgres.authentication import CertificateAuthority
from rehearsal.postgres.endpoint import ClusterEndpoint
from rehearsal.postgres.process_group import PostgresError, ProcessGroup
from rehearsal.postgres.proxy import STOPPED, ProxyLoop, ReplicationLink
from rehearsal.postgres.server import SOCKET, TIMEOUT, PostgresServer, until

# As in RDS: who has `rds_iam` logs in with a token; the master user may give it to others and does not have it.
_ROLES = (
    "CREATE ROLE rds_iam",
    "CREATE ROLE rds_superuser",
    "GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO rds_superuser WITH ADMIN OPTION",
    "GRANT rds_iam TO rds_superuser WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
)


class ServerRole(StrEnum):
    """What a region's server is."""

    WRITER = "writer"
    STANDBY = "standby"
    STALE = "stale writer"  # failed over from and left alive: what it is told, nobody will keep
    DOWN = "down"


@dataclass(frozen=True)
class StandbyLag:
    """What a standby lacks: the age of the oldest commit (AuroraGlobalDBReplicationLag), bytes of log, and commits."""

    milliseconds: float = 0.0
    bytes: int = 0
    commits: int = 0


@dataclass(frozen=True)
class Rejoined:
    """How a server became a standby again, and what it had committed that the writer does not have."""

    method: str  # rewind, or base backup
    reason: str  # why it could not be rewound
    seconds: float
    commits: int
    bytes: int  # of log, from where the histories part to the end of the last of these commits


@dataclass
class Member:
    """A region's server, the front door to it, and its link to the other region's server, for when it is a standby."""

    region: str
    server: PostgresServer
    door: ClusterEndpoint
    link: ReplicationLink
    link_folder: Path
    is_cut: bool = False
    delay: float = 0.0


class GlobalDatabase:
    """Two regions' servers, until `close`; both front doors have their ports from the beginning.

    `keys` are the secret keys that may sign a login, by access key. Every method may be called from any thread; one
    change goes on at a time. What cannot be done raises DatabaseError, which says why.
    """

    def __init__(self, regions: tuple[str, str], keys: Mapping[str, str], major: int = 18) -> None:
        self.writer = regions[0]
        self._members: dict[str, Member] = {}
        self._lock = threading.RLock()
        with ExitStack() as stack:
            host = ProcessGroup(major)
            stack.callback(host.close)
            network = ProxyLoop()
            stack.callback(network.close)
            authority = CertificateAuthority(host.folder)
            self.ca_file = authority.file
            servers = {region: PostgresServer(host, region) for region in regions}
            for region, other in (regions, regions[::-1]):
                door = ClusterEndpoint(network, servers[region], authority, region, keys)
                stack.callback(door.close)
                folder = host.folder / f"{region}-link"
                folder.mkdir()
                host.own(folder)
                link = ReplicationLink(network, servers[other].socket, folder / SOCKET)
                stack.callback(link.close)
                self._members[region] = Member(region, servers[region], door, link, folder)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """End everything and remove it; again does nothing."""
        self._stack.close()

    def member(self, region: str) -> Member:
        """A region's part. Raises DatabaseError if there is none."""
        if region not in self._members:
            raise PostgresError(f"{region}: not a region of this database, which has {', '.join(self._members)}")
        return self._members[region]

    def role(self, region: str) -> ServerRole:
        """What a region's server is now."""
        server = self.member(region).server
        if not server.running:
            return ServerRole.DOWN
        if server.is_standby:
            return ServerRole.STANDBY
        return ServerRole.WRITER if region == self.writer else ServerRole.STALE

    # --- As AWS does

    def create(self, region: str, database: str, master: str, password: str, iam_users: Iterable[str] = ()) -> None:
        """Make the writer, with a database that belongs to its master user, who makes the other users."""
        with self._lock:
            self._need(region, ServerRole.DOWN)
            server = self.member(region).server
            server.initialize()
            server.start()
            self.writer = region
            for statement in _ROLES:
                server.query(statement)
            server.query(f"CREATE ROLE {identifier(master)} LOGIN CREATEDB CREATEROLE IN ROLE rds_superuser "
                         f"PASSWORD {literal(password)}")
            server.query(f"CREATE DATABASE {identifier(database)} OWNER {identifier(master)}")
            session = server.connect(master, database)
            for user in iam_users:
                session.run(f"CREATE USER {identifier(user)}")
                session.run(f"GRANT rds_iam TO {identifier(user)}")
            session.close()

    def join(self, region: str) -> None:
        """Make the standby, by a base backup of the writer."""
        with self._lock:
            self._need(region, ServerRole.DOWN)
            writer, member = self._reach_writer(), self.member(region)
            member.server.copy(writer.server)
            member.server.start(member.link_folder)

    def switchover(self, target: str) -> float:
        """Swap the roles without loss. Returns the seconds that it took: a few times the standby's lag, and 0.1.

        If the standby does not catch up, the writer goes on as it was, and DatabaseError is raised.
        """
        with self._lock:
            began = time.monotonic()
            self._need(target, ServerRole.STANDBY)
            new, old = self.member(target), self._reach_writer()
            if new.delay == STOPPED:
                raise PostgresError(f"{target}: replication to it is stopped")
            # The writer still takes writes. Only a standby that streams its present timeline is waited for by its stop.
            patience, far = TIMEOUT + 2 * new.delay, old.server.written()
            until(lambda: old.server.followed_to() >= far, f"{target}: catching up", patience)
            try:
                old.server.stop(timeout=patience)
                end = old.server.shut_down_at()
                until(lambda: new.server.replayed() >= end, f"{target}: receiving all")
            except PostgresError:
                if not old.server.running:
                    old.server.start()
                raise
            new.server.promote()
            self.writer = target
            old.server.start(old.link_folder)
            return time.monotonic() - began

    def failover(self, target: str, *, fence: bool = True) -> float:
        """Promote the standby without a word to the old writer; what has not reached it is lost. Returns its seconds.

        The old writer is stopped first or, unless `fence`, left as it is, in a history of its own.
        """
        with self._lock:
            began = time.monotonic()
            self._need(target, ServerRole.STANDBY)
            new, old = self.member(target), self.member(self.writer)
            new.link.cut()
            try:
                if fence:
                    old.server.stop(clean=False)
                new.server.promote()
                self.writer = target
            finally:
                self._set_links()
            return time.monotonic() - began

    def rejoin(self, region: str) -> Rejoined:
        """Make a former writer, dead or alive, a standby of the present one."""
        with self._lock:
            began = time.monotonic()
            writer, member = self._reach_writer(), self.member(region)
            if member is writer:
                raise PostgresError(f"{region}: is the writer")
            member.server.stop()
            parted = writer.server.left_at(member.server.timeline)
            lost = [] if parted is None else member.server.commits_after(parted)
            reason = member.server.rewind(writer.server)
            if reason:
                member.server.copy(writer.server)
            member.server.start(member.link_folder)
            return Rejoined("base backup" if reason else "rewind", reason, time.monotonic() - began, len(lost),
                            lost[-1].end - (parted or 0) if lost else 0)

    # --- As misfortune does

    def kill(self, region: str) -> None:
        """Kill every process of a region's server at once, whatever else is going on."""
        self.member(region).server.kill()

    def restart(self, region: str) -> None:
        """Start a dead server as what it was."""
        with self._lock:
            self._need(region, ServerRole.DOWN)
            member = self.member(region)
            member.server.start(member.link_folder if member.server.is_standby else None)

    def cut(self, region: str, *, clients: bool = True) -> None:
        """Cut a region off: its replication, and its clients unless they are said to be inside it."""
        with self._lock:
            member = self.member(region)
            member.is_cut = True
            self._set_links()
            if clients:
                member.door.cut()

    def heal(self, region: str) -> None:
        """Undo a cut."""
        with self._lock:
            member = self.member(region)
            member.is_cut = False
            self._set_links()
            member.door.refuse(refusing=False)

    def delay(self, region: str, seconds: float) -> None:
        """Let what is written elsewhere reach this region so much later, or not at all (`STOPPED`), until changed."""
        with self._lock:
            member = self.member(region)
            member.delay = seconds
            member.link.slow(to_client=seconds)

    # --- What one may know

    def lag(self, region: str) -> StandbyLag:
        """What a standby lacks of what the writer, dead or alive, has committed."""
        with self._lock:
            if region == self.writer:
                return StandbyLag()
            self._need(region, ServerRole.STANDBY)
            writer, reached = self.member(self.writer).server, self.member(region).server.replayed()
            behind = writer.written() - reached if writer.running else 0
            missing = writer.commits_after(reached) if behind > 0 or not writer.running else []
            if not missing:
                return StandbyLag(bytes=max(behind, 0))
            age = datetime.now(UTC) - missing[0].at
            return StandbyLag(max(age.total_seconds() * 1000, 0.0), max(behind, missing[-1].end - reached), len(missing))

    def catch_up(self, region: str, timeout: float = TIMEOUT) -> None:
        """Wait until a standby has everything that was written."""
        until(lambda: not self.lag(region).bytes, f"{region}: catching up", timeout)

    # --- Within

    def _need(self, region: str, role: ServerRole) -> None:
        found = self.role(region)
        if found is not role:
            raise PostgresError(f"{region}: is {found}, not {role}")

    def _reach_writer(self) -> Member:
        self._need(self.writer, ServerRole.WRITER)
        for member in self._members.values():
            if member.is_cut:
                raise PostgresError(f"{member.region}: is cut off")
        return self.member(self.writer)

    def _set_links(self) -> None:
        broken = any(member.is_cut for member in self._members.values())
        for member in self._members.values():
            if broken:
                member.link.cut()
            else:
                member.link.refuse(refusing=False)
