"""What is noted of a history as it happens."""
from functools import partial

from recovery.decision import ABANDONED_LOOKS
from recovery.plan import Action
from simulator.clients import Acknowledged
from tests.unit.recovery.calm_world import EAST, WEST, CalmWorld


def test_a_failover_to_the_region_that_leads_already_is_noted_with_what_it_loses() -> None:
    world = CalmWorld()
    world.run_task(world.claim(Action.SWITCHOVER).fence)
    world.acknowledge(Acknowledged("p", world.scheduler.now, EAST, {}))
    world.lose(EAST, ends=True)
    hold = world.claim(driver="bob")
    world.run_task(hold.fence)
    world.run_task(partial(hold.lead, 8))
    led = [(event.who, event.facts["action"], event.facts["missing"]) for event in world.history.of("leads")]
    assert led == [(WEST, "switchover", 0), (WEST, "failover", 1)]
    assert world.given_up == {"p"}


def test_leadership_that_is_given_back_is_not_the_failovers_before_it() -> None:
    world = CalmWorld()
    world.look(times=2)
    hold = world.claim()
    world.run_task(hold.fence)
    world.run_task(partial(hold.write, ended=1.0, outcome="given up"))
    world.look(WEST, times=ABANDONED_LOOKS + 2)
    assert [(event.who, event.facts["action"]) for event in world.history.of("leads")] == [
        (WEST, "failover"), (EAST, None)]
