"""API Gateway REST APIs."""

from collections.abc import Mapping
from typing import Any

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy.resources.model import BotoCall, ResourceType, Template

_REST = {"restApi": "restApiId"}
_METHOD = {"restApiId": "in.restApi", "resourceId": "in.resourceId", "httpMethod": "in.httpMethod"}
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
    unknown = settings.keys() - _SETTINGS.keys()
    if unknown:
        raise ValueError(f"settings that the rehearsal does not support: {', '.join(sorted(unknown))}")
    clients("apigateway", region).update_stage(restApiId=api, stageName=stage, patchOperations=[
        {"op": "replace", "path": f"/{path}/{_SETTINGS[key]}",
         "value": str(value).lower() if isinstance(value, bool) else str(value)}
        for key, value in settings.items()])
    return {}


def _attach_twins(clients: EmulatorClients, region: str, regions: list[str], plan: str, key: str) -> dict[str, Any]:
    """Attach the keys with the same value in other regions too.

    The emulator looks up a request's key in all regions, and takes the first key with that value.
    """
    values: dict[str, str] = {}
    for source in regions:
        pages = clients("apigateway", source).get_paginator("get_api_keys").paginate(includeValues=True)
        values |= {each["id"]: each["value"] for page in pages for each in page.get("items", ())}
    for twin, value in values.items():
        if twin != key and value == values.get(key):
            clients("apigateway", region).create_usage_plan_key(
                usagePlanId=plan, keyId=twin, keyType="API_KEY")
    return {}


def _set(values: Mapping[str, str]) -> str:
    """Patch operations that set each path to the value of its expression, unless that is null."""
    operations = (f"{{op: 'replace', path: '{path}', value: {value}}}" for path, value in values.items())
    return f"[{', '.join(operations)}][?value]"


