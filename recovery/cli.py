"""The command line: `python -m recovery`."""
import json
import math
import os
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from enum import StrEnum
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from botocore.exceptions import BotoCoreError
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Column, Table
from typer.exceptions import TyperException

from contract import EMULATOR, PAUSE_KEY, VERSION, OutputsError
from payments.clock import Stopwatch
from payments.errors import StoreUnavailable
from recovery import doctor as doctors
from recovery import drill as drills
from recovery import show
from recovery.cloud import Cloud
from recovery.control_table import Pause
from recovery.errors import (
    SIGN_IN,
    AlreadyRunning,
    AwsFailure,
    CommandStopped,
    DrillUnfinished,
    EvidenceTooOld,
    GivenUp,
    RecordGone,
    StackError,
    StepTimedOut,
    reached,
    reason,
    sign_in,
)
from recovery.outputs import Wanted
from recovery.plan import (
    ACCEPT_LOSS,
    ACCEPT_SILENCE,
    COMMAND,
    Action,
    Evidence,
    Facts,
    Plan,
    Refusal,
    Step,
    denials,
    for_people,
    predict,
    reasons,
    refusals,
    resumes,
    shortfalls,
    waits_for,
)
from recovery.record import Run, StepProgress
from recovery.runner import Hold, Intent, Runner, claim, end_undecided_run
from recovery.status import read_status
from recovery.steps import AwsSteps
from recovery.terminal import (
    INTERRUPTED,
    REFUSED,
    UNFINISHED,
    OpenStack,
    Terminal,
    ask,
    connect,
    console_of,
    say,
    user,
)
from recovery.verdict import UNKNOWN, judge
from recovery.watch import Watch
from recovery.web import Feed, serving

PROGRAM = "tapstack"  # as which a shell completes it
GOES_ON = "run the same command again: it continues"
TYPE_AGAIN = f"run `{COMMAND} status`; then run this command again: it continues the move, or starts a new one"
DECIDED_AGAIN = f"no move is under way: run `{COMMAND} status`; running this command again starts a new one"
UNDECIDED = "nothing has moved yet, and this run expires: run the same command again to start over"
IAM_SECONDS = 2.0  # for which a move that is not planned waits for IAM

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and everything else on stderr.")]
To = Annotated[str, typer.Option("--to", metavar="REGION", help="The region that is to take payments.")]
Loss = Annotated[bool, typer.Option(
    ACCEPT_LOSS, help="Begin even if payments will be lost, or if it is unknown how many.")]
Silent = Annotated[bool, typer.Option(
    ACCEPT_SILENCE,
    help="Begin although the region's API does not answer, provided its function says it can take payments.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask. Required for the profile prod.")]
Minutes = Annotated[float, typer.Option("--minutes", min=1, max=1440, help="For how long, in minutes.")]
Why = Annotated[str, typer.Option("--reason", help="The reason, for other operators.")]
Interval = Annotated[float, typer.Option("--interval", min=1, help="Seconds between two looks.")]
INTERVAL = 5.0
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port of the page; 0 takes any free port.")]
Seconds = Annotated[float, typer.Option(min=1, help="How long clients pay at most, in seconds.")]
NeedsFile = Annotated[typer.FileText | None, typer.Option(
    "--needs", metavar="FILE", help="What the next deployment needs: `python -m tools.needs` prints it (- for stdin).")]
BeforeUp = Annotated[bool, typer.Option(
    "--before-up", help="Leave out differences between the regions, which the next deployment removes.")]
AFTER = """Example: {command} {example}

Environment: AWS_PROFILE and boto3's other variables select the credentials, TAPSTACK_OUTPUTS the outputs file. \
NAME_SERVERS: addresses of the name servers to ask instead of the zone's own.

Exit codes: {codes}; 130 interrupted."""
DONE = "0 done; 1 not finished; 2 refused, and nothing was changed"
app = typer.Typer(help="Moves the payment service from one region to the other. `status` says what to do.")


def example(words: str, codes: str = DONE) -> str:
    """The end of a command's help: an example, the environment, and the exit codes."""
    return AFTER.format(command=COMMAND, example=words, codes=codes)


