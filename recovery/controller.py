"""The function that watches the other region and, in automatic mode, takes over from it.

EventBridge starts it once a minute; it looks at the other region every few seconds until the next start. It runs in
both regions, so that either can be the standby. In the region that leads it rests while all is well: nobody's failover
depends on its looks, and each costs a dozen calls.
"""
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from contract import Metric, Variable
from payments.clock import Clock, Stopwatch
from payments.errors import StoreUnavailable
from payments.logs import JsonFormatter
from payments.runtime import LambdaContext
from recovery.cloud import Cloud
from recovery.decision import ABANDONED_LOOKS, Decision, decide, left_behind, misplaced, would_refuse
from recovery.environment import BotoClients, Environment, system_environment
from recovery.errors import EvidenceTooOld, GivenUp, RecoveryError, StepTimedOut, reason
from recovery.observation import Observation, ProbeResult, observe
from recovery.plan import COMMAND, Action, Facts, Plan, Step, in_order, refusals
from recovery.record import ControlRecord, Run, StepProgress, next_epoch
from recovery.runner import Intent, Runner, claim, end_open_run
from recovery.stack import Stack
from recovery.steps import AwsSteps

ASK_IAM_SECONDS = 600.0  # between two questions to IAM
ASK_LAG_SECONDS = 60.0  # between two questions to CloudWatch, which publishes a lag once a minute
logger = logging.getLogger("recovery")


