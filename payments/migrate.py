"""Brings the ledger's schema up to date at each deployment: `payments.migrate.handler`.

A migration is a file `migrations/NNNN_name.sql`, numbered from 0001 without gaps. It is applied once, in its own
transaction, and never changed afterwards.
"""
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract import DATABASE_USER, Variable
from payments.deadline import Deadline, Timing
from payments.errors import MigrationError
from payments.leadership import DynamoLeadership
from payments.ledger import Connection, DatabaseAddress, Login
from payments.region import Transport, system_transport
from payments.runtime import Runtime, system_runtime

MIGRATIONS = Path(__file__).parent / "migrations"
TIMING = Timing(connect=5.0, read=900.0)  # a migration may rewrite a table; Lambda gives it no more

_NAME = re.compile(r"(\d{4})_\w+\.sql")
_LOCK = 7_266_133_501_903_284_557  # any number that no other program locks
_TABLE = """
CREATE TABLE IF NOT EXISTS public.schema_migrations (
    version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""
_APPLIED = "INSERT INTO public.schema_migrations (version, name, checksum) VALUES (:version, :name, :checksum)"
# Roles belong to the server, not to the database, so the role may exist before the schema. It has no password: members
# of `rds_iam` (which Aurora has) log in with IAM.
_ROLE = f"""
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{DATABASE_USER}') THEN
        CREATE ROLE {DATABASE_USER} LOGIN;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO {DATABASE_USER};
    END IF;
END $$"""  # noqa: S608  # a constant


@dataclass(frozen=True)
class Migration:
    """A migration file: its number, its name and its SQL."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the SQL."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load(folder: Path = MIGRATIONS) -> list[Migration]:
    """The migrations in a folder, in order. Raises MigrationError unless they are numbered 1, 2, 3 and so on."""
    migrations: list[Migration] = []
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match is None or int(match[1]) != len(migrations) + 1:
            raise MigrationError(f"{path.name}: expected the name NNNN_name.sql with the number {len(migrations) + 1}")
        migrations.append(Migration(int(match[1]), path.name, path.read_text(encoding="utf-8")))
    return migrations


def migrate(connection: Connection, migrations: Sequence[Migration]) -> list[str]:
    """Apply the migrations that are new, and return their names. The connection's user owns what they create.

    Waits while another migration is running. Raises MigrationError if a file has changed since it was applied.
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


def deploy(login: Login, environ: Mapping[str, str], runtime: Runtime, transport: Transport) -> dict[str, Any]:
    """Migrate the database and make this region the first leader, if there is none.

    Reads AWS_REGION, TABLE_NAME and DATABASE_HOST, _PORT and _NAME. Raises whatever goes wrong; it can be run again.
    """
    region, migrations = environ["AWS_REGION"], load()
    with closing(transport.connect(DatabaseAddress.from_environ(environ), TIMING, lambda: login)) as connection:
        applied = migrate(connection, migrations)
    leadership = DynamoLeadership(transport.session(region).client("dynamodb"), environ[Variable.TABLE_NAME])
    leadership.create(region, Deadline(Timing(), Timing().budget, runtime))
    return {"applied": applied, "version": len(migrations)}


def handler(event: Mapping[str, str], _context: object) -> dict[str, Any]:
    """Deploy with the login of the event ({"username", "password"}). Returns {"applied": names, "version": number}."""
    return deploy(Login(event["username"], event["password"]), os.environ, system_runtime(), system_transport())
