"""A real PostgreSQL for the ledger, behind the rehearsal's endpoint: TLS and IAM logins."""
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from botocore.credentials import Credentials
from pg8000.native import Connection, identifier

from contract import DATABASE_NAME, DATABASE_USER
from payments.deadline import Timing
from payments.ledger import DatabaseAddress, Login, iam_login, open_connection
from rehearsal.postgres.global_database import GlobalDatabase

REGIONS = ("us-east-1", "us-west-2")
MASTER = Login("tapstack", "integration")
KEY = Credentials("AKIDEXAMPLE", "secret")
PATIENT = Timing(budget=90, connect=15, read=15)  # reached only if a test fails


@dataclass(frozen=True)
class Postgres:
    """A region's database, and its logins."""

    database: DatabaseAddress
    ca: Path
    region: str

    @classmethod
    def of(cls, created: GlobalDatabase, region: str) -> "Postgres":
        """The global database's member in a region."""
        database = DatabaseAddress(host="localhost", port=created.member(region).endpoint.port, name=DATABASE_NAME)
        return cls(database, created.ca_file, region)

    def login(self, user: str, password: str) -> Connection:
        """A session of that user."""
        return open_connection(self.database, PATIENT, partial(Login, user, password), self.ca)

    def master(self) -> Connection:
        """A session of the schema's owner."""
        return self.login(*MASTER)

    def app(self) -> Connection:
        """A session of the payments function, which logs in with IAM."""
        login = partial(iam_login, self.database, DATABASE_USER, self.region, KEY)
        return open_connection(self.database, PATIENT, login, self.ca)

    @contextmanager
    def empty(self) -> Iterator["Postgres"]:
        """Another, empty database on the same server; dropped at the end."""
        fresh = replace(self, database=replace(self.database, name="fresh"))
        with closing(self.master()) as master:
            master.run(f"CREATE DATABASE {identifier(fresh.database.name)}")
            try:
                yield fresh
            finally:
                master.run(f"DROP DATABASE {identifier(fresh.database.name)} WITH (FORCE)")


@pytest.fixture(scope="package", params=[16, 18])
def writer(request: pytest.FixtureRequest) -> Iterator[GlobalDatabase]:
    """A writer without a standby."""
    with closing(GlobalDatabase(REGIONS, lambda *_: KEY.secret_key, request.param)) as created:
        created.create(REGIONS[0], DATABASE_NAME, *MASTER)
        yield created


@pytest.fixture(scope="package")
def postgres(writer: GlobalDatabase) -> Postgres:
    """The writer's database, which is empty at first."""
    return Postgres.of(writer, REGIONS[0])
