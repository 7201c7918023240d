"""The global database: a writer and streaming standbys, each in a region, and the operations on them."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pg8000.native import identifier, literal

from rehearsal.errors import PostgresError, RehearsalError
from rehearsal.polling import PATIENCE, wait_until
from rehearsal.postgres.authentication import Secret, server_tls
from rehearsal.postgres.endpoint import ClusterEndpoint
from rehearsal.postgres.process_group import ProcessGroup
from rehearsal.postgres.proxy import STOPPED, ReplicationLink
from rehearsal.postgres.server import PAUSE, SOCKET, PostgresServer
from rehearsal.sockets import LoopClock, LoopThread

# As in RDS: a user with `rds_iam` logs in with a token. The master user may grant it and does not have it.
_ROLES = (
    "CREATE ROLE rds_iam",
    "CREATE ROLE rds_superuser",
    "GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO rds_superuser WITH ADMIN OPTION",
    "GRANT rds_iam TO rds_superuser WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
)


class ServerRole(StrEnum):
    """The role of a region's server."""

    WRITER = "writer"
    STANDBY = "standby"
    STALE = "stale writer"  # still running after a failover: what it commits will be lost
    DOWN = "down"


@dataclass(frozen=True)
class StandbyLag:
    """The commits that a standby lacks: the age of the oldest (AuroraGlobalDBReplicationLag), and their number."""

    milliseconds: float = 0.0
    commits: int = 0


@dataclass
class Member:
    """A region's server, its endpoint, and its link to the writer, for when it is a standby."""

    region: str
    server: PostgresServer
    endpoint: ClusterEndpoint
    link: ReplicationLink
    link_folder: Path
    is_cut: bool = False
    delay: float = 0.0


