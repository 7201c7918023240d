"""The alarms and the dashboard of a region: each by CloudWatch's own rules, with data as AWS publishes it."""
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from lib.region.alarms import OPERATIONS
from lib.region.api import ROUTES, Route
from tests.unit.lib.cloudwatch import ALARM, INSUFFICIENT, OK, Evaluation, Samples, state
from tests.unit.lib.conftest import CASES, recording
from tests.unit.lib.iam import as_list, policies_of
from tests.unit.lib.recorder import Recording, Resource
from tests.unit.quoted import pieces, wrong

RUNBOOK = Path(__file__).parents[4] / "docs" / "runbook.md"
NIGHT = 60  # minutes
IDLE: tuple[Samples, ...] = (None,)
EVERYWHERE, READER, WRITER = "in each region", "in the reader's region", "in the writer's region"


@dataclass(frozen=True, kw_only=True)
class Published:
    """How AWS, or a controller, publishes a metric: its dimensions, where, and what on a night without payments.

    `quiet` are minutes that repeat themselves. `broken` are what a minute has in each kind of failure, by the alarm's
    threshold.
    """

    dimensions: frozenset[str]
    source: str
    where: str
    quiet: tuple[Samples, ...]
    broken: tuple[Callable[[float], Samples], ...]


def silent(_threshold: float) -> Samples:
    """Nothing is published any more."""
    return None


def more(threshold: float) -> Samples:
    """More than is allowed."""
    return [threshold + 1]


def published(dimensions: str, source: str, where: str = EVERYWHERE, quiet: tuple[Samples, ...] = IDLE,
              broken: tuple[Callable[[float], Samples], ...] = (more,)) -> Published:
    """A metric with dimensions, whose names have spaces between them."""
    return Published(dimensions=frozenset(dimensions.split()), source=source, where=where, quiet=quiet, broken=broken)


AURORA = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html"
DYNAMODB = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html"
LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"
API = "https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html"
S3 = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-dimensions.html"
BACKUP = "https://docs.aws.amazon.com/aws-backup/latest/devguide/cloudwatch.html"
CHECKS = "https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/monitoring-cloudwatch.html"
LAG = ([300.0], [900.0])
METRICS = {
    # One look of a minute may fail.
    ("TapStack", "OtherRegionHealthy"): published(
        "Stack", "recovery/controller.py", EVERYWHERE, ([1, 1, 1], [1, 0, 1]), (lambda _: [0, 0], silent)),
    # A mark may be missed, and a look may begin before the copy of the last mark has arrived.
    ("TapStack", "FailoverRefused"): published(
        "Stack", "recovery/controller.py", EVERYWHERE, ([0, 0, 0], [1, 0, 0]),
        (lambda _: [1, 1, 1], lambda _: [1, 0, 1])),
    ("TapStack", "Exposure"): published("Stack", "recovery/controller.py", READER, ([2, 11], [2, 11], [61])),
    ("AWS/Lambda", "Errors"): published("FunctionName", LAMBDA, EVERYWHERE, ([0, 0],)),
    ("AWS/Lambda", "Throttles"): published("FunctionName", LAMBDA, EVERYWHERE, ([0, 0],)),
    # Of one method: the stage's own count the requests of health checks, too.
    ("AWS/ApiGateway", "5XXError"): published("ApiName Stage Method Resource", API, broken=(lambda _: [1, 1, 0],)),
    ("AWS/ApiGateway", "Latency"): published("ApiName Stage Method Resource", API),
    ("AWS/RDS", "ACUUtilization"): published("DBClusterIdentifier", AURORA, EVERYWHERE, ([12.5],)),
    ("AWS/RDS", "CPUUtilization"): published("DBClusterIdentifier", AURORA, EVERYWHERE, ([5],)),
    ("AWS/RDS", "DatabaseConnections"): published("DBClusterIdentifier", AURORA, EVERYWHERE, ([3], [5])),
    ("AWS/RDS", "AuroraGlobalDBReplicationLag"): published("DBClusterIdentifier", AURORA, READER, LAG, (more, silent)),
    ("AWS/RDS", "AuroraGlobalDBRPOLag"): published("DBClusterIdentifier", AURORA, WRITER, LAG, (more, silent)),
    ("AWS/DynamoDB", "SystemErrors"): published("TableName Operation", DYNAMODB),
    ("AWS/DynamoDB", "ReadThrottleEvents"): published("TableName", DYNAMODB),
    ("AWS/DynamoDB", "WriteThrottleEvents"): published("TableName", DYNAMODB),
    # The controllers of both regions write in every minute.
    ("AWS/DynamoDB", "ReplicationLatency"): published(
        "TableName ReceivingRegion", DYNAMODB, EVERYWHERE, ([700.0], [650.0, 900.0]), (more, silent)),
    ("AWS/S3", "ReplicationLatency"): published("SourceBucket DestinationBucket RuleId", S3),
    ("AWS/S3", "OperationsFailedReplication"): published("SourceBucket DestinationBucket RuleId", S3),
    ("AWS/Backup", "NumberOfBackupJobsFailed"): published("BackupVaultName", BACKUP),
    ("AWS/Backup", "NumberOfCopyJobsFailed"): published("BackupVaultName", BACKUP),
    ("AWS/Route53", "HealthCheckStatus"): published(
        "HealthCheckId", CHECKS, EVERYWHERE, ([1],), (lambda _: [0],)),
}


