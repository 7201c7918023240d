"""The switch that moves the traffic: the object `takeover` in a region's control bucket, shown by its API."""
from collections.abc import Callable, Iterator

import pytest

from tests.integration.stack import EMULATED, Answer, Outputs, Region, eventually

TAKEOVER = "takeover"
PATIENCE = 10  # seconds


@pytest.fixture
def throw(region: Region, outputs: Outputs) -> Iterator[Callable[[bool], None]]:
    """Throws the region's switch; afterwards it is as it was, off, and no version of it is left.

    Route 53 watches both, and a throw counts as soon as a fifth of its checkers has seen it: the dr region's may move
    the traffic for some seconds. So it is not tried in production.
    """
    if outputs["profile"] == "prod" and outputs["dns"] == "on" and region.role == "dr" and not EMULATED:
        pytest.skip("in production this could move the traffic")
    s3, bucket = region.client("s3"), region["control_bucket"]
    versions: list[str] = []

    def throw(on: bool) -> None:
        if on:
            # Whoever threw it before is not disturbed.
            versions.append(s3.put_object(Bucket=bucket, Key=TAKEOVER, Body=b"", IfNoneMatch="*")["VersionId"])
        while versions and not on:
            s3.delete_object(Bucket=bucket, Key=TAKEOVER, VersionId=versions.pop())

    yield throw
    throw(on=False)


def test_no_region_takes_over_unless_it_is_told_to(region: Region) -> None:
    answer = region.call("GET", "/takeover")
    assert (answer.status, answer.body) == (404, {"takeover": False})


def test_the_object_in_the_control_bucket_is_the_switch(region: Region, throw: Callable[[bool], None]) -> None:
    def shown() -> bool:
        throw(True)  # again, if the region's controller has put back what it sees no use for
        return region.call("GET", "/takeover") == Answer(200, {"takeover": True})

    eventually(shown, f"{region.name} takes over", PATIENCE)
    throw(False)
    assert region.call("GET", "/takeover").status == 404


def test_one_regions_switch_is_not_the_others(region: Region, peer: Region, throw: Callable[[bool], None]) -> None:
    throw(True)
    other = peer.call("GET", "/takeover")
    throw(False)
    assert other.status == 404, f"{peer.name} takes over with {region.name}"
