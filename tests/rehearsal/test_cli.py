"""The command line, with everything behind it made up."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pulumi
import pytest

from recovery.stack import Stack as Recoverable
from rehearsal import cli
from rehearsal.aws.emulator import EmulatorError
from rehearsal.deploy import inventory
from rehearsal.deploy.engine import RehearsalError
from rehearsal.deploy.project import Project
from rehearsal.drills import outages, scenario
from rehearsal.drills.report import model, page
from rehearsal.drills.scenario import Scenario
from rehearsal.errors import CheckFailed
from rehearsal.rehearsed_stack import RehearsedStack
from rehearsal.workload import smoke
from rehearsal.workload.checks import CheckResult
from rehearsal.workload.region import RegionClient
from tests.rehearsal.cloud import ENDPOINT
from tests.rehearsal.stack import OUTPUTS
from tools.migrate import MigrationFailed

NO_DRILLS = ["--drills", "none"]


@dataclass
class Stage:
    """What happens in a run: `raises` at the deployment, checks, what is held before and after, what goes wrong.

    `shown` is told: the names of the outages; so is `played`: those of the drills, with what they are played on in
    `scene`. `lame` drills are not as expected, and `unplayable` ones cannot be played.
    """

    raises: BaseException | None = None
    checks: list[CheckResult] = field(default_factory=lambda: [CheckResult("POST", ok=True, milliseconds=1)])
    migrating: Exception | None = None
    broken: list[CheckResult] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    played: list[str] = field(default_factory=list)
    scene: dict[str, Any] = field(default_factory=dict)
    lame: set[str] = field(default_factory=set)
    unplayable: set[str] = field(default_factory=set)
    held: list[frozenset[str]] = field(default_factory=lambda: [frozenset({"Vpc default"})] * 2)
    wrong: list[str] = field(default_factory=list)
    protected: list[str] = field(default_factory=list)
    lifting: Exception | None = None
    starting: Exception | None = None
    stopped: int = 0
    closed: int = 0


class FakeEmulator:
    """Nothing, at the endpoint of the canned cloud."""

    endpoint = ENDPOINT

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def start(self) -> None:
        """Start nothing, or fail at it."""
        if self._stage.starting:
            raise self._stage.starting

    def stop(self) -> None:
        """Count."""
        self._stage.stopped += 1


class FakeEngine:
    """Nothing was made."""

    resources: tuple[()] = ()
    gaps: tuple[()] = ()

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def lift_protection(self) -> list[Any]:
        """What was protected, by its kind."""
        if self._stage.lifting:
            raise self._stage.lifting
        return [SimpleNamespace(kind_name=name) for name in self._stage.protected]


class FakeDeployment:
    """Deploys what the stage says."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.engine = FakeEngine(stage)
        self.outputs: dict[str, Any] = {}

    def up(self, project: Project) -> None:
        """Raise, or have outputs."""
        assert project.config["TapStack:awsEndpoint"] == ENDPOINT
        if self._stage.raises:
            raise self._stage.raises
        self.outputs = OUTPUTS

    def again(self, project: Project) -> list[str]:
        """Where the program would be deployed."""
        return [project.config["TapStack:awsEndpoint"]]

    def down(self) -> list[str]:
        """What went wrong."""
        return self._stage.wrong


class FakeAurora:
    """No databases, at some port."""

    pair = SimpleNamespace(ca_file="/ca.pem")

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def port(self, _: str) -> int:
        """The same one everywhere."""
        return 5432

    def follow(self, _: object) -> None:
        """Move nothing."""

    def close(self) -> None:
        """Count."""
        self._stage.closed += 1


class FakeRelays:
    """No relays: everybody is sent to the canned cloud."""

    def start(self) -> None:
        """Start nothing."""

    def stop(self) -> None:
        """Stop nothing."""

    def url(self, _: str) -> str:
        """The same for everybody."""
        return ENDPOINT


