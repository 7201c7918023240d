"""Runs checks of a deployed stack, and keeps their results."""

from collections.abc import Callable
from dataclasses import dataclass

from payments.clock import SYSTEM, Clock
from rehearsal.errors import CheckFailed
from rehearsal.polling import FAILURES


@dataclass(frozen=True)
class CheckResult:
    """The result of a check: whether it held, how long it took, and what was measured, or why it failed."""

    name: str
    ok: bool
    milliseconds: float
    detail: str = ""


def expect(found: object, wanted: object, what: str) -> None:
    """Raise CheckFailed unless the two are equal."""
    if found != wanted:
        raise CheckFailed(f"{what}: {found!r} instead of {wanted!r}")


def attempt(name: str, check: Callable[[], object], clock: Clock = SYSTEM) -> CheckResult:
    """Run one check. A string that it returns is what was measured."""
    began, ok = clock.monotonic(), True
    try:
        found = check()
    except FAILURES as error:
        ok, found = False, str(error) if isinstance(error, CheckFailed) else f"{type(error).__name__}: {error}"
    return CheckResult(name, ok, (clock.monotonic() - began) * 1000, found if isinstance(found, str) else "")
