"""The function that watches the other region and, where the mode is automatic, takes over from it.

EventBridge starts it once a minute; it looks at the other region every PROBE_SECONDS until the next one starts. It runs
in both regions, so that either can be the standby. Its clients are made once per execution environment.
"""
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError

from payments.errors import StoreUnavailable
from payments.logs import JsonFormatter
from recovery import probe
from recovery.clients import BotoClients
from recovery.clock import CLOCK, Clock
from recovery.cloud import AwsFailure, Cloud, reason
from recovery.decision import AUTOMATIC, Reaction, alarming, decide, failover
from recovery.journal import AlreadyRunning, Journal, Run, StepProgress
from recovery.observation import Observation, observe
from recovery.plan import Action, Step, resumes
from recovery.runner import Runner, StepTimedOut, claim
from recovery.stack import Stack

logger = logging.getLogger("recovery")


class LambdaContext(Protocol):
    """What is used of Lambda's context object."""

    @property
    def aws_request_id(self) -> str:
        """The invocation's identifier."""


@dataclass(frozen=True, kw_only=True)
class ControllerTiming:
    """Times in seconds: between two looks, from one start of the function to the next, and after a run."""

    probe: float
    watch: float
    cool_down: float

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "ControllerTiming":
        """From PROBE_SECONDS, WATCH_SECONDS and COOL_DOWN_SECONDS."""
        return cls(probe=float(environ["PROBE_SECONDS"]), watch=float(environ["WATCH_SECONDS"]),
                   cool_down=float(environ["COOL_DOWN_SECONDS"]))


def taken(url: str) -> bool:
    """Whether the lever of the region whose API is at `url` says that it takes the traffic; also if it does not say."""
    return probe.get(f"{url}/takeover").body.get("takeover") is not False


