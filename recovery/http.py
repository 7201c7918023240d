"""HTTP requests to the stack's own API, over the system's resolver and proxies. Every request goes through here."""
import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class HttpReply:
    """Status (0: no answer), body and headers of an answer; `why` names what broke off the exchange, if it did."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


class Http(Protocol):
    """Sends requests."""

    def __call__(self, method: str, url: str, timeout: float, *, headers: Mapping[str, str] | None = None,
                 body: bytes | None = None) -> HttpReply:
        """Send a request and wait at most `timeout` seconds for each step of it. Never raises for what goes wrong."""


def send(method: str, url: str, timeout: float, *, headers: Mapping[str, str] | None = None,
         body: bytes | None = None) -> HttpReply:
    """As `Http`, over a new connection, so that the name is resolved each time."""
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}), method=method)  # noqa: S310  # the stack's own
    try:
        response = urllib.request.urlopen(request, timeout=timeout)  # noqa: S310
    except urllib.error.HTTPError as error:
        response = error
    except (OSError, http.client.HTTPException) as error:
        return HttpReply(0, why=_name(error))
    with response:
        try:
            return HttpReply(response.status, response.read(), response.headers)
        except (OSError, http.client.HTTPException) as error:
            return HttpReply(response.status, headers=response.headers, why=_name(error))


def _name(error: Exception) -> str:
    """In a word, what kind of error it is."""
    why = getattr(error, "reason", error)
    return type(why).__name__ if isinstance(why, Exception) else str(why)
