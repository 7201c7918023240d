"""A destroy says before and after what goes and what stays, and does not begin while anything is protected."""
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.lib.conftest import recording
from tools import destroy


def state(case: str) -> list[dict[str, Any]]:
    """The state that the engine would keep of a recorded program."""
    return [{"urn": each.urn, "type": each.type, "custom": each.custom, "id": f"{each.name}-id",
             "protect": each.protect, "retainOnDelete": each.retain,
             "inputs": {key: value for key, value in each.inputs.items() if key != "code"},
             "outputs": {"arn": f"arn:aws:x:{recording(case).region(each)}:1:y" if each.provider else ""}}
            for each in recording(case) if not each.type.startswith("random:")]


@dataclass
class Cli:
    """The Pulumi CLI with one stack; its destroy ends with `code`, after `left` resources."""

    held: list[dict[str, Any]]
    code: int = 0
    left: int = 0
    calls: list[Sequence[str]] = field(default_factory=list)

    def __call__(self, arguments: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        self.calls.append(arguments)
        if arguments[1] == "destroy":
            self.held = self.held[:self.left]
            return subprocess.CompletedProcess(arguments, self.code)
        assert "input" in options
        deployment: Mapping[str, Any] = {"resources": self.held} if self.held else {}
        return subprocess.CompletedProcess(arguments, 0, stdout=json.dumps({"deployment": deployment}))


@pytest.fixture
def pulumi(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Cli:
    """The CLI with the stack of a recorded program."""
    cli = Cli(state(request.param))
    monkeypatch.setattr("subprocess.run", cli)
    return cli


@pytest.mark.parametrize("pulumi", ["prod"], indirect=True)
def test_of_a_protected_stack_nothing_is_deleted(pulumi: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert destroy.main("pay", ["--yes"]) == 1
    assert "resources are protected: run `pulumi config set deletionProtection false --stack pay`" in (
        capsys.readouterr().err)
    assert [call[1] for call in pulumi.calls] == ["stack"]


@pytest.mark.parametrize("pulumi", ["prod-released-domain-zone-europe"], indirect=True)
def test_what_remains_is_listed_before_and_after(pulumi: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert destroy.main("pay", ["--yes"]) == 0
    assert pulumi.calls[1] == ["pulumi", "destroy", "--stack", "pay", "--yes"]
    before, after = capsys.readouterr().out.split("pay after: 0 resources left in the state\n")
    remaining = [line for line in before.splitlines() if line.startswith("  remains: ")]
    assert after.splitlines() == remaining
    assert [line.split()[1] for line in remaining].count("snapshot") == 2
    assert {line.split()[1] for line in remaining} == {
        "snapshot", "Key", "ReplicaKey", "Vault", "Bucket", "Secret", "backup"}
    assert ("  remains: snapshot tapstack-dev-eu-west-1-final (eu-west-1): the next stack of this suffix cannot be "
            "destroyed before you rename or delete it") in remaining
    assert before.startswith("pay before: ")
    assert " 30 days: the next stack" in before


@pytest.mark.parametrize("pulumi", ["dev"], indirect=True)
def test_of_dev_only_dynamodbs_own_backup_remains(pulumi: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert destroy.main("dev", []) == 0
    assert {line for line in capsys.readouterr().out.splitlines() if "remains" in line} == {
        "  remains: backup of Table payment-transactions-dev (us-east-1), which DynamoDB keeps for 35 days"}
    assert len(pulumi.calls) == 3


@pytest.mark.parametrize("pulumi", ["dev"], indirect=True)
def test_a_destroy_that_fails_says_what_is_left(pulumi: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    pulumi.code, pulumi.left = 255, len(pulumi.held)
    assert destroy.main("dev", []) == 255
    after = capsys.readouterr().out.partition("dev after: ")[2]
    assert " left in the state" in after
    assert "remains" not in after


def test_a_stack_that_cannot_be_read_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: Sequence[str], **_: Any) -> Any:
        return subprocess.CompletedProcess(arguments, 6)
    monkeypatch.setattr("subprocess.run", fail)
    assert destroy.main("prodd", []) == 1
