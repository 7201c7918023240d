"""The controller that watches the other region, and what starts it."""
import json
from typing import Any

import pytest

from contract import RECOVERY_OUTPUTS
from tests.integration.stack import EMULATED, Region, statements
from tests.integration.test_function import controller_role, permissions, variables_of


@pytest.fixture
def controller(region: Region) -> dict[str, Any]:
    """Configuration of the version that the alias `live` runs."""
    name, _, alias = region["controller_alias_arn"].rpartition(":")
    found: dict[str, Any] = region.client("lambda").get_function_configuration(FunctionName=name, Qualifier=alias)
    return found


@pytest.fixture
def rule(region: Region) -> dict[str, Any]:
    """The only rule that starts the controller."""
    events = region.client("events")
    (name,) = events.list_rule_names_by_target(TargetArn=region["controller_alias_arn"])["RuleNames"]
    found: dict[str, Any] = events.describe_rule(Name=name)
    return found


def test_the_alias_runs_a_published_version(region: Region, controller: dict[str, Any]) -> None:
    assert controller["FunctionName"] == region["controller_function_name"]
    assert controller["Version"].isdecimal()
    assert (controller["State"], controller["LastUpdateStatus"]) == ("Active", "Successful")


def test_it_runs_outside_the_vpc_with_time_for_a_failover(controller: dict[str, Any]) -> None:
    assert not controller.get("VpcConfig", {}).get("SubnetIds"), "the VPC has no route to RDS, Lambda, CloudWatch, SNS"
    assert controller["Handler"] == "recovery.controller.handler"
    assert (controller["Timeout"], controller["MemorySize"]) == (900, 192)
    assert (controller["Architectures"], controller["TracingConfig"]) == (["arm64"], {"Mode": "PassThrough"})


def test_it_knows_the_outputs_that_recovery_reads_and_no_others(region: Region, controller: dict[str, Any]) -> None:
    variables = variables_of(controller)
    assert variables.keys() == {"STACK_OUTPUTS", "ROLE_ARN", "PROBE_SECONDS", "WATCH_SECONDS", "COOL_DOWN_SECONDS",
                                "DETECTION_SECONDS"}
    assert json.loads(variables["STACK_OUTPUTS"]) == {key: region.outputs[key] for key in RECOVERY_OUTPUTS}
    assert controller["KMSKeyArn"] == region["key_arn"]


def test_it_checks_the_other_region_at_its_interval(region: Region, controller: dict[str, Any]) -> None:
    # A rehearsal may divide all of them by the same factor.
    probe, watch, cool_down = (float(controller["Environment"]["Variables"][f"{key}_SECONDS"])
                               for key in ("PROBE", "WATCH", "COOL_DOWN"))
    assert [watch / probe, cool_down / watch] == pytest.approx([60 / region.outputs["look_interval"], 5])
    assert probe <= region.outputs["look_interval"]


def test_it_is_started_every_minute(region: Region, rule: dict[str, Any]) -> None:
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert EMULATED or rule["State"] == "ENABLED", "a rehearsal starts it by its own clock"
    (target,) = region.client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"] == region["controller_alias_arn"]
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}


def test_a_start_that_fails_is_not_repeated(region: Region) -> None:
    name, _, alias = region["controller_alias_arn"].rpartition(":")
    found = region.client("lambda").get_function_event_invoke_config(FunctionName=name, Qualifier=alias)
    assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (0, 60)


def test_only_its_rule_may_start_it(region: Region, rule: dict[str, Any]) -> None:
    name, _, alias = region["controller_alias_arn"].rpartition(":")
    (found,) = statements(region.client("lambda").get_policy(FunctionName=name, Qualifier=alias)["Policy"])
    assert (found["Effect"], found["Principal"]) == ("Allow", {"Service": "events.amazonaws.com"})
    assert found["Condition"]["ArnLike"]["AWS:SourceArn"] == rule["Arn"]


def test_in_the_other_region_it_may_only_give_up_the_database_and_ask_whether_it_can_pay(
        region: Region, peer: Region) -> None:
    naming = [each for each in permissions(region, controller_role(region)) if peer.name in json.dumps(each)]
    assert [each["Action"] for each in naming] == [["rds:FailoverGlobalCluster"], ["lambda:InvokeFunction"]]
    assert [each for each in naming[1]["Resource"] if peer.name in each] == [peer["function_alias_arn"]]


def test_in_the_table_it_may_touch_control_items_only(region: Region) -> None:
    found = [each for each in permissions(region, controller_role(region))
             if any(action.startswith("dynamodb:") for action in each["Action"])]
    for statement in found:
        keys = statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"]
        assert all(key.startswith("!") for key in keys), keys
    assert found
