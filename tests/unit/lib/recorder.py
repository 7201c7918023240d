"""Runs the unchanged program against a monitor that records every registration, for tests to examine."""
import logging
import runpy
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import mocks, resource, rpc
from pulumi.runtime.proto import resource_pb2, source_pb2
from pulumi.runtime.settings import set_root_resource
from pulumi.runtime.stack import run_in_stack
from pulumi.runtime.sync_await import _ensure_event_loop, _sync_await

# Finding the stack trace takes a third of the time of a registration, and no test needs it.
resource._get_stack_trace = source_pb2.StackTrace  # pylint: disable=protected-access

PROGRAM = Path(__file__).resolve().parents[3] / "__main__.py"
PROJECT, STACK = "TapStack", "test"
ACCOUNT = "123456789012"
STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Resource:
    """One registration, as the engine would receive it."""

    urn: str
    type: str
    name: str
    parent: str
    provider: str
    custom: bool
    inputs: Mapping[str, Any]
    dependencies: frozenset[str]
    property_dependencies: frozenset[str]
    ignore_changes: frozenset[str]
    protect: bool
    retain: bool
    delete_before_replace: bool

    @cached_property
    def kind(self) -> str:
        """The last part of the type: `Vpc`."""
        return self.type.rpartition(":")[2]

    @property
    def waits_for(self) -> frozenset[str]:
        """URNs that must exist before this: named as dependencies, or through an input."""
        return self.dependencies | self.property_dependencies


@dataclass
class Recording:
    """All registrations of one run of the program, by URN, and the outputs of the stack and of its components.

    `state`: the outputs that the components have from an earlier run, by type.
    """

    resources: dict[str, Resource] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    secret_outputs: set[str] = field(default_factory=set)
    component_outputs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    state: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.resources.values())

    @property
    def custom(self) -> list[Resource]:
        """Resources that a provider creates: no components and no providers."""
        return [r for r in self if r.custom and not r.type.startswith("pulumi:")]

    def arn(self, resource: Resource) -> str:
        """The ARN of the resource."""
        return arn(resource.type, resource.name, self.region(resource), resource.inputs)

    def of(self, *kinds: str) -> list[Resource]:
        """Resources whose kind is one of `kinds`, of which there must be some."""
        found = [r for r in self if r.kind in kinds]
        assert found, f"the program has no {' or '.join(kinds)}"
        return found

    def one(self, kind: str, name_part: str) -> Resource:
        """The one resource of a kind whose logical name has `name_part` in it."""
        (found,) = [r for r in self.of(kind) if name_part in r.name]
        return found

    def region(self, resource: Resource) -> str:
        """The region of the resource's provider."""
        return str(self.resources[resource.provider.rpartition("::")[0]].inputs["region"])

    def waits_transitively(self, resource: Resource) -> set[str]:
        """Every URN that must exist before the resource."""
        found: set[str] = set()
        todo = list(resource.waits_for)
        while todo:
            urn = todo.pop()
            if urn not in found and urn in self.resources:
                found.add(urn)
                todo.extend(self.resources[urn].waits_for)
        return found

    def inside(self, resource: Resource, component: str) -> bool:
        """Whether a component of type `component` (`DrRegion`) is among the resource's parents."""
        parent = self.resources.get(resource.parent)
        return parent is not None and (parent.kind == component or self.inside(parent, component))


SECRET = "not-a-real-password"
COMPUTED: Mapping[str, Mapping[str, Any]] = {
    "aws:acm/certificate:Certificate": {"domainValidationOptions": [
        {"resourceRecordName": "_proof.example.", "resourceRecordType": "CNAME", "resourceRecordValue": "_value."}]},
    "aws:route53/zone:Zone": {"nameServers": ["ns1.example", "ns2.example"], "zoneId": "Z1"},
    "random:index/randomPassword:RandomPassword": {"result": SECRET},
}


# The ARNs that policies name; those of other types are made of the logical name.
ARNS: Mapping[str, str] = {
    "aws:apigateway/restApi:RestApi": "execute-api:{at}:{logical}",
    "aws:backup/vault:Vault": "backup:{at}:backup-vault:{name}",
    "aws:cloudwatch/eventRule:EventRule": "events:{at}:rule/{name}",
    "aws:cloudwatch/logGroup:LogGroup": "logs:{at}:log-group:{name}",
    "aws:iam/role:Role": "iam::{account}:role/{name}",
    "aws:kms/key:Key": "kms:{at}:key/{logical}",
    "aws:kms/replicaKey:ReplicaKey": "kms:{at}:key/{logical}",
    "aws:lambda/function:Function": "lambda:{at}:function:{name}",
    "aws:rds/cluster:Cluster": "rds:{at}:cluster:{clusterIdentifier}",
    "aws:s3/bucket:Bucket": "s3:::{bucket}",
    "aws:sns/topic:Topic": "sns:{at}:{name}",
}


def arn(type_: str, logical: str, region: str, inputs: Mapping[str, Any]) -> str:
    """The ARN that AWS would give a resource."""
    service = type_.split(":")[1].partition("/")[0] if ":" in type_ else ""
    template = ARNS.get(type_, f"{service}:{{at}}:{{logical}}")
    return "arn:aws:" + template.format_map({**inputs, "logical": logical, "at": f"{region}:{ACCOUNT}",
                                             "account": ACCOUNT})


