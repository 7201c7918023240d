"""Mixes: what a seed draws. Each is directed at one kind of history; `swarm` draws a subset of everything.

A mix gives the world's options, the faults with their moments, the strikes, what the person does, and which faults stay
for ever in the second phase (those without an end).
"""
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from simulator.faults import EVER, REFUSALS, SERVICES, TimedFault
from simulator.network import OUTSIDE
from simulator.world import REGIONS, Options

EAST, WEST = REGIONS
CONNECTION_CUTS = "cut_connection", "cut_connection", "cut-one-way"
WARM = 70.0  # seconds before anything goes wrong
TO_WEST, LOSE = f"failover --to {WEST}", f"failover --to {WEST} --accept-data-loss"
SWITCH, SWITCH_BACK = f"switchover --to {WEST}", f"switchover --to {EAST}"


@dataclass(frozen=True)
class Person:
    """What a simulated person does: commands at their moments, and how they answer a notification.

    typed: (seconds, words). waits: seconds from a notification until they type what it says, None if they never do.
    accepts: whether they then accept the loss of data. interrupts: seconds until they break a command off, the one
    with the number `interrupted`.
    """

    typed: Sequence[tuple[float, str]] = ()
    waits: float | None = 30.0
    accepts: bool = False
    interrupts: float | None = None
    interrupted: int = 1


@dataclass(frozen=True, kw_only=True)
class HistoryPlan:
    """A history as it was drawn."""

    options: Options
    mix: str = ""
    faults: Sequence[TimedFault] = ()
    person: Person = Person()
    safety: float = 500.0
    """Seconds of the first phase, with faults that come and go."""
    liveness: float = 480.0
    """Seconds of the second phase at most, in which only faults without an end stay: the declared time of a recovery
    (900 s, of which Aurora may take 480 s; here it takes 40 s), and a little to look at it."""
    strikes: dict[str, float] = field(default_factory=dict)
    fates: dict[str, float] = field(default_factory=dict)
    audited: float = 0.0
    """When a drill counts what is lost; 0: never."""

    def __str__(self) -> str:
        rates = ", ".join(f"{name} {rate:g}" for name, rate in {**self.strikes, **self.fates}.items() if rate)
        usual = Options()
        options = ", ".join(f"{name} {value}" for name, value in vars(self.options).items()
                            if value != getattr(usual, name))
        person = "" if self.person.interrupts is None else (
            f"  command {self.person.interrupted} interrupted after {self.person.interrupts:.1f} s")
        return "\n".join(filter(None, [
            f"mix {self.mix}: {options or 'as usual'}", *(f"  fault: {each}" for each in self.faults),
            rates and f"  strikes: {rates}", *(f"  typed at {at:.0f} s: {words}" for at, words in self.person.typed),
            person, f"  heals at {self.safety:.0f} s"]))


Draw = Callable[[Random], HistoryPlan]
MIXES: dict[str, Draw] = {}


def mix(draw: Draw) -> Draw:
    """Register a mix under its function's name."""
    MIXES[draw.__name__.strip("_").replace("_", "-")] = draw
    return draw


def _options(draw: Random, **given: Any) -> Options:
    skews = {region: draw.choice((0.0, 0.0, draw.uniform(-3, 3))) for region in REGIONS}
    return Options(**{"strong": draw.random() < 0.5, "automatic": draw.random() < 0.7, "skews": skews, **given})


@mix
def region_lost(draw: Random) -> HistoryPlan:
    """A region is lost for a while or for ever."""
    begins = WARM + draw.uniform(0, 60)
    ends = draw.choice((begins + draw.uniform(20, 300), EVER))
    options, region = _options(draw), draw.choice((EAST, EAST, WEST))
    return HistoryPlan(options=options, faults=[TimedFault("cut", region, begins, ends)],
                       person=Person(waits=draw.uniform(20, 90), accepts=draw.random() < 0.5), safety=450.0)


@mix
def driver_dies_early(draw: Random) -> HistoryPlan:
    """A run is claimed and its driver dies before it fences; the region heals; somebody resumes."""
    begins = WARM + draw.uniform(0, 30)
    died = begins + draw.uniform(25, 70)
    return HistoryPlan(options=_options(draw), safety=700.0, faults=[
        TimedFault("cut", EAST, begins, died + draw.uniform(1, 20)),
        TimedFault("controller-stopped", WEST, died, died + draw.uniform(100, 350))],
        strikes={"record_kill": draw.uniform(0.1, 0.5)},
        person=Person(typed=[(draw.uniform(450, 600), TO_WEST)]))


