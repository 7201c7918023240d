"""The lever that moves the traffic: the object `takeover` in a region's control bucket, shown by its API."""
from collections.abc import Callable, Iterator

import pytest

from tests.integration.stack import EMULATED, Answer, Outputs, Region, eventually

TAKEOVER = "takeover"
PATIENCE = 10  # seconds


@pytest.fixture
def set_lever(region: Region, outputs: Outputs) -> Iterator[Callable[[bool], None]]:
    """Pulls the region's lever or releases it; after the test it is released, and no version of it is left.

    Route 53 watches both levers, and one counts as soon as a fifth of its checkers has seen it: that of the dr region
    may move the traffic for some seconds. So it is not tried in production.
    """
    if outputs["profile"] == "prod" and outputs["dns"] == "on" and region.role == "dr" and not EMULATED:
        pytest.skip("in production this could move the traffic")
    s3, bucket = region.client("s3"), region["control_bucket"]
    versions: list[str] = []

    def set_lever(pulled: bool) -> None:
        if pulled:
            # Fails if somebody else has pulled it.
            versions.append(s3.put_object(Bucket=bucket, Key=TAKEOVER, Body=b"", IfNoneMatch="*")["VersionId"])
        while versions and not pulled:
            s3.delete_object(Bucket=bucket, Key=TAKEOVER, VersionId=versions.pop())

    yield set_lever
    set_lever(pulled=False)


def test_no_region_takes_over_unless_its_lever_is_pulled(region: Region) -> None:
    answer = region.call("GET", region.check("/takeover"))
    assert (answer.status, answer.body) == (404, {"takeover": False})


def test_the_object_in_the_control_bucket_is_the_lever(region: Region, set_lever: Callable[[bool], None]) -> None:
    def shown() -> bool:
        set_lever(False)
        set_lever(True)  # each time: the region's controller may release a lever that it sees no use for
        return region.call("GET", region.check("/takeover")) == Answer(200, {"takeover": True})

    eventually(shown, f"{region.name} takes over", PATIENCE)
    set_lever(False)
    assert region.call("GET", region.check("/takeover")).status == 404


def test_a_lever_belongs_to_its_region_only(region: Region, peer: Region, set_lever: Callable[[bool], None]) -> None:
    set_lever(True)
    other = peer.call("GET", peer.check("/takeover"))
    set_lever(False)
    assert other.status == 404, f"{peer.name} takes over with {region.name}"
