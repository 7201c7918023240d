"""The files of scenarios: those that are shipped, and those that are refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from contract import Consistency
from rehearsal.drills.actions import parse
from rehearsal.drills.actions.faults import StoreLags
from rehearsal.drills.scenario import FOLDER, Expectation, Scenario, ScenarioCheck, choose, load
from rehearsal.errors import ProjectError

SHIPPED = sorted(FOLDER.glob("*/*.toml"))
HEAD = 'title = "t"\nexpected = "e"\n'
DO, CHECK = "do = [{ pass = 1 }]\n", "[[checks]]\nname = '{name}'\ndo = [{{ pass = {seconds} }}]\n"
STRONG = {"consistency": Consistency.STRONG}
NEEDS_DRILL = {"wait", "looks", "run", "begin", "join"}


def read(tmp_path: Path, text: str, name: str = "odd") -> Scenario:
    """A drill of this text."""
    path = tmp_path / "drills" / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return load(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_shipped_scenario_can_be_run(path: Path) -> None:
    scenario = load(path)
    verbs = [each.verb for each in scenario.do]
    if path.parent.name == "drills":
        assert verbs
        assert scenario.checks == []
        for begins, ends in (("begin", "join"), ("freeze", "thaw"), ("back_up", "restore")):
            assert begins not in verbs or ends in verbs[verbs.index(begins):]
        assert scenario.expect.lost == "none" or scenario.lag != StoreLags() or {"lag", "cut_connection"} & {*verbs}
        pauses = [each.model_dump().get("words", "").split()[:1] in (["pause"], ["resume"]) for each in scenario.do]
        assert sum(pauses) % 2 == 0  # the next drill finds no pause
    else:
        assert verbs == []
        used = {each.verb for check in scenario.checks for each in check.do}
        assert used
        assert used & NEEDS_DRILL == set()


@pytest.mark.parametrize(("consistency", "names"), [
    (Consistency.EVENTUAL, {"region-lost", "switchover-under-load"}), (Consistency.STRONG, {"split-brain"})])
def test_the_gate_runs_a_failover_and_a_switchover_and_nothing_that_takes_long(
        consistency: Consistency, names: set[str]) -> None:
    found = {each.name: each for each in choose("drills", "gate", consistency=consistency)}
    assert found.keys() == names
    assert not any(each.kills for each in found.values())


def test_all_outages_are_those_for_the_table_that_need_not_be_named() -> None:
    eventual, strong = (
        {each.name for each in choose("outages", "all", consistency=consistency)} for consistency in Consistency)
    assert eventual ^ strong == {"table-lag", "quorum"}
    shipped = {path.stem for path in SHIPPED if path.parent.name == "outages"}
    assert shipped - eventual - strong == {"kill9", "kill9-short"}


def test_a_file_says_everything(tmp_path: Path) -> None:
    assert read(tmp_path, """
        title = "t"
        expected = "e"
        modes = ["strong"]
        gate = ["strong"]
        only_by_name = true
        manual = true
        kills = true
        overhead = false
        keeps = 12.5
        lag = { table = 1, receipts = 0.5 }
        do = [{ cut = "active", inside = true }, { run = "failover --to {standby}", exit = 2, says = "no" }]
        [[checks]]
        name = "{active} pays"
        do = [{ post = "x" }]
        [expect]
        moves = 2
        active = "standby"
        lost = "lag"
        refused = 3
        notified = "must"
        errors = 4.5
    """) == Scenario(
        name="odd", title="t", expected="e", modes=[Consistency.STRONG], gate=[Consistency.STRONG], only_by_name=True,
        manual=True, kills=True, overhead=False, keeps=12.5, lag=StoreLags(table=1, receipts=0.5),
        do=[parse({"cut": "active", "inside": True}),
            parse({"run": "failover --to {standby}", "exit": 2, "says": "no"})],
        checks=[ScenarioCheck(name="{active} pays", do=[parse({"post": "x"})])],
        expect=Expectation(moves=2, active="standby", lost="lag", refused=3, notified="must", errors=4.5))


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    assert read(tmp_path, HEAD + DO) == Scenario(
        name="odd", title="t", expected="e", modes=[*Consistency], do=[parse({"pass": 1})])


@pytest.mark.parametrize(("text", "complaint"), [
    ("title = ", "Invalid value (at end of document)"),
    ("title = 't'\n" + DO, "expected: is missing"),
    ("colour = 1\n" + HEAD + DO, "colour = 1: is not a key that belongs there"),
    ("name = 'x'\n" + HEAD + DO, "name = 'x': is not a key that belongs there"),
    ("title = 5\nexpected = 'e'\n", "title = 5: must be a valid string"),
    (HEAD + "gate = 'yes'\n", "gate = 'yes': must be a valid list"),
    (HEAD + "manual = 1\n", "manual = 1: must be a valid boolean"),
    (HEAD + "keeps = -1\n", "keeps = -1: must be greater than or equal to 0"),
    (HEAD + "keeps = true\n", "keeps = True: must be a valid number"),
    (HEAD + "keeps = nan\n", "keeps = nan: must be a finite number"),
    (HEAD + "modes = ['weak']\n", "modes[1] = 'weak': must be 'eventual' or 'strong'"),
    (HEAD + "modes = []\n", "modes = []: List should have at least 1 item"),
    (HEAD + "lag = { disk = 1 }\n", "lag.disk = 1: is not a key that belongs there"),
    (HEAD + "lag = 3\n", "lag = 3: must be"),
    (HEAD + "do = 3\n", "do = 3: must be a valid list"),
    (HEAD + "do = [{ pass = 1 }, 3]\n", "do[2] = 3: must be a table with one of"),
    (HEAD + "do = [{ pass = 1 }, { cut = 'east' }]\n", "do[2].cut = 'east': must be 'active' or 'standby'"),
    (HEAD + "do = [{ lag = { table = -1 } }]\n", "do[1].lag.table"),
    (HEAD + "[[checks]]\nname = 'x'\n", "checks[1].do: is missing"),
    (HEAD + "[[checks]]\nname = 'x'\ndo = [{ cut = 5 }]\n", "checks[1].do[1].cut = 5: must be"),
    (HEAD + "[[checks]]\ndo = []\n", "checks[1].name: is missing"),
    (HEAD + "expect = 3\n", "expect = 3: must be a valid dictionary"),
    (HEAD + "[expect]\nlost = 'all'\n", "expect.lost = 'all': must be 'none' or 'lag'"),
    (HEAD + "[expect]\nmoves = 1.5\n", "expect.moves = 1.5: must be a valid integer"),
    (HEAD + "[expect]\nwon = 1\n", "expect.won = 1: is not a key that belongs there"),
    (HEAD + "[series]\nruns = 0\n", "series.runs = 0: must be greater than or equal to 1"),
    ("like = 'nothing'\n", "No such file"),
])
def test_a_bad_file_is_refused_with_its_name_the_key_and_the_value(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ProjectError) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith("odd.toml: ")
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(ProjectError, match=r"^odd\.toml: 'utf-8' codec"):
        load(path)


SERIES = """
[series]
runs = {runs}
seed = 9
draw = {{ after = [0.1, 0.6], lag = [1, 2] }}
[[series.cycle]]
name = "odd"
do = [{{ pass = "$after" }}, {{ lag = {{ table = "$lag" }} }}]
[[series.cycle]]
name = "even"
do = [{{ pass = "$after" }}]
"""


def series(tmp_path: Path, runs: int, name: str = "odd") -> Scenario:
    """A scenario of so many runs, with a check before them and one after."""
    checks = CHECK.format(name="first", seconds=1) + CHECK.format(name="last", seconds=2)
    return read(tmp_path, HEAD + checks + SERIES.format(runs=runs), name)


def test_the_runs_of_a_series_take_turns_between_the_first_check_and_the_last(tmp_path: Path) -> None:
    checks = series(tmp_path, 3).checks
    assert [check.name for check in checks] == ["first", "run 1, odd", "run 2, even", "run 3, odd", "last"]
    drawn = [dict(check.do[0])["seconds"] for check in checks[1:-1]]
    assert len({*drawn}) == 3
    assert all(0.1 <= each <= 0.6 for each in drawn)
    assert 1 <= dict(checks[1].do[1])["given"].table <= 2


def test_the_runs_are_always_the_same_ones_and_a_short_series_is_the_beginning_of_a_long_one(tmp_path: Path) -> None:
    assert series(tmp_path, 5).checks[:4] == series(tmp_path, 3).checks[:4]
    (tmp_path / "drills" / "short.toml").write_text("like = 'odd'\n[series]\nruns = 1\n")
    series(tmp_path, 5)
    short = load(tmp_path / "drills" / "short.toml")
    assert (short.name, len(short.checks)) == ("short", 3)
    assert short.checks[1] == series(tmp_path, 5).checks[1]


def test_the_killings_of_the_writer_end_in_each_way_the_worst_first() -> None:
    (short,), (full,) = (choose("outages", name, consistency=Consistency.EVENTUAL) for name in ("kill9-short", "kill9"))
    assert [check.name for check in short.checks] == [
        "both regions warm", "run 1, region lost", "run 2, restart", "run 3, failover", "all"]
    assert full.checks[:4] == short.checks[:4]
    assert len(full.checks) == 22


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six drills: two of the gate, one for an eventual table, two for a person to decide, one to be named."""
    for name, more in (("one", "gate = ['eventual', 'strong']\n"), ("two", "modes = ['eventual']\n"), ("three", ""),
                       ("four", "manual = true\n"), ("five", "manual = true\ngate = ['eventual']\n"),
                       ("seven", "only_by_name = true\n")):
        read(tmp_path, HEAD + more + DO, name)
    return tmp_path


