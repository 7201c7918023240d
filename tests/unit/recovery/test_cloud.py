"""What recovery reads from AWS, and what it does where AWS does not answer."""
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from contract import CHECK_PATH_KEY, Metric
from recovery.cloud import sync_of, writer_of
from recovery.errors import AwsFailure, StackError
from recovery.plan import Action
from simulator.aurora import RdsClient
from simulator.functions import SEGMENT, LambdaClient
from simulator.metrics import IamClient, StsClient
from simulator.scheduler import EPOCH
from simulator.vocabulary import FailureMode
from tests.unit.recovery.calm_world import EAST, WEST, CalmWorld


@pytest.fixture
def world() -> CalmWorld:
    """An eventual table."""
    return CalmWorld()


def test_facts_are_read_in_the_targets_region_alone(world: CalmWorld) -> None:
    world.look(times=2)
    world.calls.clear()
    facts = world.run_task(world.cloud().facts)
    assert {region for region, _, _ in world.calls} == {WEST, "outside"}
    assert (facts.writer, facts.cluster, facts.instances, facts.lever, facts.led_to, facts.wrong, facts.other) == (
        EAST, "available", 1, False, EAST, {}, None)
    assert facts.record
    assert facts.record.region == EAST
    assert facts.observation
    assert (facts.own.alive, facts.own.ready) == (True, True)


def test_a_planned_move_asks_the_other_region_too(world: CalmWorld) -> None:
    facts = world.run_task(world.cloud(Action.SWITCHOVER).facts)
    assert facts.other
    assert (facts.other.alive, facts.other.ready, facts.other.mark) == (True, True, 1)


@pytest.mark.parametrize(("service", "what"), [("dynamodb", "table"), ("rds", "ledger"), ("s3", "control bucket")])
def test_what_cannot_be_read_is_named_and_nothing_is_raised(world: CalmWorld, service: str, what: str) -> None:
    world.network.refusing[WEST, service] = FailureMode.ERROR
    facts = world.run_task(world.cloud().facts)
    assert "InternalServerError" in facts.wrong[what]
    assert (facts.record is None, facts.writer is None, facts.lever is None) == (
        what == "table", what == "ledger", what == "control bucket")


def test_a_database_that_rds_does_not_list_is_missing(world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RdsClient, "describe_global_clusters", lambda _, **_given: {"GlobalClusters": []})
    monkeypatch.setattr(RdsClient, "describe_db_clusters", lambda _, **_given: {"DBClusters": []})
    facts = world.run_task(world.cloud().facts)
    assert (facts.writer, facts.cluster, facts.moving, facts.sync) == (None, "", False, None)


def test_without_a_domain_nobody_says_where_clients_are_led(world: CalmWorld) -> None:
    assert world.run_task(world.cloud().led_to) == EAST
    world.stack = type(world.stack)(**{**vars(world.stack), "service_url": ""})
    assert world.run_task(world.cloud().led_to) == ""


def test_a_global_database_may_have_no_writer() -> None:
    members = [{"DBClusterArn": "arn:aws:rds:us-west-2:1:cluster:x", "IsWriter": writer} for writer in (False, True)]
    assert writer_of({"GlobalClusterMembers": members}) == WEST
    assert writer_of({"GlobalClusterMembers": members[:1]}) is writer_of({}) is None


@pytest.mark.parametrize(("members", "sync"), [
    ([{"DBClusterArn": "a", "SynchronizationStatus": "connected"}], "connected"), ([{"DBClusterArn": "a"}], None),
    ([{"DBClusterArn": "b", "SynchronizationStatus": "connected"}, {}], ""), ([], "")])
def test_whether_a_cluster_follows_the_writer(members: list[dict[str, str]], sync: str | None) -> None:
    # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_GlobalClusterMember.html
    assert sync_of({"GlobalClusterIdentifier": "x", "GlobalClusterMembers": members}, "a") == sync
    assert sync_of({}, "a") is None


