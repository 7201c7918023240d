"""The databases behind the clusters, with a pair that only writes down what it is told."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from rehearsal.aws.faults import Faults
from rehearsal.aws.proxy import WriterMove
from rehearsal.postgres import aurora
from rehearsal.postgres.aurora import LEDGER, Aurora
from rehearsal.postgres.global_database import ServerRole

EAST, WEST, WITNESS = "us-east-1", "us-west-2", "us-east-2"


class FakePair:
    """Two regions; `told` has each call with its arguments."""

    def __init__(self, regions: tuple[str, str], keys: dict[str, str], folder: Path) -> None:
        self.told: list[tuple[object, ...]] = []
        self.keys, self.writer, self.roles = keys, regions[0], dict.fromkeys(regions, ServerRole.STANDBY)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_text("an authority")
        self._ports = {region: 5000 + number for number, region in enumerate(regions)}

    def member(self, region: str) -> SimpleNamespace:
        """Its door."""
        return SimpleNamespace(door=SimpleNamespace(port=self._ports[region]))

    def role(self, region: str) -> ServerRole:
        """As the test says."""
        return self.roles[region]

    def failover(self, target: str, *, fence: bool) -> None:
        """Write it down, and move."""
        self.told.append(("failover", target, fence))
        self.writer = target

    def __getattr__(self, name: str) -> object:
        return lambda *arguments: self.told.append((name, *arguments))


@pytest.fixture
def faults() -> Faults:
    """Nothing is wrong yet."""
    return Faults()


@pytest.fixture
def databases(faults: Faults, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Aurora:
    """Databases in two of three regions."""
    monkeypatch.setattr(aurora, "GlobalDatabase", lambda regions, keys: FakePair(regions, keys, tmp_path))
    return Aurora([EAST, WEST, WITNESS], faults)


@pytest.fixture
def pair(databases: Aurora) -> FakePair:
    """Their pair."""
    made: object = databases.pair
    assert isinstance(made, FakePair)
    return made


def move(action: str) -> WriterMove:
    """What RDS is told."""
    return WriterMove(action, "g", f"arn:aws:rds:{WEST}:0:cluster:c", allow_data_loss=True)


def test_two_regions_have_a_port_and_an_authority(databases: Aurora, pair: FakePair) -> None:
    assert [databases.port(region) for region in (EAST, WEST, WITNESS)] == [5000, 5001, None]
    assert databases.authority == "an authority"
    assert pair.keys == {"test": "test", "000000000000": "test"}


def test_who_has_a_login_is_the_writer(databases: Aurora, pair: FakePair) -> None:
    databases.make(EAST, "payments", "admin", "secret")
    databases.make(WEST, None, None, None)
    databases.close()
    assert pair.told == [("create", EAST, "payments", "admin", "secret"), ("join", WEST), ("close",)]


@pytest.mark.parametrize(
    ("action", "told"),
    [("SwitchoverGlobalCluster", [("switchover", WEST)]),
     ("FailoverGlobalCluster", [("failover", WEST, True), ("rejoin", EAST)])])
def test_the_pair_follows_rds(
    databases: Aurora, pair: FakePair, action: str, told: list[tuple[object, ...]]
) -> None:
    databases.follow(move(action))
    assert pair.told == told


def test_a_writer_that_is_cut_off_is_not_told_of_a_failover(
    databases: Aurora, pair: FakePair, faults: Faults
) -> None:
    faults.cut(EAST)
    databases.follow(move("FailoverGlobalCluster"))
    assert pair.told == [("cut", EAST), ("failover", WEST, False)]


@pytest.mark.usefixtures("databases")
def test_the_pair_is_cut_and_healed_once(pair: FakePair, faults: Faults) -> None:
    faults.cut(EAST)
    faults.slow(EAST, 10)
    faults.lose(EAST, LEDGER)
    faults.cut(WITNESS)
    assert pair.told == [("cut", EAST)]
    faults.heal(EAST)
    assert pair.told == [("cut", EAST), ("heal", EAST)]


@pytest.mark.usefixtures("databases")
def test_a_lost_ledger_is_a_cut_and_another_lost_store_is_none(pair: FakePair, faults: Faults) -> None:
    faults.lose(WEST, "table")
    faults.lose(WEST, LEDGER)
    faults.heal(WEST)
    assert pair.told == [("cut", WEST), ("heal", WEST)]


@pytest.mark.usefixtures("databases")
@pytest.mark.parametrize(
    ("role", "writer", "told"),
    [(ServerRole.STALE, WEST, ("rejoin", EAST)), (ServerRole.DOWN, WEST, ("rejoin", EAST)), (ServerRole.DOWN, EAST, ("restart", EAST)),
     (ServerRole.STANDBY, WEST, None), (ServerRole.WRITER, EAST, None)])
def test_a_server_whose_region_is_back_takes_the_place_that_is_left(
    pair: FakePair, faults: Faults, role: ServerRole, writer: str, told: tuple[object, ...] | None
) -> None:
    faults.cut(EAST)
    pair.roles[EAST], pair.writer = role, writer
    faults.heal(EAST)
    assert pair.told == [("cut", EAST), ("heal", EAST), *([told] if told else [])]
    faults.slow(EAST, 0)
    assert len(pair.told) == (3 if told else 2)


@pytest.mark.usefixtures("databases")
def test_nobody_rejoins_across_a_cut_and_the_writer_comes_first(pair: FakePair, faults: Faults) -> None:
    faults.cut(EAST)
    faults.cut(WEST)
    pair.roles, pair.writer = dict.fromkeys((EAST, WEST), ServerRole.DOWN), WEST
    faults.heal(EAST)
    assert pair.told[2:] == [("heal", EAST)]
    faults.heal(WEST)
    assert pair.told[3:] == [("heal", WEST), ("restart", WEST), ("rejoin", EAST)]


@pytest.mark.usefixtures("databases")
def test_a_killed_server_that_was_never_cut_off_stays_as_it_is(pair: FakePair, faults: Faults) -> None:
    pair.roles[EAST] = ServerRole.DOWN
    faults.slow(EAST, 5)
    faults.heal(EAST)
    assert pair.told == []
