"""SNS."""

from collections.abc import Mapping

from rehearsal.kinds.model import Call, Kind, Listing

KINDS: Mapping[str, Kind] = {
    "aws:sns/topic:Topic": Kind(
        service="sns", create=Call("create_topic"),
        renames={"kmsMasterKeyId": "Attributes.KmsMasterKeyId"}, named="name",
        id="out.TopicArn",
        outputs={"arn": "id"},
        listed=(Listing("list_topics", "Topics[].TopicArn"),), delete=(Call("delete_topic", {"TopicArn": "id"}),)),
    # A topic always has a policy; it ends with the topic.
    "aws:sns/topicPolicy:TopicPolicy": Kind(
        service="sns",
        create=Call("set_topic_attributes",
                    {"TopicArn": "in.arn", "AttributeName": "'Policy'", "AttributeValue": "in.policy"}), id="in.arn"),
    "aws:sns/topicSubscription:TopicSubscription": Kind(
        service="sns", create=Call("subscribe", {"ReturnSubscriptionArn": "`true`"}), renames={"topic": "TopicArn"},
        id="out.SubscriptionArn",
        outputs={"arn": "id"},
        listed=(Listing("list_subscriptions", "Subscriptions[].SubscriptionArn"),),
        delete=(Call("unsubscribe", {"SubscriptionArn": "id"}),)),
}
