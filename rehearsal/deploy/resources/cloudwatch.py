"""CloudWatch and its logs."""

from rehearsal.deploy.resources.model import Call, ResourceType, Template, tagging, words

RESOURCE_TYPES = {
    "aws:cloudwatch/logGroup:LogGroup": ResourceType(
        "logs", Call("create_log_group"), renames={"name": "logGroupName"}, name_input="name", id="in.name",
        after_create=(Call("put_retention_policy", when="in.retentionInDays"),),
        outputs={"arn": Template("arn:aws:logs:{region}:{account}:log-group:{id}")},
        listings={"describe_log_groups": "logGroups[].logGroupName"},
        read=(Call("describe_log_groups", {"logGroupNamePrefix": "id"}),),
        found="pick(out.logGroups, {logGroupName: id})", replace=words("name"), update={
            "retentionInDays": (Call("put_retention_policy", when="in.retentionInDays"),
                                Call("delete_retention_policy", when="!in.retentionInDays")),
            "kmsKeyId": (Call("associate_kms_key"),),
            **tagging("tag_resource", "untag_resource", ("tags", "tagKeys"), resourceArn="state.arn")},
        delete=(Call("delete_log_group"),)),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ResourceType(
        "cloudwatch", Call("put_metric_alarm"),
        renames={"name": "AlarmName", "evaluateLowSampleCountPercentiles": "EvaluateLowSampleCountPercentile"},
        name_input="name", id="in.name",
        listings={"describe_alarms": "MetricAlarms[].AlarmName"},
        read=(Call("describe_alarms", {"AlarmNames": "[id]"}),), found="out.MetricAlarms[0]", put=True,
        replace=words("name"), update=tagging(
            "tag_resource", "untag_resource", ResourceARN=Template("arn:aws:cloudwatch:{region}:{account}:alarm:{id}")),
        delete=(Call("delete_alarms"),)),
    "aws:cloudwatch/dashboard:Dashboard": ResourceType(
        "cloudwatch", Call("put_dashboard"), name_input="dashboardName", id="in.dashboardName",
        listings={"list_dashboards": "DashboardEntries[].DashboardName"},
        read=(Call("get_dashboard"),), put=True, replace=words("dashboardName"), delete=(Call("delete_dashboards"),)),
}
