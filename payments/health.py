"""Whether the stores of this region answer."""
from collections.abc import Callable, Mapping

from payments.deadline import Deadline
from payments.stores import StoreUnavailable

Probe = Callable[[Deadline], object]


def failing(probes: Mapping[str, Probe], deadline: Deadline, seconds: float) -> dict[str, str]:
    """The stores whose probe fails, each with its error code; a probe may take at most `seconds`."""
    failures: dict[str, str] = {}
    for store, probe in probes.items():
        try:
            probe(deadline.within(seconds))
        except StoreUnavailable as error:
            failures[store] = error.code
    return failures
