"""Carries out a plan: step by step, each journalled, so that whoever is killed at it can be followed by anybody."""
import threading
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol
from uuid import uuid4

from payments.errors import StoreUnavailable
from recovery.clock import CLOCK, Clock
from recovery.cloud import AwsFailure
from recovery.journal import HOLD, AlreadyRunning, Journal, Run, StepProgress, next_beat
from recovery.plan import Plan, Step, resumes

# Between two tries at a step: seconds, and a part of what it has taken so far, since AWS limits how often it is asked.
PAUSE, SHARE = 0.2, 0.01


class StepTimedOut(Exception):
    """A step could not be done within its budget; the same command goes on from there."""

    def __init__(self, step: Step, why: str) -> None:
        super().__init__(step, why)
        self.step, self.why = step, why

    def __str__(self) -> str:
        return f"{self.step.key} was not done within {self.step.budget:.0f} s: {self.why}"


class Steps(Protocol):
    """Who does the steps."""

    @abstractmethod
    def step(self, key: str, run: Run) -> str | None:
        """Does what is left of a step and tells of it, or gives None if that is not finished. Raises Failed."""


def claim(journal: Journal, plan: Plan, driver: str, *, why: str, accepted: bool = False, seen: float | None = None,
          clock: Clock = CLOCK) -> Run:
    """The run to go on with, this driver's from now on: a new one, or the plan's own that broke off.

    A run of another plan gives way only if it has ended, or its driver is dead. Raises Busy and StoreUnavailable.
    """
    found = journal.latest()
    if found and found.ended is None:
        clock.sleep(HOLD)
        again = journal.latest()
        if again is None or (again.id, again.beat) != (found.id, found.beat):
            raise AlreadyRunning((again or found).driver, (again or found).what)
    if found and resumes(plan, found):
        run = next_beat(found, driver=driver)
    else:
        now = clock.time()
        run = Run(id=f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}", action=plan.action.value,
                  target=plan.target.region, driver=driver, began=now, why=why, accepted=accepted, seen=seen)
    journal.keep(run, found)
    return run


@dataclass(kw_only=True)
class Runner:
    """Drives a claimed run to its end. `say` is told of each step as it begins and ends; `beat` in seconds."""

    plan: Plan
    steps: Steps
    journal: Journal
    run: Run
    say: Callable[[Step, StepProgress], None] = lambda _step, _done: None
    clock: Clock = CLOCK
    beat: float = HOLD / 4
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _held_until: float = field(default=0.0, init=False)

    def drive(self) -> Run:
        """Do every step that is not done. Raises Undone, Busy if another driver took over, and StoreUnavailable."""
        over = threading.Event()
        beating = threading.Thread(target=self._beat, args=(over,), name="beat", daemon=True)
        beating.start()
        try:
            for step in self.plan.steps:
                done = self.run.steps.get(step.key)
                if done is None or done.ended is None:
                    self._do(step, done or StepProgress(began=self.clock.time()))
            self._keep(ended=self.clock.time(), outcome="done")
        finally:
            over.set()
            beating.join()
        return self.run

    def _do(self, step: Step, done: StepProgress) -> None:
        self._note(step, done)
        began = self.clock.monotonic()
        while True:
            why = "it takes longer"
            try:
                self._hold()
                note = self.steps.step(step.key, self.run)
                if note is not None:
                    self._note(step, replace(done, ended=self.clock.time(), note=note))
                    return
            except (AwsFailure, StoreUnavailable) as error:
                why = " ".join(map(str, error.args))
            taken = self.clock.monotonic() - began
            if taken >= step.budget:
                raise StepTimedOut(step, why)
            self.clock.sleep(max(PAUSE, taken * SHARE))

    def _note(self, step: Step, done: StepProgress) -> None:
        self._keep(steps={**self.run.steps, step.key: done})
        self.say(step, done)

    def _hold(self) -> None:
        """Make sure that nobody has taken over."""
        if self.clock.monotonic() >= self._held_until:
            self._keep()

    def _keep(self, **changes: object) -> None:
        with self._lock:
            held_until = self.clock.monotonic() + HOLD
            run = next_beat(self.run, **changes)
            self.journal.keep(run, self.run)
            self.run, self._held_until = run, held_until

    def _beat(self, over: threading.Event) -> None:
        """Show that this driver lives, also while a step takes long. If that fails, `_hold` finds out why."""
        while not over.wait(self.beat):
            with suppress(AlreadyRunning, StoreUnavailable):
                self._keep()
