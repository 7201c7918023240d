"""Status and plan in rows and lines of text."""
from typing import Any

import pytest

from recovery import show
from recovery.plan import Action, predict
from recovery.status import UNKNOWN
from tests.unit.recovery.fakes import AWAY, HOME, NOW, plan, stack

REGION: dict[str, Any] = {
    "role": "primary", "alive": True, "ready": False, "why": "ledger unavailable",
    "right": {"epoch": 3, "region": AWAY}, "writer": AWAY, "cluster": "available", "instances": 2, "lever": False,
    "lags": {"ledger": 0.25, "table": 2.0}, "watched_s": 4.0, "alarms": ["a", "b"], "run": None, "drill": None,
    "unknown": {}}
SILENT = {**dict.fromkeys(REGION, UNKNOWN), "role": "dr",
          "unknown": {"run": "table: Timeout", "lever": "lever in us-west-2: 403", "right": "table: Timeout"}}
FOUND = {"active": AWAY, "epoch": 3, "writer": AWAY, "mode": "manual", "run": None, "drill": None,
         "regions": {HOME: REGION, AWAY: SILENT}}
RUN = {"began": NOW, "action": "failover", "target": AWAY, "driver": "me", "outcome": "done", "why": "it is dead",
       "steps": {"fence": {"ended": NOW}, "promote": {"ended": None}}}
DRILL = {"began": NOW, "action": "failover", "from": HOME, "to": AWAY, "ok": True, "why": "", "broken": None}


def test_the_regions_stand_beside_one_another() -> None:
    rows = {row[0]: row[1:] for row in show.regions(FOUND)}
    assert rows == {
        "": [f"{HOME} (primary)", f"{AWAY} (dr)"], "answers": ["yes", UNKNOWN], "can take payments": ["no", UNKNOWN],
        "why not": ["ledger unavailable", UNKNOWN], "right to write": [f"epoch 3, region {AWAY}", UNKNOWN],
        "database's writer": [AWAY, UNKNOWN], "cluster": ["available", UNKNOWN],
        "instances available": ["2", UNKNOWN], "lever pulled": ["no", UNKNOWN],
        "copies behind, s": ["ledger 0.2, table 2.0", UNKNOWN], "looked last, s ago": ["4.0", UNKNOWN],
        "alarms": ["a, b", UNKNOWN]}


def test_what_holds_for_the_whole_and_why_something_is_unknown() -> None:
    assert show.stack(FOUND) == [
        f"payments: {AWAY}, epoch 3; database's writer: {AWAY}; failoverMode: manual", "latest run: none",
        "last drill: none", f"unknown of {AWAY}: right, run: table: Timeout",
        f"unknown of {AWAY}: lever: lever in us-west-2: 403"]


@pytest.mark.parametrize(("key", "value", "told"), [
    ("run", UNKNOWN, "latest run: unknown"),
    ("run", RUN, f"latest run: 2027-01-15 08:00:00 UTC, failover to {AWAY} by me: done; it is dead"),
    ("run", {**RUN, "outcome": ""},
     f"latest run: 2027-01-15 08:00:00 UTC, failover to {AWAY} by me: not at its end, at promote; it is dead"),
    ("run", {**RUN, "outcome": "", "steps": {}},
     f"latest run: 2027-01-15 08:00:00 UTC, failover to {AWAY} by me: not at its end; it is dead"),
    ("drill", UNKNOWN, "last drill: unknown"),
    ("drill", DRILL, f"last drill: 2027-01-15 08:00:00 UTC, failover from {HOME} to {AWAY}: ok"),
    ("drill", {**DRILL, "ok": False, "why": "failed", "broken": {"region": HOME}},
     f"last drill: 2027-01-15 08:00:00 UTC, failover from {HOME} to {AWAY}: failed, and what it broke is not restored"),
])
def test_the_latest_run_and_the_last_drill(key: str, value: Any, told: str) -> None:
    assert told in show.stack({**FOUND, key: value})


@pytest.mark.parametrize(("value", "told"), [
    (None, "none"), ([], "none"), ({}, "none"), ({"a": [1, 2.0], "b": None}, "a 1, 2.0, b none"), ("", ""), (0, "0"),
])
def test_values(value: Any, told: str) -> None:
    assert show.text(value) == told


@pytest.mark.parametrize("action", Action)
def test_a_plan_in_rows(action: Action) -> None:
    planned = plan(action)
    head, *rows = show.steps(planned)
    assert [row[0] for row in rows] == [step.key for step in planned.steps]
    assert {len(row) for row in rows} == {len(head)}
    assert [row[0] for row in rows if row[-1].endswith(" (after)")] == ["reconcile"]


def test_the_budget_names_what_is_added_and_what_is_declared() -> None:
    planned = plan()
    told = show.budget(planned)
    assert told.startswith(f"budget: {sum(planned.budget().values()):.0f} s of 900 s (recoveryTimeObjective): ")
    assert {part.rpartition(" ")[0] for part in told.split("): ")[1].split(" + ")} == planned.budget().keys()


def test_a_prediction_ends_with_its_sum() -> None:
    found = predict(stack())
    least, most = sum(each.least for each in found), sum(each.most for each in found)
    head, *rows, last = show.expected(found)
    assert (head[0], [row[0] for row in rows]) == ("phase", [each.phase for each in found])
    assert last == ["all", f"{least:.0f} s", f"{most:.0f} s", ""]
