"""The rehearsal's own engine: keeps track of the resources that exist, and of what the emulator cannot do with them."""

import threading
from collections.abc import Mapping
from typing import Any

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy import gaps
from rehearsal.deploy.provider import DeployedResource, ProviderConfig, ResourceProvider
from rehearsal.deploy.resources.model import DeployTarget, Scope


class Engine:
    """The resources of a deployment; several threads may create at once. Knows nothing of Pulumi's protocol."""

    def __init__(self, clients: EmulatorClients, target: DeployTarget) -> None:
        self.provider = ResourceProvider(clients, target)
        self.resources: list[DeployedResource] = []  # the oldest first
        self.gaps: set[str] = set()  # a line for each
        self._lock = threading.Lock()

    def create(self, token: str, name: str, config: ProviderConfig, inputs: Mapping[str, Any],
               protected: bool) -> DeployedResource:
        """Create and configure a resource. Raises DeploymentError; if the resource exists then, it is kept track of."""
        resource = self.provider.create(token, name, config, inputs, protected)
        with self._lock:
            self.resources.append(resource)
            self.gaps |= gaps.of(token, resource.scope["in"])
        self.provider.configure(resource)
        return resource

    def lift_protection(self) -> list[DeployedResource]:
        """Lift what protects resources from deletion; returns those that were protected. Raises DeploymentError."""
        return [resource for resource in self.resources if self.provider.unprotect(resource)]

    def delete(self, resource: DeployedResource) -> None:
        """Delete a resource; one that is already gone counts as deleted. Raises DeploymentError."""
        self.resources.remove(resource)
        self.provider.delete(resource)

    def scopes(self, token: str) -> list[Scope]:
        """The scopes of the existing resources of a type, the oldest first."""
        with self._lock:
            return [resource.scope for resource in self.resources if resource.token == token]
