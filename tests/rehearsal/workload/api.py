"""API clients that a function answers instead of a server, and a clock that only tests move."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from rehearsal.workload.http import ApiClient

Reply = tuple[int, Any] | None  # status and body; None for no answer


@dataclass
class InstantClock:
    """A clock on which nothing takes time but sleeping. `slept` has every pause; each takes `least` seconds or more."""

    now: float = 100.0
    least: float = 0.0
    slept: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def time(self) -> float:
        """Seconds since the epoch."""
        return self.now

    monotonic = time

    def sleep(self, seconds: float, /) -> None:
        """Let the time pass at once."""
        with self._lock:
            self.slept.append(seconds)
            self.now += max(seconds, self.least)


def api(answer: Callable[[httpx.Request], Reply], **more: Any) -> ApiClient:
    """A client whose requests are answered by the function."""
    def respond(request: httpx.Request) -> httpx.Response:
        reply = answer(request)
        if reply is None:
            raise httpx.ReadError("connection reset", request=request)
        status, body = reply
        return httpx.Response(status, json=body) if not isinstance(body, str) else httpx.Response(status, text=body)

    given = {"region": "us-east-1", "url": "http://east/live", "key": "k"} | more
    return ApiClient(**given, transport=httpx.MockTransport(respond))
