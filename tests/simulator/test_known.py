"""Known violations, and what the gate makes of them."""
from collections import Counter
from pathlib import Path

from simulator.checkers import Violation
from simulator.hunt import Findings, fixed_set, hunt
from simulator.known import Known, expected, load, shows
from simulator.mixes import MIXES, Plan
from simulator.run import Result
from simulator.world import Options

KNOWN = [Known(name="n", rule="a rule", history=1, issue=11, seeds={"swarm": 7})]


def result(seed: int, *broken: str) -> Result:
    """What came of a history."""
    violations = [Violation(each, 1.0, "why") for each in broken]
    return Result(seed, Plan(options=Options(), mix="swarm"), violations, 60.0, Counter(f=1), Counter(s=2), [])


def test_a_known_violation_that_shows_is_in_order() -> None:
    findings = Findings(took=1.0)
    findings.add(result(7, "a rule", "a rule"))
    findings.add(result(8))
    assert (findings.unknown(KNOWN), findings.gone(KNOWN)) == ([], [])
    assert findings.broken == {("swarm", "a rule"): [7]}
    text = "\n".join(findings.lines(KNOWN))
    assert "2 histories, 2 virtual minutes" in text
    assert "known: n" in text


def test_a_new_violation_and_one_that_is_gone_are_named() -> None:
    findings = Findings(took=1.0)
    findings.add(result(7, "another rule"))
    assert findings.unknown(KNOWN) == [("swarm", "another rule")]
    assert findings.gone(KNOWN) == [("swarm", 7, "a rule")]
    assert "NEW: another rule at 1.0 s: why" in "\n".join(findings.lines(KNOWN))


def test_the_fixed_set_has_the_seeds_of_known_violations() -> None:
    jobs = fixed_set(KNOWN, 2)
    assert (7, "swarm") in jobs
    assert len(jobs) == 2 * len(MIXES) + 1


def test_the_file_is_sound() -> None:
    known = load()
    assert {mix for mix, _ in expected(known)} <= MIXES.keys()
    assert len(shows(known)) == sum(len(each.seeds) for each in known)
    names = [each.name for each in known]
    assert len(set(names)) == len(names)


def test_a_file_names_what_it_knows(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    path.write_text('[[known]]\nname = "n"\nrule = "a rule"\nhistory = 1\nissue = 11\nseeds = { swarm = 7 }\n')
    assert load(path) == KNOWN


def test_a_hunt_plays_its_histories_in_several_processes() -> None:
    findings = hunt([(1, "flooded"), (2, "flooded")])
    assert findings.histories == 2
    assert findings.broken["flooded", "failover of a throttled region"] == [1, 2]
