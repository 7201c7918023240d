"""What is read from AWS, the levers, and what is published: from which region, and what is unknown."""
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from contract import Metric
from payments.leadership import Leadership
from recovery.cloud import Cloud
from recovery.errors import AwsFailure
from recovery.observation import Observation, ProbeResult
from recovery.plan import Action
from tests.unit.payments.fakes import Fault, client_error
from tests.unit.recovery.fakes import AWAY, HOME, NOW, FakeAws

LOST = ReadTimeoutError(endpoint_url="https://rds")
PULLED = [b"failover"]


def world(action: Action = Action.FAILOVER, to: str = AWAY, **changes: Any) -> tuple[FakeAws, Cloud]:
    """AWS with the other region active, and the cloud of a plan that moves away from there."""
    aws = FakeAws(**changes)
    if to == HOME:
        aws.rds.writer = AWAY
        aws.table(AWAY).take_leadership(AWAY, 0)
    aws.table(to).write_observation(Observation(region=to, at=NOW, alive_at=NOW, lags={"table": 0.0}))
    return aws, aws.cloud(action, to)


def test_the_facts_are_those_of_the_target() -> None:
    aws, cloud = world()
    facts = cloud.facts()
    assert replace(facts, observation=None) == replace(
        facts, leadership=Leadership(1, HOME), writer=HOME, cluster="available", instances=1,
        own=ProbeResult(alive=True, ready=False), wrong={}, observation=None, run=None, other=None)
    assert facts.observation == aws.table(AWAY).observation(AWAY)
    assert {region for _, region, _ in aws.calls} == {AWAY}


@pytest.mark.parametrize(("action", "to"), [(Action.SWITCHOVER, AWAY), (Action.FAILBACK, HOME)])
def test_a_planned_move_looks_at_the_other_region_too(action: Action, to: str) -> None:
    aws, cloud = world(action, to)
    assert cloud.facts().other == ProbeResult(alive=True, ready=True)
    assert [region for service, region, _ in aws.calls if service == "api"] == [to, cloud.plan.other.region]


def test_what_cannot_be_read_is_unknown() -> None:
    aws, cloud = world()
    for operation in ("GetItem", "HeadBucket", "DescribeDBInstances"):
        aws.faults[operation] = [Fault(client_error("AccessDenied"))]
    facts = cloud.facts()
    assert facts.wrong == {"table": "AccessDenied", "receipts": "bucket: AccessDenied: refused",
                           "ledger": "instances: AccessDenied: refused"}
    assert (facts.leadership, facts.writer, facts.cluster, facts.instances, facts.run) == (None, None, "", 0, None)


def test_only_instances_that_are_available_count() -> None:
    aws, cloud = world()
    aws.rds.instances[AWAY] = ["available", "rebooting", "available"]
    assert cloud.instances() == 2
    assert aws.calls == [("rds", AWAY, "DescribeDBInstances")]


def test_a_database_without_a_writer_has_none() -> None:
    aws, cloud = world()
    aws.rds.gone = {HOME}
    assert cloud.writer() is None


@pytest.mark.parametrize("site", [0, 1])
def test_a_lever_is_pulled_and_reset_in_its_own_region(site: int) -> None:
    aws, cloud = world()
    where = cloud.plan.stack.sites[site]
    for pulled in (False, True, True, False, False):
        cloud.set_lever(where, pulled=pulled)
        assert cloud.lever(where) is pulled
        assert aws.levers[where.region] == (PULLED if pulled else [])
    assert {region for _, region, _ in aws.calls} == {where.region}
    assert [name for name in aws.operations() if name != "HeadObject"] == ["PutObject", "DeleteObject"]


def test_a_lever_that_cannot_be_read_does_not_count_as_reset() -> None:
    aws, cloud = world()
    aws.faults["HeadObject"] = [Fault(client_error("403", 403))]
    with pytest.raises(AwsFailure, match="lever in us-west-2: 403"):
        cloud.lever(cloud.plan.target)


def test_the_lags_are_those_of_the_newest_points() -> None:
    aws, cloud = world()
    aws.table(AWAY).write_observation(Observation(region=HOME, at=NOW - 13.0))
    for ago, lag in ((60.0, 1500.0), (120.0, 9000.0), (3600.0, 5.0)):
        aws.point(AWAY, "AuroraGlobalDBReplicationLag", lag, ago)
    aws.point(AWAY, "ReplicationLatency", 40.0)
    assert cloud.lags(10.0) == {"table": 3.0, "ledger": 1.5, "receipts": 40.0}
    assert {region for _, region, _ in aws.calls} == {AWAY}


@pytest.mark.parametrize(("age", "lag"), [(0, 0), (10, 0), (10.5, 0.5), (70, 60), (-5, 0)])
def test_a_heartbeat_that_is_not_due_yet_is_not_late(age: float, lag: float) -> None:
    aws, cloud = world()
    aws.table(AWAY).write_observation(Observation(region=HOME, at=NOW - age))
    assert cloud.lags(10.0) == {"table": lag}


def test_an_unknown_lag_is_left_out() -> None:
    aws, cloud = world()
    aws.point(AWAY, "ReplicationLatency", 40.0, ago=3600.0)
    assert cloud.lags(10.0) == {}
    aws.table(AWAY).write_observation(Observation(region=HOME, at=NOW))
    aws.point(AWAY, "ReplicationLatency", 40.0)
    aws.faults |= {"GetItem": [Fault(client_error("AccessDenied"))],
                   "GetMetricStatistics": [Fault(client_error("Throttling"))]}
    assert cloud.lags(10.0) == {"receipts": 40.0}


def test_a_strongly_consistent_table_does_not_lag() -> None:
    aws, cloud = world(table_consistency="strong")
    assert cloud.lags(10.0) == {"table": 0.0}
    assert "GetItem" not in aws.operations()


def test_metrics_and_notifications_are_published_in_the_region() -> None:
    aws, cloud = world()
    cloud.publish({Metric.TABLE_LAG: 1.0})
    cloud.notify("s" * 200, "why")
    assert (aws.metrics[AWAY], aws.notifications) == ([{"TableLag": 1.0}], [(AWAY, "s" * 99, "why")])
    aws.faults |= {"PutMetricData": [Fault(LOST)], "Publish": [Fault(client_error("KMSDisabled"))]}
    with pytest.raises(AwsFailure, match="metrics: Read timeout"):
        cloud.publish({})
    with pytest.raises(AwsFailure, match="topic: KMSDisabled"):
        cloud.notify("subject", "why")
