"""The real databases behind the emulator's clusters, kept in step with what RDS is told and with what is cut."""

from collections.abc import Sequence

from rehearsal.aws.clients import ACCOUNT, CREDENTIALS
from rehearsal.aws.faults import Faults
from rehearsal.aws.proxy import WriterMove
from rehearsal.postgres.global_database import GlobalDatabase, ServerRole

LEDGER = "ledger"  # the store's name among the faults


class Aurora:
    """A global database of PostgreSQL servers, one a region, behind front doors whose ports never change."""

    def __init__(self, regions: Sequence[str], faults: Faults) -> None:
        home, away = regions[:2]
        secret = CREDENTIALS["aws_secret_access_key"]
        keys = {CREDENTIALS["aws_access_key_id"]: secret, ACCOUNT: secret}  # the emulator gives functions the latter
        self.pair = GlobalDatabase((home, away), keys)
        self.authority = self.pair.ca_file.read_text(encoding="ascii")
        self._regions, self._faults = (home, away), faults
        self._cut, self._back = set[str](), set[str]()
        faults.listen(self._follow_faults)

    def close(self) -> None:
        """End the servers and remove what they held."""
        self.pair.close()

    def port(self, region: str) -> int | None:
        """Where a region's cluster is reached on this machine; None for a region that has none."""
        return self.pair.member(region).door.port if region in self._regions else None

    def make(self, region: str, database: str | None, username: str | None, password: str | None) -> None:
        """Make a region's cluster: the writer with its login, or a reader without."""
        if database and username and password:
            self.pair.create(region, database, username, password)
        else:
            self.pair.join(region)

    def follow(self, move: WriterMove) -> None:
        """Do to the servers what RDS was told to do to the clusters: the target is a cluster's ARN."""
        target = move.target.split(":")[3]
        old = self.pair.writer
        if move.action == "SwitchoverGlobalCluster":
            self.pair.switchover(target)
            return
        # A writer that is cut off cannot be told to stop; Aurora's own fencing is best effort.
        self.pair.failover(target, fence=old not in self._cut)
        if old not in self._cut:
            self.pair.rejoin(old)

    def _follow_faults(self) -> None:
        """Cut and heal the databases with their regions."""
        cut = {*self._faults.cut_off(), *(region for store, region in self._faults.lost() if store == LEDGER)}
        cut &= set(self._regions)
        for region in cut - self._cut:
            self.pair.cut(region)
        for region in self._cut - cut:
            self.pair.heal(region)
        self._back |= self._cut - cut
        self._cut = cut
        if not cut:  # nobody can join a writer across a cut
            for region in sorted(self._back, key=lambda region: region != self.pair.writer):
                self._come_back(region)
            self._back.clear()

    def _come_back(self, region: str) -> None:
        """What RDS does with a server whose region is back: the writer runs again, and any other one follows it."""
        role = self.pair.role(region)
        if region == self.pair.writer:
            if role is ServerRole.DOWN:
                self.pair.restart(region)
        elif role in (ServerRole.STALE, ServerRole.DOWN):
            self.pair.rejoin(region)
