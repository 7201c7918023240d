"""Lambda, API Gateway and the schedule."""
from typing import Any

import pytest

from simulator.functions import HEALTH, LEVER, Function, Functions, Gateway, LambdaClient, Schedule
from simulator.scheduler import Process
from simulator.vocabulary import FailureMode
from tests.simulator.conftest import EAST, WEST, Machine


def functions(machine: Machine, handler: Any, **limits: Any) -> tuple[Functions, list[Process]]:
    """A function, and the environments that were started for it."""
    made, started = Functions(machine.network), list[Process]()

    def start(process: Process) -> Any:
        started.append(process)
        return lambda event, context: handler(process, event, context)

    made.add(Function("f", EAST, start, limits.pop("timeout", 10.0), **limits))
    return made, started


def invoke(machine: Machine, made: Functions) -> dict[str, Any]:
    """The answer of an invocation."""
    client = LambdaClient(made, machine.processes[EAST], EAST, 60.0)
    found: dict[str, Any] = machine.do(lambda: client.invoke(FunctionName="f"), EAST)
    return {**found, "Payload": found["Payload"].read().decode()}


def test_an_environment_is_used_again_and_frozen_between_two_invocations(machine: Machine) -> None:
    made, started = functions(machine, lambda *_: {"ok": True})
    assert invoke(machine, made)["Payload"] == '{"ok": true}'
    assert started[0].idle_since is not None
    invoke(machine, made)
    assert len(started) == 1


def test_two_invocations_at_once_have_an_environment_each(machine: Machine) -> None:
    made, started = functions(machine, lambda process, *_: process.sleep(5.0))
    for _ in range(2):
        made.invoke(EAST, "f", {}, lambda _found, _error: None)
    machine.scheduler.run(20.0)
    assert len(started) == 2


def test_a_function_ends_at_its_time_limit_and_its_environment_with_it(machine: Machine) -> None:
    made, started = functions(machine, lambda process, *_: process.sleep(500.0))
    assert "timed out" in invoke(machine, made)["Payload"]
    assert not started[0].alive


def test_a_handler_that_raises_is_a_crash(machine: Machine) -> None:
    made, _ = functions(machine, lambda *_: 1 / 0)
    assert invoke(machine, made)["FunctionError"] == "Unhandled"
    assert [event.facts["why"] for event in machine.history.of("crashed")] == ["ZeroDivisionError: division by zero"]


def test_an_answer_may_be_too_large(machine: Machine) -> None:
    made, _ = functions(machine, lambda *_: "x" * 100, answer=50)
    assert "ResponseSizeTooLarge" in invoke(machine, made)["Payload"]
    assert not machine.history.of("crashed")


@pytest.mark.parametrize(("number", "ends"), [(10, False), (10_000, True)])
def test_a_function_may_run_out_of_memory(machine: Machine, number: int, ends: bool) -> None:
    def hold(process: Process, *_: Any) -> str:
        held = list(range(number))
        process.sleep(1.0)
        return str(len(held))

    made, _ = functions(machine, hold, memory=100_000)
    for _ in range(10_000):  # what is to come is no memory of the function
        machine.scheduler.at(1e6, machine.scheduler.end)
    assert ("OutOfMemory" in invoke(machine, made)["Payload"]) is ends
    assert (made.peak > 100_000) is ends


@pytest.mark.parametrize(("state", "path", "status"), [
    ("", HEALTH, 200), ("", "/health", 403), ("", LEVER, 200), ("flooded", HEALTH, 429), ("flooded", LEVER, 429),
    ("flooded", "/payment", 200), ("down", HEALTH, 503)])
def test_the_gateway(machine: Machine, state: str, path: str, status: int) -> None:
    made, _ = functions(machine, lambda *_: {"statusCode": 200, "body": "{}"})
    gateway = Gateway(machine.network, made, "f", lambda region: region == EAST)
    if state:
        getattr(gateway, state).add(EAST)
    answers = [machine.do(lambda: gateway.request(machine.processes[EAST], EAST, "GET", path, patience=5.0))[0]
               for _ in range(5)]
    assert status in answers
    assert state != "" or answers == [status] * 5


@pytest.mark.parametrize(("region", "refuses", "status"), [(EAST, False, 200), (WEST, False, 404), (EAST, True, 500)])
def test_the_lever_is_shown_without_the_function(machine: Machine, region: str, refuses: bool, status: int) -> None:
    made, started = functions(machine, lambda *_: 1 / 0)
    gateway = Gateway(machine.network, made, "f", lambda each: each == EAST)
    machine.network.refusing.update({(region, "s3"): FailureMode.ERROR} if refuses else {})
    process = machine.processes[region]
    assert machine.do(lambda: gateway.request(process, region, "GET", LEVER, patience=5.0))[0] == status
    assert not started


def test_the_gateway_answers_for_a_function_that_fails_or_is_throttled(machine: Machine) -> None:
    made, _ = functions(machine, lambda *_: 1 / 0)
    gateway = Gateway(machine.network, made, "f", lambda region: region == EAST)
    assert machine.do(lambda: gateway.request(machine.processes[EAST], EAST, "GET", "/payment", patience=5.0))[0] == 502
    made.reserved[EAST, "f"] = 0
    assert machine.do(lambda: gateway.request(machine.processes[EAST], EAST, "GET", "/payment", patience=5.0))[0] == 500


@pytest.mark.parametrize("fails", [False, True])
def test_the_schedule_starts_once_a_minute_and_repeats_nothing(machine: Machine, fails: bool) -> None:
    begun: list[float] = []

    def handle(*_: Any) -> None:
        begun.append(machine.scheduler.now)
        if fails:
            raise ValueError

    made, _ = functions(machine, handle)
    schedule = Schedule(machine.network, made, "f", (EAST,))
    machine.scheduler.run(170.0)
    assert len(begun) == 3
    schedule.stopped.add(EAST)
    number = len(begun)
    machine.scheduler.run(1000.0)
    assert len(begun) == number


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(("lasts", "starts"), [(10.0, 1), (100.0, 0)])
def test_an_asynchronous_start_that_lambda_throttles_or_fails_is_tried_again_for_a_while(
        machine: Machine, fails: bool, lasts: float, starts: int) -> None:
    begun: list[float] = []
    made, _ = functions(machine, lambda *_: begun.append(machine.scheduler.now))
    if fails:
        machine.network.refusing[EAST, "lambda"] = FailureMode.ERROR
    else:
        made.reserved[EAST, "f"] = 0
    machine.scheduler.at(lasts, made.reserved.clear)
    machine.scheduler.at(lasts, machine.network.refusing.clear)
    made.start(EAST, "f", {})
    machine.scheduler.run(1000.0)
    assert len(begun) == starts
