"""What a run of drills has found: values that `dataclasses.asdict` makes a JSON document of.

A drill has two clocks. `wall` is the one on the wall: there waiting for health checks, a record's TTL and the
controller's turn is divided by the run's factor, work is not. `full` is the same uncompressed. Every time is in
seconds, and a moment (`at_s`) counts from the drill's beginning, by the wall clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

PhaseName = Literal["detect", "decide", "fence", "promote", "dns", "first write"]
StoreName = Literal["table", "ledger", "receipts"]
Lane = Literal["fault", "health", "plan", "dns", "client"]
Driver = Literal["controller", "command line"]

PHASES: tuple[PhaseName, ...] = ("detect", "decide", "fence", "promote", "dns", "first write")
STORES: tuple[StoreName, ...] = ("table", "ledger", "receipts")
LANES: tuple[Lane, ...] = ("fault", "health", "plan", "dns", "client")


@dataclass(frozen=True, kw_only=True)
class DeclaredObjectives:
    """What the stack declares: how long a recovery may take, and how many seconds of writes may be lost."""

    recovery_time_s: float
    recovery_point_s: float


@dataclass(frozen=True, kw_only=True)
class PredictedStep:
    """What a step would take in AWS, by the plan's budget; `source` says whose figure it is. Never measured."""

    step: str
    seconds: float
    source: str


@dataclass(frozen=True, kw_only=True)
class PhaseTime:
    """A part of a recovery, on both clocks."""

    phase: PhaseName
    wall_s: float
    full_s: float


@dataclass(frozen=True, kw_only=True)
class RecoveryTime:
    """From the client's first failed write to the first of ten good ones in a row.

    at_s: the moment of that first failed write.
    overhead_s: what recovery adds itself: `wall_s` less the detection threshold, the TTL and the database's promotion.
    split: the phases in the order in which they came; together they are the whole.
    """

    at_s: float
    wall_s: float
    full_s: float
    overhead_s: float
    split: Sequence[PhaseTime]


@dataclass(frozen=True, kw_only=True)
class StoreCounts:
    """How many of the acknowledged payments a store held, before and after the repair."""

    store: StoreName
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
    """A client's write: when it was sent, whether it was acknowledged, and the region the name led to ("" for none)."""

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
    """The driver, killed at a moment of a step (say "before"), and whether the next one finished the run."""

    step: str
    moment: str
    resumed: bool


@dataclass(frozen=True, kw_only=True)
class DrillResult:
    """One scenario, played.

    scenario: its name, as the command line takes it; `title` says it in words.
    expected, outcome: what must come of it and what came, in a sentence each.
    ok: whether the two agree, and each check holds.
    recovery: None where nothing had to recover.
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
    driver: Driver
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
    factor: what waiting is divided by.
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
        """Whether there was a drill and each came out as expected."""
        return bool(self.drills) and all(drill.ok for drill in self.drills)
