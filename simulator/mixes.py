"""Mixes: what a seed draws. Each is directed at one kind of history; `swarm` draws a subset of everything.

A mix gives the world's options, the faults with their moments, the strikes, what the person does, and which faults stay
for ever in the second phase.
"""
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from simulator.faults import Fault
from simulator.world import REGIONS, Options

EAST, WEST = REGIONS
WARM = 150.0  # seconds before anything goes wrong
EVER = float("inf")


@dataclass(frozen=True)
class Person:
    """What a simulated person does: commands at their moments, and how they answer a notification.

    typed: (seconds, words). waits: seconds from a notification until they type what it says, None if they never do.
    accepts: whether they then accept the loss of data. interrupts: seconds after which they break a command off.
    """

    typed: Sequence[tuple[float, str]] = ()
    waits: float | None = None
    accepts: bool = False
    interrupts: float | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A history as it was drawn."""

    mix: str
    options: Options
    faults: Sequence[Fault] = ()
    person: Person = Person()
    safety: float = 900.0
    """Seconds of the first phase, with faults that come and go."""
    liveness: float = 1500.0
    """Seconds of the second phase, in which only faults without an end stay."""
    strikes: dict[str, float] = field(default_factory=dict)
    fates: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        rates = ", ".join(f"{name} {rate:g}" for name, rate in {**self.strikes, **self.fates}.items() if rate)
        typed = "; ".join(f"{at:.0f} s: {words}" for at, words in self.person.typed)
        return "\n".join(filter(None, [
            f"mix {self.mix}: {self.options}", *(f"  fault: {each}" for each in self.faults),
            rates and f"  strikes: {rates}", typed and f"  typed: {typed}", f"  person: {self.person}"]))


Draw = Callable[[Random], Plan]
MIXES: dict[str, Draw] = {}


def mix(name: str) -> Callable[[Draw], Draw]:
    """Register a mix."""
    def register(draw: Draw) -> Draw:
        MIXES[name] = draw
        return draw
    return register


def _options(draw: Random, **given: object) -> Options:
    skews = {region: draw.choice((0.0, 0.0, draw.uniform(-3, 3))) for region in REGIONS}
    return Options(**{"strong": draw.random() < 0.5, "automatic": draw.random() < 0.7, "skews": skews, **given})  # type: ignore[arg-type]


@mix("region-lost")
def _region_lost(draw: Random) -> Plan:
    begins = WARM + draw.uniform(0, 60)
    ends = draw.choice((begins + draw.uniform(20, 600), EVER))
    return Plan(mix="region-lost", options=_options(draw), faults=[Fault("region-lost", EAST, begins, ends)],
                person=Person(waits=draw.uniform(20, 400), accepts=draw.random() < 0.5))


@mix("driver-dies-early")
def _driver_dies_early(draw: Random) -> Plan:
    """A run is claimed and its driver dies before it fences; the region heals; somebody resumes."""
    begins = WARM + draw.uniform(0, 30)
    died = begins + draw.uniform(30, 80)
    return Plan(mix="driver-dies-early", options=_options(draw), safety=2000.0, faults=[
        Fault("region-lost", EAST, begins, died + draw.uniform(1, 30)),
        Fault("controller-stopped", WEST, died + 1, died + draw.uniform(200, 900))],
        strikes={"record_kill": draw.uniform(0.02, 0.2)},
        person=Person(waits=draw.uniform(30, 60), typed=[(draw.uniform(1000, 1600), f"failover --to {WEST}")]))


@mix("interrupted")
def _interrupted(draw: Random) -> Plan:
    """A person breaks a command off at any moment."""
    at = WARM + draw.uniform(0, 30)
    words = draw.choice((f"switchover --to {WEST}", f"failover --to {WEST} --accept-data-loss"))
    return Plan(mix="interrupted", options=_options(draw), safety=1200.0,
                person=Person(typed=[(at, words)], interrupts=draw.uniform(0.0, 3.0)))


@mix("stall-then-loss")
def _stall_then_loss(draw: Random) -> Plan:
    """Copies stall; the region is lost some time later."""
    begins, later = WARM, WARM + draw.uniform(5, 900)
    stalled = draw.sample(("table-stalls", "receipts-stall", "ledger-stalls"), draw.randint(1, 3))
    return Plan(mix="stall-then-loss", options=_options(draw, strong=False, automatic=True), safety=later + 400, faults=[
        *(Fault(name, EAST, begins, later + 200) for name in stalled),
        Fault("region-lost", EAST, later, later + draw.uniform(200, 390))])


@mix("frozen-driver")
def _frozen_driver(draw: Random) -> Plan:
    """A driver is frozen in the middle, others finish, and it wakes up."""
    at = WARM + draw.uniform(0, 30)
    begin = draw.choice((f"switchover --to {WEST}", f"failover --to {WEST} --accept-data-loss"))
    return Plan(mix="frozen-driver", options=_options(draw), safety=1500.0,
                strikes={"record_freeze": draw.uniform(0.01, 0.1)},
                person=Person(typed=[(at, begin), (at + draw.uniform(30, 200), begin), (at + 400, "failback"),
                                     (at + 600, "failback")], waits=draw.uniform(30, 100), accepts=True))


@mix("cannot-write")
def _cannot_write(draw: Random) -> Plan:
    """The leading region can read but not write."""
    begins = WARM + draw.uniform(0, 60)
    name = draw.choice(("writes-denied", "s3-refuses", "dynamodb-refuses", "postgres-refuses", "writes-denied"))
    return Plan(mix="cannot-write", options=_options(draw), safety=600.0,
                faults=[Fault(name, EAST, begins, EVER)], person=Person(waits=draw.uniform(20, 200), accepts=True))


@mix("late-copies")
def _late_copies(draw: Random) -> Plan:
    """Copies of one store are much later than of the others when the region is lost, and heal later."""
    slow = draw.choice(("table_lag", "receipts_lag", "ledger_lag"))
    begins = WARM + draw.uniform(0, 60)
    ends = begins + draw.uniform(200, 500)
    return Plan(mix="late-copies", options=_options(draw, strong=draw.random() < 0.3, automatic=True, pay_every=1.0,
                                                    clients=3, **{slow: (5.0, draw.uniform(10, 120))}),
                safety=1200.0, faults=[Fault("region-lost" if draw.random() < 0.5 else "way-cut", EAST, begins, ends)],
                person=Person(typed=[(begins + 60, f"failover --to {WEST} --accept-data-loss"), (ends + 300, "failback")]))


@mix("late-writes")
def _late_writes(draw: Random) -> Plan:
    """Calls are held back, while the leadership moves."""
    at = WARM + draw.uniform(0, 30)
    return Plan(mix="late-writes", options=_options(draw, pay_every=0.7, clients=3), safety=800.0,
                fates={"late": draw.uniform(0.005, 0.05), "twice": 0.01, "lose": 0.01},
                person=Person(typed=[(at, f"failover --to {WEST} --accept-data-loss"), (at + 300, "failback")]))


@mix("switchover-dies")
def _switchover_dies(draw: Random) -> Plan:
    """A switchover's driver dies at any step, and nobody types anything more."""
    at = WARM + draw.uniform(0, 30)
    return Plan(mix="switchover-dies", options=_options(draw), safety=300.0,
                strikes={"record_kill": draw.uniform(0.02, 0.15)},
                person=Person(typed=[(at, f"switchover --to {WEST}")]))


