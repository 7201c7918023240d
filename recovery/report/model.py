"""What a timeline shows. Every time is in seconds, and a moment (`at_s`) counts from the beginning of the story.

A rehearsal has two clocks: `wall` is the wall clock, on which waiting is compressed, and `full` is the same time
uncompressed. Elsewhere both are the same.
"""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from contract import Phase

Lane = Literal["fault", "health", "plan", "dns", "client"]
LANES: tuple[Lane, ...] = get_args(Lane)


@dataclass(frozen=True, kw_only=True)
class PhaseTime:
    """A part of a recovery, on both clocks."""

    phase: Phase
    wall_s: float
    full_s: float


@dataclass(frozen=True, kw_only=True)
class RecoveryTime:
    """How long no payments were taken.

    at_s: the moment of the client's first failed write; if no client was watched, that of the evidence.
    overhead_s: what recovery itself adds: `wall_s` less the detection threshold, the TTL and the database's promotion.
    split: the phases in their order; together they are the whole.
    """

    at_s: float
    wall_s: float
    full_s: float
    split: Sequence[PhaseTime]
    overhead_s: float = 0.0

    @classmethod
    def of(cls, at_s: float, phases: Mapping[str, float]) -> "RecoveryTime":
        """From phases (seconds) that were not compressed."""
        whole = sum(phases.values())
        return cls(at_s=at_s, wall_s=whole, full_s=whole, split=[
            PhaseTime(phase=Phase(phase), wall_s=took, full_s=took) for phase, took in phases.items()])


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
class Story:
    """What a timeline shows; `recovery` is None if nothing had to recover."""

    title: str
    recovery: RecoveryTime | None
    requests: Sequence[RequestMark]
    events: Sequence[TimelineEvent]
