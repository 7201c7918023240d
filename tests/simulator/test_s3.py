"""Buckets: versions, conditional puts, and copies."""
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract import RECEIPTS_PREFIX
from simulator.s3 import PAGE, Buckets, S3Client
from tests.simulator.conftest import EAST, WEST, Machine

KEY = f"{RECEIPTS_PREFIX}k.json"


def buckets(machine: Machine, lag: Callable[[], float] = lambda: 1.0) -> tuple[Buckets, S3Client, S3Client]:
    """A bucket in each region, copied to the other one, and a client in each."""
    made = Buckets(machine.network, {"east": EAST, "west": WEST}, {"east": "west", "west": "east"}, lag=lag)
    east, west = (S3Client(made, machine.processes[region], region) for region in (EAST, WEST))
    return made, east, west


def test_a_conditional_put_writes_only_what_is_new(machine: Machine) -> None:
    _, east, _ = buckets(machine)
    once: Any = {"Bucket": "east", "Key": KEY, "Body": b"1", "IfNoneMatch": "*"}
    machine.do(lambda: east.put_object(**once))
    with pytest.raises(ClientError) as raised:
        machine.do(lambda: east.put_object(**once))
    assert raised.value.response["Error"]["Code"] == "PreconditionFailed"
    machine.do(lambda: east.delete_object(Bucket="east", Key=KEY))
    machine.do(lambda: east.put_object(**once))


def test_a_delete_marker_hides_what_is_below_it(machine: Machine) -> None:
    made, east, _ = buckets(machine)
    machine.do(lambda: east.put_object(Bucket="east", Key=KEY, Body=b"1"))
    number = str(made.objects["east"][KEY][0].number)
    machine.do(lambda: east.delete_object(Bucket="east", Key=KEY))
    for call in (lambda: east.get_object(Bucket="east", Key=KEY), lambda: east.head_object(Bucket="east", Key=KEY)):
        with pytest.raises(ClientError) as raised:
            machine.do(call)
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert machine.do(lambda: east.get_object(Bucket="east", Key=KEY, VersionId=number))["Body"].read() == b"1"
    listed = machine.do(lambda: east.list_object_versions(Bucket="east"))
    assert ([each["IsLatest"] for each in listed["Versions"]], len(listed["DeleteMarkers"])) == ([False], 1)


def test_a_listing_has_pages_in_the_order_of_keys(machine: Machine) -> None:
    made, east, _ = buckets(machine)
    for number in range(PAGE + 2):
        made.write("east", f"{RECEIPTS_PREFIX}{number:04}", b"1")
    first = machine.do(lambda: east.list_object_versions(Bucket="east", Prefix=RECEIPTS_PREFIX))
    second = machine.do(lambda: east.list_object_versions(
        Bucket="east", Prefix=RECEIPTS_PREFIX, KeyMarker=first["NextKeyMarker"],
        VersionIdMarker=first["NextVersionIdMarker"]))
    keys = [each["Key"] for each in (*first["Versions"], *second["Versions"])]
    assert keys == [f"{RECEIPTS_PREFIX}{number:04}" for number in range(PAGE + 2)]
    assert (first["IsTruncated"], second["IsTruncated"]) == (True, False)


def test_a_copy_has_its_place_by_the_time_of_its_source(machine: Machine) -> None:
    made, _, _ = buckets(machine, lag=lambda: 5.0)
    made.write("east", KEY, b"older")
    machine.scheduler.run(1.0)
    made.write("west", KEY, b"newer")
    machine.scheduler.run(20.0)
    assert made.newest("east", KEY) == made.newest("west", KEY) == b"newer"


def test_copies_wait_for_a_stall_to_end(machine: Machine) -> None:
    made, _, _ = buckets(machine)
    made.stalled.add((EAST, WEST))
    made.write("east", KEY, b"1")
    machine.scheduler.run(5.0)
    made.drain()
    machine.scheduler.run(10.0)
    assert made.newest("west", KEY) is None
    made.stalled.clear()
    made.drain()
    machine.scheduler.run(20.0)
    assert made.newest("west", KEY) == b"1"


def test_some_copies_under_way_have_left_a_region_that_is_lost_and_the_rest_wait(machine: Machine) -> None:
    made, _, _ = buckets(machine)
    for number in range(40):
        made.write("east", f"{RECEIPTS_PREFIX}{number}", b"1")
    machine.network.dead[EAST] = 0.0
    for end in (10.0, 20.0, 30.0):
        machine.scheduler.run(end)
        made.drain()
    arrived = len(made.objects["west"])
    assert 5 < arrived < 35
    machine.network.dead.clear()
    made.drain()
    machine.scheduler.run(40.0)
    assert len(made.objects["west"]) == 40


def test_what_is_denied_is_denied_for_one_bucket(machine: Machine) -> None:
    _, east, _ = buckets(machine)
    machine.network.denied.add((EAST, "PutObject", "other"))
    machine.do(lambda: east.put_object(Bucket="east", Key=KEY))
    machine.network.denied.add((EAST, "PutObject", "east"))
    with pytest.raises(ClientError) as raised:
        machine.do(lambda: east.put_object(Bucket="east", Key=KEY))
    assert raised.value.response["Error"]["Code"] == "AccessDenied"


def test_only_receipts_are_copied(machine: Machine) -> None:
    made, _, _ = buckets(machine)
    for key in (KEY, "repair/k.jsonl"):
        made.write("east", key, b"1")
    machine.scheduler.run(5.0)
    assert list(made.objects["west"]) == [KEY]
