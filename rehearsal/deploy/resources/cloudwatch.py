"""CloudWatch and its logs."""

from collections.abc import Mapping

from rehearsal.deploy.resources.model import BotoCall, Listing, ResourceType, Template

RESOURCE_TYPES: Mapping[str, ResourceType] = {
    "aws:cloudwatch/logGroup:LogGroup": ResourceType(
        service="logs", create=BotoCall("create_log_group"), renames={"name": "logGroupName"}, named="name", id="in.name",
        then=(BotoCall("put_retention_policy", {"logGroupName": "id", "retentionInDays": "in.retentionInDays"},
                   when="in.retentionInDays"),),
        outputs={"arn": Template("arn:aws:logs:{region}:{account}:log-group:{id}")},
        listed=(Listing("describe_log_groups", "logGroups[].logGroupName"),),
        delete=(BotoCall("delete_log_group", {"logGroupName": "id"}),)),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ResourceType(
        service="cloudwatch", create=BotoCall("put_metric_alarm"), renames={"name": "AlarmName"}, named="name",
        id="in.name",
        outputs={"arn": Template("arn:aws:cloudwatch:{region}:{account}:alarm:{id}")},
        listed=(Listing("describe_alarms", "MetricAlarms[].AlarmName"),),
        delete=(BotoCall("delete_alarms", {"AlarmNames": "[id]"}),)),
    "aws:cloudwatch/dashboard:Dashboard": ResourceType(
        service="cloudwatch", create=BotoCall("put_dashboard"), named="dashboardName", id="in.dashboardName",
        outputs={"dashboardArn": Template("arn:aws:cloudwatch::{account}:dashboard/{id}")},
        listed=(Listing("list_dashboards", "DashboardEntries[].DashboardName"),),
        delete=(BotoCall("delete_dashboards", {"DashboardNames": "[id]"}),)),
}
