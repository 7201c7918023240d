"""The command line as it is typed: exit codes, a line for each reason, and never a traceback."""
import getpass
import json
import runpy
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError, ProfileNotFound

from recovery import cli, control_table, probe
from recovery.journal import Journal, Run, next_beat
from recovery.observation import Observation
from recovery.plan import Action
from recovery.runner import claim
from tests.unit.payments.fakes import Fault, client_error
from tests.unit.recovery.fakes import AWAY, HOME, NOW, OUTPUTS, FakeAws, at_once

GOES_ON = "recovery: the same command goes on from there"


@dataclass(frozen=True)
class Said:
    """What became of a command: its exit code, and what it printed, of stderr line by line."""

    code: object
    out: str
    err: list[str]


@dataclass(kw_only=True)
class Terminal:
    """Somebody at a command line; `aws` is what it leads to."""

    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]
    outputs: Path
    aws: FakeAws

    def deploy(self, **changes: Any) -> FakeAws:
        """A stack, and its outputs in a file."""
        self.aws = FakeAws(**changes)
        self.outputs.write_text(json.dumps({**OUTPUTS, **changes}), encoding="utf-8")
        self.patch.setattr(cli, "CLOCK", self.aws.clock)
        self.patch.setattr(probe, "look", self.aws.look)
        return self.aws

    def type(self, line: str) -> Said:
        """Type a command, by the way that `python -m recovery` goes."""
        self.patch.setattr(sys, "argv", ["recovery", *line.split()])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("recovery", run_name="__main__")
        said = self.capture.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(ended.value.code, said.out, said.err.splitlines())


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    """One whose stack is well."""
    found = Terminal(patch=monkeypatch, capture=capsys, outputs=tmp_path / "outputs.json", aws=FakeAws())
    found.deploy()
    monkeypatch.setenv("TAPSTACK_OUTPUTS", str(found.outputs))
    monkeypatch.setattr(cli, "BotoClients", lambda: found.aws)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(getpass, "getuser", lambda: "alice")
    monkeypatch.setattr(control_table, "soon", at_once)
    return found


def down(aws: FakeAws, **changes: Any) -> FakeAws:
    """The primary region is cut off, and the standby's controller knows it."""
    aws.table(AWAY).keep_watch(Observation(**{"region": AWAY, "at": NOW, "dead": 3, "why": "timed out", "alive_at": NOW - 30,
                                        "lags": {"table": 1.0}, **changes}))
    aws.cut = {HOME}
    return aws


def up(aws: FakeAws, region: str = AWAY) -> None:
    """The controller of a region looks on all the while, and sees that nothing lags."""
    aws.table(region).keep_watch(Observation(region=region, at=NOW, alive_at=NOW, lags={"table": 0.0}))


def begun(aws: FakeAws, action: Action, to: str, *keys: str) -> Run:
    """A run that somebody else has begun, and done some steps of."""
    cloud = aws.cloud(action, to)
    run = claim(Journal(aws.table(to)), cloud.plan, "bob", why="asked for", clock=aws.clock)
    for key in keys:
        cloud.step(key, run)
    return run


# --- Without AWS

@pytest.mark.parametrize("line", ["", "--help"])
def test_nothing_typed_shows_the_help(terminal: Terminal, line: str) -> None:
    said = terminal.type(line)
    assert (said.code, said.err) == (0, [])
    for command in ("status", "switchover", "failover", "failback", "plan", "Exit codes"):
        assert command in said.out


@pytest.mark.parametrize(("line", "told"), [
    ("fail-over", "No such command 'fail-over'."), ("failover", "Missing option '--to'."),
    ("switchover", "Missing option '--to'."), ("status --jsn", "No such option: --jsn"),
    ("plan tea", "'tea' is not one of"), ("failback --to us-east-1", "No such option: --to"),
    ("failover --to mars", "region 'mars': must be us-east-1 or us-west-2"),
    ("plan failover --to mars", "region 'mars': must be us-east-1 or us-west-2"),
])
def test_what_is_typed_wrong_is_refused_in_a_line(terminal: Terminal, line: str, told: str) -> None:
    said = terminal.type(line)
    assert (said.code, len(said.err)) == (2, 1)
    assert said.err[0].startswith("recovery: ")
    assert told in said.err[0]
    assert terminal.aws.calls == []


