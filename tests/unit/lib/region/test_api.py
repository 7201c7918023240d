"""The API of a region."""
from fnmatch import fnmatch

from contract import HEALTH_PATH, LEVER_PATH
from tests.unit.lib.recorder import ACCOUNT, SECRET, Recording


def test_clients_have_one_limit_and_the_only_metrics(dev: Recording) -> None:
    settings = [each.inputs["settings"] for each in dev.of("MethodSettings") if each.inputs["methodPath"] == "*/*"]
    assert [(each["throttlingRateLimit"], each["metricsEnabled"]) for each in settings] == [(100, True)] * 2


def test_health_checks_are_not_traced(deployed: Recording) -> None:
    for region in {deployed.region(stage) for stage in deployed.of("Stage")}:
        rules = [r.inputs for r in deployed.of("SamplingRule") if deployed.region(r) == region]
        (api,) = (r.inputs["name"] for r in deployed.of("RestApi") if deployed.region(r) == region)
        for path in (f"/{SECRET}{HEALTH_PATH}", f"/{SECRET}{LEVER_PATH}"):
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
        answers = {r.urn for r in dev.of("Integration", "IntegrationResponse")
                   if dev.region(r) == dev.region(deployment)}
        assert len(answers) == 2 + 2 * 4
        assert answers <= deployment.dependencies


def test_the_function_is_called_through_its_alias_only(dev: Recording) -> None:
    for role in ("primary", "dr"):
        integrations = [r for r in dev.of("Integration") if f"-{role}-" in r.name and r.inputs["type"] == "AWS_PROXY"]
        (uri,) = {r.inputs["uri"] for r in integrations}
        region = dev.outputs[f"{role}_region"]
        assert f":lambda:{region}:{ACCOUNT}:function:tapstack-payments-dev:live/" in uri
        permission = dev.one("Permission", f"-{role}-api-")
        assert permission.inputs["qualifier"] == "live"
        assert permission.inputs["sourceArn"] == (
            f"arn:aws:execute-api:{region}:{ACCOUNT}:tap-dev-{role}-api-rest/live/*/*")
