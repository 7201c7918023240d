"""The monitor that Pulumi's runtime registers its resources with, in place of Pulumi's engine.

The runtime registers a resource once its inputs and dependencies are known, each registration on a thread of its own,
so what may run in parallel does. A failure stops what has not begun; the runtime then sees unknown outputs and comes
to its end by itself.
"""

import json
import threading
from collections.abc import Mapping
from typing import Any

from google.protobuf import empty_pb2, struct_pb2
from pulumi.output import Unknown
from pulumi.runtime import mocks, rpc
from pulumi.runtime.proto import provider_pb2, resource_pb2

from rehearsal.deploy.engine import Engine, ProviderConfig, RehearsalError
from rehearsal.deploy.resources import DATA_FUNCTIONS
from rehearsal.report import Progress

STACK = "pulumi:pulumi:Stack"
AWS_PROVIDER = "pulumi:providers:aws"
NO_PROVIDER = ProviderConfig("", {}, {})  # of a package that needs no region, such as random


class Monitor(mocks.MockMonitor):
    """Hands registrations to the engine; `failures` and the stack's `outputs` are there when the program has ended."""

    def __init__(self, engine: Engine, progress: Progress) -> None:
        super().__init__(None)  # type: ignore[arg-type]  # mocks are asked by what is overridden here
        self._engine, self._progress = engine, progress
        self._providers: dict[str, ProviderConfig] = {}
        self._urns: set[str] = set()
        self._lock = threading.Lock()
        self.failures: list[RehearsalError] = []
        self.outputs: dict[str, Any] = {}
        self.stopped = False

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """The URN as Pulumi's engine forms it, with the types of all ancestors but the stack."""
        above = parent.split("::")[2] if parent else STACK
        return super().make_urn("", type_ if above == STACK else f"{above}${type_}", name)

    def RegisterResource(self, request: Any) -> Any:
        """Make the resource. A failure is kept, and answered so that the program can go on to its end."""
        urn = self.make_urn(request.parent, request.type, request.name)
        try:
            self._claim(urn)
            if not request.custom:
                return resource_pb2.RegisterResourceResponse(urn=urn)
            if self.stopped or self.failures:
                return resource_pb2.RegisterResourceResponse(urn=urn, result=resource_pb2.FAIL)
            identifier, outputs = self._register(request, urn)
        except RehearsalError as error:
            self.failures.append(error)
            return resource_pb2.RegisterResourceResponse(urn=urn, result=resource_pb2.FAIL)
        # `unknown`: an output that is not among these becomes unknown, and so fails where it is used, instead of None.
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identifier, object=_struct(outputs), unknown=True)

    def ReadResource(self, request: Any) -> Any:  # noqa: N802  # pylint: disable=invalid-name
        """Refuse: what is read or imported would have to exist before."""
        raise RehearsalError(f"{request.name}: a rehearsal begins with nothing, so no {request.id}")

    def RegisterResourceOutputs(self, request: Any) -> Any:
        """Keep the stack's outputs; nobody asks for a component's."""
        if request.urn.split("::")[2] == STACK:
            self.outputs = rpc.deserialize_properties(request.outputs, keep_unknowns=True)
        return empty_pb2.Empty()

    def Invoke(self, request: Any) -> Any:
        """Answer a data function from the emulator."""
        response = resource_pb2.ResourceInvokeResponse()
        try:
            if request.tok not in DATA_FUNCTIONS:
                raise RehearsalError(f"the rehearsal knows no function {request.tok}")
            arguments = plain(rpc.deserialize_properties(request.args), request.tok)
            provider = self._provider(request.tok, request.provider)
            answer = self._engine.ask(request.tok, DATA_FUNCTIONS[request.tok], provider, arguments)
        except RehearsalError as error:
            response.failures.append(provider_pb2.CheckFailure(reason=str(error)))
        else:
            getattr(response, "return").CopyFrom(_struct(answer))
        return response

    def _claim(self, urn: str) -> None:
        with self._lock:
            if urn in self._urns:
                raise RehearsalError(f"two resources have the URN {urn}")
            self._urns.add(urn)

    def _register(self, request: Any, urn: str) -> tuple[str, Mapping[str, Any]]:
        inputs = plain(rpc.deserialize_properties(request.object, keep_unknowns=True), request.name)
        if request.type == AWS_PROVIDER:
            self._providers[urn] = _aws_provider(request.name, inputs)
            return request.name, {}
        if request.type.startswith("pulumi:providers:"):
            return request.name, {}
        if request.importId:
            raise RehearsalError(f"{request.name}: a rehearsal begins with nothing, so no {request.importId}")
        what = f"{request.type.rpartition(':')[2]} {request.name}"
        provider = self._provider(what, request.provider) if request.type.startswith("aws:") else NO_PROVIDER
        with self._progress.step(what):
            made = self._engine.create(request.type, request.name, provider, inputs, request.protect)
        return str(made.scope["id"]), {
            key: rpc.wrap_rpc_secret(value) if key in made.kind.secrets else value
            for key, value in self._engine.outputs(made).items()}

    def _provider(self, what: str, reference: str) -> ProviderConfig:
        """The provider that a registration or call names, by URN and id."""
        if not reference:
            raise RehearsalError(f"{what}: has no explicit provider, so it would land on the default one")
        return self._providers[reference.rpartition("::")[0]]


def _aws_provider(name: str, inputs: Mapping[str, Any]) -> ProviderConfig:
    # A provider's inputs are texts; what is none is JSON in one.
    values = {key: json.loads(text) if text[:1] in ("[", "{") else text for key, text in inputs.items()}
    if "region" not in values:
        raise RehearsalError(f"{name}: the provider has no region")
    endpoints = {service: url for each in values.get("endpoints", ()) for service, url in each.items()}
    return ProviderConfig(values["region"], endpoints, values.get("defaultTags", {}).get("tags", {}))


def _struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


def plain(value: Any, where: str) -> Any:
    """The value without Pulumi's envelopes of secrets, its numbers whole where they are.

    Raises RehearsalError if it depends on an output that no kind gives.
    """
    if isinstance(value, Unknown):
        raise RehearsalError(f"{where}: depends on an output that the rehearsal does not give")
    if rpc.is_rpc_secret(value):
        return plain(value["value"], where)
    if isinstance(value, dict):
        return {key: plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, f"{where}[{number}]") for number, item in enumerate(value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value
