"""The names of everything that the emulator holds. Taken before and after, they show what a teardown has left."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy.provider.handlers import short_name
from rehearsal.deploy.resources import RESOURCE_TYPES
from rehearsal.deploy.resources.model import Function, ResourceType, evaluate

GLOBAL = frozenset({"iam", "route53", "s3"})  # services whose answers cover all regions
THREADS = 8

Inventory = frozenset[str]


def take(clients: EmulatorClients, regions: Sequence[str],
         types: Mapping[str, ResourceType] = RESOURCE_TYPES) -> Inventory:
    """One line for each resource of the types that can be listed, in these regions and globally."""
    calls = [(token, resource_type, operation, region) for token, resource_type in types.items()
             for operation in resource_type.listings
             for region in (regions[:1] if resource_type.service in GLOBAL else regions)]
    with ThreadPoolExecutor(THREADS) as pool:
        return frozenset(line for lines in pool.map(lambda call: _lines(clients, *call), calls) for line in lines)


def _lines(clients: EmulatorClients, token: str, resource_type: ResourceType, operation: str | Function,
           region: str) -> list[str]:
    client = clients(resource_type.service, region)
    if callable(operation):
        pages = [operation(clients, region)]
    elif client.can_paginate(operation):
        pages = client.get_paginator(operation).paginate()
    else:
        pages = [getattr(client, operation)()]
    where = "global" if resource_type.service in GLOBAL else region
    names = resource_type.listings[operation]
    return [f"{short_name(token)} {name} ({where})" for page in pages for name in evaluate(names, page) or ()]
