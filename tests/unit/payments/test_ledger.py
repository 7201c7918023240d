"""The ledger's connection: which failures are tried again, on what session, and how one logs in."""
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial

import boto3
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError
from pg8000.exceptions import InterfaceError

from payments.deadline import Deadline, Timing
from payments.ledger import POST, Database, Login, PostgresLedger, iam_login, open_connection
from payments.payment import Conflict, Payment, Record
from payments.right import NotTheWriter
from payments.stores import StoreUnavailable
from tests.unit.payments.fakes import PAYMENT, FakeSession, FakeStatement, Fault, Region, database_error

KEY = Credentials("AKIDEXAMPLE", "secret", "session")
IMPATIENT = Timing(connect=0.05, read=0.05)


def record(amount: int = 1, epoch: int = 1) -> Record:
    """A pending record of pay-1."""
    payment = Payment(**{**PAYMENT, "amount": amount})
    return Record(payment=payment, fingerprint=payment.fingerprint(), created_at="2026-01-01T00:00:00.000+00:00",
                  epoch=epoch)


def test_a_payment_is_posted_once() -> None:
    region = Region()
    for _ in range(2):
        region.ledger.post(record(), region.deadline())
    [posted] = region.ledger.postings(region.deadline)
    assert (posted.payment, posted.fingerprint, posted.created_at, posted.epoch, posted.settled) == (
        record().payment, record().fingerprint, record().created_at, 1, True)


def test_another_request_for_a_posted_id_is_a_conflict() -> None:
    region = Region()
    region.ledger.post(record(1), region.deadline())
    with pytest.raises(Conflict):
        region.ledger.post(record(2), region.deadline())
    assert len(region.postgres.sessions) == 1


def test_an_older_epoch_is_refused_and_a_newer_one_is_let_in() -> None:
    region = Region()
    region.ledger.post(record(epoch=2), region.deadline())
    with pytest.raises(NotTheWriter):
        region.ledger.post(record(epoch=1), region.deadline())
    region.ledger.post(record(epoch=3), region.deadline())
    assert (region.postgres.epoch, len(region.postgres.sessions)) == (3, 1)


PASSING = [
    InterfaceError("network error"), TimeoutError(), ConnectionResetError(), socket.gaierror(), struct.error(),
    *map(database_error, ["25006", "57P01", "57P02", "57P03", "53300", "40001", "40P01", "57014"]),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_may_pass_is_tried_again_on_a_new_session(error: Exception) -> None:
    region = Region()
    region.network.faults = [Fault(error), None, Fault(error, done=True)]
    region.ledger.post(record(), region.deadline())
    assert region.network.calls == ["Post", "Connect", "Post", "Connect", "Post"]
    assert [session.is_open for session in region.postgres.sessions] == [False, False, True]
    assert len(region.postgres.postings) == 1


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_does_not_pass_after_all_makes_the_ledger_unavailable(error: Exception) -> None:
    region = Region()
    region.network.faults = [Fault(error)] * 3
    with pytest.raises(StoreUnavailable) as caught:
        region.ledger.probe(region.deadline())
    assert caught.value.store == "ledger"
    assert caught.value.code in repr(error)


@pytest.mark.parametrize("code", ["28000", "42501", "42883", "22001"])
def test_what_will_not_pass_is_not_tried_again(code: str) -> None:
    region = Region()
    region.network.faults = [Fault(database_error(code))]
    with pytest.raises(StoreUnavailable) as caught:
        region.ledger.post(record(), region.deadline())
    assert (caught.value.code, region.network.calls) == (code, ["Post"])
    assert not region.postgres.sessions[0].is_open


def test_a_standby_is_asked_until_it_is_the_writer() -> None:
    region = Region()
    region.postgres.read_only = True

    def promote() -> None:
        region.postgres.read_only = False

    region.network.meanwhile = {2: promote}
    region.ledger.post(record(), region.deadline())
    assert len(region.postgres.postings) == 1


def test_a_session_that_cannot_prepare_is_closed() -> None:
    region = Region()

    class Bare(FakeSession):
        """A database without the schema."""

        def prepare(self, sql: str) -> FakeStatement:
            assert sql == POST
            raise database_error("42883")

    session = Bare(region.postgres)
    with pytest.raises(StoreUnavailable):
        PostgresLedger(lambda: session).probe(region.deadline())
    assert not session.is_open


def test_a_session_that_breaks_while_it_is_closed_does_no_harm() -> None:
    region = Region()
    region.postgres.sessions[0].is_open = False
    region.ledger.post(record(), region.deadline())
    assert len(region.postgres.postings) == 1


def test_a_call_that_was_left_behind_brings_no_second_session() -> None:
    region, release = Region(), threading.Event()
    timing = Timing(connect=0, read=0.05, attempts=1)
    region.network.meanwhile = {0: partial(release.wait, 5)}
    with pytest.raises(StoreUnavailable):
        region.ledger.probe(Deadline(timing, 0.05))
    region.ledger.probe(region.deadline())
    release.set()
    first, second = region.postgres.sessions
    for _ in range(500):
        if not first.is_open:
            break
        threading.Event().wait(0.01)
    assert (first.is_open, second.is_open) == (False, True)


def test_the_password_is_the_token_that_boto3_would_make() -> None:
    database = Database(host="db.example.com", port=5432, name="payments")
    client = boto3.client("rds", region_name="eu-west-1", aws_access_key_id=KEY.access_key,
                          aws_secret_access_key=KEY.secret_key, aws_session_token=KEY.token)

    def pair() -> tuple[Login, Login]:
        theirs = client.generate_db_auth_token(DBHostname="db.example.com", Port=5432, DBUsername="payments_app")
        return iam_login(database, "payments_app", "eu-west-1", KEY), Login("payments_app", theirs)

    # A second may end between the two, but hardly each time.
    assert any(ours == theirs for ours, theirs in (pair() for _ in range(3)))


def test_without_credentials_there_is_no_login() -> None:
    region = Region()
    database = Database(host="localhost", port=1, name="payments")

    def connect() -> FakeSession:
        iam_login(database, "payments_app", "eu-west-1", None)
        return region.postgres.connect()

    with pytest.raises(StoreUnavailable) as caught:
        PostgresLedger(connect).probe(region.deadline())
    assert caught.value.code == NoCredentialsError.__name__


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def enter(server: socket.socket) -> None:
    """A login there."""
    database = Database(host="127.0.0.1", port=server.getsockname()[1], name="payments")
    open_connection(database, IMPATIENT, lambda: Login("payments_app", "token"))


def serve(server: socket.socket, answer: bytes) -> Callable[[], bytes]:
    """Takes one connection, answers its first message and ends it; gives what it said."""
    said: list[bytes] = []

    def work() -> None:
        connection, _ = server.accept()
        with connection:
            said.append(connection.recv(100))
            connection.sendall(answer)

    thread = threading.Thread(target=work)
    thread.start()

    def end() -> bytes:
        thread.join()
        return said[0]

    return end


@pytest.mark.parametrize("answer", [b"N", b"", b"S", b"Sno TLS at all"])
def test_without_tls_nothing_is_said(listener: socket.socket, answer: bytes) -> None:
    end = serve(listener, answer)
    with pytest.raises((InterfaceError, OSError)):
        enter(listener)
    assert end() == struct.pack("!ii", 8, 80877103)


def test_a_server_that_says_nothing_is_given_up(listener: socket.socket) -> None:
    with pytest.raises(TimeoutError):
        enter(listener)
