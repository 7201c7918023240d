"""What must hold of the calls, the stores and the databases, and what the killing of the writer comes to."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from payments.errors import NotTheWriter
from rehearsal.aws.faults import ApiCall
from rehearsal.drills.actions.checks import SLACK
from rehearsal.drills.context import ScenarioContext
from rehearsal.drills.recording import PaymentGroup
from rehearsal.errors import CheckFailed
from rehearsal.postgres.global_database import ServerRole
from rehearsal.rehearsed_stack import StoreContents
from rehearsal.workload.load import SentPayment
from tests.rehearsal.drills.fakes import SETTLED, FakeStack, act, contents, context, sent
from tests.rehearsal.stack import EAST, WEST


def call(caller: str, status: int = 0) -> ApiCall:
    """A call with its answer."""
    made = ApiCall(caller, EAST, "s3", "GET")
    made.status = status
    return made


def test_a_region_is_isolated_if_it_calls_and_is_not_answered(run: ScenarioContext, stack: Any) -> None:
    stack.proxies.calls += [call(EAST, 200), call(EAST), call(EAST), call(WEST, 200)]
    run.first_call = 1
    assert act(run, isolated="active") == "2 calls, none answered"
    stack.proxies.calls.append(call(EAST, 200))
    with pytest.raises(CheckFailed, match=r"^calls that were answered"):
        act(run, isolated="active")
    run.first_call = 5
    with pytest.raises(CheckFailed, match=r"^no call was made$"):
        act(run, isolated="active")


def test_a_database_is_behind_by_its_commits(run: ScenarioContext, stack: Any) -> None:
    assert act(run, behind="ledger") == "1 commits and 70 ms behind"
    stack.database.lag = lambda _: SimpleNamespace(commits=0, milliseconds=0.0)
    with pytest.raises(CheckFailed, match=r"^commits behind"):
        act(run, behind="ledger")


def test_a_database_is_waited_for_until_it_has_its_role(run: ScenarioContext, stack: Any) -> None:
    act(run, database="standby", is_="standby")
    stack.roles[EAST] = ServerRole.STALE
    with pytest.raises(CheckFailed, match=f"^database in {EAST}: 'stale writer' instead of 'standby'$"):
        act(run, database="active", is_="standby")


def report(error: str = "", *, done: bool = True, refused: int = 0) -> dict[str, Any]:
    """What the function `reconcile` says."""
    return {"error": error, "done": done, "counts": {"refused": refused}}


def test_a_repair_is_repeated_until_it_is_complete(run: ScenarioContext, stack: Any) -> None:
    act(run, post="many", count=2)
    first, second = run.group("many").ids()
    held = iter([contents(second), contents(first, second)])
    stack.contents = lambda _: next(held)
    stack.reports = [report("table unavailable"), report(done=False), report(refused=1), report()]
    assert act(run, reconcile="standby", repairs="many") == "1 of 2 repaired"
    stack.reports = [report()]
    assert act(run, reconcile="standby") == ""


@pytest.mark.parametrize("refused", [2, 1])
def test_every_posting_of_the_old_epoch_must_be_refused(stack: Any, refused: int) -> None:
    run, epochs, closed = context(stack), list[int](), list[bool]()

    def post(record: Any, _: object) -> None:
        epochs.append(record.epoch)
        if len(epochs) <= refused:
            raise NotTheWriter(EAST)

    stack.ledger = lambda _: SimpleNamespace(post=post, close=lambda: closed.append(True))
    stack.leadership = lambda _: SimpleNamespace(epoch=5)
    if refused == 2:
        assert act(run, stale_postings=2, in_="standby") == "2 of 2 of epoch 4 refused"
    else:
        with pytest.raises(CheckFailed, match=r"^refused: 1 instead of 2$"):
            act(run, stale_postings=2, in_="standby")
    assert (epochs, closed) == ([4, 4], [True])


# --- What becomes of payments whose writer is killed

LAGS = {"table": 0.4, "receipts": 0.2, "ledger": 0.3}


def audited(stack: Any, before: StoreContents, after: StoreContents, *paid: SentPayment) -> str:
    """An audit of these payments after a kill at 101, by what the stores hold before the repair and after it."""
    run, held = context(stack), iter([before, after])
    stack.contents = lambda _: next(held)
    stack.reports = [report()]
    run.recording.killed, run.recording.lags = 101.0, LAGS
    run.recording.groups["load"] = PaymentGroup([], [*paid])
    return act(run, audit="active", end="region lost", after=0.3)


def test_an_audit_repairs_and_adds_a_row_that_names_what_was_lost_the_latest_first(stack: Any) -> None:
    stack.waiting, stack.clock.now = [{"source": EAST, "store": "table", "waiting": []}], 102.0
    before = StoreContents(dict.fromkeys("ab", SETTLED), frozenset("a"), {"a": 1, "b": 1})
    assert audited(
        stack, before, contents("a", "b", "c"), sent("a", 100.5), sent("x", 100.75), sent("y", 100.85),
        sent("b", 100.6), sent("c", 100.7), sent("e", 101, status=503), sent("f", 101, status=0),
    ) == "5 acknowledged, 1 kept, 2 repaired, 2 lost"
    assert stack.tables["kill9"] == [{
        "run": 1, "consistency": "eventual", "end": "region lost", "writer": EAST, "first_ms": 100,
        "killed_after_ms": 300, "lag_ms": {"table": 400, "receipts": 200, "ledger": 300}, "acknowledged": 5, "kept": 1,
        "repaired": 2, "lost": 2, "refused": {"error 503": 1, "no answer": 1}, "seconds": 1.5, "lost_payments": [
            {"payment_id": "y", "ms_before": 50}, {"payment_id": "x", "ms_before": 150}]}]
    assert audited(stack, contents("a"), contents("a"), sent("a", 100)).startswith("1 acknowledged, 1 kept")
    assert act(context(stack), total=["acknowledged", "lost"]) == "6 acknowledged, 2 lost"


def test_what_is_settled_must_be_in_every_store_after_the_repair(stack: Any) -> None:
    with pytest.raises(CheckFailed, match=r"not in every store after the repair: \['a'\]"):
        audited(stack, contents(), StoreContents({"a": SETTLED}, frozenset("a"), {}), sent("a", 100))


def test_a_kill_under_a_load_without_payments_shows_nothing(stack: Any) -> None:
    with pytest.raises(CheckFailed, match=r"nothing was acknowledged: \{'no answer': 1\}"):
        audited(stack, contents(), contents(), sent("a", 100, status=0))


def test_copies_that_never_arrive_fail_the_audit(stack: Any) -> None:
    stack.waiting = [{"source": EAST, "store": "receipts", "waiting": ["x"]}]
    with pytest.raises(CheckFailed, match=r"^copies that wait: \['receipts'\]"):
        audited(stack, contents(), contents(), sent("a", 100))


@pytest.mark.parametrize(("strong", "what", "age", "complaint"), [
    (False, "lag", 0.19, ""), (False, "lag", -0.01, ""), (False, "lag", 0.2 + SLACK + 0.01, r"d \(310 ms before\)"),
    (False, "nothing", 0.1, r"d \(100 ms"), (True, "lag", 0.1, r"d \(100 ms")])
def test_only_what_had_not_been_copied_may_be_lost_and_nothing_with_a_strong_table(
        strong: bool, what: str, age: float, complaint: str) -> None:
    run = context(FakeStack(strong=strong))
    run.recording.gone, run.recording.lags = {"d": age}, LAGS
    wrong = pytest.raises(CheckFailed, match=f"^lost, and not within the lag: {complaint}")
    with wrong if complaint else nullcontext():
        act(run, lost=what)


def test_nothing_can_be_said_of_a_kill_that_was_not_audited(stack: Any) -> None:
    with pytest.raises(CheckFailed, match=r"^nothing was audited$"):
        act(context(stack), lost="nothing")
