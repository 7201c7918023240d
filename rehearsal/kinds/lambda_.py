"""Lambda."""

from collections.abc import Mapping

from rehearsal.kinds.model import Call, Kind, Listing, Text

_INVOCATIONS = "arn:aws:apigateway:{{region}}:lambda:path/2015-03-31/functions/{}/invocations"
# What a function calls goes through the relay of its region: AWS in it, and the public API of another region over it.
_ENVIRONMENT = ("{Variables: merge(hurry(in.environment.variables || `{}`, factor), "
                "{AWS_ENDPOINT_URL: endpoint, HTTP_PROXY: endpoint})}")
_FUNCTION = "arn:aws:lambda:{region}:{account}:function:{id}"

KINDS: Mapping[str, Kind] = {
    "aws:lambda/function:Function": Kind(
        service="lambda",
        create=Call("create_function", {"Code.ZipFile": "zip(in.code, files)", "Environment": _ENVIRONMENT}),
        renames={"name": "FunctionName", "sourceKmsKeyArn": "Code.SourceKMSKeyArn"}, named="name", id="in.name",
        then=(Call("put_function_concurrency",
                   {"FunctionName": "id", "ReservedConcurrentExecutions": "in.reservedConcurrentExecutions"},
                   when="in.reservedConcurrentExecutions >= `0`"),),
        outputs={"arn": Text(_FUNCTION), "invokeArn": Text(_INVOCATIONS.format(_FUNCTION)),
                 "version": "out.Version", "qualifiedArn": Text(_FUNCTION + ":{out[Version]}")},
        provider_only=frozenset({"replaceSecurityGroupsOnDestroy", "replacementSecurityGroupIds"}),
        listed=(Listing("list_functions", "Functions[].FunctionName"),),
        delete=(Call("delete_function", {"FunctionName": "id"}),)),
    "aws:lambda/alias:Alias": Kind(
        service="lambda", create=Call("create_alias"), named="name", id="out.AliasArn",
        outputs={"arn": "id", "invokeArn": Text(_INVOCATIONS.format("{id}"))},
        delete=(Call("delete_alias", {"FunctionName": "in.functionName", "Name": "in.name"}),)),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": Kind(
        service="lambda", create=Call("put_function_event_invoke_config"),
        id=Text("{in[functionName]}:{in[qualifier]}"),
        delete=(Call("delete_function_event_invoke_config",
                     {"FunctionName": "in.functionName", "Qualifier": "in.qualifier"}),)),
    "aws:lambda/permission:Permission": Kind(
        service="lambda", create=Call("add_permission"), renames={"function": "FunctionName"}, named="statementId",
        id="in.statementId",
        delete=(Call("remove_permission",
                     {"FunctionName": "in.function", "StatementId": "id", "Qualifier": "in.qualifier"}),)),
}
