"""Makes resources in the emulator through boto3, as `kinds` describes them, and unmakes them again."""

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.aws.clients import ACCOUNT, EmulatorClients
from rehearsal.deploy import gaps
from rehearsal.deploy.coercion import CoercionError, coerce, member, place
from rehearsal.deploy.resources import RESOURCE_TYPES
from rehearsal.deploy.resources.model import BotoCall, DataFunction, ResourceType, Scope, evaluate, names_in
from rehearsal.postgres.aurora import Aurora


class RehearsalError(RuntimeError):
    """What went wrong: with which resource, at which call, and why, in one line."""


@dataclass(frozen=True)
class ProviderConfig:
    """An explicit AWS provider of the program; `endpoints` are URLs by service."""

    region: str
    endpoints: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class DeployedResource:
    """A resource that exists, and what is needed to unmake it."""

    token: str
    name: str
    kind: ResourceType
    protected: bool
    scope: Scope

    @property
    def kind_name(self) -> str:
        """The type's own name, without package and module."""
        return self.token.rpartition(":")[2]

    @property
    def label(self) -> str:
        """How it is called in messages."""
        return f"{self.kind_name} {self.name} ({self.scope['region'] or 'no region'})"


@dataclass(frozen=True)
class DeployTarget:
    """What stands in for AWS around the emulator, by region.

    `endpoints` are the URLs at which AWS is reached from a region; from anywhere else it is the clients'. `aurora`
    holds the databases; without it clusters are records. `factor` is how many times faster than their configuration
    says the functions go by.
    """

    endpoints: Mapping[str, str] = field(default_factory=dict)
    aurora: Aurora | None = None
    factor: float = 1


