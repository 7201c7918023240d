"""The drill: its target, what forbids it, a warning of what it will do, and the drill itself."""
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError

from contract import COOL_DOWN_SECONDS, DNS_TTL, UNREADY, WATCH_SECONDS, FailoverMode
from payments.clock import Stopwatch
from payments.errors import StoreUnavailable
from recovery.cloud import Cloud
from recovery.drill.outage import (
    DNS_REGION,
    RESTORE,
    DrillRecord,
    DrillTargets,
    await_pause,
    break_region,
    current_state,
    last_drill,
    restore_region,
    start_pause,
    table_of,
    unfinished,
)
from recovery.drill.payer import CLIENTS, PERIOD, Payer
from recovery.drill.report import NO_DNS, DrillReport, Moves, write_report
from recovery.environment import Environment
from recovery.errors import AwsFailure, DrillUnfinished, GivenUp, RecoveryError, aws_failures, reason
from recovery.measure import GOOD
from recovery.observation import FRESH_LOOKS
from recovery.plan import REJOIN, Action, Facts, Plan, denials, predict, reasons, refusals
from recovery.record import ControlRecord, Run
from recovery.runner import PATIENCE
from recovery.stack import Site, Stack

T = TypeVar("T")

PRODUCTION = "prod"
DURATION = 3600.0  # seconds that clients pay at most, by default
POLL = 1.0  # seconds between two attempts while waiting
HOPELESS = 30.0  # seconds for which the standby must have been unable to take over until the drill waits no longer
SETTLE = 3 * DNS_TTL  # seconds for clients to follow: some resolvers keep a name for longer than they should

Drive = Callable[[Cloud, str, Facts | None], Run]
"""Carries out the plan of a cloud, for a reason, on the facts of a decision that was just taken (None: they are read).
Raises what `claim` and `Runner.drive` raise."""


def default_target(environment: Environment, stack: Stack, action: Action) -> Site:
    """The default target of a drill: the primary region for a failback, or else the standby."""
    if action is not Action.FAILBACK:
        for site in stack.sites:
            with suppress(StoreUnavailable):
                return stack.other(table_of(environment, stack, site).record().region)
    return stack.sites[0 if action is Action.FAILBACK else 1]


def plan_drill(environment: Environment, outputs: Mapping[str, Any], action: Action,
               to: str) -> tuple[Plan, dict[str, DrillTargets]]:
    """The plan of a drill, to a region or the default one (empty), and its targets by region. Raises StackError."""
    stack = Stack.of(outputs)
    target = stack.site(to) if to else default_target(environment, stack, action)
    targets = {site.region: DrillTargets.of(outputs, site) for site in stack.sites}
    return Plan(action=action, stack=stack, target=target), targets


def drill_refusals(environment: Environment, plan: Plan, *, yes: bool) -> list[str]:
    """Everything that forbids the drill; changes nothing. `yes`: the profile prod is allowed."""
    if plan.stack.profile == PRODUCTION and not yes:
        return [f"the profile is {PRODUCTION}: a drill there needs --yes"]
    found = present_refusals(Cloud(plan=plan, environment=environment))
    with suppress(StoreUnavailable):  # the facts report it
        last = last_drill(environment, plan.stack)
        found += [why] if last and (why := unfinished(last)) else []
    return found


def present_refusals(cloud: Cloud) -> list[str]:
    """What forbids a drill of the cloud's plan, by the stack's present state."""
    switchover = replace(cloud, plan=replace(cloud.plan, action=Action.SWITCHOVER))
    caller, facts = switchover.caller(), switchover.facts()
    # As if the other region were down already: could a failover begin then?
    down = facts.observation and replace(
        facts.observation, silent_since=facts.observation.at - facts.observation.detection,
        silent_for=facts.observation.detection, seen=False)
    found = [reason for each in ((cloud,) if cloud == switchover else (switchover, cloud))
             for reason in (*denials(each.denied(caller) or ()),
                            *reasons(refusals(each.plan, replace(facts, observation=down))))]
    if facts.record and facts.writer and facts.record.region != facts.writer:
        found.append(f"unknown state: {facts.record.region} leads, and {facts.writer} has the database's writer")
    run = facts.record and facts.record.open_run
    if run:
        found.append(f"a run is unfinished: {run.what}, by {run.driver}")
    held = held_back(cloud, facts.record)
    return list(dict.fromkeys([*found, *([held] if held else [])]))


def held_back(cloud: Cloud, record: ControlRecord | None) -> str:
    """Why no controller would begin the cloud's failover, although nothing forbids it: a pause, or a recent failover.

    Empty if a person begins it, and if that is unknown.
    """
    if cloud.plan.action is not Action.FAILOVER or cloud.plan.stack.failover_mode != FailoverMode.AUTOMATIC:
        return ""
    with suppress(StoreUnavailable):  # the facts report it
        pause = cloud.table.pause()
        if pause:
            return f"{pause.who} has paused automatic failover ({pause.reason}): no controller would take over"
        left = record.moved + COOL_DOWN_SECONDS - cloud.table.now if record else 0.0
        if left > 0:
            return f"the last failover was recent: no controller would take over for {math.ceil(left)} s more"
    return ""


