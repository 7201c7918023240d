"""The ledger: a PostgreSQL database (Aurora), reached over TLS with an IAM login, so no password is stored anywhere.

The schema in `migrations/` enforces the ledger's rules; this code cannot break them.
"""
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection as PgConnection

from contract import Store, Variable
from payments.deadline import Deadline, Timing
from payments.errors import Conflict, NotTheWriter, StoreUnavailable
from payments.payment import Payment, Record
from payments.stores import BATCH, NextDeadline

T = TypeVar("T")

RDS_CA = Path(__file__).parent / "rds-ca.pem"
TOKEN_SECONDS = 900  # RDS checks a token only when a session begins
PAGE = 1000  # postings
LAST_PLACE = 2**63 - 1
"""A place after every posting, in the order of posting."""

# A time is formatted as a record has it, so that a lost record can be restored exactly.
_TIME = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"')"""
POST = "SELECT " + _TIME.format(
    "ledger.post_payment(:payment_id, :payer, :payee, :amount, :currency, :fingerprint, :created_at, :epoch, "
    ":corrects)")
MARK = "SELECT ledger.post_mark(:region, :epoch)"
STATE = "SELECT epoch, (SELECT json_object_agg(region, number) FROM ledger.marks) FROM ledger.fence"
_READ = f"""SELECT seq, payment_id, payer, payee, amount, currency, fingerprint, epoch, {_TIME.format("created_at")}
FROM ledger.postings """  # noqa: S608  # constants
FIND = _READ + "WHERE payment_id = :payment_id"
NEWEST = _READ + "WHERE seq < :before ORDER BY seq DESC LIMIT :page"
IN_ORDER = _READ + "WHERE payment_id || '.json' > :after ORDER BY payment_id || '.json' LIMIT :page"
KNOWN = "SELECT payment_id FROM ledger.postings WHERE payment_id = ANY(:payment_ids)"

_STALE_EPOCH, _ID_TAKEN = "TS001", "TS002"
# pg8000 raises its own errors, those of the socket, TLS and the resolver, and struct.error for a message cut short.
_BROKEN = (InterfaceError, OSError, struct.error)
# Also botocore's, which fails to get credentials, and ValueError for a text that cannot be sent.
_FAILURES = (DatabaseError, BotoCoreError, ClientError, ValueError, *_BROKEN)
_TRY_AGAIN = frozenset({
    "25006",  # read-only: another instance is the writer now, or this one is about to be
    "57P01", "57P02", "57P03",  # the server is shutting down, has crashed, or is not up yet
    "53300",  # too many connections
    "40001", "40P01",  # a serialization failure, a deadlock
    "57014",  # the statement took too long
})


class Connection(Protocol):
    """The part of pg8000's connection that is used here."""

    def run(self, sql: str, **values: Any) -> list[list[Any]] | None:
        """The statement's rows, or None if it returns none."""

    def prepare(self, sql: str) -> Any:
        """A statement that the database parses once per session; its `run(**values)` takes one round trip."""

    def close(self) -> None:
        """End the session."""


class Login(NamedTuple):
    """A database user and its password."""

    user: str
    password: str


@dataclass(frozen=True, kw_only=True)
class DatabaseAddress:
    """Where a database is."""

    host: str
    port: int
    name: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "DatabaseAddress":
        """Reads DATABASE_HOST, DATABASE_PORT and DATABASE_NAME."""
        return cls(host=environ[Variable.DATABASE_HOST], port=int(environ[Variable.DATABASE_PORT]),
                   name=environ[Variable.DATABASE_NAME])


def iam_login(database: DatabaseAddress, user: str, region: str, credentials: Credentials | None) -> Login:
    """An IAM login: its password is a signed request to connect, which RDS verifies. Raises NoCredentialsError.

    The same as boto3's `generate_db_auth_token`, without the RDS client, whose model is slow to load.
    """
    if credentials is None:
        raise NoCredentialsError
    request = AWSRequest("GET", f"https://{database.host}:{database.port}/",
                         params={"Action": "connect", "DBUser": user})
    SigV4QueryAuth(credentials.get_frozen_credentials(), "rds-db", region, TOKEN_SECONDS).add_auth(request)
    return Login(user, str(request.url).removeprefix("https://"))


def open_connection(database: DatabaseAddress, timing: Timing, login: Callable[[], Login],
                    ca: Path = RDS_CA) -> PgConnection:
    """A session in which each statement is a transaction and takes at most `timing.read`. Raises any of _FAILURES.

    The name is resolved each time, so after a failover this reaches the new writer.
    """
    user, password = login()
    wire = socket.create_connection((database.host, database.port), timing.connect)
    try:
        wire.settimeout(timing.read)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return PgConnection(user, host=database.host, database=database.name, password=password, sock=wire,
                            ssl_context=_tls(ca), application_name="payments",
                            startup_params={"statement_timeout": str(round(timing.read * 1000))})
    except BaseException:
        wire.close()
        raise


@cache
def _tls(ca: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca))


class Session(NamedTuple):
    """A connection and the statement prepared on it."""

    connection: Connection
    post: Any


