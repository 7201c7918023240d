"""The record: lock, journal and leadership in one item of the payments table. See `docs/protocol.md`.

Every write raises `revision`, on the condition that it is the one that the writer knows. So whoever wrote the newest
revision holds the run, and a live driver keeps raising it.
"""
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from types import UnionType
from typing import Any, Self, get_args, get_origin

from contract import KEY_ATTRIBUTE, RECORD_KEY, Store
from payments.errors import StoreUnavailable
from payments.stores import AwsResponse

VERSION = 1
"""The version of the record's format; a reader ignores fields that it does not know."""

FURTHEST = 6e10  # seconds from 1970, in both directions, that can be shown as a date; other numbers are smaller, too
TICK = 2.0  # seconds: two measurements of `Run.ahead` by clocks that agree differ by less

PLANNED = frozenset({"switchover", "failback"})
"""Actions during which the other region takes payments until it is fenced; see `plan.Action`."""


@dataclass(frozen=True, kw_only=True)
class StepProgress:
    """A step of a run: when it began and ended (seconds since the epoch; None: not yet), and its result in words."""

    began: float
    ended: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of a plan; times in seconds since the epoch, by the driver's clock, for people only.

    `why` is the evidence on which it was begun, and `evidence` its kind (see `plan.Evidence`). `driver` is a name that
    no other driver has, and `caller` the ARN with which it calls AWS. `accepted`: a person has accepted the loss of
    data. `seen` is when the evidence was complete. Of a failover, `since` is when the other region failed, at the
    latest, and `at_risk` how many seconds of payments could be lost as it began, at most; None: unknown. `epoch` is
    that of its fence: 0 before it, when the run has decided nothing yet. `ahead` is how many seconds the driver's clock
    is ahead of the table service's, to a second; None: unknown.
    """

    id: str
    action: str
    target: str
    driver: str
    began: float
    why: str
    caller: str = ""
    evidence: str = ""
    accepted: bool = False
    seen: float | None = None
    since: float | None = None
    at_risk: float | None = None
    epoch: int = 0
    steps: Mapping[str, StepProgress] = field(default_factory=dict)
    ended: float | None = None
    outcome: str = ""
    ahead: float | None = None

    @property
    def planned(self) -> bool:
        """Whether it is a planned move."""
        return self.action in PLANNED

    @property
    def what(self) -> str:
        """The run in a few words."""
        step = next((key for key, done in self.steps.items() if done.ended is None), "")
        return f"{self.action} to {self.target}" + (f", step {step}" if step and self.ended is None else "")

    def taken_over(self, driver: str, caller: str, ahead: float) -> "Run":
        """The run as another driver carries it on: with times by that driver's clock, which is so far ahead."""
        by = 0.0 if self.ahead is None or abs(ahead - self.ahead) < TICK else ahead - self.ahead
        steps = {key: replace(done, began=done.began + by, ended=done.ended and done.ended + by)
                 for key, done in self.steps.items()}
        seen, since = (at and at + by for at in (self.seen, self.since))
        return replace(self, driver=driver, caller=caller, began=self.began + by, seen=seen, since=since, steps=steps,
                       ahead=ahead)

    def document(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {**vars(self), "steps": {key: vars(done) for key, done in self.steps.items()}}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Run":
        """The opposite of `document`."""
        steps = {key: StepProgress(**known(StepProgress, done)) for key, done in document["steps"].items()}
        return cls(**{**known(cls, document), "steps": steps})


@dataclass(frozen=True, kw_only=True)
class ControlRecord:
    """Who leads, under which epoch, and the latest run (None: there never was one, or it cannot be read).

    `at` is the time of the table service when the record was written or read last, in seconds since the epoch; `moved`
    that of the fence of the latest failover, 0 if there never was one, or if a planned move has followed it.
    """

    revision: int
    epoch: int
    region: str
    run: Run | None = None
    at: float = 0.0
    moved: float = 0.0

    @property
    def open_run(self) -> Run | None:
        """The run that has not ended, None if there is none."""
        return self.run if self.run and self.run.ended is None else None

    def next(self, **changes: Any) -> Self:
        """The next revision, with changes."""
        return replace(self, revision=self.revision + 1, **changes)

    def item(self) -> AwsResponse:
        """The item as it is stored."""
        numbers = {"version": VERSION, "revision": self.revision, "epoch": self.epoch, "moved": round(self.moved, 3)}
        return {KEY_ATTRIBUTE: {"S": RECORD_KEY}, "region": {"S": self.region},
                **{name: {"N": str(number)} for name, number in numbers.items()},
                **({"run": {"S": json.dumps(self.run.document())}} if self.run else {})}

    @classmethod
    def of(cls, item: AwsResponse, at: float = 0.0) -> "ControlRecord":
        """The opposite of `item`. Raises StoreUnavailable if it says neither who leads nor under which epoch."""
        try:
            found = cls(revision=int(item["revision"]["N"]), epoch=int(item["epoch"]["N"]), region=item["region"]["S"],
                        moved=float(item.get("moved", {}).get("N", 0)), at=at)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreUnavailable(Store.TABLE, "RecordMalformed") from error
        try:
            return replace(found, run=Run.of(json.loads(item["run"]["S"])))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
            return found


def known(kind: Any, document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a document that a dataclass has, and of its types: another release may write others."""
    found = {name: document[name] for name, types in _types(kind).items()
            if name in document and isinstance(document[name], types)}
    return {name: value for name, value in found.items() if _is_sound(value)}


def _is_sound(value: Any) -> bool:
    """Whether a value is no number, or one that may be a time: any other, as NaN, would stop whoever shows it."""
    return not isinstance(value, float | int) or abs(value) <= FURTHEST


@cache
def _types(kind: Any) -> dict[str, tuple[type[Any], ...]]:
    """By field of a dataclass, the types of its values in JSON; what lists and objects contain is not looked at."""
    def types(wanted: Any) -> tuple[type[Any], ...]:
        found = [get_origin(each) or each for each in (
            get_args(wanted) if isinstance(wanted, UnionType) else (wanted,))]
        return (*found, int) if float in found else tuple(found)

    return {each.name: types(each.type) for each in fields(kind)}


def next_epoch(seen: int, *, primary: bool) -> int:
    """The first epoch above those seen: an odd one in the region deployed as primary, an even one in the other.

    So two regions that cannot see each other never take the same one.
    """
    return seen + 1 + ((seen + 1) % 2 == (0 if primary else 1))