def alarms() -> Iterator[tuple[str, Resource]]:
    """Every alarm of every case."""
    return ((case, alarm) for case in CASES for alarm in recording(case).of("MetricAlarm"))


@cache
def named(case: str, region: str) -> set[str]:
    """What names something that a region's metrics may be about: the inputs and ids of its resources."""
    program = recording(case)
    found = [r for r in program.custom if r.type.startswith("aws:") and (
        program.region(r) == region or r.kind in ("Table", "HealthCheck", "Bucket"))]
    return {value for r in found for value in r.inputs.values() if isinstance(value, str)} | {
        f"{r.name}-id" for r in found}


def metric(alarm: Resource) -> Published:
    """How the alarm's metric is published."""
    return METRICS[alarm.inputs["namespace"], alarm.inputs["metricName"]]


def is_published(program: Recording, alarm: Resource) -> bool:
    """Whether the metric exists in the alarm's region, while the roles are as they were deployed."""
    role = {program.outputs["primary_region"]: WRITER, program.outputs["dr_region"]: READER}[program.region(alarm)]
    return metric(alarm).where in (EVERYWHERE, role)


def quiet(alarm: Resource, evaluation: Evaluation, minutes: int = NIGHT) -> Evaluation:
    """A night without payments and without a failure."""
    for number in range(minutes):
        evaluation.minute(metric(alarm).quiet[number % len(metric(alarm).quiet)])
    return evaluation


# The table on the page that tests/unit/lib/cloudwatch.py names: data points (0 is fine, X breaches), then the state
# for missing, ignore, breaching and notBreaching.
@pytest.mark.parametrize(("points", "wanted", "states"), [
    ("0 - X - X", 3, "O O O O"), ("- - - - 0", 3, "O O O O"), ("- - - - -", 3, "I before A O"),
    ("0 X X - X", 3, "A A A A"), ("- - X - -", 3, "A before A O"), ("0 - X - X", 2, "A A A A"),
    ("0 0 X 0 X", 2, "A A A A"), ("0 - X - -", 2, "O O A O"), ("- - - - 0", 2, "O O A O"),
    ("- - - - X", 2, "A before A O"),
])
def test_the_rules_are_those_of_cloudwatchs_table(points: str, wanted: int, states: str) -> None:
    meaning: dict[str, bool | None] = {"0": False, "X": True, "-": None}
    words = {"O": OK, "A": ALARM, "I": INSUFFICIENT}
    for missing, expected in zip(("missing", "ignore", "breaching", "notBreaching"), states.split(), strict=True):
        found = state([meaning[point] for point in points.split()], wanted, 3, missing, "before")
        assert found == words.get(expected, expected), missing


def test_every_alarm_watches_a_metric_that_exists_with_its_dimensions() -> None:
    used = set()
    for case, alarm in alarms():
        program, found = recording(case), alarm.inputs["dimensions"]
        assert found.keys() == metric(alarm).dimensions, alarm.urn
        assert metric(alarm).source
        known = {*OPERATIONS, *chain.from_iterable(map(astuple, ROUTES)), "receipts",
                 program.outputs["environment_suffix"], program.outputs["dr_region"],
                 program.outputs["primary_region"]}
        assert {*found.values()} <= known | named(case, program.region(alarm)), alarm.urn
        used.add((alarm.inputs["namespace"], alarm.inputs["metricName"]))
    assert used == METRICS.keys()


