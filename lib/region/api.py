"""The REST API of one region: the only thing in the stack that the internet reaches."""
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from contract import ALIAS, DEFAULT_CLIENT, HEALTH_PATH, LEVER_PATH, RESPONSE_HEADERS
from lib import policies
from lib.component import Component
from lib.names import Names
from lib.region.check_routes import CheckRoutes, lever_role
from lib.region.function import PAYMENTS, VpcFunction
from lib.settings import ApiSettings, ClientKey, Profile

STAGE = "live"
INTEGRATION_TIMEOUT_MS = 5000


@dataclass(frozen=True)
class Route:
    """A method on a path (`/payment/{payment_id}`)."""

    method: str
    path: str


def routes(document: dict[str, Any]) -> Iterator[Route]:
    """What an OpenAPI document describes."""
    for path, operations in document["paths"].items():
        for method in operations:
            yield Route(method.upper(), path)


DOCUMENT = json.loads((PAYMENTS / "openapi.json").read_text(encoding="utf-8"))
ROUTES = tuple(routes(DOCUMENT))
OWN_ANSWER = '{"message":$context.error.messageString}'
# No path: that of a health check has a secret. The resource's id stands for it. A client writes its agent as it likes,
# and AWS does not say that quotes in it are escaped: so it comes first, and of two fields of a name the last counts.
ACCESS_LOG = json.dumps({
    "agent": "$context.identity.userAgent", "request_id": "$context.requestId", "resource_id": "$context.resourceId",
    "method": "$context.httpMethod", "status": "$context.status", "latency_ms": "$context.responseLatency",
    "time": "$context.requestTime", "integration_error": "$context.integrationErrorMessage",
    "api_key_id": "$context.identity.apiKeyId", "error": "$context.error.responseType",
    "source": "$context.identity.sourceIp"})


