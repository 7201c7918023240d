"""The ledger's schema on a real PostgreSQL: who may do what, and what concurrent postings do.

The fixture `postgres` creates an empty database; everything else is the code that ships.
"""
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from contract import RECORD_KEY
from payments.deadline import Deadline
from payments.errors import Conflict, MigrationError, NotTheWriter, StoreUnavailable
from payments.ledger import LAST_PLACE, MARK, POST, LedgerState, PostgresLedger
from payments.migrate import Migration, load, migrate
from payments.payment import Payment, Record
from payments.runtime import system_runtime
from rehearsal.postgres.global_database import GlobalDatabase
from tests.postgres.conftest import PATIENT, REGIONS, Postgres

AT_ONCE = 8
INSUFFICIENT_PRIVILEGE, CHECK_VIOLATION, UNIQUE_VIOLATION = "42501", "23514", "23505"
NOT_UPDATABLE = "55000"


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Postgres:
    """The database with its schema."""
    with closing(postgres.master()) as master:
        assert migrate(master, load()) == [migration.name for migration in load()]
    return postgres


@pytest.fixture
def ledger(database: Postgres) -> Iterator[PostgresLedger]:
    """The ledger as the payments function opens it."""
    with closing(PostgresLedger(database.app)) as ledger:
        yield ledger


def posting_of(database: Postgres, posted: Record) -> Callable[[], None]:
    """A function that posts the record over a session of its own."""
    def work() -> None:
        with closing(PostgresLedger(database.app)) as ledger:
            ledger.post(posted, deadline())
    return work


@pytest.fixture
def app(database: Postgres) -> Iterator[Connection]:
    """The payments function's login, for any SQL."""
    with closing(database.app()) as connection:
        yield connection


@pytest.fixture
def master(database: Postgres) -> Iterator[Connection]:
    """The owner of the schema."""
    with closing(database.master()) as connection:
        yield connection


def deadline() -> Deadline:
    """A deadline that only a failing test reaches."""
    return Deadline(PATIENT, PATIENT.budget, system_runtime())


def record(*, amount: int = 1250, epoch: int = 0, payment_id: str = "") -> Record:
    """A new pending record."""
    payment = Payment(payment_id=payment_id or uuid.uuid4().hex, amount=amount, currency="EUR", payer="a", payee="b")
    return Record(payment=payment, fingerprint=payment.fingerprint(), created_at="2026-01-02T03:04:05.678+00:00",
                  epoch=epoch)


def newest(master: Connection) -> int:
    """The fence's epoch."""
    return int(master.run("SELECT epoch FROM ledger.fence")[0][0])


def code(work: Callable[[], object]) -> str:
    """The SQLSTATE of the error that the work must raise."""
    with pytest.raises(DatabaseError) as caught:
        work()
    return str(caught.value.args[0]["C"])


def at_once(works: list[Callable[[], Any]]) -> list[Any]:
    """What each returns or raises, all started at the same moment."""
    barrier = threading.Barrier(len(works))

    def begin(work: Callable[[], Any]) -> Any:
        barrier.wait(PATIENT.budget)
        try:
            return work()
        except (Conflict, NotTheWriter) as error:
            return type(error)

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(begin, works))


def posting(connection: Connection, payment_id: str) -> list[list[Any]]:
    """The ledger's posting of a payment."""
    return list(connection.run("SELECT amount, epoch FROM ledger.postings WHERE payment_id = :id", id=payment_id))


def test_a_posting_is_read_as_the_record_that_was_posted(ledger: PostgresLedger, master: Connection) -> None:
    posted = record(epoch=newest(master))
    ledger.post(posted, deadline())
    assert ledger.find(posted.payment.payment_id, deadline()) == replace(posted, settled=True)
    assert ledger.find("nobody", deadline()) is None


def test_all_pages_are_read_in_the_order_of_the_receipts_keys_and_newest_first(
        database: Postgres, master: Connection) -> None:
    names = ["page-b", "page-a-1", "page-a", "page-a_1", "page-a1", "page-A"]
    with closing(PostgresLedger(database.app, page=2)) as ledger:
        for name in names:
            ledger.post(record(epoch=newest(master), payment_id=name), deadline())
        ordered = [key.removesuffix(".json") for key in sorted(f"{name}.json" for name in names)]
        found = [each.payment.payment_id for each in ledger.postings(deadline)]
        assert [each for each in found if each in names] == ordered
        assert [each.payment.payment_id for each in ledger.postings(deadline, "page-a")][:3] == ordered[3:]
        before, latest = ledger.newest(LAST_PLACE, deadline())
        assert [each.payment.payment_id for each in latest] == names[:-3:-1]
        assert [each.payment.payment_id for each in ledger.newest(before, deadline())[1]] == names[-3:-5:-1]
        assert ledger.known([*names, "nobody"], deadline()) == {*names}


