"""A drill: what forbids it, what it does in which order, that it always restores what it broke, and its report."""
# pylint: disable=protected-access
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from itertools import count

import pytest
from botocore.exceptions import ReadTimeoutError

from contract import DRILL_KEY, PAUSE_KEY
from recovery.cloud import Cloud
from recovery.controller import Controller
from recovery.drill import outage
from recovery.drill.drill import default_target, warning
from recovery.drill.outage import RESTORE, DrillRecord, DrillTargets, SavedState, restore
from recovery.drill.report import NO_DNS, DrillReport
from recovery.environment import ClientFactory
from recovery.errors import AwsFailure, DrillUnfinished, GivenUp, StepTimedOut
from recovery.measure import Recovery
from recovery.plan import Action, Facts, predict
from recovery.record import Run
from recovery.runner import Hold
from simulator.scheduler import EPOCH
from simulator.vocabulary import FailureMode
from simulator.world import PAYMENTS
from tests.unit.recovery.calm_world import EAST, WEST
from tests.unit.recovery.drill.drill_world import DrillWorld, ExperimentsClient
from tests.unit.recovery.report.reader import Reader


@pytest.fixture
def world() -> DrillWorld:
    """A manual stack in order, whose clients pay."""
    return DrillWorld()


def once(world: DrillWorld, said: str, event: Callable[[], object]) -> Callable[[str], None]:
    """What a drill says goes to the world, and something happens when it has said this."""
    def say(what: str) -> None:
        world.said.append(what)
        if what == said:
            event()

    return say


def refuse_table(world: DrillWorld, region: str) -> None:
    """Let a region's table refuse everything for 15 s."""
    world.network.refusing[region, "dynamodb"] = FailureMode.ERROR
    world.at(15.0, world.network.refusing.clear)


def pausing(world: DrillWorld) -> dict[str, DrillTargets]:
    """The targets of a stack in which copies may be paused."""
    return {site.region: replace(DrillTargets.of(world.outputs, site), pauses_template_id=f"EXT-{site.region}")
            for site in world.stack.sites}


@pytest.fixture(scope="module")
def practised() -> tuple[DrillWorld, DrillReport]:
    """A world after a drill of a failover, in which copies were paused, and the report."""
    world = DrillWorld()
    world.calls.clear()
    return world, world.run_task(world.drill(targets=pausing(world)).run)


def test_a_failover_drill_moves_back_leaves_everything_as_it_was_and_reports_both_ways(
        practised: tuple[DrillWorld, DrillReport]) -> None:
    world, report = practised
    assert report.ok, report
    waiting = [each for each in world.said if each.startswith("waiting (")]
    unknown = re.compile(fr"waiting \(1[0-9] s so far, at most 380 s\): {EAST} is not known")
    assert any(unknown.match(each) for each in waiting)
    assert [each for each in world.said if each not in waiting] == [
        f"the copies that leave {EAST} are paused", f"{EAST} is broken", f"{WEST} has taken over",
        f"{EAST} is restored"]
    assert world.ended() == [f"failover to {WEST}: done", f"failback to {EAST}: done"]
    assert (world.leader(WEST)[0], world.aurora.writer) == (EAST, EAST)
    assert world.is_restored()
    assert world.pauses == {EAST: ["stopping"]}
    assert (report.action, report.origin, report.target, report.lost) == ("failover", EAST, WEST, 0)
    assert "503 not the writer" in report.errors
    assert report.began < (report.recovery.began or 0) < (report.recovery.ended or 0) < (report.ended or 0)
    assert 10.0 < report.recovery.phases["detect"] < 40.0
    assert sum(report.recovery.phases.values()) == pytest.approx(report.recovery.whole)
    assert report.back
    assert report.back.phases["detect"] == 0.0
    assert world.recorded() == {**report.document(), "broken": None, "revision": 6}
    assert str(report).splitlines()[0] == f"drill failover from {EAST} to {WEST}: ok"