@pytest.mark.parametrize(("words", "stack", "names"), [
    ("all", {}, ["one", "three", "two"]), ("all", STRONG, ["one", "three"]),
    ("all", {"manual": True}, ["five", "four"]), ("all", {"manual": None}, ["five", "four", "one", "three", "two"]),
    ("gate", {}, ["one"]), ("gate", STRONG, ["one"]), ("gate", {"manual": True}, ["five"]), ("none", {}, []),
    ("two,one", {}, ["two", "one"]), ("three", STRONG, ["three"]), ("four", {"manual": True}, ["four"]),
    ("seven", {"manual": None}, ["seven"])])
def test_scenarios_are_chosen_by_word_or_name(
        folder: Path, words: str, stack: Mapping[str, Any], names: list[str]) -> None:
    asked = {"consistency": Consistency.EVENTUAL, "manual": False, **stack}
    assert [each.name for each in choose("drills", words, **asked, folder=folder)] == names


@pytest.mark.parametrize(("words", "stack", "complaint"), [
    ("six", {}, "--drills six: must be all, gate, none or some of five, four, one, seven, three, two"),
    ("one,", {}, "--drills : must be all"), ("", {}, "--drills : must be all"),
    ("one,none", {}, "--drills none: must be"),
    ("one,two", STRONG, "--drills two: needs tableConsistency=eventual"),
    ("four", {}, "--drills four: needs failoverMode=manual"),
    ("one", {"manual": True}, "--drills one: needs failoverMode=automatic")])
def test_what_cannot_be_chosen_is_refused(folder: Path, words: str, stack: Mapping[str, Any], complaint: str) -> None:
    with pytest.raises(ProjectError, match=f"^{complaint}"):
        choose("drills", words, **{"consistency": Consistency.EVENTUAL, "manual": False, **stack}, folder=folder)


def test_the_page_of_checks_names_every_scenario_and_every_check_of_an_outage() -> None:
    page = (FOLDER.parents[2] / "docs" / "checks.md").read_text(encoding="utf-8")
    assert [path.stem for path in SHIPPED if f"`{path.stem}`" not in page] == []
    checks = {check.name for path in SHIPPED if path.parent.name == "outages" for check in load(path).checks}
    assert [name for name in checks if name not in page and not name.startswith("run ")] == []


def test_actions_are_equal_by_their_verbs_and_keys() -> None:
    assert parse({"cut": "active"}) == parse({"cut": "active"}) != parse({"cut": "standby"})