class DrillCommand(StrEnum):
    """What `drill` takes: an action, or `restore`."""

    SWITCHOVER = Action.SWITCHOVER
    FAILOVER = Action.FAILOVER
    FAILBACK = Action.FAILBACK
    RESTORE = "restore"


Practice = Annotated[DrillCommand | None, typer.Argument(
    metavar="[ACTION]", help=f"{', '.join(DrillCommand)}; by default a switchover, and back.")]


@app.callback(invoke_without_command=True)
def usage(
    context: typer.Context, *,
    stack: Annotated[str, typer.Option(
        metavar="NAME", help="The stack, if there are outputs of several: cfn-outputs/NAME.json.")] = "",
    region: Annotated[str, typer.Option(
        metavar="REGION", help="Read the outputs in this region, which must work; needs --suffix.")] = "",
    suffix: Annotated[str, typer.Option(metavar="SUFFIX", help="The stack's environmentSuffix; needs --region.")] = "",
    show_version: Annotated[bool, typer.Option("--version", help="Show the version, and exit.")] = False,
) -> None:
    """Note which stack the command is about, and show the help if there is no command."""
    if show_version:
        context.obj.console(False).print(f"tapstack {VERSION}")
        raise typer.Exit
    context.obj.wanted = Wanted(stack=stack, region=region, suffix=suffix)
    if context.invoked_subcommand is None:
        context.obj.console(False).print(context.get_help())


@app.command(epilog=example(
    "status --json", "0 the status is shown, whatever it is; 1 AWS does not answer; 2 no such stack"))
def status(context: typer.Context, *, as_json: Json = False, interval: Interval = INTERVAL,
           watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False) -> None:
    """Say whether payments are taken and what to do, and show what each region reports; works during an outage."""
    terminal: Terminal = context.obj
    deployed = terminal.open()
    if watch:
        _watch(terminal, deployed, interval, as_json=as_json)
    found = read_status(deployed.environment, deployed.stack)
    if all(region["right"] == region["cluster"] == UNKNOWN for region in found["regions"].values()):
        why = next(why for region in found["regions"].values() for why in region["unknown"].values())
        raise CommandStopped(UNFINISHED, f"AWS does not answer in any region: {why}: {SIGN_IN}")
    terminal.show(found, *_shown(found), as_json=as_json)


def _shown(found: Mapping[str, Any]) -> list[Any]:
    """A status as text."""
    return [str(judge(found)), _table(show.regions(found)), *show.stack(found)]


def _watch(terminal: Terminal, deployed: OpenStack, interval: float, *, as_json: bool) -> NoReturn:
    """Show the status every `interval` seconds, until Ctrl-C: in place on a terminal, elsewhere one after another."""
    environment, console = deployed.environment, terminal.console(False)
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            found = read_status(environment, deployed.stack)
            at = f"as of {show.utc(environment.clock.time())}"
            if as_json:
                console.print(terminal.typed(json.dumps(found)))
            elif console.is_terminal:
                live.update(Group(*map(terminal.typed, _shown(found)), at), refresh=True)
            else:
                terminal.show(found, *_shown(found), at, as_json=False)
            environment.clock.sleep(interval)


@app.command(epilog=example("watch --web", "0 never, since Ctrl-C ends it; 2 the port cannot be used"))
def watch(context: typer.Context, *, web: Annotated[bool, typer.Option(
              "--web", help="Serve a page to this machine's browser, and to no other machine.")] = False,
          port: Port = 0, interval: Interval = INTERVAL) -> None:
    """Show the stack as it changes, with a timeline, in a browser (--web), until Ctrl-C."""
    terminal: Terminal = context.obj
    if not web:
        raise CommandStopped(REFUSED, f"`{COMMAND} watch --web` shows a page in a browser, and "
                             f"`{COMMAND} status --watch` the same in this terminal")
    deployed = terminal.open()
    feed, seen = Feed(), Watch(environment=deployed.environment, stack=deployed.stack, payments=deployed.payments)
    try:
        with serving(feed, port) as url:
            terminal.console(False).print(f"{url} shows the stack, until Ctrl-C")
            while True:
                feed.publish(terminal.typed(json.dumps(seen.look())))
                deployed.environment.clock.sleep(interval)
    except OSError as error:
        raise CommandStopped(REFUSED, f"--port {port}: {error.strerror}") from error


