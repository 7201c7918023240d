"""EventBridge, whose types Pulumi counts among CloudWatch's."""

from collections.abc import Mapping

from rehearsal.kinds.model import Call, Kind, Listing, Text

KINDS: Mapping[str, Kind] = {
    "aws:cloudwatch/eventRule:EventRule": Kind(
        # The rehearsal's own clock (`clock`) starts its target, while drills are played: else nobody is to take over.
        service="events", create=Call("put_rule", {"State": "'DISABLED'"}), named="name", id="in.name",
        outputs={"arn": Text("arn:aws:events:{region}:{account}:rule/{id}")},
        listed=(Listing("list_rules", "Rules[].Name"),), delete=(Call("delete_rule", {"Name": "id"}),)),
    "aws:cloudwatch/eventTarget:EventTarget": Kind(
        service="events",
        create=Call("put_targets", {"Targets": "[{id: in.targetId, arn: in.arn, retryPolicy: in.retryPolicy}]"}),
        id=Text("{in[rule]}/{in[targetId]}"),
        delete=(Call("remove_targets", {"Rule": "in.rule", "Ids": "[in.targetId]"}),)),
}
