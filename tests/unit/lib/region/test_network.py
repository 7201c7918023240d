"""Subnets and zones."""
from ipaddress import IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from lib.region.network import subnet_cidrs
from tests.unit.lib.conftest import recording


@given(st.integers(16, 24), st.integers(0, 255))
def test_subnets_are_within_the_network_and_do_not_overlap(prefix: int, block: int) -> None:
    network = IPv4Network((f"10.{block}.0.0", prefix))
    subnets = subnet_cidrs(network)
    assert len(subnets) == 3
    assert all(s.subnet_of(network) and s.prefixlen <= 28 for s in subnets)
    assert not any(a.overlaps(b) for a in subnets for b in subnets if a is not b)


def test_subnets_are_in_the_zones_that_were_chosen_and_are_named_after_them() -> None:
    # In the order of their names, the dr region's first: they are registered in any.
    subnets = sorted(recording("dev-domain-strong-swapped").of("Subnet"), key=lambda subnet: subnet.name)
    zones = [subnet.inputs["availabilityZone"] for subnet in subnets]
    assert zones == [*(f"us-east-1{letter}" for letter in "dac"), *(f"us-west-2{letter}" for letter in "abc")]
    assert [subnet.inputs["tags"]["Name"] for subnet in subnets] == [
        f"tapstack-seventeen-letters-{zone}" for zone in zones]
