"""What a drill knows of a stack, read from a cloud that is made up."""

from typing import Any

import pytest

from recovery.record import Run
from rehearsal.aws.faults import Cut
from tests.rehearsal.cloud import Cloud
from tests.rehearsal.drills.world import World, sees
from tests.rehearsal.stack import EAST, WEST


@pytest.fixture
def world(cloud: Cloud) -> World:
    """A world in which everything is in order."""
    return World(cloud)


def test_it_sees_the_regions_whatever_is_cut_off(world: World) -> None:
    world.faults.inject(Cut(EAST))
    assert world.observer.table(EAST).record().region == EAST
    assert [(name, region.role, region.clients) for name, region in world.observer.regions.items()] == [
        (EAST, "primary", world.cloud), (WEST, "dr", world.cloud)]
    assert (world.observer.other(EAST), world.observer.other(WEST)) == (WEST, EAST)


@pytest.mark.parametrize(("leaders", "cut", "active"), [
    ({EAST: (1, EAST), WEST: (1, EAST)}, [], EAST),
    ({EAST: (1, EAST), WEST: (2, WEST)}, [], WEST),  # the copy is late
    ({EAST: (3, EAST), WEST: (2, WEST)}, [], EAST),
    ({EAST: (3, EAST), WEST: (2, WEST)}, [EAST], WEST),  # what it has behind the cut was copied nowhere
])
def test_the_active_region_is_that_of_the_newest_epoch_that_is_not_cut_off(
        world: World, leaders: dict[str, tuple[int, str]], cut: list[str], active: str) -> None:
    world.leaders = leaders
    for region in cut:
        world.faults.inject(Cut(region))
    assert world.observer.active() == active


def test_a_restored_table_has_what_it_had_and_nothing_newer(world: World) -> None:
    kept = {key: {"payment_id": {"S": key}, "epoch": {"N": epoch}} for key, epoch in (("!record", "1"), ("p", "1"))}
    present = [{**kept["!record"], "epoch": {"N": "2"}}, kept["p"], {"payment_id": {"S": "q"}}]
    world.cloud.answers["Scan"] = lambda _: {"Items": present}
    assert world.observer.items(WEST).keys() == {"!record", "p", "q"}
    world.observer.restore(WEST, kept)
    written = [(operation, region, params.get("Key") or params["Item"]) for operation, region, params
               in world.cloud.calls if operation in ("DeleteItem", "PutItem")]
    assert written == [("DeleteItem", WEST, {"payment_id": {"S": "q"}}), ("PutItem", WEST, kept["!record"])]


def test_levers_are_objects_in_the_regions_own_buckets(world: World) -> None:
    assert world.observer.levers() == []
    world.levers = {WEST}
    assert world.observer.levers() == [WEST]
    asked = [(region, params["Bucket"], params["Prefix"]) for operation, region, params in world.cloud.calls
             if operation == "ListObjectsV2"]
    assert asked[2:] == [(EAST, "control_bucket-primary", "takeover"), (WEST, "control_bucket-dr", "takeover")]


def test_its_summary_has_what_the_controllers_see_did_last_and_failed_at(world: World) -> None:
    world.observations[WEST] = sees(WEST, alive=False, why="timed out")
    world.runs[WEST] = Run(id="r", action="failover", target=WEST, driver="d", began=0, why="")
    world.logs = {EAST: ['{"event": "look", "error": "none"}'], WEST: [
        f'{{"event": "failed", "error": "no {number}"}}' for number in range(5)]}
    world.faults.inject(Cut(EAST))
    told: Any = "; ".join(world.observer.summary())
    assert all(each in told for each in ("alive=False", "timed out", "action='failover'", "no 2", "no 3", "no 4"))
    assert "no 1" not in told
    assert f"{EAST}: " not in told  # behind the cut nobody can say
    groups = [params["logGroupName"] for operation, _, params in world.cloud.calls if operation == "FilterLogEvents"]
    assert groups == [f"/aws/lambda/controller_function_name-{role}" for role in ("primary", "dr")]