@mix
def interrupted(draw: Random) -> HistoryPlan:
    """A person breaks a command off at any moment, and nobody types anything for long."""
    at = WARM + draw.uniform(0, 30)
    typed = [(at, draw.choice((SWITCH, LOSE)))]
    if draw.random() < 0.3:
        typed.append((at + draw.uniform(250, 350), TO_WEST))
    return HistoryPlan(options=_options(draw), safety=450.0, person=Person(
        typed=typed, interrupts=draw.choice((draw.uniform(0.0, 3.0), draw.uniform(1.0, 1.6)))))


@mix
def stall_then_loss(draw: Random) -> HistoryPlan:
    """Copies stall; the region is lost some time later."""
    later = WARM + draw.uniform(5, 600)
    stalled = draw.sample(("lag-table", "lag-receipts", "lag-ledger"), draw.randint(1, 3))
    return HistoryPlan(options=_options(draw, strong=False, automatic=True), safety=later + 150, faults=[
        *(TimedFault(name, EAST, WARM, later + 100) for name in stalled),
        TimedFault("cut", EAST, later, later + draw.uniform(80, 140))])


@mix
def slow_copies(draw: Random) -> HistoryPlan:
    """All copies lag by about the recovery point objective when the region is lost."""
    later = WARM + draw.uniform(60, 160)
    lag = draw.uniform(40, 75)
    lags = dict.fromkeys(("table_lag", "receipts_lag", "ledger_lag"), (lag * 0.9, lag * 1.1))
    return HistoryPlan(options=_options(draw, strong=False, automatic=True, clients=3, pay_every=3.0, **lags),
                safety=later + 150, faults=[TimedFault("cut", EAST, later, later + draw.uniform(80, 140))])


@mix
def frozen_driver(draw: Random) -> HistoryPlan:
    """A driver is frozen in the middle, others finish, the traffic goes back, and it wakes up."""
    at = WARM + draw.uniform(0, 30)
    begin = draw.choice((SWITCH, LOSE, LOSE))
    person = Person(typed=[(at, begin), (at + draw.uniform(10, 60), begin), (at + 130, "failback"),
                           (at + 260, "failback")])
    if draw.random() < 0.7:
        # Only the first driver freezes: from about its claim to about its promotion.
        return HistoryPlan(options=_options(draw), safety=at + 450, person=person,
                           faults=[TimedFault("freeze", WEST, at + draw.uniform(1.2, 2.8))])
    rate = draw.uniform(0.05, 0.3)
    return HistoryPlan(options=_options(draw), safety=650.0, person=person,
                       strikes={"record_freeze": rate, "freeze": rate / 20, "longest": 400.0})


@mix
def promotion_unanswered(draw: Random) -> HistoryPlan:
    """RDS does not answer the promotion, its driver is frozen meanwhile, others finish, and the traffic goes back."""
    at = WARM + draw.uniform(0, 30)
    hangs, frozen = at + draw.uniform(1.2, 2.8), at + draw.uniform(3.0, 9.0)
    person = Person(typed=[(at, LOSE), (at + draw.uniform(10, 60), LOSE),
                           *((at + later, "failback") for later in (130, 200))])
    return HistoryPlan(options=_options(draw), safety=at + 450, person=person, faults=[
        TimedFault("lose-rds-hang", WEST, hangs, frozen + 1.0), TimedFault("freeze", WEST, frozen)])


@mix
def cannot_write(draw: Random) -> HistoryPlan:
    """The leading region can read but not write."""
    begins = WARM + draw.uniform(0, 60)
    name = draw.choice(("receipts-denied", "no-quorum", "lose-s3-error", "lose-postgres-error"))
    return HistoryPlan(options=_options(draw, strong=name == "no-quorum" or draw.random() < 0.5), safety=begins + 60,
                faults=[TimedFault(name, EAST, begins, EVER)], person=Person(waits=draw.uniform(20, 90), accepts=True))


