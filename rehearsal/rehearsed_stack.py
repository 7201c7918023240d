"""A deployed stack with everything that can be made to go wrong with it, and what its stores hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from botocore.credentials import Credentials

from payments.deadline import Deadline, Timing
from payments.errors import StoreUnavailable
from payments.leadership import DynamoLeadership, Leadership
from payments.ledger import DatabaseAddress, PostgresLedger, iam_login, open_connection
from payments.payment import Record
from payments.stores import DynamoTable, S3Receipts
from rehearsal.aws.clients import CREDENTIALS, EmulatorClients
from rehearsal.aws.faults import Faults
from rehearsal.aws.ministack import RECEIPTS, TABLE, CopyLag
from rehearsal.aws.proxy import AwsProxies
from rehearsal.aws.replication import ReplicationControl
from rehearsal.errors import CheckFailed
from rehearsal.postgres.global_database import GlobalDatabase
from rehearsal.workload.region import RegionClient

PATIENCE = 10.0  # seconds for one look at a store
CONNECTIONS = 4
DATABASE, USER = "payments", "payments_app"

_POSTED = "SELECT payment_id FROM ledger.postings"


@dataclass(frozen=True)
class StoreContents:
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
class RehearsedStack:
    """The stack and its switches. `tables` collects what is reported in rows, by title."""

    outputs: Mapping[str, Any]
    clients: EmulatorClients
    emulator: str
    faults: Faults
    copies: ReplicationControl
    pair: GlobalDatabase
    relays: AwsProxies
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def strong(self) -> bool:
        """Whether the table is strongly consistent over the regions."""
        return bool(self.outputs["table_consistency"] == "strong")

    def sides(self) -> tuple[RegionClient, RegionClient]:
        """The region of the writer, and the other one. Raises ClientError."""
        roles = sorted(("primary", "dr"), key=lambda role: self.outputs[f"{role}_region"] != self.pair.writer)
        here, there = (RegionClient.of(role, self.outputs, self.clients) for role in roles)
        return here, there

    def within(self, region: RegionClient) -> str:
        """The region's API as a client inside the region reaches it, whatever the region is cut off from."""
        return self.emulator + urlsplit(region.url).path

    def lag(self, source: RegionClient, target: RegionClient, table: float, receipts: float, ledger: float) -> None:
        """Let the copies from one region to the other lag so many seconds; those of a strong table never do."""
        self.copies.lag(TABLE, source.name, target.name, CopyLag(table))
        self.copies.lag(RECEIPTS, source.name, target.name, CopyLag(receipts))
        self.pair.delay(target.name, ledger)

    def mend(self) -> None:
        """Let everything work again, without lag."""
        here, there = self.sides()
        for region in (here, there):
            self.faults.heal(region.name)
        self.lag(here, there, 0, 0, 0)
        self.lag(there, here, 0, 0, 0)

    def right(self, region: RegionClient) -> Leadership:
        """Who may write, by the region's replica of the table. Raises StoreUnavailable."""
        return DynamoLeadership(self.clients("dynamodb", region.name), region.table).read(Deadline(Timing(), PATIENCE))

    def ledger(self, region: RegionClient) -> PostgresLedger:
        """The region's ledger, as the function reaches it."""
        database = DatabaseAddress(host="localhost", port=self.pair.member(region.name).door.port, name=DATABASE)
        login = partial(iam_login, database, USER, region.name, Credentials(*CREDENTIALS.values()))
        return PostgresLedger(partial(open_connection, database, Timing(), login, self.pair.ca_file))

    def beside(self, region: RegionClient) -> EmulatorClients:
        """Clients of somebody who is in that region."""
        return EmulatorClients(self.relays.url(region.name), CONNECTIONS)

    def posted(self, region: RegionClient) -> frozenset[str]:
        """The ids of the payments that the region's ledger has."""
        session = self.pair.member(region.name).server.connect(database=DATABASE)
        try:
            return frozenset(row[0] for row in session.run(_POSTED) or ())
        finally:
            session.close()

    def kept(self, region: RegionClient) -> StoreContents:
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
            raise CheckFailed(str(error)) from error
        return StoreContents(records, self.posted(region), receipts)
