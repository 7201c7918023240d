"""How the stack is doing: what each region reports, and what is unknown."""
import json
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from contract import DRILL_KEY, OBSERVATION_PREFIX, PAUSE_KEY, RECORD_KEY
from recovery.control_table import Pause
from recovery.plan import Action
from recovery.record import Run
from recovery.show import stack
from recovery.status import KEYS, alarms, read_status
from recovery.verdict import UNKNOWN
from simulator.metrics import CloudWatchClient
from simulator.scheduler import EPOCH
from simulator.vocabulary import FailureMode
from tests.unit.recovery.calm_world import EAST, WEST, CalmWorld

DRILL = {"action": "failover", "from": EAST, "to": WEST, "ok": True, "why": "", "broken": None}
SEEN = {"alive", "ready", "why"}


@pytest.fixture
def world() -> CalmWorld:
    """An eventual table, and controllers that have looked."""
    made = CalmWorld(automatic=False)
    made.look(times=3, pause=4.0)
    made.look(times=1, pause=10.0)
    return made


def status_of(world: CalmWorld) -> dict[str, Any]:
    """The status, which is JSON."""
    found = world.run_task(lambda: read_status(world.recovery(), world.stack))
    assert json.loads(json.dumps(found)) == found
    return found


def test_everything_that_a_region_reports(world: CalmWorld) -> None:
    run = world.claim().run
    pause = Pause(until=EPOCH + 900.0, reason="network work", who="bob")
    for region in (EAST, WEST):
        world.run_task(partial(world.table_in(region).write_document, PAUSE_KEY, vars(pause)))
    world.run_task(lambda: world.table_in(WEST).write_document(DRILL_KEY, {**DRILL, "began": EPOCH}))
    world.wait(2.0)
    found = status_of(world)
    west = found["regions"][WEST]
    assert west["watched_s"] == pytest.approx(world.scheduler.now - 12.0, abs=30.0)
    assert west["exposure_s"] > 0
    assert {key: west[key] for key in (*KEYS, "role", "unknown") if key not in ("watched_s", "exposure_s")} == {
        "role": "dr", "alive": True, "ready": True, "why": "",
        "right": {"epoch": 1, "revision": 2, "region": EAST}, "writer": EAST, "cluster": "available",
        "instances": 1, "lever": False, "led_to": EAST, "refused": [], "stale": False,
        "sees": True, "silent_since": None, "pause": vars(pause),
        "alarms": [], "event": None, "run": run.document(), "drill": {**DRILL, "began": EPOCH}, "unknown": {}}
    assert {key: value for key, value in found.items() if key not in ("regions", "verdict")} == {
        "active": EAST, "epoch": 1, "writer": EAST, "mode": "manual", "pause": vars(pause), "run": run.document(),
        "drill": {**DRILL, "began": EPOCH}}
    assert [*found["regions"]] == [EAST, WEST]


def test_a_region_that_is_cut_off_is_unknown_each_part_with_its_reason(world: CalmWorld) -> None:
    world.lose(EAST, ends=True)
    world.look(WEST, times=4)
    world.move()
    found = status_of(world)
    lost, left = found["regions"][EAST], found["regions"][WEST]
    assert {key for key in KEYS if lost[key] == UNKNOWN} == {*KEYS} - SEEN
    assert (lost["alive"], lost["why"]) == (False, "timed out")
    assert "Timeout" in lost["unknown"]["record"]
    assert left["unknown"] == {}
    assert (found["active"], found["epoch"], found["writer"], found["run"]["outcome"]) == (WEST, 2, WEST, "done")


def test_where_no_region_answers_everything_is_unknown(world: CalmWorld) -> None:
    for region in (EAST, WEST):
        world.network.refusing.update({(region, service): FailureMode.ERROR for service in ("dynamodb", "rds")})
    found = status_of(world)
    assert {found[key] for key in ("active", "epoch", "writer", "pause", "run", "drill")} == {UNKNOWN}


def test_the_newest_report_counts(world: CalmWorld) -> None:
    world.table.stalled.update({(EAST, WEST), (WEST, EAST)})
    for began, region in ((EPOCH, EAST), (EPOCH + 1, WEST)):
        world.run_task(partial(world.table_in(region).write_document, DRILL_KEY, {**DRILL, "began": began}))
    world.run_task(world.claim().fence)
    found = status_of(world)
    assert (found["active"], found["epoch"], found["drill"]["began"]) == (WEST, 2, EPOCH + 1)


def test_an_answer_that_is_late_is_unknown(world: CalmWorld) -> None:
    world.network.refusing[EAST, "cloudwatch"] = FailureMode.HANG
    CloudWatchClient.read, read = 60.0, CloudWatchClient.read
    try:
        found = status_of(world)
    finally:
        CloudWatchClient.read = read
    assert found["regions"][EAST]["unknown"] == {"alarms": "no answer within 10 s"}
    assert found["regions"][WEST]["unknown"] == {}