@mix
def late_copies(draw: Random) -> HistoryPlan:
    """Copies of one store are much later than of the others when the region is lost; a drill counts what is lost."""
    slow = draw.choice(("table_lag", "receipts_lag", "ledger_lag"))
    begins = WARM + draw.uniform(0, 60)
    ends = begins + draw.uniform(150, 250)
    lags: dict[str, Any] = {"ledger_lag": (3.0, 8.0), "receipts_lag": (3.0, 12.0), "table_lag": (0.05, 3.0),
                            slow: (5.0, draw.uniform(10, 40))}
    fault = TimedFault(draw.choice(("cut", "lose-api")), EAST, begins, draw.choice((ends, EVER)))
    return HistoryPlan(options=_options(draw, strong=False, automatic=True, pay_every=1.0, clients=3, **lags),
                safety=ends + 60, audited=ends - 40, faults=[fault],
                person=Person(typed=[(begins + 40, LOSE)]))


@mix
def late_receipts(draw: Random) -> HistoryPlan:
    """The table's copies stall for ever, receipts are late, and the API is lost: what arrives after the repair."""
    begins = WARM + draw.uniform(30, 90)
    return HistoryPlan(options=_options(draw, strong=False, pay_every=1.5, receipts_lag=(20.0, draw.uniform(60, 150))),
                safety=begins + 100, faults=[
                    TimedFault("lag-table", EAST, begins - 60, EVER), TimedFault("lose-api", EAST, begins, EVER),
                    TimedFault("lag-ledger", EAST, begins - 60, begins + 99)],
                person=Person(typed=[(begins + 35, LOSE)]))


@mix
def heals(draw: Random) -> HistoryPlan:
    """The connection between the regions is cut, one takes over, clients go to either, and the connection heals."""
    begins = WARM + draw.uniform(0, 60)
    ends = begins + draw.uniform(80, 200)
    return HistoryPlan(options=_options(draw, strong=False, pay_every=1.5, clients=3, reuse=draw.choice((0.0, 0.3))),
                safety=ends + 30, faults=[TimedFault("cut_connection", EAST, begins, ends)],
                person=Person(typed=[(begins + draw.uniform(10, 40), LOSE)]))


@mix
def late_writes(draw: Random) -> HistoryPlan:
    """Calls are held back, done twice or not answered, while the leadership moves there and back."""
    at = WARM + draw.uniform(0, 30)
    return HistoryPlan(options=_options(draw, pay_every=1.5, clients=3, failover_takes=(2.0, 6.0)), safety=at + 150,
                strikes={"latest": 9.0}, fates={"late": draw.uniform(0.005, 0.05), "twice": 0.01, "lose": 0.01},
                person=Person(typed=[(at, LOSE), (at + 80, "failback")]))


@mix
def frozen_payments(draw: Random) -> HistoryPlan:
    """Payments functions freeze in the middle of a payment while the leadership moves, as fast as it ever does."""
    at = WARM + draw.uniform(0, 30)
    options = _options(draw, strong=draw.random() < 0.8, pay_every=0.6, clients=4, failover_takes=(0.5, 2.0))
    return HistoryPlan(options=options,
                safety=at + 40, liveness=180.0, strikes={"payments_freeze": draw.uniform(0.02, 0.08), "longest": 9.9},
                person=Person(typed=[(at, LOSE)]))


@mix
def switchover_dies(draw: Random) -> HistoryPlan:
    """A switchover's driver dies at any step, and nobody types anything more; Aurora may complete it late."""
    at = WARM + draw.uniform(0, 30)
    takes = draw.choice(((4.0, 60.0), (60.0, 160.0)))
    return HistoryPlan(options=_options(draw, switchover_takes=takes), safety=at + 60,
                strikes={"record_kill": draw.uniform(0.03, 0.25)}, person=Person(typed=[(at, SWITCH)], waits=None))


@mix
def late_switchover(draw: Random) -> HistoryPlan:
    """A switchover's driver dies while Aurora works on it, longer than anybody waits; perhaps another moves back."""
    at, interrupts = WARM + draw.uniform(0, 30), draw.uniform(10.0, 30.0)
    back = [(at + interrupts + draw.uniform(5, 60), SWITCH_BACK)] if draw.random() < 0.5 else []
    return HistoryPlan(options=_options(draw, automatic=True, switchover_takes=(70.0, 90.0 if back else 200.0)),
                       safety=at + 60, person=Person(typed=[(at, SWITCH), *back], interrupts=interrupts, waits=None))


