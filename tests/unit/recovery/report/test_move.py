"""The report of a move says who moved payments, when, for how long none was taken, what is lost, and what is to do."""
import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from contract import Phase
from payments.reconcile import Phase as RepairPhase
from recovery.plan import Action
from recovery.record import Run, StepProgress
from recovery.report import move
from recovery.report.move import MoveReport, Repairs, read_repairs
from recovery.report.timeline import seconds
from simulator.vocabulary import FailureMode
from tests.unit.recovery.calm_world import EAST, WEST
from tests.unit.recovery.fakes import stack
from tests.unit.recovery.report.reader import Reader
from tests.unit.recovery.report.report_world import ReportWorld, line

ARN = "arn:aws:sts::123456789012:assumed-role/operator/alice"
STEPS = {key: StepProgress(began=began, ended=ended, note=f"{key} noted") for key, began, ended in (
    ("fence", 1100.0, 1100.5), ("traffic", 1100.5, 1101.0), ("promote", 1101.0, 1180.0), ("epoch", 1180.0, 1181.0),
    ("verify", 1181.0, 1190.0))}
FAILOVER = Run(id="20270115T080134Z-f9fcfc", action="failover", target=WEST, driver="alice on laptop", caller=ARN,
               began=1099.0, why="failover requested", seen=1098.0, since=1000.0, at_risk=3.2, epoch=2, steps=STEPS,
               ended=1190.5, outcome="done")
ALL_ENDED = Repairs(ended=True)


def report(repairs: Repairs = ALL_ENDED, *, outputs: Any = None, **changes: Any) -> MoveReport:
    """The report of the failover, or of a run that differs."""
    return MoveReport(run=replace(FAILOVER, **changes), stack=stack(**(outputs or {})), repairs=repairs)


def text(found: MoveReport) -> str:
    """What its page says."""
    return Reader(found.page().html()).text


def test_the_time_without_payments_is_split_into_phases() -> None:
    recovery = report().recovery
    assert recovery
    assert recovery.wall_s == 190.0
    assert {each.phase: each.wall_s for each in recovery.split} == {
        Phase.DETECT: 98.0, Phase.DECIDE: 1.0, Phase.FENCE: 1.5, Phase.PROMOTE: 79.5, Phase.FIRST_WRITE: 10.0}


@pytest.mark.parametrize(("changes", "began"), [
    ({}, 1000.0), ({"since": None}, 1098.0), ({"since": None, "seen": None}, 1099.0),
    ({"action": "switchover"}, 1100.0), ({"action": "switchover", "steps": {}}, 1099.0)])
def test_payments_stopped_with_the_failure_or_with_the_fence_of_a_planned_move(
        changes: dict[str, Any], began: float) -> None:
    assert report(**changes).began == began


def test_the_page_says_what_somebody_must_account_for() -> None:
    found = text(report(Repairs(ended=True, lines={"p1": line("p1"), "p2": line("p2", "refused", 99, "USD")})))
    for words in (ARN, "alice on laptop", "failover requested", seconds(190.0), "payments at risk at the start", "3 s",
                  "recoveryTimeObjective", "promote noted", "us-east-1 fails", "1250 EUR (minor units)",
                  "p2 99 USD alice bob", "ledger: lost refused", "python -m recovery failback"):
        assert words in found
    assert "emulated" not in found
    assert "compressed" not in found
    assert found.startswith("✗ Failover to us-west-2, 1970-01-01 00:18:19 UTC")


def test_a_move_without_losses_is_well() -> None:
    found = report()
    assert (found.wrong, found.verdict) == (
        [], "failover from us-east-1 to us-west-2: done; payments were taken again after 190.0 s")
    assert "Payments that could not be restored" not in text(found)


@pytest.mark.parametrize(("changes", "wrong"), [
    ({"outcome": "", "ended": None}, "unfinished"), ({"outcome": "traffic was not done"}, "traffic was not done"),
    ({"since": 0.0}, "payments were not taken for 1190 s, and recoveryTimeObjective is 900 s"),
    ({"repairs": Repairs(lines={"p": line("p", "set aside", 7)})}, "1 payments could not be restored: 7 EUR"),
    ({"repairs": Repairs(lines={"p": line("p", "set aside", payment=None)})}, "not be restored: 0 unknown"),
    ({"repairs": Repairs(lines={"p": line("p", "refused", payment=None, others=[{"amount": 5, "currency": "GBP"}])})},
     "could not be restored: 5 GBP"),
])
def test_what_went_wrong_comes_first(changes: dict[str, Any], wrong: str) -> None:
    found = report(**changes)
    assert wrong in found.verdict
    assert not found.page().ok
    assert not found.document()["ok"]


