"""The files of scenarios: those that are shipped, and those that are refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rehearsal.drills.runner import ScenarioRunner
from rehearsal.drills.scenario import (
    COPIED,
    EXPECT,
    FOLDER,
    KEYS,
    MODES,
    VERBS,
    Expectation,
    Scenario,
    ScenarioAction,
    chosen,
)
from rehearsal.errors import ProjectError

SHIPPED = sorted(FOLDER.glob("*.toml"))
HEAD = 'title = "t"\nexpected = "e"\n'
DO, END = "[[do]]\npass = 1\n", "[expect]\n"


def load(tmp_path: Path, text: str, name: str = "odd") -> Scenario:
    """A scenario of this text."""
    path = tmp_path / f"{name}.toml"
    path.write_text(text)
    return Scenario.load(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_can_be_played(path: Path) -> None:
    scenario = Scenario.load(path)
    assert scenario.name == path.stem
    verbs = [deed.verb for deed in scenario.do]
    assert "begin" not in verbs or "join" in verbs[verbs.index("begin"):]
    assert scenario.expect.lost == "none" or scenario.lag or "lag" in verbs


def test_every_verb_can_be_played() -> None:
    assert [verb for verb in VERBS if not hasattr(ScenarioRunner, f"_{verb}")] == []
    assert [verb for verb, rules in VERBS.items() if verb not in rules] == []


@pytest.mark.parametrize(("strong", "names"), [
    (False, {"region-lost", "switchover-under-load"}), (True, {"split-brain"})])
def test_the_gate_plays_a_failover_and_a_switchover_and_nothing_that_takes_long(strong: bool, names: set[str]) -> None:
    found = {each.name: each for each in chosen("gate", strong=strong)}
    assert found.keys() == names
    assert not any(each.kills for each in found.values())


def test_a_file_says_everything(tmp_path: Path) -> None:
    assert load(tmp_path, """
        title = "t"
        expected = "e"
        modes = ["strong"]
        gate = ["strong"]
        manual = true
        kills = true
        overhead = false
        keeps = 12.5
        lag = { table = 1, receipts = 0.5, ledger = 0 }
        [[do]]
        cut = "active"
        inside = true
        [[do]]
        run = "failover --to {standby}"
        exit = 2
        says = "no"
        [expect]
        moves = 2
        active = "standby"
        lost = "lag"
        refused = 3
        told = "must"
        errors = 4.5
    """) == Scenario(
        name="odd", title="t", expected="e", modes=["strong"], gate=["strong"], manual=True, kills=True, overhead=False,
        keeps=12.5, lag={"table": 1, "receipts": 0.5, "ledger": 0},
        do=[ScenarioAction(verb="cut", what="active", beside={"inside": True}),
            ScenarioAction(verb="run", what="failover --to {standby}", beside={"exit": 2, "says": "no"})],
        expect=Expectation(moves=2, active="standby", lost="lag", refused=3, told="must", errors=4.5))


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    assert load(tmp_path, HEAD + DO + END) == Scenario(
        name="odd", title="t", expected="e", do=[ScenarioAction(verb="pass", what=1)], expect=Expectation(), modes=MODES)


def test_deeds_are_told_in_words() -> None:
    assert str(ScenarioAction(verb="cut", what="active", beside={"inside": True})) == "cut active inside True"
    assert str(ScenarioAction(verb="lag_back", what={"table": 6})) == "lag back {'table': 6}"


@pytest.mark.parametrize(("text", "complaint"), [
    ("title = ", "Invalid value (at end of document)"),
    ("title = 't'\n" + DO + END, "expected: is missing"),
    (HEAD + "[expect]\n", "do: is missing"),
    (HEAD + DO, "expect: is missing"),
    ("colour = 1\n" + HEAD + DO + END, "colour = 1: does not belong there, but " + ", ".join(KEYS)),
    ("title = 5\n", "title = 5: must be a text"),
    ("gate = 'yes'\n", "gate = 'yes': must be some of eventual, strong"),
    ("manual = 1\n", "manual = 1: must be true or false"),
    ("keeps = -1\n", "keeps = -1: must be a number of seconds"),
    ("keeps = true\n", "keeps = True: must be a number of seconds"),
    ("keeps = nan\n", "keeps = nan: must be a number of seconds"),
    ("modes = ['weak']\n", "modes = ['weak']: must be some of eventual, strong"),
    ("modes = []\n", "modes = []: must be some of"),
    ("modes = 'strong'\n", "modes = 'strong': must be some of"),
    ("lag = {table = 1}\n", "lag = {'table': 1}: must have a number of seconds for each of " + ", ".join(COPIED)),
    ("lag = {table = 1, receipts = 'x', ledger = 0}\n", "'receipts': 'x'"),
    ("lag = 3\n", "lag = 3: must have"),
    ("do = 3\n", "do = 3: must be tables"),
    ("do = [3]\n", "do = [3]: must be tables"),
    (HEAD + "expect = 3\n" + DO, "expect = 3: must be a table"),
    (HEAD + DO + END + "lost = 'all'\n", "expect.lost = 'all': must be none or lag"),
    (HEAD + DO + END + "active = 'east'\n", "expect.active = 'east': must be active or standby"),
    (HEAD + DO + END + "moves = 1.5\n", "expect.moves = 1.5: must be a whole number from 0"),
    (HEAD + DO + END + "won = 1\n", "expect.won = 1: does not belong there, but " + ", ".join(EXPECT)),
])
def test_a_bad_file_is_refused_with_its_name_the_key_and_the_value(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ProjectError) as refused:
        load(tmp_path, text)
    assert str(refused.value).startswith("odd.toml: ")
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("deed", "complaint"), [
    ({"cutt": "active"}, "do[2] = {'cutt': 'active'}: must have one of pass, looks, cut, "),
    ({}, "do[2] = {}: must have one of"),
    ({"cut": "east"}, "do[2].cut = 'east': must be active or standby"),
    ({"cut": "active", "heal": "active"}, "do[2].heal = 'active': does not belong there, but cut, inside does"),
    ({"cut": "active", "inside": 1}, "do[2].inside = 1: must be true or false"),
    ({"lose": "ledger"}, "do[2].of: is missing"),
    ({"lose": "disk", "of": "active"}, "do[2].lose = 'disk': must be table or receipts or ledger or function or api"),
    ({"fail": 5, "of": "active"}, "do[2].fail = 5: must be a share from 0 to 1"),
    ({"kill": "nobody"}, "do[2].kill = 'nobody': must be"),
    ({"lag_back": {"table": 1}}, "do[2].lag_back = {'table': 1}: must have"),
    ({"wait": "long"}, "do[2].wait = 'long': must be moved or told or recovered"),
    ({"looks": 1.5}, "do[2].looks = 1.5: must be a whole number"),
    ({"behind": -1}, "do[2].behind = -1: must be a whole number"),
    ({"stale": "x"}, "do[2].stale = 'x': must be a whole number"),
    ({"pass": "x"}, "do[2].pass = 'x': must be a number of seconds"),
    ({"run": "failover --to {east}"}, "do[2].run = 'failover --to {east}': must be a text, with no braces but"),
    ({"run": "failover }"}, "do[2].run = 'failover }': must be a text"),
    ({"run": "status", "exit": 256}, "do[2].exit = 256: must be an exit code"),
    ({"begin": "status", "says": 5}, "do[2].says = 5: must be a text"),
    ({"join": 1}, "do[2].join = 1: must be a text"),
])
def test_a_bad_deed_is_refused_with_its_number(tmp_path: Path, deed: Mapping[str, Any], complaint: str) -> None:
    with pytest.raises(ProjectError) as refused:
        load(tmp_path, HEAD + DO + "[[do]]\n" + "".join(f"{key} = {_toml(each)}\n" for key, each in deed.items()) + END)
    assert str(refused.value).startswith(f"odd.toml: {complaint}")


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(each)}' for key, each in value.items())} }}"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_bytes(b"\xff")
    with pytest.raises(ProjectError, match=r"^odd\.toml: 'utf-8' codec"):
        Scenario.load(tmp_path / "odd.toml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five scenarios: two of the gate, one for an eventual table only, and two for a person to decide."""
    for name, more in (("one", "gate = ['eventual', 'strong']\n"), ("two", "modes = ['eventual']\n"), ("three", ""),
                       ("four", "manual = true\n"), ("five", "manual = true\ngate = ['eventual']\n")):
        (tmp_path / f"{name}.toml").write_text(more + HEAD + DO + END)
    return tmp_path


