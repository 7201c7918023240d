"""The phases of a rehearsal, with a fake for every part."""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
from rich.console import Console

from contract import Consistency
from rehearsal.cli import ROOT
from rehearsal.deploy.project import Project
from rehearsal.drills.scenario import choose
from rehearsal.errors import CheckFailed, DeploymentError, EmulatorError, NoAnswer
from rehearsal.report import RunReport
from rehearsal.run import FAILED, INTERRUPTED, PASSED, Rehearsal, RunOptions
from rehearsal.sandbox import Sandbox
from tests.rehearsal.cloud import ENDPOINT, Cloud
from tests.rehearsal.fakes import FakeDrillEnvironment, World, failed, held
from tests.rehearsal.stack import OUTPUTS
from tools.migrate import MigrationFailed

PHASES = ["emulator", "databases", "inventory", "deployment", "migrations", "traffic", "teardown"]


class Run:
    """A rehearsal in a fake world, and its result."""

    def __init__(self, folder: Path, cloud: Cloud) -> None:
        self.world = World(folder, cloud)
        self.options = RunOptions(project=Project.load(ROOT, "local", {}), regions=["us-east-1", "us-west-2"],
                                  reports=folder / "reports")
        self.printed, self.document = "", dict[str, Any]()

    def __call__(self, *drills: str, **changes: Any) -> int:
        """Run it with other options, and return the exit code."""
        found = choose("drills", ",".join(drills) or "none", consistency=Consistency.EVENTUAL)
        output, parts = io.StringIO(), self.world.parts()
        report = RunReport(Console(file=output, width=300), parts.clock)
        code = Rehearsal(replace(self.options, drills=found, **changes), report, parts).run()
        self.printed, self.document = output.getvalue(), report.document
        return code

    @property
    def phases(self) -> list[str]:
        """The phases, in their order."""
        return [phase["name"] for phase in self.document["phases"]]


CUT = choose("outages", "cut", consistency=Consistency.EVENTUAL)


@pytest.fixture
def run(tmp_path: Path, cloud: Cloud) -> Run:
    """A world in which all goes well."""
    return Run(tmp_path, cloud)


def test_a_rehearsal_in_which_all_goes_well_passes(run: Run) -> None:
    assert run() == PASSED
    assert run.phases == PHASES
    assert "inventory 0.0 s: 1 resources before the deployment" in run.printed
    assert "traffic 0.0 s: 1 of 1 checks hold" in run.printed
    assert "teardown 0.0 s: nothing left" in run.printed
    assert "pulumi: preview 1.0 s, up 2.0 s" in run.printed
    assert "rehearsal passed in 0.0 s" in run.printed
    assert (run.document["ok"], run.document["left"]) == (True, [])
    assert run.world.stopped == ["deployment", "proxies", "databases", "emulator"]
    assert {**run.world.outputs, "emulator": None} == {**OUTPUTS, "emulator": None}
    assert run.world.outputs["emulator"]["endpoint"] == ENDPOINT
    assert run.world.outputs["emulator"]["name_servers"].startswith("127.0.0.1:")
    assert run.world.outputs_file.parent.parent == run.world.runs
    assert list(run.world.runs.iterdir()) == []


@pytest.mark.parametrize(("change", "printed"), [
    ({"deploying": DeploymentError("Key k: create_key: Denied")}, "FAILED deployment: Key k: create_key: Denied"),
    ({"deploying": pulumi.RunError("no zones")}, "FAILED deployment: no zones"),
    ({"deploying": ZeroDivisionError("oops")}, "FAILED program: ZeroDivisionError: oops"),
    ({"migrating": MigrationFailed("no login")}, "FAILED migrations: no login"),
    ({"smoke": [failed("POST", "500")]}, "  FAILED POST  1 ms  500"),
    ({"outages": [failed("cut", "200")]}, "  FAILED cut  1 ms  200"),
    ({"after": frozenset({"Vpc default", "Bucket b (global)"})}, "FAILED left over: Bucket b (global)"),
    ({"after": frozenset()}, "FAILED existed before, now missing: Vpc default"),
    ({"undeleted": ["Bucket b: delete_bucket: BucketNotEmpty"]}, "FAILED teardown: Bucket b: delete_bucket"),
    ({"lifting": DeploymentError("Table t: update_table: Busy")}, "FAILED lifting protection: Table t"),
])
def test_whatever_fails_the_run_cleans_up(run: Run, change: dict[str, Any], printed: str) -> None:
    vars(run.world).update(change)
    assert run(outages=CUT) == FAILED
    assert printed in run.printed
    assert "rehearsal FAILED" in run.printed
    assert (run.phases[-1], run.document["ok"]) == ("teardown", False)
    assert run.world.stopped == ["deployment", "proxies", "databases", "emulator"]


def test_an_emulator_that_does_not_start_fails_the_run(run: Run) -> None:
    run.world.starting = EmulatorError("it did not start")
    assert run() == FAILED
    assert "FAILED emulator: it did not start" in run.printed
    assert run.world.stopped == ["emulator"]


def test_what_nothing_else_expects_fails_the_phase_in_one_line(run: Run) -> None:
    run.world.migrating = NoAnswer("/_rehearsal/copies: ReadTimeout")
    assert run() == FAILED
    assert "FAILED migrations: /_rehearsal/copies: ReadTimeout" in run.printed
    assert run.world.stopped == ["deployment", "proxies", "databases", "emulator"]


