"""Claims a run and carries it out step by step, so that another driver can continue if this one dies.

`Hold` writes the record for one driver; see `docs/protocol.md`.
"""
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from payments.clock import Stopwatch
from payments.errors import StoreUnavailable
from recovery.cloud import Cloud
from recovery.control_table import is_same
from recovery.errors import AlreadyRunning, AwsFailure, EvidenceTooOld, GivenUp, RecoveryError, StepTimedOut
from recovery.plan import FAIL_OVER, FENCE, Action, Evidence, Facts, Plan, Step, resumes
from recovery.record import ControlRecord, Run, StepProgress, next_epoch

T = TypeVar("T")
STILL = 2.0  # seconds for which a live driver's record never stands still
HEARTBEAT = STILL / 4  # seconds
PATIENCE = 10.0  # seconds of a step until `Runner.waits` is called, and between two such calls
EVIDENCE_LASTS = 5.0  # seconds from a decision to its fence
LATE = 2 * EVIDENCE_LASTS  # seconds from a decision to the end of the fence's write, longer than that can take
ATTEMPTS = 3  # to take the record from a run whose driver lives, and writes it, too
# Between two attempts at a step: seconds, and a part of what it has taken so far, since AWS limits the rate of calls.
PAUSE, SHARE = 0.2, 0.01


@dataclass(frozen=True, kw_only=True)
class Intent:
    """The move that a driver wants to carry out, and why; `seen`, `accepted` and `evidence` as in `Run`.

    `facts` are those of the decision, which was taken when `since` was started.
    """

    plan: Plan
    driver: str
    why: str
    facts: Facts
    since: Stopwatch
    caller: str = ""
    accepted: bool = False
    seen: float | None = None
    evidence: Evidence = Evidence.NONE


class Hold:
    """A run that a driver holds, for as long as its writes of the record succeed. Tasks may share it."""

    def __init__(self, cloud: Cloud, intent: Intent, record: ControlRecord) -> None:
        self.cloud, self.intent, self.record = cloud, intent, record
        self.claimed = record.revision
        """The revision by which the driver has claimed the run; no other driver of the run has the same."""
        self.fenced: Stopwatch | None = None
        """Since this driver has known that the other region is fenced."""
        self.proved = Stopwatch(cloud.clock)
        """Since before the last write of the record that succeeded."""
        self.promoting = FAIL_OVER.key in self.run.steps
        """Whether this driver or a former one may have asked for the promotion."""
        self.other_led = record.region == cloud.plan.other.region
        """Whether the other region led as this driver took hold of the run."""
        self._late = _may_be_late(self.run)
        self._unanswered: list[ControlRecord] = []
        self._lock: AbstractContextManager[object] = cloud.environment.background.lock()

    @property
    def run(self) -> Run:
        """The run as it was written last."""
        assert self.record.run is not None  # noqa: S101  # nobody holds a record without a run
        return self.record.run

    def prove(self) -> None:
        """Write the next revision: it fails if the run is no longer this driver's.

        Raises AlreadyRunning, RecordGone and StoreUnavailable.
        """
        self.write()

    def write(self, **changes: Any) -> None:
        """Change the run. Raises what `prove` raises."""
        self._write(lambda: {"run": replace(self.run, **changes)})

    def fence(self) -> int:
        """Take leadership; returns the epoch. Does nothing if this run has done so already.

        Nothing is fenced on old evidence, and the epoch is above every one that is known. Raises EvidenceTooOld, also
        if the process was frozen in the write itself, and what `prove` raises.
        """
        record, plan, intent = self.record, self.cloud.plan, self.intent
        if not (record.run and record.run.epoch):
            moved = record.at if plan.action is Action.FAILOVER else 0.0 if plan.action.planned else record.moved
            self.lead(max(record.epoch, intent.facts.own.ledger_epoch), unless_old=True, moved=moved)
        elif (record.region, record.epoch) != (plan.target.region, record.run.epoch):
            raise GivenUp(f"{record.region} has taken leadership under epoch {record.epoch} meanwhile")
        late = self.fenced is None and self.other_led and intent.since.seconds() > LATE
        # Before a promotion, the second view of a dead region is asked again.
        if (plan.action is Action.FAILOVER and not intent.accepted
                and (self._late or (late and intent.evidence != Evidence.DEAD))):
            raise EvidenceTooOld(f"{plan.other.region} may have been fenced too late, so it is to lead again")
        self.fenced = self.fenced or Stopwatch(self.cloud.clock)
        return self.run.epoch

    def lead(self, seen: int, *, unless_old: bool = False, **changes: Any) -> None:
        """Make the target the leader under an epoch above one that was seen.

        Raises what `prove` raises, and with `unless_old` EvidenceTooOld: it is looked at once the lock is held, since a
        frozen process may have held it for long.
        """
        target, stack = self.cloud.plan.target, self.cloud.plan.stack

        def changed() -> Mapping[str, Any]:
            if unless_old and self.intent.since.seconds() > EVIDENCE_LASTS:
                raise EvidenceTooOld(f"the decision is more than {EVIDENCE_LASTS:.0f} s old: run the command again")
            epoch = next_epoch(seen, primary=target == stack.sites[0])
            return {"region": target.region, "epoch": epoch, "run": replace(self.run, epoch=epoch), **changes}

        self._write(changed)

    def end(self, outcome: str, *, give_back: bool = False) -> None:
        """End the run; with `give_back` the other region leads again if the run has fenced it, unless the target pays.

        It is tried for PATIENCE. Raises what `prove` raises.
        """
        other, target, stack = self.cloud.plan.other, self.cloud.plan.target, self.cloud.plan.stack
        taken = Stopwatch(self.cloud.clock)

        def changed() -> Mapping[str, Any]:
            seen = max(self.record.epoch, self.intent.facts.own.ledger_epoch)
            lead = {"region": other.region, "epoch": next_epoch(seen, primary=other == stack.sites[0]),
                    # A fence that does not count starts no cool-down.
                    "moved": self.record.moved if self.fenced else 0.0}
            fenced = self.run.epoch and self.run.ended is None and self.intent.facts.writer != target.region
            return {"run": replace(self.run, ended=self.cloud.clock.time(), outcome=outcome),
                    **(lead if give_back and fenced else {})}

        while True:
            try:
                self._write(changed)
            except StoreUnavailable:
                if taken.seconds() >= PATIENCE:
                    raise
            else:
                return
            self.cloud.clock.sleep(PAUSE)

    def _write(self, changed: Callable[[], Mapping[str, Any]]) -> None:
        with self._lock:
            while True:
                since, record = Stopwatch(self.cloud.clock), self.record.next(**changed())
                try:
                    self.record, self.proved = self.cloud.table.write_record(record), since
                except StoreUnavailable:
                    self._unanswered.append(record)
                    raise
                except AlreadyRunning:
                    if not self._goes_on_from_unanswered():
                        raise
                else:
                    self._unanswered.clear()
                    return

    def _goes_on_from_unanswered(self) -> bool:
        """Whether the record is one that this driver wrote without an answer; if so, it is what the driver holds."""
        found = self.cloud.table.record()
        same = any(is_same(found, each) for each in self._unanswered)
        self._unanswered.clear()
        self.record = found if same else self.record
        return same