@pytest.mark.parametrize(("words", "stack", "names"), [
    ("all", {}, ["one", "three", "two"]), ("all", {"strong": True}, ["one", "three"]),
    ("all", {"manual": True}, ["five", "four"]),
    ("gate", {}, ["one"]), ("gate", {"strong": True}, ["one"]), ("gate", {"manual": True}, ["five"]), ("none", {}, []),
    ("two,one", {}, ["two", "one"]), ("three", {"strong": True}, ["three"]), ("four", {"manual": True}, ["four"])])
def test_scenarios_are_chosen_by_word_or_name(
    folder: Path, words: str, stack: Mapping[str, bool], names: list[str]
) -> None:
    assert [each.name for each in chosen(words, **{"strong": False, **stack}, folder=folder)] == names


@pytest.mark.parametrize(("words", "stack", "complaint"), [
    ("six", {}, "--drills six: must be all, gate, none or some of five, four, one, three, two"),
    ("one,", {}, "--drills : must be all"), ("", {}, "--drills : must be all"),
    ("one,none", {}, "--drills none: must be"),
    ("one,two", {"strong": True}, "--drills two: is not for tableConsistency=strong"),
    ("four", {}, "--drills four: needs failoverMode=manual"),
    ("one", {"manual": True}, "--drills one: needs failoverMode=automatic")])
def test_what_cannot_be_chosen_is_told(folder: Path, words: str, stack: Mapping[str, bool], complaint: str) -> None:
    with pytest.raises(ProjectError, match=f"^{complaint}"):
        chosen(words, **{"strong": False, **stack}, folder=folder)
