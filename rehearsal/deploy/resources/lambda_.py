"""Lambda."""

from collections.abc import Mapping

from rehearsal.deploy.resources.model import BotoCall, Listing, ResourceType, Template

_INVOCATIONS = "arn:aws:apigateway:{{region}}:lambda:path/2015-03-31/functions/{}/invocations"
# What a function calls goes through the relay of its region: AWS in it, and the public API of another region over it.
_ENVIRONMENT = ("{Variables: merge(hurry(in.environment.variables || `{}`, factor), "
                "{AWS_ENDPOINT_URL: endpoint, HTTP_PROXY: endpoint})}")
_FUNCTION = "arn:aws:lambda:{region}:{account}:function:{id}"

RESOURCE_TYPES: Mapping[str, ResourceType] = {
    "aws:lambda/function:Function": ResourceType(
        service="lambda",
        create=BotoCall("create_function", {"Code.ZipFile": "zip(in.code, files)", "Environment": _ENVIRONMENT}),
        renames={"name": "FunctionName", "sourceKmsKeyArn": "Code.SourceKMSKeyArn"}, named="name", id="in.name",
        then=(BotoCall("put_function_concurrency",
                   {"FunctionName": "id", "ReservedConcurrentExecutions": "in.reservedConcurrentExecutions"},
                   when="in.reservedConcurrentExecutions >= `0`"),),
        outputs={"arn": Template(_FUNCTION), "invokeArn": Template(_INVOCATIONS.format(_FUNCTION)),
                 "version": "out.Version", "qualifiedArn": Template(_FUNCTION + ":{out[Version]}")},
        provider_only=frozenset({"replaceSecurityGroupsOnDestroy", "replacementSecurityGroupIds"}),
        listed=(Listing("list_functions", "Functions[].FunctionName"),),
        delete=(BotoCall("delete_function", {"FunctionName": "id"}),)),
    "aws:lambda/alias:Alias": ResourceType(
        service="lambda", create=BotoCall("create_alias"), named="name", id="out.AliasArn",
        outputs={"arn": "id", "invokeArn": Template(_INVOCATIONS.format("{id}"))},
        delete=(BotoCall("delete_alias", {"FunctionName": "in.functionName", "Name": "in.name"}),)),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": ResourceType(
        service="lambda", create=BotoCall("put_function_event_invoke_config"),
        id=Template("{in[functionName]}:{in[qualifier]}"),
        delete=(BotoCall("delete_function_event_invoke_config",
                     {"FunctionName": "in.functionName", "Qualifier": "in.qualifier"}),)),
    "aws:lambda/permission:Permission": ResourceType(
        service="lambda", create=BotoCall("add_permission"), renames={"function": "FunctionName"}, named="statementId",
        id="in.statementId",
        delete=(BotoCall("remove_permission",
                     {"FunctionName": "in.function", "StatementId": "id", "Qualifier": "in.qualifier"}),)),
}
