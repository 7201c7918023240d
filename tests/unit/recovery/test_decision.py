"""What a controller does about what it sees."""
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from payments.leadership import Leadership
from recovery.decision import Decision, alarming, decide
from recovery.journal import Run
from recovery.observation import Observation, ProbeResult
from recovery.plan import Action
from tests.unit.recovery.fakes import AWAY, HOME, NOW, every_state, facts, plan, stack

COOL_DOWN = 300.0
WATCH = facts().observation or Observation(region=AWAY, at=NOW)
RUN = Run(id="1", action="failover", target=HOME, driver="d", began=NOW - 900, why="", ended=NOW - 299)


def decided(mode: str = "manual", **changes: Any) -> Decision:
    """What the controller of the standby does; by default the other region is dead."""
    found = decide(plan(failover_mode=mode), facts(**changes), NOW, COOL_DOWN)
    assert found
    return found


@pytest.mark.parametrize("mode", ["manual", "automatic"])
@pytest.mark.parametrize("changes", [
    {"leadership": Leadership(2, AWAY)}, {"leadership": None}, {"observation": None},
    {"observation": replace(WATCH, dead=2, unready=5)}])
def test_where_nothing_is_alarming_nothing_is_done(mode: str, changes: dict[str, Any]) -> None:
    assert decide(plan(failover_mode=mode), facts(**changes), NOW, COOL_DOWN) is None


def test_people_are_notified_with_the_command_to_run() -> None:
    assert decided() == Decision(
        f"{HOME} does not answer: {AWAY} can take over",
        f"{HOME} does not answer: no answer. ledger 0.5 s behind, table 2.0 s behind. "
        f"To take over: python -m recovery failover --to {AWAY}")


def test_in_automatic_mode_the_controller_takes_over_and_says_why() -> None:
    assert decided("automatic") == Decision(
        f"{AWAY} takes over", f"{HOME} does not answer: no answer; ledger 0.5 s behind, table 2.0 s behind",
        takes_over=True)
    slow = replace(WATCH, dead=0, unready=6, why="ledger unavailable")
    assert decided("automatic", observation=slow).why.startswith(f"{HOME} cannot take payments: ledger unavailable; ")


@pytest.mark.parametrize("mode", ["manual", "automatic"])
@pytest.mark.parametrize(("changes", "why"), [
    ({"own": ProbeResult(alive=False, ready=False, why="no answer")},
     f"{AWAY} is not healthy: its API does not answer: no answer. No option overrides this."),
    ({"observation": replace(WATCH, lags={"table": 90.0})},
     ("the last 90 s of payments would be lost, and the recovery point objective is 60 s: table 90.0 s behind. "
      f"If the loss is acceptable: python -m recovery failover --to {AWAY} --accept-data-loss.")),
])
def test_what_is_refused_is_notified_with_the_reason(mode: str, changes: dict[str, Any], why: str) -> None:
    assert decided(mode, **changes) == Decision(
        f"{HOME} does not answer, and {AWAY} must not take over",
        f"{HOME} does not answer: no answer. {why}")


@pytest.mark.parametrize(("ended", "takes_over"), [
    (NOW - 300, True), (NOW - 299, False), (NOW + 5, False), (None, True)])
def test_after_a_failover_a_controller_waits_and_after_a_planned_move_it_does_not(
        ended: float | None, *, takes_over: bool) -> None:
    assert decided("automatic", run=replace(RUN, ended=ended)).takes_over is takes_over
    for action in (Action.SWITCHOVER, Action.FAILBACK):
        assert decided("automatic", run=replace(RUN, ended=ended, action=action.value)).takes_over


def test_a_controller_that_waits_says_why() -> None:
    assert decided("automatic", run=RUN) == Decision(
        f"{HOME} does not answer: {AWAY} waits, because the last failover was recent",
        f"{HOME} does not answer: no answer. The last one (failover to {HOME}) ended 299 s ago, and the "
        f"controller waits for 300 s after a failover. To take over now: python -m recovery failover --to {AWAY}")


@pytest.mark.parametrize("mode", ["manual", "automatic", "Automatic"])
def test_it_takes_over_if_and_only_if_every_condition_holds(mode: str) -> None:
    planned, reactions = plan(failover_mode=mode), set[bool | None]()
    for known, ended in product(every_state(), (None, NOW - 300, NOW - 299, NOW + 5)):
        watch, leadership = known.observation, known.leadership
        lost = watch is not None and leadership is not None and leadership.region == HOME and (
            watch.dead >= 3 or watch.unready >= 6)
        acts = (lost and mode == "automatic" and known.writer is not None and known.own.alive and not known.wrong
                and known.cluster == "available" and known.instances > 0
                and watch is not None and watch.at >= NOW - 60 and min(watch.lags.values(), default=999) <= 60
                and (ended is None or ended <= NOW - COOL_DOWN))
        decision = decide(planned, replace(known, run=replace(RUN, ended=ended)), NOW, COOL_DOWN)
        found = decision and decision.takes_over
        assert found is (acts if lost else None)
        reactions.add(found)
    assert reactions == {None, False, mode == "automatic"}


@pytest.mark.parametrize("why", ["no answer", "HTTP 503"])
def test_the_subject_stays_the_same_while_there_is_no_news(why: str) -> None:
    later = replace(WATCH, dead=9, why=why, lags={"table": 3.0})
    assert decided(observation=later).subject == decided().subject


def test_it_is_alarming_only_if_the_other_region_leads() -> None:
    assert alarming(stack(), WATCH, Leadership(1, HOME)) == f"{HOME} does not answer: no answer"
    assert alarming(stack(), WATCH, Leadership(1, AWAY)) == ""
    seen_from_home = Observation(region=HOME, at=NOW, dead=3)
    assert alarming(stack(), seen_from_home, Leadership(1, AWAY)) == f"{AWAY} does not answer: "
