"""The terminal: the stack that it opens, and what it asks."""
import getpass
import io
import json
import os
import sys

import pytest

from contract import OutputsError
from recovery.environment import BotoClients
from recovery.errors import SIGN_IN
from recovery.outputs import FoundOutputs
from recovery.terminal import ask, connect, user
from tests.component.recovery.shell import AWAY, HOME, Result, Shell
from tests.unit.recovery.calm_world import CalmWorld


@pytest.mark.parametrize("line", ["--region us-east-1 status", "--suffix dev status",
                                  "--stack dev --region us-east-1 --suffix dev status"])
def test_a_stack_is_named_in_one_way(shell: Shell, line: str) -> None:
    assert shell.type(line) == Result(2, "", ["recovery: name a stack with --stack, or with --region and --suffix"])


def test_without_a_file_the_outputs_are_read_in_a_region_that_works(
        shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.world.lose(HOME, ends=True)
    asked = list[object]()

    def kept(_: object, region: str, suffix: str) -> FoundOutputs:
        asked.append((region, suffix))
        return FoundOutputs(values=json.loads(shell.outputs.read_text()), where="s3://x", written=0.0)

    monkeypatch.setattr("recovery.terminal.in_region", kept)
    assert shell.type(f"--region {AWAY} --suffix dev status").code == 0
    assert asked == [(AWAY, "dev")]
    assert shell.head.endswith("(s3://x)")


@pytest.mark.parametrize(("answer", "agrees"), [("y\n", True), ("n\n", False), ("", False)])
def test_only_a_yes_confirms(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str,
                             *, agrees: bool) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert ask("Begin?") is agrees
    assert "Begin?" in capsys.readouterr().err


def test_commands_call_aws_through_boto(monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in(monkeypatch)
    assert isinstance(connect({}).clients, BotoClients)
    outputs = CalmWorld().outputs
    assert isinstance(connect(outputs).clients, BotoClients)
    monkeypatch.setenv("AWS_ENDPOINT_URL_RDS", "http://127.0.0.1:4566")
    with pytest.raises(OutputsError, match="is not: unset AWS_ENDPOINT_URL"):
        connect(outputs)


def test_without_credentials_nothing_is_called(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in(monkeypatch)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for line in ("status", "plan failover", "failover --to us-west-2", "doctor",
                 "--region us-east-1 --suffix x status"):
        assert shell.type(line, connect=connect) == Result(2, "", [
            f"recovery: Unable to locate credentials: {SIGN_IN}"])


def signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of the environment, and of nothing else."""
    for key in [key for key in os.environ if key.startswith("AWS_")]:
        monkeypatch.delenv(key)
    for key in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(key, os.devnull)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert user().startswith("user ")
