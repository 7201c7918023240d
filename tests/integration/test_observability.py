"""Alarms, their topic, the dashboards, and the log groups."""
import json
from collections.abc import Callable
from typing import Any

import pytest

from lib.settings import Profile
from tests.integration.stack import Region, statements

DEFINITION = ("AlarmName", "Namespace", "MetricName", "Dimensions", "Statistic", "ExtendedStatistic", "Threshold",
              "ComparisonOperator", "Period", "EvaluationPeriods", "DatapointsToAlarm", "TreatMissingData",
              "ActionsEnabled", "AlarmActions", "OKActions")

PUBLISHERS = ["cloudwatch.amazonaws.com", "events.amazonaws.com"]


def alarms_of(region: Region) -> dict[str, dict[str, Any]]:
    """Every alarm of the region that publishes to the stack's topic."""
    pages = region.client("cloudwatch").get_paginator("describe_alarms").paginate()
    return {alarm["AlarmName"]: alarm for page in pages for alarm in page["MetricAlarms"]
            if region["topic_arn"] in alarm["AlarmActions"]}


def definitions(region: Region) -> Any:
    """What the region's alarms watch, without the region's name."""
    found = alarms_of(region)
    return region.neutral({name: {key: found[name].get(key) for key in DEFINITION} for name in region["alarm_names"]})


def flow_group(region: Region) -> str:
    """Where the VPC's traffic is recorded."""
    return str(region["flow_log_group"])


def function_group(region: Region) -> str:
    """Where the function logs to."""
    return str(region["function_log_group"])


def controller_group(region: Region) -> str:
    """Where the controller logs to."""
    found = region.client("lambda").get_function_configuration(FunctionName=region["controller_function_name"])
    return str(found["LoggingConfig"]["LogGroup"])


def api_group(region: Region) -> str:
    """Where the API logs accesses."""
    (stage,) = region.client("apigateway").get_stages(restApiId=region["api_id"])["item"]
    return str(stage["accessLogSettings"]["destinationArn"]).partition(":log-group:")[2].removesuffix(":*")


def database_group(region: Region) -> str:
    """Where RDS exports the cluster's log to, by its own rule."""
    return f"/aws/rds/cluster/{region['cluster_id']}/postgresql"


def test_only_the_named_alarms_notify_the_topic(region: Region) -> None:
    health = set(region.outputs["health_alarm_names"])
    assert alarms_of(region).keys() - health == set(region["alarm_names"])
    assert len(region["alarm_names"]) == len(set(region["alarm_names"])) > 0


def test_an_alarm_notifies_when_it_starts_and_when_it_ends(region: Region) -> None:
    for name, alarm in alarms_of(region).items():
        assert alarm["ActionsEnabled"], name
        assert alarm["AlarmActions"] == alarm["OKActions"] == [region["topic_arn"]], name
        assert alarm.get("AlarmDescription"), f"{name}: it must say what it means"


def test_a_controller_that_publishes_nothing_raises_an_alarm(region: Region) -> None:
    found = [alarm for alarm in alarms_of(region).values() if alarm["MetricName"] == "OtherRegionHealthy"]
    (alarm,) = found
    assert alarm["Namespace"] == "TapStack"
    assert alarm["Dimensions"] == [{"Name": "Stack", "Value": region.outputs["environment_suffix"]}]
    assert (alarm["Statistic"], alarm["ComparisonOperator"], alarm["Threshold"]) == ("Maximum", "LessThanThreshold", 1)
    assert (alarm["TreatMissingData"], alarm["InsufficientDataActions"]) == ("missing", [region["topic_arn"]])
    assert "python -m recovery status" in alarm["AlarmDescription"], "it must say what to do"


def test_both_regions_watch_the_same(region: Region, peer: Region) -> None:
    assert definitions(region) == definitions(peer)


def test_the_dashboard_shows_what_the_alarms_watch(region: Region) -> None:
    body = region.client("cloudwatch").get_dashboard(DashboardName=region["dashboard_name"])["DashboardBody"]
    graphs = [widget["properties"] for widget in json.loads(body)["widgets"] if widget["type"] == "metric"]
    assert {graph["region"] for graph in graphs} == {region.name}
    shown = {tuple(metric[:2]) for graph in graphs for metric in graph["metrics"]}
    found = alarms_of(region)
    assert shown == {(found[name]["Namespace"], found[name]["MetricName"]) for name in region["alarm_names"]}


def test_the_topic_is_encrypted_and_open_to_this_accounts_alarms_and_databases_alone(region: Region) -> None:
    topic = region.client("sns").get_topic_attributes(TopicArn=region["topic_arn"])["Attributes"]
    assert topic["KmsMasterKeyId"] == region["key_arn"]
    found = statements(topic["Policy"])
    assert [(each["Effect"], each["Principal"]) for each in found] == [
        ("Deny", "*"), *(("Allow", {"Service": service}) for service in PUBLISHERS)]
    assert all((each["Action"], each["Resource"]) == (["sns:Publish"], [region["topic_arn"]]) for each in found)
    assert found[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    for each in found[1:]:
        assert {"aws:SourceAccount": topic["Owner"]} in each["Condition"].values()


@pytest.mark.parametrize("service", PUBLISHERS)
def test_what_publishes_to_the_topic_may_use_its_key(region: Region, service: str) -> None:
    policy = region.client("kms").get_key_policy(KeyId=region["key_arn"], PolicyName="default")["Policy"]
    allowed = {action for each in statements(policy) if each["Effect"] == "Allow"
               and each["Principal"] == {"Service": service} for action in each["Action"]}
    assert allowed >= {"kms:Decrypt", "kms:GenerateDataKey*"}, "messages would be lost silently"


@pytest.mark.parametrize("group", [flow_group, function_group, controller_group, api_group, database_group])
def test_logs_are_encrypted_and_kept_as_long_as_declared(
        region: Region, profile: Profile, group: Callable[[Region], str]) -> None:
    name = group(region)
    pages = region.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
    (found,) = [each for page in pages for each in page["logGroups"] if each["logGroupName"] == name]
    assert found.get("kmsKeyId") == region["key_arn"]
    assert found.get("retentionInDays") == profile.log_retention_days
