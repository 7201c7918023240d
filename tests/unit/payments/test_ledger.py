"""The ledger's sessions: which failures are tried again, on which session, and the login."""
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace

import boto3
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError
from pg8000.exceptions import InterfaceError

from payments.deadline import Timing
from payments.errors import Conflict, NotTheWriter, StoreUnavailable
from payments.ledger import (
    LAST_PLACE,
    POST,
    DatabaseAddress,
    LedgerState,
    Login,
    PostgresLedger,
    iam_login,
    open_connection,
)
from tests.unit.payments.fakes import MOMENT, FakeSession, Fault, Region, database_error, record

KEY = Credentials("AKIDEXAMPLE", "secret", "session")
PATIENCE = 30.0  # seconds, reached only if a test fails


def test_a_payment_is_posted_once(region: Region) -> None:
    for _ in range(2):
        region.ledger.post(record(), region.deadline())
    [posted] = region.ledger.postings(region.deadline)
    assert (posted.payment, posted.fingerprint, posted.created_at, posted.epoch, posted.settled) == (
        record().payment, record().fingerprint, record().created_at, 1, True)


def test_a_creation_time_stays_unless_it_is_corrected(region: Region) -> None:
    answers = [region.ledger.post(record(second=second), region.deadline(), corrects=second == 4)
               for second in (3, 2, 4, 5)]
    assert answers == [record(second=second).created_at for second in (3, 3, 4, 4)]
    kept = region.ledger.find("pay-1", region.deadline())
    assert kept
    assert kept.created_at == record(second=4).created_at


def test_another_request_for_a_posted_id_is_a_conflict(region: Region) -> None:
    region.ledger.post(record(1), region.deadline())
    with pytest.raises(Conflict):
        region.ledger.post(record(2), region.deadline())
    assert len(region.postgres.sessions) == 1


def test_an_older_epoch_is_refused_and_a_newer_one_accepted(region: Region) -> None:
    region.ledger.post(record(epoch=2), region.deadline())
    with pytest.raises(NotTheWriter):
        region.ledger.post(record(epoch=1), region.deadline())
    region.ledger.post(record(epoch=3), region.deadline())
    assert (region.postgres.epoch, len(region.postgres.sessions)) == (3, 1)


