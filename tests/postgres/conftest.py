"""A real PostgreSQL for the ledger, behind the rehearsal's front door: TLS, and logins by IAM."""
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from botocore.credentials import Credentials
from pg8000.native import Connection, identifier

from payments.deadline import Timing
from payments.ledger import DatabaseAddress, Login, iam_login, open_connection
from rehearsal.postgres.global_database import GlobalDatabase

REGIONS = ("us-east-1", "us-west-2")
MASTER = Login("tapstack", "integration")
KEY = Credentials("AKIDEXAMPLE", "secret")


@dataclass(frozen=True)
class Postgres:
    """A region's database, and the ways into it."""

    database: DatabaseAddress
    ca: Path
    region: str

    @classmethod
    def of(cls, pair: GlobalDatabase, region: str) -> "Postgres":
        """What a region has of the pair's database."""
        database = DatabaseAddress(host="localhost", port=pair.member(region).endpoint.port, name="payments")
        return cls(database, pair.ca_file, region)

    def login(self, user: str, password: str) -> Connection:
        """Somebody's session."""
        return open_connection(self.database, Timing(), partial(Login, user, password), self.ca)

    def master(self) -> Connection:
        """Of who owns the schema."""
        return self.login(*MASTER)

    def app(self) -> Connection:
        """Of the function, by IAM."""
        login = partial(iam_login, self.database, "payments_app", self.region, KEY)
        return open_connection(self.database, Timing(), login, self.ca)

    @contextmanager
    def empty(self) -> Iterator["Postgres"]:
        """Another database of the same server, for a while."""
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
    with closing(GlobalDatabase(REGIONS, {KEY.access_key: KEY.secret_key}, request.param)) as pair:
        pair.create(REGIONS[0], "payments", *MASTER)
        yield pair


@pytest.fixture(scope="package")
def postgres(writer: GlobalDatabase) -> Postgres:
    """Its database, which is empty."""
    return Postgres.of(writer, REGIONS[0])
