"""The journal of the latest run, in the payments table of the region that takes over. It is also the lock.

A live driver raises the run's heartbeat all the time. A driver that finds an unfinished run reads it twice: if the
heartbeat stands still for HOLD seconds of its own clock, the run's driver counts as dead, and the first to write the
journal continues the run. A driver whose own heartbeat is that old may have been taken for dead, and does nothing
before it has written a new one. No two clocks are compared.
"""
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from contract import JOURNAL_KEY
from recovery.control_table import ControlTable
from recovery.errors import AlreadyRunning, JournalGone

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

    `driver` is a name that no other driver has. `accepted`: a person accepts that data is lost. `seen` is when the
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
        return {**vars(self), "steps": {key: dict(vars(done)) for key, done in self.steps.items()}}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Run":
        """The opposite of `document`."""
        return cls(**{**document, "steps": {key: StepProgress(**done) for key, done in document["steps"].items()}})


class Journal:
    """The latest run, in one region's replica of the table. Raises StoreUnavailable where the table does not answer."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def latest(self) -> Run | None:
        """The latest run, None if there never was one."""
        item = self._table.read(JOURNAL_KEY)
        return None if item is None else _run(item)

    def write(self, run: Run, before: Run | None) -> None:
        """Write a run if the journal still holds the run and driver of `before` (None: if there is no journal).

        Raises AlreadyRunning if it holds others, and JournalGone. If the answer to a first attempt was lost, the
        second attempt finds the run itself there, which is success.
        """
        item = {"run": {"S": run.id}, "driver": {"S": run.driver}, "document": {"S": json.dumps(run.document())}}
        found = self._table.write(
            JOURNAL_KEY, item, {} if before is None else {"run": before.id, "driver": before.driver})
        if found is None:
            return
        if not found:
            raise JournalGone(f"the journal of this run was deleted: {run.what}")
        present = _run(found)
        if (present.id, present.driver) != (run.id, run.driver):
            raise AlreadyRunning(present.driver, present.what)


def next_heartbeat(run: Run, **changes: Any) -> Run:
    """The run with changes, one heartbeat later."""
    return replace(run, beat=run.beat + 1, **changes)


def _run(item: Mapping[str, Any]) -> Run:
    return Run.of(json.loads(item["document"]["S"]))
