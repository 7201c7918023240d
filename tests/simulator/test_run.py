"""A history is played, replayed, judged and shrunk."""
import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from simulator import run
from simulator.checkers import Violation
from simulator.faults import AT_ONCE, EVER, FAULTS, TimedFault
from simulator.mixes import EAST, LOSE, MIXES, HistoryPlan, Person
from simulator.operator import AGAIN, TRIES
from simulator.run import draw, play, shrink
from simulator.vocabulary import FailureMode, FaultVerb
from simulator.world import Options, World

ROOT = Path(__file__).parents[2]
HASH_SEED = "1"  # that of this process is drawn


def told(seed: int, mix: str) -> list[object]:
    """All that is said of a history."""
    result = play(seed, draw(seed, mix), traced=True)
    return [result.trace, [*map(str, result.violations)], {**result.faults}, {**result.states}]


def test_a_write_of_a_run_cuts_its_region_off_until_that_heals() -> None:
    plan = replace(draw(2, "cut-at-writes"), strikes={"record_cut": 1.0, "longest": 5.0})
    found = play(2, plan, traced=True)
    faults, healed = ([line for line in found.trace if f" {what} name=" in line] for what in ("fault", "healed"))
    assert min(found.faults["cut before"], found.faults["cut after"]) > 0
    assert len(faults) == len(healed) == found.faults["cut before"] + found.faults["cut after"]


@pytest.mark.parametrize(("seed", "mix"), [(3, "swarm"), (9, "late-copies"), (2, "heals")])
def test_a_seed_gives_the_same_history_in_every_process(seed: int, mix: str) -> None:
    code = f"import json; from tests.simulator.test_run import told; print(json.dumps(told({seed}, {mix!r})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True,
                          env={"PYTHONHASHSEED": HASH_SEED, "PATH": ""})
    assert json.loads(done.stdout) == told(seed, mix)


def test_nothing_of_a_history_is_kept() -> None:
    def worlds() -> int:
        gc.collect()
        return sum(isinstance(each, World) for each in gc.get_objects())

    before = worlds()
    play(1, draw(1, "swarm"))
    assert worlds() == before


def test_nothing_goes_wrong_where_nothing_goes_wrong() -> None:
    result = play(1, HistoryPlan(mix="none", options=Options(), safety=200.0))
    assert not result.violations
    assert result.seconds == 320.0  # it ends early, since it is decided


@pytest.mark.parametrize("strong", [True, False])
def test_a_person_moves_the_traffic_there_and_back(strong: bool) -> None:
    typed = [(110.0, "switchover --to us-west-2"), (250.0, "failback")]
    result = play(2, HistoryPlan(options=Options(strong=strong), person=Person(typed=typed), safety=300.0), traced=True)
    assert not result.violations
    assert (result.states["switchover exit 0"], result.states["failback exit 0"]) == (1, 1)
    assert any("leads epoch=3" in line for line in result.trace)


@pytest.mark.parametrize("strong", [True, False])
def test_a_controller_takes_over_from_a_region_that_is_lost_for_ever(strong: bool) -> None:
    plan = HistoryPlan(options=Options(strong=strong), faults=[TimedFault("cut", EAST, 150.0)], safety=200.0)
    result = play(4, plan)
    assert not result.violations
    assert result.states["promoted failover"] == 1


def test_a_violation_is_shrunk_to_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def flooded(world: World) -> Iterator[Violation]:
        return (Violation("a rule", event.at, "") for event in world.history.of("fault")
                if event.facts["name"] == "flooded")

    monkeypatch.setattr(run, "SAFETY", [flooded])
    plan = HistoryPlan(options=Options(), safety=320.0, faults=[
        TimedFault("flooded", EAST, 120.0, 200.0), TimedFault("lose-sns-error", EAST, 130.0, 140.0)],
        person=Person(typed=[(300.0, "failover --to us-east-1")]), fates={"twice": 0.001})
    smaller = shrink(1, plan, "a rule")
    assert [fault.name for fault in smaller.faults] == ["flooded"]
    assert not smaller.person.typed
    assert not smaller.fates
    assert smaller.safety < plan.safety


def test_every_mix_draws_a_plan_that_can_be_printed_and_uses_known_faults() -> None:
    for mix in MIXES:
        for seed in range(20):
            plan = draw(seed, mix)
            assert plan.mix == mix
            assert {fault.name for fault in plan.faults} <= FAULTS.keys()
            assert mix in str(plan)
            assert draw(seed, mix) == plan


def test_no_plan_destroys_the_only_whole_copy() -> None:
    for mix in MIXES:
        for seed in range(50):
            faults = draw(seed, mix).faults
            lost = {fault.where for fault in faults if fault.name == FaultVerb.CUT and fault.lasts}
            restored = [fault for fault in faults if fault.name.startswith(FaultVerb.RESTORE)]
            assert len(lost) + len(restored) <= 1, (mix, seed)


def test_a_seed_draws_its_own_mix_whose_name_replays_its_history() -> None:
    assert all(draw(seed, draw(seed).mix) == draw(seed) for seed in range(20))
    assert len({draw(seed).mix for seed in range(200)}) > len(MIXES) / 2


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_can_be_set_and_lifted(name: str) -> None:
    ends = EVER if name in AT_ONCE else 160.0
    plan = HistoryPlan(options=Options(), faults=[TimedFault(name, EAST, 110.0, ends)], safety=170.0, liveness=30.0)
    assert not plan.faults[0].lasts
    result = play(5, plan)
    assert result.faults[name] == 1
    assert "two regions under one epoch" not in {each.rule for each in result.violations}


@pytest.mark.parametrize(("lasts", "ends", "holds"), [
    ("cut", "cut", lambda world: world.network.dead == {EAST: 80.0}),
    ("lose-s3-hang", "lose-s3-error", lambda world: world.network.refusing == {(EAST, "s3"): FailureMode.HANG}),
    ("cut-one-way", "cut_connection", lambda world: len(world.network.cuts) == 1)])
def test_a_fault_lasts_though_another_one_of_the_same_thing_ends(
        lasts: str, ends: str, holds: Callable[[World], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[bool] = []
    plan = HistoryPlan(options=Options(), safety=120.0, liveness=30.0, faults=[
        TimedFault(lasts, EAST, 80.0, EVER), TimedFault(ends, EAST, 90.0, 100.0)])

    def check(world: World) -> Iterator[Violation]:
        found.append(holds(world))
        yield from ()

    monkeypatch.setattr(run, "LIVENESS", [check])
    play(1, plan)
    assert found == [True]


def test_what_a_person_types_again_is_bounded() -> None:
    plan = HistoryPlan(options=Options(automatic=False), faults=[
        TimedFault("cut", EAST, 110.0), TimedFault("promotion-denied", "us-west-2", 0.0)], safety=200.0)
    result = play(6, replace(plan, person=Person(typed=[(150.0, LOSE)])))
    assert 1 <= sum(number for name, number in result.states.items() if name.startswith("failover exit")) <= (
        TRIES + result.seconds / AGAIN)
