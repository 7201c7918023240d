"""The command line: what its options do, and its exit codes."""

import json
import sys
from pathlib import Path

import pytest

from contract import Consistency
from rehearsal import cli
from rehearsal.drills.scenario import choose
from tests.rehearsal.cloud import Cloud
from tests.rehearsal.fakes import World, failed


@pytest.fixture
def world(tmp_path: Path, cloud: Cloud) -> World:
    """A world in which all goes well."""
    return World(tmp_path, cloud)


def run(world: World, *arguments: str) -> int:
    """The exit code of the command line."""
    return cli.run(["--reports", str(world.folder), *arguments], world.parts())


def test_the_exit_code_is_that_of_the_run(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(world) == 0
    assert "rehearsal passed" in capsys.readouterr().out
    world.smoke = [failed("POST")]
    assert run(world) == 1
    assert "rehearsal FAILED" in capsys.readouterr().out
    world.deploying = KeyboardInterrupt()
    assert run(world) == 130


def test_with_json_stdout_holds_one_document_and_nothing_else(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(world, "--json", "--config", "drInstances=2", "--exec", "echo aside") == 0
    out, err = capfd.readouterr()
    assert "aside" in err
    document = json.loads(out)
    assert (document["ok"], document["left"], document["regions"]) == (True, [], ["us-east-1", "us-west-2"])
    assert (document["stack"], document["config"]["TapStack:drInstances"]) == ("local", "2")
    assert [phase["name"] for phase in document["phases"]] == [
        "emulator", "databases", "inventory", "deployment", "migrations", "traffic", "echo aside", "teardown"]


@pytest.mark.parametrize(("arguments", "shown"), [
    (["--outages", "cut,slow"], ["cut", "slow"]), (["--outages", "none"], []), (["--exec", "true"], []),
    (["--exec", "true", "--outages", "kill9"], ["kill9"]),
    ([], [each.name for each in choose("outages", "all", consistency=Consistency.EVENTUAL)])])
def test_outages_are_shown_unless_a_command_is_run(world: World, arguments: list[str], shown: list[str]) -> None:
    assert run(world, "--drills", "none", *arguments) == 0
    assert world.shown == shown


@pytest.mark.parametrize(("arguments", "drilled"), [
    ([], ["region-lost"]), (["--drills", "none"], []), (["--exec", "true"], []),
    (["--config", "failoverMode=manual"], ["by-hand"]),
    (["--exec", "true", "--drills", "flapping"], ["flapping"]),
    (["--drills", "split-brain,region-lost"], ["split-brain", "region-lost"]),
    (["--drills", "gate"], [each.name for each in choose("drills", "gate", consistency=Consistency.EVENTUAL)]),
    (["--stack", "dev"], []),  # without a domain there is no DNS to move
])
def test_drills_are_run_unless_a_command_is_run(world: World, arguments: list[str], drilled: list[str]) -> None:
    assert run(world, *arguments) == 0
    assert world.drilled == drilled


@pytest.mark.parametrize(("arguments", "drilled"), [
    (["--drills", "by-hand,region-lost"], ["region-lost"]),
    (["--drills", "by-hand,region-lost", "--config", "failoverMode=manual"], ["by-hand"]),
    (["--drills", "failback-waits,region-lost", "--config", "tableConsistency=strong", "--config",
      "witnessRegion=us-east-2"], ["region-lost"])])
def test_drills_of_other_modes_may_be_left_out(world: World, arguments: list[str], drilled: list[str]) -> None:
    assert run(world, *arguments, "--fitting") == 0
    assert world.drilled == drilled


def test_where_no_drill_fits_nothing_is_deployed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(world, "--drills", "by-hand", "--fitting") == 0
    assert capsys.readouterr().err == (
        "--drills by-hand: none is meant for tableConsistency=eventual and failoverMode=automatic\n")
    assert (world.drilled, world.stopped) == ([], [])


def test_a_sandbox_and_the_factor_are_passed_on(world: World) -> None:
    assert run(world) == 0
    assert (world.waited, world.environment["factor"]) == (0, 10)
    assert run(world, "--sandbox", "--factor", "20") == 0
    assert (world.waited, world.environment["factor"]) == (1, 20)
    assert run(world, "--sandbox", "--stack", "dev") == 2


def test_a_command_for_a_sandbox_is_passed_to_it(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for code in (0, 1):
        monkeypatch.setattr("rehearsal.cli.ask", lambda words, _, code=code: (code, " ".join(words)))
        monkeypatch.setattr(sys, "argv", ["rehearsal", "sandbox", "cut", "us-east-1"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        assert ended.value.code == code
        assert (printed.err if code else printed.out) == "cut us-east-1\n"


@pytest.mark.parametrize(("arguments", "complaint"), [
    (["--config", "profile=x"], "profile = 'x': must be dev or prod"),
    (["--config", "profile"], "--config profile: must be KEY=VALUE"),
    (["--config", "apiAuthorization=iam"], "apiAuthorization = 'iam': the rehearsal's clients do not sign"),
    (["--config", "nosuch=1"], "--config nosuch: Pulumi.yaml declares no such key\n"),
    (["--config", "profil=prod"], "--config profil: Pulumi.yaml declares no such key; did you mean profile?"),
    (["--stack", "nosuch"], "Pulumi.nosuch.yaml is missing in "),
    (["--exec", "no-such-program-anywhere"], "program not found: no-such-program-anywhere"),
    (["--exec", "'"], "--exec ': No closing quotation"),
    (["--nosuch"], "No such option: --nosuch"),
    (["--outages", "gate"], "--outages gate: must be all, none or some of copies-lag, cut, "),
    (["--outages", "quorum"], "--outages quorum: needs tableConsistency=strong"),
    (["--drills", "flood"], "--drills flood: must be all, gate, none or some of api-only, "),
    (["--drills", "by-hand"], "--drills by-hand: needs failoverMode=manual"),
    (["--drills", "region-lost", "--config", "tableConsistency=strong", "--config", "witnessRegion=us-east-2",
      "--drills", "failback-waits"], "--drills failback-waits: needs tableConsistency=eventual"),
    (["--stack", "dev", "--config", "failoverMode=manual", "--drills", "by-hand"],
     "--drills by-hand: needs domainName: without it there is no DNS to move"),
    (["--stack", "dev", "--config", "failoverMode=automatic"],
     "failoverMode = 'automatic': automatic needs domainName"),
    (["--factor", "0.5"], "Invalid value for '--factor': Input should be greater than or equal to 1"),
    (["--factor", "20.5"], "Invalid value for '--factor': Input should be less than or equal to 20"),
])
def test_bad_input_is_reported_in_one_line(
        world: World, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str) -> None:
    assert run(world, *arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), world.stopped) == ("", 1, [])
    assert complaint in err
