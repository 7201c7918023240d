"""EventBridge, whose types Pulumi puts under CloudWatch."""

from rehearsal.deploy.resources.model import Call, ResourceType, Template

RESOURCE_TYPES = {
    "aws:cloudwatch/eventRule:EventRule": ResourceType(
        # Disabled: only drills invoke the target, on their own schedule. Outside of drills nothing may take over.
        "events", Call("put_rule", {"State": "'DISABLED'"}), name_input="name", id="in.name",
        outputs={"arn": Template("arn:aws:events:{region}:{account}:rule/{id}")},
        listings={"list_rules": "Rules[].Name"}, delete=(Call("delete_rule"),)),
    "aws:cloudwatch/eventTarget:EventTarget": ResourceType(
        "events", Call("put_targets", {"Targets": "[{id: in.targetId, arn: in.arn, retryPolicy: in.retryPolicy}]"}),
        id=Template("{in[rule]}/{in[targetId]}"), delete=(Call("remove_targets", {"Ids": "[in.targetId]"}),)),
}
