"""Traps for a controller, and the killing of processes by what their environment names."""

import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from rehearsal.aws.faults import ApiCall
from rehearsal.drills.process_trap import KILLS, KillPoint, ProcessTrap, kill_processes
from tests.rehearsal.stack import EAST, WEST

POINT = KillPoint("fence", "dynamodb", "UpdateItem")
MINE = ApiCall(WEST, WEST, "dynamodb", "UpdateItem")


class Trapped:
    """A trap for the controller of the west, which has so many processes."""

    def __init__(self, point: KillPoint = POINT, *, after: bool = False, processes: int = 1) -> None:
        self.killed: list[str] = []

        def kill(_call: ApiCall) -> int:
            self.killed += [WEST] * processes
            return processes

        self.trap = ProcessTrap(kill, WEST, point, after)

    def spring(self, *calls: ApiCall) -> list[bool]:
        """What it says of calls, each before it is done and after it."""
        return [self.trap(call, done) for call in calls for done in (False, True)]


@pytest.mark.parametrize("after", [False, True])
def test_a_trap_springs_once_before_the_call_or_after_it(after: bool) -> None:
    trapped = Trapped(after=after)
    assert trapped.spring(MINE, MINE) == [not after, after, False, False]
    assert (trapped.killed, trapped.trap.struck) == ([WEST], 1)


@pytest.mark.parametrize("other", [
    ApiCall(EAST, WEST, "dynamodb", "UpdateItem"), ApiCall(WEST, WEST, "s3", "UpdateItem"),
    ApiCall(WEST, WEST, "dynamodb", "GetItem")])
def test_a_trap_lets_any_other_call_pass(other: ApiCall) -> None:
    trapped = Trapped(after=True)
    assert (any(trapped.spring(other)), trapped.killed) == (False, [])


def test_a_trap_lets_earlier_calls_of_the_same_kind_pass() -> None:
    invoke = ApiCall(WEST, WEST, "lambda", "POST /2015-03-31/functions/tapstack-reconcile-x/invocations")
    trapped = Trapped(KillPoint("reconcile", "lambda", "tapstack-reconcile", 1), after=True)
    assert trapped.spring(invoke, MINE, invoke) == [False, False, False, False, False, True]
    assert trapped.killed == [WEST]


def test_a_trap_may_count_from_another_call_of_the_same_caller() -> None:
    trapped = Trapped(KillPoint("promote", "dynamodb", "UpdateItem", since="PUT "))
    assert trapped.spring(MINE, ApiCall(EAST, WEST, "s3", "PUT /a"), MINE) == [False] * 6
    assert trapped.spring(ApiCall(WEST, WEST, "s3", "PUT /a"), MINE) == [False, False, True, False]


def test_a_trap_may_let_the_call_be_answered() -> None:
    trap = ProcessTrap(lambda _call: 1, WEST, POINT, after=True, resets=False)
    assert [trap(MINE, done) for done in (False, True)] == [False, False]
    assert trap.struck == 1


def test_a_kill_at_the_lever_does_not_take_the_standbys_canary_for_it() -> None:
    (traffic,) = (kill for kill in KILLS if kill.step == "traffic")
    keys = "canary/us-west-2.json", "takeover"
    assert Trapped(traffic).spring(*(ApiCall(WEST, WEST, "s3", f"{method} /bucket/{key}")
                                     for key in keys for method in ("HEAD", "PUT"))) == [False] * 6 + [True, False]


def test_a_trap_that_finds_nothing_to_kill_has_not_sprung() -> None:
    trapped = Trapped(processes=0)
    assert (any(trapped.spring(MINE)), trapped.trap.struck) == (False, 0)


def test_only_the_processes_that_have_all_variables_are_killed() -> None:
    name = f"controller-{uuid4().hex}"
    with subprocess.Popen(["/bin/sleep", "60"], env={"NAME": name, "REGION": EAST}) as mine, subprocess.Popen(
            ["/bin/sleep", "60"], env={"NAME": name, "REGION": WEST}) as other:
        wanted = {f"NAME={name}", f"REGION={EAST}"}
        assert kill_processes(wanted) == 1
        assert (mine.wait(30), other.poll()) == (-9, None)
        assert kill_processes(wanted) == 0
        other.kill()


def test_of_several_processes_only_the_one_that_makes_the_call_is_signalled() -> None:
    variable = f"NAME=controller-{uuid4().hex}"
    connects = "import socket, sys; it = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); sys.stdin.read()"
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", connects, str(server.getsockname()[1])]
        with ExitStack() as stack:
            found = []
            for _ in range(3):
                process = stack.enter_context(subprocess.Popen(command, env=dict([variable.split("=")]),
                                                               stdin=subprocess.PIPE))
                stack.callback(process.kill)
                connection, (_, port) = server.accept()
                stack.enter_context(connection)
                found.append((process, port))
            caller = ApiCall(WEST, WEST, "dynamodb", "PutItem", port=found[1][1])
            assert kill_processes({variable, "OTHER=1"}, call=caller) == 0
            assert kill_processes({variable}, call=caller) == 1
            assert (found[1][0].wait(30), found[0][0].poll(), found[2][0].poll()) == (-9, None, None)


def test_what_cannot_be_read_is_not_killed(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    assert kill_processes({"A=1"}, tmp_path) == 0
