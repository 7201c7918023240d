"""What is made of what was recorded of a drill."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from contract import Phase, Store
from payments.leadership import LEASE
from recovery.record import Run, StepProgress
from recovery.stack import Stack
from rehearsal.aws.faults import WORLD, ApiCall
from rehearsal.drills import verdict
from rehearsal.drills.recording import PaymentGroup, Recording
from rehearsal.drills.scenario import Expectation, Scenario
from rehearsal.drills.verdict import OVERHEAD, SLACK
from rehearsal.workload.load import SentPayment
from tests.rehearsal.drills.fakes import contents, recording, sent
from tests.rehearsal.stack import EAST, OUTPUTS, WEST

STACK, STRONG = Stack.of(OUTPUTS), Stack.of({**OUTPUTS, "table_consistency": "strong"})
CUT = 105.0  # the moment of the outage; the drill began at 100
WALL = 1000.0  # what the wall clock is ahead
SCENARIO = Scenario(name="made-up", title="t", expected="e", expect=Expectation(moves=1))


def run(driver: str = "controller in us-west-2", action: str = "failover", *, why: str = "it is dead",
        seconds: float = 1.0) -> Run:
    """A run to the west that begins with the outage."""
    began = WALL + CUT
    steps = {key: StepProgress(began=began, ended=end, note="done")
             for key, end in {"fence": began, "promote": began + seconds}.items()}
    return Run(id=f"{driver} {action}", action=action, target=WEST, driver=driver, began=began, seen=began,
               ended=began + seconds, why=why, steps=steps)


def outage(down: float = 5.0) -> list[SentPayment]:
    """Payments until the outage, failures for so many seconds, and payments in the west from then on."""
    return [*(sent(f"before {number}", CUT - 1 + number / 10) for number in range(8)),
            *(sent(f"failed {number}", CUT + number / 10, status=0) for number in range(round(down * 10))),
            *(sent(f"after {number}", CUT + down + number / 10, WEST) for number in range(10))]


def recorded(paid: Sequence[SentPayment], *runs: Run, **more: Any) -> Recording:
    """A drill with these payments and runs."""
    return recording(outage=CUT, sent=[*paid], runs={each.id: each for each in runs}, **more)


def judged(found: Recording, *, after: Sequence[str] = (), stack: Stack = STACK, active: str = EAST, writer: str = EAST,
           calls: Sequence[ApiCall] = (), **expected: Any) -> dict[str, tuple[bool, str]]:
    """Whether each check held, and what was found, by the check's name."""
    verdict.judge(found, Expectation(**expected), stack, contents(*after), active=active, writer=writer, calls=calls)
    return {check.name: (check.ok, check.detail) for check in found.checks}


@pytest.mark.parametrize(("runs", "ok", "detail"), [
    ([run()], True, f"failover to {WEST}"), ([], False, "none"), ([run("operator")], False, "none"),
    ([run(action="align")], False, "none"),
    ([run(), run("controller in us-east-1")], False, f"failover to {WEST}, failover to {WEST}")])
def test_moves_by_command_are_no_moves_by_itself(runs: list[Run], ok: bool, detail: str) -> None:
    assert judged(recorded([], *runs), moves=1)["moves by itself: 1"] == (ok, detail)


@pytest.mark.parametrize(("leader", "writer", "ok"), [(WEST, WEST, True), (EAST, WEST, False), (WEST, EAST, False)])
def test_leader_and_writer_must_be_where_they_are_expected(leader: str, writer: str, ok: bool) -> None:
    name = "payments are taken in the region that was {}"
    assert judged(recorded([]), active=leader, writer=writer)[name.format("active")] == (False, leader)
    found = recorded([])
    verdict.judge(found, Expectation(active="standby"), STACK, contents(), active=leader, writer=writer, calls=[])
    assert {check.name: check.ok for check in found.checks}[name.format("standby")] is ok


LAGS = {"table": 0.5, "receipts": 0.3, "ledger": 0.4}


@pytest.mark.parametrize(("lost", "stack", "age", "ok"), [
    ("lag", STACK, 0.2, True), ("lag", STACK, 0.3 + SLACK - 0.05, True), ("lag", STACK, 0.3 + SLACK + 0.05, False),
    ("lag", STACK, -SLACK - 0.1, False),  # acknowledged after the outage, by a region that worked
    ("lag", STRONG, 0.1, False), ("none", STACK, 0.1, False)])
