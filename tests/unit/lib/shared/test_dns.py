"""DNS, its health checks, and the decision that they make."""
from typing import Any

import pytest

from tests.unit.lib.conftest import recording
from tests.unit.lib.recorder import SECRET, Recording, Resource


def test_the_primary_record_follows_the_calculation_and_the_secondary_its_own_check(domain: Recording) -> None:
    records = {r.inputs["failoverRoutingPolicies"][0]["type"]: r for r in domain.of("Record")
               if "failoverRoutingPolicies" in r.inputs and r.inputs["type"] == "A"}
    assert records["PRIMARY"].inputs["healthCheckId"] == domain.outputs["failover_health_check_id"]
    assert records["SECONDARY"].inputs["healthCheckId"] == domain.outputs["dr_health_check_id"]
    assert {r.inputs["name"] for r in records.values()} == {"pay.example.com"}
    assert {r.inputs["setIdentifier"] for r in records.values()} == {"us-west-2", "us-east-1"}
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-problems.html: a secondary without a check
    # is always used; an API's target fails only when all of API Gateway does.
    assert [each["evaluateTargetHealth"] for r in records.values() for each in r.inputs["aliases"]] == [False, False]


def checks_of(program: Recording) -> dict[str, Resource]:
    """The health checks by the id that their output gives."""
    return {f"{check.name}-id": check for check in program.of("HealthCheck")}


def test_a_region_has_a_lever_that_counts_at_once(domain: Recording) -> None:
    # The threshold counts both ways:
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-creating-values.html
    for role, region, inverted in (("primary", "us-west-2", False), ("dr", "us-east-1", True)):
        lever = checks_of(domain)[domain.outputs[f"{role}_takeover_health_check_id"]].inputs
        assert (lever["fqdn"], lever["resourcePath"]) == (f"{region}.pay.example.com", f"/{SECRET}/takeover")
        assert (lever["type"], lever["requestInterval"], lever["failureThreshold"]) == ("HTTPS", 10, 1)
        assert lever["invertHealthcheck"] is inverted


@pytest.mark.parametrize(("alive", "pulled", "stays"), [
    # the regions that answer, and those whose lever is pulled
    ("primary dr", "", True),
    ("dr", "", False),
    ("primary dr", "dr", False),
    ("dr", "dr", False),
    ("primary", "dr", True),  # a standby that does not answer cannot take over
    ("primary dr", "primary dr", True),
    ("dr", "primary dr", False),
    ("primary", "primary dr", True),
    ("primary dr", "primary", True),
    ("dr", "primary", False),
    ("", "", False),
])
def test_which_region_has_the_traffic_by_who_answers_and_whose_lever_is_pulled(
        domain: Recording, alive: str, pulled: str, stays: bool) -> None:
    checks = checks_of(domain)
    roles = {domain.outputs[f"{role}_host_name"]: role for role in ("primary", "dr")}
    failover = checks[domain.outputs["failover_health_check_id"]].inputs

    def healthy(check: Any) -> bool:
        role = roles[check["fqdn"]]
        answers_200 = role in alive.split() and (check["resourcePath"].endswith("/health") or role in pulled.split())
        return answers_200 is not check["invertHealthcheck"]

    assert failover["type"] == "CALCULATED"
    states = [healthy(checks[child].inputs) for child in failover["childHealthchecks"]]
    assert (states.count(True) >= failover["childHealthThreshold"]) is stays


def test_a_region_is_checked_by_its_own_host_never_by_the_service_name(domain: Recording) -> None:
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-creating-values.html
    for check in domain.of("HealthCheck"):
        assert check.inputs.get("fqdn") != "pay.example.com"
    checks = {r.name.rpartition("-dns-")[2]: r.inputs for r in domain.of("HealthCheck")}
    for role, region in (("primary", "us-west-2"), ("dr", "us-east-1")):
        asked = checks[f"{role}-check"]
        assert (asked["fqdn"], asked["resourcePath"]) == (f"{region}.pay.example.com", f"/{SECRET}/health")
        assert (asked["requestInterval"], asked["failureThreshold"], asked["type"]) == (10, 3, "HTTPS")


def test_both_certificates_share_one_validation_record(domain: Recording) -> None:
    # https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
    proofs = [r for r in domain.of("Record") if r.inputs["type"] == "CNAME"]
    assert len(proofs) == 1
    assert len(domain.of("Certificate")) == len(domain.of("CertificateValidation")) == 2
    for valid in domain.of("CertificateValidation"):
        assert proofs[0].urn in valid.waits_for
    assert {r.inputs["securityPolicy"] for r in domain.of("DomainName")} == {"TLS_1_2"}


def test_health_alarms_exist_only_where_route_53_publishes(domain: Recording) -> None:
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/monitoring-cloudwatch.html
    alarms = [r for r in domain.of("MetricAlarm") if r.inputs["namespace"] == "AWS/Route53"]
    assert {domain.region(r) for r in alarms} == {"us-east-1"}
    # The check of the primary region's lever is unhealthy unless that is pulled.
    assert {r.inputs["dimensions"]["HealthCheckId"] for r in alarms} == {
        domain.outputs[f"{check}_health_check_id"] for check in ("primary", "dr", "dr_takeover", "failover")}
    assert recording("prod-released-domain-zone-europe").outputs["health_alarm_names"] == []


def test_an_existing_zone_is_used(domain: Recording) -> None:
    europe = recording("prod-released-domain-zone-europe")
    assert "Zone" not in {r.kind for r in europe.custom}
    assert {r.inputs["zoneId"] for r in europe.of("Record")} == {"Z0123456789ABCDEFGHIJ"}
    assert domain.of("Zone")[0].inputs["name"] == "pay.example.com"
