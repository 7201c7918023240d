"""The service's name: which region it leads to, and what decides that. Skipped without a domain."""
import urllib.request
from typing import Any

import pytest

from contract import DNS_TTL, ROLES
from tests.integration.stack import Outputs, Region, ask, emulator_lacks

CHECKS = ("primary", "dr", "primary_takeover", "dr_takeover", "failover")
NOT_ALARMED = "primary_takeover"  # normally unhealthy: the primary region has not taken back the traffic
METRICS_REGION = "us-east-1"  # the only one where Route 53 publishes the state of its checks


@pytest.fixture(autouse=True)
def _domain_is_set(outputs: Outputs) -> None:
    if outputs["dns"] != "on":
        pytest.skip(outputs["dns"])


@pytest.fixture
def route53(outputs: Outputs) -> Any:
    """Route 53, which is global."""
    return Region("primary", outputs).client("route53")


@pytest.fixture
def records(outputs: Outputs, route53: Any) -> list[dict[str, Any]]:
    """The records of the zone, their names without the dot at the end."""
    pages = route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=outputs["hosted_zone_id"])
    return [{**each, "Name": each["Name"].rstrip(".")} for page in pages for each in page["ResourceRecordSets"]]


@pytest.fixture
def checks(outputs: Outputs, route53: Any) -> dict[str, dict[str, Any]]:
    """The configuration of each health check."""
    return {check: route53.get_health_check(HealthCheckId=outputs[f"{check}_health_check_id"])
            ["HealthCheck"]["HealthCheckConfig"] for check in CHECKS}


@pytest.fixture(params=["service", "host"])
def domain(request: pytest.FixtureRequest, region: Region) -> dict[str, Any]:
    """Each custom domain name of the region, as API Gateway describes it: the service's, and the region's own."""
    name = region.outputs["domain_name"] if request.param == "service" else region["host_name"]
    found: dict[str, Any] = region.client("apigateway").get_domain_name(domainName=name)
    return found


def alias_of(record: dict[str, Any]) -> str:
    """The name that an alias record leads to."""
    return str(record["AliasTarget"]["DNSName"]).rstrip(".")


def test_the_zone_contains_the_domain(outputs: Outputs, route53: Any) -> None:
    zone = route53.get_hosted_zone(Id=outputs["hosted_zone_id"])
    name = zone["HostedZone"]["Name"].rstrip(".")
    assert f".{outputs['domain_name']}".endswith(f".{name}"), "the domain, or one above it"
    assert not zone["HostedZone"]["Config"]["PrivateZone"]
    assert outputs["service_url"] == f"https://{outputs['domain_name']}"
    # The stack outputs no name servers of an existing zone.
    assert set(outputs["name_servers"]) in (set(), set(zone["DelegationSet"]["NameServers"]))


def test_the_failover_records_follow_their_checks(records: list[dict[str, Any]], outputs: Outputs) -> None:
    found = {each["Failover"]: each for each in records
             if each["Name"] == outputs["domain_name"] and "Failover" in each}
    for routing, role, check in (("PRIMARY", "primary", "failover"), ("SECONDARY", "dr", "dr")):
        region, record = Region(role, outputs), found[routing]
        assert record["HealthCheckId"] == outputs[f"{check}_health_check_id"], routing
        domain = region.client("apigateway").get_domain_name(domainName=outputs["domain_name"])
        assert (record["Type"], alias_of(record)) == ("A", domain["regionalDomainName"]), routing
    assert found.keys() == {"PRIMARY", "SECONDARY"}


def test_each_region_has_a_host_name_of_its_own(records: list[dict[str, Any]], region: Region) -> None:
    (record,) = [each for each in records if each["Name"] == region["host_name"]]
    domain = region.client("apigateway").get_domain_name(domainName=region["host_name"])
    assert (record["Type"], alias_of(record)) == ("A", domain["regionalDomainName"])
    assert "HealthCheckId" not in record
    assert region.name in region["host_name"]


def test_a_custom_domain_leads_to_the_regions_api(domain: dict[str, Any], region: Region) -> None:
    (mapping,) = region.client("apigateway").get_base_path_mappings(domainName=domain["domainName"])["items"]
    assert (mapping["restApiId"], mapping["stage"]) == (region["api_id"], region["api_endpoint"].rpartition("/")[2])
    assert (domain["endpointConfiguration"]["types"], domain["securityPolicy"]) == (["REGIONAL"], "TLS_1_2")


