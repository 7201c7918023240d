"""Brings the ledger's schema up to date, once at each deployment: `payments.migrate.handler`.

A migration is a file `migrations/NNNN_name.sql`, numbered from 0001 without gaps. It is applied once, in a transaction
of its own, and never changed afterwards.
"""
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import boto3

from payments.deadline import Deadline, Timing
from payments.leadership import DynamoLeadership
from payments.ledger import DatabaseAddress, Login, open_connection

MIGRATIONS = Path(__file__).parent / "migrations"
TIMING = Timing(connect=5.0, read=900.0)  # a migration may rewrite a table; Lambda gives it no more

_NAME = re.compile(r"(\d{4})_\w+\.sql")
_LOCK = 7_266_133_501_903_284_557  # any number that nobody else locks
_TABLE = """
CREATE TABLE IF NOT EXISTS public.schema_migrations (
    version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""
_APPLIED = "INSERT INTO public.schema_migrations (version, name, checksum) VALUES (:version, :name, :checksum)"
# Roles belong to the server and not to the database, so the role may be there before the schema is. It has no password:
# where there is `rds_iam` (Aurora), its members log in by IAM.
_ROLE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'payments_app') THEN
        CREATE ROLE payments_app LOGIN;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO payments_app;
    END IF;
END $$"""


class MigrationError(Exception):
    """The files are not what was applied, or no series of migrations."""


class Connection(Protocol):
    """What is used of pg8000's connection."""

    def run(self, sql: str, **values: Any) -> list[list[Any]] | None:
        """The rows that a statement gives."""

    def close(self) -> None:
        """Ends the session."""


@dataclass(frozen=True)
class Migration:
    """One file: its number, its name and its SQL."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the SQL."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load(folder: Path = MIGRATIONS) -> list[Migration]:
    """The migrations of a folder in their order. Raises MigrationError if they are not numbered 1, 2, 3 and so on."""
    migrations: list[Migration] = []
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match is None or int(match[1]) != len(migrations) + 1:
            raise MigrationError(f"{path.name}: NNNN_name.sql was expected, with the number {len(migrations) + 1}")
        migrations.append(Migration(int(match[1]), path.name, path.read_text(encoding="utf-8")))
    return migrations


def migrate(connection: Connection, migrations: Sequence[Migration]) -> list[str]:
    """Applies what is new, and returns its names. The connection's user owns what is made.

    Whoever comes while another is at it waits, and then finds nothing to do. Raises MigrationError if a file that was
    applied has changed.
    """
    connection.run("SELECT pg_advisory_lock(:lock)", lock=_LOCK)  # until the session ends
    connection.run(_TABLE)
    connection.run(_ROLE)
    rows = connection.run("SELECT version, checksum FROM public.schema_migrations") or []
    known: dict[int, str] = dict(map(tuple, rows))
    for migration in migrations:
        if known.get(migration.version, migration.checksum) != migration.checksum:
            raise MigrationError(f"{migration.name}: has changed since it was applied")
    new = [migration for migration in migrations if migration.version not in known]
    for migration in new:
        connection.run("BEGIN")
        connection.run(migration.sql)
        connection.run(_APPLIED, version=migration.version, name=migration.name, checksum=migration.checksum)
        connection.run("COMMIT")
    return [migration.name for migration in new]


def handler(event: Mapping[str, str], _context: object) -> dict[str, Any]:
    """Migrates with the login of the event ({"username", "password"}), and gives this region the first right to write.

    Answers {"applied": names, "version": of the schema}. Whatever goes wrong is raised, and can be run again.
    """
    region = os.environ["AWS_REGION"]
    migrations = load()
    connection = open_connection(DatabaseAddress.from_environ(os.environ), TIMING,
                                 lambda: Login(event["username"], event["password"]))
    try:
        applied = migrate(connection, migrations)
    finally:
        connection.close()
    right = DynamoLeadership(boto3.client("dynamodb", region_name=region), os.environ["TABLE_NAME"])
    right.create(region, Deadline(Timing(), Timing().budget))
    return {"applied": applied, "version": len(migrations)}
