"""Who gets in at the front door, how, and what it does to those who are in."""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.auth
import pytest
from pg8000.exceptions import DatabaseError as Refused
from pg8000.exceptions import InterfaceError
from pg8000.native import Connection

from rehearsal.postgres.authentication import CertificateAuthority, IamTokens, password_fits
from rehearsal.postgres.endpoint import ClusterEndpoint
from rehearsal.postgres.global_database import GlobalDatabase
from rehearsal.postgres.proxy import STOPPED
from rehearsal.postgres.server import PostgresServer
from tests.rehearsal.postgres.conftest import EAST, KEYS, PASSWORD, WEST, Connect

(KEY, SECRET), = KEYS.items()
NO_CONNECTION = (InterfaceError, OSError)


@pytest.fixture(scope="module")
def made() -> Iterator[GlobalDatabase]:
    """A writer is enough here."""
    with closing(GlobalDatabase((EAST, WEST), KEYS)) as pair:
        pair.create(EAST, "payments", "master", PASSWORD, ["service"])
        yield pair


@pytest.fixture
def door(made: GlobalDatabase) -> Iterator[ClusterEndpoint]:
    """Open and quick again after each test."""
    door = made.member(EAST).door
    door.faults.clear()
    yield door
    door.slow()
    door.refuse(refusing=False)


@pytest.fixture
def server(made: GlobalDatabase) -> PostgresServer:
    """What is behind it."""
    return made.member(EAST).server


def token(port: int, *, user: str = "service", host: str = "localhost", region: str = EAST, key: str = KEY,
          secret: str = SECRET, session: str | None = None) -> str:
    """What an AWS SDK makes."""
    client = boto3.client("rds", region_name=region, aws_access_key_id=key, aws_secret_access_key=secret,
                          aws_session_token=session)
    made: str = client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user, Region=region)
    return made


def test_a_token_lets_an_iam_user_in(door: ClusterEndpoint, connect: Connect) -> None:
    connection = connect(EAST, "service", token(door.port))
    assert connection.run("SELECT current_user, current_database()") == [["service", "payments"]]


def test_a_token_of_temporary_credentials_lets_an_iam_user_in(door: ClusterEndpoint, connect: Connect) -> None:
    assert connect(EAST, "service", token(door.port, session="a/session+token==")).run("SELECT 1") == [[1]]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"user": "master"}, "another user"),
        ({"host": "db.example.com"}, "another endpoint"),
        ({"region": WEST}, "another scope"),
        ({"key": "AKIDUNKNOWN"}, "an unknown key"),
        ({"secret": "guessed"}, "a wrong signature"),
    ],
)
def test_a_foreign_token_is_refused(door: ClusterEndpoint, connect: Connect, changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(Refused, match=r'28000.*PAM authentication failed for user "service"'):
        connect(EAST, "service", token(door.port, **changes))
    assert door.faults == {f"token: {fault}": 1}


@pytest.mark.parametrize(("age", "accepted"), [(14, True), (16, False), (-4, True), (-6, False)])
def test_a_token_is_valid_for_a_quarter_of_an_hour(
    door: ClusterEndpoint, connect: Connect, monkeypatch: pytest.MonkeyPatch, age: int, accepted: bool
) -> None:
    then = datetime.now(UTC) - timedelta(minutes=age)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: then)
    old = token(door.port)
    if accepted:
        assert connect(EAST, "service", old).run("SELECT 1") == [[1]]
    else:
        with pytest.raises(Refused, match="PAM authentication failed"):
            connect(EAST, "service", old)
        assert list(door.faults) in (["token: expired"], ["token: not valid yet"])


@pytest.mark.parametrize(
    ("part", "instead"),
    [("Action=connect", "Action=drop"), ("X-Amz-Expires=900", "X-Amz-Expires=90000"), ("X-Amz-Date=2", "X-Amz-Date=x"),
     ("SignedHeaders=host", "SignedHeaders="), ("X-Amz-Signature=", "X-Amz-Signature=0"), ("rds-db", "s3"),
     ("/?", "?"), ("X-Amz-Expires", "Expires")],
)
def test_a_changed_token_is_refused(part: str, instead: str) -> None:
    good, tokens = token(5432), IamTokens("localhost:5432", EAST, KEYS)
    assert part in good
    assert tokens.fault(good, "service", datetime.now(UTC)) == ""
    assert tokens.fault(good.replace(part, instead, 1), "service", datetime.now(UTC))


def test_the_master_user_has_a_password(door: ClusterEndpoint, connect: Connect) -> None:
    assert connect(EAST, "master", PASSWORD).run("SELECT 1") == [[1]]
    of_master = token(door.port, user="master")
    for user, password in (("master", "wrong"), ("master", of_master), ("rdsadmin", ""), ("x", "")):
        with pytest.raises(Refused, match=rf'28P01.*password authentication failed for user "{user}"'):
            connect(EAST, user, password)
    assert door.faults == {"password": 2, "no such role": 2}


def test_the_roles_decide_and_they_may_change(door: ClusterEndpoint, connect: Connect) -> None:
    master = connect(EAST)
    master.run("CREATE USER clerk PASSWORD 'first'")
    assert connect(EAST, "clerk", "first").run("SELECT 1") == [[1]]
    master.run("ALTER USER clerk PASSWORD 'second'")
    with pytest.raises(Refused, match="28P01"):
        connect(EAST, "clerk", "first")
    master.run("GRANT rds_iam TO clerk")
    with pytest.raises(Refused, match="28000"):
        connect(EAST, "clerk", "second")
    assert connect(EAST, "clerk", token(door.port, user="clerk")).run("SELECT 1") == [[1]]
    master.run("REVOKE rds_iam FROM clerk")
    assert connect(EAST, "clerk", "second").run("SELECT 1") == [[1]]


