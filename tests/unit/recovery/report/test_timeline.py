"""The layout of a timeline: nothing overlaps, nothing is cut off, and every moment is in its place."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.report import timeline
from recovery.report.model import LANES, RecoveryTime, RequestMark, TimelineEvent
from recovery.report.page import NARROW, WIDE
from recovery.report.timeline import LONGEST, MOST, Label, Timeline, cut, text_width, ticks
from tests.unit.recovery.report.stories import STORY

WIDTHS = pytest.mark.parametrize("width", [WIDE, NARROW])
WORDS = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=100)
EVENTS = st.lists(st.builds(TimelineEvent, at_s=st.floats(0, 100), lane=st.sampled_from(LANES), what=WORDS),
                  max_size=40)
TIMES = st.one_of(st.floats(0, 0.01), st.floats(0, 200))


def recovery(at_s: float, times: Sequence[float]) -> RecoveryTime:
    """A recovery whose phases take these seconds."""
    assert STORY.recovery
    split = [replace(each, wall_s=time) for each, time in zip(STORY.recovery.split, times, strict=True)]
    return replace(STORY.recovery, at_s=at_s, wall_s=sum(times), split=split)


def overlaps(labels: Sequence[Label]) -> list[tuple[str, str]]:
    """Pairs of labels of which one covers a part of the other."""
    return [(one.text, other.text) for one, other in combinations(labels, 2)
            if abs(one.y - other.y) < timeline.SIZE and one.span[0] < other.span[1] and other.span[0] < one.span[1]]


@given(events=EVENTS, begin=st.floats(0, 100), times=st.lists(TIMES, min_size=6, max_size=6),
       width=st.sampled_from([WIDE, NARROW]))
def test_no_label_covers_another_one_or_leaves_the_picture(
        events: list[TimelineEvent], begin: float, times: list[float], width: float) -> None:
    drawn = Timeline(replace(STORY, events=events, recovery=recovery(begin, times)), width, 10)
    assert overlaps(drawn.labels) == []
    assert [each for each in drawn.labels if each.span[0] < 0 or each.span[1] > width] == []
    assert [each for each in drawn.labels if not timeline.SIZE / 2 < each.y < drawn.axis - timeline.SIZE / 2] == []


@WIDTHS
def test_a_lane_with_too_much_in_it_keeps_its_marks(width: float) -> None:
    events = [TimelineEvent(at_s=10 + number / 100, lane="plan", what=f"step {number}") for number in range(50)]
    drawn = Timeline(replace(STORY, events=events), width, 10)
    texts = [label.text for label in drawn.labels]
    assert f"step {MOST - 1}" in texts
    assert f"step {MOST}" not in texts
    assert sum(each.colour == "ink" for each in drawn.marks) == len(events)


@WIDTHS
def test_each_phase_begins_where_the_one_before_ends(width: float) -> None:
    phases = Timeline(STORY, width, 10).bars
    assert len(phases) == 6
    assert all(one.x + one.width == pytest.approx(other.x) for one, other in pairwise(phases))
    assert all(one.y < other.y for one, other in pairwise(phases))


def test_requests_that_found_no_address_have_a_band_of_their_own_at_the_end() -> None:
    drawn = Timeline(replace(STORY, requests=[RequestMark(at_s=0, ok=False, region=""), *STORY.requests]), WIDE, 10)
    bands = [label.text for label in sorted(drawn.labels, key=lambda each: each.y) if label.x == timeline.PAD]
    assert bands == ["recovery", *LANES, "us-east-1", "us-west-2", "no address"]


def test_a_drill_in_which_nothing_happened_has_a_timeline() -> None:
    drawn = Timeline(replace(STORY, requests=[], events=[], recovery=None), NARROW, 1)
    assert {label.text for label in drawn.labels} == set(LANES)
    assert (drawn.bars, drawn.ticks[0][0]) == ([], "0")


@pytest.mark.parametrize(("end", "most", "expected"), [
    (1.0, 4, [0, 0.5, 1.0]), (9.3, 10, list(range(10))), (9.3, 5, [0, 2, 4, 6, 8]), (430, 5, [0, 100, 200, 300, 400]),
    (12, 1, [0]), (0.02, 2, [0, 0.01, 0.02])])
def test_ticks_are_round_numbers(end: float, most: int, expected: list[float]) -> None:
    assert ticks(end, most) == pytest.approx(expected)


@given(WORDS, st.floats(20, 600))
def test_a_text_is_cut_to_its_space(text: str, space: float) -> None:
    shown = cut(text, space)
    assert text_width(shown) <= space
    assert len(shown) <= LONGEST
    assert shown == text or (shown.endswith("…") and text.startswith(shown[:-1]))


def test_what_xml_cannot_hold_is_a_space() -> None:
    assert cut("a\x00b\nc", WIDE) == "a b c"
