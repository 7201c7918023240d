"""The ledger as a PostgreSQL database (Aurora), reached over TLS with a login by IAM: no password is kept anywhere.

The schema is in `migrations/`; what it does not allow, no code here can do.
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

from payments.deadline import Deadline, Timing
from payments.leadership import NotTheWriter
from payments.payment import Conflict, Payment, Record
from payments.stores import State, StoreUnavailable, Time

T = TypeVar("T")

RDS_CA = Path(__file__).parent / "rds-ca.pem"
TOKEN_SECONDS = 900  # RDS looks at it when a session begins, and not again
PAGE = 5000  # postings
# Of the time for a look at the database, the part in which the writer endpoint must answer. Attempts are cut to the
# same part, so that there is time for a second one where the session that was kept has ended meanwhile.
_PART = 2 / 3

POST = "SELECT ledger.post_payment(:payment_id, :payer, :payee, :amount, :currency, :fingerprint, :created_at, :epoch)"
FENCE = "SELECT epoch FROM ledger.fence"
PROBE = "SELECT pg_is_in_recovery()"
# The moment as a record has it, so that a record that was lost can be made again to the letter.
READ = """
SELECT seq, payment_id, payer, payee, amount, currency, fingerprint, epoch,
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"')
FROM ledger.postings WHERE seq > :after ORDER BY seq LIMIT :page"""

_STALE_EPOCH, _ID_TAKEN = "TS001", "TS002"
# What pg8000 lets through: its own errors, the socket's (with TLS's and the resolver's), and cut messages.
_BROKEN = (InterfaceError, OSError, struct.error)
_FAILURES = (DatabaseError, BotoCoreError, ClientError, *_BROKEN)  # botocore's are those of getting credentials
_TRY_AGAIN = frozenset({
    "25006",  # read-only: the writer is elsewhere by now, or will be here in a moment
    "57P01", "57P02", "57P03",  # the server goes down, has crashed, or is not up yet
    "53300",  # too many connections
    "40001", "40P01",  # a serialization failure, a deadlock
    "57014",  # the statement took too long
})


class Connection(Protocol):
    """What is used of pg8000's connection."""

    def run(self, sql: str, **values: Any) -> list[list[Any]] | None:
        """The rows that a statement gives."""

    def prepare(self, sql: str) -> "Statement":
        """A statement that the database parses once a session."""

    def close(self) -> None:
        """Ends the session."""


class Statement(Protocol):
    """What is used of pg8000's prepared statement."""

    def run(self, **values: Any) -> list[list[Any]]:
        """The rows that the statement gives: one round trip."""


class Login(NamedTuple):
    """Who enters a database."""

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
        """DATABASE_HOST, DATABASE_PORT and DATABASE_NAME."""
        return cls(host=environ["DATABASE_HOST"], port=int(environ["DATABASE_PORT"]), name=environ["DATABASE_NAME"])


def iam_login(database: DatabaseAddress, user: str, region: str, credentials: Credentials | None) -> Login:
    """A login by IAM: its password is a request to connect, signed here and now, which RDS verifies.

    The same as boto3's `generate_db_auth_token`, without the client of RDS, whose model is slow to load.
    Raises NoCredentialsError.
    """
    if credentials is None:
        raise NoCredentialsError
    request = AWSRequest("GET", f"https://{database.host}:{database.port}/",
                         params={"Action": "connect", "DBUser": user})
    SigV4QueryAuth(credentials.get_frozen_credentials(), "rds-db", region, TOKEN_SECONDS).add_auth(request)
    return Login(user, str(request.url).removeprefix("https://"))