class FakeScene:
    """What drills are played on."""

    stack = Recoverable.of(OUTPUTS)

    def __init__(self, stage: Stage, *given: Any, **more: Any) -> None:
        stage.scene.update(zip(("ground", "engine", "factor"), given, strict=True), **more)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing goes on."""


def drill(name: str, ok: bool) -> model.DrillResult:
    """A drill of this name that was played."""
    return model.DrillResult(
        scenario=name, title="t", consistency="eventual", expected="e", outcome=f"{name} is over", ok=ok,
        driver="controller", recovery=None, stores=[], lost=[], refused_stale=0, errors={}, requests=[], events=[],
        checks=[model.DrillCheck(name=f"{name} holds", ok=ok, detail="found")])


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    """A stage on which everything goes well."""
    made = Stage()

    def migrate(*_: object) -> dict[str, list[str]]:
        if made.migrating:
            raise made.migrating
        return {"applied": ["0001_ledger.sql"]}

    def broken(ground: RehearsedStack, names: list[str]) -> Iterator[CheckResult]:
        made.shown = names
        ground.tables["kills"] = [{"run": 1, "lost": 0, "ids": ["x"]}]
        return iter(made.broken)

    def play(_: FakeScene, scenario: Scenario) -> model.DrillResult:
        made.played.append(scenario.name)
        if scenario.name in made.unplayable:
            raise CheckFailed("waited 40 s")
        return drill(scenario.name, scenario.name not in made.lame)

    monkeypatch.setattr(cli, "Aurora", lambda *_: FakeAurora(made))
    monkeypatch.setattr(cli, "AwsProxies", lambda *_, **__: FakeRelays())
    monkeypatch.setattr(cli, "migrate", migrate)
    monkeypatch.setattr(outages, "checks", broken)
    monkeypatch.setattr(cli, "DrillEnvironment", lambda *given, **more: FakeScene(made, *given, **more))
    monkeypatch.setattr(cli, "play", play)
    monkeypatch.setattr(page, "write", lambda _, folder: (folder / "page", folder / "data"))
    monkeypatch.setattr(cli, "raise_interrupts", lambda: None)
    monkeypatch.setattr(cli, "Emulator", lambda: FakeEmulator(made))
    monkeypatch.setattr(cli, "Deployment", lambda *_: FakeDeployment(made))
    monkeypatch.setattr(cli, "EmulatorClients", lambda *_: FakeEmulator(made))
    monkeypatch.setattr(cli, "OUTPUTS", tmp_path / "outputs.json")
    monkeypatch.setattr(inventory, "take", lambda *_: made.held.pop(0))
    monkeypatch.setattr(smoke, "checks", lambda *_: iter(made.checks))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return made


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of the command line."""
    monkeypatch.setattr(sys, "argv", ["rehearsal", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_all_is_well(stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch) == 0
    said = capsys.readouterr().out
    assert "traffic 0.0 s: 1 of 1 checks hold" in said
    assert "teardown 0.0 s: nothing left" in said
    assert "rehearsal passed in 0.0 s" in said
    assert (stage.stopped, json.loads(cli.OUTPUTS.read_text())) == (1, OUTPUTS)


def test_json_is_all_there_is_on_stdout(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--json", "--config", "drInstances=0", "--exec", "echo aside") == 0
    out, err = capfd.readouterr()
    assert "aside" in err
    document = json.loads(out)
    assert (document["ok"], document["left"], document["regions"]) == (True, [], ["us-east-1", "us-west-2"])
    assert document["config"]["TapStack:drInstances"] == "0"
    assert [phase["name"] for phase in document["phases"]] == [
        "emulator", "databases", "inventory", "deployment", "migrations", "traffic", "echo aside", "teardown"]
    assert stage.stopped == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"raises": RehearsalError("Key k: create_key: Denied")}, "FAILED deployment: Key k: create_key: Denied"),
        ({"raises": pulumi.RunError("no zones")}, "FAILED deployment: no zones"),
        ({"raises": ZeroDivisionError("oops")}, "FAILED program: ZeroDivisionError: oops"),
        ({"migrating": MigrationFailed("no login")}, "FAILED migrations: no login"),
        ({"broken": [CheckResult("cut", ok=False, milliseconds=1, detail="200")]}, "  FAILED cut  1 ms  200"),
        ({"checks": [CheckResult("POST", ok=False, milliseconds=1, detail="500")]}, "  FAILED POST  1 ms  500"),
        ({"held": [frozenset(), frozenset({"Bucket b (global)"})]}, "FAILED left over: Bucket b (global)"),
        ({"held": [frozenset({"Role r (global)"}), frozenset()]}, "FAILED gone, though it was there before: Role r"),
        ({"wrong": ["Bucket b: delete_bucket: BucketNotEmpty"]}, "FAILED teardown: Bucket b: delete_bucket"),
        ({"lifting": RehearsalError("Table t: update_table: Busy")}, "FAILED lifting protection: Table t"),
    ],
)
def test_whatever_fails_the_run_cleans_up_and_exits_1(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
) -> None:
    vars(stage).update(change)
    assert run(monkeypatch) == 1
    printed = capsys.readouterr().out
    assert said in printed
    assert "teardown 0.0 s" in printed
    assert "rehearsal FAILED" in printed
    assert stage.stopped == 1


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [(["--outages", "cut,slow"], ["cut", "slow"]), (["--outages", "none"], []), (["--exec", "true"], []),
     (["--exec", "true", "--outages", "kill9"], ["kill9"]), ([], outages.chosen("all", strong=False))])