@app.command(epilog=example(
    "plan failover --to us-west-2",
    "0 shown; 1 AWS does not answer; 2 it may take longer than the recovery time objective"))
def plan(context: typer.Context, action: Action, *, to: To = "", as_json: Json = False) -> None:
    """Show what an action would do, and how long it may take; changes nothing. Exit code 2: it may take too long."""
    terminal: Terminal = context.obj
    cloud = terminal.open().cloud(action, to)
    planned = cloud.plan
    prospects, now = _prospects(cloud)
    expected, what = predict(planned.stack, action), f"{action} to {planned.target.region}"
    total, objective = sum(planned.budget().values()), planned.stack.recovery_time_objective
    document = {
        "action": action.value, "target": planned.target.region, "steps": [asdict(step) for step in planned.steps],
        "budget_s": planned.budget(), "sum_s": total, "recovery_time_objective_s": objective,
        "prediction_for_aws": [asdict(each) for each in expected], "shortfalls": shortfalls(planned),
        **prospects}
    terminal.show(
        document, *(f"{what} {each}" for each in now), _table(show.steps(planned), what), show.budget(planned),
        _table(show.expected(expected), f"Prediction for {action} on AWS (never measured there)"),
        *shortfalls(planned), as_json=as_json)
    if total > objective:
        raise CommandStopped(REFUSED, f"recoveryTimeObjective = {objective}: the plan may take {total:.0f} s")


@app.command(epilog=example("doctor", "0 nothing would fail; 1 something would; 2 it could not check"))
def doctor(context: typer.Context, *, needs: NeedsFile = None, before_up: BeforeUp = False,
           as_json: Json = False) -> None:
    """List what would fail (exit code 1), and what to do about it; changes nothing. Exit code 2: it could not check."""
    terminal: Terminal = context.obj
    wanted = None if needs is None else doctors.Needs.read(needs)
    if wanted and wanted.emulated:
        terminal.warn("awsEndpoint is set: there is no AWS account to check")
        return
    try:
        deployed = terminal.deployed(wanted)
    except AwsFailure as error:
        raise CommandStopped(doctors.COULD_NOT_LOOK, reached(str(error))) from error
    environment = deployed.environment if deployed else terminal.connect({})
    with terminal.console(True).status("checking AWS"):
        found = doctors.examine(environment, needs=wanted, stack=deployed.stack if deployed else None,
                                before_up=before_up)
    terminal.show(found.document(), _table(found.rows()), *found.lines(), as_json=as_json)
    if found.code:
        raise CommandStopped(found.code)


@app.command(epilog=example("switchover --to us-west-2"))
def switchover(context: typer.Context, *, to: To, as_json: Json = False) -> None:
    """Move payments between two healthy regions, as planned: nothing is lost; payments wait for a moment."""
    carry_out(context.obj, Action.SWITCHOVER, to, as_json=as_json)


@app.command(epilog=example("failover --to us-west-2"))
def failover(context: typer.Context, *, to: To, as_json: Json = False, accept_data_loss: Loss = False,
             accept_silent_api: Silent = False) -> None:
    """Take over from a region that is down, without calling it."""
    options = {ACCEPT_LOSS: accept_data_loss, ACCEPT_SILENCE: accept_silent_api}
    carry_out(context.obj, Action.FAILOVER, to, accepted={key for key, given in options.items() if given},
              as_json=as_json)


@app.command(epilog=example("failback"))
def failback(context: typer.Context, *, as_json: Json = False) -> None:
    """After a failover: wait until the lost region is back, then move back as a switchover does."""
    carry_out(context.obj, Action.FAILBACK, "", as_json=as_json)


