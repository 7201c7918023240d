"""The command line as it is typed: exit codes, a line for each reason, and never a traceback."""
# pylint: disable=protected-access
import importlib
import io
import json
import os
import re
import runpy
import signal
import socket
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import typer
from botocore.exceptions import NoCredentialsError, ProfileNotFound
from rich.console import Console

from contract import CANARY_PREFIX, DRILL_KEY, OBSERVATION_PREFIX, PAUSE_KEY, RECORD_KEY, VERSION
from recovery.cli import DECIDED_AGAIN, GOES_ON, PROGRAM, app
from recovery.doctor.before import BEFORE
from recovery.doctor.check import Situation
from recovery.doctor.deployed import DEPLOYED
from recovery.drill.report import NO_DNS
from recovery.errors import REACH, SIGN_IN
from recovery.outputs import ELSEWHERE, FoundOutputs
from recovery.plan import STEPS, Action
from recovery.record import Run
from recovery.terminal import console_of
from simulator.metrics import StsClient
from simulator.scheduler import EPOCH
from simulator.vocabulary import FailureMode
from tests.component.recovery.shell import AWAY, HOME, Result, Shell, Unwritable, down, returned, up, watching
from tests.unit.recovery.calm_world import CalmWorld
from tests.unit.recovery.doctor.fakes import FINE, Account, needs
from tests.unit.recovery.drill.drill_world import DrillWorld
from tests.unit.recovery.fakes import FakeClock, environment_of

COMMANDS = ("status", "plan", "doctor", "switchover", "failover", "failback", "align", "abort", "pause", "resume",
            "drill", "report", "watch")


# --- Without AWS

@pytest.mark.parametrize("line", ["", "--help"])
def test_without_a_command_the_help_is_shown(shell: Shell, line: str) -> None:
    result = shell.type(line)
    assert (result.code, result.err) == (0, [])
    for command in COMMANDS:
        assert command in result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_an_example_its_environment_and_its_exit_codes(shell: Shell, command: str) -> None:
    result = shell.type(f"{command} --help")
    assert (result.code, result.err) == (0, [])
    for text in (f"Example: python -m recovery {command}", "TAPSTACK_OUTPUTS", "AWS_PROFILE", "Exit codes: 0 "):
        assert text in result.out


def test_the_version_is_that_of_the_package(shell: Shell) -> None:
    assert shell.type("--version") == Result(0, f"tapstack {VERSION}\n", [])
    package = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))
    assert package["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "contract.VERSION"}


def test_a_shell_completes_commands(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TAPSTACK_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "tapstack fail")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit):
        typer.main.get_command(app).main([], PROGRAM)
    assert capsys.readouterr().out.split() == ["failover", "failback"]


def test_a_command_first_says_which_stack_it_is_about(shell: Shell) -> None:
    os.utime(shell.outputs, (EPOCH, EPOCH))
    for line in ("status", "status --json", "plan failover", "abort", "pause --minutes 5 --reason x", "drill restore"):
        shell.type(line, clock=FakeClock(7300.0))
        assert shell.head.startswith("stack dev, profile dev, account 123456789012; outputs written 2 h ago (")
    result = shell.type("--stack nope status")
    assert (result.code, len(result.err)) == (2, 1)
    assert result.err[0].startswith("recovery: there are no outputs of nope here")


@pytest.mark.parametrize(("line", "reason"), [
    ("fail-over", "No such command 'fail-over'."), ("failover", "Missing option '--to'."),
    ("align", "Missing option '--to'."), ("pause --minutes 5", "Missing option '--reason'."),
    ("pause --minutes 0 --reason x", "Input should be greater than or equal to 1"),
    ("switchover", "Missing option '--to'."), ("status --jsn", "No such option: --jsn"),
    ("plan tea", "Invalid value for 'action': 'tea' is not one of"),
    ("failback --to us-east-1", "No such option: --to"),
    ("failover --to mars", "region 'mars': must be us-east-1 or us-west-2"),
    ("plan failover --to mars", "region 'mars': must be us-east-1 or us-west-2"),
])
def test_a_mistyped_command_is_refused_in_one_line(shell: Shell, line: str, reason: str) -> None:
    result = shell.type(line)
    assert (result.code, len(result.err)) == (2, 1)
    assert result.err[0].startswith("recovery: ")
    assert reason in result.err[0]
    assert shell.world.calls == []


@pytest.mark.parametrize("line", ["status", "plan failover", "failover --to us-west-2", "failback"])
@pytest.mark.parametrize(("spoil", "reason"), [
    (Path.unlink, "No such file or directory: `make outputs` writes it"),
    (lambda path: path.write_text("{"), "is not JSON: `make outputs` writes it"),
    (lambda path: path.write_text("[" * 10**5), "is not JSON: `make outputs` writes it"),
    (lambda path: path.write_bytes(b"\xff"), "is not JSON: `make outputs` writes it"),
    (lambda path: path.write_text("[]"), "is not a JSON object: `make outputs` writes it"),
    (lambda path: path.write_text("{}"), "environment_suffix: is not among the outputs of the stack"),
    (lambda path: path.write_text(json.dumps({**CalmWorld().outputs, "health_check_interval": "ten"})),
     "health_check_interval = 'ten': must be a whole number"),
])
def test_outputs_that_cannot_be_used_are_named(
        shell: Shell, line: str, spoil: Callable[[Path], object], reason: str) -> None:
    spoil(shell.outputs)
    result = shell.type(line)
    assert (result.code, len(result.err), result.out) == (2, 1, "")
    assert reason in result.err[0]