def test_outages_are_shown_unless_a_command_is_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, arguments: list[str], shown: list[str]
) -> None:
    assert run(monkeypatch, *arguments) == 0
    assert stage.shown == shown


def test_what_is_told_in_rows_is_printed_and_in_the_document(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--json", "--outages", "cut") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["kills"] == [{"run": 1, "lost": 0, "ids": ["x"]}]
    assert "  run 1, ids: x" in err
    assert (stage.stopped, stage.closed) == (1, 1)


def test_outages_are_not_shown_where_payments_fail_already(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.checks = [CheckResult("POST", ok=False, milliseconds=1)]
    assert run(monkeypatch, "--outages", "cut") == 1
    assert stage.shown == []


@pytest.mark.parametrize(("arguments", "played"), [
    ([], ["region-lost"]), (NO_DRILLS, []), (["--exec", "true"], []),
    (["--config", "failoverMode=manual"], ["by-hand"]),
    (["--exec", "true", "--drills", "flapping"], ["flapping"]),
    (["--drills", "split-brain,region-lost"], ["split-brain", "region-lost"]),
    (["--drills", "gate"], [each.name for each in scenario.chosen("gate", strong=False)]),
    (["--stack", "dev"], []),  # without a domain there is no DNS to move
])
def test_drills_are_played_unless_a_command_is_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, arguments: list[str], played: list[str]
) -> None:
    assert run(monkeypatch, *arguments) == 0
    assert stage.played == played


def test_drills_find_the_deployment_and_can_deploy_it_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "--factor", "20") == 0
    assert (stage.scene["factor"], stage.scene["folder"]) == (20, cli.ROOT)
    assert stage.scene["environment"].items() >= {
        "AWS_ENDPOINT_URL": ENDPOINT, "TAPSTACK_OUTPUTS": str(cli.OUTPUTS), "PGSSLROOTCERT": "/ca.pem"}.items()
    assert stage.scene["again"]() == [ENDPOINT]
    assert isinstance(stage.scene["ground"], RehearsedStack)


