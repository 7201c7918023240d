"""AWS WAF in front of the APIs: on in prod, the same for everybody, and never in the way of a health check."""
import pytest

from contract import ROLES
from lib.region import firewall
from lib.settings import ApiSettings
from tests.unit.lib.conftest import recording
from tests.unit.lib.recorder import Recording


def test_it_is_in_front_of_both_apis_in_prod_and_off_in_dev(prod: Recording, dev: Recording) -> None:
    # An API has one web ACL at most, of its own region and of regional scope:
    # https://docs.aws.amazon.com/waf/latest/developerguide/web-acl-associating-aws-resource.html
    assert "WebAcl" not in {r.kind for r in dev.custom}
    acls = {prod.region(r): r for r in prod.of("WebAcl")}
    assert {prod.outputs[f"{role}_region"] for role in ROLES} == acls.keys()
    stages = {prod.region(r): prod.arn(r) for r in prod.of("Stage")}
    for each in prod.of("WebAclAssociation"):
        region = prod.region(each)
        assert (each.inputs["webAclArn"], each.inputs["resourceArn"]) == (prod.arn(acls[region]), stages[region])


def test_an_address_has_a_limit_and_nobody_is_exempt(prod: Recording) -> None:
    # https://docs.aws.amazon.com/waf/latest/APIReference/API_Rule.html: one rule has an action, a group an override.
    for acl in prod.of("WebAcl"):
        assert (acl.inputs["scope"], acl.inputs["defaultAction"]) == ("REGIONAL", {"allow": {}})
        rate, common = acl.inputs["rules"]
        assert rate["statement"]["rateBasedStatement"] == {
            "limit": 3_000, "aggregateKeyType": "IP", "evaluationWindowSec": 300}
        assert rate["action"] == {"block": {"customResponse": {"responseCode": 429}}}
        assert common["statement"]["managedRuleGroupStatement"] == {
            "vendorName": "AWS", "name": "AWSManagedRulesCommonRuleSet"}
        assert common["overrideAction"] == {"none": {}}
        assert [each["priority"] for each in (rate, common)] == [0, 1]


@pytest.mark.parametrize("rate", [1, 100, 1_000_000])
def test_the_limit_of_an_address_is_one_that_aws_waf_takes(rate: int) -> None:
    # https://docs.aws.amazon.com/waf/latest/APIReference/API_RateBasedStatement.html
    api = ApiSettings(clients={}, authorization="NONE", rate_limit=rate, burst_limit=rate, firewall=True,
                      manage_account=True)
    assert 10 <= firewall.limit(api) <= 2_000_000_000
    assert firewall.WINDOW in (60, 120, 300, 600)


@pytest.mark.parametrize("case", ["prod", "prod-released-domain-zone-europe"])
def test_all_checkers_together_stay_below_the_limit_of_one_address(case: str) -> None:
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
    program = recording(case)
    checks = [r.inputs for r in program.of("HealthCheck") if r.inputs["type"] == "HTTPS"]
    for host in {check["fqdn"] for check in checks}:
        asked = sum(16 * firewall.WINDOW / check["requestInterval"] for check in checks if check["fqdn"] == host)
        assert asked <= firewall.LEAST


def test_its_log_has_what_was_blocked_without_paths_and_credentials(prod: Recording) -> None:
    groups = {prod.arn(r): r.inputs["name"] for r in prod.of("LogGroup")}
    for each in prod.of("WebAclLoggingConfiguration"):
        # https://docs.aws.amazon.com/waf/latest/developerguide/logging-cw-logs.html
        assert [groups[arn].startswith("aws-waf-logs-") for arn in each.inputs["logDestinationConfigs"]] == [True]
        assert each.inputs["redactedFields"] == [
            {"uriPath": {}}, {"singleHeader": {"name": "x-api-key"}}, {"singleHeader": {"name": "authorization"}}]
        assert each.inputs["loggingFilter"]["defaultBehavior"] == "DROP"
    for acl in prod.of("WebAcl"):
        shown = [acl.inputs["visibilityConfig"], *(rule["visibilityConfig"] for rule in acl.inputs["rules"])]
        assert not any(each["sampledRequestsEnabled"] for each in shown)
