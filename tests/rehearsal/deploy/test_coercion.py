"""Inputs as the parameters of an operation."""

from typing import Any

import pytest
from botocore.session import Session

from rehearsal.deploy.coercion import coerce, member, set_path
from rehearsal.errors import CoercionError

SESSION = Session()


def _shape(service: str, operation: str) -> Any:
    return SESSION.get_service_model(service).operation_model(operation).input_shape


@pytest.mark.parametrize(
    ("service", "operation", "name", "found"),
    [
        ("kms", "CreateKey", "multiRegion", "MultiRegion"),
        ("rds", "CreateDBCluster", "vpcSecurityGroupIds", "VpcSecurityGroupIds"),
        ("rds", "CreateDBCluster", "serverlessv2ScalingConfiguration", "ServerlessV2ScalingConfiguration"),
        ("cloudwatch", "PutMetricAlarm", "okActions", "OKActions"),
        ("rds", "CreateDBCluster", "availabilityZone", "AvailabilityZones"),
        ("rds", "CreateDBCluster", "ports", "Port"),
        ("kms", "CreateKey", "colour", None),
    ],
)
def test_a_member_is_found_regardless_of_case_and_number(
    service: str, operation: str, name: str, found: str | None
) -> None:
    assert member(_shape(service, operation), name) == found


def test_values_take_the_types_of_the_model() -> None:
    coerced = coerce(
        _shape("cloudwatch", "PutMetricAlarm"),
        {"period": 60.0, "threshold": 3, "actionsEnabled": "true", "alarmActions": "arn", "unit": None,
         "dimensions": {"TableName": "t", "Count": 1}},
        {},
    )
    assert coerced == {
        "Period": 60, "Threshold": 3, "ActionsEnabled": True, "AlarmActions": ["arn"],
        "Dimensions": [{"Name": "Count", "Value": "1"}, {"Name": "TableName", "Value": "t"}],
    }
    assert isinstance(coerced["Period"], int)


def test_numbers_and_flags_become_strings_where_the_model_has_strings() -> None:
    environment = {"environment": {"variables": {"A": 5432, "B": True, "C": None}}}
    coerced = coerce(_shape("lambda", "CreateFunction"), environment, {})
    assert coerced == {"Environment": {"Variables": {"A": "5432", "B": "true"}}}


@pytest.mark.parametrize(
    ("operation", "tags"),
    [("CreateKey", [{"TagKey": "a", "TagValue": "b"}]), ("CreateTable", [{"Key": "a", "Value": "b"}]),
     ("CreateFunction", {"a": "b"})],
)
def test_tags_take_the_shape_that_the_service_uses(operation: str, tags: object) -> None:
    service = {"CreateKey": "kms", "CreateTable": "dynamodb", "CreateFunction": "lambda"}[operation]
    assert coerce(_shape(service, operation), {"tags": {"a": "b"}}, {}) == {"Tags": tags}


def test_renames_apply_at_any_depth() -> None:
    given = {"BackupPlan": {"rules": [{"schedule": "cron"}]}}
    coerced = coerce(_shape("backup", "CreateBackupPlan"), given, {"schedule": "ScheduleExpression"})
    assert coerced == {"BackupPlan": {"Rules": [{"ScheduleExpression": "cron"}]}}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"tags": [{"key": "a", "worth": 1}]}, r"tags\[0\].worth: Tag has no such member"),
        ({"streamSpecification": "on"}, "streamSpecification: must be a structure, not a str"),
        ({"tableName": {"a": 1}}, "tableName: must be a string"),
        ({"keySchema": [[1]]}, r"keySchema\[0\]: must be a structure"),
    ],
)
def test_an_input_that_does_not_fit_is_named(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CoercionError, match=complaint):
        coerce(_shape("dynamodb", "CreateTable"), given, {})


def test_missing_parts_of_a_path_are_created() -> None:
    target: dict[str, Any] = {"A": {"X": 1}}
    set_path(target, "A.B.C", 2)
    assert target == {"A": {"X": 1, "B": {"C": 2}}}
