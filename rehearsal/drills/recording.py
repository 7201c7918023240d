"""Records a scenario while it runs: what was sent, what was seen, and when."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from recovery.record import Run
from recovery.report.model import Lane, TimelineEvent
from rehearsal.drills.report import model
from rehearsal.rehearsed_stack import StoreContents
from rehearsal.workload.load import SentPayment


@dataclass(frozen=True)
class CommandResult:
    """The result of a command of recovery: exit code, and all that it printed."""

    words: str
    code: int
    text: str


@dataclass
class PaymentGroup:
    """Payments that a scenario sends under one name, and every request for one of them, in its order.

    arrived: seconds from the first request until the payments were found, where that was waited for.
    """

    payments: list[Mapping[str, Any]]
    sent: list[SentPayment] = field(default_factory=list)
    arrived: float = 0.0

    @property
    def answers(self) -> dict[str, Any]:
        """The bodies of the answers to the acknowledged payments, by payment id."""
        return {each.payment_id: each.answer.body for each in self.sent if each.acknowledged and each.answer}

    @property
    def unacknowledged(self) -> list[Mapping[str, Any]]:
        """The payments that were never acknowledged."""
        return [each for each in self.payments if each["payment_id"] not in self.answers]

    def ids(self, *, acknowledged: bool = False) -> list[str]:
        """The ids of all of them, or of the acknowledged ones."""
        return sorted(self.answers if acknowledged else (str(each["payment_id"]) for each in self.payments))


@dataclass(kw_only=True)
class Recording:
    """What is recorded of one run of a scenario. Moments are in seconds of the monotonic clock, if not said otherwise.

    began: when it began. offset: what the wall clock is ahead of the monotonic one.
    active, standby: the regions' names, by their roles at the beginning.
    outage: when the first fault began (None: there was none). before: what the standby's stores held then.
    connection_cut: when the connection between the regions was cut, since when nothing is copied (None: it was not).
    lags: seconds that the standby's copies are behind, by store, as last set.
    killed: when a database server was last killed. gone: seconds from the acknowledgement to that, by payment id, of
    the payments that the last audit found to be lost (None: there was no audit).
    groups: payments that actions sent, by name. sent: those of the clients of a drill.
    runs: recovery runs that ended meanwhile, by id. notified: what people were notified of.
    """

    began: float
    offset: float
    active: str
    standby: str
    outage: float | None = None
    killed: float = 0.0
    connection_cut: float | None = None
    lags: Mapping[str, float] = field(default_factory=dict)
    before: StoreContents | None = None
    groups: dict[str, PaymentGroup] = field(default_factory=dict)
    sent: list[SentPayment] = field(default_factory=list)
    runs: dict[str, Run] = field(default_factory=dict)
    notified: list[str] = field(default_factory=list)
    gone: Mapping[str, float] | None = None
    events: list[TimelineEvent] = field(default_factory=list)
    checks: list[model.DrillCheck] = field(default_factory=list)

    @property
    def shortest_lag(self) -> float:
        """The age in seconds up to which a payment may be in no store of the standby."""
        lag = min(self.lags.values(), default=0.0)
        if self.outage is None or self.connection_cut is None:
            return lag
        return lag + (self.outage - self.connection_cut)

    @property
    def stray(self) -> list[SentPayment]:
        """The payments that actions sent, as opposed to clients."""
        return [each for group in self.groups.values() for each in group.sent]

    def at(self, moment: float) -> float:
        """Seconds from the beginning to a moment."""
        return round(moment - self.began, 3)

    def note(self, lane: Lane, what: str, moment: float) -> None:
        """Add an event to the timeline."""
        self.events.append(TimelineEvent(at_s=self.at(moment), lane=lane, what=what))

    def check(self, name: str, ok: bool, detail: str = "") -> None:
        """Add a check."""
        self.checks.append(model.DrillCheck(name=name, ok=ok, detail=detail))


def answer_of(sent: SentPayment) -> str:
    """The answer that a client got instead of an acknowledgement."""
    if sent.answer is None:
        return "no answer"
    body = sent.answer.body
    return str(body.get("error", sent.answer.status)) if isinstance(body, dict) else str(sent.answer.status)


def refusals(sent: Iterable[SentPayment]) -> dict[str, int]:
    """The answers that clients got instead of acknowledgements, and how often."""
    return dict(Counter(answer_of(each) for each in sent if not each.acknowledged))
