"""The REST APIs: routes, keys, limits and health."""
import json
from typing import Any

import pytest

from tests.integration.stack import Region, Secret

ROUTES = {("POST", "/payment"), ("GET", "/payment/{payment_id}")}
LEAVES = ("/health", "/takeover")


@pytest.fixture
def stage(region: Region) -> dict[str, Any]:
    """The API's only stage, which the endpoint names."""
    (found,) = region.client("apigateway").get_stages(restApiId=region["api_id"])["item"]
    assert region["api_endpoint"].rpartition("/")[2] == found["stageName"]
    stage: dict[str, Any] = found
    return stage


def test_the_api_is_regional_and_takes_keys_from_the_header(region: Region) -> None:
    api = region.client("apigateway").get_rest_api(restApiId=region["api_id"])
    assert api["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert api["apiKeySource"] == "HEADER"
    assert region["api_id"] in region["api_endpoint"]


def test_routes_need_a_key_or_have_a_secret_path_and_lead_to_the_alias_but_for_the_lever(region: Region) -> None:
    resources = region.client("apigateway").get_resources(restApiId=region["api_id"], embed=["methods"], limit=500)
    methods = {(verb, resource["path"]): method for resource in resources["items"]
               for verb, method in resource.get("resourceMethods", {}).items()}
    assert {route for route, method in methods.items() if method["apiKeyRequired"]} == ROUTES
    keyless = {path for (verb, path), method in methods.items() if not method["apiKeyRequired"] and verb == "GET"}
    assert {region.check(leaf) for leaf in LEAVES} <= keyless
    assert len(keyless) == len(methods) - len(ROUTES) == 2 * len(LEAVES), "the path that is asked, and another one"
    assert {len(path) for path in keyless} == {len(f"/{'x' * 40}{leaf}") for leaf in LEAVES}
    for route, method in methods.items():
        integration = method["methodIntegration"]
        if route[1].endswith("/takeover"):
            assert (integration["type"], integration["httpMethod"]) == ("AWS", "HEAD"), route
            assert integration["uri"].endswith(f":s3:path/{region['control_bucket']}/takeover"), route
        else:
            assert (integration["type"], integration["httpMethod"]) == ("AWS_PROXY", "POST"), route
            assert f"/{region['function_alias_arn']}/" in integration["uri"], route


def test_the_stage_is_traced_and_logs_no_bodies(stage: dict[str, Any]) -> None:
    assert stage["tracingEnabled"]
    settings = stage["methodSettings"]["*/*"]
    assert (settings["metricsEnabled"], settings["dataTraceEnabled"]) == (True, False)
    assert "$context.status" in stage["accessLogSettings"]["format"]


def test_the_stage_lets_through_what_the_clients_plans_do_together(region: Region, stage: dict[str, Any]) -> None:
    plan = region.client("apigateway").get_usage_plan(usagePlanId=region["usage_plan_id"])
    assert [(each["apiId"], each["stage"]) for each in plan["apiStages"]] == [(region["api_id"], stage["stageName"])]
    settings, throttle = stage["methodSettings"]["*/*"], plan["throttle"]
    clients = {label.rpartition("-")[0] for label in region["client_api_key_ids"]}
    assert (settings["throttlingRateLimit"], settings["throttlingBurstLimit"]) == (
        throttle["rateLimit"] * len(clients), throttle["burstLimit"] * len(clients))
    assert throttle["burstLimit"] >= throttle["rateLimit"] > 0


def test_the_usage_plan_has_the_stacks_key_and_no_other(region: Region, peer: Region) -> None:
    found = region.client("apigateway").get_usage_plan_keys(usagePlanId=region["usage_plan_id"])["items"]
    keys = {key["id"] for key in found}
    assert region["api_key_id"] in keys
    # The emulator gives each plan the other region's key as well, because their values are equal.
    assert keys <= {region["api_key_id"], peer["api_key_id"]}


def test_one_key_value_opens_both_regions(peer: Region, api_key: Secret) -> None:
    other = peer.client("apigateway").get_api_key(apiKey=peer["api_key_id"], includeValue=True)
    same = api_key.same(Secret(other["value"]))
    assert same, "DNS moves a client between the regions, and its key must go on working"
    assert other["enabled"]


@pytest.mark.parametrize("key", [None, Secret("no-key-of-ours")], ids=["no-key", "wrong-key"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/payment"), ("GET", "/payment/unknown")])
def test_a_request_without_the_key_is_refused(region: Region, method: str, path: str, key: Secret | None) -> None:
    assert region.call(method, path, key=key).status == 403


def test_health_needs_no_key_and_names_the_region(region: Region) -> None:
    answer = region.call("GET", region.check("/health"))
    assert (answer.status, answer.body) == (200, {"status": "ok", "region": region.name})


@pytest.mark.parametrize("path", [*LEAVES, *(f"/guessed{leaf}" for leaf in LEAVES)])
def test_what_has_no_secret_path_is_refused(region: Region, api_key: Secret, path: str) -> None:
    assert region.call("GET", path).status == 403
    assert region.call("GET", path, key=api_key).status == 403


def test_the_secret_path_is_in_no_output_and_no_log(region: Region, stage: dict[str, Any]) -> None:
    segment = region.check("/health").split("/")[1]
    assert region.peer.check("/health") == region.check("/health"), "either region can ask for the other"
    assert segment not in json.dumps(region.outputs)
    assert "ath" not in stage["accessLogSettings"]["format"]
    logs = region.client("logs").filter_log_events(logGroupName=region["function_log_group"])["events"]
    assert not [event for event in logs if segment in event["message"]]


def test_only_the_declared_names_lead_to_the_api(region: Region) -> None:
    apigateway = region.client("apigateway")
    names = {domain["domainName"] for domain in apigateway.get_domain_names().get("items", ())
               for mapping in apigateway.get_base_path_mappings(domainName=domain["domainName"]).get("items", ())
               if mapping["restApiId"] == region["api_id"]}
    assert names == {region.outputs["domain_name"], region["host_name"]} - {""}, "without a domain, none"
