"""The policies in docs/iam are those of the present code, small enough for IAM, and as narrow as AWS allows."""
import json
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import typer

from lib.parsers import REGIONS
from recovery.permissions import ANYWHERE, DOCTOR
from tests.unit.lib.resource_types import TYPES
from tools import iam

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / iam.FOLDER).glob("*.json"))


def statements(name: str) -> list[dict[str, Any]]:
    """The statements of a policy."""
    found: list[dict[str, Any]] = json.loads((ROOT / iam.FOLDER / name).read_text(encoding="utf-8"))["Statement"]
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with copies of the policies and of what they are made from."""
    for folder in (iam.FOLDER, iam.HANDLERS.parent):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / iam.HANDLERS, tmp_path / iam.HANDLERS)
    for path in FILES:
        shutil.copy(path, tmp_path / iam.FOLDER)
    return tmp_path


def test_the_policies_are_up_to_date() -> None:
    iam.main(check=True)


def test_a_stale_policy_is_named_and_written_again(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / iam.FOLDER / "operator.json").write_text("{}", encoding="utf-8")
    (copy / iam.FOLDER / "deployer-9.json").write_text("{}", encoding="utf-8")
    with pytest.raises(typer.Exit) as ended:
        iam.main(check=True, root=copy)
    assert ended.value.exit_code == 1
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == [
        "docs/iam/deployer-9.json", "docs/iam/operator.json"]
    iam.main(root=copy)
    iam.main(check=True, root=copy)
    assert not (copy / iam.FOLDER / "deployer-9.json").exists()


def test_every_type_of_the_program_has_its_handlers() -> None:
    assert iam.TYPES.keys() == {name for name in TYPES if not name.startswith("random.")}
    assert json.loads((ROOT / iam.HANDLERS).read_text(encoding="utf-8")).keys() == set(iam.TYPES.values())


def test_the_deployer_may_create_and_delete_a_strong_table_with_its_witness() -> None:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/globaltables-security.html
    permitted = [action for path in FILES if path.name.startswith("deployer-")
                 for statement in statements(path.name) for action in statement["Action"]]
    for action in ("CreateTable", "CreateTableReplica", "CreateGlobalTableWitness", "DescribeTable", "UpdateTable",
                   "DeleteTable", "DeleteTableReplica", "DeleteGlobalTableWitness", "Scan", "Query", "UpdateItem",
                   "PutItem", "GetItem", "DeleteItem", "BatchWriteItem"):
        assert any(fnmatch(f"dynamodb:{action}", each) for each in permitted), action


@pytest.mark.parametrize("action", [
    # Called by the provider when it reads, updates or deletes, and not by CloudFormation's handlers.
    "backup:DeleteRecoveryPoint", "backup:ListRecoveryPointsByBackupVault", "ec2:DescribePrefixLists",
    "iam:ListInstanceProfilesForRole", "lambda:GetFunctionConfiguration", "lambda:ListVersionsByFunction",
    "s3:GetBucketRequestPayment", "secretsmanager:GetResourcePolicy", "secretsmanager:PutSecretValue"])
def test_the_deployer_may_do_what_the_provider_does_besides(action: str) -> None:
    assert any(fnmatch(action, each) for path in FILES if path.name.startswith("deployer-")
               for statement in statements(path.name) for each in statement["Action"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_policy_fits_into_one_of_iams(path: Path) -> None:
    assert 0 < iam.size(statements(path.name)) <= iam.LIMIT


def test_a_deployer_is_labelled_unproven_and_may_pass_the_stacks_roles_only() -> None:
    found = [each for path in FILES if path.name.startswith("deployer") for each in statements(path.name)]
    assert all(each["Sid"].startswith("Unproven") for each in found)
    actions = [action for each in found for action in each["Action"]]
    assert len(actions) == len(set(actions)) > 300
    assert actions.count("iam:PassRole") == 1
    assert [each["Resource"] for each in found if "iam:PassRole" in each["Action"]] == [iam.ROLES]


@pytest.mark.parametrize(("name", "calls"), [("doctor.json", DOCTOR), ("operator.json", iam.OPERATES)])
def test_every_call_is_permitted_where_it_is_made(name: str, calls: Any) -> None:
    for call, permission in calls.items():
        for action in permission.actions or [call]:
            assert any(action in each["Action"] for each in statements(name)), call
    everywhere = [each for each in statements(name) if each["Resource"] == ["*"]]
    assert len(everywhere) == 1
    assert all(calls.get(action, ANYWHERE).resources == ("*",) for action in everywhere[0]["Action"])


def test_no_policy_names_a_region_or_a_role_that_a_failover_would_change() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert not any(word in text for word in (*REGIONS, "primary", "standby"))
        assert "{" not in text.replace("{\n", "")


def test_a_key_is_used_only_through_a_service_and_only_the_stacks_own() -> None:
    for name in ("doctor.json", "operator.json"):
        for each in statements(name):
            if any(action.startswith("kms:") and action != "kms:GetKeyPolicy" for action in each["Action"]):
                (service,) = each["Condition"]["StringLike"].values()
                own = each["Condition"].get("ForAnyValue:StringEquals")
                assert own == (None if service.startswith("secretsmanager")
                               else {"kms:ResourceAliases": "alias/tapstack-SUFFIX"})
                assert each["Condition"]["BoolIfExists"] == {"kms:GrantIsForAWSResource": "true"}


def test_the_handlers_are_taken_from_a_wheel(copy: Path) -> None:
    wheel = copy / "cfn_lint.whl"
    permissions = {"create": {"permissions": ["s3:CreateBucket", "s3:REST.PUT.OBJECT", "iam:PassRole"]},
                   "read": {"permissions": ["s3:GetBucket*"]}, "list": {"permissions": ["s3:ListAllMyBuckets"]}}
    with ZipFile(wheel, "w") as files:
        files.writestr("cfnlint/data/schemas/providers/us-east-1.json",
                       json.dumps(dict.fromkeys(iam.TYPES.values(), "x")))
        files.writestr("cfnlint/data/schemas/resources/x.json", json.dumps({"handlers": permissions}))
    iam.main(schemas=wheel, root=copy)
    found = json.loads((copy / iam.HANDLERS).read_text(encoding="utf-8"))
    assert found["AWS::S3::Bucket"] == ["iam:PassRole", "s3:CreateBucket", "s3:GetBucket*"]
    assert {path.name for path in (copy / iam.FOLDER).iterdir()} == {"deployer-1.json", "doctor.json", "operator.json"}
