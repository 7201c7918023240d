"""The REST APIs: routes, keys, limits and health."""
from typing import Any

import pytest

from tests.integration.stack import Region, Secret

# Whether each route needs an API key; Route 53's checkers cannot send one.
ROUTES = {("POST", "/payment"): True, ("GET", "/payment/{payment_id}"): True,
          ("GET", "/health"): False, ("GET", "/takeover"): False}


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


def test_the_routes_lead_to_the_alias_and_payments_need_a_key(region: Region) -> None:
    resources = region.client("apigateway").get_resources(restApiId=region["api_id"], embed=["methods"], limit=500)
    methods = {(verb, resource["path"]): method for resource in resources["items"]
               for verb, method in resource.get("resourceMethods", {}).items()}
    assert {route: method["apiKeyRequired"] for route, method in methods.items()} == ROUTES
    for route, method in methods.items():
        integration = method["methodIntegration"]
        assert (integration["type"], integration["httpMethod"]) == ("AWS_PROXY", "POST"), route
        assert f"/{region['function_alias_arn']}/" in integration["uri"], route


def test_the_stage_is_traced_and_logs_no_bodies(stage: dict[str, Any]) -> None:
    assert stage["tracingEnabled"]
    settings = stage["methodSettings"]["*/*"]
    assert (settings["metricsEnabled"], settings["dataTraceEnabled"]) == (True, False)
    assert "$context.status" in stage["accessLogSettings"]["format"]


def test_stage_and_usage_plan_throttle_alike(region: Region, stage: dict[str, Any]) -> None:
    plan = region.client("apigateway").get_usage_plan(usagePlanId=region["usage_plan_id"])
    assert [(each["apiId"], each["stage"]) for each in plan["apiStages"]] == [(region["api_id"], stage["stageName"])]
    settings, throttle = stage["methodSettings"]["*/*"], plan["throttle"]
    assert (settings["throttlingRateLimit"], settings["throttlingBurstLimit"]) == (
        throttle["rateLimit"], throttle["burstLimit"])
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
    answer = region.call("GET", "/health")
    assert (answer.status, answer.body) == (200, {"status": "ok", "region": region.name})


def test_only_the_declared_names_lead_to_the_api(region: Region) -> None:
    apigateway = region.client("apigateway")
    names = {domain["domainName"] for domain in apigateway.get_domain_names().get("items", ())
               for mapping in apigateway.get_base_path_mappings(domainName=domain["domainName"]).get("items", ())
               if mapping["restApiId"] == region["api_id"]}
    assert names == {region.outputs["domain_name"], region["host_name"]} - {""}, "without a domain, none"
