"""Runs the real databases behind the emulated clusters: they follow the calls to RDS, and carry out faults."""

from collections.abc import Callable, Mapping, Sequence

from contract import Store
from rehearsal.aws.faults import Cut, CutConnection, Fault, Faults, Heal, Kill, Lag, Lose, Restart
from rehearsal.aws.proxy import RdsAction
from rehearsal.postgres.authentication import Secret
from rehearsal.postgres.global_database import GlobalDatabase, ServerRole


class Aurora:
    """A global database of PostgreSQL servers in its regions, behind endpoints whose ports never change.

    The writer is in the first one. `secret` says who may log in by IAM.
    """

    def __init__(self, regions: Sequence[str], faults: Faults, secret: Secret,
                 create: Callable[[Sequence[str], Secret], GlobalDatabase] = GlobalDatabase) -> None:
        self._regions = tuple(regions)
        self.database = create(self._regions, secret)
        self.authority = self.database.ca_file.read_text(encoding="ascii")
        self._faults = faults
        self._cut, self._healed = set[str](), set[str]()
        faults.listen(self._carry_out)

    def close(self) -> None:
        """End the servers and remove their files."""
        self.database.close()

    @property
    def ports(self) -> Mapping[str, int]:
        """The port of each region's cluster on this machine."""
        return {region: self.database.member(region).endpoint.port for region in self._regions}

    def follow(self, action: RdsAction) -> None:
        """Do to the servers what RDS has done to its clusters.

        That is to create a cluster, the writer if it has a login, to give the master another password, or to move the
        writer.
        """
        match action:
            case RdsAction("CreateDBCluster", region, {
                    "DatabaseName": name, "MasterUsername": master, "MasterUserPassword": password}):
                self.database.create(region, name, master, password)
            case RdsAction("CreateDBCluster", region):
                self.database.join(region)
            case RdsAction("ModifyDBCluster", region, {"MasterUserPassword": password}):
                self.database.set_password(region, password)
            case RdsAction("SwitchoverGlobalCluster", _, {"TargetDbClusterIdentifier": target}):
                self.database.switchover(target.split(":")[3])
            case RdsAction("FailoverGlobalCluster", _, {"TargetDbClusterIdentifier": target}):
                # A writer that is cut off cannot be stopped; Aurora's own fencing is best effort, too.
                old, reached = self.database.writer, self.database.writer not in self._cut
                self.database.failover(target.split(":")[3], fence=reached)
                if reached and not self.database.apart:
                    self.database.join(old)

    def _carry_out(self, fault: Fault) -> None:
        match fault:
            case Lag(store=Store.LEDGER):
                self.database.delay(fault.target, fault.seconds)
            case Kill():
                self.database.kill(fault.region)
            case Restart():
                self.database.restart(fault.region)
            case Cut() | CutConnection() | Lose() | Heal():
                self._cut_and_heal()
            case _:
                pass

    def _cut_and_heal(self) -> None:
        """Cut a database that is cut off or lost, or the connection between them, and heal the others."""
        cut = {*self._faults.cut_off(), *(region for store, region in self._faults.lost() if store == Store.LEDGER)}
        cut &= set(self._regions)
        apart, was_apart = self._faults.connection_cut, self.database.apart
        if (cut, apart) != (self._cut, was_apart):
            self.database.separate(*sorted(cut), apart=apart)
        self._healed |= {*self._regions} if was_apart and not apart else self._cut - cut
        self._cut = cut
        if self.database.writer not in cut and not apart:  # no server can join a writer across a cut
            for region in sorted(self._healed - cut, key=lambda region: region != self.database.writer):
                self._bring_back(region)
            self._healed &= cut

    def _bring_back(self, region: str) -> None:
        """Do what RDS does with a server whose region is back: the writer runs again, and any other one follows it."""
        role = self.database.role(region)
        if region == self.database.writer:
            if role is ServerRole.DOWN:
                self.database.restart(region)
        elif role in (ServerRole.STALE, ServerRole.DOWN):
            self.database.join(region)
