"""A drill: what forbids it, what it does in which order, that it always restores what it broke, and its report."""
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from contract import DRILL_KEY
from recovery.cloud import Cloud
from recovery.drill.drill import SETTLE, default_target, warning
from recovery.drill.outage import RESTORE, SavedState, restore
from recovery.drill.report import NO_DNS
from recovery.errors import AlreadyRunning, AwsFailure, StepTimedOut
from recovery.journal import Run, StepProgress
from recovery.plan import STALE, Action, predict
from tests.unit.payments.fakes import Crash, Fault, client_error
from tests.unit.recovery.drill.world import CHECKS, FUNCTIONS, World, quick
from tests.unit.recovery.fakes import AWAY, HOME, NOW, REGIONS

# --- A failover

def test_a_failover_drill_moves_back_and_leaves_everything_as_it_was() -> None:
    world = World()
    world.delay = 10.0
    found: list[Any] = []
    world.reactions[f"{HOME} is broken"] = lambda: found.extend(
        [dict(world.reserved), dict(world.checks[CHECKS[HOME]])])
    report = world.drill().run()
    assert report.ok, report
    assert found == [{FUNCTIONS[HOME]: 0, FUNCTIONS[AWAY]: None}, {"Type": "HTTPS", "Inverted": True, "Disabled": True}]
    assert world.said == [f"{HOME} is broken", f"{AWAY} has taken over", f"{HOME} is restored"]
    assert [each[:2] for each in world.driven] == [("failover", AWAY), ("failback", HOME)]
    assert (world.active, world.writer) == (HOME, HOME)
    world.assert_as_found()


def test_its_report_has_what_clients_saw_both_ways_and_is_stored() -> None:
    world = World()
    world.delay = 10.0
    report = world.drill().run()
    assert (report.action, report.origin, report.target, report.why) == ("failover", HOME, AWAY, "")
    assert (report.acknowledged, report.lost) == (len(world.paid), 0)
    assert set(report.errors) == {"500 Internal server error", "503 not the writer"}
    assert report.began < (report.recovery.began or 0) < (report.recovery.ended or 0) < (report.ended or 0)
    detect, *others = report.recovery.phases.values()
    assert 20.0 < detect <= 30.0  # three looks, 10 s apart
    assert others == pytest.approx([0.5, 2.0, 20.0, 10.0, 0.0], abs=0.6)  # a poll, the run's steps, DNS, and a write
    assert report.back
    assert 20.0 < report.back.whole < 40.0
    assert report.back.phases["detect"] == 0.0
    assert world.recorded() == {**report.document(), "broken": None}
    assert str(report).splitlines()[0] == f"drill failover from {HOME} to {AWAY}: ok"


def test_it_is_begun_on_the_evidence_of_the_standbys_controller() -> None:
    world = World()
    world.drill().run()
    seen = world.driven[0][2]
    assert seen
    assert (seen - NOW) % 10 == 0
    assert world.driven[1][2] is None


def test_the_key_is_read_first_and_route_53_is_not_called_from_the_outage_to_its_end() -> None:
    world = quick()
    world.drill().run()
    calls = world.network.calls
    key, inverted, outage, restored = (calls.index(call) for call in (
        f"get_api_key {AWAY}", f"update_health_check {HOME}", f"put_function_concurrency {HOME}", "PutItem"))
    assert key < restored < inverted < outage
    end = calls.index(f"put_function_concurrency {HOME}", outage + 1)
    during = calls[outage + 1:end]
    assert not [call for call in during if "health_check" in call or call.endswith(HOME)]
    assert calls[end + 1] == f"update_health_check {HOME}"


def test_a_failover_away_from_the_dr_region_is_drilled_as_well() -> None:
    world = World({"health_check_threshold": 1}, active=AWAY)
    report = world.drill(to=HOME).run()
    assert report.ok, report
    assert [each[:2] for each in world.driven] == [("failover", HOME), ("switchover", AWAY)]
    assert world.reserved == {FUNCTIONS[HOME]: 300, FUNCTIONS[AWAY]: None}
    assert f"delete_function_concurrency {AWAY}" in world.network.calls


def test_without_dns_clients_turn_to_the_other_region_by_themselves_and_the_report_says_so() -> None:
    world = quick(service_url="", dns="off")
    assert NO_DNS in warning(world.plan(Action.FAILOVER), world.targets())
    report = world.drill().run()
    assert report.ok, report
    assert report.recovery.phases["dns"] == 0.0
    assert not report.dns
    assert str(report).endswith(NO_DNS)
    assert not [call for call in world.network.calls if "health_check" in call]
    assert set(world.paid.values()) == set(REGIONS)


