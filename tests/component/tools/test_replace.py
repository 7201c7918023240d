"""A lost region is replaced by a third one: what the state keeps, what AWS is told, and what is refused."""
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.unit.lib.conftest import CASES, recording
from tests.unit.lib.recorder import ACCOUNT, Recording, Resource, record
from tools.destroy import kind
from tools.replace import DEPLOYED, Replacement, main

EAST, WEST, NEW = "us-east-1", "us-west-2", "eu-west-1"
ZONES = "eu-west-1a,eu-west-1b,eu-west-1c"
CASE = "prod"  # with a domain and an existing secret, in both regions
PROVIDER = "pulumi:providers:aws"


def entry(program: Recording, each: Resource) -> dict[str, Any]:
    """A resource as the engine's state has it."""
    arn = {"arn": program.arn(each), "region": program.region(each)} if each.provider else {}
    return {
        "urn": each.urn, "type": each.type, "custom": each.custom, "id": f"{each.name}-id", "parent": each.parent,
        "provider": each.provider, "inputs": {key: value for key, value in each.inputs.items() if key != "code"},
        "outputs": {**program.component_outputs.get(each.type, {}), **arn}, "dependencies": sorted(each.waits_for)}


def state(program: Recording) -> list[dict[str, Any]]:
    """The state that the engine would keep of a recorded program."""
    return [entry(program, each) for each in program if not each.type.startswith("random:")]


@pytest.fixture(params=[EAST, WEST])
def plan(request: pytest.FixtureRequest) -> Replacement:
    """The replacement of either region."""
    return Replacement(state(recording(CASE)), request.param, NEW, ZONES)


@cache
def replaced(lost: str) -> Recording:
    """The program after the region was replaced.

    What was deployed is what it is asked for: nothing needs `allowChange`.
    """
    plan = Replacement(state(recording(CASE)), lost, NEW, ZONES)
    outputs = {each["type"]: each["outputs"] for each in plan.state() if not each["custom"]}
    after = record({**CASES[CASE], **plan.settings()}, recording=Recording(state=outputs))
    assert after.component_outputs[DEPLOYED] == outputs[DEPLOYED]
    return after


def test_up_finds_all_that_is_left_in_its_place_and_creates_the_rest_in_the_new_region(plan: Replacement) -> None:
    kept = {each["urn"]: each for each in plan.state()}
    after = replaced(plan.lost)
    assert after.calls == []
    assert kept.keys() <= after.resources.keys()
    new = [each for each in after if each.urn not in kept and not each.type.startswith("random:")]
    lost = [each for each in plan.forgotten() if not each["urn"].endswith("-unhealthy")]
    assert len(new) == len(lost)
    # Records are in no region; in prod the primary region has one database instance more.
    regions = {after.region(each) for each in new
               if each.custom and each.type != PROVIDER and each.kind not in ("Record", "ClusterInstance")}
    assert regions == {NEW}
    for urn, each in kept.items():
        assert each["provider"].rpartition("::")[0] == after.resources[urn].provider.rpartition("::")[0]
        assert not {*each["dependencies"]} & {found.urn for found in new}


def test_names_in_aws_stay_with_what_survives(plan: Replacement) -> None:
    after = replaced(plan.lost)
    for each in plan.state():
        now = after.resources[each["urn"]]
        for key in ("name", "bucket", "clusterIdentifier", "globalClusterIdentifier", "domainName", "setIdentifier"):
            if not str(each["inputs"].get(key)).endswith("-id"):  # that is a resource of this program
                assert each["inputs"].get(key) == now.inputs.get(key), (each["urn"], key)


def test_what_spans_both_regions_is_the_survivors_and_has_no_replica(plan: Replacement) -> None:
    kept = {kind(each): each for each in plan.state() if kind(each) in ("Table", "GlobalCluster", "Zone")}
    assert {each["provider"].rpartition("::")[0].rpartition("-us-")[2] for each in kept.values()} == {
        plan.survivor.removeprefix("us-")}
    table = kept["Table"]
    assert (table["inputs"]["replicas"], table["outputs"]["replicas"]) == ([], [])
    assert plan.survivor in table["outputs"]["arn"]
    assert plan.lost not in json.dumps(table["inputs"])


