"""The calls that commands make are declared, and none that they do not make; `doctor` only reads."""
import inspect
import re
from collections.abc import Mapping
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest
from botocore import xform_name

from contract import OUTPUTS_KEY
from recovery.outputs import in_region
from recovery.permissions import DOCTOR, OPERATOR, Permission
from tests.unit.recovery.calm_world import CONTROLLER_ONLY
from tests.unit.recovery.doctor.fakes import SESSION

ROOT = Path(__file__).parents[3]


@cache
def sources() -> str:
    """The code of the commands without the doctor's, whose calls are counted when they are made."""
    return "\n".join(path.read_text(encoding="utf-8") for folder in ("payments", "recovery")
                     for path in (ROOT / folder).rglob("*.py")
                     if path.parent.name != "doctor" and path.name != "permissions.py")


@pytest.mark.parametrize("call", sorted({*OPERATOR, *DOCTOR, *CONTROLLER_ONLY}))
def test_each_call_is_one_that_aws_has(call: str) -> None:
    service, operation = call.split(":")
    assert operation in list(SESSION.get_service_model(service).operation_names)


@pytest.mark.parametrize("call", sorted({*OPERATOR, *CONTROLLER_ONLY}))
def test_each_declared_call_is_still_in_the_code(call: str) -> None:
    """That none is missing is checked by `CalmWorld`, which refuses a call that is not declared."""
    method = xform_name(call.partition(":")[2])
    assert re.search(rf'\.{method}\b|"{method}"', sources())


@pytest.mark.parametrize("calls", [DOCTOR, OPERATOR], ids=["doctor", "operator"])
def test_a_region_gives_its_outputs_to_doctor_and_to_all_other_commands(calls: Mapping[str, Permission]) -> None:
    made = re.findall(r'clients\("(\w+)", region\)\.(\w+)', inspect.getsource(in_region))
    assert made == [("sts", "get_caller_identity"), ("s3", "get_object")]
    permitted = {f"{service}:{xform_name(call)}" for service, call in (each.split(":") for each in calls)}
    assert {":".join(each) for each in made} <= permitted
    assert any(fnmatch(f"arn:aws:s3:::{{control}}/{OUTPUTS_KEY}", each) for each in calls["s3:GetObject"].resources)


def test_the_doctor_only_reads() -> None:
    actions = {action for call, permission in DOCTOR.items() for action in permission.actions or [call]}
    assert [each for each in actions if not re.fullmatch("[a-z0-9]+:(Describe|Get|List|GET)[A-Za-z]*", each)] == []
    assert {use for permission in DOCTOR.values() for use in permission.key} <= {"kms:Decrypt"}


def test_an_operator_touches_no_payment_and_nothing_of_another_stack() -> None:
    everywhere = {call for call, permission in OPERATOR.items() if permission.resources == ("*",)}
    assert everywhere == {  # none of which takes a resource
        "cloudwatch:DescribeAlarms", "fis:ListExperiments", "rds:DescribeEvents", "sts:GetCallerIdentity"}
    for call in ("dynamodb:GetItem", "dynamodb:PutItem"):
        assert OPERATOR[call].condition["ForAllValues:StringLike"] == {"dynamodb:LeadingKeys": ["!*"]}
        assert OPERATOR[call].condition["Null"] == {"dynamodb:LeadingKeys": "false"}
