"""The stores of one region over AWS."""
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import boto3
from botocore.config import Config

from payments.deadline import Timing
from payments.leadership import DynamoLeadership, Lease
from payments.ledger import DatabaseAddress, PostgresLedger, iam_login, open_connection
from payments.service import PaymentService
from payments.stores import DynamoTable, S3Receipts


@dataclass(frozen=True)
class Stores:
    """The stores of a region, the right to write, and the client of S3."""

    table: DynamoTable
    ledger: PostgresLedger
    receipts: S3Receipts
    right: DynamoLeadership
    s3: Any

    @classmethod
    def create(cls, environ: Mapping[str, str], timing: Timing) -> "Stores":
        """From AWS_REGION, TABLE_NAME, RECEIPTS_BUCKET and DATABASE_HOST, _READER_HOST, _PORT, _NAME and _USER.

        Calls nobody.
        """
        region = environ["AWS_REGION"]
        # Retries are the deadline's business. Without the last setting us-east-1 would go to S3's global host.
        config = Config(connect_timeout=timing.connect, read_timeout=timing.read, retries={"total_max_attempts": 1},
                        s3={"us_east_1_regional_endpoint": "regional"})
        session = boto3.Session(region_name=region)
        dynamodb, s3 = (session.client(name, config=config) for name in ("dynamodb", "s3"))
        login = partial(iam_login, user=environ["DATABASE_USER"], region=region, credentials=session.get_credentials())
        writer, table = DatabaseAddress.from_environ(environ), environ["TABLE_NAME"]
        reader = replace(writer, host=environ["DATABASE_READER_HOST"])
        ledger = PostgresLedger(*(partial(open_connection, database, timing, partial(login, database))
                                  for database in (writer, reader)))
        return cls(DynamoTable(dynamodb, table), ledger, S3Receipts(s3, environ["RECEIPTS_BUCKET"]),
                   DynamoLeadership(dynamodb, table), s3)

    def service(self, region: str) -> PaymentService:
        """Payments over these stores, as long as the region has the right to write."""
        return PaymentService(Lease(self.right, region), self.table, self.ledger, self.receipts)