@pytest.mark.parametrize(("states", "why"), [(["failed"], "failed"), (["pending"], "pending")])
def test_where_the_copies_cannot_be_paused_nothing_is_broken(world: DrillWorld, states: list[str], why: str) -> None:
    world.begun = states
    report = world.run_task(world.drill(targets=pausing(world), seconds=30.0).run)
    assert report.why == f"the pause of the copies (AWS FIS) has not begun: {why}: AWS gives no reason"
    assert f"{EAST} is broken" not in world.said
    assert world.is_restored()
    assert world.pauses == {EAST: ["failed"] if why == "failed" else ["stopping"]}


@pytest.mark.parametrize("killed", [False, True])
def test_a_pause_of_which_the_answer_is_lost_is_ended_all_the_same(
        monkeypatch: pytest.MonkeyPatch, killed: bool, world: DrillWorld) -> None:
    process, start = world.process(name="victim"), ExperimentsClient.start_experiment

    def lost(client: ExperimentsClient, **given: str) -> None:
        start(client, **given)
        if killed:
            process.kill()
        raise ReadTimeoutError(endpoint_url="https://fis")

    monkeypatch.setattr(ExperimentsClient, "start_experiment", lost)
    drill = replace(world.drill(targets=pausing(world)), cloud=world.cloud(process=process))
    if killed:
        world.scheduler.spawn(process, drill.run)
        world.wait(60.0)
        assert (process.alive, world.pauses) == (False, {EAST: world.begun})
        assert f"a drill has left {EAST} broken: `{RESTORE}`" in world.refusals()
        world.run_task(lambda: restore(world.recovery(), world.stack))
    else:
        assert "Read timeout on endpoint URL" in world.run_task(drill.run, process).why
    assert (world.pauses, world.is_restored()) == ({EAST: ["stopping"]}, True)


def test_a_pause_that_is_refused_breaks_nothing(world: DrillWorld) -> None:
    world.network.denied.add((EAST, "StartExperiment", ""))
    report = world.run_task(world.drill(targets=pausing(world)).run)
    assert report.why == "the pause of the copies (AWS FIS): AccessDenied: AccessDenied"
    assert (world.reserved[EAST], world.recorded()["broken"]) == (300, None)


def test_a_switchover_drill_may_move_back_and_reports_both_ways(world: DrillWorld) -> None:
    report = world.run_task(world.drill(Action.SWITCHOVER, back=True).run)
    assert report.ok, report
    assert world.ended() == [f"switchover to {WEST}: done", f"failback to {EAST}: done"]
    assert (world.leader(WEST)[0], world.aurora.writer, report.lost) == (EAST, EAST, 0)
    assert (report.recovery.recovered, report.back and report.back.recovered) == (True, True)
    assert world.recorded()["broken"] is None


def test_the_page_shows_both_moves_and_every_payment(practised: tuple[DrillWorld, DrillReport]) -> None:
    _, report = practised
    text = Reader(report.page().html()).text
    assert re.fullmatch(r"drill-failover-20[0-9]{6}T[0-9]{6}Z", report.name)
    failed = sum(report.errors.values())
    for words in (f"✓ Drill: failover from {EAST} to {WEST}", "all went well", f"{len(report.requests)} requests",
                  f"payments acknowledged {report.acknowledged}", f"of which {failed} failed", "moving back",
                  f"Steps: failover to {WEST}", f"Steps: failback to {EAST}", "503 not the writer", "run by drill"):
        assert words in text
    assert sum(not each.ok for each in report.requests) == failed
    assert [run["action"] for run in report.document()["runs"]] == ["failover", "failback"]


def test_the_page_of_a_drill_that_nobody_noticed_or_that_failed_says_so(
        practised: tuple[DrillWorld, DrillReport]) -> None:
    report = replace(practised[1], errors={}, dns=False, why="it failed")
    text = Reader(replace(report, recovery=Recovery()).page().html()).text
    assert "✗ it failed" in text
    assert NO_DNS in text
    assert "Errors" not in text
    assert "no payment failed" in text


