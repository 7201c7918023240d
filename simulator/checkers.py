"""What must hold of a history: pure functions over its events and over what the world holds at its end."""
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from contract import CANARY_PREFIX, OBSERVATION_PREFIX, Store
from payments.deadline import Timing
from payments.leadership import LEASE
from payments.payment import PAYMENT_ID
from recovery.observation import FRESH_LOOKS
from recovery.plan import Action, Evidence
from recovery.record import PLANNED
from recovery.runner import EVIDENCE_LASTS, LATE
from simulator.clients import Acknowledged
from simulator.faults import CUTS, REGION_CUTS
from simulator.history import Event
from simulator.vocabulary import Durability, FaultVerb, one_writer

if TYPE_CHECKING:
    from simulator.world import World

SLACK = 3.0  # seconds: copies lag by so much where nothing is wrong
QUIET = 120.0  # seconds without a payment that count as nobody taking any
DECLARED = 460.0  # seconds: a recovery time of 900 s, of which Aurora may take 480 s on AWS, and here 40 s
UNWATCHED = frozenset({*REGION_CUTS, "controller-stopped"})
REPAIRED = 2 * 60.0  # seconds within which a repair ends: it is started every 60 s
PENDING = {"S": "PENDING"}
SETTLING = 60.0  # seconds that copies may take before they are looked for


@dataclass(frozen=True)
class Violation:
    """A rule that a history broke: which, when (virtual seconds), and how."""

    rule: str
    at: float
    detail: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.at:.1f} s: {self.detail}"


NEVER = {
    "reopened": ("an ended run is open again", "{run}, by {who}"),
    "called": ("the lost region was called", "{operation} by {who}"),
    "crashed": ("internal error", "{who}: {why}"),
}
"""Events that no history has, by name: the rule that each breaks, and what is said of it."""
Checker = Callable[["World"], Iterator[Violation]]
SAFETY: list[Checker] = []
LIVENESS: list[Checker] = []


def safety(check: Checker) -> Checker:
    """Register a checker of the whole history."""
    SAFETY.append(check)
    return check


def liveness(check: Checker) -> Checker:
    """Register a checker of the end, when all that may heal has healed."""
    LIVENESS.append(check)
    return check


@safety
def what_never_happens(world: "World") -> Iterator[Violation]:
    """No run that has ended is open again, no failover calls the region that it leaves, and nothing ends by a bug."""
    for what, (rule, text) in NEVER.items():
        for event in world.history.of(what)[:1]:
            yield Violation(rule, event.at, text.format(who=event.who, **event.facts))


def _failovers(world: "World") -> Iterator[Event]:
    return (event for event in world.history.of("leads") if event.facts["action"] == "failover")


@safety
def exposure_is_an_upper_bound(world: "World") -> Iterator[Violation]:
    """No failover loses more than was reported, nor more than the objective, unless a person accepted it.

    Who accepts an unknown loss was told nothing that could be wrong. Nor does the rule hold where both views are wrong
    at once: a region that neither the other one nor enough of Route 53's checkers reach counts as stopped, and may have
    been paid meanwhile.
    """
    objective = world.options.recovery_point
    blind = any(event.facts["name"] == "checkers-cut" for event in world.history.of("fault"))
    for event in _failovers(world):
        facts = event.facts
        reported, lost, accepted = facts["reported"], facts["exposure"], facts["accepted"]
        both_wrong = blind and facts["dead"] is None and not (facts["seen"] or facts["reached"])
        if not facts["missing"] or both_wrong:
            continue
        if (reported is None and not accepted) or (reported is not None and lost > reported + SLACK):
            said = "none" if reported is None else f"{reported:.1f} s"
            yield Violation("exposure understated", event.at,
                            f"{lost:.0f} s of payments were in no store of {event.who}; reported were {said}")
        if lost > objective + SLACK and not accepted:
            yield Violation("more lost than the objective", event.at,
                            f"{lost:.0f} s of payments were in no store of {event.who}, the objective is {objective} s")