def test_drills_are_told_and_in_the_document(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.lame = {"flapping"}
    assert run(monkeypatch, "--json", "--drills", "flapping,region-lost", "--reports", str(tmp_path / "r")) == 1
    out, err = capsys.readouterr()
    document = json.loads(out)["drills"]
    assert (document["ok"], document["figures"]) == (False, "emulated")
    assert [each["scenario"] for each in document["drills"]] == ["flapping", "region-lost"]
    assert document["objectives"] == {"recovery_time_s": 600, "recovery_point_s": 5}
    assert "drill region-lost 0.0 s: region-lost is over" in err
    assert "  FAILED flapping holds  0 ms  found" in err
    assert f"  the drills with their timelines: {tmp_path / 'r' / 'page'}" in err
    assert (stage.stopped, stage.closed) == (1, 1)


def test_a_drill_that_cannot_be_played_ends_them(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.unplayable = {"flapping"}
    assert run(monkeypatch, "--drills", "region-lost,flapping,split-brain") == 1
    said = capsys.readouterr().out
    assert stage.played == ["region-lost", "flapping"]
    assert "FAILED drill flapping: cannot be played: waited 40 s" in said
    assert "region-lost is over" in said
    assert "teardown 0.0 s: nothing left" in said


@pytest.mark.parametrize("wrong", [
    {"checks": [CheckResult("POST", ok=False, milliseconds=1)]}, {"broken": [CheckResult("cut", ok=False, milliseconds=1)]}])
def test_drills_are_not_played_where_something_is_wrong_already(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    vars(stage).update(wrong)
    assert run(monkeypatch) == 1
    assert (stage.played, stage.scene) == ([], {})


def test_lifted_protection_is_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.protected = ["Table", "Bucket", "Bucket"]
    assert run(monkeypatch) == 0
    assert "protection lifted, since a rehearsal is disposable: 2 Bucket, 1 Table" in capsys.readouterr().out


def test_an_emulator_that_does_not_start_fails_the_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.starting = EmulatorError("it did not start")
    assert run(monkeypatch) == 1
    assert "FAILED emulator: it did not start" in capsys.readouterr().out
    assert stage.stopped == 1


def test_an_interrupt_stops_the_emulator(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.raises = KeyboardInterrupt()
    assert run(monkeypatch) == 130
    assert "rehearsal interrupted, the emulator stopped, in 0.0 s" in capsys.readouterr().out
    assert stage.stopped == 1


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_finds_the_stack_by_its_environment(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], code: int
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    script = "import os, json; print(json.dumps({k: v for k, v in os.environ.items() if k[:3] in ('AWS', 'TAP')}))"
    assert run(monkeypatch, "--exec", f'{sys.executable} -S -c "{script}; raise SystemExit({code})"') == bool(code)
    printed = capfd.readouterr().out
    (environment,) = (line for line in printed.splitlines() if line.startswith("{"))
    assert json.loads(environment) == {
        "AWS_ENDPOINT_URL": ENDPOINT, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "TAPSTACK_OUTPUTS": str(cli.OUTPUTS)}
    assert f"exit {code}" in printed
    assert stage.stopped == 1


def test_a_stack_that_is_kept_says_how_to_reach_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    primary = RegionClient(role="primary", name="us-east-1", url="http://127.0.0.1:9/live", table="t", bucket="b",
                             reconcile="f", key="the-key", clients=None)  # type: ignore[arg-type]
    monkeypatch.setattr(RegionClient, "of", lambda *_: primary)
    monkeypatch.setattr("threading.Event.wait", interrupt)
    assert run(monkeypatch, "--keep") == 0
    said = capsys.readouterr().out
    assert f"export AWS_ENDPOINT_URL={ENDPOINT}" in said
    assert "curl -i http://127.0.0.1:9/live/payment" in said
    assert "x-api-key: the-key" in said
    assert "teardown 0.0 s: nothing left" in said
    assert stage.stopped == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--config", "profile=x"], "profile = 'x': must be dev or prod"),
        (["--config", "profile"], "--config profile: must be KEY=VALUE"),
        (["--config", "nosuch=1"], "--config nosuch: Pulumi.yaml declares no such key"),
        (["--stack", "nosuch"], "Pulumi.nosuch.yaml is missing in "),
        (["--exec", "no-such-program-anywhere"], "there is no program no-such-program-anywhere"),
        (["--exec", "'"], "--exec ': No closing quotation"),
        (["--nosuch"], "No such option: --nosuch"),
        (["--outages", "cut,flood"], "--outages flood: must be all, none or some of table-lag, "),
        (["--outages", "quorum"], "--outages quorum: needs tableConsistency=strong"),
        (["--drills", "flood"], "--drills flood: must be all, gate, none or some of api-only, "),
        (["--drills", "by-hand"], "--drills by-hand: needs failoverMode=manual"),
        (["--drills", "region-lost", "--config", "tableConsistency=strong", "--config", "witnessRegion=us-east-2",
          "--drills", "failback-waits"], "--drills failback-waits: is not for tableConsistency=strong"),
        (["--stack", "dev", "--config", "failoverMode=automatic", "--drills", "region-lost"],
         "--drills region-lost: needs domainName: without it there is no DNS to move"),
        (["--factor", "0.5"], "Invalid value for '--factor': Input should be greater than or equal to 1"),
        (["--factor", "20.5"], "Invalid value for '--factor': Input should be less than or equal to 20"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str],
    complaint: str,
) -> None:
    assert run(monkeypatch, *arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), stage.stopped) == ("", 1, 0)
    assert complaint in err