@mix("flood")
def _flood(draw: Random) -> Plan:
    """Strangers flood what needs no key."""
    begins = WARM + draw.uniform(0, 60)
    return Plan(mix="flood", options=_options(draw, automatic=True), safety=900.0,
                faults=[Fault("flooded", EAST, begins, begins + draw.uniform(60, 400))])


@mix("two-releases")
def _two_releases(draw: Random) -> Plan:
    """One region has the next release, whose records have a field more; then the other one is lost."""
    begins = WARM + draw.uniform(200, 300)
    newer = draw.choice(REGIONS)
    return Plan(mix="two-releases", options=_options(draw, automatic=True), safety=1200.0, faults=[
        Fault("newer-release", newer, WARM / 2), Fault("region-lost", EAST, begins, begins + 500)],
        person=Person(typed=[(begins - 150, f"switchover --to {WEST}"), (begins - 70, f"switchover --to {EAST}")]))


@mix("skewed")
def _skewed(draw: Random) -> Plan:
    """Clocks disagree."""
    begins = WARM + draw.uniform(0, 60)
    skews = {EAST: draw.uniform(-600, 600), WEST: draw.uniform(-600, 600), "outside": draw.uniform(-900, 900)}
    stops = [Fault("controller-stopped", WEST, begins - 60, begins + 300)] if draw.random() < 0.5 else []
    return Plan(mix="skewed", options=_options(draw, skews=skews, strong=False), safety=900.0,
                faults=[*stops, Fault("table-stalls", EAST, begins - draw.uniform(0, 90), begins + 200),
                        Fault("region-lost", EAST, begins, begins + 300)],
                person=Person(typed=[(begins + 40, f"failover --to {WEST}")]))


@mix("bad-item")
def _bad_item(draw: Random) -> Plan:
    """One malformed item lies in the table when the region is lost."""
    begins = WARM + draw.uniform(0, 60)
    return Plan(mix="bad-item", options=_options(draw, automatic=True), safety=900.0, faults=[
        Fault("bad-item", EAST, WARM / 2), Fault("region-lost", EAST, begins, begins + 300)])