def test_an_interrupt_ends_everything(run: Run) -> None:
    run.world.deploying = KeyboardInterrupt()
    assert run() == INTERRUPTED
    assert "rehearsal interrupted, the emulator stopped, in 0.0 s" in run.printed
    assert run.world.stopped == ["deployment", "proxies", "databases", "emulator"]


def test_the_tables_of_outages_are_printed_and_in_the_document(run: Run) -> None:
    run.world.outages = [held("cut")]
    assert run(outages=choose("outages", "cut,slow", consistency=Consistency.EVENTUAL)) == PASSED
    assert (run.world.shown, run.document["kills"]) == (["cut", "slow"], [{"run": 1, "lost": 0, "ids": ["x"]}])
    assert "outages 0.0 s: 1 of 1 checks hold" in run.printed
    assert "  run 1, ids: x" in run.printed


@pytest.mark.parametrize("change", [{"smoke": [failed("POST")]}, {"outages": [failed("cut")]}])
def test_drills_and_outages_need_a_stack_that_works(run: Run, change: dict[str, Any]) -> None:
    vars(run.world).update(change)
    assert run("region-lost", outages=CUT) == FAILED
    assert (run.world.drilled, run.world.environment) == ([], {})
    assert run.world.shown == ([] if "smoke" in change else ["cut"])


def test_drills_find_the_deployment_and_can_check_it_for_drift(run: Run) -> None:
    assert run("region-lost", factor=20) == PASSED
    given = run.world.environment
    assert (given["factor"], given["folder"], given["check_drift"]()) == (20, ROOT, [ENDPOINT])
    assert given["rehearsed"].outputs == OUTPUTS
    assert {key: given["environment"][key] for key in ("AWS_ENDPOINT_URL", "TAPSTACK_OUTPUTS", "PGSSLROOTCERT")} == {
        "AWS_ENDPOINT_URL": ENDPOINT, "TAPSTACK_OUTPUTS": str(run.world.outputs_file), "PGSSLROOTCERT": "/ca.pem"}


def test_drills_are_reported_and_in_the_document(run: Run) -> None:
    run.world.bad_drills = frozenset({"flapping"})
    assert run("flapping", "region-lost") == FAILED
    document = run.document["drills"]
    assert (document["ok"], document["figures"]) == (False, "emulated")
    assert [each["scenario"] for each in document["drills"]] == ["flapping", "region-lost"]
    assert (document["recovery_time_objective"], document["recovery_point_objective"]) == (600, 5)
    assert "drill region-lost 0.0 s: region-lost is over" in run.printed
    assert "  FAILED flapping holds  found" in run.printed
    assert f"  the drills with their timelines: {run.options.reports / 'drills.html'}" in run.printed


def test_a_drill_that_cannot_be_run_is_the_last(run: Run) -> None:
    run.world.impossible_drills = frozenset({"flapping"})
    assert run("region-lost", "flapping", "split-brain") == FAILED
    assert run.world.drilled == ["region-lost", "flapping"]
    assert "FAILED drill flapping: cannot be run: waited 40 s" in run.printed
    assert "region-lost is over" in run.printed
    assert run.phases[-1] == "teardown"


def test_lifted_protection_is_reported(run: Run) -> None:
    run.world.protected = ["Table", "Bucket", "Bucket"]
    assert run() == PASSED
    assert "protection lifted, since a rehearsal is disposable: 2 Bucket, 1 Table" in run.printed


@pytest.mark.parametrize(("code", "expected"), [(0, PASSED), (3, FAILED)])
def test_a_command_finds_the_stack_by_its_environment(
        run: Run, capfd: pytest.CaptureFixture[str], code: int, expected: int) -> None:
    script = ("import os, json; print(json.dumps({key: os.environ[key] for key in ('AWS_ENDPOINT_URL', "
              f"'AWS_DEFAULT_REGION', 'AWS_ACCESS_KEY_ID', 'TAPSTACK_OUTPUTS')}})); raise SystemExit({code})")
    assert run(command=[sys.executable, "-S", "-c", script]) == expected
    assert json.loads(capfd.readouterr().out) == {
        "AWS_ENDPOINT_URL": ENDPOINT, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test",
        "TAPSTACK_OUTPUTS": str(run.world.outputs_file)}
    assert f"exit {code}" in run.printed
    assert run.phases[-1] == "teardown"


def test_a_sandbox_that_does_not_come_up_is_deleted_and_says_why(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise CheckFailed("the controllers do not report")

    monkeypatch.setattr(FakeDrillEnvironment, "ready", fail)
    assert run(sandbox=True) == FAILED
    assert "did not come up: the controllers do not report" in " ".join(run.printed.split())
    assert (run.world.waited, run.phases[-1]) == (0, "teardown")


def test_a_sandbox_says_how_to_break_it_and_what_the_operator_types(run: Run) -> None:
    assert run(sandbox=True) == PASSED
    for words in ("s after the start a payment was accepted", "python -m rehearsal sandbox cut REGION",
                  "python -m recovery --stack sandbox status"):
        assert words in run.printed
    assert run.world.outputs_file.parent == run.world.runs / "sandbox"
    assert (run.world.waited, run.phases[-1]) == (1, "teardown")
    run.world.smoke = [failed("POST")]
    assert run(sandbox=True) == FAILED
    assert run.world.waited == 1


def test_a_teardown_goes_on_if_healing_a_sandbox_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> str:
        raise CheckFailed("the server does not start")

    monkeypatch.setattr(Sandbox, "heal", refuse)
    assert run(sandbox=True) == PASSED
    assert run.phases[-1] == "teardown"
