"""What commands refuse before they ask for anything or fence, and what they say of what they do not know."""
# pylint: disable=protected-access
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from contract import RECORD_KEY, Store
from payments.errors import StoreUnavailable
from recovery.cli import DECIDED_AGAIN, GOES_ON, TYPE_AGAIN, UNDECIDED
from recovery.control_table import ControlTable
from recovery.errors import REACH, AwsFailure
from recovery.outputs import FoundOutputs
from recovery.plan import STEPS, Action
from recovery.record import ControlRecord, Run
from simulator.faults import FAULTS
from simulator.metrics import IamClient
from simulator.vocabulary import FailureMode
from tests.component.recovery.shell import AWAY, HOME, Result, Shell, api_down, down, returned, up


@pytest.mark.parametrize("arguments", [
    ["switchover", "--to", ""], ["failover", "--to="], ["align", "--to", " "], ["plan", "failover", "--to", ""],
    ["drill", "--yes", "--to", ""], ["--stack", "", "status"], ["--region", "", "--suffix", "dev", "status"],
    ["--region", HOME, "--suffix", "", "status"], ["pause", "--minutes", "5", "--reason", ""],
    ["pause", "--minutes", "", "--reason", "x"], ["doctor", "--needs", ""]])
def test_an_option_without_a_value_is_refused_before_anything_is_asked(shell: Shell, arguments: list[str]) -> None:
    """A script's variable that is not set must not choose the default region, or another stack."""
    up(shell)
    shell.world.calls.clear()
    (option,) = (before.partition("=")[0] for before, each in pairwise([*arguments, "x"])
                 if not each.strip() or before.endswith("="))
    assert shell.type(arguments) == Result(2, "", [f"recovery: {option} is given without a value"])
    assert (shell.head, shell.world.calls) == ("", [])


@pytest.mark.parametrize(("line", "denial", "action"), [
    ("switchover", (HOME, "SwitchoverGlobalCluster", ""), "rds:SwitchoverGlobalCluster"),
    ("failover", (AWAY, "FailoverGlobalCluster", "global-cluster:"), "rds:FailoverGlobalCluster"),
    ("failover", (AWAY, "FailoverGlobalCluster", f":{HOME}:"), "rds:FailoverGlobalCluster"),
    ("failover", (AWAY, "PutObject", "control"), "s3:PutObject")])
def test_who_may_not_carry_out_a_move_is_told_so_before_it_fences(
        shell: Shell, line: str, denial: tuple[str, str, str], action: str) -> None:
    world, command = up(shell) if line == "switchover" else api_down(shell), f"{line} --to {AWAY}"
    world.network.denied.add(denial)
    assert f"would be refused now, because IAM denies you {action}" in shell.type(f"plan {command}").out.splitlines()[0]
    refused = Result(2, "", [f"recovery: IAM denies you {action}"])
    assert shell.type(command) == refused
    assert (world.leader(AWAY), world.record().run) == ((HOME, 1), None)
    # Nor do they continue what somebody else has begun: it would end where they may not go on.
    world.run_task(world.claim(Action(line)).fence)
    assert shell.type(command) == refused
    assert world.record().open_run


