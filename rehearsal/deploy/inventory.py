"""Everything that the emulator holds, by name: taken before and after, it shows whether a teardown left anything."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from rehearsal.deploy.engine import Engine
from rehearsal.deploy.resources import RESOURCE_TYPES
from rehearsal.deploy.resources.model import Listing, ResourceType, evaluate

GLOBAL = frozenset({"iam", "route53", "s3"})  # services that answer for all regions at once
THREADS = 8

Inventory = frozenset[str]


def take(engine: Engine, regions: Sequence[str], kinds: Mapping[str, ResourceType] = RESOURCE_TYPES) -> Inventory:
    """One line a thing, of every kind that can be listed, in the regions and globally."""
    asked = [(token, kind, listing, region) for token, kind in kinds.items() for listing in kind.listed
             for region in (regions[:1] if kind.service in GLOBAL else regions)]
    with ThreadPoolExecutor(THREADS) as pool:
        return frozenset(line for lines in pool.map(lambda each: _lines(engine, *each), asked) for line in lines)


def _lines(engine: Engine, token: str, kind: ResourceType, listing: Listing, region: str) -> list[str]:
    client, operation = engine.client(kind.service, region), listing.operation
    if callable(operation):
        pages = [operation(engine, region)]
    elif client.can_paginate(operation):
        pages = client.get_paginator(operation).paginate()
    else:
        pages = [getattr(client, operation)()]
    where = "global" if kind.service in GLOBAL else region
    return [f"{token.rpartition(':')[2]} {name} ({where})"
            for page in pages for name in evaluate(listing.names, page) or ()]
