"""What is published of the copies, from databases and queues that are made up."""

from types import SimpleNamespace
from typing import Any

import pytest

from rehearsal.aws.faults import Cut, CutConnection, Faults, Lose
from rehearsal.aws.ministack import RECEIPTS, TABLE
from rehearsal.drills.emulated.cloudwatch import telemetry
from rehearsal.drills.emulated.periodic import PeriodicTask
from rehearsal.errors import PostgresError
from rehearsal.postgres.global_database import ServerRole, StandbyLag
from tests.rehearsal.cloud import Cloud

EAST, WEST = "us-east-1", "us-west-2"


class FakeGlobalDatabase:
    """Two databases, of which the western one follows, 120 ms behind."""

    def __init__(self) -> None:
        self.writer = EAST
        self.roles = {EAST: ServerRole.WRITER, WEST: ServerRole.STANDBY}
        self.cut: set[str] = set()
        self.ended = False

    def role(self, region: str) -> ServerRole:
        """As the test says."""
        return self.roles[region]

    def member(self, region: str) -> SimpleNamespace:
        """Whether it is cut."""
        return SimpleNamespace(is_cut=region in self.cut)

    def lag(self, region: str) -> StandbyLag:
        """Of a standby."""
        if self.ended:
            raise PostgresError(f"{region}: is down, not standby")
        return StandbyLag(120.0, 1)


def lane(store: str, source: str, target: str, milliseconds: float) -> dict[str, Any]:
    """A direction of a store, as the copies report it."""
    return {"store": store, "source": source, "target": target, "lag_ms": milliseconds}


@pytest.fixture
def rehearsed() -> Any:
    """What is published of: a stack whose receipts go both ways."""
    lanes = [lane(RECEIPTS, EAST, WEST, 1500.0), lane(RECEIPTS, WEST, EAST, 0.0), lane(TABLE, EAST, WEST, 700.0)]
    return SimpleNamespace(
        faults=Faults(), database=FakeGlobalDatabase(), copies=SimpleNamespace(report=lambda: lanes),
        writer_and_standby=lambda: [SimpleNamespace(name=name, bucket=f"receipts-{name}") for name in (EAST, WEST)],
        outputs={"primary_region": EAST, "dr_region": WEST, "primary_cluster_id": "c-east", "dr_cluster_id": "c-west"})


@pytest.fixture
def published(rehearsed: Any, cloud: Cloud) -> PeriodicTask:
    """Telemetry that publishes into the cloud, which knows where each bucket is copied to."""
    def rules(params: Any) -> dict[str, Any]:
        other = EAST if params["Bucket"].endswith(WEST) else WEST
        return {"ReplicationConfiguration": {"Role": "r", "Rules": [
            {"ID": "rule", "Status": "Enabled", "Destination": {"Bucket": f"arn:aws:s3:::receipts-{other}"}}]}}

    cloud.answers["GetBucketReplication"] = rules
    made = telemetry(rehearsed, 1.0, cloud)
    cloud.calls.clear()
    return made


def figures(cloud: Cloud) -> list[tuple[str, str, float]]:
    """Region, metric and value of everything that was published."""
    return [(region, datum["MetricName"], datum["Value"])
            for _, region, params in cloud.calls for datum in params["MetricData"]]


LEDGER_LAG = (WEST, "AuroraGlobalDBReplicationLag", 120.0)
THERE, BACK = (WEST, "ReplicationLatency", 1.5), (EAST, "ReplicationLatency", 0.0)


def test_each_lag_is_published_where_its_copy_is(published: PeriodicTask, cloud: Cloud) -> None:
    published.work()
    assert figures(cloud) == [LEDGER_LAG, THERE, BACK]
    assert [params for _, _, params in cloud.calls[:2]] == [
        {"Namespace": "AWS/RDS", "MetricData": [{
            "MetricName": "AuroraGlobalDBReplicationLag", "Value": 120.0, "Unit": "Milliseconds",
            "Dimensions": [{"Name": "DBClusterIdentifier", "Value": "c-west"}]}]},
        {"Namespace": "AWS/S3", "MetricData": [{
            "MetricName": "ReplicationLatency", "Value": 1.5, "Unit": "Seconds", "Dimensions": [
                {"Name": "SourceBucket", "Value": "receipts-us-east-1"},
                {"Name": "DestinationBucket", "Value": "receipts-us-west-2"}, {"Name": "RuleId", "Value": "rule"}]}]}]


def test_after_a_switchover_the_other_region_publishes_its_lag(
        published: PeriodicTask, rehearsed: Any, cloud: Cloud) -> None:
    rehearsed.database.writer, rehearsed.database.roles = WEST, {EAST: ServerRole.STANDBY, WEST: ServerRole.WRITER}
    published.work()
    assert figures(cloud)[0] == (EAST, "AuroraGlobalDBReplicationLag", 120.0)


@pytest.mark.parametrize("region", [EAST, WEST])
def test_nothing_is_published_across_a_cut(published: PeriodicTask, rehearsed: Any, cloud: Cloud, region: str) -> None:
    rehearsed.faults.inject(Cut(region))
    rehearsed.database.cut.add(region)
    published.work()
    assert figures(cloud) == []


def test_nothing_is_published_while_the_way_is_cut(published: PeriodicTask, rehearsed: Any, cloud: Cloud) -> None:
    rehearsed.faults.inject(CutConnection(EAST, WEST))
    published.work()
    assert figures(cloud) == []


def test_a_store_that_is_lost_tells_nothing_and_the_other_does(
    published: PeriodicTask, rehearsed: Any, cloud: Cloud
) -> None:
    rehearsed.faults.inject(Lose(EAST, RECEIPTS))
    published.work()
    assert figures(cloud) == [LEDGER_LAG]


@pytest.mark.parametrize("roles", [
    {EAST: ServerRole.DOWN, WEST: ServerRole.STANDBY}, {EAST: ServerRole.WRITER, WEST: ServerRole.DOWN},
    {EAST: ServerRole.WRITER, WEST: ServerRole.STALE}])
def test_a_database_that_follows_nobody_has_no_lag(
    published: PeriodicTask, rehearsed: Any, cloud: Cloud, roles: dict[str, ServerRole]
) -> None:
    rehearsed.database.roles = roles
    published.work()
    assert figures(cloud) == [THERE, BACK]


def test_a_database_that_ends_while_it_is_asked_has_no_lag(
        published: PeriodicTask, rehearsed: Any, cloud: Cloud) -> None:
    rehearsed.database.ended = True
    published.work()
    assert figures(cloud) == [THERE, BACK]


@pytest.mark.parametrize(("factor", "seconds"), [(1, 60), (20, 3), (1000, 0.25)])
def test_it_is_published_every_minute_of_the_runs_time(
        rehearsed: Any, cloud: Cloud, factor: float, seconds: float) -> None:
    rehearsed.writer_and_standby = list
    assert telemetry(rehearsed, factor, cloud).seconds == seconds
