"""The second day of a stack: changes by hand, a second release, a dead region, faults of the engine."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from recovery.plan import Action
from rehearsal.aws.faults import Cut, Heal
from rehearsal.deploy.pulumi_engine import YES
from rehearsal.errors import DeploymentError
from rehearsal.polling import wait_until
from rehearsal.workload.move_writer import move_writer
from tests.engine.conftest import World, deployable
from tests.rehearsal.stack import EAST, WEST
from tools.migrate import migrate

ROLE, BUCKET, ALARM = "aws:iam/role:Role", "aws:s3/bucket:Bucket", "aws:cloudwatch/metricAlarm:MetricAlarm"
RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
PLAN = "aws:apigateway/usagePlan:UsagePlan"
PATIENCE = 60.0  # seconds
FUNCTION = "aws:lambda/function:Function"


def change_by_hand(stack: World) -> None:
    """Open a role, and remove a rule of a security group, an alarm's threshold, and what protects a bucket."""
    role = stack.of(ROLE)
    trust = json.loads(role["inputs"]["assumeRolePolicy"])
    trust["Statement"][0]["Principal"] = {"AWS": "*"}
    stack.client("iam", role).update_assume_role_policy(RoleName=role["id"], PolicyDocument=json.dumps(trust))
    rule = stack.of(RULE)
    stack.client("ec2", rule).revoke_security_group_ingress(
        GroupId=rule["inputs"]["securityGroupId"], SecurityGroupRuleIds=[rule["id"]])
    alarm = stack.of(ALARM, "-errors")
    client = stack.client("cloudwatch", alarm)
    (found,) = client.describe_alarms(AlarmNames=[alarm["id"]])["MetricAlarms"]
    known = client.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
    client.put_metric_alarm(**{key: value for key, value in found.items() if key in known} | {"Threshold": 9999.0})
    bucket = stack.of(BUCKET)
    client = stack.client("s3", bucket)
    client.put_bucket_versioning(Bucket=bucket["id"], VersioningConfiguration={"Status": "Suspended"})
    client.delete_bucket_policy(Bucket=bucket["id"])
    client.put_bucket_tagging(Bucket=bucket["id"], Tagging={"TagSet": [{"Key": "Owner", "Value": "nobody"}]})


def test_what_is_changed_by_hand_is_named_and_put_right(stack: World) -> None:
    pulumi = stack.pulumi
    assert pulumi.refresh() == []
    change_by_hand(stack)
    named = {re.sub(" tap-local[^:]*", "", line) for line in pulumi.refresh()}
    assert named == {
        "update Role: assumeRolePolicy", "delete SecurityGroupIngressRule", "update MetricAlarm: threshold",
        "update BucketVersioning: versioningConfiguration", "delete BucketPolicy", "update Bucket: tags"}
    assert len(pulumi.preview()) == len(named)
    pulumi("up", *YES)
    assert [*pulumi.refresh(), *pulumi.preview()] == []


def test_a_second_release_changes_what_it_says_and_nothing_else(stack: World) -> None:
    pulumi, function = stack.pulumi, stack.of(FUNCTION, "payments")
    pulumi.configure({"TapStack:apiRateLimit": "150", "TapStack:tags": '{"Owner": "us"}',
                      "TapStack:recoveryPointObjective": "60"})
    planned = {" ".join(line.split()[:2]) for line in pulumi.preview()}
    assert {"update UsagePlan", "update Function", "update Bucket"} <= planned
    assert {line.split()[0] for line in planned} == {"update"}
    pulumi("up", *YES)
    assert [*pulumi.refresh(), *pulumi.preview()] == []
    client = stack.client("lambda", function)
    assert client.list_tags(Resource=client.get_function(
        FunctionName=function["id"])["Configuration"]["FunctionArn"])["Tags"]["Owner"] == "us"


def test_a_first_up_that_failed_leaves_what_the_stack_was_deployed_as(world: World) -> None:
    world.fail(1.0)
    with pytest.raises(DeploymentError):
        world.pulumi("up", *YES)
    world.fail(0.0)
    assert world.outputs() == {}
    made = world.state()
    world.pulumi.configure({"TapStack:primaryRegion": WEST, "TapStack:drRegion": EAST})
    for words in (["preview"], ["up", *YES]):
        with pytest.raises(DeploymentError, match=f"primaryRegion = '{WEST}': the stack was deployed with '{EAST}'"):
            world.pulumi(*words)
    assert world.state() == made
    world.pulumi.configure({})
    world.pulumi("up", *YES)
    assert world.pulumi.preview() == []


