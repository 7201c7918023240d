"""CloudWatch and its logs."""

from rehearsal.deploy.resources.model import Call, ResourceType, Template

RESOURCE_TYPES = {
    "aws:cloudwatch/logGroup:LogGroup": ResourceType(
        "logs", Call("create_log_group"), renames={"name": "logGroupName"}, name_input="name", id="in.name",
        after_create=(Call("put_retention_policy", when="in.retentionInDays"),),
        outputs={"arn": Template("arn:aws:logs:{region}:{account}:log-group:{id}")},
        listings={"describe_log_groups": "logGroups[].logGroupName"}, delete=(Call("delete_log_group"),)),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ResourceType(
        "cloudwatch", Call("put_metric_alarm"), renames={"name": "AlarmName"}, name_input="name", id="in.name",
        listings={"describe_alarms": "MetricAlarms[].AlarmName"}, delete=(Call("delete_alarms"),)),
    "aws:cloudwatch/dashboard:Dashboard": ResourceType(
        "cloudwatch", Call("put_dashboard"), name_input="dashboardName", id="in.dashboardName",
        listings={"list_dashboards": "DashboardEntries[].DashboardName"}, delete=(Call("delete_dashboards"),)),
}
