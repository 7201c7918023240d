"""One history: a seed's plan, played on its world in two phases, and judged."""
from collections import Counter
from dataclasses import dataclass, replace
from random import Random
from zlib import crc32

from simulator.checkers import LIVENESS, SAFETY, Violation
from simulator.faults import FAULTS, Fault, Strikes
from simulator.mixes import EVER, MIXES, Plan
from simulator.operator import Operator
from simulator.world import World

SNAPSHOT = 100.0  # seconds after the start at which the table is kept for a restore


@dataclass
class Result:
    """What came of a history: `seconds` are virtual ones."""

    seed: int
    plan: Plan
    violations: list[Violation]
    seconds: float
    faults: Counter[str]
    states: Counter[str]
    trace: list[str]


def draw(seed: int, mix: str = "") -> Plan:
    """The plan of a seed, of one mix or of any."""
    random = Random(f"plan {seed}")
    name = mix or random.choice(sorted(MIXES))
    return MIXES[name](random)


def play(seed: int, plan: Plan, *, traced: bool = False) -> Result:
    """Play a plan from its seed; the same two give the same history."""
    strikes = Strikes(Random(f"strikes {seed}"), **plan.strikes, fates=plan.fates)
    strikes.active = False
    world = World(crc32(str(seed).encode()), plan.options, strikes)
    scheduler, counts = world.scheduler, Counter[str]()

    def begin(fault: Fault) -> None:
        counts[fault.name] += 1
        world.history.note(scheduler.now, "fault", fault.where, name=fault.name)
        FAULTS[fault.name][0](world, fault.where)

    def lift(fault: Fault) -> None:
        world.history.note(scheduler.now, "healed", fault.where, name=fault.name)
        FAULTS[fault.name][1](world, fault.where)

    for fault in plan.faults:
        scheduler.at(fault.begins, lambda fault=fault: begin(fault))
        if fault.ends != EVER:
            scheduler.at(min(fault.ends, plan.safety), lambda fault=fault: lift(fault))
    operator = Operator(world, plan.person)
    scheduler.at(SNAPSHOT, world.snapshot)
    scheduler.at(SNAPSHOT, lambda: setattr(strikes, "active", True))
    try:
        scheduler.run(plan.safety)
        strikes.active = False
        world.permanent = [fault for fault in plan.faults if fault.ends == EVER]
        world.drain()
        scheduler.run(plan.safety + plan.liveness)
        violations = [found for check in (*SAFETY, *LIVENESS) for found in check(world)]
    finally:
        scheduler.end()
    states = Counter(f"{event.what} {event.facts.get('action') or event.facts.get('how') or ''}".strip()
                     for event in world.history.of("leads", "promoted", "asked to promote", "notified", "rejoined"))
    states.update(operator.outcomes)
    trace = [str(event) for event in world.history.events
             if event.what not in ("paid", "settled", "failed")] if traced else []
    return Result(seed, plan, violations, plan.safety + plan.liveness, counts + strikes.counts, states, trace)


def shrink(seed: int, plan: Plan, rule: str) -> Plan:
    """The plan with everything left out that the violation of a rule does not need."""
    def breaks(smaller: Plan) -> bool:
        return any(found.rule == rule for found in play(seed, smaller).violations)

    for _ in range(2):
        for fault in list(plan.faults):
            smaller = replace(plan, faults=[each for each in plan.faults if each is not fault])
            if breaks(smaller):
                plan = smaller
        for typed in list(plan.person.typed):
            smaller = replace(plan, person=replace(plan.person, typed=[t for t in plan.person.typed if t is not typed]))
            if breaks(smaller):
                plan = smaller
        for name in list(plan.fates):
            smaller = replace(plan, fates={key: rate for key, rate in plan.fates.items() if key != name})
            if breaks(smaller):
                plan = smaller
    return plan
