"""The journal of the latest run, kept in the payments table of the region that takes over. It is the lock, too.

A driver that lives raises `beat` all the while. Who finds an unfinished run looks twice: if the beat stands still for
HOLD seconds by its own clock, its driver is dead, and whoever is first goes on with the run. A driver whose own beat is
that old does nothing before it has beaten again, since it may have been taken for dead. No two clocks are compared.
"""
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from recovery.control_table import ControlTable

HOLD = 2.0  # seconds
KEY = "!recovery"


class AlreadyRunning(Exception):
    """Somebody else is at it: `driver` says who, `what` at what."""

    def __init__(self, driver: str, what: str) -> None:
        super().__init__(driver, what)
        self.driver, self.what = driver, what

    def __str__(self) -> str:
        return f"{self.driver} is at it: {self.what}"


@dataclass(frozen=True, kw_only=True)
class StepProgress:
    """A step of a run: when it began and ended (seconds since the epoch; None: not yet), and what there is to tell."""

    began: float
    ended: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of a plan; times in seconds since the epoch. `why` is the evidence on which it was begun.

    `driver` is a name that nobody else has. `accepted`: somebody accepts that data is lost. `seen` is when the evidence
    was complete.
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
        at = next((key for key, done in self.steps.items() if done.ended is None), "")
        return f"{self.action} to {self.target}" + (f", step {at}" if at and self.ended is None else "")

    def document(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {**vars(self), "steps": {key: dict(vars(done)) for key, done in self.steps.items()}}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Run":
        """The opposite of `document`."""
        return cls(**{**document, "steps": {key: StepProgress(**done) for key, done in document["steps"].items()}})


class Journal:
    """The latest run, in one region's replica of the table. Raises StoreUnavailable where the table gives no answer."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def latest(self) -> Run | None:
        """The latest run, None if there never was one."""
        item = self._table.read(KEY)
        return None if item is None else _run(item)

    def keep(self, run: Run, before: Run | None) -> None:
        """Write a run, if the journal is still that of `before` (None: nobody's). Raises Busy if it is somebody else's.

        The first of two writes may have got through without an answer: then the second one finds the run's own.
        """
        item = {"run": {"S": run.id}, "driver": {"S": run.driver}, "document": {"S": json.dumps(run.document())}}
        found = self._table.write(KEY, item, {} if before is None else {"run": before.id, "driver": before.driver})
        if found is None:
            return
        if not found:
            raise AlreadyRunning("nobody", "the journal is gone")
        there = _run(found)
        if (there.id, there.driver) != (run.id, run.driver):
            raise AlreadyRunning(there.driver, there.what)


def next_beat(run: Run, **changes: Any) -> Run:
    """The run with changes, one beat later."""
    return replace(run, beat=run.beat + 1, **changes)


def _run(item: Mapping[str, Any]) -> Run:
    return Run.of(json.loads(item["document"]["S"]))
