"""The ledger's connection: which failures are tried again, on what session, and how one logs in."""
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import boto3
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError
from pg8000.exceptions import InterfaceError

from payments.deadline import Deadline, Timing
from payments.leadership import NotTheWriter
from payments.ledger import POST, DatabaseAddress, Login, PostgresLedger, iam_login, open_connection
from payments.payment import Conflict, Payment, Record
from payments.stores import State, StoreUnavailable
from tests.unit.payments.fakes import (
    PAYMENT,
    FakePostgres,
    FakeSession,
    FakeStatement,
    Fault,
    Network,
    Region,
    database_error,
)

KEY = Credentials("AKIDEXAMPLE", "secret", "session")
IMPATIENT = Timing(connect=0.05, read=0.05)
OVERHEAD = 0.4  # seconds


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
        region.ledger.epoch(region.deadline())
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
        PostgresLedger(lambda: session).epoch(region.deadline())
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
        region.ledger.epoch(Deadline(timing, 0.05))
    region.ledger.epoch(region.deadline())
    release.set()
    first, second = region.postgres.sessions
    for _ in range(500):
        if not first.is_open:
            break
        threading.Event().wait(0.01)
    assert (first.is_open, second.is_open) == (False, True)


# --- The probe

def postgres(mood: str) -> FakePostgres:
    """A database, as one of its endpoints shows it."""
    found = FakePostgres(Network())
    found.read_only, found.inactive = mood == "reads", mood == "refuses"
    return found


def looked_at(writer: FakePostgres, reader: FakePostgres, deadline: Deadline) -> str:
    """What the probe finds behind the two endpoints."""
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
def test_a_probe_tells_a_writer_from_a_standby_by_either_endpoint(writer: str, reader: str, expected: str) -> None:
    assert looked_at(postgres(writer), postgres(reader), Deadline(Timing(pause=0), Timing.probe)) == expected


@pytest.mark.parametrize(("reader", "expected"), [("reads", "standby"), ("silent", "TimeoutError")])
def test_behind_a_writer_endpoint_that_hangs_the_reader_endpoint_gets_its_chance(reader: str, expected: str) -> None:
    timing, release, start = Timing(connect=0.05, read=0.1), threading.Event(), time.monotonic()
    ends = postgres("silent"), postgres(reader)
    for end, mood in zip(ends, ("silent", reader), strict=True):
        end.network.meanwhile = {0: partial(release.wait, 5)} if mood == "silent" else {}
    assert looked_at(*ends, Deadline(timing, 0.2)) == expected
    assert time.monotonic() - start < 0.2 + OVERHEAD
    release.set()


@pytest.mark.parametrize("inactive", [False, True])
def test_a_kept_session_that_has_ended_does_not_deceive_the_probe(inactive: bool) -> None:
    region = Region()
    region.postgres.inactive = region.postgres.read_only = inactive
    for _ in range(3):
        for session in region.postgres.sessions:
            session.is_open = False
        state = region.ledger.probe(Deadline(Timing(), Timing.probe, region.clock))
        assert state == ("standby" if inactive else "ok")
    assert ("ConnectReader" in region.network.calls) == inactive


def test_what_the_writer_endpoint_leads_to_is_looked_up_anew_while_it_only_reads() -> None:
    region = Region()
    region.postgres.read_only = True
    assert region.ledger.probe(region.deadline()) is State.STANDBY
    assert not any(session.is_open for session in region.postgres.sessions)
    region.postgres.read_only = False
    for _ in range(2):
        assert region.ledger.probe(region.deadline()) is State.OK
    assert region.network.calls == ["Select", "Connect", "Select", "Select"]


def test_it_keeps_a_session_to_the_reader_until_it_is_closed() -> None:
    region = Region()
    region.ledger.close()
    region.postgres.inactive = region.postgres.read_only = True
    for _ in range(2):
        assert region.ledger.probe(region.deadline()) is State.STANDBY
    assert (region.network.calls.count("ConnectReader"), region.postgres.sessions[-1].is_open) == (1, True)
    region.ledger.close()
    assert not any(session.is_open for session in region.postgres.sessions)


# --- Logging in

def test_the_password_is_the_token_that_boto3_would_make() -> None:
    database = DatabaseAddress(host="db.example.com", port=5432, name="payments")
    client = boto3.client("rds", region_name="eu-west-1", aws_access_key_id=KEY.access_key,
                          aws_secret_access_key=KEY.secret_key, aws_session_token=KEY.token)

    def pair() -> tuple[Login, Login]:
        theirs = client.generate_db_auth_token(DBHostname="db.example.com", Port=5432, DBUsername="payments_app")
        return iam_login(database, "payments_app", "eu-west-1", KEY), Login("payments_app", theirs)

    # A second may end between the two, but hardly each time.
    assert any(ours == theirs for ours, theirs in (pair() for _ in range(3)))


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


def enter(server: socket.socket) -> None:
    """A login there."""
    database = DatabaseAddress(host="127.0.0.1", port=server.getsockname()[1], name="payments")
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
