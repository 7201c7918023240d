"""The names of everything that the emulator holds. Taken before and after, they show what a teardown has left."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy.provider.handlers import listed, short_name
from rehearsal.deploy.resources import RESOURCE_TYPES
from rehearsal.deploy.resources.model import ResourceType

GLOBAL = frozenset({"iam", "route53", "s3"})  # services whose answers cover all regions
THREADS = 8

Inventory = frozenset[str]


def take(clients: EmulatorClients, regions: Sequence[str],
         types: Mapping[str, ResourceType] = RESOURCE_TYPES) -> Inventory:
    """One line for each resource of the types that can be listed, in these regions and globally."""
    calls = [(token, kind, region) for token, kind in types.items() if kind.listings
             for region in (regions[:1] if kind.service in GLOBAL else regions)]
    with ThreadPoolExecutor(THREADS) as pool:
        return frozenset(line for lines in pool.map(lambda call: _lines(clients, *call), calls) for line in lines)


def _lines(clients: EmulatorClients, token: str, kind: ResourceType, region: str) -> list[str]:
    where = "global" if kind.service in GLOBAL else region
    return [f"{short_name(token)} {name} ({where})" for name in listed(clients, kind, region)]
