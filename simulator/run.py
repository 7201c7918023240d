"""One history: a seed's plan, played on its world in two phases, and judged."""
import gc
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from zlib import crc32

from recovery.drill.payer import Payer
from simulator.checkers import LIVENESS, QUIET, SAFETY, Violation, is_repaired
from simulator.faults import CUTS, EVER, FAULTS, REGION_CUTS, SHARED, Strikes, TimedFault
from simulator.mixes import MIXES, HistoryPlan
from simulator.network import OUTSIDE
from simulator.operator import Operator
from simulator.scheduler import Process
from simulator.world import World

CALM = 60.0  # seconds before anything is struck; the table is kept then, for a restore
STEP = 30.0  # seconds between two looks at whether the second phase is decided
UNTRACED = ("paid", "settled", "refused")


@dataclass
class Result:
    """What came of a history: `seconds` are virtual ones."""

    seed: int
    plan: HistoryPlan
    violations: list[Violation]
    seconds: float
    faults: Counter[str]
    states: Counter[str]
    trace: list[str]


def draw(seed: int, mix: str = "") -> HistoryPlan:
    """The plan of a seed, of one mix or of any."""
    name = mix or Random(f"mix {seed}").choice(sorted(MIXES))
    return replace(MIXES[name](Random(f"plan {seed}")), mix=name)


def play(seed: int, plan: HistoryPlan, *, traced: bool = False) -> Result:
    """Play a plan from its seed; the same two give the same history."""
    strikes = Strikes(Random(f"strikes {seed}"), **{**plan.strikes, "fates": plan.fates})  # type: ignore[arg-type]
    world = World(crc32(str(seed).encode()), plan.options, strikes)
    scheduler, counts, world.struck = world.scheduler, Counter[str](), strikes.counts
    lasting = Counter[tuple[str, str]]()  # how many of the same fault overlap in a region

    def begin(fault: TimedFault) -> None:
        counts[fault.name] += 1
        lasting[fault.name, fault.where] += 1
        world.history.note(scheduler.now, "fault", fault.where, name=fault.name)
        FAULTS[fault.name][0](world, fault.where)

    def lift(fault: TimedFault) -> None:
        world.history.note(scheduler.now, "healed", fault.where, name=fault.name)
        lasting[fault.name, fault.where] -= 1
        if not lasting[fault.name, fault.where]:
            FAULTS[fault.name][1](world, fault.where)
        for name, where in +lasting:
            if name in SHARED:
                FAULTS[name][0](world, where)
        world.drain()

    for fault in plan.faults:
        scheduler.at(fault.begins, partial(begin, fault))
        if fault.ends != EVER:
            scheduler.at(min(fault.ends, plan.safety), partial(lift, fault))
    def cut(where: str, seconds: float) -> None:
        fault = TimedFault(world.scheduler.random.choice(REGION_CUTS), where, scheduler.now)
        begin(fault)
        scheduler.at(min(seconds, plan.safety - scheduler.now), partial(lift, fault))

    strikes.cut = cut
    operator = Operator(world, plan.person)
    scheduler.at(CALM, world.snapshot)
    scheduler.at(CALM, lambda: setattr(strikes, "active", not strikes.idle))
    if plan.audited:
        scheduler.at(plan.audited, lambda: audit(world))
    gc.disable()  # a collection in a task would keep that task, and with it the world, for ever
    try:
        scheduler.run(plan.safety)
        strikes.active, operator.patient, world.healed = False, True, scheduler.now
        world.permanent = [fault for fault in plan.faults if fault.lasts]
        world.history.note(scheduler.now, "heals", "everything",
                           stays=", ".join(map(str, world.permanent)) or "nothing")
        violations = list(_end(world, plan))
    finally:
        scheduler.end()
        gc.enable()
    states = Counter(" ".join(filter(None, (event.what, event.facts.get("action") or event.facts.get("how"))))
                     for event in world.history.events if event.what in STATES)
    states.update(operator.outcomes)
    states["asked to promote just after the run was lost"] += sum(
        event.facts["proved"] and not event.facts["holds"] for event in world.history.of("asked to promote"))
    return Result(seed, plan, violations, scheduler.now, counts + strikes.counts, states, [
        str(event) for event in world.history.events if traced and event.what not in UNTRACED])