class Engine:
    """Keeps account of what it made; several threads may create at once. Knows nothing of Pulumi's protocol."""

    def __init__(self, clients: EmulatorClients, around: DeployTarget) -> None:
        self.clients, self.around = clients, around
        self._lock = threading.Lock()
        self.resources: list[DeployedResource] = []  # in the order in which they came to exist
        self.gaps: set[gaps.Gap] = set()

    def create(self, token: str, name: str, provider: ProviderConfig, inputs: Mapping[str, Any], protected: bool) -> DeployedResource:
        """Make one resource. Raises RehearsalError; if it exists by then all the same, it is deleted with the others.

        An input that is null or empty counts as not given.
        """
        kind = RESOURCE_TYPES.get(token)
        if kind is None:
            raise RehearsalError(f"{name}: the rehearsal knows no resource type {token}")
        given = given_of(inputs)
        if kind.named:
            given.setdefault(kind.named, f"{name}-{uuid.uuid4().hex[:7]}")
        known = gaps.of(token)
        region, aurora = given.pop("region", provider.region), self.around.aurora
        scope: Scope = {
            "name": name, "region": region, "account": ACCOUNT,
            "endpoint": self.around.endpoints.get(region, self.clients.endpoint),
            "port": aurora.port(region) if aurora else None, "factor": self.around.factor,
            "files": {"payments/rds-ca.pem": aurora.authority} if aurora else {},
            "tags": {**provider.tags, **given.pop("tags", {})},
            "unique": uuid.uuid4().hex, "id": "", "out": {}, "lifted": False,
            "in": given}
        made = DeployedResource(token, name, kind, protected, scope)
        if kind.service and provider.endpoints.get(kind.service) != self.clients.endpoint:
            raise RehearsalError(f"{made.label}: its provider does not send {kind.service} to the emulator")
        self._call(made, kind.create, fitted=True)
        scope["id"] = self._evaluate(made, kind.id)
        with self._lock:
            self.resources.append(made)
            self.gaps |= {gap for gap in known if not gap.argument or gap.argument in given}
        if not scope["id"]:
            raise RehearsalError(f"{made.label}: {kind.id} is not in the answer")
        for call in kind.then:
            self._call(made, call)
        return made

    def outputs(self, made: DeployedResource) -> dict[str, Any]:
        """What the program gets to see of a resource besides its inputs."""
        shown = {key: self._evaluate(made, expression) for key, expression in made.kind.outputs.items()}
        if made.kind.named:
            shown[made.kind.named] = made.scope["in"][made.kind.named]
        return {key: value for key, value in shown.items() if value is not None}

    def ask(self, token: str, invoke: DataFunction, provider: ProviderConfig, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of a data function. Raises RehearsalError."""
        unknown = arguments.keys() - invoke.ignored - names_in([*invoke.params.values(), *invoke.outputs.values()])
        if unknown:
            raise RehearsalError(f"{token}: the rehearsal has no place for {', '.join(sorted(unknown))}")
        scope: Scope = {"in": arguments, "region": provider.region, "out": {}}
        if invoke.operation:
            params = {key: evaluate(expression, scope) for key, expression in invoke.params.items()}
            try:
                scope["out"] = getattr(self.client(invoke.service, provider.region), invoke.operation)(**params)
            except (ClientError, BotoCoreError) as error:
                raise RehearsalError(f"{token}: {invoke.operation}: {_reason(error)}") from error
        return {key: evaluate(expression, scope) for key, expression in invoke.outputs.items()}

    def lift_protection(self) -> list[DeployedResource]:
        """Take away what protects resources from deletion; gives those that had any. Raises RehearsalError."""
        lifted = []
        for made in self.resources:
            made.scope["lifted"] = True
            calls = [self._call(made, call) for call in made.kind.unprotect]
            if made.protected or any(calls):
                lifted.append(made)
        return lifted

    def delete(self, made: DeployedResource) -> None:
        """Delete one resource; what is not there any more is as good as deleted. Raises RehearsalError."""
        self.resources.remove(made)
        for call in (*made.kind.delete, *made.kind.dispose):
            try:
                self._call(made, call)
            except RehearsalError as error:
                if not _is_gone(error.__cause__):
                    raise

    @property
    def aurora(self) -> Aurora | None:
        """The databases."""
        return self.around.aurora

    def client(self, service: str, region: str) -> Any:
        """The boto3 client of a service in a region."""
        return self.clients(service, region)

    def made(self, token: str) -> list[Scope]:
        """The scopes of the resources of a type that exist by now, oldest first."""
        with self._lock:
            return [made.scope for made in self.resources if made.token == token]

    @staticmethod
    def _evaluate(made: DeployedResource, expression: str) -> Any:
        try:
            return evaluate(expression, made.scope)
        except (LookupError, ValueError, TypeError) as error:
            raise RehearsalError(f"{made.label}: {expression}: {_reason(error)}") from error

    def _call(self, made: DeployedResource, call: BotoCall, fitted: bool = False) -> bool:
        """Make one call, or one for each element; whether any was made. Answers are merged into the scope's `out`."""
        called = False
        for item in self._evaluate(made, call.each) or () if call.each else (None,):
            made.scope["item"] = item
            if call.when and not self._evaluate(made, call.when):
                continue
            called = True
            try:
                made.scope["out"] = {**made.scope["out"], **self._perform(made, call, fitted)}
            except (ClientError, BotoCoreError, ValueError) as error:
                operation = call.operation if isinstance(call.operation, str) else call.operation.__name__.strip("_")
                raise RehearsalError(f"{made.label}: {operation}: {_reason(error)}") from error
        return called

    def _perform(self, made: DeployedResource, call: BotoCall, fitted: bool) -> Mapping[str, Any]:
        params = {path: self._evaluate(made, expression) for path, expression in call.params.items()}
        if callable(call.operation):
            return call.operation(self, **params)
        client = self.client(made.kind.service, self._evaluate(made, call.region))
        shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[call.operation]).input_shape
        given = _distribute(made, shape) if fitted else {}
        for path, value in params.items():
            if value is not None:
                place(given, path, value)
        answer: Mapping[str, Any] = getattr(client, call.operation)(**coerce(shape, given, made.kind.renames))
        return answer


def given_of(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that are given; one that is null or empty is not."""
    return {key: value for key, value in inputs.items() if value not in (None, [], {}) and key[:2] != "__"}


def _distribute(made: DeployedResource, shape: Any) -> dict[str, Any]:
    """The inputs, each at the parameter that takes it unless an expression of the call deals with it; and the tags."""
    kind = made.kind
    dealt_with = names_in(kind.create.expressions())
    given: dict[str, Any] = {}
    for key, value in made.scope["in"].items():
        path = kind.renames.get(key) or member(shape, key)
        if path is None and kind.within and (inner := member(shape.members[kind.within], key)):
            path = f"{kind.within}.{inner}"
        if path and key not in dealt_with:
            place(given, path, value)
        elif key not in kind.mentioned | kind.provider_only:
            raise CoercionError(f"the rehearsal has no place for the input {key!r}")
    tags = member(shape, "tags")
    if tags and made.scope["tags"]:
        given[tags] = made.scope["tags"]
    return given


def _reason(error: Exception) -> str:
    """Why a call failed, in one line: AWS's code and message where there are any."""
    detail = error.response.get("Error", {}) if isinstance(error, ClientError) else {}
    return " ".join((f"{detail['Code']}: {detail.get('Message', '')}" if detail.get("Code") else str(error)).split())


def _is_gone(error: BaseException | None) -> bool:
    code = str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
    return "NotFound" in code or code.startswith("NoSuch")