@pytest.mark.parametrize(("lost", "target"), [(EAST, "up-dr"), (WEST, "up-primary")])
def test_one_region_can_be_changed_while_the_other_is_dead(stack: World, lost: str, target: str) -> None:
    pulumi = stack.pulumi
    stack.faults.inject(Cut(lost))
    pulumi.configure({"TapStack:apiRateLimit": "150"})
    begun = pulumi.start("up", *YES)
    printed = "".join(begun.communicate())
    assert begun.returncode
    assert re.search(f"error: .*cannot sign in in {lost}", printed)
    assert "Traceback" not in printed
    before = stack.of(PLAN, target.removeprefix("up-"))["inputs"]["throttleSettings"]
    stack.make(target, f"ARGS={' '.join(YES)}")
    changed = stack.of(PLAN, target.removeprefix("up-"))["inputs"]["throttleSettings"]
    assert (before["rateLimit"], changed["rateLimit"]) == (100, 150)
    stack.faults.inject(Heal(lost))
    pulumi("up", *YES)
    assert pulumi.preview() == []


def test_a_stack_for_real_payments_is_destroyed_once_it_is_released_and_its_data_stays() -> None:
    with deployable(profile="prod", failoverMode="automatic", alarmEmail="night@example.com",
                    apiRateLimit="50") as stack:
        pulumi, before = stack.pulumi, stack.holds()
        pulumi("up", *YES)
        deployed = stack.holds()
        with pytest.raises(subprocess.CalledProcessError):
            stack.make("destroy", f"ARGS={' '.join(YES)}")
        assert stack.holds() == deployed
        pulumi.configure({"TapStack:deletionProtection": "false"})
        pulumi("up", *YES)
        said = stack.make("destroy", f"ARGS={' '.join(YES)}")
        assert "local after: 0 resources" in said
        left = stack.holds() - before
        assert {*left} == {"Key", "Bucket", "Vault"}
        assert all(f"remains: {kind}" in said for kind in left)


def test_creates_and_deletes_that_fail_now_and_then_end_in_the_same_stack(stack: World) -> None:
    with deployable() as other:
        other.fail(0.02)
        failures = other.until_done("up", *YES)
        assert failures
        other.pulumi("up", *YES, "--expect-no-changes")
        assert other.state() == stack.state()
        assert other.holds() == stack.holds()
        other.fail(0.02, seed=1)
        other.until_done("destroy", *YES)
        assert sum(other.state().values()) == 0


@contextmanager
def changed() -> Iterator[World]:
    """A stack that takes payments, and whose next `up` has much to change."""
    with deployable(databases=True) as stack:
        stack.pulumi("up", *YES)
        migrate(stack.outputs(), stack.clients)
        stack.pulumi.configure({"TapStack:apiRateLimit": "150", "TapStack:tags": '{"Owner": "us"}'})
        yield stack


def test_the_writer_can_move_while_an_up_runs() -> None:
    with changed() as stack:
        pulumi, outputs = stack.pulumi, stack.outputs()
        for target in (WEST, EAST):
            begun = pulumi.start("up", *YES)
            stack.proxies.calls.clear()
            wait_until(lambda: stack.proxies.calls, "the up to begin", PATIENCE)
            assert set(move_writer(Action.SWITCHOVER, target, outputs, stack.clients)) >= {"promote", "epoch"}
            begun.communicate()
            assert begun.returncode == 0
            assert [*pulumi.refresh(), *pulumi.preview()] == []
            pulumi.configure({"TapStack:apiRateLimit": "160"})


@pytest.mark.parametrize("lost", ["", EAST])
def test_a_failover_while_an_up_runs_leaves_what_the_next_up_completes(lost: str) -> None:
    with changed() as stack:
        pulumi, outputs = stack.pulumi, stack.outputs()
        stack.proxies.calls.clear()
        begun = pulumi.start("up", *YES)
        wait_until(lambda: stack.proxies.calls, "the up to begin", PATIENCE)
        if lost:
            stack.faults.inject(Cut(lost))
        assert set(move_writer(Action.FAILOVER, WEST, outputs, stack.clients)) >= {"promote", "epoch"}
        printed = "".join(begun.communicate())
        assert bool(begun.returncode) == bool(lost)
        assert "Traceback" not in printed
        if lost:  # it ends by itself, and says where: of a resource, or of the provider that could not sign in
            assert re.search(rf"error: .*\b{lost}\b", printed)
            stack.faults.inject(Heal(lost))
            pulumi("up", *YES)
        assert [*pulumi.refresh(), *pulumi.preview()] == []