@mix
def flooded(draw: Random) -> HistoryPlan:
    """Strangers flood what needs no key, for a while or for ever."""
    begins = WARM + draw.uniform(0, 60)
    return HistoryPlan(options=_options(draw, automatic=True), safety=begins + 150, faults=[
        TimedFault("flooded", EAST, begins, draw.choice((begins + draw.uniform(60, 140), EVER)))])


@mix
def two_releases(draw: Random) -> HistoryPlan:
    """One region has the next release: a field more, perhaps an unknown action; a move, and then a region is lost."""
    at = WARM + draw.uniform(0, 60)
    lost = at + draw.uniform(100, 140)
    faults = [TimedFault("newer-release", draw.choice(REGIONS), at - 40),
              TimedFault("cut", EAST, lost, lost + 90)]
    if draw.random() < 0.3:
        faults.append(TimedFault("newer-action", draw.choice(REGIONS), at - 20))
    return HistoryPlan(options=_options(draw), safety=lost + 100, faults=faults,
                       person=Person(typed=[(at, SWITCH), (at + 60, SWITCH_BACK)]))


@mix
def skewed(draw: Random) -> HistoryPlan:
    """Clocks disagree, by up to ten minutes, when copies stall and a region is lost, or a controller has stopped."""
    begins = WARM + draw.uniform(80, 150)
    skews = {place: draw.choice((0.0, draw.uniform(-100, 100), draw.uniform(-600, 600)))
             for place in (*REGIONS, OUTSIDE)}
    if draw.random() < 0.5:
        # The standby's controller sees the region dead and stops; the region is back when a person asks for a failover.
        return HistoryPlan(options=_options(draw, skews=skews, automatic=False), safety=begins + 200, faults=[
            TimedFault("cut", EAST, begins, begins + draw.uniform(50, 70)),
            TimedFault("controller-stopped", WEST, begins + draw.uniform(40, 50), begins + 190)],
            person=Person(typed=[(begins + 150, TO_WEST)], waits=None))
    stalls = [TimedFault(name, EAST, begins - draw.uniform(0, 90), begins + 90)
              for name in ("lag-table", "lag-ledger", "lag-receipts")]
    return HistoryPlan(options=_options(draw, skews=skews, strong=False), safety=begins + 150, faults=[
        *stalls, TimedFault("cut", EAST, begins, begins + 120)],
        person=Person(typed=[(begins + 45, TO_WEST)], waits=60.0))


@mix
def malformed(draw: Random) -> HistoryPlan:
    """One malformed item lies in the table when a region is lost, or when the traffic moves."""
    begins = WARM + draw.uniform(0, 60)
    lost = [TimedFault("cut", EAST, begins, begins + 150)] if draw.random() < 0.7 else []
    return HistoryPlan(options=_options(draw, automatic=True), safety=begins + 200, faults=[
        TimedFault("malformed-item", EAST, WARM / 2), *lost], person=Person(typed=[] if lost else [(begins, SWITCH)]))


@mix
def may_not_promote(draw: Random) -> HistoryPlan:
    """The permission to promote is missing when a region is lost for a while, or is granted while its API is down."""
    begins = WARM + draw.uniform(0, 60)
    lasts = draw.uniform(60, 200)
    if draw.random() < 0.3:
        return HistoryPlan(options=_options(draw, automatic=True), safety=begins + lasts, faults=[
            TimedFault("promotion-denied", WEST, 0.0, begins + draw.uniform(0, 60)),
            TimedFault("lose-api", EAST, begins, EVER)], person=Person(waits=None))  # who may take over by hand
    return HistoryPlan(options=_options(draw, automatic=True), safety=begins + lasts + 30, faults=[
        TimedFault("promotion-denied", WEST, 0.0, EVER), TimedFault("cut", EAST, begins, begins + lasts)],
        person=Person(typed=[(begins + lasts + 40, "failback")]))


@mix
def way_cut_for_ever(draw: Random) -> HistoryPlan:
    """Only the connection between the regions is cut, in both directions or in one, for ever."""
    begins = WARM + draw.uniform(0, 60)
    return HistoryPlan(options=_options(draw, automatic=True), safety=begins + 100, liveness=960.0, faults=[
        TimedFault(draw.choice(CONNECTION_CUTS), draw.choice(REGIONS), begins, EVER)],
        person=Person(waits=draw.choice((None, 60.0))))


