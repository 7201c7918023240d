"""Properties as Pulumi sends them, in plain form."""

import json
from collections.abc import Mapping
from typing import Any

from pulumi.output import Unknown
from pulumi.runtime import rpc

from rehearsal.deploy.provider.handlers import ProviderConfig
from rehearsal.errors import DeploymentError

NO_PROVIDER = ProviderConfig("", {}, {})  # for a package without regions, such as random


def provider_config(name: str, inputs: Mapping[str, Any]) -> ProviderConfig:
    """The configuration of an AWS provider. Raises DeploymentError if it has no region."""
    # A program gives a provider texts, in which lists and objects are JSON; the engine passes some on as they are.
    values = {key: json.loads(given) if str(given)[:1] in ("[", "{") and isinstance(given, str) else given
              for key, given in inputs.items()}
    if "region" not in values:
        raise DeploymentError(f"{name}: the provider has no region")
    endpoints = {service: url for each in values.get("endpoints", ()) for service, url in each.items()}
    return ProviderConfig(values["region"], endpoints, values.get("defaultTags", {}).get("tags", {}),
                          values.get("allowedAccountIds") or ())


def shown(value: Any) -> Any:
    """A value of a stack's state with its secrets in plain form; they must have been exported with it."""
    if isinstance(value, Mapping):
        return json.loads(value["plaintext"]) if "plaintext" in value else {
            key: shown(each) for key, each in value.items()}
    return [shown(each) for each in value] if isinstance(value, list) else value


def plain(value: Any, where: str, *, public: bool = False) -> Any:
    """The value without Pulumi's wrappers of secrets, and with whole numbers as int.

    Raises DeploymentError if it depends on an output that the rehearsal does not provide, and for a `public` secret.
    """
    if isinstance(value, Unknown):
        raise DeploymentError(f"{where}: depends on an output that the rehearsal does not provide")
    if rpc.is_rpc_secret(value):
        if public:
            raise DeploymentError(f"{where}: is secret, so it must not be written to a file")
        return plain(value["value"], where)
    if isinstance(value, dict):
        return {key: plain(item, f"{where}.{key}", public=public) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, f"{where}[{number}]", public=public) for number, item in enumerate(value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value
