"""The alarms and the dashboard of a region."""
import json

from tests.unit.lib.recorder import Recording


def test_a_failed_copy_is_an_alarm_at_its_source_and_a_late_one_at_its_destination(dev: Recording) -> None:
    for alarm in dev.of("MetricAlarm"):
        if alarm.inputs["namespace"] == "AWS/S3":
            end = "SourceBucket" if "Failed" in alarm.inputs["metricName"] else "DestinationBucket"
            assert dev.region(alarm) in alarm.inputs["dimensions"][end]


def test_a_strong_table_has_no_lag_to_alarm_on(dev: Recording, domain: Recording) -> None:
    def lags(program: Recording) -> list[str]:
        return [r.name for r in program.of("MetricAlarm") if r.inputs["metricName"] == "ReplicationLatency"
                and r.inputs["namespace"] == "AWS/DynamoDB"]

    assert len(lags(dev)) == 2
    assert lags(domain) == []


def test_lag_alarms_have_the_recovery_point_as_threshold(dev: Recording, domain: Recording) -> None:
    for program, milliseconds in ((dev, 150_000), (domain, 1000)):
        lag = [r for r in program.of("MetricAlarm") if r.inputs["metricName"].startswith("AuroraGlobalDB")]
        assert len(lag) == 4
        assert {r.inputs["threshold"] for r in lag} == {milliseconds}


def test_there_is_an_alarm_on_the_other_region_and_one_on_the_controller(dev: Recording) -> None:
    for role, peer in (("primary", "dr"), ("dr", "primary")):
        alarm = dev.one("MetricAlarm", f"-{role}-alarms-other-region").inputs
        assert (alarm["namespace"], alarm["metricName"], alarm["dimensions"]) == (
            "TapStack", "OtherRegionHealthy", {"Stack": "dev"})
        assert (alarm["statistic"], alarm["comparisonOperator"], alarm["threshold"]) == (
            "Minimum", "LessThanThreshold", 1)
        assert (alarm["period"], alarm["evaluationPeriods"], alarm["datapointsToAlarm"]) == (60, 1, 1)
        assert alarm["treatMissingData"] == "breaching"
        own, other = (dev.outputs[f"{each}_region"] for each in (role, peer))
        assert alarm["alarmDescription"] == (
            f"{other} does not answer, or it is not watched: `python -m recovery status`, "
            f"then `python -m recovery failover --to {own}`")
        errors = dev.one("MetricAlarm", f"-{role}-alarms-controller-errors").inputs
        assert errors["dimensions"] == {"FunctionName": "tapstack-controller-dev"}


def test_missing_data_is_a_breach_only_where_the_controller_publishes_it(dev: Recording) -> None:
    breaching = {r.name for r in dev.of("MetricAlarm") if r.inputs["treatMissingData"] != "notBreaching"}
    assert breaching == {f"tap-dev-{role}-alarms-other-region" for role in ("primary", "dr")}


def test_a_dashboard_shows_every_alarm_of_its_region(dev: Recording) -> None:
    for role in ("primary", "dr"):
        widgets = json.loads(dev.one("Dashboard", f"-{role}-").inputs["dashboardBody"])["widgets"]
        assert {w["properties"]["region"] for w in widgets} == {dev.outputs[f"{role}_region"]}
        assert len(widgets) == len(dev.outputs[f"{role}_alarm_names"])
        assert len({(w["x"], w["y"]) for w in widgets}) == len(widgets)
