"""Health checks and failover records."""
import pytest

from simulator.functions import HEALTH, LEVER
from simulator.network import OUTSIDE, Unanswered
from simulator.route53 import Check, Resolver, Route53, Route53Client
from simulator.scheduler import Process
from tests.simulator.conftest import EAST, WEST, Machine


class World:
    """What the checkers see."""

    def __init__(self, machine: Machine, checkers: int = 1) -> None:
        self.status = {(region, path): status for region in (EAST, WEST)
                       for path, status in ((HEALTH, 200), (LEVER, 404))}
        self.route53 = Route53(machine.network, (EAST, WEST), self.ask, interval=10, threshold=3, checkers=checkers)

    def ask(self, _checker: Process, region: str, path: str, _patience: float) -> int:
        """What a checker gets."""
        status = self.status[region, path]
        if not status:
            raise Unanswered(connected=False)
        return status


def test_the_name_leads_to_the_primary_while_it_is_healthy(machine: Machine) -> None:
    world = World(machine, checkers=3)
    machine.scheduler.run(100.0)
    assert world.route53.leads_to() == EAST
    assert world.route53.sees(EAST)
    assert world.route53.sees(WEST)


@pytest.mark.parametrize("status", [0, 429, 503])
def test_an_unhealthy_primary_moves_the_traffic(machine: Machine, status: int) -> None:
    world = World(machine)
    world.status[EAST, HEALTH] = status
    machine.scheduler.run(100.0)
    assert not world.route53.sees(EAST)
    assert world.route53.leads_to() == WEST


@pytest.mark.parametrize(("blind", "seen"), [(3, True), (5, False)])
def test_checkers_that_do_not_reach_a_region_are_outvoted_or_not(machine: Machine, blind: int, seen: bool) -> None:
    world = World(machine, checkers=5)
    world.route53.blind |= {(name, EAST) for name in world.route53.checkers[:blind]}
    machine.scheduler.run(100.0)
    assert world.route53.sees(EAST) is seen
    assert world.route53.sees(WEST)


@pytest.mark.parametrize(("east", "west", "leads"), [(404, 200, WEST), (200, 200, EAST), (200, 404, EAST)])
def test_the_levers_move_the_traffic_and_the_primarys_wins(machine: Machine, east: int, west: int, leads: str) -> None:
    world = World(machine)
    world.status |= {(EAST, LEVER): east, (WEST, LEVER): west}
    machine.scheduler.run(100.0)
    assert world.route53.leads_to() == leads


def test_a_standby_that_is_down_gets_no_traffic(machine: Machine) -> None:
    world = World(machine)
    world.status |= {(EAST, HEALTH): 0, (WEST, HEALTH): 0, (WEST, LEVER): 200}
    machine.scheduler.run(100.0)
    assert world.route53.leads_to() == EAST


def test_a_checker_changes_its_mind_after_the_threshold() -> None:
    check = Check(EAST, HEALTH, 3, votes=[True], rows=[0])
    for answered in (False, False, True, False, False):
        check.hear(0, answered=answered)
    before = check.healthy
    check.hear(0, answered=False)
    assert (before, check.healthy) == (True, False)


def test_one_vote_of_five_is_enough() -> None:
    assert Check(EAST, HEALTH, 1, votes=[True, False, False, False, False]).healthy
    assert not Check(EAST, HEALTH, 1, votes=[True, *[False] * 9]).healthy


def test_a_client_keeps_an_answer_for_its_time_to_live(machine: Machine) -> None:
    world = World(machine)
    resolver = Resolver(world.route53, machine.processes[OUTSIDE])
    assert resolver.region() == EAST
    world.status |= {(EAST, HEALTH): 0, (WEST, LEVER): 200}
    machine.scheduler.run(59.0)
    assert (world.route53.leads_to(), resolver.region()) == (WEST, EAST)
    machine.scheduler.run(61.0)
    assert resolver.region() == WEST


@pytest.mark.parametrize(("inverted", "disabled", "healthy"), [
    (False, False, True), (True, False, False), (False, True, True), (True, True, False)])
def test_a_check_that_a_drill_inverts_and_disables_is_unhealthy(
        machine: Machine, inverted: bool, disabled: bool, healthy: bool) -> None:
    world = World(machine)
    client = Route53Client(world.route53, machine.processes[WEST], WEST)
    machine.do(lambda: client.update_health_check(HealthCheckId="primary", Inverted=inverted, Disabled=disabled))
    assert world.route53.sees(EAST) is healthy
    assert (world.route53.seen_for(EAST, machine.scheduler.now) > 0) is healthy
    assert world.route53.seen_for(EAST, 0.0) == 0.0
    if disabled:  # then the answers do not count
        world.status[EAST, HEALTH] = 0
        machine.scheduler.run(100.0)
        assert world.route53.sees(EAST) is healthy
