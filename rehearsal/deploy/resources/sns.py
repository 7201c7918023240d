"""SNS."""

from rehearsal.deploy.resources.model import Call, ResourceType, tagging, words

RESOURCE_TYPES = {
    "aws:sns/topic:Topic": ResourceType(
        "sns", Call("create_topic"), renames={"kmsMasterKeyId": "Attributes.KmsMasterKeyId"}, name_input="name",
        id="out.TopicArn", outputs={"arn": "id"}, listings={"list_topics": "Topics[].TopicArn"},
        read=(Call("get_topic_attributes"),), replace=words("name"), update={
            "kmsMasterKeyId": (Call("set_topic_attributes", {
                "AttributeName": "'KmsMasterKeyId'", "AttributeValue": "in.kmsMasterKeyId"}),),
            **tagging("tag_resource", "untag_resource")},
        delete=(Call("delete_topic"),)),
    # A topic always has a policy, which is deleted with the topic.
    "aws:sns/topicPolicy:TopicPolicy": ResourceType(
        "sns",
        Call("set_topic_attributes",
             {"TopicArn": "in.arn", "AttributeName": "'Policy'", "AttributeValue": "in.policy"}),
        id="in.arn", read=(Call("get_topic_attributes"),), found="out.Attributes", put=True, replace=words("arn")),
    "aws:sns/topicSubscription:TopicSubscription": ResourceType(
        "sns", Call("subscribe", {"ReturnSubscriptionArn": "`true`"}), renames={"topic": "TopicArn"},
        id="out.SubscriptionArn", read=(Call("get_subscription_attributes"),), found="out.Attributes",
        replace=words("endpoint protocol topic"), listings={"list_subscriptions": "Subscriptions[].SubscriptionArn"},
        delete=(Call("unsubscribe"),)),
}