def _may_be_late(run: Run) -> bool:
    """Whether it fenced a region whose canary failed, and its driver stopped before it noted that this was in time."""
    fence = run.steps.get(FENCE.key)
    return bool(run.epoch and run.evidence == Evidence.UNREADY and FAIL_OVER.key not in run.steps
                and (fence is None or fence.ended is None))


def claim(cloud: Cloud, intent: Intent) -> Hold:
    """Claim the plan's own run if it has fenced and not ended, or else a new one.

    A run whose driver lives is left alone, but a failover takes the record from a planned move, and to align takes it
    from one that has not fenced. Raises AlreadyRunning, RecordGone and StoreUnavailable.
    """
    plan = intent.plan

    def preempts(found: ControlRecord) -> bool:
        run = found.open_run
        return run is not None and run.planned and (
            plan.action is Action.FAILOVER or (plan.action is Action.ALIGN and not run.epoch))

    def hold(found: ControlRecord) -> Hold:
        run = found.open_run
        if run and not preempts(found):
            cloud.clock.sleep(STILL)
            now = cloud.table.record()
            if now.revision != found.revision:
                other = now.run or run
                raise AlreadyRunning(other.driver, other.what)
        return Hold(cloud, intent, cloud.table.write_record(found.next(run=_run(cloud, intent, found))))

    return _retry(cloud, hold, preempts)


def _retry(cloud: Cloud, write: Callable[[ControlRecord], T], again: Callable[[ControlRecord], bool]) -> T:
    """Read and write the record; up to ATTEMPTS times, while a live driver writes it, too, and `again` allows it."""
    left = ATTEMPTS
    while True:
        left -= 1
        found = cloud.table.record()
        try:
            return write(found)
        except AlreadyRunning:
            if not left or not again(found):
                raise


