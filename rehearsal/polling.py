"""Waiting for a condition: the rehearsal's only polling loop."""

from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from payments.clock import SYSTEM, Clock
from payments.errors import PaymentsError
from recovery.errors import RecoveryError
from rehearsal.errors import RehearsalError, TimedOut

T = TypeVar("T")

FAILURES = (RehearsalError, RecoveryError, PaymentsError, ClientError, BotoCoreError, OSError)
"""The errors by which a check fails. Any other is an error in the check itself."""
PATIENCE = 60.0  # seconds; only what fails waits so long, however slow the machine
PAUSE = 0.02  # seconds between two tries


def retry(check: Callable[[], T], failures: tuple[type[Exception], ...] = FAILURES, *, patience: float = PATIENCE,
          pause: float = PAUSE, clock: Clock = SYSTEM) -> T:
    """Call `check` until it raises none of `failures`. Returns its result.

    It is called at least once. After `patience` seconds its latest failure is raised unchanged.
    """
    end = clock.monotonic() + patience
    while True:
        try:
            return check()
        except failures:
            if clock.monotonic() >= end:
                raise
        clock.sleep(pause)


def wait_until(check: Callable[[], T | None], what: str, patience: float = PATIENCE, *,
               failures: tuple[type[Exception], ...] = (), pause: float = PAUSE, clock: Clock = SYSTEM) -> T:
    """Call `check` until it returns something true, and return that; `failures` that it raises mean: not yet.

    It is called at least once. After `patience` seconds its latest failure is raised unchanged or, if it returned
    nothing true, TimedOut, which says `what` was waited for.
    """
    def found() -> T:
        result = check()
        if not result:
            raise TimedOut(f"waited {patience:g} s for: {what}")
        return result

    return retry(found, (TimedOut, *failures), patience=patience, pause=pause, clock=clock)