@app.command(epilog=example(
    "report", "0 it is written; 1 it is not, or AWS does not answer; 2 no payments were ever moved"))
def report(context: typer.Context, *, as_json: Json = False) -> None:
    """Write a report of the latest move: who, when, how long, payments lost, and what is still to do. HTML and JSON."""
    terminal: Terminal = context.obj
    deployed = terminal.open()
    run = deployed.latest_run()
    if run is None:
        raise CommandStopped(REFUSED, "there is nothing to report: no payments were ever moved")
    found = deployed.report(run)
    terminal.show(found.document(), found.verdict, *(f"still to do: {each}" for each in found.todo), as_json=as_json)
    if not terminal.keep(deployed, lambda: found, as_json=as_json):
        raise CommandStopped(UNFINISHED)


@app.command(epilog=example("align --to us-west-2"))
def align(context: typer.Context, *, to: To, as_json: Json = False) -> None:
    """Make the region that has the database's writer the leader, if another one leads (after a restored table)."""
    carry_out(context.obj, Action.ALIGN, to, as_json=as_json)


@app.command(epilog=example("abort"))
def abort(context: typer.Context, *, as_json: Json = False) -> None:
    """End a run that has not fenced yet, and so has decided nothing."""
    terminal: Terminal = context.obj
    deployed, ended, fenced, unknown = terminal.open(), list[str](), list[str](), list[str]()
    deployed.check_account()
    for site in deployed.stack.sites:
        try:
            run = end_undecided_run(deployed.cloud(Action.ALIGN, site.region), f"aborted by {terminal.driver}")
        except (AlreadyRunning, StoreUnavailable) as error:
            unknown.append(f"it is unknown whether a run to {site.region} is open: {reason(error)}")
            continue
        if run and run.epoch:
            fenced.append(f"{run.what} has fenced: it can no longer be aborted, only finished, or reversed by another "
                          "move")
        elif run:
            ended.append(run.what)
    if not ended:
        raise CommandStopped(UNFINISHED if unknown else REFUSED, *(
            [*fenced, *unknown] or ["nothing to abort: no run is waiting for its fence"]))
    for each in [*fenced, *unknown]:
        terminal.warn(each)
    terminal.show({"aborted": ended}, f"aborted: {', '.join(ended)}", as_json=as_json)


@app.command(epilog=example("pause --minutes 30 --reason 'network work'"))
def pause(context: typer.Context, *, minutes: Minutes, why: Why, as_json: Json = False) -> None:
    """Stop automatic failover for some minutes; it ends by itself, and people may still fail over."""
    terminal: Terminal = context.obj
    _pause(terminal, lambda now: Pause(until=now + minutes * 60, reason=why, who=terminal.driver), as_json=as_json)


@app.command(epilog=example("resume"))
def resume(context: typer.Context, *, as_json: Json = False) -> None:
    """End a pause of automatic failover."""
    terminal: Terminal = context.obj
    _pause(terminal, lambda _: Pause(until=0.0, reason="resumed", who=terminal.driver), as_json=as_json)


def _pause(terminal: Terminal, wanted: Callable[[float], Pause], *, as_json: bool) -> None:
    """Store a pause in each region that answers. Raises CommandStopped if one does not."""
    deployed, written, failed = terminal.open(), dict[str, float](), list[str]()
    deployed.check_account()
    for site in deployed.stack.sites:
        table = deployed.cloud(Action.ALIGN, site.region).table
        try:
            found = wanted(table.now)
            table.write_document(PAUSE_KEY, asdict(found))
            written[site.region], run = found.until, table.record().open_run
            if found.until and run and run.action == Action.FAILOVER and run.target == site.region:
                terminal.warn(f"{run.what} by {run.driver} has begun, and is not paused: `{COMMAND} abort` ends it "
                              "unless it has fenced")
        except StoreUnavailable as error:
            failed.append(f"{site.region} may or may not have stored that: {reason(error)}")
    if failed:
        raise CommandStopped(UNFINISHED, *failed)
    states = {region: f"paused until {show.utc(until)}" if until else "not paused" for region, until in written.items()}
    terminal.show({"until": written}, *(f"{region}: automatic failover is {state}" for region, state in states.items()),
                  as_json=as_json)


