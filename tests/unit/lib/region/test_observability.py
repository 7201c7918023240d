"""Who is notified of an alarm."""
import json
from functools import reduce
from typing import Any

from contract import DATABASE_EVENTS
from tests.unit.lib.iam import allowed, policies_of
from tests.unit.lib.recorder import ACCOUNT, Recording, Resource
from tests.unit.lib.test_keys import STRANGER


def test_an_e_mail_address_is_subscribed_in_both_regions(prod: Recording, dev: Recording) -> None:
    assert [r.inputs["endpoint"] for r in prod.of("TopicSubscription")] == ["night@example.com"] * 2
    assert "TopicSubscription" not in {r.kind for r in dev.custom}


def test_people_are_told_what_the_database_of_each_region_says_of_a_failover(deployed: Recording) -> None:
    # Only events say whether Aurora fenced a writer:
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_Events.Messages.html
    assert {"failover", "global-failover"} <= {*DATABASE_EVENTS}
    topics = {deployed.region(topic): topic for topic in deployed.of("Topic")}
    targets = [target for target in deployed.of("EventTarget") if target.inputs["targetId"] == "topic"]
    assert {deployed.region(each) for each in targets} == topics.keys()
    for target in targets:
        region = deployed.region(target)
        (rule,) = (each for each in deployed.of("EventRule")
                   if (each.inputs["name"], deployed.region(each)) == (target.inputs["rule"], region))
        (cluster,) = (each for each in deployed.of("Cluster") if deployed.region(each) == region)
        assert json.loads(rule.inputs["eventPattern"]) == {
            "source": ["aws.rds"], "resources": [deployed.arn(cluster)],
            "detail": {"EventCategories": [*DATABASE_EVENTS]}}
        assert target.inputs["arn"] == deployed.arn(topics[region])


def test_alarms_and_rules_of_this_account_may_publish_to_the_topic_and_nobody_else(deployed: Recording) -> None:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions
    # https://docs.aws.amazon.com/sns/latest/dg/sns-security-best-practices.html#enforce-encryption-data-in-transit
    topics = {deployed.arn(topic): topic for topic in deployed.of("Topic")}
    for resource in deployed.of("TopicPolicy"):
        region = deployed.region(topics[resource.inputs["arn"]])

        def publishes(principal: str, source: str, account: str = ACCOUNT, policy: Resource = resource) -> bool:
            sent = {"aws:SourceAccount": account, "aws:SourceArn": source}
            encrypted, plain = (allowed(
                policies_of(policy), "sns:Publish", policy.inputs["arn"], principal=principal,
                context={**sent, "aws:SecureTransport": tls}) for tls in ("true", "false"))
            assert not plain
            return encrypted

        for principal, kind, what in (("cloudwatch", "MetricAlarm", "alarm:"), ("events", "EventRule", "rule/")):
            for each in deployed.of(kind):
                if deployed.region(each) == region:
                    source = f"arn:aws:{principal}:{region}:{ACCOUNT}:{what}{each.inputs['name']}"
                    assert publishes(f"{principal}.amazonaws.com", source)
                    assert not publishes(f"{principal}.amazonaws.com", source, STRANGER)
                    assert not publishes(f"{principal}.amazonaws.com", source.replace(ACCOUNT, STRANGER))
                    assert not publishes("s3.amazonaws.com", source)


def test_an_event_of_the_database_becomes_a_sentence(dev: Recording) -> None:
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
    event: Any = {"time": "2026-01-15T08:01:34Z", "detail": {
        "SourceIdentifier": "tapstack-dev-us-east-1", "Message": "Global failover has started"}}
    given = next(each.inputs["inputTransformer"] for each in dev.of("EventTarget")
                 if "inputTransformer" in each.inputs)
    text = given["inputTemplate"]
    for name, path in given["inputPaths"].items():
        text = text.replace(f"<{name}>", reduce(lambda value, key: value[key], path.split(".")[1:], event))
    assert json.loads(text) == ("tapstack-dev-us-east-1 at 2026-01-15T08:01:34Z: Global failover has started. "
                                "docs/runbook.md: `python -m recovery status`")
