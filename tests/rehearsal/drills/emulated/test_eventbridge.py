"""The schedule that starts the controllers."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rehearsal.aws.faults import Cut, Faults
from rehearsal.drills.emulated.eventbridge import controller_schedule
from rehearsal.drills.emulated.periodic import PeriodicTask
from simulator.vocabulary import FailureMode
from tests.rehearsal.cloud import Cloud, refusal
from tests.rehearsal.stack import EAST, OUTPUTS, WEST
from tests.rehearsal.workload.api import InstantClock


class Region:
    """Regions whose controllers can be started, and whose clients are counted."""

    def __init__(self, cloud: Cloud) -> None:
        self.faults, self.asked, self.outputs, self._cloud = Faults(), list[str](), OUTPUTS, cloud
        self._regions = [SimpleNamespace(role=role, name=name) for role, name in (("primary", EAST), ("dr", WEST))]

    def writer_and_standby(self) -> list[Any]:
        """Both."""
        return self._regions

    def clients_in(self, region: Any) -> Cloud:
        """The cloud, from there."""
        self.asked.append(region.name)
        return self._cloud


@pytest.fixture
def rehearsed(cloud: Cloud) -> Any:
    """What a schedule needs of a rehearsed stack."""
    return Region(cloud)


def turn(rehearsed: Any) -> list[PeriodicTask]:
    """A schedule of which each task has had one turn."""
    tasks = controller_schedule(rehearsed, 10, InstantClock(now=0.0))
    for task in tasks:
        task.work()
    return tasks


def starts(cloud: Cloud) -> list[tuple[str, dict[str, Any]]]:
    """Region and parameters of every start of a function."""
    return [(region, params) for operation, region, params in cloud.calls if operation == "Invoke"]


def test_both_controllers_are_started_as_eventbridge_does_it(rehearsed: Any, cloud: Cloud) -> None:
    assert [task.seconds for task in turn(rehearsed)] == [6, 6]
    assert [(region, params["FunctionName"]) for region, params in starts(cloud)] == [
        (EAST, "controller_function_name-primary"), (WEST, "controller_function_name-dr")]
    for region, params in starts(cloud):
        assert (params["Qualifier"], params["InvocationType"]) == ("live", "Event")
        event = json.loads(params["Payload"])
        assert (event["source"], event["detail-type"], event["region"]) == ("aws.events", "Scheduled Event", region)
        assert event["time"] == "1970-01-01T00:00:00Z"
    assert rehearsed.asked == [EAST, WEST]


@pytest.mark.parametrize("failure", FailureMode)
def test_a_region_that_is_cut_off_has_no_start_and_that_is_no_error(
        rehearsed: Any, cloud: Cloud, failure: FailureMode) -> None:
    rehearsed.faults.inject(Cut(EAST, failure))
    turn(rehearsed)
    assert [region for region, _ in starts(cloud)] == [WEST]


def test_a_region_that_lives_on_behind_its_cut_has_its_schedule_there(rehearsed: Any, cloud: Cloud) -> None:
    rehearsed.faults.inject(Cut(EAST, inside=True))
    turn(rehearsed)
    assert [region for region, _ in starts(cloud)] == [EAST, WEST]


def test_a_start_that_the_cut_breaks_off_is_no_error(rehearsed: Any, cloud: Cloud) -> None:
    def cut(_: object) -> dict[str, object]:
        for region in (EAST, WEST):
            rehearsed.faults.inject(Cut(region))
        raise refusal("ConnectionReset")

    cloud.answers["Invoke"] = cut
    turn(rehearsed)
    assert [region for region, _ in starts(cloud)] == [EAST]


def test_any_other_failure_is_an_error(rehearsed: Any, cloud: Cloud) -> None:
    cloud.answers["Invoke"] = refusal("ResourceNotFoundException", "no such function")
    with pytest.raises(ClientError, match="no such function"):
        turn(rehearsed)
