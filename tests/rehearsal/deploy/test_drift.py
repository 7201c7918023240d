"""What would change if the program were deployed once more."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from rehearsal.deploy.deployment import Deployment
from rehearsal.deploy.drift import DriftCheck
from rehearsal.deploy.project import Project
from rehearsal.deploy.provider.handlers import ProviderConfig
from rehearsal.deploy.resources.model import DeployTarget
from rehearsal.errors import DeploymentError
from tests.rehearsal.cloud import ENDPOINT, Cloud
from tests.rehearsal.stack import EAST, WEST

PROJECT = Project(folder=Path.cwd(), name="Small", stack="test", config={})
GROUP, FUNCTION, PASSWORD = (
    "aws:cloudwatch/logGroup:LogGroup", "aws:lambda/function:Function", "random:index/randomPassword:RandomPassword")
LOGS = ProviderConfig(WEST, {"logs": ENDPOINT, "lambda": ENDPOINT}, {"Owner": "all"})


def program(*names: str, days: int = 7, output: str = "same") -> Callable[[], None]:
    """A program with log groups of these names, and an output."""
    def run() -> None:
        west = aws.Provider("west", region=WEST, endpoints=[aws.ProviderEndpointArgs(logs=ENDPOINT)])
        above: list[pulumi.Resource] = []
        for name in names:
            above = [aws.cloudwatch.LogGroup(name, name=name, retention_in_days=days, opts=pulumi.ResourceOptions(
                provider=west, depends_on=above))]
        pulumi.export("output", output)

    return run


@pytest.fixture
def deployment(cloud: Cloud) -> Deployment:
    """Two log groups and an output."""
    deployment = Deployment(cloud, DeployTarget())
    deployment.up(PROJECT, program("one", "two"))
    return deployment


@pytest.mark.parametrize(("changed_program", "differences"), [
    (program("one", "two"), []),
    (program("one", "new", "two"), ["+ LogGroup new"]),
    (program("one"), [f"- LogGroup two ({WEST})"]),
    (program("one", "two", days=14), [f"~ LogGroup {name} ({WEST}): retentionInDays" for name in ("one", "two")]),
    (program("one", "two", output="other"), ["~ output output"]),
    (program("two", days=14, output="other"),
     [f"~ LogGroup two ({WEST}): retentionInDays", f"- LogGroup one ({WEST})", "~ output output"]),
    (program("one", "new", days=14), [f"~ LogGroup one ({WEST}): retentionInDays", "+ LogGroup new"]),
])
def test_drift_is_reported_and_nothing_is_changed(
    cloud: Cloud, deployment: Deployment, changed_program: Callable[[], None], differences: list[str]
) -> None:
    before = list(cloud.calls), list(deployment.resources), dict(deployment.outputs)
    assert deployment.drift(PROJECT, changed_program) == differences
    assert (cloud.calls, deployment.resources, deployment.outputs) == before


def test_the_programs_own_errors_are_raised(deployment: Deployment) -> None:
    def faulty() -> None:
        raise pulumi.RunError("no zones")

    with pytest.raises(pulumi.RunError, match="no zones"):
        deployment.drift(PROJECT, faulty)


def changed(
    engine: Deployment, token: str, provider: ProviderConfig = LOGS, *, protect: bool = False, **inputs: Any
) -> list[str]:
    """The arguments that differ if the only resource is registered like this."""
    check = DriftCheck(engine.resources)
    check.create(token, "thing", provider, inputs, protect)
    return [each.rpartition(": ")[2] for each in check.differences]


def package(folder: Path, text: str, name: str = "code.py", note: str = "hello") -> pulumi.AssetArchive:
    """An archive of a file, which this writes, and a text."""
    (folder / name).write_text(text)
    return pulumi.AssetArchive({name: pulumi.FileAsset(folder / name), "note": pulumi.StringAsset(note)})


def test_packages_are_compared_by_their_files(engine: Deployment, tmp_path: Path) -> None:
    given: dict[str, Any] = {"name": "f", "role": "r", "environment": {"variables": {"A": "1"}}}
    engine.create(FUNCTION, "thing", LOGS, {**given, "code": package(tmp_path, "x = 1")}, False)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert changed(engine, FUNCTION, **given, code=package(elsewhere, "x = 1")) == []
    assert changed(engine, FUNCTION, **given, code=package(elsewhere, "x = 1", note="bye")) == ["code"]
    assert changed(engine, FUNCTION, **given, code=package(elsewhere, "x = 1", name="other.py")) == ["code"]
    assert changed(engine, FUNCTION, **{**given, "environment": {"variables": {"A": "2"}}},
                   code=package(elsewhere, "x = 1")) == ["environment"]
    assert changed(engine, FUNCTION, **given, code=package(elsewhere, "x = 2")) == ["code"]


@pytest.mark.parametrize(("provider", "protect", "inputs", "differences"), [
    (LOGS, False, {}, []),
    (LOGS, False, {"kmsKeyId": None, "tags": {}}, []),
    (LOGS, False, {"tags": {"Team": "a"}}, ["tags"]),
    (ProviderConfig(WEST, LOGS.endpoints, {"Owner": "you"}), False, {}, ["tags"]),
    (ProviderConfig(EAST, LOGS.endpoints, LOGS.tags), False, {}, ["region"]),
    (LOGS, False, {"region": EAST}, ["region"]),
    (LOGS, True, {}, ["protect"]),
    (LOGS, False, {"name": "other"}, ["name"]),
    (LOGS, False, {"retentionInDays": 7, "tags": {"Owner": "you"}}, ["retentionInDays", "tags"]),
])
def test_tags_region_protection_and_name_are_compared_too(
    engine: Deployment, provider: ProviderConfig, protect: bool, inputs: dict[str, Any], differences: list[str]
) -> None:
    engine.create(GROUP, "thing", LOGS, {}, False)
    assert changed(engine, GROUP, provider, protect=protect, **inputs) == differences


def test_a_generated_name_stays(engine: Deployment) -> None:
    group = engine.create(GROUP, "thing", LOGS, {}, False)
    check = DriftCheck(engine.resources)
    assert check.create(GROUP, "thing", LOGS, {}, False) is group
    assert check.differences == []


def test_the_same_name_of_another_type_is_another_resource(engine: Deployment) -> None:
    engine.create(GROUP, "thing", LOGS, {}, False)
    check = DriftCheck(engine.resources)
    with pytest.raises(DeploymentError, match=r"^\+ RandomPassword thing$"):
        check.create(PASSWORD, "thing", LOGS, {"length": 8}, False)
    assert check.missing() == [f"- LogGroup thing ({WEST})"]
