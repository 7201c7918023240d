"""A look at a region from outside, which never raises for what it finds there."""
import json
from typing import Any

import pytest

from recovery import probe
from recovery.environment import Environment
from recovery.http import HttpReply
from recovery.probe import ProbeReply, ProbeResult, get, lever_is_pulled, look
from tests.unit.payments.fakes import Hang
from tests.unit.recovery.fakes import FakeClock, environment_of

API = "https://api.example/live"


class Web:
    """What answers at an address: a reply, or nothing for ever (None)."""

    def __init__(self) -> None:
        self.replies: dict[str, HttpReply | None] = {}
        self.clock = FakeClock()
        self.environment: Environment = environment_of(self.clock, http=self.send)

    def send(self, method: str, url: str, timeout: float, **more: object) -> HttpReply:
        """Answer a request."""
        assert (method, more) == ("GET", {})
        assert timeout in (probe.LIVENESS_TIMEOUT, probe.READINESS_TIMEOUT)
        reply = self.replies[url]
        if reply is None:
            raise Hang
        return reply

    def look(self, alive: HttpReply | None, deep: HttpReply | None = None) -> ProbeResult:
        """A look at a region with these replies."""
        self.replies = {f"{API}/health": alive, **({f"{API}/health?deep=1": deep} if deep else {})}
        return look(self.environment, API)


@pytest.fixture
def web() -> Web:
    """An empty one."""
    return Web()


def reply(status: int, body: Any = None) -> HttpReply:
    """A reply with a JSON body."""
    return HttpReply(status, json.dumps(body).encode())


def stores(writes: Any = True, **states: str) -> dict[str, Any]:
    """What `/health?deep=1` says."""
    return {"status": "?", "region": "r", "table": "ok", "ledger": "ok", "receipts": "ok", **states, "writes": writes}


@pytest.mark.parametrize(("deep", "expected"), [
    (reply(200, stores()), ProbeResult(alive=True, ready=True)),
    (reply(200, stores(writes=False, ledger="standby")), ProbeResult(alive=True, ready=False, why="ledger standby")),
    (reply(503, stores(writes=False, ledger="unavailable", table="unavailable")),
     ProbeResult(alive=True, ready=False, why="table unavailable, ledger unavailable")),
    (reply(429, {"message": "Too Many Requests"}), ProbeResult(alive=True, ready=False, why="HTTP 429")),
    (reply(200, stores(writes="yes")), ProbeResult(alive=True, ready=False)),
    (reply(200, []), ProbeResult(alive=True, ready=False)),
    (HttpReply(0, why="TimeoutError"), ProbeResult(alive=True, ready=False, why="TimeoutError")),
])
def test_a_region_that_answers_is_as_ready_as_it_says(web: Web, deep: HttpReply, expected: ProbeResult) -> None:
    assert web.look(reply(200, {"status": "ok"}), deep) == expected


@pytest.mark.parametrize(("answer", "why"), [
    (reply(503, {"message": "no"}), "HTTP 503"), (reply(404, "x"), "HTTP 404"),
    (HttpReply(0, why="ConnectionRefusedError"), "ConnectionRefusedError"),
    (HttpReply(200, why="IncompleteRead"), "IncompleteRead"),
])
def test_a_region_that_does_not_answer_is_dead_and_is_asked_nothing_more(
        web: Web, answer: HttpReply, why: str) -> None:
    assert web.look(answer) == ProbeResult(alive=False, ready=False, why=why)


def test_an_answer_is_waited_for_no_longer_than_its_timeout(web: Web) -> None:
    assert web.look(None) == ProbeResult(alive=False, ready=False, why="timed out")
    assert web.clock.now == probe.LIVENESS_TIMEOUT


@pytest.mark.parametrize("body", [b"", b"\xff", b"no JSON", b"[1]", b"[" * 100_000], ids=range(5))
def test_a_body_without_an_object_is_an_empty_one(web: Web, body: bytes) -> None:
    web.replies[API] = HttpReply(200, body)
    assert get(web.environment, API, probe.LIVENESS_TIMEOUT) == ProbeReply(200, {})


@pytest.mark.parametrize(("answer", "pulled"), [
    (reply(200, {"takeover": True}), True), (reply(404, {"takeover": False}), False), (HttpReply(0, why="?"), True)])
def test_a_lever_is_not_pulled_only_if_its_region_says_so(web: Web, answer: HttpReply, *, pulled: bool) -> None:
    web.replies[f"{API}/takeover"] = answer
    assert lever_is_pulled(web.environment, API) is pulled
