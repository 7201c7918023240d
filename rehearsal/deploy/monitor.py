"""The monitor that Pulumi's runtime registers resources with, in place of Pulumi's engine.

The runtime registers a resource once its inputs and dependencies are known, each on its own thread, so independent
resources are created in parallel. After a failure nothing new begins: the runtime gets unknown outputs for the rest,
and ends by itself.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from google.protobuf import empty_pb2
from pulumi.runtime import mocks, rpc
from pulumi.runtime.proto import provider_pb2, resource_pb2

from lib.component import GET_RESOURCE
from rehearsal.deploy.provider.handlers import Handlers, ProviderConfig, Resource, short_name
from rehearsal.deploy.provider.values import NO_PROVIDER, plain, provider_config
from rehearsal.errors import DeploymentError

Create = Callable[[str, str, ProviderConfig, Mapping[str, Any], bool], Resource]
Step = Callable[[str], AbstractContextManager[object]]
"""Called with the label of a resource; the context lasts as long as the work on it."""

STACK = "pulumi:pulumi:Stack"
AWS_PROVIDER = "pulumi:providers:aws"


class Monitor(mocks.MockMonitor):
    """Passes resources to `create` and data functions to the handlers.

    `failures` and the stack's `outputs` are complete when the program has ended. Once `stopping` is set, nothing new
    begins.
    """

    def __init__(self, create: Create, handlers: Handlers, step: Step, stopping: threading.Event) -> None:
        super().__init__(None)  # type: ignore[arg-type]  # only the methods that are overridden here use the mocks
        self._create, self._handlers, self._step, self._stopping = create, handlers, step, stopping
        self._configs: dict[str, ProviderConfig] = {}
        self._requests: dict[str, Any] = {}
        self.failures: list[DeploymentError] = []
        self.outputs: dict[str, Any] = {}

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """The URN as Pulumi's engine forms it, with the types of all ancestors except the stack."""
        above = parent.split("::")[2] if parent else STACK
        return super().make_urn("", type_ if above == STACK else f"{above}${type_}", name)

    def RegisterResource(self, request: Any) -> Any:
        """Create the resource. A failure is recorded, and answered in a way that lets the program end by itself."""
        urn = self.make_urn(request.parent, request.type, request.name)
        try:
            if self._requests.setdefault(urn, request) is not request:  # in one step: there are many threads
                raise DeploymentError(f"two resources have the URN {urn}")
            if not request.custom:
                return resource_pb2.RegisterResourceResponse(urn=urn)
            if self._stopping.is_set() or self.failures:
                return resource_pb2.RegisterResourceResponse(urn=urn, result=resource_pb2.FAIL)
            identifier, outputs = self._register(request, urn)
        except DeploymentError as error:
            self.failures.append(error)
            return resource_pb2.RegisterResourceResponse(urn=urn, result=resource_pb2.FAIL)
        # `unknown`: an output that is missing here fails where it is used, instead of being None.
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identifier, object=outputs, unknown=True)

    def ReadResource(self, request: Any) -> Any:  # noqa: N802  # pylint: disable=invalid-name
        """Refuse: nothing exists that could be read or imported."""
        raise DeploymentError(_nothing_to_import(request.name, request.id))

    def RegisterResourceOutputs(self, request: Any) -> Any:
        """Record the stack's outputs; those of components are not needed."""
        if request.urn.split("::")[2] == STACK:
            self.outputs = rpc.deserialize_properties(request.outputs, keep_unknowns=True)
        return empty_pb2.Empty()

    def Invoke(self, request: Any) -> Any:
        """Answer a data function from the emulator."""
        response = resource_pb2.ResourceInvokeResponse()
        if request.tok == GET_RESOURCE:  # a rehearsal begins with nothing
            getattr(response, "return").update({"state": {}})
            return response
        try:
            arguments = plain(rpc.deserialize_properties(request.args), request.tok)
            answer = self._handlers.invoke(request.tok, self._config(request.tok, request.provider), arguments)
        except DeploymentError as error:
            response.failures.append(provider_pb2.CheckFailure(reason=str(error)))
        else:
            getattr(response, "return").update(answer)
        return response

    def _register(self, request: Any, urn: str) -> tuple[str, Mapping[str, Any]]:
        inputs = plain(rpc.deserialize_properties(request.object, keep_unknowns=True), request.name)
        if request.type.startswith("pulumi:providers:"):
            if request.type == AWS_PROVIDER:
                self._configs[urn] = provider_config(request.name, inputs)
            return request.name, {}
        if request.importId:
            raise DeploymentError(_nothing_to_import(request.name, request.importId))
        label = f"{short_name(request.type)} {request.name}"
        config = self._config(label, request.provider) if request.type.startswith("aws:") else NO_PROVIDER
        with self._step(label):
            resource = self._create(request.type, request.name, config, inputs, request.protect)
        return str(resource.scope["id"]), {
            key: rpc.wrap_rpc_secret(value) if key in resource.type.secrets else value
            for key, value in resource.outputs().items()}

    def _config(self, label: str, reference: str) -> ProviderConfig:
        """The configuration of a provider; `reference` is its URN::id."""
        if not reference:
            raise DeploymentError(f"{label}: has no explicit provider, so it would use the default one")
        return self._configs[reference.rpartition("::")[0]]


def _nothing_to_import(name: str, identifier: str) -> str:
    return f"{name}: a rehearsal begins with nothing, so {identifier} does not exist"