def warning(plan: Plan, targets: Mapping[str, DrillTargets], *, back: bool, named: bool = True) -> str:
    """What the drill does, and how long payments fail, for the person who must confirm it; the rest as in `Drill`."""
    active = plan.other.region
    budget = sum(plan.budget().values())
    if plan.action is Action.FAILOVER:
        expected = predict(plan.stack)
        least, most = (sum(getattr(each, bound) for each in expected) for bound in ("least", "most"))
        check = ", and makes its health check fail" if (
            targets[active].health_check_id and plan.target.region != DNS_REGION) else ""
        pauses = f"Pauses the copies of table and receipts from {active} (AWS FIS). " if (
            targets[active].pauses_template_id) else ""
        does = (f"{pauses}Blocks the payments function in {active}{check}, until {plan.target.region} has taken over. "
                f"Payments fail for {least:.0f} to {most:.0f} s (predicted; the budget is {budget:.0f} s), alarms are "
                "raised, and the database loses what it has not replicated by then. Then the drill moves back, and "
                "payments wait once more.")
    else:
        does = (f"Moves payments from {active} to {plan.target.region}, {'and back' if back else 'to stay'}. They wait "
                f"for {budget:.0f} s at most{' each time' if back else ''}.")
    clients = "Clients make real payments of one minor unit from drill:from to drill:to."
    dns = [] if named and plan.stack.service_url else [f"{NO_DNS}."]
    return " ".join([f"Drill, {plan.action}.", does, clients, *dns])


class Takeover:
    """The failover of the cloud's plan, while its other region is broken; `last` is the id of the run before."""

    def __init__(self, cloud: Cloud, last: str) -> None:
        self._cloud, self._last, self._able = cloud, last, Stopwatch(cloud.clock)
        self.automatic = cloud.plan.stack.failover_mode == FailoverMode.AUTOMATIC

    def begins(self) -> Facts:
        """The facts on which the drill's own run may begin, or by which the controller's has begun.

        Raises AwsFailure if that is not so yet, and GivenUp if it is not to be expected any more.
        """
        plan, facts = self._cloud.plan, self._cloud.facts()
        run, seen = facts.record and facts.record.run, facts.observation
        if self.automatic and run and run.id != self._last:
            return facts
        held = held_back(self._cloud, facts.record)
        if held:
            raise GivenUp(held)
        found = refusals(plan, facts)
        silent = seen is None or not seen.is_fresh(facts.now)
        if not any(silent or not each.loses for each in found):
            self._able = Stopwatch(self._cloud.clock)
        elif self._able.seconds() >= HOPELESS:
            raise GivenUp(f"{plan.target.region} could not take over for {HOPELESS:.0f} s: "
                          f"{'; '.join(reasons(found))}")
        why = f"the controller of {plan.target.region} has not begun to take over" if self.automatic else "; ".join(
            reasons(found))
        if why:
            raise AwsFailure(why)
        return facts

    def ends(self) -> Run:
        """The run by which the standby's controller has taken over.

        Raises AwsFailure until there is one, and GivenUp if a run has ended otherwise after it had fenced, or if no
        other one would begin.
        """
        with aws_failures("record"):
            record = self._cloud.table.record()
        run = record.run
        if run is None or run.ended is None:
            raise AwsFailure(f"{run.what if run else 'the run'} is unfinished")
        if run.target == self._cloud.plan.target.region and run.outcome == "done":
            return run
        held = "" if run.epoch else held_back(self._cloud, record)
        raise (GivenUp if run.epoch or held else AwsFailure)(held or f"{run.what}, by {run.driver}: {run.outcome}")


