"""The drill itself."""
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TypeVar

from botocore.exceptions import BotoCoreError

from contract import DNS_TTL, FailoverMode
from payments.errors import StoreUnavailable
from recovery.cloud import Cloud
from recovery.drill.outage import DrillTargets, break_region, current_state, restore_region
from recovery.drill.payer import CLIENTS, PERIOD, Payer
from recovery.drill.record import DrillRecord, table_of
from recovery.drill.report import DrillReport, Moves, write_report
from recovery.environment import Environment
from recovery.errors import AwsFailure, RecoveryError, aws_failures, reason
from recovery.journal import Journal, Run
from recovery.observation import UNREADY
from recovery.plan import REJOIN, STALE, Action, Plan, refusals

T = TypeVar("T")

DURATION = 3600.0  # seconds that clients pay at most, by default
POLL = 1.0  # seconds between two looks at what is waited for
SETTLE = 3 * DNS_TTL  # seconds for clients to follow: some resolvers keep a name for longer than they should

Drive = Callable[[Cloud, str, float | None], Run]
"""Carries out the plan of a cloud, for the reason given, on evidence that was complete at a time (seconds since the
epoch; None: there is none). Raises as `claim` and `Runner.drive`."""


@dataclass(frozen=True)
class Drill:
    """A drill of the plan's action. `targets` are by region; `say` is called with what happens meanwhile.

    Clients pay for `seconds` at most.
    """

    plan: Plan
    targets: Mapping[str, DrillTargets]
    environment: Environment
    drive: Drive
    say: Callable[[str], None]
    seconds: float = DURATION

    def run(self) -> DrillReport:
        """Carry it out; the report says what went wrong.

        Raises AwsFailure, AlreadyRunning and StoreUnavailable if it cannot begin.
        """
        plan, clock = self.plan, self.environment.clock
        began, why, moves = clock.time(), "", Moves()
        offset = began - clock.monotonic()
        standby = plan.target.region
        with aws_failures("API key"):
            key = self.environment.clients("apigateway", standby).get_api_key(
                apiKey=self.targets[standby].api_key_id, includeValue=True)["value"]
        record = DrillRecord.claim(table_of(self.environment, plan.stack, plan.target), plan, began)
        payer = Payer(plan.stack, key, self.environment, self.seconds)
        try:
            with self.environment.background.every(PERIOD, payer.pay, workers=CLIENTS):
                if not self._settles(payer):
                    errors = sorted({write.kind for write in payer.writes if not write.accepted})
                    raise AwsFailure(f"payments fail before the drill does anything: {', '.join(errors)}")
                if plan.action is Action.FAILOVER:
                    self._fail_over(payer, record, moves)
                    self._return(moves)
                else:
                    moves.run = self.drive(self._cloud(plan), f"drill of a {plan.action}", None)
                self._settles(payer)
        except (RecoveryError, StoreUnavailable, BotoCoreError) as error:
            why = reason(error)
            self.say(why)
        report = write_report(plan, payer, moves, began=began, ended=clock.time(), offset=offset, why=why)
        try:
            record.update(**report.document())
        except StoreUnavailable as error:
            self.say(f"the report could not be stored: {reason(error)}")
        return report

    def _fail_over(self, payer: Payer, record: DrillRecord, moves: Moves) -> None:
        """Break the active region until the other one has taken over."""
        plan, clients, active = self.plan, self.environment.clients, self.plan.other.region
        last = self._journal().latest()
        before = current_state(clients, active, self.targets[active])
        try:
            record.update(broken=asdict(before))
            break_region(clients, before)
            self.say(f"{active} is broken")
            moves.run = self._take_over(last.id if last else "")
            self.say(f"{plan.target.region} has taken over")
            self._settles(payer)
        finally:
            restore_region(clients, before)
            record.update(broken=None)
            self.say(f"{active} is restored")

    def _take_over(self, last: str) -> Run:
        """The run that follows the evidence: the drill's own, or in automatic mode that of the standby's controller."""
        stack = self.plan.stack
        patience = stack.detection * UNREADY + 2 * STALE
        if stack.failover_mode == FailoverMode.AUTOMATIC:
            return self._wait(partial(self._controllers_run, last),
                              patience + sum(step.budget for step in self.plan.steps))
        cloud = self._cloud(self.plan)
        seen = self._wait(partial(self._evidence, cloud), patience)
        return self.drive(cloud, "drill of a failover", seen)

    def _return(self, moves: Moves) -> None:
        """Move back to the region that was broken, once it can take payments again."""
        plan = self.plan
        moves.turned = self.environment.clock.monotonic()
        action = Action.FAILBACK if plan.other is plan.stack.sites[0] else Action.SWITCHOVER
        cloud = self._cloud(Plan(action=action, stack=plan.stack, target=plan.other))
        self._wait(partial(self._evidence, cloud), REJOIN.budget)
        moves.back = self.drive(cloud, "drill of a failover, the way back", None)

    def _wait(self, look: Callable[[], T], seconds: float) -> T:
        """The result of the first look that does not raise AwsFailure. Raises what the last look raised."""
        clock = self.environment.clock
        until = clock.monotonic() + seconds
        while True:
            try:
                return look()
            except AwsFailure:
                if clock.monotonic() >= until:
                    raise
            clock.sleep(POLL)

    def _evidence(self, cloud: Cloud) -> float | None:
        """When the target's controller last looked. Raises AwsFailure if anything forbids the plan."""
        facts = cloud.facts()
        found = refusals(cloud.plan, facts, cloud.clock.time())
        if found:
            raise AwsFailure("; ".join(refusal.reason for refusal in found))
        return facts.observation.at if facts.observation else None

    def _controllers_run(self, last: str) -> Run:
        """The finished run of the controller that follows the run `last`. Raises AwsFailure until there is one."""
        with aws_failures("journal"):
            run = self._journal().latest()
        if run is None or run.id == last:
            raise AwsFailure(f"the controller of {self.plan.target.region} has not begun to take over")
        if run.ended is None:
            raise AwsFailure(f"{run.what} is unfinished")
        return run

    def _settles(self, payer: Payer) -> bool:
        """Wait until GOOD payments in a row are accepted from now on; False if that does not happen in time."""
        clock = self.environment.clock
        since = clock.monotonic()
        while not payer.is_steady(since):
            if payer.over or clock.monotonic() >= since + SETTLE:
                return False
            clock.sleep(POLL)
        return True

    def _journal(self) -> Journal:
        return Journal(table_of(self.environment, self.plan.stack, self.plan.target))

    def _cloud(self, plan: Plan) -> Cloud:
        return Cloud(plan=plan, environment=self.environment)
