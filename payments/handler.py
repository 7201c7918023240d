"""The function's entry point. Its clients are made once per execution environment, while Lambda starts it."""
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import boto3
from botocore.config import Config

from payments import stores
from payments.api import Api, Context, Event
from payments.deadline import Timing
from payments.logs import request_logger
from payments.service import PaymentService


def create(environ: Mapping[str, str], timing: Timing) -> Api:
    """The function over AWS: TABLE_NAME, RECEIPTS_BUCKET and CONTROL_BUCKET in AWS_REGION."""
    region = environ["AWS_REGION"]
    # Retries are the deadline's business. Without the last setting us-east-1 would go to S3's global host.
    config = Config(connect_timeout=timing.connect, read_timeout=timing.read, retries={"total_max_attempts": 1},
                    s3={"us_east_1_regional_endpoint": "regional"})
    dynamodb, s3 = (boto3.client(name, region_name=region, config=config) for name in ("dynamodb", "s3"))
    table = stores.DynamoTable(dynamodb, environ["TABLE_NAME"])
    receipts = stores.S3Receipts(s3, environ["RECEIPTS_BUCKET"])
    return Api(region=region, service=PaymentService(table, receipts), timing=timing, logger=request_logger(),
               probes={"table": table.probe, "receipts": receipts.probe},
               takeover=partial(stores.takeover, s3, environ["CONTROL_BUCKET"]))


_API = create(os.environ, Timing())


def handler(event: Event, context: Context) -> dict[str, Any]:
    """Answers an event of API Gateway's Lambda proxy integration."""
    return _API.answer(event, context)