def test_only_what_the_lag_had_not_copied_may_be_lost(lost: str, stack: Stack, age: float, ok: bool) -> None:
    found = recorded([sent("x", CUT - age - 0.1), sent("y", CUT - 4)], lags=LAGS)
    detail = "1 of 2" if ok else "1 of 2, and not by the lag: x"
    assert judged(found, after=["y"], stack=stack, lost=lost)[f"lost: {lost}"] == (ok, detail)


def test_without_an_outage_nothing_may_be_lost() -> None:
    found = replace(recorded([sent("x", CUT)]), outage=None)
    assert not judged(found, lost="lag")["lost: lag"][0]


def test_what_was_never_acknowledged_cannot_be_lost() -> None:
    found = recorded([sent("x", 104, status=503), sent("x", 106, WEST), sent("y", 105, status=0)])
    assert verdict.lost(found, contents("x")) == []


@pytest.mark.parametrize(("told", "ok"), [(["west must not take over"], True), ([], False), (["all is well"], False)])
def test_people_must_have_been_told(told: list[str], ok: bool) -> None:
    found = judged(recorded([], notified=told), notified="must not take over")
    assert found["people were notified"] == (ok, "; ".join(told))


@pytest.mark.parametrize(("stack", "answers", "checks"), [
    (STRONG, (503, 503), {"refuses, at least 2": True, "accepts none": True}),
    (STRONG, (503, 201), {"refuses, at least 2": False, "accepts none": False}),
    (STRONG, (503, 0), {"refuses, at least 2": False, "accepts none": True}),
    (STACK, (503, 503), {"refuses, at least 2": True}), (STACK, (201, 503), {"refuses, at least 2": False})])
def test_the_old_writer_refuses(stack: Stack, answers: tuple[int, ...], checks: dict[str, bool]) -> None:
    stray = [sent(f"stray {number}", 110, status=status) for number, status in enumerate(answers)]
    found = recorded([], groups={"stray": PaymentGroup([], stray)})
    assert len(verdict.refused(found)) == answers.count(503)
    assert {name: ok for name, (ok, _) in judged(found, stack=stack, refused=2).items() if "old writer" in name} == {
        f"the old writer {name}": ok for name, ok in checks.items()}


def test_clients_whose_name_still_leads_to_the_old_writer_count_as_well() -> None:
    found = recorded([sent("x", CUT - 1, status=503), sent("y", CUT + 1, status=503),
                      sent("z", CUT + 2, WEST, status=503)])
    assert [each.payment_id for each in verdict.refused(found)] == ["y"]


@pytest.mark.parametrize(("seconds", "ok"), [(4.0, True), (2.5, False)])
def test_clients_may_see_errors_for_so_long(seconds: float, ok: bool) -> None:
    found = recorded([sent("x", CUT, status=503), sent("y", CUT + 3, status=503), sent("z", CUT + 9)])
    assert judged(found, errors=seconds)[f"errors for at most {seconds:.0f} s"] == (ok, "3.10 s")


def test_the_time_between_two_outages_does_not_count() -> None:
    found = recorded([sent("w", CUT, status=503), sent("x", CUT + 1, status=503), sent("y", CUT + 2),
                      sent("z", CUT + 9, status=503)])
    assert judged(found, errors=1.5)["errors for at most 2 s"] == (True, "1.20 s")


def test_an_error_of_one_client_counts_for_as_long_as_no_other_was_served() -> None:
    slow = replace(sent("slow", CUT, status=503), ended=CUT + 2.5)
    found = recorded([slow, *(sent(f"well {number}", CUT + number * 0.2) for number in range(20))])
    assert judged(found, errors=0.5)["errors for at most 0 s"] == (True, "0.20 s")


def test_clients_that_saw_no_errors_saw_them_for_no_time() -> None:
    assert judged(recorded([sent("z", CUT)]), errors=1.0)["errors for at most 1 s"] == (True, "0.00 s")


def call(caller: str, region: str = WEST, service: str = "dynamodb", after: float = 0.5) -> ApiCall:
    """A call so long after the run began."""
    return ApiCall(caller, region, service, "UpdateItem", at=WALL + CUT + after)


