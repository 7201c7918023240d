"""The clock that starts the controllers, and whatever else is done again and again."""

import json
import threading
import time
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from rehearsal.aws.faults import FailureMode, Faults
from rehearsal.drills.emulated import eventbridge
from rehearsal.drills.emulated.eventbridge import ControllerSchedule, PeriodicTask
from tests.rehearsal.cloud import Cloud, refusal

EAST, WEST = "us-east-1", "us-west-2"


@pytest.fixture
def ground(cloud: Cloud) -> Any:
    """What a clock needs of a deployed stack; `beside` counts whose relay is used."""
    beside: list[str] = []

    def at(region: Any) -> Cloud:
        beside.append(region.name)
        return cloud

    regions = [SimpleNamespace(role=role, name=name) for role, name in (("primary", EAST), ("dr", WEST))]
    return SimpleNamespace(faults=Faults(), sides=lambda: regions, beside=at, asked=beside, outputs={
        "primary_controller_function_name": "controller-east", "dr_controller_function_name": "controller-west"})


def starts(cloud: Cloud) -> list[tuple[str, dict[str, Any]]]:
    """Region and parameters of every start of a function."""
    return [(region, params) for operation, region, params in list(cloud.calls) if operation == "Invoke"]


def run(ground: Any, cloud: Cloud, count: int, factor: float = 6000) -> ControllerSchedule:
    """A clock that has stopped after so many starts."""
    made = ControllerSchedule(ground, factor)
    made.start()
    deadline = time.monotonic() + 5
    while len(starts(cloud)) < count and time.monotonic() < deadline:
        time.sleep(0.002)
    made.stop()
    return made


def test_both_controllers_are_started_at_once_as_eventbridge_does_it(ground: Any, cloud: Cloud) -> None:
    assert run(ground, cloud, 2, factor=0.1).errors == []
    assert sorted((region, params["FunctionName"]) for region, params in starts(cloud)) == [
        (EAST, "controller-east"), (WEST, "controller-west")]
    for region, params in starts(cloud):
        assert (params["Qualifier"], params["InvocationType"]) == ("live", "Event")
        event = json.loads(params["Payload"])
        assert (event["source"], event["detail-type"], event["region"]) == ("aws.events", "Scheduled Event", region)
    assert ground.asked == [EAST, WEST]


def test_they_are_started_again_and_again(ground: Any, cloud: Cloud) -> None:
    run(ground, cloud, 8)
    assert {region for region, _ in starts(cloud)} == {EAST, WEST}
    number = len(cloud.calls)
    time.sleep(0.03)
    assert len(cloud.calls) == number


def test_nothing_but_the_controllers_is_touched_and_nothing_before_the_start(ground: Any, cloud: Cloud) -> None:
    ControllerSchedule(ground).stop()
    assert cloud.calls == []
    run(ground, cloud, 2).stop()
    assert set(cloud.operations()) == {"Invoke"}


@pytest.mark.parametrize("manner", FailureMode)
def test_a_region_that_is_cut_off_has_no_start_and_that_is_no_error(
    ground: Any, cloud: Cloud, manner: FailureMode
) -> None:
    ground.faults.cut(EAST, manner)
    assert run(ground, cloud, 3).errors == []
    assert {region for region, _ in starts(cloud)} == {WEST}


def test_a_region_that_lives_on_behind_its_cut_has_its_clock_there(ground: Any, cloud: Cloud) -> None:
    ground.faults.cut(EAST, inside=True)
    run(ground, cloud, 6)
    assert {region for region, _ in starts(cloud)} == {EAST, WEST}


def test_a_start_that_the_cut_breaks_off_is_no_error(ground: Any, cloud: Cloud) -> None:
    def cut(_: object) -> dict[str, object]:
        for region in (EAST, WEST):
            ground.faults.cut(region)
        raise refusal("ConnectionReset")

    cloud.answers["Invoke"] = cut
    assert run(ground, cloud, 1).errors == []


def test_any_other_failure_is_kept_and_the_next_start_comes(ground: Any, cloud: Cloud) -> None:
    cloud.answers["Invoke"] = refusal("ResourceNotFoundException", "no such function")
    errors = run(ground, cloud, 4).errors
    assert len(errors) == len(starts(cloud))
    assert "no such function" in str(errors[0])


def test_work_that_takes_long_lets_turns_go_by() -> None:
    moments: list[float] = []

    def work() -> None:
        moments.append(time.monotonic())
        time.sleep(0.03)
        if len(moments) == 3:
            done.set()

    done = threading.Event()
    ticker = PeriodicTask("test", 0.02, work)
    ticker.start()
    assert done.wait(5)
    ticker.stop()
    assert len(moments) <= 4
    assert all(after - before >= 0.029 for before, after in pairwise(moments))


def test_a_ticker_stops_before_it_starts_and_twice() -> None:
    ticker = PeriodicTask("test", eventbridge.MINUTE, lambda: None)
    ticker.stop()
    ticker.start()
    ticker.stop()
    ticker.stop()
    assert ticker.errors == []
