"""Clients that know the service by its name alone, and pay wherever it leads."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from rehearsal.aws.faults import WORLD
from rehearsal.drills.emulated.route53 import DnsCache, Resolver
from rehearsal.rehearsed_stack import RehearsedStack
from rehearsal.workload.http import TIMEOUT, ApiClient
from rehearsal.workload.load import CLIENTS, LoadGenerator

RATE = 20.0  # requests a second that all clients together send, as long as they are answered in time


def by_name(name: str, cache: DnsCache, places: Mapping[str, ApiClient]) -> Callable[[], ApiClient]:
    """Resolves the name at each call: the place of the region that it leads to, of those by their regions' names."""
    return lambda: places[cache.region(name)]


def payers(ground: RehearsedStack, resolver: Resolver, *, clients: int = CLIENTS, rate: float = RATE, least: float = 0.0,
           timeout: float = TIMEOUT, repeat: bool = False) -> LoadGenerator:
    """Clients of the service that are out in the world, with one resolver among them; see `LoadGenerator` for what they do.

    `rate` is in requests a second; an answer of the resolver is kept for `least` seconds, even if its TTL is shorter.
    """
    places = {region.name: replace(region.api, via=ground.relays.url(WORLD), timeout=timeout) for region in ground.sides()}
    return LoadGenerator(by_name(ground.outputs["domain_name"], DnsCache(resolver.answer, least), places), clients,
                pause=clients / rate, repeat=repeat)
