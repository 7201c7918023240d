"""SNS."""

from rehearsal.deploy.resources.model import BotoCall, ResourceType

RESOURCE_TYPES = {
    "aws:sns/topic:Topic": ResourceType(
        service="sns", create=BotoCall("create_topic"), renames={"kmsMasterKeyId": "Attributes.KmsMasterKeyId"},
        name_input="name", id="out.TopicArn", outputs={"arn": "id"}, listings={"list_topics": "Topics[].TopicArn"},
        delete=(BotoCall("delete_topic", {"TopicArn": "id"}),)),
    # A topic always has a policy, which is deleted with the topic.
    "aws:sns/topicPolicy:TopicPolicy": ResourceType(
        service="sns",
        create=BotoCall("set_topic_attributes",
                        {"TopicArn": "in.arn", "AttributeName": "'Policy'", "AttributeValue": "in.policy"}),
        id="in.arn"),
    "aws:sns/topicSubscription:TopicSubscription": ResourceType(
        service="sns", create=BotoCall("subscribe", {"ReturnSubscriptionArn": "`true`"}),
        renames={"topic": "TopicArn"}, id="out.SubscriptionArn",
        listings={"list_subscriptions": "Subscriptions[].SubscriptionArn"},
        delete=(BotoCall("unsubscribe", {"SubscriptionArn": "id"}),)),
}
