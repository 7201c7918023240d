"""What a controller decides, and what it tells people instead."""
from dataclasses import replace
from typing import Any

import pytest

from recovery.control_table import Pause
from recovery.decision import Decision, alarming, decide, misplaced, would_refuse
from recovery.observation import Observation, ProbeResult
from recovery.plan import Action, Evidence, Facts, reasons, refusals
from recovery.record import ControlRecord
from tests.unit.recovery.calm_world import EAST, WEST
from tests.unit.recovery.test_plan import DEAD, DOWN, FACTS, MOVED, STACK, WELL, obstacles, plan

COOL_DOWN = 300.0
UNREADY = replace(WELL, ready=False, why="table: x", failing_since=930.0, failing_for=70.0)
ASTRAY = replace(WELL, led_to=WEST, astray_since=WELL.at - 60.0)


def decided(facts: Facts, *, mode: str = "automatic", pause: Pause | None = None, **changes: Any) -> Decision | None:
    """What the controller of the west decides."""
    return decide(plan(Action.FAILOVER, failover_mode=mode, **changes), facts, COOL_DOWN, pause)


@pytest.mark.parametrize(("observation", "writer", "words"), [
    (WELL, EAST, ""), (DEAD, EAST, "us-east-1 does not answer: timed out"),
    (ASTRAY, EAST, "us-east-1 leads, and clients are sent to us-west-2: its health checks fail"),
    (UNREADY, EAST, "us-east-1 cannot take payments: table: x"), (replace(DEAD, leader=WEST), WEST, ""),
    (replace(DEAD, leader=WEST), EAST, "us-east-1 does not answer: timed out"),
    (replace(DEAD, silent_for=29.0), EAST, "")])
def test_a_region_matters_that_leads_or_has_the_writer(observation: Observation, writer: str, words: str) -> None:
    assert alarming(STACK, observation, writer) == words


@pytest.mark.parametrize("facts", [
    FACTS, replace(DOWN, observation=None), replace(DOWN, record=None),
    # The writer is here already: the region is made the leader, and nothing is promoted.
    replace(DOWN, writer=WEST)])
def test_nothing_is_decided_without_a_reason(facts: Facts) -> None:
    assert decided(facts) is None


def test_clients_that_are_led_astray_are_told_of_and_move_nothing() -> None:
    found = decided(replace(FACTS, observation=ASTRAY))
    assert found
    assert found.action is None
    assert found.subject == "us-east-1 leads, and clients are sent to us-west-2, and us-west-2 must not take over"
    assert "failover --to us-west-2 --accept-data-loss" in found.why


@pytest.mark.parametrize(("facts", "evidence"), [
    (DOWN, Evidence.DEAD), (replace(DOWN, observation=UNREADY), Evidence.UNREADY)])
def test_it_takes_over_by_itself_in_automatic_mode(facts: Facts, evidence: Evidence) -> None:
    found = decided(facts)
    assert found
    assert (found.action, found.evidence, found.subject) == (Action.FAILOVER, evidence, "us-west-2 takes over")
    assert "s of payments at risk" in found.why


def test_a_person_is_told_the_command_in_manual_mode() -> None:
    found = decided(DOWN, mode="manual")
    assert found
    assert (found.action, found.subject) == (None, "us-east-1 does not answer: us-west-2 can take over")
    assert found.why.endswith("To take over: python -m recovery failover --to us-west-2")


@pytest.mark.parametrize(("facts", "hint"), [
    (replace(DOWN, cluster="stopped"), "No option overrides this"),
    (replace(DOWN, observation=replace(DEAD, covered=None)), "failover --to us-west-2 --accept-data-loss")])
def test_what_is_refused_is_told_with_what_overrides_it(facts: Facts, hint: str) -> None:
    found = decided(facts)
    assert found
    assert (found.action, hint in found.why) == (None, True)
    assert found.subject.endswith("and us-west-2 must not take over")


def test_a_pause_stops_it_and_says_whose_it_is() -> None:
    found = decided(DOWN, pause=Pause(until=1601.0, reason="network work", who="bob"))
    assert found
    assert (found.action, "bob has paused it for 600 s more: network work" in found.why) == (None, True)


@pytest.mark.parametrize(("moved", "waits"), [(0.0, False), (701.0, False), (702.0, True)])
def test_it_waits_after_a_failover(moved: float, *, waits: bool) -> None:
    assert DOWN.record
    found = decided(replace(DOWN, record=replace(DOWN.record, moved=moved)))
    assert found
    assert (found.action is None) is waits
    assert ("the last failover was recent" in found.subject) is waits


@pytest.mark.parametrize(("facts", "refused"), [
    (FACTS, False), (replace(FACTS, instances=0), True),
    (replace(FACTS, observation=replace(WELL, covered=900.0)), True), (replace(FACTS, observation=None), True)])
def test_whether_a_failover_would_be_refused_is_known_while_all_is_well(facts: Facts, *, refused: bool) -> None:
    assert bool(would_refuse(plan(Action.FAILOVER), facts)) is refused


def test_whatever_would_refuse_a_failover_is_known_before(subtests: pytest.Subtests) -> None:
    failover = plan(Action.FAILOVER)
    for action, _, facts, _, _ in obstacles():
        if action is Action.FAILOVER:
            found = refusals(failover, facts)
            with subtests.test(reason=found[0].reason):
                assert would_refuse(failover, facts) == reasons([each for each in found if not each.passes])
                assert all(each.option for each in found if each.passes)


def test_a_controller_that_lacks_a_permission_leaves_it_to_people() -> None:
    facts = replace(DOWN, observation=replace(DEAD, denied=["sns:Publish"]))
    command = "To take over: python -m recovery failover --to us-west-2"
    by_itself, by_hand = decided(facts), decided(facts, mode="manual")
    assert by_itself
    assert (by_itself.action, by_itself.subject) == (
        None, "us-east-1 does not answer: us-west-2 may not take over by itself")
    assert "its controller may not call sns:Publish" in by_itself.why
    assert by_itself.why.endswith(command)
    assert by_hand
    assert by_hand.subject == "us-east-1 does not answer: us-west-2 can take over"
    assert by_hand.why.endswith(command)


@pytest.mark.parametrize(("facts", "words"), [
    (FACTS, ""), (MOVED, ""), (replace(MOVED, record=None), ""),
    (replace(MOVED, record=FACTS.record), "us-west-2 has the database's writer, but us-east-1 leads"),
    (replace(MOVED, own=ProbeResult(alive=True, ledger_epoch=5)),
     "the ledger of us-west-2 has seen epoch 5, but it leads under 2")])
def test_leader_and_writer_that_have_come_apart(facts: Facts, words: str) -> None:
    assert misplaced(plan(Action.FAILOVER), facts) == words


def test_a_record_of_another_region_under_an_old_epoch_is_not_this_regions_to_mend() -> None:
    record = ControlRecord(revision=1, epoch=1, region=EAST)
    assert misplaced(plan(Action.ALIGN, EAST), replace(MOVED, record=record)) == ""
