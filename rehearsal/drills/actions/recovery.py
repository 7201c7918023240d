"""Actions: commands of recovery, waits for what the controllers do by themselves, and moves of the writer."""

import signal
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from recovery import measure
from recovery.plan import Action
from recovery.terminal import REFUSED
from rehearsal.aws.faults import OUTSIDE
from rehearsal.drills.actions.registry import Count, Seconds, action
from rehearsal.drills.context import Role, ScenarioContext
from rehearsal.drills.process_trap import PROOF, ProcessTrap, moves
from rehearsal.drills.recording import CommandResult
from rehearsal.errors import CheckFailed
from rehearsal.polling import retry
from rehearsal.workload.move_writer import move_writer
from simulator.vocabulary import FaultVerb, one_writer


def _command(text: str) -> str:
    try:
        text.format(active="", standby="")
    except (ValueError, LookupError):
        raise ValueError(f" = {text!r}: must have no braces but {{active}} and {{standby}}") from None
    return text


Command = Annotated[str, AfterValidator(_command)]
PAUSE = 1.0  # seconds after a refusal
CONTROLLER = "controller"  # what is frozen, in place of a command
RUNNING = "already running"  # in what a command says that another one has won
ExitCode = Annotated[int, Field(ge=0, le=255)]


@action("pass")
def let_pass(run: ScenarioContext, seconds: Seconds) -> None:
    """Wait for some seconds."""
    run.clock.sleep(seconds)


@action("looks")
def looks(run: ScenarioContext, count: Count) -> None:
    """Wait for as long as this number of the controllers' looks takes."""
    run.clock.sleep(count * run.environment.look_seconds)


@action("wait")
def wait(run: ScenarioContext, what: Literal["aligned", "moved", "notified", "recovered"], *, of: str = "") -> None:
    """Wait for an event.

    The writer's region leads (`aligned`), the standby has `moved` everything to itself, people are `notified`, or
    clients have `recovered`.

    of: a part of what people must be notified of.
    """
    checks = {"aligned": lambda: is_aligned(run), "moved": lambda: record_run(run, run.standby.name),
              "notified": lambda: record_notice(run, of), "recovered": lambda: has_recovered(run)}
    run.environment.wait(checks[what], what)


def is_aligned(run: ScenarioContext) -> bool:
    """Whether the record of each region says that the writer's region leads."""
    observer = run.environment.observer
    return one_writer((observer.record(region).region for region in observer.regions), run.stack.database.writer)


def record_run(run: ScenarioContext, region: str) -> bool:
    """Record the latest run in a region's journal, if it was done during the scenario; gives whether it was.

    One that was given up has moved nothing: a controller may begin a run, and see that the other region answers again.
    """
    recording, found = run.recording, run.environment.observer.record(region).run
    if found is None or found.outcome != "done" or (found.ended or 0.0) < recording.began + recording.offset:
        return False
    recording.runs[found.id] = found
    return True


def record_notice(run: ScenarioContext, what: str) -> bool:
    """Record what the standby's controller notified people of last; gives whether that was this, if anything."""
    observation = run.environment.observer.observation(run.standby.name)
    if observation is None or not observation.notified or what not in observation.notified:
        return False
    run.recording.notified.append(observation.notified)
    return True


def has_recovered(run: ScenarioContext) -> bool:
    """Whether the last payments of the clients, enough of them in a row, were acknowledged."""
    sent = run.load.sent[-measure.GOOD:] if run.load else []
    return len(sent) == measure.GOOD and all(each.acknowledged for each in sent)


def record_runs(run: ScenarioContext) -> None:
    """Record the runs that have ended, whoever drove them: a journal has only the latest."""
    for region in {run.active.name, run.standby.name} - {*run.stack.faults.cut_off()}:
        record_run(run, region)


@action("run")
def run_command(run: ScenarioContext, words: Command, *, exit_: ExitCode = 0, says: str = "") -> None:
    """Run a command of recovery until it ends; it must have this exit code, and print this."""
    begin(run, words, exit_=exit_, says=says)
    run.begun.pop()()
    record_runs(run)


