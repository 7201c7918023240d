"""The stage of the drills: what it tells of a stack, and what it does to it."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from recovery.journal import Run
from recovery.observation import Observation
from rehearsal import rehearsed_stack as ground_module
from rehearsal.aws.faults import Faults
from rehearsal.aws.ministack import TABLE
from rehearsal.drills import environment as stage_module
from rehearsal.drills.emulated.route53 import HostedZone
from rehearsal.drills.environment import CLIENT_TIMEOUT, FAILBACKS, CommandResult, DrillEnvironment
from rehearsal.errors import CheckFailed
from rehearsal.postgres.global_database import ServerRole
from rehearsal.rehearsed_stack import RehearsedStack
from tests.rehearsal.cloud import ENDPOINT, Cloud
from tests.rehearsal.stack import EAST, OUTPUTS, REGIONS, WEST

FACTOR = 10.0


@dataclass
class World:
    """What a stage finds: rights, watches and runs by the region whose replica tells them, levers, logs, databases.

    waiting: copies that are late. leads_to: where DNS leads. endpoints: whom clients were made of. done: what was set.
    """

    cloud: Cloud
    rights: dict[str, tuple[int, str]] = field(default_factory=lambda: dict.fromkeys(REGIONS, (1, EAST)))
    watches: dict[str, Observation] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    levers: set[str] = field(default_factory=set)
    logs: dict[str, list[str]] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    leads_to: str = EAST
    endpoints: list[str] = field(default_factory=list)
    done: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        faults = Faults()
        self.engine: Any = SimpleNamespace(scopes=lambda _: [])
        pair: Any = SimpleNamespace(writer=EAST, role=lambda _: ServerRole.STANDBY, delay=lambda *_: None)
        copies: Any = SimpleNamespace(
            report=lambda: [{"store": TABLE, "waiting": self.waiting}],
            lag=lambda store, source, target, lag: self.done.append(("lag", store, source, target, lag.seconds)))
        relays: Any = SimpleNamespace(url=lambda name: f"http://127.0.0.1:9/{name}")
        self.pair, self.ground = pair, RehearsedStack(OUTPUTS, self.cloud, ENDPOINT, faults, copies, pair, relays)
        self.cloud.answers.update(
            GetApiKey={"value": "k"}, GetItem=self._item,
            ListObjectsV2=lambda _: {"KeyCount": int(self._asked in self.levers)},
            FilterLogEvents=lambda _: {"events": [{"message": each} for each in self.logs.get(self._asked, [])]})

    @property
    def _asked(self) -> str:
        """The region of the call that is answered."""
        return self.cloud.calls[-1][1]

    def _item(self, params: Mapping[str, Any]) -> dict[str, Any]:
        key, region = params["Key"]["payment_id"]["S"], self._asked
        if key == "!right":
            epoch, where = self.rights[region]
            return {"Item": {"epoch": {"N": str(epoch)}, "region": {"S": where}}}
        found: Any = self.runs.get(region) if key == "!recovery" else self.watches.get(key.partition(":")[2])
        return {"Item": {"document": {"S": json.dumps(found.document())}}} if found else {}

    def clients(self, endpoint: str, _: int) -> Cloud:
        """The cloud, whatever its endpoint, which is kept."""
        self.endpoints.append(endpoint)
        return self.cloud


@pytest.fixture
def world(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which everything is in order."""
    made = World(cloud)
    made.watches = {region: Observation(region=region, at=0) for region in REGIONS}
    for module in (stage_module, ground_module):
        monkeypatch.setattr(module, "EmulatorClients", made.clients)
    return made


