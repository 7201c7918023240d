"""No request outlives its deadline, and a retry starts only if it can end in time."""
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.deadline import Deadline, Timing
from tests.unit.payments.fakes import Hang, StillClock, still_runtime

TIMING = Timing()
HTTP_OVERHEAD = 0.4


class Transient(Exception):
    """It may succeed if it is tried again."""


def is_transient(error: Exception) -> bool:
    """Whether to try again."""
    return isinstance(error, Transient)


def failing(clock: StillClock, error: BaseException, calls: list[float],
            durations: Iterable[float] = ()) -> Callable[[], None]:
    """A call that takes the next duration (0 when there is none), which it adds to `calls`, and fails."""
    left = iter(durations)

    def work() -> None:
        calls.append(next(left, 0))
        clock.now += calls[-1]
        raise error
    return work


@pytest.fixture
def clock() -> StillClock:
    """A clock that the test moves."""
    return StillClock()


@pytest.fixture
def calls() -> list[float]:
    """How long each call took."""
    return []


def deadline(clock: StillClock, seconds: float = TIMING.budget) -> Deadline:
    """A deadline by that clock."""
    return Deadline(TIMING, seconds, still_runtime(clock))


def test_a_dead_store_is_tried_twice_and_the_request_answered_within_three_seconds() -> None:
    assert 2 * TIMING.attempt + TIMING.pause <= TIMING.budget <= 3 - HTTP_OVERHEAD


def test_a_call_that_succeeds_is_made_once(clock: StillClock) -> None:
    assert deadline(clock).call(lambda: "answer", is_transient) == "answer"
    assert not clock.slept


def test_transient_errors_are_retried_after_a_growing_pause(clock: StillClock, calls: list[float]) -> None:
    with pytest.raises(Transient):
        deadline(clock).call(failing(clock, Transient(), calls), is_transient)
    assert len(calls) == TIMING.attempts
    assert [0 <= pause <= TIMING.pause * 2**number for number, pause in enumerate(clock.slept)] == [True, True]


def test_a_retry_may_succeed(clock: StillClock) -> None:
    answers = iter([Transient(), "answer"])

    def work() -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert deadline(clock).call(work, is_transient) == "answer"


def test_other_errors_are_not_retried(clock: StillClock, calls: list[float]) -> None:
    with pytest.raises(PermissionError):
        deadline(clock).call(failing(clock, PermissionError(), calls), is_transient)
    assert len(calls) == 1


def test_a_retry_that_might_not_end_in_time_is_not_started(clock: StillClock, calls: list[float]) -> None:
    with pytest.raises(TimeoutError):
        deadline(clock, 2.0).call(failing(clock, Hang(), calls), lambda _: True)
    assert (len(calls), clock.now) == (1, TIMING.attempt)


@pytest.mark.parametrize(("seconds", "expected"), [(0.5, [0.5]), (10.0, [TIMING.attempt] * TIMING.attempts)])
def test_a_call_that_never_returns_is_given_up_after_the_time_of_an_attempt(
        clock: StillClock, calls: list[float], seconds: float, expected: list[float]) -> None:
    with pytest.raises(TimeoutError):
        deadline(clock, seconds).call(failing(clock, Hang(), calls), lambda _: True)
    assert clock.now == pytest.approx(sum(expected) + sum(clock.slept))
    assert len(calls) == len(expected)


@given(st.floats(0, 3), st.lists(st.floats(0, 2 * TIMING.attempt), min_size=3, max_size=3))
def test_retries_end_before_the_deadline(seconds: float, durations: list[float]) -> None:
    clock, calls = StillClock(), list[float]()
    limit = deadline(clock, seconds)
    with pytest.raises((Transient, TimeoutError)):
        limit.call(failing(clock, Transient(), calls, durations), is_transient)
    assert limit.remaining() >= -1e-6  # the wall clock's resolution


def test_after_the_deadline_nothing_is_called(clock: StillClock, calls: list[float]) -> None:
    limit = deadline(clock, 1)
    clock.now += 1
    with pytest.raises(TimeoutError):
        limit.call(failing(clock, Transient(), calls), is_transient)
    assert not calls


def test_the_guard_runs_before_each_attempt_and_may_end_them(clock: StillClock, calls: list[float]) -> None:
    guards = list[float]()

    def guard() -> None:
        guards.append(clock.now)
        if len(guards) == 3:
            raise PermissionError

    limit = deadline(clock, 2.5).guarded(guard)
    with pytest.raises(PermissionError):
        limit.call(failing(clock, Transient(), calls), is_transient)
    assert (len(guards), len(calls), limit.remaining() <= 2.5) == (3, 2, True)


def test_a_deadline_passes_while_the_process_is_frozen(clock: StillClock) -> None:
    limit = deadline(clock, 2)
    clock.frozen += 1.5
    assert limit.remaining() == 0.5


def test_an_earlier_deadline_is_no_later_than_this_one() -> None:
    clock = StillClock()
    whole = deadline(clock, 2.0)
    assert (whole.within(0.5).remaining(), whole.within(5.0).remaining()) == (0.5, 2.0)
