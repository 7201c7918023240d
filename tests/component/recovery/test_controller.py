"""A region's controller: what it sees, decides, resumes, undoes and mends."""
# pylint: disable=protected-access
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import cycle
from typing import Any

import pytest

from contract import OBSERVATION_PREFIX, PAUSE_KEY, Metric
from recovery import controller
from recovery.cloud import Cloud
from recovery.control_table import ControlTable, Pause
from recovery.controller import Controller, create, handler, log, log_to_stdout, resident
from recovery.decision import ABANDONED_LOOKS
from recovery.errors import AwsFailure, StackError
from recovery.observation import Observation, ProbeResult, PublicChecks
from recovery.plan import FENCE, Action, Evidence
from recovery.record import Run, StepProgress
from recovery.runner import Hold, Runner, claim
from recovery.steps import AwsSteps
from simulator.aurora import RdsClient
from simulator.scheduler import EPOCH
from simulator.vocabulary import FailureMode
from tests.unit.payments.fakes import FakeContext, StillClock
from tests.unit.recovery.calm_world import EAST, WEST, CalmWorld


@pytest.fixture
def world() -> CalmWorld:
    """A strong table, automatic mode."""
    return CalmWorld(strong=True)


@pytest.fixture
def eventual() -> CalmWorld:
    """An eventual table."""
    return CalmWorld()


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, Any]]]:
    """What the controllers log."""
    found: list[dict[str, Any]] = []

    class Keep(logging.Handler):
        """Keeps the fields."""

        def emit(self, record: logging.LogRecord) -> None:
            found.append({"event": record.getMessage(), **getattr(record, "fields", {})})

    logger, keep = logging.getLogger("recovery"), Keep()
    level = logger.level
    logger.addHandler(keep)
    with caplog.at_level(logging.INFO, "recovery"):
        yield found
    logger.removeHandler(keep)
    logger.setLevel(level)


# --- Looks

def test_a_look_stores_what_it_saw_and_publishes_it(eventual: CalmWorld) -> None:
    eventual.look(times=4)
    seen = eventual.observation(WEST)
    assert (seen.leader, seen.writer, seen.alive, seen.ready, seen.led_to) == (EAST, EAST, True, True, EAST)
    assert (seen.refused, seen.own, seen.denied, seen.number) == ([], [], [], 4)
    assert seen.exposure(eventual.stack, EPOCH + eventual.scheduler.now) is not None
    published = {name for region, name in eventual.metrics.points if region == WEST}
    assert published >= {Metric.OTHER_REGION_HEALTHY, Metric.OTHER_REGION_READY, Metric.THIS_REGION_READY,
                         Metric.FAILOVER_REFUSED, Metric.EXPOSURE}
    assert (EAST, Metric.EXPOSURE) not in eventual.metrics.points, "a region that leads exposes nothing to itself"


def test_of_two_starts_that_overlap_one_looks(world: CalmWorld) -> None:
    world.look(WEST, pause=1.0)
    world.calls.clear()
    world.look(WEST, fresh=True)
    assert {operation for _, _, operation in world.calls} == {"GetItem"}


def test_a_start_that_was_overtaken_acts_on_nothing(world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControlTable, "write_observation", lambda *_: False)
    world.look(WEST)
    assert (WEST, Metric.THIS_REGION_READY) not in world.metrics.points


@pytest.mark.parametrize("item", [
    {"number": {"N": "7"}, "document": {"S": '{"region": "us-west-2", "at": "noon"}'}},
    {"number": {"N": "7"}, "document": {"S": '{"region": "us-west-2", "at": null}'}},
    {"number": {"N": "7"}, "document": {"S": '{"region": "us-west-2", "at": 1e12}'}},
    {"number": {"N": "7"}, "document": {"S": '{"region": "us-west-2", "at": 5.0, "covered": 6.0}'}},
    {"number": {"N": "7"}, "document": {"S": '{"region": "us-west-2", "at": 5.0, "pending": [7]}'}},
    {"number": {"N": "7"}, "document": {"S": '{"region": "us-west-2", "at": 5.0, "pending": [["a", "b"]]}'}},
    {"number": {"S": "7"}, "document": {"S": '{"region": "us-west-2", "at": 5.0}'}},
    {"number": {"N": "7"}}])
def test_an_observation_that_is_malformed_is_written_anew(world: CalmWorld, item: dict[str, Any]) -> None:
    world.table.put(WEST, OBSERVATION_PREFIX + WEST, item)
    world.look(WEST, times=2)
    assert world.observation().number == 2


