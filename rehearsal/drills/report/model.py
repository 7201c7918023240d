"""What a run of drills has found: values that `dataclasses.asdict` turns into a JSON document.

A drill has two clocks. `wall` is the wall clock: waiting for health checks, a record's TTL and the controller's turn
is divided by the run's factor, work is not. `full` is the same time uncompressed. Every time is in seconds, and a
moment (`at_s`) counts from the beginning of the drill, by the wall clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from contract import Phase, Store

Lane = Literal["fault", "health", "plan", "dns", "client"]
LANES: tuple[Lane, ...] = get_args(Lane)


@dataclass(frozen=True, kw_only=True)
class DeclaredObjectives:
    """What the stack declares: how long a recovery may take, and how many seconds of writes may be lost."""

    recovery_time_s: float
    recovery_point_s: float


@dataclass(frozen=True, kw_only=True)
class PredictedStep:
    """How long a step would take in AWS, by the plan's budget; `source` says whose figure it is. Never measured."""

    step: str
    seconds: float
    source: str


@dataclass(frozen=True, kw_only=True)
class PhaseTime:
    """A part of a recovery, on both clocks."""

    phase: Phase
    wall_s: float
    full_s: float


@dataclass(frozen=True, kw_only=True)
class RecoveryTime:
    """From the client's first failed write to the first of ten successful ones in a row.

    at_s: the moment of that first failed write.
    overhead_s: what recovery itself adds: `wall_s` less the detection threshold, the TTL and the database's promotion.
    split: the phases in their order; together they are the whole.
    """

    at_s: float
    wall_s: float
    full_s: float
    overhead_s: float
    split: Sequence[PhaseTime]


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
class RequestMark:
    """A client's write: when it was sent, whether it was acknowledged, and where the name led ("": to no region)."""

    at_s: float
    ok: bool
    region: str


@dataclass(frozen=True, kw_only=True)
class TimelineEvent:
    """Something that happened, in a few words."""

    at_s: float
    lane: Lane
    what: str


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
class DrillResult:
    """The result of one scenario.

    scenario: its name on the command line; `title` describes it.
    expected, outcome: what should happen and what did, in a sentence each.
    ok: whether the two agree and every check holds.
    recovery: None if nothing had to recover.
    lost: ids of the acknowledged payments that no store holds any more.
    refused_stale: writes under an old epoch that a store refused.
    errors: what the client got instead of an acknowledgement, and how often.
    """

    scenario: str
    title: str
    consistency: str
    expected: str
    outcome: str
    ok: bool
    driver: Literal["controller", "command line"]
    recovery: RecoveryTime | None
    stores: Sequence[StoreCounts]
    lost: Sequence[str]
    refused_stale: int
    errors: Mapping[str, int]
    requests: Sequence[RequestMark]
    events: Sequence[TimelineEvent]
    checks: Sequence[DrillCheck]
    kills: Sequence[ControllerKill] = ()


@dataclass(frozen=True, kw_only=True)
class DrillRun:
    """All drills of a run.

    started: ISO 8601, UTC.
    factor: waiting is divided by it.
    """

    title: str
    started: str
    factor: float
    consistency: str
    objectives: DeclaredObjectives
    prediction: Sequence[PredictedStep]
    drills: Sequence[DrillResult]

    @property
    def ok(self) -> bool:
        """Whether there was a drill and each ended as expected."""
        return bool(self.drills) and all(drill.ok for drill in self.drills)
