"""The API of a region."""
import json
from collections import defaultdict
from fnmatch import fnmatch

from contract import API_KEY_LENGTH, HEALTH_PATH, LEVER_PATH
from tests.unit.lib.conftest import CASES, recording
from tests.unit.lib.recorder import ACCOUNT, SECRET, Recording, Resource


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


def test_no_agent_forges_another_field_of_its_line_in_the_access_log(deployed: Recording) -> None:
    # Quotes in it were not escaped: https://github.com/DataBiosphere/azul/issues/4348
    for stage in deployed.of("Stage"):
        line = str(stage.inputs["accessLogSettings"]["format"]).replace("$context.identity.userAgent", '","source": "x')
        assert json.loads(line)["source"] == "$context.identity.sourceIp"


def test_each_key_has_one_value_in_both_regions_and_another_than_other_keys(prod: Recording) -> None:
    made = defaultdict[str, list[Resource]](list)
    for key in prod.of("ApiKey"):
        made[key.inputs["name"]].append(key)
    secrets = [{urn for key in keys for urn in key.property_dependencies if "RandomPassword" in urn}
               for keys in made.values()]
    assert [len(each) for each in secrets] == [1] * 5
    assert len(set().union(*secrets)) == 5
    # The payments function knows a client by what its key begins with.
    owners = {"": "", "-default-2": "", "-shop-3": "shop", "-shop-4": "shop", "-kiosk-1": "kiosk"}
    assert {key.inputs["name"]: key.inputs["value"]["value"] for key in prod.of("ApiKey")} == {
        f"tapstack-payments-dev{label}": f"{owner}{SECRET}" for label, owner in owners.items()}
    assert {r.inputs["length"] for r in prod.of("RandomPassword") if "-api-key" in r.name} == {API_KEY_LENGTH}
    assert all({prod.region(key) for key in keys} == {"us-east-1", "us-west-2"} for keys in made.values())


def test_each_client_has_a_plan_with_its_keys_and_no_others(prod: Recording) -> None:
    plans = {f"{r.name}-id": r.inputs for r in prod.of("UsagePlan")}
    keys = {f"{r.name}-id": r.inputs["name"] for r in prod.of("ApiKey")}
    found = sorted((plans[r.inputs["usagePlanId"]]["name"], keys[r.inputs["keyId"]]) for r in prod.of("UsagePlanKey"))
    api = "tapstack-payments-dev"
    assert found == sorted(2 * [(api, api), (api, f"{api}-default-2"), (f"{api}-shop", f"{api}-shop-3"),
                                (f"{api}-shop", f"{api}-shop-4"), (f"{api}-kiosk", f"{api}-kiosk-1")])
    assert {(plan["throttleSettings"]["rateLimit"], plan["throttleSettings"]["burstLimit"])
            for plan in plans.values()} == {(10, 20)}
    # One client cannot take from another what its own plan promises.
    together = {(r.inputs["settings"]["throttlingRateLimit"], r.inputs["settings"]["throttlingBurstLimit"])
                for r in prod.of("MethodSettings") if r.inputs["methodPath"] == "*/*"}
    assert together == {(30, 60)}


def test_with_iam_clients_sign_and_health_checks_need_neither_signature_nor_key(dev: Recording) -> None:
    signed = recording("prod-released-domain-zone-europe")
    for program, wanted in ((dev, "NONE"), (signed, "AWS_IAM")):
        asked = {(r.inputs["authorization"], r.inputs["apiKeyRequired"]) for r in program.of("Method")}
        assert asked == {(wanted, True), ("NONE", False)}
        assert len([r for r in program.of("Method") if r.inputs["apiKeyRequired"]]) == 4


def test_an_api_is_deployed_again_when_its_authorization_or_the_served_paths_change_and_only_then() -> None:
    # Otherwise the stage would go on serving methods without it.
    found = defaultdict[tuple[str, str], set[str]](set)
    for case, config in CASES.items():
        found[config.get("apiAuthorization", "apiKey"), config.get("checkPath", "1")].update(
            r.inputs["triggers"]["routes"] for r in recording(case).of("Deployment"))
    assert len(found) == 3
    assert len(CASES) > len(found)  # so two of them have the same routes
    assert [len(each) for each in found.values()] == [1] * 3
    assert len(set().union(*found.values())) == 3


def test_a_stack_with_one_client_keeps_its_key_and_a_rotated_one_shows_the_newest(
        dev: Recording, prod: Recording) -> None:
    assert {r.name.rpartition("-api-")[2] for r in dev.of("ApiKey", "UsagePlan", "UsagePlanKey")} == {
        "key", "plan", "plan-key"}
    assert [r.name for r in dev.of("RandomPassword") if "-api-key" in r.name] == ["tap-dev-foundation-api-key"]
    for role in ("primary", "dr"):
        assert dev.outputs[f"{role}_client_api_key_ids"] == {"default-1": dev.outputs[f"{role}_api_key_id"]}
    assert prod.outputs["dr_api_key_id"] == prod.outputs["dr_client_api_key_ids"]["default-2"]


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
        # Also for the liveness of a region: without the function it could not take traffic.
        integrations = [r for r in dev.of("Integration") if f"-{role}-" in r.name and "takeover" not in r.name]
        ((uri, kind),) = {(r.inputs["uri"], r.inputs["type"]) for r in integrations}
        assert kind == "AWS_PROXY"
        region = dev.outputs[f"{role}_region"]
        assert f":lambda:{region}:{ACCOUNT}:function:tapstack-payments-dev:live/" in uri
        permission = dev.one("Permission", f"-{role}-api-")
        assert permission.inputs["qualifier"] == "live"
        assert permission.inputs["sourceArn"] == (
            f"arn:aws:execute-api:{region}:{ACCOUNT}:tap-dev-{role}-api-rest/live/*/*")