@app.command(epilog=example(
    "drill --yes", "0 all went well; 1 something did not; 2 refused, and nothing was changed"))
def drill(context: typer.Context, practice: Practice = None, *, to: To = "", as_json: Json = False,
          yes: Yes = False, seconds: Seconds = drills.DURATION, accept_data_loss: Loss = False) -> None:
    """Practise an action while clients pay; `restore` restores what a drill has left broken."""
    terminal: Terminal = context.obj
    if practice is DrillCommand.FAILOVER and not accept_data_loss:
        raise CommandStopped(REFUSED, f"`{COMMAND} drill failover` breaks a region, and loses what has not been copied "
                             f"by then; AWS may take hours to rebuild a large database there. `{COMMAND} drill` "
                             f"practises a switchover. To begin anyway, add {ACCEPT_LOSS}")
    deployed = terminal.open()
    if practice is DrillCommand.FAILOVER and EMULATOR in deployed.outputs:
        raise CommandStopped(REFUSED, "the emulator does not enforce reserved concurrency, by which this drill breaks "
                             "a region: use `python -m rehearsal sandbox cut REGION`")
    deployed.check_account()
    try:
        if practice is DrillCommand.RESTORE:
            restored = drills.restore(deployed.environment, deployed.stack)
            document: dict[str, Any] = {"ok": True, "restored": restored and asdict(restored)}
            text = f"{restored.region} is restored" if restored else "nothing was left broken"
        else:
            found = practise(terminal, terminal.console(as_json), deployed, practice, to, yes=yes, seconds=seconds)
            terminal.keep(deployed, lambda: found, as_json=as_json)
            document, text = found.document(), str(found)
    except KeyboardInterrupt:
        raise CommandStopped(
            INTERRUPTED, "interrupted", f"run `{drills.RESTORE}` to make sure that nothing is left broken") from None
    terminal.show(document, text, as_json=as_json)
    if not document["ok"]:
        raise CommandStopped(UNFINISHED)


def practise(terminal: Terminal, console: Console, deployed: OpenStack, practice: DrillCommand | None, to: str, *,
             yes: bool, seconds: float) -> drills.DrillReport:
    """Carry out a drill. Raises CommandStopped if it is refused or not confirmed, and what `Drill.run` raises."""
    environment, back, named = deployed.environment, practice is None, EMULATOR not in deployed.outputs
    planned, targets = drills.plan_drill(
        environment, deployed.outputs, Action(practice or Action.SWITCHOVER), to)
    refused = drills.drill_refusals(environment, planned, yes=yes)
    if refused:
        raise CommandStopped(REFUSED, *refused)
    if not yes and not terminal.confirm(f"{drills.warning(planned, targets, back=back, named=named)}\nBegin?"):
        raise CommandStopped(REFUSED, "not confirmed")

    def claim_and_drive(cloud: Cloud, why: str, facts: Facts | None) -> Run:
        since, caller = Stopwatch(cloud.clock), cloud.caller()
        intent = _intent(terminal, cloud, facts or cloud.facts(), why, since, caller=caller)
        return drive(claim(cloud, intent), console)

    cloud = Cloud(plan=planned, environment=environment)
    return drills.Drill(cloud, targets, claim_and_drive, partial(say, console), seconds, back, named).run()


