"""The Pulumi project as its files describe it: name, and the configuration of one stack."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from contract import EMULATED_ACCOUNT
from lib.parsers import did_you_mean
from rehearsal.errors import ProjectError


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project's folder and name, a stack's name, and the stack's configuration by full keys (`TapStack:drRegion`)."""

    folder: Path
    name: str
    stack: str
    config: Mapping[str, str]

    @classmethod
    def load(cls, folder: Path, stack: str, overrides: Mapping[str, str]) -> "Project":
        """Read Pulumi.yaml and Pulumi.<stack>.yaml. `overrides` take precedence, and may only name declared keys.

        Raises ProjectError.
        """
        project = _read(folder / "Pulumi.yaml")
        name = project.get("name")
        if not isinstance(name, str):
            raise ProjectError("Pulumi.yaml: name is missing")
        declared = {_full(name, key): value for key, value in (project.get("config") or {}).items()}
        values = {key: value.get("value", value.get("default")) if isinstance(value, dict) else value
                  for key, value in declared.items()}
        path = folder / f"Pulumi.{stack}.yaml"
        for key, value in (_read(path).get("config") or {}).items():
            if isinstance(value, dict) and "secure" in value:
                raise ProjectError(f"{path.name}: {key}: encrypted values cannot be used in a rehearsal")
            values[_full(name, key)] = value
        for key, value in overrides.items():
            if _full(name, key) not in declared:
                raise ProjectError(f"--config {key}: Pulumi.yaml declares no such key"
                                   f"{did_you_mean(key, [each.rpartition(':')[2] for each in declared])}")
            values[_full(name, key)] = value
        return cls(folder=folder, name=name, stack=stack,
                   config={key: value if isinstance(value, str) else json.dumps(value)  # as Pulumi stores it
                           for key, value in values.items() if value is not None})

    def with_endpoint(self, endpoint: str) -> "Project":
        """The same project, deployed to an emulator, which has one account."""
        return replace(self, config={**self.config, f"{self.name}:awsEndpoint": endpoint,
                                     f"{self.name}:account": EMULATED_ACCOUNT})


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ProjectError(f"{path.name} is missing in {path.parent}") from None
    except (OSError, yaml.YAMLError) as error:
        raise ProjectError(f"{path.name}: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise ProjectError(f"{path.name}: must be a mapping")
    return document


def _full(project: str, key: str) -> str:
    return key if ":" in key else f"{project}:{key}"