@safety
def nobody_moves_from_a_region_that_pays(world: "World") -> Iterator[Violation]:
    """No automatic failover of a region that takes payments and that Route 53 sees, or that only throttles.

    A person may do so, but not by continuing what another driver began. Where the connection to the region is cut, the
    other one cannot know that it throttles Route 53's checkers: both views are wrong. A driver that is frozen in the
    write of its fence fences late. If the decision is older than LATE then, nobody may promote for its run.
    """
    promoted = {event.facts["run"] for event in world.history.of("asked to promote")}
    for event in _failovers(world):
        facts = event.facts
        accepted = facts["accepted"] and not (facts["resumed"] and facts["automatic"])
        if not facts["other_pays"] or accepted:
            continue
        if facts["flooded"] and facts["reached"]:
            yield Violation("failover of a throttled region", event.at, f"by {facts['by']}, run {facts['run']}")
        elif facts["seen"]:
            if facts["resumed"]:
                yield Violation("refusals skipped", event.at, f"{facts['by']} resumed run {facts['run']}")
            elif facts["automatic"] and (facts["written_for"] <= EVIDENCE_LASTS or (
                    facts["written_for"] > LATE and facts["run"] in promoted)):
                yield Violation("failover of a healthy region", event.at, f"by {facts['by']}, run {facts['run']}")


@safety
def a_pause_holds(world: "World") -> Iterator[Violation]:
    """No controller decides on a failover while that is paused."""
    for event in _failovers(world):
        if event.facts["paused"] and event.facts["automatic"] and not event.facts["resumed"]:
            yield Violation("failover although paused", event.at, f"by {event.facts['by']}, run {event.facts['run']}")


@safety
def an_epoch_is_new(world: "World") -> Iterator[Violation]:
    """No run that has raised its epoch ends under one that its ledger has outrun."""
    for event in world.history.of("ends"):
        facts = event.facts
        if facts["outrun"] > 0:
            yield Violation("an old epoch", event.at, f"{facts['action']} to {facts['target']}: its ledger has seen an "
                            f"epoch that is {facts['outrun']} above any record's")
            return


@safety
def the_threshold_is_elapsed_time(world: "World") -> Iterator[Violation]:
    """No automatic failover of a region that was lost for less than the detection threshold.

    Where the connection to it was cut before, only Route 53's checks count: the first one fails at once. Where strikes
    cut it off again and again, it may have been back for less than a look.
    """
    if any(name.startswith("cut ") for name in world.struck):
        return
    cut = any(event.facts["name"] in CUTS for event in world.history.of("fault"))
    threshold = world.options.interval * (world.options.threshold - cut)
    for event in _failovers(world):
        dead = event.facts["dead"]
        if event.facts["automatic"] and dead is not None and dead < threshold - 1.0:
            yield Violation("decided too early", event.at, f"{dead} s after the region was lost")


@safety
def evidence_is_recent(world: "World") -> Iterator[Violation]:
    """No failover on an observation that is old by the true clock, unless a person accepted the loss.

    What counts is the moment at which its driver began to write the fence. A process that is frozen right there writes
    late: it finds that out before it promotes, and what it did is undone.
    """
    for event in _failovers(world):
        if not event.facts["accepted"] and event.facts["looked"] > FRESH_LOOKS * world.stack.look_interval + 15.0:
            yield Violation("stale evidence", event.at, f"the controller's last look was {event.facts['looked']} s ago")


@safety
def who_promotes_holds_the_run(world: "World") -> Iterator[Violation]:
    """Nobody asks for a promotion while somebody else, or nobody, holds the run, but for a proof immediately before."""
    for event in world.history.of("asked to promote"):
        if not event.facts["holds"] and not event.facts["proved"]:
            yield Violation("promotion without the run", event.at,
                            f"{event.who} asked for a {event.facts['how']} to {event.facts['target']}; the run is "
                            f"{event.facts['holder']}'s")


@safety
def the_second_view_is_asked_again(world: "World") -> Iterator[Violation]:
    """Nobody promotes because a region is dead that Route 53 has seen again for longer than evidence lasts.

    What counts is the moment at which the call began: a process that is frozen right there asks late.
    """
    for event in world.history.of("asked to promote"):
        facts = event.facts
        if facts["how"] == "failover" and facts["evidence"] == Evidence.DEAD and facts["seen"] > 2 * EVIDENCE_LASTS:
            yield Violation("promotion against the second view", event.at,
                            f"{event.who}: Route 53 has seen the other region for {facts['seen']:.0f} s")