GOOD, BLACKOUT = call(WEST), f"blackout: no call to {EAST}, to Route 53 or to IAM"


@pytest.mark.parametrize(("calls", "ok", "detail"), [
    ([GOOD], True, f"1 calls, all to {WEST}"), ([], False, f"0 calls, all to {WEST}"),
    ([GOOD, call(WEST, EAST, "s3")], False, f"{WEST} to {EAST}: s3 UpdateItem"),
    ([GOOD, call("outside", EAST)], False, f"outside to {EAST}: dynamodb UpdateItem"),
    ([GOOD, call(WEST, "", "route53")], False, f"{WEST} to : route53 UpdateItem"),
    ([GOOD, call(WEST, WEST, "iam")], False, f"{WEST} to {WEST}: iam UpdateItem"),
    ([GOOD, call(EAST, EAST)], True, f"1 calls, all to {WEST}"),
    ([GOOD, call(WORLD, EAST)], True, f"1 calls, all to {WEST}"),
    ([GOOD, call(WEST, EAST, after=-0.1), call(WEST, EAST, after=1.1)], True, f"1 calls, all to {WEST}")])
def test_a_failover_calls_neither_the_other_region_nor_a_global_control_plane(
        calls: list[ApiCall], ok: bool, detail: str) -> None:
    assert judged(recorded([], run()), calls=calls)[BLACKOUT] == (ok, detail)


@pytest.mark.parametrize("driver", ["alice", "controller in us-west-2"])
@pytest.mark.parametrize(("caller", "operation", "ok"), [
    (WEST, "GET /_aws/execute-api/x/live/health", True), ("outside", "GET /_aws/execute-api/x/live/health", False),
    (WEST, "POST /payment", False)])
def test_meanwhile_the_targets_controller_may_look_at_the_other_region(
        driver: str, caller: str, operation: str, *, ok: bool) -> None:
    asked = replace(call(caller, EAST, "execute-api"), operation=operation)
    assert judged(recorded([], run(driver=driver)), calls=[GOOD, asked])[BLACKOUT][0] is ok


def test_only_what_is_expected_is_checked() -> None:
    always = ["moves by itself: 0", "payments are taken in the region that was active", "lost: none"]
    assert [*judged(recorded([], run(action="switchover")))] == always
    stray = {"x": PaymentGroup([], [sent("x", 110)])}
    assert [*judged(recorded([], run(), groups=stray), stack=STRONG, notified="must", errors=2.0)] == [
        *always, "people were notified", "the old writer refuses, at least 0", "the old writer accepts none",
        "errors for at most 2 s", BLACKOUT]
    assert "the old writer refuses, at least 1" in judged(recorded([]), refused=1)


@pytest.mark.parametrize(("missing", "ok"), [((), True), (("x",), False), (("stray",), False), (("gone",), True)])
def test_what_was_acknowledged_and_is_not_lost_is_whole_in_both_regions(missing: tuple[str, ...], ok: bool) -> None:
    found = recorded([sent("x", 104), sent("gone", 104), sent("never", 104, status=503)],
                     groups={"y": PaymentGroup([], [sent("stray", 110)])})
    verdict.judge_whole(found, contents("x"), {
        EAST: contents("x", "stray", "gone"), WEST: contents(*{"x", "stray", "gone"} - {*missing})})
    (check,) = found.checks
    assert (check.ok, check.detail) == (ok, "2 payments" if ok else f"not whole in {WEST}: {missing[0]}")


# --- The report


def test_the_recovery_is_told_on_both_clocks() -> None:
    recovery = verdict.recovery_time(recorded(outage(5.0), run()), STACK, 10)
    assert recovery
    assert (recovery.at_s, recovery.wall_s, recovery.overhead_s) == (5.0, 5.1, 0)
    waited = sum(phase.wall_s for phase in recovery.split if phase.phase in ("detect", "dns"))
    assert [phase.phase for phase in recovery.split] == list(Phase)
    assert recovery.full_s == pytest.approx(recovery.wall_s + 9 * waited)


