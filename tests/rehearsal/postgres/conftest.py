"""One global database for each module. Each test finds a writer, a standby, no lag, no cut and an empty table."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from pg8000.exceptions import Error
from pg8000.native import Connection

from rehearsal.polling import PATIENCE
from rehearsal.postgres.global_database import GlobalDatabase, ServerRole
from tests.rehearsal.manual_clock import ManualClock

EAST, WEST = "us-east-1", "eu-west-1"
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def secret_of(key: str, _region: str, user: str) -> str:
    """The secret of KEY, with which everybody but `forbidden` may log in."""
    return SECRET if key == KEY and user != "forbidden" else ""
PASSWORD = "it's: a \\secret"
Connect = Callable[..., Any]


def add_service_user(database: GlobalDatabase) -> None:
    """A user that logs in with IAM tokens."""
    with closing(database.member(EAST).server.connect("master", "payments")) as session:
        session.run("CREATE USER service")
        session.run("GRANT rds_iam TO service")


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    """The clock of the replication."""
    return ManualClock()


@pytest.fixture(scope="module")
def created(clock: ManualClock) -> Iterator[GlobalDatabase]:
    """A writer in the east, a standby in the west."""
    with closing(GlobalDatabase((EAST, WEST), secret_of, clock=clock)) as database:
        database.create(EAST, "payments", "master", PASSWORD)
        add_service_user(database)
        database.join(WEST)
        yield database


@pytest.fixture
def database(created: GlobalDatabase) -> GlobalDatabase:
    """The global database, repaired after the test before."""
    created.separate()
    for region in (EAST, WEST):
        created.delay(region, 0)
    if created.role(created.writer) is ServerRole.DOWN:
        created.restart(created.writer)
    standby = WEST if created.writer == EAST else EAST
    if created.role(standby) is not ServerRole.STANDBY:
        created.join(standby)
    with closing(created.member(created.writer).server.connect("master", "payments")) as session:
        session.run("DROP TABLE IF EXISTS payments")
        session.run("CREATE TABLE payments (id int PRIMARY KEY)")
        session.run("GRANT ALL ON payments TO service")
    created.catch_up(standby)
    return created


@pytest.fixture
def connect(created: GlobalDatabase) -> Iterator[Connect]:
    """Opens connections as a client does, through a region's endpoint; they are closed after the test."""
    opened: list[Connection] = []

    def open_one(region: str, user: str = "master", password: str = PASSWORD, *, ca: Path | None = None) -> Connection:
        context = ssl.create_default_context(cafile=ca or created.ca_file)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        # pg8000 does not close its own socket when the server vanishes before TLS has begun.
        plain = socket.create_connection(("localhost", created.member(region).endpoint.port), PATIENCE)
        try:
            opened.append(Connection(user, host="localhost", database="payments", password=password,
                                     ssl_context=context, sock=plain))
        except BaseException:
            plain.close()
            raise
        return opened[-1]

    yield open_one
    for connection in opened:
        with suppress(Error, OSError):
            connection.close()
