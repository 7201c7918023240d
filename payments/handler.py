"""The entry point of the payments function.

Lambda imports this module when it starts an execution environment, so the clients are created in that phase, once.
"""
import os
from typing import Any

from payments.api import Event, LambdaContext
from payments.deadline import Timing
from payments.region import create_api, system_transport
from payments.runtime import system_runtime

_API = create_api(os.environ, Timing(), system_runtime(), system_transport())


def handler(event: Event, context: LambdaContext) -> dict[str, Any]:
    """The response to an event of API Gateway's Lambda proxy integration."""
    return _API.answer(event, context)
