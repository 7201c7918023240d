"""The state of the stack, as each region reports it. What a region does not report is `unknown`."""
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from recovery.cloud import Cloud
from recovery.drill.outage import read_drill
from recovery.environment import Environment
from recovery.errors import reason
from recovery.plan import Action, Plan
from recovery.stack import Site, Stack
from recovery.verdict import UNKNOWN, judge

PATIENCE = 10.0  # seconds
OBSERVED = ("led_to", "refused", "exposure_s", "watched_s", "stale", "sees", "silent_since")
KEYS = ("alive", "ready", "why", "right", "writer", "cluster", "instances", "lever", *OBSERVED, "pause", "alarms",
        "event", "run", "drill")

Part = dict[str, Any]


def read_status(environment: Environment, stack: Stack) -> Part:
    """The status as JSON. All questions are asked at the same time. Never raises for what AWS does.

    {verdict: {paying, says, run}, active: region, epoch, writer: region, mode, pause, run, drill, regions: {region:
    {role, alive, ready, why, right, writer, cluster, instances, lever, led_to, exposure_s, refused, watched_s (age),
    stale, sees, silent_since, pause, alarms, event: {at, message}, run, drill, unknown: {what: why}}}}. `right` is the
    leadership, `event` the latest of the database, null if none is recent, `exposure_s` the seconds of payments that a
    failover to the region would lose at most, `refused` why one would be refused now. Its controller sees the other
    region answer (`sees`), or has not since `silent_since` (seconds since the epoch); `stale`: it has not looked for so
    long that this does not count. The top `pause`, `run` and `drill` are the newest that any region reports, null if
    there is none.
    """
    questions = {(site, what): partial(_answer, question) for site in stack.sites
                 for what, question in _questions(environment, stack, site).items()}
    answers = environment.background.gather(questions, PATIENCE)
    regions = {site.region: _region(site, {what: answers.get((where, what)) for where, what in questions
                                           if where == site}) for site in stack.sites}
    reports = list(regions.values())
    newest = max((each for each in reports if each["right"] != UNKNOWN), default=None,
                 key=lambda each: (each["right"]["epoch"], each["right"]["revision"]))
    active, epoch = (newest["right"]["region"], newest["right"]["epoch"]) if newest else (UNKNOWN, UNKNOWN)
    # If the regions disagree about the writer, the one that takes payments is right.
    writers = [regions[name]["writer"] for name in sorted(regions, key=lambda name: name != active)]
    writer = next((each for each in writers if each != UNKNOWN), UNKNOWN)
    found = {"active": active, "epoch": epoch, "writer": writer,
             "mode": stack.failover_mode, "pause": _newest((each["pause"] for each in reports), "until"),
             "run": newest["run"] if newest else UNKNOWN,
             "drill": _newest((each["drill"] for each in reports), "began"), "regions": regions}
    return {"verdict": judge(found).document(), **found}


def _questions(environment: Environment, stack: Stack, site: Site) -> dict[str, Callable[[], Part]]:
    cloud, elsewhere = (Cloud(plan=Plan(action=Action.FAILOVER, stack=stack, target=target), environment=environment)
                        for target in (site, stack.other(site.region)))

    def api() -> Part:
        found = cloud.checks.look(site)
        if found.alive is None:  # a region that is lost does not say by which path it is asked
            there = elsewhere.checks.look(site)
            found = found if there.alive is None else there
        return {key: value for key, value in asdict(found).items() if key in KEYS}

    def watch() -> Part:
        found, now = cloud.table.observation(site.region), cloud.table.now
        if found is None:
            return dict.fromkeys(OBSERVED)
        exposure = found.exposure(stack, now)
        return {"led_to": found.led_to, "refused": list(found.refused), "watched_s": round(now - found.at, 1),
                "stale": not found.is_fresh(now), "sees": found.alive, "silent_since": found.silent_since,
                "exposure_s": None if exposure is None else round(exposure, 1)}

    def pause() -> Part:
        found = cloud.table.pause()
        return {"pause": found and asdict(found)}

    def record() -> Part:
        found = cloud.table.record()
        return {"right": {"epoch": found.epoch, "revision": found.revision, "region": found.region},
                "run": found.run and found.run.document()}

    return {
        "API": api,
        "watch": watch, "record": record, "pause": pause,
        "drill": lambda: {"drill": read_drill(cloud.table)},
        "writer": lambda: {"writer": cloud.writer()}, "cluster": lambda: {"cluster": cloud.cluster()},
        "instances": lambda: {"instances": cloud.instances()}, "lever": lambda: {"lever": cloud.lever(site)},
        "alarms": lambda: {"alarms": alarms(environment, stack, site)},
        "event": lambda: {"event": cloud.latest_event()}}


def _region(site: Site, answers: Mapping[str, Part | Exception | None]) -> Part:
    known, unknown = dict.fromkeys(KEYS, UNKNOWN), dict[str, str]()
    for what, answer in answers.items():
        if answer is None:
            unknown[what] = f"no answer within {PATIENCE:g} s"
        elif isinstance(answer, Exception):
            unknown[what] = reason(answer)
        else:
            known |= answer
    return {"role": site.role, **known, "unknown": unknown}


def _answer(question: Callable[[], Part]) -> Part | Exception:
    try:
        return question()
    except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
        return error


def alarms(environment: Environment, stack: Stack, site: Site) -> list[str]:
    """The names of the stack's alarms that are raised in a region. Raises what boto3 raises."""
    found = environment.clients("cloudwatch", site.region).get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=f"tapstack-{stack.environment_suffix}-", StateValue="ALARM")
    # Another stack's names may have the same prefix, but its alarms have another topic.
    return sorted(alarm["AlarmName"] for page in found for alarm in page["MetricAlarms"]
                  if site.topic_arn in alarm["AlarmActions"])


def _newest(reports: Iterable[Any], key: str) -> Any:
    """The report with the highest `key`, None if there is none, `unknown` if no region reports."""
    known = [each for each in reports if each != UNKNOWN]
    return max((each for each in known if each), key=lambda each: each[key], default=None) if known else UNKNOWN
