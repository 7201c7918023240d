"""API Gateway REST APIs."""

from collections.abc import Mapping
from typing import Any

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy.resources.model import Call, ResourceType, Template

_REST = {"restApi": "restApiId"}
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


def _attach_same_keys(clients: EmulatorClients, region: str, regions: list[str], plan: str, key: str) -> dict[str, Any]:
    """Attach the keys with the same value in other regions too.

    The emulator looks up a request's key in all regions, and takes the first key with that value.
    """
    values: dict[str, str] = {}
    for source in regions:
        pages = clients("apigateway", source).get_paginator("get_api_keys").paginate(includeValues=True)
        values |= {each["id"]: each["value"] for page in pages for each in page.get("items", ())}
    for other, value in values.items():
        if other != key and value == values.get(key):
            clients("apigateway", region).create_usage_plan_key(usagePlanId=plan, keyId=other, keyType="API_KEY")
    return {}


def _set(values: Mapping[str, str]) -> str:
    """Patch operations that set each path to the value of its expression, unless that is null."""
    operations = (f"{{op: 'replace', path: '{path}', value: {value}}}" for path, value in values.items())
    return f"[{', '.join(operations)}][?value]"


RESOURCE_TYPES = {
    "aws:apigateway/restApi:RestApi": ResourceType(
        "apigateway", Call("create_rest_api"), name_input="name", id="out.id",
        outputs={"rootResourceId": "out.rootResourceId",
                 "executionArn": Template("arn:aws:execute-api:{region}:{account}:{id}")},
        listings={"get_rest_apis": "items[].id"}, delete=(Call("delete_rest_api"),)),
    "aws:apigateway/resource:Resource": ResourceType(
        "apigateway", Call("create_resource"), renames=_REST, id="out.id", delete=(Call("delete_resource"),)),
    "aws:apigateway/method:Method": ResourceType(
        "apigateway", Call("put_method"), renames={**_REST, "authorization": "authorizationType"},
        id=Template("agm-{in[restApi]}-{in[resourceId]}-{in[httpMethod]}"), delete=(Call("delete_method"),)),
    "aws:apigateway/integration:Integration": ResourceType(
        "apigateway", Call("put_integration"), renames={**_REST, "timeoutMilliseconds": "timeoutInMillis"},
        id=Template("agi-{in[restApi]}-{in[resourceId]}-{in[httpMethod]}"), delete=(Call("delete_integration"),)),
    "aws:apigateway/deployment:Deployment": ResourceType(
        "apigateway", Call("create_deployment"), renames=_REST, id="out.id", provider_only=frozenset({"triggers"}),
        delete=(Call("delete_deployment"),)),
    "aws:apigateway/stage:Stage": ResourceType(
        "apigateway", Call("create_stage"),
        renames={**_REST, "deployment": "deploymentId", "xrayTracingEnabled": "tracingEnabled"},
        id=Template("ags-{in[restApi]}-{in[stageName]}"),
        after_create=(Call("update_stage", {"patchOperations": _set({
            "/accessLogSettings/destinationArn": "in.accessLogSettings.destinationArn",
            "/accessLogSettings/format": "in.accessLogSettings.format"})}, when="in.accessLogSettings"),),
        outputs={"invokeUrl": Template("{endpoint}/_aws/execute-api/{in[restApi]}/{in[stageName]}")},
        delete=(Call("delete_stage"),)),
    # The settings end with the stage.
    "aws:apigateway/methodSettings:MethodSettings": ResourceType(
        "apigateway",
        Call(_method_settings,
             {"region": "region", "api": "in.restApi", "stage": "in.stageName", "path": "in.methodPath",
              "settings": "in.settings"}),
        id=Template("{in[restApi]}-{in[stageName]}-{in[methodPath]}")),
    "aws:apigateway/apiKey:ApiKey": ResourceType(
        "apigateway", Call("create_api_key", {"enabled": "in.enabled != `false`"}), name_input="name", id="out.id",
        secrets=frozenset({"value"}), listings={"get_api_keys": "items[].id"}, delete=(Call("delete_api_key"),)),
    "aws:apigateway/usagePlan:UsagePlan": ResourceType(
        "apigateway", Call("create_usage_plan"), renames={"throttleSettings": "throttle"}, name_input="name",
        id="out.id", listings={"get_usage_plans": "items[].id"},
        # A plan that still covers a stage cannot be deleted.
        delete=(Call("update_usage_plan", {"patchOperations": _REMOVE_STAGE}, each="in.apiStages"),
                Call("delete_usage_plan"))),
    "aws:apigateway/usagePlanKey:UsagePlanKey": ResourceType(
        "apigateway", Call("create_usage_plan_key"), id="out.id",
        after_create=(Call(_attach_same_keys,
                           {"region": "region", "regions": "regions", "plan": "in.usagePlanId", "key": "in.keyId"}),),
        secrets=frozenset({"value"}), delete=(Call("delete_usage_plan_key"),)),
    # Each account and region has one; it can be set and emptied, but not deleted.
    "aws:apigateway/account:Account": ResourceType(
        "apigateway", Call("update_account", {"patchOperations": _set({"/cloudwatchRoleArn": "in.cloudwatchRoleArn"})}),
        id="'api-gateway-account'", listings={"get_account": "[cloudwatchRoleArn][?@]"},
        delete=(Call("update_account",
                     {"patchOperations": "[{op: 'replace', path: '/cloudwatchRoleArn', value: ''}]"}),)),
    "aws:apigateway/domainName:DomainName": ResourceType(
        "apigateway", Call("create_domain_name"), id="in.domainName",
        outputs={"regionalDomainName": "out.regionalDomainName", "regionalZoneId": "out.regionalHostedZoneId"},
        listings={"get_domain_names": "items[].domainName"}, delete=(Call("delete_domain_name"),)),
    "aws:apigateway/basePathMapping:BasePathMapping": ResourceType(
        "apigateway", Call("create_base_path_mapping"), renames={**_REST, "stageName": "stage"},
        id=Template("{in[domainName]}/"),
        delete=(Call("delete_base_path_mapping", {"basePath": "in.basePath || '(none)'"}),)),
}
