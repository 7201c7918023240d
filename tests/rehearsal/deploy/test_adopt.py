"""Interrupted creations: what exists of them, and how it gets into the state."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from rehearsal.deploy import adopt as module
from rehearsal.deploy.adopt import REPLACED, adopt, interrupted, main
from rehearsal.errors import DeploymentError
from tests.rehearsal.cloud import ENDPOINT, Cloud, refusal
from tools.clients import WrongAccount
from tools.pulumi_cli import PulumiFailed

PROVIDER = "urn:pulumi:s::p::pulumi:providers:aws::west"
PROVIDERS: dict[str, Any] = {"urn": PROVIDER, "type": "pulumi:providers:aws", "id": "i", "inputs": {
    "region": "us-west-2", "endpoints": json.dumps([dict.fromkeys(("iam", "ec2", "lambda", "xray"), ENDPOINT)])}}
ROLE, NETWORK, PASSWORD, TRACES = (
    "aws:iam/role:Role", "aws:ec2/vpc:Vpc", "random:index/randomPassword:RandomPassword",
    "aws:xray/samplingRule:SamplingRule")


def note(token: str, provider: str = PROVIDER, operation: str = "creating", **inputs: Any) -> dict[str, Any]:
    """What the state notes of an operation that has not ended."""
    return {"type": operation, "resource": {
        "urn": f"urn:pulumi:s::p::{token}::thing", "type": token, "inputs": inputs, "provider": f"{provider}::i"}}


def lines(cloud: Cloud, *notes: Mapping[str, Any], resources: tuple[Mapping[str, Any], ...] = ()) -> list[str]:
    """What is found of each."""
    state = {"resources": [PROVIDERS, *resources], "pending_operations": notes}
    return [str(each) for each in interrupted(state, lambda _endpoint: cloud)]


@pytest.fixture(autouse=True)
def role_and_networks(cloud: Cloud) -> None:
    """What the cloud holds: a role and two networks."""
    cloud.answers["GetRole"] = lambda _: {"Role": {"RoleName": "r", "Arn": "a", "AssumeRolePolicyDocument": "{}"}}
    cloud.answers["DescribeVpcs"] = lambda params: {"Vpcs": [
        {"VpcId": each, "CidrBlock": f"10.{each[-1]}.0.0/16"}
        for each in params.get("VpcIds", ("vpc-0", "vpc-1"))]}


def test_one_with_a_name_is_looked_for_by_it(cloud: Cloud) -> None:
    assert lines(cloud, note(ROLE, name="r", assumeRolePolicy="{}")) == ["Role thing: exists, r"]
    cloud.answers["GetRole"] = refusal("NoSuchEntity")
    assert lines(cloud, note(ROLE, name="r", assumeRolePolicy="{}")) == ["Role thing: does not exist"]


def test_one_without_a_name_is_the_one_that_has_its_inputs_and_is_not_known_yet(cloud: Cloud) -> None:
    assert lines(cloud, note(NETWORK, cidrBlock="10.1.0.0/16")) == ["Vpc thing: exists, vpc-1"]
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"10.1.0.0/16"'}
    assert lines(cloud, note(NETWORK, cidrBlock=secret)) == ["Vpc thing: exists, vpc-1"]
    assert lines(cloud, note(NETWORK, cidrBlock="10.9.0.0/16")) == ["Vpc thing: does not exist"]
    known = {"urn": "urn", "type": NETWORK, "id": "vpc-1", "provider": f"{PROVIDER}::i"}
    assert lines(cloud, note(NETWORK, cidrBlock="10.1.0.0/16"), resources=(known,)) == ["Vpc thing: does not exist"]


def test_one_that_was_answered_is_what_the_state_says_of_it_and_nobody_elses(cloud: Cloud) -> None:
    answered = note(NETWORK, cidrBlock="10.1.0.0/16")
    answered["resource"] |= {"id": "vpc-1", "outputs": {"arn": "a"}}
    state = {"resources": [PROVIDERS], "pending_operations": [note(NETWORK, cidrBlock="10.1.0.0/16"), answered]}
    first, second = interrupted(state, lambda _endpoint: cloud)
    assert (str(first), first.record) == ("Vpc thing: does not exist", None)
    assert (str(second), second.record) == ("Vpc thing: exists, vpc-1", answered["resource"])


def test_the_same_name_in_another_region_is_another_resource(cloud: Cloud) -> None:
    east = {**PROVIDERS, "urn": f"{PROVIDER}-east", "inputs": {"region": "us-east-1"}}
    known = {"urn": "urn", "type": ROLE, "id": "r", "provider": f"{PROVIDER}-east::i"}
    assert lines(cloud, note(ROLE, name="r", assumeRolePolicy="{}"), resources=(east, known)) == [
        "Role thing: exists, r"]


def test_only_creations_are_listed_and_what_cannot_be_looked_for_is_named(cloud: Cloud) -> None:
    assert lines(cloud, note(ROLE, operation="deleting"), note("aws:x/y:Z"), note(PASSWORD, provider="none", length=8),
                 note(TRACES, ruleName="e")) == [
        "RandomPassword thing: does not exist",
        "SamplingRule thing: cannot be looked for; if `up` says that it exists, delete it"]


def test_another_account_is_not_looked_at(cloud: Cloud) -> None:
    provider = {**PROVIDERS, "inputs": {**PROVIDERS["inputs"], "allowedAccountIds": '["123456789012"]'}}
    cloud.answers["GetCallerIdentity"] = {"Account": "1"}
    with pytest.raises(WrongAccount, match="account = 123456789012: you are signed in to 1"):
        lines(cloud, note(ROLE, name="r"), resources=(provider,))
    assert "GetRole" not in cloud.operations()


def test_an_error_of_aws_is_no_answer(cloud: Cloud) -> None:
    cloud.answers["GetRole"] = refusal("AccessDenied")
    with pytest.raises(DeploymentError, match="AccessDenied"):
        lines(cloud, note(ROLE, name="r"))


class Pulumi:
    """Exports a state, and records what else it is asked to do."""

    def __init__(self, *notes: Mapping[str, Any]) -> None:
        self.exported: dict[str, Any] = {
            "version": 3, "deployment": {"resources": [PROVIDERS], "pending_operations": list(notes)}}
        self.imported: dict[str, Any] = {}
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, *arguments: str, text: str | None = None) -> str:
        self.calls.append(arguments)
        if text:
            self.imported = json.loads(text)["deployment"]
        return json.dumps(self.exported)


def test_only_if_asked_to_what_exists_is_put_into_the_state_and_read(cloud: Cloud) -> None:
    alias = note("aws:lambda/alias:Alias", functionName="f", name="live", functionVersion="1")
    pulumi = Pulumi(
        note(ROLE, name="r"), note(NETWORK, cidrBlock="10.9.0.0/16"), note(ROLE, operation="updating"), alias)

    def find(state: Mapping[str, Any]) -> Any:
        return interrupted(state, lambda _endpoint: cloud)

    cloud.answers["GetAlias"] = {"AliasArn": "arn"}
    found = ["Role thing: exists, r", "Vpc thing: does not exist",
             "Alias thing: exists, f/live"]
    assert adopt("s", yes=False, pulumi=pulumi, find=find) == found
    assert [call[:2] for call in pulumi.calls] == [("stack", "export")]
    assert adopt("s", yes=True, pulumi=pulumi, find=find) == found
    assert [each["id"] for each in pulumi.imported["resources"]] == ["i", "r", "f/live"]
    assert [each["type"] for each in pulumi.imported["pending_operations"]] == ["updating"]
    assert pulumi.calls[-1][:3] == ("refresh", "--yes", "--skip-preview")
    assert pulumi.calls[-1].count("--target") == 2


def test_one_that_replaces_another_is_not_taken_for_it(cloud: Cloud) -> None:
    old = {"urn": note(ROLE)["resource"]["urn"], "type": ROLE, "id": "r", "provider": f"{PROVIDER}::i"}
    for marks, left in (({REPLACED: True}, []), ({"id": "other"}, [{**old, "id": "other", "delete": True}])):
        pulumi = Pulumi(note(ROLE, name="r"))
        pulumi.exported["deployment"]["resources"].append(old | marks)
        assert adopt("s", yes=True, pulumi=pulumi, find=lambda state: interrupted(state, lambda _endpoint: cloud)) == [
            "Role thing: exists, r"]
        assert pulumi.imported["resources"] == [PROVIDERS, *left, {**note(ROLE, name="r")["resource"], "id": "r"}]


def test_the_exit_code_says_whether_something_is_left_to_adopt(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, found, code, out in (
            (["s"], [], 0, "no creation was interrupted\n"),
            (["s"], ["Role: exists"], 1, "Role: exists\nto adopt what exists: make adopt STACK=s ARGS=--yes\n"),
            (["s", "--yes"], ["Role: exists"], 0, "Role: exists\n")):
        monkeypatch.setattr(module, "adopt", lambda _stack, found=found, **_yes: found)
        assert (main(arguments), capsys.readouterr().out) == (code, out)


def test_a_failure_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_stack: str, *, yes: bool) -> list[str]:
        raise PulumiFailed(f"pulumi stack export failed {yes}")

    monkeypatch.setattr(module, "adopt", fail)
    assert (main(["s"]), capsys.readouterr().err) == (1, "adopt: pulumi stack export failed False\n")