@mix
def way_cut_then_lost(draw: Random) -> HistoryPlan:
    """Only the connection between the regions is cut at first; later the region is lost, for ever or for a while."""
    begins = WARM + draw.uniform(0, 30)
    lost = begins + draw.choice((draw.uniform(1, 30), draw.uniform(30, 150)))
    ends = draw.choice((lost + draw.uniform(100, 200), EVER))
    return HistoryPlan(options=_options(draw, strong=False, automatic=True, pay_every=0.8, clients=3),
                       safety=lost + 150, faults=[
        TimedFault(draw.choice(CONNECTION_CUTS), EAST, begins, ends),
        TimedFault("cut", EAST, lost, ends)], person=Person(waits=draw.uniform(20, 90), accepts=True))


@mix
def loss_in_a_move(draw: Random) -> HistoryPlan:
    """The leading region is lost for ever while a planned move waits: for copies, or for the old region."""
    at = WARM + draw.uniform(0, 30)
    lost = at + draw.uniform(3, 60)
    if draw.random() < 0.5:
        return HistoryPlan(options=_options(draw, automatic=True, strong=False), safety=lost + 60, faults=[
            TimedFault("lag-table", EAST, at - 20, lost + 50), TimedFault("cut", EAST, lost, EVER)],
            person=Person(typed=[(at, SWITCH)]))
    # Once the other region leads, it is lost for ever, and the old one is back: a failback waits for its database.
    return HistoryPlan(options=_options(draw, automatic=True), safety=at + 420, faults=[
        TimedFault("cut", EAST, at, at + 300), TimedFault("lose-rds-error", EAST, at + 300, at + 400),
        TimedFault("cut", WEST, at + 330 + draw.uniform(0, 60), EVER)],
        person=Person(typed=[(at + 310, "failback")]))


@mix
def loss_in_a_switchover(draw: Random) -> HistoryPlan:
    """The leading region is lost for ever while Aurora switches over, with or without the driver that asked for it."""
    at = WARM + draw.uniform(0, 30)
    lost = at + draw.uniform(12, 45)
    return HistoryPlan(options=_options(draw, automatic=True, switchover_takes=(60.0, 160.0)), safety=lost + 100,
                       faults=[TimedFault("cut", EAST, lost, EVER)], person=Person(
                           typed=[(at, SWITCH)], waits=None, interrupts=draw.choice((None, lost - at - 0.5))))


@mix
def old_controller_gone(draw: Random) -> HistoryPlan:
    """A driver dies in the middle of a switchover, and the controller of the region that gave up is gone for ever."""
    at = WARM + draw.uniform(0, 30)
    return HistoryPlan(options=_options(draw), safety=at + 90, faults=[
        TimedFault("controller-stopped", EAST, at + draw.uniform(12, 30), EVER)], person=Person(
            typed=[(at, SWITCH)], waits=None, interrupts=draw.uniform(12, 28)))


@mix
def one_store_lost(draw: Random) -> HistoryPlan:
    """One store of one region refuses, hangs or throttles for ever."""
    begins = WARM + draw.uniform(0, 60)
    return HistoryPlan(options=_options(draw), safety=begins + 60, faults=[
        TimedFault(f"lose-{draw.choice(SERVICES)}-{draw.choice(REFUSALS)}", draw.choice(REGIONS), begins, EVER)],
        person=Person(waits=draw.uniform(20, 90), accepts=True))


@mix
def table_lost(draw: Random) -> HistoryPlan:
    """The leading region's table alone is lost for ever, while everything else of it answers."""
    begins = WARM + draw.uniform(0, 60)
    name = draw.choice(("lose-dynamodb-error", "lose-dynamodb-hang", "table-writes-denied"))
    return HistoryPlan(options=_options(draw, automatic=True), safety=begins + 60,
                       faults=[TimedFault(name, EAST, begins, EVER)], person=Person(waits=60.0, accepts=True))


@mix
def permission_removed(draw: Random) -> HistoryPlan:
    """One permission is missing for ever in one region, and one of them is lost for a while, or a person moves."""
    at = WARM + draw.uniform(40, 90)
    name = draw.choice(("promotion-denied", "switchover-denied", "lever-denied", "rds-reads-denied", "start-denied",
                        "table-writes-denied"))
    ends = at + draw.uniform(60, 200)
    lost = draw.random() < 0.5
    return HistoryPlan(options=_options(draw), safety=ends + 30, faults=[
        TimedFault(name, draw.choice(REGIONS), at - 60, EVER),
        *([TimedFault("cut", EAST, at, ends)] if lost else [])],
        person=Person(typed=[] if lost else [(at, draw.choice((SWITCH, TO_WEST)))], waits=60.0))


