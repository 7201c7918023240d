"""The command line as it is typed: exit codes, a line for each reason, and never a traceback."""
import getpass
import io
import json
import re
import runpy
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError, ProfileNotFound

from contract import DRILL_KEY, ROLES
from recovery.cli import ask, connect, run, user
from recovery.doctor.before import BEFORE
from recovery.doctor.check import Situation
from recovery.doctor.deployed import DEPLOYED
from recovery.environment import BotoClients, HttpReply
from recovery.journal import Run, next_heartbeat
from recovery.observation import Observation
from recovery.plan import STEPS, Action
from recovery.runner import claim
from tests.unit.payments.fakes import Fault, Item, client_error
from tests.unit.recovery.doctor.fakes import FINE, Account, needs
from tests.unit.recovery.fakes import AWAY, HOME, NOW, OUTPUTS, FakeAws, environment_of, terminal_of

CONTINUE = "recovery: to continue, run the same command again"


@dataclass(frozen=True)
class Result:
    """The exit code of a command, and what it printed; stderr in lines."""

    code: object
    out: str
    err: list[str]


@dataclass(kw_only=True)
class Shell:
    """Where commands are typed; `aws` is what they call."""

    capture: pytest.CaptureFixture[str]
    outputs: Path
    aws: FakeAws

    def deploy(self, **changes: Any) -> FakeAws:
        """Deploy another stack, and write its outputs."""
        self.aws = FakeAws(**changes)
        self.outputs.write_text(json.dumps({**OUTPUTS, **changes}), encoding="utf-8")
        return self.aws

    def type(self, line: str, **changes: Any) -> Result:
        """Run a command."""
        code = run(line.split(), replace(terminal_of(self.aws, self.outputs), **changes))
        printed = self.capture.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return Result(code, printed.out, printed.err.splitlines())


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """One with a healthy stack."""
    found = Shell(capture=capsys, outputs=tmp_path / "outputs.json", aws=FakeAws())
    found.deploy()
    return found


def down(aws: FakeAws, **changes: Any) -> FakeAws:
    """The primary region is cut off, and the standby's controller knows it."""
    aws.table(AWAY).write_observation(Observation(**{
        "region": AWAY, "at": NOW, "dead": 3, "why": "timed out", "alive_at": NOW - 30, "lags": {"table": 1.0},
        **changes}))
    aws.cut = {HOME}
    return aws


def up(aws: FakeAws, region: str = AWAY) -> None:
    """The controller of a region reports that nothing lags."""
    aws.table(region).write_observation(Observation(region=region, at=NOW, alive_at=NOW, lags={"table": 0.0}))


def begun(aws: FakeAws, action: Action, to: str, *keys: str) -> Run:
    """A run that another operator has begun, and some of its steps."""
    steps = aws.steps(action, to)
    found = claim(steps.cloud, "bob", why="requested")
    for step in steps.cloud.plan.steps:
        if step.key in keys:
            steps.do(step, found)
    return found


# --- Without AWS

@pytest.mark.parametrize("line", ["", "--help"])
def test_without_a_command_the_help_is_shown(shell: Shell, line: str) -> None:
    result = shell.type(line)
    assert (result.code, result.err) == (0, [])
    for command in ("status", "switchover", "failover", "failback", "plan", "Exit codes"):
        assert command in result.out


@pytest.mark.parametrize(("line", "reason"), [
    ("fail-over", "No such command 'fail-over'."), ("failover", "Missing option '--to'."),
    ("switchover", "Missing option '--to'."), ("status --jsn", "No such option: --jsn"),
    ("plan tea", "'tea' is not one of"), ("failback --to us-east-1", "No such option: --to"),
    ("failover --to mars", "region 'mars': must be us-east-1 or us-west-2"),
    ("plan failover --to mars", "region 'mars': must be us-east-1 or us-west-2"),
])
def test_a_mistyped_command_is_refused_in_one_line(shell: Shell, line: str, reason: str) -> None:
    result = shell.type(line)
    assert (result.code, len(result.err)) == (2, 1)
    assert result.err[0].startswith("recovery: ")
    assert reason in result.err[0]
    assert shell.aws.calls == []


