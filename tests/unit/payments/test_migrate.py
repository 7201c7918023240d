"""Migrations: applied in order, once, and never changed afterwards."""
import re
from pathlib import Path
from typing import Any

import boto3
import pytest

from payments import leadership, migrate
from payments.leadership import Leadership
from payments.ledger import DatabaseAddress, Login
from payments.migrate import Migration, MigrationError, load
from tests.unit.payments.fakes import TABLE, Region

ENVIRON = {"AWS_REGION": "us-east-1", "TABLE_NAME": TABLE, "DATABASE_HOST": "db", "DATABASE_PORT": "5432",
           "DATABASE_NAME": "payments"}


class FakeSchema:
    """A database that keeps which migrations it got; a transaction that does not commit leaves nothing."""

    def __init__(self) -> None:
        self.applied: dict[int, tuple[str, str]] = {}
        self.ran: list[str] = []
        self.fail = ""
        self.closed = False
        self.region = Region()  # whose table gets the right
        self._open: tuple[dict[int, tuple[str, str]], list[str]] | None = None

    def run(self, sql: str, **values: Any) -> list[list[Any]] | None:
        """A statement or a file of them."""
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

    def close(self) -> None:
        """Ends the session, and what was not committed."""
        self.closed = True
        if self._open:
            self.applied, self.ran = self._open


def write(folder: Path, *names: str) -> Path:
    """Makes files whose content is their name."""
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
def test_a_series_with_a_hole_is_none(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(MigrationError):
        load(write(tmp_path, *names))


def test_the_first_thing_is_the_lock() -> None:
    schema = FakeSchema()
    migrate.migrate(schema, [])
    assert schema.ran[0].startswith("SELECT pg_advisory_lock(")


def test_each_is_applied_once(tmp_path: Path) -> None:
    schema = FakeSchema()
    assert migrate.migrate(schema, load(write(tmp_path, "0001_a.sql"))) == ["0001_a.sql"]
    assert migrate.migrate(schema, load(write(tmp_path, "0002_b.sql"))) == ["0002_b.sql"]
    assert migrate.migrate(schema, load(tmp_path)) == []
    assert [sql for sql in schema.ran if sql.startswith("-- ")] == ["-- 0001_a.sql", "-- 0002_b.sql"]


def test_a_file_that_changed_is_an_error(tmp_path: Path) -> None:
    schema = FakeSchema()
    migrate.migrate(schema, load(write(tmp_path, "0001_a.sql")))
    with pytest.raises(MigrationError, match=r"0001_a\.sql"):
        migrate.migrate(schema, [Migration(1, "0001_a.sql", "-- other"), Migration(2, "0002_b.sql", "")])
    assert list(schema.applied) == [1]


def test_an_older_program_leaves_a_newer_schema_alone(tmp_path: Path) -> None:
    schema = FakeSchema()
    migrations = load(write(tmp_path, "0001_a.sql", "0002_b.sql"))
    migrate.migrate(schema, migrations)
    assert migrate.migrate(schema, migrations[:1]) == []


def test_what_is_shipped_grants_the_function_no_write() -> None:
    for migration in load():
        grants = re.findall(r"GRANT (.+?) ON .+? TO (\w+)", migration.sql)
        assert set(grants) <= {(privilege, "payments_app") for privilege in ("USAGE", "EXECUTE", "SELECT")}


@pytest.fixture
def schema(monkeypatch: pytest.MonkeyPatch) -> FakeSchema:
    """The database that the handler reaches, with a table beside it."""
    schema = FakeSchema()
    region = schema.region
    region.dynamodb.items.clear()

    def enter(database: DatabaseAddress, _timing: object, login: Any) -> FakeSchema:
        assert (database.host, login()) == ("db", Login("master", "secret"))
        return schema

    def client(service: str, region_name: str) -> object:
        assert (service, region_name) == ("dynamodb", "us-east-1")
        return region.dynamodb

    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(migrate, "open_connection", enter)
    monkeypatch.setattr(boto3, "client", client)
    return schema


def test_the_handler_migrates_and_gives_the_first_right(schema: FakeSchema) -> None:
    login = {"username": "master", "password": "secret"}
    names = [migration.name for migration in load()]
    assert migrate.handler(login, None) == {"applied": names, "version": len(names)}
    assert migrate.handler(login, None) == {"applied": [], "version": len(names)}
    assert schema.closed
    assert schema.region.right.read(schema.region.deadline()) == Leadership(leadership.FIRST_EPOCH, "us-east-1")


def test_a_migration_that_fails_leaves_nothing_and_is_raised(schema: FakeSchema) -> None:
    schema.fail = "CREATE SCHEMA ledger"
    with pytest.raises(RuntimeError):
        migrate.handler({"username": "master", "password": "secret"}, None)
    assert (schema.applied, schema.closed, schema.region.dynamodb.items) == ({}, True, {})
    schema.fail, schema.closed = "", False
    assert migrate.handler({"username": "master", "password": "secret"}, None)["applied"]
