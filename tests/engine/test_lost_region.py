"""Either region is lost for good and replaced by a third one, which takes over by itself when the other is lost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from contract import Consistency
from recovery.plan import Action
from rehearsal.aws.faults import Cut
from rehearsal.cli import DRILL, FACTOR
from rehearsal.deploy.pulumi_engine import YES
from rehearsal.drills.runner import drill
from rehearsal.drills.scenario import choose
from rehearsal.polling import wait_until
from rehearsal.rehearsed_stack import RehearsedStack
from rehearsal.workload.load import acknowledged, new_payment, send_all
from rehearsal.workload.move_writer import move_writer
from rehearsal.workload.region import RegionClient
from tests.engine.conftest import World, deployable
from tests.rehearsal.stack import EAST, REGIONS
from tools.migrate import migrate
from tools.replace import THERE, ReplaceFailed, replace

THIRD = "eu-west-1"
PATIENCE = 120.0  # seconds until a region takes a payment


def pay(stack: RehearsedStack, region: str) -> list[str]:
    """Send payments to a region; gives the ids of those that were acknowledged."""
    client = client_of(stack, region)
    sent = wait_until(lambda: acknowledged(send_all(client.api, [new_payment() for _ in range(8)])),
                      f"payments in {region}", PATIENCE)
    return [each.payment_id for each in sent]


def names(world: World) -> set[str]:
    """The names of everything in the state."""
    return {each["urn"].rpartition("::")[2] for each in world.pulumi.state()["resources"]}


def client_of(stack: RehearsedStack, region: str) -> RegionClient:
    """A region's client."""
    role = next(role for role in ("primary", "dr") if stack.outputs[f"{role}_region"] == region)
    return RegionClient.of(role, stack.outputs, stack.clients)


def replaced(world: World, lost: str, *, yes: bool = True) -> list[str]:
    """Replace a region; gives what the command prints."""
    return list(replace("local", lost, THIRD, yes=yes, pulumi=world.run, clients=world.clients))


def lose(world: World, outputs: Mapping[str, Any], lost: str) -> None:
    """Lose a region for good, and make the other one take over. What is in us-east-1 for all regions comes back."""
    (survivor,) = {*REGIONS} - {lost}
    world.faults.inject(Cut(lost))
    if lost == outputs["primary_region"]:
        move_writer(Action.FAILOVER, survivor, outputs, world.clients)
    if lost == EAST:
        with pytest.raises(ReplaceFailed, match="of iam, route53, s3 in us-east-1 do not answer, and only they can"):
            replaced(world, lost)
        world.faults.inject(Cut(lost, spared=tuple(THERE)))


@pytest.mark.parametrize("lost", REGIONS)
def test_a_lost_region_is_replaced_and_its_successor_takes_over(lost: str, tmp_path: Path) -> None:
    (survivor,) = {*REGIONS} - {lost}
    with deployable((*REGIONS, THIRD), databases=True, factor=FACTOR, receiptsLockDays="1", backupLock="true") as world:
        pulumi = world.pulumi
        pulumi("up", *YES)
        stack = world.rehearsed()
        outputs = stack.outputs
        migrate(outputs, world.clients)
        paid = pay(stack, outputs["primary_region"])
        lose(world, outputs, lost)
        assert any(lost in line for line in replaced(world, lost, yes=False))
        before = {each.replace(lost, THIRD) for each in names(world)}
        replaced(world, lost)
        with pytest.raises(ReplaceFailed, match=f"LOST={lost}: must be"):
            replaced(world, lost)
        assert {line.split()[0] for line in pulumi.preview()} == {"create", "update"}
        pulumi("up", *YES)
        assert [*pulumi.refresh(), *pulumi.preview()] == []
        assert {each for each in before - names(world) if not each.endswith("-unhealthy")} == set()  # in us-east-1 only
        stack = world.rehearsed()
        assert (stack.outputs["primary_region"], stack.outputs["dr_region"]) == (survivor, THIRD)
        paid += pay(stack, survivor)
        stack.database.catch_up(THIRD)
        (scenario,) = choose("drills", DRILL, consistency=Consistency.EVENTUAL)
        with world.drilled(tmp_path) as environment:
            drilled = drill(environment, scenario.model_copy(update={"overhead": False}))  # a machine's speed
        assert [each for each in drilled.checks if not each.ok] == []
        for region in (survivor, THIRD):  # the receipts from before, too, which repair has written in the new region
            kept = stack.contents(client_of(stack, region))
            assert [each for each in paid if not kept.whole(each)] == []
