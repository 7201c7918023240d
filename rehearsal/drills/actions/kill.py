"""What becomes of payments whose writer is killed: counted, judged, and reported in rows."""

from collections.abc import Sequence
from typing import Any, Literal

from rehearsal.drills.actions.checks import reconcile
from rehearsal.drills.actions.registry import Seconds, action
from rehearsal.drills.context import Role, ScenarioContext
from rehearsal.drills.recording import KillOutcome, refusals
from rehearsal.errors import CheckFailed
from rehearsal.rehearsed_stack import StoreContents
from rehearsal.workload.checks import expect
from rehearsal.workload.load import SentPayment, acknowledged

TITLE = "kill9"
"""Of the rows that the audits add."""
SLACK = 0.1  # seconds: a kill and a cut take time


@action("audit")
def audit(run: ScenarioContext, role: Role, *, end: str, after: Seconds) -> str:
    """Repair the stores of the region that takes payments, and count what became of the load's after a kill.

    Adds a row to the table TITLE: `end` says how the run ended, `after` how many seconds the load had gone on.
    """
    def waiting() -> list[str]:
        return [each["store"] for each in run.stack.copies.report()
                if each["source"] == run.active.name and each["waiting"]]

    sent, before, rows = run.group("load").sent, run.contents(role), run.stack.tables.setdefault(TITLE, [])
    run.eventually(lambda: expect(waiting(), [], "copies that wait"))
    reconcile(run, role)
    outcome = run.recording.outcome = judge_kill(sent, before, run.contents(role), run.recording.killed)
    began, ended = min(each.began for each in sent), run.clock.monotonic()
    found: dict[str, Any] = {
        "acknowledged": outcome.acknowledged, "kept": outcome.kept, "repaired": outcome.repaired,
        "lost": len(outcome.lost)}
    rows.append({
        "run": len(rows) + 1, "consistency": "strong" if run.stack.strong else "eventual", "end": end,
        "writer": run.active.name, "first_ms": round((outcome.first - began) * 1000),
        "killed_after_ms": round(after * 1000),
        "lag_ms": {store: round(seconds * 1000) for store, seconds in run.recording.lags.items()},
        **found, "refused": outcome.refused, "seconds": round(ended - began, 2),
        "lost_payments": [{"payment_id": each, "ms_before": round(age * 1000)}
                          for each, age in sorted(outcome.lost.items(), key=lambda item: item[1])]})
    return ", ".join(f"{count} {what}" for what, count in found.items())


@action("lost")
def lost(run: ScenarioContext, what: Literal["nothing", "lag"]) -> None:
    """Expect that the audited kill lost nothing; or by `lag`, with an eventual table, only what was not copied yet."""
    if run.recording.outcome is None:
        raise CheckFailed("nothing was audited")
    lag = run.recording.shortest_lag if what == "lag" and not run.stack.strong else None
    verify_kill(run.recording.outcome, lag)


@action("total")
def total(run: ScenarioContext, names: list[str]) -> str:
    """Give the sums of what the audits found."""
    rows = run.stack.tables.get(TITLE, [])
    return ", ".join(f"{sum(each[name] for each in rows)} {name}" for name in names)


def judge_kill(sent: Sequence[SentPayment], before: StoreContents, after: StoreContents, killed: float) -> KillOutcome:
    """What became of the payments, by what the stores held before and after the repair.

    Raises CheckFailed if a payment that counts as made lacks in another store even then, or if none was acknowledged.
    """
    accepted = acknowledged(sent)
    if not accepted:
        raise CheckFailed(f"nothing was acknowledged: {refusals(sent)}")
    gone = {each.payment_id: killed - each.ended for each in accepted if not after.settled(each.payment_id)}
    rest = [each.payment_id for each in accepted if each.payment_id not in gone]
    expect([each for each in rest if not after.whole(each)], [], "settled, yet not in every store after the repair")
    kept = sum(before.whole(each) for each in rest)
    return KillOutcome(acknowledged=len(accepted), kept=kept, repaired=len(rest) - kept, refused=refusals(sent),
                       lost=gone, first=min(each.ended for each in accepted))


def verify_kill(outcome: KillOutcome, lag: float | None) -> None:
    """Raise CheckFailed if anything is lost but what the lag, in seconds, had not let through; None: nothing may be."""
    wrong = {each: age for each, age in outcome.lost.items() if lag is None or age > lag + SLACK}
    if wrong:
        named = ", ".join(f"{each} ({age * 1000:.0f} ms before)" for each, age in sorted(wrong.items()))
        raise CheckFailed(f"lost, and not within the lag: {named}")
