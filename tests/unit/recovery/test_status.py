"""How the stack is doing: what each region reports, and what is unknown."""
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from contract import DRILL_KEY
from recovery.observation import Observation
from recovery.plan import Action
from recovery.runner import claim
from recovery.status import KEYS, UNKNOWN, alarms, read_status
from tests.unit.payments.fakes import Fault, client_error
from tests.unit.recovery.fakes import AWAY, HOME, NOW, FakeAws

QUESTIONS = ("GetItem", "DescribeGlobalClusters", "DescribeDBClusters", "DescribeDBInstances", "HeadObject",
             "DescribeAlarms", "DescribeEvents")
ALONE = {"action": "failover", "from": HOME, "to": AWAY, "ok": True, "why": "", "broken": None}


def status_of(aws: FakeAws) -> dict[str, Any]:
    """The status, which is JSON."""
    found = read_status(aws.environment, aws.stack)
    assert json.loads(json.dumps(found)) == found
    return found


def raised(aws: FakeAws, name: str, region: str = AWAY) -> None:
    """An alarm of the stack."""
    topic = aws.stack.site(region).topic_arn
    aws.alarms[region].append({"AlarmName": f"tapstack-{aws.stack.environment_suffix}-{name}", "AlarmActions": [topic]})


def test_everything_that_a_region_reports() -> None:
    aws = FakeAws()
    aws.table(AWAY).write_observation(Observation(region=AWAY, at=NOW - 4.04, lags={"table": 1.0}))
    aws.levers[AWAY] = [b"failover"]
    raised(aws, "b")
    raised(aws, "a")
    for day, message in ((1, "Global failover started."), (2, "Global failover completed.")):
        aws.rds.events[AWAY].append({"Date": datetime(2026, 1, day, tzinfo=UTC), "Message": message})
    run = claim(aws.cloud(), "somebody", why="requested")
    aws.table(AWAY).write_document(DRILL_KEY, {**ALONE, "began": NOW})
    found = status_of(aws)
    assert found["regions"][AWAY] == {
        "role": "dr", "alive": True, "ready": False, "why": "", "right": {"epoch": 1, "region": HOME}, "writer": HOME,
        "cluster": "available", "instances": 1, "lever": True, "lags": {"table": 1.0}, "watched_s": 4.0,
        "alarms": [f"tapstack-{aws.stack.environment_suffix}-a", f"tapstack-{aws.stack.environment_suffix}-b"],
        "event": {"at": "2026-01-02T00:00:00+00:00", "message": "Global failover completed."},
        "run": run.document(), "drill": {**ALONE, "began": NOW}, "unknown": {}}
    assert found["regions"][HOME]["event"] is None
    assert found["regions"][HOME]["lags"] is found["regions"][HOME]["watched_s"] is None
    assert {key: value for key, value in found.items() if key != "regions"} == {
        "active": HOME, "epoch": 1, "writer": HOME, "mode": "manual", "run": run.document(),
        "drill": {**ALONE, "began": NOW}}
    assert list(found["regions"]) == [HOME, AWAY]


def test_a_region_that_is_cut_off_is_unknown_each_part_with_its_reason() -> None:
    aws = FakeAws()
    aws.cut = {HOME}
    aws.table(AWAY).take_leadership(AWAY, 0)
    found = status_of(aws)
    lost, left = found["regions"][HOME], found["regions"][AWAY]
    seen = {"alive", "ready", "why"}
    assert {key for key in KEYS if lost[key] == UNKNOWN} == {*KEYS} - seen
    assert (lost["alive"], lost["why"]) == (False, "timed out")
    assert set(lost["unknown"]) == {*KEYS, "watch"} - {*seen, "lags", "watched_s"}
    assert lost["unknown"]["right"] == "table: EndpointConnectionError"
    assert "Could not connect" in lost["unknown"]["alarms"]
    assert left["unknown"] == {}
    assert (found["active"], found["epoch"], found["writer"], found["run"]) == (AWAY, 2, HOME, None)


def test_where_no_region_answers_everything_is_unknown() -> None:
    aws = FakeAws()
    refused: list[Fault | None] = [Fault(client_error("AccessDenied"))] * 99
    aws.faults = dict.fromkeys(QUESTIONS, refused)
    found = status_of(aws)
    assert {found[key] for key in ("active", "epoch", "writer", "run", "drill")} == {UNKNOWN}


def test_the_newest_report_counts() -> None:
    aws = FakeAws()
    aws.tables[AWAY].copy = lambda *_: None
    for began, region in ((NOW, HOME), (NOW + 1, AWAY)):
        aws.table(region).write_document(DRILL_KEY, {**ALONE, "began": began})
    aws.table(AWAY).take_leadership(AWAY, 4)
    found = status_of(aws)
    assert (found["active"], found["epoch"], found["drill"]["began"]) == (AWAY, 5, NOW + 1)


def test_if_the_regions_disagree_on_the_writer_the_active_region_is_right() -> None:
    aws = FakeAws()
    aws.table(HOME).take_leadership(AWAY, 0)
    looked: list[dict[str, Any]] = []

    def differing() -> dict[str, Any]:
        looked.append({})
        return {"GlobalClusterMembers": [{"DBClusterArn": f"a:b:c:{aws.calls[-1][1]}:", "IsWriter": True}]}

    aws.rds.look = differing  # type: ignore[method-assign]
    assert status_of(aws)["writer"] == AWAY
    assert len(looked) == 2


def test_an_answer_that_is_late_is_unknown() -> None:
    aws = FakeAws()
    aws.background.late = lambda question: question == (aws.stack.site(HOME), "API")
    found = status_of(aws)
    assert found["regions"][HOME]["unknown"] == {"API": "no answer within 10 s"}
    assert (found["regions"][HOME]["alive"], found["regions"][AWAY]["alive"]) == (UNKNOWN, True)


def test_an_observation_of_another_version_is_unknown() -> None:
    aws = FakeAws()
    aws.table(AWAY).write_document(f"!watch:{AWAY}", {"strange": 1})
    found = status_of(aws)["regions"][AWAY]
    assert (found["lags"], found["right"]["epoch"]) == (UNKNOWN, 1)
    assert "strange" in found["unknown"]["watch"]


def test_an_unfinished_run_is_shown_with_its_steps() -> None:
    aws = FakeAws()
    claim(aws.cloud(Action.FAILBACK, HOME), "me", why="w")
    assert status_of(aws)["run"]["ended"] is None


def test_alarms_of_a_stack_with_a_similar_name_are_left_out() -> None:
    aws = FakeAws()
    raised(aws, "mine")
    suffix = aws.stack.environment_suffix
    aws.alarms[AWAY].append({"AlarmName": f"tapstack-{suffix}-2-other", "AlarmActions": ["another"]})
    assert alarms(aws.environment, aws.stack, aws.stack.site(AWAY)) == [f"tapstack-{suffix}-mine"]


@pytest.mark.parametrize("region", [HOME, AWAY])
def test_each_region_is_asked_for_its_own(region: str) -> None:
    aws = FakeAws()
    status_of(aws)
    asked = {operation for _, where, operation in aws.calls if where == region}
    assert asked == {"look", *QUESTIONS}
