"""The writer's database killed under load, again and again at other moments, and what became of the payments.

Each run ends in another way: the killed server is started again; the standby takes over while the rest of the region
lives on; or the region is lost with it, and what it had not sent to the other one is gone for good.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from recovery.plan import Action
from rehearsal.errors import CheckFailed
from rehearsal.rehearsed_stack import PATIENCE, RehearsedStack, StoreContents
from rehearsal.workload.checks import CheckResult, arrives, attempt, expect
from rehearsal.workload.load import CLIENTS, LoadGenerator, SentPayment, acknowledged, new_payment, send_all
from rehearsal.workload.move_writer import move_writer
from rehearsal.workload.region import RegionClient

TITLE = "kill9"
RUNS, SEED = 20, 9
SOONEST, LATEST = 0.15, 0.6  # seconds of load before the kill
LEAST, MOST = 0.1, 0.5  # seconds of each store's lag
SLACK = 0.1  # seconds: what is killed and what is cut does not end in one moment


class End(StrEnum):
    """How a run goes on after the kill."""

    RESTART = "restart"
    FAILOVER = "failover"
    REGION_LOST = "region lost"


@dataclass(frozen=True)
class KillPlan:
    """One run: how it ends, how long after the first acknowledgement the writer is killed, and each store's lag (s)."""

    number: int
    end: End
    after: float
    table: float
    receipts: float
    ledger: float

    @property
    def window(self) -> float:
        """How old an acknowledged payment can be, at most, that is in no store of the other region yet."""
        return min(self.table, self.receipts, self.ledger)


@dataclass(frozen=True)
class Outcome:
    """What became of the acknowledged payments: kept in every store, or in each after the repair, or in none."""

    acknowledged: int
    kept: int
    repaired: int
    refused: Mapping[str, int]
    """What the others were told, and how many."""
    lost: Mapping[str, float]
    """Seconds between the acknowledgement and the kill, by payment."""


def plans(runs: int, *, strong: bool, seed: int = SEED) -> list[KillPlan]:
    """The runs, always the same ones; a strong table does not lag."""
    draw = random.Random(seed)  # noqa: S311  # moments, not secrets
    found = []
    for number in range(runs):
        after, table, receipts, ledger = (draw.uniform(low, high) for low, high in (
            (SOONEST, LATEST), (LEAST, MOST), (LEAST, MOST), (LEAST, MOST)))
        end = list(End)[(number + 2) % len(End)]  # the worst first: it is in a short series too
        found.append(KillPlan(number + 1, end, after, 0.0 if strong else table, receipts, ledger))
    return found


def judge(sent: Sequence[SentPayment], before: StoreContents, after: StoreContents, killed: float) -> Outcome:
    """What became of the payments by what the stores held before and after the repair.

    Raises Unmet if a payment that is settled lacks in another store even then.
    """
    accepted = acknowledged(sent)
    lost = {each.payment_id: killed - each.ended for each in accepted if not after.settled(each.payment_id)}
    rest = [each.payment_id for each in accepted if each.payment_id not in lost]
    expect([each for each in rest if not after.whole(each)], [], "settled, yet not in every store after the repair")
    kept = sum(before.whole(each) for each in rest)
    return Outcome(len(accepted), kept, len(rest) - kept, refusals(sent), lost)


def refusals(sent: Iterable[SentPayment]) -> dict[str, int]:
    """What those were told that were not acknowledged."""
    others = [each.answer for each in sent if not each.acknowledged]
    return dict(Counter(answer.body.get("error", "") if answer and isinstance(answer.body, dict) else "no answer"
                        for answer in others))


def verify(plan: KillPlan, outcome: Outcome, *, strong: bool) -> None:
    """Raise Unmet if anything is lost that must not be."""
    if not outcome.acknowledged:
        raise CheckFailed(f"nothing was acknowledged: {outcome.refused}")
    wrong = outcome.lost
    if plan.end is End.REGION_LOST and not strong:
        wrong = {each: age for each, age in wrong.items() if age > plan.window + SLACK}
    if wrong:
        named = ", ".join(f"{each} ({age * 1000:.0f} ms before)" for each, age in sorted(wrong.items()))
        raise CheckFailed(f"lost, and not within the lag: {named}")


