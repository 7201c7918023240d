"""Who is notified of an alarm."""
from tests.unit.lib.recorder import Recording


def test_every_alarm_notifies_the_topic_of_its_region(deployed: Recording) -> None:
    for alarm in deployed.of("MetricAlarm"):
        (topic,) = alarm.inputs["alarmActions"]
        assert topic == alarm.inputs["okActions"][0]
        assert ("statistic" in alarm.inputs) is not ("extendedStatistic" in alarm.inputs)


def test_an_e_mail_address_is_subscribed_in_both_regions(prod: Recording, dev: Recording) -> None:
    assert [r.inputs["endpoint"] for r in prod.of("TopicSubscription")] == ["night@example.com"] * 2
    assert "TopicSubscription" not in {r.kind for r in dev.custom}
