"""API Gateway REST APIs."""

from collections.abc import Mapping
from typing import Any

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy.resources.model import Adoption, Call, ResourceType, Template, tagging, words

_REST = {"restApi": "restApiId"}
_STAGE = {"restApiId": "in.restApi", "stageName": "in.stageName"}
_REMOVE_STAGE = "[{op: 'remove', path: '/apiStages', value: join(':', [item.apiId, item.stage])}]"

# A method's settings by Pulumi's names, and their paths in UpdateStage
_SETTINGS = {
    "metricsEnabled": "metrics/enabled",
    "loggingLevel": "logging/loglevel",
    "dataTraceEnabled": "logging/dataTrace",
    "throttlingBurstLimit": "throttling/burstLimit",
    "throttlingRateLimit": "throttling/rateLimit",
}


def _method_settings(clients: EmulatorClients, *, region: str, api: str, stage: str, path: str,
                     settings: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := settings.keys() - _SETTINGS.keys():
        raise ValueError(f"settings that the rehearsal does not support: {', '.join(sorted(unknown))}")
    clients("apigateway", region).update_stage(restApiId=api, stageName=stage, patchOperations=[
        {"op": "replace", "path": f"/{path}/{_SETTINGS[key]}",
         "value": str(value).lower() if isinstance(value, bool) else str(value)}
        for key, value in settings.items()])
    return {}


def _patch(operation: str, values: Mapping[str, str]) -> tuple[Call, ...]:
    """The update that sets these paths of a resource to the values of their expressions."""
    return (Call(operation, {"patchOperations": _set(values)}),)


def _tags(path: str) -> dict[str, tuple[Call, ...]]:
    return tagging("tag_resource", "untag_resource", ("tags", "tagKeys"),
                   resourceArn=Template(f"arn:aws:apigateway:{{region}}::/{path}"))


def _set(values: Mapping[str, str]) -> str:
    """Patch operations that set each path to the value of its expression, unless that is null."""
    operations = (f"{{op: 'replace', path: '{path}', value: {value}}}" for path, value in values.items())
    return f"[{', '.join(operations)}][?value]"


_ACCESS_LOG = _set({"/accessLogSettings/destinationArn": "in.accessLogSettings.destinationArn",
                    "/accessLogSettings/format": "in.accessLogSettings.format"})

RESOURCE_TYPES = {
    "aws:apigateway/restApi:RestApi": ResourceType(
        "apigateway", Call("create_rest_api"), name_input="name", id="out.id",
        outputs={"rootResourceId": "out.rootResourceId",
                 "executionArn": Template("arn:aws:execute-api:{region}:{account}:{id}")},
        listings={"get_rest_apis": "items[].id"}, read=(Call("get_rest_api"),), update={
            "name": _patch("update_rest_api", {"/name": "in.name"}),
            "description": _patch("update_rest_api", {"/description": "in.description"}),
            **_tags("restapis/{id}")}, delete=(Call("delete_rest_api"),)),
    "aws:apigateway/resource:Resource": ResourceType(
        "apigateway", Call("create_resource"), renames=_REST, id="out.id", read=(Call("get_resource"),),
        adoption=Adoption(Template("{in[restApi]}/{id}"), Call("get_resources"),
                          "[pick(out.items, {pathPart: in.pathPart, parentId: in.parentId}).id][?@]"),
        replace=words("restApi"), update={"pathPart": _patch("update_resource", {"/pathPart": "in.pathPart"})},
        delete=(Call("delete_resource"),)),
    "aws:apigateway/method:Method": ResourceType(
        "apigateway", Call("put_method"), renames={**_REST, "authorization": "authorizationType"},
        id=Template("agm-{in[restApi]}-{in[resourceId]}-{in[httpMethod]}"),
        adoption=Adoption(Template("{in[restApi]}/{in[resourceId]}/{in[httpMethod]}")), read=(Call("get_method"),),
        replace=words("httpMethod resourceId restApi"), update={
            "apiKeyRequired": _patch("update_method", {"/apiKeyRequired": "to_string(in.apiKeyRequired)"}),
            "authorization": _patch("update_method", {"/authorizationType": "in.authorization"})},
        delete=(Call("delete_method"),)),
    "aws:apigateway/integration:Integration": ResourceType(
        "apigateway", Call("put_integration"), renames={**_REST, "timeoutMilliseconds": "timeoutInMillis"},
        id=Template("agi-{in[restApi]}-{in[resourceId]}-{in[httpMethod]}"),
        adoption=Adoption(Template("{in[restApi]}/{in[resourceId]}/{in[httpMethod]}")), read=(Call("get_integration"),),
        held={"httpMethod": "", "integrationHttpMethod": "found.httpMethod"},
        replace=words("httpMethod integrationHttpMethod resourceId restApi type"), update={
            "timeoutMilliseconds": _patch("update_integration", {
                "/timeoutInMillis": "to_string(in.timeoutMilliseconds)"}),
            "uri": _patch("update_integration", {"/uri": "in.uri"})},
        delete=(Call("delete_integration"),)),
    **{f"aws:apigateway/{kind}Response:{kind.title()}Response": ResourceType(
        "apigateway", Call(f"put_{kind}_response"), renames=_REST,
        id=Template(f"ag{kind[0]}r-{{in[restApi]}}-{{in[resourceId]}}-{{in[httpMethod]}}-{{in[statusCode]}}"),
        adoption=Adoption(Template("{in[restApi]}/{in[resourceId]}/{in[httpMethod]}/{in[statusCode]}")),
        read=(Call(f"get_{kind}_response"),), put=True, replace=words("httpMethod resourceId restApi statusCode"),
        delete=(Call(f"delete_{kind}_response"),)) for kind in ("method", "integration")},
    "aws:apigateway/response:Response": ResourceType(
        "apigateway", Call("put_gateway_response"), id=Template("aggr-{in[restApiId]}-{in[responseType]}"),
        adoption=Adoption(Template("{in[restApiId]}/{in[responseType]}")), read=(Call("get_gateway_response"),),
        put=True, replace=words("restApiId responseType"), delete=(Call("delete_gateway_response"),)),
    "aws:apigateway/deployment:Deployment": ResourceType(
        "apigateway", Call("create_deployment"), renames=_REST, id="out.id", provider_only=words("triggers"),
        read=(Call("get_deployment"),), replace=words("restApi triggers"), delete=(Call("delete_deployment"),)),
    "aws:apigateway/stage:Stage": ResourceType(
        "apigateway", Call("create_stage"),
        renames={**_REST, "deployment": "deploymentId", "xrayTracingEnabled": "tracingEnabled"},
        id=Template("ags-{in[restApi]}-{in[stageName]}"), adoption=Adoption(Template("{in[restApi]}/{in[stageName]}")),
        after_create=(Call("update_stage", {"patchOperations": _ACCESS_LOG}, when="in.accessLogSettings"),),
        outputs={"arn": Template("arn:aws:apigateway:{region}::/restapis/{in[restApi]}/stages/{in[stageName]}"),
                 "invokeUrl": Template("{endpoint}/_aws/execute-api/{in[restApi]}/{in[stageName]}")},
        read=(Call("get_stage", _STAGE),), held={"accessLogSettings": ""}, replace=words("restApi stageName"), update={
            "deployment": _patch("update_stage", {"/deploymentId": "in.deployment"}),
            "xrayTracingEnabled": _patch("update_stage", {"/tracingEnabled": "to_string(in.xrayTracingEnabled)"}),
            "accessLogSettings": (Call("update_stage", {"patchOperations": _ACCESS_LOG}),),
            **_tags("restapis/{in[restApi]}/stages/{in[stageName]}")},
        delete=(Call("delete_stage"),)),
    # The settings end with the stage.
    "aws:apigateway/methodSettings:MethodSettings": ResourceType(
        "apigateway",
        Call(_method_settings,
             {"region": "region", "api": "in.restApi", "stage": "in.stageName", "path": "in.methodPath",
              "settings": "in.settings"}),
        id=Template("{in[restApi]}-{in[stageName]}-{in[methodPath]}"),
        adoption=Adoption(Template("{in[restApi]}/{in[stageName]}/{in[methodPath]}")),
        read=(Call("get_stage", _STAGE),), put=True, replace=words("methodPath restApi stageName")),
    "aws:apigateway/apiKey:ApiKey": ResourceType(
        "apigateway", Call("create_api_key", {"enabled": "in.enabled != `false`"}), name_input="name", id="out.id",
        secrets=words("value"), listings={"get_api_keys": "items[].id"},
        read=(Call("get_api_key", {"includeValue": "`true`"}),), replace=words("value"), update={
            "name": _patch("update_api_key", {"/name": "in.name"}),
            "description": _patch("update_api_key", {"/description": "in.description"}),
            **_tags("apikeys/{id}")},
        delete=(Call("delete_api_key"),)),
    "aws:apigateway/usagePlan:UsagePlan": ResourceType(
        "apigateway", Call("create_usage_plan"), renames={"throttleSettings": "throttle"}, name_input="name",
        id="out.id", listings={"get_usage_plans": "items[].id"}, read=(Call("get_usage_plan"),), update={
            "throttleSettings": _patch("update_usage_plan", {
                "/throttle/rateLimit": "to_string(in.throttleSettings.rateLimit)",
                "/throttle/burstLimit": "to_string(in.throttleSettings.burstLimit)"}),
            "name": _patch("update_usage_plan", {"/name": "in.name"}),
            **_tags("usageplans/{id}")},
        # A plan that still covers a stage cannot be deleted.
        delete=(Call("update_usage_plan", {"patchOperations": _REMOVE_STAGE}, each="in.apiStages"),
                Call("delete_usage_plan"))),
    "aws:apigateway/usagePlanKey:UsagePlanKey": ResourceType(
        "apigateway", Call("create_usage_plan_key"), id="in.keyId",
        adoption=Adoption(Template("{in[usagePlanId]}/{in[keyId]}")),
        secrets=words("value"), read=(Call("get_usage_plan_key", {"keyId": "in.keyId"}),),
        replace=words("keyId keyType usagePlanId"), delete=(Call("delete_usage_plan_key"),)),
    # Each account and region has one; it can be set and emptied, but not deleted.
    "aws:apigateway/account:Account": ResourceType(
        "apigateway", Call("update_account", {"patchOperations": _set({"/cloudwatchRoleArn": "in.cloudwatchRoleArn"})}),
        id="'api-gateway-account'", read=(Call("get_account"),), put=True,
        listings={"get_account": "[cloudwatchRoleArn][?@]"},
        delete=(Call("update_account",
                     {"patchOperations": "[{op: 'replace', path: '/cloudwatchRoleArn', value: ''}]"}),)),
    "aws:apigateway/domainName:DomainName": ResourceType(
        "apigateway", Call("create_domain_name"), id="in.domainName",
        outputs={"regionalDomainName": "out.regionalDomainName", "regionalZoneId": "out.regionalHostedZoneId"},
        listings={"get_domain_names": "items[].domainName"}, read=(Call("get_domain_name"),),
        replace=words("domainName"), update={
            "regionalCertificateArn": _patch("update_domain_name", {
                "/regionalCertificateArn": "in.regionalCertificateArn"}),
            "securityPolicy": _patch("update_domain_name", {"/securityPolicy": "in.securityPolicy"}),
            **_tags("domainnames/{id}")},
        delete=(Call("delete_domain_name"),)),
    "aws:apigateway/basePathMapping:BasePathMapping": ResourceType(
        "apigateway", Call("create_base_path_mapping"), renames={**_REST, "stageName": "stage"},
        id=Template("{in[domainName]}/"),
        read=(Call("get_base_path_mapping", {"basePath": "in.basePath || '(none)'"}),),
        held={"basePath": ""}, replace=words("domainName"), update={
            "stageName": _patch("update_base_path_mapping", {"/stage": "in.stageName"}),
            "restApi": _patch("update_base_path_mapping", {"/restapiId": "in.restApi"})},
        delete=(Call("delete_base_path_mapping", {"basePath": "in.basePath || '(none)'"}),)),
}
