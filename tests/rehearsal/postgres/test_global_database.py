"""The pair through thick and thin: what is kept, what is lost, who writes, and who follows."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError as Refused
from pg8000.exceptions import Error

from rehearsal.postgres.global_database import GlobalDatabase, ServerRole, StandbyLag
from rehearsal.postgres.process_group import PostgresError
from rehearsal.postgres.proxy import STOPPED
from rehearsal.postgres.server import SEGMENT
from tests.rehearsal.postgres.conftest import EAST, WEST, Connect

LOST_CONNECTION = (Error, OSError, PostgresError)


def sides(pair: GlobalDatabase) -> tuple[str, str]:
    """The writer's region and the standby's."""
    return (EAST, WEST) if pair.writer == EAST else (WEST, EAST)


def insert(connection: Any, *ids: int) -> None:
    """One transaction each."""
    for number in ids:
        connection.run("INSERT INTO payments VALUES (:id)", id=number)


def rows(pair: GlobalDatabase, region: str) -> list[int]:
    """What a region's server holds, asked past its front door."""
    session = pair.member(region).server.connect(database="payments")
    found = session.run("SELECT id FROM payments ORDER BY id")
    session.close()
    return [number for number, in found]


def eventually(holds: Callable[[], bool], within: float = 5.0) -> None:
    """Wait for something to hold."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def load(connect: Connect, pair: GlobalDatabase, clients: int = 3) -> Iterator[list[int]]:
    """Clients write until the block ends, on a new connection after a failure; gives what they know is committed."""
    acknowledged: list[int] = []
    numbers, over = count(1), threading.Event()

    def write() -> None:
        connection = None
        while not over.is_set():
            number = next(numbers)
            try:
                connection = connection or connect(pair.writer)
                insert(connection, number)
                acknowledged.append(number)
            except LOST_CONNECTION:
                connection = None
                time.sleep(0.01)

    threads = [threading.Thread(target=write) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield acknowledged
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_what_the_writer_takes_appears_on_the_standby(pair: GlobalDatabase, connect: Connect) -> None:
    writer, standby = sides(pair)
    insert(connect(writer), 1, 2)
    pair.catch_up(standby)
    assert connect(standby).run("SELECT count(*) FROM payments") == [[2]]
    assert pair.lag(standby) == StandbyLag()


def test_the_standby_takes_no_writes(pair: GlobalDatabase, connect: Connect) -> None:
    with pytest.raises(Refused, match=r"25006.*read-only"):
        insert(connect(sides(pair)[1]), 1)


def test_a_switchover_under_load_loses_nothing_in_either_direction(pair: GlobalDatabase, connect: Connect) -> None:
    first, second = sides(pair)
    with load(connect, pair) as acknowledged:
        for target in (second, first):
            before = len(acknowledged)
            eventually(lambda before=before: len(acknowledged) > before + 20)  # type: ignore[misc]
            pair.switchover(target)
            assert pair.role(target) is ServerRole.WRITER
            assert pair.role(first if target == second else second) is ServerRole.STANDBY
        before = len(acknowledged)
        eventually(lambda: len(acknowledged) > before + 20)
    assert set(acknowledged) <= set(rows(pair, first))
    pair.catch_up(second)
    assert rows(pair, second) == rows(pair, first)


def test_a_switchover_waits_for_a_standby_that_lags(pair: GlobalDatabase, connect: Connect) -> None:
    writer, standby = sides(pair)
    pair.delay(standby, 0.3)
    insert(connect(writer), *range(5))
    assert pair.switchover(standby) > 0.3
    assert rows(pair, standby) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("obstacle", ["stopped", "cut", "no standby", "unknown"])
def test_a_switchover_that_cannot_be_is_refused_and_changes_nothing(
    pair: GlobalDatabase, connect: Connect, obstacle: str
) -> None:
    writer, standby = sides(pair)
    target = standby
    match obstacle:
        case "stopped":
            pair.delay(standby, STOPPED)
        case "cut":
            pair.cut(standby)
        case "no standby":
            target = writer
        case _:
            target = "mars-1"
    with pytest.raises(PostgresError, match=r"stopped|cut off|not standby|not a region"):
        pair.switchover(target)
    insert(connect(writer), 1)
    assert (pair.role(writer), pair.role(standby)) == (ServerRole.WRITER, ServerRole.STANDBY)


def test_a_switchover_whose_standby_dies_leaves_the_writer(pair: GlobalDatabase, connect: Connect) -> None:
    writer, standby = sides(pair)
    pair.delay(standby, 0.3)
    connection = connect(writer)
    insert(connection, 1)

    def misfortune() -> None:
        with suppress(*LOST_CONNECTION):
            while True:  # until the writer is being stopped
                connection.run("SELECT 1")
        pair.kill(standby)

    with ThreadPoolExecutor() as other:
        other.submit(misfortune)
        with pytest.raises(PostgresError):
            pair.switchover(standby)
    assert (pair.role(writer), pair.role(standby)) == (ServerRole.WRITER, ServerRole.DOWN)
    insert(connect(writer), 2)
    pair.restart(standby)
    pair.catch_up(standby)
    assert rows(pair, standby) == [1, 2]


def test_a_failover_loses_exactly_what_the_lag_held_and_the_old_writer_discards_it(
    pair: GlobalDatabase, connect: Connect
) -> None:
    old, new = sides(pair)
    connection = connect(old)
    insert(connection, 1, 2, 3)
    pair.catch_up(new)
    pair.delay(new, 60)
    insert(connection, 4, 5)
    time.sleep(0.1)  # they are on their way; a standby that had received them would keep them
    pair.failover(new)
    assert rows(pair, new) == [1, 2, 3]
    assert pair.role(old) is ServerRole.DOWN
    rejoined = pair.rejoin(old)
    assert (rejoined.method, rejoined.commits) == ("rewind", 2)
    assert rejoined.bytes > 0
    insert(connect(new), 6)
    pair.catch_up(old)
    assert rows(pair, old) == [1, 2, 3, 6]


def test_a_failover_of_a_cut_off_region_loses_what_was_written_behind_the_cut(pair: GlobalDatabase, connect: Connect) -> None:
    old, new = sides(pair)
    connection = connect(old)
    insert(connection, 1)
    pair.catch_up(new)
    pair.cut(old, clients=False)
    insert(connection, 2, 3)
    pair.failover(new)
    assert rows(pair, new) == [1]
    with pytest.raises(PostgresError, match="cut off"):
        pair.rejoin(old)
    pair.heal(old)
    assert pair.rejoin(old).commits == 2


def test_an_old_writer_left_alive_goes_on_in_a_history_of_its_own(pair: GlobalDatabase, connect: Connect) -> None:
    old, new = sides(pair)
    inside = connect(old)
    pair.cut(old, clients=False)
    pair.failover(new, fence=False)
    assert (pair.role(old), pair.role(new)) == (ServerRole.STALE, ServerRole.WRITER)
    insert(inside, 1, 2, 3)
    insert(connect(new), 4)
    assert (rows(pair, old), rows(pair, new)) == ([1, 2, 3], [4])
    pair.heal(old)
    time.sleep(0.3)  # neither follows the other by itself
    assert (rows(pair, old), rows(pair, new)) == ([1, 2, 3], [4])
    assert pair.rejoin(old).commits == 3
    pair.catch_up(old)
    assert rows(pair, old) == [4]


def test_the_lag_is_the_one_set_and_is_measured(pair: GlobalDatabase, connect: Connect) -> None:
    writer, standby = sides(pair)
    connection = connect(writer)
    pair.delay(standby, 0.6)
    insert(connection, 1)
    began = time.monotonic()
    insert(connection, 2)
    time.sleep(0.3)
    lag = pair.lag(standby)
    assert 300 <= lag.milliseconds < 600
    assert lag.commits == 2
    assert lag.bytes > 0
    assert rows(pair, standby) == []
    pair.catch_up(standby)
    assert 0.55 < time.monotonic() - began < 0.9
    assert rows(pair, standby) == [1, 2]


def test_replication_can_be_stopped_and_let_go_again(pair: GlobalDatabase, connect: Connect) -> None:
    writer, standby = sides(pair)
    pair.delay(standby, STOPPED)
    insert(connect(writer), *range(50))
    first = pair.lag(standby)
    time.sleep(0.2)
    second = pair.lag(standby)
    assert (second.commits, second.bytes) == (50, first.bytes)
    assert second.milliseconds - first.milliseconds >= 200
    pair.delay(standby, 0)
    pair.catch_up(standby, timeout=1)
    assert len(rows(pair, standby)) == 50


def test_the_log_is_read_though_a_file_of_it_is_yet_to_be_written(pair: GlobalDatabase, connect: Connect) -> None:
    writer, standby = sides(pair)
    pair.delay(standby, STOPPED)
    insert(connect(writer), 1)
    server = pair.member(writer).server
    server.host.write(server.data / "pg_wal" / f"{server.timeline:08X}00000000000000FF", "\0" * SEGMENT)
    assert pair.lag(standby).commits == 1


def test_the_lag_behind_a_dead_writer_is_known(pair: GlobalDatabase, connect: Connect) -> None:
    writer, standby = sides(pair)
    pair.delay(standby, STOPPED)
    insert(connect(writer), 1, 2, 3)
    pair.kill(writer)
    assert pair.lag(standby).commits == 3


@pytest.mark.parametrize("moment", [0.05, 0.2])
def test_a_writer_killed_under_load_keeps_what_was_acknowledged_and_replicated(
    pair: GlobalDatabase, connect: Connect, moment: float
) -> None:
    old, new = sides(pair)
    pair.delay(new, 0.1)
    with load(connect, pair) as acknowledged:
        eventually(lambda: len(acknowledged) > 20)
        time.sleep(moment)
        replicated = rows(pair, new)
        pair.kill(old)
        known = set(acknowledged)
        pair.failover(new)
        kept = set(rows(pair, new))
    assert set(replicated) <= kept
    rejoined = pair.rejoin(old)
    assert rejoined.commits >= len(known - kept)  # the rest was committed and could not be acknowledged
    pair.catch_up(old)
    assert rows(pair, old) == rows(pair, new)


def test_a_killed_writer_that_starts_again_has_every_acknowledged_commit(pair: GlobalDatabase, connect: Connect) -> None:
    writer, standby = sides(pair)
    with load(connect, pair) as acknowledged:
        eventually(lambda: len(acknowledged) > 50)
        pair.kill(writer)
        assert pair.role(writer) is ServerRole.DOWN
        pair.restart(writer)
        before = len(acknowledged)
        eventually(lambda: len(acknowledged) > before + 10)
    assert set(acknowledged) <= set(rows(pair, writer))
    pair.catch_up(standby)
    assert rows(pair, standby) == rows(pair, writer)


def test_a_standby_that_was_killed_or_cut_off_catches_up(pair: GlobalDatabase, connect: Connect) -> None:
    writer, standby = sides(pair)
    connection = connect(writer)
    pair.kill(standby)
    insert(connection, 1)
    pair.restart(standby)
    pair.catch_up(standby)
    pair.cut(standby)
    insert(connection, 2)
    time.sleep(0.2)
    assert rows(pair, standby) == [1]
    pair.heal(standby)
    pair.catch_up(standby)
    assert rows(pair, standby) == [1, 2]


def test_what_cannot_be_rewound_is_copied_anew(pair: GlobalDatabase, connect: Connect) -> None:
    old, new = sides(pair)
    pair.cut(old, clients=False)
    insert(connect(old), 1)
    pair.failover(new)
    pair.heal(old)
    (pair.member(old).server.data / "global" / "pg_control").unlink()
    rejoined = pair.rejoin(old)
    assert (rejoined.method, rejoined.commits) == ("base backup", 1)
    assert "pg_control" in rejoined.reason
    pair.catch_up(old)


def test_a_cut_drops_the_clients_of_the_region_and_lets_nobody_in(pair: GlobalDatabase, connect: Connect) -> None:
    writer, standby = sides(pair)
    connection, other = connect(writer), connect(standby)
    pair.cut(writer)
    began = time.monotonic()
    with pytest.raises(LOST_CONNECTION):
        connection.run("SELECT 1")
    with pytest.raises(LOST_CONNECTION):
        connect(writer)
    assert time.monotonic() - began < 0.5
    assert other.run("SELECT 1") == [[1]]
    pair.heal(writer)
    assert connect(writer).run("SELECT 1") == [[1]]


def test_the_standby_may_also_replay_late_yet_it_keeps_what_it_has_received(pair: GlobalDatabase, connect: Connect) -> None:
    """Why a lag is not made by `recovery_min_apply_delay`: Aurora loses what lagged, a promotion here does not."""
    old, new = sides(pair)
    server = pair.member(new).server
    server.configure(recovery_min_apply_delay="1h")
    time.sleep(0.1)
    insert(connect(old), 1)
    time.sleep(0.2)
    assert rows(pair, new) == []
    pair.failover(new)
    assert rows(pair, new) == [1]
    server.configure(recovery_min_apply_delay="0")
