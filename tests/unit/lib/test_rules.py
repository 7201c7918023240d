"""The rules of a correct regional failover, as far as the program keeps them. The rest: tests/unit/recovery."""
from collections import Counter

import pytest

from contract import HEALTH_PATH, LEVER_KEY, LEVER_PATH, ROLES
from tests.unit.lib.conftest import CASES, recording
from tests.unit.lib.iam import as_list, policies_of
from tests.unit.lib.recorder import SECRET, Recording, Resource
from tests.unit.lib.test_contract import alike, regional

DOMAIN = "dev-domain-strong-swapped"


def role(program: Recording, resource: Resource) -> str:
    """The role of the region that a resource is in."""
    return next(role for role in ROLES if program.outputs[f"{role}_region"] == program.region(resource))


@pytest.mark.parametrize("case", CASES)
def test_rule_01_a_controller_may_not_even_call_a_global_control_plane(case: str) -> None:
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/disaster-recovery-resiliency.html
    program = recording(case)
    controllers = [policy for policy in program.of("RolePolicy") if program.inside(policy, "Controller")]
    assert sorted(role(program, policy) for policy in controllers) == ["dr", "primary"]
    for policy in controllers:
        actions = [action for statement in policies_of(policy) for action in as_list(statement["Action"])]
        assert len(actions) > 10
        # What its role may do is asked while all is well: a failover does without the answer.
        assert [action for action in actions if action.startswith(("route53", "iam:", "sts:"))] == [
            "iam:SimulatePrincipalPolicy"]


def test_rule_02_the_standby_takes_over() -> None:
    program = recording(DOMAIN)
    checks = {f"{check.name}-id": check.inputs for check in program.of("HealthCheck")}
    (record,) = [each.inputs for each in program.of("Record")
                 if each.inputs.get("failoverRoutingPolicies") == [{"type": "PRIMARY"}] and each.inputs["type"] == "A"]
    calculated = checks[record["healthCheckId"]]
    assert (calculated["type"], calculated["childHealthThreshold"]) == ("CALCULATED", 2)
    children = [checks[child] for child in calculated["childHealthchecks"]]
    (lever,) = [child for child in children if child["invertHealthcheck"]]
    assert (lever["fqdn"], lever["resourcePath"], lever["failureThreshold"]) == (
        program.outputs["dr_host_name"], f"/{SECRET}{LEVER_PATH}", 1)

    # Its object lies in the standby's own bucket, and no function is needed to see it.
    shown = {each.inputs["uri"] for each in program.of("Integration") if "credentials" in each.inputs
             and role(program, each) == "dr"}
    (bucket,) = [each for each in program.of("Bucket") if f"{each.name}-id" == program.outputs["dr_control_bucket"]]
    assert role(program, bucket) == "dr"
    assert shown == {f"arn:aws:apigateway:{program.region(bucket)}:s3:path/{bucket.inputs['bucket']}/{LEVER_KEY}"}


def test_rule_03_detection_is_automatic_and_the_decision_is_a_setting() -> None:
    program = recording("dev")
    assert program.outputs["failover_mode"] == "manual"
    watches = [rule for rule in program.of("EventRule") if program.inside(rule, "Controller")]
    assert [rule.inputs["scheduleExpression"] for rule in watches] == ["rate(1 minute)"] * 2


@pytest.mark.parametrize("case", ["dev", "prod", "prod-released-domain-zone-europe"])
def test_rule_04_what_the_standby_needs_is_there_and_warm(case: str) -> None:
    program = recording(case)
    primary, standby = (Counter(each.kind for each in resources) for resources in regional(program).values())
    for kind in ("ClusterInstance", "Function", "Alias", "Role", "RolePolicy", "Stage", "MetricAlarm", "Topic",
                 "EventRule", "EventTarget"):
        assert standby[kind] > 0, kind
        # Route 53 publishes the metrics of its health checks in us-east-1 only; a standby may lack readers.
        assert standby[kind] == primary[kind] or (kind in ("MetricAlarm", "ClusterInstance") and case != "dev"), kind
    assert {each.inputs["instanceClass"] for each in program.of("ClusterInstance")} == {
        "db.serverless" if case == "dev" else "db.r7g.large"}
    if case == "prod-released-domain-zone-europe":
        assert {role(program, each) for each in program.of("CertificateValidation")} == {"primary", "dr"}
        (secret,) = program.of("Secret")
        assert [replica["region"] for replica in secret.inputs["replicas"]] == [program.outputs["dr_region"]]


@pytest.mark.parametrize("case", CASES)
def test_rule_09_regions_stay_symmetric(case: str) -> None:
    program = recording(case)
    primary, standby = (Counter(alike(each, program) for each in resources if each.kind in (
        "MetricAlarm", "ClusterParameterGroup", "Function", "Alias", "RolePolicy", "Role", "Stage", "MethodSettings",
        "EventRule", "EventTarget", "BucketPolicy")) for resources in regional(program).values())
    assert primary.total() > 30
    differ = (primary - standby) + (standby - primary)
    assert {(kind, name.rpartition("-")[2]) for kind, name, _ in differ} <= {("MetricAlarm", "unhealthy")}


def test_rule_10_health_checks_tell_the_truth() -> None:
    program = recording(DOMAIN)
    asked = {(check.inputs["fqdn"], check.inputs["resourcePath"]) for check in program.of("HealthCheck")
             if check.inputs["type"] == "HTTPS"}
    hosts = {program.outputs[f"{side}_host_name"] for side in ROLES}
    assert asked == {(host, f"/{SECRET}{path}") for host in hosts for path in (HEALTH_PATH, LEVER_PATH)}
    assert program.outputs["service_url"].removeprefix("https://") not in hosts
    # Liveness needs the function, without which a region could not take traffic.
    assert {each.inputs["type"] for each in program.of("Integration") if "takeover" not in each.name} == {"AWS_PROXY"}