def test_the_order_of_the_keys_is_read_from_an_index(master: Connection) -> None:
    master.run("SET enable_seqscan = off")
    plan = master.run("""EXPLAIN SELECT payment_id FROM ledger.postings WHERE payment_id || '.json' > 'x'
                         ORDER BY payment_id || '.json' LIMIT 10""")
    assert "postings_by_receipt" in str(plan)
    assert "Sort" not in str(plan)


def test_a_creation_time_stays_unless_it_is_corrected(ledger: PostgresLedger, master: Connection) -> None:
    posted = record(epoch=newest(master))
    times = [f"2026-01-02T03:04:05.{second}+00:00" for second in ("678", "500", "900")]
    answers = [ledger.post(replace(posted, created_at=time), deadline(), corrects=time == times[2]) for time in times]
    assert answers == [times[0], times[0], times[2]]
    kept = ledger.find(posted.payment.payment_id, deadline())
    assert kept
    assert (kept.created_at, kept.payment) == (times[2], posted.payment)


def test_marks_are_numbered_and_fenced_as_postings_are(ledger: PostgresLedger, master: Connection) -> None:
    epoch = newest(master) + 1
    numbers = [ledger.mark("us-east-1", epoch, deadline()) for _ in range(2)]
    assert numbers == [numbers[0], numbers[0] + 1]
    assert ledger.state(deadline()) == LedgerState(epoch, {"us-east-1": numbers[1]})
    with pytest.raises(NotTheWriter):
        ledger.mark("us-east-1", epoch - 1, deadline())
    with pytest.raises(NotTheWriter):
        ledger.post(record(epoch=epoch - 1), deadline())
    assert ledger.state(deadline()).marks == {"us-east-1": numbers[1]}


def test_concurrent_marks_are_numbered_without_gaps(database: Postgres, master: Connection) -> None:
    epoch = newest(master)

    def mark() -> int:
        with closing(PostgresLedger(database.app)) as ledger:
            return ledger.mark("eu-west-1", epoch, deadline())

    numbers = sorted(at_once([mark] * AT_ONCE))
    assert numbers == [*range(numbers[0], numbers[0] + AT_ONCE)]


def test_concurrent_postings_of_one_payment_post_it_once(database: Postgres, master: Connection) -> None:
    posted = record(epoch=newest(master))
    assert at_once([posting_of(database, posted)] * AT_ONCE) == [None] * AT_ONCE
    assert posting(master, posted.payment.payment_id) == [[1250, posted.epoch]]


def test_of_concurrent_requests_that_share_an_id_one_is_posted(database: Postgres, master: Connection) -> None:
    payment_id, epoch = uuid.uuid4().hex, newest(master)
    records = [record(amount=amount, epoch=epoch, payment_id=payment_id) for amount in range(1, AT_ONCE + 1)]
    answers = at_once([posting_of(database, each) for each in records])
    assert sorted(map(str, answers)) == sorted([str(None), *[str(Conflict)] * (AT_ONCE - 1)])
    assert posting(master, payment_id) == [[answers.index(None) + 1, epoch]]


def test_after_a_newer_epoch_older_ones_are_refused(ledger: PostgresLedger, master: Connection) -> None:
    epoch = newest(master)
    old, new = record(epoch=epoch), record(epoch=epoch + 1)
    ledger.post(new, deadline())
    for refused in (old, replace(new, epoch=epoch)):
        with pytest.raises(NotTheWriter):
            ledger.post(refused, deadline())
    assert (posting(master, old.payment.payment_id), ledger.state(deadline()).epoch) == ([], epoch + 1)
    ledger.post(replace(new, epoch=epoch + 2), deadline())
    assert posting(master, new.payment.payment_id) == [[1250, epoch + 1]]


def test_an_epoch_far_ahead_is_refused_and_raises_nothing(
        ledger: PostgresLedger, app: Connection, master: Connection) -> None:
    epoch = newest(master)
    for ahead in (epoch + 10**6 + 1, 2**63 - 1):
        assert code(partial(post, app, record(epoch=ahead))) == "TS003"
        with pytest.raises(StoreUnavailable, match="TS003"):
            ledger.mark("us-east-1", ahead, deadline())
    assert newest(master) == epoch
    ledger.mark("us-east-1", epoch + 10**6, deadline())
    assert newest(master) == epoch + 10**6