@pytest.mark.parametrize("line", ["status", "plan failover", "failover --to us-west-2", "failback"])
@pytest.mark.parametrize(("spoil", "told"), [
    (Path.unlink, "No such file or directory: `make outputs` writes it"),
    (lambda path: path.write_text("{"), "is no JSON: `make outputs` writes it"),
    (lambda path: path.write_text("[" * 10**5), "is no JSON: `make outputs` writes it"),
    (lambda path: path.write_bytes(b"\xff"), "is no JSON: `make outputs` writes it"),
    (lambda path: path.write_text("[]"), "is no object: `make outputs` writes it"),
    (lambda path: path.write_text("{}"), "environment_suffix: is not among the outputs of the stack"),
    (lambda path: path.write_text(json.dumps({**OUTPUTS, "health_check_interval": "ten"})),
     "health_check_interval = 'ten': must be a whole number"),
])
def test_outputs_that_cannot_be_used_are_named(
        terminal: Terminal, line: str, spoil: Callable[[Path], object], told: str) -> None:
    spoil(terminal.outputs)
    said = terminal.type(line)
    assert (said.code, len(said.err), said.out) == (2, 1, "")
    assert told in said.err[0]


def test_outputs_are_looked_for_where_make_puts_them(terminal: Terminal) -> None:
    terminal.patch.delenv("TAPSTACK_OUTPUTS")
    terminal.patch.chdir(terminal.outputs.parent)
    assert terminal.type("plan failover").err == [
        "recovery: cfn-outputs/flat-outputs.json: No such file or directory: `make outputs` writes it"]
    (terminal.outputs.parent / "cfn-outputs").mkdir()
    terminal.outputs.rename(terminal.outputs.parent / "cfn-outputs" / "flat-outputs.json")
    assert terminal.type("plan failover").code == 0


@pytest.mark.parametrize("line", ["status", "failover --to us-west-2"])
def test_a_profile_that_is_not_there_is_refused(terminal: Terminal, line: str) -> None:
    def refuse() -> None:
        raise ProfileNotFound(profile="nope")

    terminal.patch.setattr(cli, "BotoClients", refuse)
    assert terminal.type(line) == Said(2, "", ["recovery: The config profile (nope) could not be found"])


@pytest.mark.parametrize(("missing", "code"), [
    (KeyboardInterrupt(), 130),
    (ModuleNotFoundError("No module named 'typer'"),
     "recovery: No module named 'typer': `make setup`, and then `.venv/bin/python -m recovery`"),
])
def test_a_start_that_does_not_come_far_ends_in_a_line(
        monkeypatch: pytest.MonkeyPatch, missing: BaseException, code: object) -> None:
    class Broken(ModuleType):
        """A module that breaks as it is used."""

        def __getattr__(self, name: str) -> Any:
            raise missing if name == "main" else AttributeError(name)

    monkeypatch.setitem(sys.modules, "recovery.cli", Broken("recovery.cli"))
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("recovery", run_name="__main__")
    assert ended.value.code == code


def test_a_mistake_of_the_program_is_told_in_a_line(terminal: Terminal) -> None:
    terminal.patch.setattr(cli, "BotoClients", lambda: 1 / 0)
    said = terminal.type("status")
    assert (said.code, len(said.err)) == (1, 1)
    assert said.err[0].startswith("recovery: a mistake in ")
    assert said.err[0].endswith(": ZeroDivisionError: division by zero")


def test_an_interrupt_on_the_way_out_is_silent(terminal: Terminal) -> None:
    handlers: list[object] = []
    terminal.patch.setattr(signal, "signal", lambda *handler: handlers.append(handler))
    terminal.type("plan failover")
    assert handlers == [(signal.SIGINT, signal.SIG_DFL)]


def test_whose_name_is_not_known_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert cli.driver().startswith("user ")


# --- plan

@pytest.mark.parametrize(("line", "action", "to"), [
    ("plan failover", "failover", AWAY), ("plan failover --to us-east-1", "failover", HOME),
    ("plan switchover", "switchover", AWAY), ("plan failback", "failback", HOME),
])
def test_a_plan_is_printed_and_calls_nobody(terminal: Terminal, line: str, action: str, to: str) -> None:
    said = terminal.type(line)
    assert (said.code, said.err) == (0, [])
    for text in (f"{action} to {to}", "budget:", "of 900 s (recoveryTimeObjective)", "Prediction", "promote"):
        assert text in said.out
    document = json.loads(terminal.type(f"{line} --json").out)
    assert (document["action"], document["target"]) == (action, to)
    assert document["sum_s"] == sum(document["budget_s"].values()) <= document["recovery_time_objective_s"] == 900
    assert {"key", "does", "proof", "budget", "after"} == set(document["steps"][0])
    assert {"phase", "least", "most", "source"} == set(document["prediction_for_aws"][0])
    assert terminal.aws.calls == []


@pytest.mark.parametrize("option", ["", "--json"])
def test_a_plan_that_takes_too_long_is_printed_and_refused(terminal: Terminal, option: str) -> None:
    terminal.deploy(recovery_time_objective=300)
    said = terminal.type(f"plan failover {option}")
    assert said.code == 2
    assert len(said.err) == 1
    assert said.err[0].startswith("recovery: recoveryTimeObjective = 300: the plan may take ")
    assert "promote" in said.out


