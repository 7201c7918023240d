"""Reports of moves, by the command and at the end of a move: what they count, and that they stop nothing."""
import json
from typing import Any

import pytest

from recovery.terminal import REPORTS
from tests.component.recovery.shell import AWAY, HOME, Result, Shell, down, returned, up, watching
from tests.unit.recovery.report.report_world import ReportWorld, line


@pytest.fixture
def world(shell: Shell) -> ReportWorld:
    """The one of the commands."""
    assert isinstance(shell.world, ReportWorld)
    return shell.world


def test_a_move_is_reported_at_any_time_while_a_region_is_lost(shell: Shell, world: ReportWorld) -> None:
    assert shell.type("report") == Result(2, "", ["recovery: there is nothing to report: no payments were ever moved"])
    down(shell)
    world.move()
    world.repair(line("p1", "refused", 99))
    result = shell.type("report")
    assert (result.code, result.err, shell.reported()) == (0, [], ["failover"])
    said = result.out.splitlines()
    assert said[0].startswith(f"failover from {HOME} to {AWAY}: 1 payments could not be restored: 99 EUR (minor units)")
    assert said[1] == "still to do: settle each payment that could not be restored, with its client"
    assert said[-1] == f"report: {next(shell.reports.glob('*.html'))}"
    document = json.loads(shell.type("report --json").out)
    assert document == json.loads(next(shell.reports.glob("*.json")).read_text())
    assert (document["run"]["driver"], document["repair"]["not_restored"]) == ("alice", 1)


def test_the_reports_of_a_rehearsal_are_kept_apart(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shell.outputs.parent)
    shell.deploy(shell.world, emulator={})
    shell.world.move()
    assert f"report: .rehearsal/{REPORTS}/failover-" in shell.type("report", reports=REPORTS).out
    shell.deploy(shell.world)
    assert f"report: {REPORTS}/failover-" in shell.type("report", reports=REPORTS).out


def test_a_clean_switchover_reports_no_loss(shell: Shell, world: ReportWorld) -> None:
    up(shell)
    watching(world)
    # While it waits for the copies, the standby's repair reports what has not arrived yet.
    world.at(1.0, lambda: world.repair(line("p", "reported", 5000, epoch=1), epoch=1))
    assert shell.type("switchover --to us-west-2").code == 0
    world.repair(number=2)
    document = json.loads(shell.type("report --json").out)
    assert (document["ok"], document["repair"]["not_restored"], document["repair"]["set_aside"]) == (True, 0, [])


@pytest.mark.parametrize("skew", [-600.0, 600.0])
def test_a_machine_whose_clock_is_wrong_reports_the_same(shell: Shell, world: ReportWorld, skew: float) -> None:
    down(shell)
    process = world.process()
    process.skew = skew
    assert shell.type("failover --to us-west-2", connect=lambda _: world.recovery(process)).code == 0
    world.wait(30.0)  # the repair that the command has started ends
    world.repair(line("p", "refused", 990000), number=9)
    document = json.loads(shell.type("report --json").out)
    assert (document["repair"]["not_restored"], document["repair"]["not_restored_amounts"]) == (1, {"EUR": 990000})
    assert 40.0 < document["recovery"]["wall_s"] < 200.0


@pytest.mark.parametrize("odd", [
    [], {"payment_id": "p", "outcome": "refused"}, *(
        {**line("p", "refused"), "payment": {"amount": amount, "currency": "EUR"}} for amount in ("9", float("nan")))])
def test_an_odd_line_of_repair_stops_neither_a_report_nor_the_way_back(
        shell: Shell, world: ReportWorld, odd: Any) -> None:
    down(shell)
    world.move()
    world.repair(odd)
    assert shell.type("report").code == 0
    returned(world)
    up(shell)
    watching(world)
    assert (shell.type("failback").code, world.leader(AWAY)[0]) == (0, HOME)
    assert shell.reported() == ["failback", "failover"]


def test_whatever_goes_wrong_while_a_report_is_kept_stops_nothing(
        shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    down(shell)
    monkeypatch.setattr("recovery.terminal.read_repairs", {}.__getitem__)
    result = shell.type("failover --to us-west-2")
    assert (result.code, len(result.err), shell.world.aurora.writer) == (0, 1, AWAY)
    assert result.err[0].startswith("recovery: the report could not be written: ")


def test_a_report_that_cannot_be_written_stops_nothing(shell: Shell) -> None:
    down(shell)
    shell.reports.touch()
    result = shell.type("failover --to us-west-2")
    assert (result.code, len(result.err)) == (0, 1)
    assert result.err[0].startswith("recovery: the report could not be written: ")
    assert "report:" not in result.out
    result = shell.type("report")
    assert (result.code, len(result.err)) == (1, 1)
    assert "failover from us-east-1 to us-west-2: done" in result.out
