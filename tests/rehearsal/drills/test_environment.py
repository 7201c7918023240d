"""The environment of drills: what it waits for before a drill, and how it restores everything after it."""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from contract import Store
from recovery.observation import Observation
from recovery.record import Run
from rehearsal.aws.faults import OUTSIDE, WORLD, ApiCall, Cut, Fault, Lag, Lose
from rehearsal.drills.environment import CLIENT_TIMEOUT, CommandLine, DrillEnvironment
from rehearsal.drills.recording import CommandResult
from rehearsal.errors import CheckFailed
from rehearsal.polling import wait_until
from rehearsal.postgres.global_database import ServerRole
from tests.rehearsal.cloud import Cloud
from tests.rehearsal.drills.world import World, sees
from tests.rehearsal.stack import EAST, OUTPUTS, REGIONS, WEST


@pytest.fixture
def world(cloud: Cloud) -> World:
    """A world in which everything is in order."""
    return World(cloud)


@pytest.fixture
def environment(world: World) -> DrillEnvironment:
    """An environment in it, in which nothing goes yet."""
    return world.environment()


def run(action: str = "failover", ended: float | None = None) -> Run:
    """A run to the west."""
    return Run(id="r", action=action, target=WEST, driver="d", began=0, why="", ended=ended)


def test_everything_goes_from_the_beginning_to_the_end(world: World, environment: DrillEnvironment) -> None:
    world.faults.inject(Cut(EAST))
    with environment:
        assert world.done == ["start checks", "start schedule"]
    assert {*world.done[2:]} == {"stop checks", "stop schedule"}
    assert world.faults.cut_off() == []


def test_the_name_leads_where_dns_does_and_controllers_look_as_often_as_the_factor_says(
        world: World, environment: DrillEnvironment) -> None:
    world.leads_to = WEST
    assert (environment.resolve(), environment.look_seconds) == ((WEST, 0.6), 0.1)


@pytest.mark.parametrize(("keep", "seconds"), [(0.0, 0.6), (0.8, 0.8)])
def test_clients_are_outside_and_keep_an_address_for_its_ttl_or_longer(
        world: World, environment: DrillEnvironment, keep: float, seconds: float) -> None:
    where = environment.where(keep)
    api = where()
    assert (api.region, api.via, api.timeout) == (EAST, f"http://127.0.0.1:9/{WORLD}", CLIENT_TIMEOUT)
    for leads_to, before in ((WEST, EAST), (EAST, WEST)):
        world.leads_to, world.clock.now = leads_to, world.clock.now + seconds - 0.01
        assert where().region == before
        world.clock.now += 0.011
        assert where().region == leads_to


def test_a_wait_in_vain_says_what_was_seen(world: World, environment: DrillEnvironment) -> None:
    world.observations[WEST] = sees(WEST, alive=False, why="timed out")
    with pytest.raises(CheckFailed, match=r"^waited 0.5 s for: the end; .*timed out.*; no start$"):
        environment.wait(lambda: False, "the end")
    assert world.clock.now >= 100.5


# --- Commands


def program(tmp_path: Path, script: str, timeout: float = 30) -> CommandLine:
    """A command line whose program is a shell script."""
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return CommandLine({"ASKED": "yes"}, tmp_path, [str(path)], timeout)


def test_a_command_finds_the_deployment_and_its_result_has_all_it_printed(tmp_path: Path) -> None:
    begin = program(tmp_path, 'echo "$@"; echo "$ASKED" >&2; pwd; exit 2')
    first, second = begin("failover --to east"), begin("status")
    assert second() == CommandResult("status", 2, f"status yes {tmp_path}")
    assert first().text.startswith("failover --to east yes")


def test_a_command_that_does_not_end_is_killed(tmp_path: Path) -> None:
    result = program(tmp_path, "echo begun; exec sleep 60", timeout=0)("failback")()
    assert (result.code, result.text in ("", "begun")) == (-9, True)


def test_commands_are_those_of_recovery() -> None:
    assert CommandLine({}, Path()).program == (sys.executable, "-m", "recovery")


# --- Before a drill


