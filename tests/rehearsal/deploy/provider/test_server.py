"""The provider asked through Pulumi's own stubs: every method, for every type of resource in the program."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import grpc
import pulumi
import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from rehearsal.aws.clients import EmulatorClients
from rehearsal.aws.emulator import Emulator
from rehearsal.cli import ROOT
from rehearsal.deploy import inventory
from rehearsal.deploy.adopt import CREATING, interrupted
from rehearsal.deploy.deployment import Deployment
from rehearsal.deploy.project import Project
from rehearsal.deploy.provider.handlers import ProviderConfig, Resource, short_name
from rehearsal.deploy.provider.server import SIGNATURE
from rehearsal.deploy.pulumi_engine import PROVIDER
from rehearsal.deploy.resources import RESOURCE_TYPES
from rehearsal.deploy.resources.model import DeployTarget
from tests.rehearsal.stack import EAST, WEST

CONFIG = {"alarmEmail": "night@example.com", "receiptsLockDays": "1", "backupLock": "true",
          "firewall": "true", "replicationPauses": "true"}
ARCHIVE, FILE = "0def7320c3a5731c473e5ecbe6d01bc7", "c44067f5952c0a294b673a41bacd8c17"
HARMLESS = {"DefaultSecurityGroup", "CertificateValidation", "SecretVersion", "Deployment"}  # if created twice
UNREADABLE = {short_name(token) for token, kind in RESOURCE_TYPES.items() if not kind.read}
SERVICES = {each.service for each in RESOURCE_TYPES.values()} - {""}
DIFF = provider_pb2.DiffResponse


def struct(values: Mapping[str, Any]) -> Struct:
    """Properties as Pulumi's engine sends them."""
    return json_format.ParseDict({key: sent(value) for key, value in values.items()}, Struct())


def sent(value: Any) -> Any:
    """A value as it is sent: archives and files are marked."""
    match value:
        case pulumi.AssetArchive():
            return {SIGNATURE: ARCHIVE, "hash": "h",
                    "assets": {name: sent(each) for name, each in value.assets.items()}}
        case pulumi.FileAsset():
            return {SIGNATURE: FILE, "hash": "h", "path": str(value.path)}
        case pulumi.StringAsset():
            return {SIGNATURE: FILE, "hash": "h", "text": value.text}
    return value