@pytest.mark.parametrize(("paid", "runs"), [(outage(0.0), [run()]), (outage(), []), (outage()[:60], [run()])])
def test_an_outage_that_was_not_seen_that_no_run_ended_or_that_never_ended_has_no_recovery(
        paid: list[SentPayment], runs: list[Run]) -> None:
    assert verdict.recovery_time(recorded(paid, *runs), STACK, 10) is None


@pytest.mark.parametrize(("why", "promotion", "down", "ok"), [
    ("it is dead", 0.0, 3 + 6 + OVERHEAD - 0.5, True),  # detection and TTL, divided by the factor
    ("it is dead", 0.0, 3 + 6 + OVERHEAD + 0.5, False),
    ("it is dead", 2.0, 3 + 6 + 2 + OVERHEAD - 0.5, True),
    ("it cannot take payments", 0.0, 6 + 1 + 6 + OVERHEAD - 0.5, True),  # seen later, then the lever
    ("it cannot take payments", 0.0, 6 + 1 + 6 + OVERHEAD + 0.5, False)])
def test_recovery_may_add_little_of_its_own(why: str, promotion: float, down: float, ok: bool) -> None:
    quick = [replace(each, began=each.ended - 0.01) for each in outage(down)]
    found = recorded(quick, run(why=why, seconds=LEASE + promotion))
    verdict.judge_overhead(found, STACK, 10)
    assert [check.ok for check in found.checks] == [ok]


@pytest.mark.parametrize(("down", "ok"), [(3 + 6 + 1.5, True), (3 + 6 + 2.5, False)])
def test_on_a_busy_machine_recovery_may_take_longer_as_payments_do(down: float, ok: bool) -> None:
    found = recorded(outage(down), run(why="it is dead", seconds=LEASE))  # each payment takes 0.1 s
    verdict.judge_overhead(found, STACK, 10)
    (check,) = found.checks
    assert (check.name, check.ok) == ("own overhead at most 1 s", ok)
    assert check.detail.endswith(" s, where payments take 2.0 times as long")


def test_each_store_is_counted_before_the_repair_and_after_it() -> None:
    found = recorded([sent(each, 104) for each in "abc"] + [sent("late", 107)], before=contents("a"))
    assert [(each.store, each.acknowledged, each.before, each.after)
            for each in verdict.store_counts(found, contents("a", "b"))] == [(store, 3, 1, 2) for store in Store]
    assert verdict.store_counts(replace(found, before=None), contents()) == []


def test_what_happened_is_in_its_order_each_in_its_lane() -> None:
    found = recorded(outage(), run())
    found.note("fault", "cut active", CUT)
    found.note("health", "primary unhealthy", 107.0)
    found.note("health", "primary healthy", 111.0)
    assert [(event.at_s, event.lane, event.what) for event in verdict.timeline(found)] == [
        (5.0, "fault", "cut active"), (5.0, "plan", "failover fence: done"), (6.0, "plan", "failover promote: done"),
        (7.0, "health", "primary unhealthy"), (10.0, "dns", f"clients go to {WEST}"),
        (11.0, "health", "primary healthy")]


def test_the_result_says_all_of_it() -> None:
    found = recorded(outage(), run(), before=contents())
    found.check("it holds", ok=True)
    kept = contents(*(each.payment_id for each in found.sent))
    result = verdict.result(found, SCENARIO, STACK, after=kept, factor=10)
    assert (result.ok, result.outcome, result.driver) == (True, f"failover to {WEST}; nothing lost", "controller")
    assert (result.scenario, result.consistency, result.errors) == ("made-up", "eventual", {"no answer": 50})
    assert (len(result.requests), sum(request.ok for request in result.requests)) == (68, 18)
    found.check("it does not", ok=False)
    assert not verdict.result(found, SCENARIO, STACK, after=kept, factor=10).ok


def test_a_drill_that_is_not_as_expected_says_so() -> None:
    found = recorded([sent("x", 104), sent("y", 104, status=503)])
    found.check("it does not hold", ok=False)
    by_hand = SCENARIO.model_copy(update={"expect": Expectation()})
    result = verdict.result(found, by_hand, STACK, after=contents(), factor=10)
    assert (result.outcome, result.driver) == ("not as expected: nobody moved; 1 lost", "command line")
    assert (result.lost, result.errors, result.refused_stale) == (["x"], {"error 503": 1}, 0)
