"""The provider as Pulumi's engine reaches it: a gRPC server, in a process of its own.

Each provider resource of a program is a connection of its own. The engine attaches by PULUMI_DEBUG_PROVIDERS; see
https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto for the protocol.
"""

import json
import signal
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from botocore.exceptions import BotoCoreError, ClientError
from google.protobuf import any_pb2, empty_pb2, json_format
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import rpc
from pulumi.runtime.proto import errors_pb2, plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy.provider.handlers import TAGS, Handlers, ProviderConfig, Resource
from rehearsal.deploy.provider.values import NO_PROVIDER, plain, provider_config
from rehearsal.deploy.resources import RESOURCE_TYPES
from rehearsal.deploy.resources.model import DeployTarget, ResourceType
from rehearsal.errors import DeploymentError

THREADS = 16
SIZE = 400 << 20  # bytes of a message, as much as Pulumi's engine allows
VOLATILE = {"version"}  # outputs that an update changes: what a function publishes
SIGNATURE = "4dabf18193072939515e22adb298388d"  # the key that marks archives and files among properties


class ProviderServer(provider_pb2_grpc.ResourceProviderServicer):
    """Passes what the engine asks to the handlers, and answers with their results or the reason of a failure."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._configs: dict[str, ProviderConfig] = {}  # by connection

    # The names of the methods are the protocol's.
    # ruff: noqa: N802
    # pylint: disable=invalid-name,too-many-public-methods

    def Handshake(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        """Agree on what this provider takes: no secrets, so the engine keeps track of them."""
        return provider_pb2.ProviderHandshakeResponse()

    def Attach(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        """The engine's address, which is not needed."""
        return empty_pb2.Empty()

    def GetPluginInfo(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        """A version that is new enough for any program."""
        return plugin_pb2.PluginInfo(version="99.0.0")

    def CheckConfig(self, request: Any, _context: grpc.ServicerContext) -> Any:
        """Every configuration is taken as it is."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, _context: grpc.ServicerContext) -> Any:
        """A provider in another region is another provider, whose resources are replaced."""
        old, new = _raw(request.old_inputs), _raw(request.news)
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        return provider_pb2.DiffResponse(
            changes=_some(changed), diffs=changed, replaces=[key for key in changed if key == "region"])

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Configure the connection. As the real provider, it signs in: it fails in a region that is lost."""
        config = NO_PROVIDER
        if "region" in request.args:
            with _reported(context):
                config = provider_config("provider", json_format.MessageToDict(request.args))
                try:
                    self._handlers.clients("sts", config.region).get_caller_identity()
                except (ClientError, BotoCoreError) as error:
                    raise DeploymentError(f"cannot sign in in {config.region}: {error}") from error
        self._configs[context.peer()] = config
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answer a data function."""
        with _reported(context):
            answer = self._handlers.invoke(
                request.tok, self._configs[context.peer()], _inputs(request.args, request.tok))
        return provider_pb2.InvokeResponse(**{"return": _struct(answer)})

    def Check(self, request: Any, _context: grpc.ServicerContext) -> Any:
        """The inputs, with a generated name; or what is wrong with them."""
        token, name = _names(request.urn)
        try:
            inputs = self._handlers.check(token, name, _raw(request.news), _raw(request.olds))
        except DeploymentError as error:
            return provider_pb2.CheckResponse(inputs=request.news,
                                              failures=[provider_pb2.CheckFailure(reason=str(error))])
        return provider_pb2.CheckResponse(inputs=_struct(inputs))

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        """What an update would change, and what of it needs a replacement."""
        with _reported(context):
            resource = self._resource(request, context, _raw(request.news), request.olds)
            changed = self._changed(resource, request)
            replaces = sorted(self._handlers.replaces(resource, changed))
        return provider_pb2.DiffResponse(
            changes=_some(changed), diffs=sorted(changed), replaces=replaces, hasDetailedDiff=True,
            detailedDiff={key: provider_pb2.PropertyDiff(
                kind=provider_pb2.PropertyDiff.UPDATE_REPLACE if key in replaces else provider_pb2.PropertyDiff.UPDATE,
                inputDiff=True) for key in changed})

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Create a resource; in a preview, tell which outputs will be known only then."""
        token, _ = _names(request.urn)
        if request.preview:
            return provider_pb2.CreateResponse(properties=_unknown(request.properties, token))
        with _reported(context) as fail:
            resource = self._resource(request, context, _inputs(request.properties, request.urn))
            try:
                self._handlers.create(resource)
            except DeploymentError as error:
                if not resource.scope["id"]:
                    raise
                fail(str(error), id=str(resource.scope["id"]), inputs=request.properties,
                     properties=_state(resource, request.properties))
        return provider_pb2.CreateResponse(
            id=str(resource.scope["id"]), properties=_state(resource, request.properties))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        """What the emulator holds; nothing if it holds no such resource."""
        with _reported(context):
            resource = self._resource(request, context, _raw(request.inputs), request.properties)
            imported = not request.properties
            held = self._handlers.adopt(resource) if imported else self._handlers.read(resource)
            if held is None:
                return provider_pb2.ReadResponse()
            inputs = {**_raw(request.inputs), **{key: held[key] for key in held.keys() & resource.scope["in"].keys()}}
            state = {**(_raw(_state(resource, request.inputs)) if imported else _raw(request.properties)), **held}
        return provider_pb2.ReadResponse(
            id=str(resource.scope["id"]), inputs=_struct(inputs), properties=_struct(state))

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Change a resource; all its outputs, not only those that changed."""
        with _reported(context):
            token, _ = _names(request.urn)
            if request.preview:
                return provider_pb2.UpdateResponse(properties=_unknown(request.news, token, _raw(request.olds)))
            resource = self._resource(request, context, _inputs(request.news, request.urn), request.olds)
            self._handlers.update(resource, self._changed(resource, request), _raw(request.old_inputs))
        return provider_pb2.UpdateResponse(properties=_state(resource, request.news))

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Delete a resource."""
        with _reported(context):
            self._handlers.delete(self._resource(request, context, _raw(request.old_inputs), request.properties))
        return empty_pb2.Empty()

    def Cancel(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        """Nothing to do: every call ends by itself."""
        return empty_pb2.Empty()

    def _resource(self, request: Any, context: grpc.ServicerContext, inputs: Mapping[str, Any],
                  state: Struct | None = None) -> Resource:
        token, name = _names(request.urn)
        return self._handlers.resource(
            token, name, self._configs.get(context.peer(), NO_PROVIDER), inputs,
            identifier=getattr(request, "id", ""), state=_raw(state) if state else {})

    def _changed(self, resource: Resource, request: Any) -> set[str]:
        return self._handlers.changes(resource, _comparable(_raw(request.old_inputs)), _comparable(_raw(request.news)))


@contextmanager
def _reported(context: grpc.ServicerContext) -> Iterator[Any]:
    """Answer a DeploymentError with its reason. The function that it gives reports a half-created resource."""
    def fail(reason: str, **known: Any) -> NoReturn:
        detail = any_pb2.Any()
        detail.Pack(errors_pb2.ErrorCause(message=reason) if not known else
                    provider_pb2.ErrorResourceInitFailed(reasons=[reason], **known))
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reason, details=[detail])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(grpc.StatusCode.UNKNOWN, reason)
        raise AssertionError

    try:
        yield fail
    except DeploymentError as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))