def _computed(type_: str, name: str, region: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs that AWS would assign."""
    texts = {key: arn(type_, name, region, inputs) for key in ("arn", "executionArn")}
    for key in ("endpoint", "readerEndpoint", "invokeArn", "invokeUrl", "keyId", "prefixListId",
                "defaultSecurityGroupId", "clusterResourceId", "rootResourceId", "regionalDomainName",
                "regionalZoneId", "fqdn", "version", "certificateArn"):
        texts[key] = f"{name}/{key}"
    return {**texts, **COMPUTED.get(type_, {})}


class _Monitor(mocks.MockMonitor):
    """Records each registration, and answers as the engine would: with ids and outputs, or in a preview without."""

    def __init__(self, calls: mocks.Mocks, recording: Recording, known: bool) -> None:
        super().__init__(calls)
        self._recording, self._known, self._lock = recording, known, threading.Lock()

    def RegisterResource(self, request: Any) -> Any:  # the name is gRPC's # pylint: disable=invalid-name
        """One resource."""
        urn = self.make_urn(request.parent, request.type, request.name)
        _ensure_event_loop()  # type: ignore[no-untyped-call]
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        inputs = rpc.deserialize_properties(request.object, keep_unknowns=True)
        through = {u for entry in request.propertyDependencies.values() for u in entry.urns}
        with self._lock:
            assert urn not in self._recording.resources, f"two resources have the URN {urn}"
            self._recording.resources[urn] = Resource(
                urn=urn, type=request.type, name=request.name, parent=request.parent, provider=request.provider,
                custom=request.custom, inputs=inputs, dependencies=frozenset(request.dependencies),
                property_dependencies=frozenset(through), ignore_changes=frozenset(request.ignoreChanges),
                protect=request.protect, retain=request.retainOnDelete,
                delete_before_replace=request.deleteBeforeReplace)
            self.resources[urn] = self.ResourceRegistration(urn, "", dict(self._recording.state.get(request.type, {})))
        # The inputs come back as they are, already serialised, with what AWS would add.
        answer = request.object
        answer.fields.pop("code", None)
        if not self._known:
            return resource_pb2.RegisterResourceResponse(urn=urn, id="", object=answer)
        provider = self._recording.resources.get(request.provider.rpartition("::")[0])
        region = str(provider.inputs["region"]) if provider else ""
        computed = _computed(request.type, request.name, region, inputs)
        answer.update({key: value for key, value in computed.items() if key not in answer.fields})
        identifier = f"{request.name}-id" if request.custom else ""
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identifier, object=answer)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # pylint: disable=invalid-name
        """The outputs of the stack or of a component."""
        if f"::{STACK_TYPE}::" in request.urn:
            outputs = rpc.deserialize_properties(request.outputs, keep_unknowns=True)
            for key, value in outputs.items():
                if rpc.is_rpc_secret(value):
                    self._recording.secret_outputs.add(key)
                self._recording.outputs[key] = rpc.unwrap_rpc_secret(value)
        else:
            type_ = request.urn.split("::")[2].rpartition("$")[2]
            self._recording.component_outputs[type_] = rpc.deserialize_properties(request.outputs, keep_unknowns=True)
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


class _Warnings(logging.Handler):
    """Keeps the program's warnings."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self._recording = recording

    def emit(self, record: logging.LogRecord) -> None:
        """One warning."""
        self._recording.warnings.append(record.getMessage())


class _Calls(mocks.Mocks):
    """Answers of the data functions."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Never called, because the monitor answers."""
        raise AssertionError(args.name)

    def call(self, args: mocks.MockCallArgs) -> Any:
        """The existing secret: nothing else is asked of AWS, so a stack can be changed while one region is dead."""
        self._recording.calls.append((args.token, args.provider))
        assert args.token == "aws:secretsmanager/getSecretVersion:getSecretVersion"
        return {"secretString": '{"username": "someone", "password": "existing-secret"}', "id": "secret"}


def main_program() -> None:
    """The program that `pulumi up` runs."""
    runpy.run_path(str(PROGRAM), run_name="__main__")


def record(config: Mapping[str, str] | None = None, *, known: bool = True,
           program: Callable[[], None] = main_program, recording: Recording | None = None) -> Recording:
    """Run the program with `config` (keys without the project's name); `known=False` is a preview of a new stack.

    `recording` takes the registrations, also of a program that fails.
    """
    recording = recording or Recording()
    calls = _Calls(recording)
    _ensure_event_loop()  # type: ignore[no-untyped-call]
    logger = logging.Logger("program", logging.WARNING)  # noqa: LOG001  # one for each run, unknown to the root
    logger.addHandler(_Warnings(recording))
    mocks.set_mocks(calls, project=PROJECT, stack=STACK, organization="organization", preview=not known,
                    monitor=_Monitor(calls, recording, known), logger=logger)
    keys = {"account": ACCOUNT, "environmentSuffix": "dev", **(config or {})}
    keys.setdefault("allowChange", f"environmentSuffix={keys['environmentSuffix']}")  # which is not the stack's name
    pulumi.runtime.set_all_config({f"{PROJECT}:{key}": value for key, value in keys.items()})
    set_root_resource(None)  # type: ignore[arg-type]  # set_mocks has made a stack; the program gets its own
    _sync_await(run_in_stack(program))
    # The order of the registrations is that in which their inputs came to be known, which depends on the machine.
    recording.resources = dict(sorted(recording.resources.items()))
    return recording
