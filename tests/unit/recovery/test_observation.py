"""What is known after a row of looks, whatever they show."""
import json
from dataclasses import replace
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recovery.observation import MAX_INTERVAL, Observation, least_lag, observe
from recovery.probe import ProbeResult
from tests.unit.recovery.fakes import AWAY, NOW, stack

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
        assert known.dead == last_row([not look.alive for look, _ in so_far])
        assert known.unready == last_row([leads and not look.ready for look, leads in so_far])
        answered = [place for place, (look, _) in enumerate(so_far) if look.alive]
        assert known.alive_at == (NOW + 10 * answered[-1] if answered else 0)
        assert known.lags == ({"table": answered[-1]} if answered else {})
        assert (known.at, known.why) == (NOW + 10 * number, each.why)


@given(st.integers(1, 10), st.integers(1, 5), st.lists(st.integers(0, 1000), max_size=6))
@settings(max_examples=60)
def test_what_flaps_is_never_dead(threshold: int, recovers: int, rows: list[int]) -> None:
    known, there = None, stack(health_check_threshold=threshold)
    flapping = [look for row in rows for look in [*[DEAD] * (row % threshold), *[WELL] * recovers]]
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


@pytest.mark.parametrize(("age", "lag"), [(0, 0), (10, 0), (10.5, 0.5), (70, 60), (-5, 0)])
def test_a_heartbeat_that_is_not_due_yet_is_not_late(age: float, lag: float) -> None:
    assert least_lag(NOW - age, NOW, 10) == lag
