"""A cluster's endpoint: who may log in and how, and what it does to connections."""

import socket
import ssl
import struct
import threading
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

from rehearsal.polling import PATIENCE, wait_until
from rehearsal.postgres.authentication import IamTokens, password_matches, server_tls
from rehearsal.postgres.endpoint import ClusterEndpoint
from rehearsal.postgres.global_database import GlobalDatabase
from rehearsal.postgres.server import PostgresServer
from tests.rehearsal.postgres.conftest import EAST, KEY, PASSWORD, SECRET, WEST, Connect, add_service_user, secret_of

NO_CONNECTION = (InterfaceError, OSError)


@pytest.fixture(scope="module")
def created() -> Iterator[GlobalDatabase]:
    """A writer is enough here."""
    with closing(GlobalDatabase((EAST, WEST), secret_of)) as database:
        database.create(EAST, "payments", "master", PASSWORD)
        add_service_user(database)
        yield database


@pytest.fixture
def endpoint(created: GlobalDatabase) -> ClusterEndpoint:
    """What the clients connect to."""
    return created.member(EAST).endpoint


@pytest.fixture
def server(created: GlobalDatabase) -> PostgresServer:
    """The server behind it."""
    return created.member(EAST).server


def token(port: int, *, user: str = "service", host: str = "localhost", region: str = EAST, key: str = KEY,
          secret: str = SECRET, session: str | None = None) -> str:
    """A token as an AWS SDK creates it."""
    client = boto3.client("rds", region_name=region, aws_access_key_id=key, aws_secret_access_key=secret,
                          aws_session_token=session)
    created_token: str = client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user, Region=region)
    return created_token


def test_a_token_lets_an_iam_user_in(endpoint: ClusterEndpoint, connect: Connect) -> None:
    connection = connect(EAST, "service", token(endpoint.port))
    assert connection.run("SELECT current_user, current_database()") == [["service", "payments"]]


def test_a_token_of_temporary_credentials_lets_an_iam_user_in(endpoint: ClusterEndpoint, connect: Connect) -> None:
    assert connect(EAST, "service", token(endpoint.port, session="a/session+token==")).run("SELECT 1") == [[1]]


@pytest.mark.parametrize(
    "changes",
    [{"user": "master"}, {"host": "db.example.com"}, {"region": WEST}, {"key": "AKIDUNKNOWN"}, {"secret": "guessed"}])
def test_a_foreign_token_is_refused(endpoint: ClusterEndpoint, connect: Connect, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r'28000.*PAM authentication failed for user "service"'):
        connect(EAST, "service", token(endpoint.port, **changes))


@pytest.mark.parametrize(("age", "accepted"), [(14, True), (16, False), (-4, True), (-6, False)])
def test_a_token_is_valid_for_a_quarter_of_an_hour(
    endpoint: ClusterEndpoint, connect: Connect, monkeypatch: pytest.MonkeyPatch, age: int, accepted: bool
) -> None:
    then = datetime.now(UTC) - timedelta(minutes=age)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: then)
    old = token(endpoint.port)
    if accepted:
        assert connect(EAST, "service", old).run("SELECT 1") == [[1]]
    else:
        with pytest.raises(Refused, match="PAM authentication failed"):
            connect(EAST, "service", old)


@pytest.mark.parametrize(
    ("part", "instead"),
    [("Action=connect", "Action=drop"), ("X-Amz-Expires=900", "X-Amz-Expires=90000"), ("X-Amz-Date=2", "X-Amz-Date=x"),
     ("SignedHeaders=host", "SignedHeaders="), ("X-Amz-Signature=", "X-Amz-Signature=0"), ("rds-db", "s3"),
     ("/?", "?"), ("X-Amz-Expires", "Expires")],
)
def test_a_changed_token_is_refused(part: str, instead: str) -> None:
    good, tokens = token(5432), IamTokens("localhost:5432", EAST, secret_of)
    assert part in good
    assert tokens.accepts(good, "service", datetime.now(UTC))
    assert not tokens.accepts(good.replace(part, instead, 1), "service", datetime.now(UTC))
    assert not tokens.accepts(token(5432, user="forbidden"), "forbidden", datetime.now(UTC))


def test_the_master_user_has_a_password(endpoint: ClusterEndpoint, connect: Connect) -> None:
    assert connect(EAST, "master", PASSWORD).run("SELECT 1") == [[1]]
    of_master = token(endpoint.port, user="master")
    for user, password in (("master", "wrong"), ("master", of_master), ("rdsadmin", ""), ("x", "")):
        with pytest.raises(Refused, match=rf'28P01.*password authentication failed for user "{user}"'):
            connect(EAST, user, password)


