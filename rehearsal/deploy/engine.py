"""The offline engine: it creates and deletes, and keeps track of what exists. Everything else is for Pulumi's own."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy import gaps
from rehearsal.deploy.provider.handlers import Handlers, ProviderConfig, Resource
from rehearsal.deploy.resources.model import DeployTarget, Scope


class Engine:
    """Creates resources and keeps track of those that exist, and deletes them.

    Several threads may create at once. All methods raise DeploymentError.
    `resources`: the oldest first. `gaps`: a line for each thing that the emulator cannot do with them.
    """

    def __init__(self, clients: EmulatorClients, target: DeployTarget) -> None:
        self.handlers = Handlers(clients, target)
        self._lock = threading.Lock()
        self.resources: list[Resource] = []
        self.gaps: set[str] = set()

    def create(self, token: str, name: str, config: ProviderConfig, inputs: Mapping[str, Any],
               protected: bool) -> Resource:
        """Create and configure a resource of the type `token`.

        A resource that exists when this fails can be deleted like any other.
        """
        described = self.handlers.resource(token, name, config, self.handlers.check(token, name, inputs, {}))
        resource = replace(described, protected=protected)
        try:
            self.handlers.create(resource)
        finally:
            with self._lock:
                if resource.scope["out"] or resource.scope["id"]:
                    self.resources.append(resource)
                    self.gaps |= gaps.of(resource.type_name, resource.scope["in"])
        return resource

    def lift_protection(self) -> list[Resource]:
        """Lift what protects resources from deletion; returns those that were protected."""
        lifted = []
        for resource in self.resources:
            resource.scope["unprotected"] = True
            calls = [self.handlers.call(resource, call) for call in resource.type.unprotect]
            if resource.protected or any(calls):
                lifted.append(resource)
        return lifted

    def delete(self, resource: Resource) -> None:
        """Delete a resource; one that is already gone counts as deleted. Either way it is no longer tracked."""
        self.resources.remove(resource)
        self.handlers.delete(resource)

    def scopes(self, token: str) -> list[Scope]:
        """The scopes of the existing resources of a type, the oldest first."""
        with self._lock:
            return [resource.scope for resource in self.resources if resource.token == token]