@dataclass(frozen=True)
class Drill:
    """A drill of the cloud's plan. `targets` are by region; `say` prints a line of progress.

    Clients pay for `seconds` at most. `back`: a planned move is moved back, too; a failover always is. `named`: whether
    the service's name, if it has one, can be resolved here; an emulated one's cannot.
    """

    cloud: Cloud
    targets: Mapping[str, DrillTargets]
    drive: Drive
    say: Callable[[str], None]
    seconds: float = DURATION
    back: bool = False
    named: bool = True

    def run(self) -> DrillReport:
        """Carry it out; the report says what went wrong.

        Raises AwsFailure, DrillUnfinished and StoreUnavailable if it cannot begin.
        """
        plan, environment, clock = self.cloud.plan, self.cloud.environment, self.cloud.clock
        began, why, moves = clock.time(), "", Moves()
        offset = began - clock.monotonic()
        standby = plan.target.region
        with aws_failures("API key"):
            key = environment.clients("apigateway", standby).get_api_key(
                apiKey=self.targets[standby].api_key_id, includeValue=True)["value"]
        record = DrillRecord.claim(self.cloud, began)
        payer = Payer(plan.stack if self.named else replace(plan.stack, service_url=""), key, environment, self.seconds)
        try:
            with environment.background.every(PERIOD, payer.pay, workers=CLIENTS):
                if not self._settles(payer):
                    errors = sorted({write.kind for write in payer.writes if not write.accepted})
                    raise AwsFailure(f"payments fail before the drill does anything: {', '.join(errors)}")
                if plan.action is Action.FAILOVER:
                    self._fail_over(payer, record, moves)
                else:
                    self._ask_again()
                    moves.run = self.drive(self.cloud, f"drill of a {plan.action}", None)
                if self.back:
                    self._settles(payer)
                if self.back or plan.action is Action.FAILOVER:
                    self._return(moves)
                self._settles(payer)
        except (RecoveryError, StoreUnavailable, BotoCoreError) as error:
            why = reason(error)
            self.say(why)
        report = write_report(plan, payer, moves, began=began, ended=clock.time(), offset=offset, why=why)
        try:
            record.update(**report.document())
        except (StoreUnavailable, DrillUnfinished) as error:
            self.say(f"the report could not be stored: {reason(error)}")
        return report

    def _fail_over(self, payer: Payer, record: DrillRecord, moves: Moves) -> None:
        clients, active = self.cloud.environment.clients, self.cloud.plan.other.region
        last = self.cloud.table.record().run
        saved = current_state(clients, active, self.targets[active])
        if self.cloud.plan.target.region == DNS_REGION:
            # If it is lost meanwhile, a health check that was changed could not be put back, and Route 53 would send
            # clients to the lost region. The check fails by itself, a little later, since it asks the function.
            saved = replace(saved, check="")
        record.update(broken=asdict(saved))
        try:
            if saved.template:
                saved = start_pause(self.cloud.environment, saved)
                await_pause(self.cloud.environment, saved)
                self.say(f"the copies that leave {active} are paused")
            self._ask_again()
            record.update(broken=asdict(saved))
            break_region(clients, saved)
            record.update()  # or else somebody has ended this drill meanwhile, and believes that nothing is broken
            self.say(f"{active} is broken")
            moves.run = self._take_over(last.id if last else "")
            self.say(f"{self.cloud.plan.target.region} has taken over")
            self._settles(payer)  # while it is broken
        finally:
            restore_region(clients, saved)
            self.say(f"{active} is restored")
            record.note(broken=None)
            try:
                record.update()
            except StoreUnavailable as error:  # The standby may be lost: the report must say that instead.
                self.say(f"the record may still say that {active} is broken: {reason(error)}: `{RESTORE}`")

    def _take_over(self, last: str) -> Run:
        """The run that follows the evidence: the drill's own, or in automatic mode that of the standby's controller."""
        plan, stack = self.cloud.plan, self.cloud.plan.stack
        takeover = Takeover(self.cloud, last)
        facts = self._wait(takeover.begins, stack.detection * UNREADY + 2 * FRESH_LOOKS * WATCH_SECONDS)
        if takeover.automatic:
            return self._wait(takeover.ends, sum(step.budget for step in plan.steps))
        return self.drive(self.cloud, "drill of a failover", facts)

    def _return(self, moves: Moves) -> None:
        """Move back to the region that gave up, once it can take payments again."""
        plan = self.cloud.plan
        moves.return_began = self.cloud.clock.monotonic()
        action = Action.FAILBACK if plan.other is plan.stack.sites[0] else Action.SWITCHOVER
        cloud = replace(self.cloud, plan=Plan(action=action, stack=plan.stack, target=plan.other))
        self._wait(partial(self._evidence, cloud), REJOIN.budget)
        moves.back = self.drive(cloud, f"drill of a {plan.action}, moving back", None)

    def _wait(self, look: Callable[[], T], seconds: float) -> T:
        """The result of the first look that does not raise AwsFailure. Raises what the last look raised."""
        clock = self.cloud.clock
        began, told = clock.monotonic(), 0.0
        while True:
            try:
                return look()
            except AwsFailure as error:
                taken = clock.monotonic() - began
                if taken >= seconds:
                    raise
                if taken >= told + PATIENCE:
                    told = taken
                    self.say(f"waiting ({taken:.0f} s so far, at most {seconds:.0f} s): {error}")
            clock.sleep(POLL)

    def _ask_again(self) -> None:
        """Ask again, after every wait, whether anything forbids the drill. Raises AwsFailure if something does."""
        found = present_refusals(self.cloud)
        if found:
            raise AwsFailure(f"the drill was not carried out: {'; '.join(found)}")

    @staticmethod
    def _evidence(cloud: Cloud) -> Facts:
        """The facts on which the plan may begin. Raises AwsFailure if anything forbids it."""
        facts = cloud.facts()
        found = refusals(cloud.plan, facts)
        if found:
            raise AwsFailure("; ".join(reasons(found)))
        return facts

    def _settles(self, payer: Payer) -> bool:
        """Wait until GOOD payments in a row are accepted from now on; False if that does not happen in time."""
        since = self.cloud.clock.monotonic()

        def look() -> bool:
            if not payer.is_steady(since):
                raise AwsFailure(f"fewer than {GOOD} payments in a row are accepted; the latest: {payer.latest}")
            return True

        try:
            return self._wait(look, min(SETTLE, payer.until - since))
        except AwsFailure:
            return False