def test_a_conflict_does_not_raise_the_epoch(ledger: PostgresLedger, master: Connection) -> None:
    posted = record(epoch=newest(master))
    ledger.post(posted, deadline())
    other = record(amount=1, epoch=posted.epoch + 1, payment_id=posted.payment.payment_id)
    with pytest.raises(Conflict):
        ledger.post(other, deadline())
    assert newest(master) == posted.epoch


def test_concurrent_postings_with_rising_epochs_end_with_the_highest(database: Postgres, master: Connection) -> None:
    epoch = newest(master)
    records = [record(epoch=epoch + 1 + number % 4) for number in range(2 * AT_ONCE)]
    answers = at_once([posting_of(database, each) for each in records])
    assert set(answers) <= {None, NotTheWriter}
    assert newest(master) == epoch + 4
    for posted, answer in zip(records, answers, strict=True):
        assert bool(posting(master, posted.payment.payment_id)) == (answer is None)
        assert posted.epoch != epoch + 4 or answer is None


def test_a_newer_epoch_waits_for_a_posting_in_progress(
        database: Postgres, ledger: PostgresLedger, app: Connection, master: Connection) -> None:
    old, new = (record(epoch=newest(master) + number) for number in (0, 1))
    app.run("BEGIN")
    post(app, old)
    with ThreadPoolExecutor(1) as pool:
        newer = pool.submit(posting_of(database, new))
        try:
            wait_for_a_lock(master)
            ledger.post(record(epoch=old.epoch), deadline())  # another posting of the same epoch does not wait
            assert not newer.done()
        finally:
            app.run("COMMIT")
    assert [len(posting(master, each.payment.payment_id)) for each in (old, new)] == [1, 1]
    assert code(lambda: post(app, record(epoch=old.epoch))) == "TS001"


def wait_for_a_lock(master: Connection) -> None:
    """Return when a session waits for a lock."""
    for _ in range(3000):
        if master.run("SELECT FROM pg_locks WHERE NOT granted"):
            return
        master.run("SELECT pg_sleep(0.01)")
    pytest.fail("no session waits for a lock")


def post(connection: Connection, posted: Record) -> None:
    """Run the statement that posts."""
    payment = posted.payment
    connection.run(POST, payment_id=payment.payment_id, payer=payment.payer, payee=payment.payee, amount=payment.amount,
                   currency=payment.currency, fingerprint=posted.fingerprint, created_at=posted.created_at,
                   epoch=posted.epoch, corrects=False)


@pytest.mark.parametrize("statement", [
    "INSERT INTO ledger.postings (payment_id) VALUES ('x')", "UPDATE ledger.postings SET amount = 1",
    "DELETE FROM ledger.postings", "TRUNCATE ledger.postings", "UPDATE ledger.fence SET epoch = 0",
    "DELETE FROM ledger.fence", "CREATE TABLE ledger.other ()", "CREATE TABLE public.other ()",
    "SELECT * FROM public.schema_migrations", "SELECT nextval('ledger.postings_seq_seq')",
    "UPDATE ledger.marks SET number = 0", "INSERT INTO ledger.marks VALUES ('x', 1, 1)", "SELECT ledger.pass_fence(99)",
    "DROP FUNCTION ledger.post_payment", "ALTER TABLE ledger.postings DROP amount",
])
def test_the_function_can_only_write_by_posting(app: Connection, statement: str) -> None:
    assert code(lambda: app.run(statement)) == INSUFFICIENT_PRIVILEGE