# --- The controller takes over

@pytest.fixture
def idle() -> World:
    """A stack in automatic mode whose controller does nothing."""
    return quick(failover_mode="automatic")


def automatic(world: World) -> None:
    """The standby's controller, in the mode automatic."""
    def act() -> None:
        if world.dead[AWAY] >= world.stack.failures and not world.is_well(HOME):
            world.controller = bool
            run = world.begun(world.plan(Action.FAILOVER), "it is dead", world.clock.time())
            world.journal(run)
            world.journal(world.carried(run))

    world.controller = act


def test_where_the_mode_is_automatic_it_waits_for_the_controller() -> None:
    world = quick(failover_mode="automatic")
    automatic(world)
    last = replace(world.begun(world.plan(Action.SWITCHOVER), "", None), id="the last one", ended=NOW)
    world.journal(last)
    report = world.drill().run()
    assert report.ok, report
    assert [each[:2] for each in world.driven] == [("failback", HOME)]
    world.assert_as_found()


def test_a_controller_that_does_nothing_is_waited_for_and_reported(idle: World) -> None:
    report = idle.drill().run()
    assert (report.ok, report.why) == (False, f"the controller of {AWAY} has not begun to take over")
    steps = sum(step.budget for step in idle.plan(Action.FAILOVER).steps)
    assert steps < idle.clock.now < steps + 2 * idle.stack.detection + 2 * STALE + SETTLE
    assert idle.driven == []
    idle.assert_as_found()


def test_a_run_of_the_controller_that_does_not_end_is_reported(idle: World) -> None:
    run = idle.begun(idle.plan(Action.FAILOVER), "it is dead", None)
    idle.reactions[f"{HOME} is broken"] = lambda: idle.journal(run)
    assert idle.drill().run().why == f"failover to {AWAY} is unfinished"
    idle.assert_as_found()


# --- Whatever goes wrong

def test_what_forbids_the_failover_is_reported_and_everything_is_restored() -> None:
    world = quick()
    world.reactions[f"{HOME} is broken"] = lambda: setattr(world, "lag", None)
    report = world.drill(seconds=60.0).run()
    assert (report.ok, report.why) == (False, "unknown lag: it is unknown what would be lost")
    assert (report.recovery.recovered, report.back) == (False, None)
    assert "recovery: none" in str(report)
    world.assert_as_found()


def test_after_a_failover_that_times_out_the_drill_does_not_move_back() -> None:
    world = quick()

    def drive(cloud: Cloud, _why: str, _seen: float | None) -> Run:
        raise StepTimedOut(cloud.plan.steps[2].key, 480.0, "it is not finished")

    report = world.drill(drive=drive, seconds=60.0).run()
    assert report.why == "promote was not done within 480 s: it is not finished"
    assert not report.ok
    world.assert_as_found()
    assert world.recorded()["why"] == report.why


@pytest.mark.parametrize("when", [f"{HOME} is broken", f"{AWAY} has taken over"])
def test_an_interrupt_restores_everything_and_ends_the_drill(when: str) -> None:
    world = quick()

    def interrupt() -> None:
        raise KeyboardInterrupt

    world.reactions[when] = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.drill().run()
    world.assert_as_found()
    assert (world.recorded()["ok"], world.recorded()["why"]) == (False, "unfinished")


def test_after_a_kill_at_any_call_restore_restores_everything_and_a_second_one_changes_nothing() -> None:
    world = quick()
    world.drill().run()
    calls = world.network.calls
    changing = [number for number, call in enumerate(calls) if call.split()[0] in (
        "PutItem", "put_function_concurrency", "update_health_check")]
    assert len(changing) == 8
    for killed in {number + after for number in changing for after in (0, 1)}:
        again = quick()
        planned = again.drill()
        again.network.left = killed
        with suppress(Crash):
            planned.run()
        again.network.left = None
        restore(again.environment, again.stack)
        if DRILL_KEY in again.tables[AWAY].items:
            again.assert_as_found()
        again.network.calls.clear()
        assert restore(again.environment, again.stack) is None
        assert set(again.network.calls) == {"GetItem"}


