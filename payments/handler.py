"""The function's entry point. Its clients are made once per execution environment, while Lambda starts it."""
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from payments.api import Api, Event, LambdaContext
from payments.deadline import Timing
from payments.logs import request_logger
from payments.region import Stores
from payments.stores import takeover


def create(environ: Mapping[str, str], timing: Timing) -> Api:
    """The function over AWS in AWS_REGION.

    TABLE_NAME, RECEIPTS_BUCKET, CONTROL_BUCKET, and DATABASE_HOST, _READER_HOST, _PORT, _NAME and _USER.
    """
    region = environ["AWS_REGION"]
    stores = Stores.create(environ, timing)
    return Api(region=region, service=stores.service(region), timing=timing, logger=request_logger(),
               probes={"table": stores.table.probe, "ledger": stores.ledger.probe, "receipts": stores.receipts.probe},
               takeover=partial(takeover, stores.s3, environ["CONTROL_BUCKET"]))


_API = create(os.environ, Timing())


def handler(event: Event, context: LambdaContext) -> dict[str, Any]:
    """Answers an event of API Gateway's Lambda proxy integration."""
    return _API.answer(event, context)
