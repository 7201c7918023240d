"""A stack is made once, and what identifies it is written into its own file."""
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tools import init

ACCOUNT = "123456789012"


@dataclass
class Account:
    """The account of the credentials, in which each region has these zones."""

    zones: str = "dabc"
    refused: bool = False

    def __call__(self, service: str, region: str) -> Any:
        def identity() -> dict[str, str]:
            if self.refused:
                raise ClientError({"Error": {"Code": "ExpiredToken", "Message": "no"}}, "GetCallerIdentity")
            return {"Account": ACCOUNT}

        def zones(**filters: Any) -> dict[str, Any]:
            assert filters
            return {"AvailabilityZones": [{"ZoneName": region + letter} for letter in self.zones]}

        return {"sts": SimpleNamespace(get_caller_identity=identity),
                "ec2": SimpleNamespace(describe_availability_zones=zones)}[service]


@dataclass
class Cli:
    """The Pulumi CLI with its stacks, and the configuration of the one that is made."""

    stacks: list[str] = field(default_factory=list)
    config: dict[str, str] = field(default_factory=dict)
    calls: list[list[str]] = field(default_factory=list)

    def __call__(self, *given: str) -> str:
        arguments = [*given]
        self.calls.append(arguments)
        match arguments[:2]:
            case ["stack", "ls"]:
                return json.dumps([{"name": name} for name in self.stacks])
            case ["config", "--json"]:
                return json.dumps({f"TapStack:{key}": {"value": value} for key, value in self.config.items()})
        return ""


def test_a_new_stack_is_made_and_its_identity_is_written() -> None:
    cli = Cli(config={"profile": "prod", "drRegion": "eu-west-1", "primaryZones": ""})
    written = init.init("prod", ["--secrets-provider=awskms://key"], cli, Account())
    assert written == {
        "environmentSuffix": "prod", "primaryRegion": "us-east-1", "account": ACCOUNT,
        "primaryZones": "us-east-1a,us-east-1b,us-east-1c", "drZones": "eu-west-1a,eu-west-1b,eu-west-1c"}
    assert cli.calls[1] == ["stack", "init", "prod", "--no-select", "--secrets-provider=awskms://key"]
    assert cli.calls[-1][:4] == ["config", "set-all", "--stack", "prod"]
    assert cli.calls[-1][4:6] == ["--plaintext", "environmentSuffix=prod"]


@pytest.mark.parametrize("arguments", [[], ["--secrets-provider=passphrase"]])
def test_the_secrets_of_a_stack_with_real_payments_are_kept_by_a_kms_key(
        arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli = Cli()
    assert init.main(["prod", *arguments], lambda stack, more: init.init(stack, more, cli, Account())) == 1
    assert capsys.readouterr().err.startswith("init: prod: its state's secrets need a KMS key: add ARGS=")
    assert cli.calls == [["stack", "ls", "--json"]]
    assert init.init("prod", [], Cli(stacks=["prod"]), Account())


def test_what_the_file_says_stays() -> None:
    cli = Cli(stacks=["dev"], config={"account": ACCOUNT, "environmentSuffix": "d", "primaryRegion": "us-east-1",
                                      "drRegion": "us-west-2", "primaryZones": "us-east-1b,us-east-1c,us-east-1d",
                                      "drZones": "us-west-2a,us-west-2b,us-west-2d"})
    assert init.init("dev", [], cli, Account()) == {}
    assert [call[:2] for call in cli.calls] == [["stack", "ls"], ["config", "--json"]]


def test_of_an_emulator_nothing_is_asked() -> None:
    cli = Cli(config={"awsEndpoint": "http://127.0.0.1:4566"})
    assert "account" not in init.init("local", [], cli, Account(refused=True))


@pytest.mark.parametrize(("account", "cli", "text"), [
    (Account("ab"), Cli(), "us-east-1 offers 2 availability zones; 3 are needed"),
    (Account(refused=True), Cli(), "An error occurred (ExpiredToken) when calling the GetCallerIdentity operation: no"),
    (Account(), Cli(config={"account": "999999999999"}), f"account = 999999999999: you are signed in to {ACCOUNT}"),
    (Account(), Cli(config={"profile": "test"}), "profile = 'test': must be dev or prod")])
def test_what_stops_it_is_one_line_and_writes_nothing(
        account: Account, cli: Cli, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert init.main(["x"], lambda stack, more: init.init(stack, more, cli, account)) == 1
    assert capsys.readouterr().err == f"init: {text}\n"
    assert not [call for call in cli.calls if "set-all" in call]


def test_what_was_written_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert init.main(["pay", "--x"], lambda stack, more: {"account": f"{stack} {more}"}) == 0
    assert capsys.readouterr().out == "Pulumi.pay.yaml: account = pay ['--x']\n"
