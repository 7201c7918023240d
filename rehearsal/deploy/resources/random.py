"""Random values, which need no service."""

import secrets
import string
from typing import Any

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy.resources.model import Call, ResourceType, words

SPECIAL = "!@#$%&*()-_=+[]{}<>:?"  # the provider's own set


def _password(_clients: EmulatorClients, length: int, special: bool | None) -> dict[str, Any]:
    alphabet = string.ascii_letters + string.digits + ("" if special is False else SPECIAL)
    return {"result": "".join(secrets.choice(alphabet) for _ in range(length))}


RESOURCE_TYPES = {
    "random:index/randomPassword:RandomPassword": ResourceType(
        "", Call(_password, {"length": "in.length", "special": "in.special"}), id="'none'",
        outputs={"result": "out.result"}, secrets=words("result"), replace=words("length special")),
}