def test_the_key_is_read_first_and_route_53_is_not_called_from_the_outage_to_its_end(
        practised: tuple[DrillWorld, DrillReport]) -> None:
    world, _ = practised
    mine = [operation for _, service, operation in world.calls if service != "execute-api"]
    key, record, check, outage = (mine.index(each) for each in (
        "GetApiKey", "PutItem", "UpdateHealthCheck", "PutFunctionConcurrency"))
    assert key < record < check < outage
    end = mine.index("PutFunctionConcurrency", outage + 1)
    assert "UpdateHealthCheck" not in mine[outage:end]
    assert mine[end + 1] == "UpdateHealthCheck"


def test_a_failover_away_from_the_dr_region_is_drilled_as_well(world: DrillWorld) -> None:
    assert world.run_task(world.drill(Action.SWITCHOVER).run).ok
    world.wait(60.0)
    report = world.run_task(world.drill(to=EAST).run)
    assert report.ok, report
    assert world.ended()[1:] == [f"failover to {EAST}: done", f"switchover to {WEST}: done"]
    assert world.reserved == {EAST: 300, WEST: None}


def test_a_drill_whose_standby_is_lost_with_route_53s_control_plane_leaves_the_service_reachable(
        world: DrillWorld) -> None:
    assert world.run_task(world.drill(Action.SWITCHOVER).run).ok
    world.wait(60.0)

    say = once(world, f"{WEST} is broken", lambda: world.lose(EAST, ends=True))
    report = world.run_task(world.drill(to=EAST, seconds=30.0, say=say).run)
    assert f"{EAST} could not take over for 30 s" in report.why
    assert world.reserved[WEST] is None
    assert f"the record may still say that {WEST} is broken: table: ConnectTimeoutError: `{RESTORE}`" in world.said
    world.wait(60.0)
    assert world.route53.leads_to() == WEST


def test_the_last_change_of_the_record_says_that_the_region_is_restored_if_the_one_before_failed(
        world: DrillWorld) -> None:
    say = once(world, f"{EAST} is restored", partial(refuse_table, world, WEST))
    assert world.run_task(world.drill(say=say).run).ok
    assert any(each.startswith(f"the record may still say that {EAST} is broken: table: ") for each in world.said)
    assert world.is_restored()


def test_it_moves_back_once_the_region_that_it_left_can_be_asked(world: DrillWorld) -> None:
    say = once(world, f"{EAST} is restored", partial(refuse_table, world, EAST))
    assert world.run_task(world.drill(say=say).run).ok
    assert any(f": unknown state: {EAST} does not know" in each for each in world.said)


def test_where_the_mode_is_automatic_it_waits_for_the_controller() -> None:
    world = DrillWorld(automatic=True)
    report = world.run_task(world.drill().run)
    assert report.ok, report
    run = next(event for event in world.history.of("runs") if event.facts["action"] == "failover")
    assert run.who.startswith("tapstack-controller")
    assert world.is_restored()


def broken(world: DrillWorld, event: Callable[[], object]) -> Callable[[str], None]:
    """What a drill says goes to the world, and something happens once it has broken the region."""
    return once(world, f"{EAST} is broken", event)


def test_a_controller_that_does_nothing_is_waited_for_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recovery.controller.decide", lambda *_: None)
    world = DrillWorld(automatic=True)
    report = world.run_task(world.drill(seconds=30.0, say=broken(world, lambda: None)).run)
    assert (report.ok, report.why) == (False, f"the controller of {WEST} has not begun to take over")
    assert world.is_restored()


PAUSED = "bob has paused automatic failover (work): no controller would take over"


def pause(world: DrillWorld) -> None:
    """Pause automatic failover."""
    world.table_in(WEST).write_document(PAUSE_KEY, {"until": EPOCH + 9000.0, "reason": "work", "who": "bob"})


def test_a_pause_while_the_region_is_broken_restores_it_at_once() -> None:
    world, restored = DrillWorld(automatic=True), list[float]()

    def say(what: str) -> None:
        broken(world, lambda: world.at(5.0, lambda: world.scheduler.spawn(
            world.process(), partial(pause, world))))(what)
        restored.append(world.scheduler.now)

    report = world.run_task(world.drill(seconds=30.0, say=say).run)
    assert (report.ok, report.why, world.ended()) == (False, PAUSED, [])
    began, ended = (restored[world.said.index(f"{EAST} is {what}")] for what in ("broken", "restored"))
    assert ended - began < 15.0
    assert world.is_restored()
    assert PAUSED in world.refusals()
    assert world.refusals(Action.SWITCHOVER) == []


