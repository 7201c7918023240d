"""Mutants: each breaks one rule of the recovery by a small change of the product, and a history must show it.

A mutant is played from the seed that `mutants.toml` names; it is found if that breaks what the product as it is keeps.
"""
import pkgutil
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
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
    14: "A run that has not fenced has decided nothing",
    15: "Evidence has an age, and a lag is an upper bound",
    16: "A token goes with every irreversible act",
    17: "A failover always takes a new epoch",
    18: "Ready is who has just written",
    19: "Throttled is not dead",
    20: "Two views",
    21: "Repair is continuous, bounded and outside the lock",
    22: "Kept means readable and settled",
    23: "No clock is trusted that may stand still or disagree",
    24: "Ask for permission before fencing",
    25: "Two releases live side by side",
    26: "What a driver leaves half done does not stay",
    27: "Done is proved, not remembered",
    28: "A planned move never disarms the survivor",
}


@dataclass(frozen=True)
class Mutant:
    """A mutant by its name: in the source of the function `where` (`module:Class.method`), `old` becomes `new`.

    rule: the one that it breaks. mix: the one that is directed at it.
    """

    name: str
    rule: int
    mix: str
    where: str
    old: str
    new: str

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Play the product with the change. Raises ValueError if the source has not exactly one `old`."""
        function = _function(pkgutil.resolve_name(self.where))
        source = dedent(getsource(function))
        if source.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.where} has {source.count(self.old)} times {self.old!r}, not once")
        kept, function.__code__ = function.__code__, _compiled(function, source.replace(self.old, self.new))
        try:
            yield
        finally:
            function.__code__ = kept

    def breaks(self, seed: int) -> list[str]:
        """The rules that the mutant breaks in the history of a seed, and the product as it is does not."""
        plan = draw(seed, self.mix)
        with self.alive():
            found = dict.fromkeys(each.rule for each in play(seed, plan).violations)
        sound = {each.rule for each in play(seed, plan).violations} if found else set()
        return [rule for rule in found if rule not in sound]


def _function(found: Any) -> FunctionType:
    """The function behind a method, a property or a decorated function."""
    function = unwrap(getattr(found, "fget", getattr(found, "__func__", found)))
    if not isinstance(function, FunctionType):
        raise TypeError(function)
    return function


def _compiled(function: FunctionType, source: str) -> CodeType:
    module = compile(source, function.__code__.co_filename, "exec")
    return next(each for each in module.co_consts if isinstance(each, CodeType) and each.co_name == function.__name__)


MUTANTS: tuple[Mutant, ...] = (
    Mutant("a lease has no end", 23, "late-writes", "payments.leadership:Lease.epoch",
           "known[1].seconds() < LEASE", "True"),
)


def load(path: Path = FILE) -> dict[str, int]:
    """The seeds by mutant."""
    return dict(tomllib.loads(path.read_text(encoding="utf-8")))


def save(seeds: Mapping[str, int], path: Path = FILE) -> None:
    """Write the file."""
    path.write_text(HEAD + "".join(f'"{name}" = {seed}\n' for name, seed in seeds.items()), encoding="utf-8")


def search(name: str) -> int:
    """The first seed that finds a mutant, 0 if none of the first MOST does."""
    mutant = by_name(name)
    return next((seed for seed in range(1, MOST + 1) if mutant.breaks(seed)), 0)


def proof(job: tuple[str, int]) -> list[str]:
    """The rules that a mutant breaks in the history of its seed."""
    return by_name(job[0]).breaks(job[1])


def by_name(name: str) -> Mutant:
    """A mutant. Raises KeyError."""
    return {each.name: each for each in MUTANTS}[name]


def searched(pool: Executor) -> Iterator[tuple[str, int]]:
    """Every mutant with the first seed that finds it, as each is found; 0: none does."""
    names = [each.name for each in MUTANTS]
    return zip(names, pool.map(search, names), strict=True)


def prove(seeds: Mapping[str, int], pool: Executor) -> Iterator[tuple[str, bool]]:
    """A line for each mutant, and for each rule without one, with whether it is in order."""
    jobs = [(each.name, seeds.get(each.name, 0)) for each in MUTANTS]
    for mutant, (_, seed), broken in zip(MUTANTS, jobs, pool.map(proof, jobs), strict=True):
        what = f"rule {mutant.rule}: {mutant.name}: {mutant.mix}, seed {seed}"
        yield f"{what}: {', '.join(broken) or 'NOT FOUND'}", bool(broken)
    for rule in without_mutant(MUTANTS):
        yield f"rule {rule}: {RULES[rule]}: has no mutant", False


def without_mutant(mutants: Iterable[Mutant]) -> list[int]:
    """The rules that no mutant breaks."""
    return sorted(RULES.keys() - {each.rule for each in mutants})
