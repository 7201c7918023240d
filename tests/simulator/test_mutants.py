"""Mutants of the product, and what is made of one that is not found."""
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from payments.payment import Payment
from simulator import __main__ as commands
from simulator import mutants
from simulator.mixes import MIXES
from simulator.mutants import MUTANTS, RULES, Mutant

CHANGED = Mutant("a fingerprint is a constant", 14, "flooded", (
    ("payments.payment:Payment.fingerprint", "return ", "return 'same' or "),))


def payment(amount: int) -> Payment:
    """A payment."""
    return Payment(payment_id="p", amount=amount, currency="EUR", payer="a", payee="b")


def same() -> bool:
    """Whether two payments have one fingerprint."""
    return payment(1).fingerprint() == payment(2).fingerprint()


def test_a_mutant_lives_only_while_it_is_played() -> None:
    with CHANGED.alive():
        assert same()
    assert not same()


def test_a_mutant_is_undone_if_the_history_fails() -> None:
    with pytest.raises(ZeroDivisionError), CHANGED.alive():
        raise ZeroDivisionError
    assert not same()


def test_a_mutant_without_its_place_is_an_error() -> None:
    lost = replace(CHANGED, changes=((CHANGED.changes[0][0], "nowhere", ""),))
    with pytest.raises(ValueError, match="has 0 times 'nowhere'"), lost.alive():
        pass


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_has_its_place_in_the_product_a_rule_and_a_mix(mutant: Mutant) -> None:
    with mutant.alive():
        pass
    assert mutant.rule in RULES
    assert mutant.mix in MIXES


def test_the_file_names_a_seed_for_each_mutant() -> None:
    seeds = mutants.load()
    assert seeds.keys() == {each.name for each in MUTANTS}
    assert all(1 <= seed <= mutants.MOST for seed in seeds.values())


def test_a_mutant_whose_seed_shows_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {3, 7}
    monkeypatch.setattr(mutants, "MUTANTS", (CHANGED,))
    monkeypatch.setattr(Mutant, "breaks", lambda _, seed: ["a rule"] if seed in shown else [])
    assert [mutants.proof((CHANGED.name, seed)) for seed in (7, 9)] == [(7, ["a rule"]), (3, ["a rule"])]
    shown.clear()
    assert mutants.proof((CHANGED.name, 9)) == (9, [])


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    mutants.save({"a mutant": 3}, tmp_path / "mutants.toml")
    assert mutants.load(tmp_path / "mutants.toml") == {"a mutant": 3}


def test_a_rule_without_a_mutant_is_named() -> None:
    assert mutants.without_mutant([CHANGED]) == [rule for rule in RULES if rule != CHANGED.rule]


@pytest.mark.parametrize(("broken", "rules", "code"), [
    (["a rule"], {14: "covered"}, 0), ([], {14: "covered"}, 1), (["a rule"], {14: "covered", 15: "not covered"}, 1)])
def test_a_mutant_that_is_not_found_and_a_rule_without_a_mutant_fail(
        broken: list[str], rules: dict[int, str], code: int, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(mutants, "MUTANTS", (CHANGED,))
    monkeypatch.setattr(mutants, "RULES", rules)
    monkeypatch.setattr(mutants, "proof", lambda _: (1, broken))
    with ThreadPoolExecutor(1) as pool:
        assert commands.prove_mutants(pool, search=False) == code
    printed = capsys.readouterr().out
    assert ("NOT FOUND" in printed) == (not broken)
    assert ("rule 15: not covered: has no mutant" in printed) == (15 in rules)