@pytest.mark.parametrize("fenced", [False, True])
def test_a_pause_after_the_controllers_run_has_begun_ends_the_wait_unless_it_has_fenced(
        monkeypatch: pytest.MonkeyPatch, fenced: bool) -> None:
    world, lead = DrillWorld(automatic=True), Hold.lead

    def paused(hold: Hold, *given: int, **changes: object) -> None:
        if hold.run.action == Action.FAILOVER:
            if fenced:
                lead(hold, *given, **changes)  # type: ignore[arg-type]
            pause(world)
            if not fenced:
                raise GivenUp("it is given up")
        else:
            lead(hold, *given, **changes)  # type: ignore[arg-type]

    monkeypatch.setattr(Hold, "lead", paused)
    report = world.run_task(world.drill(seconds=600.0 if fenced else 30.0).run)
    assert (report.ok, report.why) == (fenced, "" if fenced else PAUSED)
    assert world.is_restored()


def test_a_drill_waits_until_the_controller_would_fail_over_again() -> None:
    world = DrillWorld(automatic=True)
    world.set_record(moved=world.table_in(WEST).runtime.clock.time() - 100.0)
    (why,) = world.refusals()
    assert re.fullmatch("the last failover was recent: no controller would take over for (199|200|201) s more", why)
    assert world.refusals(Action.SWITCHOVER) == []
    report = world.run_task(world.drill(seconds=30.0).run)
    assert report.why.startswith("the drill was not carried out: the last failover was recent")
    assert world.reserved[EAST] == 300
    assert f"{EAST} is broken" not in world.said
    world.wait(201.0)
    assert world.refusals() == []
    manual = DrillWorld()
    manual.set_record(moved=manual.table_in(WEST).runtime.clock.time())
    assert manual.refusals() == []


UNABLE: Mapping[str, tuple[bool, Callable[[DrillWorld, pytest.MonkeyPatch], object], str]] = {
    "its database": (False, lambda world, _: world.network.refusing.update({(WEST, "rds"): FailureMode.ERROR}),
                     f"{WEST} does not know where the database's writer is"),
    "its function": (True, lambda world, _: world.functions.reserved.update({(WEST, PAYMENTS): 0}),
                     f"{WEST} is not healthy"),
    "its controller": (True, lambda _, patch: patch.setattr(Controller, "look_once", lambda *_: None),
                       "has not reported for"),
}


@pytest.mark.parametrize(("automatic", "event", "why"), UNABLE.values(), ids=UNABLE)
def test_once_the_standby_plainly_cannot_take_over_the_drill_restores_what_it_has_broken(
        monkeypatch: pytest.MonkeyPatch, automatic: bool, event: Callable[[DrillWorld, pytest.MonkeyPatch], object],
        why: str) -> None:
    world = DrillWorld(automatic=automatic)
    began, restored = [0.0], [0.0]

    def fail() -> None:
        began.append(world.scheduler.now)
        event(world, monkeypatch)

    def say(what: str) -> None:
        broken(world, fail)(what)
        if what == f"{EAST} is restored":
            restored.append(world.scheduler.now)

    report = world.run_task(world.drill(seconds=30.0, say=say).run)
    assert report.why.startswith(f"{WEST} could not take over for 30 s: ")
    assert why in report.why
    assert restored[-1] - began[-1] < 100.0
    assert world.reserved[EAST] == 300


def test_a_run_of_the_controller_that_fails_is_no_takeover_and_its_cause_is_reported() -> None:
    world = DrillWorld(automatic=True)
    deny = partial(world.network.denied.add, (WEST, "FailoverGlobalCluster", ""))
    report = world.run_task(world.drill(seconds=30.0, say=broken(world, deny)).run)
    assert re.match(fr"failover to {WEST}, by controller in {WEST} .*: the promotion is not permitted", report.why)
    assert f"{WEST} has taken over" not in world.said
    assert world.is_restored()