class PulumiStandIn:
    """Asks the provider for each resource of the program what Pulumi's engine would ask. `failures`: what was wrong."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stubs: dict[str, provider_pb2_grpc.ResourceProviderStub] = {}
        self._tokens = set[str]()
        self._tags: Mapping[str, str] = {}
        self.made: list[tuple[Any, Any]] = []
        self.failures: list[str] = []

    def stub(self, config: ProviderConfig) -> Any:
        """The connection of a provider."""
        if config.region not in self._stubs:
            self._tags = config.tags or self._tags
            stub: Any = provider_pb2_grpc.ResourceProviderStub(  # connections of their own
                grpc.insecure_channel(self._address, [("grpc.use_local_subchannel_pool", 1)]))
            given = {"region": config.region, "endpoints": json.dumps([dict(config.endpoints)]),
                     "defaultTags": json.dumps({"tags": dict(config.tags)})} if config.region else {}
            stub.Handshake(provider_pb2.ProviderHandshakeRequest())
            stub.CheckConfig(provider_pb2.CheckRequest(news=struct(given)))
            stub.Configure(provider_pb2.ConfigureRequest(args=struct(given)))
            self._stubs[config.region] = stub
        return self._stubs[config.region]

    def create(self, token: str, name: str, config: ProviderConfig, inputs: Mapping[str, Any],
               _protected: bool) -> Resource:
        """Create a resource, and try what a life asks of the first of each type."""
        stub, kind, urn = self.stub(config), RESOURCE_TYPES[token], f"urn:pulumi:s::p::{token}::{name}"
        checked = stub.Check(provider_pb2.CheckRequest(urn=urn, news=struct(inputs))).inputs
        stub.Create(provider_pb2.CreateRequest(urn=urn, properties=checked, preview=True))
        made = stub.Create(provider_pb2.CreateRequest(urn=urn, properties=checked))
        known = json_format.MessageToDict(checked)
        if token not in self._tokens:
            self._tokens.add(token)
            checked = self._live(stub, token, {"id": made.id, "urn": urn}, made.properties, checked)
        self.made.append((stub, provider_pb2.DeleteRequest(
            id=made.id, urn=urn, properties=made.properties, old_inputs=checked)))
        return Resource(token, name, replace(kind, outputs={key: f"state.{key}" for key in kind.outputs}), {
            "id": made.id, "in": known, "state": json_format.MessageToDict(made.properties)})

    def _live(self, stub: Any, token: str, which: dict[str, Any], state: Struct, inputs: Struct) -> Struct:
        """See that nothing differs at once, that a change is told from a replacement, and that tags can be changed.

        Returns the inputs as they are then.
        """
        kind, known = RESOURCE_TYPES[token], json_format.MessageToDict(inputs)
        read = stub.Read(provider_pb2.ReadRequest(**which, properties=state, inputs=inputs))
        self.expect(which["urn"], "read", read.inputs == inputs)
        for changes in ({}, dict.fromkeys(kind.replace & known.keys(), "changed")):
            diff = stub.Diff(provider_pb2.DiffRequest(
                **which, olds=state, old_inputs=inputs, news=struct({**known, **changes})))
            self.expect(which["urn"], f"diff {changes}", ({*diff.replaces}, diff.changes) == (
                {*changes}, DIFF.DIFF_SOME if changes else DIFF.DIFF_NONE))
        if "tags" in kind.update:
            tagged = struct({**known, "tags": {**known.get("tags", {}), "Owner": "test"}})
            given = {**which, "olds": state, "old_inputs": inputs, "news": tagged}
            stub.Update(provider_pb2.UpdateRequest(**given, preview=True))
            updated = json_format.MessageToDict(stub.Update(provider_pb2.UpdateRequest(**given)).properties)
            self.expect(which["urn"], "update", updated["tagsAll"]["Owner"] == "test")
            return tagged
        return inputs

    def expect(self, urn: str, what: str, held: bool) -> None:
        """Note what does not hold."""
        if not held:
            self.failures.append(f"{urn}: {what}")

    def lost(self, clients: EmulatorClients) -> set[str]:
        """The types of which adoption does not find each resource that an interrupted creation has left."""
        providers = [{"urn": region, "type": "pulumi:providers:aws", "inputs": {
            "region": region, "endpoints": json.dumps([dict.fromkeys(SERVICES, clients.endpoint)]),
            "defaultTags": json.dumps({"tags": dict(self._tags)})}} for region in (EAST, WEST)]
        records = [{"urn": made.urn, "type": made.urn.split("::")[2], "id": made.id,
                    "inputs": json_format.MessageToDict(made.old_inputs),
                    "provider": f"{json_format.MessageToDict(made.properties).get('region')}::i"}
                   for _, made in self.made]
        alike = {one["type"]: [other for other in records if other["type"] == one["type"]] for one in records}
        creations = ((one, each) for one in records for each in interrupted({
            "resources": [*providers, *(other for other in alike[one["type"]] if other is not one)],
            "pending_operations": [{"type": CREATING, "resource": {**one, "id": ""}}]}, lambda _endpoint: clients))
        return {short_name(one["type"]) for one, each in creations if not each.record or (
            each.record["id"] != one["id"] and not RESOURCE_TYPES[one["type"]].adoption.import_id)}

    def delete(self) -> None:
        """Delete all that was made, the newest first."""
        for stub, request in reversed(self.made):
            stub.Delete(request)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulator that holds nothing."""
    emulator = Emulator()
    emulator.start()
    yield emulator
    emulator.stop()


@pytest.fixture
def address(emulator: Emulator) -> Iterator[str]:
    """A provider in a process of its own."""
    with subprocess.Popen([*PROVIDER, emulator.endpoint, json.dumps({"endpoints": {EAST: "", WEST: ""}})],
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield f"127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


def test_every_method_serves_every_type_of_the_program(
        emulator: Emulator, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = EmulatorClients(emulator.endpoint, 16)
    before = inventory.take(clients, [EAST, WEST])
    project = Project.load(ROOT, "local", CONFIG).with_endpoint(emulator.endpoint)
    deployment, engine = Deployment(clients, DeployTarget()), PulumiStandIn(address)
    monkeypatch.setattr(deployment, "create", engine.create)
    deployment.up(project)
    lost = engine.lost(clients)
    engine.delete()
    assert engine.failures == []
    assert lost == HARMLESS | UNREADABLE | {"SecurityGroupEgressRule"}  # the emulator gives two of them one id
    assert {request.urn.split("::")[2] for _, request in engine.made} == {*RESOURCE_TYPES}
    assert inventory.take(clients, [EAST, WEST]) == before