def test_its_certificate_is_issued_and_covers_it(
        domain: dict[str, Any], region: Region, records: list[dict[str, Any]]) -> None:
    arn = domain["regionalCertificateArn"]
    assert arn.split(":")[3] == region.name
    found = region.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]
    assert found["Status"] == "ISSUED"
    covered = {domain["domainName"], "*." + domain["domainName"].partition(".")[2]}
    assert covered & set(found["SubjectAlternativeNames"])
    proofs = {option["ResourceRecord"]["Name"].rstrip(".") for option in found["DomainValidationOptions"]}
    assert proofs <= {each["Name"] for each in records}, "without its record the certificate cannot be renewed"


def test_the_regions_health_is_checked_at_their_own_hosts(checks: dict[str, dict[str, Any]], region: Region) -> None:
    check = checks[region.role]
    assert (check["Type"], check["Port"], check["ResourcePath"]) == ("HTTPS", 443, region.check("/health"))
    assert check["FullyQualifiedDomainName"] == region["host_name"], "a check of the service's name would be circular"
    assert not check.get("Inverted")


def test_detection_fits_the_recovery_time(checks: dict[str, dict[str, Any]], outputs: Outputs) -> None:
    interval, threshold = checks["primary"]["RequestInterval"], checks["primary"]["FailureThreshold"]
    assert (checks["dr"]["RequestInterval"], checks["dr"]["FailureThreshold"]) == (interval, threshold)
    assert interval in (10, 30)
    assert interval * threshold + DNS_TTL <= outputs["recovery_time_objective"]


def test_a_regions_lever_is_checked_at_its_own_host_and_counts_at_once(
        checks: dict[str, dict[str, Any]], region: Region) -> None:
    check = checks[f"{region.role}_takeover"]
    assert (check["Type"], check["Port"], check["ResourcePath"]) == ("HTTPS", 443, region.check("/takeover"))
    assert check["FullyQualifiedDomainName"] == region["host_name"]
    assert (check["RequestInterval"], check["FailureThreshold"]) == (checks[region.role]["RequestInterval"], 1)


@emulator_lacks("Inverted comes back as a text that boto3 reads as false")
def test_the_primary_keeps_the_traffic_until_the_standbys_lever_is_pulled(checks: dict[str, dict[str, Any]]) -> None:
    assert checks["dr_takeover"]["Inverted"]


def test_the_primary_takes_the_traffic_back_only_by_its_own_lever(checks: dict[str, dict[str, Any]]) -> None:
    assert not checks["primary_takeover"].get("Inverted")


def test_the_primary_record_needs_two_of_three_checks(checks: dict[str, dict[str, Any]]) -> None:
    check = checks["failover"]
    assert (check["Type"], check["HealthThreshold"], len(check["ChildHealthChecks"])) == ("CALCULATED", 2, 3)


@emulator_lacks("the children of a calculated check come back blank")
def test_the_three_checks_are_the_primarys_health_and_both_levers(
        checks: dict[str, dict[str, Any]], outputs: Outputs) -> None:
    assert set(checks["failover"]["ChildHealthChecks"]) == {
        outputs[f"{check}_health_check_id"] for check in ("primary", "primary_takeover", "dr_takeover")}


def test_an_unhealthy_check_raises_an_alarm(outputs: Outputs) -> None:
    regions = [region for region in (Region(role, outputs) for role in ROLES) if region.name == METRICS_REGION]
    alarms = [alarm for region in regions for alarm in region.client("cloudwatch").describe_alarms(
        AlarmNames=outputs["health_alarm_names"])["MetricAlarms"]]
    watched = {each["Value"] for alarm in alarms for each in alarm["Dimensions"] if each["Name"] == "HealthCheckId"}
    assert watched == {outputs[f"{check}_health_check_id"] for check in CHECKS if regions and check != NOT_ALARMED}
    assert {topic for alarm in alarms for topic in alarm["AlarmActions"]} == {region["topic_arn"] for region in regions}


@emulator_lacks("no DNS answers", run=False)
@pytest.mark.parametrize("role", ["primary", "dr", "service"])
def test_the_names_are_reached_over_dns(outputs: Outputs, role: str) -> None:
    regions = {outputs["primary_region"], outputs["dr_region"]}
    expected = regions if role == "service" else {outputs[f"{role}_region"]}
    url = outputs["service_url"] if role == "service" else f"https://{outputs[f'{role}_host_name']}"
    answer = ask(urllib.request.Request(url + Region("primary", outputs).check("/health")))
    assert answer.status == 200, answer.body
    assert answer.body["region"] in expected
