"""The project's files."""

from pathlib import Path

import pytest

from rehearsal.deploy.project import Project
from rehearsal.errors import ProjectError

PULUMI = """
name: Small
config:
  pulumi:disable-default-providers: {value: [aws]}
  suffix: {type: string, default: ""}
  tags: {type: object, default: {}}
  awsEndpoint: {type: string, default: ""}
  undefined: {type: string}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with one stack."""
    (tmp_path / "Pulumi.yaml").write_text(PULUMI)
    (tmp_path / "Pulumi.local.yaml").write_text("config:\n  Small:suffix: mine\n  tags: {a: b}\n  Small:count: 3\n")
    return tmp_path


def test_overrides_win_over_the_stack_which_wins_over_defaults(folder: Path) -> None:
    project = Project.load(folder, "local", {"suffix": "other"}).with_endpoint("http://127.0.0.1:1")
    assert project.config == {
        "pulumi:disable-default-providers": '["aws"]', "Small:suffix": "other", "Small:tags": '{"a": "b"}',
        "Small:count": "3", "Small:awsEndpoint": "http://127.0.0.1:1",
        "Small:account": "000000000000"}
    assert Project.load(folder, "local", {}).config["Small:suffix"] == "mine"


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("Pulumi.yaml", None, r"^Pulumi\.yaml is missing in "),
        ("Pulumi.yaml", "config: {}", "^Pulumi.yaml: name is missing$"),
        ("Pulumi.yaml", "- a", "^Pulumi.yaml: must be a mapping$"),
        ("Pulumi.yaml", "a: [", "^Pulumi.yaml: while parsing"),
        ("Pulumi.local.yaml", None, "^Pulumi.local.yaml is missing in "),
        ("Pulumi.local.yaml", "config: {Small:suffix: {secure: v1}}", "Small:suffix: encrypted values"),
    ],
)
def test_files_that_cannot_be_used(folder: Path, file: str, content: str | None, complaint: str) -> None:
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_text(content)
    with pytest.raises(ProjectError, match=complaint) as error:
        Project.load(folder, "local", {})
    assert "\n" not in str(error.value)


def test_an_override_of_an_undeclared_key_is_refused(folder: Path) -> None:
    with pytest.raises(ProjectError, match=r"--config sufix: .* declares no such key"):
        Project.load(folder, "local", {"sufix": "x"})
