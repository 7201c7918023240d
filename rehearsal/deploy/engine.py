"""Creates and deletes resources in the emulator through boto3, as `resources` describes their types.

It knows nothing of Pulumi's protocol: the caller decides what is created, and in which order.
"""

import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.aws.clients import ACCOUNT, EmulatorClients
from rehearsal.deploy import gaps
from rehearsal.deploy.coercion import coerce, member, set_path
from rehearsal.deploy.resources import DATA_FUNCTIONS, RESOURCE_TYPES
from rehearsal.deploy.resources.model import Call, DeployTarget, ResourceType, Scope, evaluate, inputs_in
from rehearsal.errors import CoercionError, DeploymentError


@dataclass(frozen=True)
class ProviderConfig:
    """An explicit AWS provider of the program; `endpoints` are URLs by service."""

    region: str
    endpoints: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class DeployedResource:
    """A resource that exists, and what is needed to delete it."""

    token: str
    name: str
    type: ResourceType
    protected: bool
    scope: Scope

    @property
    def type_name(self) -> str:
        """The type's own name, without package and module."""
        return short_name(self.token)

    @property
    def label(self) -> str:
        """Its name in messages."""
        return f"{self.type_name} {self.name} ({self.scope['region'] or 'no region'})"

    def outputs(self) -> dict[str, Any]:
        """What the program sees of the resource in addition to its inputs. Raises DeploymentError."""
        shown = {key: self.evaluate(expression) for key, expression in self.type.outputs.items()}
        if self.type.name_input:
            shown[self.type.name_input] = self.scope["in"][self.type.name_input]
        return {key: value for key, value in shown.items() if value is not None}

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of its type. Raises DeploymentError."""
        try:
            return evaluate(expression, self.scope)
        except (LookupError, ValueError, TypeError) as error:
            raise DeploymentError(f"{self.label}: {expression}: {_reason(error)}") from error


class Engine:
    """Creates resources and keeps track of those that exist, deletes them, and calls data functions.

    Several threads may create at once. All methods raise DeploymentError.
    `resources`: the oldest first. `gaps`: a line for each thing that the emulator cannot do with them.
    """

    def __init__(self, clients: EmulatorClients, target: DeployTarget) -> None:
        self._clients, self._target = clients, target
        self._lock = threading.Lock()
        self.resources: list[DeployedResource] = []
        self.gaps: set[str] = set()

    def create(self, token: str, name: str, config: ProviderConfig, inputs: Mapping[str, Any],
               protected: bool) -> DeployedResource:
        """Create and configure a resource of the type `token`. An input that is null or empty counts as not given.

        A resource that exists when this fails can be deleted like any other.
        """
        resource_type = RESOURCE_TYPES.get(token)
        if resource_type is None:
            raise DeploymentError(f"{name}: the rehearsal does not support the resource type {token}")
        given = given_inputs(inputs)
        if resource_type.name_input:
            given.setdefault(resource_type.name_input, f"{name}-{uuid.uuid4().hex[:7]}")
        region, databases = given.pop("region", config.region), self._target.databases
        scope: Scope = {
            "name": name, "region": region, "account": ACCOUNT,
            "endpoint": self._target.endpoints.get(region, self._clients.endpoint),
            "regions": sorted({region, *self._target.endpoints}), "factor": self._target.factor,
            "databases": databases, "port": databases.port(region) if databases else None,
            "files": {"payments/rds-ca.pem": databases.authority} if databases else {},
            "tags": {**config.tags, **given.pop("tags", {})},
            "unique": uuid.uuid4().hex, "id": "", "out": {}, "unprotected": False, "in": given}
        resource = DeployedResource(token, name, resource_type, protected, scope)
        service = resource_type.service
        if service and config.endpoints.get(service) != self._clients.endpoint:
            raise DeploymentError(f"{resource.label}: its provider does not send {service} to the emulator")
        self._call(resource, resource_type.create, with_inputs=True)
        scope["id"] = resource.evaluate(resource_type.id)
        with self._lock:
            self.resources.append(resource)
            self.gaps |= gaps.of(resource.type_name, given)
        if not scope["id"]:
            raise DeploymentError(f"{resource.label}: {resource_type.id} is not in the answer")
        for call in resource_type.after_create:
            self._call(resource, call)
        return resource

    def lift_protection(self) -> list[DeployedResource]:
        """Lift what protects resources from deletion; returns those that were protected."""
        lifted = []
        for resource in self.resources:
            resource.scope["unprotected"] = True
            calls = [self._call(resource, call) for call in resource.type.unprotect]
            if resource.protected or any(calls):
                lifted.append(resource)
        return lifted

    def delete(self, resource: DeployedResource) -> None:
        """Delete a resource; one that is already gone counts as deleted. Either way it is no longer tracked."""
        self.resources.remove(resource)
        for call in resource.type.delete:
            try:
                self._call(resource, call)
            except DeploymentError as error:
                if not _is_gone(error.__cause__):
                    raise

    def scopes(self, token: str) -> list[Scope]:
        """The scopes of the existing resources of a type, the oldest first."""
        with self._lock:
            return [resource.scope for resource in self.resources if resource.token == token]

    def invoke(self, token: str, config: ProviderConfig, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result of the data function `token`."""
        function = DATA_FUNCTIONS.get(token)
        if function is None:
            raise DeploymentError(f"the rehearsal does not support the function {token}")
        used = inputs_in([*function.params.values(), *function.outputs.values()])
        if unknown := arguments.keys() - function.ignored - used:
            raise DeploymentError(f"{token}: arguments that the rehearsal does not support: "
                                  f"{', '.join(sorted(unknown))}")
        scope: Scope = {"in": arguments, "region": config.region}
        params = {key: evaluate(expression, scope) for key, expression in function.params.items()}
        try:
            scope["out"] = getattr(self._clients(function.service, config.region), function.operation)(**params)
        except (ClientError, BotoCoreError) as error:
            raise DeploymentError(f"{token}: {function.operation}: {_reason(error)}") from error
        return {key: evaluate(expression, scope) for key, expression in function.outputs.items()}

    def _call(self, resource: DeployedResource, call: Call, *, with_inputs: bool = False) -> bool:
        """Make a call, once or for each element; merge answers into the scope's `out`. Returns whether it was made."""
        called = False
        for item in resource.evaluate(call.each) or () if call.each else (None,):
            resource.scope["item"] = item
            if call.when and not resource.evaluate(call.when):
                continue
            called = True
            try:
                resource.scope["out"] = {**resource.scope["out"], **self._perform(resource, call, with_inputs)}
            except (ClientError, BotoCoreError, CoercionError, ValueError) as error:
                operation = call.operation if isinstance(call.operation, str) else call.operation.__name__.strip("_")
                raise DeploymentError(f"{resource.label}: {operation}: {_reason(error)}") from error
        return called

    def _perform(self, resource: DeployedResource, call: Call, with_inputs: bool) -> Mapping[str, Any]:
        params = {path: resource.evaluate(expression) for path, expression in call.params.items()}
        if callable(call.operation):
            return call.operation(self._clients, **params)
        client = self._clients(resource.type.service, resource.evaluate(call.region))
        shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[call.operation]).input_shape
        given = _inputs_by_parameter(resource, shape) if with_inputs else _required(resource, shape, params)
        for path, value in params.items():
            if value is not None:
                set_path(given, path, value)
        answer: Mapping[str, Any] = getattr(client, call.operation)(**coerce(shape, given, resource.type.renames))
        return answer


