"""Who is notified of an alarm."""
from contract import DATABASE_EVENTS
from tests.unit.lib.recorder import ACCOUNT, Recording
from tests.unit.lib.test_contract import as_list, policies_of


def test_every_alarm_notifies_the_topic_of_its_region(deployed: Recording) -> None:
    for alarm in deployed.of("MetricAlarm"):
        (topic,) = alarm.inputs["alarmActions"]
        assert topic == alarm.inputs["okActions"][0]
        assert ("statistic" in alarm.inputs) is not ("extendedStatistic" in alarm.inputs)


def test_an_e_mail_address_is_subscribed_in_both_regions(prod: Recording, dev: Recording) -> None:
    assert [r.inputs["endpoint"] for r in prod.of("TopicSubscription")] == ["night@example.com"] * 2
    assert "TopicSubscription" not in {r.kind for r in dev.custom}


def test_people_are_told_what_the_database_of_each_region_says_of_a_failover(deployed: Recording) -> None:
    assert {"failover", "global-failover"} <= {*DATABASE_EVENTS}
    topics = {deployed.region(topic): topic for topic in deployed.of("Topic")}
    subscribed = deployed.of("EventSubscription")
    assert {deployed.region(each) for each in subscribed} == topics.keys()
    for each in subscribed:
        topic = topics[deployed.region(each)]
        (cluster,) = (r for r in deployed.of("Cluster") if deployed.region(r) == deployed.region(each))
        assert (each.inputs["snsTopic"], each.inputs["sourceType"], each.inputs["sourceIds"]) == (
            f"arn:aws:sns::{ACCOUNT}:{topic.name}", "db-cluster", [f"{cluster.name}-id"])
        assert each.inputs["eventCategories"] == [*DATABASE_EVENTS]
        # RDS publishes a first message at once.
        (policy,) = (r for r in deployed.of("TopicPolicy") if deployed.region(r) == deployed.region(each))
        assert policy.urn in each.dependencies


def test_alarms_and_the_database_may_publish_to_the_encrypted_topic(deployed: Recording) -> None:
    publishers = {"cloudwatch.amazonaws.com", "events.rds.amazonaws.com"}
    for kind, action in (("TopicPolicy", "sns:Publish"), ("Key", "kms:GenerateDataKey*"),
                         ("ReplicaKey", "kms:GenerateDataKey*")):
        for resource in deployed.of(kind):
            admitted = {service for statement in policies_of(resource) if action in statement["Action"]
                        for service in as_list(statement["Principal"].get("Service", []))}
            assert admitted >= publishers, resource.urn