def _run(cloud: Cloud, intent: Intent, found: ControlRecord) -> Run:
    now, plan = cloud.clock.time(), intent.plan
    ahead = now - cloud.table.now
    if found.run and resumes(plan, found, intent.facts.own.ledger_epoch):
        return found.run.taken_over(intent.driver, intent.caller, ahead)
    failed = intent.facts.observation if plan.action is Action.FAILOVER else None
    return Run(id=f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}-{cloud.environment.new_id()[:6]}",
               action=plan.action.value, target=plan.target.region, driver=intent.driver, caller=intent.caller,
               began=now, why=intent.why, accepted=intent.accepted, seen=intent.seen, evidence=intent.evidence.value,
               ahead=ahead, since=failed.failed_since + ahead if failed and failed.failed_since is not None else None,
               at_risk=failed.exposure(plan.stack, intent.facts.now) if failed else None)


def end_open_run(cloud: Cloud, record: ControlRecord, outcome: str) -> None:
    """End the open run of a record that nobody holds. Raises AlreadyRunning if somebody does, and StoreUnavailable."""
    run = record.open_run
    if run:
        cloud.table.write_record(record.next(run=replace(run, ended=cloud.clock.time(), outcome=outcome)))


def end_undecided_run(cloud: Cloud, outcome: str) -> Run | None:
    """End the open run to the plan's target, unless it has fenced, also while its driver lives.

    Returns that run, also if it goes on because it has fenced; None if there is none. Raises AlreadyRunning if its
    driver has written in between each time, and StoreUnavailable.
    """
    def end(record: ControlRecord) -> Run | None:
        run = record.open_run
        if run is None or run.target != cloud.plan.target.region:
            return None
        if not run.epoch:
            end_open_run(cloud, record, outcome)
        return run

    return _retry(cloud, end, lambda _: True)


@dataclass(kw_only=True)
class Runner:
    """Carries out a held run of the cloud's plan to its end.

    `do` does what is left of a step and returns its result, or None if it is not finished; it may raise AwsFailure.
    `report` is called as each step begins and ends, and `waits` while one goes on, with what it waits for, and since
    how many seconds.
    """

    hold: Hold
    do: Callable[[Step, Hold], str | None]
    report: Callable[[Step, StepProgress], None]
    waits: Callable[[Step, str, float], None] = lambda _step, _why, _seconds: None

    def drive(self) -> Run:
        """Do every step, or, if the run has fenced, those from the fence: what was done may have been undone.

        Raises StepTimedOut, GivenUp and EvidenceTooOld, with which the run has ended; AlreadyRunning if another driver
        took over, RecordGone and StoreUnavailable. The other region leads again if the evidence was too old, or if the
        fence was not done in time, and yet turns out to be written.
        """
        hold, steps = self.hold, self.hold.cloud.plan.steps
        with hold.cloud.environment.background.every(HEARTBEAT, self._beat):
            try:
                for step in steps[steps.index(FENCE) if hold.run.epoch else 0:]:
                    self._drive_step(step)
            except (StepTimedOut, GivenUp, EvidenceTooOld) as error:
                unfenced = isinstance(error, StepTimedOut) and error.step == FENCE.key and hold.other_led
                hold.end(str(error), give_back=unfenced or isinstance(error, EvidenceTooOld))
                raise
            hold.end("done")
        return hold.run

    def _drive_step(self, step: Step) -> None:
        clock = self.hold.cloud.clock
        found = self.hold.run.steps.get(step.key)
        progress = replace(found, ended=None) if found else StepProgress(began=clock.time())
        self._note(step, progress)
        taken, told = Stopwatch(clock), 0.0
        while True:
            why = "it is not finished"
            try:
                self._check_ownership()
                note = self.do(step, self.hold)
                if note is not None:
                    self._note(step, replace(progress, ended=clock.time(), note=note))
                    return
            except (AwsFailure, StoreUnavailable) as error:
                why = " ".join(map(str, error.args))
            if taken.seconds() >= step.budget:
                raise StepTimedOut(step.key, step.budget, why)
            if taken.seconds() >= told + PATIENCE:
                told = taken.seconds()
                self.waits(step, why, told)
            clock.sleep(max(PAUSE, taken.seconds() * SHARE))

    def _note(self, step: Step, progress: StepProgress) -> None:
        self.hold.write(steps={**self.hold.run.steps, step.key: progress})
        self.report(step, progress)

    def _check_ownership(self) -> None:
        """Prove that the run is still this driver's, if the last proof is so old that another may have taken over."""
        if self.hold.proved.seconds() >= STILL:
            self.hold.prove()

    def _beat(self) -> None:
        """Show that this driver is alive. If it cannot be written, `_check_ownership` finds out why."""
        with suppress(RecoveryError, StoreUnavailable):
            self.hold.prove()
