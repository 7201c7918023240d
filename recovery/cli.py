"""The command line: `python -m recovery`."""
import getpass
import json
import os
import signal
import socket
import sys
import traceback
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from botocore.exceptions import BotoCoreError
from rich import box
from rich.console import Console
from rich.table import Table
from typer.exceptions import TyperException

from payments.errors import StoreUnavailable
from recovery import probe, show
from recovery.clients import BotoClients
from recovery.clock import CLOCK
from recovery.cloud import AwsFailure, ClientFactory, Cloud, reason
from recovery.drill import DURATION, RESTORE, Drill, DrillReport, DrillTargets, aim, restore
from recovery.journal import AlreadyRunning, Journal, Run, StepProgress
from recovery.plan import Action, Plan, Step, predict, refusals, resumes
from recovery.runner import Runner, StepTimedOut, claim
from recovery.stack import Stack, StackError
from recovery.status import Status

OUTPUTS = "cfn-outputs/flat-outputs.json"
OUTPUTS_VARIABLE = "TAPSTACK_OUTPUTS"
UNDONE, REFUSED, INTERRUPTED = 1, 2, 130
AGAIN = "the same command goes on from there"
WIDTH = 160  # columns: a line is not broken where nobody knows how wide a terminal is

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, the rest on stderr.")]
To = Annotated[str, typer.Option("--to", metavar="REGION", help="The region that is to take payments.")]
app = typer.Typer(add_completion=False, help=(
    "Moves the payment service from one region to the other. Exit codes: 0 done, 1 not finished (the same command goes "
    "on), 2 refused, and nothing changed, 130 interrupted."))


class CommandStopped(Exception):
    """The command ends here, with an exit code; each line is a reason."""

    def __init__(self, code: int, *reasons: str) -> None:
        super().__init__(code, *reasons)
        self.code, self.reasons = code, reasons


class DrillCommand(StrEnum):
    """What `drill` takes: an action, or that what a drill has left broken is mended."""

    SWITCHOVER = Action.SWITCHOVER
    FAILOVER = Action.FAILOVER
    FAILBACK = Action.FAILBACK
    RESTORE = "restore"


def load() -> Stack:
    """The stack of `read_outputs`. Raises StackError."""
    return Stack.of(read_outputs())


def read_outputs() -> dict[str, Any]:
    """What TAPSTACK_OUTPUTS, or else cfn-outputs/flat-outputs.json, tells of a stack. Raises StackError."""
    path = Path(os.environ.get(OUTPUTS_VARIABLE) or OUTPUTS)
    try:
        outputs = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StackError(f"{path}: {error.strerror}: `make outputs` writes it") from None
    except (ValueError, RecursionError):
        raise StackError(f"{path}: is no JSON: `make outputs` writes it") from None
    if not isinstance(outputs, dict):
        raise StackError(f"{path}: is no object: `make outputs` writes it")
    return outputs


def intend(action: Action, to: str) -> Plan:
    """The plan of an action; if nobody says where it leads, a failback leads home, and anything else away from there.

    Raises StackError.
    """
    stack = load()
    usual = stack.sites[0 if action is Action.FAILBACK else 1]
    return Plan(action=action, stack=stack, target=stack.site(to) if to else usual)