def carry_out(terminal: Terminal, action: Action, to: str, *, as_json: bool,
              accepted: Collection[str] = frozenset()) -> None:
    """Check an action, carry it out and report; `accepted` are the options by which a person overrides refusals.

    Raises CommandStopped, AlreadyRunning, RecordGone, StoreUnavailable, and what `Terminal.open` raises.
    """
    deployed = terminal.open()
    cloud = deployed.cloud(action, to)
    caller = cloud.caller()
    facts, since = _ask(cloud, caller)
    refused = _accepted(cloud.plan, facts, accepted)
    if action.planned and facts.record and facts.record.run:  # its journal ends as that of the next move begins
        terminal.keep(deployed, partial(deployed.report, facts.record.run), as_json=as_json)
    why = f"accepted: {'; '.join(reasons(refused))}" if refused else f"{action} requested"
    hold = claim(cloud, _intent(terminal, cloud, facts, why, since, caller=caller, accepted=bool(refused)))
    say(terminal.console(as_json), f"{hold.run.action} to {hold.run.target} ({hold.run.id}): {hold.run.why}")
    finished = _finish(hold, terminal.console(as_json))
    try:
        cloud.notify(f"{finished.action} to {finished.target} is done", f"By {finished.driver}: {finished.why}")
        cloud.start_repair()
    except AwsFailure as error:
        terminal.warn(f"payments are taken, but a later step failed: {error}")
    terminal.keep(deployed, partial(deployed.report, finished), as_json=as_json)
    terminal.show(finished.document(), f"done in {(finished.ended or 0) - finished.began:.1f} s", as_json=as_json)


def _ask(cloud: Cloud, caller: str) -> tuple[Facts, Stopwatch]:
    """The facts, with what IAM denies the caller (ARN), and a stopwatch that runs since they were read.

    IAM is asked at the same time. Only a planned move waits for its answer: it is in us-east-1, which may be lost.
    """
    gather = cloud.environment.background.gather
    seconds = math.inf if cloud.plan.action.planned else IAM_SECONDS

    def denied() -> list[str]:
        return gather({"": lambda: cloud.denied(caller, seconds)}, seconds).get("") or []

    found: dict[str, Any] = gather(
        {"facts": lambda: (cloud.facts(), Stopwatch(cloud.clock)), "denied": denied}, math.inf)
    facts, since = found["facts"]
    return replace(facts, denied=found["denied"]), since


def _decide(planned: Plan, facts: Facts) -> tuple[bool, list[Refusal]]:
    """Whether the plan would continue an unfinished run, and everything that forbids it."""
    goes_on = resumes(planned, facts.record, facts.own.ledger_epoch)
    return goes_on, [*map(Refusal, denials(facts.denied)), *([] if goes_on else for_people(refusals(planned, facts)))]


def _prospects(cloud: Cloud) -> tuple[dict[str, Any], list[str]]:
    """What would happen if the plan began now, for a document and in words."""
    facts, _ = _ask(cloud, cloud.caller())
    goes_on, refused = _decide(cloud.plan, facts)
    waits = [] if goes_on else waits_for(cloud.plan, facts)
    return {"goes_on": goes_on, "refused_now": reasons(refused), "waits_for": waits}, [
        f"would be refused now, because {each}" for each in reasons(refused)] or [
        "would continue the unfinished run" if goes_on else "would begin now",
        *(f"would wait, because {each}" for each in waits)]


def _accepted(planned: Plan, facts: Facts, options: Collection[str]) -> list[Refusal]:
    """What a person has accepted. Raises CommandStopped if anything else forbids the plan."""
    _, refused = _decide(planned, facts)
    needed = {each.option for each in refused}
    if not needed <= {*options}:
        hint = [f"to begin anyway, add {' '.join(sorted(needed))}"] if all(needed) else []
        raise CommandStopped(REFUSED, *reasons(refused), *hint)
    return refused


def _finish(hold: Hold, console: Console) -> Run:
    """Carry out a run to its end. Raises CommandStopped."""
    try:
        return drive(hold, console)
    except (AlreadyRunning, RecordGone) as error:
        raise CommandStopped(UNFINISHED, f"{error}: this command stops") from error
    except (StepTimedOut, StoreUnavailable, EvidenceTooOld, GivenUp) as error:
        raise CommandStopped(UNFINISHED, reason(error), _next(hold)) from error
    except KeyboardInterrupt:
        raise CommandStopped(INTERRUPTED, "interrupted", _next(hold)) from None


