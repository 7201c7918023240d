"""Runs scenarios: outages as lists of checks, drills with clients that pay all the while."""

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import product

from payments.clock import SYSTEM, Clock
from recovery.plan import Action, predict
from recovery.stack import Stack
from rehearsal.aws.faults import unhindered
from rehearsal.drills import verdict
from rehearsal.drills.actions import ScenarioAction
from rehearsal.drills.actions.faults import set_lag
from rehearsal.drills.actions.recovery import join
from rehearsal.drills.context import ScenarioContext
from rehearsal.drills.environment import DrillEnvironment
from rehearsal.drills.process_trap import KILLS, MOMENTS, KillPoint, ProcessTrap
from rehearsal.drills.report import model
from rehearsal.drills.scenario import Scenario
from rehearsal.errors import CheckFailed
from rehearsal.polling import FAILURES, retry
from rehearsal.rehearsed_stack import RehearsedStack, StoreContents
from rehearsal.workload.checks import CheckResult, attempt, expect
from rehearsal.workload.move_writer import move_writer


def perform(actions: Iterable[ScenarioAction], run: ScenarioContext) -> str:
    """Carry actions out, one after the other; gives what they measured. Raises the first failure."""
    found = []
    for each in actions:
        run.recording.note(each.lane, run.named(str(each)), run.clock.monotonic())
        found.append(each.perform(run))
    return ", ".join(each for each in found if each)


# --- Outages


def outages(stack: RehearsedStack, scenarios: Sequence[Scenario], clock: Clock = SYSTEM) -> Iterator[CheckResult]:
    """Every check of the scenarios, as it is done. After each scenario everything works again and is where it was.

    Where that cannot be had, a last check says so: what came next would show nothing.
    """
    for scenario in scenarios:
        try:
            run = ScenarioContext.of(stack, clock=clock)
            for check in scenario.checks:
                run.first_call = len(stack.proxies.calls)
                yield attempt(f"{scenario.name}: {run.named(check.name)}", partial(perform, check.do, run), clock)
        finally:
            if run.load:
                run.load.finish()
            stack.heal()
        restored = attempt(f"{scenario.name}: restored", lambda: restore(stack, clock), clock)
        if not restored.ok:
            yield restored
            return


def restore(stack: RehearsedStack, clock: Clock) -> None:
    """Move leadership and the writer back, if they are elsewhere, and wait until all copies are made."""
    writer, standby = stack.writer_and_standby()
    primary = stack.outputs["primary_region"]
    retry(lambda: expect(stack.database.role(standby.name).value, "standby", f"{standby.name}"), clock=clock)
    stack.database.catch_up(standby.name)
    if (stack.leadership(writer).region, writer.name) != (primary, primary):
        move_writer(Action.SWITCHOVER, primary, stack.outputs, stack.clients, clock)
    expect([each for each in stack.copies.report() if each["waiting"]], [], "copies that wait")


# --- Drills


def drill(environment: DrillEnvironment, scenario: Scenario, clock: Clock = SYSTEM) -> model.DrillResult:
    """Run a drill; if its controller is to be killed, once for each of `KILLS`, before the call and after it.

    Raises CheckFailed if it cannot be run to its end.
    """
    if not scenario.kills:
        return _drill(environment, scenario, clock)
    done: list[tuple[str, str, model.DrillResult]] = []
    for kill, moment in product(KILLS, MOMENTS):
        done.append((kill.step, moment, _drill(environment, scenario, clock, kill, after=moment == "after")))
        if not done[-1][2].ok:  # the next would show nothing
            break
    resumed, total = sum(result.ok for _, _, result in done), len(KILLS) * len(MOMENTS)
    return replace(
        done[-1][2], ok=resumed == total, outcome=f"resumed after {resumed} of {total} kills",
        lost=[each for _, _, result in done for each in result.lost],
        kills=[model.ControllerKill(step=step, moment=moment, resumed=result.ok) for step, moment, result in done],
        checks=[replace(check, name=f"killed {moment} {step}: {check.name}")
                for step, moment, result in done for check in result.checks])


def _drill(environment: DrillEnvironment, scenario: Scenario, clock: Clock,
           kill: KillPoint | None = None, *, after: bool = False) -> model.DrillResult:
    """From the first payment until everything is where it was; the controller is killed at a call, or `after` it."""
    try:
        environment.ready()
        run = ScenarioContext.of(environment.rehearsed, environment, clock)
        recording, first_call = run.recording, len(run.stack.proxies.calls)
        standby = run.standby.name
        strike = partial(environment.signal_drivers, standby, signal.SIGKILL)
        trap = ProcessTrap(strike, standby, kill, after) if kill else None
        run.stack.faults.intercept = trap or unhindered
        _carry_out(run, scenario)
        stored = run.contents(scenario.expect.active)
        verdict.judge(recording, scenario.expect, environment.stack, stored, active=environment.observer.active(),
                      writer=run.stack.database.writer, calls=run.stack.proxies.calls[first_call:])
        if scenario.overhead:
            verdict.judge_overhead(recording, environment.stack, environment.factor)
        if trap:
            recording.check("the controller was killed", trap.struck > 0, f"{trap.struck} processes")
        _restore(run, stored)
    except FAILURES as error:
        raise CheckFailed(f"{type(error).__name__}: {error}") from error
    return verdict.result(recording, scenario, environment.stack, after=stored, factor=environment.factor)


def _carry_out(run: ScenarioContext, scenario: Scenario) -> None:
    run.recording.lags = set_lag(run, "active", "standby", scenario.lag)

    def work() -> str:
        run.start_load(clients)
        return perform(scenario.do, run)

    clients = run.environment.clients(scenario.rate, scenario.keeps)
    try:
        _check(run, f"{len(scenario.do)} actions carried out", work)
    finally:
        run.recording.sent = [*clients.finish()]
    join(run)


def _restore(run: ScenarioContext, after: StoreContents) -> None:
    """Bring everything back to where it was, and check that; `after`: what the stores held before."""
    environment, recording = run.environment, run.recording
    restored: list[Sequence[str]] = []
    _check(run, "everything is where it was, by the product's own means",
           lambda: restored.append(environment.restore()))
    verdict.judge_whole(recording, after, {
        region: environment.observer.contents(region) for region in environment.observer.regions})
    differences = restored[0] if restored else environment.check_drift()
    recording.check("the program deployed again changes nothing", not differences,
                    "; ".join(differences) or "no difference")
    for moment, what in environment.checker.history:
        if moment >= recording.began:
            recording.note("health", what, moment)


def _check(run: ScenarioContext, name: str, work: Callable[[], object]) -> None:
    found = attempt(name, work, run.clock)
    run.recording.check(found.name, found.ok, found.detail)


def conclude(stack: Stack, drills: Sequence[model.DrillResult], *, started: datetime, factor: float) -> model.DrillRun:
    """The drills with what was declared for them, and what AWS is expected to take."""
    return model.DrillRun(
        title=f"Recovery drills of {stack.environment_suffix}", started=started.isoformat(timespec="seconds"),
        factor=factor, consistency=stack.table_consistency, drills=drills,
        recovery_time_objective=stack.recovery_time_objective,
        recovery_point_objective=stack.recovery_point_objective, prediction=predict(stack))
