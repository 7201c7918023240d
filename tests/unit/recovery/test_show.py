"""Status and plan in rows and lines of text."""
from typing import Any

import pytest

from recovery import show
from recovery.plan import Action, predict
from recovery.verdict import UNKNOWN
from simulator.scheduler import EPOCH as NOW
from tests.unit.recovery.calm_world import EAST as HOME
from tests.unit.recovery.calm_world import WEST as AWAY
from tests.unit.recovery.test_plan import STACK, plan

REGION: dict[str, Any] = {
    "role": "primary", "alive": True, "ready": False, "why": "ledger unavailable",
    "right": {"epoch": 3, "region": AWAY}, "writer": AWAY, "cluster": "available", "instances": 2, "lever": False,
    "led_to": AWAY, "exposure_s": 12.0, "refused": ["it is sick"], "watched_s": 4.0, "stale": False, "pause": None,
    "alarms": ["a", "b"],
    "event": {"at": "2026-01-02T00:00:00+00:00", "message": "Failed."}, "run": None, "drill": None,
    "unknown": {}}
SILENT = {**dict.fromkeys(REGION, UNKNOWN), "role": "dr", "alarms": [],
          "unknown": {"record": "table: Timeout", "lever": "lever in us-west-2: 403", "watch": "table: Timeout"}}
FOUND = {"active": AWAY, "epoch": 3, "writer": AWAY, "mode": "manual", "pause": None, "run": None, "drill": None,
         "regions": {HOME: REGION, AWAY: SILENT}}
RUN = {"began": NOW, "action": "failover", "target": AWAY, "driver": "me", "outcome": "done", "why": "it is dead",
       "steps": {"fence": {"ended": NOW}, "promote": {"ended": None}}}
DRILL = {"began": NOW, "action": "failover", "from": HOME, "to": AWAY, "ok": True, "why": "", "broken": None}


def test_each_region_is_a_column() -> None:
    rows = {row[0]: row[1:] for row in show.regions(FOUND)}
    assert rows == {
        "": [f"{HOME} (primary)", f"{AWAY} (dr)"], "answers": ["yes", UNKNOWN], "can take payments": ["no", UNKNOWN],
        "leader": [f"{AWAY} (epoch 3)", UNKNOWN],
        "database writer": [AWAY, UNKNOWN], "database cluster": ["available", UNKNOWN],
        "instances available": ["2", UNKNOWN], "lever pulled": ["no", UNKNOWN],
        "Route 53 sends clients to": [AWAY, UNKNOWN], "seconds of payments at risk": ["12.0", "it leads"],
        "seconds since a look": ["4.0", UNKNOWN]}


def test_what_is_unknown_is_not_called_none() -> None:
    region = {**REGION, **dict.fromkeys(("alive", "ready", "exposure_s", "watched_s", "writer"))}
    for stale, exposure in ((False, UNKNOWN), (True, f"{UNKNOWN} (4 s old)")):
        found = {**FOUND, "regions": {HOME: {**region, "stale": stale, "watched_s": 4.0}, AWAY: SILENT}}
        rows = {row[0]: row[1] for row in show.regions(found)}
        assert [rows[each] for each in ("answers", "can take payments", "database writer")] == [
            UNKNOWN, UNKNOWN, "none"]
        assert rows["seconds of payments at risk"] == exposure


def test_what_a_controller_said_long_ago_is_marked_with_its_age() -> None:
    found = {**FOUND, "regions": {HOME: {**REGION, "stale": True, "watched_s": 75.2}, AWAY: SILENT}}
    rows = {row[0]: row[1] for row in show.regions(found)}
    assert rows["seconds of payments at risk"] == "12.0 (75 s old)"
    assert rows["Route 53 sends clients to"] == f"{AWAY} (75 s old)"
    assert rows["answers"] == "yes"


