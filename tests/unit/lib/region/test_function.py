"""The functions in the VPC, and what is shipped with them."""
import json
import os
import subprocess
from functools import partial
from importlib.metadata import PackageNotFoundError, PackagePath
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from contract import (
    CANARY_FOLDER,
    CANARY_PREFIX,
    DRILL_KEY,
    OBSERVATION_PREFIX,
    PAUSE_KEY,
    RECORD_KEY,
    REPAIR_PREFIX,
)
from lib.errors import ProgramError
from lib.region.function import AUTHORITIES, PAYMENTS, SHIPPED, package, require_authorities
from tests.unit.lib.iam import allowed, policies_of
from tests.unit.lib.recorder import ACCOUNT, Recording


def test_functions_release_their_security_group(dev: Recording) -> None:
    # Their interfaces stay for 20 to 40 minutes, and both arguments are needed to swap the group:
    # https://www.pulumi.com/registry/packages/aws/api-docs/lambda/function/
    for function in dev.of("Function"):
        if dev.inside(function, "VpcFunction"):
            assert function.inputs["tracingConfig"] == {"mode": "Active"}
            assert function.inputs["replaceSecurityGroupsOnDestroy"] is True
            assert function.inputs["replacementSecurityGroupIds"]
        else:
            assert "vpcConfig" not in function.inputs
        assert function.inputs["architectures"] == ["arm64"]
        assert function.inputs["publish"] is True


def test_concurrency_is_unreserved_in_dev_reserved_in_prod_and_settable(
        dev: Recording, prod: Recording, domain: Recording) -> None:
    reserved = [{f.inputs["reservedConcurrentExecutions"] for f in p.of("Function") if "-payments-" in f.name}
                for p in (dev, prod, domain)]
    assert reserved == [{-1}, {300}, {7}]


def git(folder: Path, *arguments: str) -> None:
    """Run git, with neither the caller's configuration nor that of a hook that runs this test."""
    environ = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "-c", "init.defaultBranch=main", *arguments], cwd=folder, env=environ, check=True)


def written(folder: Path) -> Path:
    """A clone with a Python package, a stray file in it, and one that is gone."""
    code = folder / "code"
    (code / "__pycache__").mkdir(parents=True)
    (code / "sub").mkdir()
    for name in ("b.py", "a.py", "gone.py", "sub/c.json"):
        (code / name).write_text(name, encoding="utf-8")
    git(folder, "init", "--quiet")
    git(folder, "add", "code")
    (code / "gone.py").unlink()
    for name in (".env", "notes.py", "__pycache__/a.cpython-311.pyc"):
        (code / name).write_text("stray", encoding="utf-8")
    return code


def contents(*sources: Path, **options: Any) -> dict[str, bytes]:
    """The files of a package."""
    assets: dict[str, Any] = package(*sources, **options).assets
    return {name: Path(asset.path).read_bytes() for name, asset in assets.items()}


def test_a_package_has_the_files_that_git_knows_and_is_the_same_in_every_clone(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):  # of a hook that runs this test
        monkeypatch.delenv(name, raising=False)
    one, other = (contents(written(tmp_path / name)) for name in ("one", "a longer/path"))
    assert [*one.items()] == [*other.items()]
    assert list(one) == ["code/a.py", "code/b.py", "code/sub/c.json"]
    assert list(contents(tmp_path / "one" / "code", pattern="*.py")) == ["code/a.py", "code/b.py"]
    assert list(contents(tmp_path / "one" / "code" / "a.py", pattern="*.json")) == ["a.py"]


def test_a_package_that_is_in_no_clone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"code: git must say which of its files are shipped: deploy from a clone$"):
        package(tmp_path / "code")


@pytest.mark.parametrize(("installed", "why"), [
    (None, "all its files"), ([], "all its files"), (["pkg/here.py", "pkg/gone.py"], "pkg/gone.py")])
def test_a_distribution_with_missing_files_is_refused_by_name(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: list[str] | None, why: str) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "here.py").touch()

    def files_of(name: str) -> list[PackagePath]:
        if installed is None:
            raise PackageNotFoundError(name)
        found = [PackagePath(each) for each in installed]
        for each in found:
            monkeypatch.setattr(each, "dist", SimpleNamespace(locate_file=lambda file: tmp_path / file), raising=False)
        return found

    monkeypatch.setattr("lib.region.function.files", files_of)
    with pytest.raises(ProgramError, match=f"^pg8000: {why} is missing from this environment: run `make setup`$"):
        package(distributions=["pg8000"])


def test_the_shipped_package_has_handlers_migrations_and_driver() -> None:
    shipped = package(PAYMENTS, distributions=SHIPPED).assets
    assert shipped.keys() >= {
        "payments/handler.py", "payments/migrate.py", "payments/reconcile.py", "payments/migrations/0001_ledger.sql",
        "payments/rds-ca.pem", "pg8000/native.py", "scramp/core.py", "asn1crypto/core.py", "dateutil/tz/tz.py",
        "six.py"}
    assert {"pg8000", "scramp"} <= {name.partition("-")[0] for name in shipped if name.endswith(".dist-info/METADATA")}
    assert not [name for name in shipped if name.endswith((".pyc", ".so")) or ".." in name]


def test_the_functions_in_the_vpc_do_not_ship_recovery(dev: Recording) -> None:
    shipped = [f.inputs["code"].assets for f in dev.of("Function") if dev.inside(f, "VpcFunction")]
    assert len(shipped) == 6
    assert not [name for assets in shipped for name in assets if name.startswith("recovery/")]


