"""A deployed stack, the faults to inject into it, and what its stores hold."""

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import permutations
from typing import Any
from urllib.parse import urlsplit

from botocore.credentials import Credentials

from contract import DATABASE_NAME, DATABASE_USER, ROLES, Consistency, Store
from payments.deadline import Deadline, Timing
from payments.errors import StoreUnavailable
from payments.leadership import DynamoLeadership, Leadership
from payments.ledger import DatabaseAddress, PostgresLedger, iam_login, open_connection
from payments.payment import Record
from payments.runtime import system_runtime
from payments.stores import DynamoTable, S3Receipts, record_of
from rehearsal.aws.clients import CREDENTIALS, EmulatorClients
from rehearsal.aws.faults import Faults, Heal, Lag
from rehearsal.aws.proxy import AwsProxies
from rehearsal.aws.replication import ReplicationControl
from rehearsal.errors import CheckFailed
from rehearsal.polling import PATIENCE
from rehearsal.postgres.global_database import GlobalDatabase
from rehearsal.workload.region import RegionClient
from simulator.vocabulary import Durability

CONNECTIONS = 4


@dataclass(frozen=True)
class StoreContents:
    """The contents of a region's stores: the table's records by id, the posted ids, the versions of each receipt."""

    table: Mapping[str, Record]
    ledger: frozenset[str]
    receipts: Mapping[str, int]

    def settled(self, payment_id: str) -> bool:
        """Whether the payment is settled according to the table, which decides."""
        return payment_id in self.table and self.table[payment_id].settled

    def stores_with(self, payment_id: str) -> list[Store]:
        """The stores that have the payment; the table has it once it is settled there."""
        has = {Store.TABLE: self.settled(payment_id), Store.LEDGER: payment_id in self.ledger,
               Store.RECEIPTS: payment_id in self.receipts}
        return [store for store, there in has.items() if there]

    def kept(self, payment_id: str) -> Durability:
        """What became of the payment."""
        return Durability.of(self.stores_with(payment_id))

    def whole(self, payment_id: str) -> bool:
        """Whether every store has the payment."""
        return self.kept(payment_id) is Durability.WHOLE


@dataclass(frozen=True)
class RehearsedStack:
    """The stack and what controls its faults. `tables` collects the rows to report at the end, by title."""

    outputs: Mapping[str, Any]
    clients: EmulatorClients
    emulator: str
    faults: Faults
    copies: ReplicationControl
    database: GlobalDatabase
    proxies: AwsProxies
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def strong(self) -> bool:
        """Whether the table is strongly consistent across the regions."""
        return bool(self.outputs["table_consistency"] == Consistency.STRONG)

    def writer_and_standby(self) -> tuple[RegionClient, RegionClient]:
        """The region of the database's writer, and the other one. Raises ClientError."""
        roles = sorted(ROLES, key=lambda role: self.outputs[f"{role}_region"] != self.database.writer)
        writer, standby = (RegionClient.of(role, self.outputs, self.clients) for role in roles)
        return writer, standby

    def within(self, region: RegionClient) -> str:
        """The URL of the region's API for a client inside the region, which no cut affects."""
        return self.emulator + urlsplit(region.url).path

    def heal(self) -> None:
        """End every fault and every lag."""
        names = [region.name for region in self.writer_and_standby()]
        for name in names:
            self.faults.inject(Heal(name))
        for source, target in permutations(names):
            for store in Store:
                self.faults.inject(Lag(store, source, target, 0))

    def leadership(self, region: RegionClient) -> Leadership:
        """Which region leads, according to this region's replica of the table. Raises StoreUnavailable."""
        return DynamoLeadership(self.clients("dynamodb", region.name), region.table).read(_deadline())

    def ledger(self, region: RegionClient) -> PostgresLedger:
        """The region's ledger, as the function reaches it."""
        port = self.database.member(region.name).endpoint.port
        database = DatabaseAddress(host="localhost", port=port, name=DATABASE_NAME)
        login = partial(iam_login, database, DATABASE_USER, region.name, Credentials(*CREDENTIALS.values()))
        return PostgresLedger(partial(open_connection, database, Timing(), login, self.database.ca_file))

    def clients_in(self, region: RegionClient) -> EmulatorClients:
        """AWS clients of a caller in that region."""
        return EmulatorClients(self.proxies.url(region.name), CONNECTIONS)

    def contents(self, region: RegionClient) -> StoreContents:
        """What the region's stores hold. Raises CheckFailed."""
        table = DynamoTable(self.clients("dynamodb", region.name), region.table)
        receipts = S3Receipts(self.clients("s3", region.name), region.bucket)
        try:
            records = {key: record_of(item) for _, page in table.pages("", _deadline) for key, item in page.items()}
            versions = Counter(version.payment_id for version in receipts.versions(_deadline))
        except StoreUnavailable as error:
            raise CheckFailed(str(error)) from error
        with closing(self.database.member(region.name).server.connect(database=DATABASE_NAME)) as session:
            posted = frozenset(row[0] for row in session.run("SELECT payment_id FROM ledger.postings") or ())
        return StoreContents(records, posted, versions)


def _deadline() -> Deadline:
    return Deadline(Timing(), PATIENCE, system_runtime())