def test_what_cannot_be_restored_is_reported_and_left_to_restore() -> None:
    world = quick()

    world.reactions[f"{AWAY} has taken over"] = lambda: world.network.faults.append(Fault(client_error("Throttled")))
    report = world.drill().run()
    assert report.why == f"not restored: payments function in {HOME}: Throttled: refused: `{RESTORE}`"
    assert not report.ok
    assert world.recorded()["broken"]["reserved"] == 300
    assert not world.checks[CHECKS[HOME]]["Inverted"]
    assert world.refusals(yes=True)[-1] == f"a drill has left {HOME} broken: `{RESTORE}`"
    assert restore(world.environment, world.stack) == SavedState(
        region=HOME, function=FUNCTIONS[HOME], reserved=300, check=CHECKS[HOME])
    world.assert_as_found()


def test_a_check_that_was_inverted_before_is_inverted_after() -> None:
    world = quick()
    world.checks[CHECKS[HOME]].update(Inverted=True, Disabled=False)
    world.drill().run()
    assert world.checks[CHECKS[HOME]] == {"Type": "HTTPS", "Inverted": True, "Disabled": False}


def test_nothing_is_broken_while_clients_cannot_pay() -> None:
    world = quick()
    world.reserved[FUNCTIONS[HOME]] = 0
    report = world.drill().run()
    assert report.why == "payments fail before the drill does anything: 500 Internal server error"
    assert (report.ok, world.driven, world.broken) == (False, [], None)


def test_what_was_acknowledged_and_is_not_found_is_lost() -> None:
    world = quick()
    world.reactions[f"{HOME} is restored"] = lambda: [world.paid.pop(each) for each in list(world.paid)[:3]]
    report = world.drill().run()
    assert (report.lost, report.ok, report.why) == (3, False, "3 acknowledged payments are lost")
    assert "3 of them lost" in str(report)


def test_an_outage_longer_than_the_objective_is_not_ok() -> None:
    report = quick(recovery_time_objective=15).drill().run()
    assert report.why.startswith("payments were not accepted for ")
    assert report.why.count(" s, and the recovery time objective is 15 s") == 2
    assert (report.ok, report.recovery.recovered, report.lost) == (False, True, 0)


def test_clients_whose_time_is_over_pay_no_more() -> None:
    report = quick().drill(seconds=20.0).run()
    assert (report.ok, report.recovery.recovered, report.back) == (False, False, None)
    assert report.why == "payments were never accepted again, and the recovery time objective is 900 s"


def test_a_report_that_cannot_be_stored_is_printed_all_the_same() -> None:
    world = quick()
    planned = world.drill(Action.SWITCHOVER)

    def drive(cloud: Cloud, why: str, seen: float | None) -> Run:
        run = world.drive(cloud, why, seen)
        world.network.denied = frozenset({"PutItem"})
        return run

    report = replace(planned, drive=drive).run()
    assert report.ok
    assert world.said == ["the report could not be stored: table: AccessDeniedException"]


# --- Planned moves

@pytest.mark.parametrize(("action", "active", "to"), [(Action.SWITCHOVER, HOME, AWAY), (Action.FAILBACK, AWAY, HOME)])
def test_a_planned_move_breaks_nothing_and_stays(action: Action, active: str, to: str) -> None:
    world = World(active=active)
    planned = world.drill(action, to)
    assert world.refusals(action, to) == []
    assert "to stay" in warning(world.plan(action, to), world.targets())
    report = planned.run()
    assert report.ok, report
    assert world.driven == [(action.value, to, None)]
    assert world.active == to
    assert report.back is None
    assert report.recovery.phases["detect"] == 0.0
    assert not [call for call in world.network.calls if "concurrency" in call or "update_health_check" in call]
    assert world.recorded() == {**report.document(), "broken": None}


def test_a_move_that_no_client_noticed_has_no_recovery() -> None:
    world = World()
    world.clock.sleep(1.0)

    def drive(cloud: Cloud, why: str, seen: float | None) -> Run:
        world.move(AWAY)
        return world.begun(cloud.plan, why, seen)

    report = world.drill(Action.SWITCHOVER, drive=drive).run()
    assert report.ok
    assert "recovery: no payment failed" in str(report)
    assert "errors: none" in str(report)


# --- What keeps it from beginning

def test_of_two_drills_at_once_one_is_refused() -> None:
    world = quick()
    planned = world.drill()
    other = {"document": {"S": json.dumps({"began": NOW, "to": AWAY, "broken": None})}, "payment_id": {"S": DRILL_KEY}}
    world.network.meanwhile[2] = lambda: world.tables[AWAY].items.update({DRILL_KEY: other})
    with pytest.raises(AlreadyRunning):
        planned.run()
    assert world.broken is None