def test_a_run_that_ends_before_its_fence_is_no_takeover_and_the_next_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    world = DrillWorld(automatic=True)
    lead, outcomes = Hold.lead, [GivenUp("it is given up")]

    def once(hold: Hold, *given: int, **changes: object) -> None:
        if outcomes and hold.run.action == Action.FAILOVER:
            raise outcomes.pop()
        lead(hold, *given, **changes)  # type: ignore[arg-type]

    monkeypatch.setattr(Hold, "lead", once)
    report = world.run_task(world.drill().run)
    assert report.ok, report
    assert world.ended()[:2] == [f"failover to {WEST}: it is given up", f"failover to {WEST}: done"]


def test_a_run_of_the_controller_that_does_not_end_is_reported() -> None:
    world = DrillWorld(automatic=True)
    world.aurora.failover_takes = (9000.0, 9000.0)
    report = world.run_task(world.drill(seconds=30.0).run)
    assert not report.ok
    assert world.is_restored()


# --- Whatever goes wrong

def test_what_forbids_the_failover_is_reported_and_everything_is_restored(
        monkeypatch: pytest.MonkeyPatch, world: DrillWorld) -> None:
    monkeypatch.setattr("recovery.drill.drill.present_refusals", lambda _: [])
    world.aurora.stalled = True
    world.wait(50.0)
    report = world.run_task(world.drill(seconds=30.0).run)
    assert not report.ok
    assert "of payments would be lost" in report.why
    assert (report.recovery.recovered, report.back) == (False, None)
    assert "recovery: not recovered" in str(report)
    assert world.is_restored()


def test_after_a_failover_that_times_out_the_drill_does_not_move_back(world: DrillWorld) -> None:
    def drive(cloud: Cloud, _why: str, _facts: Facts | None) -> Run:
        raise StepTimedOut(cloud.plan.steps[2].key, 480.0, "it is not finished")

    report = world.run_task(world.drill(drive=drive, seconds=60.0).run)
    assert (report.ok, report.why) == (False, "promote was not done within 480 s: it is not finished")
    assert world.is_restored()
    assert world.recorded()["why"] == report.why


@pytest.mark.parametrize("when", [f"{EAST} is broken", f"{WEST} has taken over"])
def test_an_interrupt_restores_everything_and_ends_the_drill(world: DrillWorld, when: str) -> None:
    def say(what: str) -> None:
        if what == when:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.run_task(world.drill(say=say).run)
    assert world.is_restored()
    assert (world.recorded()["ok"], world.recorded()["why"]) == (False, "unfinished")


@pytest.mark.parametrize("operation", ["UpdateHealthCheck", "PutFunctionConcurrency"])
@pytest.mark.parametrize("number", [1, 2])
def test_after_a_kill_restore_restores_everything_and_a_second_one_changes_nothing(
        world: DrillWorld, operation: str, number: int) -> None:
    process, noted, seen = world.process(name="victim"), world.network._leave, [0]

    def leave(call: object) -> object:
        if getattr(call, "operation", "") == operation:
            seen[0] += 1
            if seen[0] == number:
                process.kill()
        return noted(call)  # type: ignore[arg-type]

    world.network._leave = leave  # type: ignore[method-assign, assignment]
    drill = replace(world.drill(), cloud=world.cloud(process=process))
    world.scheduler.spawn(process, drill.run)
    for _ in range(400):
        if process.alive:
            world.wait(1.0)
    assert not process.alive
    world.network._leave = noted  # type: ignore[method-assign]
    world.run_task(lambda: restore(world.recovery(), world.stack))
    assert world.is_restored()
    assert world.run_task(lambda: restore(world.recovery(), world.stack)) is None


