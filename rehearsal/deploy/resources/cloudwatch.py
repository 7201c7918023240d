"""CloudWatch and its logs."""

from rehearsal.deploy.resources.model import BotoCall, ResourceType, Template

RESOURCE_TYPES = {
    "aws:cloudwatch/logGroup:LogGroup": ResourceType(
        service="logs", create=BotoCall("create_log_group"), renames={"name": "logGroupName"}, name_input="name",
        id="in.name",
        after_create=(BotoCall("put_retention_policy", {"logGroupName": "id", "retentionInDays": "in.retentionInDays"},
                               when="in.retentionInDays"),),
        outputs={"arn": Template("arn:aws:logs:{region}:{account}:log-group:{id}")},
        listings={"describe_log_groups": "logGroups[].logGroupName"},
        delete=(BotoCall("delete_log_group", {"logGroupName": "id"}),)),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ResourceType(
        service="cloudwatch", create=BotoCall("put_metric_alarm"), renames={"name": "AlarmName"}, name_input="name",
        id="in.name", listings={"describe_alarms": "MetricAlarms[].AlarmName"},
        delete=(BotoCall("delete_alarms", {"AlarmNames": "[id]"}),)),
    "aws:cloudwatch/dashboard:Dashboard": ResourceType(
        service="cloudwatch", create=BotoCall("put_dashboard"), name_input="dashboardName", id="in.dashboardName",
        listings={"list_dashboards": "DashboardEntries[].DashboardName"},
        delete=(BotoCall("delete_dashboards", {"DashboardNames": "[id]"}),)),
}
