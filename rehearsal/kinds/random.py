"""Random values, which no service makes."""

import secrets
import string
from collections.abc import Mapping
from typing import Any

from rehearsal.kinds.model import Call, Context, Kind

SPECIAL = "!@#$%&*()-_=+[]{}<>:?"  # the provider's own set


def _password(_context: Context, length: int, special: bool | None) -> dict[str, Any]:
    alphabet = string.ascii_letters + string.digits + ("" if special is False else SPECIAL)
    return {"result": "".join(secrets.choice(alphabet) for _ in range(length))}


KINDS: Mapping[str, Kind] = {
    "random:index/randomPassword:RandomPassword": Kind(
        service="",
        create=Call(_password, {"length": "in.length", "special": "in.special"}),
        id="'none'",
        outputs={"result": "out.result"}, secrets=frozenset({"result"})),
}
