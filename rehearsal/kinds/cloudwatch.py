"""CloudWatch and its logs."""

from collections.abc import Mapping

from rehearsal.kinds.model import Call, Kind, Listing, Text

KINDS: Mapping[str, Kind] = {
    "aws:cloudwatch/logGroup:LogGroup": Kind(
        service="logs", create=Call("create_log_group"), renames={"name": "logGroupName"}, named="name", id="in.name",
        then=(Call("put_retention_policy", {"logGroupName": "id", "retentionInDays": "in.retentionInDays"},
                   when="in.retentionInDays"),),
        outputs={"arn": Text("arn:aws:logs:{region}:{account}:log-group:{id}")},
        listed=(Listing("describe_log_groups", "logGroups[].logGroupName"),),
        delete=(Call("delete_log_group", {"logGroupName": "id"}),)),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Kind(
        service="cloudwatch", create=Call("put_metric_alarm"), renames={"name": "AlarmName"}, named="name",
        id="in.name",
        outputs={"arn": Text("arn:aws:cloudwatch:{region}:{account}:alarm:{id}")},
        listed=(Listing("describe_alarms", "MetricAlarms[].AlarmName"),),
        delete=(Call("delete_alarms", {"AlarmNames": "[id]"}),)),
    "aws:cloudwatch/dashboard:Dashboard": Kind(
        service="cloudwatch", create=Call("put_dashboard"), named="dashboardName", id="in.dashboardName",
        outputs={"dashboardArn": Text("arn:aws:cloudwatch::{account}:dashboard/{id}")},
        listed=(Listing("list_dashboards", "DashboardEntries[].DashboardName"),),
        delete=(Call("delete_dashboards", {"DashboardNames": "[id]"}),)),
}
