"""What would change if the program were deployed once more."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from rehearsal.deploy.provider.handlers import ProviderConfig, Resource, given_inputs, short_name
from rehearsal.deploy.resources.model import contents
from rehearsal.errors import DeploymentError


class DriftCheck:
    """Compares what a program asks for with the resources that exist, by type and name. Changes nothing.

    `differences` holds one line for each argument that differs. Packages are compared by the names and contents of
    their files.
    """

    def __init__(self, resources: Sequence[Resource]) -> None:
        self.differences: list[str] = []
        self._unclaimed = {(resource.token, resource.name): resource for resource in resources}

    def create(self, token: str, name: str, config: ProviderConfig, inputs: Mapping[str, Any],
               protected: bool) -> Resource:
        """The existing resource. Raises DeploymentError for a new one, which has no outputs to depend on."""
        resource = self._unclaimed.pop((token, name), None)
        if resource is None:
            raise DeploymentError(f"+ {short_name(token)} {name}")
        given, scope, name_input = given_inputs(inputs), resource.scope, resource.type.name_input
        if name_input:  # a generated name stays
            given.setdefault(name_input, scope["in"][name_input])
        region, tags = given.pop("region", config.region), {**config.tags, **given.pop("tags", {})}
        before = {**_comparable(scope["in"]), "region": scope["region"], "tags": scope["tags"],
                  "protect": resource.protected}
        now = {**_comparable(given), "region": region, "tags": tags, "protect": protected}
        self.differences += [f"~ {resource.label}: {key}" for key in sorted(before.keys() | now.keys())
                             if before.get(key) != now.get(key)]
        return resource

    def missing(self) -> list[str]:
        """A line for each resource that the program no longer asks for."""
        return [f"- {resource.label}" for resource in self._unclaimed.values()]


def _comparable(value: Any) -> Any:
    """The value with archives and files replaced by their contents."""
    if isinstance(value, pulumi.AssetArchive):
        return {name: _comparable(asset) for name, asset in value.assets.items()}
    if isinstance(value, pulumi.Asset):
        return contents(value)
    if isinstance(value, Mapping):
        return {key: _comparable(each) for key, each in value.items()}
    return value
