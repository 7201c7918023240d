"""The API of a region."""
from fnmatch import fnmatch

from lib.region.api import ROUTES
from tests.unit.lib.recorder import ACCOUNT, Recording


def test_routes_without_a_key_have_higher_limits_than_payments(dev: Recording) -> None:
    limits = {r.inputs["methodPath"]: r.inputs["settings"]["throttlingRateLimit"] for r in dev.of("MethodSettings")}
    assert limits == {"*/*": 100, "health/GET": 2000, "takeover/GET": 2000}


def test_health_checks_are_neither_traced_nor_metered_by_method(deployed: Recording) -> None:
    keyless = {route.path for route in ROUTES if not route.key_required}
    assert "/health" in keyless
    metered = {r.inputs["methodPath"]: r.inputs["settings"]["metricsEnabled"] for r in deployed.of("MethodSettings")}
    assert metered == {"*/*": True, **{f"{path.strip('/')}/GET": False for path in keyless}}
    for region in {deployed.region(stage) for stage in deployed.of("Stage")}:
        rules = [r.inputs for r in deployed.of("SamplingRule") if deployed.region(r) == region]
        (api,) = (r.inputs["name"] for r in deployed.of("RestApi") if deployed.region(r) == region)
        for path in keyless:
            # A custom domain has no stage in its path, the API's own host does.
            (rule,) = (each for each in rules if fnmatch(f"/live{path}", each["urlPath"]))
            assert fnmatch(path, rule["urlPath"])
            assert (rule["reservoirSize"], rule["fixedRate"]) == (0, 0)
            assert (rule["serviceType"], rule["serviceName"]) == ("AWS::ApiGateway::Stage", f"{api}/live")
        assert not [rule for rule in rules if fnmatch("/live/payment", rule["urlPath"])]
    # A controller asks the function itself, in a trace that it passes on:
    # https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
    modes = {each.inputs["tracingConfig"]["mode"] for each in deployed.of("Function") if "-controller-" in each.name}
    assert modes == {"PassThrough"}


def test_the_same_api_key_works_in_both_regions(dev: Recording) -> None:
    primary, standby = dev.of("ApiKey")
    assert primary.inputs["value"] == standby.inputs["value"]
    assert dev.region(primary) != dev.region(standby)
    plans = {r.inputs["keyId"]: r.inputs["usagePlanId"] for r in dev.of("UsagePlanKey")}
    assert plans == {dev.outputs[f"{role}_api_key_id"]: dev.outputs[f"{role}_usage_plan_id"]
                     for role in ("primary", "dr")}


def test_the_account_role_of_api_gateway_may_belong_to_another_stack(prod: Recording, dev: Recording) -> None:
    assert len(dev.of("Account")) == 2
    assert "Account" not in {r.kind for r in prod.custom}
    for stage in dev.of("Stage"):
        assert any(dev.resources[urn].kind == "Account" for urn in stage.dependencies)


def test_a_stage_is_deployed_after_every_integration(dev: Recording) -> None:
    for deployment in dev.of("Deployment"):
        integrations = {r.urn for r in dev.of("Integration") if r.parent == deployment.parent}
        assert len(integrations) == 4
        assert integrations <= deployment.dependencies


def test_the_function_is_called_through_its_alias_only(dev: Recording) -> None:
    for role in ("primary", "dr"):
        integrations = [r for r in dev.of("Integration") if f"-{role}-" in r.name]
        (uri,) = {r.inputs["uri"] for r in integrations}
        region = dev.outputs[f"{role}_region"]
        assert f":lambda:{region}:{ACCOUNT}:function:tapstack-payments-dev:live/" in uri
        permission = dev.one("Permission", f"-{role}-api-")
        assert permission.inputs["qualifier"] == "live"
        assert permission.inputs["sourceArn"] == (
            f"arn:aws:execute-api:{region}:{ACCOUNT}:tap-dev-{role}-api-rest/live/*/*")
