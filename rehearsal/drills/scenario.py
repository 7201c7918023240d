"""Scenarios: files that say what goes wrong, in which order, and what must come of it.

A scenario is `scenarios/NAME.toml`:

    title       in a sentence, what happens
    expected    in a sentence, what must come of it
    modes       the consistencies of the table with which it is played (both, unless said)
    gate        the consistencies with which the project's gate plays it (none, unless said)
    manual      whether it is for failoverMode=manual, and not for automatic (false, unless said)
    kills       whether the controller is killed, at each of its calls in turn (false, unless said)
    overhead    whether recovery's own overhead is held to its bound (true, unless said)
    lag         {table, receipts, ledger}: seconds that the standby's copies are behind from the beginning
    keeps       seconds for which the clients keep a resolved name whatever its TTL says
    [[do]]      what is done, one after the other: a verb (see `VERBS`) with what belongs to it
    [expect]    what must hold at the end (see `Expectation`)

A region is named by its role when the scenario begins: `active` or `standby`; `{active}` and `{standby}` stand for the
names in a command.
"""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

from rehearsal.errors import ProjectError

FOLDER = Path(__file__).parent / "scenarios"
ROLES = ("active", "standby")
MODES = ("eventual", "strong")
COPIED = ("table", "receipts", "ledger")  # the stores whose copies can lag


@dataclass(frozen=True)
class Rule:
    """What the value of a key must be, in words and as a test, and whether the key must be there."""

    words: str
    holds: Callable[[Any], bool]
    needed: bool = False


def _number(words: str, *types: type, most: float = inf) -> Rule:
    return Rule(words, lambda value: type(value) in types and 0 <= value <= most)


def _word(*words: str) -> Rule:
    return Rule(f"must be {' or '.join(words)}", words.__contains__)


_TEXT = Rule("must be a text", lambda value: isinstance(value, str))
_FLAG = Rule("must be true or false", lambda value: isinstance(value, bool))
_ROLE = _word(*ROLES)
_COUNT = _number("must be a whole number from 0", int)
_SECONDS = _number("must be a number of seconds", int, float)
_LAG = Rule(f"must have a number of seconds for each of {', '.join(COPIED)}", lambda value: (
    isinstance(value, Mapping) and {*value} == {*COPIED} and all(map(_SECONDS.holds, value.values()))))
_COMMAND = Rule("must be a text, with no braces but {active} and {standby}", lambda value: (
    isinstance(value, str) and re.fullmatch(r"([^{}]|\{active\}|\{standby\})*", value) is not None))
_OF = {"of": replace(_ROLE, needed=True)}
_SAID = {"exit": _number("must be an exit code", int, most=255), "says": _TEXT}

_MODES = Rule(f"must be some of {', '.join(MODES)}", lambda value: (
        isinstance(value, list) and bool(value) and all(each in MODES for each in value)))

# Each verb, with what its object must be, and what else belongs to it.
VERBS: Mapping[str, Mapping[str, Rule]] = {
    "pass": {"pass": _SECONDS},                        # of traffic
    "looks": {"looks": _COUNT},                        # as many looks of the controllers
    "cut": {"cut": _ROLE, "inside": _FLAG},            # a region; inside: it lives on behind the cut
    "heal": {"heal": _ROLE},                           # a region
    "lose": {"lose": _word(*COPIED, "function", "api"), **_OF},
    "fail": {"fail": _number("must be a share from 0 to 1", int, float, most=1), **_OF},
    "kill": {"kill": _ROLE},                           # the database server of a region
    "lag": {"lag": _LAG},                              # from now on, from the active to the standby
    "lag_back": {"lag_back": _LAG},                    # the same in the other direction
    "wait": {"wait": _word("moved", "told", "recovered")},
    "run": {"run": _COMMAND, **_SAID},                 # a command of recovery, until it ends
    "begin": {"begin": _COMMAND, **_SAID},             # the same, which goes on beside what follows
    "join": {"join": _TEXT},                           # wait for those
    "behind": {"behind": _COUNT},                      # as many payments, sent by clients behind the active one's cut
    "stale": {"stale": _COUNT},                        # as many, sent to the active one by who knows no better
}
EXPECT: Mapping[str, Rule] = {
    "moves": _COUNT, "active": _ROLE, "lost": _word("none", "lag"), "refused": _COUNT, "told": _TEXT,
    "errors": _SECONDS}
