"""A deployed stack with everything that can be made to go wrong with it, and what its stores hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from botocore.credentials import Credentials

from payments.deadline import Deadline, Timing
from payments.ledger import Database, PostgresLedger, iam_login, open_connection
from payments.payment import Record
from payments.right import DynamoRight, NotTheWriter, Right
from payments.stores import DynamoTable, S3Receipts, StoreUnavailable
from rehearsal import traffic
from rehearsal.aws import CREDENTIALS, Clients
from rehearsal.copies import Copies
from rehearsal.database.host import DatabaseError
from rehearsal.database.pair import Pair
from rehearsal.faults import Faults
from rehearsal.lagging import RECEIPTS, TABLE, Lag
from rehearsal.relay import Relays
from rehearsal.traffic import Check, Region, Unmet

PATIENCE = 10.0  # seconds for one look at a store
CONNECTIONS = 4
DATABASE, USER = "payments", "payments_app"

_POSTED = "SELECT payment_id FROM ledger.postings"


@dataclass(frozen=True)
class Kept:
    """What the stores of a region hold by now: the table's records, the posted ids, and versions of each receipt."""

    table: Mapping[str, Record]
    ledger: frozenset[str]
    receipts: Mapping[str, int]

    def settled(self, payment_id: str) -> bool:
        """Whether the table, which decides, has the payment as made."""
        return payment_id in self.table and self.table[payment_id].settled

    def whole(self, payment_id: str) -> bool:
        """Whether every store has the payment."""
        return self.settled(payment_id) and payment_id in self.ledger and payment_id in self.receipts


@dataclass(frozen=True)
class Ground:
    """The stack and its switches. `tables` collects what is reported in rows, by title."""

    outputs: Mapping[str, Any]
    clients: Clients
    emulator: str
    faults: Faults
    copies: Copies
    pair: Pair
    relays: Relays
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def strong(self) -> bool:
        """Whether the table is strongly consistent over the regions."""
        return bool(self.outputs["table_consistency"] == "strong")

    def sides(self) -> tuple[Region, Region]:
        """The region of the writer, and the other one. Raises ClientError."""
        roles = sorted(("primary", "dr"), key=lambda role: self.outputs[f"{role}_region"] != self.pair.writer)
        here, there = (Region.of(role, self.outputs, self.clients) for role in roles)
        return here, there

    def within(self, region: Region) -> str:
        """The region's API as a client inside the region reaches it, whatever the region is cut off from."""
        return self.emulator + urlsplit(region.url).path

    def lag(self, source: Region, target: Region, table: float, receipts: float, ledger: float) -> None:
        """Let the copies from one region to the other lag so many seconds; those of a strong table never do."""
        self.copies.lag(TABLE, source.name, target.name, Lag(table))
        self.copies.lag(RECEIPTS, source.name, target.name, Lag(receipts))
        self.pair.delay(target.name, ledger)

    def mend(self) -> None:
        """Let everything work again, without lag."""
        here, there = self.sides()
        for region in (here, there):
            self.faults.heal(region.name)
        self.lag(here, there, 0, 0, 0)
        self.lag(there, here, 0, 0, 0)

    def right(self, region: Region) -> Right:
        """Who may write, by the region's replica of the table. Raises StoreUnavailable."""
        return DynamoRight(self.clients("dynamodb", region.name), region.table).read(Deadline(Timing(), PATIENCE))

    def ledger(self, region: Region) -> PostgresLedger:
        """The region's ledger, as the function reaches it."""
        database = Database(host="localhost", port=self.pair.member(region.name).door.port, name=DATABASE)
        login = partial(iam_login, database, USER, region.name, Credentials(*CREDENTIALS.values()))
        return PostgresLedger(partial(open_connection, database, Timing(), login, self.pair.ca_file))

    def beside(self, region: Region) -> Clients:
        """Clients of somebody who is in that region."""
        return Clients(self.relays.url(region.name), CONNECTIONS)

    def posted(self, region: Region) -> frozenset[str]:
        """The ids of the payments that the region's ledger has."""
        session = self.pair.member(region.name).server.connect(database=DATABASE)
        try:
            return frozenset(row[0] for row in session.run(_POSTED) or ())
        finally:
            session.close()

    def kept(self, region: Region) -> Kept:
        """What the region's stores hold. Raises Unmet."""
        def time() -> Deadline:
            return Deadline(Timing(), PATIENCE)

        table = DynamoTable(self.clients("dynamodb", region.name), region.table)
        receipts: dict[str, int] = {}
        try:
            records = {record.payment.payment_id: record for record in table.records(time)}
            for version in S3Receipts(self.clients("s3", region.name), region.bucket).versions(time):
                receipts[version.payment_id] = receipts.get(version.payment_id, 0) + 1
        except StoreUnavailable as error:
            raise Unmet(str(error)) from error
        return Kept(records, self.posted(region), receipts)


def attempt(name: str, check: Callable[[], object]) -> Check:
    """Do one check. A text that it returns is what was measured."""
    found: list[object] = []
    done = traffic.attempt(name, partial(_told, check, found))
    return replace(done, detail=done.detail or "".join(each for each in found if isinstance(each, str)))


def _told(check: Callable[[], object], found: list[object]) -> None:
    try:
        found.append(check())
    except (DatabaseError, StoreUnavailable, NotTheWriter) as error:
        raise Unmet(f"{type(error).__name__}: {error}") from error
