"""EventBridge, whose types Pulumi puts under CloudWatch."""

from rehearsal.deploy.resources.model import Call, ResourceType, Template, tagging, words

RESOURCE_TYPES = {
    "aws:cloudwatch/eventRule:EventRule": ResourceType(
        # Disabled: only drills invoke the target, on their own schedule. Outside of drills nothing may take over.
        "events", Call("put_rule", {"State": "'DISABLED'"}), name_input="name", id="in.name",
        outputs={"arn": Template("arn:aws:events:{region}:{account}:rule/{id}")},
        listings={"list_rules": "Rules[].Name"}, read=(Call("describe_rule"),), put=True, replace=words("name"),
        update=tagging("tag_resource", "untag_resource", ResourceARN="state.arn"), delete=(Call("delete_rule"),)),
    "aws:cloudwatch/eventTarget:EventTarget": ResourceType(
        "events", Call("put_targets", {"Targets": "[{id: in.targetId, arn: in.arn, retryPolicy: in.retryPolicy, "
                                               "inputTransformer: in.inputTransformer}]"}),
        renames={"inputPaths": "InputPathsMap"},
        id=Template("{in[rule]}/{in[targetId]}"), read=(Call("list_targets_by_rule"),),
        found="out.Targets[0]", held={"targetId": "found.Id"}, put=True, replace=words("rule targetId"),
        delete=(Call("remove_targets", {"Ids": "[in.targetId]"}),)),
}
