"""The violations that are known, from `known.toml`: each is expected on its seeds until it is fixed."""
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("known.toml")
HEAD = """\
# The violations that are known, each with the seeds that show it, by mix. Seeds begin with 1, so a seed is also the
# number of histories of its mix that it took. `history` is the number in issue 10, 0 for what was found besides;
# `issue` fixes it; `anywhere`: it may break in any mix. `python -m simulator --search` looks for other seeds where
# one shows nothing any more.
"""
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
    anywhere: bool = False


def load(path: Path = FILE) -> list[Known]:
    """All of them."""
    return [Known(**each) for each in tomllib.loads(path.read_text(encoding="utf-8")).get("known", ())]


def save(known: Iterable[Known], path: Path = FILE) -> None:
    """Write the file."""
    parts = [HEAD]
    for each in known:
        seeds = ", ".join(f"{mix} = {seed}" for mix, seed in sorted(each.seeds.items()))
        parts.append("\n".join([
            "[[known]]", f"name = {json.dumps(each.name)}", f"rule = {json.dumps(each.rule)}",
            f"history = {each.history}", f"issue = {each.issue}", *(["anywhere = true"] if each.anywhere else []),
            f"seeds = {{ {seeds} }}", ""]))
    path.write_text("\n".join(parts), encoding="utf-8")


def find(known: Iterable[Known], mix: str, rule: str) -> Known | None:
    """The known violation that explains why a rule breaks in a mix; that of the mix itself comes first."""
    those = [each for each in known if each.rule == rule]
    return next((each for each in those if mix in each.seeds),
                next((each for each in those if each.anywhere or mix == BROAD), None))


def shows(known: Iterable[Known]) -> set[tuple[str, int, str]]:
    """The mix, seed and rule of each history that must show a known violation."""
    return {(mix, seed, each.rule) for each in known for mix, seed in each.seeds.items()}
