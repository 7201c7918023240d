"""The violations that are known, from `known.toml`: each is expected on its seeds until it is fixed."""
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("known.toml")
BROAD = "swarm"
"""The mix in which anything may show that is known in another one."""


@dataclass(frozen=True)
class Known:
    """A known violation: which rule breaks in which mixes, each with the first seed that shows it, and what it is."""

    name: str
    rule: str
    history: int
    issue: int
    seeds: Mapping[str, int]


def load(path: Path = FILE) -> list[Known]:
    """All of them."""
    return [Known(**each) for each in tomllib.loads(path.read_text(encoding="utf-8")).get("known", ())]


def find(known: Iterable[Known], mix: str, rule: str) -> Known | None:
    """The known violation that explains why a rule breaks in a mix."""
    return next((each for each in known if each.rule == rule and (mix in each.seeds or mix == BROAD)), None)


def shows(known: Iterable[Known]) -> set[tuple[str, int, str]]:
    """The mix, seed and rule of each history that must show a known violation."""
    return {(mix, seed, each.rule) for each in known for mix, seed in each.seeds.items()}
