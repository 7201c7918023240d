"""The outputs of the stack."""
from contract import ROLES
from tests.unit.lib.recorder import Recording


def test_every_output_has_a_value(deployed: Recording) -> None:
    assert not [key for key, value in deployed.outputs.items() if value is None]


def test_what_is_said_of_a_region_is_about_no_other_one(deployed: Recording) -> None:
    outputs = deployed.outputs
    for role, peer in (ROLES, ROLES[::-1]):
        for key in (each for each in outputs if each.startswith(f"{role}_")):
            assert not [word for word in (f"-{peer}-", outputs[f"{peer}_region"]) if word in str(outputs[key])], key


def test_outputs_without_a_domain_say_so(dev: Recording) -> None:
    assert dev.outputs["dns"] == "off: domainName is not set"
    empty = {key for key, value in dev.outputs.items() if value in ("", [])} - {
        "witness_region", "primary_pauses_template_id", "dr_pauses_template_id"}
    assert empty == {"domain_name", "service_url", "hosted_zone_id", "name_servers", "health_alarm_names",
                     "failover_health_check_id", *(f"{role}_{key}" for role in ("primary", "dr") for key in (
                         "host_name", "health_check_id", "takeover_health_check_id"))}
    assert not {"Record", "Zone", "HealthCheck", "Certificate", "DomainName"} & {r.kind for r in dev.custom}


def test_outputs_with_a_domain(domain: Recording) -> None:
    outputs = domain.outputs
    assert outputs["dns"] == "on"
    assert outputs["service_url"] == "https://pay.example.com"
    assert outputs["primary_host_name"] == "us-west-2.pay.example.com"
    assert outputs["dr_host_name"] == "us-east-1.pay.example.com"
    assert outputs["name_servers"] == ["ns1.example", "ns2.example"]
    assert len(outputs["health_alarm_names"]) == 4
