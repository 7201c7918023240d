"""The payments function. Lambda imports this module once per execution environment, which creates the clients."""
import os
from typing import Any

from payments.api import Event
from payments.deadline import Timing
from payments.region import create_api, system_transport
from payments.runtime import LambdaContext, system_runtime

_API = create_api(os.environ, Timing(), system_runtime(), system_transport())


def handler(event: Event, context: LambdaContext) -> dict[str, Any]:
    """The response to an event of API Gateway's Lambda proxy integration."""
    return _API.answer(event, context)
