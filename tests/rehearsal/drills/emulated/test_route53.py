"""Route 53's rules, over every state of the checks, and the checker, against hosts that are made up."""

import itertools
import socket
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.drills.emulated import route53
from rehearsal.drills.emulated.route53 import (
    CHECK,
    DOMAIN,
    RECORD,
    DnsRecord,
    HealthChecker,
    HostedZone,
    answers,
)
from rehearsal.workload.http import ApiClient
from tests.rehearsal.workload.api import InstantClock, Reply, api

EAST, WEST = "us-east-1", "us-west-2"
SERVICE = "pay.example.test"


def alias(name: str, region: str, **given: object) -> dict[str, Any]:
    """A record of the program that leads to a domain of a region's API."""
    return {"name": "a record", "in": {
        "name": name, "type": "A", "aliases": [{"name": f"{name}.{region}", "zoneId": "Z"}], **given}}


def failover(region: str, routing: str, check: str) -> dict[str, Any]:
    """One of the service's two records."""
    return alias(SERVICE, region, failoverRoutingPolicies=[{"type": routing}], healthCheckId=check)


def text(value: str, routing: str, **given: object) -> dict[str, Any]:
    """One of the two records of a text."""
    return {"name": "a text", "in": {"name": f"_seen.{SERVICE}", "type": "TXT", "records": [value], "ttl": 5,
                                     "failoverRoutingPolicies": [{"type": routing}], **given}}


def https(key: str, region: str = EAST, path: str = "/health", threshold: int = 1, **given: object) -> dict[str, Any]:
    """A check of a region's host; its id is its key."""
    return {"name": f"dns-{key}", "id": key, "in": {
        "type": "HTTPS", "fqdn": f"{region}.{SERVICE}", "port": 443, "resourcePath": path, "requestInterval": 10,
        "failureThreshold": threshold, **given}}


def calculated(key: str, children: Sequence[str], needed: int, **given: object) -> dict[str, Any]:
    """A check of other checks."""
    return {"name": f"dns-{key}", "id": key, "in": {
        "type": "CALCULATED", "childHealthThreshold": needed, "childHealthchecks": children, **given}}


DEPLOYED: dict[str, list[dict[str, Any]]] = {
    DOMAIN: [{"region": region, "out": {"regionalDomainName": f"{name}.{region}"}}
             for region in (EAST, WEST) for name in (SERVICE, f"{region}.{SERVICE}")],
    RECORD: [{"name": "validation", "in": {"name": f"_proof.{SERVICE}", "type": "CNAME", "records": ["x"], "ttl": 60}},
             failover(WEST, "SECONDARY", "dr"), failover(EAST, "PRIMARY", "failover"),
             alias(f"{EAST}.{SERVICE}", EAST), alias(f"{WEST}.{SERVICE}", WEST),
             text("no", "SECONDARY"), text("yes", "PRIMARY", healthCheckId="primary")],
    CHECK: [https("primary", EAST, "/health", 3), https("dr", WEST, "/health", 3, invertHealthcheck=False),
            https("primary_takeover", EAST, "/takeover", 1),
            https("dr_takeover", WEST, "/takeover", 1, invertHealthcheck=True),
            calculated("failover", ["primary", "dr_takeover", "primary_takeover"], 2)]}
ZONE = HostedZone.of(DEPLOYED.__getitem__)


# --- The zone


def test_the_zone_is_what_was_deployed() -> None:
    assert ZONE.records == {
        SERVICE: [DnsRecord(value=EAST, check="failover"),
                  DnsRecord(value=WEST, check="dr")],
        f"{EAST}.{SERVICE}": [DnsRecord(value=EAST)], f"{WEST}.{SERVICE}": [DnsRecord(value=WEST)],
        f"_seen.{SERVICE}": [DnsRecord(value="yes", check="primary"), DnsRecord(value="no")]}
    assert [*ZONE.checks.values()] == DEPLOYED[CHECK]


def test_an_alias_of_something_else_and_a_check_of_another_type_are_refused() -> None:
    with pytest.raises(LookupError, match="elsewhere"):
        HostedZone.of({**DEPLOYED, RECORD: [alias("x", "elsewhere")]}.__getitem__)
    with pytest.raises(ValueError, match="dns-tcp: the rehearsal executes no health check of type TCP"):
        HostedZone.of({**DEPLOYED, CHECK: [{"name": "dns-tcp", "id": "t", "in": {"type": "TCP"}}]}.__getitem__)


@given(primary=st.sampled_from(["healthy", "unhealthy", "no check"]),
       secondary=st.sampled_from(["healthy", "unhealthy", "no check", "no record"]))
def test_the_secondary_is_the_answer_if_it_is_healthy_and_the_primary_is_not(primary: str, secondary: str) -> None:
    states = {"primary": primary, "secondary": secondary}
    records = [DnsRecord(value=EAST, check="" if primary == "no check" else "primary"),
               DnsRecord(value=WEST, check="" if secondary == "no check" else "secondary")]
    zone = HostedZone(records={SERVICE: records[:1] if secondary == "no record" else records}, checks={})
    found = zone.value(SERVICE, lambda check: states[check] == "healthy")
    assert (found == WEST) == (primary == "unhealthy" and secondary in {"healthy", "no check"})


@given(st.fixed_dictionaries(dict.fromkeys(("primary", "dr", "dr_takeover", "primary_takeover"), st.booleans())))
def test_the_primary_stays_if_it_lives_and_the_standby_has_not_taken_over_or_it_has_taken_back(
    answering: dict[str, bool]
) -> None:
    alive, taken_over, taken_back = (answering[each] for each in ("primary", "dr_takeover", "primary_takeover"))
    alive |= taken_back  # a region that shows its lever answers
    answering["primary"] = alive
    stays = alive and (not taken_over or taken_back)
    assert ZONE.healthy("failover", answering) == stays
    found = ZONE.value(SERVICE, lambda check: ZONE.healthy(check, answering))
    assert found == (EAST if stays or not answering["dr"] else WEST)