TRANSIENT = [
    InterfaceError("network error"), TimeoutError(), ConnectionResetError(), socket.gaierror(), struct.error(),
    *map(database_error, ["25006", "57P01", "57P02", "57P03", "53300", "40001", "40P01", "57014"]),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_a_transient_error_is_tried_again_on_a_new_session(region: Region, error: Exception) -> None:
    region.network.faults = [Fault(error), None, Fault(error, done=True)]
    region.ledger.post(record(), region.deadline())
    assert region.network.calls == ["Post", "Connect", "Post", "Connect", "Post"]
    assert [session.is_open for session in region.postgres.sessions] == [False, False, True]
    assert len(region.postgres.postings) == 1


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_a_transient_error_that_persists_makes_the_ledger_unavailable(region: Region, error: Exception) -> None:
    region.network.faults = [Fault(error)] * 3
    with pytest.raises(StoreUnavailable) as caught:
        region.ledger.find("pay-1", region.deadline())
    assert caught.value.store == "ledger"
    assert caught.value.code in repr(error)


@pytest.mark.parametrize("code", ["28000", "42501", "42883", "22001"])
def test_any_other_error_is_not_tried_again(region: Region, code: str) -> None:
    region.network.faults = [Fault(database_error(code))]
    with pytest.raises(StoreUnavailable) as caught:
        region.ledger.post(record(), region.deadline())
    assert (caught.value.code, region.network.calls) == (code, ["Post"])
    assert not region.postgres.sessions[0].is_open


def test_a_standby_is_asked_until_it_is_the_writer(region: Region) -> None:
    region.postgres.read_only = True

    def promote() -> None:
        region.postgres.read_only = False

    region.network.meanwhile = {2: promote}
    region.ledger.post(record(), region.deadline())
    assert len(region.postgres.postings) == 1


def test_a_session_that_cannot_prepare_is_closed(region: Region) -> None:
    class Bare(FakeSession):
        """A database without the schema."""

        def prepare(self, sql: str) -> SimpleNamespace:
            assert sql == POST
            raise database_error("42883")

    session = Bare(region.postgres)
    with pytest.raises(StoreUnavailable):
        PostgresLedger(lambda: session).find("x", region.deadline())
    assert not session.is_open


def test_an_error_on_closing_a_session_is_ignored(region: Region) -> None:
    region.postgres.sessions[0].is_open = False
    region.ledger.post(record(), region.deadline())
    assert len(region.postgres.postings) == 1


def test_a_call_that_timed_out_and_ends_later_brings_no_second_session(region: Region) -> None:
    region.network.meanwhile = {0: lambda: region.ledger.find("pay-1", region.deadline())}
    region.ledger.find("pay-1", region.deadline())  # the next call begins and ends during this one
    first, second = region.postgres.sessions
    assert (first.is_open, second.is_open) == (False, True)


# --- Marks, and the reader endpoint

def test_marks_are_numbered_by_region_and_fenced_as_postings_are(region: Region) -> None:
    names = ("us-east-1", "us-west-2", "us-east-1")
    assert [region.ledger.mark(name, 2, region.deadline()) for name in names] == [1, 1, 2]
    assert region.ledger.state(region.deadline()) == LedgerState(2, {"us-east-1": 2, "us-west-2": 1})
    for write in (lambda: region.ledger.mark("us-east-1", 1, region.deadline()),
                  lambda: region.ledger.post(record(epoch=1), region.deadline())):
        with pytest.raises(NotTheWriter):
            write()
    assert region.ledger.state(region.deadline()).marks["us-east-1"] == 2


def test_a_ledger_without_marks_has_none(region: Region) -> None:
    assert region.ledger.state(region.deadline()) == LedgerState(0, {})


def test_a_standby_is_read_at_its_reader_endpoint_only(region: Region) -> None:
    region.ledger.post(record(), region.deadline())
    region.ledger.close()
    region.postgres.inactive = region.postgres.read_only = True
    with pytest.raises(StoreUnavailable):
        region.ledger.find("pay-1", region.deadline())
    region.network.calls.clear()
    with closing(region.ledger.replica()) as replica:
        assert replica.find("pay-1", region.deadline())
        assert [each.payment for each in replica.postings(region.deadline)] == [record().payment]
        assert replica.state(region.deadline()).epoch == region.ledger.state(region.deadline()).epoch == 1
    assert "Connect" not in region.network.calls
    region.ledger.close()
    assert not any(session.is_open for session in region.postgres.sessions)


@pytest.mark.parametrize("page", [1, 2, 5])
def test_postings_are_read_in_the_order_of_the_receipts_keys_and_newest_first(region: Region, page: int) -> None:
    names = ["b", "a-1", "a", "a_1", "a1"]
    for name in names:
        region.ledger.post(record(name=name), region.deadline())
    with closing(PostgresLedger(region.postgres.connect, page=page)) as ledger:
        def ids(after: str = "") -> list[str]:
            return [each.payment.payment_id for each in ledger.postings(region.deadline, after)]

        ordered = [key.removesuffix(".json") for key in sorted(f"{name}.json" for name in names)]
        assert ordered == ids() == ["a-1", "a", "a1", "a_1", "b"]
        assert [ids(after) for after in ordered] == [ordered[number:] for number in range(1, 6)]
        before, newest = LAST_PLACE, list[str]()
        while before:
            before, found = ledger.newest(before, region.deadline())
            newest += [each.payment.payment_id for each in found]
        assert newest == names[::-1]
        assert ledger.known(["a", "x", "b"], region.deadline()) == {"a", "b"}


# --- Logging in

def test_the_password_is_the_token_that_boto3_would_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: MOMENT)
    database = DatabaseAddress(host="db.example.com", port=5432, name="payments")
    client = boto3.client("rds", region_name="eu-west-1", aws_access_key_id=KEY.access_key,
                          aws_secret_access_key=KEY.secret_key, aws_session_token=KEY.token)

    theirs = client.generate_db_auth_token(DBHostname="db.example.com", Port=5432, DBUsername="payments_app")
    assert iam_login(database, "payments_app", "eu-west-1", KEY) == Login("payments_app", theirs)


def test_without_credentials_there_is_no_login(region: Region) -> None:
    database = DatabaseAddress(host="localhost", port=1, name="payments")

    def connect() -> FakeSession:
        iam_login(database, "payments_app", "eu-west-1", None)
        return region.postgres.connect()

    with pytest.raises(StoreUnavailable) as caught:
        PostgresLedger(connect).find("x", region.deadline())
    assert caught.value.code == NoCredentialsError.__name__


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def enter(server: socket.socket, timing: Timing) -> None:
    """Open a connection to it."""
    database = DatabaseAddress(host="127.0.0.1", port=server.getsockname()[1], name="payments")
    open_connection(database, timing, lambda: Login("payments_app", "token"))


def serve(server: socket.socket, answer: bytes) -> Callable[[], bytes]:
    """Accept one connection, answer its first message and close it; returns the message."""
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
def test_without_tls_nothing_else_is_sent(listener: socket.socket, answer: bytes) -> None:
    end = serve(listener, answer)
    with pytest.raises((InterfaceError, OSError)):
        enter(listener, Timing(connect=PATIENCE, read=PATIENCE))
    assert end() == struct.pack("!ii", 8, 80877103)


def test_a_server_that_does_not_answer_is_given_up(listener: socket.socket) -> None:
    with pytest.raises(TimeoutError):
        enter(listener, Timing(connect=PATIENCE, read=0.01))
