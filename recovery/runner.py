"""Carries out a plan step by step. Each step is journalled, so that another driver can continue if this one dies."""
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from payments.errors import StoreUnavailable
from recovery.cloud import Cloud
from recovery.errors import AlreadyRunning, AwsFailure, RecoveryError, StepTimedOut
from recovery.journal import HOLD, Run, StepProgress, next_heartbeat
from recovery.plan import Step, resumes

HEARTBEAT = HOLD / 4  # seconds
# Between two attempts at a step: seconds, and a part of what it has taken so far, since AWS limits the rate of calls.
PAUSE, SHARE = 0.2, 0.01


def claim(cloud: Cloud, driver: str, *, why: str, accepted: bool = False, seen: float | None = None) -> Run:
    """The run to carry out, which is this driver's from now on: the plan's own unfinished one, or else a new one.

    A run of another plan is replaced only if it has ended, or its driver is dead. Raises AlreadyRunning, JournalGone
    and StoreUnavailable.
    """
    plan, found = cloud.plan, cloud.table.latest_run()
    if found and found.ended is None:
        cloud.clock.sleep(HOLD)
        again = cloud.table.latest_run()
        if again is None or (again.id, again.beat) != (found.id, found.beat):
            raise AlreadyRunning((again or found).driver, (again or found).what)
    if found and resumes(plan, found):
        run = next_heartbeat(found, driver=driver)
    else:
        now = cloud.clock.time()
        run = Run(id=f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}-{cloud.environment.new_id()[:6]}",
                  action=plan.action.value, target=plan.target.region, driver=driver, began=now, why=why,
                  accepted=accepted, seen=seen)
    cloud.table.write_run(run, found)
    return run


@dataclass(kw_only=True)
class Runner:
    """Carries out a claimed run of the cloud's plan to its end.

    `do` does what is left of a step and returns its result, or None if it is not finished; it may raise AwsFailure.
    `report` is called as each step begins and ends.
    """

    cloud: Cloud
    do: Callable[[Step, Run], str | None]
    run: Run
    report: Callable[[Step, StepProgress], None]
    _lock: AbstractContextManager[object] = field(init=False)
    _held_until: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._lock = self.cloud.environment.background.lock()

    def drive(self) -> Run:
        """Do every step that is not done.

        Raises StepTimedOut, AlreadyRunning if another driver took over, JournalGone and StoreUnavailable.
        """
        with self.cloud.environment.background.every(HEARTBEAT, self._beat):
            for step in self.cloud.plan.steps:
                progress = self.run.steps.get(step.key)
                if progress is None or progress.ended is None:
                    self._drive_step(step, progress or StepProgress(began=self.cloud.clock.time()))
            self._write(ended=self.cloud.clock.time(), outcome="done")
        return self.run

    def _drive_step(self, step: Step, progress: StepProgress) -> None:
        clock = self.cloud.clock
        self._note(step, progress)
        began = clock.monotonic()
        while True:
            why = "it is not finished"
            try:
                self._check_ownership()
                note = self.do(step, self.run)
                if note is not None:
                    self._note(step, replace(progress, ended=clock.time(), note=note))
                    return
            except (AwsFailure, StoreUnavailable) as error:
                why = " ".join(map(str, error.args))
            taken = clock.monotonic() - began
            if taken >= step.budget:
                raise StepTimedOut(step.key, step.budget, why)
            clock.sleep(max(PAUSE, taken * SHARE))

    def _note(self, step: Step, progress: StepProgress) -> None:
        self._write(steps={**self.run.steps, step.key: progress})
        self.report(step, progress)

    def _check_ownership(self) -> None:
        """Write a heartbeat if the last one is HOLD seconds old: it fails if another driver has taken over."""
        if self.cloud.clock.monotonic() >= self._held_until:
            self._write()

    def _write(self, **changes: object) -> None:
        with self._lock:
            held_until = self.cloud.clock.monotonic() + HOLD
            run = next_heartbeat(self.run, **changes)
            self.cloud.table.write_run(run, self.run)
            self.run, self._held_until = run, held_until

    def _beat(self) -> None:
        """Show that this driver is alive. If it cannot be written, `_check_ownership` finds out why."""
        with suppress(RecoveryError, StoreUnavailable):
            self._write()
