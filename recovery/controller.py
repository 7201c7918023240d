"""The function that watches the other region and, in automatic mode, takes over from it.

EventBridge starts it once a minute; it looks at the other region every few seconds until the next start. It runs in
both regions, so that either can be the standby.
"""
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError

from contract import FailoverMode, Metric, Store, Variable
from payments.clock import Clock
from payments.errors import StoreUnavailable
from payments.logs import JsonFormatter
from payments.runtime import LambdaContext
from recovery.cloud import Cloud
from recovery.decision import alarming, decide
from recovery.environment import BotoClients, Environment, system_environment
from recovery.errors import RecoveryError, StepTimedOut, reason
from recovery.journal import Run, StepProgress
from recovery.observation import Observation, ProbeResult, lever_is_pulled, observe
from recovery.plan import Action, Plan, Step, resumes
from recovery.runner import Runner, claim
from recovery.stack import Stack
from recovery.steps import AwsSteps

logger = logging.getLogger("recovery")


@dataclass(kw_only=True)
class Controller:
    """The controller of one region; the plan of `cloud` is the failover to that region.

    Times in seconds: `interval` between two looks, `window` from one start of the function to the next, and
    `cool_down` after a failover.
    """

    cloud: Cloud
    interval: float
    window: float
    cool_down: float
    _last_heartbeat: tuple[str, int] = field(default=("", 0), init=False)
    """The run that was unfinished at the last look, and its heartbeat."""
    _internal_errors: list[Exception] = field(default_factory=list, init=False)

    @property
    def region(self) -> str:
        """Where it runs."""
        return self.cloud.plan.target.region

    def watch(self, driver: str) -> None:
        """Look again and again until the next start, whatever goes wrong.

        At the end it raises the first internal error, so that the function's error metric counts it.
        """
        self._internal_errors.clear()
        clock = self.cloud.clock
        began = clock.monotonic()
        for number in range(round(self.window / self.interval)):
            clock.sleep(max(0.0, began + number * self.interval - clock.monotonic()))
            with self._logging_errors():
                self.look_once(driver)
        if self._internal_errors:
            raise self._internal_errors[0]

    def look_once(self, driver: str) -> None:
        """Look, store the observation, and act on it.

        While another driver carries out a failover, nothing is done: the other region must be left alone. While it
        carries out another run, the looks go on, since the run waits for the lags that they report, but nothing else.
        """
        table, plan, now = self.cloud.table, self.cloud.plan, self.cloud.clock.time()
        before, run = table.observation(self.region), table.latest_run()
        if before and 0 <= now - before.at < self.interval / 2:
            return  # two starts overlap, and the other one looks
        if run and run.ended is not None:
            run = None
        driven = bool(run and self._is_driven(run))
        if run and driven and run.action == Action.FAILOVER:
            return
        if run and not driven and plan.stack.failover_mode == FailoverMode.AUTOMATIC and resumes(plan, run):
            self._drive(driver, run.why, before)
            return
        self._look(driver, before, run, driven=driven)

    def _look(self, driver: str, before: Observation | None, run: Run | None, *, driven: bool) -> None:
        """`run` is an unfinished one, if there is any."""
        cloud, table, other, now = self.cloud, self.cloud.table, self.cloud.plan.other, self.cloud.clock.time()
        leadership = table.leadership()
        seen, own = cloud.look(other), cloud.look(cloud.plan.target)
        lags = cloud.lags(self.interval) if seen.alive else {}
        observation = observe(before, Observation(region=self.region, at=now, ready=own.alive, lags=lags), seen,
                              leads=leadership.region == other.region)
        alarm = alarming(cloud.plan.stack, observation, leadership)
        if not alarm and run is None:
            observation = replace(observation, notified="")
        table.write_observation(observation)
        log("look", alive=seen.alive, ready=seen.ready, why=seen.why, dead=observation.dead,
            unready=observation.unready, lags=dict(observation.lags))
        with self._logging_errors():
            self._publish(observation, seen, own)
        with self._logging_errors():
            if alarm and not driven:
                self._react(observation, driver)
            elif run and not driven and run.target == self.region:
                self._notify_once(observation, f"{run.action} to {run.target} has stopped",
                                  f"{run.what}: its driver, {run.driver}, has stopped. To continue: {command(run)}")
        with self._logging_errors():
            self._reset_stale_lever(seen)

    def _is_driven(self, run: Run) -> bool:
        """Whether the run's driver seems alive: its heartbeat has changed since the last look."""
        last, self._last_heartbeat = self._last_heartbeat, (run.id, run.beat)
        return last != self._last_heartbeat

    def _react(self, observation: Observation, driver: str) -> None:
        facts = replace(self.cloud.facts(), observation=observation)
        decision = decide(self.cloud.plan, facts, self.cloud.clock.time(), self.cool_down)
        if decision and decision.takes_over:
            self._drive(driver, decision.why, observation)
        elif decision:
            self._notify_once(observation, decision.subject, decision.why)

    def _drive(self, driver: str, why: str, observation: Observation | None) -> None:
        run = claim(self.cloud, driver, why=why, seen=observation.at if observation else None)
        log("take over", run=run.id, why=why)
        try:
            done = Runner(cloud=self.cloud, do=AwsSteps(cloud=self.cloud).do, run=run, report=_log_step).drive()
        except StepTimedOut as error:
            log("timed out", run=run.id, why=str(error))
            self._notify_once(observation, f"{self.region} could not take over: {error.step}",
                              f"{why}. {error}. The controller tries again.")
        else:
            self._notify(f"{self.region} has taken over", f"{why}. {summary(done)}")

    def _notify_once(self, observation: Observation | None, subject: str, message: str) -> None:
        """Notify people, unless the last notification had the same subject."""
        if observation and observation.notified == subject:
            return
        self._notify(subject, message)
        if observation:
            self.cloud.table.write_observation(replace(observation, notified=subject))

    def _notify(self, subject: str, message: str) -> None:
        log("notify", subject=subject, why=message)
        self.cloud.notify(subject, message)

    def _reset_stale_lever(self, seen: ProbeResult) -> None:
        """Reset this region's lever if it has no meaning any more: it would block the next takeover.

        It has none in a standby, nor in the region that Route 53 prefers, once the other region's lever is reset.
        """
        cloud, own, other = self.cloud, self.cloud.plan.target, self.cloud.plan.other
        if not seen.alive or not cloud.lever(own):
            return
        # What was read first may be outdated: a driver that has pulled the lever since is in the journal, or leads.
        run = cloud.table.latest_run()
        if run and run.ended is None:
            return
        if cloud.table.leadership().region != own.region or (
                own == cloud.plan.stack.sites[0] and not lever_is_pulled(cloud.environment, other.api_endpoint)):
            cloud.set_lever(own, pulled=False)
            log("lever reset")

    def _publish(self, observation: Observation, other: ProbeResult, own: ProbeResult) -> None:
        metrics = {Metric.OTHER_REGION_HEALTHY: float(other.alive), Metric.OTHER_REGION_READY: float(other.ready),
                   Metric.THIS_REGION_READY: float(own.ready)}
        if other.alive and Store.TABLE in observation.lags:
            metrics[Metric.TABLE_LAG] = observation.lags[Store.TABLE]
        self.cloud.publish(metrics)

    @contextmanager
    def _logging_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
            log("failed", error=f"{type(error).__name__}: {reason(error)}")
            if not isinstance(error, StoreUnavailable | RecoveryError | BotoCoreError):
                self._internal_errors.append(error)


def command(run: Run) -> str:
    """What a person types to continue a run."""
    return f"python -m recovery {run.action}" + ("" if run.action == Action.FAILBACK else f" --to {run.target}")


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
        window=float(environ[Variable.WATCH_SECONDS]), cool_down=float(environ[Variable.COOL_DOWN_SECONDS]))


def log_to_stdout(clock: Clock) -> None:
    """Make the log one line of JSON for each event on standard output."""
    stdout = logging.StreamHandler(sys.stdout)
    stdout.setFormatter(JsonFormatter(clock))
    logger.handlers, logger.propagate = [stdout], False  # Lambda's root logger would print each line again
    logger.setLevel(logging.INFO)


@cache
def resident() -> Controller:
    """The controller of this execution environment, created by its first start."""
    environment = system_environment(BotoClients())
    log_to_stdout(environment.clock)
    return create(os.environ, environment)


def handler(_event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Watch until the next start. The results are in the table, in the metrics and in the log."""
    controller = resident()
    controller.watch(f"controller in {controller.region} ({context.aws_request_id})")
    return {"region": controller.region}