def row(plan: KillPlan, outcome: Outcome, region: str, first: float, seconds: float, *, strong: bool) -> dict[str, Any]:
    """A run as a line of the table; `first` is how long the first acknowledgement took."""
    return {"run": plan.number, "consistency": "strong" if strong else "eventual", "end": plan.end.value,
            "writer": region, "first_ms": round(first * 1000), "killed_after_ms": round(plan.after * 1000),
            "lag_ms": {"table": round(plan.table * 1000), "receipts": round(plan.receipts * 1000),
                       "ledger": round(plan.ledger * 1000)},
            "acknowledged": outcome.acknowledged, "kept": outcome.kept, "repaired": outcome.repaired,
            "lost": len(outcome.lost), "refused": outcome.refused, "seconds": round(seconds, 2),
            "lost_payments": [{"payment_id": each, "ms_before": round(age * 1000)}
                              for each, age in sorted(outcome.lost.items(), key=lambda item: item[1])]}


def kill9(ground: RehearsedStack, runs: int = RUNS) -> Iterator[CheckResult]:
    """Every run, and what all of them come to."""
    rows = ground.tables.setdefault(TITLE, [])
    yield attempt("both regions warm", partial(_warm, ground))
    for plan in plans(runs, strong=ground.strong):
        yield attempt(f"run {plan.number}, {plan.end}", partial(_run, ground, plan, rows))
    yield attempt("all", lambda: _sum(rows))


def _sum(rows: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{sum(each[name] for each in rows)} {name}"
                     for name in ("acknowledged", "kept", "repaired", "lost"))


def _warm(ground: RehearsedStack) -> None:
    """Let each region start as many functions as there will be clients."""
    for region in ground.sides():
        send_all(region.api, [new_payment() for _ in range(2 * CLIENTS)])


def _run(ground: RehearsedStack, plan: KillPlan, rows: list[dict[str, Any]]) -> str:
    home, away = ground.sides()
    ground.lag(home, away, plan.table, plan.receipts, plan.ledger)
    began = time.monotonic()
    with LoadGenerator(lambda: home.api) as load:
        load.wait_for(acknowledged, PATIENCE)
        first = time.monotonic() - began
        time.sleep(plan.after)
        killed = time.monotonic()
        ground.pair.kill(home.name)
        load.stop()
        writer = _ENDS[plan.end](ground, home, away)
        sent = load.finish()
    before = ground.kept(writer)
    _repair(ground, home, away, writer)
    outcome = judge(sent, before, ground.kept(writer), killed)
    rows.append(row(plan, outcome, home.name, first, time.monotonic() - began, strong=ground.strong))
    _return(ground, home, away)
    verify(plan, outcome, strong=ground.strong)
    return (f"{outcome.acknowledged} acknowledged, {outcome.kept} kept, {outcome.repaired} repaired, "
            f"{len(outcome.lost)} lost")


def _restart(ground: RehearsedStack, home: RegionClient, _: RegionClient) -> RegionClient:
    ground.pair.restart(home.name)
    return home


def _fail_over(ground: RehearsedStack, _: RegionClient, away: RegionClient) -> RegionClient:
    move_writer(Action.FAILOVER, away.name, ground.outputs, ground.clients)
    return away


def _lose_region(ground: RehearsedStack, home: RegionClient, away: RegionClient) -> RegionClient:
    ground.faults.cut(home.name)
    ground.copies.destroy(home.name)
    return _fail_over(ground, home, away)


_ENDS: Mapping[End, Callable[[RehearsedStack, RegionClient, RegionClient], RegionClient]] = {
    End.RESTART: _restart, End.FAILOVER: _fail_over, End.REGION_LOST: _lose_region}


def _repair(ground: RehearsedStack, home: RegionClient, away: RegionClient, writer: RegionClient) -> None:
    """Reconcile once everything has come that will come."""
    def arrived() -> None:
        lanes = [each for each in ground.copies.report() if (each["source"], each["target"]) == (home.name, away.name)]
        expect([each["store"] for each in lanes if each["waiting"]], [], "copies that wait")

    def reconciled() -> None:
        found = writer.reconciled()
        expect((found["error"], found["refused"]), ("", []), "reconcile")

    arrives(arrived)
    arrives(reconciled)


def _return(ground: RehearsedStack, home: RegionClient, away: RegionClient) -> None:
    """Let the region be back, whose killed server then is the standby again, and nothing lag."""
    ground.lag(home, away, 0, 0, 0)
    ground.faults.heal(home.name)
