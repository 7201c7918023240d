"""Lambda."""

from rehearsal.deploy.resources.model import BotoCall, ResourceType, Template

# A function's calls go through the proxy of its region: those to AWS, and those to the public API of another region.
_ENVIRONMENT = ("{Variables: merge(speed_up(in.environment.variables || `{}`, factor), "
                "{AWS_ENDPOINT_URL: endpoint, HTTP_PROXY: endpoint})}")

RESOURCE_TYPES = {
    "aws:lambda/function:Function": ResourceType(
        service="lambda",
        create=BotoCall("create_function", {"Code.ZipFile": "zip(in.code, files)", "Environment": _ENVIRONMENT}),
        renames={"name": "FunctionName", "sourceKmsKeyArn": "Code.SourceKMSKeyArn"}, name_input="name", id="in.name",
        after_create=(BotoCall("put_function_concurrency",
                               {"FunctionName": "id",
                                "ReservedConcurrentExecutions": "in.reservedConcurrentExecutions"},
                               when="in.reservedConcurrentExecutions >= `0`"),),
        outputs={"version": "out.Version"},
        provider_only=frozenset({"replaceSecurityGroupsOnDestroy", "replacementSecurityGroupIds"}),
        listings={"list_functions": "Functions[].FunctionName"},
        delete=(BotoCall("delete_function", {"FunctionName": "id"}),)),
    "aws:lambda/alias:Alias": ResourceType(
        service="lambda", create=BotoCall("create_alias"), name_input="name", id="out.AliasArn", outputs={"arn": "id"},
        delete=(BotoCall("delete_alias", {"FunctionName": "in.functionName", "Name": "in.name"}),)),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": ResourceType(
        service="lambda", create=BotoCall("put_function_event_invoke_config"),
        id=Template("{in[functionName]}:{in[qualifier]}"),
        delete=(BotoCall("delete_function_event_invoke_config",
                         {"FunctionName": "in.functionName", "Qualifier": "in.qualifier"}),)),
    "aws:lambda/permission:Permission": ResourceType(
        service="lambda", create=BotoCall("add_permission"), renames={"function": "FunctionName"},
        name_input="statementId", id="in.statementId",
        delete=(BotoCall("remove_permission",
                         {"FunctionName": "in.function", "StatementId": "id", "Qualifier": "in.qualifier"}),)),
}