def given_inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs without those that are null or empty, which count as not given."""
    return {key: value for key, value in inputs.items() if value not in (None, [], {}) and key[:2] != "__"}


def short_name(token: str) -> str:
    """A type's own name, without package and module."""
    return token.rpartition(":")[2]


def _inputs_by_parameter(resource: DeployedResource, shape: Any) -> dict[str, Any]:
    """The inputs and tags by the parameters that take them, without those that an expression of the call uses."""
    resource_type = resource.type
    used = inputs_in(resource_type.create.expressions())
    given: dict[str, Any] = {}
    for key, value in resource.scope["in"].items():
        path, wrapper = resource_type.renames.get(key) or member(shape, key), resource_type.wrapper
        if path is None and wrapper and (inner := member(shape.members[wrapper], key)):
            path = f"{wrapper}.{inner}"
        if path and key not in used:
            set_path(given, path, value)
        elif key not in resource_type.used_inputs | resource_type.provider_only:
            raise CoercionError(f"the rehearsal does not support the input {key!r}")
    tags = member(shape, "tags")
    if tags and resource.scope["tags"]:
        given[tags] = resource.scope["tags"]
    return given


def _required(resource: DeployedResource, shape: Any, params: Iterable[str]) -> dict[str, Any]:
    """The parameters that an operation requires, except `params`: each the input of its name, or else the id."""
    renames = resource.type.renames
    inputs = {renames.get(key) or member(shape, key): value for key, value in resource.scope["in"].items()}
    others = set(shape.required_members) - {path.partition(".")[0] for path in params}
    return {name: inputs.get(name, resource.scope["id"]) for name in others}


def _reason(error: Exception) -> str:
    """Why a call failed, in one line: AWS's code and message if it gave any."""
    detail = error.response.get("Error", {}) if isinstance(error, ClientError) else {}
    return " ".join((f"{detail['Code']}: {detail.get('Message', '')}" if detail.get("Code") else str(error)).split())


def _is_gone(error: BaseException | None) -> bool:
    code = str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
    return "NotFound" in code or code.startswith("NoSuch")
