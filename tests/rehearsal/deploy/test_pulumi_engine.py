"""Pulumi's own engine, with a program in its place that notes how it was called and gives canned answers."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rehearsal.deploy import pulumi_engine
from rehearsal.deploy.project import Project
from rehearsal.deploy.pulumi_engine import PulumiDeployment
from rehearsal.deploy.resources.model import DeployTarget
from rehearsal.errors import DeploymentError
from tests.rehearsal.cloud import Cloud
from tests.rehearsal.stack import WEST

URN = "urn:pulumi:dev::Small::small:index:Part$aws:cloudwatch/logGroup:LogGroup::group"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"g"'}  # in a state
GROUP = {"urn": URN, "type": "aws:cloudwatch/logGroup:LogGroup", "id": "g", "inputs": {"name": SECRET},
         "outputs": {"name": "g", "region": WEST}, "protect": True}
FAKE = """#!{python}
import json, os, pathlib, sys
here = pathlib.Path({folder!r})
words = [each for each in sys.argv[1:] if not each.startswith("--")]
stack = pathlib.Path("Pulumi.dev.yaml")
with (here / "calls").open("a") as calls:
    calls.write(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd(), stack.read_text()]) + "\\n")
code, out = json.loads((here / "answers").read_text()).get(" ".join(words[:2]), [0, "{{}}"])
print(out)
sys.exit(code)
"""


class FakePulumi:
    """The program in Pulumi's place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.answers: dict[str, tuple[int, str]] = {}
        self.answer("stack export", {"deployment": {"resources": [GROUP, {"urn": "u", "type": "pulumi:pulumi:Stack"}]}})
        self.answer("stack output", {"arn": "a"})

    def answer(self, words: str, document: Any, code: int = 0) -> None:
        """Answer a command by its first words."""
        self.answers[words] = code, document if isinstance(document, str) else json.dumps(document)
        (self._folder / "answers").write_text(json.dumps(self.answers))

    def calls(self) -> list[tuple[list[str], dict[str, str], str, dict[str, Any]]]:
        """Every call: arguments, environment, folder, and the stack's file."""
        lines = (self._folder / "calls").read_text().splitlines()
        return [(words, environment, folder, yaml.safe_load(stack))
                for words, environment, folder, stack in map(json.loads, lines)]


@pytest.fixture(autouse=True)
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePulumi:
    """Found first on the path; nothing serves as the provider."""
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(FAKE.format(python=sys.executable, folder=str(tmp_path)))
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "the user's own")
    monkeypatch.setattr(pulumi_engine, "PROVIDER", (sys.executable, "-c", "print(4711)"))
    return FakePulumi(tmp_path)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with files of a user's own."""
    folder = tmp_path / "user"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: Small")
    (folder / "Pulumi.dev.yaml").write_text("config: {Small:size: 1}")
    (folder / "__main__.py").write_text("print()")
    return Project(folder=folder, name="Small", stack="dev",
                   config={"Small:size": "2", "Small:unset": "", "Small:tags": '{"a": "b"}'})


@pytest.fixture
def deployment(cloud: Cloud, project: Project) -> Iterator[PulumiDeployment]:
    """A deployment that is up."""
    deployment = PulumiDeployment(cloud, DeployTarget())
    deployment.up(project)
    yield deployment
    deployment.close()


def test_the_program_is_deployed_twice_in_a_folder_of_its_own(
        deployment: PulumiDeployment, pulumi: FakePulumi, project: Project) -> None:
    calls = pulumi.calls()
    assert [words[:words.index("--non-interactive")] for words, _, _, _ in calls][:4] == [
        ["stack", "init", "dev"], ["preview", "--policy-pack", "policy", "--stack", "dev"],
        ["up", "--yes", "--skip-preview", "--suppress-outputs", "--stack", "dev"],
        ["up", "--yes", "--skip-preview", "--suppress-outputs", "--expect-no-changes", "--stack", "dev"]]
    for _, environment, folder, stack in calls:
        assert environment["PULUMI_DEBUG_PROVIDERS"] == "aws:4711,random:4711"
        assert "PULUMI_ACCESS_TOKEN" not in environment
        assert environment["PULUMI_BACKEND_URL"].startswith("file://")
        assert Path(folder) != project.folder
        assert stack == {"config": {"Small:size": "2", "Small:tags": {"a": "b"}}}
    assert (project.folder / "Pulumi.dev.yaml").read_text() == "config: {Small:size: 1}"
    assert deployment.outputs == {"arn": "a"}
    assert list(deployment.seconds()) == [
        "stack init dev", "preview --policy-pack policy", "up", "up --expect-no-changes", "stack export --show-secrets",
        "stack output --json"]
    assert [(each.label, each.protected) for each in deployment.resources] == [(f"LogGroup group ({WEST})", True)]
    assert deployment.scopes("aws:cloudwatch/logGroup:LogGroup")[0]["in"] == {"name": "g"}


def test_drift_is_what_refresh_finds_and_what_a_preview_would_change(
        deployment: PulumiDeployment, pulumi: FakePulumi, project: Project) -> None:
    events = [{"preludeEvent": {}}, *({"resOutputsEvent": {"metadata": each}} for each in (
        {"op": "refresh", "urn": URN}, {"op": "update", "urn": URN, "diffs": ["tags", "name"]},
        {"op": "delete", "urn": URN}))]
    pulumi.answer("refresh dev", "\n".join(map(json.dumps, events)))
    pulumi.answer("preview dev", {"steps": [{"op": "same", "urn": URN}, {
        "op": "update", "urn": URN, "diffReasons": ["name"]}]})
    assert deployment.drift(project) == [
        "update LogGroup group: name, tags", "delete LogGroup group", "update LogGroup group: name"]


def test_a_command_that_fails_says_its_errors(deployment: PulumiDeployment, pulumi: FakePulumi) -> None:
    pulumi.answer("destroy dev", "deleting\n  error: 2 errors occurred:\n * Role r: Busy\nResources: 3", code=255)
    with pytest.raises(DeploymentError, match=r"^pulumi destroy .*: error: 2 errors occurred: \| \* Role r: Busy$"):
        deployment.down()


def test_a_protected_stack_is_released_by_its_setting_and_destroyed(
        deployment: PulumiDeployment, pulumi: FakePulumi) -> None:
    assert [each.name for each in deployment.lift_protection()] == ["group"]
    words, _, folder, stack = pulumi.calls()[-1]
    assert (words[0], stack["config"]["Small:deletionProtection"]) == ("up", "false")
    assert deployment.down() == [f"LogGroup group ({WEST})"]
    pulumi.answer("stack export", {"deployment": {}})
    assert (deployment.down(), pulumi.calls()[-2][0][0]) == ([], "destroy")
    deployment.close()
    assert not Path(folder).exists()


def test_a_provider_that_does_not_start_is_named_and_leaves_nothing(
        cloud: Cloud, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_engine, "PROVIDER", (sys.executable, "-c", ""))
    deployment = PulumiDeployment(cloud, DeployTarget())
    with pytest.raises(DeploymentError, match="the provider of the resources did not start"):
        deployment.up(project)
    assert (deployment.lift_protection(), deployment.down()) == ([], [])
    deployment.close()