@pytest.mark.parametrize("line", ["status", "plan failover", "failover --to us-west-2", "failback"])
@pytest.mark.parametrize(("spoil", "reason"), [
    (Path.unlink, "No such file or directory: `make outputs` writes it"),
    (lambda path: path.write_text("{"), "is not JSON: `make outputs` writes it"),
    (lambda path: path.write_text("[" * 10**5), "is not JSON: `make outputs` writes it"),
    (lambda path: path.write_bytes(b"\xff"), "is not JSON: `make outputs` writes it"),
    (lambda path: path.write_text("[]"), "is not a JSON object: `make outputs` writes it"),
    (lambda path: path.write_text("{}"), "environment_suffix: is not among the outputs of the stack"),
    (lambda path: path.write_text(json.dumps({**OUTPUTS, "health_check_interval": "ten"})),
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
        "recovery: cfn-outputs/flat-outputs.json: No such file or directory: `make outputs` writes it"]
    (shell.outputs.parent / "cfn-outputs").mkdir()
    shell.outputs.rename(shell.outputs.parent / "cfn-outputs" / "flat-outputs.json")
    assert shell.type("plan failover", environ={}).code == 0


@pytest.mark.parametrize("line", ["status", "failover --to us-west-2"])
def test_a_profile_that_does_not_exist_is_refused(shell: Shell, line: str) -> None:
    def refuse() -> None:
        raise ProfileNotFound(profile="nope")

    assert shell.type(line, connect=refuse) == Result(2, "", ["recovery: The config profile (nope) could not be found"])


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
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("recovery", run_name="__main__")
    assert ended.value.code == code


def test_an_internal_error_is_reported_in_one_line(shell: Shell) -> None:
    result = shell.type("status", connect=lambda: 1 / 0)
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
        shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPSTACK_OUTPUTS", str(shell.outputs))
    monkeypatch.setattr(sys, "argv", ["recovery", "plan", "failover"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("recovery", run_name="__main__")
    assert (ended.value.code, signal.getsignal(signal.SIGINT)) == (0, signal.SIG_DFL)
    assert f"failover to {AWAY}" in shell.capture.readouterr().out


@pytest.mark.parametrize(("answer", "agrees"), [("y\n", True), ("n\n", False), ("", False)])
def test_only_a_yes_confirms(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str,
                             *, agrees: bool) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert ask("Begin?") is agrees
    assert "Begin?" in capsys.readouterr().err


def test_commands_call_aws_through_boto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    assert isinstance(connect().clients, BotoClients)


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert user().startswith("user ")


# --- plan

@pytest.mark.parametrize(("line", "action", "to"), [
    ("plan failover", "failover", AWAY), ("plan failover --to us-east-1", "failover", HOME),
    ("plan switchover", "switchover", AWAY), ("plan failback", "failback", HOME),
])
def test_a_plan_is_printed_without_calling_aws(shell: Shell, line: str, action: str, to: str) -> None:
    result = shell.type(line)
    assert (result.code, result.err) == (0, [])
    for text in (f"{action} to {to}", "budget:", "of 900 s (recoveryTimeObjective)", "Prediction", "promote"):
        assert text in result.out
    document = json.loads(shell.type(f"{line} --json").out)
    assert (document["action"], document["target"]) == (action, to)
    assert document["sum_s"] == sum(document["budget_s"].values()) <= document["recovery_time_objective_s"] == 900
    assert {"key", "does", "proof", "budget", "after"} == set(document["steps"][0])
    assert {"phase", "least", "most", "source"} == set(document["prediction_for_aws"][0])
    assert shell.aws.calls == []


def test_a_plan_says_what_the_standby_lacks(shell: Shell) -> None:
    shell.deploy(recovery_time_objective=1095, dr_instances=0)
    assert "us-west-2 has no database instance" in shell.type("plan failover").out
    assert "no database instance" in json.loads(shell.type("plan failover --json").out)["shortfalls"][0]


@pytest.mark.parametrize("option", ["", "--json"])
def test_a_plan_that_takes_too_long_is_printed_and_refused(shell: Shell, option: str) -> None:
    shell.deploy(recovery_time_objective=300)
    result = shell.type(f"plan failover {option}")
    assert result.code == 2
    assert len(result.err) == 1
    assert result.err[0].startswith("recovery: recoveryTimeObjective = 300: the plan may take ")
    assert "promote" in result.out


# --- status

def test_status_as_a_table(shell: Shell) -> None:
    result = shell.type("status")
    assert (result.code, result.err) == (0, [])
    for text in (f"{HOME} (primary)", f"{AWAY} (dr)", f"leader: {HOME}, epoch 1", "latest run: none"):
        assert text in result.out


def test_status_of_a_stack_with_a_region_cut_off(shell: Shell) -> None:
    shell.aws.cut = {HOME}
    result = shell.type("status")
    assert (result.code, result.err) == (0, [])
    assert f"unknown in {HOME}: controller, drill, leader, run: table: EndpointConnectionError" in result.out
    found = json.loads(shell.type("status --json").out)
    assert (found["regions"][HOME]["right"], found["regions"][AWAY]["cluster"]) == ("unknown", "available")
    assert found["active"] == HOME


def test_what_looks_like_markup_is_printed_as_it_is(shell: Shell) -> None:
    shell.aws.rds.states[HOME] = "[/x] :key: [b]no[/b]"
    assert "[/x] :key: [b]no[/b]" in shell.type("status").out


# --- Actions

@pytest.mark.parametrize(("line", "keys"), [
    ("failover --to us-west-2", ["fence", "traffic", "promote", "epoch", "verify", "reconcile"]),
    ("switchover --to us-west-2", ["caught-up", "traffic", "fence", "promote", "epoch", "verify", "reconcile"]),
])
def test_an_action_is_carried_out_and_reported_step_by_step(shell: Shell, line: str, keys: list[str]) -> None:
    action = line.partition(" ")[0]
    (down if action == "failover" else up)(shell.aws)
    result = shell.type(line)
    first, *steps, last = result.out.splitlines()
    assert (result.code, result.err) == (0, [])
    assert first.startswith(f"{action} to {AWAY} (")
    assert [step.split()[0] for step in steps] == keys
    assert last.startswith("done in ")
    assert (shell.aws.rds.writer, shell.aws.leadership(AWAY)) == (AWAY, (2, AWAY))
    [(region, subject, message)] = shell.aws.notifications
    assert (region, subject) == (AWAY, f"{action} to {AWAY} is done")
    assert message.startswith("By alice: ")


def test_a_failback_is_a_failback(shell: Shell) -> None:
    aws = shell.aws
    aws.rds.writer = AWAY
    aws.table(AWAY).take_leadership(AWAY, 0)
    aws.levers[AWAY] = [b"failover"]
    up(aws, HOME)
    assert shell.type("failback").code == 0
    assert (aws.rds.writer, aws.leadership(HOME), aws.levers) == (HOME, (3, HOME), {HOME: [], AWAY: []})


def test_with_json_the_document_alone_is_on_stdout(shell: Shell) -> None:
    down(shell.aws)
    result = shell.type("failover --to us-west-2 --json")
    document = json.loads(result.out)
    assert Run.of(document) == shell.aws.run(AWAY)
    assert (result.code, document["outcome"], document["accepted"]) == (0, "done", False)
    assert [line.split()[0] for line in result.err] == ["failover", *document["steps"]]


def test_a_failed_notification_is_a_warning(shell: Shell) -> None:
    down(shell.aws)
    shell.aws.faults["Publish"] = [Fault(client_error("NotFound", 404))]
    result = shell.type("failover --to us-west-2")
    assert (result.code, result.err) == (0, ["recovery: the notification failed: topic: NotFound: refused"])


@pytest.mark.parametrize(("line", "prepare", "reason"), [
    ("switchover --to us-east-1", up, "us-east-1 already leads and already has the database's writer"),
    ("failback", up, "us-east-1 already leads and already has the database's writer"),
    ("switchover --to us-west-2", down, "us-east-1 does not answer (timed out): a planned move needs both regions"),
    ("failover --to us-west-2", lambda aws: down(aws).rds.instances.update({AWAY: []}),
     "us-west-2 is not healthy: its database is available, with 0 instances available"),
    ("failover --to us-west-2 --accept-data-loss", lambda aws: down(aws).rds.states.update({AWAY: "stopped"}),
     "us-west-2 is not healthy: its database is stopped"),
    ("failover --to us-west-2", lambda aws: aws.faults.update(GetItem=[Fault(NoCredentialsError())] * 9),
     "us-west-2 does not know which region leads: NoCredentialsError"),
    ("failover --to us-west-2", lambda aws: aws.faults.update(
        DescribeGlobalClusters=[Fault(client_error("ExpiredToken", 403))] * 9),
     "us-west-2 does not know where the database's writer is: global database: ExpiredToken: refused"),
])
def test_what_must_not_begin_is_refused_and_changes_nothing(
        shell: Shell, line: str, prepare: Callable[[FakeAws], object], reason: str) -> None:
    prepare(shell.aws)
    result = shell.type(line)
    assert (result.code, result.out) == (2, "")
    assert reason in result.err[0]
    changing = [name for name in shell.aws.operations() if not name.startswith(("Describe", "Head", "Get", "look"))]
    assert changing == []


def test_a_loss_must_be_accepted_by_an_option(shell: Shell) -> None:
    down(shell.aws, lags={"table": 75.0}, dead=0)
    result = shell.type("failover --to us-west-2")
    assert result.code == 2
    assert [line.partition(",")[0] for line in result.err] == [
        "recovery: us-east-1 is not known to be down", "recovery: the last 75 s of payments would be lost",
        "recovery: to begin anyway"]
    result = shell.type("failover --to us-west-2 --accept-data-loss")
    assert result.code == 0
    assert shell.aws.run(AWAY).accepted
    assert "accepted: " in result.out
    assert "the last 75 s of payments would be lost" in result.out
    assert "the last 75 s of payments would be lost" in shell.aws.notifications[0][2]


def test_an_unfinished_run_is_continued_whatever_would_forbid_it_now(shell: Shell) -> None:
    aws = shell.aws
    found = begun(aws, Action.FAILOVER, AWAY, "fence")
    aws.cut, aws.rds.instances[AWAY] = {HOME}, ["rebooting"]
    result = shell.type("failover --to us-west-2")
    assert (result.code, aws.rds.writer, aws.run(AWAY).id) == (0, AWAY, found.id)
    assert aws.run(AWAY).driver == "alice"


@pytest.mark.parametrize("line", ["failover --to us-west-2", "failover --to us-west-2 --accept-data-loss"])
def test_of_two_operators_the_second_is_shown_the_first(shell: Shell, line: str) -> None:
    aws = shell.aws
    down(aws)
    found = begun(aws, Action.FAILOVER, AWAY)
    aws.clock.sleeping = [lambda: aws.table(AWAY).write_run(next_heartbeat(found), found)]
    assert shell.type(line) == Result(2, "", [f"recovery: already running: failover to {AWAY}, by bob"])
    assert aws.run(AWAY).driver == "bob"


def test_a_driver_taken_for_dead_stops(shell: Shell) -> None:
    aws = shell.aws
    down(aws)

    def take_over() -> None:
        found = aws.run(AWAY)
        aws.table(AWAY).write_run(Run.of({**found.document(), "driver": "bob"}), found)

    aws.rds.polls = 20
    aws.clock.sleeping = [take_over, lambda: None]
    result = shell.type("failover --to us-west-2")
    assert (result.code, aws.run(AWAY).driver) == (1, "bob")
    assert len(result.err) == 1
    assert result.err[0].startswith("recovery: already running: failover to us-west-2")
    assert result.err[0].endswith(", by bob: this command stops")


def test_a_run_that_times_out_can_be_continued(shell: Shell) -> None:
    down(shell.aws)
    shell.aws.faults["PutObject"] = [Fault(client_error("AccessDenied", 403))] * 10**3
    result = shell.type("failover --to us-west-2")
    assert (result.code, result.err) == (1, [
        "recovery: traffic was not done within 10 s: lever in us-west-2: AccessDenied: refused", CONTINUE])
    shell.aws.faults.clear()
    assert shell.type("failover --to us-west-2").code == 0


@pytest.mark.parametrize("failing", [2, 1])
def test_a_journal_that_cannot_be_written_ends_the_command(shell: Shell, failing: int) -> None:
    down(shell.aws)
    shell.aws.faults["PutItem"] = [*[None] * (failing - 1), *[Fault(client_error("AccessDenied"))] * 99]
    result = shell.type("failover --to us-west-2")
    assert (result.code, result.err) == (1, ["recovery: table: AccessDenied", CONTINUE][:failing])
    assert shell.aws.leadership(AWAY) == (1, HOME)


def test_an_interrupted_run_can_be_continued(shell: Shell) -> None:
    down(shell.aws)
    shell.aws.faults["FailoverGlobalCluster"] = [Fault(KeyboardInterrupt())]
    result = shell.type("failover --to us-west-2")
    assert (result.code, result.err) == (130, ["recovery: interrupted", CONTINUE])
    assert shell.type("failover --to us-west-2").code == 0
    assert shell.aws.rds.writer == AWAY


def test_an_interrupt_before_a_run_begins(shell: Shell) -> None:
    shell.aws.faults["HeadBucket"] = [Fault(KeyboardInterrupt())]
    assert shell.type("failover --to us-west-2") == Result(130, "", ["recovery: interrupted"])


# --- Drills

class PayingAws(FakeAws):
    """A stack without DNS in which clients pay, and controllers look, whenever something waits."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(service_url="", dns="off", **changes)
        self.environment = replace(self.environment, http=self.answer)
        self.clock.tick = self.tick
        self.paid: set[str] = set()
        self.reserved: int | None = 5
        self.more = {"GetApiKey": lambda _: {"value": "secret"}, "PutFunctionConcurrency": self.reserve}
        for region in (HOME, AWAY):
            up(self, region)

    def reserve(self, request: Item) -> Item:
        """Reserve executions for a function."""
        self.reserved = request["ReservedConcurrentExecutions"]
        return {}

    def answer(self, method: str, url: str, timeout: float, **more: Any) -> HttpReply:
        """What a region's API answers to payments too."""
        region, path = url.split("-api_endpoint/")
        if not path.startswith("payment"):
            return self.http(method, url, timeout, **more)
        if method == "GET":
            return HttpReply(200 if path.removeprefix("payment/") in self.paid else 404)
        if not self.writes(region):
            return HttpReply(503)
        self.paid.add(json.loads(more["body"])["payment_id"])
        return HttpReply(201)

    def tick(self) -> None:
        """Something waits."""
        for region in (HOME, AWAY):
            now = self.clock.time()
            self.table(region).write_observation(
                Observation(region=region, at=now, alive_at=now, lags={"table": 0.0}))
        for task in self.background.tasks:
            task()


DRILL_OUTPUTS = {f"{role}_{name}": f"the {name}" for role in ROLES for name in ("function_name", "api_key_id")} | {
    f"{role}_health_check_id": "" for role in ROLES}


@pytest.fixture
def drills(shell: Shell) -> Shell:
    """Where drills are typed."""
    shell.aws = PayingAws()
    shell.outputs.write_text(json.dumps({**OUTPUTS, "service_url": "", **DRILL_OUTPUTS}), encoding="utf-8")
    return shell


def test_a_drill_asks_first_and_prints_its_report(drills: Shell) -> None:
    questions: list[str] = []
    result = drills.type("drill switchover", confirm=lambda question: not questions.append(question))  # type: ignore[func-returns-value]
    assert (result.code, result.err) == (0, [])
    assert f"Moves payments from {HOME} to {AWAY}" in questions[0]
    assert f"drill switchover from {HOME} to {AWAY}: ok\nrecovery: " in result.out
    result = drills.type("drill failback --yes --json --seconds 100")
    record = drills.aws.table(HOME).document(DRILL_KEY)
    assert (result.code, json.loads(result.out)) == (0, {key: record[key] for key in record if key != "broken"})
    assert [line.split()[0] for line in result.err] == [step.key for step in STEPS[Action.FAILBACK]]


def test_a_drill_that_is_not_confirmed_changes_nothing(drills: Shell) -> None:
    assert drills.type("drill failover") == Result(2, "", ["recovery: not confirmed"])
    assert DRILL_KEY not in drills.aws.tables[AWAY].items


def test_a_drill_is_refused_with_every_reason(drills: Shell) -> None:
    assert drills.type(f"drill switchover --to {HOME} --yes") == Result(
        2, "", [f"recovery: {HOME} already leads and already has the database's writer"])
    assert drills.type("drill failover --seconds 0").code == 2
    assert drills.aws.operations("apigateway", "sns") == []


def test_a_drill_that_fails_says_so(drills: Shell) -> None:
    drills.aws.faults["GetApiKey"] = [Fault(client_error("AccessDenied"))]
    assert drills.type("drill switchover --yes") == Result(1, "", ["recovery: API key: AccessDenied: refused"])
    drills.aws.faults["SwitchoverGlobalCluster"] = [Fault(client_error("AccessDenied"))] * 10**4
    result = drills.type("drill switchover --yes")
    assert (result.code, result.err) == (1, [])
    assert "promote was not done within 480 s: promote: AccessDenied: refused" in result.out


def test_an_interrupted_drill_names_the_command_that_restores(drills: Shell) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    drills.aws.clock.tick = interrupt
    assert drills.type("drill switchover --yes") == Result(130, "", [
        "recovery: interrupted",
        "recovery: run `python -m recovery drill restore` to make sure that nothing is left broken"])


def test_restore_restores_what_is_left_broken(drills: Shell) -> None:
    broken = {"region": HOME, "function": "f", "reserved": 300, "check": "", "inverted": False, "disabled": False}
    drills.aws.table(AWAY).write_document(DRILL_KEY, {"began": NOW, "to": AWAY, "broken": broken})
    result = drills.type("drill restore --json")
    assert (result.code, json.loads(result.out)["restored"]) == (0, broken)
    assert getattr(drills.aws, "reserved", None) == 300
    assert drills.type("drill restore") == Result(0, "nothing was left broken\n", [])
    drills.aws.table(AWAY).write_document(DRILL_KEY, {"began": NOW, "to": AWAY, "broken": broken})
    assert drills.type("drill restore").out == f"{HOME} is restored\n"


# --- Doctor

@pytest.fixture
def needs_file(tmp_path: Path) -> Path:
    """What the stack that is deployed needs, as a file."""
    path = tmp_path / "needs.json"
    path.write_text(json.dumps(asdict(needs(environment_suffix="the environment_suffix"))), encoding="utf-8")
    return path


def diagnose(shell: Shell, line: str = "", answers: Mapping[str, Any] = FINE) -> Result:
    """Let the doctor look at an account, by default one in which nothing is wrong."""
    account = Account(answers)
    return shell.type(f"doctor {line}", connect=lambda: environment_of(shell.aws.clock, account.client))


def looked(result: Result) -> set[str]:
    """The checks that were made, by a JSON document."""
    return {each["check"] for each in json.loads(result.out)["looked"]}


def test_the_doctor_looks_at_the_deployed_stack(shell: Shell) -> None:
    result = diagnose(shell)
    assert (result.code, result.err) == (0, [])
    assert "account 123456789012: 6 checks; 0 would fail, 0 notes, 0 could not look" in result.out
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
        0, "", ["recovery: awsEndpoint is set: there is no AWS account to look at"])


def test_the_doctor_needs_something_to_look_at(shell: Shell, needs_file: Path) -> None:
    shell.outputs.unlink()
    needs_file.write_text("{}", encoding="utf-8")
    for line in ("", f"--needs {needs_file}", "--needs /nowhere"):
        result = diagnose(shell, line)
        assert (result.code, result.out, len(result.err)) == (2, "", 1)


def test_without_credentials_the_doctor_says_so_in_one_line(shell: Shell) -> None:
    def refuse(*_: object) -> Any:
        raise NoCredentialsError

    environment = environment_of(shell.aws.clock, refuse)
    result = shell.type("doctor", connect=lambda: environment)
    assert (result.code, result.out) == (2, "")
    (line,) = result.err
    assert line.startswith(f"recovery: GetCallerIdentity in {AWAY}: Unable to locate credentials: sign in to AWS (")
