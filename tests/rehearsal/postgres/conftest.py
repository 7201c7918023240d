"""One pair for all tests of a module; each test finds it whole: writer and standby, no lag, no cut, an empty table."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from pg8000.exceptions import Error
from pg8000.native import Connection

from rehearsal.postgres.global_database import GlobalDatabase, ServerRole

EAST, WEST = "us-east-1", "eu-west-1"
KEYS = {"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
PASSWORD = "it's: a \\secret"
Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def made() -> Iterator[GlobalDatabase]:
    """A writer in the east, a standby in the west."""
    with closing(GlobalDatabase((EAST, WEST), KEYS)) as pair:
        pair.create(EAST, "payments", "master", PASSWORD, ["service"])
        pair.join(WEST)
        yield pair


@pytest.fixture
def pair(made: GlobalDatabase) -> GlobalDatabase:
    """Mended, whatever the test before it has left."""
    for region in (EAST, WEST):
        made.heal(region)
        made.delay(region, 0)
    if made.role(made.writer) is ServerRole.DOWN:
        made.restart(made.writer)
    standby = WEST if made.writer == EAST else EAST
    if made.role(standby) is not ServerRole.STANDBY:
        made.rejoin(standby)
    with closing(made.member(made.writer).server.connect("master", "payments")) as session:
        session.run("DROP TABLE IF EXISTS payments")
        session.run("CREATE TABLE payments (id int PRIMARY KEY)")
        session.run("GRANT ALL ON payments TO service")
    made.catch_up(standby)
    return made


@pytest.fixture
def connect(made: GlobalDatabase) -> Iterator[Connect]:
    """Opens connections as a client does, through a region's front door; they are closed after the test."""
    opened: list[Connection] = []

    def open_one(region: str, user: str = "master", password: str = PASSWORD, *, ca: Path | None = None,
                 timeout: float = 10) -> Connection:
        context = ssl.create_default_context(cafile=ca or made.ca_file)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        # pg8000 forgets to close a socket of its own when the server vanishes before TLS has begun.
        plain = socket.create_connection(("localhost", made.member(region).door.port), timeout)
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
