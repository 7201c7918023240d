"""What a client saw: one outage, split into phases that add up to the whole."""
import json
import math
from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import Phase
from recovery.measure import GOOD, ClientWrite, Recovery, measure
from recovery.record import Run, StepProgress
from simulator.scheduler import EPOCH as NOW
from tests.unit.recovery.calm_world import EAST as HOME
from tests.unit.recovery.calm_world import WEST as AWAY

OFFSET = NOW - 50.0  # the wall clock is this much ahead of the client's
LATENCY = 0.25  # seconds


def sent(at: float, *, ok: bool = True, where: str = HOME, kind: str = "503", took: float = LATENCY) -> ClientWrite:
    """A write at a second of the client's clock."""
    return ClientWrite(sent_at=at, answered_at=at + took, accepted=ok, where=where, kind="" if ok else kind)


def row(start: float, count: int = GOOD, **changes: Any) -> list[ClientWrite]:
    """Writes, one a second."""
    return [sent(start + number, **changes) for number in range(count)]


def run(began: float, *, seen: float | None = None, fence: float | None = None, promote: float | None = None) -> Run:
    """A run whose steps ended at these seconds of the client's clock."""
    steps = {key: StepProgress(began=0.0, ended=ended + OFFSET)
             for key, ended in (("fence", fence), ("promote", promote)) if ended is not None}
    return Run(id="run", action="failover", target=AWAY, driver="somebody", why="it is dead", began=began + OFFSET,
               seen=None if seen is None else seen + OFFSET, steps=steps)


FAILOVER = run(133.0, seen=131.0, fence=134.5, promote=160.0)
OUTAGE = [*row(90.0), *row(100.0, 70, ok=False), *row(170.0, where=AWAY)]


def test_an_outage_lasts_from_the_first_failed_write_to_the_first_of_ten_good_ones_in_a_row() -> None:
    found = measure(OUTAGE, FAILOVER, OFFSET)
    assert (found.began, found.ended) == (100.0 + OFFSET, 170.0 + LATENCY + OFFSET)
    assert found.recovered
    assert found.whole == pytest.approx(70.25)


def test_fewer_than_ten_accepted_writes_in_a_row_end_no_outage() -> None:
    few = [*row(90.0), *row(100.0, 1, ok=False), *row(101.0, GOOD - 1)]
    assert measure([*few, sent(120.0, ok=False), *row(130.0)], FAILOVER, OFFSET).ended == 130.0 + LATENCY + OFFSET
    never = measure(few, FAILOVER, OFFSET)
    assert (never.recovered, never.whole, never.ended, never.phases) == (False, math.inf, None, {})
    assert never.document()["whole"] is None


@pytest.mark.parametrize("requests", [[], row(100.0, 3)])
def test_where_nothing_failed_there_is_no_outage(requests: list[ClientWrite]) -> None:
    found = measure(requests, FAILOVER, OFFSET)
    assert (found.began, found.ended, found.whole, found.recovered, found.phases) == (None, None, 0.0, True, {})


def test_the_longest_outage_counts() -> None:
    blip = [sent(80.0, ok=False), *row(81.0)]
    assert measure([*blip, *OUTAGE, sent(190.0, ok=False), *row(191.0)], None, OFFSET).began == 100.0 + OFFSET
    assert measure([*OUTAGE, sent(190.0, ok=False), *row(191.0, 3)], None, OFFSET).recovered
    assert not measure([*blip, *row(100.0, 70, ok=False)], None, OFFSET).recovered


def test_an_outage_that_overlaps_the_run_counts_before_a_longer_one() -> None:
    of = replace(FAILOVER, ended=161.0 + OFFSET)
    later = [*OUTAGE, *row(200.0, 90, ok=False), *row(290.0)]
    earlier = [*row(-100.0, 90, ok=False), *row(-10.0), *OUTAGE]
    for each in (later, earlier):
        assert measure(each, None, OFFSET).whole == pytest.approx(90.25)
        assert measure(each, of, OFFSET).began == 100.0 + OFFSET
    assert measure(later, FAILOVER, OFFSET).began == 200.0 + OFFSET  # the run is unfinished, so it overlaps


def test_each_phase_ends_with_its_own_event() -> None:
    assert measure(OUTAGE, FAILOVER, OFFSET).phases == pytest.approx({
        "detect": 31.0, "decide": 2.0, "fence": 1.5, "promote": 25.5, "dns": 10.0, "first write": LATENCY})


