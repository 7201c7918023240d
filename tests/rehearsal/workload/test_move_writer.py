"""The leadership and the writer moved by the plan's own steps, with canned answers."""

from collections.abc import Mapping
from typing import Any

import pytest

from recovery.errors import AwsFailure
from recovery.plan import STEPS, Action
from rehearsal.errors import CheckFailed
from rehearsal.workload import move_writer as module
from rehearsal.workload.move_writer import move_writer
from tests.rehearsal.cloud import Cloud, refusal
from tests.rehearsal.stack import EAST, MOVES, OUTPUTS, WEST, Stores
from tests.rehearsal.workload.api import InstantClock


@pytest.fixture
def stores(cloud: Cloud) -> Stores:
    """The eastern region leads and has the writer."""
    return Stores(cloud)


@pytest.fixture
def clock() -> InstantClock:
    """A clock on which the lease and the pauses take no time."""
    return InstantClock()


def test_its_steps_are_those_of_the_plan(stores: Stores, cloud: Cloud, clock: InstantClock) -> None:
    for steps in (STEPS[action] for action in MOVES):
        assert [step.key for step in steps if step.key in module.STEPS] == list(module.STEPS)
    assert move_writer(Action.FAILOVER, WEST, OUTPUTS, cloud, clock) == {
        "fence": "epoch 2", "promote": "writer cluster_id-dr", "epoch": "epoch 6"}
    assert (stores.record.region, stores.record.epoch, stores.writer) == (WEST, 6, WEST)
    assert (stores.record.run and stores.record.run.outcome) == "done"


@pytest.mark.parametrize(("action", "asked"), [(Action.FAILOVER, WEST), (Action.SWITCHOVER, EAST)])
def test_a_failover_calls_only_the_region_that_takes_over(
    stores: Stores, cloud: Cloud, clock: InstantClock, action: Action, asked: str
) -> None:
    move_writer(action, WEST, OUTPUTS, cloud, clock)
    assert [region for operation, region, _ in cloud.calls if operation == MOVES[action]] == [asked]
    assert {region for operation, region, _ in cloud.calls if operation not in MOVES.values()} == {WEST}
    assert stores.writer == WEST


def test_a_writer_that_is_there_already_is_not_moved(stores: Stores, cloud: Cloud, clock: InstantClock) -> None:
    move_writer(Action.SWITCHOVER, EAST, OUTPUTS, cloud, clock)
    assert not {*MOVES.values()} & {*cloud.operations()}
    assert (stores.record.region, stores.record.epoch) == (EAST, 5)


def test_a_step_is_tried_again(stores: Stores, cloud: Cloud, clock: InstantClock) -> None:
    answers = [refusal("Throttled"), refusal("Throttled")]

    def late(params: Mapping[str, Any]) -> dict[str, Any]:
        if answers:
            raise answers.pop()
        return stores.move(params)

    cloud.answers["FailoverGlobalCluster"] = late
    move_writer(Action.FAILOVER, WEST, OUTPUTS, cloud, clock)
    assert (cloud.operations().count("FailoverGlobalCluster"), stores.writer) == (3, WEST)


@pytest.mark.parametrize(
    ("answer", "failure"), [
        ({}, CheckFailed("waited 60 s for: step promote")),
        (refusal("Throttled"), AwsFailure("promote: Throttled: no"))])
def test_a_step_that_is_never_done_fails_the_move(
    stores: Stores, cloud: Cloud, clock: InstantClock, answer: Any, failure: Exception
) -> None:
    cloud.answers["FailoverGlobalCluster"] = answer
    clock.least = 1.0
    with pytest.raises(type(failure), match=f"^{failure}$"):
        move_writer(Action.FAILOVER, WEST, OUTPUTS, cloud, clock)
    assert stores.writer == EAST
