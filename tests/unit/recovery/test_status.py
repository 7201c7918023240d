"""How the stack is, as each region tells it; a region that is cut off tells nothing, and holds nothing up."""
import json
import threading
from typing import Any

import pytest

from recovery import control_table
from recovery.control_table import DRILL
from recovery.journal import Journal
from recovery.observation import Observation
from recovery.plan import Action
from recovery.probe import ProbeResult
from recovery.runner import claim
from recovery.status import TOLD, UNKNOWN, Status, alarms
from tests.unit.payments.fakes import Fault, client_error
from tests.unit.recovery.fakes import AWAY, HOME, NOW, FakeAws, at_once

QUESTIONS = ("GetItem", "DescribeGlobalClusters", "DescribeDBClusters", "DescribeDBInstances", "HeadObject",
             "DescribeAlarms")
ALONE = {"action": "failover", "from": HOME, "to": AWAY, "ok": True, "why": "", "broken": None}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not answer is asked again at once."""
    monkeypatch.setattr(control_table, "soon", at_once)


def status_of(aws: FakeAws, **changes: Any) -> dict[str, Any]:
    """What is found, which is JSON."""
    found = Status(**{"stack": aws.stack, "clients": aws, "look": aws.look, "clock": aws.clock, **changes}).take()
    assert json.loads(json.dumps(found)) == found
    return found


def raised(aws: FakeAws, name: str, region: str = AWAY) -> None:
    """An alarm of the stack."""
    topic = aws.stack.site(region).topic_arn
    aws.alarms[region].append({"AlarmName": f"tapstack-{aws.stack.environment_suffix}-{name}", "AlarmActions": [topic]})


def test_all_that_is_known() -> None:
    aws = FakeAws()
    aws.table(AWAY).keep_watch(Observation(region=AWAY, at=NOW - 4.04, lags={"table": 1.0}))
    aws.levers[AWAY] = [b"failover"]
    raised(aws, "b")
    raised(aws, "a")
    run = claim(Journal(aws.table(AWAY)), aws.cloud().plan, "somebody", why="asked for", clock=aws.clock)
    aws.table(AWAY).keep(DRILL, {**ALONE, "began": NOW})
    found = status_of(aws)
    assert found["regions"][AWAY] == {
        "role": "dr", "alive": True, "ready": False, "why": "", "right": {"epoch": 1, "region": HOME}, "writer": HOME,
        "cluster": "available", "instances": 1, "lever": True, "lags": {"table": 1.0}, "watched_s": 4.0,
        "alarms": [f"tapstack-{aws.stack.environment_suffix}-a", f"tapstack-{aws.stack.environment_suffix}-b"],
        "run": run.document(), "drill": {**ALONE, "began": NOW}, "unknown": {}}
    assert found["regions"][HOME]["lags"] is found["regions"][HOME]["watched_s"] is None
    assert {key: value for key, value in found.items() if key != "regions"} == {
        "active": HOME, "epoch": 1, "writer": HOME, "mode": "manual", "run": run.document(),
        "drill": {**ALONE, "began": NOW}}
    assert list(found["regions"]) == [HOME, AWAY]


def test_a_region_that_is_cut_off_is_unknown_each_part_with_its_reason() -> None:
    aws = FakeAws()
    aws.cut = {HOME}
    aws.table(AWAY).take_right(AWAY, 0)
    found = status_of(aws)
    lost, left = found["regions"][HOME], found["regions"][AWAY]
    seen = {"alive", "ready", "why"}
    assert {key for key in TOLD if lost[key] == UNKNOWN} == {*TOLD} - seen
    assert (lost["alive"], lost["why"]) == (False, "timed out")
    assert set(lost["unknown"]) == {*TOLD, "watch"} - {*seen, "lags", "watched_s"}
    assert lost["unknown"]["right"] == "table: EndpointConnectionError"
    assert "Could not connect" in lost["unknown"]["alarms"]
    assert left["unknown"] == {}
    assert (found["active"], found["epoch"], found["writer"], found["run"]) == (AWAY, 2, HOME, None)


def test_where_nobody_tells_anything_all_is_unknown() -> None:
    aws = FakeAws()
    refused: list[Fault | None] = [Fault(client_error("AccessDenied"))] * 99
    aws.faults = dict.fromkeys(QUESTIONS, refused)
    found = status_of(aws)
    assert {found[key] for key in ("active", "epoch", "writer", "run", "drill")} == {UNKNOWN}


def test_the_newest_of_what_the_regions_tell_counts() -> None:
    aws = FakeAws()
    aws.tables[AWAY].copy = lambda *_: None
    for began, region in ((NOW, HOME), (NOW + 1, AWAY)):
        aws.table(region).keep(DRILL, {**ALONE, "began": began})
    aws.table(AWAY).take_right(AWAY, 4)
    found = status_of(aws)
    assert (found["active"], found["epoch"], found["drill"]["began"]) == (AWAY, 5, NOW + 1)


def test_of_two_opinions_on_the_writer_that_of_the_active_region_counts() -> None:
    aws = FakeAws()
    aws.table(HOME).take_right(AWAY, 0)
    looked: list[dict[str, Any]] = []

    def differing() -> dict[str, Any]:
        looked.append({})
        return {"GlobalClusterMembers": [{"DBClusterArn": f"a:b:c:{aws.calls[-1][1]}:", "IsWriter": True}]}

    aws.rds.look = differing  # type: ignore[method-assign]
    assert status_of(aws)["writer"] == AWAY
    assert len(looked) == 2


def test_both_regions_are_asked_at_the_same_time() -> None:
    aws, meeting = FakeAws(), threading.Barrier(2, timeout=5.0)

    def look(url: str) -> ProbeResult:
        meeting.wait()
        return aws.look(url)

    assert all(region["alive"] is True for region in status_of(aws, look=look)["regions"].values())


def test_an_answer_that_does_not_come_is_not_waited_for_long() -> None:
    aws, over = FakeAws(), threading.Event()

    def look(url: str) -> ProbeResult:
        if url.startswith(HOME):
            over.wait(5.0)
        return aws.look(url)

    found = status_of(aws, look=look, patience=0.05)
    over.set()
    assert found["regions"][HOME]["unknown"] == {"API": "no answer within 0.05 s"}
    assert (found["regions"][HOME]["alive"], found["regions"][AWAY]["alive"]) == (UNKNOWN, True)


def test_what_another_version_has_written_is_unknown() -> None:
    aws = FakeAws()
    aws.table(AWAY).keep(f"!watch:{AWAY}", {"strange": 1})
    found = status_of(aws)["regions"][AWAY]
    assert (found["lags"], found["right"]["epoch"]) == (UNKNOWN, 1)
    assert "strange" in found["unknown"]["watch"]


def test_an_unfinished_run_is_shown_with_its_steps() -> None:
    aws = FakeAws()
    claim(Journal(aws.table(HOME)), aws.cloud(Action.FAILBACK, HOME).plan, "me", why="w", clock=aws.clock)
    assert status_of(aws)["run"]["ended"] is None


def test_alarms_of_a_stack_whose_name_begins_alike_are_none_of_its_own() -> None:
    aws = FakeAws()
    raised(aws, "mine")
    suffix = aws.stack.environment_suffix
    aws.alarms[AWAY].append({"AlarmName": f"tapstack-{suffix}-2-other", "AlarmActions": ["another"]})
    assert alarms(aws, aws.stack, aws.stack.site(AWAY)) == [f"tapstack-{suffix}-mine"]


@pytest.mark.parametrize("region", [HOME, AWAY])
def test_each_region_is_asked_for_its_own(region: str) -> None:
    aws = FakeAws()
    status_of(aws)
    asked = {operation for _, where, operation in aws.calls if where == region}
    assert asked == {"look", *QUESTIONS}