@pytest.mark.parametrize("document", ['{"region": "us-west-2", "at": 5.0, "number": "x"}',
                                      '{"region": "us-west-2", "at": 5e10, "number": 7}'])
def test_an_observation_that_says_what_is_impossible_blinds_no_controller(world: CalmWorld, document: str) -> None:
    world.table.put(WEST, OBSERVATION_PREFIX + WEST, {"number": {"N": "7"}, "document": {"S": document}})
    world.look(WEST, times=2)
    assert world.observation().number == 9


def test_a_region_that_failed_once_long_ago_has_not_failed_since(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.look(times=3)
    monkeypatch.setattr(Observation, "confirmed", True)
    for _ in range(2):
        world.network.refusing[EAST, "s3"] = FailureMode.ERROR
        world.look(WEST, pause=200.0)
        world.network.refusing.clear()
    assert (world.observation().failing_for, world.ended()) == (0.0, [])


@pytest.mark.parametrize("between", [
    ProbeResult(alive=False, ready=False, why="HTTP 500"), ProbeResult(alive=None, why="HTTP 429: throttled"),
    ProbeResult(alive=True, why="its function does not answer: ReadTimeoutError")])
def test_a_region_that_never_pays_is_found_whatever_it_answers_in_between(
        monkeypatch: pytest.MonkeyPatch, between: ProbeResult) -> None:
    world = CalmWorld(automatic=False, strong=True)
    told = ["us-east-1 cannot take payments: us-west-2 can take over"]
    world.look(times=3)
    fails = ProbeResult(alive=True, ready=False, why="ledger:TimeoutError", leader=EAST)
    looks, look = cycle([fails, fails, between]), PublicChecks.look
    monkeypatch.setattr(PublicChecks, "look", lambda checks, site: (
        next(looks) if site.region == EAST else look(checks, site)))
    world.look(WEST, times=40)
    assert world.notified() == told
    world.claim(accepted=True)  # somebody follows that, and closes the terminal
    world.look(WEST, times=40)
    assert world.notified() == told * 2


def test_a_decision_does_not_wait_for_cloudwatch(eventual: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(cloud: Cloud, _: object) -> None:
        cloud.clock.sleep(7.0)
        raise AwsFailure("metrics: timed out")

    monkeypatch.setattr(Cloud, "publish", hang)
    eventual.cut_off(EAST, 90.0)
    assert eventual.ended() == ["failover to us-west-2: done"]


def test_a_window_has_as_many_looks_as_fit_and_goes_on_after_an_error(
        world: CalmWorld, logged: list[dict[str, Any]]) -> None:
    made = world.controller(WEST)
    process = world.process(WEST)
    world.at(25.0, lambda: world.network.refusing.update({(WEST, "dynamodb"): FailureMode.ERROR}))
    world.at(35.0, world.network.refusing.clear)
    world.run_task(partial(made.watch, "controller"), process)
    assert [each["event"] for each in logged if each["event"] in ("look", "failed")] == [
        "look", "look", "look", "failed", "look", "look"]


def test_an_internal_error_is_raised_at_the_end_of_the_window(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(controller, "decide", broken)
    with pytest.raises(ZeroDivisionError):
        world.run_task(partial(world.controller(WEST).watch, "controller"))


def test_iam_is_asked_while_all_is_well_and_its_silence_is_no_refusal(world: CalmWorld) -> None:
    world.network.denied.add((WEST, "FailoverGlobalCluster", ""))
    world.look(WEST)
    assert world.observation().denied == ["rds:FailoverGlobalCluster"]
    assert world.observation().refused == [
        "us-west-2 is not healthy: its controller may not call rds:FailoverGlobalCluster"]
    world.network.denied.clear()
    world.network.refusing[EAST, "iam"] = FailureMode.ERROR
    world.look(WEST)
    assert world.observation().denied == ["rds:FailoverGlobalCluster"], "no answer changes nothing"
    world.wait(601.0)
    world.look(WEST)
    assert world.observation().denied == [], "an old answer is none"
    world.network.refusing.clear()
    world.calls.clear()
    world.look(WEST, times=40)
    assert not [call for call in world.calls if call[1] == "iam"]


@pytest.mark.parametrize("lost", [False, True])
def test_what_iam_denies_is_asked_for_again_at_every_look_also_in_an_outage(world: CalmWorld, *, lost: bool) -> None:
    world.network.denied.add((WEST, "FailoverGlobalCluster", ""))
    world.look(times=3)
    if lost:
        world.gateway.down.add(EAST)
        world.look(WEST, times=6)
        assert world.notified() == ["us-east-1 does not answer: us-west-2 may not take over by itself"]
    world.network.denied.clear()
    world.look(WEST, times=2)
    assert world.observation().denied == []
    assert bool(world.ended()) is lost


def members_without(region: str, writer: str) -> Callable[..., dict[str, Any]]:
    """What RDS says of a global database that a region's cluster has left, or that has no writer ("")."""
    members = [{"DBClusterArn": arn, "IsWriter": each == writer, "SynchronizationStatus": "connected"}
               for each, arn in CalmWorld().aurora.clusters.items() if each != region]
    return lambda *_, **__: {"GlobalClusters": [{"GlobalClusterIdentifier": "x", "GlobalClusterMembers": members}]}


@pytest.mark.parametrize(("region", "writer", "words"), [
    (WEST, EAST, "tapstack-sim-us-west-2 is not a member of the global database"),
    ("", "", "us-west-2 does not know where the database's writer is")])
def test_a_standby_that_rds_would_not_promote_is_known_and_takes_nothing_over(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch, region: str, writer: str, words: str) -> None:
    world.look(times=3)
    monkeypatch.setattr(RdsClient, "describe_global_clusters", members_without(region, writer))
    world.cut_off(EAST)
    (refused,) = world.observation().refused
    assert words in refused
    assert world.metrics.points[WEST, Metric.FAILOVER_REFUSED][-1][1] == 1.0
    assert (world.record().region, world.record().run) == (EAST, None)
    assert world.notified() == ["us-east-1 does not answer, and us-west-2 must not take over"]


def test_a_region_whose_database_is_being_rebuilt_takes_nothing_over(world: CalmWorld) -> None:
    world.cut_off(EAST)
    assert world.record().region == WEST
    world.network.dead.clear()
    world.look(EAST, times=3)
    assert "us-east-1 is not healthy: tapstack-sim-us-east-1 does not follow the writer yet" in (
        world.observation(EAST).refused[0])
    world.lose(WEST, ends=True)
    world.look(EAST, times=8)
    assert (world.record(EAST).region, world.aurora.writer) == (WEST, WEST)
    assert world.notified()[-1] == "us-west-2 does not answer, and us-east-1 must not take over"


def test_iam_is_not_asked_in_an_outage(world: CalmWorld) -> None:
    world.lose(EAST, ends=True)
    world.look(WEST, times=5)
    assert not [call for call in world.calls if call[1] == "iam"]


@pytest.mark.parametrize(("region", "service", "words"), [
    (WEST, "rds", "ledger"), (WEST, "s3", "control bucket"), (WEST, "postgres", "")])
def test_a_standby_that_could_not_take_over_is_known_before_it_is_needed(
        world: CalmWorld, region: str, service: str, words: str) -> None:
    world.network.refusing[region, service] = FailureMode.ERROR
    world.look(times=2)
    seen = world.observation()
    assert seen.refused
    assert not words or any(each.startswith(words) for each in seen.own)
    assert world.metrics.points[WEST, Metric.FAILOVER_REFUSED][-1][1] == 1.0


def test_a_leader_in_order_looks_once_in_a_window_and_a_standby_every_time(world: CalmWorld) -> None:
    world.look(times=2)
    before = {region: world.observation(region).number for region in (EAST, WEST)}
    world.calls.clear()
    world.look(times=12)
    assert {region: world.observation(region).number - number for region, number in before.items()} == {
        EAST: 2, WEST: 12}
    resting = {operation for region, service, operation in world.calls if region == EAST and service == "dynamodb"}
    assert resting == {"GetItem", "PutItem"}


@pytest.mark.parametrize("wake", ["a driver writes the record", "clients are sent away"])
def test_what_concerns_payments_wakes_a_leader_at_once(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch, wake: str) -> None:
    world.look(times=2)
    number = world.observation(EAST).number
    if wake == "clients are sent away":
        monkeypatch.setattr(Cloud, "led_to", lambda _: WEST)
    else:
        world.set_record()
    world.look(EAST)
    assert world.observation(EAST).number == number + 1


@pytest.mark.parametrize("region", [EAST, WEST])
def test_a_leader_does_not_rest_while_a_region_cannot_pay(world: CalmWorld, region: str) -> None:
    world.network.refusing[region, "postgres"] = FailureMode.ERROR
    world.look(EAST, times=3)
    assert world.observation(EAST).number == 3


def test_figures_are_published_once_in_a_window_and_at_once_when_they_change(world: CalmWorld) -> None:
    def published() -> int:
        return sum(call == (WEST, "cloudwatch", "PutMetricData") for call in world.calls)

    world.look(WEST)
    world.look(WEST, times=12)
    assert published() == 3
    world.network.refusing[EAST, "postgres"] = FailureMode.ERROR
    world.look(WEST)
    assert published() == 4
    assert world.metrics.points[WEST, Metric.OTHER_REGION_READY][-1][1] == 0.0


def test_only_a_standby_asks_for_the_lag_and_once_a_minute_even_if_there_is_no_figure(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.metrics, "points", {})
    monkeypatch.setattr(world.metrics, "put", lambda *_: None)
    world.look(times=13)
    asked = [region for region, _, operation in world.calls if operation == "GetMetricStatistics"]
    assert asked == [WEST] * 3


# --- Failovers

def test_it_takes_over_by_itself_once_both_views_agree(eventual: CalmWorld) -> None:
    eventual.cut_off(EAST, 90.0)
    assert eventual.ended() == ["failover to us-west-2: done"]
    assert (eventual.record().region, eventual.record().epoch, eventual.aurora.writer) == (WEST, 2, WEST)
    assert [each for each in eventual.notified() if "takes payments now" in each] == [
        "us-west-2 takes payments now (failover)"]
    run = eventual.record().run
    assert run
    assert (run.evidence, run.caller, run.accepted) == ("dead", f"arn:aws:iam::1:role/{WEST}", False)


def test_it_calls_nothing_in_the_lost_region_while_it_fails_over(world: CalmWorld) -> None:
    world.cut_off(EAST, 90.0)
    assert not world.history.of("called")


@pytest.mark.parametrize(("evidence", "noted", "ended"), [
    (Evidence.UNREADY, None, "us-east-1 may have been fenced too late, so it is to lead again"),
    (Evidence.UNREADY, 1.0, "done"), (Evidence.NONE, None, "done")])
def test_a_failover_for_a_failing_canary_is_resumed_only_if_its_fence_is_known_to_be_in_time(
        world: CalmWorld, evidence: Evidence, noted: float | None, ended: str) -> None:
    world.look(times=2)
    hold = world.claim(evidence=evidence)
    world.run_task(hold.fence)
    world.run_task(partial(hold.write, steps={FENCE.key: StepProgress(began=1.0, ended=noted)}))
    world.look(WEST, times=5)
    assert world.ended() == [f"failover to us-west-2: {ended}"]
    if ended != "done":
        assert (world.record().region, world.record().epoch, world.record().moved) == (EAST, 3, 0.0)
        assert world.notified() == ["us-east-1 leads again"]


def test_if_only_the_way_between_the_regions_is_cut_nobody_moves(eventual: CalmWorld) -> None:
    eventual.look(times=3)
    eventual.network.cuts.update({(EAST, WEST), (WEST, EAST)})
    eventual.look(times=20)
    assert not eventual.history.of("runs")
    assert eventual.notified() == ["us-east-1 does not answer, and us-west-2 must not take over"]


def test_what_a_region_took_while_only_the_way_to_it_was_cut_is_exposed(eventual: CalmWorld) -> None:
    eventual.look(times=3)
    eventual.network.cuts.update({(EAST, WEST), (WEST, EAST)})
    eventual.look(times=12)
    eventual.lose(EAST, ends=True)
    eventual.look(WEST, times=9)
    assert not eventual.history.of("runs")
    exposure = eventual.observation().exposure(eventual.stack, EPOCH + eventual.scheduler.now)
    assert exposure is not None
    assert 120.0 <= exposure <= 180.0, "until it was lost, not until the first failed look"


def test_a_throttled_region_is_not_dead(world: CalmWorld) -> None:
    world.look(times=3)
    world.gateway.flooded.add(EAST)
    world.look(WEST, times=20)
    assert not world.history.of("runs")


@pytest.mark.parametrize("fault", ["s3", "dynamodb"])
def test_a_region_that_can_read_but_not_write_is_left(eventual: CalmWorld, fault: str) -> None:
    eventual.look(times=3)
    eventual.network.refusing[EAST, fault] = FailureMode.ERROR
    eventual.look(WEST, times=12)
    assert eventual.ended() == ["failover to us-west-2: done"]
    run = eventual.record().run
    assert run
    assert (run.evidence, "cannot take payments" in run.why) == ("unready", True)


def test_a_region_whose_ledger_refuses_is_left_by_a_person_who_accepts_what_nobody_can_bound(
        eventual: CalmWorld) -> None:
    eventual.look(times=3)
    eventual.network.refusing[EAST, "postgres"] = FailureMode.ERROR
    eventual.look(WEST, times=12)
    assert not eventual.history.of("runs")
    assert eventual.notified() == ["us-east-1 cannot take payments, and us-west-2 must not take over"]


def test_a_person_is_told_once_and_again_when_it_comes_back(world: CalmWorld) -> None:
    world = CalmWorld(strong=True, automatic=False)
    for _ in range(2):
        world.cut_off(EAST, 100.0)
        world.network.dead.clear()
        world.look(times=5)
    assert world.notified() == ["us-east-1 does not answer: us-west-2 can take over"] * 2
    assert not world.history.of("runs")


def test_a_pause_is_kept_and_ends_by_itself(world: CalmWorld) -> None:
    pause = Pause(until=EPOCH + 200.0, reason="network work", who="bob")
    table = world.table_in(WEST)
    world.run_task(lambda: table.write_document(PAUSE_KEY, vars(pause)))
    world.cut_off(EAST, 90.0)
    assert not world.history.of("runs")
    world.look(WEST, times=12)
    assert world.ended() == ["failover to us-west-2: done"]


def test_a_pause_that_is_typed_between_the_decision_and_the_fence_is_kept(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*given: Any) -> Any:
        hold = claim(*given)
        hold.cloud.table.write_document(PAUSE_KEY, vars(Pause(until=EPOCH + 900.0, reason="work", who="bob")))
        return hold

    monkeypatch.setattr(controller, "claim", slowly)
    world.cut_off(EAST, 90.0)
    assert (world.ended(), world.record().region) == (
        ["failover to us-west-2: automatic failover is paused"], EAST)


@pytest.mark.parametrize("dies", [False, True])
def test_a_region_that_is_lost_while_aurora_switches_over_is_failed_over(world: CalmWorld, *, dies: bool) -> None:
    """Aurora waits for the lost region: neither the driver of the switchover nor Aurora's state keeps anybody."""
    world.look(times=2)
    world.aurora.switchover_takes = (90.0, 90.0)
    process = world.process()
    cloud = world.cloud(Action.SWITCHOVER, process=process)
    hold = world.claim(Action.SWITCHOVER)
    hold.cloud = cloud
    world.scheduler.spawn(process, partial(Runner(
        hold=hold, do=AwsSteps(cloud=cloud).do, report=lambda _step, _progress: None).drive))
    while not world.aurora.moving:
        world.look(times=1)
    if dies:
        process.kill()
    world.lose(EAST, ends=True)
    world.look(WEST, times=12)
    assert world.ended()[-1] == "failover to us-west-2: done"
    assert (world.record().region, world.aurora.writer) == (WEST, WEST)


@pytest.mark.parametrize("region", [EAST, WEST])
def test_a_run_of_the_next_release_is_ended_and_stops_no_controller(world: CalmWorld, region: str) -> None:
    run = Run(id="r", action="rebalance", target=region, driver="the next release", began=1.0, why="x", epoch=2)
    world.set_record(region=region, epoch=2, run=run)
    world.look(times=6)
    assert f"rebalance to {region}: given up: this release does not know the action rebalance" in world.ended()
    assert (world.record().region, world.aurora.writer, world.record().open_run) == (EAST, EAST, None)


def test_leadership_goes_back_to_the_writer_s_region_also_if_its_controller_is_gone(world: CalmWorld) -> None:
    world.set_record(region=WEST, epoch=2)
    world.look(WEST, times=ABANDONED_LOOKS)
    assert world.record().region == WEST, "the writer's own controller comes first"
    world.look(WEST, times=2)
    assert (world.record().region, world.record().epoch) == (EAST, 3)
    assert world.notified() == ["us-east-1 leads again"]


def test_a_leader_whose_writer_stays_in_a_region_that_cannot_lead_says_once_how_to_move_it(world: CalmWorld) -> None:
    world.set_record(region=WEST, epoch=2)
    world.network.refusing[EAST, "dynamodb"] = FailureMode.ERROR
    world.look(WEST, times=ABANDONED_LOOKS + 6)
    assert world.record(WEST).region == WEST
    assert world.notified() == ["us-west-2 leads without the database's writer"]
    assert world.history.of("notified")[-1].facts["message"] == (
        "us-east-1 has it, and does not take the leadership back: table:InternalServerError. "
        "To move the writer: python -m recovery failover --to us-west-2")


def test_leadership_is_not_given_back_to_a_region_that_knows_that_it_leads(eventual: CalmWorld) -> None:
    """Its record has not been copied yet. What is written instead would be newer, and the failover be forgotten."""
    eventual.table.stalled.add((WEST, EAST))
    run = eventual.move()
    eventual.look(times=ABANDONED_LOOKS + 2)
    assert eventual.record(EAST).region == EAST
    eventual.table.stalled.clear()
    eventual.drain()
    eventual.wait(1.0)
    assert eventual.record(EAST).run == eventual.record(WEST).run == run


def test_a_late_promotion_is_given_up_if_route_53_sees_the_region_again(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.look(times=3)
    world.lose(EAST, ends=True)
    lead = ControlTable.write_record

    def heal(table: ControlTable, record: Any) -> Any:
        found = lead(table, record)
        if record.region == WEST:
            world.network.dead.clear()
            world.route53.checks["primary"].votes[:] = [True]
        return found

    monkeypatch.setattr(ControlTable, "write_record", heal)
    world.look(WEST, times=5)
    assert (world.ended(), world.aurora.writer) == (
        ["failover to us-west-2: Route 53 sees us-east-1 as healthy, so it is to lead again"], EAST)
    assert (world.record().region, world.record().epoch) == (EAST, 3)
    assert world.notified()[-1] == "us-east-1 leads again"
    world.look(times=3)
    assert not world.lever(WEST)
    assert len(world.ended()) == 1


def test_a_view_that_flickers_undoes_one_failover_and_the_next_one_waits(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.look(times=3)
    world.lose(EAST, ends=True)
    views = cycle([False, True])  # at a look, and before the promotion
    monkeypatch.setattr(Cloud, "seen", lambda _self, _site: next(views))
    world.look(WEST, times=20)
    assert len(world.ended()) == 1
    assert not world.lever(WEST)
    assert world.notified()[-1] == ("us-east-1 does not answer: us-west-2 waits, because the last failover was recent")


def test_a_failover_that_cannot_be_done_says_so_and_ends(world: CalmWorld, logged: list[dict[str, Any]]) -> None:
    world.look(times=3)
    world.lose(EAST, ends=True)
    world.network.denied.add((WEST, "FailoverGlobalCluster", ""))
    world.look(WEST, times=8)
    assert any("the promotion is not permitted" in each for each in world.ended())
    assert "failover to us-west-2 is not finished" in world.notified()
    assert any(each["event"] == "given up" for each in logged)


# --- Runs of others

def test_a_failover_that_another_driver_carries_out_is_left_alone(world: CalmWorld) -> None:
    world.look(WEST)
    hold = world.claim()
    world.calls.clear()
    world.look(WEST, pause=0.0)
    world.run_task(hold.prove)
    world.wait(10.0)
    world.look(WEST, pause=0.0)
    assert [call for call in world.calls if call[:2] == (EAST, "lambda")] == []
    assert not world.ended()


@pytest.mark.parametrize("automatic", [True, False])
def test_a_run_that_has_not_fenced_expires(automatic: bool) -> None:
    world = CalmWorld(strong=True, automatic=automatic)
    world.claim()
    world.look(times=3)
    assert world.ended() == ["failover to us-west-2: expired: its driver stopped before it had fenced"]
    assert world.record().region == EAST


@pytest.mark.parametrize("automatic", [True, False])
def test_a_run_that_has_fenced_is_completed(automatic: bool) -> None:
    world = CalmWorld(strong=True, automatic=automatic)
    world.look(times=3)
    world.lose(EAST, ends=True)
    world.look(WEST, times=3)
    world.run_task(world.claim(driver="bob").fence)
    world.look(WEST, times=4)
    assert world.ended() == ["failover to us-west-2: done"]
    run = world.record().run
    assert run
    assert run.driver.startswith("controller")


def test_a_planned_move_whose_driver_died_is_undone_by_the_region_that_has_the_writer(world: CalmWorld) -> None:
    world.look(times=3)
    world.run_task(world.claim(Action.SWITCHOVER, driver="bob").fence)
    world.look(times=8)
    assert world.ended() == [
        "switchover to us-west-2: given up: its driver stopped before it had moved the database",
        "align to us-east-1: done"]
    assert (world.record().region, world.record().epoch, world.route53.leads_to()) == (EAST, 3, EAST)


def test_a_switchover_that_completes_late_is_completed(world: CalmWorld) -> None:
    world.look(times=3)
    hold = world.claim(Action.SWITCHOVER, driver="bob")
    world.run_task(hold.fence)
    world.aurora.switchover_takes = (45.0, 45.0)
    world.aurora.switch_over(WEST)
    world.look(times=14)
    assert (world.record().region, world.aurora.writer, world.route53.leads_to()) == (WEST, WEST, WEST)
    assert world.record().open_run is None


def test_a_move_back_is_not_completed_while_aurora_moves_the_writer_away(world: CalmWorld) -> None:
    world.look(times=3)
    hold = world.claim(Action.SWITCHOVER, EAST, driver="bob")
    world.run_task(hold.fence)
    world.aurora.switchover_takes = (45.0, 45.0)
    world.aurora.switch_over(WEST)
    world.look(EAST, times=4)
    assert not world.ended()
    world.look(times=8)
    assert world.ended() == [
        "switchover to us-east-1: given up: its driver stopped before it had moved the database",
        "align to us-west-2: done"]


def test_a_switchover_that_completes_after_it_was_undone_moves_the_leadership_after_it(world: CalmWorld) -> None:
    world.look(times=3)
    world.aurora.switch_over(WEST)
    world.wait(5.0)
    world.look(times=4)
    assert world.ended() == ["align to us-west-2: done"]


def test_an_old_run_of_a_restored_table_is_not_gone_on_with(world: CalmWorld) -> None:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html
    world.run_task(world.claim(driver="bob").fence)
    world.aurora.books[WEST].epoch = 8
    world.look(WEST, times=2)
    assert world.ended() == ["failover to us-west-2: expired: the ledger has seen epoch 8"]


@pytest.mark.parametrize("fenced", [False, True])
def test_while_a_planned_move_waits_the_survivor_may_act(eventual: CalmWorld, *, fenced: bool) -> None:
    eventual.look(times=3)
    hold = eventual.claim(Action.SWITCHOVER, driver="bob")
    if fenced:
        eventual.run_task(hold.fence)

    eventual.look(times=1, pause=1.0)
    eventual.lose(EAST, ends=True)
    eventual.scheduler.spawn(eventual.process(), partial(beat, hold))
    eventual.look(WEST, times=9)
    assert eventual.ended()[-1] == "failover to us-west-2: done"
    assert eventual.aurora.writer == WEST


@pytest.mark.parametrize("action", [Action.SWITCHOVER, Action.FAILBACK])
def test_people_are_told_to_take_over_while_a_planned_move_still_waits(action: Action) -> None:
    manual = CalmWorld(automatic=False)
    manual.look(times=3)
    hold = manual.claim(action, driver="bob")
    manual.lose(EAST, ends=True)
    manual.scheduler.spawn(manual.process(), partial(beat, hold))
    manual.look(WEST, times=8)
    assert manual.notified() == ["us-east-1 does not answer: us-west-2 can take over"]


def test_people_are_not_told_to_take_over_while_somebody_moves_the_writer() -> None:
    manual = CalmWorld(automatic=False)
    manual.look(times=3)
    hold = manual.claim(Action.SWITCHOVER, driver="bob")
    manual.run_task(hold.fence)
    manual.lose(EAST, ends=True)
    manual.scheduler.spawn(manual.process(), partial(beat, hold))
    manual.look(WEST, times=8)
    assert not manual.notified()
    manual.wait(30.0)
    manual.look(WEST, times=4)
    assert manual.notified()


def beat(hold: Hold) -> None:
    """Drive a run for 100 s, which gets no further."""
    for _ in range(200):
        hold.prove()
        hold.cloud.clock.sleep(0.5)


# --- What has come apart

def test_leadership_that_went_back_is_mended_by_the_region_that_has_the_writer(world: CalmWorld) -> None:
    world.cut_off(EAST, 70.0)
    world.network.dead.clear()
    world.look(times=2)
    world.set_record(region=EAST, epoch=1, run=None, moved=0.0)
    world.look(times=4)
    assert world.ended()[-1] == "align to us-west-2: done"
    assert (world.record().region, world.record().epoch > 2) == (WEST, True)


def test_leadership_that_a_planned_moves_heartbeat_has_overwritten_is_mended(world: CalmWorld) -> None:
    world.cut_off(EAST, 70.0)
    world.network.dead.clear()
    world.look(times=2)
    world.set_record(region=EAST, epoch=1, run=None, moved=0.0)
    planned = world.claim(Action.SWITCHOVER, EAST, driver="bob")
    for _ in range(2):
        world.run_task(planned.prove)
        world.look()
    assert world.ended()[-1] == "align to us-west-2: done"


def test_an_epoch_that_went_back_is_raised_again(world: CalmWorld) -> None:
    world.look(times=3)
    world.aurora.books[EAST].epoch = 7
    world.look(EAST, times=7)  # it rests for at most a window
    assert world.ended() == ["align to us-east-1: done"]
    assert world.record().epoch == 9


def test_what_comes_apart_for_a_moment_only_is_left_alone(world: CalmWorld) -> None:
    world.look(times=2)
    world.aurora.books[EAST].epoch = 7
    world.look(EAST)
    world.aurora.books[EAST].epoch = 1
    world.look(EAST, times=2)
    assert not world.history.of("runs")


def test_a_leader_to_whom_clients_are_not_led_pulls_its_lever_and_resets_it_later(world: CalmWorld) -> None:
    world.buckets.write(world.control[WEST], "takeover", b"x")
    world.look(EAST, times=6)
    assert (world.lever(EAST), world.route53.leads_to()) == (True, EAST)
    world.look(times=6)
    assert (world.lever(EAST), world.lever(WEST), world.route53.leads_to()) == (False, False, EAST)


def test_a_lever_stays_while_it_leads_clients_to_the_leader(world: CalmWorld) -> None:
    world.cut_off(EAST, 70.0)
    world.look(WEST, times=5)
    assert world.lever(WEST)


def test_a_lever_that_sends_clients_to_the_standby_is_reset_also_once_people_have_been_told(world: CalmWorld) -> None:
    world.look(times=3)
    done = world.move()
    world.set_record(run=replace(done, ended=None))  # while a run is open, nobody touches levers
    world.buckets.write(world.control[EAST], "takeover", b"x")
    world.look(EAST, times=15)
    assert any(f"{WEST} leads, and clients are sent to {EAST}" in each for each in world.notified())
    assert world.lever(EAST)
    world.set_record(run=done)
    world.look(EAST)
    assert (world.leader(EAST)[0], world.lever(EAST)) == (WEST, False)


def test_people_are_told_although_what_was_seen_is_unknown(world: CalmWorld) -> None:
    controller = world.controller(WEST)
    world.run_task(lambda: controller._notify_once(None, "it is down", "why"))
    assert world.notified() == ["it is down"]


# --- The function

def test_a_controller_knows_its_region_and_no_other(world: CalmWorld) -> None:
    environ = {"AWS_REGION": "eu-west-1", "STACK_OUTPUTS": json.dumps(world.outputs), "PROBE_SECONDS": "10",
               "WATCH_SECONDS": "60", "COOL_DOWN_SECONDS": "300", "DETECTION_SECONDS": "30"}
    with pytest.raises(StackError, match="region 'eu-west-1': must be us-east-1 or us-west-2"):
        create(environ, world.recovery())
    made = create({**environ, "AWS_REGION": WEST}, world.recovery())
    assert (made.region, made.interval, made.window, made.cool_down, made.role) == (WEST, 10.0, 60.0, 300.0, "")


def test_the_function_is_created_once_and_says_where_it_watched(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in {"AWS_REGION": WEST, "STACK_OUTPUTS": json.dumps(world.outputs), "PROBE_SECONDS": "10",
                        "WATCH_SECONDS": "60", "COOL_DOWN_SECONDS": "300", "DETECTION_SECONDS": "30"}.items():
        monkeypatch.setenv(name, value)
    drivers: list[str] = []
    monkeypatch.setattr(Controller, "watch", lambda _, driver: drivers.append(driver))
    resident.cache_clear()
    handlers = controller.logger.handlers, controller.logger.propagate, controller.logger.level
    try:
        assert [handler({}, FakeContext()) for _ in range(2)] == [{"region": WEST}] * 2
        assert resident() is resident()
        log_to_stdout(StillClock())
        log("look", alive=True)
    finally:
        controller.logger.handlers, controller.logger.propagate = handlers[:2]
        controller.logger.setLevel(handlers[2])
        resident.cache_clear()
    assert all(driver.startswith(f"controller in {WEST} (") for driver in drivers)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["alive"] is True


def test_it_takes_over_while_its_database_is_backed_up(eventual: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    for operation, kind, status in (("describe_db_clusters", "DBClusters", "Status"),
                                    ("describe_db_instances", "DBInstances", "DBInstanceStatus")):
        monkeypatch.setattr(RdsClient, operation, lambda *_, _kind=kind, _status=status, **_given: {
            _kind: [{_status: "backing-up"}]})
    eventual.look(times=3)
    eventual.lose(EAST, ends=True)
    eventual.look(WEST, times=8)
    assert (eventual.record().region, eventual.aurora.writer) == (WEST, WEST)
    assert (eventual.record().run or pytest.fail("none")).outcome == "done"


def test_it_takes_over_where_each_call_of_rds_takes_two_seconds(
        eventual: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any, **given: Any) -> Any:
            eventual.scheduler.suspend(2.0)
            return call(*arguments, **given)
        return made

    for operation in ("describe_global_clusters", "describe_db_clusters", "describe_db_instances"):
        monkeypatch.setattr(RdsClient, operation, slowly(getattr(RdsClient, operation)))
    eventual.look(times=3)
    eventual.lose(EAST, ends=True)
    eventual.look(WEST, times=12)
    assert eventual.aurora.writer == WEST
