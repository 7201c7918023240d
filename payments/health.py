"""The health of this region's stores."""
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from payments.deadline import Deadline
from payments.errors import StoreUnavailable
from payments.stores import State

Probe = Callable[[Deadline], State]


@dataclass(frozen=True)
class Health:
    """The state of each store, and the error code of each store that is unavailable."""

    states: Mapping[str, State]
    failures: Mapping[str, str]

    @property
    def writes(self) -> bool:
        """Whether every store can be written."""
        return set(self.states.values()) <= {State.OK}


def look(probes: Mapping[str, Probe], deadline: Deadline, seconds: float) -> Health:
    """Probe one store after the other; each probe may take at most `seconds`."""
    states: dict[str, State] = {}
    failures: dict[str, str] = {}
    for store, probe in probes.items():
        try:
            states[store] = probe(deadline.within(seconds))
        except StoreUnavailable as error:
            states[store], failures[store] = State.UNAVAILABLE, error.code
    return Health(states, failures)
