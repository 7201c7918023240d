"""A look at a region, which tells what it finds there and never raises for it."""
import http.client
import io
import json
import ssl
import threading
import urllib.request
from email.message import Message
from typing import Any
from urllib.error import HTTPError, URLError

import pytest

from recovery import probe
from recovery.probe import ProbeReply, ProbeResult, get, look

API = "https://api.example/live"


class Response(io.BytesIO):
    """An answer with a status."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(body)
        self.status = status


class Torn(io.BytesIO):
    """A body that ends too soon."""

    def read(self, _size: int | None = -1, /) -> bytes:
        """As http.client has it."""
        raise http.client.IncompleteRead(b"")


class Web:
    """What answers at an address: a status and a body, an error, or nobody for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, tuple[int, bytes] | Exception | threading.Event] = {}
        monkeypatch.setattr(urllib.request, "urlopen", self._open)

    def _open(self, url: str, *, timeout: float) -> Response:
        assert timeout in (probe.LIVENESS, probe.READINESS)
        answer = self.answers[url]
        if isinstance(answer, threading.Event):
            answer.wait()
            raise TimeoutError
        if isinstance(answer, Exception):
            raise answer
        status, body = answer
        if status != 200:
            raise HTTPError(url, status, "no", Message(), io.BytesIO(body))
        return Response(status, body)

    def show(self, alive: tuple[int, Any] | Exception, deep: tuple[int, Any] | Exception = (0, None)) -> ProbeResult:
        """A look at what answers so."""
        for path, answer in (("/health", alive), ("/health?deep=1", deep)):
            self.answers[API + path] = answer if isinstance(answer, Exception) else (
                answer[0], json.dumps(answer[1]).encode())
        return look(API)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    """An empty one."""
    return Web(monkeypatch)


def stores(writes: Any = True, **states: str) -> dict[str, Any]:
    """What `/health?deep=1` says."""
    return {"status": "?", "region": "r", "table": "ok", "ledger": "ok", "receipts": "ok", **states, "writes": writes}


@pytest.mark.parametrize(("deep", "expected"), [
    ((200, stores()), ProbeResult(alive=True, ready=True)),
    ((200, stores(writes=False, ledger="standby")), ProbeResult(alive=True, ready=False, why="ledger standby")),
    ((503, stores(writes=False, ledger="unavailable", table="unavailable")),
     ProbeResult(alive=True, ready=False, why="table unavailable, ledger unavailable")),
    ((429, {"message": "Too Many Requests"}), ProbeResult(alive=True, ready=False, why="HTTP 429")),
    ((200, stores(writes="yes")), ProbeResult(alive=True, ready=False)),
    ((200, []), ProbeResult(alive=True, ready=False)),
    (TimeoutError(), ProbeResult(alive=True, ready=False, why="TimeoutError")),
])
def test_a_region_that_answers_is_as_ready_as_it_says(web: Web, deep: Any, expected: ProbeResult) -> None:
    assert web.show((200, {"status": "ok"}), deep) == expected


@pytest.mark.parametrize(("answer", "why"), [
    ((503, {"message": "no"}), "HTTP 503"),
    ((404, "x"), "HTTP 404"),
    (URLError(ConnectionRefusedError(111, "no")), "ConnectionRefusedError"),
    (URLError("no host given"), "no host given"),
    (TimeoutError("timed out"), "TimeoutError"),
    (http.client.RemoteDisconnected("bye"), "RemoteDisconnected"),
    (http.client.BadStatusLine("x"), "BadStatusLine"),
    (URLError(ssl.SSLCertVerificationError("self-signed")), "SSLCertVerificationError"),
    (HTTPError(API, 500, "no", Message(), Torn()), "IncompleteRead"),
])
def test_a_region_that_does_not_is_dead_and_is_asked_nothing_more(web: Web, answer: Any, why: str) -> None:
    assert web.show(answer, AssertionError("it was asked")) == ProbeResult(alive=False, ready=False, why=why)


@pytest.mark.parametrize("body", [b"", b"\xff", b"no JSON", b"[1]", b"[" * 100_000], ids=range(5))
def test_what_is_no_object_is_an_empty_one(web: Web, body: bytes) -> None:
    web.answers[API] = 200, body
    assert get(API) == ProbeReply(200, {})


def test_an_answer_is_waited_for_no_longer_than_is_said(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LIVENESS", 0.01)
    forever = threading.Event()
    web.answers[f"{API}/health"] = forever
    try:
        assert look(API) == ProbeResult(alive=False, ready=False, why="TimeoutError")
    finally:
        forever.set()
