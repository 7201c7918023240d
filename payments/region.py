"""Puts together what runs in a region: payments over the region's stores, and the payments function."""
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import boto3
from botocore.config import Config

from contract import Variable
from payments.api import Api
from payments.deadline import Timing
from payments.leadership import DynamoLeadership, Lease
from payments.ledger import Connection, DatabaseAddress, Login, PostgresLedger, iam_login, open_connection
from payments.logs import request_logger
from payments.runtime import Runtime
from payments.service import PaymentService
from payments.stores import DynamoTable, S3Receipts


@dataclass(frozen=True)
class Transport:
    """How a process reaches AWS (boto3's session for a region) and its database. The simulator replaces it."""

    session: Callable[[str], Any]
    connect: Callable[[DatabaseAddress, Timing, Callable[[], Login]], Connection]


def system_transport() -> Transport:
    """The network of the machine."""
    return Transport(lambda region: boto3.Session(region_name=region), open_connection)


def create_service(environ: Mapping[str, str], timing: Timing, runtime: Runtime,
                   transport: Transport) -> PaymentService:
    """Payments over the stores that the environment names, accepted while the region leads. Sends nothing.

    Reads AWS_REGION, TABLE_NAME, RECEIPTS_BUCKET and DATABASE_HOST, _READER_HOST, _PORT, _NAME and _USER.
    """
    region, table = environ["AWS_REGION"], environ[Variable.TABLE_NAME]
    # The deadline does the retries. Without the last setting, us-east-1 would use S3's global host.
    config = Config(connect_timeout=timing.connect, read_timeout=timing.read, retries={"total_max_attempts": 1},
                    s3={"us_east_1_regional_endpoint": "regional"})
    session = transport.session(region)
    dynamodb, s3 = (session.client(name, config=config) for name in ("dynamodb", "s3"))
    login = partial(iam_login, user=environ[Variable.DATABASE_USER], region=region,
                    credentials=session.get_credentials())

    def connect_to(database: DatabaseAddress) -> Callable[[], Connection]:
        return partial(transport.connect, database, timing, partial(login, database))

    writer = DatabaseAddress.from_environ(environ)
    reader = replace(writer, host=environ[Variable.DATABASE_READER_HOST])
    ledger = PostgresLedger(connect_to(writer), connect_to(reader))
    return PaymentService(Lease(DynamoLeadership(dynamodb, table), region, runtime.clock), DynamoTable(dynamodb, table),
                          ledger, S3Receipts(s3, environ[Variable.RECEIPTS_BUCKET]), runtime.clock)


def create_api(environ: Mapping[str, str], timing: Timing, runtime: Runtime, transport: Transport) -> Api:
    """The payments function. Reads what `create_service` reads. Sends nothing."""
    return Api(region=environ["AWS_REGION"], service=create_service(environ, timing, runtime, transport),
               timing=timing, runtime=runtime, logger=request_logger(sys.stdout, runtime.clock))
