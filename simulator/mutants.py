"""Mutants: each breaks one rule of the recovery by a small change of the product, and a history must show it.

A mutant is played from the seed that `mutants.toml` names, and then from others, MOST at most; it is found if it breaks
what the product as it is keeps.
"""
import pkgutil
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from inspect import getsource, unwrap
from pathlib import Path
from textwrap import dedent
from types import CodeType, FunctionType
from typing import Any

from simulator.run import draw, play

FILE = Path(__file__).with_name("mutants.toml")
HEAD = """\
# The seed that finds each mutant. Seeds begin with 1, so a seed is also the number of histories that it took.
# `python -m simulator --mutants --search` looks for them again.
"""
MOST = 500
"""Histories within which a mutant must be found."""
RULES: Mapping[int, str] = {
    14: "A run that has not fenced has decided nothing (protocol.md, 4)",
    15: "Evidence has an age, and a lag is an upper bound (6, 7)",
    16: "A token goes with every irreversible act (5)",
    17: "A failover always takes a new epoch (1)",
    18: "Ready is who has just written (12)",
    19: "Throttled is not dead (8)",
    20: "Two views (3, 8)",
    21: "Repair is continuous, bounded and outside the lock (13)",
    22: "Kept means readable and settled (2)",
    23: "No clock is trusted that may stand still or disagree (2, 7)",
    24: "Ask for permission before fencing (12)",
    25: "Two releases live side by side (14)",
    26: "What a driver leaves half done does not stay (9)",
    27: "Done is proved, not remembered (10)",
    28: "A planned move never disarms the survivor (11)",
}
"""What mutants break, by the numbers in their report; in brackets the rules of docs/protocol.md that forbid it."""