def test_a_drill_begins_with_regions_that_are_warm(world: World, environment: DrillEnvironment) -> None:
    environment.ready()
    assert sorted(world.done) == [f"warm {EAST}", f"warm {WEST}"]


@pytest.mark.parametrize(("moved", "began"), [(0.0, 100), (100.0, 103)])
def test_a_drill_waits_until_the_controllers_may_act_again(
        world: World, environment: DrillEnvironment, moved: float, began: float) -> None:
    world.moved = moved
    replace(environment, patience=10).ready()
    assert began - 0.1 < world.clock.now < began + 1.2  # the table service's clock shows whole seconds


@pytest.mark.parametrize("last", [None, sees(WEST, at=0.0)])
def test_a_drill_waits_until_both_controllers_have_looked_lately(
        world: World, environment: DrillEnvironment, last: Observation | None) -> None:
    del world.observations[WEST]
    world.observations.update({WEST: last} if last else {})
    with pytest.raises(CheckFailed, match=r"^waited 0.5 s for: the controllers report"):
        environment.ready()


def unseen(world: World) -> None:
    """The controller of the east sees that the other region is not ready."""
    world.observations[EAST] = sees(EAST, ready=False, why="ledger")


@pytest.mark.parametrize(("change", "complaint"), [
    (lambda world: world.leaders.update({EAST: (2, WEST)}), "leader and writer"),
    (lambda world: setattr(world.database, "writer", WEST), "leader and writer"),
    (lambda world: setattr(world.database, "role", lambda _: ServerRole.STALE), f"database in {WEST}: 'stale writer'"),
    (lambda world: world.levers.add(WEST), f"levers: ['{WEST}']"),
    (lambda world: setattr(world, "leads_to", WEST), "DNS leads to"),
    (unseen, "what controllers see: ['ledger']"),
    (lambda world: world.observations.update({WEST: sees(WEST, refused=["lag"])}), "a failover would be refused"),
    (lambda world: world.waiting.append("x"), "copies that wait: ['table']"),
])
def test_a_drill_does_not_begin_before_everything_is_in_order(
        world: World, environment: DrillEnvironment, change: Callable[[World], None], complaint: str) -> None:
    change(world)
    with pytest.raises(CheckFailed) as failed:
        environment.ready()
    assert complaint in str(failed.value)


# --- After a drill


@pytest.mark.parametrize("cut", [[], [EAST], [WEST], [EAST, WEST]])
def test_all_works_again_without_a_lag(world: World, environment: DrillEnvironment, cut: list[str]) -> None:
    for region in cut:
        world.faults.inject(Cut(region))
    world.faults.inject(Lose(WEST, "receipts"))
    injected = list[Fault]()
    world.faults.listen(injected.append)
    environment.restore()
    assert (world.faults.cut_off(), world.faults.lost()) == ([], [])
    assert {each for each in injected if isinstance(each, Lag)} == {
        Lag(store, *way, 0) for store in Store for way in ((EAST, WEST), (WEST, EAST))}


def test_each_region_repairs_its_stores_after_the_way_back(world: World, environment: DrillEnvironment) -> None:
    world.leaders, world.database.writer, world.repairs = dict.fromkeys(REGIONS, (2, WEST)), WEST, ["table: timeout"]
    environment.restore()
    assert world.done == ["failback", f"repair {EAST}", f"repair {EAST}", f"repair {WEST}"]


def test_the_program_is_deployed_again_after_the_way_back(world: World, environment: DrillEnvironment) -> None:
    world.leaders, world.database.writer = dict.fromkeys(REGIONS, (2, WEST)), WEST
    assert replace(environment, check_drift=lambda: [world.database.writer]).restore() == [EAST]


def test_a_repair_that_does_not_pass_is_an_error(world: World, environment: DrillEnvironment) -> None:
    world.repairs = ["table: timeout"] * 999
    with pytest.raises(CheckFailed, match=f"^waited 2.5 s for: the repair of {EAST} has passed"):
        environment.restore()


@pytest.mark.parametrize(("leader", "writer", "needed"), [
    (EAST, EAST, 0), (WEST, WEST, 1), (EAST, WEST, 1), (WEST, EAST, 1)])
