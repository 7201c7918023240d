"""Route 53 by its own rules: where a name leads, by the records and the health checks that were deployed.

Nothing here speaks DNS. A `HealthChecker` executes the health checks, the `HostedZone` answers for a name by what they
found, and clients ask it through a `DnsCache`. The definitions are the program's own inputs, as the engine keeps them:
what the emulator reads back lacks the children of a check, and whether it is inverted.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from payments.clock import SYSTEM, Clock
from rehearsal.deploy.resources.model import Scope

RECORD, CHECK, DOMAIN = (
    "aws:route53/record:Record", "aws:route53/healthCheck:HealthCheck", "aws:apigateway/domainName:DomainName")
CONNECT, ANSWER = 4.0, 2.0  # seconds that a checker waits for a connection, and then for an answer

Ask = Callable[[str, str], Coroutine[Any, Any, bool]]
"""Asks a region's API for a path: whether the answer is one of a healthy endpoint. Raises nothing."""
Healthy = Callable[[str], bool]
"""Whether a health check, by its id, is healthy."""


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """A health check: of the answers of a host, or of its `children`, of which `needed` must be healthy.

    name: the program's name for it.
    interval: seconds between two questions.
    threshold: how many answers in a row change what is known of the host.
    """

    name: str
    inverted: bool = False
    host: str = ""
    path: str = ""
    interval: float = 0.0
    threshold: int = 0
    children: tuple[str, ...] = ()
    needed: int = 0

    @classmethod
    def of(cls, scope: Scope) -> "HealthCheck":
        """A check as it was deployed. Raises ValueError for a type that a rehearsal does not execute."""
        given, name = scope["in"], scope["name"]
        inverted = given.get("invertHealthcheck", False)
        match given["type"]:
            case "HTTPS":
                return cls(name=name, inverted=inverted, host=given["fqdn"], path=given["resourcePath"],
                           interval=given["requestInterval"], threshold=given["failureThreshold"])
            case "CALCULATED":
                return cls(name=name, inverted=inverted, children=tuple(given["childHealthchecks"]),
                           needed=given["childHealthThreshold"])
            case other:
                raise ValueError(f"{name}: the rehearsal executes no health check of type {other}")


@dataclass(frozen=True, kw_only=True)
class DnsRecord:
    """Where a name leads while `check` (the id of a health check, empty for none) is healthy.

    `routing` is PRIMARY or SECONDARY, empty for a record that is alone.
    """

    region: str
    routing: str = ""
    check: str = ""


@dataclass(frozen=True, kw_only=True)
class HostedZone:
    """The records that lead to a region, by name and the primary one first, and the health checks by their ids."""

    records: Mapping[str, Sequence[DnsRecord]]
    checks: Mapping[str, HealthCheck]

    @classmethod
    def of(cls, made: Callable[[str], Iterable[Scope]]) -> "HostedZone":
        """The zone that was deployed; `made` gives the scopes of a type's resources, as the engine does.

        Raises LookupError for an alias of something else than an API's domain, ValueError for a check of another type.
        """
        regions = {scope["out"]["regionalDomainName"]: scope["region"] for scope in made(DOMAIN)}
        records: dict[str, list[DnsRecord]] = {}
        for given in (scope["in"] for scope in made(RECORD) if "aliases" in scope["in"]):
            routing = given["failoverRoutingPolicies"][0]["type"] if "failoverRoutingPolicies" in given else ""
            records.setdefault(given["name"], []).append(DnsRecord(
                region=regions[given["aliases"][0]["name"]], routing=routing, check=given.get("healthCheckId", "")))
        return cls(records={name: sorted(found, key=lambda record: record.routing) for name, found in records.items()},
                   checks={scope["id"]: HealthCheck.of(scope) for scope in made(CHECK)})

    def region(self, name: str, healthy: Healthy) -> str:
        """The region that a name leads to: that of the first healthy record, of the first of all if none is.

        A record without a check is healthy. Raises LookupError for a name that has no record.
        """
        records = self.records[name]
        return next((record for record in records if not record.check or healthy(record.check)), records[0]).region

    def healthy(self, check_id: str, answering: Mapping[str, bool]) -> bool:
        """Whether a check is healthy, by whether the hosts of checks are found to answer."""
        check = self.checks[check_id]
        if check.children:
            found = sum(self.healthy(child, answering) for child in check.children) >= check.needed
        else:
            found = answering[check_id]
        return found is not check.inverted