class GlobalDatabase:
    """Each region's server, until `close`; the ports of all endpoints are known from the beginning.

    `secret` says who may log in; `clock` times the replication lag. `apart`: whether the connection between the regions
    is cut. Any thread may call any method; changes are made one after the other. A change that is impossible raises
    PostgresError.
    """

    def __init__(self, regions: Sequence[str], secret: Secret, major: int = 18,
                 clock: LoopClock | None = None) -> None:
        self.writer, self._master, self.apart = regions[0], "", False
        self._members: dict[str, Member] = {}
        self._lock = threading.RLock()
        with ExitStack() as stack:
            network = LoopThread("database-network")
            stack.callback(network.close)
            group = ProcessGroup(major)
            stack.callback(group.close)
            self.ca_file = group.folder / "ca.pem"
            tls = server_tls(self.ca_file)
            servers = {region: PostgresServer(group, region) for region in regions}
            for region in regions:
                endpoint = ClusterEndpoint(network, servers[region], tls, region, secret)
                stack.callback(endpoint.close)
                folder = group.folder / f"{region}-link"
                folder.mkdir()
                group.chown(folder)
                link = ReplicationLink(network, servers[regions[0]].socket, folder / SOCKET, clock or LoopClock())
                stack.callback(link.close)
                self._members[region] = Member(region, servers[region], endpoint, link, folder)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """End all processes and remove all files; a second call does nothing."""
        self._stack.close()

    def member(self, region: str) -> Member:
        """A region's member. Raises PostgresError if it has none."""
        if region not in self._members:
            raise PostgresError(f"{region}: not a region of this database, which has {', '.join(self._members)}")
        return self._members[region]

    def role(self, region: str) -> ServerRole:
        """The present role of a region's server."""
        server = self.member(region).server
        if not server.running:
            return ServerRole.DOWN
        if server.is_standby:
            return ServerRole.STANDBY
        return ServerRole.WRITER if region == self.writer else ServerRole.STALE

    def create(self, region: str, database: str, master: str, password: str) -> None:
        """Create the writer, with a database that its master user owns."""
        with self._lock:
            self._require_role(region, ServerRole.DOWN)
            server = self.member(region).server
            server.initialize()
            server.start()
            self.writer = region
            self._set_links()
            self._master = master
            for statement in _ROLES:
                server.query(statement)
            server.query(f"CREATE ROLE {identifier(master)} LOGIN CREATEDB CREATEROLE IN ROLE rds_superuser "
                         f"PASSWORD {literal(password)}")
            server.query(f"CREATE DATABASE {identifier(database)} OWNER {identifier(master)}")

    def set_password(self, region: str, password: str) -> None:
        """Give the master user of a region, which must have the writer, another password."""
        with self._lock:
            self._require_role(region, ServerRole.WRITER)
            self.member(region).server.query(
                f"ALTER ROLE {identifier(self._master)} PASSWORD {literal(password)}")

    def join(self, region: str) -> None:
        """Make a region's server the standby, by a base backup of the writer.

        It may be a former writer, dead or alive: what only that one had is lost.
        """
        with self._lock:
            writer, member = self._reach_writer(region), self.member(region)
            if member is writer:
                raise PostgresError(f"{region}: is the writer")
            member.server.kill()
            member.server.copy(writer.server)
            member.server.start(member.link_folder)

    def switchover(self, target: str) -> None:
        """Swap the roles without loss, which takes a few times the standby's lag.

        If the standby does not catch up, the writer continues, and RehearsalError is raised.
        """
        with self._lock:
            self._require_role(target, ServerRole.STANDBY)
            new, old = self.member(target), self._reach_writer(target)
            if new.delay == STOPPED:
                raise PostgresError(f"{target}: replication to it is stopped")
            # The writer still accepts writes. Its stop waits only for a standby that streams its present timeline.
            patience, end = PATIENCE + 2 * new.delay, old.server.written()
            wait_until(lambda: old.server.is_followed_to(end), f"{target}: catching up", patience, pause=PAUSE)
            try:
                old.server.stop(patience)
                end = old.server.shut_down_at()
                wait_until(lambda: new.server.has_applied(end), f"{target}: receiving all", pause=PAUSE)
            except RehearsalError:
                if not old.server.running:
                    old.server.start()
                raise
            new.server.promote()
            self.writer = target
            self._set_links()
            old.server.start(old.link_folder)

    def failover(self, target: str, *, fence: bool = True) -> None:
        """Promote the standby without the old writer; what it has not received is lost.

        With `fence` the old writer is killed first; otherwise it goes on, on a timeline of its own.
        """
        with self._lock:
            self._require_role(target, ServerRole.STANDBY)
            new, old = self.member(target), self.member(self.writer)
            new.link.cut()
            try:
                if fence:
                    old.server.kill()
                new.server.promote()
                self.writer = target
            finally:
                self._set_links()

    def kill(self, region: str) -> None:
        """Kill every process of a region's server at once, even during another change."""
        self.member(region).server.kill()

    def restart(self, region: str) -> None:
        """Start a dead server in its previous role."""
        with self._lock:
            self._require_role(region, ServerRole.DOWN)
            member = self.member(region)
            member.server.start(member.link_folder if member.server.is_standby else None)

    def separate(self, *cut: str, apart: bool = False) -> None:
        """Cut these regions off: their replication, and the connections to their endpoints; heal the others.

        apart: whether the connection between the regions is cut, which stops replication alone.
        """
        with self._lock:
            self.apart = apart
            for member in self._members.values():
                member.is_cut = member.region in cut
            self._set_links()
            for member in self._members.values():
                if member.is_cut:
                    member.endpoint.cut()
                else:
                    member.endpoint.heal()

    def delay(self, region: str, seconds: float) -> None:
        """Delay the log on its way to this region by so many seconds, or stop it (`STOPPED`)."""
        with self._lock:
            member = self.member(region)
            member.delay = seconds
            member.link.slow(seconds)

    def lag(self, region: str, now: datetime | None = None) -> StandbyLag:
        """The commits of the writer, which must run, that a standby lacks. Their age is as of `now`."""
        with self._lock:
            self._require_role(region, ServerRole.STANDBY)
            missing = self.member(self.writer).server.commits_missing_in(self.member(region).server)
        now = now or datetime.now(UTC)
        age = now - min(missing, default=now)
        return StandbyLag(max(age.total_seconds() * 1000, 0.0), len(missing))

    def catch_up(self, region: str) -> None:
        """Wait until a standby has everything that was written."""
        writer, standby = self.member(self.writer).server, self.member(region).server
        wait_until(lambda: standby.has_applied(writer.written()), f"{region}: catching up", pause=PAUSE)

    def _require_role(self, region: str, role: ServerRole) -> None:
        found = self.role(region)
        if found is not role:
            raise PostgresError(f"{region}: is {found}, not {role}")

    def _reach_writer(self, region: str) -> Member:
        self._require_role(self.writer, ServerRole.WRITER)
        for member in (self.member(self.writer), self.member(region)):
            if member.is_cut:
                raise PostgresError(f"{member.region}: is cut off")
        if self.apart:
            raise PostgresError(f"{region}: the way to {self.writer} is cut off")
        return self.member(self.writer)

    def _set_links(self) -> None:
        writer = self.member(self.writer)
        for member in self._members.values():
            member.link.upstream = writer.server.socket
            if self.apart or member.is_cut or writer.is_cut:
                member.link.cut()
            else:
                member.link.heal()
