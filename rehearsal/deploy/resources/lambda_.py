"""Lambda."""

from rehearsal.deploy.resources.model import Adoption, Call, ResourceType, Template, tagging, words

# A function's calls go through the proxy of its region: those to AWS, and those to the public API of another region.
# Questions to the zone's name servers go to the one that stands in for them.
_ENVIRONMENT = ("{Variables: merge(speed_up(in.environment.variables || `{}`, factor), "
                "{AWS_ENDPOINT_URL: endpoint, HTTP_PROXY: endpoint, NAME_SERVERS: name_server})}")
_SETTINGS = "environment handler kmsKeyArn loggingConfig memorySize role runtime timeout tracingConfig vpcConfig"
_PUBLISH = Call("publish_version", when="in.publish")

RESOURCE_TYPES = {
    "aws:lambda/function:Function": ResourceType(
        "lambda", Call("create_function", {"Code.ZipFile": "zip(in.code, files)", "Environment": _ENVIRONMENT}),
        renames={"name": "FunctionName", "sourceKmsKeyArn": "Code.SourceKMSKeyArn"}, name_input="name", id="in.name",
        after_create=(Call("put_function_concurrency", when="in.reservedConcurrentExecutions >= `0`"),),
        outputs={"version": "out.Version || out.Versions[-1].Version"},
        provider_only=words("replaceSecurityGroupsOnDestroy replacementSecurityGroupIds"),
        # Not read: the package, whose hash depends on when it was made, and what the rehearsal adds to variables.
        read=(Call("get_function"), Call("list_versions_by_function")), found="out.Configuration",
        held={"code": "", "environment": f"found.Environment == {_ENVIRONMENT} && in.environment || "
                                     "{variables: found.Environment.Variables}",
              "sourceKmsKeyArn": "", "publish": "", "loggingConfig": "",
              "reservedConcurrentExecutions": "out.Concurrency.ReservedConcurrentExecutions || `-1`"},
        replace=words("name"), update={
            "code sourceKmsKeyArn architectures": (Call("update_function_code", {"ZipFile": "zip(in.code, files)"}),),
            _SETTINGS: (Call("update_function_configuration", {"Environment": _ENVIRONMENT}),),
            f"code sourceKmsKeyArn architectures {_SETTINGS} publish": (_PUBLISH,),
            "reservedConcurrentExecutions": (
                Call("put_function_concurrency", when="in.reservedConcurrentExecutions >= `0`"),
                Call("delete_function_concurrency", when="in.reservedConcurrentExecutions == `-1`")),
            **tagging("tag_resource", "untag_resource",
                      Resource=Template("arn:aws:lambda:{region}:{account}:function:{id}"))},
        listings={"list_functions": "Functions[].FunctionName"}, delete=(Call("delete_function"),)),
    "aws:lambda/alias:Alias": ResourceType(
        "lambda", Call("create_alias"), name_input="name",
        id=Template("arn:aws:lambda:{region}:{account}:function:{in[functionName]}:{in[name]}"), outputs={"arn": "id"},
        adoption=Adoption(Template("{in[functionName]}/{in[name]}")),
        read=(Call("get_alias"),), replace=words("functionName name"), update={
            "functionVersion": (Call("update_alias"),)},
        delete=(Call("delete_alias"),)),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": ResourceType(
        "lambda", Call("put_function_event_invoke_config"), id=Template("{in[functionName]}:{in[qualifier]}"),
        read=(Call("get_function_event_invoke_config", {"Qualifier": "in.qualifier"}),),
        held={"functionName": "", "qualifier": ""}, put=True, replace=words("functionName qualifier"),
        delete=(Call("delete_function_event_invoke_config", {"Qualifier": "in.qualifier"}),)),
    "aws:lambda/permission:Permission": ResourceType(
        "lambda", Call("add_permission"), renames={"function": "FunctionName"}, name_input="statementId",
        id="in.statementId", read=(Call("get_policy", {"Qualifier": "in.qualifier"}),),
        found="pick(json(out.Policy).Statement, {Sid: id})",
        held={"action": "", "principal": "", "function": "", "sourceArn": ""},
        replace=words("action function principal qualifier sourceArn statementId"),
        delete=(Call("remove_permission", {"Qualifier": "in.qualifier"}),)),
}
