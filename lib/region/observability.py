"""How a region reports problems: topic, alarms, events of the database, dashboard."""
import json

import pulumi
import pulumi_aws as aws

from contract import DATABASE_EVENTS
from lib import policies
from lib.component import Component
from lib.names import Names
from lib.region.alarms import RUNBOOK, SILENCE_IS_A_FAILURE, STATUS, AlarmSpec, alarm_specs, dashboard
from lib.settings import Settings


class Observability(Component, type_name="Observability"):
    """An encrypted topic (with a subscription where an e-mail address is given), what is published to it, a dashboard.

    Published are the alarms, and the events of the region's cluster.
    """

    def __init__(self, name: str, *, names: Names, peer: Names, settings: Settings, key_arn: pulumi.Input[str],
                 opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        self.topic = aws.sns.Topic(f"{name}-topic", name=names.topic, kms_master_key_id=key_arn, opts=self.opts())
        aws.sns.TopicPolicy(f"{name}-topic-policy", arn=self.topic.arn, opts=self.opts(),
                            policy=policies.topic_policy(self.topic.arn, names))
        self._database_events(names)
        if settings.alarm_email:
            aws.sns.TopicSubscription(f"{name}-email", topic=self.topic.arn, protocol="email",
                                      endpoint=settings.alarm_email, opts=self.opts())
        specs = alarm_specs(names, peer, settings)
        self._names = names
        self.alarms = [self.alarm(f"{name}-{spec.key}", spec) for spec in specs]
        self.dashboard = aws.cloudwatch.Dashboard(
            f"{name}-dashboard", dashboard_name=names.dashboard, dashboard_body=dashboard(names.region, specs),
            opts=self.opts())
        self.register_outputs({"topic_arn": self.topic.arn})

    def _database_events(self, names: Names) -> None:
        """Publish Aurora's events about the cluster's failovers and failures.

        https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-cloud-watch-events.html
        """
        rule = aws.cloudwatch.EventRule(
            f"{self.name}-database-events", name=names.database_events,
            description="Reports the database's failover events",
            event_pattern=json.dumps({
                "source": ["aws.rds"], "resources": [names.arn("rds", f"cluster:{names.cluster}")],
                "detail": {"EventCategories": [*DATABASE_EVENTS]}}), opts=self.opts())
        aws.cloudwatch.EventTarget(
            f"{self.name}-database-events-target", rule=rule.name, arn=self.topic.arn, target_id="topic",
            input_transformer={
                "input_paths": {"cluster": "$.detail.SourceIdentifier", "at": "$.time", "what": "$.detail.Message"},
                "input_template": f'"<cluster> at <at>: <what>. {RUNBOOK}: `{STATUS}`"'}, opts=self.opts())

    def alarm(self, name: str, spec: AlarmSpec) -> aws.cloudwatch.MetricAlarm:
        """Create an alarm of this region; `name` is its logical name."""
        percentile, told = spec.statistic.startswith("p"), [self.topic.arn]
        return aws.cloudwatch.MetricAlarm(
            name, name=f"{self._names.alarm}-{spec.key}", alarm_description=spec.text, namespace=spec.namespace,
            metric_name=spec.metric, dimensions=spec.dimensions, statistic=None if percentile else spec.statistic,
            extended_statistic=spec.statistic if percentile else None,
            evaluate_low_sample_count_percentiles="ignore" if percentile else None,
            threshold=spec.threshold, comparison_operator=spec.comparison, period=60,
            evaluation_periods=spec.within or spec.periods, datapoints_to_alarm=spec.periods,
            treat_missing_data=spec.missing, alarm_actions=told, ok_actions=told,
            insufficient_data_actions=told if spec.missing == SILENCE_IS_A_FAILURE else None, opts=self.opts())
