"""The journal of the latest run, in the payments table of the region that takes over. It is also the lock.

A live driver keeps raising the run's heartbeat. A driver that finds an unfinished run reads it twice: if the
heartbeat stands still for HOLD seconds of its own clock, the run's driver counts as dead, and the first to write the
journal continues the run. A driver whose own heartbeat is that old may have been taken for dead, and does nothing
before it has written a new one. No two clocks are compared.
"""
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

HOLD = 2.0  # seconds


@dataclass(frozen=True, kw_only=True)
class StepProgress:
    """A step of a run: when it began and ended (seconds since the epoch; None: not yet), and its result in words."""

    began: float
    ended: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of a plan; times in seconds since the epoch. `why` is the evidence on which it was begun.

    `driver` is a name that no other driver has. `accepted`: a person has accepted the loss of data. `seen` is when the
    evidence was complete. `beat` is the heartbeat.
    """

    id: str
    action: str
    target: str
    driver: str
    began: float
    why: str
    accepted: bool = False
    seen: float | None = None
    beat: int = 0
    steps: Mapping[str, StepProgress] = field(default_factory=dict)
    ended: float | None = None
    outcome: str = ""

    @property
    def what(self) -> str:
        """The run in a few words."""
        step = next((key for key, done in self.steps.items() if done.ended is None), "")
        return f"{self.action} to {self.target}" + (f", step {step}" if step and self.ended is None else "")

    def document(self) -> dict[str, Any]:
        """All of it as JSON."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Run":
        """The opposite of `document`."""
        return cls(**{**document, "steps": {key: StepProgress(**done) for key, done in document["steps"].items()}})


def next_heartbeat(run: Run, **changes: Any) -> Run:
    """The run with changes, one heartbeat later."""
    return replace(run, beat=run.beat + 1, **changes)