@pytest.mark.parametrize(("points", "lag"), [([], None), ([(-100.0, 90.0), (-40.0, 250.0)], (0.25, -40.0)),
                                             ([(-1000.0, 90.0)], None)])
def test_a_lag_comes_with_its_time(world: CalmWorld, points: list[tuple[float, float]],
                                   lag: tuple[float, float] | None) -> None:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Datapoint.html
    world.wait(1000.0)
    now = world.scheduler.now
    world.metrics.points[WEST, "AuroraGlobalDBReplicationLag"] = [(now + at, value) for at, value in points]
    found = world.run_task(world.cloud().ledger_lag)
    assert (found is None) is (lag is None)
    if found and lag:
        assert found[0] == lag[0]
        assert found[1] == pytest.approx(EPOCH + now + lag[1], rel=0, abs=1e-3)


def test_a_lag_that_cannot_be_read_is_unknown(world: CalmWorld) -> None:
    world.network.refusing[WEST, "cloudwatch"] = FailureMode.ERROR
    assert world.run_task(world.cloud().ledger_lag) is None


def test_metrics_carry_the_stack(world: CalmWorld) -> None:
    world.run_task(lambda: world.cloud().publish({Metric.FAILOVER_REFUSED: 1.0}))
    assert world.metrics.points[WEST, Metric.FAILOVER_REFUSED][-1][1] == 1.0
    world.network.refusing[WEST, "cloudwatch"] = FailureMode.ERROR
    with pytest.raises(AwsFailure, match="metrics: InternalServerError"):
        world.run_task(lambda: world.cloud().publish({Metric.FAILOVER_REFUSED: 1.0}))


def test_a_subject_is_as_long_as_sns_takes(world: CalmWorld) -> None:
    world.run_task(lambda: world.cloud().notify("s" * 200, "why"))
    assert [len(each) for each in world.notified()] == [99]


@pytest.mark.parametrize(("denied", "found"), [
    ([], []), (["PutObject"], ["s3:PutObject"]), (["Invoke"], ["lambda:InvokeFunction"]),
    (["FailoverGlobalCluster", "Publish"], ["rds:FailoverGlobalCluster", "sns:Publish"])])
def test_iam_says_what_a_role_may_not(world: CalmWorld, denied: list[str], found: list[str]) -> None:
    world.network.denied.update((WEST, operation, "") for operation in denied)
    assert world.run_task(lambda: world.cloud().denied("arn:aws:iam::1:role/x", notifies=True)) == found
    assert world.run_task(lambda: world.cloud().denied("arn:aws:iam::1:role/x")) == [
        action for action in found if action != "sns:Publish"]


ROLE = "arn:aws:iam::123456789012:role/people/driver"


@pytest.mark.parametrize(("caller", "asked"), [
    ("arn:aws:sts::123456789012:assumed-role/driver/alice", {ROLE}), (ROLE, {ROLE}),
    ("arn:aws:iam::123456789012:user/eve", {"arn:aws:iam::123456789012:user/eve"}),
    ("arn:aws:iam::123456789012:root", set()), ("", set())])
def test_iam_is_asked_about_all_that_a_call_concerns(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch, caller: str, asked: set[str]) -> None:
    requests, answer = list[dict[str, Any]](), IamClient.simulate_principal_policy

    def noted(iam: IamClient, **given: Any) -> dict[str, Any]:
        requests.append(given)
        return answer(iam, **given)

    monkeypatch.setattr(IamClient, "simulate_principal_policy", noted)
    found = [world.run_task(lambda action=action: world.cloud(action).denied(caller))  # type: ignore[misc]
             for action in (Action.SWITCHOVER, Action.FAILOVER, Action.ALIGN)]
    assert found == [[] if asked else None] * 3
    assert {each["PolicySourceArn"] for each in requests} == asked
    promotions = {each["ActionNames"][0]: (each["ContextEntries"][0]["ContextKeyValues"], each["ResourceArns"])
                  for each in requests if each["ActionNames"][0].startswith("rds:")}
    clusters = [*(f"arn:aws:rds:{region}:123456789012:cluster:tapstack-sim-{region}" for region in (WEST, EAST)),
                "arn:aws:rds::123456789012:global-cluster:tapstack-sim"]
    assert promotions == ({"rds:SwitchoverGlobalCluster": ([EAST], clusters),
                           "rds:FailoverGlobalCluster": ([WEST], clusters)} if asked else {})