RESOURCE_TYPES = {
    "aws:apigateway/restApi:RestApi": ResourceType(
        service="apigateway", create=BotoCall("create_rest_api"), name_input="name", id="out.id",
        outputs={"rootResourceId": "out.rootResourceId",
                 "executionArn": Template("arn:aws:execute-api:{region}:{account}:{id}")},
        listings={"get_rest_apis": "items[].id"}, delete=(BotoCall("delete_rest_api", {"restApiId": "id"}),)),
    "aws:apigateway/resource:Resource": ResourceType(
        service="apigateway", create=BotoCall("create_resource"), renames=_REST, id="out.id",
        delete=(BotoCall("delete_resource", {"restApiId": "in.restApi", "resourceId": "id"}),)),
    "aws:apigateway/documentationPart:DocumentationPart": ResourceType(
        service="apigateway", create=BotoCall("create_documentation_part"), id="out.id",
        delete=(BotoCall("delete_documentation_part", {"restApiId": "in.restApiId", "documentationPartId": "id"}),)),
    "aws:apigateway/method:Method": ResourceType(
        service="apigateway", create=BotoCall("put_method", _METHOD), renames={"authorization": "authorizationType"},
        id=Template("agm-{in[restApi]}-{in[resourceId]}-{in[httpMethod]}"),
        delete=(BotoCall("delete_method", _METHOD),)),
    "aws:apigateway/integration:Integration": ResourceType(
        service="apigateway", create=BotoCall("put_integration", _METHOD),
        renames={"timeoutMilliseconds": "timeoutInMillis"},
        id=Template("agi-{in[restApi]}-{in[resourceId]}-{in[httpMethod]}"),
        delete=(BotoCall("delete_integration", _METHOD),)),
    "aws:apigateway/deployment:Deployment": ResourceType(
        service="apigateway", create=BotoCall("create_deployment"), renames=_REST, id="out.id",
        provider_only=frozenset({"triggers"}),
        delete=(BotoCall("delete_deployment", {"restApiId": "in.restApi", "deploymentId": "id"}),)),
    "aws:apigateway/stage:Stage": ResourceType(
        service="apigateway", create=BotoCall("create_stage"),
        renames={**_REST, "deployment": "deploymentId", "xrayTracingEnabled": "tracingEnabled"},
        id=Template("ags-{in[restApi]}-{in[stageName]}"),
        after_create=(BotoCall("update_stage", {**_STAGE, "patchOperations": _set({
            "/accessLogSettings/destinationArn": "in.accessLogSettings.destinationArn",
            "/accessLogSettings/format": "in.accessLogSettings.format"})}, when="in.accessLogSettings"),),
        outputs={"invokeUrl": Template("{endpoint}/_aws/execute-api/{in[restApi]}/{in[stageName]}")},
        delete=(BotoCall("delete_stage", _STAGE),)),
    # The settings end with the stage.
    "aws:apigateway/methodSettings:MethodSettings": ResourceType(
        service="apigateway",
        create=BotoCall(_method_settings, {"region": "region", "api": "in.restApi", "stage": "in.stageName",
                                           "path": "in.methodPath", "settings": "in.settings"}),
        id=Template("{in[restApi]}-{in[stageName]}-{in[methodPath]}")),
    "aws:apigateway/apiKey:ApiKey": ResourceType(
        service="apigateway", create=BotoCall("create_api_key", {"enabled": "in.enabled != `false`"}),
        name_input="name", id="out.id", secrets=frozenset({"value"}), listings={"get_api_keys": "items[].id"},
        delete=(BotoCall("delete_api_key", {"apiKey": "id"}),)),
    "aws:apigateway/usagePlan:UsagePlan": ResourceType(
        service="apigateway", create=BotoCall("create_usage_plan"), renames={"throttleSettings": "throttle"},
        name_input="name", id="out.id", listings={"get_usage_plans": "items[].id"},
        # A plan that still covers a stage cannot be deleted.
        delete=(BotoCall("update_usage_plan", {"usagePlanId": "id", "patchOperations": _REMOVE_STAGE},
                         each="in.apiStages"),
                BotoCall("delete_usage_plan", {"usagePlanId": "id"}))),
    "aws:apigateway/usagePlanKey:UsagePlanKey": ResourceType(
        service="apigateway", create=BotoCall("create_usage_plan_key"), id="out.id",
        after_create=(BotoCall(_attach_twins, {"region": "region", "regions": "regions", "plan": "in.usagePlanId",
                                               "key": "in.keyId"}),),
        secrets=frozenset({"value"}),
        delete=(BotoCall("delete_usage_plan_key", {"usagePlanId": "in.usagePlanId", "keyId": "in.keyId"}),)),
    # Each account and region has one; it can be set and emptied, but not deleted.
    "aws:apigateway/account:Account": ResourceType(
        service="apigateway",
        create=BotoCall("update_account", {"patchOperations": _set({"/cloudwatchRoleArn": "in.cloudwatchRoleArn"})}),
        id="'api-gateway-account'", listings={"get_account": "[cloudwatchRoleArn][?@]"},
        delete=(BotoCall("update_account",
                         {"patchOperations": "[{op: 'replace', path: '/cloudwatchRoleArn', value: ''}]"}),)),
    "aws:apigateway/domainName:DomainName": ResourceType(
        service="apigateway", create=BotoCall("create_domain_name"), id="in.domainName",
        outputs={"regionalDomainName": "out.regionalDomainName", "regionalZoneId": "out.regionalHostedZoneId"},
        listings={"get_domain_names": "items[].domainName"},
        delete=(BotoCall("delete_domain_name", {"domainName": "id"}),)),
    "aws:apigateway/basePathMapping:BasePathMapping": ResourceType(
        service="apigateway", create=BotoCall("create_base_path_mapping"), renames={**_REST, "stageName": "stage"},
        id=Template("{in[domainName]}/"),
        delete=(BotoCall("delete_base_path_mapping",
                         {"domainName": "in.domainName", "basePath": "in.basePath || '(none)'"}),)),
}