def test_a_claim_whose_answer_is_lost_is_the_drills_own() -> None:
    world = quick()
    planned = world.drill(Action.SWITCHOVER)
    world.network.faults = [None, None, Fault(client_error("RequestTimeout"), done=True)]
    assert planned.run().ok


def test_without_the_key_nothing_is_begun() -> None:
    world = quick()
    planned = world.drill()
    world.network.faults = [Fault(client_error("NotFoundException"))]
    with pytest.raises(AwsFailure, match="API key: NotFoundException"):
        planned.run()
    assert DRILL_KEY not in world.tables[AWAY].items


# --- Before it begins: its target, what forbids it, and what it warns of

def unfinished(world: World) -> None:
    """A run that broke off."""
    world.journal(replace(world.begun(world.plan(Action.FAILOVER), "", None), steps={"fence": StepProgress(began=NOW)}))


def in_arrears(world: World) -> None:
    """More lag than the objective."""
    world.lag = 61.0


def silent(world: World) -> None:
    """A table that gives no answer."""
    world.network.denied = frozenset({"GetItem"})


REFUSED: Mapping[str, tuple[Callable[[World], object], str]] = {
    "unknown state": (silent, f"unknown state: {AWAY} does not know which region leads"),
    "the active region is down": (lambda world: world.reserved.update({FUNCTIONS[HOME]: 0}), f"{HOME} does not answer"),
    "the active region is not ready": (lambda world: setattr(world, "active", ""), f"{HOME} cannot take payments"),
    "the standby is down": (lambda world: world.reserved.update({FUNCTIONS[AWAY]: 0}), f"{AWAY} is not healthy"),
    "the writer is elsewhere": (lambda world: setattr(world, "writer", AWAY),
                                f"unknown state: {HOME} leads, and {AWAY} has the database's writer"),
    "it is there": (lambda world: world.move(AWAY), f"{AWAY} already leads and already has the database's writer"),
    "a run": (unfinished, f"a run is unfinished: failover to {AWAY}, step fence, by one"),
    "lag": (in_arrears, "the last 61 s of payments would be lost"),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED)
def test_it_refuses_where_the_stack_is_not_in_order(change: Callable[[World], object], reason: str) -> None:
    world = World()
    change(world)
    world.drill()
    items = dict(world.tables[AWAY].items)
    found = world.refusals(yes=True)
    assert any(each.startswith(reason) for each in found), found
    assert world.tables[AWAY].items == items


def test_it_refuses_where_the_standbys_controller_does_not_report() -> None:
    world = World()
    world.drill()
    world.clock.now = STALE + 1
    assert "has not reported for 61 s" in world.refusals()[0]


def test_it_refuses_prod_without_a_yes_and_calls_nothing() -> None:
    world = World({"profile": "prod"})
    world.drill()
    assert world.refusals() == ["the profile is prod: a drill there needs --yes"]
    assert world.network.calls == []
    assert world.refusals(yes=True) == []


def test_a_failback_moves_to_the_primary_region() -> None:
    world = World()
    world.drill()
    assert world.refusals(Action.FAILBACK, yes=True) == [
        f"a failback always moves to {HOME}: use switchover --to {AWAY}"]


def test_it_says_what_it_breaks_and_for_how_long() -> None:
    world = World()
    planned = world.plan(Action.FAILOVER)
    text = warning(planned, world.targets())
    assert f"Blocks the payments function in {HOME}, and makes its health check fail" in text
    least, most = (sum(getattr(each, end) for each in predict(world.stack)) for end in ("least", "most"))
    assert f"{least:.0f} to {most:.0f} s (predicted; the budget is {sum(planned.budget().values()):.0f} s)" in text
    assert "drill:from to drill:to" in text
    assert NO_DNS not in text


def test_by_default_it_moves_away_from_the_leader_and_a_failback_to_the_primary_region() -> None:
    world = World()
    assert default_target(world.environment, world.stack, Action.SWITCHOVER).region == AWAY
    world.move(AWAY)
    assert default_target(world.environment, world.stack, Action.FAILOVER).region == HOME
    silent(world)
    assert default_target(world.environment, world.stack, Action.FAILOVER).region == AWAY
    assert default_target(world.environment, world.stack, Action.FAILBACK).region == HOME
