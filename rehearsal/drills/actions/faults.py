"""What goes wrong, and what works again."""

import math
from typing import Literal

from rehearsal.aws.faults import Cut, CutConnection, Destroy, Fail, Heal, Kill, Lag, Lose, Restart, Slow
from rehearsal.drills.actions.registry import ScenarioModel, Seconds, Share, action
from rehearsal.drills.context import Role, ScenarioContext
from simulator.vocabulary import FailureMode, FaultVerb


class StoreLags(ScenarioModel):
    """How far the copies of each store are behind, in seconds; the table's also `growth` more in each second."""

    table: Seconds | Literal["stopped"] = 0.0
    receipts: Seconds = 0.0
    ledger: Seconds = 0.0
    growth: Seconds = 0.0


@action(FaultVerb.CUT, "fault")
def cut(run: ScenarioContext, role: Role, *, inside: bool = False) -> None:
    """Cut a region off; `inside`: it lives on behind the cut, with its own clients."""
    begin_outage(run, Cut(run.region(role).name, inside=inside))


@action(FaultVerb.CUT_CONNECTION, "fault")
def cut_connection(run: ScenarioContext, role: Role) -> None:
    """Cut only the connection between a region and the other one: both live on, and so do their clients."""
    ends = sorted((run.active.name, run.standby.name), key=lambda name: name != run.region(role).name)
    run.recording.connection_cut = run.clock.monotonic()
    run.stack.faults.inject(CutConnection(*ends))


@action(FaultVerb.LOSE, "fault")
def lose(run: ScenarioContext, store: Literal["table", "receipts", "ledger", "function", "api"], *, of: Role,
         throttled: bool = False) -> None:
    """Lose one store or service of a region; `throttled`: it answers that there are too many requests."""
    mode = FailureMode.THROTTLED if throttled else FailureMode.ERROR
    begin_outage(run, Lose(run.region(of).name, store, mode))


@action("heal", "fault")
def heal(run: ScenarioContext, role: Role) -> None:
    """Undo every fault of a region."""
    run.stack.faults.inject(Heal(run.region(role).name))


@action("fail", "fault")
def fail(run: ScenarioContext, share: Share, *, of: Role) -> None:
    """Let a share of the calls from a region and to it fail."""
    run.stack.faults.inject(Fail(run.region(of).name, share))


@action("slow", "fault")
def slow(run: ScenarioContext, milliseconds: Seconds, *, of: Role) -> None:
    """Let each call from a region and to it take so much longer."""
    run.stack.faults.inject(Slow(run.region(of).name, milliseconds))


@action("kill", "fault")
def kill(run: ScenarioContext, role: Role) -> None:
    """Kill every process of a region's database server."""
    run.recording.killed = run.clock.monotonic()
    begin_outage(run, Kill(run.region(role).name))


@action("restart", "fault")
def restart(run: ScenarioContext, role: Role) -> None:
    """Start a region's database server again."""
    run.stack.faults.inject(Restart(run.region(role).name))


@action("destroy", "fault")
def destroy(run: ScenarioContext, role: Role) -> None:
    """Lose for good what a region has not copied to the other one."""
    run.stack.faults.inject(Destroy(run.region(role).name))


@action("back_up")
def back_up(run: ScenarioContext, what: Literal["table"]) -> None:  # noqa: ARG001  # pylint: disable=unused-argument
    """Keep the items of the table as they are now."""
    run.backup = run.environment.observer.items(run.active.name)


@action(FaultVerb.RESTORE, "fault")
def restore(run: ScenarioContext, what: Literal["table"], *, in_: Role) -> None:  # noqa: ARG001  # pylint: disable=unused-argument
    """Put the items that were kept in place of those of a region's table, as newly written."""
    run.environment.observer.restore(run.region(in_).name, run.backup)


@action(FaultVerb.LAG, "fault")
def lag(run: ScenarioContext, given: StoreLags) -> None:
    """Delay the standby's copies from now on."""
    run.recording.lags = set_lag(run, "active", "standby", given)


@action("lag_back", "fault")
def lag_back(run: ScenarioContext, given: StoreLags) -> None:
    """Delay the active region's copies from now on."""
    set_lag(run, "standby", "active", given)


def begin_outage(run: ScenarioContext, fault: Cut | Lose | Kill) -> None:
    """Inject a fault. Record when the first one began, and in a drill what the standby has once a store is gone."""
    if run.recording.outage is None:
        run.recording.outage = run.clock.monotonic()
    run.stack.faults.inject(fault)
    if run.drill and run.recording.before is None and not isinstance(fault, Kill):
        run.recording.before = run.contents("standby")


def set_lag(run: ScenarioContext, source: Role, target: Role, given: StoreLags) -> dict[str, float]:
    """Let the copies from a region to the other be behind; gives the seconds by store. A strong table never lags."""
    table = 0.0 if run.stack.strong else math.inf if given.table == "stopped" else given.table
    seconds = {"table": table, "receipts": given.receipts, "ledger": given.ledger}
    for store, behind in seconds.items():
        run.stack.faults.inject(Lag(store, run.region(source).name, run.region(target).name, behind,
                             given.growth if store == "table" else 0.0))
    return seconds