def asking(proxy_url: str, apis: Mapping[str, str], connect: float = CONNECT, answer: float = ANSWER) -> Ask:
    """Requests through a proxy to the regions' APIs, whose URLs are by region: 2xx and 3xx in time are healthy."""
    proxy = urlsplit(proxy_url)

    async def ask(region: str, path: str) -> bool:
        request = f"GET {apis[region]}{path} HTTP/1.1\r\nHost: {proxy.netloc}\r\nConnection: close\r\n\r\n"
        with suppress(OSError, ValueError, IndexError):  # no connection, no answer in time, none that is HTTP
            async with asyncio.timeout(connect):
                reader, writer = await asyncio.open_connection(proxy.hostname, proxy.port)
            try:
                async with asyncio.timeout(answer):
                    writer.write(request.encode())
                    status = int((await reader.readline()).split()[1])
            finally:
                writer.close()
            return HTTPStatus.OK <= status < HTTPStatus.BAD_REQUEST
        return False

    return ask


@dataclass(frozen=True)
class HealthChange:
    """A health check became healthy or unhealthy, `at` a moment of the monotonic clock."""

    at: float
    check_id: str
    healthy: bool


class HealthChecker:
    """Executes a zone's health checks from `start` to `stop`; `history` has what changed, oldest first.

    One checker stands in for Route 53's many. Those vote, a host is healthy if more than 18 % of them say so, and the
    vote takes a moment to reach the name servers. Here every late answer is one against the host, and a change counts
    at once. A host is taken to answer until it is found not to, so a check starts healthy and an inverted one
    unhealthy. `factor` divides the intervals, but not the time that an answer may take.
    """

    def __init__(self, zone: HostedZone, ask: Ask, factor: float = 1.0, *, clock: Clock = SYSTEM,
                 sleep: Callable[[float], Coroutine[Any, Any, object]] = asyncio.sleep) -> None:
        self.history: list[HealthChange] = []
        self.zone, self._ask, self._factor, self._clock, self._sleep = zone, ask, factor, clock, sleep
        self._answering = {check_id: True for check_id, check in zone.checks.items() if not check.children}
        self._against = dict.fromkeys(self._answering, 0)  # answers in a row that contradict what is known
        self._known = {check_id: self.healthy(check_id) for check_id in zone.checks}
        self._thread = threading.Thread(target=self._run, name="health checks", daemon=True)
        self._started = threading.Event()
        self._stop: Callable[[], object] = lambda: None

    def healthy(self, check_id: str) -> bool:
        """Whether a check is healthy now. Raises LookupError for an id that no check has."""
        return self.zone.healthy(check_id, self._answering)

    def start(self) -> None:
        """Ask from now on, each check for the first time at once."""
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """Ask no more; questions under way are dropped. May be called at any time."""
        if self._thread.is_alive():
            self._stop()
            self._thread.join()

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._execute())

    async def _execute(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        async with asyncio.TaskGroup() as group:
            for check_id in self._answering:
                group.create_task(self.repeat(check_id))
            self._stop = lambda: loop.call_soon_threadsafe(task.cancel) if task else None
            self._started.set()

    async def repeat(self, check_id: str) -> None:
        """Execute a check at its interval, until it is cancelled."""
        check, due = self.zone.checks[check_id], self._clock.monotonic()
        while True:
            region = self.zone.region(check.host, self.healthy)
            self.judge(check_id, answered=await self._ask(region, check.path))
            now = self._clock.monotonic()
            due = max(due + check.interval / self._factor, now)
            await self._sleep(due - now)

    def judge(self, check_id: str, *, answered: bool) -> None:
        """Count an answer, or that there was none; enough of them in a row change what is known of the host."""
        self._against[check_id] = self._against[check_id] + 1 if answered is not self._answering[check_id] else 0
        if self._against[check_id] < self.zone.checks[check_id].threshold:
            return
        self._answering[check_id], self._against[check_id] = answered, 0
        now, found = self._clock.monotonic(), {each: self.healthy(each) for each in self.zone.checks}
        self.history += [HealthChange(now, each, healthy) for each, healthy in found.items()
                         if healthy is not self._known[each]]
        self._known = found


class DnsCache:
    """A client's own resolver: keeps an answer as long as its TTL says, and for `least` seconds whatever that says."""

    def __init__(self, answer: Callable[[str], tuple[str, float]], least: float = 0.0, clock: Clock = SYSTEM) -> None:
        self._answer, self._least, self._clock = answer, least, clock
        self._kept: dict[str, tuple[str, float]] = {}

    def region(self, name: str) -> str:
        """The region that a name leads to, as far as this client knows. Raises LookupError for an unknown name."""
        region, until = self._kept.get(name, ("", 0.0))
        if not region or self._clock.monotonic() >= until:
            region, ttl = self._answer(name)
            self._kept[name] = region, self._clock.monotonic() + max(ttl, self._least)
        return region