@pytest.mark.parametrize(("result", "denies"), [
    ({"EvalDecision": "allowed"}, False), ({"EvalDecision": "explicitDeny"}, True),
    ({"EvalDecision": "implicitDeny", "MissingContextValues": ["aws:SourceIp"]}, False),
    ({"EvalDecision": "implicitDeny", "ResourceSpecificResults": [
        {"EvalResourceDecision": "implicitDeny", "MissingContextValues": ["aws:SourceIp"]},
        {"EvalResourceDecision": "allowed", "MissingContextValues": []}]}, False),
    ({"EvalDecision": "allowed", "ResourceSpecificResults": [
        {"EvalResourceDecision": "allowed"}, {"EvalResourceDecision": "implicitDeny"}]}, True)])
def test_a_denial_that_depends_on_what_iam_was_not_told_is_none(
        world: CalmWorld, monkeypatch: pytest.MonkeyPatch, result: dict[str, Any], *, denies: bool) -> None:
    # https://docs.aws.amazon.com/IAM/latest/APIReference/API_EvaluationResult.html
    monkeypatch.setattr(IamClient, "simulate_principal_policy", lambda *_, **__: {"EvaluationResults": [result]})
    assert bool(world.run_task(lambda: world.cloud().denied(ROLE))) is denies


def test_who_cannot_wait_for_iam_asks_it_nothing_more(world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*_: object, **__: object) -> dict[str, Any]:
        world.scheduler.suspend(3.0)
        return {"Role": {"Arn": ROLE}}

    monkeypatch.setattr(IamClient, "get_role", slowly)
    caller = "arn:aws:sts::123456789012:assumed-role/driver/alice"
    assert world.run_task(lambda: world.cloud().denied(caller, 2.0)) is None
    assert not [call for call in world.calls if call[2] == "SimulatePrincipalPolicy"]


