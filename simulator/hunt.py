"""Many histories on every core, and what came of them together."""
import gc
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field

from simulator.checkers import Violation
from simulator.known import KnownViolations, is_known
from simulator.mixes import MIXES
from simulator.run import Result, draw, play, shrink

Job = tuple[int, str]
"""A seed, and its mix (empty: the seed draws it)."""
FIXED, LONG = 1, 40  # seeds of each mix in the sets of the gate and of make prove
MENDED: frozenset[Job] = frozenset({
    (2001, "two-people"), (5, "flooded"), (12, "restored"), (22, "late-receipts"), (15, "swarm"), (11, "cannot-write"),
    (26, "heals"), (13, "opposite-failovers"), (16, "way-cut-then-lost"), (39, "way-cut-then-lost"),
    (534000647, "late-switchover"), (534000217, "swarm"), (700033, "swarm"),
    (545000118, "cut-at-writes")})
"""Histories that broke a rule before one of the two was fixed, in every fixed set."""


def workers() -> ProcessPoolExecutor:
    """A process for each core. What is there before the first history is never collected, so nobody searches it."""
    return ProcessPoolExecutor(os.cpu_count(), initializer=gc.freeze)


def fixed_set(known: KnownViolations, seeds: int) -> list[Job]:
    """The first seeds of each mix, and those that show known violations or showed one once."""
    jobs = {(seed, mix) for mix in MIXES for seed in range(1, seeds + 1)}
    return sorted(jobs | MENDED | {(seed, mix) for (mix, _), (seed, _) in known.items()})


def history(job: Job) -> Result:
    """Play a seed."""
    return play(job[0], draw(*job))


def shortest(job: tuple[int, str, str]) -> str:
    """The shortest history in which a seed of a mix still breaks a rule, as a readable trace."""
    seed, mix, rule = job
    plan = shrink(seed, draw(seed, mix), rule)
    return describe(play(seed, plan, traced=True))


def describe(result: Result) -> str:
    """A history: its seed and plan, its trace, and the rules that it broke."""
    return "\n".join([f"seed {result.seed}, {result.plan}", *result.trace,
                      *(f"VIOLATION {each}" for each in result.violations)])


@dataclass
class HuntFindings:
    """What many histories came to; `seconds` are virtual, `took` real ones."""

    histories: int = 0
    seconds: float = 0.0
    took: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    broken: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """The seeds by mix and rule."""
    examples: dict[tuple[str, str], Violation] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Count a history."""
        self.histories += 1
        self.seconds += result.seconds
        self.faults += result.faults
        self.states += result.states
        for rule in dict.fromkeys(each.rule for each in result.violations):
            key = result.plan.mix, rule
            self.broken.setdefault(key, []).append(result.seed)
            self.examples.setdefault(key, next(each for each in result.violations if each.rule == rule))

    def unknown(self, known: KnownViolations) -> list[tuple[str, str]]:
        """The mixes and rules that nobody knows of."""
        return sorted(key for key in self.broken if not is_known(known, *key))

    def gone(self, known: KnownViolations) -> list[tuple[str, str]]:
        """What is known and does not show any more on its seed."""
        return sorted(key for key, (seed, _) in known.items() if seed not in self.broken.get(key, ()))

    def lines(self, known: KnownViolations) -> Iterable[str]:
        """The report."""
        minutes = self.seconds / 60
        yield (f"{self.histories} histories, {minutes:.0f} virtual minutes in {self.took:.1f} s: "
               f"{self.histories / self.took:.1f} histories and {minutes / self.took:.1f} virtual minutes a second")
        yield "faults: " + ", ".join(f"{name} {number}" for name, number in sorted(self.faults.items()))
        yield "states: " + ", ".join(f"{name} {number}" for name, number in sorted(self.states.items()))
        for (mix, rule), seeds in sorted(self.broken.items()):
            what = "known" if is_known(known, mix, rule) else f"NEW: {self.examples[mix, rule]}"
            yield f"  {mix}: {rule}: {len(seeds)} histories, the first is seed {seeds[0]}; {what}"


def hunt(jobs: Sequence[Job], pool: Executor | None = None) -> HuntFindings:
    """Play all of them, on every core."""
    findings, began = HuntFindings(), time.monotonic()
    if pool is None:
        with workers() as own:
            return hunt(jobs, own)
    for result in pool.map(history, jobs, chunksize=max(1, min(8, len(jobs) // 50))):
        findings.add(result)
    findings.took = time.monotonic() - began
    return findings
