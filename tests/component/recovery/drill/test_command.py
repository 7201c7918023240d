"""Drills as they are typed, while something else happens."""
from dataclasses import asdict
from pathlib import Path

import pytest

from contract import DRILL_KEY
from recovery.drill.outage import DrillRecord, DrillTargets, break_region, current_state
from simulator.scheduler import EPOCH
from simulator.vocabulary import FailureMode
from tests.component.recovery.shell import Result, Shell
from tests.unit.recovery.calm_world import EAST, WEST
from tests.unit.recovery.drill.drill_world import DrillWorld


@pytest.fixture
def world() -> DrillWorld:
    """Where drills are typed."""
    return DrillWorld()


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], tmp_path: Path, world: DrillWorld) -> Shell:
    """Who types them."""
    found = Shell(capture=capsys, outputs=tmp_path / "outputs.json", world=world)
    found.deploy(world)
    return found


def test_while_it_asks_another_drill_breaks_a_region_and_its_record_stays(shell: Shell, world: DrillWorld) -> None:
    def confirm(_question: str) -> bool:
        clients = world.recovery().clients
        saved = current_state(clients, EAST, DrillTargets.of(world.outputs, world.stack.site(EAST)))
        world.table_in(WEST).write_document(DRILL_KEY, {"began": EPOCH, "to": WEST, "broken": asdict(saved)})
        break_region(clients, saved)
        return True

    assert shell.type("drill switchover", confirm=confirm) == Result(2, "", [
        f"recovery: a drill has left {EAST} broken: `python -m recovery drill restore`"])
    assert shell.type("drill restore").out == f"{EAST} is restored\n"
    assert world.is_restored()


@pytest.mark.parametrize("action", ["switchover", "failover --accept-data-loss"])
def test_while_it_asks_the_standby_fails_and_nothing_is_begun(shell: Shell, world: DrillWorld, action: str) -> None:
    def confirm(_question: str) -> bool:
        world.scheduler.suspend(600.0)
        world.network.refusing[WEST, "rds"] = FailureMode.ERROR
        return True

    result = shell.type(f"drill {action}", confirm=confirm)
    assert (result.code, world.ended(), world.is_restored()) == (1, [], True)
    assert "the drill was not carried out: unknown state" in result.out
    assert "errors: none" in result.out


def test_a_drill_that_has_not_ended_keeps_others_from_beginning_until_somebody_ends_it(
        shell: Shell, world: DrillWorld) -> None:
    world.run_task(lambda: DrillRecord.claim(world.cloud(), EPOCH))
    assert shell.type("drill --yes") == Result(2, "", [
        (f"recovery: a drill to {WEST} is recorded as under way. If nobody runs it any more: "
         "`python -m recovery drill restore`")])
    assert shell.type("drill restore").out == "nothing was left broken\n"
    assert shell.type("drill --yes").code == 0