@pytest.fixture
def stage(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> DrillEnvironment:
    """A stage in it, on which nothing goes yet."""
    zone: Any = SimpleNamespace(region=lambda *_: world.leads_to, checks={})
    monkeypatch.setattr(HostedZone, "of", lambda _: zone)
    return DrillEnvironment(world.ground, world.engine, FACTOR, environment={"ASKED": "yes"}, folder=tmp_path, again=list)


def run(action: str = "failover", ended: float | None = None) -> Run:
    """A run to the west."""
    return Run(id="r", action=action, target=WEST, driver="d", began=0, why="", ended=ended)


def test_everything_goes_from_the_beginning_to_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fake(name: str) -> Any:
        return lambda *_: SimpleNamespace(start=lambda: world.done.append(f"start {name}"),
                                          stop=lambda: world.done.append(f"stop {name}"), healthy=lambda _: True)

    for name in ("HealthChecker", "Telemetry", "ControllerSchedule"):
        monkeypatch.setattr(stage_module, name, fake(name))
    with DrillEnvironment(world.ground, world.engine, FACTOR, environment={}, folder=tmp_path, again=list):
        assert world.done == ["start HealthChecker", "start Telemetry", "start ControllerSchedule"]
    assert world.done[3:] == ["stop ControllerSchedule", "stop Telemetry", "stop HealthChecker"]


# --- What is known


def test_it_asks_past_the_relays(world: World, stage: DrillEnvironment) -> None:
    stage.ground.faults.cut(EAST)
    assert stage.table(EAST).leadership().region == EAST
    assert ENDPOINT in world.endpoints
    assert (stage.regions[EAST].clients, stage.regions[EAST].key) == (world.cloud, "k")


@pytest.mark.parametrize(("rights", "cut", "active"), [
    ({EAST: (1, EAST), WEST: (1, EAST)}, [], EAST),
    ({EAST: (1, EAST), WEST: (2, WEST)}, [], WEST),  # the copy is late
    ({EAST: (3, EAST), WEST: (2, WEST)}, [], EAST),
    ({EAST: (3, EAST), WEST: (2, WEST)}, [EAST], WEST),  # what it has behind the cut has come over nowhere
])
def test_the_active_region_is_that_of_the_newest_right_that_is_not_cut_off(
    world: World, stage: DrillEnvironment, rights: dict[str, tuple[int, str]], cut: list[str], active: str
) -> None:
    world.rights = rights
    for region in cut:
        stage.ground.faults.cut(region)
    assert stage.active() == active


def test_levers_are_objects_in_the_regions_own_buckets(world: World, stage: DrillEnvironment) -> None:
    assert stage.levers() == []
    world.levers = {WEST}
    assert stage.levers() == [WEST]
    asked = [(region, params["Bucket"], params["Prefix"]) for operation, region, params in world.cloud.calls
             if operation == "ListObjectsV2"]
    assert asked[2:] == [(EAST, "control_bucket-primary", "takeover"), (WEST, "control_bucket-dr", "takeover")]


def test_the_name_leads_where_dns_does(world: World, stage: DrillEnvironment) -> None:
    assert stage.leads_to() == EAST
    world.leads_to = WEST
    assert stage.leads_to() == WEST


def test_the_controllers_look_as_often_as_the_factor_says(stage: DrillEnvironment) -> None:
    assert stage.look_seconds == 1.0


def test_only_the_lines_of_an_event_are_read_from_the_logs(world: World, stage: DrillEnvironment) -> None:
    world.logs = {EAST: ['{"event": "failed", "error": "x"}', '{"event": "look"}'], WEST: ['{"event": "failed"}']}
    assert stage.said("failed") == ['{"event": "failed", "error": "x"}', '{"event": "failed"}']
    groups = [params["logGroupName"] for operation, _, params in world.cloud.calls if operation == "FilterLogEvents"]
    assert groups == [f"/aws/lambda/controller_function_name-{role}" for role in ("primary", "dr")]


def test_it_waits_until_something_holds(stage: DrillEnvironment) -> None:
    answers = iter((False, True))
    stage.wait("it", lambda: next(answers))
    assert list(answers) == []


def test_who_waits_in_vain_is_told_what_was_seen(world: World, stage: DrillEnvironment) -> None:
    world.watches[WEST] = Observation(region=WEST, at=0, dead=3, why="timed out")
    world.runs[WEST] = run()
    world.logs = {WEST: [f'{{"event": "failed", "error": "no {number}"}}' for number in range(5)]}
    stage.ground.faults.cut(EAST)
    with pytest.raises(CheckFailed, match="waited 0 s for: the end; ") as unmet:
        stage.wait("the end", lambda: False, 0)
    told = str(unmet.value)
    assert all(each in told for each in ("dead=3", "timed out", "action='failover'", "no 2", "no 3", "no 4"))
    assert "no 1" not in told
    assert f"{EAST}: " not in told  # behind the cut nobody knows better


# --- What is done


def test_clients_are_out_in_the_world_and_repeat(stage: DrillEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(stage_module, "payers", lambda *given, **more: asked.append((given, more)))
    stage.clients(20.0, 3.0)
    assert asked == [((stage.ground, stage.resolver),
                      {"rate": 20.0, "least": 3.0, "timeout": CLIENT_TIMEOUT, "repeat": True})]


def test_a_command_finds_the_deployment_and_tells_what_it_said(
    stage: DrillEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "$@"; echo "$ASKED" >&2; pwd; exit 2\n')
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    first, second = stage.begin("failover --to east"), stage.begin("status")
    assert second() == CommandResult("status", 2, f"-m recovery status yes {tmp_path}")
    assert first().text.startswith("-m recovery failover --to east yes")


def test_a_command_that_does_not_end_is_ended(stage: DrillEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho begun\nexec sleep 60\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(stage_module, "COMMAND_TIMEOUT", 0.05)
    said = stage.begin("failback")()
    assert (said.code, said.text in ("", "begun")) == (-9, True)


Sleepers = dict[tuple[str, str, str], subprocess.Popen[bytes]]


@pytest.fixture
def sleepers(world: World) -> Iterator[Sleepers]:
    """Processes by what their environment names: function, region, and relay."""
    name, east, west = f"controller-{uuid4().hex}", world.ground.relays.url(EAST), world.ground.relays.url(WEST)
    with ExitStack() as stack:
        found = {}
        for each in ((name, EAST, east), (name, WEST, west), (f"{name}-other", EAST, east), (name, EAST, "elsewhere")):
            variables = zip(("AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION", "AWS_ENDPOINT_URL"), each, strict=True)
            process = subprocess.Popen(["/bin/sleep", "60"], env=dict(variables))  # pylint: disable=consider-using-with
            stack.callback(process.wait)
            stack.callback(process.kill)
            found[each] = process
        yield found


def test_only_the_controller_of_that_region_and_rehearsal_is_killed(
    world: World, sleepers: Sleepers, tmp_path: Path
) -> None:
    name = next(iter(sleepers))[0]
    named = {f"{role}_controller_function_name": name for role in ("primary", "dr")}
    ground = RehearsedStack({**OUTPUTS, **named}, *[getattr(world.ground, each) for each in (
        "clients", "emulator", "faults", "copies", "pair", "relays")])
    stage = DrillEnvironment(ground, world.engine, FACTOR, environment={}, folder=tmp_path, again=list)
    assert stage.kill_controller(EAST) == 1
    assert next(iter(sleepers.values())).wait(5) == -9
    assert [process.poll() for process in sleepers.values()] == [-9, None, None, None]
    assert stage.kill_controller(EAST) == 0


# --- The order of things


def warm(stage: DrillEnvironment, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where payments go before a drill, once it is ready."""
    asked: list[str] = []
    monkeypatch.setattr(stage_module, "send_all", lambda place, made: asked.extend([place.region] * len(made)))
    stage.ready()
    return asked


def test_a_drill_begins_with_regions_that_are_warm(stage: DrillEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    assert warm(stage, monkeypatch) == [EAST] * 8 + [WEST] * 8


@pytest.mark.parametrize(("last", "seconds", "waits"), [
    (None, 0, False), ("failover", 29, True), ("failover", 31, False), ("switchover", 1, False)])
def test_a_drill_waits_until_the_controllers_may_act_again(  # pylint: disable=too-many-positional-arguments
    world: World, stage: DrillEnvironment, monkeypatch: pytest.MonkeyPatch, last: str | None, seconds: float, waits: bool
) -> None:
    if last:
        world.runs[WEST] = run(last, time.time() - seconds)
    waited: list[bool] = []
    monkeypatch.setattr(stage, "wait", lambda _what, check: waited.append(not check()))
    warm(stage, monkeypatch)
    assert waited == [waits, False]


def test_a_drill_waits_until_both_controllers_report(
    world: World, stage: DrillEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    del world.watches[WEST]
    waited: dict[str, bool] = {}
    monkeypatch.setattr(stage, "wait", lambda what, check: waited.update({what: check()}))
    warm(stage, monkeypatch)
    assert waited == {"the cool-down is over": True, "the controllers report": False}


def unseen(world: World) -> None:
    """The controller of the east sees that the other region is not ready."""
    world.watches[EAST] = Observation(region=EAST, at=0, unready=1, why="ledger")


@pytest.mark.parametrize(("change", "complaint"), [
    (lambda world: world.rights.update({EAST: (2, WEST)}), "right and writer"),
    (lambda world: setattr(world.pair, "writer", WEST), "right and writer"),
    (lambda world: setattr(world.pair, "role", lambda _: ServerRole.STALE), f"database in {WEST}: 'stale writer'"),
    (lambda world: world.levers.add(WEST), f"levers: ['{WEST}']"),
    (lambda world: setattr(world, "leads_to", WEST), "DNS leads to"),
    (unseen, "what controllers see: ['ledger']"),
    (lambda world: world.waiting.append("x"), "copies that wait: ['table']"),
])
def test_a_drill_does_not_begin_before_everything_is_in_order(
    world: World, stage: DrillEnvironment, monkeypatch: pytest.MonkeyPatch, change: Callable[[World], None], complaint: str
) -> None:
    monkeypatch.setattr(stage_module, "PATIENCE", 0)
    change(world)
    with pytest.raises(CheckFailed) as unmet:
        warm(stage, monkeypatch)
    assert complaint in str(unmet.value)


def restored(world: World, stage: DrillEnvironment, monkeypatch: pytest.MonkeyPatch, code: int = 0) -> list[str]:
    """The commands that were needed; after a failback everything is home."""
    words: list[str] = []

    def begin(command: str) -> Any:
        words.append(command)
        world.rights, world.pair.writer = dict.fromkeys(REGIONS, (9, EAST)), EAST
        return lambda: CommandResult(command, code, "")

    monkeypatch.setattr(stage, "begin", begin)
    assert [said.code for said in stage.restore()] == [code] * len(words)
    return words


@pytest.mark.parametrize("cut", [[], [EAST], [WEST], [EAST, WEST]])
def test_all_works_again_without_a_lag(
    world: World, stage: DrillEnvironment, monkeypatch: pytest.MonkeyPatch, cut: list[str]
) -> None:
    for region in cut:
        stage.ground.faults.cut(region)
    stage.ground.faults.lose(WEST, "receipts")
    assert restored(world, stage, monkeypatch) == []
    assert (stage.ground.faults.cut_off(), stage.ground.faults.lost()) == ([], [])
    assert {each[2:] for each in world.done} == {(EAST, WEST, 0), (WEST, EAST, 0)}


@pytest.mark.parametrize(("right", "writer", "words"), [
    (EAST, EAST, []), (WEST, WEST, ["failback"]), (EAST, WEST, ["failback"]), (WEST, EAST, ["failback"])])
def test_what_has_moved_is_brought_back_by_the_products_own_means(  # pylint: disable=too-many-positional-arguments
    world: World, stage: DrillEnvironment, monkeypatch: pytest.MonkeyPatch, right: str, writer: str, words: list[str]
) -> None:
    world.rights = dict.fromkeys(REGIONS, (2, right))
    world.pair.writer = writer
    assert restored(world, stage, monkeypatch, code=len(words)) == words


@pytest.mark.parametrize("refused", range(FAILBACKS + 1))
def test_a_failback_that_is_refused_is_asked_for_again_but_not_for_ever(
    world: World, stage: DrillEnvironment, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    world.rights, world.pair.writer = dict.fromkeys(REGIONS, (2, WEST)), WEST
    codes = [2] * refused + [0]

    def begin(words: str) -> Any:
        code = codes.pop(0)
        if not code:
            world.rights, world.pair.writer = dict.fromkeys(REGIONS, (9, EAST)), EAST
        return lambda: CommandResult(words, code, f"exit {code}")

    monkeypatch.setattr(stage, "begin", begin)
    monkeypatch.setattr(stage_module, "PATIENCE", 0)
    if refused < FAILBACKS:
        assert (stage.restore(), codes) == ([CommandResult("failback", 0, "exit 0")], [])
        return
    with pytest.raises(CheckFailed, match="^right and writer: .*" + "; exit 2" * FAILBACKS):
        stage.restore()
    assert codes == [0]


@pytest.mark.parametrize("seeing", [{"dead": 1}, {"unready": 1}])
def test_the_region_that_takes_payments_is_healed_and_seen_before_the_other_one(
    world: World, stage: DrillEnvironment, monkeypatch: pytest.MonkeyPatch, seeing: dict[str, Any]
) -> None:
    faults, healed = stage.ground.faults, list[str]()
    world.rights = dict.fromkeys(REGIONS, (2, WEST))
    world.watches[EAST] = Observation(region=EAST, at=0, **seeing)
    faults.lose(WEST, "receipts")
    heal, sleep = faults.heal, time.sleep

    def healing(region: str) -> None:
        healed.append(region)
        heal(region)

    def seen(seconds: float) -> None:
        assert healed == [WEST]
        world.watches[EAST] = Observation(region=EAST, at=1)
        sleep(min(seconds, 0.001))

    monkeypatch.setattr(faults, "heal", healing)
    monkeypatch.setattr(time, "sleep", seen)
    assert restored(world, stage, monkeypatch) == ["failback"]
    assert healed == [WEST, EAST, WEST]


def test_a_standby_that_is_cut_off_cannot_see_and_is_not_waited_for(
    world: World, stage: DrillEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.ground.faults.cut(EAST)
    world.rights = dict.fromkeys(REGIONS, (2, WEST))
    world.watches[EAST] = Observation(region=EAST, at=0, dead=2)
    waited: list[tuple[str, bool]] = []
    monkeypatch.setattr(stage, "wait", lambda what, check: waited.append((what, check())))
    monkeypatch.setattr(stage_module, "arrives", lambda *_: None)
    restored(world, stage, monkeypatch)
    assert waited[0] == ("the standby sees the active region", True)


@pytest.mark.parametrize(("ended", "idle"), [(None, False), (1.0, True)])
def test_nothing_is_brought_back_while_a_run_is_under_way(
    world: World, stage: DrillEnvironment, monkeypatch: pytest.MonkeyPatch, ended: float | None, idle: bool
) -> None:
    world.runs[EAST] = run(ended=ended)
    waited: dict[str, bool] = {}
    monkeypatch.setattr(stage, "wait", lambda what, check: waited.update({what: check()}))
    restored(world, stage, monkeypatch)
    assert waited["no run is under way"] is idle