def test_what_cannot_be_restored_is_reported_and_left_to_restore(world: DrillWorld) -> None:
    def say(what: str) -> None:
        if what == f"{WEST} has taken over":
            world.network.denied.add((EAST, "UpdateHealthCheck", ""))

    report = world.run_task(world.drill(say=say).run)
    assert report.why == f"not restored: health check: AccessDenied: AccessDenied: `{RESTORE}`"
    assert world.recorded()["broken"]["reserved"] == 300
    assert f"a drill has left {EAST} broken: `{RESTORE}`" in world.refusals(yes=True)


def test_nothing_is_broken_once_the_standby_cannot_take_over(world: DrillWorld) -> None:

    def say(_what: str) -> None:
        world.network.refusing[WEST, "rds"] = FailureMode.ERROR

    report = world.run_task(world.drill(targets=pausing(world), say=say).run)
    assert report.why.startswith(
        f"the drill was not carried out: unknown state: {WEST} does not know where the database's writer is")
    assert (EAST, "lambda", "PutFunctionConcurrency") in world.calls  # to restore it
    assert world.is_restored()


@pytest.mark.parametrize("late", [False, True])
def test_a_drill_that_somebody_has_ended_leaves_nothing_broken(
        monkeypatch: pytest.MonkeyPatch, late: bool, world: DrillWorld) -> None:
    breaks, left = outage.break_region, list[SavedState]()

    def breaking(clients: ClientFactory, saved: SavedState) -> None:
        if late:
            restore(world.recovery(), world.stack)
        breaks(clients, saved)
        left.append(saved)

    def say(what: str) -> None:
        if not late and "paused" in what:
            restore(world.recovery(), world.stack)

    monkeypatch.setattr("recovery.drill.drill.break_region", breaking)
    report = world.run_task(world.drill(targets=pausing(world), say=say).run)
    assert report.why == "another drill has begun, or somebody has ended this one"
    assert len(left) == late
    assert world.is_restored()


def test_restore_begins_again_if_the_drill_breaks_the_region_meanwhile(
        monkeypatch: pytest.MonkeyPatch, world: DrillWorld) -> None:
    environment, restores, restored = world.recovery(), outage.restore_region, list[SavedState | None]()
    driller = world.process(name="driller")

    def slow(clients: ClientFactory, saved: SavedState) -> None:
        restores(clients, saved)
        environment.clock.sleep(4.0)

    def late(clients: ClientFactory, saved: SavedState) -> None:
        world.scheduler.spawn(world.process(), lambda: restored.append(restore(environment, world.stack)))
        driller.sleep(2.0)
        outage.break_region(clients, saved)

    def say(what: str) -> None:
        if what == f"{EAST} is broken":
            driller.kill()

    monkeypatch.setattr("recovery.drill.outage.restore_region", slow)
    monkeypatch.setattr("recovery.drill.drill.break_region", late)
    drill = replace(world.drill(say=say), cloud=world.cloud(process=driller))
    world.scheduler.spawn(driller, drill.run)
    world.wait(120.0)
    assert (driller.alive, [each and each.region for each in restored]) == (False, [EAST])
    assert world.is_restored()


def test_restore_does_not_replace_a_record_that_changes_again_and_again(
        monkeypatch: pytest.MonkeyPatch, world: DrillWorld) -> None:
    table, saved = world.table_in(WEST), SavedState(region=EAST, function=PAYMENTS, reserved=300)
    document = {"began": EPOCH, "to": WEST, "broken": asdict(saved)}
    world.run_task(partial(table.write_document, DRILL_KEY, document))
    revisions = count(1)
    monkeypatch.setattr("recovery.drill.outage.restore_region", lambda *_: table.write_document(
        DRILL_KEY, {**document, "revision": next(revisions)}))
    with pytest.raises(AwsFailure, match="the record of the drill has changed meanwhile"):
        world.run_task(lambda: restore(world.recovery(), world.stack))
    assert world.recorded()["broken"] == asdict(saved)


def test_nothing_is_broken_while_clients_cannot_pay(world: DrillWorld) -> None:
    world.network.refusing[EAST, "s3"] = FailureMode.ERROR
    report = world.run_task(world.drill().run)
    assert report.why == "payments fail before the drill does anything: 503 receipts unavailable"
    assert (report.ok, world.reserved[EAST]) == (False, 300)
    assert re.match(r"waiting \(1[0-9] s so far, at most 180 s\): fewer than 10 payments in a row are "
                    "accepted; the latest: 503 receipts unavailable", world.said[0])


