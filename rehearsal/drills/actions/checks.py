"""What must hold of the calls, the stores and the databases, apart from single payments."""

import json
from typing import Any, Literal

from payments.deadline import Deadline, Timing
from payments.errors import NotTheWriter
from payments.payment import Record, parse
from payments.runtime import system_runtime
from rehearsal.drills.actions.registry import Count, Seconds, action
from rehearsal.drills.context import Role, ScenarioContext
from rehearsal.drills.recording import refusals
from rehearsal.errors import CheckFailed
from rehearsal.polling import PATIENCE
from rehearsal.workload.checks import expect
from rehearsal.workload.load import acknowledged, new_payment

AUDITS = "kill9"
"""The title of the rows that audits add."""
SLACK = 0.1  # seconds: a kill and a cut take time


@action("isolated")
def isolated(run: ScenarioContext, role: Role) -> str:
    """Expect that a region's functions made calls since the present check began, and that none was answered."""
    calls = [call for call in run.stack.proxies.calls[run.first_call:] if call.caller == run.region(role).name]
    expect([call for call in calls if call.status], [], "calls that were answered")
    if not calls:
        raise CheckFailed("no call was made")
    return f"{len(calls)} calls, none answered"


@action("behind")
def behind(run: ScenarioContext, store: Literal["ledger"]) -> str:  # noqa: ARG001  # pylint: disable=unused-argument
    """Expect that the standby's database is behind, by what is known of its lag."""
    lag = run.stack.database.lag(run.standby.name)
    expect(lag.commits > 0, True, "commits behind")
    return f"{lag.commits} commits and {lag.milliseconds:.0f} ms behind"


@action("database")
def database(run: ScenarioContext, role: Role, *, is_: Literal["writer", "standby"]) -> None:
    """Wait until a region's database server has a role."""
    region = run.region(role).name
    run.eventually(lambda: expect(run.stack.database.role(region).value, is_, f"database in {region}"))


@action("reconcile")
def reconcile(run: ScenarioContext, role: Role, *, repairs: str = "") -> str | None:
    """Let a region repair its stores, and refuse nothing. Gives how many payments of a name it made whole."""
    ids = run.group(repairs).ids() if repairs else []
    before = run.contents(role) if ids else None

    def repair() -> None:
        found = run.region(role).reconciled()
        expect((found["error"], found["done"], found["counts"].get("refused", 0)), ("", True, 0),
               "error, whether it is done, and refused payments")

    run.eventually(repair)
    if before is None:
        return None
    after = run.contents(role)
    return f"{sum(after.whole(each) and not before.whole(each) for each in ids)} of {len(ids)} repaired"


@action("stale_postings", "client")
def stale_postings(run: ScenarioContext, count: Count, *, in_: Role) -> str:
    """Post new payments in a region's ledger as a writer of the epoch before the present one; each must be refused."""
    region, refused = run.region(in_), 0
    ledger, epoch = run.stack.ledger(region), run.stack.leadership(region).epoch - 1
    for _ in range(count):
        new = parse(json.dumps(new_payment()).encode(), set())
        record = Record(payment=new, fingerprint=new.fingerprint(), created_at="2026-01-01T00:00:00.000+00:00",
                        epoch=epoch)
        try:
            ledger.post(record, Deadline(Timing(), PATIENCE, system_runtime()))
        except NotTheWriter:
            refused += 1
    ledger.close()
    expect(refused, count, "refused")
    return f"{refused} of {count} of epoch {epoch} refused"


@action("audit")
def audit(run: ScenarioContext, role: Role, *, end: str, after: Seconds) -> str:
    """Repair the stores of the region that takes payments, and count what became of the load's after a kill.

    Adds a row to the table AUDITS: `end` says how the run ended, `after` how many seconds the load had gone on. Raises
    CheckFailed if a payment that counts as made lacks in another store even then, or if none was acknowledged.
    """
    def waiting() -> list[str]:
        return [each["store"] for each in run.stack.copies.report()
                if each["source"] == run.active.name and each["waiting"]]

    sent, before = run.group("load").sent, run.contents(role)
    run.eventually(lambda: expect(waiting(), [], "copies that wait"))
    reconcile(run, role)
    accepted = acknowledged(sent)
    if not accepted:
        raise CheckFailed(f"nothing was acknowledged: {refusals(sent)}")
    began, repaired = min(each.began for each in sent), run.contents(role)
    gone = run.recording.gone = {each.payment_id: run.recording.killed - each.ended for each in accepted
                                 if not repaired.settled(each.payment_id)}
    rest = [each.payment_id for each in accepted if each.payment_id not in gone]
    expect([each for each in rest if not repaired.whole(each)], [], "settled, yet not in every store after the repair")
    kept = sum(map(before.whole, rest))
    found: dict[str, Any] = {
        "acknowledged": len(accepted), "kept": kept, "repaired": len(rest) - kept, "lost": len(gone)}
    rows = run.stack.tables.setdefault(AUDITS, [])
    rows.append({
        "run": len(rows) + 1, "consistency": run.stack.outputs["table_consistency"], "end": end,
        "writer": run.active.name, "first_ms": round((min(each.ended for each in accepted) - began) * 1000),
        "killed_after_ms": round(after * 1000),
        "lag_ms": {store: round(seconds * 1000) for store, seconds in run.recording.lags.items()},
        **found, "refused": refusals(sent), "seconds": round(run.clock.monotonic() - began, 2),
        "lost_payments": [{"payment_id": each, "ms_before": round(age * 1000)}
                          for each, age in sorted(gone.items(), key=lambda item: item[1])]})
    return ", ".join(f"{count} {what}" for what, count in found.items())


@action("lost")
def lost(run: ScenarioContext, what: Literal["nothing", "lag"]) -> None:
    """Expect that the audited kill lost nothing; or by `lag`, with an eventual table, only what was not copied yet."""
    if run.recording.gone is None:
        raise CheckFailed("nothing was audited")
    excused = what == "lag" and not run.stack.strong
    wrong = {each: age for each, age in run.recording.gone.items()
             if not excused or age > run.recording.shortest_lag + SLACK}
    if wrong:
        named = ", ".join(f"{each} ({age * 1000:.0f} ms before)" for each, age in sorted(wrong.items()))
        raise CheckFailed(f"lost, and not within the lag: {named}")


@action("total")
def total(run: ScenarioContext, names: list[str]) -> str:
    """Give the sums of what the audits found."""
    rows = run.stack.tables.get(AUDITS, [])
    return ", ".join(f"{sum(each[name] for each in rows)} {name}" for name in names)