def test_the_survivors_key_stays_the_replica_that_it_is() -> None:
    first = Replacement(state(recording(CASE)), EAST, NEW, ZONES)
    (key,) = recording(CASE).of("Key")
    assert first.settings()["primaryKeyOrigin"] == recording(CASE).arn(key)
    after = replaced(EAST)
    assert {(each.kind, after.region(each)) for each in after.of("Key", "ReplicaKey")} == {
        ("ReplicaKey", WEST), ("Key", NEW)}
    # The new region has an original, so after the next loss there is a replica of it again.
    second = Replacement(state(after), WEST, EAST, "us-east-1a,us-east-1b,us-east-1c")
    assert second.settings()["primaryKeyOrigin"] == ""


def test_what_is_left_behind_is_named_and_what_needs_us_east_1_is_counted(plan: Replacement) -> None:
    left = dict(line.split(": ", 1) for line in plan.left_behind())
    assert {"Bucket", "Cluster", "Role", "Vault"} <= left.keys()
    assert not {"Table", "GlobalCluster", "Record", "Zone", "HealthCheck"} & left.keys()
    assert "8 Role" in plan.needs_control_planes()
    assert "2 Bucket" in plan.needs_control_planes()


@dataclass
class Aws:
    """An account whose writer is in one region. `dead`: services that do not answer; `broken`: those with an error."""

    writer: str
    lost: str
    dead: str = ""
    broken: str = ""
    account: str = ACCOUNT
    told: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)

    def __call__(self, service: str, region: str) -> Any:
        outer = self

        class Client:
            """Answers questions, and keeps what it is told to change."""

            def __getattr__(self, operation: str) -> Any:
                def call(**params: Any) -> Any:
                    if service == outer.dead:
                        raise EndpointConnectionError(endpoint_url=service)
                    if service == outer.broken:
                        raise ClientError({"Error": {}, "ResponseMetadata": {"HTTPStatusCode": 503}}, operation)
                    if service == "iam":
                        raise ClientError({"Error": {}, "ResponseMetadata": {"HTTPStatusCode": 403}}, operation)
                    if operation.startswith(("describe", "get_hosted", "get_caller", "list")):
                        return outer.answer(operation)
                    outer.told.append((operation, region, params))
                    return {}
                return call

            def get_waiter(self, _name: str) -> Any:
                """What waits until something is done."""
                return type("Waiter", (), {"wait": staticmethod(lambda **_: None)})

            def get_paginator(self, operation: str) -> Any:
                """The only page."""
                return type("Pages", (), {"paginate": staticmethod(lambda **_: [outer.answer(operation)])})

        return Client()

    def answer(self, operation: str) -> Any:
        """What a question is answered with."""
        members = [{"DBClusterArn": f"arn:aws:rds:{region}:1:cluster:c", "IsWriter": region == self.writer}
                   for region in (EAST, WEST)]
        record_of = {"Name": "_region.pay.example.com.", "Type": "TXT", "SetIdentifier": self.lost}
        return {
            "get_caller_identity": {"Account": self.account},
            "describe_global_clusters": {"GlobalClusters": [{"GlobalClusterMembers": members}]},
            "describe_table": {"Table": {"Replicas": [{"RegionName": self.lost}]}},
            "describe_secret": {"PrimaryRegion": EAST if self.lost == EAST else "",
                                "ReplicationStatus": [{"Region": self.lost}]},
            "describe_availability_zones": {"AvailabilityZones": [{"ZoneName": f"{NEW}{each}"} for each in "abc"]},
            "list_resource_record_sets": {"ResourceRecordSets": [record_of, {**record_of, "SetIdentifier": "kept"}]},
        }.get(operation, {})