@given(states=st.lists(st.booleans(), min_size=1, max_size=8), needed=st.integers(0, 9), inverted=st.booleans(),
       nested=st.booleans())
def test_a_calculated_check_counts_its_children(
    states: list[bool], needed: int, inverted: bool, nested: bool
) -> None:
    children = [https(str(number), invertHealthcheck=bool(number % 2)) for number in range(len(states))]
    answering = {str(number): state is not bool(number % 2) for number, state in enumerate(states)}
    checks = [*children, calculated("sum", [*answering], needed, invertHealthcheck=inverted),
              calculated("outer", ["sum"], 1)]
    zone = HostedZone(records={}, checks={each["id"]: each for each in checks})
    found = zone.healthy("outer" if nested else "sum", answering)
    assert found == ((states.count(True) >= needed) != inverted)


@pytest.mark.parametrize(("alive", "told"), [(True, "yes"), (False, "no")])
def test_a_text_says_what_a_check_has_found(alive: bool, told: str) -> None:
    assert ZONE.value(f"_seen.{SERVICE}", lambda _: alive) == told


def test_an_unknown_name_has_no_answer() -> None:
    with pytest.raises(LookupError):
        ZONE.value("other.test", lambda _: True)


# --- The checker


class Hosts:
    """Hosts that are healthy by region and path, and the answers that a checker gets from them."""

    def __init__(self) -> None:
        self.healthy = {(EAST, "/health"), (WEST, "/health")}
        self.clock, self.asked = InstantClock(), list[tuple[str, str]]()
        apis = {region: api(self._answerer(region), url=f"http://{region}") for region in (EAST, WEST)}
        self.checker = HealthChecker(ZONE, apis, 10, self.clock)

    def execute(self, turns: int, then: dict[int, Callable[[], object]]) -> list[tuple[float, str]]:
        """What changed after the first turn, and when: a turn a second; `then`, by turn, changes the hosts before."""
        for turn in range(turns):
            then.get(turn, lambda: None)()
            for task in self.checker.tasks:
                task.work()
            self.clock.now += 1
        return [change for change in self.checker.history if change[0] > 100]

    def _answerer(self, region: str) -> Callable[[httpx.Request], Reply]:
        def answer(request: httpx.Request) -> Reply:
            self.asked.append((region, request.url.path))
            return (200 if self.asked[-1] in self.healthy else 404), {}

        return answer


def test_a_check_starts_healthy_and_an_inverted_one_unhealthy() -> None:
    checker = Hosts().checker
    assert {each: checker.healthy(each) for each in ZONE.checks} == {
        "primary": True, "dr": True, "primary_takeover": True, "dr_takeover": False, "failover": True}
    assert checker.history == []


def test_the_lever_moves_the_traffic_and_brings_it_back() -> None:
    hosts = Hosts()
    assert hosts.execute(3, {1: lambda: hosts.healthy.add((WEST, "/takeover")),
                             2: lambda: hosts.healthy.add((EAST, "/takeover"))}) == [
        (101, "dns-dr_takeover unhealthy"), (101, "dns-failover unhealthy"),
        (102, "dns-primary_takeover healthy"), (102, "dns-failover healthy")]
    assert ZONE.value(SERVICE, hosts.checker.healthy) == EAST


def test_a_lost_region_is_seen_after_its_threshold_and_seen_to_be_back() -> None:
    hosts = Hosts()
    seen = hosts.execute(8, {1: lambda: hosts.healthy.remove((EAST, "/health")),
                             4: lambda: hosts.healthy.add((EAST, "/health"))})
    assert [change for change in seen if "failover" in change[1]] == [
        (103, "dns-failover unhealthy"), (106, "dns-failover healthy")]


def test_each_host_is_asked_at_its_interval_divided_by_the_factor() -> None:
    hosts = Hosts()
    hosts.execute(1, {})
    assert {*hosts.asked} == {*itertools.product((EAST, WEST), ("/health", "/takeover"))}
    assert [task.seconds for task in hosts.checker.tasks] == [1] * 4


@given(threshold=st.integers(1, 10), answers=st.lists(st.booleans(), max_size=40))
def test_so_many_answers_in_a_row_change_the_state(threshold: int, answers: list[bool]) -> None:
    zone = HostedZone(records={}, checks={"c": https("c", threshold=threshold)})
    checker = HealthChecker(zone, {})
    for answer in answers:
        checker.judge("c", answered=answer)
    decisive = [value for value, run in itertools.groupby(answers) if len(list(run)) >= threshold]
    assert checker.healthy("c") == ([True, *decisive][-1])
    assert [what == "dns-c healthy" for _, what in checker.history] == [
        value for before, value in itertools.pairwise([True, *decisive]) if before is not value]


# --- The way to a host


@pytest.mark.parametrize(("reply", "expected"), [
    ((200, {}), True), ((204, ""), True), ((302, ""), True), ((404, {}), False), ((503, {}), False), (None, False)])
def test_success_and_redirection_are_healthy(reply: Reply, expected: bool) -> None:
    assert answers(api(lambda _: reply), "/health") is expected


def test_no_answer_in_time_is_not_healthy() -> None:
    assert route53.ANSWER == 2
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert not answers(ApiClient(region=EAST, url=url, timeout=0.05), "/health")