KEYS: Mapping[str, Rule] = {
    "title": replace(_TEXT, needed=True), "expected": replace(_TEXT, needed=True),
    "modes": _MODES, "gate": _MODES, "manual": _FLAG, "kills": _FLAG, "overhead": _FLAG, "lag": _LAG, "keeps": _SECONDS,
    "do": Rule("must be tables", lambda value: (
        isinstance(value, list) and all(isinstance(each, Mapping) for each in value)), needed=True),
    "expect": Rule("must be a table", lambda value: isinstance(value, Mapping), needed=True),
}


@dataclass(frozen=True, kw_only=True)
class ScenarioAction:
    """One thing that is done: the verb, its object, and what stands beside it."""

    verb: str
    what: Any
    beside: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        beside = (f"{key} {each}" for key, each in self.beside.items())
        return " ".join([self.verb.replace("_", " "), str(self.what), *beside])


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What must hold at the end of a scenario.

    moves: how often the right to write went to another region without anybody's command.
    active: who has it (a role of the beginning).
    lost: `none`; or `lag`: at most what was acknowledged within the shortest lag before the outage.
    refused: at least so many payments that were sent to a region without the right were refused, and with a strong
    table none was accepted.
    told: what the controller must have told people (a part of its words).
    errors: seconds within which the clients may see errors (0: not looked at).
    """

    moves: int = 0
    active: str = "active"
    lost: str = "none"
    refused: int = 0
    told: str = ""
    errors: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A scenario as its file describes it."""

    name: str
    title: str
    expected: str
    do: Sequence[ScenarioAction]
    expect: Expectation
    modes: Sequence[str] = MODES
    gate: Sequence[str] = ()
    manual: bool = False
    kills: bool = False
    overhead: bool = True
    lag: Mapping[str, float] = field(default_factory=dict)
    keeps: float = 0.0

    @classmethod
    def load(cls, path: Path) -> "Scenario":
        """Read a scenario's file. Raises ProjectError, which names the file and what is wrong in it, in one line."""
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8"))
            _check(given, KEYS)
            _check(given["expect"], EXPECT, "expect.")
            deeds = [_deed(each, f"do[{number}]") for number, each in enumerate(given["do"], 1)]
        except (OSError, ValueError) as error:
            raise ProjectError(f"{path.name}: {' '.join(str(error).split())}") from None
        return cls(name=path.stem, **{**given, "do": deeds, "expect": Expectation(**given["expect"])})


def chosen(words: str, *, strong: bool, manual: bool = False, folder: Path = FOLDER) -> list[Scenario]:
    """The scenarios that `all`, `gate`, `none` or names with commas between mean. Raises ProjectError."""
    mode = "strong" if strong else "eventual"
    known = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    if words in ("all", "gate"):
        fitting = [each for each in map(Scenario.load, known.values()) if mode in each.modes and each.manual is manual]
        return [each for each in fitting if mode in each.gate or words == "all"]
    found = []
    for name in [] if words == "none" else words.split(","):
        if name not in known:
            raise ProjectError(f"--drills {name}: must be all, gate, none or some of {', '.join(known)}")
        found.append(Scenario.load(known[name]))
        if mode not in found[-1].modes:
            raise ProjectError(f"--drills {name}: is not for tableConsistency={mode}")
        if found[-1].manual is not manual:
            raise ProjectError(f"--drills {name}: needs failoverMode={'automatic' if manual else 'manual'}")
    return found


def _deed(given: Mapping[str, Any], where: str) -> ScenarioAction:
    verb = next((key for key in given if key in VERBS), "")
    if not verb:
        raise ValueError(f"{where} = {given}: must have one of {', '.join(VERBS)}")
    _check(given, VERBS[verb], f"{where}.")
    return ScenarioAction(verb=verb, what=given[verb], beside={key: each for key, each in given.items() if key != verb})


def _check(given: Mapping[str, Any], rules: Mapping[str, Rule], where: str = "") -> None:
    """Raise ValueError unless each key is known, each value keeps to its rule, and nothing lacks."""
    for key, value in given.items():
        if key not in rules:
            raise ValueError(f"{where}{key} = {value!r}: does not belong there, but {', '.join(rules)} does")
        if not rules[key].holds(value):
            raise ValueError(f"{where}{key} = {value!r}: {rules[key].words}")
    for key, rule in rules.items():
        if rule.needed and key not in given:
            raise ValueError(f"{where}{key}: is missing")
