"""How the stack is, as each region tells it; what a region does not tell is said to be unknown."""
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from dataclasses import asdict, dataclass
from typing import Any

from recovery import probe
from recovery.clock import CLOCK, Clock
from recovery.cloud import ClientFactory, Cloud, reason
from recovery.control_table import DRILL
from recovery.journal import Journal
from recovery.plan import Action, Plan
from recovery.stack import Site, Stack

UNKNOWN = "unknown"
PATIENCE = 10.0  # seconds
TOLD = ("alive", "ready", "why", "right", "writer", "cluster", "instances", "lever", "lags", "watched_s", "alarms",
        "run", "drill")

Part = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Status:
    """One look at the stack: everything is asked at the same time.

    What is not told within `patience` (seconds) is unknown.
    """

    stack: Stack
    clients: ClientFactory
    look: Callable[[str], probe.ProbeResult] = probe.look
    clock: Clock = CLOCK
    patience: float = PATIENCE

    def take(self) -> Part:
        """What is found, as JSON. Never raises for what AWS does.

        {active: region, epoch, writer: region, mode, run, drill, regions: {region: {role, alive, ready, why, right,
        writer, cluster, instances, lever, lags (s by store), watched_s (age), alarms, run, drill, unknown: {what:
        why}}}}. The first `run` and `drill` are the newest of which a region tells; None: there never was one.
        """
        answers = {site: {what: _ask(question) for what, question in self._questions(site).items()}
                   for site in self.stack.sites}
        wait([answer for found in answers.values() for answer in found.values()], self.patience)
        regions = {site.region: self._region(site, found) for site, found in answers.items()}
        told = list(regions.values())
        right = _newest((each["right"] for each in told), "epoch")
        active, epoch = (UNKNOWN, UNKNOWN) if right == UNKNOWN else (right["region"], right["epoch"])
        # Of two opinions on the writer, that of the region which takes payments.
        writers = [regions[name]["writer"] for name in sorted(regions, key=lambda name: name != active)]
        writer = next((each for each in writers if each != UNKNOWN), UNKNOWN)
        return {"active": active, "epoch": epoch, "writer": writer,
                "mode": self.stack.failover_mode, "run": _newest((each["run"] for each in told), "began"),
                "drill": _newest((each["drill"] for each in told), "began"), "regions": regions}

    def _questions(self, site: Site) -> dict[str, Callable[[], Part]]:
        """What is asked in a region, by what it is about."""
        cloud = Cloud(plan=Plan(action=Action.FAILOVER, stack=self.stack, target=site), clients=self.clients,
                      look=self.look, clock=self.clock)

        def watch() -> Part:
            found = cloud.table.watch(site.region)
            return {"lags": found and dict(found.lags), "watched_s": found and round(self.clock.time() - found.at, 1)}

        def run() -> Part:
            found = Journal(cloud.table).latest()
            return {"run": found and found.document()}

        return {
            "API": lambda: asdict(self.look(site.api_endpoint)), "watch": watch, "run": run,
            "right": lambda: {"right": asdict(cloud.table.right())},
            "drill": lambda: {"drill": cloud.table.document(DRILL)},
            "writer": lambda: {"writer": cloud.writer()}, "cluster": lambda: {"cluster": cloud.cluster()},
            "instances": lambda: {"instances": cloud.instances()}, "lever": lambda: {"lever": cloud.lever(site)},
            "alarms": lambda: {"alarms": alarms(self.clients, self.stack, site)}}

    def _region(self, site: Site, answers: Mapping[str, Future[Part]]) -> Part:
        told, wrong = dict.fromkeys(TOLD, UNKNOWN), dict[str, str]()
        for what, answer in answers.items():
            if not answer.done():
                wrong[what] = f"no answer within {self.patience:g} s"
            elif isinstance(error := answer.exception(), Exception):
                wrong[what] = reason(error)
            else:
                told |= answer.result()
        return {"role": site.role, **told, "unknown": wrong}


def _ask(question: Callable[[], Part]) -> Future[Part]:
    """The answer to come, on a thread of its own, which nobody waits for at the end of the program."""
    answer: Future[Part] = Future()

    def run() -> None:
        try:
            answer.set_result(question())
        except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
            answer.set_exception(error)

    threading.Thread(target=run, name="status", daemon=True).start()
    return answer


def alarms(clients: ClientFactory, stack: Stack, site: Site) -> list[str]:
    """The names of the stack's alarms that are raised in a region. Raises what boto3 raises."""
    found = clients("cloudwatch", site.region).get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=f"tapstack-{stack.environment_suffix}-", StateValue="ALARM")
    # The prefix may be that of another stack, too; the topic is not.
    return sorted(alarm["AlarmName"] for page in found for alarm in page["MetricAlarms"]
                  if site.topic_arn in alarm["AlarmActions"])


def _newest(found: Iterable[Any], key: str) -> Any:
    """The one that has the highest `key`, None if there is none, `unknown` if nobody tells."""
    told = [each for each in found if each != UNKNOWN]
    return max((each for each in told if each), key=lambda each: each[key], default=None) if told else UNKNOWN