@safety
def permission_is_asked_for_before_a_fence(world: "World") -> Iterator[Violation]:
    """Nobody fences to be refused the promotion, or each receipt, where that has been refused all the time.

    A person does not wait long for what IAM says of them, so only a controller must know that of the promotion.
    """
    always = {(event.facts["name"], event.who) for event in world.history.of("fault") if event.at == 0.0}
    for event in world.history.of("not permitted"):
        if event.facts["automatic"] and event.facts["operation"] == "FailoverGlobalCluster" and (
                "promotion-denied", event.facts["region"]) in always:
            yield Violation("fenced without permission", event.at, f"{event.who} in {event.facts['region']}")
            return
    for event in _failovers(world):
        if ("receipts-denied", event.who) in always:
            yield Violation("fenced without permission", event.at, f"{event.who} may write no receipts")
            return


@safety
def one_region_settles_under_an_epoch(world: "World") -> Iterator[Violation]:
    """Two regions never both settle payments under one epoch."""
    found: dict[int, str] = {}
    for event in world.history.of("settled"):
        first = found.setdefault(event.facts["epoch"], event.who)
        if first != event.who:
            yield Violation("two regions under one epoch", event.at,
                            f"epoch {event.facts['epoch']}: {first} and {event.who}")
            return


@safety
def a_lease_ends(world: "World") -> Iterator[Violation]:
    """Nothing is settled under an epoch that ended longer ago than a lease and a request last (strong).

    Where a process was frozen, or the network held a call back, a write that was under way may come at any time; what
    it may still change is the next rule. Nor does the rule hold of canaries once a table is restored, whose record
    names a former leader: nothing but a ledger keeps that one from writing, and a canary asks none.
    """
    if not world.options.strong or any("freeze" in name or name == "late" for name in world.struck):
        return
    restored = any(event.facts["name"] == f"{FaultVerb.RESTORE}-{Store.TABLE}" for event in world.history.of("fault"))
    ends = [(event.at + LEASE + Timing().budget, event.facts["epoch"]) for event in world.history.of("leads")]
    for event in world.history.of("settled"):
        if restored and event.facts["id"].startswith(CANARY_PREFIX):
            continue
        if any(event.at > at and event.facts["epoch"] < epoch for at, epoch in ends):
            yield Violation("a lease outlives its time", event.at,
                            f"{event.who} settles {event.facts['id']} under epoch {event.facts['epoch']}")
            return


@safety
def what_repair_has_passed_stays(world: "World") -> Iterator[Violation]:
    """No payment is settled under an older epoch once the leader's repair has gone through all of them (strong)."""
    passed = [(event.at, event.facts["epoch"]) for event in world.history.of("repaired")
              if event.facts["leads"] and world.options.strong]
    for event in world.history.of("settled"):
        if not event.facts["id"].startswith(CANARY_PREFIX) and any(
                event.at > at and event.facts["epoch"] < epoch for at, epoch in passed):
            yield Violation("settled by a fenced writer", event.at,
                            f"{event.facts['id']} by {event.who} under epoch {event.facts['epoch']}")
            return


@safety
def done_is_proved(world: "World") -> Iterator[Violation]:
    """A run that ends as done has the writer where it was to be, and clients are sent there.

    Where an answer may be lost, so may that of the name servers, and what they do not say stops no run. With an
    eventual table two opposite moves may both be done while neither region has heard of the other's.
    """
    for event in world.history.of("ends"):
        facts = event.facts
        heard = not (world.struck.keys() & {"lose", "late", "fail"} or facts["split"])
        if facts["why"] == "done" and heard and {facts["writer"], facts["led_to"]} != {facts["target"]}:
            yield Violation("done and not done", event.at, f"{facts['action']} to {facts['target']}: writer "
                            f"{facts['writer']}, clients are sent to {facts['led_to']}")
            return


@safety
def done_is_not_undone(world: "World") -> Iterator[Violation]:
    """No planned move begins and is done while Aurora is switching over to the region that it leaves."""
    began = {event.facts["run"]: event.at for event in reversed(world.history.of("runs"))}
    moves = [event for event in world.history.of("promoted") if event.facts["how"] == Action.SWITCHOVER]
    for event in world.history.of("ends"):
        facts = event.facts
        if facts["why"] == "done" and facts["action"] in PLANNED and any(
                move.who != facts["target"] and move.facts["asked"] < began[facts["run"]] < event.at < move.at
                for move in moves):
            yield Violation("done and undone", event.at, f"{facts['action']} to {facts['target']}: an older switchover "
                            "moves the writer away")
            return