@mix
def stall_near_the_objective(draw: Random) -> HistoryPlan:
    """All copies stall for about the recovery point objective when the leading region is lost for ever."""
    lost = WARM + draw.uniform(30, 75)
    return HistoryPlan(options=_options(draw, strong=False, automatic=True, pay_every=2.0), safety=lost + 120, faults=[
        *(TimedFault(name, EAST, WARM, EVER) for name in ("lag-table", "lag-receipts", "lag-ledger")),
        TimedFault("cut", EAST, lost, EVER)])


@mix
def failback_dies(draw: Random) -> HistoryPlan:
    """After a failover a failback's driver dies at any step, and nobody types anything more."""
    lost = WARM + draw.uniform(0, 30)
    back = lost + draw.uniform(300, 400)
    return HistoryPlan(options=_options(draw, automatic=True), safety=back + 120, faults=[
        TimedFault("cut", EAST, lost, lost + draw.uniform(90, 150))],
        person=Person(typed=[(back, "failback")], waits=None, interrupts=draw.uniform(0.5, 40.0)))


@mix
def controller_gone(draw: Random) -> HistoryPlan:
    """A controller is gone for ever when a region is lost for a while: the survivor's, or the other one."""
    lost = WARM + draw.uniform(60, 90)
    return HistoryPlan(options=_options(draw), safety=lost + 250, faults=[
        TimedFault("controller-stopped", draw.choice(REGIONS), WARM, EVER),
        TimedFault("cut", draw.choice((EAST, EAST, WEST)), lost, lost + draw.uniform(60, 200))],
        person=Person(waits=draw.uniform(20, 60), accepts=draw.random() < 0.5))


@mix
def decider_frozen(draw: Random) -> HistoryPlan:
    """A controller is frozen between its decision and its fence, while the region that it gave up comes back."""
    lost = WARM + draw.uniform(0, 30)
    return HistoryPlan(options=_options(draw, automatic=True), safety=lost + 220, faults=[
        TimedFault("cut", EAST, lost, lost + draw.uniform(40, 60))],
        strikes={"record_freeze": 0.3, "longest": 60.0}, person=Person(waits=None))


@mix
def decider_frozen_canary_fails(draw: Random) -> HistoryPlan:
    """A controller is frozen between its decision and its fence, while the region whose canary failed recovers."""
    begins = WARM + draw.uniform(0, 30)
    return HistoryPlan(options=_options(draw, automatic=True), safety=begins + 260, faults=[
        TimedFault("receipts-denied", EAST, begins, begins + draw.uniform(65, 110))],
        strikes={"record_freeze": 0.3, "longest": 60.0}, person=Person(waits=None))


@mix
def cut_at_writes(draw: Random) -> HistoryPlan:
    """Just before or after a write of a run, its region is cut off for a while: from the other one, or altogether."""
    at = WARM + draw.uniform(0, 30)
    typed = [(at, draw.choice((SWITCH, SWITCH, LOSE))),
             (at + draw.uniform(100, 250), draw.choice((SWITCH_BACK, TO_WEST, "failback")))]
    return HistoryPlan(options=_options(draw), safety=at + 450, person=Person(typed=typed, waits=draw.uniform(20, 90)),
                       strikes={"record_cut": draw.uniform(0.02, 0.2), "longest": 150.0})


@mix
def drilled(draw: Random) -> HistoryPlan:
    """A person drills, breaks the drill off or is struck by an outage, and later restores what the drill has broken."""
    at = WARM + draw.uniform(0, 30)
    typed = [(at, draw.choice(("drill", "drill failover --accept-data-loss", "drill failover --accept-data-loss"))),
             (at + draw.uniform(20, 200), "status"), (at + draw.uniform(280, 380), "drill restore")]
    cut = [TimedFault("cut", draw.choice(REGIONS), at + draw.uniform(5, 150), at + draw.uniform(160, 260))]
    return HistoryPlan(options=_options(draw), safety=at + 420, faults=cut if draw.random() < 0.4 else [],
                       person=Person(typed=sorted(typed), waits=draw.choice((None, 60.0)),
                                     interrupts=draw.choice((None, draw.uniform(0, 250)))))