def test_a_client_that_arrives_before_the_writer_waits_for_the_first_write_only() -> None:
    early = [*row(90.0), *row(100.0, 30, ok=False), *row(130.0, 40, ok=False, where=AWAY), *row(170.0, where=AWAY)]
    found = measure(early, FAILOVER, OFFSET).phases
    assert (found["dns"], found["first write"]) == pytest.approx((0.0, 10.25))


def test_payments_that_wait_in_a_planned_move_wait_for_its_steps() -> None:
    found = measure(OUTAGE, run(20.0, fence=101.0, promote=160.0), OFFSET).phases
    assert list(found.values()) == pytest.approx([0.0, 0.0, 1.0, 59.0, 10.0, LATENCY])


def test_unknown_evidence_and_steps_take_no_time_of_their_own() -> None:
    found = measure(OUTAGE, run(133.0), OFFSET).phases
    assert list(found.values()) == pytest.approx([33.0, 0.0, 0.0, 0.0, 37.0, LATENCY])
    assert measure(OUTAGE, None, OFFSET).phases == {}


def test_evidence_is_complete_when_the_run_begins() -> None:
    found = measure(OUTAGE, run(133.0, seen=140.0), OFFSET).phases
    assert (found["detect"], found["decide"]) == pytest.approx((33.0, 0.0))


def test_errors_are_counted_by_kind_and_the_longest_gap_lies_between_two_that_were_accepted() -> None:
    other = [sent(85.0, ok=False, kind="TimeoutError"), *OUTAGE, sent(500.0, ok=False)]
    found = measure(other, FAILOVER, OFFSET)
    assert found.errors == {"TimeoutError": 1, "503": 71}
    assert found.gap == pytest.approx(71.0)
    assert measure(row(1.0, 1), None, OFFSET).gap == 0.0


def test_overhead_is_what_is_left_of_the_whole_and_never_negative() -> None:
    found = Recovery(began=NOW, ended=NOW + 100.0)
    assert found.overhead(detection=30.0, ttl=10.0, promotion=58.5) == pytest.approx(1.5)
    assert found.overhead(detection=30.0, ttl=60.0, promotion=58.5) == 0.0
    assert Recovery(began=NOW).overhead(detection=30.0, ttl=60.0, promotion=58.5) == math.inf


times = st.floats(0, 100, allow_nan=False)
maybe = st.none() | times
runs = st.builds(run, times, seen=maybe, fence=maybe, promote=maybe)


@st.composite
def histories(draw: st.DrawFn) -> list[ClientWrite]:
    """Writes of several clients, in the order of sending, answered in any."""
    where = st.sampled_from(["", HOME, AWAY])
    each = st.tuples(st.floats(0, 5), st.floats(0, 10), st.integers(1, 15), st.booleans(), where)
    drawn = [(gap, took, ok, to) for gap, took, count, ok, to in draw(st.lists(each, max_size=12))
             for _ in range(count)]
    moments = accumulate(gap for gap, *_ in drawn)
    return [sent(at, ok=ok, where=to, took=took) for at, (_, took, ok, to) in zip(moments, drawn, strict=True)]


@settings(max_examples=40)
@given(histories(), runs)
def test_phases_are_never_negative_and_add_up_to_the_whole(requests: list[ClientWrite], of: Run) -> None:
    found = measure(requests, of, OFFSET)
    assert found.whole >= 0
    if found.phases:
        assert list(found.phases) == list(Phase)
        assert min(found.phases.values()) >= 0
        assert sum(found.phases.values()) == pytest.approx(found.whole, abs=1e-5)
    else:
        assert found.began is None or not found.recovered


@settings(max_examples=40)
@given(histories(), runs)
def test_every_failure_is_counted(requests: list[ClientWrite], of: Run) -> None:
    found = measure(requests, of, OFFSET)
    assert sum(found.errors.values()) == sum(not request.accepted for request in requests)
    assert (found.began is None) == all(request.accepted for request in requests)
    assert found.whole >= found.overhead(1.0, 2.0, 3.0) >= 0
    assert Recovery(**{key: value for key, value in json.loads(json.dumps(found.document())).items()
                       if key != "whole"}) == found


@settings(max_examples=40)
@given(histories(), runs, st.integers(0, 5))
def test_writes_that_were_accepted_before_change_no_outage(requests: list[ClientWrite], of: Run, count: int) -> None:
    found, later = (measure(each, of, OFFSET) for each in (requests, [*row(-10.0, count, took=0.0), *requests]))
    assert (found.began, found.ended, found.phases, found.errors) == (
        later.began, later.ended, later.phases, later.errors)