@safety
def a_repeat_gets_the_first_answer(world: "World") -> Iterator[Violation]:
    """An acknowledged request that is repeated gets its first answer, and a request under its own id no conflict."""
    for event in world.history.of("another answer"):
        if event.facts["id"] not in world.given_up | world.contested | world.forked:
            rule = "acknowledged, then 409" if event.facts["status"] == HTTPStatus.CONFLICT else "another answer"
            yield Violation(rule, event.at, f"{event.facts['id']} in {event.facts['region']}: {event.facts['now']}")
            return
    for event in world.history.of("refused its own"):
        if event.facts["id"] not in world.contested:
            yield Violation("conflict with itself", event.at, f"{event.facts['id']} in {event.facts['region']}")
            return


@safety
def the_drill_counts_what_is_kept(world: "World") -> Iterator[Violation]:
    """A drill counts no payment as kept that no store of the region has."""
    for event in world.history.of("audited"):
        if event.facts["counted"] < event.facts["lost"]:
            yield Violation("lost and counted as kept", event.at,
                            f"the drill counts {event.facts['counted']} of {event.facts['lost']} payments as lost")


@liveness
def somebody_takes_payments(world: "World") -> Iterator[Violation]:
    """Clients are served at the end, unless the only database that is left cannot be promoted."""
    last = max(world.served.values())
    if last < world.scheduler.now - QUIET and not world.stranded():
        able = [region for region in world.regions if world.takes_payments(region)]
        leads = world.route53.leads_to()
        rule = "clients led astray" if able and leads not in able else "nobody takes payments"
        yield Violation(rule, last, f"able: {', '.join(able) or 'none'}; DNS leads to {leads}; leaders "
                        f"{[world.leader(region) for region in world.regions]}, writer {world.aurora.writer}, levers "
                        f"{[region for region in world.regions if world.lever(region)]}")


@liveness
def nobody_stops_again(world: "World") -> Iterator[Violation]:
    """Once the declared time is over, payments do not stop again."""
    times = [event.at for event in world.history.of("paid") if event.at > world.healed + DECLARED]
    for earlier, later in pairwise(times):
        if later - earlier > QUIET:
            yield Violation("payments stop again", earlier, f"no payment until {later:.0f} s")
            return


@liveness
def somebody_is_notified(world: "World") -> Iterator[Violation]:
    """Where nobody takes payments for long although both regions answer and are watched, a controller says so."""
    if world.struck or any(event.facts["name"] in UNWATCHED for event in world.history.of("fault")):
        return
    times = sorted({0.0, *(event.at for event in world.history.of("paid")), world.scheduler.now})
    for earlier, later in pairwise(times):
        if later - earlier > 2 * QUIET and not any(
                earlier - QUIET < event.at < later for event in world.history.of("notified")):
            yield Violation("nobody is notified", earlier, f"no payment until {later:.0f} s, and no word of it")
            return


@liveness
def no_run_is_stuck(world: "World") -> Iterator[Violation]:
    """A run has ended."""
    if world.permanent:
        return
    for region in world.regions:
        run = world.run(region)
        begun = [event.at for event in world.history.of("runs") if run and event.facts["run"] == run.id]
        if run and run.ended is None and begun and world.scheduler.now - begun[0] > 2 * QUIET:
            yield Violation("a run is left open", begun[0], f"{run.what} by {run.driver}")
            return


def _settled(world: "World") -> float:
    """When what a former leader wrote has arrived: it writes until a copy tells it that another region leads."""
    led = max([world.healed, *(event.at for event in world.history.of("leads"))])
    return led + max(SETTLING, 2 * world.options.table_lag[1])


def is_repaired(world: "World") -> bool:
    """Whether the leader has gone through all payments since all has healed and arrived; true if faults stay."""
    return bool(world.permanent) or any(event.facts["leads"] and event.facts["began"] > _settled(world)
                                        for event in world.history.of("repaired"))