def test_no_answer_of_iam_or_sts_is_no_error(world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.network.refusing[EAST, "iam"] = FailureMode.ERROR
    assert world.run_task(lambda: world.cloud().denied("arn:aws:iam::1:role/x")) is None
    assert world.run_task(lambda: world.cloud().caller()).endswith("/driver")
    monkeypatch.setattr(type(world), "_client_of", lambda *_, **__: Broken())
    assert world.run_task(lambda: world.cloud().caller()) == ""


def test_another_account_is_refused(world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = "arn:aws:sts::999999999999:assumed-role/driver"
    monkeypatch.setattr(StsClient, "get_caller_identity", lambda _: {"Arn": theirs})
    with pytest.raises(StackError, match=f"the stack is in account 123456789012, and you are signed in as {theirs}"):
        world.run_task(lambda: world.cloud().caller())


class Broken:
    """A client that nobody answers."""

    def __getattr__(self, _: str) -> Any:
        raise OSError("no route to host")


def test_the_path_of_the_health_checks_is_read_once_and_again_after_it_has_changed(world: CalmWorld) -> None:
    cloud = world.cloud()

    def looks(times: int) -> list[bool | None]:
        return [world.run_task(lambda: cloud.checks.look(world.stack.site(EAST))).alive for _ in range(times)]

    def reads() -> int:
        return world.calls.count((WEST, "s3", "GetObject"))

    assert (looks(3), reads()) == ([True] * 3, 1)
    world.buckets.write(world.control[WEST], CHECK_PATH_KEY, b"another")
    assert (looks(2), reads()) == ([True] * 2, 1)
    vars(cloud.checks)["segment"] = "the one before"
    assert (looks(2), reads()) == ([None] * 2, 2)
    world.buckets.write(world.control[WEST], CHECK_PATH_KEY, SEGMENT.encode())
    assert (looks(2), reads()) == ([True] * 2, 3)


@pytest.mark.parametrize(("text", "path"), [(b"a path\n", "a%20path%0A"), (b"\xff", "%FF")])
def test_a_malformed_path_of_the_health_checks_is_asked_all_the_same(
        world: CalmWorld, text: bytes, path: str) -> None:
    # No request can be sent to what is no URL, which looks like no answer; a region refuses another path with 403.
    world.buckets.write(world.control[WEST], CHECK_PATH_KEY, text)
    checks = world.cloud().checks
    assert world.run_task(lambda: checks.look(world.stack.site(EAST))).alive is None
    assert world.run_task(lambda: checks.segment) == path


@pytest.mark.parametrize("mode", [FailureMode.ERROR, FailureMode.HANG])
def test_without_the_path_of_the_health_checks_nothing_is_known_and_nobody_waits(
        world: CalmWorld, mode: FailureMode) -> None:
    world.network.refusing[WEST, "s3"] = mode
    cloud, began = world.cloud(), world.scheduler.now
    found = world.run_task(lambda: cloud.checks.look(world.stack.site(EAST)))
    assert (found.alive, found.ready, found.why.partition(":")[0]) == (None, None, "path of the health checks")
    assert world.scheduler.now - began <= 2.5
    with pytest.raises(AwsFailure):
        world.run_task(lambda: cloud.checks.lever_is_pulled(world.stack.site(EAST)))


def test_what_a_proof_precedes_is_not_sent_again_by_the_client(world: CalmWorld) -> None:
    cloud, asked = world.cloud(), []
    clients = cloud.environment.clients

    def noted(service: str, region: str, *given: Any, **options: Any) -> Any:
        asked.append((service, options))
        return clients(service, region, *given, **options)

    once = replace(cloud, environment=replace(cloud.environment, clients=noted))
    world.run_task(lambda: once.set_lever(once.plan.target, pulled=True))
    assert asked == [("s3", {"once": True})]


def test_a_lever_is_pulled_and_reset(world: CalmWorld) -> None:
    cloud = world.cloud()
    for pulled in (True, False):
        world.run_task(lambda pulled=pulled: cloud.set_lever(cloud.plan.target, pulled=pulled))  # type: ignore[misc]
        assert world.run_task(lambda: cloud.lever(cloud.plan.target)) is world.lever(WEST) is pulled


def test_repair_is_started_and_not_waited_for(world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(LambdaClient, "invoke", lambda _, **given: calls.append(given))
    world.run_task(world.cloud().start_repair)
    assert calls == [{"FunctionName": "tapstack-reconcile-sim", "Payload": '{"begin": true}', "InvocationType": "Event",
                      "Qualifier": "live"}]


def test_the_latest_event_of_the_database_is_shown(world: CalmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [{"Date": datetime(2026, 11, day, tzinfo=UTC), "Message": f"event {day}"} for day in (3, 5, 4)]

    def pages(**given: Any) -> list[Any]:
        assert (given["SourceType"], given["SourceIdentifier"]) == ("db-cluster", "tapstack-sim-us-west-2")
        assert {"failover", "global-failover"} <= {*given["EventCategories"]}
        return [{"Events": events}]

    monkeypatch.setattr(RdsClient, "get_paginator", lambda *_: SimpleNamespace(paginate=pages))
    assert world.run_task(world.cloud().latest_event) == {"at": "2026-11-05T00:00:00+00:00", "message": "event 5"}
    events.clear()
    assert world.run_task(world.cloud().latest_event) is None
