"""A watch looks again and again, and its timeline grows by what has changed."""
import json
from pathlib import Path
from typing import Any

import pytest

from recovery import watch
from recovery.watch import Watch, facts, recent
from simulator.scheduler import EPOCH
from tests.unit.recovery.calm_world import EAST, WEST, CalmWorld


def watched(world: CalmWorld, **more: Any) -> Watch:
    """A watch on the stack of a world."""
    return Watch(environment=world.recovery(), stack=world.stack, **more)


def said(look: Any) -> list[str]:
    """What its timeline says."""
    return [each["what"] for each in look["timeline"]]


def test_the_first_look_says_all_and_the_next_ones_only_what_has_changed() -> None:
    world = CalmWorld(automatic=False)
    world.look(times=3)
    seen = watched(world)
    first = world.run_task(seen.look)
    assert first["status"]["active"] == EAST
    assert first["at"] == pytest.approx(EPOCH + world.scheduler.now)
    assert {f"{EAST} leads, epoch 1", f"{EAST} answers: yes", f"{EAST} can take payments: yes",
            f"a failover to {WEST} would be refused: no", f"alarms in {WEST}: none"} <= {*said(first)}
    assert said(world.run_task(seen.look)) == said(first)
    world.lose(EAST, ends=True)
    assert f"{EAST} answers: no" in said(world.run_task(seen.look))[len(said(first)):]


def test_a_run_is_told_step_by_step() -> None:
    world = CalmWorld(automatic=False)
    world.cut_off(EAST)
    seen = watched(world)
    hold = world.claim()
    before = said(world.run_task(seen.look))
    assert f"failover to {WEST} begun by alice: asked for" in before
    world.drive(hold)
    told = said(world.run_task(seen.look))[len(before):]
    assert f"{WEST} leads, epoch 2" in told
    assert [each.partition(":")[0] for each in told if each.startswith("failover to us-west-2")] == [
        *(f"failover to {WEST}, {key}" for key in ("fence", "traffic", "promote", "epoch", "verify")),
        f"failover to {WEST}"]
    assert f"failover to {WEST}: done" in told


@pytest.mark.parametrize(("refused", "word"), [([], "no"), (["x"], "yes"), (None, "unknown"), ("unknown", "unknown")])
def test_whether_a_failover_would_be_refused_may_be_unknown(refused: object, word: str) -> None:
    region = {"alive": True, "ready": None, "led_to": "", "alarms": ["a"], "refused": refused}
    found = dict(facts({"active": EAST, "epoch": 1, "writer": EAST, "run": "unknown", "regions": {WEST: region}}))
    assert found == {"leader": f"{EAST} leads, epoch 1", "writer": f"the database's writer is in {EAST}",
                     f"{WEST} alive": f"{WEST} answers: yes", f"{WEST} ready": f"{WEST} can take payments: none",
                     f"{WEST} refused": f"a failover to {WEST} would be refused: {word}",
                     f"{WEST} alarms": f"alarms in {WEST}: a"}


def test_the_client_of_a_sandbox_is_shown_by_its_last_payments(tmp_path: Path) -> None:
    file = tmp_path / "payments.jsonl"
    assert recent(file) == []
    lines = [{"at": float(number), "ok": bool(number % 2), "region": EAST} for number in range(3000)]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + 'x\n[]\n{"at": 10')
    assert recent(file) == lines[-watch.PAYMENTS + 2:]
    world = CalmWorld()
    assert world.run_task(watched(world).look)["payments"] is None
    assert world.run_task(watched(world, payments=file).look)["payments"][-1] == lines[-1]