def driver() -> str:
    """Who this is, to others."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # one that has no name, as in a container
        user = f"user {os.getuid()}"
    return f"{user} on {socket.gethostname()} (process {os.getpid()})"


@app.callback(invoke_without_command=True)
def usage(context: typer.Context) -> None:
    """Show the help if no command is given."""
    if context.invoked_subcommand is None:
        print(context.get_help())  # noqa: T201


@app.command()
def status(*, as_json: Json = False) -> None:
    """Roles, writer, lags, health, lever, alarms, latest run, last drill; works while a region is cut off."""
    found = Status(stack=load(), clients=BotoClients(), look=probe.look, clock=CLOCK).take()
    if as_json:
        _print_json(found)
        return
    _console().print(_table(show.regions(found)), *show.stack(found), sep="\n")


@app.command()
def plan(action: Action, *, to: To = "", as_json: Json = False) -> None:
    """The steps of an action and the time that they may take. Calls nobody; exit code 2 if that is too long."""
    planned = intend(action, to)
    budget, objective, expected = planned.budget(), planned.stack.recovery_time_objective, predict(planned.stack)
    whole = sum(budget.values())
    if as_json:
        _print_json({
            "action": action.value, "target": planned.target.region, "steps": [asdict(step) for step in planned.steps],
            "budget_s": budget, "sum_s": whole, "recovery_time_objective_s": objective,
            "prediction_for_aws": [asdict(each) for each in expected]})
    else:
        _console().print(
            _table(show.steps(planned), f"{action} to {planned.target.region}"), show.budget(planned),
            _table(show.expected(expected), "Prediction for a failover in AWS, where nobody has measured it"), sep="\n")
    if whole > objective:
        raise CommandStopped(REFUSED, f"recoveryTimeObjective = {objective}: the plan may take {whole:.0f} s")


@app.command()
def switchover(*, to: To, as_json: Json = False) -> None:
    """Planned, with two healthy regions: nothing is lost, and payments wait for a moment."""
    carry_out(intend(Action.SWITCHOVER, to), as_json=as_json)


@app.command()
def failover(*, to: To, as_json: Json = False, accept_data_loss: Annotated[bool, typer.Option(
        "--accept-data-loss", help="Begin although payments will be lost, or nobody knows how many.")] = False) -> None:
    """Unplanned: takes over without asking the other region for anything."""
    carry_out(intend(Action.FAILOVER, to), accepts_loss=accept_data_loss, as_json=as_json)


@app.command()
def failback(*, as_json: Json = False) -> None:
    """After a failover: waits for the region that was lost, and moves back as a switchover does."""
    carry_out(intend(Action.FAILBACK, ""), as_json=as_json)


@app.command()
def drill(practice: Annotated[DrillCommand, typer.Argument(metavar="ACTION", help=", ".join(DrillCommand))], *, to: To = "",
          as_json: Json = False,
          yes: Annotated[bool, typer.Option("--yes", help="Do not ask. The profile prod needs it.")] = False,
          seconds: Annotated[float, typer.Option(min=1, help="How long clients pay at most.")] = DURATION) -> None:
    """An action for practice, with clients that pay all the while; `restore` mends what a drill has left broken."""
    outputs, clients, console = read_outputs(), BotoClients(), _console(stderr=as_json)
    try:
        if practice is DrillCommand.RESTORE:
            mended = restore(Stack.of(outputs), clients)
            document: dict[str, Any] = {"ok": True, "restored": mended and asdict(mended)}
            told = f"{mended.region} is restored" if mended else "nothing is left broken"
        else:
            report = practise(Action(practice), to, outputs, clients, console, yes=yes, seconds=seconds)
            document, told = report.document(), str(report)
    except AwsFailure as error:
        raise CommandStopped(UNDONE, str(error)) from error
    except KeyboardInterrupt:
        raise CommandStopped(INTERRUPTED, "interrupted", f"`{RESTORE}` makes sure that nothing is left broken") from None
    if as_json:
        _print_json(document)
    else:
        console.print(told)
    if not document["ok"]:
        raise CommandStopped(UNDONE)


def practise(action: Action, to: str, outputs: dict[str, Any], clients: ClientFactory, console: Console, *, yes: bool,
             seconds: float) -> DrillReport:
    """Ask whether a drill may begin, and carry it out. Raises Stopped, and as `Drill.run`."""
    def carry(cloud: Cloud, why: str, seen: float | None) -> Run:
        run = claim(Journal(cloud.table), cloud.plan, driver(), why=why, seen=seen, clock=cloud.clock)
        return drive(cloud, run, console)

    stack = Stack.of(outputs)
    planned = Plan(action=action, stack=stack, target=stack.site(to) if to else aim(stack, action, clients))
    made = Drill(plan=planned, handles={site.region: DrillTargets.of(outputs, site) for site in stack.sites},
                 clients=clients, drive=carry, seconds=seconds, say=console.print)
    against = made.against(yes=yes)
    if against:
        raise CommandStopped(REFUSED, *against)
    if not yes and not _agreed(made.warning()):
        raise CommandStopped(REFUSED, "nobody agreed to it")
    return made.run()


def _agreed(warning: str) -> bool:
    """Whether a person agrees; where there is none, nobody does."""
    try:
        return typer.confirm(f"{warning}\nBegin?", err=True)
    except typer.Abort:
        return False


def carry_out(planned: Plan, *, as_json: bool, accepts_loss: bool = False) -> None:
    """Check, claim and drive a plan, and tell of it. Raises Stopped, Busy and StoreUnavailable."""
    cloud = Cloud(plan=planned, clients=BotoClients(), look=probe.look, clock=CLOCK)
    facts = cloud.facts()
    against = [] if resumes(planned, facts.run) else refusals(planned, facts, cloud.clock.time())
    reasons = [refusal.reason for refusal in against]
    if not all(accepts_loss and refusal.loses for refusal in against):
        hint = ["--accept-data-loss begins it all the same"] if all(refusal.loses for refusal in against) else []
        raise CommandStopped(REFUSED, *reasons, *hint)
    why = f"accepted: {'; '.join(reasons)}" if reasons else f"{planned.action} asked for"
    run = claim(Journal(cloud.table), planned, driver(), why=why, accepted=bool(reasons), clock=cloud.clock)
    console = _console(stderr=as_json)
    console.print(f"{run.action} to {run.target} ({run.id}): {run.why}")
    try:
        finished = drive(cloud, run, console)
    except AlreadyRunning as busy:
        raise CommandStopped(UNDONE, f"{busy}: nothing more is done here") from busy
    except (StepTimedOut, StoreUnavailable) as error:
        raise CommandStopped(UNDONE, reason(error), AGAIN) from error
    except KeyboardInterrupt:
        raise CommandStopped(INTERRUPTED, "interrupted", AGAIN) from None
    try:
        cloud.tell(f"{run.action} to {run.target} is done", f"By {run.driver}: {run.why}")
    except AwsFailure as error:
        _warn(f"nobody could be told: {error}")
    if as_json:
        _print_json(finished.document())
    else:
        console.print(f"done in {(finished.ended or 0) - finished.began:.1f} s")


def drive(cloud: Cloud, run: Run, console: Console) -> Run:
    """Drive a claimed run to its end, a line for each step. Raises as `Runner.drive`."""
    with console.status(run.what) as line:
        def say(step: Step, done: StepProgress) -> None:
            line.update(f"{step.key}: {step.does}")
            if done.ended is not None:
                console.print(f"{step.key:10} {done.ended - done.began:6.1f} s  {done.note}")

        return Runner(plan=cloud.plan, steps=cloud, journal=Journal(cloud.table), run=run, say=say,
                      clock=cloud.clock).drive()


def _console(*, stderr: bool = False) -> Console:
    """What is printed there is printed as it is: names of AWS look like markup."""
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else WIDTH
    return Console(stderr=stderr, width=width, soft_wrap=True, markup=False, emoji=False, highlight=False)


def _table(rows: show.Rows, title: str | None = None) -> Table:
    """The first row is the head."""
    table = Table(*rows[0], box=box.SIMPLE, title=title)
    for row in rows[1:]:
        table.add_row(*row)
    return table


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2), flush=True)  # noqa: T201


def _warn(line: str) -> None:
    print(f"recovery: {' '.join(line.split())}", file=sys.stderr)  # noqa: T201


def main() -> NoReturn:
    """Run the command line, and exit. Whatever cannot be done is told in a line for each reason."""
    code, *lines = _outcome()
    for line in lines:
        _warn(line)
    # What still runs are calls that were given up, and end by themselves: an interrupt is to end them silently.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


def _outcome() -> tuple[Any, ...]:
    """The exit code of the command that was typed, and the lines that say why."""
    try:
        code = typer.main.get_command(app).main(standalone_mode=False) or 0
    except CommandStopped as stopped:
        return stopped.code, *stopped.reasons
    except TyperException as error:
        return REFUSED, error.format_message()
    except (StackError, AlreadyRunning, BotoCoreError) as error:
        return REFUSED, str(error)
    except StoreUnavailable as error:
        return UNDONE, reason(error)
    except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
        *_, (frame, line) = traceback.walk_tb(error.__traceback__)
        return UNDONE, f"a mistake in {frame.f_code.co_filename}:{line}: {type(error).__name__}: {error}"
    return (code, "interrupted") if code == INTERRUPTED else (code,)
