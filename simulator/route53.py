"""Route 53 as clients see it: checkers that vote, calculated and inverted checks, failover records, answers with a TTL."""
from collections.abc import Callable
from dataclasses import dataclass, field

from simulator.network import OUTSIDE, Network, NoAnswer
from simulator.scheduler import Process

TTL = 60.0
CHECKERS = 3
HEALTHY_SHARE = 0.18
PATIENCE = 2.0

Ask = Callable[[Process, str, str], int]
"""The status that a checker gets from a region's API for a path. Raises NoAnswer."""


@dataclass
class Check:
    """An HTTPS check of one region's path."""

    region: str
    path: str
    threshold: int
    inverted: bool = False
    votes: list[bool] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """By the vote of the checkers."""
        return (sum(self.votes) / len(self.votes) > HEALTHY_SHARE) is not self.inverted


class Route53:
    """The checks and the two failover records of the service's name: the primary one while two of three hold."""

    def __init__(self, network: Network, regions: tuple[str, str], ask: Ask, interval: float, threshold: int) -> None:
        self._network, self.regions, self._ask, self._interval = network, regions, ask, interval
        primary, standby = regions
        self.checks = {
            "primary": Check(primary, "/health", threshold), "dr": Check(standby, "/health", threshold),
            "primary_takeover": Check(primary, "/takeover", 1),
            "dr_takeover": Check(standby, "/takeover", 1, inverted=True)}
        self.checkers = [Process(network.scheduler, f"checker-{number}", OUTSIDE) for number in range(CHECKERS)]
        for name, check in self.checks.items():
            check.votes = [name != "primary_takeover" and not check.inverted] * CHECKERS
            check.rows = [0] * CHECKERS
            for number, checker in enumerate(self.checkers):
                network.scheduler.spawn(checker, lambda c=check, n=number, p=checker: self._watch(c, n, p),
                                        network.scheduler.random.uniform(0.0, interval))

    def _watch(self, check: Check, number: int, checker: Process) -> None:
        while True:
            try:
                answered = 200 <= self._ask(checker, check.region, check.path) < 400
            except NoAnswer:
                answered = False
            if answered is check.votes[number]:
                check.rows[number] = 0
            else:
                check.rows[number] += 1
                if check.rows[number] >= check.threshold:
                    check.votes[number], check.rows[number] = answered, 0
            checker.sleep(self._interval)

    @property
    def stays(self) -> bool:
        """Whether the calculated check of the primary record is healthy."""
        children = ("primary", "dr_takeover", "primary_takeover")
        return sum(self.checks[child].healthy for child in children) >= 2

    def leads_to(self) -> str:
        """The region that the name leads to now."""
        primary, standby = self.regions
        if self.stays:
            return primary
        return standby if self.checks["dr"].healthy else primary


class Resolver:
    """A client's resolver, which keeps an answer for its TTL."""

    def __init__(self, route53: Route53, process: Process) -> None:
        self._route53, self._process = route53, process
        self._region, self._until = "", 0.0

    def region(self) -> str:
        """Where the name leads, as far as this client knows."""
        now = self._process.monotonic()
        if now >= self._until:
            self._region, self._until = self._route53.leads_to(), now + TTL
        return self._region
