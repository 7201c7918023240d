"""EventBridge, whose types Pulumi counts among CloudWatch's."""

from collections.abc import Mapping

from rehearsal.deploy.resources.model import BotoCall, Listing, ResourceType, Template

RESOURCE_TYPES: Mapping[str, ResourceType] = {
    "aws:cloudwatch/eventRule:EventRule": ResourceType(
        # The rehearsal's own clock (`clock`) starts its target, while drills are played: else nobody is to take over.
        service="events", create=BotoCall("put_rule", {"State": "'DISABLED'"}), named="name", id="in.name",
        outputs={"arn": Template("arn:aws:events:{region}:{account}:rule/{id}")},
        listed=(Listing("list_rules", "Rules[].Name"),), delete=(BotoCall("delete_rule", {"Name": "id"}),)),
    "aws:cloudwatch/eventTarget:EventTarget": ResourceType(
        service="events",
        create=BotoCall("put_targets", {"Targets": "[{id: in.targetId, arn: in.arn, retryPolicy: in.retryPolicy}]"}),
        id=Template("{in[rule]}/{in[targetId]}"),
        delete=(BotoCall("remove_targets", {"Rule": "in.rule", "Ids": "[in.targetId]"}),)),
}
