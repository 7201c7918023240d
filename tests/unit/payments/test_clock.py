"""Elapsed time, by two clocks of which either may fail."""
import pytest

from payments.clock import SYSTEM, Stopwatch
from tests.unit.payments.fakes import StillClock


@pytest.mark.parametrize(("monotonic", "wall", "seconds"), [(3, 3, 3), (0, 3, 3), (3, -60, 3), (3, 7, 7), (0, -5, 0)])
def test_the_clock_that_says_more_counts(monotonic: float, wall: float, seconds: float) -> None:
    # An environment may be frozen: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
    clock = StillClock()
    since = Stopwatch(clock)
    clock.now, clock.frozen = monotonic, wall - monotonic
    assert since.seconds() == seconds


def test_the_machines_clock_can_be_measured_by() -> None:
    assert Stopwatch(SYSTEM).seconds() >= 0


@pytest.mark.parametrize(("monotonic", "wall", "seconds"), [(3, 3, 3), (0, 3, 0), (3, -60, 0), (3, 7, 3)])
def test_at_least_as_long_as_the_clock_that_says_less(monotonic: float, wall: float, seconds: float) -> None:
    clock = StillClock()
    since = Stopwatch(clock)
    clock.now, clock.frozen = monotonic, wall - monotonic
    assert since.least() == seconds