class Cli:
    """The Pulumi CLI with one deployed stack."""

    def __init__(self, resources: list[dict[str, Any]], **more: Any) -> None:
        self.exported = {"version": 3, "deployment": {"resources": resources, **more}}
        self.calls: list[tuple[str, ...]] = []
        self.imported: Any = None

    def __call__(self, *arguments: str, text: str | None = None) -> str:
        self.calls.append(arguments)
        if text:
            self.imported = json.loads(text)["deployment"]["resources"]
        return json.dumps(self.exported)


def run(aws: Aws, cli: Cli, *arguments: str) -> int:
    """Run the command line."""
    return main(["pay", *arguments], cli, aws)


@pytest.mark.parametrize(("lost", "survivor", "secret"), [
    (EAST, WEST, "stop_replication_to_replica"), (WEST, EAST, "remove_regions_from_replication")])
def test_only_if_asked_to_aws_is_told_and_then_the_file_and_the_state_are_changed(
        lost: str, survivor: str, secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    generated = state(recording("dev-domain-strong-swapped"))
    for each in generated:
        if each["type"] == DEPLOYED:  # as if the table were eventual
            each["outputs"]["tableConsistency"] = "eventual"
    aws, cli = Aws(survivor, lost), Cli(generated)
    assert run(aws, cli, lost, NEW) == 0
    assert (aws.told, [call[:2] for call in cli.calls]) == ([], [("stack", "export")])
    assert f"to do it: make replace STACK=pay LOST={lost} NEW={NEW} ARGS=--yes" in capsys.readouterr().out
    assert run(aws, cli, lost, NEW, "--yes") == 0
    assert [(operation, region) for operation, region, _ in aws.told] == [
        ("remove_from_global_cluster", survivor), ("update_table", survivor), (secret, survivor),
        ("change_resource_record_sets", survivor)]
    (change,) = aws.told[-1][2]["ChangeBatch"]["Changes"]
    assert (change["Action"], change["ResourceRecordSet"]["SetIdentifier"]) == ("DELETE", lost)
    assert [call[:2] for call in cli.calls[2:]] == [("config", "set-all"), ("stack", "import")]
    assert f"TapStack:drRegion={NEW}" in cli.calls[2]
    assert {each["inputs"]["region"] for each in cli.imported if each["type"] == PROVIDER} == {survivor}


@pytest.mark.parametrize(("aws", "arguments", "why"), [
    (Aws(EAST, EAST), (EAST, NEW), f"{WEST} does not have the database's writer: run `failover --to {WEST}` first"),
    (Aws(WEST, EAST, dead="route53"), (EAST, NEW), "the control planes of route53 in us-east-1 do not answer"),
    (Aws(WEST, EAST, account="1"), (EAST, NEW), f"account = {ACCOUNT}: you are signed in to 1"),
    (Aws(WEST, EAST, broken="s3"), (EAST, NEW), "the control planes of s3 in us-east-1 do not answer"),
    (Aws(WEST, EAST), ("eu-west-9", NEW), f"LOST=eu-west-9: must be {EAST} or {WEST}"),
    (Aws(WEST, EAST), (EAST, WEST), f"NEW={WEST}: must be a third region"),
    (Aws(WEST, EAST), (EAST, "eu-west-9"), "NEW=eu-west-9: must be")])
def test_what_stands_in_the_way_is_one_line_and_changes_nothing(
        aws: Aws, arguments: tuple[str, str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli = Cli(state(recording(CASE)))
    assert run(aws, cli, *arguments, "--yes") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"replace: {why}")
    assert (aws.told, len(cli.calls)) == ([], 1)


@pytest.mark.parametrize(("cli", "why"), [
    (Cli([], pending_operations=[{}]), "an `up` was interrupted: run `make adopt STACK=pay` first"),
    (Cli([]), "pay is not deployed"),
    (Cli(state(recording("dev-domain-strong-swapped"))), "the table is strong: AWS adds no replica")])
def test_a_stack_that_cannot_lose_a_region_is_refused(
        cli: Cli, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Aws(WEST, EAST), cli, EAST, NEW) == 1
    assert capsys.readouterr().err.startswith(f"replace: {why}")
