"""How a region tells people what is wrong with it."""
import pulumi
import pulumi_aws as aws

from lib import policies
from lib.component import Component
from lib.names import Names
from lib.region.alarms import alarm_specs, dashboard
from lib.settings import Settings


class Observability(Component, type_name="Observability"):
    """An encrypted topic (with a subscription where an e-mail address is given), the alarms, and a dashboard."""

    def __init__(self, name: str, *, names: Names, peer: Names, settings: Settings, key_arn: pulumi.Input[str],
                 opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        self.topic = aws.sns.Topic(f"{name}-topic", name=names.topic, kms_master_key_id=key_arn, opts=self.opts())
        aws.sns.TopicPolicy(f"{name}-topic-policy", arn=self.topic.arn,
                            policy=policies.topic_policy(self.topic.arn, names.account), opts=self.opts())
        if settings.alarm_email:
            aws.sns.TopicSubscription(f"{name}-email", topic=self.topic.arn, protocol="email",
                                      endpoint=settings.alarm_email, opts=self.opts())
        watched = alarm_specs(names, peer, settings.objectives, settings.table)
        self.alarms = [
            aws.cloudwatch.MetricAlarm(
                f"{name}-{watch.key}", name=f"{names.alarm}-{watch.key}", alarm_description=watch.what,
                namespace=watch.namespace, metric_name=watch.metric, dimensions=watch.dimensions,
                statistic=None if watch.statistic.startswith("p") else watch.statistic,
                extended_statistic=watch.statistic if watch.statistic.startswith("p") else None,
                threshold=watch.threshold, comparison_operator=watch.comparison, period=60,
                evaluation_periods=watch.periods, datapoints_to_alarm=watch.periods,
                treat_missing_data=watch.missing, alarm_actions=[self.topic.arn], ok_actions=[self.topic.arn],
                opts=self.opts())
            for watch in watched]
        self.dashboard = aws.cloudwatch.Dashboard(
            f"{name}-dashboard", dashboard_name=names.dashboard, dashboard_body=dashboard(names.region, watched),
            opts=self.opts())
        self.register_outputs({"topic_arn": self.topic.arn})