def test_what_has_moved_is_brought_back_by_the_products_own_means(
        world: World, environment: DrillEnvironment, leader: str, writer: str, needed: int) -> None:
    world.leaders, world.database.writer = dict.fromkeys(REGIONS, (2, leader)), writer
    environment.restore()
    assert world.done.count("failback") == needed


def test_a_failback_that_is_refused_is_asked_for_again_but_not_for_ever(
        world: World, environment: DrillEnvironment) -> None:
    world.leaders, world.database.writer = dict.fromkeys(REGIONS, (2, WEST)), WEST
    world.failbacks = [2, 2, 0]
    environment.restore()
    assert world.done.count("failback") == 3
    world.leaders, world.failbacks = dict.fromkeys(REGIONS, (2, WEST)), [2] * 99
    with pytest.raises(CheckFailed, match=r"^recovery failback: exit 2: 2 instead of 0$"):
        environment.restore()


@pytest.mark.parametrize("seeing", [{"alive": False}, {"ready": False}])
def test_the_region_that_takes_payments_is_healed_and_seen_before_the_other_one(
        world: World, environment: DrillEnvironment, seeing: dict[str, Any]) -> None:
    world.leaders = dict.fromkeys(REGIONS, (2, WEST))
    world.observations[EAST] = sees(EAST, **seeing)
    world.faults.inject(Lose(WEST, "receipts"))
    world.faults.inject(Lose(EAST, "table"))
    sleep, lost = world.clock.sleep, list[Any]()

    def see(seconds: float) -> None:
        lost.append(world.faults.lost())
        world.observations[EAST] = sees(EAST)
        sleep(seconds)

    vars(world.clock)["sleep"] = see
    environment.restore()
    assert lost == [[("table", EAST)]]


def test_a_standby_that_is_cut_off_cannot_see_and_is_not_waited_for(
        world: World, environment: DrillEnvironment) -> None:
    world.faults.inject(Cut(EAST))
    world.leaders = dict.fromkeys(REGIONS, (2, WEST))
    world.observations[EAST] = sees(EAST, alive=False)
    with pytest.raises(CheckFailed, match=r"^what controllers see: "):  # and not "waited for: the standby sees ..."
        environment.restore()


@pytest.mark.parametrize(("ended", "idle"), [(None, False), (1.0, True)])
def test_nothing_is_brought_back_while_a_run_is_under_way(
        world: World, environment: DrillEnvironment, ended: float | None, idle: bool) -> None:
    world.runs[EAST] = run(ended=ended)
    if idle:
        environment.restore()
        return
    with pytest.raises(CheckFailed, match=r"^waited 0.5 s for: no run is under way"):
        environment.restore()


def test_a_controller_is_known_by_its_function_region_and_proxy(world: World) -> None:
    asked: list[tuple[set[str], int, ApiCall | None]] = []

    def kill(variables: set[str], *, number: int, call: ApiCall | None) -> int:
        asked.append((variables, number, call))
        return 3

    environment, call = replace(world.environment(), kill=kill), ApiCall(EAST, EAST, "dynamodb", "PutItem")
    assert environment.signal_drivers(EAST, signal.SIGSTOP, call) == 3
    assert asked == [({f"AWS_LAMBDA_FUNCTION_NAME={OUTPUTS['primary_controller_function_name']}", f"AWS_REGION={EAST}",
                       f"AWS_ENDPOINT_URL=http://127.0.0.1:9/{EAST}"}, signal.SIGSTOP, call)]


def test_commands_are_those_whose_calls_come_from_outside(world: World) -> None:
    proxies: Any = world.rehearsed.proxies
    url = proxies.url = f"http://{uuid4().hex}/{{}}".format  # no other test's
    with subprocess.Popen(["/bin/sleep", "60"], env={"AWS_ENDPOINT_URL": url(OUTSIDE)}) as command:
        # It has no environment yet while the kernel still loads the program.
        wait_until(lambda: world.environment().signal_drivers(OUTSIDE, signal.SIGKILL) == 1, "the command is found")
        assert command.wait(30) == -9