@mix
def aligned(draw: Random) -> HistoryPlan:
    """A move is broken off while no controller watches, and a person asks for the state, aligns, or aborts."""
    at = WARM + draw.uniform(0, 30)
    align = f"align --to {draw.choice(REGIONS)}"
    typed = [(at, draw.choice((SWITCH, LOSE))), (at + draw.uniform(30, 60), "status"),
             (at + draw.uniform(40, 80), draw.choice(("abort", align))), (at + draw.uniform(80, 160), align)]
    return HistoryPlan(options=_options(draw), safety=at + 200, faults=[
        TimedFault("controller-stopped", region, at - 1, at + 180) for region in REGIONS],
        person=Person(typed=typed, waits=None, interrupts=draw.uniform(0.2, 30.0)))


@mix
def may_not_write(draw: Random) -> HistoryPlan:
    """The standby's payments function may write no receipts when a region is lost for a while."""
    begins = WARM + draw.uniform(0, 60)
    lasts = draw.uniform(60, 200)
    return HistoryPlan(options=_options(draw, automatic=True), safety=begins + lasts + 30, faults=[
        TimedFault("receipts-denied", WEST, 0.0, EVER), TimedFault("cut", EAST, begins, begins + lasts)],
        person=Person(accepts=True))


@mix
def opposite_failovers(draw: Random) -> HistoryPlan:
    """While the regions cannot see each other, people fail over to one and then to the other (eventual table)."""
    cut = WARM + draw.uniform(0, 30)
    first = cut + draw.uniform(5, 20)
    second = first + draw.uniform(5, 70)
    return HistoryPlan(options=_options(draw, strong=False, clients=3, pay_every=2.0), safety=second + 80,
                       faults=[TimedFault("cut_connection", EAST, cut, second + draw.uniform(20, 60))],
                       person=Person(typed=[(first, LOSE), (second, f"failover --to {EAST} --accept-data-loss")]))


@mix
def paused(draw: Random) -> HistoryPlan:
    """Automatic failover is paused when the leading region is lost; the pause ends by itself, or somebody ends it."""
    at = WARM + draw.uniform(0, 30)
    lost = at + draw.uniform(5, 60)
    typed = [(at, f"pause --minutes {draw.choice((2, 3, 10))} --reason maintenance"), (lost + 70, "abort")]
    if draw.random() < 0.5:
        typed.append((lost + draw.uniform(60, 120), "resume"))
    return HistoryPlan(options=_options(draw, automatic=True), safety=lost + 250, person=Person(
        typed=sorted(typed), waits=None), faults=[TimedFault("cut", EAST, lost, lost + draw.uniform(60, 240))])


@mix
def two_people(draw: Random) -> HistoryPlan:
    """Two people type at about the same time, the same or the opposite."""
    at = WARM + draw.uniform(0, 30)
    words = (SWITCH, TO_WEST, LOSE, SWITCH_BACK, f"failover --to {EAST} --accept-data-loss", "failback")
    typed = [(at + draw.uniform(0, 8), draw.choice(words)) for _ in range(draw.randint(2, 3))]
    cut = [TimedFault("cut_connection", EAST, at - 10, at + draw.uniform(20, 90))] if draw.random() < 0.4 else []
    return HistoryPlan(options=_options(draw), safety=at + 120, faults=cut, person=Person(typed=sorted(typed)))


@mix
def restored(draw: Random) -> HistoryPlan:
    """The table is restored to an earlier moment after a move, or after moves there and back and there again."""
    at = WARM + draw.uniform(0, 30)
    moves = draw.choice(((SWITCH,), (LOSE,), (SWITCH, SWITCH_BACK, SWITCH)))
    typed = [(at + 110 * number, words) for number, words in enumerate(moves)]
    restored_at = typed[-1][0] + draw.uniform(100, 150)
    return HistoryPlan(options=_options(draw), safety=restored_at + 60, person=Person(typed=typed), faults=[
        TimedFault("restore-table", draw.choice(REGIONS), restored_at)])


