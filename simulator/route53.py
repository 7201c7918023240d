"""Route 53 as clients see it: checkers that vote, calculated and inverted checks, failover records, and a TTL."""
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from contract import ALIVE, DEAD, DNS_TTL, LEADS_LABEL
from simulator.aws import SERVED, AwsClient
from simulator.functions import HEALTH, LEVER
from simulator.network import OUTSIDE, SimulatedNetwork, Unanswered
from simulator.scheduler import Process

HEALTHY_SHARE = 0.18
PATIENCE = 2.0  # seconds

Ask = Callable[[Process, str, str, float], int]
"""The status that a checker gets from a region's API for a path, within so many seconds. Raises Unanswered."""


@dataclass
class Check:
    """An HTTPS check of one region's path; of each checker its vote, and how many answers in a row speak against it."""

    region: str
    path: str
    threshold: int
    inverted: bool = False
    disabled: bool = False
    since: float = 0.0
    """When it became what it is, healthy or not."""
    votes: list[bool] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """By the vote of the checkers; one that is disabled counts as healthy, and unhealthy if it is inverted too."""
        return (self.disabled or sum(self.votes) / len(self.votes) > HEALTHY_SHARE) is not self.inverted

    def hear(self, number: int, *, answered: bool) -> None:
        """Count an answer that a checker got."""
        if answered is self.votes[number]:
            self.rows[number] = 0
            return
        self.rows[number] += 1
        if self.rows[number] >= self.threshold:
            self.votes[number], self.rows[number] = answered, 0


class Route53:
    """The checks and the two failover records of the service's name: the primary one while two of three hold."""

    def __init__(self, network: SimulatedNetwork, regions: tuple[str, str], ask: Ask, *, interval: float,
                 threshold: int,
                 checkers: int = 1) -> None:
        self.network, self.regions, self._ask, self._interval = network, regions, ask, interval
        self.blind: set[tuple[str, str]] = set()
        """Checkers by name, each with a region that it does not reach."""
        primary, standby = regions
        self.checks = {
            "primary": Check(primary, HEALTH, threshold), "dr": Check(standby, HEALTH, threshold),
            "primary_takeover": Check(primary, LEVER, 1),
            "dr_takeover": Check(standby, LEVER, 1, inverted=True)}
        self.checkers = [f"checker-{number}" for number in range(checkers)]
        for number, called in enumerate(self.checkers):
            checker = Process(network.scheduler, called, OUTSIDE)
            checker.spared = True
            for name, check in self.checks.items():
                check.votes.append(name != "primary_takeover" and not check.inverted)
                check.rows.append(0)
                network.scheduler.spawn(checker, partial(self._watch, check, number, checker),
                                        network.scheduler.random.uniform(0.0, interval))

    def _watch(self, check: Check, number: int, checker: Process) -> None:
        while True:
            try:
                answered = (checker.name, check.region) not in self.blind and (
                    200 <= self._ask(checker, check.region, check.path, PATIENCE) < 400)
            except Unanswered:
                answered = False
            self.change(check, partial(check.hear, number, answered=answered))
            checker.sleep(self._interval)

    def change(self, check: Check, how: Callable[[], object]) -> None:
        """Change a check, and note when that makes it healthy or not."""
        before = check.healthy
        how()
        if check.healthy is not before:
            check.since = self.network.scheduler.now

    @property
    def stays(self) -> bool:
        """Whether the calculated check of the primary record is healthy."""
        children = ("primary", "dr_takeover", "primary_takeover")
        return sum(self.checks[child].healthy for child in children) >= 2

    def sees(self, region: str) -> bool:
        """Whether a region is healthy from outside."""
        return self._check_of(region).healthy

    def seen_for(self, region: str, until: float) -> float:
        """Seconds for which a region has been healthy from outside at a moment, 0 if it is not."""
        check = self._check_of(region)
        return max(0.0, until - check.since) if check.healthy else 0.0

    def _check_of(self, region: str) -> Check:
        return self.checks["primary" if region == self.regions[0] else "dr"]

    def text(self, name: str) -> str:
        """The TXT record of a name: what the checkers see of a region, or the region that clients are sent to."""
        label, _, rest = name.partition(".")
        if label == LEADS_LABEL:
            return self.leads_to()
        return ALIVE if self.sees(rest.partition(".")[0]) else DEAD

    def leads_to(self) -> str:
        """The region that the name leads to now."""
        primary, standby = self.regions
        return standby if not self.stays and self.checks["dr"].healthy else primary


class Route53Client(AwsClient[Route53]):
    """Route 53's control plane, which is served in one region alone (SERVED); a check's name is its id."""

    service = "route53"

    def __init__(self, route53: Route53, caller: Process, _region: str, *_: float, **given: bool) -> None:
        super().__init__(route53, caller, SERVED, **given)

    def get_health_check(self, *, HealthCheckId: str) -> dict[str, Any]:  # noqa: N803
        """GetHealthCheck."""
        def serve() -> dict[str, Any]:
            check = self._part.checks[HealthCheckId]
            return {"HealthCheck": {"HealthCheckConfig": {"Inverted": check.inverted, "Disabled": check.disabled}}}

        return self._call("GetHealthCheck", serve)

    def update_health_check(self, *, HealthCheckId: str, Inverted: bool, Disabled: bool) -> dict[str, Any]:  # noqa: N803
        """UpdateHealthCheck."""
        def serve() -> None:
            check = self._part.checks[HealthCheckId]
            self._part.change(check, lambda: vars(check).update(inverted=Inverted, disabled=Disabled))

        return self._call("UpdateHealthCheck", serve)


class Resolver:
    """A client's resolver, which keeps an answer for its TTL."""

    def __init__(self, route53: Route53, process: Process) -> None:
        self._route53, self._process = route53, process
        self._region, self._until = "", 0.0

    def region(self) -> str:
        """Where the name leads, as far as this client knows."""
        now = self._process.monotonic()
        if now >= self._until:
            self._region, self._until = self._route53.leads_to(), now + DNS_TTL
        return self._region