# --- status

def test_status_as_a_table(terminal: Terminal) -> None:
    said = terminal.type("status")
    assert (said.code, said.err) == (0, [])
    for text in (f"{HOME} (primary)", f"{AWAY} (dr)", f"payments: {HOME}, epoch 1", "latest run: none"):
        assert text in said.out


def test_status_of_a_stack_with_a_region_cut_off(terminal: Terminal) -> None:
    terminal.aws.cut = {HOME}
    said = terminal.type("status")
    assert (said.code, said.err) == (0, [])
    assert f"unknown of {HOME}: drill, right, run, watch: table: EndpointConnectionError" in said.out
    found = json.loads(terminal.type("status --json").out)
    assert (found["regions"][HOME]["right"], found["regions"][AWAY]["cluster"]) == ("unknown", "available")
    assert found["active"] == HOME


def test_what_looks_like_markup_is_printed_as_it_is(terminal: Terminal) -> None:
    terminal.aws.rds.states[HOME] = "[/x] :key: [b]no[/b]"
    assert "[/x] :key: [b]no[/b]" in terminal.type("status").out


# --- Actions

@pytest.mark.parametrize(("line", "keys"), [
    ("failover --to us-west-2", ["fence", "traffic", "promote", "epoch", "verify", "reconcile"]),
    ("switchover --to us-west-2", ["caught-up", "traffic", "fence", "promote", "epoch", "verify", "reconcile"]),
])
def test_an_action_is_carried_out_and_told_step_by_step(terminal: Terminal, line: str, keys: list[str]) -> None:
    action = line.partition(" ")[0]
    (down if action == "failover" else up)(terminal.aws)
    said = terminal.type(line)
    first, *steps, last = said.out.splitlines()
    assert (said.code, said.err) == (0, [])
    assert first.startswith(f"{action} to {AWAY} (")
    assert [step.split()[0] for step in steps] == keys
    assert last.startswith("done in ")
    assert (terminal.aws.rds.writer, terminal.aws.right(AWAY)) == (AWAY, (2, AWAY))
    [(region, subject, message)] = terminal.aws.told
    assert (region, subject) == (AWAY, f"{action} to {AWAY} is done")
    assert message.startswith("By alice on ")


def test_a_failback_is_a_failback(terminal: Terminal) -> None:
    aws = terminal.aws
    aws.rds.writer = AWAY
    aws.table(AWAY).take_right(AWAY, 0)
    aws.levers[AWAY] = [b"failover"]
    up(aws, HOME)
    assert terminal.type("failback").code == 0
    assert (aws.rds.writer, aws.right(HOME), aws.levers) == (HOME, (3, HOME), {HOME: [], AWAY: []})


def test_with_json_the_document_alone_is_on_stdout(terminal: Terminal) -> None:
    down(terminal.aws)
    said = terminal.type("failover --to us-west-2 --json")
    document = json.loads(said.out)
    assert Run.of(document) == terminal.aws.run(AWAY)
    assert (said.code, document["outcome"], document["accepted"]) == (0, "done", False)
    assert [line.split()[0] for line in said.err] == ["failover", *document["steps"]]


def test_that_nobody_could_be_told_changes_nothing(terminal: Terminal) -> None:
    down(terminal.aws)
    terminal.aws.faults["Publish"] = [Fault(client_error("NotFound", 404))]
    said = terminal.type("failover --to us-west-2")
    assert (said.code, said.err) == (0, ["recovery: nobody could be told: topic: NotFound: refused"])


@pytest.mark.parametrize(("line", "prepare", "told"), [
    ("switchover --to us-east-1", up, "us-east-1 has the right to write and the database's writer already"),
    ("failback", up, "us-east-1 has the right to write and the database's writer already"),
    ("switchover --to us-west-2", down, "us-east-1 does not answer (timed out): a planned move needs both regions"),
    ("failover --to us-west-2", lambda aws: down(aws).rds.instances.update({AWAY: []}),
     "us-west-2 is not healthy: its database is available, with 0 instances available"),
    ("failover --to us-west-2 --accept-data-loss", lambda aws: down(aws).rds.states.update({AWAY: "stopped"}),
     "us-west-2 is not healthy: its database is stopped"),
    ("failover --to us-west-2", lambda aws: aws.faults.update(GetItem=[Fault(NoCredentialsError())] * 9),
     "us-west-2 does not say who has the right to write: NoCredentialsError"),
    ("failover --to us-west-2", lambda aws: aws.faults.update(
        DescribeGlobalClusters=[Fault(client_error("ExpiredToken", 403))] * 9),
     "us-west-2 does not say where the database's writer is: global database: ExpiredToken: refused"),
])
def test_what_must_not_begin_is_refused_and_changes_nothing(
        terminal: Terminal, line: str, prepare: Callable[[FakeAws], object], told: str) -> None:
    prepare(terminal.aws)
    said = terminal.type(line)
    assert (said.code, said.out) == (2, "")
    assert told in said.err[0]
    changing = [name for name in terminal.aws.operations() if not name.startswith(("Describe", "Head", "Get", "look"))]
    assert changing == []


