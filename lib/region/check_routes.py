"""The routes that Route 53's checkers and the controllers call: does a region answer, and is its lever pulled?"""
import json
from typing import Any

import pulumi
import pulumi_aws as aws

from contract import HEALTH_PATH, LEVER_KEY, LEVER_PATH, RESPONSE_HEADERS
from lib import policies
from lib.component import Component
from lib.names import Names

# For the checkers of five stacks; whoever learns the path holds no more executions than this.
RATE, BURST = 100, 200
ANSWER_MS = 2000  # nobody who asks waits longer


class CheckRoutes(Component, type_name="CheckRoutes"):
    """`/SEGMENT/health`, which the payments function answers, and `/SEGMENT/takeover`, which S3 does without it.

    They need no key, because checkers cannot send one: the segment is their secret. S3 is asked as `role` (ARN).
    `answers` are what a deployment of the API must wait for.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/integrating-api-with-aws-services-s3.html
    """

    def __init__(self, name: str, *, segment: pulumi.Input[str], rest: aws.apigateway.RestApi, names: Names,
                 function_uri: str, role: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        self.answers: list[pulumi.Resource] = []
        self.paths = {path: pulumi.Output.concat("/", segment, path) for path in (HEALTH_PATH, LEVER_PATH)}
        self.segment, self._rest = segment, rest
        above = aws.apigateway.Resource(f"{name}-segment", rest_api=rest.id, parent_id=rest.root_resource_id,
                                        path_part=segment, opts=self.opts()).id
        self._get(HEALTH_PATH, above, {"type": "AWS_PROXY", "integration_http_method": "POST", "uri": function_uri})
        self._lever(self._get(LEVER_PATH, above, {
            "type": "AWS", "integration_http_method": "HEAD", "credentials": role,
            "uri": f"arn:aws:apigateway:{names.region}:s3:path/{names.control}/{LEVER_KEY}"}))
        self.register_outputs({})

    def limit(self, stage: aws.apigateway.Stage) -> None:
        """Limit both routes, each by itself, and meter neither: CloudWatch charges for the metrics of each method."""
        for path, full in self.paths.items():
            # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-apigateway-stage-methodsetting.html
            escaped = full.apply(lambda text: text.replace("/", "~1"))
            aws.apigateway.MethodSettings(
                f"{self.name}-limits-{path.strip('/')}", rest_api=self._rest.id, stage_name=stage.stage_name,
                method_path=pulumi.Output.concat(escaped, "/GET"), opts=self.opts(),
                settings={"throttling_rate_limit": RATE, "throttling_burst_limit": BURST, "metrics_enabled": False,
                          "logging_level": "OFF", "data_trace_enabled": False})

    def _get(self, path: str, above: pulumi.Input[str], integration: dict[str, Any]) -> aws.apigateway.Method:
        """Create a route below a resource (its id), and the integration that answers it."""
        label, rest = f"{self.name}-{path.strip('/')}", self._rest.id
        resource = aws.apigateway.Resource(f"{label}-resource", rest_api=rest, parent_id=above,
                                           path_part=path.strip("/"), opts=self.opts())
        method = aws.apigateway.Method(f"{label}-method", rest_api=rest, resource_id=resource.id, http_method="GET",
                                       authorization="NONE", api_key_required=False, opts=self.opts())
        self.answers.append(aws.apigateway.Integration(
            f"{label}-integration", rest_api=rest, resource_id=resource.id, http_method=method.http_method,
            timeout_milliseconds=ANSWER_MS, opts=self.opts(), **integration))
        return method

    def _lever(self, method: aws.apigateway.Method) -> None:
        """Map S3's answers to the route's; any other answer of S3 becomes an error of API Gateway."""
        headers = {f"method.response.header.{header}": f"'{value}'" for header, value in RESPONSE_HEADERS.items()}
        shown = self.answers[-1]
        for status, pulled in (("200", True), ("404", False)):
            label = f"{self.name}-takeover-{status}"
            answer: dict[str, Any] = {"rest_api": self._rest.id, "resource_id": method.resource_id,
                                      "http_method": method.http_method, "status_code": status}
            declared = aws.apigateway.MethodResponse(
                label, response_parameters=dict.fromkeys(headers, True), opts=self.opts(), **answer)
            self.answers.append(aws.apigateway.IntegrationResponse(
                f"{label}-answer", selection_pattern=status, response_parameters=headers,
                response_templates={"application/json": json.dumps({"takeover": pulled})},
                opts=self.opts(depends_on=[declared, shown]), **answer))


def lever_role(api: Component, names: Names, key_arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """The role (ARN) as which an API asks whether the lever is pulled."""
    control = f"arn:aws:s3:::{names.control}"
    role, _ = api.role(
        "-lever", names.lever_role, policies.trust("apigateway", names.account), "read",
        policies.allow("s3:GetObject", f"{control}/{LEVER_KEY}"),
        # Without the right to list, S3 answers 403 for an object that does not exist.
        policies.allow("s3:ListBucket", control),
        policies.key_use(key_arn, [f"s3.{names.region}"], ["kms:Decrypt"]))
    return role.arn