def test_outputs_are_read_from_where_make_writes_them(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shell.outputs.parent)
    assert shell.type("plan failover", environ={}).err == [
        f"recovery: there are no outputs of a stack here: {ELSEWHERE}"]
    (shell.outputs.parent / "cfn-outputs").mkdir()
    shell.outputs.rename(shell.outputs.parent / "cfn-outputs" / "flat-outputs.json")
    assert shell.type("plan failover", environ={}).code == 0


@pytest.mark.parametrize("line", ["status", "failover --to us-west-2"])
def test_a_profile_that_does_not_exist_is_refused(shell: Shell, line: str) -> None:
    def refuse(_: object) -> None:
        raise ProfileNotFound(profile="nope")

    assert shell.type(line, connect=refuse) == Result(2, "", [
        f"recovery: The config profile (nope) could not be found: {SIGN_IN}"])


@pytest.mark.parametrize(("missing", "code"), [
    (KeyboardInterrupt(), 130),
    (ModuleNotFoundError("No module named 'typer'"),
     "recovery: No module named 'typer': `make setup`, and then `.venv/bin/python -m recovery`"),
])
def test_a_start_that_fails_ends_in_one_line(
        monkeypatch: pytest.MonkeyPatch, missing: BaseException, code: object) -> None:
    class Broken(ModuleType):
        """A module that breaks when it is used."""

        def __getattr__(self, name: str) -> Any:
            raise missing if name == "main" else AttributeError(name)

    monkeypatch.setitem(sys.modules, "recovery.cli", Broken("recovery.cli"))
    monkeypatch.delitem(sys.modules, "recovery.__main__", raising=False)
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("recovery.__main__")
    assert ended.value.code == code


def test_an_internal_error_is_reported_in_one_line(shell: Shell) -> None:
    result = shell.type("status", connect=lambda _: 1 / 0)
    assert (result.code, len(result.err)) == (1, 1)
    assert result.err[0].startswith("recovery: internal error in ")
    assert result.err[0].endswith(": ZeroDivisionError: division by zero")


