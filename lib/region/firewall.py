"""AWS WAF in front of a region's API: a limit for each address, and AWS's own rules."""
from typing import Any

import pulumi
import pulumi_aws as aws

from lib.component import Component
from lib.names import Names
from lib.settings import ApiSettings, Profile

WINDOW = 300  # seconds over which requests are counted
LEAST = 1000  # requests of an address: a checker of Route 53 sends 60, with both of its checks every 10 s
TOO_MANY = 429


def limit(api: ApiSettings) -> int:
    """The requests of one address in a window: those that one client may send, and never too few for a checker."""
    return max(LEAST, api.rate_limit * WINDOW)


class Firewall(Component, type_name="Firewall"):
    """A web ACL of the API's stage, for which everybody is the same, and a log of what it has blocked.

    A checker has a user agent and sends neither a body nor a query, so AWS's common rules have nothing against it.
    The log has neither paths nor credentials.

    https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html
    """

    def __init__(self, name: str, *, names: Names, api: ApiSettings, profile: Profile, key_arn: pulumi.Input[str],
                 stage: aws.apigateway.Stage, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        rules: list[Any] = [
            {"name": "rate", "priority": 0, "visibility_config": _visible("rate"),
             "action": {"block": {"custom_response": {"response_code": TOO_MANY}}},
             "statement": {"rate_based_statement": {
                 "limit": limit(api), "aggregate_key_type": "IP", "evaluation_window_sec": WINDOW}}},
            {"name": "common", "priority": 1, "visibility_config": _visible("common"),
             "override_action": {"none": {}}, "statement": {"managed_rule_group_statement": {
                 "vendor_name": "AWS", "name": "AWSManagedRulesCommonRuleSet"}}}]
        acl = aws.wafv2.WebAcl(
            f"{name}-acl", name=names.api, scope="REGIONAL", rules=rules, visibility_config=_visible(names.api),
            default_action=aws.wafv2.WebAclDefaultActionArgs(allow=aws.wafv2.WebAclDefaultActionAllowArgs()),
            opts=self.opts())
        aws.wafv2.WebAclAssociation(f"{name}-stage", web_acl_arn=acl.arn, resource_arn=stage.arn, opts=self.opts())
        logs = aws.cloudwatch.LogGroup(f"{name}-logs", name=names.firewall_logs, kms_key_id=key_arn,
                                       retention_in_days=profile.log_retention_days, opts=self.opts())
        hidden: list[Any] = [{"uri_path": {}}, {"single_header": {"name": "x-api-key"}},
                             {"single_header": {"name": "authorization"}}]
        aws.wafv2.WebAclLoggingConfiguration(
            f"{name}-logging", resource_arn=acl.arn, log_destination_configs=[logs.arn], redacted_fields=hidden,
            opts=self.opts(), logging_filter={"default_behavior": "DROP", "filters": [{
                "behavior": "KEEP", "requirement": "MEETS_ANY",
                "conditions": [{"action_condition": {"action": "BLOCK"}}]}]})
        self.register_outputs({})


def _visible(metric: str) -> Any:
    """Metrics, and no samples: they would show the paths of requests."""
    return {"cloudwatch_metrics_enabled": True, "metric_name": metric, "sampled_requests_enabled": False}
