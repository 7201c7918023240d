"""What may befall a call."""
from collections.abc import Callable
from typing import Any

import pytest

from simulator.network import OUTSIDE, NetworkCall, Unanswered, Unavailable
from simulator.vocabulary import FailureMode
from tests.simulator.conftest import EAST, WEST, Machine


class Doom:
    """An adversary that does one thing to every call."""

    active = True

    def __init__(self, fate: str = "", held: float = 0.0,
                 strike: Callable[[NetworkCall, str], object] | None = None) -> None:
        self._fate, self._strike = (fate, held), strike

    def strike(self, call: NetworkCall, moment: str) -> None:
        """Do what it is to do."""
        if self._strike:
            self._strike(call, moment)

    def fate(self, call: NetworkCall) -> tuple[str, float]:
        """Always the same."""
        del call
        return self._fate


def test_a_call_is_served_when_it_arrives_and_answered_later(machine: Machine) -> None:
    served = machine.call(lambda: machine.scheduler.now)
    assert 0.0 < served < machine.do(lambda: machine.scheduler.now)


def test_what_the_service_raises_reaches_its_caller(machine: Machine) -> None:
    with pytest.raises(ZeroDivisionError):
        machine.call(lambda: 1 / 0)


@pytest.mark.parametrize("lost", [WEST, EAST])
def test_nobody_reaches_a_lost_region_or_calls_from_it(machine: Machine, lost: str) -> None:
    machine.network.dead[lost] = 0.0
    with pytest.raises(Unanswered) as raised:
        machine.call(lambda: 1, WEST, EAST)
    assert not raised.value.connected


def test_a_cut_in_one_direction_leaves_no_answer(machine: Machine) -> None:
    machine.network.cuts.add((WEST, EAST))
    assert machine.network.reaches(EAST, WEST)
    assert not machine.network.connected(EAST, WEST)
    with pytest.raises(Unanswered):
        machine.call(lambda: 1, WEST, EAST)
    assert machine.call(lambda: 1, WEST, OUTSIDE) == 1


@pytest.mark.parametrize(("mode", "throttled"), [(FailureMode.ERROR, False), (FailureMode.THROTTLED, True)])
def test_a_service_refuses(machine: Machine, mode: FailureMode, throttled: bool) -> None:
    machine.network.refusing[WEST, "s3"] = mode
    with pytest.raises(Unavailable) as raised:
        machine.call(lambda: 1)
    assert raised.value.throttled is throttled


def test_a_service_hangs_for_as_long_as_its_caller_waits(machine: Machine) -> None:
    machine.network.refusing[WEST, "s3"] = FailureMode.HANG
    with pytest.raises(Unanswered) as raised:
        machine.call(lambda: 1)
    assert raised.value.connected
    assert machine.scheduler.now >= 1.0


@pytest.mark.parametrize(("fate", "served", "answered"), [
    ("", 1, True), ("fail", 0, False), ("lose", 1, False), ("twice", 2, True)])
def test_the_fates_of_a_call(machine: Machine, fate: str, served: int, answered: bool) -> None:
    calls: list[int] = []
    machine.network.adversary = Doom(fate)
    try:
        assert machine.call(lambda: calls.append(1)) is None
    except (Unanswered, Unavailable):
        assert not answered
    else:
        assert answered
    machine.scheduler.run(machine.scheduler.now + 10.0)
    assert len(calls) == served


def test_a_call_that_is_held_back_arrives_after_its_caller_has_given_up(machine: Machine) -> None:
    calls: list[float] = []
    machine.network.adversary = Doom(held=20.0)
    with pytest.raises(Unanswered):
        machine.call(lambda: calls.append(machine.scheduler.now))
    assert machine.scheduler.now < 5.0
    machine.scheduler.run(30.0)
    assert calls
    assert calls[0] > 20.0


def test_a_caller_may_be_killed_before_its_call_and_frozen_after_it(machine: Machine) -> None:
    calls: list[float] = []
    def freeze(call: NetworkCall, moment: str) -> None:
        if moment == "after":
            call.caller.freeze(50.0)

    machine.network.adversary = Doom(strike=freeze)
    machine.call(lambda: calls.append(machine.scheduler.now))
    assert machine.scheduler.now >= 50.0
    machine.network.adversary = Doom(strike=lambda call, _: call.caller.kill())
    with pytest.raises(TypeError):  # there is no result
        machine.call(lambda: calls.append(machine.scheduler.now))
    assert len(calls) == 1


def test_a_spared_process_is_never_struck(machine: Machine) -> None:
    machine.network.adversary = Doom("fail", strike=lambda call, _: call.caller.kill())
    machine.processes[OUTSIDE].spared = True
    assert machine.call(lambda: 1) == 1


def test_a_request_waits_for_whoever_answers_it(machine: Machine) -> None:
    def arrive(answer: Any) -> None:
        machine.scheduler.at(0.5, lambda: answer("late", None))

    call = NetworkCall(machine.processes[EAST], WEST, "lambda", "Invoke", 1.0)
    assert machine.do(lambda: machine.network.request(call, arrive), EAST) == "late"
    with pytest.raises(Unanswered):
        machine.do(lambda: machine.network.request(call, lambda _: None), EAST)


def test_a_call_to_a_shunned_region_is_reported(machine: Machine) -> None:
    calls: list[NetworkCall] = []
    machine.network.shunned = calls.append
    machine.processes[EAST].shuns = WEST
    machine.call(lambda: 1, EAST, EAST)
    assert not calls
    machine.call(lambda: 1, WEST, EAST)
    assert [call.region for call in calls] == [WEST]
