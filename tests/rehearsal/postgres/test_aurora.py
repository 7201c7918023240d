"""The databases behind the clusters, with a global database that only records what it is asked to do."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contract import Store
from rehearsal.aws.faults import Cut, CutConnection, Faults, Heal, Kill, Lag, Lose, Restart, Slow
from rehearsal.aws.proxy import RdsAction
from rehearsal.postgres.aurora import Aurora
from rehearsal.postgres.authentication import Secret
from rehearsal.postgres.global_database import ServerRole
from rehearsal.postgres.proxy import STOPPED

EAST, WEST, WITNESS = "us-east-1", "us-west-2", "us-east-2"


def nobody(*_: str) -> str:
    """Nobody may log in."""
    return ""


class FakeDatabase:
    """Two regions; `calls` has each call with its arguments."""

    def __init__(self, regions: Sequence[str], secret: Secret, folder: Path) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.secret, self.writer, self.roles = secret, regions[0], dict.fromkeys(regions, ServerRole.STANDBY)
        self.apart = False
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_text("an authority")
        self._ports = {region: 5000 + number for number, region in enumerate(regions)}

    def member(self, region: str) -> SimpleNamespace:
        """Its endpoint."""
        return SimpleNamespace(endpoint=SimpleNamespace(port=self._ports[region]))

    def role(self, region: str) -> ServerRole:
        """As the test says."""
        return self.roles[region]

    def failover(self, target: str, *, fence: bool) -> None:
        """Record it, and move."""
        self.calls.append(("failover", target, fence))
        self.writer = target

    def separate(self, *cut: str, apart: bool) -> None:
        """Record it: the regions that are cut off, or `apart`."""
        self.calls.append(("apart" if apart else "separate", *cut))
        self.apart = apart

    def __getattr__(self, name: str) -> object:
        return lambda *arguments: self.calls.append((name, *arguments))


@pytest.fixture
def faults() -> Faults:
    """Nothing is wrong yet."""
    return Faults()


@pytest.fixture
def aurora(faults: Faults, tmp_path: Path) -> Aurora:
    """Databases in two regions."""
    def create(regions: Sequence[str], secret: Secret) -> Any:
        return FakeDatabase(regions, secret, tmp_path)

    return Aurora([EAST, WEST], faults, nobody, create)


@pytest.fixture
def database(aurora: Aurora) -> FakeDatabase:
    """The global database."""
    found: object = aurora.database
    assert isinstance(found, FakeDatabase)
    return found


def move(action: str) -> RdsAction:
    """A move to the west, as RDS performs it."""
    return RdsAction(action, WEST, {"TargetDbClusterIdentifier": f"arn:aws:rds:{WEST}:0:cluster:c"})


def test_two_regions_have_a_port_and_an_authority(aurora: Aurora, database: FakeDatabase) -> None:
    assert aurora.ports == {EAST: 5000, WEST: 5001}
    assert aurora.authority == "an authority"
    assert database.secret is nobody


def test_a_cluster_with_a_login_is_the_writer(aurora: Aurora, database: FakeDatabase) -> None:
    aurora.follow(RdsAction("CreateDBCluster", EAST, {
        "DatabaseName": "payments", "MasterUsername": "admin", "MasterUserPassword": "secret"}))
    aurora.follow(RdsAction("CreateDBCluster", WEST, {}))
    aurora.close()
    assert database.calls == [("create", EAST, "payments", "admin", "secret"), ("join", WEST), ("close",)]


def test_the_master_gets_another_password_only_where_one_is_given(aurora: Aurora, database: FakeDatabase) -> None:
    aurora.follow(RdsAction("ModifyDBCluster", WEST, {"MasterUserPassword": "new"}))
    aurora.follow(RdsAction("ModifyDBCluster", EAST, {"DeletionProtection": "false"}))
    assert database.calls == [("set_password", WEST, "new")]


@pytest.mark.parametrize(
    ("action", "calls"),
    [("SwitchoverGlobalCluster", [("switchover", WEST)]),
     ("FailoverGlobalCluster", [("failover", WEST, True), ("join", EAST)])])
def test_the_database_follows_rds(
    aurora: Aurora, database: FakeDatabase, action: str, calls: list[tuple[object, ...]]
) -> None:
    aurora.follow(move(action))
    assert database.calls == calls


def test_a_failover_does_not_stop_a_writer_that_is_cut_off(
    aurora: Aurora, database: FakeDatabase, faults: Faults
) -> None:
    faults.inject(Cut(EAST))
    aurora.follow(move("FailoverGlobalCluster"))
    assert database.calls == [("separate", EAST), ("failover", WEST, False)]


def test_a_writer_that_a_failover_stops_across_a_cut_connection_rejoins_once_that_is_back(
    aurora: Aurora, database: FakeDatabase, faults: Faults
) -> None:
    faults.inject(CutConnection(EAST, WEST))
    faults.inject(Slow(EAST, 10))
    aurora.follow(move("FailoverGlobalCluster"))
    database.roles[EAST] = ServerRole.DOWN
    assert database.calls == [("apart",), ("failover", WEST, True)]
    faults.inject(Heal(WEST))
    assert database.calls[2:] == [("separate",), ("join", EAST)]


@pytest.mark.usefixtures("aurora")
def test_the_database_is_cut_and_healed_once(database: FakeDatabase, faults: Faults) -> None:
    faults.inject(Cut(EAST))
    faults.inject(Slow(EAST, 10))
    faults.inject(Lose(EAST, Store.LEDGER))
    faults.inject(Cut(WITNESS))
    assert database.calls == [("separate", EAST)]
    faults.inject(Heal(EAST))
    assert database.calls == [("separate", EAST), ("separate",)]


@pytest.mark.usefixtures("aurora")
def test_a_lost_ledger_is_a_cut_and_another_lost_store_is_not(database: FakeDatabase, faults: Faults) -> None:
    faults.inject(Lose(WEST, "table"))
    faults.inject(Lose(WEST, Store.LEDGER))
    faults.inject(Heal(WEST))
    assert database.calls == [("separate", WEST), ("separate",)]


@pytest.mark.usefixtures("aurora")
@pytest.mark.parametrize(
    ("role", "writer", "calls"),
    [(ServerRole.STALE, WEST, ("join", EAST)), (ServerRole.DOWN, WEST, ("join", EAST)),
     (ServerRole.DOWN, EAST, ("restart", EAST)),
     (ServerRole.STANDBY, WEST, None), (ServerRole.WRITER, EAST, None)])
def test_a_server_whose_region_is_back_takes_the_role_that_is_left(
    database: FakeDatabase, faults: Faults, role: ServerRole, writer: str, calls: tuple[object, ...] | None
) -> None:
    faults.inject(Cut(EAST))
    database.roles[EAST], database.writer = role, writer
    faults.inject(Heal(EAST))
    assert database.calls == [("separate", EAST), ("separate",), *([calls] if calls else [])]
    faults.inject(Slow(EAST, 0))
    assert len(database.calls) == (3 if calls else 2)


@pytest.mark.usefixtures("aurora")
def test_no_server_rejoins_across_a_cut_and_the_writer_comes_first(database: FakeDatabase, faults: Faults) -> None:
    faults.inject(Cut(EAST))
    faults.inject(Cut(WEST))
    database.roles, database.writer = dict.fromkeys((EAST, WEST), ServerRole.DOWN), WEST
    faults.inject(Heal(EAST))
    assert database.calls[2:] == [("separate", WEST)]
    faults.inject(Heal(WEST))
    assert database.calls[3:] == [("separate",), ("restart", WEST), ("join", EAST)]


@pytest.mark.usefixtures("aurora")
def test_a_killed_server_that_was_never_cut_off_stays_as_it_is(database: FakeDatabase, faults: Faults) -> None:
    database.roles[EAST] = ServerRole.DOWN
    faults.inject(Slow(EAST, 5))
    faults.inject(Heal(EAST))
    assert database.calls == []


@pytest.mark.usefixtures("aurora")
def test_the_lag_of_the_ledger_and_the_death_of_a_server_are_faults_too(database: FakeDatabase, faults: Faults) -> None:
    faults.inject(Lag(Store.LEDGER, EAST, WEST, STOPPED))
    faults.inject(Lag(Store.TABLE, EAST, WEST, 2))
    faults.inject(Kill(EAST))
    faults.inject(Restart(EAST))
    assert database.calls == [("delay", WEST, STOPPED), ("kill", EAST), ("restart", EAST)]