def test_lines_about_the_whole_stack_and_why_a_part_is_unknown() -> None:
    assert show.stack(FOUND) == [
        f"leader: {AWAY}, epoch 3; database writer: {AWAY}; failoverMode: manual", "latest run: none",
        "last drill: none", f"{HOME}: cannot take payments: ledger unavailable",
        f"{HOME}: a failover would be refused: it is sick", f"{HOME}: alarms: a, b",
        f"{HOME}: latest database event: at 2026-01-02T00:00:00+00:00, message Failed.",
        f"unknown in {AWAY}: controller, leader: table: Timeout",
        f"unknown in {AWAY}: lever: lever in us-west-2: 403"]


def test_a_region_that_does_not_answer_takes_one_line() -> None:
    silent = {**SILENT, "alarms": UNKNOWN}
    lines = show.stack({**FOUND, "regions": {HOME: REGION, AWAY: silent}})
    assert [line for line in lines if line.startswith("unknown in")] == [
        f"unknown in {AWAY}: all that is not shown: table: Timeout"]


@pytest.mark.parametrize(("key", "value", "line"), [
    ("run", UNKNOWN, "latest run: unknown"),
    ("run", RUN, f"latest run: 2027-01-15 08:00:00 UTC, failover to {AWAY} by me: done; it is dead"),
    ("run", {**RUN, "outcome": ""},
     f"latest run: 2027-01-15 08:00:00 UTC, failover to {AWAY} by me: unfinished, step promote; it is dead"),
    ("run", {**RUN, "outcome": "", "steps": {}},
     f"latest run: 2027-01-15 08:00:00 UTC, failover to {AWAY} by me: unfinished; it is dead"),
    ("drill", UNKNOWN, "last drill: unknown"),
    ("drill", DRILL, f"last drill: 2027-01-15 08:00:00 UTC, failover from {HOME} to {AWAY}: ok"),
    ("drill", {**DRILL, "ok": False, "why": "failed", "broken": {"region": HOME}},
     f"last drill: 2027-01-15 08:00:00 UTC, failover from {HOME} to {AWAY}: failed; what it broke is not restored"),
])
def test_the_latest_run_and_the_last_drill(key: str, value: Any, line: str) -> None:
    assert line in show.stack({**FOUND, key: value})


def test_a_pause_is_shown_with_its_end_and_whose_it_is() -> None:
    pause = {"until": NOW + 60, "who": "bob", "reason": "network work"}
    assert "automatic failover is paused until 2027-01-15 08:01:00 UTC by bob: network work" in show.stack(
        {**FOUND, "pause": pause})


@pytest.mark.parametrize(("value", "expected"), [
    (None, "none"), ([], "none"), ({}, "none"), ({"a": [1, 2.0], "b": None}, "a 1, 2.0, b none"), ("", ""), (0, "0"),
])
def test_json_values_in_words(value: Any, expected: str) -> None:
    assert show.text(value) == expected


@pytest.mark.parametrize("action", Action)
def test_a_plan_in_rows(action: Action) -> None:
    planned = plan(action)
    head, *rows = show.steps(planned)
    assert [row[0] for row in rows] == [step.key for step in planned.steps]
    assert {len(row) for row in rows} == {len(head)}


def test_the_budget_names_what_is_added_and_what_is_declared() -> None:
    planned = plan(Action.FAILOVER)
    line = show.budget(planned)
    assert line.startswith(f"budget: {sum(planned.budget().values()):.0f} s of 900 s (recoveryTimeObjective): ")
    assert {part.rpartition(" ")[0] for part in line.split("): ")[1].split(" + ")} == planned.budget().keys()


def test_a_prediction_ends_with_its_sum() -> None:
    found = predict(STACK)
    least, most = sum(each.least for each in found), sum(each.most for each in found)
    head, *rows, last = show.expected(found)
    assert (head[0], [row[0] for row in rows]) == ("phase", [each.phase for each in found])
    assert last == ["total", f"{least:.0f} s", f"{most:.0f} s", ""]


def test_a_moment_that_is_none_is_shown_as_it_is() -> None:
    assert [show.utc(moment) for moment in (NOW, 1e17, 1e30, 10**400, float("nan"))] == [
        "2027-01-15 08:00:00 UTC", "1e+17", "1e+30", str(10**400), "nan"]