def open_connection(database: DatabaseAddress, timing: Timing, login: Callable[[], Login], ca: Path = RDS_CA) -> PgConnection:
    """A session in which each statement is a transaction and takes at most `timing.read`.

    The name is resolved anew, so after a failover this leads to the new writer. Raises what `_FAILURES` names.
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
    """A connection and the statement that is prepared on it."""

    connection: Connection
    post: Statement


class Endpoint:
    """A database by one of its names, over one connection: opened when needed, dropped when it disappoints."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        # Empty while a call has the session. A call that was left behind may come back late, with one too many.
        self._idle: list[Session] = []

    def close(self) -> None:
        """Ends the session, if there is one; the next call opens another."""
        while self._idle:
            _close(self._idle.pop().connection)

    def call(self, deadline: Deadline, work: Callable[[Session], T]) -> T:
        """What the work gives. Raises NotTheWriter, Conflict and StoreUnavailable."""
        try:
            return deadline.call(partial(self._attempt, work), _transient)
        except _FAILURES as error:
            code = _code(error)
            if code == _STALE_EPOCH:
                raise NotTheWriter from error
            if code == _ID_TAKEN:
                raise Conflict from error
            raise StoreUnavailable("ledger", code) from error

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
    """The ledger by its cluster's writer endpoint (`connect`), and for the probe by its reader endpoint, too.

    In AWS the writer endpoint of a standby leads nowhere until its cluster is promoted.
    """

    def __init__(self, connect: Callable[[], Connection],
                 connect_reader: Callable[[], Connection] | None = None) -> None:
        self._writer = Endpoint(connect)
        self._reader = Endpoint(connect_reader or connect)

    def post(self, record: Record, deadline: Deadline) -> None:
        """One statement in one round trip; the database keeps its conditions."""
        payment = record.payment
        values = {"payment_id": payment.payment_id, "payer": payment.payer, "payee": payment.payee,
                  "amount": payment.amount, "currency": payment.currency, "fingerprint": record.fingerprint,
                  "created_at": record.created_at, "epoch": record.epoch}
        self._writer.call(deadline, lambda session: session.post.run(**values))

    def epoch(self, deadline: Deadline) -> int:
        """The newest epoch that has written here, as far as this database knows. Raises StoreUnavailable."""
        return int(self._writer.call(deadline, lambda session: session.connection.run(FENCE) or [])[0][0])

    def probe(self, deadline: Deadline) -> State:
        """Asks the writer endpoint, and the reader endpoint if that does not answer in its part of the time.

        If the reader endpoint leads to a writer it is the writer endpoint that fails: StoreUnavailable, as it is where
        neither answers.
        """
        hurried = deadline.hurried(_PART)
        try:
            state = self._writer.call(hurried.within(hurried.remaining() * _PART), _state)
        except StoreUnavailable:
            if self._reader.call(hurried, _state) is State.OK:
                raise
            return State.STANDBY
        if state is State.STANDBY:
            self._writer.close()  # a new session may find the writer where this one cannot
        return state

    def postings(self, time: Time) -> Iterator[Record]:
        """Every posting as a settled record, in the order of posting. Raises StoreUnavailable."""
        after = 0
        while rows := self._writer.call(time(), partial(_read, after)):
            yield from map(_record, rows)
            after = rows[-1][0]

    def close(self) -> None:
        """Ends the sessions that there are; the next call opens another."""
        self._writer.close()
        self._reader.close()


def _close(connection: Connection) -> None:
    with suppress(*_BROKEN):
        connection.close()


def _state(session: Session) -> State:
    [[standby]] = session.connection.run(PROBE) or []
    return State.STANDBY if standby else State.OK


def _read(after: int, session: Session) -> list[list[Any]]:
    return session.connection.run(READ, after=after, page=PAGE) or []


def _record(row: list[Any]) -> Record:
    _, payment_id, payer, payee, amount, currency, fingerprint, epoch, created_at = row
    payment = Payment(payment_id=payment_id, amount=amount, currency=currency, payer=payer, payee=payee)
    return Record(payment=payment, fingerprint=fingerprint, created_at=created_at, epoch=epoch, settled=True)


def _code(error: Exception) -> str:
    """The SQLSTATE that a database gives, or the kind of failure."""
    return str(error.args[0]["C"]) if isinstance(error, DatabaseError) else type(error).__name__


def _transient(error: Exception) -> bool:
    return isinstance(error, _BROKEN) or (isinstance(error, DatabaseError) and _code(error) in _TRY_AGAIN)
