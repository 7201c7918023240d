"""The schedule that starts the controllers, and what is done periodically, on a clock that the test moves."""

import json
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from rehearsal.aws.faults import Cut, FailureMode, Faults
from rehearsal.drills.emulated.eventbridge import ControllerSchedule, PeriodicTask
from tests.rehearsal.cloud import Cloud, refusal
from tests.rehearsal.stack import EAST, OUTPUTS, WEST
from tests.rehearsal.workload.api import InstantClock


class Turns:
    """Lets a task wait on a clock without waiting, and stops it after so many turns."""

    def __init__(self, count: int) -> None:
        self.clock, self.waits, self._count = InstantClock(), list[float](), count

    def wait(self, stopped: threading.Event, seconds: float) -> bool:
        """Move the clock."""
        self.clock.now += seconds
        self.waits.append(seconds)
        return len(self.waits) > self._count or stopped.is_set()

    def run(self, work: Callable[[], object], seconds: float = 6.0) -> PeriodicTask:
        """A task that has run on this thread."""
        task = PeriodicTask("test", seconds, work, self.clock, self.wait)
        task.run()
        return task


def test_work_is_done_at_once_and_then_every_so_many_seconds() -> None:
    turns, moments = Turns(3), list[float]()
    turns.run(lambda: moments.append(turns.clock.now))
    assert moments == [100, 106, 112]


def test_work_that_takes_time_does_not_delay_the_next_turn_unless_it_takes_longer_than_that() -> None:
    turns, moments, takes = Turns(4), list[float](), iter([2.0, 20.0, 0.0, 0.0])

    def work() -> None:
        moments.append(turns.clock.now)
        turns.clock.now += next(takes)

    turns.run(work)
    assert moments == [100, 106, 126, 132]


def test_an_error_is_kept_and_the_next_turn_comes() -> None:
    errors = Turns(2).run(lambda: 1 // 0).errors
    assert [type(error) for error in errors] == [ZeroDivisionError] * 2


def test_a_task_stops_before_it_starts_and_twice() -> None:
    begun = threading.Event()
    task = PeriodicTask("test", 60.0, begun.set)
    task.stop()
    task = PeriodicTask("test", 60.0, begun.set)
    task.start()
    assert begun.wait(30)
    task.stop()
    task.stop()
    assert task.errors == []


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


def turn(rehearsed: Any) -> ControllerSchedule:
    """A schedule of which each task has had one turn."""
    schedule = ControllerSchedule(rehearsed, 10, InstantClock(now=0.0))
    for task in schedule.tasks:
        turns = Turns(1)
        vars(task)["_wait"] = turns.wait
        task.run()
    return schedule


def starts(cloud: Cloud) -> list[tuple[str, dict[str, Any]]]:
    """Region and parameters of every start of a function."""
    return [(region, params) for operation, region, params in cloud.calls if operation == "Invoke"]


def test_both_controllers_are_started_as_eventbridge_does_it(rehearsed: Any, cloud: Cloud) -> None:
    schedule = turn(rehearsed)
    assert ([task.seconds for task in schedule.tasks], schedule.errors) == ([6, 6], [])
    assert [(region, params["FunctionName"]) for region, params in starts(cloud)] == [
        (EAST, "controller_function_name-primary"), (WEST, "controller_function_name-dr")]
    for region, params in starts(cloud):
        assert (params["Qualifier"], params["InvocationType"]) == ("live", "Event")
        event = json.loads(params["Payload"])
        assert (event["source"], event["detail-type"], event["region"]) == ("aws.events", "Scheduled Event", region)
        assert event["time"] == "1970-01-01T00:00:00Z"
    assert rehearsed.asked == [EAST, WEST]


def test_nothing_is_started_before_the_schedule_is(rehearsed: Any, cloud: Cloud) -> None:
    ControllerSchedule(rehearsed).stop()
    assert cloud.calls == []


@pytest.mark.parametrize("failure", FailureMode)
def test_a_region_that_is_cut_off_has_no_start_and_that_is_no_error(
        rehearsed: Any, cloud: Cloud, failure: FailureMode) -> None:
    rehearsed.faults.inject(Cut(EAST, failure))
    assert turn(rehearsed).errors == []
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
    assert turn(rehearsed).errors == []


def test_any_other_failure_is_kept(rehearsed: Any, cloud: Cloud) -> None:
    cloud.answers["Invoke"] = refusal("ResourceNotFoundException", "no such function")
    assert ["no such function" in str(error) for error in turn(rehearsed).errors] == [True, True]


def test_a_schedule_goes_on_from_its_start_to_its_stop(rehearsed: Any, cloud: Cloud) -> None:
    started_both = threading.Barrier(3)

    def started(_: object) -> dict[str, object]:
        started_both.wait(30)
        return {}

    cloud.answers["Invoke"] = started
    schedule = ControllerSchedule(rehearsed)
    schedule.start()
    started_both.wait(30)
    schedule.stop()
    assert len(starts(cloud)) == 2