class Endpoint:
    """One of a database's endpoints, over one session: opened when needed, closed when it fails."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self.connect = connect
        # Empty while a call uses the session. A call that timed out may return its session when there is another one.
        self._idle: list[Session] = []

    def close(self) -> None:
        """End the session, if there is one; the next call opens another."""
        while self._idle:
            _close(self._idle.pop().connection)

    def call(self, deadline: Deadline, work: Callable[[Session], T]) -> T:
        """What `work` returns.

        Raises NotTheWriter if its epoch is too old, Conflict if the id is posted for another request, and
        StoreUnavailable.
        """
        try:
            return deadline.call(partial(self._attempt, work), _transient)
        except _FAILURES as error:
            code = _code(error)
            if code == _STALE_EPOCH:
                raise NotTheWriter from error
            if code == _ID_TAKEN:
                raise Conflict from error
            raise StoreUnavailable(Store.LEDGER, code, again=_transient(error)) from error

    def _attempt(self, work: Callable[[Session], T]) -> T:
        session = self._session()
        sound = False
        try:
            answer = work(session)
        except DatabaseError as error:
            sound = _code(error) in (_STALE_EPOCH, _ID_TAKEN)
            raise
        else:
            sound = True
            return answer
        finally:
            if sound and not self._idle:
                self._idle.append(session)
            else:
                _close(session.connection)

    def _session(self) -> Session:
        with suppress(IndexError):
            return self._idle.pop()
        connection = self.connect()
        try:
            return Session(connection, connection.prepare(POST))
        except BaseException:
            _close(connection)
            raise


@dataclass(frozen=True)
class LedgerState:
    """The newest epoch that a database has seen, and the number of each region's newest mark in it."""

    epoch: int
    marks: Mapping[str, int]


class PostgresLedger:
    """One posting per payment; refuses writes of an epoch older than the newest it has seen.

    `connect` opens a session at the cluster's writer endpoint, `connect_reader` one at its reader endpoint: on AWS, a
    standby's writer endpoint cannot be reached until its cluster is promoted. `page` is the number of postings read at
    once. Every method raises what `Endpoint.call` raises.
    """

    def __init__(self, connect: Callable[[], Connection],
                 connect_reader: Callable[[], Connection] | None = None, page: int = PAGE) -> None:
        self._writer = Endpoint(connect)
        self._reader = Endpoint(connect_reader or connect)
        self._page = page

    def post(self, record: Record, deadline: Deadline, *, corrects: bool = False) -> str:
        """Post the payment unless it is posted, in one round trip. Returns the posting's creation time.

        `corrects`: that becomes the record's.
        """
        payment = record.payment
        values = {"payment_id": payment.payment_id, "payer": payment.payer, "payee": payment.payee,
                  "amount": payment.amount, "currency": payment.currency, "fingerprint": record.fingerprint,
                  "created_at": record.created_at, "epoch": record.epoch, "corrects": corrects}
        return str(self._writer.call(deadline, lambda session: session.post.run(**values))[0][0])

    def mark(self, region: str, epoch: int, deadline: Deadline) -> int:
        """Set a region's next mark, under the same condition as a posting. Returns its number."""
        return int(self._rows(self._writer, deadline, MARK, region=region, epoch=epoch)[0][0])

    def state(self, deadline: Deadline, *, at_writer: bool = False) -> LedgerState:
        """What the region's replica knows, at the reader endpoint; `at_writer`: what the writer does."""
        [[epoch, marks]] = self._rows(self._writer if at_writer else self._reader, deadline, STATE)
        return LedgerState(epoch, marks or {})

    def find(self, payment_id: str, deadline: Deadline) -> Record | None:
        """The posting of an id as a settled record, None if there is none."""
        return next(map(_record, self._rows(self._writer, deadline, FIND, payment_id=payment_id)), None)

    def known(self, payment_ids: Sequence[str], deadline: Deadline) -> set[str]:
        """Those of the ids that are posted."""
        return {row[0] for row in self._rows(self._writer, deadline, KNOWN, payment_ids=list(payment_ids))}

    def newest(self, before: int, deadline: Deadline) -> tuple[int, list[Record]]:
        """A page of postings before a place in the order of posting, newest first, and the place of the last one.

        The place is 0 after the oldest posting.
        """
        page = min(self._page, BATCH)  # each needs a look of its own at its receipt
        rows = self._rows(self._writer, deadline, NEWEST, before=before, page=page)
        return rows[-1][0] if len(rows) == page else 0, list(map(_record, rows))

    def postings(self, deadline: NextDeadline, after: str = "") -> Iterator[Record]:
        """Every posting as a settled record, in the order of the receipts' keys; those after an id if one is given."""
        key = f"{after}.json" if after else ""
        while rows := self._rows(self._writer, deadline(), IN_ORDER, after=key, page=self._page):
            yield from map(_record, rows)
            key = f"{rows[-1][1]}.json"

    def replica(self) -> "PostgresLedger":
        """The same ledger for reading, at the reader endpoint."""
        return PostgresLedger(self._reader.connect, page=self._page)

    def close(self) -> None:
        """End all sessions; the next call opens another."""
        self._writer.close()
        self._reader.close()

    @staticmethod
    def _rows(endpoint: Endpoint, deadline: Deadline, sql: str, **values: Any) -> list[list[Any]]:
        return endpoint.call(deadline, lambda session: session.connection.run(sql, **values)) or []


def _close(connection: Connection) -> None:
    with suppress(*_BROKEN):
        connection.close()


def _record(row: list[Any]) -> Record:
    _, payment_id, payer, payee, amount, currency, fingerprint, epoch, created_at = row
    payment = Payment(payment_id=payment_id, amount=amount, currency=currency, payer=payer, payee=payee)
    return Record(payment=payment, fingerprint=fingerprint, created_at=created_at, epoch=epoch, settled=True)


def _code(error: Exception) -> str:
    """The SQLSTATE of the database's error, or the kind of failure."""
    return str(error.args[0]["C"]) if isinstance(error, DatabaseError) else type(error).__name__


def _transient(error: Exception) -> bool:
    return isinstance(error, _BROKEN) or (isinstance(error, DatabaseError) and _code(error) in _TRY_AGAIN)
