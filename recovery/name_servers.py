"""Which name servers serve a zone, and what a zone's own ones say: Route 53's verdict on the regions, from outside."""
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver

from recovery.errors import AwsFailure

TIMEOUT = 1.0  # seconds for an answer
TRIES = 2  # name servers that are asked until one answers
PORT = 53
ANSWERS = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)  # any other code says that the server does not know
PATIENCE = 10.0  # seconds for a public resolver to answer a person


def ask_zone(name: str, servers: Sequence[str] = ()) -> str:
    """The text of a TXT record as the zone's name servers give it, empty if there is none, or none of them answers.

    No cache on the way can give an old answer. `servers` are addresses (`192.0.2.1` or `192.0.2.1:53`), by default
    those that the zone's NS records name.
    """
    with suppress(dns.exception.DNSException, OSError, ValueError):  # ValueError: it is no address
        query = dns.message.make_query(name, dns.rdatatype.TXT)
        for server in islice(servers or _name_servers(name), TRIES):
            host, _, port = server.partition(":")
            with suppress(dns.exception.DNSException, OSError, ValueError):
                answer = dns.query.udp(query, host, TIMEOUT, int(port or PORT))
                if answer.rcode() not in ANSWERS:
                    continue
                texts = [rdata.strings[0] for rrset in answer.answer if rrset.rdtype == dns.rdatatype.TXT
                         for rdata in rrset]
                return texts[0].decode() if texts else ""
    return ""


def _name_servers(name: str) -> Iterator[str]:
    """The addresses of the name servers of the zone that a name lies in, without those that cannot be resolved."""
    resolver = dns.resolver.Resolver()
    resolver.lifetime = TIMEOUT
    zone = dns.resolver.zone_for_name(name, resolver=resolver, lifetime=TIMEOUT)
    for server in resolver.resolve(zone, "NS"):
        with suppress(dns.exception.DNSException):
            yield from [address.to_text() for address in resolver.resolve(server.target, "A")]


def delegated_to(zone: str) -> frozenset[str]:
    """The hosts that a public resolver names for a zone, in lower case; none if it is not delegated.

    Raises AwsFailure if no resolver answers.
    """
    try:
        found = dns.resolver.resolve(zone, "NS", lifetime=PATIENCE)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return frozenset()
    except dns.exception.DNSException as error:
        raise AwsFailure(f"name servers of {zone}: {' '.join(str(error).split())}") from error
    return frozenset(str(each.target).rstrip(".").lower() for each in found)
