"""The ledger: a PostgreSQL database (Aurora), reached over TLS with an IAM login, so no password is stored anywhere.

The schema in `migrations/` enforces the ledger's rules; this code cannot break them.
"""
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping
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
from payments.stores import NextDeadline, State

T = TypeVar("T")

RDS_CA = Path(__file__).parent / "rds-ca.pem"
TOKEN_SECONDS = 900  # RDS checks a token only when a session begins
PAGE = 5000  # postings
# The share of a probe's time for the writer endpoint. Attempts are shortened by the same factor, so that there is time
# for a second one if the open session has ended meanwhile.
_PART = 2 / 3

POST = "SELECT ledger.post_payment(:payment_id, :payer, :payee, :amount, :currency, :fingerprint, :created_at, :epoch)"
FENCE = "SELECT epoch FROM ledger.fence"
PROBE = "SELECT pg_is_in_recovery()"
# The time is formatted as a record has it, so that a lost record can be restored exactly.
READ = """
SELECT seq, payment_id, payer, payee, amount, currency, fingerprint, epoch,
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"')
FROM ledger.postings WHERE seq > :after ORDER BY seq LIMIT :page"""

_STALE_EPOCH, _ID_TAKEN = "TS001", "TS002"
# pg8000 raises its own errors, those of the socket, TLS and the resolver, and struct.error for a message cut short.
_BROKEN = (InterfaceError, OSError, struct.error)
_FAILURES = (DatabaseError, BotoCoreError, ClientError, *_BROKEN)  # botocore fails to get credentials
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
        self._connect = connect
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
            raise StoreUnavailable(Store.LEDGER, code) from error

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
        connection = self._connect()
        try:
            return Session(connection, connection.prepare(POST))
        except BaseException:
            _close(connection)
            raise


class PostgresLedger:
    """One posting per payment; refuses postings of an epoch older than the newest it has seen.

    `connect` opens a session at the cluster's writer endpoint, `connect_reader` one at its reader endpoint, which only
    the probe uses: on AWS, a standby's writer endpoint cannot be reached until its cluster is promoted. `page` is the
    number of postings read at once.
    """

    def __init__(self, connect: Callable[[], Connection],
                 connect_reader: Callable[[], Connection] | None = None, page: int = PAGE) -> None:
        self._writer = Endpoint(connect)
        self._reader = Endpoint(connect_reader or connect)
        self._page = page

    def post(self, record: Record, deadline: Deadline) -> None:
        """Post the payment unless it is posted, in one round trip. Raises what `Endpoint.call` raises."""
        payment = record.payment
        values = {"payment_id": payment.payment_id, "payer": payment.payer, "payee": payment.payee,
                  "amount": payment.amount, "currency": payment.currency, "fingerprint": record.fingerprint,
                  "created_at": record.created_at, "epoch": record.epoch}
        self._writer.call(deadline, lambda session: session.post.run(**values))

    def epoch(self, deadline: Deadline) -> int:
        """The newest epoch that this database has seen. Raises StoreUnavailable."""
        return int(self._writer.call(deadline, lambda session: session.connection.run(FENCE) or [])[0][0])

    def probe(self, deadline: Deadline) -> State:
        """Ask the writer endpoint, and then the reader endpoint if that did not answer in its part of the time.

        Raises StoreUnavailable if neither answers, or if only the reader endpoint does and reaches a writer: the writer
        endpoint is broken then.
        """
        scaled = deadline.scaled(_PART)
        try:
            state = self._writer.call(scaled.within(scaled.remaining() * _PART), _state)
        except StoreUnavailable:
            if self._reader.call(scaled, _state) is State.OK:
                raise
            return State.STANDBY
        if state is State.STANDBY:
            self._writer.close()  # a new session may reach the writer when this one does not
        return state

    def postings(self, deadline: NextDeadline) -> Iterator[Record]:
        """Every posting as a settled record, in the order of posting. Raises StoreUnavailable."""
        after = 0
        while rows := self._writer.call(deadline(), partial(_read, after, self._page)):
            yield from map(_record, rows)
            after = rows[-1][0]

    def close(self) -> None:
        """End all sessions; the next call opens another."""
        self._writer.close()
        self._reader.close()


def _close(connection: Connection) -> None:
    with suppress(*_BROKEN):
        connection.close()


def _state(session: Session) -> State:
    [[standby]] = session.connection.run(PROBE) or []
    return State.STANDBY if standby else State.OK


def _read(after: int, page: int, session: Session) -> list[list[Any]]:
    return session.connection.run(READ, after=after, page=page) or []


def _record(row: list[Any]) -> Record:
    _, payment_id, payer, payee, amount, currency, fingerprint, epoch, created_at = row
    payment = Payment(payment_id=payment_id, amount=amount, currency=currency, payer=payer, payee=payee)
    return Record(payment=payment, fingerprint=fingerprint, created_at=created_at, epoch=epoch, settled=True)


def _code(error: Exception) -> str:
    """The SQLSTATE of the database's error, or the kind of failure."""
    return str(error.args[0]["C"]) if isinstance(error, DatabaseError) else type(error).__name__


def _transient(error: Exception) -> bool:
    return isinstance(error, _BROKEN) or (isinstance(error, DatabaseError) and _code(error) in _TRY_AGAIN)
