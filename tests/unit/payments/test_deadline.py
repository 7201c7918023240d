"""Time: no request outlives its deadline, and a retry only starts if it can end."""
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.deadline import MAX_CALLS, Deadline, Timing

TIMING = Timing()
HTTP_OVERHEAD = 0.4


class Transient(Exception):
    """It may pass."""


@dataclass
class FakeClock:
    """Stands still until someone sleeps or works."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        """Now."""
        return self.now

    def sleep(self, seconds: float, /) -> None:
        """Moves on."""
        self.slept.append(seconds)
        self.now += seconds


def is_transient(error: Exception) -> bool:
    """Whether to try again."""
    return isinstance(error, Transient)


def failing(clock: FakeClock, error: Exception, calls: list[float],
            durations: Iterable[float] = ()) -> Callable[[], None]:
    """A call that fails after the next duration (0 when there is none), which it adds to `calls`."""
    left = iter(durations)

    def work() -> None:
        calls.append(next(left, 0))
        clock.now += calls[-1]
        raise error
    return work


def test_a_dead_store_is_tried_twice_and_answered_for_in_three_seconds() -> None:
    assert 2 * TIMING.attempt + TIMING.pause <= TIMING.budget <= 3 - HTTP_OVERHEAD
    assert TIMING.attempt <= TIMING.probe <= 2 - HTTP_OVERHEAD


def test_a_good_call_is_made_once() -> None:
    clock = FakeClock()
    assert Deadline(TIMING, 1, clock).call(lambda: "answer", is_transient) == "answer"
    assert not clock.slept


def test_transient_errors_are_retried_after_a_growing_pause() -> None:
    clock, calls = FakeClock(), list[float]()
    with pytest.raises(Transient):
        Deadline(TIMING, 2.6, clock).call(failing(clock, Transient(), calls), is_transient)
    assert len(calls) == TIMING.attempts
    assert [0 <= pause <= TIMING.pause * 2**number for number, pause in enumerate(clock.slept)] == [True, True]


def test_a_retry_may_succeed() -> None:
    answers = iter([Transient(), "answer"])

    def work() -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert Deadline(TIMING, 2.6, FakeClock()).call(work, is_transient) == "answer"


def test_other_errors_are_not_retried() -> None:
    clock, calls = FakeClock(), list[float]()
    with pytest.raises(PermissionError):
        Deadline(TIMING, 2.6, clock).call(failing(clock, PermissionError(), calls), is_transient)
    assert len(calls) == 1


def test_a_retry_that_might_not_end_in_time_is_not_started() -> None:
    clock, calls = FakeClock(), list[float]()
    with pytest.raises(Transient):
        Deadline(TIMING, 2.6, clock).call(failing(clock, Transient(), calls, [1.5]), is_transient)
    assert len(calls) == 1


@given(st.floats(0, 3), st.lists(st.floats(0, TIMING.attempt), min_size=3, max_size=3))
def test_retries_end_before_the_deadline(seconds: float, durations: list[float]) -> None:
    clock, calls = FakeClock(), list[float]()
    deadline = Deadline(TIMING, seconds, clock)
    with pytest.raises((Transient, TimeoutError)):
        deadline.call(failing(clock, Transient(), calls, durations), is_transient)
    assert len(calls) <= 1 or deadline.remaining() >= -1e-9


def test_after_the_deadline_nothing_is_called() -> None:
    clock, calls = FakeClock(), list[float]()
    deadline = Deadline(TIMING, 1, clock)
    clock.now += 1
    for _ in range(100):
        with pytest.raises(TimeoutError):
            deadline.call(failing(clock, Transient(), calls), is_transient)
    assert not calls


def test_a_call_that_was_given_up_before_it_began_is_never_made() -> None:
    release, calls = threading.Event(), list[str]()

    def blocked() -> None:
        calls.append("blocked")
        release.wait()

    def give_up(function: Callable[[], None]) -> None:
        with pytest.raises(TimeoutError):
            Deadline(Timing(connect=0, read=0.01), 0.01).call(function, is_transient)

    try:
        while calls.count("blocked") < MAX_CALLS:
            give_up(blocked)
        give_up(lambda: calls.append("late"))
    finally:
        release.set()
    Deadline(TIMING, 2.6).call(lambda: calls.append("next"), is_transient)
    assert calls[-1] == "next"
    assert "late" not in calls


@pytest.mark.parametrize(("seconds", "attempt"), [(0.05, 10.0), (10.0, 0.05)])
def test_a_call_that_never_ends_is_left_behind(seconds: float, attempt: float) -> None:
    release, start = threading.Event(), time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            Deadline(Timing(connect=0, read=attempt), seconds).call(release.wait, is_transient)
        assert time.monotonic() - start < 0.05 + HTTP_OVERHEAD
    finally:
        release.set()


def test_a_guard_is_asked_before_each_attempt_and_may_end_them() -> None:
    clock, calls, asked = FakeClock(), list[float](), list[str]()

    def guard() -> None:
        asked.append("may I?")
        if len(asked) == 3:
            raise PermissionError

    deadline = Deadline(TIMING, 2.6, clock).guarded(guard).within(2.5)
    with pytest.raises(PermissionError):
        deadline.call(failing(clock, Transient(), calls), is_transient)
    assert (len(asked), len(calls), deadline.remaining() <= 2.5) == (3, 2, True)


def test_who_is_in_a_hurry_tries_as_often_in_a_part_of_the_time() -> None:
    clock, calls, asked = FakeClock(), list[float](), list[str]()
    deadline = Deadline(TIMING, 1.6, clock).guarded(lambda: asked.append("may I?")).hurried(0.5)
    assert deadline.remaining() == pytest.approx(1.6)
    with pytest.raises(Transient):
        deadline.call(failing(clock, Transient(), calls, [TIMING.attempt / 2] * 3), is_transient)
    assert (len(calls), len(asked)) == (2, 2)
    assert 0 <= clock.slept[0] <= TIMING.pause / 2


def test_a_part_of_a_deadline_ends_with_it_at_the_latest() -> None:
    clock = FakeClock()
    deadline = Deadline(TIMING, 2, clock)
    assert deadline.within(1).remaining() == 1
    assert deadline.within(3).remaining() == 2
    clock.now += 1.5
    assert deadline.within(1).remaining() == 0.5
