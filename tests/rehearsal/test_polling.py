"""Waiting for a condition."""

import pytest

from rehearsal.errors import TimedOut
from rehearsal.polling import wait_until
from tests.unit.payments.fakes import StillClock


def test_the_first_true_value_is_returned() -> None:
    values = iter([None, False, "", "ready", "later"])
    clock = StillClock()
    assert wait_until(lambda: next(values), "it", 10, clock=clock, pause=0.25) == "ready"
    assert clock.now == 0.75


def test_a_condition_that_holds_needs_no_time() -> None:
    clock = StillClock()
    assert wait_until(lambda: True, "it", 0, clock=clock)
    assert clock.now == 0


def test_the_wait_ends_with_its_patience() -> None:
    clock, checks = StillClock(), 0

    def check() -> bool:
        nonlocal checks
        checks += 1
        return False

    with pytest.raises(TimedOut, match=r"^the certificate is issued: not within 1 s$"):
        wait_until(check, "the certificate is issued", 1, clock=clock, pause=0.4)
    assert checks == 4
    assert clock.now == pytest.approx(1)
