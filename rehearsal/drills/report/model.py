"""The results of a run of drills: values that `dataclasses.asdict` turns into a JSON document.

A drill has two clocks. `wall` is the wall clock: waiting for health checks, a record's TTL and the controller's turn
is divided by the run's factor, work is not. `full` is the same time uncompressed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from contract import Store
from recovery.plan import Prediction
from recovery.report.model import Story


@dataclass(frozen=True, kw_only=True)
class StoreCounts:
    """How many of the acknowledged payments a store held, before and after the repair."""

    store: Store
    acknowledged: int
    before: int
    after: int

    @property
    def missing(self) -> int:
        """Payments that the repair had to find."""
        return self.acknowledged - self.before

    @property
    def lost(self) -> int:
        """Payments that are gone: the recovery point, counted."""
        return self.acknowledged - self.after


@dataclass(frozen=True, kw_only=True)
class DrillCheck:
    """Something that must hold, whether it did, and what was found."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class ControllerKill:
    """A kill of the driver at a moment of a step (such as "before"), and whether the next driver finished the run."""

    step: str
    moment: str
    resumed: bool


@dataclass(frozen=True, kw_only=True)
class DrillResult(Story):
    """The result of one scenario.

    scenario: its name on the command line; `title` describes it.
    expected, outcome: what should happen and what did, in a sentence each.
    ok: whether the two agree and every check holds.
    lost: ids of the acknowledged payments that no store holds any more.
    refused_stale: writes under an old epoch that a store refused.
    errors: what the client got instead of an acknowledgement, and how often.
    """

    scenario: str
    consistency: str
    expected: str
    outcome: str
    ok: bool
    driver: Literal["controller", "command line"]
    stores: Sequence[StoreCounts]
    lost: Sequence[str]
    refused_stale: int
    errors: Mapping[str, int]
    checks: Sequence[DrillCheck]
    kills: Sequence[ControllerKill] = ()


@dataclass(frozen=True, kw_only=True)
class DrillRun:
    """All drills of a run.

    started: ISO 8601, UTC.
    factor: waiting is divided by it.
    recovery_time_objective, recovery_point_objective: seconds, as the stack declares them.
    prediction: what AWS would take; never measured.
    """

    title: str
    started: str
    factor: float
    consistency: str
    recovery_time_objective: float
    recovery_point_objective: float
    prediction: Sequence[Prediction]
    drills: Sequence[DrillResult]

    @property
    def ok(self) -> bool:
        """Whether there was a drill and each ended as expected."""
        return bool(self.drills) and all(drill.ok for drill in self.drills)