def test_where_the_name_cannot_be_resolved_clients_turn_from_one_region_to_the_other(world: DrillWorld) -> None:
    report = world.run_task(world.drill(Action.SWITCHOVER, back=True, named=False).run)
    assert report.ok, report
    assert (report.dns, {request.region for request in report.requests}) == (False, {EAST, WEST})
    targets = pausing(world)
    assert NO_DNS in warning(world.plan(Action.SWITCHOVER), targets, back=True, named=False)


def test_an_outage_longer_than_the_objective_is_not_ok() -> None:
    world = DrillWorld(recovery_time=1)
    report = world.run_task(world.drill(Action.SWITCHOVER).run)
    assert report.why.startswith("payments were not accepted for ")
    assert " s, and the recovery time objective is 1 s" in report.why
    assert (report.ok, report.recovery.recovered, report.lost) == (False, True, 0)


def test_clients_whose_time_is_over_pay_no_more() -> None:
    report = (world := DrillWorld()).run_task(world.drill(seconds=20.0).run)
    assert (report.ok, report.recovery.recovered, report.back) == (False, False, None)
    assert report.why == "payments were never accepted again, and the recovery time objective is 900 s"


def test_a_report_that_cannot_be_stored_is_printed_all_the_same(
        world: DrillWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    drill = world.drill(Action.SWITCHOVER)
    update = DrillRecord.update

    def refused(record: DrillRecord, **changes: object) -> None:
        world.network.denied.add((WEST, "PutItem", ""))
        update(record, **changes)

    monkeypatch.setattr(DrillRecord, "update", refused)
    report = world.run_task(drill.run)
    assert report.ok
    assert world.said[-1] == "the report could not be stored: table: AccessDenied"


def test_a_move_that_no_client_noticed_has_no_recovery(world: DrillWorld) -> None:
    def drive(cloud: Cloud, why: str, _facts: Facts | None) -> Run:
        now = cloud.clock.time()
        return Run(id="1", action="switchover", target=WEST, driver="x", began=now, ended=now, why=why)

    report = world.run_task(world.drill(Action.SWITCHOVER, drive=drive).run)
    assert report.ok
    assert "recovery: no payment failed" in str(report)
    assert "errors: none" in str(report)


# --- What keeps it from beginning

@pytest.mark.parametrize(("ended", "why"), [
    (None, f"a drill to {WEST} is recorded as under way. If nobody runs it any more: `{RESTORE}`"),
    (EPOCH, "another drill has begun at the same moment")])
def test_of_two_drills_at_once_one_is_refused(ended: float | None, why: str, world: DrillWorld) -> None:
    cloud = world.cloud()
    read = cloud.table.read

    def overtaken(key: str) -> object:
        found = read(key)
        document = json.dumps({"began": EPOCH, "to": WEST, "broken": None, "ended": ended})
        world.table.put(WEST, DRILL_KEY, {"payment_id": {"S": DRILL_KEY}, "document": {"S": document}})
        return found

    cloud.table.read = overtaken  # type: ignore[method-assign, assignment]
    with pytest.raises(DrillUnfinished, match=re.escape(why)):
        world.run_task(replace(world.drill(), cloud=cloud).run)
    assert world.reserved[EAST] == 300


def test_without_the_key_nothing_is_begun(world: DrillWorld) -> None:
    world.network.denied.add((WEST, "GetApiKey", ""))
    with pytest.raises(AwsFailure, match="API key: AccessDenied"):
        world.run_task(world.drill().run)
    assert DRILL_KEY not in world.table.views[WEST]


REFUSED: Mapping[str, tuple[Callable[[DrillWorld], object], str]] = {
    "unknown state": (lambda world: world.network.refusing.update({(WEST, "dynamodb"): FailureMode.ERROR}),
                      f"unknown state: {WEST} does not know which region leads"),
    "the active region is down": (lambda world: world.functions.reserved.update({(EAST, PAYMENTS): 0}),
                                  f"{EAST} does not answer"),
    "the active region cannot write": (lambda world: world.network.refusing.update({(EAST, "s3"): FailureMode.ERROR}),
                                       f"{EAST} cannot take payments"),
    "the standby is down": (lambda world: world.functions.reserved.update({(WEST, PAYMENTS): 0}),
                            f"{WEST} is not healthy"),
    "the writer is elsewhere": (lambda world: setattr(world.aurora, "writer", WEST),
                                f"unknown state: {EAST} leads, and {WEST} has the database's writer"),
    "a run": (lambda world: world.claim(driver="bob"), f"a run is unfinished: failover to {WEST}, by bob"),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED)
def test_it_refuses_where_the_stack_is_not_in_order(
        world: DrillWorld, change: Callable[[DrillWorld], object], reason: str) -> None:
    change(world)
    found = world.refusals(yes=True)
    assert any(each.startswith(reason) for each in found), found
    assert DRILL_KEY not in world.table.views[WEST]


def test_it_refuses_where_more_would_be_lost_than_the_objective(world: DrillWorld) -> None:
    world.aurora.stalled = True
    world.wait(100.0)
    assert any("of payments would be lost" in each for each in world.refusals())


def test_it_refuses_where_the_standbys_controller_does_not_report(world: DrillWorld) -> None:
    world.schedule.stopped.add(WEST)
    world.wait(120.0)
    assert any("has not reported for" in each for each in world.refusals())


def test_it_refuses_prod_without_a_yes_and_calls_nothing(world: DrillWorld) -> None:
    world.stack = replace(world.stack, profile="prod")
    world.calls.clear()
    assert world.refusals() == ["the profile is prod: a drill there needs --yes"]
    assert world.calls == []
    assert world.refusals(yes=True) == []


def test_a_failback_moves_to_the_primary_region() -> None:
    assert DrillWorld().refusals(Action.FAILBACK, yes=True) == [
        f"a failback always moves to {EAST}: use switchover --to {WEST}"]


def test_it_says_what_it_breaks_and_for_how_long(world: DrillWorld) -> None:
    targets = {site.region: DrillTargets.of(world.outputs, site) for site in world.stack.sites}
    planned = world.plan(Action.FAILOVER)
    text = warning(planned, targets, back=False)
    assert f"Blocks the payments function in {EAST}, and makes its health check fail" in text
    least, most = (sum(getattr(each, end) for each in predict(world.stack)) for end in ("least", "most"))
    assert f"{least:.0f} to {most:.0f} s (predicted; the budget is {sum(planned.budget().values()):.0f} s)" in text
    assert "drill:from to drill:to" in text
    assert NO_DNS not in text
    assert "Pauses" not in text
    assert "health check" not in warning(world.plan(Action.FAILOVER, EAST), targets, back=False)
    assert f"Pauses the copies of table and receipts from {EAST}" in warning(planned, pausing(world), back=False)
    unnamed = replace(planned, stack=replace(world.stack, service_url=""))
    assert NO_DNS in warning(unnamed, targets, back=False)
    assert "to stay. They wait for 615 s at most. C" in warning(world.plan(Action.SWITCHOVER), targets, back=False)
    assert "and back. They wait for 615 s at most each time" in warning(
        world.plan(Action.SWITCHOVER), targets, back=True)


def test_by_default_it_moves_away_from_the_leader_and_a_failback_to_the_primary_region(world: DrillWorld) -> None:
    target = partial(default_target, world.recovery(), world.stack)
    assert world.run_task(partial(target, Action.SWITCHOVER)).region == WEST
    world.set_record(region=WEST, epoch=2)
    assert world.run_task(partial(target, Action.FAILOVER)).region == EAST
    for region in (EAST, WEST):
        world.network.refusing[region, "dynamodb"] = FailureMode.ERROR
    assert world.run_task(partial(target, Action.FAILOVER)).region == WEST
    assert world.run_task(partial(target, Action.FAILBACK)).region == EAST