def _names(urn: str) -> tuple[str, str]:
    """A resource's type and name, from urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME."""
    _, _, types, name = urn.split("::", 3)
    return types.rpartition("$")[2], name


def _raw(properties: Struct) -> dict[str, Any]:
    """Properties as they are sent: archives and unknown values are markers, and whole numbers are int."""
    values: dict[str, Any] = plain(json_format.MessageToDict(properties), "")
    return values


def _inputs(properties: Struct, where: str) -> dict[str, Any]:
    """Properties as a program gives them, with archives that can be packaged."""
    given: dict[str, Any] = plain(rpc.deserialize_properties(properties, keep_unknowns=True), where)
    return given


def _comparable(value: Any) -> Any:
    """The value with archives replaced by their hashes."""
    if isinstance(value, Mapping):
        return value.get("hash") if SIGNATURE in value else {key: _comparable(each) for key, each in value.items()}
    return value


def _struct(values: Mapping[str, Any]) -> Struct:
    return json_format.ParseDict(values, Struct())


def _some(changed: Any) -> Any:
    return provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE


def _state(resource: Resource, inputs: Struct) -> Struct:
    """All outputs: the inputs as they were sent, the type's own outputs, and what a later diff compares."""
    scope = resource.scope
    return _struct({**_outputs(scope["state"], inputs, resource.type), **resource.outputs(), TAGS: scope["tags"],
                    "region": scope["region"]})


def _unknown(inputs: Struct, token: str, before: Mapping[str, Any] | None = None) -> Struct:
    """The outputs in a preview: of a new resource, or of one that was like `before`."""
    kind = RESOURCE_TYPES[token]
    unknown = kind.outputs if before is None else kind.outputs.keys() & VOLATILE
    return _struct({**_outputs(before or {}, inputs, kind), **dict.fromkeys(unknown, rpc.UNKNOWN)})


def _outputs(before: Mapping[str, Any], inputs: Struct, kind: ResourceType) -> dict[str, Any]:
    """The earlier outputs with the new inputs; an output of the type wins over the input of the same name (a port)."""
    return {**before, **_raw(inputs), **{key: before[key] for key in kind.outputs if key in before}}


def serve(target: DeployTarget, endpoint: str) -> tuple[grpc.Server, int]:
    """A server on a free loopback port, and that port."""
    server = grpc.server(ThreadPoolExecutor(THREADS), options=[
        ("grpc.max_receive_message_length", SIZE), ("grpc.max_send_message_length", SIZE)])
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(
        ProviderServer(Handlers(EmulatorClients(endpoint, THREADS), target)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def main() -> None:
    """Serve until SIGTERM, and end what was begun by then; prints the port.

    Arguments: the emulator's URL, and the target as JSON.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # the interpreter's exit waits for the threads of calls
    endpoint, target = sys.argv[1:]
    server, port = serve(DeployTarget(**json.loads(target)), endpoint)
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