def test_without_an_observation_there_is_nothing_of_one() -> None:
    found = status_of(CalmWorld())["regions"][WEST]
    assert [found[key] for key in ("led_to", "exposure_s", "refused", "watched_s", "stale")] == [None] * 5
    assert found["unknown"] == {}


def test_the_run_of_the_newest_record_is_the_latest_whatever_the_drivers_clocks_say(world: CalmWorld) -> None:
    record = world.record()
    for region, revision, began in ((EAST, 5, EPOCH + 600.0), (WEST, 6, EPOCH)):
        run = Run(id=region, action="failover", target=WEST, driver="alice", began=began, why="")
        _, stamp = world.table.views[region][RECORD_KEY]
        world.table.views[region][RECORD_KEY] = replace(record, revision=revision, run=run).item(), stamp
    found = status_of(world)
    assert (found["run"]["id"], found["regions"][EAST]["run"]["id"]) == (WEST, EAST)


def test_a_planned_move_that_is_open_is_shown(world: CalmWorld) -> None:
    world.claim(Action.FAILBACK, EAST)
    assert status_of(world)["run"]["ended"] is None


def test_alarms_of_a_stack_with_a_similar_name_are_left_out(world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = world.stack.sites[1].topic_arn
    page = [{"AlarmName": f"tapstack-sim-{name}", "AlarmActions": [actions]}
            for name, actions in (("b", topic), ("a", topic), ("2-other", "another"))]

    def pages(**given: Any) -> list[Any]:
        assert given == {"AlarmNamePrefix": "tapstack-sim-", "StateValue": "ALARM"}
        return [{"MetricAlarms": page}]

    monkeypatch.setattr(CloudWatchClient, "get_paginator", lambda *_: SimpleNamespace(paginate=pages))
    assert alarms(world.recovery(), world.stack, world.stack.sites[1]) == ["tapstack-sim-a", "tapstack-sim-b"]


def test_a_drills_record_that_is_malformed_is_set_aside(world: CalmWorld) -> None:
    for document in ({"action": "dance"}, [1], {**DRILL, "began": "today"}, {**DRILL, "began": EPOCH, "broken": 1},
                     {**DRILL, "began": EPOCH, "broken": {}}):
        world.table.put(WEST, DRILL_KEY, {"document": {"S": json.dumps(document)}})
        found = status_of(world)
        assert (found["drill"], found["verdict"]["paying"]) == (None, True)
        assert "last drill: none" in stack(found)
    world.table.put(WEST, DRILL_KEY, {"document": {"S": json.dumps({"began": EPOCH, "to": WEST, "broken": None})}})
    assert any(line.endswith(f"drill from unknown to {WEST}: unknown") for line in stack(status_of(world)))


@pytest.mark.parametrize("odd", [float("nan"), 1e20, 10**400])
def test_a_stored_number_that_can_be_no_time_does_not_stop_the_status(world: CalmWorld, odd: float) -> None:
    world.cut_off(EAST)
    item = world.table.item(WEST, OBSERVATION_PREFIX + WEST)
    assert item
    document = json.dumps({**json.loads(item["document"]["S"]), "silent_since": odd})
    world.table.put(WEST, OBSERVATION_PREFIX + WEST, {**item, "document": {"S": document}})
    world.table.put(WEST, DRILL_KEY, {"document": {"S": json.dumps({**DRILL, "began": 10**400})}})
    found = status_of(world)
    assert found["regions"][WEST]["silent_since"] is None
    assert found["verdict"]["says"].startswith(f"no region takes payments: {EAST} leads, and does not answer")
    assert any(said.startswith(f"last drill: {10**400}") for said in stack(found))


def test_a_leader_that_is_no_region_of_the_stack_is_named(world: CalmWorld) -> None:
    world.set_record(region="eu-west-1")
    verdict = status_of(world)["verdict"]
    assert verdict["paying"] is None
    assert "eu-west-1" in verdict["says"]


def test_a_flooded_standby_can_take_over_and_the_lost_region_is_no_reason_against_it(world: CalmWorld) -> None:
    world.cut_off(EAST)
    world.gateway.flooded.add(WEST)
    world.look(WEST, times=2)
    found = status_of(world)
    assert (found["regions"][WEST]["alive"], found["regions"][WEST]["why"]) == (
        None, "HTTP 429: throttled, which says nothing about its health")
    assert "us-west-2 can take over" in found["verdict"]["says"]
    assert found["verdict"]["run"] == "python -m recovery failover --to us-west-2"


@pytest.mark.parametrize("change", [{"refused": [1]}, {"denied": [None]}, {"own": [{}]}, {"refused": "abc"}])
def test_an_observation_of_unknown_parts_is_shown_as_text(world: CalmWorld, change: dict[str, Any]) -> None:
    document = world.observation().document()
    world.table.put(WEST, OBSERVATION_PREFIX + WEST, {
        "payment_id": {"S": OBSERVATION_PREFIX + WEST}, "number": {"N": "9"},
        "document": {"S": json.dumps({**document, **change})}})
    assert all(isinstance(each, str) for each in status_of(world)["regions"][WEST]["refused"])
