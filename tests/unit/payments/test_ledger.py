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

from payments.deadline import Deadline, Timing
from payments.errors import Conflict, NotTheWriter, StoreUnavailable
from payments.ledger import POST, DatabaseAddress, Login, PostgresLedger, iam_login, open_connection
from payments.payment import Payment, Record
from payments.stores import State
from tests.unit.payments.fakes import (
    MOMENT,
    PAYMENT,
    FakePostgres,
    FakeSession,
    Fault,
    Hang,
    Network,
    Region,
    StillClock,
    database_error,
    still_runtime,
)

KEY = Credentials("AKIDEXAMPLE", "secret", "session")
PATIENCE = 30.0  # seconds, reached only if a test fails


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


def test_an_older_epoch_is_refused_and_a_newer_one_accepted() -> None:
    region = Region()
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
def test_a_transient_error_is_tried_again_on_a_new_session(error: Exception) -> None:
    region = Region()
    region.network.faults = [Fault(error), None, Fault(error, done=True)]
    region.ledger.post(record(), region.deadline())
    assert region.network.calls == ["Post", "Connect", "Post", "Connect", "Post"]
    assert [session.is_open for session in region.postgres.sessions] == [False, False, True]
    assert len(region.postgres.postings) == 1


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_a_transient_error_that_persists_makes_the_ledger_unavailable(error: Exception) -> None:
    region = Region()
    region.network.faults = [Fault(error)] * 3
    with pytest.raises(StoreUnavailable) as caught:
        region.ledger.epoch(region.deadline())
    assert caught.value.store == "ledger"
    assert caught.value.code in repr(error)


@pytest.mark.parametrize("code", ["28000", "42501", "42883", "22001"])
def test_any_other_error_is_not_tried_again(code: str) -> None:
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

        def prepare(self, sql: str) -> SimpleNamespace:
            assert sql == POST
            raise database_error("42883")

    session = Bare(region.postgres)
    with pytest.raises(StoreUnavailable):
        PostgresLedger(lambda: session).epoch(region.deadline())
    assert not session.is_open


def test_an_error_on_closing_a_session_is_ignored() -> None:
    region = Region()
    region.postgres.sessions[0].is_open = False
    region.ledger.post(record(), region.deadline())
    assert len(region.postgres.postings) == 1


def test_a_call_that_timed_out_and_ends_later_brings_no_second_session() -> None:
    region = Region()
    region.network.meanwhile = {0: lambda: region.ledger.epoch(region.deadline())}
    region.ledger.epoch(region.deadline())  # the next call begins and ends during this one
    first, second = region.postgres.sessions
    assert (first.is_open, second.is_open) == (False, True)


# --- The probe

def postgres(state: str) -> FakePostgres:
    """The database that an endpoint reaches: it writes, only reads, refuses or is silent."""
    found = FakePostgres(Network(faults=[Fault(Hang())] * 9 if state == "silent" else []))
    found.read_only, found.inactive = state == "reads", state == "refuses"
    return found


def probed(writer: FakePostgres, reader: FakePostgres, clock: StillClock) -> str:
    """What the probe finds behind the two endpoints."""
    deadline = Deadline(Timing(pause=0), Timing.probe, still_runtime(clock))
    with closing(PostgresLedger(writer.connect, reader.connect)) as ledger:
        try:
            return ledger.probe(deadline)
        except StoreUnavailable as error:
            return error.code
        finally:
            assert len(writer.sessions) + len(reader.sessions) <= 2


@pytest.mark.parametrize(("writer", "reader", "expected"), [
    ("writes", "writes", "ok"), ("writes", "reads", "ok"), ("writes", "refuses", "ok"),
    ("reads", "writes", "standby"), ("reads", "reads", "standby"), ("reads", "refuses", "standby"),
    ("refuses", "writes", "gaierror"), ("refuses", "reads", "standby"), ("refuses", "refuses", "gaierror"),
])
def test_a_probe_finds_a_writer_or_a_standby_by_either_endpoint(writer: str, reader: str, expected: str) -> None:
    assert probed(postgres(writer), postgres(reader), StillClock()) == expected


@pytest.mark.parametrize(("reader", "expected"), [("reads", "standby"), ("silent", "TimeoutError")])
def test_if_the_writer_endpoint_hangs_there_is_time_to_ask_the_reader_endpoint(reader: str, expected: str) -> None:
    clock = StillClock()
    assert probed(postgres("silent"), postgres(reader), clock) == expected
    assert clock.now <= Timing.probe


@pytest.mark.parametrize("inactive", [False, True])
def test_the_probe_replaces_a_session_that_has_ended(inactive: bool) -> None:
    region = Region()
    region.postgres.inactive = region.postgres.read_only = inactive
    for _ in range(3):
        for session in region.postgres.sessions:
            session.is_open = False
        state = region.ledger.probe(Deadline(Timing(), Timing.probe, region.runtime))
        assert state == ("standby" if inactive else "ok")
    assert ("ConnectReader" in region.network.calls) == inactive


def test_the_probe_reconnects_to_a_writer_endpoint_that_only_reads() -> None:
    region = Region()
    region.postgres.read_only = True
    assert region.ledger.probe(region.deadline()) is State.STANDBY
    assert not any(session.is_open for session in region.postgres.sessions)
    region.postgres.read_only = False
    for _ in range(2):
        assert region.ledger.probe(region.deadline()) is State.OK
    assert region.network.calls == ["Select", "Connect", "Select", "Select"]


def test_the_session_to_the_reader_stays_open_until_the_ledger_is_closed() -> None:
    region = Region()
    region.ledger.close()
    region.postgres.inactive = region.postgres.read_only = True
    for _ in range(2):
        assert region.ledger.probe(region.deadline()) is State.STANDBY
    assert (region.network.calls.count("ConnectReader"), region.postgres.sessions[-1].is_open) == (1, True)
    region.ledger.close()
    assert not any(session.is_open for session in region.postgres.sessions)


# --- Logging in

def test_the_password_is_the_token_that_boto3_would_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: MOMENT)
    database = DatabaseAddress(host="db.example.com", port=5432, name="payments")
    client = boto3.client("rds", region_name="eu-west-1", aws_access_key_id=KEY.access_key,
                          aws_secret_access_key=KEY.secret_key, aws_session_token=KEY.token)

    theirs = client.generate_db_auth_token(DBHostname="db.example.com", Port=5432, DBUsername="payments_app")
    assert iam_login(database, "payments_app", "eu-west-1", KEY) == Login("payments_app", theirs)


def test_without_credentials_there_is_no_login() -> None:
    region = Region()
    database = DatabaseAddress(host="localhost", port=1, name="payments")

    def connect() -> FakeSession:
        iam_login(database, "payments_app", "eu-west-1", None)
        return region.postgres.connect()

    with pytest.raises(StoreUnavailable) as caught:
        PostgresLedger(connect).epoch(region.deadline())
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
