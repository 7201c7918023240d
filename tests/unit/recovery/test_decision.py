"""What a controller does about what it sees."""
from collections import Counter
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from payments.leadership import Leadership
from recovery.decision import NOTHING, Decision, Reaction, alarming, decide, failover
from recovery.journal import Run
from recovery.observation import Observation
from recovery.plan import Action
from recovery.probe import ProbeResult
from recovery.stack import StackError
from tests.unit.recovery.fakes import AWAY, HOME, NOW, every_state, facts, plan, stack

COOL_DOWN = 300.0
WATCH = facts().watch or Observation(region=AWAY, at=NOW)
RUN = Run(id="1", action="failover", target=HOME, driver="d", began=NOW - 900, why="", ended=NOW - 299)


def decided(mode: str = "manual", **changes: Any) -> Decision:
    """What the controller of the standby does; the other region is dead if nothing else is said."""
    return decide(plan(failover_mode=mode), facts(**changes), NOW, COOL_DOWN)


@pytest.mark.parametrize("mode", ["manual", "automatic"])
@pytest.mark.parametrize("changes", [
    {"right": Leadership(2, AWAY)}, {"right": None}, {"watch": None}, {"watch": replace(WATCH, dead=2, unready=5)}])
def test_where_nothing_is_alarming_nothing_is_done(mode: str, changes: dict[str, Any]) -> None:
    assert decided(mode, **changes) == NOTHING


def test_a_person_is_told_what_to_run() -> None:
    assert decided() == Decision(
        Reaction.TELL, f"{HOME} does not answer: {AWAY} can take over",
        f"{HOME} does not answer: no answer. ledger 0.5 s behind, table 2.0 s behind. "
        f"To take over: python -m recovery failover --to {AWAY}")


def test_a_controller_that_may_acts_and_says_why() -> None:
    assert decided("automatic") == Decision(
        Reaction.ACT, f"{AWAY} takes over",
        f"{HOME} does not answer: no answer; ledger 0.5 s behind, table 2.0 s behind")
    slow = replace(WATCH, dead=0, unready=6, why="ledger unavailable")
    assert decided("automatic", watch=slow).why.startswith(f"{HOME} cannot take payments: ledger unavailable; ")


@pytest.mark.parametrize("mode", ["manual", "automatic"])
@pytest.mark.parametrize(("changes", "why"), [
    ({"own": ProbeResult(alive=False, ready=False, why="no answer")},
     f"{AWAY} is not healthy: its API does not answer: no answer. No flag overrides that."),
    ({"watch": replace(WATCH, lags={"table": 90.0})},
     ("the last 90 s of payments would be lost, and the recovery point is 60 s: table 90.0 s behind. "
      f"If the loss is acceptable: python -m recovery failover --to {AWAY} --accept-data-loss.")),
])
def test_what_is_refused_is_told_with_the_reason(mode: str, changes: dict[str, Any], why: str) -> None:
    assert decided(mode, **changes) == Decision(
        Reaction.TELL, f"{HOME} does not answer, and {AWAY} must not take over",
        f"{HOME} does not answer: no answer. {why}")


@pytest.mark.parametrize(("ended", "deed"), [
    (NOW - 300, Reaction.ACT), (NOW - 299, Reaction.TELL), (NOW + 5, Reaction.TELL), (None, Reaction.ACT)])
def test_after_a_failover_a_controller_waits_and_after_a_planned_move_it_does_not(
        ended: float | None, deed: Reaction) -> None:
    assert decided("automatic", run=replace(RUN, ended=ended)).deed is deed
    for action in (Action.SWITCHOVER, Action.FAILBACK):
        assert decided("automatic", run=replace(RUN, ended=ended, action=action.value)).deed is Reaction.ACT


def test_who_waits_says_what_for() -> None:
    assert decided("automatic", run=RUN) == Decision(
        Reaction.TELL, f"{HOME} does not answer: {AWAY} waits, since the last failover was just now",
        f"{HOME} does not answer: no answer. The last one (failover to {HOME}) ended 299 s ago, and after one the "
        f"controller waits for 300 s. To take over now: python -m recovery failover --to {AWAY}")


@pytest.mark.parametrize("mode", ["manual", "automatic", "Automatic"])
def test_it_acts_if_and_only_if_all_of_it_is_so(mode: str) -> None:
    planned, deeds = plan(failover_mode=mode), Counter[Reaction]()
    for known, ended in product(every_state(), (None, NOW - 300, NOW - 299, NOW + 5)):
        watch, right = known.watch, known.right
        lost = watch is not None and right is not None and right.region == HOME and (
            watch.dead >= 3 or watch.unready >= 6)
        acts = (lost and mode == "automatic" and known.writer is not None and known.own.alive and not known.wrong
                and known.cluster == "available" and known.instances > 0
                and watch is not None and watch.at >= NOW - 60 and min(watch.lags.values(), default=999) <= 60
                and (ended is None or ended <= NOW - COOL_DOWN))
        found = decide(planned, replace(known, run=replace(RUN, ended=ended)), NOW, COOL_DOWN).deed
        assert found is (Reaction.ACT if acts else Reaction.TELL if lost else Reaction.NOTHING)
        deeds[found] += 1
    assert deeds.keys() == {Reaction.NOTHING, Reaction.TELL, *[Reaction.ACT] * (mode == "automatic")}


@pytest.mark.parametrize("told", ["no answer", "HTTP 503"])
def test_the_subject_stays_while_there_is_nothing_new(told: str) -> None:
    later = replace(WATCH, dead=9, why=told, lags={"table": 3.0})
    assert decided(watch=later).subject == decided().subject


def test_it_is_alarming_only_if_the_other_region_has_the_right() -> None:
    assert alarming(stack(), WATCH, Leadership(1, HOME)) == f"{HOME} does not answer: no answer"
    assert alarming(stack(), WATCH, Leadership(1, AWAY)) == ""
    assert alarming(stack(), Observation(region=HOME, at=NOW, dead=3), Leadership(1, AWAY)) == f"{AWAY} does not answer: "


def test_a_controller_may_fail_over_to_its_own_region_and_nothing_else() -> None:
    assert failover(stack(), AWAY) == plan(Action.FAILOVER, AWAY)
    with pytest.raises(StackError):
        failover(stack(), "mars")