class RestApi(Component, type_name="Api"):
    """A regional REST API in front of the payments function.

    Creates the clients' routes, which need an API key and perhaps a signature, and those of health checks, one stage
    with access log and throttling, and for each client a usage plan and API keys, whose values are the same in both
    regions, because DNS moves a client between them. `segments` are the secret path segments of health checks that are
    served, by their numbers, the last one is asked. A rotation changes one of two resources, since a deployment of the
    API still has what is deleted after it.
    """

    def __init__(self, name: str, *, names: Names, api: ApiSettings, profile: Profile, function: VpcFunction,
                 key_arn: pulumi.Input[str], api_keys: Mapping[ClientKey, pulumi.Input[str]],
                 segments: Mapping[int, pulumi.Input[str]], opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        self._names, self._served, self._authorization = names, [*segments], api.authorization
        self.rest = aws.apigateway.RestApi(
            f"{name}-rest", name=names.api, description="Payments", opts=self.opts(),
            endpoint_configuration={"types": "REGIONAL"}, security_policy="TLS_1_2")
        # The ARN is composed, so that the API need not wait until the function's alias exists.
        alias = names.arn("lambda", f"function:{names.function}:{ALIAS}")
        uri = f"arn:aws:apigateway:{names.region}:lambda:path/2015-03-31/functions/{alias}/invocations"
        role = lever_role(self, names, key_arn)
        self.checks = [CheckRoutes(
            f"{name}-checks-{'odd' if number % 2 else 'even'}", segment=segment, rest=self.rest, names=names,
            function_uri=uri, role=role, opts=pulumi.ResourceOptions(parent=self))
            for number, segment in segments.items()]
        answers = [*self._routes(uri), *self._own_answers(), *(each for made in self.checks for each in made.answers)]
        aws.lambda_.Permission(f"{name}-invoke", action="lambda:InvokeFunction", function=function.function.name,
                               qualifier=ALIAS, principal="apigateway.amazonaws.com",
                               source_arn=pulumi.Output.concat(self.rest.execution_arn, f"/{STAGE}/*/*"),
                               opts=self.opts(depends_on=[function.alias]))
        self.stage = self._stage(answers, self._account(api, key_arn), profile, key_arn)
        self._limits(api)
        for each in self.checks:
            each.limit(self.stage)
        self._untraced()
        self.plans = {client: self._plan(client, api) for client in api.clients}
        self.keys = {key: self._key(key, value) for key, value in api_keys.items()}
        self.register_outputs({"url": self.stage.invoke_url})

    def _routes(self, uri: str) -> list[pulumi.Resource]:
        """Create a resource for each path, and a method and an integration for each route. Returns the integrations."""
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
                authorization=self._authorization, api_key_required=True, opts=self.opts())
            integrations.append(aws.apigateway.Integration(
                f"{label}-integration", rest_api=self.rest.id, resource_id=parents[path],
                http_method=method.http_method, type="AWS_PROXY", integration_http_method="POST",
                uri=uri, timeout_milliseconds=INTEGRATION_TIMEOUT_MS, opts=self.opts()))
        return integrations

    def _own_answers(self) -> list[pulumi.Resource]:
        """Give API Gateway's own answers the same headers as the function's.

        The template is API Gateway's default, with which an answer without a template reads back.
        """
        headers = {f"gatewayresponse.header.{name}": f"'{value}'" for name, value in RESPONSE_HEADERS.items()}
        return [aws.apigateway.Response(
            f"{self.name}-{kind.lower().replace('_', '-')}", rest_api_id=self.rest.id, response_type=kind,
            response_parameters=headers, response_templates={"application/json": OWN_ANSWER},
            opts=self.opts()) for kind in ("DEFAULT_4XX", "DEFAULT_5XX")]

    def _plan(self, client: str, api: ApiSettings) -> aws.apigateway.UsagePlan:
        """The usage plan of a client. It limits each key, and a client has two keys only during a rotation."""
        label = "" if client == DEFAULT_CLIENT else f"-{client}"
        return aws.apigateway.UsagePlan(
            f"{self.name}-plan{label}", name=f"{self._names.api}{label}", opts=self.opts(),
            api_stages=[{"api_id": self.rest.id, "stage": self.stage.stage_name}],
            throttle_settings={"rate_limit": api.rate_limit, "burst_limit": api.burst_limit})

    def _key(self, key: ClientKey, value: pulumi.Input[str]) -> aws.apigateway.ApiKey:
        """One of a client's keys, in its plan."""
        made = aws.apigateway.ApiKey(f"{self.name}-key{key.label}", name=f"{self._names.api}{key.label}", value=value,
                                     opts=self.opts())
        aws.apigateway.UsagePlanKey(f"{self.name}-plan-key{key.label}", key_id=made.id, key_type="API_KEY",
                                    usage_plan_id=self.plans[key.client].id, opts=self.opts())
        return made

    def _limits(self, api: ApiSettings) -> None:
        """Limit the requests of all clients together; the routes of health checks have limits of their own."""
        many = len(api.clients)
        aws.apigateway.MethodSettings(
            f"{self.name}-limits-all", rest_api=self.rest.id, stage_name=self.stage.stage_name, method_path="*/*",
            settings={"throttling_rate_limit": api.rate_limit * many, "throttling_burst_limit": api.burst_limit * many,
                      "metrics_enabled": True, "logging_level": "OFF", "data_trace_enabled": False}, opts=self.opts())

    def _untraced(self) -> None:
        """Keep health checks out of the traces: they would fill what X-Ray samples each second.

        https://docs.aws.amazon.com/xray/latest/devguide/xray-console-sampling.html
        """
        for path in (HEALTH_PATH, LEVER_PATH):
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
        role, grant = self.role(
            "-log", names.api_logs_role, policies.trust("apigateway", names.account), "write",
            policies.allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogGroups",
                            "logs:DescribeLogStreams", "logs:PutLogEvents", "logs:GetLogEvents",
                            "logs:FilterLogEvents"], names.arn("logs", "*")),
            policies.key_use(key_arn, [f"logs.{names.region}"]))
        return [aws.apigateway.Account(f"{self.name}-account", cloudwatch_role_arn=role.arn,
                                       opts=self.opts(depends_on=[grant]))]

    def _stage(self, answers: list[pulumi.Resource], account: list[pulumi.Resource], profile: Profile,
               key_arn: pulumi.Input[str]) -> aws.apigateway.Stage:
        live = [INTEGRATION_TIMEOUT_MS, RESPONSE_HEADERS, OWN_ANSWER, self._authorization, self._served,
                *(astuple(route) for route in ROUTES)]
        routes = hashlib.sha256(repr(live).encode()).hexdigest()
        # The stage keeps using its deployment, so the next one must exist before the old one is deleted.
        deployment = aws.apigateway.Deployment(
            f"{self.name}-deployment", rest_api=self.rest.id, triggers={"routes": routes},
            opts=self.opts(depends_on=answers, delete_before_replace=False))
        logs = aws.cloudwatch.LogGroup(f"{self.name}-logs", name=self._names.api_logs, kms_key_id=key_arn,
                                       retention_in_days=profile.log_retention_days, opts=self.opts())
        return aws.apigateway.Stage(
            f"{self.name}-stage", rest_api=self.rest.id, deployment=deployment.id, stage_name=STAGE,
            access_log_settings={"destination_arn": logs.arn, "format": ACCESS_LOG}, xray_tracing_enabled=True,
            opts=self.opts(depends_on=account))


_PLAIN = str.maketrans({"/": "-", "{": None, "}": None, "_": "-"})