def test_what_would_be_lost_is_to_be_accepted_by_name(terminal: Terminal) -> None:
    down(terminal.aws, lags={"table": 75.0}, dead=0)
    said = terminal.type("failover --to us-west-2")
    assert said.code == 2
    assert [line.partition(",")[0] for line in said.err] == [
        "recovery: us-east-1 is not known to be down", "recovery: the last 75 s of payments would be lost",
        "recovery: --accept-data-loss begins it all the same"]
    said = terminal.type("failover --to us-west-2 --accept-data-loss")
    assert said.code == 0
    run = terminal.aws.run(AWAY)
    assert run.accepted
    assert "accepted: " in said.out
    assert "the last 75 s of payments would be lost" in said.out
    assert "the last 75 s of payments would be lost" in terminal.aws.told[0][2]


def test_a_run_that_broke_off_is_gone_on_with_whatever_would_speak_against_it_now(terminal: Terminal) -> None:
    aws = terminal.aws
    run = begun(aws, Action.FAILOVER, AWAY, "fence")
    aws.cut, aws.rds.instances[AWAY] = {HOME}, ["rebooting"]
    said = terminal.type("failover --to us-west-2")
    assert (said.code, aws.rds.writer, aws.run(AWAY).id) == (0, AWAY, run.id)
    assert aws.run(AWAY).driver.startswith("alice on ")


@pytest.mark.parametrize("line", ["failover --to us-west-2", "failover --to us-west-2 --accept-data-loss"])
def test_of_two_operators_the_second_is_told_who_is_the_first(terminal: Terminal, line: str) -> None:
    aws = terminal.aws
    down(aws)
    run = begun(aws, Action.FAILOVER, AWAY)
    aws.clock.sleeping = [lambda: Journal(aws.table(AWAY)).keep(next_beat(run), run)]
    assert terminal.type(line) == Said(2, "", [f"recovery: bob is at it: failover to {AWAY}"])
    assert aws.run(AWAY).driver == "bob"


def test_whoever_is_taken_for_dead_stops(terminal: Terminal) -> None:
    aws = terminal.aws
    down(aws)

    def take_over() -> None:
        run = aws.run(AWAY)
        Journal(aws.table(AWAY)).keep(Run.of({**run.document(), "driver": "bob"}), run)

    aws.rds.polls = 20
    aws.clock.sleeping = [take_over, lambda: None]
    said = terminal.type("failover --to us-west-2")
    assert (said.code, aws.run(AWAY).driver) == (1, "bob")
    assert len(said.err) == 1
    assert said.err[0].startswith("recovery: bob is at it: failover to us-west-2")
    assert said.err[0].endswith(": nothing more is done here")


def test_what_is_not_finished_in_time_can_be_gone_on_with(terminal: Terminal) -> None:
    down(terminal.aws)
    terminal.aws.faults["PutObject"] = [Fault(client_error("AccessDenied", 403))] * 10**3
    said = terminal.type("failover --to us-west-2")
    assert (said.code, said.err) == (1, [
        "recovery: traffic was not done within 10 s: lever in us-west-2: AccessDenied: refused", GOES_ON])
    terminal.aws.faults.clear()
    assert terminal.type("failover --to us-west-2").code == 0


@pytest.mark.parametrize("failing", [2, 1])
def test_a_journal_that_cannot_be_written_ends_it(terminal: Terminal, failing: int) -> None:
    down(terminal.aws)
    terminal.aws.faults["PutItem"] = [*[None] * (failing - 1), *[Fault(client_error("AccessDenied"))] * 99]
    said = terminal.type("failover --to us-west-2")
    assert (said.code, said.err) == (1, ["recovery: table: AccessDenied", GOES_ON][:failing])
    assert terminal.aws.right(AWAY) == (1, HOME)


def test_an_interrupt_leaves_what_can_be_gone_on_with(terminal: Terminal) -> None:
    down(terminal.aws)
    terminal.aws.faults["FailoverGlobalCluster"] = [Fault(KeyboardInterrupt())]
    said = terminal.type("failover --to us-west-2")
    assert (said.code, said.err) == (130, ["recovery: interrupted", GOES_ON])
    assert terminal.type("failover --to us-west-2").code == 0
    assert terminal.aws.rds.writer == AWAY


def test_an_interrupt_before_anything_is_done(terminal: Terminal) -> None:
    terminal.aws.faults["HeadBucket"] = [Fault(KeyboardInterrupt())]
    assert terminal.type("failover --to us-west-2") == Said(130, "", ["recovery: interrupted"])
