"""Subnets and zones."""
from ipaddress import IPv4Network

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.region.network import first_zones, subnet_cidrs


@given(st.integers(16, 24), st.integers(0, 255))
def test_subnets_are_within_the_network_and_do_not_overlap(prefix: int, block: int) -> None:
    network = IPv4Network((f"10.{block}.0.0", prefix))
    subnets = subnet_cidrs(network)
    assert len(subnets) == 3
    assert all(s.subnet_of(network) and s.prefixlen <= 28 for s in subnets)
    assert not any(a.overlaps(b) for a in subnets for b in subnets if a is not b)


def test_a_region_with_too_few_zones_is_refused() -> None:
    assert first_zones(["b", "a", "d", "c"], "us-east-1") == ["a", "b", "c"]
    with pytest.raises(pulumi.RunError, match=r"^region 'us-west-1': offers 2 availability zones; 3 are needed$"):
        first_zones(["a", "b"], "us-west-1")