def test_the_failures_of_each_of_the_clients_routes_are_told(deployed: Recording) -> None:
    for role in ("primary", "dr"):
        watched = [Route(alarm.inputs["dimensions"]["Method"], alarm.inputs["dimensions"]["Resource"])
                   for alarm in deployed.of("MetricAlarm")
                   if f"-{role}-" in alarm.name and alarm.inputs["metricName"] == "5XXError"]
        assert sorted(watched, key=str) == sorted(ROUTES, key=str)


def test_every_operation_on_the_table_has_an_alarm(deployed: Recording) -> None:
    used = {action.partition(":")[2] for policy in deployed.of("RolePolicy") for statement in policies_of(policy)
            for action in as_list(statement["Action"])
            if statement["Effect"] == "Allow" and action.startswith("dynamodb:")
            if deployed.inside(policy, "VpcFunction") or deployed.inside(policy, "Controller")}
    assert used == {*OPERATIONS}
    for role in ("primary", "dr"):
        watched = {alarm.inputs["dimensions"]["Operation"] for alarm in deployed.of("MetricAlarm")
                   if f"-{role}-" in alarm.name and "Operation" in alarm.inputs["dimensions"]}
        assert watched == used


def test_the_first_minutes_of_a_new_stack_tell_nobody() -> None:
    for _case, alarm in alarms():
        evaluation = Evaluation(alarm.inputs).minutes(15, None)
        if alarm.inputs["metricName"] == "HealthCheckStatus":
            evaluation.minutes(1, [0])  # a new inverted check is unhealthy until its first answers
        quiet(alarm, evaluation, 10)
        assert not {ALARM, INSUFFICIENT} & {*evaluation.told}, alarm.urn


def test_a_quiet_night_tells_nobody() -> None:
    for case, alarm in alarms():
        begun = Evaluation(alarm.inputs).minutes(15, None)
        night = quiet(alarm, begun) if is_published(recording(case), alarm) else begun.minutes(NIGHT, None)
        assert not {ALARM, INSUFFICIENT} & {*night.told}, alarm.urn


def test_a_minute_that_cloudwatch_lacks_tells_nobody() -> None:
    for case, alarm in alarms():
        if is_published(recording(case), alarm):
            night = quiet(alarm, quiet(alarm, Evaluation(alarm.inputs)).minutes(1, None))
            assert not {ALARM, INSUFFICIENT} & {*night.told}, alarm.urn


def test_every_failure_is_told_once_and_so_is_its_end() -> None:
    for case, alarm in alarms():
        for failure in metric(alarm).broken if is_published(recording(case), alarm) else ():
            evaluation = quiet(alarm, Evaluation(alarm.inputs))
            evaluation.told.clear()
            evaluation.minutes(12, failure(alarm.inputs["threshold"]))
            assert evaluation.told in ([ALARM], [INSUFFICIENT]), alarm.urn
            quiet(alarm, evaluation)
            assert (evaluation.told[1:], evaluation.state) == ([OK], OK), alarm.urn


def test_a_copy_that_has_stopped_is_told_whichever_way_it_shows(dev: Recording) -> None:
    copies = [alarm for alarm in dev.of("MetricAlarm") if alarm.name.endswith("-lag")]
    assert len(copies) == 6
    for alarm in copies:
        assert metric(alarm).broken == (more, silent)


