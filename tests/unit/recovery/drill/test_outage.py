"""What a drill breaks, what it needs to know for that, and the record of the last drill."""
from functools import partial
from typing import Any

import pytest

from contract import DRILL_KEY, ROLES
from payments.errors import StoreUnavailable
from recovery.drill.outage import (
    DrillTargets,
    SavedState,
    break_region,
    current_state,
    last_drill,
    restore,
    restore_region,
)
from recovery.errors import AwsFailure, StackError
from simulator.vocabulary import FailureMode
from simulator.world import PAYMENTS
from tests.unit.recovery.calm_world import EAST, WEST, CalmWorld
from tests.unit.recovery.drill.drill_world import DrillWorld


@pytest.mark.parametrize("value", [None, 7])
def test_outputs_that_a_drill_needs_must_be_there(value: object) -> None:
    world = DrillWorld()
    with pytest.raises(StackError, match=r"dr_api_key_id = .*: must be a string"):
        DrillTargets.of({**world.outputs, "dr_api_key_id": value}, world.stack.sites[1])


BROKEN = {"region": EAST, "function": PAYMENTS, "reserved": 7}
RECORD = {"action": "failover", "from": EAST, "to": WEST, "ok": True, "why": "", "broken": None}


def write(world: CalmWorld, region: str, **document: object) -> dict[str, object]:
    """Write a drill's record in one region."""
    record = {**RECORD, **document}
    world.run_task(partial(world.table_in(region).write_document, DRILL_KEY, record))
    return record


def test_the_newest_record_counts_and_of_two_equally_new_ones_that_of_the_standby() -> None:
    world = CalmWorld()
    world.table.stalled.update({(EAST, WEST), (WEST, EAST)})
    environment = world.recovery()
    assert world.run_task(lambda: last_drill(environment, world.stack)) is None
    assert world.run_task(lambda: restore(environment, world.stack)) is None
    newest = write(world, EAST, began=2.0, broken={**BROKEN})
    write(world, WEST, began=1.0)
    assert world.run_task(lambda: last_drill(environment, world.stack)) == newest
    newest = write(world, WEST, began=2.0)
    assert world.run_task(lambda: last_drill(environment, world.stack)) == newest


def test_one_region_that_answers_is_enough() -> None:
    world = CalmWorld()
    written = write(world, WEST, began=1.0)
    world.network.refusing[EAST, "dynamodb"] = FailureMode.ERROR
    found = world.run_task(lambda: last_drill(world.recovery(), world.stack))
    assert found == written
    world.network.refusing[WEST, "dynamodb"] = FailureMode.ERROR
    with pytest.raises(StoreUnavailable):
        world.run_task(lambda: last_drill(world.recovery(), world.stack))


@pytest.mark.parametrize("site", [0, 1])
@pytest.mark.parametrize("inverted", [False, True])
def test_a_region_is_broken_and_put_back_as_it_was(site: int, inverted: bool) -> None:
    world = DrillWorld()
    region, role = world.stack.sites[site].region, ROLES[site]
    check = world.route53.checks[role]
    check.inverted = inverted
    reserved, clients = world.reserved, world.recovery().clients
    targets = DrillTargets.of(world.outputs, world.stack.sites[site])
    saved = world.run_task(lambda: current_state(clients, region, targets))
    assert saved == SavedState(
        region=region, function=PAYMENTS, reserved=reserved[region], check=role, inverted=inverted)
    world.run_task(lambda: break_region(clients, saved))
    assert (world.reserved[region], check.inverted, check.disabled) == (0, True, True)
    for _ in range(2):
        world.run_task(lambda: restore_region(clients, saved))
        assert (world.reserved, check.inverted, check.disabled) == (reserved, inverted, False)


@pytest.mark.parametrize("function", [False, True])
def test_what_a_drill_leaves_is_never_taken_for_what_was_there_before(function: bool) -> None:
    world = DrillWorld()
    if function:
        world.functions.reserved[EAST, PAYMENTS] = 0
    else:
        world.route53.checks["primary"].inverted = world.route53.checks["primary"].disabled = True
    targets = DrillTargets.of(world.outputs, world.stack.sites[0])
    with pytest.raises(AwsFailure, match=f"{EAST} looks as if a drill was not undone"):
        world.run_task(lambda: current_state(world.recovery().clients, EAST, targets))


def test_what_cannot_be_put_back_is_named_and_the_rest_is_tried() -> None:
    world = DrillWorld()
    clients, targets = world.recovery().clients, DrillTargets.of(world.outputs, world.stack.sites[0])
    saved = world.run_task(lambda: current_state(clients, EAST, targets))
    world.run_task(lambda: break_region(clients, saved))
    world.network.denied.add((EAST, "PutFunctionConcurrency", ""))
    with pytest.raises(AwsFailure, match="not restored: payments function in us-east-1: AccessDenied"):
        world.run_task(lambda: restore_region(clients, saved))
    assert (world.reserved[EAST], world.route53.checks["primary"].disabled) == (0, False)


def test_without_a_domain_there_is_no_check_to_break() -> None:
    world = DrillWorld()
    clients = world.recovery().clients
    targets = DrillTargets.of({**world.outputs, "primary_health_check_id": ""}, world.stack.sites[0])
    saved = world.run_task(lambda: current_state(clients, EAST, targets))
    world.run_task(lambda: break_region(clients, saved))
    assert (world.reserved[EAST], world.route53.checks["primary"].disabled) == (0, False)


def test_what_a_later_release_has_noted_besides_is_restored_all_the_same() -> None:
    world = DrillWorld()
    saved = SavedState(region=EAST, function=PAYMENTS, reserved=7)
    write(world, WEST, began=1.0, broken={**vars(saved), "zone": "a"})
    assert world.run_task(lambda: restore(world.recovery(), world.stack)) == saved
    assert world.reserved[EAST] == 7


@pytest.mark.parametrize("broken", [{"region": EAST}, {**BROKEN, "function": 5}, {**BROKEN, "reserved": "x"}, {"a": 1}])
def test_a_record_that_does_not_say_what_was_broken_is_named(broken: dict[str, Any]) -> None:
    world = DrillWorld()
    write(world, WEST, began=1.0, broken=broken)
    assert world.run_task(lambda: last_drill(world.recovery(), world.stack)) is None
    with pytest.raises(AwsFailure, match="the record of the last drill cannot be read in us-east-1"):
        world.run_task(lambda: restore(world.recovery(), world.stack))
