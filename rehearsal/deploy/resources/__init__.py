"""The description of each resource type and data function: one module for each service.

To add a service, add a module here that defines RESOURCE_TYPES or DATA_FUNCTIONS; there is no other list to edit.
The descriptions know no engine; `rehearsal.deploy.provider.handlers` carries them out.
"""

import importlib
import pkgutil
from collections.abc import Mapping

from rehearsal.deploy.resources.model import DataFunction, ResourceType

_MODULES = [vars(importlib.import_module(found.name)) for found in pkgutil.iter_modules(__path__, f"{__name__}.")]

RESOURCE_TYPES: Mapping[str, ResourceType] = {
    token: described for module in _MODULES for token, described in module.get("RESOURCE_TYPES", {}).items()}
DATA_FUNCTIONS: Mapping[str, DataFunction] = {
    token: described for module in _MODULES for token, described in module.get("DATA_FUNCTIONS", {}).items()}