@pytest.fixture
def interrupts() -> Iterator[None]:
    """The handler of interrupts, which is restored after the test."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_the_module_is_a_program_and_an_interrupt_at_its_end_is_silent(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["recovery", "--version"])
    monkeypatch.delitem(sys.modules, "recovery.__main__", raising=False)  # another test may have imported it
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("recovery", run_name="__main__")
    assert (ended.value.code, signal.getsignal(signal.SIGINT)) == (0, signal.SIG_DFL)
    assert VERSION in capsys.readouterr().out


# --- plan

@pytest.mark.parametrize(("line", "action", "to"), [
    ("plan failover", "failover", AWAY), ("plan failover --to us-east-1", "failover", HOME),
    ("plan switchover", "switchover", AWAY), ("plan failback", "failback", HOME),
])
def test_a_plan_is_printed_and_changes_nothing(shell: Shell, line: str, action: str, to: str) -> None:
    result = shell.type(line)
    assert (result.code, result.err) == (0, [])
    for text in (f"{action} to {to}", "budget:", "of 900 s (recoveryTimeObjective)", "Prediction", "promote"):
        assert text in result.out
    document = json.loads(shell.type(f"{line} --json").out)
    assert (document["action"], document["target"]) == (action, to)
    assert document["sum_s"] == sum(document["budget_s"].values()) <= document["recovery_time_objective_s"] == 900
    assert {"key", "does", "proof", "budget"} == set(document["steps"][0])
    assert {"phase", "least", "most", "source"} == set(document["prediction_for_aws"][0])
    assert ("detect" in {each["phase"] for each in document["prediction_for_aws"]}) is (action == "failover")
    assert not {operation for *_, operation in shell.world.calls} & {"PutItem", "PutObject", "FailoverGlobalCluster"}


def test_a_plan_says_whether_it_would_be_refused_now(shell: Shell) -> None:
    up(shell)
    result = shell.type("plan failover --to us-west-2")
    assert result.out.startswith(
        f"failover to {AWAY} would be refused now, because {HOME} is not known to be down, and payments that it takes")
    assert shell.type("plan switchover --to us-west-2").out.startswith(f"switchover to {AWAY} would begin now")
    down(shell)
    assert json.loads(shell.type("plan failover --json").out)["refused_now"] == []
    shell.world.run_task(shell.world.claim().fence)
    document = json.loads(shell.type("plan failover --json").out)
    assert (document["goes_on"], document["refused_now"]) == (True, [])
    assert "would continue the unfinished run" in shell.type("plan failover").out


def test_a_plan_says_what_the_standby_lacks(shell: Shell) -> None:
    shell.deploy(shell.world, recovery_time_objective=1095, dr_instances=0)
    assert "us-west-2 has no database instance" in shell.type("plan failover").out
    assert "no database instance" in json.loads(shell.type("plan failover --json").out)["shortfalls"][0]


@pytest.mark.parametrize("option", ["", "--json"])
def test_a_plan_that_takes_too_long_is_printed_and_refused(shell: Shell, option: str) -> None:
    shell.deploy(shell.world, recovery_time_objective=300)
    result = shell.type(f"plan failover {option}")
    assert result.code == 2
    assert len(result.err) == 1
    assert result.err[0].startswith("recovery: recoveryTimeObjective = 300: the plan may take ")
    assert "promote" in result.out


# --- status

def test_status_as_a_table(shell: Shell) -> None:
    up(shell)
    result = shell.type("status")
    assert (result.code, result.err) == (0, [])
    assert result.out.startswith(f"{HOME} takes payments; {AWAY} can take over; at most ")
    table = result.out.split("\n\n")[0].splitlines()[1:]
    assert len(table) > 10
    assert max(map(len, table)) <= 80
    for text in (f"{HOME} (primary)", f"{AWAY} (dr)", f"leader: {HOME}, epoch 1", "latest run: none"):
        assert text in result.out


def test_status_of_a_stack_with_a_region_cut_off(shell: Shell) -> None:
    shell.world.lose(HOME, ends=True)
    result = shell.type("status")
    assert (result.code, result.err) == (0, [])
    assert [line for line in result.out.splitlines() if line.startswith("unknown in")] == [
        f"unknown in {HOME}: all that is not shown: table: ConnectTimeoutError"]
    found = json.loads(shell.type("status --json").out)
    assert (found["regions"][HOME]["right"], found["regions"][AWAY]["cluster"]) == ("unknown", "available")
    assert found["active"] == HOME


def test_status_says_what_to_do_where_nothing_answers(shell: Shell) -> None:
    for region in (HOME, AWAY):
        shell.world.network.refusing.update({(region, service): FailureMode.ERROR for service in ("dynamodb", "rds")})
    for line in ("status", "status --json"):
        result = shell.type(line)
        assert (result.code, result.out, len(result.err)) == (1, "", 1)
        assert result.err[0].startswith("recovery: AWS does not answer in any region: ")
        assert result.err[0].endswith(SIGN_IN)


def test_status_leads_with_the_command_that_is_needed_now(shell: Shell) -> None:
    down(shell)
    result = shell.type("status")
    assert re.match(f"no region takes payments: {HOME} leads, and has not answered since [0-9:]{{5}} UTC; {AWAY} can "
                    f"take over; at most [0-9]+ s of payments at risk: run `python -m recovery failover --to {AWAY}`\n",
                    result.out)
    assert shell.type("failover --to us-west-2").code == 0


@pytest.mark.parametrize(("given", "program", "typed"), [
    ("--stack prod", "python -m recovery", "python -m recovery --stack prod"),
    (f"--region {AWAY} --suffix dev", "tapstack", f"tapstack --region {AWAY} --suffix dev")])
def test_a_command_that_is_named_is_about_the_same_stack(
        shell: Shell, monkeypatch: pytest.MonkeyPatch, given: str, program: str, typed: str) -> None:
    down(shell)
    found = FoundOutputs(values=json.loads(shell.outputs.read_text()), where="s3://x", written=0.0)
    monkeypatch.setattr("recovery.terminal.in_region", lambda *_: found)
    monkeypatch.setattr("recovery.terminal.in_files", lambda *_: found)
    assert f"{typed} failover --to {AWAY}" in shell.type(f"{given} status", program=program).out
    assert f"`{typed} drill`" in shell.type(f"{given} drill failover", program=program).err[0]


def test_a_command_that_does_not_reach_aws_says_what_to_do(shell: Shell) -> None:
    for region in (HOME, AWAY):
        shell.world.lose(region, ends=True)
    assert shell.type("report") == Result(1, "", [f"recovery: table: ConnectTimeoutError: {REACH}"])


def test_what_looks_like_markup_is_printed_as_it_is(shell: Shell) -> None:
    shell.world.aurora.status[HOME] = "[/x] :key: [b]no[/b]"
    assert "[/x] :key: [b]no[/b]" in shell.type("status").out


# --- status --watch, watch

def interrupted_after(looks: int, shell: Shell) -> Any:
    """The environment of a command that a person interrupts after so many looks."""
    environment = shell.world.recovery()
    runtime, slept = environment.runtime, list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len([each for each in slept if each >= 2]) == looks:
            raise KeyboardInterrupt
        runtime.clock.sleep(seconds)

    clock: Any = SimpleNamespace(time=runtime.clock.time, monotonic=runtime.clock.monotonic, sleep=sleep)
    return replace(environment, runtime=replace(runtime, clock=clock))


def test_a_watch_looks_again_until_it_is_interrupted(shell: Shell) -> None:
    up(shell)
    result = shell.type("status --watch --interval 3", connect=lambda _: interrupted_after(3, shell))
    assert (result.code, result.err) == (130, ["recovery: interrupted"])
    assert result.out.count(f"{HOME} takes payments; ") == result.out.count("as of ") == 3
    assert "`python -m recovery status --watch`" in shell.type("watch").err[0]


def test_a_watch_on_a_terminal_shows_the_last_look_in_place(shell: Shell) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, height=60)
    result = shell.type("status --watch", connect=lambda _: interrupted_after(2, shell), console=lambda stderr: (
        console_of(True) if stderr else console))
    assert (result.code, result.out) == (130, "")
    assert screen.getvalue().count("as of ") >= 2
    assert "\x1b[1A" in screen.getvalue()  # the cursor went up again


def test_a_move_goes_on_where_its_progress_cannot_be_printed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    down(shell)
    shell.slow_down(monkeypatch, 6.0)
    monkeypatch.setattr(sys, "stdout", Unwritable())
    shell.type(f"failover --to {AWAY}")
    assert (shell.world.ended(), shell.world.aurora.writer) == ([f"failover to {AWAY}: done"], AWAY)


def test_a_watch_for_machines_is_a_document_a_line(shell: Shell) -> None:
    result = shell.type("status --watch --json", connect=lambda _: interrupted_after(2, shell))
    assert [json.loads(line)["active"] for line in result.out.splitlines()] == [HOME, HOME]


def test_a_watch_in_the_browser_publishes_every_look(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    published = list[Mapping[str, Any]]()
    monkeypatch.setattr("recovery.web.Feed.publish", lambda _, document: published.append(json.loads(document)))
    result = shell.type("watch --web", connect=lambda _: interrupted_after(2, shell))
    assert (result.code, result.err) == (130, ["recovery: interrupted"])
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/ shows the stack, until Ctrl-C\n", result.out)
    assert [(each["status"]["active"], each["payments"]) for each in published] == [(HOME, None)] * 2
    shell.deploy(shell.world, emulator={})
    shell.outputs.with_name("payments.jsonl").write_text('{"ok": true}\n')
    shell.type("watch --web", connect=lambda _: interrupted_after(1, shell))
    assert published[-1]["payments"] == [{"ok": True}]


def test_a_port_that_is_taken_is_named(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert shell.type(f"watch --web --port {port}") == Result(
            2, "", [f"recovery: --port {port}: Address already in use"])


# --- Actions

@pytest.mark.parametrize(("line", "keys"), [
    ("failover --to us-west-2", ["fence", "traffic", "promote", "epoch", "verify"]),
    ("switchover --to us-west-2", ["caught-up", "fence", "traffic", "promote", "epoch", "verify"]),
])
def test_an_action_is_carried_out_and_reported_step_by_step(shell: Shell, line: str, keys: list[str]) -> None:
    action = line.partition(" ")[0]
    world = (down if action == "failover" else up)(shell)
    told = len(world.notified())
    warned = list[str]()
    if action == "switchover":
        watching(world)
        warned = ["recovery: the report could not be written: region 'eu-west-1': must be us-east-1 or us-west-2"]
        world.set_record(run=Run(id="1", action="failover", target="eu-west-1", driver="bob", began=1, why="", ended=2))
    result = shell.type(line)
    first, *steps, written, last = result.out.splitlines()
    assert first.startswith(f"{action} to {AWAY} (")
    assert (result.code, result.err, [step.split()[0] for step in steps]) == (0, warned, keys)
    assert written.startswith(f"report: {shell.reports}/{action}-")
    assert last.startswith("done in ")
    assert (world.aurora.writer, world.leader(AWAY)) == (AWAY, (AWAY, 2))
    assert world.notified()[told:] == [f"{action} to {AWAY} is done"]
    run_found = world.record().run
    assert run_found
    assert (run_found.driver, run_found.caller) == ("alice", "arn:aws:sts::123456789012:assumed-role/driver")


def test_a_failback_is_a_failback(shell: Shell) -> None:
    world = down(shell)
    assert shell.type("failover --to us-west-2").code == 0
    returned(world)
    world.look(times=4)
    watching(world)
    shell.reports.rename(shell.reports.with_name("those of the failover"))
    assert shell.type("failback").code == 0
    assert shell.reported() == ["failback", "failover"]  # the failover's once more, with what repair has found since
    world.look(times=4)
    assert (world.aurora.writer, world.leader(HOME), world.lever(HOME), world.lever(AWAY)) == (
        HOME, (HOME, 3), False, False)


def test_with_json_the_document_alone_is_on_stdout(shell: Shell) -> None:
    down(shell)
    result = shell.type("failover --to us-west-2 --json")
    document = json.loads(result.out)
    assert Run.of(document) == shell.world.record().run
    assert (result.code, document["outcome"], document["accepted"], document["evidence"]) == (0, "done", False, "dead")
    assert [line.split()[0] for line in result.err] == ["failover", *document["steps"], "report:"]


def test_a_step_that_takes_long_says_what_it_waits_for_and_what_ends_the_wait(shell: Shell) -> None:
    world = down(shell)
    world.aurora.failover_takes = (25.0, 25.0)
    result = shell.type("failover --to us-west-2")
    waits = [line for line in result.out.splitlines() if "waiting" in line]
    assert [line.split()[0] for line in waits] == ["promote", "promote"]
    assert re.fullmatch(r"promote +1[0-9].[0-9] s  still waiting \(it is not finished\) until its cluster is the "
                        "writer, and available; gives up after 480 s", waits[0])


def test_a_failed_notification_is_a_warning(shell: Shell) -> None:
    down(shell).network.refusing[AWAY, "sns"] = FailureMode.ERROR
    result = shell.type("failover --to us-west-2")
    assert (result.code, result.err) == (0, [(
        "recovery: payments are taken, but a later step failed: "
        "topic: InternalServerError: InternalServerError")])


@pytest.mark.parametrize(("line", "prepare", "reason"), [
    ("switchover --to us-east-1", up, "us-east-1 already leads, has the database's writer, and clients are sent to it"),
    ("failback", up, "us-east-1 already leads, has the database's writer, and clients are sent to it"),
    ("switchover --to us-west-2", down, "us-east-1 does not answer (timed out): a planned move needs both regions"),
    ("failover --to us-west-2 --accept-data-loss", lambda shell: down(shell).aurora.status.update({AWAY: "stopped"}),
     "us-west-2 is not healthy: its database is stopped"),
    ("failover --to us-west-2",
     lambda shell: shell.world.network.refusing.update({(AWAY, "dynamodb"): FailureMode.ERROR}),
     "us-west-2 does not know which region leads: InternalServerError"),
    ("failover --to us-west-2", lambda shell: shell.world.network.refusing.update({(AWAY, "rds"): FailureMode.ERROR}),
     "us-west-2 does not know where the database's writer is: global database: InternalServerError"),
    ("align --to us-west-2", up, "us-east-1 has the database's writer: use align --to us-east-1, or a failover"),
])
def test_what_must_not_begin_is_refused_and_changes_nothing(
        shell: Shell, line: str, prepare: Callable[[Shell], object], reason: str) -> None:
    prepare(shell)
    shell.world.calls.clear()
    result = shell.type(line)
    assert (result.code, result.out) == (2, "")
    assert reason in result.err[0]
    changing = [call for call in shell.world.calls if not call[2].startswith(
        ("Describe", "Head", "Get", "Simulate", "TXT", "Invoke", "GET "))]
    assert changing == []


def test_a_loss_must_be_accepted_by_an_option(shell: Shell) -> None:
    shell.world.aurora.stalled = True
    shell.world.look(times=8)
    result = shell.type("failover --to us-west-2")
    assert result.code == 2
    assert [line.partition(",")[0] for line in result.err] == [
        "recovery: us-east-1 is not known to be down", "recovery: the lag is unknown", "recovery: to begin anyway"]
    result = shell.type("failover --to us-west-2 --accept-data-loss")
    assert result.code == 0
    found = shell.world.record().run
    assert found
    assert (found.accepted, found.evidence) == (True, "")
    assert "it is unknown what would be lost" in result.out.splitlines()[0]


def test_a_silent_api_must_be_accepted_by_an_option_and_a_flooded_one_need_not_be(shell: Shell) -> None:
    world = down(shell)
    world.gateway.down.add(AWAY)
    result = shell.type("failover --to us-west-2")
    assert (result.code, result.err) == (2, [
        "recovery: us-west-2 is not healthy: its API does not answer: HTTP 503",
        "recovery: to begin anyway, add --accept-silent-api"])
    assert shell.type("failover --to us-west-2 --accept-data-loss").code == 2
    assert shell.type("failover --to us-west-2 --accept-silent-api").code == 0
    assert world.aurora.writer == AWAY


def test_a_silent_api_of_a_function_that_cannot_pay_is_accepted_by_nobody(shell: Shell) -> None:
    world = down(shell)
    world.gateway.down.add(AWAY)
    world.functions.reserved[AWAY, "tapstack-payments-sim"] = 0
    result = shell.type("failover --to us-west-2 --accept-data-loss --accept-silent-api")
    assert (result.code, result.err) == (2, ["recovery: us-west-2 is not healthy: its API does not answer: HTTP 503"])


def test_a_flooded_standby_takes_over(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.functions.THROTTLED", 1.0)
    world = down(shell)
    world.gateway.flooded.add(AWAY)
    assert shell.type("failover --to us-west-2").code == 0
    assert world.aurora.writer == AWAY


def test_a_run_that_has_fenced_is_continued_whatever_would_forbid_it_now(shell: Shell) -> None:
    world = down(shell)
    hold = world.claim(driver="bob")
    world.run_task(hold.fence)
    world.aurora.status[AWAY] = "modifying"
    result = shell.type("failover --to us-west-2")
    found = world.record().run
    assert found
    assert (result.code, world.aurora.writer, found.id, found.driver) == (0, AWAY, hold.run.id, "alice")


@pytest.mark.parametrize("line", ["failover --to us-west-2", "failover --to us-west-2 --accept-data-loss"])
def test_of_two_operators_the_second_is_shown_the_first(shell: Shell, line: str) -> None:
    world = down(shell)
    hold = world.claim(driver="bob")
    world.at(1.0, partial(world.scheduler.spawn, world.process(), hold.prove))
    assert shell.type(line) == Result(2, "", [f"recovery: already running: failover to {AWAY}, by bob"])


def test_a_driver_taken_for_dead_stops(shell: Shell) -> None:
    world = down(shell)
    world.aurora.failover_takes = (30.0, 30.0)

    def take_over() -> None:
        found = world.record().run
        assert found
        world.set_record(run=replace(found, driver="bob"))

    world.at(5.0, take_over)
    result = shell.type("failover --to us-west-2")
    assert (result.code, len(result.err)) == (1, 1)
    assert result.err[0].startswith("recovery: already running: failover to us-west-2")
    assert result.err[0].endswith(", by bob: this command stops")


def test_a_run_that_times_out_ends_and_can_be_begun_again(shell: Shell) -> None:
    world = down(shell)
    world.network.denied.add((AWAY, "PutObject", world.control[AWAY]))
    result = shell.type("failover --to us-west-2")
    assert (result.code, result.err) == (1, [
        "recovery: traffic was not done within 10 s: lever in us-west-2: AccessDenied: AccessDenied",
        f"recovery: {DECIDED_AGAIN}"])
    world.network.denied.clear()
    world.look(AWAY)
    assert shell.type("failover --to us-west-2").code == 0


def test_a_record_that_cannot_be_written_ends_the_command(shell: Shell) -> None:
    world = down(shell)
    world.network.denied.add((AWAY, "PutItem", ""))
    assert shell.type("failover --to us-west-2") == Result(1, "", ["recovery: table: AccessDenied"])
    assert world.leader(AWAY) == (HOME, 1)


def test_an_interrupted_run_can_be_continued(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    world = down(shell)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("recovery.steps.promote", interrupt)
        patched.setitem(sys.modules["recovery.steps"]._IMPLEMENTATIONS, STEPS[Action.FAILOVER][2], interrupt)
        result = shell.type("failover --to us-west-2")
    assert (result.code, result.err) == (130, ["recovery: interrupted", f"recovery: {GOES_ON}"])
    assert shell.type("failover --to us-west-2").code == 0
    assert world.aurora.writer == AWAY


def test_an_interrupt_before_a_run_begins(shell: Shell) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    assert shell.type("failover --to us-west-2", connect=interrupt) == Result(130, "", ["recovery: interrupted"])


def test_leadership_restored_from_a_backup_is_mended_by_one_command(shell: Shell) -> None:
    world = down(shell)
    assert shell.type("failover --to us-west-2").code == 0
    world.set_record(region=HOME, epoch=1, run=None)
    assert shell.type("align --to us-west-2").code == 0
    assert (world.leader(AWAY), world.aurora.writer) == ((AWAY, 4), AWAY)


# --- abort, pause, resume

def test_a_run_that_has_not_fenced_is_aborted(shell: Shell) -> None:
    assert shell.type("abort") == Result(2, "", ["recovery: nothing to abort: no run is waiting for its fence"])
    shell.world.claim(Action.SWITCHOVER, driver="bob")
    result = shell.type("abort --json")
    assert (result.code, json.loads(result.out)) == (0, {"aborted": ["switchover to us-west-2"]})
    assert shell.world.ended() == ["switchover to us-west-2: aborted by alice"]


def test_a_run_that_has_fenced_is_not_aborted(shell: Shell) -> None:
    shell.world.run_task(shell.world.claim().fence)
    result = shell.type("abort")
    assert (result.code, *result.err) == (
        2, ("recovery: failover to us-west-2 has fenced: it can no longer be aborted, only finished, or reversed by "
            "another move"))


def test_an_abort_works_while_a_region_is_lost(shell: Shell) -> None:
    shell.world.claim(driver="bob")
    shell.world.lose(HOME, ends=True)
    result = shell.type("abort")
    assert (result.code, result.out) == (0, "aborted: failover to us-west-2\n")
    silent = "recovery: it is unknown whether a run to us-east-1 is open: table: ConnectTimeoutError"
    assert result.err == [silent]
    assert shell.type("abort") == Result(1, "", [silent])


def test_automatic_failover_is_paused_and_resumed_in_both_regions(shell: Shell) -> None:
    result = shell.type("pause --minutes 30 --reason maintenance")
    assert (result.code, result.err) == (0, [])
    assert [line.partition(" until ")[0] for line in result.out.splitlines()] == [
        f"{region}: automatic failover is paused" for region in (HOME, AWAY)]
    for region in (HOME, AWAY):
        found = shell.world.run_task(shell.world.table_in(region).pause)
        assert found
        assert (found.who, found.reason) == ("alice", "maintenance")
        assert found.until == pytest.approx(EPOCH + shell.world.scheduler.now + 1800, rel=0, abs=5)
    assert "paused until" in shell.type("status").out
    assert shell.type("resume").out.count("automatic failover is not paused") == 2
    assert "paused until" not in shell.type("status").out
    shell.world.claim(driver="bob")
    assert "failover to us-west-2 by bob has begun" in shell.type("pause --minutes 1 --reason x").err[0]


def test_a_region_that_was_not_reached_is_not_paused_and_that_is_said(shell: Shell) -> None:
    shell.world.lose(HOME, ends=True)
    result = shell.type("pause --minutes 30 --reason maintenance")
    assert (result.code, result.err) == (1, [
        "recovery: us-east-1 may or may not have stored that: table: ConnectTimeoutError"])
    assert PAUSE_KEY in shell.world.table.views[AWAY]
    del shell.world.table.views[AWAY][RECORD_KEY], shell.world.table.views[AWAY][PAUSE_KEY]
    assert "us-west-2 may or may not have stored that: table: Le" in shell.type("pause --minutes 3 --reason x").err[1]
    assert PAUSE_KEY in shell.world.table.views[AWAY]


# --- Drills

@pytest.fixture
def drills(shell: Shell) -> Shell:
    """Where drills are typed."""
    shell.deploy(DrillWorld())
    return shell


def test_a_drill_asks_first_and_prints_its_report(drills: Shell) -> None:
    questions: list[str] = []
    result = drills.type("drill switchover", confirm=lambda question: not questions.append(question))  # type: ignore[func-returns-value]
    assert (result.code, result.err) == (0, [])
    assert f"Moves payments from {HOME} to {AWAY}" in questions[0]
    assert f"drill switchover from {HOME} to {AWAY}: ok\nrecovery: " in result.out
    assert f"report: {drills.reports}/drill-switchover-" in result.out
    drills.world.wait(60.0)
    result = drills.type("drill failback --yes --json --seconds 300")
    record = drills.world.run_task(partial(drills.world.table_in(HOME).document, DRILL_KEY))
    own = {"broken", "revision"}  # the record's
    assert (result.code, json.loads(result.out)) == (0, {key: record[key] for key in record if key not in own})
    # A step that takes long says so meanwhile.
    assert [key for key, _ in groupby(line.split()[0] for line in result.err) if key != "waiting"] == [
        *(step.key for step in STEPS[Action.FAILBACK]), "report:"]


def test_by_default_a_drill_switches_over_and_back(drills: Shell) -> None:
    result = drills.type("drill --yes --json")
    assert [run["action"] for run in json.loads(result.out)["runs"]] == ["switchover", "failback"]
    assert (result.code, drills.reported(), drills.world.aurora.writer) == (0, ["drill"], HOME)


def test_a_drill_that_loses_payments_must_be_asked_for(drills: Shell) -> None:
    result = drills.type("drill failover --yes")
    assert (result.code, len(result.err), drills.head) == (2, 1, "")
    assert "AWS may take hours to rebuild a large database" in result.err[0]
    assert result.err[0].endswith("add --accept-data-loss")


def test_a_drill_that_is_not_confirmed_changes_nothing(drills: Shell) -> None:
    assert drills.type("drill failover --accept-data-loss") == Result(2, "", ["recovery: not confirmed"])
    assert DRILL_KEY not in drills.world.table.views[AWAY]


def test_on_an_emulator_only_moves_are_drilled_and_clients_need_no_name(drills: Shell) -> None:
    asked = io.StringIO()
    drills.deploy(drills.world, emulator={})
    assert "sandbox cut REGION" in drills.type("drill failover --accept-data-loss --yes").err[0]
    drills.type("drill", confirm=lambda question: not asked.write(question))
    assert NO_DNS in asked.getvalue()


def test_a_drill_is_refused_with_every_reason(drills: Shell) -> None:
    result = drills.type(f"drill switchover --to {HOME} --yes")
    assert (result.code, result.err) == (
        2, [f"recovery: {HOME} already leads, has the database's writer, and clients are sent to it"])
    assert drills.type("drill failover --seconds 0").code == 2


def test_a_drill_that_fails_says_so(drills: Shell) -> None:
    drills.world.network.denied.add((AWAY, "GetApiKey", ""))
    assert drills.type("drill switchover --yes") == Result(1, "", ["recovery: API key: AccessDenied: AccessDenied"])
    drills.world.network.denied.add((HOME, "SwitchoverGlobalCluster", ""))
    drills.world.network.denied.discard((AWAY, "GetApiKey", ""))
    assert drills.type("drill switchover --yes").err == ["recovery: IAM denies you rds:SwitchoverGlobalCluster"]
    drills.world.network.refusing[HOME, "iam"] = FailureMode.ERROR
    result = drills.type("drill switchover --yes")
    assert (result.code, result.err) == (1, [])
    assert "the promotion is not permitted: AccessDenied" in result.out


def test_an_interrupted_drill_names_the_command_that_restores(drills: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recovery.drill.drill.DrillRecord.claim", interrupt)
    assert drills.type("drill switchover --yes") == Result(130, "", [
        "recovery: interrupted",
        "recovery: run `python -m recovery drill restore` to make sure that nothing is left broken"])


BROKEN = {"region": HOME, "function": "tapstack-payments-sim", "reserved": 300, "check": "", "inverted": False,
          "disabled": False, "pause": "", "template": ""}


def test_restore_restores_what_is_left_broken(drills: Shell) -> None:
    world = drills.world
    assert isinstance(world, DrillWorld)
    write = partial(world.table_in(AWAY).write_document, DRILL_KEY, {"began": EPOCH, "to": AWAY, "broken": BROKEN})
    world.run_task(write)
    result = drills.type("drill restore --json")
    assert (result.code, json.loads(result.out)["restored"]) == (0, BROKEN)
    assert world.reserved[HOME] == 300
    assert drills.type("drill restore") == Result(0, "nothing was left broken\n", [])
    world.run_task(write)
    assert drills.type("drill restore").out == f"{HOME} is restored\n"


# --- Another account

@pytest.mark.parametrize("line", [
    f"switchover --to {AWAY}", "abort", "pause --minutes 5 --reason x", "resume", "drill switchover --yes",
    "drill restore"])
def test_no_command_writes_into_a_stack_of_the_same_names_in_another_account(
        drills: Shell, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    world = drills.world
    assert isinstance(world, DrillWorld)
    if line == "abort":
        world.claim(Action.SWITCHOVER, driver="bob")
    if line == "drill restore":
        world.run_task(partial(world.table_in(AWAY).write_document, DRILL_KEY,
                               {"began": EPOCH, "to": AWAY, "broken": BROKEN}))

    def written() -> Any:  # by commands: looks and their canaries go on
        return deepcopy((world.reserved, {region: {key: item for key, item in view.items() if not key.startswith(
            (CANARY_PREFIX, OBSERVATION_PREFIX))} for region, view in world.table.views.items()}))

    before = written()
    monkeypatch.setattr(StsClient, "get_caller_identity", lambda _: {"Arn": "arn:aws:sts::999999999999:user/eve"})
    assert drills.type(line) == Result(2, "", [
        "recovery: the stack is in account 123456789012, and you are signed in as arn:aws:sts::999999999999:user/eve"])
    assert written() == before


# --- Doctor

@pytest.fixture
def needs_file(tmp_path: Path) -> Path:
    """What the stack that is deployed needs, as a file."""
    path = tmp_path / "needs.json"
    path.write_text(json.dumps(asdict(needs(environment_suffix="dev"))), encoding="utf-8")
    return path


def diagnose(shell: Shell, line: str = "", answers: Mapping[str, Any] = FINE) -> Result:
    """Let the doctor look at an account, by default one in which nothing is wrong."""
    account = Account(answers)
    return shell.type(f"doctor {line}", connect=lambda _: environment_of(FakeClock(), account.client))


def looked(result: Result) -> set[str]:
    """The checks that were made, by a JSON document."""
    return {each["check"] for each in json.loads(result.out)["looked"]}


def test_the_doctor_looks_at_the_deployed_stack(shell: Shell) -> None:
    result = diagnose(shell)
    assert (result.code, result.err) == (0, [])
    assert "account 123456789012: 6 checks; 0 would fail, 0 notes, 0 could not be checked" in result.out
    assert looked(diagnose(shell, "--json")) == {check.name for check in DEPLOYED}


def test_with_needs_it_looks_at_the_next_deployment_too(shell: Shell, needs_file: Path) -> None:
    later = {check.name for check in BEFORE if check.unless is not Situation.DEPLOYED}
    assert looked(diagnose(shell, f"--needs {needs_file} --json")) == {check.name for check in DEPLOYED} | later
    assert looked(diagnose(shell, f"--needs {needs_file} --before-up --json")) == later | {"stack's account", "writer"}


@pytest.mark.parametrize("spoil", [
    Path.unlink, lambda outputs: outputs.write_text('{"environment_suffix": "another"}')])
def test_outputs_of_another_stack_are_not_this_one(
        shell: Shell, needs_file: Path, spoil: Callable[[Path], object]) -> None:
    spoil(shell.outputs)
    assert looked(diagnose(shell, f"--needs {needs_file} --json")) == {check.name for check in BEFORE}


def test_what_would_fail_is_shown_with_what_to_do(shell: Shell) -> None:
    result = diagnose(shell, answers={**FINE, "rds:DescribeGlobalClusters": {"GlobalClusters": []}})
    assert (result.code, result.err) == (1, [])
    assert re.search("writer +the global database has no writer +see `python -m recovery status`", result.out)


def test_a_stack_on_an_emulator_has_no_account_to_look_at(shell: Shell, needs_file: Path) -> None:
    needs_file.write_text(json.dumps(asdict(needs(emulated=True))), encoding="utf-8")
    assert diagnose(shell, f"--needs {needs_file}") == Result(
        0, "", ["recovery: awsEndpoint is set: there is no AWS account to check"])


def test_the_doctor_needs_something_to_look_at(shell: Shell, needs_file: Path) -> None:
    shell.outputs.unlink()
    needs_file.write_text("{}", encoding="utf-8")
    for line in ("", f"--needs {needs_file}", "--needs /nowhere"):
        result = diagnose(shell, line)
        assert (result.code, result.out, len(result.err)) == (2, "", 1)


def test_without_credentials_the_doctor_says_so_in_one_line(shell: Shell) -> None:
    def refuse(*_: object) -> Any:
        raise NoCredentialsError

    environment = environment_of(FakeClock(), refuse)
    result = shell.type("doctor", connect=lambda _: environment)
    assert (result.code, result.out) == (2, "")
    (line,) = result.err
    assert line.startswith(f"recovery: GetCallerIdentity in {AWAY}: Unable to locate credentials: sign in to AWS (")
