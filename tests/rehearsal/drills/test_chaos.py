"""What the killing of the writer comes to: the plans of the runs, and the verdict on each."""

from types import SimpleNamespace
from typing import Any

import pytest

from rehearsal.drills import chaos
from rehearsal.drills.chaos import End, KillPlan, Outcome, judge, kill9, plans, row, verify
from rehearsal.errors import CheckFailed
from rehearsal.rehearsed_stack import StoreContents
from rehearsal.workload.http import Answer
from rehearsal.workload.load import SentPayment

PLAN = KillPlan(1, End.REGION_LOST, 0.3, table=0.4, receipts=0.2, ledger=0.3)


def sent(payment_id: str, at: float, status: int = 201) -> SentPayment:
    """A payment that was answered at some time, or with status 0 not at all."""
    answer = Answer(status, {"error": "no"}) if status else None
    return SentPayment(payment={"payment_id": payment_id}, region="r", answer=answer, began=at - 0.5, ended=at)


def kept(settled: str = "", ledger: str = "", receipts: str = "", pending: str = "") -> StoreContents:
    """What stores hold, an id a letter."""
    table: dict[str, Any] = {each: SimpleNamespace(settled=each in settled) for each in settled + pending}
    return StoreContents(table, frozenset(ledger), dict.fromkeys(receipts, 1))


def test_the_runs_are_always_the_same_and_a_short_series_has_each_end() -> None:
    assert plans(20, strong=False) == plans(20, strong=False)
    assert plans(20, strong=False)[:3] == plans(3, strong=False)
    assert [plan.end for plan in plans(4, strong=False)] == [
        End.REGION_LOST, End.RESTART, End.FAILOVER, End.REGION_LOST]
    assert len({plan.after for plan in plans(20, strong=False)}) == 20


def test_a_strong_table_does_not_lag_and_all_else_is_the_same() -> None:
    eventual, strong = plans(20, strong=False), plans(20, strong=True)
    assert {plan.table for plan in strong} == {0.0}
    assert [(plan.after, plan.ledger) for plan in strong] == [(plan.after, plan.ledger) for plan in eventual]
    assert all(chaos.LEAST <= plan.window <= chaos.MOST for plan in eventual)


def test_only_what_was_acknowledged_counts() -> None:
    answers = [*(sent(each, at) for at, each in enumerate("abcd", 1)), sent("e", 5, 503), sent("f", 6, 0)]
    before = kept("ab", "a", "ab", pending="cd")
    after = kept("abc", "abc", "abc", pending="d")
    assert judge(answers, before, after, killed=4.5) == Outcome(
        acknowledged=4, kept=1, repaired=2, refused={"no": 1, "no answer": 1}, lost={"d": 0.5})


def test_what_is_settled_must_be_in_every_store_after_the_repair() -> None:
    with pytest.raises(CheckFailed, match=r"not in every store after the repair: \['a'\]"):
        judge([sent("a", 1)], kept("a"), kept("a", "a"), killed=2)


@pytest.mark.parametrize(
    ("end", "strong", "age", "complaint"),
    [(End.REGION_LOST, False, 0.19, ""), (End.REGION_LOST, False, -0.01, ""),
     (End.REGION_LOST, False, 0.2 + chaos.SLACK + 0.01, r"lost, and not within the lag: d \(310 ms before\)"),
     (End.REGION_LOST, True, 0.01, "not within the lag: d"), (End.FAILOVER, False, 0.01, "not within the lag: d"),
     (End.RESTART, False, 0.01, "not within the lag: d")])
def test_only_a_lost_region_may_lose_and_only_what_it_had_not_sent(
    end: End, strong: bool, age: float, complaint: str
) -> None:
    plan, outcome = KillPlan(1, end, 0.3, 0.4, 0.2, 0.3), Outcome(4, 1, 2, {}, {"d": age})
    if not complaint:
        verify(plan, outcome, strong=strong)
        return
    with pytest.raises(CheckFailed, match=complaint):
        verify(plan, outcome, strong=strong)


def test_a_run_without_payments_shows_nothing() -> None:
    with pytest.raises(CheckFailed, match=r"nothing was acknowledged: \{'no': 3\}"):
        verify(PLAN, Outcome(0, 0, 0, {"no": 3}, {}), strong=True)


def test_a_row_names_what_was_lost_the_latest_first() -> None:
    assert row(PLAN, Outcome(9, 4, 3, {"no": 2}, {"x": 0.15, "y": 0.02}), "us-east-1", 0.05, 1.234, strong=False) == {
        "run": 1, "consistency": "eventual", "end": "region lost", "writer": "us-east-1", "first_ms": 50,
        "killed_after_ms": 300, "lag_ms": {"table": 400, "receipts": 200, "ledger": 300}, "acknowledged": 9, "kept": 4,
        "repaired": 3, "lost": 2, "refused": {"no": 2}, "seconds": 1.23, "lost_payments": [
            {"payment_id": "y", "ms_before": 20}, {"payment_id": "x", "ms_before": 150}]}


def test_every_run_is_a_check_and_the_sum_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: object, plan: KillPlan, rows: list[dict[str, Any]]) -> str:
        rows.append(row(plan, Outcome(5, 3, 1, {}, {"x": 0.1}), "r", 0.1, 1, strong=False))
        return "told"

    monkeypatch.setattr(chaos, "_run", run)
    monkeypatch.setattr(chaos, "_warm", lambda _: None)
    ground: Any = SimpleNamespace(strong=False, tables={})
    assert [(check.name, check.ok, check.detail) for check in kill9(ground, 2)] == [
        ("both regions warm", True, ""), ("run 1, region lost", True, "told"), ("run 2, restart", True, "told"),
        ("all", True, "10 acknowledged, 6 kept, 2 repaired, 2 lost")]
    assert [each["run"] for each in ground.tables["kill9"]] == [1, 2]