@mix("may-not-promote")
def _may_not_promote(draw: Random) -> Plan:
    """The permission to promote is missing."""
    begins = WARM + draw.uniform(0, 60)
    return Plan(mix="may-not-promote", options=_options(draw, automatic=True), safety=900.0, faults=[
        Fault("promotion-denied", WEST, 0.0, EVER), Fault("region-lost", EAST, begins, begins + draw.uniform(90, 400))],
        person=Person(waits=60.0, typed=[(begins + 500, "failback")]))


@mix("way-cut-for-ever")
def _way_cut(draw: Random) -> Plan:
    """Only the way between the regions is cut, both ways or one way, for ever."""
    begins = WARM + draw.uniform(0, 60)
    name = draw.choice(("way-cut", "way-cut", "one-way-cut"))
    return Plan(mix="way-cut-for-ever", options=_options(draw, automatic=True), safety=400.0,
                faults=[Fault(name, draw.choice(REGIONS), begins, EVER)])


@mix("loss-in-a-move")
def _loss_in_a_move(draw: Random) -> Plan:
    """The leading region is lost for ever while a planned move waits."""
    at = WARM + draw.uniform(0, 30)
    words, before = draw.choice(((f"switchover --to {WEST}", ()), ("failback", (
        Fault("region-lost", EAST, at - 100, at + 60),))))
    lost = at + draw.uniform(3, 120)
    if words == "failback":
        return Plan(mix="loss-in-a-move", options=_options(draw, automatic=True), safety=1500.0, faults=[
            Fault("region-lost", EAST, WARM, at + 500), Fault("region-lost", WEST, at + 400, EVER)],
            person=Person(typed=[(at + 250, "failback")]))
    return Plan(mix="loss-in-a-move", options=_options(draw, automatic=True, strong=False), safety=600.0, faults=[
        *before, Fault("table-stalls", EAST, at - 20, lost + 100), Fault("region-lost", EAST, lost, EVER)],
        person=Person(typed=[(at, words)]))


@mix("one-store-lost")
def _one_store(draw: Random) -> Plan:
    """One store of one region refuses for ever."""
    region = draw.choice(REGIONS)
    service = draw.choice(("dynamodb", "s3", "postgres", "rds", "lambda", "cloudwatch"))
    return Plan(mix="one-store-lost", options=_options(draw), safety=500.0,
                faults=[Fault(f"{service}-{draw.choice(('refuses', 'hangs', 'throttles'))}", region,
                              WARM + draw.uniform(0, 60), EVER)],
                person=Person(waits=draw.uniform(20, 200), accepts=True))


@mix("restored")
def _restored(draw: Random) -> Plan:
    """The table is restored to an earlier moment after a move."""
    at = WARM + draw.uniform(0, 30)
    return Plan(mix="restored", options=_options(draw), safety=900.0, faults=[
        Fault("table-restored", draw.choice(REGIONS), at + draw.uniform(100, 300))],
        person=Person(typed=[(at, f"switchover --to {WEST}")], waits=60.0))


@mix("swarm")
def _swarm(draw: Random) -> Plan:
    """A subset of everything, with small rates of pauses and kills at every call."""
    names = ["region-lost", "way-cut", "one-way-cut", "table-stalls", "receipts-stall", "ledger-stalls", "flooded",
             "api-down", "controller-stopped", "writes-denied", *(f"{service}-{how}" for service in (
                 "dynamodb", "s3", "postgres", "rds", "lambda") for how in ("refuses", "hangs", "throttles"))]
    chosen = draw.sample(names, draw.randint(1, 4))
    faults = []
    for name in chosen:
        for _ in range(draw.randint(1, 2)):
            begins = WARM + draw.uniform(0, 700)
            faults.append(Fault(name, draw.choice(REGIONS), begins, begins + draw.choice((20, 60, 150, 400))))
    lasting = draw.choice(("", "region-lost", "way-cut", "one-way-cut", "controller-stopped", "dynamodb-refuses"))
    if lasting:
        faults.append(Fault(lasting, draw.choice(REGIONS), WARM + draw.uniform(0, 900), EVER))
    commands = (f"switchover --to {WEST}", f"switchover --to {EAST}", f"failover --to {WEST}",
                f"failover --to {WEST} --accept-data-loss", "failback")
    typed = sorted((WARM + draw.uniform(0, 900), draw.choice(commands)) for _ in range(draw.randint(0, 3)))
    rate = draw.choice((0.0, 0.0005, 0.003))
    return Plan(mix="swarm", options=_options(draw), faults=faults, safety=1100.0,
                strikes={"kill": rate, "freeze": rate, "record_kill": draw.choice((0.0, 0.02, 0.1)),
                         "record_freeze": draw.choice((0.0, 0.02, 0.1))},
                fates={name: draw.choice((0.0, 0.002, 0.01)) for name in ("fail", "lose", "twice", "late")},
                person=Person(typed=typed, waits=draw.choice((None, draw.uniform(20, 300))),
                              accepts=draw.random() < 0.5, interrupts=draw.choice((None, None, draw.uniform(0, 60)))))
