"""What the killing of the writer comes to: the verdict on the payments, and the rows of the report."""

from typing import Any

import pytest

from rehearsal.drills.actions.kill import SLACK, judge_kill, verify_kill
from rehearsal.drills.recording import KillOutcome, PaymentGroup
from rehearsal.errors import CheckFailed
from rehearsal.rehearsed_stack import StoreContents
from tests.rehearsal.drills.fakes import SETTLED, FakeStack, act, contents, context, sent
from tests.rehearsal.stack import EAST


def outcome(**lost: float) -> KillOutcome:
    """What became of nine payments, some of them lost so long before the kill."""
    return KillOutcome(acknowledged=9, kept=4, repaired=5 - len(lost), refused={"no": 2}, lost=lost, first=1.0)


def test_only_what_was_acknowledged_counts() -> None:
    answers = [*(sent(each, at, seconds=0) for at, each in enumerate("abcd", 1)), sent("e", 5, status=503),
               sent("f", 6, status=0)]
    before = StoreContents(dict.fromkeys("ab", SETTLED), frozenset("a"), {"a": 1, "b": 1})
    assert judge_kill(answers, before, contents("a", "b", "c"), killed=4.5) == KillOutcome(
        acknowledged=4, kept=1, repaired=2, refused={"error 503": 1, "no answer": 1}, lost={"d": 0.5}, first=1)


def test_what_is_settled_must_be_in_every_store_after_the_repair() -> None:
    with pytest.raises(CheckFailed, match=r"not in every store after the repair: \['a'\]"):
        judge_kill([sent("a", 1)], contents(), StoreContents({"a": SETTLED}, frozenset("a"), {}), killed=2)


def test_a_run_without_payments_shows_nothing() -> None:
    with pytest.raises(CheckFailed, match=r"nothing was acknowledged: \{'no answer': 1\}"):
        judge_kill([sent("a", 1, status=0)], contents(), contents(), killed=2)


@pytest.mark.parametrize(("lag", "age", "complaint"), [
    (0.2, 0.19, ""), (0.2, -0.01, ""), (0.2, 0.2 + SLACK + 0.01, r"d \(310 ms before\)"), (None, 0.01, r"d \(10 ms")])
def test_only_what_had_not_been_copied_may_be_lost(lag: float | None, age: float, complaint: str) -> None:
    if not complaint:
        verify_kill(outcome(d=age), lag)
        return
    with pytest.raises(CheckFailed, match=f"^lost, and not within the lag: {complaint}"):
        verify_kill(outcome(d=age), lag)


@pytest.mark.parametrize(("strong", "what", "ok"), [
    (False, "lag", True), (False, "nothing", False), (True, "lag", False)])
def test_a_strong_table_may_lose_nothing(strong: bool, what: str, ok: bool) -> None:
    run = context(FakeStack(strong=strong))
    run.recording.outcome, run.recording.lags = outcome(d=0.1), {"table": 0.4, "receipts": 0.2, "ledger": 0.3}
    if ok:
        act(run, lost=what)
        return
    with pytest.raises(CheckFailed, match="not within the lag: d"):
        act(run, lost=what)


def test_nothing_can_be_said_of_a_kill_that_was_not_audited() -> None:
    with pytest.raises(CheckFailed, match=r"^nothing was audited$"):
        act(context(FakeStack()), lost="nothing")


def test_an_audit_repairs_and_adds_a_row_that_names_what_was_lost_the_latest_first() -> None:
    stack: Any = FakeStack()
    run = context(stack)
    stack.made, stack.clock.now = {"a": 0.0, "b": 0.0}, 102.0
    stack.reports = [{"error": "", "refused": [], "repaired": ["a"]}]
    stack.waiting = [{"source": EAST, "store": "table", "waiting": []}]
    stack.missing = {"x", "y"}
    run.recording.killed, run.recording.lags = 101.0, {"table": 0.4, "receipts": 0.2, "ledger": 0.3}
    run.recording.groups["load"] = PaymentGroup([], [
        sent("a", 100.5), sent("x", 100.75), sent("y", 100.85), sent("b", 100.6), sent("e", 101, status=503)])
    assert act(run, audit="active", end="region lost", after=0.3) == "4 acknowledged, 2 kept, 0 repaired, 2 lost"
    assert stack.tables["kill9"] == [{
        "run": 1, "consistency": "eventual", "end": "region lost", "writer": EAST, "first_ms": 100,
        "killed_after_ms": 300, "lag_ms": {"table": 400, "receipts": 200, "ledger": 300}, "acknowledged": 4, "kept": 2,
        "repaired": 0, "lost": 2, "refused": {"error 503": 1}, "seconds": 1.5, "lost_payments": [
            {"payment_id": "y", "ms_before": 50}, {"payment_id": "x", "ms_before": 150}]}]
    assert act(run, total=["acknowledged", "lost"]) == "4 acknowledged, 2 lost"


def test_copies_that_never_arrive_fail_the_audit() -> None:
    stack: Any = FakeStack()
    stack.waiting = [{"source": EAST, "store": "receipts", "waiting": ["x"]}]
    with pytest.raises(CheckFailed, match=r"^copies that wait: \['receipts'\]"):
        act(context(stack), audit="active", end="restart", after=0.3)