def test_a_roles_grants_decide_how_it_logs_in(endpoint: ClusterEndpoint, connect: Connect) -> None:
    master = connect(EAST)
    master.run("CREATE USER clerk PASSWORD 'first'")
    assert connect(EAST, "clerk", "first").run("SELECT 1") == [[1]]
    master.run("ALTER USER clerk PASSWORD 'second'")
    with pytest.raises(Refused, match="28P01"):
        connect(EAST, "clerk", "first")
    master.run("GRANT rds_iam TO clerk")
    with pytest.raises(Refused, match="28000"):
        connect(EAST, "clerk", "second")
    assert connect(EAST, "clerk", token(endpoint.port, user="clerk")).run("SELECT 1") == [[1]]
    master.run("REVOKE rds_iam FROM clerk")
    assert connect(EAST, "clerk", "second").run("SELECT 1") == [[1]]


@pytest.mark.parametrize("stored", [None, "", "md5c0ffee", "SCRAM-SHA-256$1:YQ==$YQ==:YQ=="])
def test_no_password_matches_an_invalid_verifier(stored: str | None) -> None:
    assert not password_matches("", stored)


def test_a_login_needs_tls(endpoint: ClusterEndpoint) -> None:
    with pytest.raises(Refused, match=r"28000.*no pg_hba.conf entry.*no encryption"):
        Connection("master", host="127.0.0.1", port=endpoint.port, database="payments", ssl_context=False)


def test_the_certificate_is_for_localhost_and_of_this_run_alone(
    endpoint: ClusterEndpoint, created: GlobalDatabase, connect: Connect, tmp_path: Path
) -> None:
    other = tmp_path / "ca.pem"
    server_tls(other)
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(EAST, ca=other)
    context = ssl.create_default_context(cafile=created.ca_file)
    with socket.create_connection(("127.0.0.1", endpoint.port)) as plain:
        plain.sendall(struct.pack("!ii", 8, 80877103))
        assert plain.recv(1) == b"S"
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            context.wrap_socket(plain, server_hostname="db.example.com")


def test_a_dead_server_takes_no_connections(server: PostgresServer, connect: Connect) -> None:
    connection = connect(EAST)
    server.kill()
    with pytest.raises(NO_CONNECTION):
        connection.run("SELECT 1")
    with pytest.raises(Refused, match="57P03"):
        connect(EAST)
    server.start()
    assert connect(EAST).run("SELECT 1") == [[1]]


def test_a_large_result_passes_unchanged(connect: Connect) -> None:
    text = "".join(chr(0x100 + number % 50_000) for number in range(3_000_000))
    assert connect(EAST).run("SELECT cast(:text AS text)", text=text) == [[text]]


def test_a_request_to_cancel_reaches_the_server(
    endpoint: ClusterEndpoint, server: PostgresServer, connect: Connect
) -> None:
    connection = connect(EAST)
    key = connection._backend_key_data  # pylint: disable=protected-access

    def cancel() -> None:
        with socket.create_connection(("127.0.0.1", endpoint.port)) as plain:
            plain.sendall(struct.pack("!ii", 8 + len(key), 80877102) + key)
            assert plain.recv(1) == b""

    def cancel_once_it_runs() -> None:
        running = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        wait_until(lambda: server.query(running) == [[1]], "the query to run", PATIENCE)
        cancel()

    canceller = threading.Thread(target=cancel_once_it_runs)
    canceller.start()
    with pytest.raises(Refused, match="57014"):
        connection.run("SELECT pg_sleep(3600)")
    canceller.join()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\4", b"\0\0\0\10\0\4\0\0", b"\0\0\0\20\4"])
def test_what_is_not_a_login_ends_without_harm(endpoint: ClusterEndpoint, connect: Connect, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", endpoint.port)) as plain:
        plain.sendall(sent)
        plain.shutdown(socket.SHUT_WR)
        plain.settimeout(PATIENCE)
        answer = plain.recv(100)
    assert answer == b"" or b"no pg_hba.conf entry" in answer
    assert connect(EAST).run("SELECT 1") == [[1]]


def test_many_connections_leave_nothing_open(
    endpoint: ClusterEndpoint, server: PostgresServer, created: GlobalDatabase
) -> None:
    context = ssl.create_default_context(cafile=created.ca_file)

    def visit(times: int) -> None:
        for _ in range(times):
            with closing(Connection("master", host="localhost", port=endpoint.port, database="payments",
                                    password=PASSWORD, ssl_context=context)) as connection:
                connection.run("SELECT 1")
        done.append(times)

    done = list[int]()
    threads = [threading.Thread(target=visit, args=(75,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [75] * 4
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'master'"
    wait_until(lambda: server.query(sessions) == [[0]], "the end of every session", PATIENCE)