@action("begin")
def begin(run: ScenarioContext, words: Command, *, exit_: ExitCode | None = None, says: str = "") -> None:
    """Start a command of recovery that goes on during what follows; without `exit` any exit code will do.

    One that should succeed and is refused changed nothing, and is given again for a while, as an operator would: on a
    busy machine looks and answers come late.
    """
    start = partial(run.environment.begin, run.named(words))
    begun = [start()]

    def ended() -> CommandResult:
        finish = begun.pop() if begun else start()
        result = finish()
        if exit_ == 0 and result.code == REFUSED:
            raise CheckFailed(f"recovery {result.words}: {result.text}")
        return result

    def conclude() -> CommandResult:
        result = retry(ended, pause=PAUSE, clock=run.clock)
        if exit_ is not None:
            run.recording.check(f"recovery {result.words}: exit code {exit_}" + (f", says {says!r}" if says else ""),
                                result.code == exit_ and says in result.text, f"exit {result.code}: {result.text}")
        return result

    run.begun.append(conclude)


@action(FaultVerb.FREEZE, "fault")
def freeze(run: ScenarioContext, words: Command, *, exit_: ExitCode | None = None, says: str = "") -> None:
    """Freeze a driver at the proof that precedes its promotion.

    A command is begun, as `begin` does, and it is frozen when this ends. The standby's `controller` is frozen when it
    comes to that.
    """
    caller = _caller(run, words)
    strike = partial(run.environment.signal_drivers, caller, signal.SIGSTOP)
    run.stack.faults.intercept = trap = ProcessTrap(strike, caller, PROOF, after=True, resets=False)
    if words != CONTROLLER:
        begin(run, words, exit_=exit_, says=says)
        run.environment.wait(lambda: trap.struck, "the command is frozen")


@action("thaw", "fault")
def thaw(run: ScenarioContext, what: str) -> None:
    """Let the frozen driver go on, and wait for its end: it must be refused the record, and move nothing."""
    caller, calls, failures = _caller(run, what), run.stack.proxies.calls, run.environment.observer.failures
    first, known = len(calls), len(failures(run.standby.name))
    run.environment.signal_drivers(caller, signal.SIGCONT)
    if what == CONTROLLER:
        run.environment.wait(
            lambda: any(RUNNING in each for each in failures(caller)[known:]), "the controller is refused")
    join(run)
    late = [call.operation for call in calls[first:] if call.caller == caller and moves(call)]
    run.recording.check("what was frozen moves nothing once it is thawed", not late, ", ".join(late))


def _caller(run: ScenarioContext, what: str) -> str:
    """Where the calls of a driver come from."""
    return run.standby.name if what == CONTROLLER else OUTSIDE


@action("join")
def join(run: ScenarioContext, what: str = "") -> None:  # noqa: ARG001  # pylint: disable=unused-argument
    """Wait for the commands that were begun."""
    for conclude in run.begun:
        conclude()
    run.begun.clear()
    record_runs(run)


@action("twice")
def twice(run: ScenarioContext, words: Command) -> None:
    """Give a command twice at once; one must succeed, and the other say who runs it.

    Both are given again while both are refused for another reason, as by `begin`.
    """
    def give() -> list[CommandResult]:
        found = [finish() for finish in [run.environment.begin(run.named(words)) for _ in range(2)]]
        if all(each.code == REFUSED and RUNNING not in each.text for each in found):
            raise CheckFailed(" | ".join(each.text for each in found))
        return found

    found = retry(give, pause=PAUSE, clock=run.clock)
    record_runs(run)
    named = all(RUNNING in each.text for each in found if each.code)
    run.recording.check("one command wins, the other says who runs it",
                        sorted(each.code for each in found) == [0, REFUSED] and named,
                        " | ".join(f"exit {each.code}: {each.text}" for each in found))


@action("move")
def move(run: ScenarioContext, plan: Literal["switchover", "failover"], *, to: Role) -> str:
    """Move leadership and the database's writer by the product's own plan; calls come from the target's region."""
    began, target = run.clock.monotonic(), run.region(to)
    notes = move_writer(Action(plan), target.name, run.stack.outputs, run.stack.clients_in(target), run.clock)
    return f"{notes['epoch']}, {run.clock.monotonic() - began:.1f} s"


@action("swap_roles")
def swap_roles(run: ScenarioContext, given: Literal[True]) -> None:  # noqa: ARG001  # pylint: disable=unused-argument
    """From now on, the region that was the standby is the active one, and the other way round."""
    run.active, run.standby = run.standby, run.active
