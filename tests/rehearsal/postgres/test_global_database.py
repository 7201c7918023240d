"""The global database through faults and moves: what survives, what is lost, and which region writes."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError as Refused
from pg8000.exceptions import Error

from rehearsal.errors import PostgresError
from rehearsal.polling import PATIENCE, wait_until
from rehearsal.postgres.global_database import GlobalDatabase, ServerRole, StandbyLag
from rehearsal.postgres.proxy import STOPPED
from rehearsal.postgres.server import SEGMENT, PostgresServer
from tests.rehearsal.manual_clock import ManualClock
from tests.rehearsal.postgres.conftest import EAST, WEST, Connect

LOST_CONNECTION = (Error, OSError, PostgresError)
LAG = 60.0  # seconds of a clock that only the test moves


def writer_and_standby(database: GlobalDatabase) -> tuple[str, str]:
    """The regions of the two."""
    return (EAST, WEST) if database.writer == EAST else (WEST, EAST)


def insert(connection: Any, *ids: int) -> None:
    """One transaction each."""
    for number in ids:
        connection.run("INSERT INTO payments VALUES (:id)", id=number)


def inside(database: GlobalDatabase, region: str) -> Any:
    """A connection that bypasses the endpoint: a cut does not touch it."""
    return closing(database.member(region).server.connect("master", "payments"))


def rows(database: GlobalDatabase, region: str) -> list[int]:
    """What a region's server holds."""
    with inside(database, region) as session:
        return [number for number, in session.run("SELECT id FROM payments ORDER BY id")]


def wait_for_more(acknowledged: list[int], number: int = 20) -> None:
    """Wait until so many more writes are acknowledged."""
    end = len(acknowledged) + number
    wait_until(lambda: len(acknowledged) >= end, "more writes", PATIENCE)


