"""Waiting, on a clock that the test moves."""

import pytest

from rehearsal.errors import CheckFailed, TimedOut
from rehearsal.polling import retry, wait_until
from tests.rehearsal.workload.api import InstantClock


def test_what_holds_at_once_is_not_waited_for() -> None:
    clock = InstantClock()
    assert wait_until(lambda: "found", "it", 0, clock=clock) == "found"
    assert retry(lambda: None, patience=0, clock=clock) is None
    assert clock.slept == []


def test_it_is_tried_until_it_holds() -> None:
    clock, results = InstantClock(), iter([None, "", OSError("reset"), "found"])

    def check() -> str | None:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    assert wait_until(check, "it", failures=(OSError,), pause=0.5, clock=clock) == "found"
    assert clock.slept == [0.5] * 3


def test_a_timeout_says_what_was_waited_for() -> None:
    clock = InstantClock()
    with pytest.raises(TimedOut, match=r"^waited 3 s for: the standby$"):
        wait_until(lambda: False, "the standby", 3, pause=1, clock=clock)
    assert clock.slept == [1, 1, 1]


def test_after_a_timeout_the_latest_failure_is_raised() -> None:
    clock, failures = InstantClock(), iter([CheckFailed("first"), OSError("second"), CheckFailed("third")])

    def fail() -> None:
        raise next(failures)

    with pytest.raises(CheckFailed, match="third"):
        retry(fail, patience=2, pause=1, clock=clock)


def test_any_other_failure_ends_the_wait() -> None:
    clock = InstantClock()
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 // 0, "nonsense", clock=clock)
    assert clock.slept == []