@pytest.mark.parametrize("stored", [None, "", "md5c0ffee", "SCRAM-SHA-256$1:YQ==$YQ==:YQ=="])
def test_no_password_fits_what_is_not_its_verifier(stored: str | None) -> None:
    assert not password_fits("", stored)


def test_without_tls_nobody_gets_in(door: ClusterEndpoint) -> None:
    with pytest.raises(Refused, match=r"28000.*no pg_hba.conf entry.*no encryption"):
        Connection("master", host="127.0.0.1", port=door.port, database="payments", ssl_context=False)
    assert door.faults == {"no TLS": 1}


def test_the_certificate_is_for_localhost_and_of_this_run_alone(
    door: ClusterEndpoint, made: GlobalDatabase, connect: Connect, tmp_path: Path
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(EAST, ca=CertificateAuthority(tmp_path).file)
    context = ssl.create_default_context(cafile=made.ca_file)
    with socket.create_connection(("127.0.0.1", door.port)) as plain:
        plain.sendall(struct.pack("!ii", 8, 80877103))
        assert plain.recv(1) == b"S"
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            context.wrap_socket(plain, server_hostname="db.example.com")


def test_a_dead_server_takes_no_connections(door: ClusterEndpoint, server: PostgresServer, connect: Connect) -> None:
    connection = connect(EAST)
    server.kill()
    with pytest.raises(NO_CONNECTION):
        connection.run("SELECT 1")
    with pytest.raises(Refused, match="57P03"):
        connect(EAST)
    server.start()
    assert connect(EAST).run("SELECT 1") == [[1]]
    assert door.faults == {"no server": 1}


def test_refusing_leaves_open_connections_alone(door: ClusterEndpoint, connect: Connect) -> None:
    connection = connect(EAST)
    refused = door.counts.refused
    door.refuse()
    with pytest.raises(NO_CONNECTION):
        connect(EAST)
    assert connection.run("SELECT 1") == [[1]]
    assert door.counts.refused > refused
    door.refuse(refusing=False)
    assert connect(EAST).run("SELECT 1") == [[1]]


def test_each_direction_can_be_slowed(door: ClusterEndpoint, connect: Connect) -> None:
    connection = connect(EAST)
    door.slow(to_server=0.15, to_client=0.1)
    began = time.monotonic()
    assert connection.run("SELECT 1") == [[1]]
    assert 0.25 <= time.monotonic() - began < 0.45


def test_a_door_that_holds_everything_is_silent_until_it_is_let_go(door: ClusterEndpoint, connect: Connect) -> None:
    connection = connect(EAST)
    door.slow(to_server=STOPPED)
    with pytest.raises(NO_CONNECTION):
        connect(EAST, timeout=0.2)
    threading.Timer(0.2, door.slow).start()
    began = time.monotonic()
    assert connection.run("SELECT 1") == [[1]]
    assert time.monotonic() - began >= 0.15


def test_much_passes_unchanged(connect: Connect) -> None:
    text = "".join(chr(0x100 + number % 50_000) for number in range(3_000_000))
    assert connect(EAST).run("SELECT cast(:text AS text)", text=text) == [[text]]


def test_a_request_to_cancel_reaches_the_server(door: ClusterEndpoint, connect: Connect) -> None:
    connection = connect(EAST)
    key = connection._backend_key_data  # pylint: disable=protected-access

    def cancel() -> None:
        with socket.create_connection(("127.0.0.1", door.port)) as plain:
            plain.sendall(struct.pack("!ii", 8 + len(key), 80877102) + key)
            assert plain.recv(1) == b""

    threading.Timer(0.2, cancel).start()
    with pytest.raises(Refused, match="57014"):
        connection.run("SELECT pg_sleep(10)")


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\4", b"\0\0\0\10\0\4\0\0", b"\0\0\0\20\4"])
def test_what_is_not_a_login_ends_without_harm(door: ClusterEndpoint, connect: Connect, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", door.port)) as plain:
        plain.sendall(said)
        plain.shutdown(socket.SHUT_WR)
        plain.settimeout(2)
        answer = plain.recv(100)
    assert answer == b"" or b"unsupported frontend protocol" in answer
    assert connect(EAST).run("SELECT 1") == [[1]]


def test_many_connections_leave_nothing_open(door: ClusterEndpoint, server: PostgresServer, made: GlobalDatabase) -> None:
    context = ssl.create_default_context(cafile=made.ca_file)
    before = door.counts.passed

    def visit(times: int) -> None:
        for _ in range(times):
            with closing(Connection("master", host="localhost", port=door.port, database="payments", password=PASSWORD,
                                    ssl_context=context)) as connection:
                connection.run("SELECT 1")

    threads = [threading.Thread(target=visit, args=(75,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert door.counts.passed == before + 300
    deadline = time.monotonic() + 2
    while door.counts.open and time.monotonic() < deadline:
        time.sleep(0.01)
    assert door.counts.open == 0
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'master'"
    while server.query(sessions) != [[0]] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.query(sessions) == [[0]]
