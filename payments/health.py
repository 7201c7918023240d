"""What the stores of this region are good for."""
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from payments.deadline import Deadline
from payments.stores import State, StoreUnavailable

Probe = Callable[[Deadline], State]


@dataclass(frozen=True)
class Health:
    """The state of each store, and the error code of each that is unavailable."""

    states: Mapping[str, State]
    failures: Mapping[str, str]

    @property
    def writes(self) -> bool:
        """Whether every store can be written."""
        return set(self.states.values()) <= {State.OK}


def look(probes: Mapping[str, Probe], deadline: Deadline, seconds: float) -> Health:
    """Asks store by store; a probe may take at most `seconds`."""
    states: dict[str, State] = {}
    failures: dict[str, str] = {}
    for store, probe in probes.items():
        try:
            states[store] = probe(deadline.within(seconds))
        except StoreUnavailable as error:
            states[store], failures[store] = State.UNAVAILABLE, error.code
    return Health(states, failures)