STATES = frozenset({
    "leads", "promoted", "asked to promote", "notified", "rejoined", "runs", "ends", "repaired", "crashed"})


def _end(world: World, plan: HistoryPlan) -> Iterator[Violation]:
    """Play the second phase until its end, or until nothing is left to happen, and judge the history."""
    until = world.scheduler.now + plan.liveness
    steady, cut = 0, any(fault.name in CUTS for fault in world.permanent)
    while world.scheduler.now < until and (cut or steady * STEP < QUIET or not is_repaired(world)):
        world.scheduler.run(min(until, world.scheduler.now + STEP))
        steady = steady + 1 if _is_steady(world) else 0
    for check in (*SAFETY, *LIVENESS):
        yield from check(world)


def _is_steady(world: World) -> bool:
    """Whether payments are taken, no run is open, and the leader and where clients are sent agree."""
    now = world.scheduler.now
    runs = [run for region in world.regions if (run := world.run(region))]
    agreed = {*(world.leader(region)[0] for region in world.regions), world.route53.leads_to(), world.aurora.writer}
    return (now - max(world.served.values()) < STEP and all(run.ended is not None for run in runs)
            and len(agreed) == 1)


def audit(world: World) -> None:
    """Let the drill's own code count the acknowledged payments that are lost, in the region that takes payments."""
    able = [region for region in world.regions if world.takes_payments(region)]
    if len(able) == 1:
        auditor = Process(world.scheduler, "drill", OUTSIDE)
        auditor.spared = True
        payer = Payer(world.stack, "key", world.environment(auditor), math.inf)
        old = world.scheduler.now - QUIET / 2
        payer.acknowledged = [key for key, each in world.acknowledged.items() if each.at < old]

        lost = sum(not world.keeps(able[0], key) for key in payer.acknowledged)

        def count() -> None:
            counted = payer.lost(world.stack.site(able[0]))
            world.history.note(world.scheduler.now, "audited", able[0], counted=counted, lost=lost)

        world.scheduler.spawn(auditor, count)


def shrink(seed: int, plan: HistoryPlan, rule: str) -> HistoryPlan:
    """The plan with everything left out that the violation of a rule does not need, and as short as it can be."""
    def breaks(smaller: HistoryPlan) -> bool:
        return any(found.rule == rule for found in play(seed, smaller).violations)

    changed = True
    while changed:
        changed = False
        for smaller in _smaller(plan):
            if breaks(smaller):
                plan, changed = smaller, True
                break
    return plan


def _smaller(plan: HistoryPlan) -> Iterator[HistoryPlan]:
    """Each plan with one thing less, or a shorter phase."""
    person = plan.person
    for each in plan.faults:
        yield replace(plan, faults=[fault for fault in plan.faults if fault is not each])
    for words in person.typed:
        yield replace(plan, person=replace(person, typed=[typed for typed in person.typed if typed is not words]))
    for name in plan.strikes:
        if name not in ("longest", "latest"):
            yield replace(plan, strikes={key: rate for key, rate in plan.strikes.items() if key != name})
    for name in plan.fates:
        yield replace(plan, fates={key: rate for key, rate in plan.fates.items() if key != name})
    if person.interrupts is not None:
        yield replace(plan, person=replace(person, interrupts=None))
    last = max([CALM, *(fault.begins for fault in plan.faults), *(at for at, _ in person.typed)])
    for part in (0.5, 0.8):
        if plan.safety * part > last:
            yield replace(plan, safety=plan.safety * part)
