"""Creates, reads, updates and deletes resources in the emulator through boto3, as `resources` describes their types.

It knows nothing of Pulumi's protocol and keeps no state: the caller decides what is done, and in which order.
"""

import re
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.paginate import PageIterator

from contract import EMULATED_ACCOUNT
from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy.coercion import coerce, member, set_path
from rehearsal.deploy.provider.reading import as_given, find
from rehearsal.deploy.resources import DATA_FUNCTIONS, RESOURCE_TYPES
from rehearsal.deploy.resources.model import Call, DeployTarget, ResourceType, Scope, evaluate, inputs_in
from rehearsal.errors import CoercionError, DeploymentError

TAGS = "tagsAll"  # the output with a resource's own tags and its provider's default ones


@dataclass(frozen=True)
class ProviderConfig:
    """An explicit AWS provider of the program; `endpoints` are URLs by service, `accounts` those that it works in."""

    region: str
    endpoints: Mapping[str, str]
    tags: Mapping[str, str]
    accounts: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Resource:
    """A resource, and what is needed to create, read, update or delete it. `protected`: by the program."""

    token: str
    name: str
    type: ResourceType
    scope: Scope
    protected: bool = False

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


class Handlers:
    """What a provider does with resources, and its data functions. All methods raise DeploymentError."""

    def __init__(self, clients: EmulatorClients, target: DeployTarget) -> None:
        self.clients, self._target = clients, target

    def check(self, token: str, name: str, inputs: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs, with the generated name of a resource without one, which it keeps from `before`."""
        kind = resource_type_of(token, name)
        others = given_inputs(inputs).keys() - {"region", "tags"} - kind.used_inputs - kind.provider_only
        if unknown := [key for key in sorted(others) if not self._sent(kind, key)]:
            raise DeploymentError(f"{short_name(token)} {name}: the rehearsal does not support the input "
                                  + ", ".join(map(repr, unknown)))
        key = kind.name_input
        if key and not inputs.get(key):
            return {**inputs, key: before.get(key) or f"{name}-{uuid.uuid4().hex[:7]}"}
        return dict(inputs)

    def resource(self, token: str, name: str, config: ProviderConfig, inputs: Mapping[str, Any], *,  # pylint: disable=too-many-arguments
                 identifier: str = "", state: Mapping[str, Any] | None = None) -> Resource:
        """A resource with these inputs, and what it was left as. An input that is null or empty counts as not given."""
        given, target = given_inputs(inputs), self._target
        region = given.pop("region", config.region)
        scope: Scope = {
            "name": name, "region": region, "account": EMULATED_ACCOUNT,
            "endpoint": target.endpoints.get(region, self.clients.endpoint),
            "factor": target.factor, "name_server": target.name_server, "port": target.ports.get(region),
            "files": {"payments/rds-ca.pem": target.authority} if target.authority else {},
            "tags": {**config.tags, **given.pop("tags", {})}, "unique": uuid.uuid4().hex, "id": identifier, "out": {},
            "unprotected": False, "in": given, "state": state or {}}
        resource = Resource(token, name, resource_type_of(token, name), scope)
        service = resource.type.service
        if service and config.endpoints.get(service) != self.clients.endpoint:
            raise DeploymentError(f"{resource.label}: its provider does not send {service} to the emulator")
        return resource

    def create(self, resource: Resource) -> None:
        """Create and configure it. One that has an id when this fails exists, and can be deleted like any other."""
        scope = resource.scope
        self.call(resource, resource.type.create, strict=True)
        scope["id"] = resource.evaluate(resource.type.id)
        if not scope["id"]:
            raise DeploymentError(f"{resource.label}: {resource.type.id} is not in the answer")
        self.configure(resource)

    def configure(self, resource: Resource) -> None:
        """Make the calls after the creation."""
        for call in resource.type.after_create:
            self.call(resource, call)
        resource.scope["state"] = {**resource.scope["state"], **resource.outputs()}

    def read(self, resource: Resource) -> dict[str, Any] | None:
        """The inputs and outputs as the emulator holds them; None if it has no such resource."""
        kind, scope = resource.type, resource.scope
        try:
            for call in kind.read:
                self.call(resource, call)
        except DeploymentError as error:
            if _is_gone(error.__cause__):
                return None
            raise
        if not kind.read:
            return {}
        found = scope["found"] = resource.evaluate(kind.found)
        if not found:
            return None
        held = {key: resource.evaluate(expression) for key, expression in kind.held.items() if expression}
        for key, given in scope["in"].items():
            value = held.get(key) if key in kind.held else find(found, kind.renames.get(key, key), kind.wrapper)
            if value is not None:
                held[key] = as_given(given, value, kind.renames)
        tags = held.pop("tags", None) or find(found, "tags") or find(found, "tagList")
        if tags is not None and "tags" in kind.update:
            held[TAGS] = as_given(scope["tags"], tags, {})
        return held

    def candidates(self, resource: Resource) -> list[str]:
        """The ids of the resources that this one, of which only the inputs are known, could be."""
        kind, scope = resource.type, resource.scope
        if "out" not in re.findall(r"\w+", kind.id):
            return [resource.evaluate(kind.id)]
        if kind.adoption.lookup:
            self.call(resource, kind.adoption.lookup)
            return list(resource.evaluate(kind.adoption.ids) or ())
        return listed(self.clients, kind, scope["region"])

    def adopt(self, resource: Resource) -> dict[str, Any] | None:
        """Read a resource of which only the inputs are known, and the id by which AWS's provider imports it."""
        kind, scope = resource.type, resource.scope
        found = self.candidates(resource) if kind.adoption.import_id or "out" not in kind.id else [scope["id"]]
        scope["id"] = next(iter(found), "")
        held = self.read(resource) if scope["id"] else None
        if held is not None:
            self._identify(resource)
            for call in kind.after_create:
                if str(call.operation).startswith("describe"):
                    self.call(resource, call)
        return held

    def _identify(self, resource: Resource) -> None:
        """Set the id of a resource that was read, and not created here.

        A type describes id and outputs by the answer to the creation: what was found takes the place of that answer.
        """
        kind, scope = resource.type, resource.scope
        names = re.findall(r"\bout\.(\w+)\.", " ".join([kind.id, *kind.outputs.values()]))
        scope["out"] = {**dict.fromkeys(names, scope.get("found")), **scope["out"]}
        scope["id"] = resource.evaluate(kind.id) or scope["id"]

    def find(self, resource: Resource, taken: Collection[str]) -> bool:
        """Look for a resource of which only the inputs are known, and set its id, which is none of those `taken`."""
        kind, scope = resource.type, resource.scope
        # An id made of inputs tells it apart. Otherwise what it is created with must agree; more may not be done yet.
        told = set() if "out" not in kind.id else {
            key for key in scope["in"] if key in inputs_in(kind.create.expressions()) or self._sent(kind, key)}
        for identifier in self.candidates(resource) if kind.read else ():
            scope["id"], scope["out"] = identifier, {}
            held = self.read(resource)
            if held is not None and held.pop(TAGS, scope["tags"]) == scope["tags"] and (
                    all(scope["in"][key] == held[key] for key in told & held.keys())):
                self._identify(resource)
                if scope["id"] not in taken:
                    return True
        return False

    def changes(self, resource: Resource, before: Mapping[str, Any], now: Mapping[str, Any]) -> set[str]:
        """The inputs that differ, with `tags` if the tags do and `region` if the resource is in another one."""
        old, new, state = given_inputs(before), given_inputs(now), resource.scope["state"]
        changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)} - {"tags", "region"}
        if "tags" in resource.type.update and state.get(TAGS, {}) != resource.scope["tags"]:
            changed.add("tags")
        if state.get("region", resource.scope["region"]) != resource.scope["region"]:
            changed.add("region")
        return changed

    def replaces(self, resource: Resource, changed: Collection[str]) -> set[str]:
        """Those of the inputs whose change replaces the resource."""
        return {*changed} & (resource.type.replace | {"region"})

    def update(self, resource: Resource, changed: Collection[str], before: Mapping[str, Any]) -> None:
        """Change the inputs that differ from `before`. Without an update for each, it is refused and nothing done."""
        kind, scope = resource.type, resource.scope
        groups = {inputs: calls for inputs, calls in kind.update.items() if {*inputs.split()} & {*changed}}
        by_creation = {key for key in changed if key not in {*" ".join(groups).split()} and not self._local(kind, key)}
        if by_creation and not kind.put:
            raise DeploymentError(f"{resource.label}: the rehearsal cannot update {', '.join(sorted(by_creation))}")
        scope["was"] = given_inputs(before)
        scope["untagged"] = sorted(scope["state"].get(TAGS, {}).keys() - scope["tags"].keys())
        if by_creation:
            self.call(resource, kind.create, strict=True)
        for calls in groups.values():
            for call in calls:
                self.call(resource, call, changed)
        if by_creation or not changed:  # without a change: to finish what began
            self.configure(resource)
        scope["state"] = {**scope["state"], **resource.outputs()}

    def delete(self, resource: Resource) -> None:
        """Delete a resource; one that is already gone counts as deleted."""
        for call in resource.type.delete:
            try:
                self.call(resource, call)
            except DeploymentError as error:
                if not _is_gone(error.__cause__):
                    raise

    def invoke(self, token: str, config: ProviderConfig, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result of the data function `token`."""
        function = DATA_FUNCTIONS.get(token)
        if function is None:
            raise DeploymentError(f"the rehearsal does not support the function {token}")
        used = inputs_in([*function.params.values(), *function.outputs.values()])
        if unknown := arguments.keys() - used:
            raise DeploymentError(f"{token}: arguments that the rehearsal does not support: "
                                  f"{', '.join(sorted(unknown))}")
        scope: Scope = {"in": arguments, "region": config.region}
        params = {key: evaluate(expression, scope) for key, expression in function.params.items()}
        try:
            scope["out"] = getattr(self.clients(function.service, config.region), function.operation)(**params)
        except (ClientError, BotoCoreError) as error:
            raise DeploymentError(f"{token}: {function.operation}: {_reason(error)}") from error
        return {key: evaluate(expression, scope) for key, expression in function.outputs.items()}

    def call(self, resource: Resource, call: Call, changed: Collection[str] = (), *, strict: bool = False) -> bool:
        """Make a call, once or for each element; merge answers into the scope's `out`. Returns whether it was made.

        It takes the inputs that have `changed`, or if it is `strict` all of them.
        """
        called = False
        for item in resource.evaluate(call.each) or () if call.each else (None,):
            resource.scope["item"] = item
            if call.when and not resource.evaluate(call.when):
                continue
            called = True
            try:
                answer = self._perform(resource, call, changed, strict)
                resource.scope["out"] = {**resource.scope["out"], **answer}
            except (ClientError, BotoCoreError, CoercionError, ValueError) as error:
                operation = call.operation if isinstance(call.operation, str) else call.operation.__name__.strip("_")
                raise DeploymentError(f"{resource.label}: {operation}: {_reason(error)}") from error
        return called

    def _perform(self, resource: Resource, call: Call, changed: Collection[str], strict: bool) -> Mapping[str, Any]:
        params = {path: resource.evaluate(expression) for path, expression in call.params.items()}
        if callable(call.operation):
            return call.operation(self.clients, **params)
        client = self.clients(resource.type.service, resource.evaluate(call.region))
        shape = _shape(client, call.operation)
        given = {} if strict else _required(resource, shape, params)
        for key, value in resource.scope["in"].items():
            if (strict or key in changed) and key not in inputs_in(call.expressions()) and (
                    path := _parameter(resource.type, shape, key)):
                set_path(given, path, value)
        if strict and resource.scope["tags"] and (tags := member(shape, "tags")):
            given[tags] = resource.scope["tags"]
        for path, value in params.items():
            if value is not None:
                set_path(given, path, value)
        pages = _pages(client, call.operation, **coerce(shape, given, resource.type.renames))
        return pages.build_full_result() if isinstance(pages, PageIterator) else next(iter(pages))

    def _local(self, kind: ResourceType, key: str) -> bool:
        """Whether an input is used only in the state and by the deletion."""
        used = inputs_in(expression for call in (kind.create, *kind.after_create) for expression in call.expressions())
        return key not in used and not self._sent(kind, key)

    def _sent(self, kind: ResourceType, key: str) -> bool:
        """Whether the operation that creates a resource has a parameter for the input."""
        operation = kind.create.operation
        return isinstance(operation, str) and bool(
            _parameter(kind, _shape(self.clients(kind.service, "us-east-1"), operation), key))


def resource_type_of(token: str, name: str) -> ResourceType:
    """The description of a type. Raises DeploymentError if there is none."""
    if token not in RESOURCE_TYPES:
        raise DeploymentError(f"{name}: the rehearsal does not support the resource type {token}")
    return RESOURCE_TYPES[token]


def listed(clients: EmulatorClients, kind: ResourceType, region: str) -> list[str]:
    """The ids of all resources of a type in a region, if it can be listed."""
    pages = ((where, page) for operation, where in kind.listings.items() for page in (
        [operation(clients, region)] if callable(operation) else _pages(clients(kind.service, region), operation)))
    return [str(identifier) for where, page in pages for identifier in evaluate(where, page) or ()]


def _pages(client: Any, operation: str, **params: Any) -> Any:
    """All pages of an operation's answer."""
    if client.can_paginate(operation):
        return client.get_paginator(operation).paginate(**params)
    return [getattr(client, operation)(**params)]


def given_inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs without those that are null or empty, which count as not given."""
    return {key: value for key, value in inputs.items() if value not in (None, [], {}) and key[:2] != "__"}


def short_name(token: str) -> str:
    """A type's own name, without package and module."""
    return token.rpartition(":")[2]


def _shape(client: Any, operation: str) -> Any:
    """The shape of an operation's parameters."""
    return client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation]).input_shape


def _parameter(kind: ResourceType, shape: Any, key: str) -> str:
    """The path of the parameter to which an input goes; empty if there is none."""
    path = kind.renames.get(key) or member(shape, key)
    if path and path.partition(".")[0] in shape.members:
        return path
    wrapper = kind.wrapper if kind.wrapper in shape.members else ""
    inner = member(shape.members[wrapper], key) if wrapper else None
    return f"{wrapper}.{inner}" if inner else ""


def _required(resource: Resource, shape: Any, params: Iterable[str]) -> dict[str, Any]:
    """The required parameters of an operation, except `params`: each is the input of that name, or else the id."""
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
