"""Payments that a scenario sends and looks for."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import httpx
import pytest

from rehearsal.drills.actions import payments
from rehearsal.drills.context import ScenarioContext
from rehearsal.errors import CheckFailed
from rehearsal.polling import PATIENCE
from rehearsal.workload.http import Answer
from tests.rehearsal.drills.fakes import act, context, sent
from tests.rehearsal.stack import EAST, WEST


def refusal(body: Any = None, retry_after: str = "1") -> Answer:
    """The refusal of a payment."""
    return Answer(503, body, httpx.Headers({"Retry-After": retry_after}))


def test_a_name_stands_for_the_same_payments_throughout(run: ScenarioContext, stack: Any) -> None:
    assert act(run, post="many", count=3) == "3 payments"
    assert act(run, post="many", in_="standby") == "3 payments"
    assert (len(stack.made), len(run.recording.groups["many"].sent)) == (3, 6)
    assert act(run, post="one") == ""
    assert len(stack.made) == 4
    assert {payment.payment_id for payment in run.recording.stray} == {*stack.made}


def test_only_what_was_not_acknowledged_is_sent_again(run: ScenarioContext) -> None:
    act(run, post="many", count=3)
    run.recording.groups["many"].sent.pop()
    act(run, post="many", unacknowledged=True)
    assert len(run.recording.groups["many"].sent) == 3


@pytest.mark.parametrize(("behind", "url"), [
    (False, f"http://{WEST}/payment"), (True, f"http://inside-{WEST}/payment")])
def test_a_payment_is_sent_from_outside_or_from_behind_the_cut(stack: Any, behind: bool, url: str) -> None:
    act(context(stack), post="x", in_="standby", behind_cut=behind)
    assert stack.done == [("POST", url)]


@pytest.mark.parametrize(("reply", "status", "complaint"), [
    ((500, {"error": "no"}), 201, "status of {'error': 'no'}: 500 instead of 201"), (None, 201, "status of None: 0"),
    (None, 0, ""), ((503, {}), "any", ""), (None, "any", ""), ((503, {}), 503, "Retry-After: None instead of '1'")])
def test_each_answer_must_have_the_status(stack: Any, reply: Any, status: Any, complaint: str) -> None:
    stack.refusals[EAST], sleep = reply, stack.clock.sleep
    stack.clock.sleep = lambda _: sleep(PATIENCE)
    run = context(stack)
    with pytest.raises(CheckFailed, match=f"^{complaint}") if complaint else nullcontext():
        act(run, post="x", status=status)


def test_a_refusal_must_ask_to_come_again_in_time_and_say_why() -> None:
    payments.judge_refusal(refusal({"error": "no table"}), 0.1, "no table")
    payments.judge_refusal(refusal({"error": "anything"}), 0.1, "")
    for bad, seconds, complaint in ((refusal({"error": "other"}), 0.1, "answer: "), (refusal({}, "60"), 0.1, "Retry-A"),
                                    (refusal({"error": "no table"}), 3.1, "answered after 3.1 s")):
        with pytest.raises(CheckFailed, match=f"^{complaint}"):
            payments.judge_refusal(bad, seconds, "no table")


def test_clients_repeat_what_is_to_be_accepted(stack: Any) -> None:
    stack.refusals[EAST] = (503, {})
    sleep: Callable[[float], None] = stack.clock.sleep

    def healed(seconds: float) -> None:
        sleep(seconds)
        stack.refusals.clear()

    stack.clock.sleep = healed
    act(context(stack), post="x")
    assert len(stack.made) == 1


def test_the_share_that_failed_must_be_in_its_range(run: ScenarioContext) -> None:
    run.group("many").sent += [sent("a", 0), sent("b", 0, status=503), sent("c", 0, status=0), sent("d", 0)]
    assert act(run, failed="many", between=[0.03, 0.5]) == "50% of 4 requests failed"
    for between in ([0.6, 0.7], [0.1, 0.4]):
        with pytest.raises(CheckFailed, match=r"^50% of 4 requests failed$"):
            act(run, failed="many", between=between)


def test_the_fastest_are_compared(run: ScenarioContext) -> None:
    run.group("before").sent += [sent("a", 0, seconds=0.5), sent("b", 0, seconds=0.02)]
    run.group("slowed").sent += [sent("c", 0, seconds=0.62)]
    assert act(run, slower="slowed", than="before", milliseconds=[500, 700]) == "20 ms before, 620 ms slowed"
    with pytest.raises(CheckFailed, match=r"^600 ms more$"):
        act(run, slower="slowed", than="before", milliseconds=[601, 700])


def test_what_is_found_must_be_as_it_was_acknowledged(run: ScenarioContext, stack: Any) -> None:
    act(run, post="x")
    assert act(run, get="x") == ""
    stack.refusals[EAST] = (200, {"payment_id": "other"})
    with pytest.raises(CheckFailed, match=r"^answer: "):
        act(run, get="x")
    stack.refusals[EAST] = None
    act(run, get="x", status=0)
    with pytest.raises(CheckFailed, match=r"^status .*: 0 instead of 200"):
        act(run, get="x")


def test_a_copy_must_not_be_there_too_soon(stack: Any) -> None:
    stack.late = 1.0
    run = context(stack)
    act(run, post="x")
    act(run, get="x", in_="standby", status=404)
    assert act(run, get="x", in_="standby", after=1.0) in ("1.00 s after it was sent", "1.02 s after it was sent")
    act(run, post="y")
    with pytest.raises(CheckFailed, match=r"^there after 1\.\d+ s instead of 2\.00$"):
        act(run, stored="y", in_="standby", store="receipts", after=2.0)


@pytest.mark.parametrize(("late", "ok"), [(2.0, True), (1.4, False)])
def test_a_growing_lag_takes_clearly_longer_each_time(run: ScenarioContext, stack: Any, late: float, ok: bool) -> None:
    for name, seconds in (("first", 1.0), ("second", late)):
        stack.late = seconds
        act(run, post=name)
        if name == "first" or ok:
            act(run, get=name, in_="standby", eventually=True, longer_than="" if name == "first" else "first")
        else:
            with pytest.raises(CheckFailed, match=r"^1\.4\d s, after 1\.0\d s for first$"):
                act(run, get=name, in_="standby", eventually=True, longer_than="first")


@pytest.mark.parametrize("store", ["every", "table", "ledger", "receipts"])
def test_payments_must_be_in_a_store_or_none_of_them(run: ScenarioContext, stack: Any, store: str) -> None:
    act(run, post="many", count=2)
    (first, second) = run.group("many").ids()
    assert act(run, stored="many", store=store) == "2 of 2 payments"
    stack.missing = {second}
    for found, which in ((True, second), (False, first)):
        with pytest.raises(CheckFailed, match=rf"in {store} store of {EAST}: \['{which}'\]"):
            act(run, stored="many", store=store, found=found)
    stack.missing = {first, second}
    assert act(run, stored="many", store=store, found=False) == "none of 2 payments"


def test_payments_that_arrive_in_the_end_are_waited_for(stack: Any) -> None:
    stack.late = 2.0
    run = context(stack)
    act(run, post="many", count=2)
    assert act(run, stored="many", in_="standby", eventually=True) == "2 of 2 payments"
    assert stack.clock.now >= 102


def test_only_what_was_acknowledged_need_be_stored(run: ScenarioContext, stack: Any) -> None:
    act(run, post="many", count=1)
    stack.refusals[EAST] = (500, {})
    run.group("many").payments.append({"payment_id": "never"})
    assert act(run, stored="many", acknowledged=True) == "1 of 1 payments"
    with pytest.raises(CheckFailed, match="never"):
        act(run, stored="many")


def test_a_receipt_must_have_its_replication_status(run: ScenarioContext) -> None:
    act(run, post="x")
    act(run, replication="x", status="PENDING")
    with pytest.raises(CheckFailed, match=r"^replication status: 'PENDING' instead of 'COMPLETED'$"):
        act(run, replication="x", status="COMPLETED")


def test_clients_pay_until_they_are_ended(run: ScenarioContext, stack: Any) -> None:
    assert act(run, load="on") == ""
    assert run.load
    assert run.load.wait_for(lambda paid: len(paid) > 5, 30)
    assert act(run, load="stop") == ""
    assert act(run, load="off").endswith(" acknowledged, 0 not")
    assert {*run.group("load").ids()} == {*stack.made}


def test_a_load_that_was_never_on_cannot_end(stack: Any) -> None:
    with pytest.raises(CheckFailed, match=r"^there is no load$"):
        act(context(stack), load="off")
