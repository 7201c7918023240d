"""The report of a drill."""
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from recovery.drill.payer import Payer
from recovery.measure import GOOD, Recovery, measure
from recovery.plan import Plan
from recovery.record import Run
from recovery.report.model import RecoveryTime, RequestMark, Story
from recovery.report.move import events, steps
from recovery.report.page import ReportPage
from recovery.show import utc

NO_DNS = "without DNS: clients switch between the regions' APIs by themselves"


@dataclass(kw_only=True)
class Moves:
    """The runs of a drill: the practised action, and the move back; `return_began` is in monotonic seconds."""

    run: Run | None = None
    back: Run | None = None
    return_began: float = math.inf


@dataclass(frozen=True, kw_only=True)
class DrillReport:
    """The outcome of a drill; times in seconds since the epoch.

    `why` says what went wrong: in the drill itself, or else that payments were not accepted again within the recovery
    time objective, or that acknowledged ones are lost; empty if all went well. `back` is the move back, None if there
    was none, or if no payment was made. `runs` are the moves, `requests` the clients' payments since it began.
    """

    began: float
    ended: float
    action: str
    origin: str
    target: str
    recovery: Recovery
    acknowledged: int
    lost: int
    back: Recovery | None = None
    errors: Mapping[str, int] = field(default_factory=dict)
    dns: bool = True
    why: str = ""
    runs: Sequence[Run] = ()
    requests: Sequence[RequestMark] = ()

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"drill-{self.action}-{datetime.fromtimestamp(self.began, UTC):%Y%m%dT%H%M%SZ}"

    @property
    def ok(self) -> bool:
        """Whether all went well."""
        return not self.why

    def document(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {"began": self.began, "ended": self.ended, "action": self.action, "from": self.origin, "to": self.target,
                "ok": self.ok, "why": self.why, "acknowledged": self.acknowledged, "lost": self.lost,
                "errors": dict(self.errors), "dns": self.dns, "recovery": self.recovery.document(),
                "back": self.back and self.back.document(), "runs": [run.document() for run in self.runs]}

    def page(self) -> ReportPage:
        """The report as a page for people."""
        found = self.recovery
        took = None if found.began is None or not found.phases else RecoveryTime.of(
            found.began - self.began, found.phases)
        return ReportPage(
            story=Story(title=f"Drill: {self.action} from {self.origin} to {self.target}", recovery=took,
                        requests=self.requests, events=[each for run in self.runs for each in events(run, self.began)]),
            ok=self.ok, verdict=self.why or "all went well", todo=(),
            figures={"payments acknowledged": f"{self.acknowledged}", "of them lost": f"{self.lost}"},
            facts={"began": utc(self.began), "recovery": _text(found),
                   **({"moving back": _text(self.back)} if self.back else {}),
                   **{f"run by {run.driver}": run.caller or "unknown" for run in self.runs},
                   **({} if self.dns else {"DNS": NO_DNS})},
            tables={**{f"Steps: {run.what}": steps(run) for run in self.runs},
                    **({"Errors": [["error", "times"], *([kind, f"{count}"] for kind, count in self.errors.items())]}
                       if self.errors else {})})

    def __str__(self) -> str:
        """For people, in lines."""
        head = f"drill {self.action} from {self.origin} to {self.target}: {self.why or 'ok'}"
        errors = ", ".join(f"{count} x {kind}" for kind, count in self.errors.items()) or "none"
        return "\n".join([
            head, f"recovery: {_text(self.recovery)}",
            *([f"moving back: {_text(self.back)}"] if self.back else []),
            f"payments: {self.acknowledged} acknowledged, {self.lost} of them lost; errors: {errors}",
            *([] if self.dns else [NO_DNS])])


def write_report(plan: Plan, payer: Payer, moves: Moves, *, began: float, ended: float, offset: float,
                 why: str) -> DrillReport:
    """Measure what the clients saw, and look for what is lost in the region that takes payments now.

    `offset` is how far the wall clock is ahead of the monotonic one; `why` is what went wrong in the drill itself.
    """
    lost = payer.lost(plan.other if moves.back else plan.target)
    recovery = measure([write for write in payer.writes if write.sent_at <= moves.return_began], moves.run, offset)
    returning = [write for write in payer.writes if write.sent_at > moves.return_began]
    back = measure(returning, moves.back, offset) if returning else None
    objective = plan.stack.recovery_time_objective
    wrong = [*(_late(each, objective) for each in (recovery, back) if each),
             f"{lost} acknowledged payments are lost" if lost else ""]
    return DrillReport(
        began=began, ended=ended, action=plan.action.value, origin=plan.other.region,
        target=plan.target.region, recovery=recovery, back=back, acknowledged=len(payer.acknowledged), lost=lost,
        errors=Counter(write.kind for write in payer.writes if not write.accepted), dns=payer.named,
        runs=[run for run in (moves.run, moves.back) if run],
        requests=[RequestMark(at_s=write.sent_at + offset - began, ok=write.accepted, region=write.where)
                  for write in payer.writes],
        why=why or "; ".join(filter(None, wrong)))


def _text(recovery: Recovery) -> str:
    if recovery.began is None:
        return "no payment failed"
    if not recovery.recovered:
        return f"not recovered: fewer than {GOOD} payments in a row were accepted afterwards"
    phases = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in recovery.phases.items())
    return f"{recovery.whole:.1f} s{phases and f' ({phases})'}; longest gap {recovery.gap:.1f} s"


def _late(recovery: Recovery, objective: float) -> str:
    if recovery.whole <= objective:
        return ""
    outage = f"not accepted for {recovery.whole:.0f} s" if recovery.recovered else "never accepted again"
    return f"payments were {outage}, and the recovery time objective is {objective:.0f} s"
