"""What Route 53's checkers ask: behind a secret segment of the path, which is rotated without a failed check."""
import json

import pytest

from contract import RESPONSE_HEADERS, ROLES
from tests.unit.lib.recorder import SECRET, Recording


@pytest.fixture
def before(dev: Recording) -> Recording:
    """The program before a rotation."""
    return dev


@pytest.fixture
def rotated(prod: Recording) -> Recording:
    """The program after a rotation, in the same regions."""
    return prod


def secrets(program: Recording) -> dict[str, str]:
    """The secret of each resource that is a segment of a path, by the URN of the resource."""
    return {r.urn: secret.removesuffix("-check-path").rpartition("-")[2] for r in program.of("Resource")
            if r.name.endswith("-segment") for secret in r.property_dependencies if "RandomPassword" in secret}


@pytest.mark.parametrize("role", ROLES)
def test_only_what_has_a_secret_segment_needs_no_key(before: Recording, role: str) -> None:
    resources = {f"{r.name}-id": r for r in before.of("Resource") if f"-{role}-" in r.name}
    keyless = [r.inputs for r in before.of("Method") if f"-{role}-" in r.name and not r.inputs["apiKeyRequired"]]
    leaves = [resources[method["resourceId"]].inputs for method in keyless]
    assert sorted(leaf["pathPart"] for leaf in leaves) == ["health"] * 2 + ["takeover"] * 2
    assert {method["httpMethod"] for method in keyless} == {"GET"}
    assert {resources[leaf["parentId"]].urn for leaf in leaves} == {
        urn for urn in secrets(before) if f"-{role}-" in urn}


def test_a_rotation_serves_the_old_path_and_a_new_one_in_place_of_the_one_before(
        before: Recording, rotated: Recording) -> None:
    # In place, because a deployment of the API keeps what is deleted after it.
    assert {urn.rpartition("-checks-")[2]: number for urn, number in secrets(before).items()} == {
        "even-segment": "0", "odd-segment": "1"}
    assert {urn.rpartition("-checks-")[2]: number for urn, number in secrets(rotated).items()} == {
        "even-segment": "2", "odd-segment": "1"}
    assert len(secrets(before)) == len(secrets(rotated)) == 2 * len(ROLES)
    routes = [{r.urn for r in each.of("Resource", "Method", "Integration", "IntegrationResponse")}
              for each in (before, rotated)]
    assert routes[0] == routes[1]
    for each in rotated.of("Deployment"):
        assert secrets(rotated).keys() & rotated.waits_transitively(each)


def test_checkers_ask_the_newest_path_once_it_is_served_and_controllers_do_too(rotated: Recording) -> None:
    secret = rotated.one("RandomPassword", "-2-check-path")
    stages = {r.urn for r in rotated.of("Stage")}
    checks = [r for r in rotated.of("HealthCheck") if r.inputs["type"] == "HTTPS"]
    assert len(checks) == 4
    for check in checks:
        assert secret.urn in check.property_dependencies
        assert check.dependencies & stages
    kept = [r for r in rotated.of("BucketObjectv2") if r.inputs["key"] == "check-path"]
    assert {rotated.region(r) for r in kept} == {rotated.region(r) for r in rotated.of("Stage")}
    for each in kept:
        assert secret.urn in each.property_dependencies
        assert stages <= each.dependencies
        assert each.inputs["content"] == SECRET


def test_the_secret_is_in_no_log_no_output_no_variable_and_no_name(rotated: Recording) -> None:
    assert SECRET not in json.dumps(rotated.outputs)
    (log,) = {r.inputs["accessLogSettings"]["format"] for r in rotated.of("Stage")}
    assert "path" not in log.lower()
    for kind in ("Function", "SamplingRule", "MetricAlarm", "Dashboard"):
        assert not [r.urn for r in rotated.of(kind) if SECRET in str(r.inputs)]
    assert not [r.urn for r in rotated if SECRET in r.urn or SECRET in str(r.inputs.get("tags"))]


def test_health_checks_have_limits_of_their_own(rotated: Recording) -> None:
    found = [r.inputs for r in rotated.of("MethodSettings") if r.inputs["methodPath"] != "*/*"]
    assert {each["methodPath"] for each in found} == {f"~1{SECRET}~1{leaf}/GET" for leaf in ("health", "takeover")}
    assert len(found) == len(ROLES) * 2 * 2
    for each in found:
        assert (each["settings"]["throttlingRateLimit"], each["settings"]["metricsEnabled"]) == (100, False)


@pytest.mark.parametrize("role", ROLES)
def test_the_lever_is_shown_by_s3_alone(dev: Recording, role: str) -> None:
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/integrating-api-with-aws-services-s3.html
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-integration-settings-integration-response.html
    region = dev.outputs[f"{role}_region"]
    bucket = f"tapstack-control-dev-{region}-123456789012"
    for slot in ("odd", "even"):
        lever = dev.one("Integration", f"-{role}-api-checks-{slot}-takeover").inputs
        assert (lever["type"], lever["integrationHttpMethod"], lever["uri"]) == (
            "AWS", "HEAD", f"arn:aws:apigateway:{region}:s3:path/{bucket}/takeover")
        answers = [r.inputs for r in dev.of("IntegrationResponse") if f"-{role}-api-checks-{slot}-" in r.name]
        shown = {each["selectionPattern"]: json.loads(each["responseTemplates"]["application/json"])
                 for each in answers}
        # Without an answer for it, API Gateway makes an error of what else S3 says: then no lever is pulled.
        assert shown == {"200": {"takeover": True}, "404": {"takeover": False}}
        for each in answers:
            assert each["statusCode"] == each["selectionPattern"]
            assert each["responseParameters"] == {
                f"method.response.header.{name}": f"'{value}'" for name, value in RESPONSE_HEADERS.items()}