@dataclass(kw_only=True)
class Controller:
    """The controller of one region; the plan of `cloud` is the failover to that region.

    Times in seconds: `interval` between two looks, `window` from one start of the function to the next, `cool_down`
    after a failover, and `detection` until a region that does not answer counts as dead. `role` is the ARN of the role
    that it runs as.
    """

    cloud: Cloud
    interval: float
    window: float
    cool_down: float
    detection: float = 30.0
    role: str = ""
    _silent: tuple[float, Stopwatch] | None = field(default=None, init=False)
    _failing: tuple[float, Stopwatch] | None = field(default=None, init=False)
    """When the first failed look and the first failed canary in a row ended, and since when this process has known."""
    _last_revision: int = field(default=0, init=False)
    """The record's revision at the last look."""
    _last_run: tuple[str, float | None] | None = field(default=None, init=False)
    """The record's run at the last look, and when it ended."""
    _still: Stopwatch | None = field(default=None, init=False)
    """Since the look that first found this revision."""
    _well: Stopwatch | None = field(default=None, init=False)
    """Since the last look, if it found this region leading and all in order."""
    _lag_asked: Stopwatch | None = field(default=None, init=False)
    _published: tuple[Mapping[Metric, float], Stopwatch] | None = field(default=None, init=False)
    """The metrics published last, without those that change all the time, and since when."""
    _found: tuple[str, bool] = field(default=("", False), init=False)
    """What was out of place at the last look, and whether clients were led away."""
    _internal_errors: list[Exception] = field(default_factory=list, init=False)

    @property
    def region(self) -> str:
        """The region that it runs in."""
        return self.cloud.plan.target.region

    def watch(self, driver: str) -> None:
        """Look again and again until the next start, whatever goes wrong.

        At the end it raises the first internal error, so that the function's error metric counts it.
        """
        self._internal_errors.clear()
        clock = self.cloud.clock
        began = clock.monotonic()
        for number in range(max(1, round(self.window / self.interval))):
            clock.sleep(max(0.0, began + number * self.interval - clock.monotonic()))
            with self._logging_errors():
                self.look_once(driver)
        if self._internal_errors:
            raise self._internal_errors[0]

    def look_once(self, driver: str) -> None:
        """Look, store the observation, and act on it.

        While another driver carries out a failover to here, nothing is done: the other region must be left alone.
        """
        table, record = self.cloud.table, self.cloud.table.record()
        before = table.observation(self.region)
        if before and abs(table.heard - before.at) < self.interval / 2:
            return  # two starts overlap, and the other one looks
        run, still = record.open_run, self._stands_still(record)
        if run and run.target == self.region:
            if not still and run.action == Action.FAILOVER:
                return
            if still and not run.epoch:
                end_open_run(self.cloud, record, "expired: its driver stopped before it had fenced")
                return
            if still and self._resume(driver, record, run):
                return
        if not (still and self._rests()):
            self._look(driver, record, before)

    def _rests(self) -> bool:
        """Whether a look of this window found that this region leads and all is in order, and clients are sent here."""
        return (_within(self._well, self.window - self.interval / 2)
                and self.cloud.led_to() in ("", self.region))

    def _stands_still(self, record: ControlRecord) -> bool:
        """Whether the record is as it was at the last look, so that no driver lives."""
        last, self._last_revision = self._last_revision, record.revision
        if last != record.revision:
            self._still = Stopwatch(self.cloud.clock)
        return last == record.revision

    # pylint: disable-next=too-many-locals
    def _look(self, driver: str, record: ControlRecord, before: Observation | None) -> None:
        cloud, table, other, region = self.cloud, self.cloud.table, self.cloud.plan.other, self.region
        at = table.heard
        seen = cloud.checks.look(other)
        since = Stopwatch(cloud.clock)
        outside, ended = cloud.seen(other), table.now
        facts = cloud.facts()
        now = Observation(region=region, at=at, interval=self.interval, detection=self.detection,
                          leader=record.region, seen=outside, led_to=facts.led_to,
                          writer=facts.writer or (before.writer if before else ""),
                          own=[f"{what}: {why}" for what, why in sorted(facts.wrong.items())])
        observation = observe(before, now, seen, facts.own.marks, other=other.region, ended=ended)
        observation = self._by_own_clocks(observation)
        observation = self._with_figures(observation, before, healthy=bool(seen.alive))
        if (facts.record or record).region != region:
            observation = replace(observation, refused=would_refuse(
                cloud.plan, replace(facts, observation=observation)))
        if self._person_has_stopped(record):
            observation = replace(observation, notified="")
        facts = replace(facts, observation=observation)
        same = facts.record is not None and _leads(facts.record) == _leads(record)
        self._well = since if same and seen.ready and facts.own.ready and in_order(cloud.plan, facts) else None
        decision = decide(cloud.plan, facts, self.cool_down, table.pause()) if same else None
        if decision is None and observation.failed_from is None and not record.open_run and not (
                left_behind(cloud.plan, facts)):
            observation = replace(observation, notified="")
        if not table.write_observation(observation, before):
            return  # another start has looked since
        log("look", alive=seen.alive, ready=seen.ready, why=seen.why, seen=outside, led_to=observation.led_to,
            silent_since=observation.silent_since, failing_since=observation.failing_since, covered=observation.covered,
            refused=list(observation.refused))
        with self._logging_errors():
            if decision and not self._is_driven(record, decision):
                self._react(driver, decision, facts, since)
                if not (decision.action or record.open_run):
                    # A lever that is left pulled here may be why clients are sent here.
                    self._place_lever(facts, seen, led_away=True)
            elif same:
                self._mend(driver, facts, since, seen)
        with self._logging_errors():
            # Last of all: where CloudWatch hangs, a decision would grow too old meanwhile.
            self._publish(observation, seen, facts)

    def _by_own_clocks(self, observation: Observation) -> Observation:
        """Add this process's own measure of how long a state has lasted: the table's clock shows whole seconds."""
        self._silent = self._timed(self._silent, observation.silent_since)
        self._failing = self._timed(self._failing, observation.failing_since)
        return replace(
            observation,
            silent_for=max(observation.silent_for, self._silent[1].least() if self._silent else 0.0),
            failing_for=max(observation.failing_for, self._failing[1].least() if self._failing else 0.0))

    def _timed(self, known: tuple[float, Stopwatch] | None, since: float | None) -> tuple[float, Stopwatch] | None:
        if since is None:
            return None
        return known if known and known[0] == since else (since, Stopwatch(self.cloud.clock))

    def _with_figures(self, observation: Observation, before: Observation | None, *, healthy: bool) -> Observation:
        """Add what CloudWatch and IAM say. Both are asked from time to time, IAM only while all is well.

        The lag is a figure of the region that does not have the writer. What IAM denies it is asked for at every look,
        also when all is not well: somebody may have permitted it since. An old answer is none.
        """
        last = before or observation
        lag, lag_at, denied, asked = last.lag, last.lag_at, last.denied, last.asked_iam
        if observation.leader != self.region and not _within(self._lag_asked, ASK_LAG_SECONDS):
            self._lag_asked = Stopwatch(self.cloud.clock)
            lag, lag_at = self.cloud.ledger_lag() or (lag, lag_at)
        due = observation.at - asked >= ASK_IAM_SECONDS
        if self.role and (denied or (healthy and due)):
            found = self.cloud.denied(self.role, notifies=True)
            if due or found is not None:
                denied, asked = found or (), observation.at
        return replace(observation, lag=lag, lag_at=lag_at, denied=denied, asked_iam=asked)

    def _is_driven(self, record: ControlRecord, decision: Decision) -> bool:
        """Whether a driver carries out a run that the decision must not disturb.

        A planned move that has not fenced may wait for hours. It forbids nobody to take over, nor to be notified.
        """
        run = record.open_run
        return run is not None and not (run.planned and (decision.action or not run.epoch)) and (
            self._still is None or self._still.seconds() < self.interval)

    def _person_has_stopped(self, record: ControlRecord) -> bool:
        """Whether a person's run has ended since the last look: what they were told before is told once more."""
        last, run = self._last_run, record.run
        self._last_run = (run.id, run.ended) if run else ("", None)
        return last not in (None, self._last_run) and run is not None and (
            run.ended is not None and run.caller != self.role)

    def _react(self, driver: str, decision: Decision, facts: Facts, since: Stopwatch) -> None:
        if decision.action is None:
            self._notify_once(facts.observation, decision.subject, decision.why)
            return
        self._drive(Intent(plan=self.cloud.plan, driver=driver, why=decision.why, facts=facts, since=since,
                           caller=self.role, seen=self.cloud.clock.time(), evidence=decision.evidence))

    def _resume(self, driver: str, record: ControlRecord, run: Run) -> bool:
        """Continue a run that has fenced, from its fence, or end it. Returns whether it did either.

        A planned move goes no further than its own driver brought the database: the other region may be well, and then
        takes the payments back. Nor does a run that is older than what the ledger has seen: the table was restored.
        While Aurora still moves the database, the other region must be watched: it may be lost meanwhile.
        """
        if run.action not in [*Action]:
            end_open_run(self.cloud, record, f"given up: this release does not know the action {run.action}")
            return True
        cloud = replace(self.cloud, plan=replace(self.cloud.plan, action=Action(run.action)))
        facts = replace(cloud.facts(), record=record)
        if facts.own.ledger_epoch > record.epoch:
            end_open_run(cloud, record, f"expired: the ledger has seen epoch {facts.own.ledger_epoch}")
        elif run.planned and facts.moving:
            return False
        elif run.planned and facts.writer != self.region:
            end_open_run(cloud, record, "given up: its driver stopped before it had moved the database")
        else:
            self._drive(Intent(plan=cloud.plan, driver=driver, why=run.why, facts=facts, since=Stopwatch(cloud.clock),
                               caller=self.role, accepted=run.accepted, seen=run.seen))
        return True

    def _drive(self, intent: Intent) -> None:
        cloud = replace(self.cloud, plan=intent.plan)
        hold = claim(cloud, intent)
        if intent.plan.action is Action.FAILOVER and not hold.run.epoch and cloud.table.pause():
            # Who paused it since the decision was told of no run.
            hold.end("automatic failover is paused")
            return
        log("drive", run=hold.run.id, action=hold.run.action, why=hold.run.why)
        observation = intent.facts.observation
        try:
            done = Runner(hold=hold, do=AwsSteps(cloud=cloud).do, report=_log_step).drive()
        except (StepTimedOut, GivenUp, EvidenceTooOld) as error:
            log("given up", run=hold.run.id, why=str(error))
            if hold.record.region != self.region and hold.run.epoch:
                self._notify(f"{hold.record.region} leads again", f"{hold.run.why}. {error}.")
                return
            self._notify_once(observation, f"{hold.run.action} to {self.region} is not finished",
                              f"{hold.run.why}. {error}. The controller looks again.")
            return
        self._notify(f"{self.region} takes payments now ({hold.run.action})", f"{hold.run.why}. {summary(done)}")
        with suppress(RecoveryError):
            cloud.start_repair()

    def _mend(self, driver: str, facts: Facts, since: Stopwatch, seen: ProbeResult) -> None:
        """Bring leader, writer and lever together, if two looks have found them apart and no run is under way."""
        plan, record = replace(self.cloud.plan, action=Action.ALIGN), facts.record
        wrong, led_away = misplaced(plan, facts), facts.led_to == plan.other.region
        last, self._found = self._found, (wrong, led_away)
        run, abandoned = record.open_run if record else None, self.interval * ABANDONED_LOOKS
        undecided = run is not None and run.planned and not run.epoch
        if run and not undecided and not (self._still and self._still.seconds() >= abandoned):
            return
        if wrong and wrong == last[0] and not refusals(plan, facts) and not facts.moving:
            self._drive(Intent(plan=plan, driver=driver, why=wrong, facts=facts, since=since, caller=self.role))
        elif record and left_behind(plan, facts) and self._still and self._still.seconds() >= abandoned:
            if seen.leader == self.region:
                self._give_back(record, facts)
            elif not seen.leader:
                self._notify_once(
                    facts.observation, f"{self.region} leads without the database's writer",
                    f"{plan.other.region} has it, and does not take the leadership back: {seen.why}. "
                    f"To move the writer: {COMMAND} failover --to {self.region}")
        elif not wrong and run is None:
            self._place_lever(facts, seen, led_away=led_away and last[1])

    def _give_back(self, record: ControlRecord, facts: Facts) -> None:
        """Give leadership to the region that has the writer, since its own controller does not take it."""
        other = self.cloud.plan.other
        epoch = next_epoch(max(record.epoch, facts.own.ledger_epoch), primary=other == self.cloud.plan.stack.sites[0])
        self.cloud.table.write_record(record.next(region=other.region, epoch=epoch))
        self._notify(f"{other.region} leads again", f"It has the database's writer, but {self.region} led, and "
                     f"the controller of {other.region} did not correct that.")

    def _place_lever(self, facts: Facts, seen: ProbeResult, *, led_away: bool) -> None:
        """Pull this region's lever if it leads, can pay and clients are sent away; reset it if it means nothing.

        It means nothing in a standby, nor in the region that Route 53 prefers, once the other region's is reset.
        """
        cloud, own = self.cloud, self.cloud.plan.target
        leads = facts.record is not None and facts.record.region == own.region
        if leads and facts.writer == own.region and facts.own.ready and led_away and facts.lever is False:
            cloud.set_lever(own, pulled=True)
            log("lever pulled")
        elif facts.lever:
            preferred = own == cloud.plan.stack.sites[0] and not led_away and seen.alive
            if not leads or (preferred and not cloud.checks.lever_is_pulled(cloud.plan.other)):
                cloud.set_lever(own, pulled=False)
                log("lever reset")

    def _notify_once(self, observation: Observation | None, subject: str, message: str) -> None:
        """Notify people, unless the last notification had the same subject."""
        if observation and observation.notified == subject:
            return
        self._notify(subject, message)
        if observation:
            table, present = self.cloud.table, self.cloud.table.observation(self.region)
            table.write_observation(replace(present or observation, notified=subject), present)

    def _notify(self, subject: str, message: str) -> None:
        log("notify", subject=subject, why=message)
        self.cloud.notify(subject, message)

    def _publish(self, observation: Observation, other: ProbeResult, facts: Facts) -> None:
        """Publish at once what has changed, and all of it once in a window: CloudWatch charges for each call."""
        steady: dict[Metric, float] = {Metric.THIS_REGION_READY: float(facts.own.ready is True),
                                       Metric.FAILOVER_REFUSED: float(bool(observation.refused))}
        if other.alive is not None:
            steady[Metric.OTHER_REGION_HEALTHY] = float(other.alive)
        if other.ready is not None:
            steady[Metric.OTHER_REGION_READY] = float(other.ready)
        exposure = observation.exposure(self.cloud.plan.stack, facts.now)
        exposed = exposure is not None and observation.leader != self.region
        last, since = self._published or ({}, None)
        if steady != last or not _within(since, self.window - self.interval / 2):
            self.cloud.publish({**steady, Metric.EXPOSURE: exposure or 0.0} if exposed else steady)
            self._published = steady, Stopwatch(self.cloud.clock)

    @contextmanager
    def _logging_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
            log("failed", error=f"{type(error).__name__}: {reason(error)}")
            if not isinstance(error, StoreUnavailable | RecoveryError | BotoCoreError | ClientError):
                self._internal_errors.append(error)


