"""The functions in the VPC, and what is shipped with them."""
import json
from importlib.metadata import PackageNotFoundError, PackagePath
from pathlib import Path
from types import SimpleNamespace

import pulumi
import pytest

from lib.errors import ProgramError
from lib.region.function import AUTHORITIES, PAYMENTS, SHIPPED, package, require_authorities
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


def test_a_package_has_sources_only(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "sub").mkdir()
    for name in ("b.py", "a.py", "sub/c.json", "__pycache__/a.cpython-311.pyc"):
        (folder / name).write_text("x", encoding="utf-8")
    assert list(package(folder).assets) == ["code/a.py", "code/b.py", "code/sub/c.json"]


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


def test_a_region_without_a_trusted_authority_is_refused_by_name() -> None:
    require_authorities(AUTHORITIES, "us-east-1", "eu-central-1", "ap-southeast-3")
    with pytest.raises(pulumi.RunError, match=r"^region 'mx-central-1': rds-ca\.pem has no authority of RDS there"):
        require_authorities(AUTHORITIES, "us-east-1", "mx-central-1")
