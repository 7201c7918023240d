"""What must hold of a history: pure functions over its events and over what the world holds at its end."""
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.world import World

SLACK = 1.0  # seconds: what is on its way at a moment counts to either side of it
QUIET = 120.0  # seconds without a payment that count as nobody taking any


@dataclass(frozen=True)
class Violation:
    """A rule that a history broke: which, when (virtual seconds), and how."""

    rule: str
    at: float
    detail: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.at:.1f} s: {self.detail}"


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
def exposure_is_an_upper_bound(world: "World") -> Iterator[Violation]:
    """No failover loses more than was reported, or than the objective, unless a person accepted it."""
    for event in world.history.of("leads"):
        facts = event.facts
        if facts["action"] != "failover" or facts["accepted"] or not facts["missing"]:
            continue
        reported = facts["reported"]
        if reported is None or facts["exposure"] > reported + SLACK:
            yield Violation("exposure understated", event.at,
                            f"{facts['exposure']:.1f} s of payments were in no store of {event.who}, reported were "
                            f"{'none' if reported is None else f'{reported:.1f} s'}")


@safety
def nobody_moves_from_a_region_that_pays(world: "World") -> Iterator[Violation]:
    """No automatic failover while the other region takes payments and Route 53 sees it."""
    for event in world.history.of("leads"):
        facts = event.facts
        if facts["action"] == "failover" and str(facts["driver"]).startswith("controller") and (
                facts["other_pays"] and facts["other_seen"]):
            yield Violation("failover of a healthy region", event.at, f"by {facts['driver']}, run {facts['run']}")


@safety
def nobody_skips_the_refusals(world: "World") -> Iterator[Violation]:
    """No failover by a person, either, who accepted no loss, of a region that takes payments and that Route 53 sees."""
    for event in world.history.of("leads"):
        facts = event.facts
        if facts["action"] == "failover" and not str(facts["driver"]).startswith("controller") and (
                facts["other_pays"] and facts["other_seen"] and not facts["accepted"]):
            yield Violation("refusals skipped", event.at, f"by {facts['driver']}, run {facts['run']}")


@safety
def who_promotes_holds_the_run(world: "World") -> Iterator[Violation]:
    """Nobody asks for a promotion while somebody else, or nobody, holds the run."""
    for event in world.history.of("asked to promote"):
        if not event.facts["holds"]:
            yield Violation("promotion without the run", event.at,
                            f"{event.who} asked for a {event.facts['how']} to {event.facts['target']}; the run is "
                            f"{event.facts['holder'] or 'nobody'}'s")


@safety
def one_region_settles_under_an_epoch(world: "World") -> Iterator[Violation]:
    """Two regions never both settle payments under one epoch."""
    found: dict[int, str] = {}
    for event in world.history.of("settled"):
        first = found.setdefault(event.facts["epoch"], event.who)
        if first != event.who:
            yield Violation("two regions under one epoch", event.at, f"epoch {event.facts['epoch']}: {first} and {event.who}")
            return


@safety
def a_repeat_gets_the_first_answer(world: "World") -> Iterator[Violation]:
    """An acknowledged request that is repeated gets its first answer, and never a conflict."""
    for event in world.history.of("another answer"):
        if event.facts["id"] not in world.given_up:
            kind = "acknowledged, then 409" if event.facts["status"] == 409 else "another answer"
            yield Violation(kind, event.at, f"{event.facts['id']} in {event.facts['region']}: {event.facts['now']}")


@liveness
def somebody_takes_payments(world: "World") -> Iterator[Violation]:
    """Clients are served at the end."""
    last = max((event.at for event in world.history.of("paid")), default=0.0)
    if last < world.scheduler.now - QUIET:
        able = [region for region in world.regions if world.takes_payments(region)]
        leads = world.route53.leads_to()
        rule = "clients led astray" if able and leads not in able else "nobody takes payments"
        yield Violation(rule, last, f"able: {', '.join(able) or 'none'}; DNS leads to {leads}; leaders "
                        f"{[world.leader(region) for region in world.regions]}, writer {world.aurora.writer}, levers "
                        f"{[region for region in world.regions if world.lever(region)]}")


@liveness
def somebody_is_notified(world: "World") -> Iterator[Violation]:
    """Where clients are not served for long, a person hears of it."""
    gaps = world.history.of("paid")
    served = [0.0, *(event.at for event in gaps), world.scheduler.now]
    for earlier, later in zip(served, served[1:], strict=False):
        if later - earlier > 5 * QUIET and not any(
                earlier < event.at < later for event in world.history.of("notified")):
            yield Violation("nobody is notified", earlier, f"no payment until {later:.0f} s, and no word of it")
            return


@liveness
def no_run_is_stuck(world: "World") -> Iterator[Violation]:
    """A run has ended or somebody drives it."""
    if world.permanent:
        return
    for region in world.regions:
        run = world.run(region)
        if run and run["ended"] is None and world.leader(region)[0] == region:
            yield Violation("a run is stuck", run["began"], f"{run['action']} to {run['target']} by {run['driver']}")
            return


@liveness
def leader_and_writer_agree(world: "World") -> Iterator[Violation]:
    """The leading region has the database's writer."""
    if world.permanent:
        return
    leaders = {world.leader(region)[0] for region in world.regions}
    if leaders != {world.aurora.writer}:
        yield Violation("leader and writer differ", world.scheduler.now, f"{leaders}, writer {world.aurora.writer}")


@liveness
def what_was_acknowledged_is_kept(world: "World") -> Iterator[Violation]:
    """Every acknowledged payment can be read, settled, and is in the ledger, unless no surviving store had it."""
    able = [region for region in world.regions if world.takes_payments(region)]
    if not able:
        return
    region = able[0]
    settling = world.scheduler.now - 2 * QUIET
    for each in world.acknowledged.values():
        if each.payment_id in world.given_up or each.at > settling:
            continue
        item = world.table.item(region, each.payment_id)
        settled = item is not None and item.get("status", {}).get("S") == "SETTLED"
        stores = world.stores_with(region, each.payment_id)
        if not stores:
            yield Violation("acknowledged and lost", each.at, f"{each.payment_id}, acknowledged by {each.region}")
        elif item is None:
            yield Violation("kept and not found", each.at, f"{each.payment_id} is in {', '.join(sorted(stores))} only")
        elif not settled:
            yield Violation("acknowledged and pending", each.at, f"{each.payment_id} in {region}")
        elif stores != {"table", "ledger", "receipts"}:
            yield Violation("acknowledged and not whole", each.at,
                            f"{each.payment_id} in {region}: {', '.join(sorted(stores))}")
        else:
            continue
        return