def test_functions_know_where_the_database_is_and_may_log_in_to_it_only(dev: Recording) -> None:
    for role in ("primary", "dr"):
        functions = [f for f in dev.of("Function") if f"-{role}-" in f.name and dev.inside(f, "VpcFunction")]
        assert len(functions) == 3
        for function in functions:
            variables = function.inputs["environment"]["variables"]
            assert variables["DATABASE_HOST"] == dev.outputs[f"{role}_cluster_endpoint"]
            assert variables["DATABASE_READER_HOST"] == dev.outputs[f"{role}_cluster_reader_endpoint"]
            assert variables["DATABASE_PORT"] == "5432"
        for policy in dev.of("RolePolicy"):
            if f"-{role}-" in policy.name and "rds-db:connect" in policy.inputs["policy"]:
                statements = json.loads(policy.inputs["policy"])["Statement"]
                (login,) = [s["Resource"] for s in statements if s["Action"] == ["rds-db:connect"]]
                assert login.startswith(f"arn:aws:rds-db:{dev.outputs[f'{role}_region']}:{ACCOUNT}:dbuser:")
                assert login.endswith("-cluster/clusterResourceId/payments_app")
        logging_in = {policy.name.split("-")[3] for policy in dev.of("RolePolicy")
                      if f"-{role}-" in policy.name and "rds-db:connect" in policy.inputs["policy"]}
        assert logging_in == {"payments", "reconcile"}


@pytest.mark.parametrize(("function", "own"), [("payments", CANARY_PREFIX), ("reconcile", REPAIR_PREFIX)])
def test_a_function_writes_payments_and_no_control_record_but_its_regions_own(
        dev: Recording, function: str, own: str) -> None:
    for role, peer in (("primary", "dr"), ("dr", "primary")):
        here, there = (dev.outputs[f"{each}_region"] for each in (role, peer))
        may = partial(may_write, dev, role, function)
        refused = {RECORD_KEY, PAUSE_KEY, DRILL_KEY, OBSERVATION_PREFIX + here, own + there, "!", "!new",
                   *{CANARY_PREFIX + here, REPAIR_PREFIX + here} - {own + here}}
        for action in ("PutItem", "UpdateItem"):
            assert may(action, "payment-1")
            assert may(action, own + here)
            assert not [key for key in refused if may(action, key)]
            assert not may(action, "payment-1", RECORD_KEY)
        assert may("GetItem", RECORD_KEY)
        assert not may("DeleteItem", "payment-1")


def may_write(program: Recording, role: str, function: str, action: str, *keys: str) -> bool:
    """Whether a function's role may do something to items of these keys."""
    region, table = (program.outputs[key] for key in (f"{role}_region", "payments_table_name"))
    policy = policies_of(program.one("RolePolicy", f"-{role}-{function}-policy"))
    return allowed(policy, f"dynamodb:{action}", f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/{table}",
                   {"dynamodb:LeadingKeys": [*keys]})


@pytest.mark.parametrize("role", ["primary", "dr"])
def test_a_receipt_is_put_only_where_there_is_none_except_by_repair(dev: Recording, role: str) -> None:
    assert may_put(dev, role, "payments", "receipts/p.json", **{"s3:if-none-match": "*"})
    assert not may_put(dev, role, "payments", "receipts/p.json")
    assert not may_put(dev, role, "payments", "receipts/p.json", **{"s3:if-match": "etag"})
    assert not may_put(dev, role, "controller", "receipts/p.json")
    assert may_put(dev, role, "reconcile", "receipts/p.json")
    assert may_put(dev, role, "payments", f"{CANARY_FOLDER}{role}.json")


def may_put(program: Recording, role: str, function: str, key: str, **sent: str) -> bool:
    """Whether the receipts bucket lets a function's role put an object, with this sent, if all else allows it."""
    name = program.one("Bucket", f"-{role}-receipts-").inputs["bucket"]
    policy = [*policies_of(program.one("BucketPolicy", f"-{role}-receipts-policy")),
              {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "s3:PutObject", "Resource": "*"}]
    by = program.arn(program.one("Role", f"-{role}-{function}-role"))
    context = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3", "aws:PrincipalArn": by, **sent}
    return allowed(policy, "s3:PutObject", f"arn:aws:s3:::{name}/{key}", context, principal="*")


def test_receipts_and_backups_are_locked_in_prod_and_where_it_is_set(dev: Recording, prod: Recording) -> None:
    assert not [each for each in dev.custom if "Lock" in each.kind]
    locked = prod.of("BucketObjectLockConfiguration")
    assert [each.inputs["rule"] for each in locked] == [{"defaultRetention": {"mode": "GOVERNANCE", "days": 35}}] * 2
    assert all("-receipts-" in each.name for each in locked)
    for copies in prod.of("BucketReplicationConfig"):  # AWS refuses to copy from a locked bucket to another one
        assert {each.urn for each in locked} <= copies.dependencies
    vaults = prod.of("VaultLockConfiguration")
    assert [(each.inputs["minRetentionDays"], "changeableForDays" in each.inputs) for each in vaults] == [
        (35, False)] * 2


def test_a_region_without_a_trusted_authority_is_refused_by_name() -> None:
    require_authorities(AUTHORITIES, "us-east-1", "eu-central-1", "ap-southeast-3")
    with pytest.raises(pulumi.RunError, match=r"^region 'mx-central-1': rds-ca\.pem has no authority of RDS there"):
        require_authorities(AUTHORITIES, "us-east-1", "mx-central-1")