@contextmanager
def load(connect: Connect, database: GlobalDatabase, clients: int = 3) -> Iterator[list[int]]:
    """Clients write until the block ends, on a new connection after a failure; yields the acknowledged writes."""
    acknowledged: list[int] = []
    numbers, over = count(1), threading.Event()

    def write() -> None:
        connection = None
        while not over.is_set():
            number = next(numbers)
            try:
                connection = connection or connect(database.writer)
                insert(connection, number)
                acknowledged.append(number)
            except LOST_CONNECTION:
                connection = None
                over.wait(0.01)

    threads = [threading.Thread(target=write) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield acknowledged
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_what_the_writer_commits_appears_on_the_standby(database: GlobalDatabase, connect: Connect) -> None:
    writer, standby = writer_and_standby(database)
    insert(connect(writer), 1, 2)
    database.catch_up(standby)
    assert connect(standby).run("SELECT count(*) FROM payments") == [[2]]
    assert database.lag(standby).commits == 0


def test_the_standby_takes_no_writes(database: GlobalDatabase, connect: Connect) -> None:
    with pytest.raises(Refused, match=r"25006.*read-only"):
        insert(connect(writer_and_standby(database)[1]), 1)


def test_a_switchover_under_load_loses_nothing_in_either_direction(database: GlobalDatabase, connect: Connect) -> None:
    first, second = writer_and_standby(database)
    with load(connect, database) as acknowledged:
        for target in (second, first):
            wait_for_more(acknowledged)
            database.switchover(target)
            assert database.role(target) is ServerRole.WRITER
            assert database.role(first if target == second else second) is ServerRole.STANDBY
        wait_for_more(acknowledged)
    assert set(acknowledged) <= set(rows(database, first))
    database.catch_up(second)
    assert rows(database, second) == rows(database, first)


def test_a_switchover_waits_for_a_standby_that_lags(
    database: GlobalDatabase, connect: Connect, clock: ManualClock
) -> None:
    writer, standby = writer_and_standby(database)
    database.delay(standby, LAG)
    insert(connect(writer), *range(5))
    with ThreadPoolExecutor(1) as other:
        moving = other.submit(database.switchover, standby)
        clock.wait_for_sleeper()
        assert rows(database, standby) == []
        with clock.running():
            moving.result(PATIENCE)
    assert rows(database, standby) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("obstacle", ["stopped", "cut", "way cut", "no standby", "unknown"])
def test_a_switchover_that_is_impossible_changes_nothing(
    database: GlobalDatabase, connect: Connect, obstacle: str
) -> None:
    writer, standby = writer_and_standby(database)
    target = standby
    match obstacle:
        case "stopped":
            database.delay(standby, STOPPED)
        case "cut":
            database.separate(standby)
        case "way cut":
            database.separate(apart=True)
        case "no standby":
            target = writer
        case _:
            target = "mars-1"
    with pytest.raises(PostgresError, match=r"stopped|cut off|not standby|not a region"):
        database.switchover(target)
    insert(connect(writer), 1)
    assert (database.role(writer), database.role(standby)) == (ServerRole.WRITER, ServerRole.STANDBY)


def test_a_switchover_whose_standby_dies_leaves_the_writer(
    database: GlobalDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, standby = writer_and_standby(database)
    insert(connect(writer), 1)
    server = database.member(writer).server

    def stop(timeout: float) -> None:
        database.kill(standby)
        PostgresServer.stop(server, timeout)

    with monkeypatch.context() as patch:
        patch.setattr(server, "stop", stop)
        with pytest.raises(PostgresError):
            database.switchover(standby)
    assert (database.role(writer), database.role(standby)) == (ServerRole.WRITER, ServerRole.DOWN)
    insert(connect(writer), 2)
    database.restart(standby)
    database.catch_up(standby)
    assert rows(database, standby) == [1, 2]


def test_a_failover_loses_exactly_what_the_lag_held_and_the_old_writer_discards_it(
    database: GlobalDatabase, connect: Connect
) -> None:
    old, new = writer_and_standby(database)
    connection = connect(old)
    insert(connection, 1, 2, 3)
    database.catch_up(new)
    database.delay(new, LAG)
    insert(connection, 4, 5)
    assert database.lag(new).commits == 2
    database.failover(new)
    assert rows(database, new) == [1, 2, 3]
    assert database.role(old) is ServerRole.DOWN
    database.join(old)
    insert(connect(new), 6)
    database.catch_up(old)
    assert rows(database, old) == [1, 2, 3, 6]


def test_a_failover_of_a_cut_off_region_loses_what_was_written_behind_the_cut(
    database: GlobalDatabase, connect: Connect
) -> None:
    old, new = writer_and_standby(database)
    insert(connect(old), 1)
    database.catch_up(new)
    database.separate(old)
    with inside(database, old) as session:
        insert(session, 2, 3)
    database.failover(new)
    assert rows(database, new) == [1]
    with pytest.raises(PostgresError, match="cut off"):
        database.join(old)
    database.separate()
    database.join(old)
    database.catch_up(old)
    assert rows(database, old) == [1]


def test_an_old_writer_left_alive_continues_on_its_own_timeline(database: GlobalDatabase, connect: Connect) -> None:
    old, new = writer_and_standby(database)
    database.separate(old)
    database.failover(new, fence=False)
    assert (database.role(old), database.role(new)) == (ServerRole.STALE, ServerRole.WRITER)
    with inside(database, old) as session:
        insert(session, 1, 2, 3)
    insert(connect(new), 4)
    database.separate()
    assert database.role(old) is ServerRole.STALE
    assert (rows(database, old), rows(database, new)) == ([1, 2, 3], [4])
    database.join(old)
    database.catch_up(old)
    assert rows(database, old) == [4]


def test_the_lag_is_the_one_set_and_is_measured(
    database: GlobalDatabase, connect: Connect, clock: ManualClock
) -> None:
    writer, standby = writer_and_standby(database)
    servers = [database.member(region).server for region in (writer, standby)]
    database.delay(standby, LAG)
    insert(connect(writer), 1, 2)
    committed, _ = PostgresServer.commits_missing_in(*servers)
    assert database.lag(standby, committed + timedelta(seconds=7)) == StandbyLag(7000, 2)
    assert database.lag(standby, committed - timedelta(seconds=7)) == StandbyLag(0, 2)
    assert 0 < clock.wait_for_sleeper() <= LAG
    assert rows(database, standby) == []
    with clock.running():
        database.catch_up(standby)
    assert rows(database, standby) == [1, 2]


def test_replication_can_be_stopped_and_continues(
    database: GlobalDatabase, connect: Connect, clock: ManualClock
) -> None:
    writer, standby = writer_and_standby(database)
    database.delay(standby, STOPPED)
    insert(connect(writer), *range(50))
    clock.advance(1_000_000)
    assert database.lag(standby).commits == 50
    database.delay(standby, 0)
    database.catch_up(standby)
    assert len(rows(database, standby)) == 50


def test_the_log_is_read_though_one_of_its_files_is_not_yet_written(database: GlobalDatabase, connect: Connect) -> None:
    writer, standby = writer_and_standby(database)
    database.delay(standby, STOPPED)
    insert(connect(writer), 1)
    server = database.member(writer).server
    (name,), = server.query("SELECT pg_walfile_name(pg_current_wal_lsn())")
    server.group.write(server.data / "pg_wal" / f"{name[:8]}00000000000000FF", "\0" * (SEGMENT << 20))
    assert database.lag(standby).commits == 1


def test_after_the_death_of_a_writer_under_load_what_was_replicated_survives(
    database: GlobalDatabase, connect: Connect
) -> None:
    old, new = writer_and_standby(database)
    with load(connect, database) as acknowledged:
        wait_for_more(acknowledged)
        database.delay(new, LAG)
        wait_for_more(acknowledged)
        replicated = set(rows(database, new))
        database.kill(old)
        known = set(acknowledged)
        database.failover(new)
        survivors = set(rows(database, new))
    assert replicated <= survivors
    assert known - survivors
    database.join(old)
    database.catch_up(old)
    assert rows(database, old) == rows(database, new)


def test_a_killed_writer_that_restarts_has_every_acknowledged_commit(
    database: GlobalDatabase, connect: Connect
) -> None:
    writer, standby = writer_and_standby(database)
    with load(connect, database) as acknowledged:
        wait_for_more(acknowledged, 50)
        database.kill(writer)
        assert database.role(writer) is ServerRole.DOWN
        database.restart(writer)
        wait_for_more(acknowledged)
    assert set(acknowledged) <= set(rows(database, writer))
    database.catch_up(standby)
    assert rows(database, standby) == rows(database, writer)


def test_a_standby_that_was_killed_or_cut_off_catches_up(database: GlobalDatabase, connect: Connect) -> None:
    writer, standby = writer_and_standby(database)
    connection = connect(writer)
    database.kill(standby)
    insert(connection, 1)
    database.restart(standby)
    database.catch_up(standby)
    database.separate(standby)
    insert(connection, 2)
    assert rows(database, standby) == [1]
    database.separate()
    database.catch_up(standby)
    assert rows(database, standby) == [1, 2]


def test_without_the_way_between_them_both_serve_and_the_standby_catches_up_later(
    database: GlobalDatabase, connect: Connect
) -> None:
    writer, standby = writer_and_standby(database)
    connection, other = connect(writer), connect(standby)
    database.separate(apart=True)
    insert(connection, 1)
    assert other.run("SELECT 1") == [[1]]
    assert rows(database, standby) == []
    database.separate()
    database.catch_up(standby)
    assert rows(database, standby) == [1]


def test_a_cut_drops_the_clients_of_the_region_and_refuses_new_ones(database: GlobalDatabase, connect: Connect) -> None:
    writer, standby = writer_and_standby(database)
    connection, other = connect(writer), connect(standby)
    database.separate(writer)
    with pytest.raises(LOST_CONNECTION):
        connection.run("SELECT 1")
    with pytest.raises(LOST_CONNECTION):
        connect(writer)
    assert other.run("SELECT 1") == [[1]]
    database.separate()
    assert connect(writer).run("SELECT 1") == [[1]]
