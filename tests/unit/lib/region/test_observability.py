"""Who is notified of an alarm."""
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
    subscribed = deployed.of("EventSubscription")
    assert {deployed.region(each) for each in subscribed} == topics.keys()
    for each in subscribed:
        topic = topics[deployed.region(each)]
        (cluster,) = (r for r in deployed.of("Cluster") if deployed.region(r) == deployed.region(each))
        assert (each.inputs["snsTopic"], each.inputs["sourceType"], each.inputs["sourceIds"]) == (
            deployed.arn(topic), "db-cluster", [f"{cluster.name}-id"])
        assert each.inputs["eventCategories"] == [*DATABASE_EVENTS]
        # RDS publishes a first message at once.
        (policy,) = (r for r in deployed.of("TopicPolicy") if deployed.region(r) == deployed.region(each))
        assert policy.urn in each.dependencies
