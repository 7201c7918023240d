"""A zone that nobody serves is told from a resolver that does not answer."""
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from dns.exception import DNSException
from dns.resolver import NXDOMAIN, NoAnswer

from recovery.doctor.delegation import name_servers
from recovery.errors import AwsFailure


class Silence(DNSException):
    """No resolver answers."""

    def __str__(self) -> str:
        return "no answer"


def resolver(outcome: Any) -> Callable[..., Any]:
    """A resolver that answers, or raises."""
    def resolve(zone: str, kind: str, *, lifetime: float) -> Any:
        assert (zone, kind, lifetime > 0) == ("example.com", "NS", True)
        if isinstance(outcome, Exception):
            raise outcome
        return [SimpleNamespace(target=each) for each in outcome]
    return resolve


def test_the_hosts_are_shown_without_the_last_dot() -> None:
    assert name_servers("example.com", resolver(["NS-1.example.com.", "ns-2.example.com."])) == {
        "ns-1.example.com", "ns-2.example.com"}


@pytest.mark.parametrize("error", [NXDOMAIN.__new__(NXDOMAIN), NoAnswer.__new__(NoAnswer)])
def test_a_zone_that_is_not_delegated_has_none(error: Exception) -> None:
    assert name_servers("example.com", resolver(error)) == frozenset()


def test_a_resolver_that_does_not_answer_is_a_failure() -> None:
    with pytest.raises(AwsFailure, match=r"name servers of example\.com: no answer"):
        name_servers("example.com", resolver(Silence.__new__(Silence)))
