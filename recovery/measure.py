"""Measures what a client saw while payments moved between regions. Pure functions: nothing here calls AWS."""
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

from contract import Phase
from recovery.plan import FAIL_OVER, FENCE
from recovery.record import Run

GOOD = 10  # accepted writes in a row that end an outage

Outage = tuple[float, float | None]
"""When it began and ended, since the epoch; None: it has not ended."""


@dataclass(frozen=True, kw_only=True)
class ClientWrite:
    """A write that a client sent, and its outcome; times in seconds of the client's monotonic clock.

    `answered_at` is when the client had an answer, or gave up. `where` is the region that it was sent to, empty if
    unknown. `kind` is the error if it was not accepted.
    """

    sent_at: float
    answered_at: float
    accepted: bool
    where: str = ""
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """The outage that a client saw, if any; times in seconds.

    `began` is when it sent the first write that failed (None: none did), `ended` when the first of GOOD accepted
    writes in a row was answered (None: there were too few); both since the epoch. `phases` are those of
    `contract.Phase`, in their order, and add up to the whole; empty if there is no run, or no end. `errors` counts the
    failed writes by kind, and `gap` is the longest time from one accepted payment to the next.
    """

    began: float | None = None
    ended: float | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    gap: float = 0.0

    @property
    def recovered(self) -> bool:
        """Whether payments were accepted again, or never failed."""
        return self.began is None or self.ended is not None

    @property
    def whole(self) -> float:
        """The recovery time: 0 if nothing failed, infinite if it never ended."""
        if self.began is None:
            return 0.0
        return math.inf if self.ended is None else self.ended - self.began

    def overhead(self, detection: float, ttl: float, promotion: float) -> float:
        """What recovery took beyond what it had to wait for: detection threshold, TTL, and promotion; at least 0."""
        return max(0.0, self.whole - detection - ttl - promotion)

    def document(self) -> dict[str, Any]:
        """All of it as JSON; the whole is null if it never ended."""
        return {"whole": self.whole if self.recovered else None, **asdict(self)}


def measure(requests: Sequence[ClientWrite], run: Run | None, offset: float) -> Recovery:
    """The outage that belongs to the run (None: there was no run), by the writes in the order of sending.

    `offset` is how far the wall clock is ahead of the monotonic one. Of several outages the longest one that overlaps
    the run counts: not a failure long before, nor the move back.

    `detect` ends when the evidence was complete (as the run began, if the run does not say), `decide` when the run
    began, `fence` and `promote` with these steps, so that those between count to the next, `dns` when a client first
    sent to the region that takes over, and `first write` with the outage.
    """
    errors = Counter(request.kind for request in requests if not request.accepted)
    accepted = sorted(request.answered_at for request in requests if request.accepted)
    gap = max((later - earlier for earlier, later in pairwise(accepted)), default=0.0)
    last = max((request.answered_at for request in requests), default=0.0) + offset
    began, ended = max(_outages(requests, offset), key=partial(_weight, run, last), default=(None, None))
    split = {}
    if run is not None and began is not None and ended is not None:
        split = phases(run, began, ended, next(
            (request.sent_at + offset for request in requests
             if request.sent_at + offset >= began and request.where == run.target), None))
    return Recovery(began=began, ended=ended, phases=split, errors=dict(errors), gap=gap)


def _outages(requests: Sequence[ClientWrite], offset: float) -> Iterator[Outage]:
    """Outages, each from a failed write to the first of the next GOOD accepted ones in a row."""
    began: float | None = None
    row: list[ClientWrite] = []
    for request in requests:
        if not request.accepted:
            began, row = request.sent_at + offset if began is None else began, []
        elif began is not None:
            row.append(request)
            if len(row) == GOOD:
                yield began, row[0].answered_at + offset
                began = None
                row = []
    if began is not None:
        yield began, None


def _weight(run: Run | None, last: float, outage: Outage) -> tuple[bool, float]:
    """Whether an outage overlaps the run, and how long it is: until the `last` answer, if it has no end."""
    began, ended = outage[0], last if outage[1] is None else outage[1]
    overlaps = run is not None and run.began <= ended and (run.ended is None or began <= run.ended)
    return overlaps, ended - began


def phases(run: Run, began: float, ended: float, arrived: float | None) -> dict[str, float]:
    """The parts of an outage, which together are the whole; times in seconds since the epoch.

    Each lasts from the end of the one before: of one that overlaps an earlier one only the rest counts. `arrived` is
    when clients came to the run's target, None if unknown.
    """
    steps = {key: done.ended for key, done in run.steps.items()}
    ends = (run.began if run.seen is None else min(run.seen, run.began), run.began, steps.get(FENCE.key),
            steps.get(FAIL_OVER.key), arrived, ended)
    found, at = dict[str, float](), began
    for phase, end in zip(Phase, ends, strict=True):
        until = at if end is None else min(max(at, end), ended)
        found[phase.value], at = until - at, until
    return found
