"""What is known of a region after a look at it, and after a row of looks, whatever they show."""
import json
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recovery.environment import Environment, HttpReply
from recovery.observation import (
    LIVENESS_TIMEOUT,
    MAX_INTERVAL,
    READINESS_TIMEOUT,
    Observation,
    ProbeResult,
    get,
    lever_is_pulled,
    look,
    observe,
)
from tests.unit.payments.fakes import Hang
from tests.unit.recovery.fakes import AWAY, NOW, FakeClock, environment_of, stack

API = "https://api.example/live"


class Web:
    """What answers at an address: a reply, or never anything (None)."""

    def __init__(self) -> None:
        self.replies: dict[str, HttpReply | None] = {}
        self.clock = FakeClock()
        self.environment: Environment = environment_of(self.clock, http=self.send)

    def send(self, method: str, url: str, timeout: float, **more: object) -> HttpReply:
        """Answer a request."""
        assert (method, more) == ("GET", {})
        assert timeout in (LIVENESS_TIMEOUT, READINESS_TIMEOUT)
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
    assert web.clock.now == LIVENESS_TIMEOUT


@pytest.mark.parametrize("body", [b"", b"\xff", b"no JSON", b"[1]", b"[" * 100_000], ids=range(5))
def test_a_body_without_an_object_is_an_empty_one(web: Web, body: bytes) -> None:
    web.replies[API] = HttpReply(200, body)
    assert get(web.environment, API, LIVENESS_TIMEOUT) == ({}, "")


@pytest.mark.parametrize(("answer", "pulled"), [
    (reply(200, {"takeover": True}), True), (reply(404, {"takeover": False}), False), (HttpReply(0, why="?"), True)])
def test_a_lever_is_not_pulled_only_if_its_region_says_so(web: Web, answer: HttpReply, *, pulled: bool) -> None:
    web.replies[f"{API}/takeover"] = answer
    assert lever_is_pulled(web.environment, API) is pulled


# --- A row of looks

DEAD, UNREADY, WELL = (ProbeResult(alive=alive, ready=ready, why=why) for alive, ready, why in (
    (False, False, "no answer"), (True, False, "ledger unavailable"), (True, True, "")))
looks = st.lists(st.tuples(st.sampled_from([DEAD, UNREADY, WELL]), st.booleans()), min_size=1, max_size=40)


def watched(*seen: ProbeResult, leads: bool = True, every: float = 10) -> Observation:
    """What is known after these looks."""
    known: Observation | None = None
    for number, each in enumerate(seen):
        known = observe(known, Observation(region=AWAY, at=NOW + number * every), each, leads=leads)
    assert known
    return known


def last_row(states: list[bool]) -> int:
    """How many are true in a row, at the end."""
    *_, (state, row) = ((state, len(list(group))) for state, group in groupby(states))
    return row if state else 0


@given(looks)
@settings(max_examples=80)
def test_the_counts_are_the_failures_in_a_row(seen: list[tuple[ProbeResult, bool]]) -> None:
    known: Observation | None = None
    for number, (each, leads) in enumerate(seen):
        now = Observation(region=AWAY, at=NOW + 10 * number, lags={"table": number})
        known = observe(known, now, each, leads=leads)
        so_far = seen[:number + 1]
        assert known.dead == last_row([not shown.alive for shown, _ in so_far])
        assert known.unready == last_row([leads and not shown.ready for shown, leads in so_far])
        answered = [place for place, (shown, _) in enumerate(so_far) if shown.alive]
        assert known.alive_at == (NOW + 10 * answered[-1] if answered else 0)
        assert known.lags == ({"table": answered[-1]} if answered else {})
        assert (known.at, known.why) == (NOW + 10 * number, each.why)


@given(st.integers(1, 10), st.integers(1, 5), st.lists(st.integers(0, 1000), max_size=6))
@settings(max_examples=60)
def test_a_region_that_flaps_is_never_dead(threshold: int, recovers: int, rows: list[int]) -> None:
    known, there = None, stack(health_check_threshold=threshold)
    flapping = [shown for row in rows for shown in [*[DEAD] * (row % threshold), *[WELL] * recovers]]
    for number, each in enumerate(flapping):
        known = observe(known, Observation(region=AWAY, at=NOW + 10 * number), each, leads=True)
        assert not known.is_dead(there)
        assert not known.is_unready(there)


@pytest.mark.parametrize(("interval", "dead", "unready"), [(10, 3, 6), (30, 9, 18)])
def test_a_region_is_dead_after_the_threshold_and_unready_after_twice_that(
        interval: int, dead: int, unready: int) -> None:
    there = stack(health_check_interval=interval)
    assert [watched(*[DEAD] * number).is_dead(there) for number in (dead - 1, dead)] == [False, True]
    assert [watched(*[UNREADY] * number).is_unready(there) for number in (unready - 1, unready)] == [False, True]
    assert not watched(*[UNREADY] * 100).is_dead(there)
    assert not watched(*[UNREADY] * 100, leads=False).is_unready(there)


def test_what_was_seen_before_a_long_pause_is_forgotten() -> None:
    last = replace(watched(DEAD, DEAD), lags={"table": 1.0}, notified="news")
    assert observe(last, Observation(region=AWAY, at=last.at + MAX_INTERVAL), DEAD, leads=True).dead == 3
    assert observe(last, Observation(region=AWAY, at=last.at + MAX_INTERVAL + 1), DEAD, leads=True) == Observation(
        region=AWAY, at=last.at + MAX_INTERVAL + 1, dead=1, unready=1, why="no answer")


def test_a_look_keeps_the_last_notification_and_this_regions_own_state() -> None:
    last = replace(watched(DEAD), notified="news")
    found = observe(last, Observation(region=AWAY, at=NOW, ready=True), DEAD, leads=True)
    assert (found.notified, found.ready, found.region) == ("news", True, AWAY)


@pytest.mark.parametrize(("lags", "exposure"), [
    ({}, None), ({"table": 3.0}, 3.0), ({"table": 3.0, "ledger": 0.5, "receipts": 90.0}, 0.5),
])
def test_only_payments_that_no_store_has_are_exposed(lags: dict[str, float], exposure: float | None) -> None:
    assert Observation(region=AWAY, at=NOW, lags=lags).exposure == exposure


def test_it_is_stored_as_json_under_keys_that_do_not_change() -> None:
    known = replace(watched(DEAD), lags={"table": 1.5}, notified="news")
    document = json.loads(json.dumps(known.document()))
    assert set(document) == {"region", "at", "dead", "unready", "alive_at", "ready", "why", "lags", "told"}
    assert Observation.of(document) == known
