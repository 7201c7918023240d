"""The global database: its log, and its moves."""
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pg8000.exceptions import DatabaseError

from payments import ledger
from simulator.aurora import LedgerSession, RdsClient, SimulatedAurora
from tests.simulator.conftest import EAST, WEST, Machine

ARN = {region: f"arn:aws:rds:{region}:1:cluster:{region}" for region in (EAST, WEST)}


def database(machine: Machine) -> SimulatedAurora:
    """A database whose copies take a second."""
    return SimulatedAurora(machine.network, machine.history, "global", ARN, EAST, lag=lambda: 1.0)


def posting(name: str, epoch: int = 1, fingerprint: str = "f") -> dict[str, Any]:
    """The values of a posting."""
    return {"payment_id": name, "payer": "a", "payee": "b", "amount": 1, "currency": "EUR", "fingerprint": fingerprint,
            "epoch": epoch, "created_at": "now", "corrects": False}


def post(machine: Machine, aurora: SimulatedAurora, region: str, **values: Any) -> None:
    """Post in a region."""
    def work() -> None:
        LedgerSession.connect(aurora, machine.processes[region], region).run(ledger.POST, **values)

    machine.do(work, region)


def state(raised: pytest.ExceptionInfo[DatabaseError]) -> str:
    """The SQLSTATE."""
    return str(raised.value.args[0]["C"])


def move(machine: Machine, aurora: SimulatedAurora, how: str, target: str, asked_in: str) -> None:
    """Ask for a move."""
    client = RdsClient(aurora, machine.processes[asked_in], asked_in)
    machine.do(lambda: getattr(client, f"{how}_global_cluster")(TargetDbClusterIdentifier=ARN[target]), asked_in)


def test_postings_arrive_in_their_order_and_once(machine: Machine) -> None:
    aurora = database(machine)
    for name in ("p1", "p2", "p1"):
        post(machine, aurora, EAST, **posting(name))
    assert not aurora.books[WEST].postings
    machine.scheduler.run(20.0)
    assert list(aurora.books[WEST].postings) == list(aurora.books[EAST].postings) == ["p1", "p2"]


@pytest.mark.parametrize(("values", "code"), [
    (posting("p1", epoch=1), "TS001"), (posting("p2", epoch=2, fingerprint="other"), "TS002")])
def test_a_stale_epoch_and_another_request_are_refused(machine: Machine, values: dict[str, Any], code: str) -> None:
    aurora = database(machine)
    post(machine, aurora, EAST, **posting("p2", epoch=2))
    with pytest.raises(DatabaseError) as raised:
        post(machine, aurora, EAST, **values)
    assert state(raised) == code


def test_the_writer_endpoint_of_a_standby_leads_nowhere_and_its_reader_reads(machine: Machine) -> None:
    aurora, process = database(machine), machine.processes[WEST]
    with pytest.raises(OSError, match="no route"):
        machine.do(lambda: LedgerSession.connect(aurora, process, WEST), WEST)
    found = machine.do(lambda: LedgerSession.connect(aurora, process, WEST, reader=True).run(ledger.STATE), WEST)
    assert found == [[0, None]]


def test_a_failover_loses_the_tail_and_the_old_writer_rejoins_without_it(machine: Machine) -> None:
    aurora = database(machine)
    post(machine, aurora, EAST, **posting("p1"))
    machine.scheduler.run(5.0)
    aurora.stalled = True
    post(machine, aurora, EAST, **posting("lost"))
    machine.network.dead[EAST] = machine.scheduler.now
    move(machine, aurora, "failover", WEST, WEST)
    machine.scheduler.run(100.0)
    assert (aurora.writer, aurora.accepting[EAST]) == (WEST, True)  # nobody could fence it
    post(machine, aurora, WEST, **posting("p2", epoch=2))
    machine.network.dead.clear()
    aurora.stalled = False
    aurora.drain()
    assert aurora.rejoining(EAST)
    machine.scheduler.run(300.0)
    assert not aurora.rejoining(EAST)
    assert list(aurora.books[EAST].postings) == ["p1", "p2"]
    assert [event.facts for event in machine.history.of("rejoined")] == [{"discarded": 1}]


def test_a_switchover_loses_nothing_and_waits_for_the_standby(machine: Machine) -> None:
    aurora = database(machine)
    aurora.stalled = True
    post(machine, aurora, EAST, **posting("p1"))
    move(machine, aurora, "switchover", WEST, EAST)
    machine.scheduler.run(200.0)
    assert (aurora.writer, aurora.moving) == (EAST, "switchover")
    aurora.stalled = False
    machine.scheduler.run(300.0)
    assert (aurora.writer, aurora.moving) == (WEST, "")
    assert list(aurora.books[WEST].postings) == ["p1"]
    with pytest.raises(DatabaseError) as raised:
        aurora.commit(EAST, posting("p2"))
    assert state(raised) == "25006"


def test_a_switchover_to_a_region_that_is_cut_off_is_given_up(machine: Machine) -> None:
    aurora = database(machine)
    machine.network.cuts |= {(EAST, WEST), (WEST, EAST)}
    move(machine, aurora, "switchover", WEST, EAST)
    machine.scheduler.run(1000.0)
    assert (aurora.writer, aurora.moving, aurora.accepting[EAST]) == (EAST, "", True)


@pytest.mark.parametrize(("how", "target", "asked_in"), [
    ("failover", EAST, EAST), ("switchover", EAST, EAST), ("switchover", WEST, WEST)])
def test_a_move_that_makes_no_sense_is_refused(machine: Machine, how: str, target: str, asked_in: str) -> None:
    aurora = database(machine)
    with pytest.raises(ClientError) as raised:
        move(machine, aurora, how, target, asked_in)
    assert raised.value.response["Error"]["Code"] == "InvalidGlobalClusterStateFault"


def test_who_asks_for_a_move_is_reported_with_the_number_of_the_call(machine: Machine) -> None:
    aurora, asked = database(machine), []
    aurora.asked = lambda *given: asked.append(given[1:])
    machine.processes[WEST].calls = 7
    move(machine, aurora, "failover", WEST, WEST)
    assert asked == [(WEST, "failover", 8)]