@liveness
def repair_ends(world: "World") -> Iterator[Violation]:
    """A region that leads for long has looked at all payments, and restored what it could."""
    settled = _settled(world)
    if world.scheduler.now - settled >= REPAIRED and not is_repaired(world):
        yield Violation("a repair does not end", settled, "none has since; leaders "
                        f"{world.leader(world.regions[0])} and {world.leader(world.regions[1])}")


@liveness
def nothing_stays_in_doubt(world: "World") -> Iterator[Violation]:
    """Once the leader's repair has gone through all payments, none of an older epoch is pending."""
    passed = {event.who for event in world.history.of("repaired") if event.facts["leads"]
              and event.facts["began"] > _settled(world)}
    for region in sorted(passed):
        for key, (item, _) in world.table.views[region].items():
            older = item.get("status") == PENDING and int(item["epoch"]["N"]) < world.leader(region)[1]
            if older and PAYMENT_ID.fullmatch(key):
                yield Violation("a payment stays in doubt", world.scheduler.now, f"{key} in {region}")
                return


@liveness
def leader_and_writer_agree(world: "World") -> Iterator[Violation]:
    """The leading region has the database's writer, and every region knows it."""
    leaders = {world.leader(region)[0] for region in world.regions}
    if not world.permanent and not one_writer(leaders, world.aurora.writer):
        yield Violation("leader and writer differ", world.scheduler.now, f"{leaders}, writer {world.aurora.writer}")


@liveness
def levers_are_at_rest(world: "World") -> Iterator[Violation]:
    """No lever is pulled but the standby's, while it leads."""
    primary, standby = world.regions
    if not world.permanent and (world.lever(primary) or (world.lever(standby) and world.leader(standby)[0] == primary)):
        pulled = [region for region in world.regions if world.lever(region)]
        yield Violation("a lever is left pulled", world.scheduler.now, ", ".join(pulled))


@liveness
def controllers_see(world: "World") -> Iterator[Violation]:
    """The controller of a region that lives reports, unless it is stopped."""
    for region in world.regions:
        item = world.table.views[region].get(f"{OBSERVATION_PREFIX}{region}")
        if not world.permanent and item and item[1][0] < world.scheduler.now - 2 * QUIET:
            yield Violation("a controller is blind", item[1][0], f"nothing from {region} since")


def _answer(body: dict[str, Any], world: "World", payment_id: str) -> dict[str, Any]:
    return {**body, "created_at": ""} if payment_id in world.forked else body


def _went_on(world: "World", each: Acknowledged) -> bool:
    """Whether it was paid in a region that a person failed over from although it worked, and whose copies never arrive.

    With an eventual table, that region takes payments until it hears of the failover. Its own stores have them.
    """
    return not world.options.strong and any(fault.name in CUTS for fault in world.permanent) and any(
        event.who != each.region and event.at <= each.at and event.facts["accepted"] and event.facts["other_pays"]
        for event in _failovers(world))


@liveness
def what_was_acknowledged_is_kept(world: "World") -> Iterator[Violation]:
    """Every acknowledged payment is settled and in each store, unless no surviving store had it at a failover.

    Nor does it hold for what the other region took after the failover, see `_went_on`.

    One that both regions settled while they could not see each other has the creation time of one of them.
    """
    able = [region for region in world.regions if world.takes_payments(region)]
    if len(able) != 1:
        return
    region, broken = able[0], set[str]()
    for each in world.acknowledged.values():
        if each.payment_id in world.contested or each.at > world.scheduler.now - SETTLING:
            continue
        stores = world.stores_with(region, each.payment_id)
        item = world.table.item(region, each.payment_id)
        rule, kept = "", Durability.of(stores)
        if kept is Durability.LOST:
            rule = "" if each.payment_id in world.given_up or _went_on(world, each) else f"acknowledged and {kept}"
        elif item is None:
            rule = "kept and not found"
        elif kept is Durability.PENDING:
            rule = f"acknowledged and {kept}"
        elif any(_answer(found, world, each.payment_id) != _answer(each.body, world, each.payment_id)
                 for found in stores.values()):
            rule = "acknowledged and changed"
        elif kept is Durability.PARTLY and not world.permanent:
            rule = f"acknowledged and {kept}"
        if rule and rule not in broken:
            broken.add(rule)
            yield Violation(rule, each.at, f"{each.payment_id}, acknowledged by {each.region}: {region} has it in "
                            f"{', '.join(sorted(stores)) or 'no store'}")