def test_other_users_can_neither_post_nor_read(database: Postgres, master: Connection) -> None:
    master.run("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    with closing(database.login("stranger", "stranger")) as stranger:
        assert code(lambda: post(stranger, record())) == INSUFFICIENT_PRIVILEGE
        assert code(lambda: stranger.run(MARK, region="x", epoch=99)) == INSUFFICIENT_PRIVILEGE
        assert code(lambda: stranger.run("SELECT * FROM ledger.entries")) == INSUFFICIENT_PRIVILEGE


@pytest.mark.parametrize("path", ["pg_temp, ledger", "attack, pg_catalog"])
def test_the_callers_own_tables_and_search_path_are_not_used(app: Connection, master: Connection, path: str) -> None:
    epoch = newest(master)
    app.run("CREATE TEMPORARY TABLE fence (one boolean, epoch bigint)")
    app.run(f"SET search_path TO {path}")
    assert code(lambda: post(app, record(epoch=epoch - 1))) == "TS001"


@pytest.mark.parametrize("invalid", [
    {"amount": 0}, {"amount": -1}, {"currency": "eur"}, {"payee": "a"}, {"payer": ""}, {"payment_id": RECORD_KEY},
    {"payment_id": "x" * 65}, {"payment_id": "Shop.x"}, {"payment_id": "shop."}, {"payment_id": "a.b.x"},
    {"payee": "x" * 65},
])
def test_an_invalid_payment_is_not_posted(app: Connection, master: Connection, invalid: dict[str, Any]) -> None:
    good = record(epoch=newest(master))
    assert code(lambda: post(app, replace(good, payment=replace(good.payment, **invalid)))) == CHECK_VIOLATION
    assert code(lambda: post(app, replace(good, fingerprint="x"))) == CHECK_VIOLATION


def test_a_clients_payment_is_posted_under_its_name(app: Connection, master: Connection) -> None:
    good = record(epoch=newest(master))
    for client in ("shop", "a" * 20):
        payment = replace(good.payment, payment_id=f"{client}.{good.payment.payment_id}")
        post(app, replace(good, payment=payment))


def test_even_the_owner_cannot_post_out_of_balance(ledger: PostgresLedger, master: Connection) -> None:
    posted = record(epoch=newest(master))
    ledger.post(posted, deadline())
    payment_id = posted.payment.payment_id
    master.run("UPDATE ledger.postings SET amount = amount + 1 WHERE payment_id = :id", id=payment_id)
    entries = master.run("SELECT account, amount FROM ledger.entries WHERE payment_id = :id ORDER BY 1", id=payment_id)
    assert entries == [["a", -1251], ["b", 1251]]
    assert master.run("""SELECT payment_id FROM ledger.entries GROUP BY payment_id, currency
                         HAVING sum(amount) <> 0 OR count(*) <> 2""") == []
    for statement in ("INSERT INTO ledger.entries VALUES ('x', 1, 'a', 1, 'EUR')", "DELETE FROM ledger.entries"):
        assert code(partial(master.run, statement)) == NOT_UPDATABLE
    assert code(lambda: master.run("""INSERT INTO ledger.postings (payment_id, payer, payee, amount, currency,
        fingerprint, created_at, epoch) SELECT payment_id, payer, payee, amount, currency, fingerprint, created_at,
        epoch FROM ledger.postings WHERE payment_id = :id""", id=payment_id)) == UNIQUE_VIOLATION


def test_a_standby_is_read_and_refuses_marks(
        ledger: PostgresLedger, writer: GlobalDatabase, master: Connection) -> None:
    posted = record(epoch=newest(master))
    ledger.post(posted, deadline())
    number = ledger.mark("us-west-2", posted.epoch, deadline())
    writer.join(REGIONS[1])
    standby = Postgres.of(writer, REGIONS[1])

    def nowhere() -> Connection:
        raise ConnectionRefusedError

    with closing(PostgresLedger(nowhere, standby.app)) as behind, closing(behind.replica()) as replica:
        state = behind.state(deadline())
        assert (state.epoch, state.marks["us-west-2"]) == (posted.epoch, number)
        assert replica.find(posted.payment.payment_id, deadline()) == replace(posted, settled=True)
        with pytest.raises(StoreUnavailable) as caught:
            replica.mark("us-west-2", posted.epoch, deadline())
        assert (caught.value.code, caught.value.again) == ("25006", True)


def test_concurrent_migrations_are_applied_once(postgres: Postgres) -> None:
    with postgres.empty() as fresh:
        def work() -> list[str]:
            with closing(fresh.master()) as connection:
                return migrate(connection, load())

        applied = at_once([work] * 4)
        assert sorted(applied, key=len) == [[], [], [], [migration.name for migration in load()]]


def test_a_migration_that_fails_leaves_nothing_of_itself(postgres: Postgres) -> None:
    broken = Migration(1, "0001_x.sql", "CREATE TABLE public.x (); CREATE TABLE public.x ();")
    with postgres.empty() as fresh:
        with closing(fresh.master()) as connection:
            assert code(lambda: migrate(connection, [broken])) == "42P07"
        with closing(fresh.master()) as connection:
            assert migrate(connection, [replace(broken, sql="CREATE TABLE public.x ()")]) == ["0001_x.sql"]
            with pytest.raises(MigrationError):
                migrate(connection, [broken])