def _next(hold: Hold) -> str:
    """What the record says now of a run that its driver has left: an answer that was lost may have changed it."""
    try:
        run = hold.cloud.table.record().open_run
    except StoreUnavailable as error:
        return f"it is unknown whether a move is under way ({reason(error)}): {TYPE_AGAIN}"
    if run is None:
        return DECIDED_AGAIN
    if (run.id, run.driver) != (hold.run.id, hold.run.driver):
        return f"{run.what} is under way now, by {run.driver}: {TYPE_AGAIN}"
    return GOES_ON if run.epoch else UNDECIDED


def _intent(terminal: Terminal, cloud: Cloud, facts: Facts, why: str, since: Stopwatch, *, caller: str,
            accepted: bool = False) -> Intent:
    observation = facts.observation
    confirmed = observation is not None and observation.is_dead and observation.confirmed
    return Intent(plan=cloud.plan, driver=terminal.driver, caller=caller, why=why, facts=facts, since=since,
                  accepted=accepted, seen=cloud.clock.time(),
                  evidence=Evidence.DEAD if confirmed and not accepted else Evidence.NONE)


def drive(hold: Hold, console: Console) -> Run:
    """Carry out a held run, and print a line for each step. Raises what `Runner.drive` raises."""
    with console.status(hold.run.what) as line:
        def report(step: Step, progress: StepProgress) -> None:
            line.update(f"{step.key}: {step.does}")
            if progress.ended is not None:
                say(console, f"{step.key:10} {progress.ended - progress.began:6.1f} s  {progress.note}")

        def waits(step: Step, why: str, seconds: float) -> None:
            say(console, f"{step.key:10} {seconds:6.1f} s  still waiting ({why}) until {step.proof}; "
                          f"gives up after {step.budget:.0f} s")

        return Runner(hold=hold, do=AwsSteps(cloud=hold.cloud).do, report=report, waits=waits).drive()


def _table(rows: show.Rows, title: str | None = None) -> Table:
    table = Table(*(Column(heading, overflow="fold") for heading in rows[0]), box=box.SIMPLE, title=title)
    for row in rows[1:]:
        table.add_row(*row)
    return table


def run(arguments: Sequence[str], terminal: Terminal) -> int:
    """Run a command, and return its exit code. Every failure is printed, one line for each reason."""
    code, *lines = _outcome(arguments, terminal)
    for each in sign_in(lines) or lines:
        terminal.warn(each)
    return int(code)


@cache
def _command() -> Any:
    """All commands, built once: tests and simulations run many."""
    return typer.main.get_command(app)


def _check_values(arguments: Sequence[str]) -> None:
    """Refuse an option with an empty value, perhaps that of a script's variable. Raises CommandStopped."""
    for before, each in pairwise(["", *arguments]):
        option, given, value = (each if each.startswith("--") else f"{before}={each}").partition("=")
        if given and option.startswith("--") and not value.strip():
            raise CommandStopped(REFUSED, f"{option} is given without a value")


def _outcome(arguments: Sequence[str], terminal: Terminal) -> tuple[Any, ...]:
    try:
        _check_values(arguments)
        code = _command().main(list(arguments), PROGRAM, obj=terminal, standalone_mode=False) or 0
    except CommandStopped as stopped:
        return stopped.code, *stopped.reasons
    except TyperException as error:
        return REFUSED, error.format_message().replace("Value error, ", "")
    except (OutputsError, StackError, AlreadyRunning, DrillUnfinished, RecordGone, BotoCoreError) as error:
        return REFUSED, str(error)
    except (AwsFailure, StoreUnavailable) as error:
        return UNFINISHED, reached(reason(error))
    except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
        *_, (frame, line) = traceback.walk_tb(error.__traceback__)
        return UNFINISHED, f"internal error in {frame.f_code.co_filename}:{line}: {type(error).__name__}: {error}"
    return (code, "interrupted") if code == INTERRUPTED else (code,)


def main() -> NoReturn:
    """Run the command that was typed, and exit."""
    program = PROGRAM if Path(sys.argv[0]).name == PROGRAM else COMMAND
    code = run(sys.argv[1:], Terminal(environ=os.environ, driver=user(), console=console_of, confirm=ask,
                                      connect=connect, program=program))
    # Calls that were given up may still be running: an interrupt must end them silently.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)