def test_a_notification_names_its_section_of_the_runbook_and_a_command() -> None:
    headings = re.findall(r"^### (.+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    named = set()
    for _case, alarm in alarms():
        text = alarm.inputs["alarmDescription"]
        assert len(text) <= 1024
        (section,) = re.findall(r"docs/runbook\.md#([a-z-]+): `[a-z][^`]+`", text)
        assert section in headings, text
        assert not any(wrong(piece, whole=True) for piece, _ in pieces(text)), text
        named.add(section)
    assert named == {*headings}


def test_a_notification_reaches_the_topic_of_its_region(deployed: Recording) -> None:
    topics = {deployed.outputs[f"{role}_region"]: deployed.outputs[f"{role}_topic_arn"] for role in ("primary", "dr")}
    for alarm in deployed.of("MetricAlarm"):
        told = [alarm.inputs["alarmActions"], alarm.inputs["okActions"]]
        if alarm.inputs["treatMissingData"] == "missing":
            told.append(alarm.inputs["insufficientDataActions"])
        for (topic,) in told:
            assert topic == topics[deployed.region(alarm)]
        percentile = "extendedStatistic" in alarm.inputs
        assert percentile is not ("statistic" in alarm.inputs)
        assert alarm.inputs.get("evaluateLowSampleCountPercentiles") == ("ignore" if percentile else None)


def test_a_strong_table_has_neither_lag_nor_exposure_to_alarm_on(dev: Recording, domain: Recording) -> None:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/multi-region-strong-consistency-gt.html
    def lags(program: Recording) -> list[str]:
        return [r.name for r in program.of("MetricAlarm")
                if (r.inputs["namespace"], r.inputs["metricName"]) in (
                    ("AWS/DynamoDB", "ReplicationLatency"), ("TapStack", "Exposure"))]

    assert len(lags(dev)) == 4
    assert lags(domain) == []


def test_people_are_told_of_an_exposure_before_a_failover_is_refused_for_it(dev: Recording, prod: Recording) -> None:
    for program, point in ((dev, 200), (prod, 60)):
        assert program.outputs["recovery_point_objective"] == point
        for role in ("primary", "dr"):
            assert program.one("MetricAlarm", f"-{role}-alarms-exposure").inputs["threshold"] == 0.8 * point


def test_a_silent_controller_does_not_say_that_a_failover_is_possible_again(dev: Recording) -> None:
    for role in ("primary", "dr"):
        refused, watched, exposure = (Evaluation(dev.one("MetricAlarm", f"-{role}-alarms-{key}").inputs)
                                      for key in ("takeover-refused", "other-region", "exposure"))
        for minutes, samples in ((10, [1, 1]), (30, None)):
            refused.minutes(minutes, samples)
            watched.minutes(minutes, samples)
            exposure.minutes(minutes, samples and [1000])
        assert (refused.told, refused.state) == ([ALARM], ALARM)
        assert watched.told == [OK, INSUFFICIENT]
        assert exposure.told[-2:] == [ALARM, OK]  # a region that leads has no exposure


def test_lag_alarms_have_the_recovery_point_as_threshold(dev: Recording, domain: Recording) -> None:
    for program, milliseconds in ((dev, 200_000), (domain, 1000)):
        lag = [r for r in program.of("MetricAlarm") if r.inputs["metricName"].startswith("AuroraGlobalDB")]
        assert len(lag) == 4
        assert {r.inputs["threshold"] for r in lag} == {milliseconds}


def test_a_region_that_is_down_is_told_with_status_since_either_may_be_the_broken_one(dev: Recording) -> None:
    for role, peer in (("primary", "dr"), ("dr", "primary")):
        text = dev.one("MetricAlarm", f"-{role}-alarms-other-region").inputs["alarmDescription"]
        assert text.startswith(f"{dev.outputs[f'{peer}_region']} does not answer")
        assert text.endswith("`python -m recovery status`")


def test_capacity_is_measured_by_what_the_instances_have(dev: Recording, prod: Recording) -> None:
    for program, name, connections in ((dev, "ACUUtilization", 74), (prod, "CPUUtilization", 1502)):
        found = {r.inputs["metricName"]: r.inputs["threshold"] for r in program.of("MetricAlarm")
                 if "database-ca" in r.name or "database-co" in r.name}
        assert found == {name: 90, "DatabaseConnections": connections}


def test_a_dashboard_shows_every_alarm_of_its_region(dev: Recording) -> None:
    for role in ("primary", "dr"):
        widgets = json.loads(dev.one("Dashboard", f"-{role}-").inputs["dashboardBody"])["widgets"]
        assert {w["properties"]["region"] for w in widgets} == {dev.outputs[f"{role}_region"]}
        assert len(widgets) == len(dev.outputs[f"{role}_alarm_names"])
        assert len({(w["x"], w["y"]) for w in widgets}) == len(widgets)


def test_one_start_of_the_repair_may_fail_and_of_three_two_may_not() -> None:
    for _case, alarm in alarms():
        if alarm.name.endswith("repair-errors"):
            for failed, told in (([1, 0, 0, 0, 1, 0, 0, 0], []), ([0, 1, 1, 1], [ALARM]), ([1, 0, 1], [ALARM])):
                evaluation = quiet(alarm, Evaluation(alarm.inputs))
                evaluation.told.clear()
                for failures in failed:
                    evaluation.minutes(1, [failures]).minutes(4, None)
                assert evaluation.told == told, (alarm.urn, failed)
