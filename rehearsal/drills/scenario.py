"""Scenarios: files that say what goes wrong, in which order, and what must result.

`scenarios/drills/NAME.toml` is a drill of recovery, in which clients pay all the while; `scenarios/outages/NAME.toml`
is an outage, which is a list of checks. The keys of a file are the fields of `Scenario`, and the keys of an action
are the parameters of its function in `rehearsal.drills.actions`. A region is named by its role when the scenario
begins, `active` or `standby`; `{active}` and `{standby}` stand for the names in commands and in names of checks.
"""

import random
import tomllib
from collections.abc import Iterator, Mapping
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, InstanceOf, ValidationError

from contract import Consistency
from rehearsal.drills.actions import ScenarioAction, parse
from rehearsal.drills.actions.faults import StoreLags
from rehearsal.drills.actions.registry import Count, ScenarioModel, Seconds, explain
from rehearsal.drills.context import Role
from rehearsal.errors import ProjectError

FOLDER = Path(__file__).parent / "scenarios"
Group = Literal["outages", "drills"]
WORDS: Mapping[Group, tuple[str, ...]] = {"outages": ("all", "none"), "drills": ("all", "gate", "none")}
"""The words that the command line takes instead of names."""

Actions = list[Annotated[InstanceOf[ScenarioAction], BeforeValidator(parse)]]
Consistencies = Annotated[list[Annotated[Consistency, Field(strict=False)]], Field(min_length=1)]


class ScenarioCheck(ScenarioModel):
    """Actions that are one check: it fails with the first of them that does, and the next check follows."""

    name: str
    do: Actions


class Expectation(ScenarioModel):
    """What must hold at the end of a drill.

    moves: how often a controller moves everything to the other region by itself; to align moves nothing.
    active: which region leads.
    lost: `none` may be lost; or by `lag` what was acknowledged within the shortest lag before the outage.
    refused: how many payments, at least, the region refuses that no longer leads; a strong table accepts none there.
    notified: a part of what people must be notified of.
    errors: seconds within which the clients may see errors (0: not checked).
    """

    moves: Count = 0
    active: Role = "active"
    lost: Literal["none", "lag"] = "none"
    refused: Count = 0
    notified: str = ""
    errors: Seconds = 0.0


class Scenario(ScenarioModel):
    """A scenario as its file describes it.

    title, expected: what happens and what must result, in a sentence each.
    modes: the consistencies of the table for which it is meant. gate: those with which the project's gate runs it.
    only_by_name: whether `all` leaves it out. manual: whether it is for failoverMode=manual, instead of automatic.
    kills: whether the controller is killed, at each of its calls in turn.
    overhead: whether recovery's own overhead is checked. lag: how far the standby's copies are behind at the beginning.
    rate: requests a second of all clients together.
    keeps: seconds for which the clients keep a resolved name whatever its TTL says.
    do: actions, one after the other. checks: those of an outage. expect: what must hold at the end of a drill.
    """

    name: str
    title: str
    expected: str
    modes: Consistencies = Field(default_factory=lambda: [*Consistency])
    gate: Consistencies | None = None
    only_by_name: bool = False
    manual: bool = False
    kills: bool = False
    overhead: bool = True
    lag: StoreLags = StoreLags()
    rate: Annotated[float, Field(gt=0)] = 20.0
    keeps: Seconds = 0.0
    do: Actions = Field(default_factory=list)
    checks: list[ScenarioCheck] = Field(default_factory=list)
    expect: Expectation = Expectation()


class Series(ScenarioModel):
    """Checks that are repeated with other figures: `runs` of them, from the beginning of `cycle` again and again.

    draw: for each figure, the range from which each run draws one; `$NAME` stands for it in the actions of a run. The
    `seed` makes them the same ones each time. The runs stand between the first of the scenario's checks and the last.
    """

    runs: Annotated[int, Field(ge=1)]
    seed: int
    draw: dict[str, Annotated[list[float], Field(min_length=2, max_length=2)]]
    cycle: Annotated[list[dict[str, Any]], Field(min_length=1)]

    def checks(self) -> Iterator[dict[str, Any]]:
        """The runs, as a file would give them."""
        draw = random.Random(self.seed)  # noqa: S311  # figures of a scenario, not secrets
        for number, given in enumerate(islice(cycle(self.cycle), self.runs), 1):
            figures = {f"${name}": draw.uniform(*bounds) for name, bounds in self.draw.items()}
            yield {"name": f"run {number}, {given.get('name')}", "do": _filled(given.get("do"), figures)}


def _filled(given: Any, figures: Mapping[str, float]) -> Any:
    """What a file gives, with the figures in place of their names."""
    if isinstance(given, list):
        return [_filled(each, figures) for each in given]
    if isinstance(given, dict):
        return {key: _filled(each, figures) for key, each in given.items()}
    return figures.get(given, given) if isinstance(given, str) else given


def load(path: Path) -> Scenario:
    """Read a scenario's file. Raises ProjectError, which names the file and what is wrong in it, in one line."""
    try:
        given = _read(path)
        if "name" in given:
            raise ValueError(f"name = {given['name']!r}: is not a key that belongs there")
        return Scenario.model_validate({**given, "name": path.stem})
    except ValidationError as error:
        raise ProjectError(f"{path.name}: {explain(error)}") from None
    except (OSError, ValueError) as error:
        raise ProjectError(f"{path.name}: {' '.join(str(error).split())}") from None


def _read(path: Path) -> dict[str, Any]:
    """A file's content, merged over the file that it is `like`, and with its series expanded."""
    given = tomllib.loads(path.read_text(encoding="utf-8"))
    if "like" in given:
        other = tomllib.loads(path.with_name(f"{given.pop('like')}.toml").read_text(encoding="utf-8"))
        series = {**other.get("series", {}), **given.get("series", {})}
        given = {**other, **given, "series": series}
    if "series" in given:
        try:
            runs = Series.model_validate(given.pop("series")).checks()
        except ValidationError as error:
            raise ValueError(f"series.{explain(error)}") from None
        checks = given.get("checks", [])
        given["checks"] = [*checks[:1], *runs, *checks[1:]]
    return given


def choose(group: Group, words: str, *, consistency: Consistency, manual: bool | None = None,
           fitting: bool = False, folder: Path = FOLDER) -> list[Scenario]:
    """The scenarios of a group that `all`, `gate` (of drills), `none` or names with commas between mean.

    manual: the failover mode for which they must be meant (None: either). fitting: those that are named, and not meant
    for this consistency and this mode, are left out, not refused. Raises ProjectError.
    """
    known = {path.stem: path for path in sorted((folder / group).glob("*.toml"))}
    if words == "none":
        return []
    if words in WORDS[group]:
        meant = [each for each in map(load, known.values())
                 if consistency in each.modes and manual in (None, each.manual)]
        return [each for each in meant
                if (consistency in (each.gate or ()) if words == "gate" else not each.only_by_name)]
    found = []
    for name in words.split(","):
        if name not in known:
            raise ProjectError(f"--{group} {name}: must be {', '.join(WORDS[group])} or some of {', '.join(known)}")
        scenario = load(known[name])
        needs = "" if consistency in scenario.modes else f"tableConsistency={scenario.modes[0]}"
        if manual not in (None, scenario.manual):
            needs = f"failoverMode={'automatic' if manual else 'manual'}"
        if needs and not fitting:
            raise ProjectError(f"--{group} {name}: needs {needs}")
        if not needs:
            found.append(scenario)
    return found
