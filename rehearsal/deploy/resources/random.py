"""Random values, which no service makes."""

import secrets
import string
from collections.abc import Mapping
from typing import Any

from rehearsal.deploy.resources.model import BotoCall, ResourceContext, ResourceType

SPECIAL = "!@#$%&*()-_=+[]{}<>:?"  # the provider's own set


def _password(_context: ResourceContext, length: int, special: bool | None) -> dict[str, Any]:
    alphabet = string.ascii_letters + string.digits + ("" if special is False else SPECIAL)
    return {"result": "".join(secrets.choice(alphabet) for _ in range(length))}


RESOURCE_TYPES: Mapping[str, ResourceType] = {
    "random:index/randomPassword:RandomPassword": ResourceType(
        service="",
        create=BotoCall(_password, {"length": "in.length", "special": "in.special"}),
        id="'none'",
        outputs={"result": "out.result"}, secrets=frozenset({"result"})),
}
