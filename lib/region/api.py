"""The REST API of one region: the only thing in the stack that the internet reaches."""
import hashlib
import json
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from contract import ALIAS, RESPONSE_HEADERS
from lib import policies
from lib.component import Component
from lib.names import Names
from lib.region.function import PAYMENTS, VpcFunction
from lib.settings import ApiSettings, Profile

STAGE = "live"
INTEGRATION_TIMEOUT_MS = 5000
# A flood of requests without a key must not make a region look dead to Route 53's health checks.
KEYLESS_RATE, KEYLESS_BURST = 2000, 4000


@dataclass(frozen=True)
class Route:
    """A method on a path (`/payment/{payment_id}`), and whether a caller needs an API key."""

    method: str
    path: str
    key_required: bool = True


def routes(document: dict[str, Any]) -> Iterator[Route]:
    """What an OpenAPI document describes; an operation needs a key unless its own security says otherwise."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield Route(method.upper(), path, key_required=bool(operation.get("security", document["security"])))


# Route 53's health checks cannot send a key, so the routes that they call need none.
DOCUMENT = json.loads((PAYMENTS / "openapi.json").read_text(encoding="utf-8"))
ROUTES = tuple(routes(DOCUMENT))
OWN_ANSWER = '{"message":$context.error.messageString}'
ACCESS_LOG = json.dumps({
    "request_id": "$context.requestId", "route": "$context.resourcePath", "method": "$context.httpMethod",
    "status": "$context.status", "latency_ms": "$context.responseLatency", "time": "$context.requestTime",
    "integration_error": "$context.integrationErrorMessage", "api_key_id": "$context.identity.apiKeyId",
    "error": "$context.error.responseType", "source": "$context.identity.sourceIp",
    "agent": "$context.identity.userAgent"})


class RestApi(Component, type_name="Api"):
    """A regional REST API in front of the payments function.

    Creates the routes, one stage with access log and throttling, a usage plan, and an API key whose value is the same
    in both regions, because DNS moves a client between them.
    """

    def __init__(self, name: str, *, names: Names, api: ApiSettings, profile: Profile, function: VpcFunction,
                 key_arn: pulumi.Input[str], api_key_value: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        self._names = names
        self.rest = aws.apigateway.RestApi(
            f"{name}-rest", name=names.api, description="Payments", opts=self.opts(),
            endpoint_configuration={"types": "REGIONAL"}, security_policy="TLS_1_2")
        integrations = [*self._routes(), *self._own_answers()]
        aws.lambda_.Permission(f"{name}-invoke", action="lambda:InvokeFunction", function=function.function.name,
                               qualifier=ALIAS, principal="apigateway.amazonaws.com",
                               source_arn=pulumi.Output.concat(self.rest.execution_arn, f"/{STAGE}/*/*"),
                               opts=self.opts(depends_on=[function.alias]))
        self.stage = self._stage(integrations, self._account(api, key_arn), profile, key_arn)
        self._limits(api)
        self._untraced()
        self.plan = aws.apigateway.UsagePlan(
            f"{name}-plan", name=names.api, api_stages=[{"api_id": self.rest.id, "stage": self.stage.stage_name}],
            throttle_settings={"rate_limit": api.rate_limit, "burst_limit": api.burst_limit}, opts=self.opts())
        self.key = aws.apigateway.ApiKey(f"{name}-key", name=names.api, value=api_key_value, opts=self.opts())
        aws.apigateway.UsagePlanKey(f"{name}-plan-key", key_id=self.key.id, key_type="API_KEY",
                                    usage_plan_id=self.plan.id, opts=self.opts())
        self.register_outputs({"url": self.stage.invoke_url})

    def _routes(self) -> list[pulumi.Resource]:
        """Create a resource for each path, and a method and an integration for each route. Returns the integrations."""
        names = self._names
        # The ARN is composed, so that the API need not wait until the function's alias exists.
        alias = names.arn("lambda", f"function:{names.function}:{ALIAS}")
        uri = f"arn:aws:apigateway:{names.region}:lambda:path/2015-03-31/functions/{alias}/invocations"
        parents: dict[str, pulumi.Input[str]] = {"": self.rest.root_resource_id}
        integrations: list[pulumi.Resource] = []
        for route in ROUTES:
            path = ""
            for part in route.path.strip("/").split("/"):
                above, path = path, f"{path}/{part}"
                if path not in parents:
                    parents[path] = aws.apigateway.Resource(
                        f"{self.name}{path.translate(_PLAIN)}", rest_api=self.rest.id, parent_id=parents[above],
                        path_part=part, opts=self.opts()).id
            label = f"{self.name}-{route.method.lower()}{path.translate(_PLAIN)}"
            method = aws.apigateway.Method(
                f"{label}-method", rest_api=self.rest.id, resource_id=parents[path], http_method=route.method,
                authorization="NONE", api_key_required=route.key_required, opts=self.opts())
            integrations.append(aws.apigateway.Integration(
                f"{label}-integration", rest_api=self.rest.id, resource_id=parents[path],
                http_method=method.http_method, type="AWS_PROXY", integration_http_method="POST",
                uri=uri, timeout_milliseconds=INTEGRATION_TIMEOUT_MS, opts=self.opts()))
        return integrations

    def _own_answers(self) -> list[pulumi.Resource]:
        """What API Gateway answers itself has the headers that the function's answers have.

        The template is its own: it reads back as that where none is given.
        """
        headers = {f"gatewayresponse.header.{name}": f"'{value}'" for name, value in RESPONSE_HEADERS.items()}
        return [aws.apigateway.Response(
            f"{self.name}-{kind.lower().replace('_', '-')}", rest_api_id=self.rest.id, response_type=kind,
            response_parameters=headers, response_templates={"application/json": OWN_ANSWER},
            opts=self.opts()) for kind in ("DEFAULT_4XX", "DEFAULT_5XX")]

    def _limits(self, api: ApiSettings) -> None:
        """Limit the requests to the configured rates; routes that need no key have higher ones, and no metrics.

        CloudWatch charges for the metrics of each method, and health checks have their own.
        """
        limits = {"*/*": (api.rate_limit, api.burst_limit)} | {
            f"{route.path.strip('/')}/{route.method}": (KEYLESS_RATE, KEYLESS_BURST)
            for route in ROUTES if not route.key_required}
        for path, (rate, burst) in limits.items():
            label = path.strip("*/").replace("/", "-").lower() or "all"
            aws.apigateway.MethodSettings(
                f"{self.name}-limits-{label}", rest_api=self.rest.id, stage_name=self.stage.stage_name,
                method_path=path, opts=self.opts(),
                settings={"throttling_rate_limit": rate, "throttling_burst_limit": burst,
                          "metrics_enabled": path == "*/*", "logging_level": "OFF", "data_trace_enabled": False})

    def _untraced(self) -> None:
        """Keep health checks out of the traces: they would fill what X-Ray samples each second.

        https://docs.aws.amazon.com/xray/latest/devguide/xray-console-sampling.html
        """
        for path in sorted({route.path for route in ROUTES if not route.key_required}):
            label = path.strip("/")
            aws.xray.SamplingRule(
                f"{self.name}-untraced-{label}", rule_name=f"{self._names.untraced}-{label}", version=1, priority=100,
                service_type="AWS::ApiGateway::Stage", service_name=f"{self._names.api}/{STAGE}", resource_arn="*",
                host="*", http_method="*", url_path=f"*{path}*", reservoir_size=0, fixed_rate=0, opts=self.opts())

    def _account(self, api: ApiSettings, key_arn: pulumi.Input[str]) -> list[pulumi.Resource]:
        """The role by which API Gateway writes logs: one for each account and region.

        It serves every API there, so another stack may own it, and it is not bound to this stack's log group.
        """
        names = self._names
        if not api.manage_account:
            return []
        role = aws.iam.Role(f"{self.name}-log-role", name=names.api_logs_role,
                            assume_role_policy=policies.trust("apigateway", names.account), opts=self.opts())
        grant = aws.iam.RolePolicy(
            f"{self.name}-log-policy", role=role.id, name="write", opts=self.opts(), policy=policies.document(
                policies.allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogGroups",
                                "logs:DescribeLogStreams", "logs:PutLogEvents", "logs:GetLogEvents",
                                "logs:FilterLogEvents"], names.arn("logs", "*")),
                policies.key_use(key_arn, [f"logs.{names.region}"])))
        return [aws.apigateway.Account(f"{self.name}-account", cloudwatch_role_arn=role.arn,
                                       opts=self.opts(depends_on=[grant]))]

    def _stage(self, integrations: list[pulumi.Resource], account: list[pulumi.Resource], profile: Profile,
               key_arn: pulumi.Input[str]) -> aws.apigateway.Stage:
        live = [INTEGRATION_TIMEOUT_MS, RESPONSE_HEADERS, OWN_ANSWER, *(astuple(route) for route in ROUTES)]
        routes = hashlib.sha256(repr(live).encode()).hexdigest()
        # The stage keeps using its deployment, so the next one must exist before the old one is deleted.
        deployment = aws.apigateway.Deployment(
            f"{self.name}-deployment", rest_api=self.rest.id, triggers={"routes": routes},
            opts=self.opts(depends_on=integrations, delete_before_replace=False))
        logs = aws.cloudwatch.LogGroup(f"{self.name}-logs", name=self._names.api_logs, kms_key_id=key_arn,
                                       retention_in_days=profile.log_retention_days, opts=self.opts())
        return aws.apigateway.Stage(
            f"{self.name}-stage", rest_api=self.rest.id, deployment=deployment.id, stage_name=STAGE,
            access_log_settings={"destination_arn": logs.arn, "format": ACCESS_LOG}, xray_tracing_enabled=True,
            opts=self.opts(depends_on=account))


_PLAIN = str.maketrans({"/": "-", "{": None, "}": None, "_": "-"})
