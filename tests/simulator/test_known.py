"""Known violations, and what the gate makes of them."""
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from simulator import __main__ as commands
from simulator import run
from simulator.checkers import Violation
from simulator.hunt import MENDED, HuntFindings, fixed_set, hunt
from simulator.known import KNOWN as LISTED
from simulator.known import KnownViolations, is_known
from simulator.mixes import MIXES, HistoryPlan
from simulator.run import Result
from simulator.world import Options, World

KNOWN = {("swarm", "a rule"): (7, 11)}


def result(seed: int, *broken: str) -> Result:
    """What came of a history."""
    violations = [Violation(each, 1.0, "why") for each in broken]
    return Result(seed, HistoryPlan(options=Options(), mix="swarm"), violations, 60.0, Counter(f=1), Counter(s=2), [])


def test_a_known_violation_that_shows_is_in_order() -> None:
    findings = HuntFindings(took=1.0)
    findings.add(result(7, "a rule", "a rule"))
    findings.add(result(8))
    assert (findings.unknown(KNOWN), findings.gone(KNOWN)) == ([], [])
    assert findings.broken == {("swarm", "a rule"): [7]}
    text = "\n".join(findings.lines(KNOWN))
    assert "2 histories, 2 virtual minutes" in text
    assert "the first is seed 7; known" in text


def test_a_new_violation_and_one_that_is_gone_are_named() -> None:
    findings = HuntFindings(took=1.0)
    findings.add(result(7, "another rule"))
    assert findings.unknown(KNOWN) == [("swarm", "another rule")]
    assert findings.gone(KNOWN) == [("swarm", "a rule")]
    assert "NEW: another rule at 1.0 s: why" in "\n".join(findings.lines(KNOWN))


@pytest.mark.parametrize(("broken", "known", "code"), [
    ([], {}, 0), (["a rule"], KNOWN, 0), (["a rule"], {}, 1), (["a rule", "another"], KNOWN, 1), ([], KNOWN, 1)])
def test_the_gate_fails_if_a_violation_is_not_listed_and_if_a_listed_one_is_not_found(
        broken: list[str], known: KnownViolations, code: int, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "shortest", str)
    findings = HuntFindings(took=1.0)
    findings.add(result(7, *broken))
    with ThreadPoolExecutor(1) as pool:
        assert commands.report(findings, known, pool, gate=True) == code
    printed = capsys.readouterr().out
    assert ("(7, 'swarm', 'another')" in printed) == ("another" in broken)
    assert ("no more" in printed) == (not broken and code == 1)


def test_a_proof_fails_while_a_violation_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    findings = HuntFindings(took=1.0)
    findings.add(result(7, "a rule"))
    with ThreadPoolExecutor(1) as pool:
        assert commands.report(findings, KNOWN, pool, gate=True, proof=True) == 1
        assert commands.report(HuntFindings(took=1.0), {}, pool, gate=True, proof=True) == 0
    assert "swarm: a rule: is listed as known (issue 11)" in capsys.readouterr().out


def test_the_fixed_set_has_the_seeds_of_known_violations() -> None:
    jobs = fixed_set(KNOWN, 2)
    assert {(7, "swarm"), *MENDED} <= {*jobs}
    assert len(jobs) == 2 * len(MIXES) + 1 + len(MENDED)


def test_what_is_listed_names_mixes() -> None:
    assert {mix for mix, _ in LISTED} <= MIXES.keys()


def test_a_violation_is_known_in_its_mix_and_in_the_broad_one() -> None:
    here = {("heals", "a rule"): (1, 11)}
    assert is_known(here, "heals", "a rule")
    assert is_known(here, "swarm", "a rule")
    assert not is_known(here, "large", "a rule")
    assert not is_known(here, "heals", "another")


def flooded(world: World) -> Iterator[Violation]:
    """A rule that no history with a flood keeps."""
    return (Violation("a rule", event.at, "") for event in world.history.of("fault")
            if event.facts["name"] == "flooded")


def test_a_hunt_plays_its_histories_in_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "SAFETY", [flooded])
    findings = hunt([(1, "flooded"), (2, "flooded")])
    assert findings.histories == 2
    assert findings.broken["flooded", "a rule"] == [1, 2]
