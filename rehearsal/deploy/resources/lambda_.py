"""Lambda."""

from rehearsal.deploy.resources.model import Call, ResourceType, Template

# A function's calls go through the proxy of its region: those to AWS, and those to the public API of another region.
_ENVIRONMENT = ("{Variables: merge(speed_up(in.environment.variables || `{}`, factor), "
                "{AWS_ENDPOINT_URL: endpoint, HTTP_PROXY: endpoint})}")

RESOURCE_TYPES = {
    "aws:lambda/function:Function": ResourceType(
        "lambda", Call("create_function", {"Code.ZipFile": "zip(in.code, files)", "Environment": _ENVIRONMENT}),
        renames={"name": "FunctionName", "sourceKmsKeyArn": "Code.SourceKMSKeyArn"}, name_input="name", id="in.name",
        after_create=(Call("put_function_concurrency", when="in.reservedConcurrentExecutions >= `0`"),),
        outputs={"version": "out.Version"},
        provider_only=frozenset({"replaceSecurityGroupsOnDestroy", "replacementSecurityGroupIds"}),
        listings={"list_functions": "Functions[].FunctionName"}, delete=(Call("delete_function"),)),
    "aws:lambda/alias:Alias": ResourceType(
        "lambda", Call("create_alias"), name_input="name", id="out.AliasArn", outputs={"arn": "id"},
        delete=(Call("delete_alias"),)),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": ResourceType(
        "lambda", Call("put_function_event_invoke_config"), id=Template("{in[functionName]}:{in[qualifier]}"),
        delete=(Call("delete_function_event_invoke_config", {"Qualifier": "in.qualifier"}),)),
    "aws:lambda/permission:Permission": ResourceType(
        "lambda", Call("add_permission"), renames={"function": "FunctionName"}, name_input="statementId",
        id="in.statementId", delete=(Call("remove_permission", {"Qualifier": "in.qualifier"}),)),
}
