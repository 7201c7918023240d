"""EventBridge, whose types Pulumi puts under CloudWatch."""

from rehearsal.deploy.resources.model import BotoCall, ResourceType, Template

RESOURCE_TYPES = {
    "aws:cloudwatch/eventRule:EventRule": ResourceType(
        # Disabled: only drills invoke the target, on their own schedule. Outside of drills nothing may take over.
        service="events", create=BotoCall("put_rule", {"State": "'DISABLED'"}), name_input="name", id="in.name",
        outputs={"arn": Template("arn:aws:events:{region}:{account}:rule/{id}")},
        listings={"list_rules": "Rules[].Name"}, delete=(BotoCall("delete_rule", {"Name": "id"}),)),
    "aws:cloudwatch/eventTarget:EventTarget": ResourceType(
        service="events",
        create=BotoCall("put_targets", {"Targets": "[{id: in.targetId, arn: in.arn, retryPolicy: in.retryPolicy}]"}),
        id=Template("{in[rule]}/{in[targetId]}"),
        delete=(BotoCall("remove_targets", {"Rule": "in.rule", "Ids": "[in.targetId]"}),)),
}