@dataclass(frozen=True)
class Mutant:
    """A mutant by its name: in the source of each function `module:Class.method`, a piece becomes another one.

    rule: the one that it breaks. mix: the one that is directed at it. changes: function, piece, and what it becomes.
    """

    name: str
    rule: int
    mix: str
    changes: tuple[tuple[str, str, str], ...]

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Play the product with the changes. Raises ValueError if a source has not exactly one such piece."""
        with ExitStack() as changed:
            for where, old, new in self.changes:
                function = _function(pkgutil.resolve_name(where))
                source = dedent(getsource(function))
                if source.count(old) != 1:
                    raise ValueError(f"{self.name}: {where} has {source.count(old)} times {old!r}, not once")
                changed.callback(setattr, function, "__code__", function.__code__)
                function.__code__ = _compiled(function, source.replace(old, new))
            yield

    def breaks(self, seed: int) -> list[str]:
        """The rules that the mutant breaks in the history of a seed, and the product as it is does not."""
        plan = draw(seed, self.mix)
        with self.alive():
            found = dict.fromkeys(each.rule for each in play(seed, plan).violations)
        sound = {each.rule for each in play(seed, plan).violations} if found else set()
        return [rule for rule in found if rule not in sound]


def _function(found: Any) -> FunctionType:
    """The function behind a method, a property or a decorated function."""
    inner = (getattr(found, name) for name in ("fget", "func", "__func__") if hasattr(found, name))
    function = unwrap(next(inner, found))
    if not isinstance(function, FunctionType):
        raise TypeError(function)
    return function


def _compiled(function: FunctionType, source: str) -> CodeType:
    module = compile(source, function.__code__.co_filename, "exec")
    return next(each for each in module.co_consts if isinstance(each, CodeType) and each.co_name == function.__name__)


MUTANTS: tuple[Mutant, ...] = (
    Mutant("a run that has not fenced is resumed", 14, "driver-dies-early", (
        ("recovery.plan:resumes", "and bool(run.epoch)", ""),
        ("recovery.controller:Controller.look_once", "if still and not run.epoch:", "if False:"))),
    Mutant("a decision never grows old before its fence", 14, "decider-frozen", (
        ("recovery.runner:Hold.lead", "self.intent.since.seconds() > EVIDENCE_LASTS", "False"),)),
    Mutant("an old observation counts", 15, "skewed", (
        ("recovery.observation:Observation.is_fresh", "now - self.at <= self.interval * FRESH_LOOKS", "True"),)),
    Mutant("the smaller of two lags counts", 15, "stall-then-loss", (
        ("recovery.observation:Observation.exposure", "return max(bound, self.lag)", "return min(bound, self.lag)"),)),
    Mutant("a mark counts before it has arrived", 15, "stall-near-the-objective", (
        ("recovery.observation:observe", "if number <= arrived)", ")"),)),
    Mutant("the first failed look counts as the loss", 15, "way-cut-then-lost", (
        ("recovery.observation:Observation._stopped", "max(self.silent_since, self.unseen_since - checks)",
         "self.silent_since"),)),
    Mutant("the objective is not asked", 15, "stall-near-the-objective", (
        ("recovery.plan:_losses", "elif exposure > objective:", "elif False:"),)),
    Mutant("nothing is proved before a promotion", 16, "frozen-driver", (
        ("recovery.steps:promote", "hold.prove()", "pass"),)),
    Mutant("boto3 repeats a promotion", 16, "promotion-unanswered", (
        ("recovery.steps:promote", ", once=True", ""),)),
    Mutant("the record is written under no condition", 16, "decider-frozen", (
        ("recovery.control_table:ControlTable.write_record",
         '{"revision": {"N": str(record.revision - 1)}}', "None"),)),
    Mutant("a new epoch need not be above the ledger's", 17, "restored", (
        ("recovery.runner:Hold.fence", "max(record.epoch, intent.facts.own.ledger_epoch)", "record.epoch"),
        ("recovery.steps:raise_epoch", "found.ledger_epoch > hold.record.epoch", "False"),
        ("recovery.decision:misplaced", "facts.own.ledger_epoch > record.epoch", "False"))),
    Mutant("both regions draw from the same epochs", 17, "opposite-failovers", (
        ("recovery.record:next_epoch", " + ((seen + 1) % 2 == (0 if primary else 1))", ""),)),
    Mutant("a region that cannot write is well", 18, "cannot-write", (
        ("recovery.observation:Observation.is_unready", "self.failing_since is not None", "False"),)),
    Mutant("a throttled region is dead", 19, "flooded", (
        ("recovery.observation:PublicChecks.look", "alive=None, why=f", "alive=False, why=f"),)),
    Mutant("one view is enough", 20, "way-cut-for-ever", (
        ("recovery.observation:Observation.confirmed", "self.seen is False", "True"),
        ("recovery.plan:_losses", "elif observation.seen and", "elif False and"),
        ("recovery.steps:promote", "hold.run.evidence == Evidence.DEAD and", "False and"))),
    Mutant("detection is a look short", 23, "region-lost", (
        ("recovery.observation:Observation.is_dead", ">= self.detection", ">= self.detection - self.interval"),)),
    Mutant("ages are by the caller's own wall clock", 23, "skewed", (
        ("recovery.control_table:ControlTable._call", "parsedate_to_datetime(date).timestamp()",
         "self.runtime.clock.time()"),)),
    Mutant("a stopwatch trusts the monotonic clock", 23, "decider-frozen", (
        ("payments.clock:Stopwatch.seconds", ", self._clock.time() - wall", ""),)),
    Mutant("a missing permission does not matter", 24, "may-not-promote", (
        ("recovery.plan:unable", "in facts.observation.denied if", "in () if"),)),
    Mutant("an unknown field is an error", 25, "two-releases", (
        ("recovery.record:known", ("name: document[name] for name, types in _types(kind).items()\n            "
                                   "if name in document and isinstance(document[name], types)"), "**document"),)),
    Mutant("nobody resumes a run that has fenced", 26, "failback-dies", (
        ("recovery.controller:Controller.look_once", "self._resume(driver, record, run)", "True"),)),
    Mutant("a lever stays as it is", 26, "opposite-failovers", (
        ("recovery.controller:Controller._mend", "elif not wrong and run is None:", "elif False:"),)),
    Mutant("leader and writer stay apart", 26, "restored", (
        ("recovery.controller:Controller._mend", "if wrong and wrong", "if False and wrong"),
        ("recovery.decision:left_behind", "not facts.moving", "False"))),
    Mutant("nobody gives the leadership back", 26, "old-controller-gone", (
        ("recovery.controller:Controller._mend", "left_behind(plan, facts)", "False"),)),
    Mutant("a failover waits for Aurora's switchover", 28, "loss-in-a-switchover", (
        ("recovery.steps:promote", 'under_way.get("IsDataLossAllowed")', "True"),)),
    Mutant("a switchover under way makes a database unfit", 28, "loss-in-a-switchover", (
        ("recovery.plan:unable", "or facts.moving", ""),)),
    Mutant("an action of the next release stops a controller", 25, "two-releases", (
        ("recovery.controller:Controller._resume", "if run.action not in [*Action]:", "if False:"),)),
    Mutant("a permission that is granted in an outage does not count", 24, "may-not-promote", (
        ("recovery.controller:Controller._with_figures", "denied or (healthy and due)", "healthy and due"),)),
    Mutant("a failover waits for a planned move", 28, "loss-in-a-move", (
        ("recovery.runner:claim", "plan.action is Action.FAILOVER", "False"),
        ("recovery.controller:Controller._is_driven",
         "not (run.planned and (decision.action or not run.epoch))", "True"))),
    Mutant("a fence counts although nobody noted that it was in time", 14, "decider-frozen-canary-fails", (
        ("recovery.runner:_may_be_late", "run.evidence == Evidence.UNREADY", "False"),)),
    Mutant("the second view is not asked again before a promotion", 20, "decider-frozen", (
        ("recovery.steps:promote", "hold.run.evidence == Evidence.DEAD and", "False and"),)),
    Mutant("no canary is written", 18, "cannot-write", (
        ("payments.readiness:readiness", "service.canary if leads else", "(lambda _: None) if leads else"),)),
    Mutant("the standby writes no receipt", 18, "may-not-write", (
        ("payments.readiness:readiness", "else service.probe", "else (lambda _: None)"),)),
    Mutant("repair reads all payments at once", 21, "large", (
        ("payments.reconcile:Work._in_order", "islice(payments, BATCH)", "islice(payments, None)"),)),
    Mutant("a malformed item stops the repair", 21, "malformed", (
        ("payments.case:Case.record", "except StoreUnavailable:", "except ZeroDivisionError:"),)),
    Mutant("repair runs once for each epoch", 21, "late-receipts", (
        ("payments.reconcile:Work.run", "(begin or not progress.rest)", "begin"),)),
    Mutant("a pending item counts as kept", 22, "late-copies", (
        ("payments.case:Case._table", "return Wrong.IN_DOUBT", "return None"),
        ("payments.reconcile:_agrees", '"epoch": item.get("epoch")',
         '"epoch": item.get("epoch"), "status": item.get("status")'))),
    Mutant("a receipt that the table lacks counts as kept", 22, "late-receipts", (
        ("payments.case:Case._table", "return Wrong.LOST", "return None"),)),
    Mutant("what is pending under an older epoch is left alone", 22, "late-copies", (
        ("payments.reconcile:Work._begun", 'item.get("epoch")) == ({"S": "PENDING"}, {"N": str(self._epoch)})',
         '0) == ({"S": "PENDING"}, 0)'),)),
    Mutant("a move that was asked for counts as done", 27, "interrupted", (
        ("recovery.steps:promote", 'under_way.get("IsDataLossAllowed")):\n        return None',
         'under_way.get("IsDataLossAllowed")):\n        return "asked for"'),
        ("recovery.steps:_pay", 'found.get("statusCode") != HTTPStatus.CREATED', "False"))),
    Mutant("a writer that Aurora is moving away counts as here", 27, "late-switchover", (
        ("recovery.steps:promote", " and not (planned and under_way)", ""),)),
    Mutant("nobody looks where clients are sent", 27, "frozen-payments", (
        ("recovery.steps:verify", 'led_to not in ("", steps.target.region)', "False"),)),
    Mutant("a lease has no end", 23, "interrupted", (
        ("payments.leadership:Lease.epoch", "known[1].seconds() < LEASE", "True"),)),
)


def load(path: Path = FILE) -> dict[str, int]:
    """The seeds by mutant."""
    return dict(tomllib.loads(path.read_text(encoding="utf-8")))


def save(seeds: Mapping[str, int], path: Path = FILE) -> None:
    """Write the file."""
    path.write_text(HEAD + "".join(f'"{name}" = {seeds[name]}\n' for name in sorted(seeds)), encoding="utf-8")


def search(name: str) -> int:
    """The first seed that finds a mutant, 0 if none of the first MOST does."""
    mutant = by_name(name)
    return next((seed for seed in range(1, MOST + 1) if mutant.breaks(seed)), 0)


def proof(job: tuple[str, int]) -> tuple[int, list[str]]:
    """The seed that finds a mutant, and the rules that it breaks there: its own, or the first of MOST that does.

    After a change of the product calls come in another order, and its own seed may show nothing any more.
    """
    mutant, own = by_name(job[0]), job[1]
    return next(((seed, broken) for seed in (own, *range(1, MOST + 1)) if (broken := mutant.breaks(seed))), (own, []))


def by_name(name: str) -> Mutant:
    """A mutant. Raises KeyError."""
    return {each.name: each for each in MUTANTS}[name]


def searched(pool: Executor) -> Iterator[tuple[str, int]]:
    """Every mutant with the first seed that finds it, as each is found; 0: none does."""
    jobs = {pool.submit(search, each.name): each.name for each in MUTANTS}
    return ((jobs[done], done.result()) for done in as_completed(jobs))


def prove(seeds: Mapping[str, int], pool: Executor) -> Iterator[tuple[str, bool]]:
    """A line for each mutant, and for each rule without one, with whether it is in order."""
    jobs = [(each.name, seeds.get(each.name, 0)) for each in MUTANTS]
    for mutant, (seed, broken) in zip(MUTANTS, pool.map(proof, jobs), strict=True):
        what = f"rule {mutant.rule}: {mutant.name}: {mutant.mix}, seed {seed}"
        yield f"{what}: {', '.join(broken) or 'NOT FOUND'}", bool(broken)
    for rule in without_mutant(MUTANTS):
        yield f"rule {rule}: {RULES[rule]}: has no mutant", False


def without_mutant(mutants: Iterable[Mutant]) -> list[int]:
    """The rules that no mutant breaks."""
    return sorted(RULES.keys() - {each.rule for each in mutants})
