"""The page of all permissions, and how one is taken out of a policy."""
import json
import re

import pytest

from rehearsal.errors import CheckFailed
from rehearsal.privileges import PAGE, Privilege, allowed, first_failure, page, without
from tests.unit.lib.conftest import CASES, recording
from tests.unit.lib.iam import policies_of

POLICY = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "a"},
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "b"},
    {"Effect": "Deny", "Action": ["s3:GetObject", "s3:DeleteObject"], "Resource": "c"}]}


def test_the_page_lists_the_permissions_of_the_program_and_no_others() -> None:
    wanted = set()
    for case in (name for name, config in CASES.items() if "profile" not in config):
        program = recording(case)
        suffix = f"-{program.outputs['environment_suffix']}-{program.outputs['primary_region']}"
        for role in program.of("Role"):
            label = role.inputs["name"].removeprefix("tapstack-")
            if label.endswith(suffix):
                wanted |= {(label.removesuffix(suffix), action) for policy in program.of("RolePolicy")
                           if policy.inputs["role"] == f"{role.name}-id"
                           for action in allowed({"Statement": [*policies_of(policy)]})}
    rows = re.findall(r"^\| ([a-z-]+) \| `([^`]+)` \| .+ \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(wanted), "run `make privileges`"


def test_one_action_is_taken_out_of_what_is_allowed() -> None:
    assert allowed(POLICY) == ["s3:GetObject", "s3:PutObject"]
    reduced = without(POLICY, "s3:GetObject")
    assert allowed(reduced) == ["s3:PutObject"]
    assert [statement["Resource"] for statement in reduced["Statement"]] == ["a", "c"]
    assert json.dumps(POLICY["Statement"][2]) == json.dumps(reduced["Statement"][1])


def test_the_first_check_that_fails_is_named() -> None:
    def fail() -> None:
        raise CheckFailed("no")

    assert first_failure({"one": lambda: None, "two": fail, "three": fail}) == "two"
    assert first_failure({"one": lambda: None}) == ""


def test_a_permission_that_nothing_needs_is_refused() -> None:
    rows = [Privilege("b", "s3:GetObject", "reads"), Privilege("a", "s3:PutObject", "writes")]
    assert page(rows).endswith("| a | `s3:PutObject` | writes |\n| b | `s3:GetObject` | reads |\n")
    with pytest.raises(CheckFailed, match="b s3:ListBucket"):
        page([*rows, Privilege("b", "s3:ListBucket", "")])
