"""Judges a scenario by its recording. Nothing here makes a call or waits."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from itertools import groupby
from statistics import median

from contract import DNS_TTL, HEALTH_PATH, UNREADY, Phase, Store
from payments.leadership import LEASE
from recovery import measure
from recovery.plan import Action
from recovery.record import Run
from recovery.report.model import Lane, PhaseTime, RecoveryTime, RequestMark, TimelineEvent
from recovery.stack import Stack
from rehearsal.aws.faults import WORLD, ApiCall
from rehearsal.drills.recording import Recording, answer_of, refusals
from rehearsal.drills.report import model
from rehearsal.drills.scenario import Expectation, Scenario
from rehearsal.rehearsed_stack import StoreContents
from rehearsal.workload.load import SentPayment, acknowledged
from simulator.vocabulary import one_writer

OVERHEAD = 1.0  # seconds that recovery may add of its own
PAYMENT = 0.05  # seconds that a payment takes on two idle cores
SLACK = 0.3  # seconds: a cut takes time, and so does an acknowledgement on its way
GLOBAL = frozenset({"route53", "iam"})  # control planes that a failover must do without
WAITING = frozenset({Phase.DETECT, Phase.DNS})  # phases that consist of waiting, which the factor divides


# --- What must hold


def judge(recording: Recording, expected: Expectation, stack: Stack, after: StoreContents, *, active: str, writer: str,
          calls: Sequence[ApiCall]) -> None:
    """Check what is expected, once the clients have stopped.

    after: what the stores hold of the region that takes payments. active, writer: the region that leads, and that of
    the database's writer. calls: all that were made during the drill.
    """
    automatic = [run.what for run in recording.runs.values()
                 if run.driver.startswith("controller") and run.action != Action.ALIGN]
    recording.check(f"moves by itself: {expected.moves}", len(automatic) == expected.moves,
                    ", ".join(automatic) or "none")
    wanted = recording.active if expected.active == "active" else recording.standby
    recording.check(f"payments are taken in the region that was {expected.active}",
                    active == wanted and one_writer([active], writer), active)
    _judge_losses(recording, expected, lost(recording, after), strong=stack.strong)
    if expected.notified:
        found = any(expected.notified in each for each in recording.notified)
        recording.check("people were notified", found, "; ".join(recording.notified))
    if expected.refused or recording.stray:
        count, accepted = len(refused(recording)), len(acknowledged(recording.stray))
        recording.check(f"the old writer refuses, at least {expected.refused}", count >= expected.refused,
                        f"{count} refused")
        if stack.strong:
            recording.check("the old writer accepts none", not accepted, f"{accepted} accepted")
    if expected.errors:
        _judge_seconds(recording, f"errors for at most {expected.errors:.0f} s", expected.errors,
                       _failing(recording.sent))
    for run in recording.runs.values():
        if run.action == Action.FAILOVER:
            _judge_blackout(recording, run, stack, calls)


def _judge_losses(recording: Recording, expected: Expectation, gone: Sequence[str], *, strong: bool) -> None:
    """Nothing may be lost; or, by the lag, what was made within the shortest lag before the outage."""
    accepted, outage = acknowledged(recording.sent), recording.outage
    excused = {each.payment_id for each in accepted if outage is not None
               and -SLACK <= outage - each.ended <= recording.shortest_lag + SLACK}
    wrong = {*gone} - (excused if expected.lost == "lag" and not strong else set())
    recording.check(f"lost: {expected.lost}", not wrong, f"{len(gone)} of {len(accepted)}" + (
        f", and not by the lag: {', '.join(sorted(wrong))}" if wrong else ""))


def _judge_blackout(recording: Recording, run: Run, stack: Stack, calls: Iterable[ApiCall]) -> None:
    impaired = stack.other(run.target).region
    # The target's controller keeps looking at the other region: a person drives, or its next start looks meanwhile.
    during = [call for call in calls
              if run.began <= call.at <= (run.ended or 0.0) and call.caller not in (impaired, WORLD)
              and not (call.caller == run.target and call.operation.endswith(HEALTH_PATH))]
    wrong = [f"{call.caller} to {call.region}: {call.service} {call.operation}" for call in during
             if call.region == impaired or call.service in GLOBAL]
    recording.check(f"blackout: no call to {impaired}, to Route 53 or to IAM", bool(during) and not wrong,
                    ", ".join(wrong) or f"{len(during)} calls, all to {run.target}")


def judge_overhead(recording: Recording, stack: Stack, factor: float) -> None:
    """Check that recovery's own overhead is small, if there was a recovery."""
    recovery = recovery_time(recording, stack, factor)
    if recovery:
        _judge_seconds(recording, f"own overhead at most {OVERHEAD:.0f} s", OVERHEAD, recovery.overhead_s)


def _failing(sent: Iterable[SentPayment]) -> float:
    """Seconds in which clients saw nothing but errors, all outages together.

    A client's error begins no earlier than the last acknowledgement that any of them got before it.
    """
    seconds = served = 0.0
    for paid, group in groupby(sorted(sent, key=lambda each: each.ended), key=lambda each: each.acknowledged):
        answers = [*group]
        if not paid:
            seconds += answers[-1].ended - max(served, min(each.began for each in answers))
        served = answers[-1].ended
    return seconds


def _judge_seconds(recording: Recording, name: str, most: float, took: float) -> None:
    """Check a duration that consists of work: on a busy machine it may be longer, as payments are."""
    payments = [each.ended - each.began for each in acknowledged(recording.sent)
                if recording.outage is None or each.ended <= recording.outage]
    slower = max(1.0, median(payments or [0.0]) / PAYMENT)
    recording.check(name, took <= most * slower,
                    f"{took:.2f} s" + (f", where payments take {slower:.1f} times as long" if slower > 1 else ""))


