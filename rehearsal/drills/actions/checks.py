"""What must hold of the calls, the stores and the databases, apart from single payments."""

import json
from typing import Literal

from payments.deadline import Deadline, Timing
from payments.errors import NotTheWriter
from payments.payment import Record, parse
from payments.runtime import system_runtime
from rehearsal.drills.actions.registry import Count, action
from rehearsal.drills.context import PATIENCE, Role, ScenarioContext
from rehearsal.errors import CheckFailed
from rehearsal.workload.checks import expect
from rehearsal.workload.load import new_payment


@action("isolated")
def isolated(run: ScenarioContext, role: Role) -> str:
    """Expect that a region's functions made calls since the present check began, and that none was answered."""
    calls = [call for call in run.stack.relays.calls[run.first_call:] if call.caller == run.region(role).name]
    expect([call for call in calls if call.status], [], "calls that were answered")
    if not calls:
        raise CheckFailed("no call was made")
    return f"{len(calls)} calls, none answered"


@action("behind")
def behind(run: ScenarioContext, store: Literal["ledger"]) -> str:  # noqa: ARG001  # pylint: disable=unused-argument
    """Expect that the standby's database is behind, by what is known of its lag."""
    lag = run.stack.pair.lag(run.standby.name)
    expect(lag.commits > 0, True, "commits behind")
    return f"{lag.commits} commits and {lag.milliseconds:.0f} ms behind"


@action("database")
def database(run: ScenarioContext, role: Role, *, is_: Literal["writer", "standby"]) -> None:
    """Wait until a region's database server has a role."""
    region = run.region(role).name
    run.eventually(lambda: expect(run.stack.pair.role(region).value, is_, f"database in {region}"))


@action("reconcile")
def reconcile(run: ScenarioContext, role: Role, *, repairs: str = "") -> str | None:
    """Let a region repair its stores, and refuse nothing. Gives how many payments of a name that repaired."""
    def repair() -> set[str]:
        found = run.region(role).reconciled()
        expect((found["error"], found["refused"]), ("", []), "error and refused payments")
        return {*found["repaired"]}

    repaired, ids = run.eventually(repair), run.group(repairs).ids() if repairs else []
    return f"{len(repaired & {*ids})} of {len(ids)} repaired" if ids else None


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
