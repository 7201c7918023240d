"""Route 53 by its own rules: where a name leads, by the records and the health checks that were deployed.

Nothing here speaks DNS. A `HealthChecker` executes the health checks, and the `HostedZone` answers for a name by what
they found. The definitions are the program's own inputs, as the engine keeps them: what the emulator reads back lacks
the children of a check, and whether it is inverted.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from payments.clock import SYSTEM, Clock
from rehearsal.deploy.resources.model import Scope
from rehearsal.drills.emulated.periodic import PeriodicTask
from rehearsal.errors import NoAnswer
from rehearsal.workload.http import ApiClient

CALCULATED = "CALCULATED"  # the type of a check of other checks
RECORD, CHECK, DOMAIN = (
    "aws:route53/record:Record", "aws:route53/healthCheck:HealthCheck", "aws:apigateway/domainName:DomainName")
ANSWER = 2.0  # seconds that a checker waits for an answer

Healthy = Callable[[str], bool]
"""Whether a health check, by its id, is healthy."""


@dataclass(frozen=True, kw_only=True)
class DnsRecord:
    """What a name has while `check` (the id of a health check, empty for none) is healthy: a region, or a text."""

    value: str
    check: str = ""


@dataclass(frozen=True, kw_only=True)
class HostedZone:
    """The records that lead to a region or have a text, by name, the primary one first; checks by their ids."""

    records: Mapping[str, Sequence[DnsRecord]]
    checks: Mapping[str, Scope]

    @classmethod
    def of(cls, made: Callable[[str], Iterable[Scope]]) -> "HostedZone":
        """The zone that was deployed; `made` gives the scopes of a type's resources, as the engine does.

        Raises LookupError for an alias of something else than an API's domain, ValueError for a check of another type.
        """
        regions = {scope["out"]["regionalDomainName"]: scope["region"] for scope in made(DOMAIN)}
        inputs = [scope["in"] for scope in made(RECORD)]
        inputs.sort(key=lambda given: [each["type"] for each in given.get("failoverRoutingPolicies", ())])
        records: dict[str, list[DnsRecord]] = {}
        for given in inputs:  # the PRIMARY ones before the SECONDARY ones
            if "aliases" not in given and given["type"] != "TXT":
                continue
            value = regions[given["aliases"][0]["name"]] if "aliases" in given else given["records"][0]
            records.setdefault(given["name"], []).append(DnsRecord(value=value, check=given.get("healthCheckId", "")))
        checks = {scope["id"]: scope for scope in made(CHECK)}
        for each in checks.values():
            if each["in"]["type"] not in ("HTTPS", CALCULATED):
                raise ValueError(f"{each['name']}: the rehearsal executes no health check of type {each['in']['type']}")
        return cls(records=records, checks=checks)

    def value(self, name: str, healthy: Healthy) -> str:
        """The region or the text of a name: that of the first healthy record, of the first of all if none is.

        A record without a check is healthy. Raises LookupError for a name that has no record.
        """
        records = self.records[name]
        return next((record for record in records if not record.check or healthy(record.check)), records[0]).value

    def healthy(self, check_id: str, answering: Mapping[str, bool]) -> bool:
        """Whether a check is healthy, by whether the hosts of checks are found to answer."""
        check = self.checks[check_id]["in"]
        if check["type"] == CALCULATED:
            children = [self.healthy(child, answering) for child in check["childHealthchecks"]]
            found = sum(children) >= check["childHealthThreshold"]
        else:
            found = answering[check_id]
        return found is not check.get("invertHealthcheck", False)


def answers(api: ApiClient, path: str) -> bool:
    """Whether an API answers as a healthy endpoint does: in time, with 2xx or 3xx."""
    try:
        return HTTPStatus.OK <= api.get(path).status < HTTPStatus.BAD_REQUEST
    except NoAnswer:
        return False


class HealthChecker:
    """Executes a zone's health checks, each as one of its `tasks`.

    `history` has which check became healthy or unhealthy, and when by the monotonic clock, oldest first.

    One checker stands in for Route 53's many. Those vote, a host is healthy if more than 18 % of them say so, and the
    vote takes a moment to reach the name servers. Here every late answer is one against the host, and a change counts
    at once. A host is taken to answer until it is found not to, so a check starts healthy and an inverted one
    unhealthy. `factor` divides the intervals, but not the time that an answer may take. `apis` are by region.
    """

    def __init__(self, zone: HostedZone, apis: Mapping[str, ApiClient], factor: float = 1.0,
                 clock: Clock = SYSTEM) -> None:
        self.history: list[tuple[float, str]] = []
        self.zone, self._apis, self._clock, self._lock = zone, apis, clock, threading.Lock()
        hosts = {check_id: check for check_id, check in zone.checks.items() if check["in"]["type"] != CALCULATED}
        self._answering = dict.fromkeys(hosts, True)
        self._against = dict.fromkeys(hosts, 0)  # answers in a row that contradict what is known
        self._known = {check_id: self.healthy(check_id) for check_id in zone.checks}
        self.tasks = [PeriodicTask(
            check["name"], check["in"]["requestInterval"] / factor, partial(self._execute, check_id), clock)
            for check_id, check in hosts.items()]

    def healthy(self, check_id: str) -> bool:
        """Whether a health check is healthy now. Raises LookupError for an id that no check has."""
        return self.zone.healthy(check_id, self._answering)

    def _execute(self, check_id: str) -> None:
        check = self.zone.checks[check_id]["in"]
        api = self._apis[self.zone.value(check["fqdn"], self.healthy)]
        self.judge(check_id, answered=answers(api, check["resourcePath"]))

    def judge(self, check_id: str, *, answered: bool) -> None:
        """Count an answer, or that there was none; enough of them in a row change what is known of the host."""
        with self._lock:
            self._against[check_id] = self._against[check_id] + 1 if answered is not self._answering[check_id] else 0
            if self._against[check_id] < self.zone.checks[check_id]["in"]["failureThreshold"]:
                return
            self._answering[check_id], self._against[check_id] = answered, 0
            now, found = self._clock.monotonic(), {each: self.healthy(each) for each in self.zone.checks}
            self.history += [(now, f"{self.zone.checks[each]['name']} {'healthy' if healthy else 'unhealthy'}")
                             for each, healthy in found.items() if healthy is not self._known[each]]
            self._known = found
