"""Who serves a DNS zone, as the resolver of this machine sees it."""
from collections.abc import Callable
from typing import Any

from dns.exception import DNSException
from dns.resolver import NXDOMAIN, NoAnswer, resolve

from recovery.errors import AwsFailure

PATIENCE = 10.0  # seconds


def name_servers(zone: str, resolve: Callable[..., Any] = resolve) -> frozenset[str]:
    """The hosts that serve a zone, in lower case; none if nobody does. Raises AwsFailure if no resolver answers."""
    try:
        return frozenset(str(each.target).rstrip(".").lower() for each in resolve(zone, "NS", lifetime=PATIENCE))
    except (NXDOMAIN, NoAnswer):
        return frozenset()
    except DNSException as error:
        raise AwsFailure(f"name servers of {zone}: {' '.join(str(error).split())}") from error
