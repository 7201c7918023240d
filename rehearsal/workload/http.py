"""The rehearsal's HTTP client, which knows one region's API. Never uses the proxies that the environment names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import httpx

from payments.clock import SYSTEM, Clock
from rehearsal.aws.clients import plain_http
from rehearsal.errors import NoAnswer

TIMEOUT = 10.0  # seconds


@dataclass(frozen=True)
class Answer:
    """An HTTP response: its status, its body (parsed if it is JSON, otherwise a string), headers, and duration (s)."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True, kw_only=True)
class ApiClient:
    """A client of the API at `url`, which is in `region`; threads may share it.

    It sends the API key `key`, if there is one, through the proxy `via`, if there is one. It waits at most `timeout`
    seconds to connect, and for each part of the response. Each request has a connection of its own unless `keep_alive`.
    """

    region: str
    url: str
    key: str = field(default="", repr=False)
    via: str = ""
    timeout: float = TIMEOUT
    keep_alive: bool = False
    clock: Clock = field(default=SYSTEM, repr=False, compare=False)
    transport: httpx.BaseTransport | None = field(default=None, repr=False, compare=False)
    """What carries the requests; None for sockets."""

    @cached_property
    def _http(self) -> httpx.Client:
        return plain_http(
            proxy=self.via or None, transport=self.transport, timeout=self.timeout,
            limits=httpx.Limits(max_keepalive_connections=None if self.keep_alive else 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, *, key: str | None = None) -> Answer:
        """GET a path below the URL; see `request`."""
        return self.request("GET", path, key=key)

    def pay(self, payment: Mapping[str, Any]) -> Answer:
        """Request a payment; see `request`."""
        return self.request("POST", "/payment", payment)

    def find(self, payment_id: str) -> Answer:
        """Look a payment up; see `request`."""
        return self.get(f"/payment/{payment_id}")

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None, *,
                key: str | None = None) -> Answer:
        """Send a request, with another API key than the client's own if one is given.

        An error status is an answer too. Raises NoAnswer.
        """
        key = self.key if key is None else key
        began = self.clock.monotonic()
        try:
            response = self._http.request(method, self.url + path, json=body, headers={"x-api-key": key} if key else {})
        except httpx.TransportError as error:
            raise NoAnswer(f"{method} {self.url}{path}: {type(error).__name__}: {error}") from error
        return Answer(response.status_code, _parsed(response), response.headers, self.clock.monotonic() - began)


def _parsed(response: httpx.Response) -> Any:
    try:
        return response.json() if response.content else None
    except ValueError:
        return response.text