def test_what_is_unknown_is_called_unknown() -> None:
    found = text(report(at_risk=None, caller="", steps={}, outcome="was not done"))
    assert "no payments were taken for unknown" in found
    assert "at most unknown" in found
    assert "caller unknown" in found


@pytest.mark.parametrize(("changes", "todo"), [
    ({}, ["once us-east-1 answers", "write this report again once the copies"]),
    ({"outputs": {"table_consistency": "strong"}}, ["once us-east-1 answers again, move back: python -m recovery fai"]),
    ({"target": EAST}, ["once us-west-2 answers again, move back: python -m recovery switchover --to us-west-2",
                        "write this"]),
    ({"action": "failback"}, ["check that the state agrees: pulumi refresh"]),
    ({"outcome": "was not done"}, ["see what to do now: python -m recovery status"]),
    ({"repairs": Repairs()}, ["wait until repair has gone through all payments", "once", "write"]),
    ({"repairs": Repairs(unknown="no bucket")}, ["find out what repair has found", "once", "write"]),
    ({"repairs": Repairs(ended=True, lines={"p": line("p", "refused")})}, ["settle each payment", "once", "write"]),
])
def test_what_is_still_to_do_is_listed(changes: dict[str, Any], todo: list[str]) -> None:
    found = report(**changes).todo
    assert len(found) == len(todo)
    assert [said for said, begins in zip(found, todo, strict=True) if not said.startswith(begins)] == []


def test_the_document_has_all_of_it() -> None:
    found = report(Repairs(ended=True, lines={"p": line("p", "refused", 99)}))
    document = json.loads(json.dumps(found.document()))
    assert Run.of(document["run"]) == found.run
    assert (document["from"], document["to"], document["at_risk_s"]) == (EAST, WEST, 3.2)
    assert document["repair"] == {"ended": True, "unknown": "", "lost": 1, "lost_amounts": {"EUR": 99},
                                  "payments": [line("p", "refused", 99)]}
    assert found.recovery
    assert document["recovery"] == asdict(found.recovery)


# --- What repair has found

def repairs(world: ReportWorld, bucket: str = f"receipts-{WEST}") -> Repairs:
    """What it is after a failover to west."""
    run = world.record().run
    assert run
    return world.run_task(lambda: read_repairs(world.cloud(Action.ALIGN), bucket, run))


@pytest.fixture
def world() -> ReportWorld:
    """One after a failover, before which repair had written something too."""
    found = ReportWorld(automatic=False)
    found.repair(line("before"), part=9)
    found.cut_off(EAST)
    found.move()
    return found


def test_a_failover_keeps_when_the_region_failed_and_what_was_at_risk(world: ReportWorld) -> None:
    run = world.record().run
    assert run
    assert run.since
    assert run.seen is None
    assert 40 <= run.began - run.since <= 70
    assert run.at_risk
    assert 0 < run.at_risk < 30


def test_a_planned_move_puts_nothing_at_risk() -> None:
    world = ReportWorld()
    hold = world.claim(Action.SWITCHOVER)
    assert (hold.run.since, hold.run.at_risk) == (None, None)


def test_what_repair_has_found_since_the_move_counts(world: ReportWorld) -> None:
    world.repair(line("p1", "refused"), line("p2"))
    world.repair(line("p1", "repaired"), part=1)
    found = repairs(world)
    assert (set(found.lines), found.ended, found.unknown) == ({"p1", "p2"}, True, "")
    assert found.lost == []


@pytest.mark.parametrize("progress", [{"epoch": 1}, {"phase": "ledger"}])
def test_a_pass_under_way_or_before_the_move_has_not_ended(world: ReportWorld, progress: dict[str, Any]) -> None:
    world.repair(line("p"), **progress)
    assert not repairs(world).ended
    assert move.ENDED == RepairPhase.ENDED


def test_what_cannot_be_read_is_unknown(world: ReportWorld) -> None:
    assert repairs(world, "").unknown == "the outputs do not name the receipts bucket"
    world.repair(text=b"[]\n{\n")
    assert repairs(world).unknown.startswith("what repair has written is malformed: ")
    world.network.refusing[WEST, "s3"] = FailureMode.ERROR
    assert repairs(world).unknown.startswith("what repair has found in us-west-2: ")
    world.network.refusing[WEST, "dynamodb"] = FailureMode.ERROR
    assert repairs(world).unknown == "table: InternalServerError"
