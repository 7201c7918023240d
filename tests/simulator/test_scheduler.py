"""Virtual time, and what may befall a process in it."""
from functools import partial
from typing import Any

import pytest

from simulator.scheduler import EPOCH, Process, Scheduler, Signal
from tests.simulator.conftest import EAST, Machine


def note(process: Process, into: list[float], pauses: tuple[float, ...]) -> None:
    """Sleep again and again, and note when each sleep ends."""
    for pause in pauses:
        process.sleep(pause)
        into.append(process.scheduler.now)


def begin(machine: Machine, *pauses: float, process: Process | None = None) -> list[float]:
    """When a task that sleeps again and again wakes up."""
    into: list[float] = []
    process = process or machine.processes[EAST]
    machine.scheduler.spawn(process, partial(note, process, into, pauses))
    return into


def test_time_passes_only_in_waits(machine: Machine) -> None:
    woken = begin(machine, 5.0, 7.0)
    machine.scheduler.run(100.0)
    assert woken == [5.0, 12.0]
    assert machine.processes[EAST].time() == EPOCH + 100.0


def test_a_killed_process_does_nothing_more_not_even_its_cleanup(machine: Machine) -> None:
    process, cleaned = machine.processes[EAST], []

    def work() -> None:
        try:
            process.sleep(10.0)
        finally:
            cleaned.append(1)

    machine.scheduler.spawn(process, work)
    machine.scheduler.at(5.0, process.kill)
    machine.scheduler.run(100.0)
    assert not cleaned


def test_a_kill_is_reported_once(machine: Machine) -> None:
    process, ended = machine.processes[EAST], []
    process.ended.append(lambda: ended.append(1))
    process.kill()
    process.kill()
    assert ended == [1]


def test_a_frozen_process_goes_on_when_it_thaws(machine: Machine) -> None:
    woken = begin(machine, 5.0)
    machine.scheduler.at(1.0, lambda: machine.processes[EAST].freeze(60.0))
    machine.scheduler.run(100.0)
    assert woken == [61.0]


@pytest.mark.parametrize(("stands_still", "monotonic"), [(True, 40.0), (False, 100.0)])
def test_the_monotonic_clock_of_a_frozen_process_may_stand_still(
        machine: Machine, stands_still: bool, monotonic: float) -> None:
    process = Process(machine.scheduler, "p", EAST, stands_still=stands_still)
    machine.scheduler.at(10.0, lambda: process.freeze(60.0))
    machine.scheduler.at(20.0, lambda: process.freeze(10.0))
    machine.scheduler.run(100.0)
    assert process.monotonic() == monotonic
    assert process.time() == EPOCH + 100.0


def test_an_idle_process_goes_on_when_it_is_resumed(machine: Machine) -> None:
    process = Process(machine.scheduler, "p", EAST, stands_still=True)
    woken = begin(machine, 5.0, process=process)
    machine.scheduler.at(1.0, process.idle)
    machine.scheduler.at(31.0, process.resume)
    machine.scheduler.run(100.0)
    assert woken == [31.0]
    assert process.monotonic() == 70.0


def test_a_skewed_process_has_another_wall_clock(machine: Machine) -> None:
    machine.processes[EAST].skew = -600.0
    assert machine.processes[EAST].time() == EPOCH - 600.0
    assert machine.processes[EAST].monotonic() == 0.0


def test_a_signal_wakes_who_waits_and_a_late_one_nobody(machine: Machine) -> None:
    signal, late = Signal(machine.scheduler), Signal(machine.scheduler)
    machine.scheduler.at(3.0, lambda: signal.fire(1))
    machine.scheduler.at(30.0, lambda: late.fire(2))
    assert machine.do(lambda: (signal.wait(10.0), late.wait(10.0), machine.scheduler.now)) == (True, False, 13.0)


def test_a_task_that_raises_says_so_where_it_is_waited_for(machine: Machine) -> None:
    with pytest.raises(ZeroDivisionError):
        machine.do(lambda: 1 / 0)


def test_a_bounded_task_goes_on_after_its_time(machine: Machine) -> None:
    process, ended = machine.processes[EAST], []

    def slow() -> None:
        process.sleep(10.0)
        ended.append(machine.scheduler.now)

    def work() -> tuple[bool, float]:
        return machine.scheduler.run_within(process, slow, 2.0).set, machine.scheduler.now

    assert machine.do(work, EAST) == (False, 2.0)
    machine.scheduler.run(100.0)
    assert ended == [10.0]


def order(seed: int) -> list[int]:
    """The order in which a seed lets things happen."""
    scheduler, found = Scheduler(seed), list[int]()
    for number in range(20):
        scheduler.at(1.0, partial(found.append, number))
    scheduler.run(2.0)
    return found


def test_the_seed_draws_the_order_of_what_happens_at_one_moment() -> None:
    orders: list[Any] = [order(1), order(1), order(2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[2]) == list(range(20))