def test_what_a_controller_may_not_do_keeps_no_person_from_a_failover(
        shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = IamClient.simulate_principal_policy

    def deny(iam: IamClient, **given: Any) -> dict[str, Any]:
        found = answer(iam, **given)
        denied = given["PolicySourceArn"].endswith(f"role/{AWAY}") and given["ActionNames"] == ["sns:Publish"]
        return {"EvaluationResults": [{"EvalDecision": "implicitDeny"}]} if denied else found

    monkeypatch.setattr(IamClient, "simulate_principal_policy", deny)
    world = api_down(shell)
    assert world.observation().refused == ["us-west-2 is not healthy: its controller may not call sns:Publish"]
    assert world.notified() == ["us-east-1 does not answer: us-west-2 can take over"]
    assert "failover to us-west-2 would begin now" in shell.type("plan failover").out
    assert shell.type("failover --to us-west-2").code == 0
    assert world.aurora.writer == AWAY


def test_the_plan_of_a_failback_says_what_it_would_wait_for(shell: Shell) -> None:
    world = down(shell)
    assert shell.type("failover --to us-west-2").code == 0
    returned(world, 200.0)
    world.look(times=3)
    FAULTS["receipts-denied"][0](world, HOME)
    why = "us-east-1 is not healthy: receipts:AccessDenied"
    assert shell.type("plan failback").out.startswith(
        f"failback to {HOME} would begin now\nfailback to {HOME} would wait, because {why}\n")
    found = json.loads(shell.type("plan failback --json").out)
    assert (found["refused_now"], found["waits_for"]) == ([], [why])
    result = shell.type("failback")
    assert result.code == 1
    assert result.err[0] == f"recovery: rejoin was not done within 7200 s: {why}"
    assert world.record(HOME).region == AWAY


@pytest.mark.parametrize("mode", [*FailureMode])
def test_a_failover_waits_for_no_answer_of_iam(shell: Shell, mode: FailureMode) -> None:
    world = api_down(shell)
    world.network.refusing[HOME, "iam"] = mode
    world.network.denied.add((AWAY, "FailoverGlobalCluster", ""))
    began = world.scheduler.now
    assert "failover to us-west-2 would begin now" in shell.type("plan failover").out
    assert world.scheduler.now - began < 3.5
    world.network.denied.clear()
    assert shell.type("failover --to us-west-2").code == 0


def test_who_may_not_ask_iam_is_not_refused(shell: Shell) -> None:
    up(shell)
    for denied in ("GetRole", "SimulatePrincipalPolicy"):
        shell.world.network.denied = {(HOME, denied, ""), (HOME, "SwitchoverGlobalCluster", "")}
        assert shell.type("plan switchover").out.startswith(f"switchover to {AWAY} would begin now")


@pytest.mark.parametrize("readable", [True, False])
def test_what_is_said_after_a_failed_step_comes_from_the_record_as_it_is_now(
        shell: Shell, monkeypatch: pytest.MonkeyPatch, *, readable: bool) -> None:
    """The fence is written, and neither its answer nor any later one comes."""
    world, write = down(shell), ControlTable.write_record

    def written(table: ControlTable, record: ControlRecord) -> ControlRecord:
        if world.leader(AWAY)[0] == HOME:
            found = write(table, record)
            if world.leader(AWAY)[0] == HOME:
                return found
        if not readable:
            world.network.refusing[AWAY, "dynamodb"] = FailureMode.ERROR
        raise StoreUnavailable(Store.TABLE, "ReadTimeoutError", again=True)

    monkeypatch.setattr(ControlTable, "write_record", written)
    unknown = f"it is unknown whether a move is under way (table: InternalServerError): {TYPE_AGAIN}"
    result = shell.type("failover --to us-west-2")
    assert (result.code, result.err) == (1, [
        "recovery: table: ReadTimeoutError", f"recovery: {GOES_ON if readable else unknown}"])
    found = world.record().open_run
    assert found
    assert world.leader(AWAY) == (AWAY, found.epoch)


@pytest.mark.parametrize(("after", "said"), [
    (lambda run: replace(run, driver="bob"),
     f"failover to {AWAY}, step promote is under way now, by bob: {TYPE_AGAIN}"),
    (lambda run: replace(run, epoch=0), UNDECIDED), (lambda run: replace(run, ended=9.0), DECIDED_AGAIN),
    (lambda _: None, DECIDED_AGAIN)])
def test_an_interrupted_command_says_what_has_become_of_its_run(
        shell: Shell, monkeypatch: pytest.MonkeyPatch, after: Callable[[Run], Run | None], said: str) -> None:
    world = down(shell)

    def interrupt(*_: object, **__: object) -> None:
        run = world.record().run
        assert run
        world.set_record(run=after(run))
        raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules["recovery.steps"]._IMPLEMENTATIONS, STEPS[Action.FAILOVER][2], interrupt)
    assert shell.type("failover --to us-west-2").err == ["recovery: interrupted", f"recovery: {said}"]


def test_whether_payments_were_ever_moved_is_unknown_while_a_region_that_may_know_is_silent(shell: Shell) -> None:
    shell.world.lose(AWAY, ends=True)
    assert shell.type("report") == Result(1, "", [f"recovery: table: ConnectTimeoutError: {REACH}"])


def test_of_two_runs_the_one_that_has_fenced_is_not_aborted(shell: Shell) -> None:
    world = shell.world
    world.run_task(world.claim().fence)
    fenced = world.table.views[AWAY][RECORD_KEY]
    world.set_record(run=None)
    world.claim(Action.SWITCHOVER, HOME)
    world.wait(5.0)
    world.table.views[AWAY][RECORD_KEY] = fenced
    result = shell.type("abort")
    assert (result.code, result.out, len(result.err)) == (0, "aborted: switchover to us-east-1\n", 1)
    assert "failover to us-west-2 has fenced" in result.err[0]


def test_a_doctor_who_does_not_reach_the_outputs_could_not_look(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> FoundOutputs:
        raise AwsFailure("outputs in us-west-2: Connect timeout")

    monkeypatch.setattr("recovery.terminal.in_region", silent)
    for command, code in (("doctor", 2), ("status", 1)):
        assert shell.type(f"--region {AWAY} --suffix dev {command}") == Result(
            code, "", [f"recovery: outputs in us-west-2: Connect timeout: {REACH}"])
