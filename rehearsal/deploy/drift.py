"""The program deployed once more on what is there: what that would change."""

from collections.abc import Mapping
from typing import Any

import pulumi

from rehearsal.deploy.engine import DeployedResource, Engine, ProviderConfig, RehearsalError, given_of


class DriftCheck(Engine):
    """Makes nothing: hands out what another engine has made, and notes in `differences` what is asked for otherwise.

    Type and name tell which resource it is. The files of a package are compared by their names and contents.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.clients, engine.around)
        self.differences: list[str] = []
        self._made = {(made.token, made.name): made for made in engine.resources}
        self.resources = engine.resources

    def create(self, token: str, name: str, provider: ProviderConfig, inputs: Mapping[str, Any], protected: bool) -> DeployedResource:
        """What was made. Raises RehearsalError for what is new: it has no outputs that others could depend on."""
        made = self._made.pop((token, name), None)
        if made is None:
            raise RehearsalError(f"+ {token.rpartition(':')[2]} {name}")
        given, known = given_of(inputs), made.scope
        if made.kind.named:  # a name that is left to the provider stays
            given.setdefault(made.kind.named, known["in"][made.kind.named])
        region, tags = given.pop("region", provider.region), {**provider.tags, **given.pop("tags", {})}
        before = {**_plain(known["in"]), "region": known["region"], "tags": known["tags"], "protect": made.protected}
        now = {**_plain(given), "region": region, "tags": tags, "protect": protected}
        self.differences += [f"~ {made.label}: {key}" for key in sorted(before.keys() | now.keys())
                             if before.get(key) != now.get(key)]
        return made

    def missing(self) -> list[str]:
        """What the program does not ask for any more."""
        return [f"- {made.label}" for made in self._made.values()]


def _plain(value: Any) -> Any:
    """A value that can be compared: with an archive as its files."""
    if isinstance(value, pulumi.AssetArchive):
        return {name: _plain(asset) for name, asset in value.assets.items()}
    if isinstance(value, pulumi.FileAsset):
        with open(value.path, "rb") as file:  # noqa: PTH123
            return file.read()
    if isinstance(value, pulumi.StringAsset):
        return value.text
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return value