def judge_whole(recording: Recording, after: StoreContents, contents: Mapping[str, StoreContents]) -> None:
    """Check that every payment that was acknowledged, and is not lost, is in every store of both regions."""
    paid = {each.payment_id for each in acknowledged([*recording.sent, *recording.stray])} - {*lost(recording, after)}
    missing = [f"not whole in {region}: {', '.join(each)}" for region, found in contents.items()
               if (each := sorted(payment for payment in paid if not found.whole(payment)))]
    recording.check("every payment that was acknowledged and not lost is whole in both regions", not missing,
                    "; ".join(missing) or f"{len(paid)} payments")


def lost(recording: Recording, after: StoreContents) -> list[str]:
    """The ids of the acknowledged payments that no longer count as made."""
    return sorted(each.payment_id for each in acknowledged(recording.sent) if not after.kept(each.payment_id).made)


def refused(recording: Recording) -> list[SentPayment]:
    """The payments that the old region refused, of those that were sent there after the outage began."""
    old, outage = recording.active, recording.outage
    late = [each for each in recording.sent if each.region == old and outage is not None and each.began > outage]
    return [each for each in (*recording.stray, *late)
            if each.answer and each.answer.status == HTTPStatus.SERVICE_UNAVAILABLE]


# --- What the report says of a drill


def recovery_time(recording: Recording, stack: Stack, factor: float) -> RecoveryTime | None:
    """The first run's recovery time as clients saw it, on both clocks; None if no run ended an outage that they saw."""
    run = next(iter(recording.runs.values()), None)
    writes = [measure.ClientWrite(sent_at=each.began, answered_at=each.ended, accepted=each.acknowledged,
                                  where=each.region, kind="" if each.acknowledged else answer_of(each))
              for each in sorted(recording.sent, key=lambda sent: sent.began)]
    found = measure.measure(writes, run, recording.offset)
    if run is None or found.began is None or not found.recovered:
        return None
    split = [PhaseTime(phase=phase, wall_s=round(wall, 3),
                             full_s=round(wall * (factor if phase in WAITING else 1), 3))
             for phase, wall in zip(Phase, found.phases.values(), strict=True)]
    return RecoveryTime(
        at_s=recording.at(found.began - recording.offset), wall_s=round(found.whole, 3),
        full_s=round(sum(phase.full_s for phase in split), 3), split=split,
        overhead_s=round(found.overhead(_detection(run, stack) / factor, DNS_TTL / factor, _promotion(run)), 3))


def _detection(run: Run, stack: Stack) -> float:
    """The seconds after which an outage counts as one, and those of the lever's check where the API answers on."""
    unready = "cannot take payments" in run.why
    return stack.detection * UNREADY + stack.health_check_interval if unready else stack.detection


def _promotion(run: Run) -> float:
    fence, promote = run.steps["fence"], run.steps["promote"]
    asked = max(promote.began, (fence.ended or promote.began) + LEASE)
    return max(0.0, (promote.ended or asked) - asked)


def store_counts(recording: Recording, after: StoreContents) -> list[model.StoreCounts]:
    """What the stores of the region that takes payments hold of those that were acknowledged before the outage."""
    before, outage = recording.before, recording.outage
    if before is None or outage is None:
        return []
    paid = [each.payment_id for each in acknowledged(recording.sent) if each.ended <= outage]

    def held(contents: StoreContents, store: Store) -> int:
        return sum(store in contents.stores_with(each) for each in paid)

    return [model.StoreCounts(store=store, acknowledged=len(paid), before=held(before, store),
                              after=held(after, store)) for store in Store]


def timeline(recording: Recording) -> list[TimelineEvent]:
    """Everything that happened, in its order."""
    def event(lane: Lane, what: str, moment: float) -> TimelineEvent:
        return TimelineEvent(at_s=recording.at(moment), lane=lane, what=what)

    found = [*recording.events,
             *(event("plan", f"{run.action} {key}: {done.note}", (done.ended or done.began) - recording.offset)
               for run in recording.runs.values() for key, done in run.steps.items()),
             *(event("dns", f"clients go to {each.region}", each.began)
               for before, each in zip(recording.sent, recording.sent[1:], strict=False)
               if before.region != each.region)]
    return sorted(found, key=lambda each: each.at_s)


def result(recording: Recording, scenario: Scenario, stack: Stack, *, after: StoreContents,
           factor: float) -> model.DrillResult:
    """The drill as the report shows it."""
    gone, ok = lost(recording, after), all(each.ok for each in recording.checks)
    loss = f"{len(gone)} lost" if gone else "nothing lost"
    outcome = f"{', '.join(run.what for run in recording.runs.values()) or 'nobody moved'}; {loss}"
    return model.DrillResult(
        scenario=scenario.name, title=scenario.title, consistency=stack.table_consistency,
        expected=scenario.expected, outcome=outcome if ok else f"not as expected: {outcome}", ok=ok,
        driver="controller" if scenario.expect.moves else "command line",
        recovery=recovery_time(recording, stack, factor), stores=store_counts(recording, after), lost=gone,
        refused_stale=len(refused(recording)) if scenario.expect.refused or recording.stray else 0,
        errors=refusals(recording.sent), events=timeline(recording), checks=recording.checks,
        requests=[RequestMark(at_s=recording.at(each.began), ok=each.acknowledged, region=each.region)
                  for each in recording.sent])
