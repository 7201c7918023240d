"""Migrations: applied in order, once, and never changed afterwards."""
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from payments import leadership, migrate
from payments.deadline import Timing
from payments.errors import MigrationError
from payments.leadership import Leadership
from payments.ledger import DatabaseAddress, Login
from payments.migrate import Migration, load
from payments.region import Transport
from tests.unit.payments.fakes import TABLE, FakeBoto, Region, still_runtime

ENVIRON = {"AWS_REGION": "us-east-1", "TABLE_NAME": TABLE, "DATABASE_HOST": "db", "DATABASE_PORT": "5432",
           "DATABASE_NAME": "payments"}


class FakeSchema:
    """A database that records its migrations; a transaction that does not commit leaves nothing."""

    def __init__(self) -> None:
        self.applied: dict[int, tuple[str, str]] = {}
        self.ran: list[str] = []
        self.fail = ""
        self.closed = False
        self.region = Region()  # whose table gets the leader
        self._open: tuple[dict[int, tuple[str, str]], list[str]] | None = None

    def run(self, sql: str, **values: Any) -> list[list[Any]] | None:
        """Run a statement or a file of them."""
        if sql == "BEGIN":
            self._open = dict(self.applied), list(self.ran)
        elif sql == "COMMIT":
            self._open = None
        elif sql.startswith("SELECT version"):
            return [[version, checksum] for version, (_, checksum) in self.applied.items()]
        elif sql.startswith("INSERT"):
            self.applied[values["version"]] = values["name"], values["checksum"]
        else:
            if self.fail and self.fail in sql:
                raise RuntimeError(sql)
            self.ran.append(sql)
        return None

    def prepare(self, sql: str) -> None:
        """No migration prepares a statement."""
        raise NotImplementedError(sql)

    def close(self) -> None:
        """End the session, and roll back what was not committed."""
        self.closed = True
        if self._open:
            self.applied, self.ran = self._open


def write(folder: Path, *names: str) -> Path:
    """Write files that contain their names."""
    for name in names:
        (folder / name).write_text(f"-- {name}")
    return folder


def test_files_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    found = load(write(tmp_path, "0002_b.sql", "0001_z.sql"))
    assert [(each.version, each.name, each.sql) for each in found] == [
        (1, "0001_z.sql", "-- 0001_z.sql"), (2, "0002_b.sql", "-- 0002_b.sql")]


@pytest.mark.parametrize("names", [
    ["0002_a.sql"], ["0001_a.sql", "0003_b.sql"], ["0001_a.sql", "0001_b.sql"], ["0001_a.sql", "notes.txt"],
    ["1_a.sql"], ["0001.sql"],
])
def test_a_series_with_gaps_or_other_files_is_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(MigrationError):
        load(write(tmp_path, *names))


def test_the_lock_is_taken_first() -> None:
    schema = FakeSchema()
    migrate.migrate(schema, [])
    assert schema.ran[0].startswith("SELECT pg_advisory_lock(")


def test_each_is_applied_once(tmp_path: Path) -> None:
    schema = FakeSchema()
    assert migrate.migrate(schema, load(write(tmp_path, "0001_a.sql"))) == ["0001_a.sql"]
    assert migrate.migrate(schema, load(write(tmp_path, "0002_b.sql"))) == ["0002_b.sql"]
    assert migrate.migrate(schema, load(tmp_path)) == []
    assert [sql for sql in schema.ran if sql.startswith("-- ")] == ["-- 0001_a.sql", "-- 0002_b.sql"]


def test_a_file_that_changed_after_it_was_applied_is_an_error(tmp_path: Path) -> None:
    schema = FakeSchema()
    migrate.migrate(schema, load(write(tmp_path, "0001_a.sql")))
    with pytest.raises(MigrationError, match=r"0001_a\.sql"):
        migrate.migrate(schema, [Migration(1, "0001_a.sql", "-- other"), Migration(2, "0002_b.sql", "")])
    assert list(schema.applied) == [1]


def test_an_older_version_does_not_change_a_newer_schema(tmp_path: Path) -> None:
    schema = FakeSchema()
    migrations = load(write(tmp_path, "0001_a.sql", "0002_b.sql"))
    migrate.migrate(schema, migrations)
    assert migrate.migrate(schema, migrations[:1]) == []


def test_the_shipped_migrations_grant_the_function_no_write() -> None:
    for migration in load():
        grants = re.findall(r"GRANT (.+?) ON .+? TO (\w+)", migration.sql)
        assert set(grants) <= {(privilege, "payments_app") for privilege in ("USAGE", "EXECUTE", "SELECT")}


# --- A deployment

LOGIN = Login("master", "secret")


def deploy(schema: FakeSchema) -> dict[str, Any]:
    """Deploy to the schema, and to the table of its region."""
    def connect(database: DatabaseAddress, _timing: Timing, login: Callable[[], Login]) -> FakeSchema:
        assert (database.host, login()) == ("db", LOGIN)
        return schema

    def session(region: str) -> FakeBoto:
        assert region == "us-east-1"
        return FakeBoto({"dynamodb": schema.region.dynamodb})

    return migrate.deploy(LOGIN, ENVIRON, still_runtime(), Transport(session, connect))


@pytest.fixture
def schema() -> FakeSchema:
    """An empty database, and a table without a leader."""
    schema = FakeSchema()
    schema.region.dynamodb.items.clear()
    return schema


def test_a_deployment_migrates_and_makes_the_region_the_first_leader(schema: FakeSchema) -> None:
    names = [migration.name for migration in load()]
    assert deploy(schema) == {"applied": names, "version": len(names)}
    assert deploy(schema) == {"applied": [], "version": len(names)}
    assert schema.closed
    assert schema.region.leadership.read(schema.region.deadline()) == Leadership(leadership.FIRST_EPOCH, "us-east-1")


def test_a_migration_that_fails_leaves_nothing_and_is_raised(schema: FakeSchema) -> None:
    schema.fail = "CREATE SCHEMA ledger"
    with pytest.raises(RuntimeError):
        deploy(schema)
    assert (schema.applied, schema.closed, schema.region.dynamodb.items) == ({}, True, {})
    schema.fail, schema.closed = "", False
    assert deploy(schema)["applied"]