@dataclass(kw_only=True)
class Controller:
    """The controller of one region; `cloud` is bound to the failover that would lead there."""

    cloud: Cloud
    pace: ControllerTiming
    taken: Callable[[str], bool] = taken
    _beat: tuple[str, int] = field(default=("", 0), init=False)
    """The run that was not at its end at the last look, and its beat."""
    _bugs: list[Exception] = field(default_factory=list, init=False)

    @property
    def stack(self) -> Stack:
        """The stack."""
        return self.cloud.plan.stack

    @property
    def region(self) -> str:
        """Where it runs."""
        return self.cloud.plan.target.region

    @property
    def clock(self) -> Clock:
        """The cloud's."""
        return self.cloud.clock

    def watch(self, driver: str) -> None:
        """Look again and again until the next one starts; whatever goes wrong, go on.

        Raises at the end what only a mistake in the program can raise, so that the function's errors count it.
        """
        self._bugs.clear()
        began = self.clock.monotonic()
        for number in range(round(self.pace.watch / self.pace.probe)):
            self.clock.sleep(max(0.0, began + number * self.pace.probe - self.clock.monotonic()))
            with self._going_on():
                self.tick(driver)
        if self._bugs:
            raise self._bugs[0]

    def tick(self, driver: str) -> None:
        """Look once, write down what is seen, and do what is to be done about it.

        While somebody drives a failover nothing is looked at: the other region is to be left alone. While anything else
        is driven, the looks go on, since it waits for the lag that they tell; but nothing is done about them.
        """
        table, now = self.cloud.table, self.clock.time()
        before, run = table.watch(self.region), Journal(table).latest()
        if before and 0 <= now - before.at < self.pace.probe / 2:
            return  # another one looks: two starts may overlap
        if run and run.ended is not None:
            run = None
        driven = bool(run and self._driven(run))
        if run and driven and run.action == Action.FAILOVER:
            return
        if run and not driven and self.stack.failover_mode == AUTOMATIC and resumes(self.cloud.plan, run):
            self._drive(driver, run.why, before)
            return
        self._look(driver, before, run, driven=driven)

    def _look(self, driver: str, before: Observation | None, run: Run | None, *, driven: bool) -> None:
        """`run` is one that is not at its end."""
        table, other, now = self.cloud.table, self.cloud.plan.other, self.clock.time()
        right = table.right()
        seen, own = self.cloud.look(other.api_endpoint), self.cloud.look(self.cloud.plan.target.api_endpoint)
        lags = self.cloud.lags(self.pace.probe) if seen.alive else {}
        watch = observe(before, Observation(region=self.region, at=now, ready=own.alive, lags=lags), seen,
                        active=right.region == other.region)
        alarm = alarming(self.stack, watch, right)
        if not alarm and run is None:
            watch = replace(watch, told="")
        table.keep_watch(watch)
        log("look", alive=seen.alive, ready=seen.ready, why=seen.why, dead=watch.dead, unready=watch.unready,
            lags=dict(watch.lags))
        with self._going_on():
            self._publish(watch, seen, own)
        with self._going_on():
            if alarm and not driven:
                self._act(watch, driver)
            elif run and not driven and run.target == self.region:
                self._tell_once(watch, f"{run.action} to {run.target} has stopped",
                                f"{run.what}: nobody drives it. {run.driver} did. To go on: {command(run)}")
        with self._going_on():
            self._tidy(seen)

    def _driven(self, run: Run) -> bool:
        """Whether the run's driver seems to live: its beat is another one than at the last look."""
        last, self._beat = self._beat, (run.id, run.beat)
        return last != self._beat

    def _act(self, watch: Observation, driver: str) -> None:
        decision = decide(self.cloud.plan, replace(self.cloud.facts(), watch=watch), self.clock.time(),
                          self.pace.cool_down)
        if decision.deed is Reaction.ACT:
            self._drive(driver, decision.why, watch)
        elif decision.deed is Reaction.TELL:
            self._tell_once(watch, decision.subject, decision.why)

    def _drive(self, driver: str, why: str, watch: Observation | None) -> None:
        journal = Journal(self.cloud.table)
        run = claim(journal, self.cloud.plan, driver, why=why, seen=watch.at if watch else None, clock=self.clock)
        log("act", run=run.id, why=why)
        runner = Runner(plan=self.cloud.plan, steps=self.cloud, journal=journal, run=run, say=_told, clock=self.clock)
        try:
            done = runner.drive()
        except StepTimedOut as error:
            log("undone", run=run.id, why=str(error))
            self._tell_once(watch, f"{self.region} could not take over: {error.step.key}",
                            f"{why}. {error}. The controller tries again.")
        else:
            self._tell(f"{self.region} has taken over", f"{why}. {summary(done)}")

    def _tell_once(self, watch: Observation | None, subject: str, message: str) -> None:
        """Tell people, unless it is what they were told last."""
        if watch and watch.told == subject:
            return
        self._tell(subject, message)
        if watch:
            self.cloud.table.keep_watch(replace(watch, told=subject))

    def _tell(self, subject: str, message: str) -> None:
        log("tell", subject=subject, why=message)
        self.cloud.tell(subject, message)

    def _tidy(self, seen: probe.ProbeResult) -> None:
        """Put back a lever that says nothing any more: left up, it would keep the traffic from the next takeover.

        A region touches its own lever only: as a standby, or as the one that Route 53 prefers once the other's is down.
        """
        here, other = self.cloud.plan.target, self.cloud.plan.other
        if not seen.alive or not self.cloud.lever(here):
            return
        # What this look began with may be over: who has pulled the lever since is in the journal, or has the right.
        run = Journal(self.cloud.table).latest()
        if run and run.ended is None:
            return
        if self.cloud.table.right().region != self.region or (
                here == self.stack.sites[0] and not self.taken(other.api_endpoint)):
            self.cloud.pull(here, wanted=False)
            log("lever put back")

    def _publish(self, watch: Observation, other: probe.ProbeResult, own: probe.ProbeResult) -> None:
        metrics = {"OtherRegionHealthy": float(other.alive), "OtherRegionReady": float(other.ready),
                   "ThisRegionReady": float(own.ready)}
        lag = {"TableLag": watch.lags["table"]} if other.alive and "table" in watch.lags else {}
        self.cloud.publish({**metrics, **lag})

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Log what goes wrong, and go on."""
        try:
            yield
        except (StoreUnavailable, AwsFailure, StepTimedOut, AlreadyRunning, BotoCoreError) as error:
            log("failed", error=f"{type(error).__name__}: {reason(error)}")
        except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
            log("failed", error=f"{type(error).__name__}: {reason(error)}")
            self._bugs.append(error)


def command(run: Run) -> str:
    """What a person types to go on with a run."""
    return f"python -m recovery {run.action}" + ("" if run.action == Action.FAILBACK else f" --to {run.target}")


def summary(run: Run) -> str:
    """What became of a run, for people."""
    return "; ".join(f"{key}: {done.note}" for key, done in run.steps.items() if done.note)


def log(event: str, **fields: object) -> None:
    """One line of JSON."""
    logger.info(event, extra={"fields": fields})


def _told(step: Step, done: StepProgress) -> None:
    log("step", step=step.key, ended=done.ended is not None, note=done.note)


def create(environ: Mapping[str, str]) -> Controller:
    """The controller of AWS_REGION, from STACK_OUTPUTS (JSON), PROBE_SECONDS, WATCH_SECONDS and COOL_DOWN_SECONDS."""
    plan = failover(Stack.of(json.loads(environ["STACK_OUTPUTS"])), environ["AWS_REGION"])
    return Controller(cloud=Cloud(plan=plan, clients=BotoClients(), look=probe.look, clock=CLOCK), pace=ControllerTiming.of(environ))


@cache
def resident() -> Controller:
    """The controller of this execution environment, which logs to stdout."""
    printing = logging.StreamHandler(sys.stdout)
    printing.setFormatter(JsonFormatter(CLOCK))
    logger.handlers, logger.propagate = [printing], False  # Lambda's root logger would print each line again
    logger.setLevel(logging.INFO)
    return create(os.environ)


def handler(_event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Watch until the next start. What it finds and does is in the table, in the metrics and in the log."""
    controller = resident()
    controller.watch(f"controller in {controller.region} ({context.aws_request_id})")
    return {"region": controller.region}