@mix
def store_restored(draw: Random) -> HistoryPlan:
    """The receipts of a region or the ledger are restored to an earlier moment, before or after the traffic moves."""
    at = WARM + draw.uniform(40, 100)
    name = draw.choice(("restore-receipts", "restore-ledger"))
    typed = draw.choice(((), ((at - 35, SWITCH),), ((at + draw.uniform(5, 90), draw.choice((SWITCH, LOSE))),)))
    return HistoryPlan(options=_options(draw), safety=at + 150, person=Person(typed=typed), faults=[
        TimedFault(name, draw.choice(REGIONS), at)])


@mix
def checkers_disagree(draw: Random) -> HistoryPlan:
    """Many of Route 53's checkers do not reach a region, and perhaps it is lost, or cut off from the other one."""
    begins = WARM + draw.uniform(0, 30)
    ends = begins + draw.uniform(60, 240)
    name = draw.choice(("cut_connection", "cut", ""))
    more = [TimedFault(name, EAST, begins + draw.uniform(-20, 60), ends)] if name else []
    return HistoryPlan(options=_options(draw, checkers=6), safety=ends + 30, faults=[
        TimedFault("checkers-cut", draw.choice((EAST, EAST, WEST)), begins, ends), *more],
        person=Person(waits=draw.choice((None, 60.0)), accepts=draw.random() < 0.5))


@mix
def later_interrupted(draw: Random) -> HistoryPlan:
    """A person breaks off a command that came after others: the way back, or the one that goes on with the first."""
    at = WARM + draw.uniform(0, 30)
    begin = draw.choice((SWITCH, LOSE))
    typed = [(at, begin), (at + draw.choice((2.0, 100.0)), draw.choice((begin, SWITCH_BACK, "failback"))),
             (at + 200, "failback")]
    return HistoryPlan(options=_options(draw), safety=at + 420, person=Person(
        typed=typed, interrupts=draw.uniform(0.2, 12.0), interrupted=draw.choice((2, 2, 3))))


@mix
def large(draw: Random) -> HistoryPlan:
    """More payments than the repair may hold at once, when the traffic moves; receipts may be late."""
    at = WARM + draw.uniform(0, 30)
    return HistoryPlan(options=_options(draw, older=draw.randint(350, 500), limited=True, clients=1, receipts_lag=(
        0.5, draw.choice((5.0, 400.0)))), safety=at + 60, liveness=320.0,
        person=Person(typed=[(at, draw.choice((SWITCH, LOSE)))]))


@mix
def swarm(draw: Random) -> HistoryPlan:
    """A subset of everything, with small rates of pauses and kills at every call."""
    names = ["cut", "cut_connection", "cut-one-way", "lag-table", "lag-receipts", "lag-ledger", "flooded",
             "no-quorum", "lose-api", "controller-stopped", "receipts-denied", "promotion-denied", "freeze",
             "functions-killed", "clock-jumps", "witness-cut",
             *(f"lose-{service}-{how}" for service in SERVICES for how in REFUSALS)]
    faults = []
    for name in draw.sample(names, draw.randint(1, 4)):
        for _ in range(draw.randint(1, 2)):
            begins = WARM + draw.uniform(0, 400)
            faults.append(TimedFault(name, draw.choice(REGIONS), begins, begins + draw.choice((20, 60, 150, 300))))
    lasting = draw.choice(("", "", "cut", "cut_connection", "cut-one-way", "controller-stopped", "lose-dynamodb-error"))
    if lasting:
        faults.append(TimedFault(lasting, draw.choice(REGIONS), WARM + draw.uniform(0, 450), EVER))
    commands = (SWITCH, SWITCH_BACK, TO_WEST, LOSE, "failback")
    typed = sorted((WARM + draw.uniform(0, 450), draw.choice(commands)) for _ in range(draw.randint(0, 3)))
    rate, record = draw.choice((0.0, 0.0005, 0.003)), draw.choice((0.0, 0.02, 0.1))
    return HistoryPlan(options=_options(draw), faults=faults, safety=600.0, strikes={
        "kill": rate, "freeze": rate, "record_kill": record, "record_freeze": draw.choice((0.0, 0.02, 0.1))},
        fates={name: draw.choice((0.0, 0.002, 0.01)) for name in ("fail", "lose", "twice", "late")},
        person=Person(typed=typed, waits=draw.uniform(20, 120), accepts=draw.random() < 0.5,
                      interrupts=draw.choice((None, None, draw.uniform(0, 60))), interrupted=draw.randint(1, 4)))
