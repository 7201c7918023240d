"""Who is notified of an alarm."""
import json
from functools import reduce
from typing import Any

from contract import DATABASE_EVENTS
from tests.unit.lib.recorder import Recording


def test_every_alarm_notifies_the_topic_of_its_region(deployed: Recording) -> None:
    for alarm in deployed.of("MetricAlarm"):
        (topic,) = alarm.inputs["alarmActions"]
        assert topic == alarm.inputs["okActions"][0]
        assert ("statistic" in alarm.inputs) is not ("extendedStatistic" in alarm.inputs)


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
