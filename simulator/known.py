"""The violations that are known, from `known.toml`: each is expected on its seeds until it is fixed."""
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("known.toml")


@dataclass(frozen=True)
class Known:
    """A known violation: which rule breaks in which mixes, each with the first seed that shows it, and what it is.

    Seeds begin with 1, so a seed is also the number of histories of its mix that it took. `history` is its number in
    issue 10, 0 if it is not among the eighteen; `issue` is the one that fixes it.
    """

    name: str
    rule: str
    history: int
    issue: int
    seeds: Mapping[str, int]


def load(path: Path = FILE) -> list[Known]:
    """All of them."""
    return [Known(**each) for each in tomllib.loads(path.read_text(encoding="utf-8"))["known"]]


def expected(known: Iterable[Known]) -> set[tuple[str, str]]:
    """The mixes and rules of known violations."""
    return {(mix, each.rule) for each in known for mix in each.seeds}


def shows(known: Iterable[Known]) -> set[tuple[str, int, str]]:
    """The mix, seed and rule of each history that must show a known violation."""
    return {(mix, seed, each.rule) for each in known for mix, seed in each.seeds.items()}