def _within(since: Stopwatch | None, seconds: float) -> bool:
    return since is not None and since.seconds() < seconds


def _leads(record: ControlRecord) -> tuple[str, int, str]:
    """Who leads, and whose run it is: what a decision depends on."""
    return record.region, record.epoch, record.run.id if record.run else ""


def summary(run: Run) -> str:
    """The results of a run's steps, for people."""
    return "; ".join(f"{key}: {progress.note}" for key, progress in run.steps.items() if progress.note)


def log(event: str, **fields: object) -> None:
    """Write one line of JSON."""
    logger.info(event, extra={"fields": fields})


def _log_step(step: Step, progress: StepProgress) -> None:
    log("step", step=step.key, ended=progress.ended is not None, note=progress.note)


def create(environ: Mapping[str, str], environment: Environment) -> Controller:
    """The controller of AWS_REGION, from STACK_OUTPUTS (JSON), PROBE_SECONDS, WATCH_SECONDS and COOL_DOWN_SECONDS.

    Raises StackError if the stack is not in that region.
    """
    stack = Stack.of(json.loads(environ[Variable.STACK_OUTPUTS]))
    plan = Plan(action=Action.FAILOVER, stack=stack, target=stack.site(environ["AWS_REGION"]))
    return Controller(
        cloud=Cloud(plan=plan, environment=environment), interval=float(environ[Variable.PROBE_SECONDS]),
        window=float(environ[Variable.WATCH_SECONDS]), cool_down=float(environ[Variable.COOL_DOWN_SECONDS]),
        detection=float(environ[Variable.DETECTION_SECONDS]), role=environ.get(Variable.ROLE_ARN, ""))


def log_to_stdout(clock: Clock) -> None:
    """Make the log one line of JSON for each event on standard output."""
    stdout = logging.StreamHandler(sys.stdout)
    stdout.setFormatter(JsonFormatter(clock))
    logger.handlers, logger.propagate = [stdout], False  # Lambda's root logger would print each line again
    logger.setLevel(logging.INFO)


@cache
def resident() -> Controller:
    """The controller of this execution environment, created by its first start."""
    environment = system_environment(BotoClients(), os.environ)
    log_to_stdout(environment.clock)
    return create(os.environ, environment)


def handler(_event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Watch until the next start. The results are in the table, in the metrics and in the log."""
    controller = resident()
    controller.watch(f"controller in {controller.region} ({context.aws_request_id})")
    return {"region": controller.region}
