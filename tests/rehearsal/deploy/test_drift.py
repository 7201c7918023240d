"""The program deployed once more: what that would change."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from rehearsal.deploy.deployment import Deployment
from rehearsal.deploy.drift import DriftCheck
from rehearsal.deploy.engine import DeployTarget, Engine, ProviderConfig, RehearsalError
from rehearsal.deploy.project import Project
from rehearsal.report import Progress
from tests.rehearsal.cloud import ENDPOINT, Cloud
from tests.rehearsal.stack import EAST, WEST

PROJECT = Project(folder=Path.cwd(), name="Small", stack="test", config={})
GROUP, FUNCTION, PASSWORD = (
    "aws:cloudwatch/logGroup:LogGroup", "aws:lambda/function:Function", "random:index/randomPassword:RandomPassword")
LOGS = ProviderConfig(WEST, {"logs": ENDPOINT, "lambda": ENDPOINT}, {"Owner": "all"})


def program(*names: str, days: int = 7, output: str = "told") -> Callable[[], None]:
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
def deployment(cloud: Cloud, progress: Progress) -> Deployment:
    """Two log groups and an output."""
    made = Deployment(cloud, DeployTarget(), progress)
    made.up(PROJECT, program("one", "two"))
    return made


@pytest.mark.parametrize(("again", "differences"), [
    (program("one", "two"), []),
    (program("one", "new", "two"), ["+ LogGroup new"]),
    (program("one"), [f"- LogGroup two ({WEST})"]),
    (program("one", "two", days=14), [f"~ LogGroup {name} ({WEST}): retentionInDays" for name in ("one", "two")]),
    (program("one", "two", output="other"), ["~ output output"]),
    (program("two", days=14, output="other"),
     [f"~ LogGroup two ({WEST}): retentionInDays", f"- LogGroup one ({WEST})", "~ output output"]),
    (program("one", "new", days=14), [f"~ LogGroup one ({WEST}): retentionInDays", "+ LogGroup new"]),
])
def test_what_would_change_is_told_and_nothing_is_changed(
    cloud: Cloud, deployment: Deployment, again: Callable[[], None], differences: list[str]
) -> None:
    before = list(cloud.calls), list(deployment.engine.resources), dict(deployment.outputs)
    assert deployment.again(PROJECT, again) == differences
    assert (cloud.calls, deployment.engine.resources, deployment.outputs) == before


def test_a_fault_of_the_program_comes_out(deployment: Deployment) -> None:
    def faulty() -> None:
        raise pulumi.RunError("no zones")

    with pytest.raises(pulumi.RunError, match="no zones"):
        deployment.again(PROJECT, faulty)


@pytest.fixture
def engine(cloud: Cloud) -> Engine:
    """Has made nothing yet."""
    return Engine(cloud, DeployTarget())


def changed(
    engine: Engine, token: str, provider: ProviderConfig = LOGS, *, protect: bool = False, **inputs: Any
) -> list[str]:
    """What differs if the only resource is asked for like this."""
    again = DriftCheck(engine)
    again.create(token, "thing", provider, inputs, protect)
    return [each.rpartition(": ")[2] for each in again.differences]


def package(folder: Path, text: str, name: str = "code.py", note: str = "hello") -> pulumi.AssetArchive:
    """An archive with a file, which is written, and a text."""
    (folder / name).write_text(text)
    return pulumi.AssetArchive({name: pulumi.FileAsset(folder / name), "note": pulumi.StringAsset(note)})


def test_a_package_is_what_its_files_are(engine: Engine, tmp_path: Path) -> None:
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
def test_tags_region_protection_and_name_count_too(
    engine: Engine, provider: ProviderConfig, protect: bool, inputs: dict[str, Any], differences: list[str]
) -> None:
    engine.create(GROUP, "thing", LOGS, {}, False)
    assert changed(engine, GROUP, provider, protect=protect, **inputs) == differences


def test_a_name_that_is_left_to_the_provider_stays(engine: Engine) -> None:
    made = engine.create(GROUP, "thing", LOGS, {}, False)
    again = DriftCheck(engine).create(GROUP, "thing", LOGS, {}, False)
    assert again is made
    assert again.scope["in"]["name"].startswith("thing-")


def test_the_same_name_of_another_type_is_another_resource(engine: Engine) -> None:
    engine.create(GROUP, "thing", LOGS, {}, False)
    again = DriftCheck(engine)
    with pytest.raises(RehearsalError, match=r"^\+ RandomPassword thing$"):
        again.create(PASSWORD, "thing", LOGS, {"length": 8}, False)
    assert again.missing() == [f"- LogGroup thing ({WEST})"]
