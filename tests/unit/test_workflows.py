"""The workflows that hold credentials: what may mint tokens, and what runs before."""
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from recovery.terminal import REPORTS
from tests.unit.quoted import wrong

FOLDER = Path(__file__).parents[2] / ".github" / "workflows"
WITH_CREDENTIALS = ("deploy", "destroy", "drill")


def workflow(name: str) -> dict[str, Any]:
    """A workflow as GitHub reads it."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yml")))
def test_only_jobs_that_deploy_mint_tokens(name: str) -> None:
    found = workflow(name)
    assert found["permissions"] == {"contents": "read"}
    for job in found["jobs"].values():
        assert ("id-token" in job.get("permissions", {})) is (name in WITH_CREDENTIALS)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.stem)
def test_actions_are_pinned_by_their_commit_and_kept_up_to_date(path: Path) -> None:
    used = re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each)] == []
    kept = yaml.safe_load((FOLDER.parent / "dependabot.yml").read_text(encoding="utf-8"))
    assert [each["package-ecosystem"] for each in kept["updates"]] == ["github-actions"]


@pytest.mark.parametrize("name", WITH_CREDENTIALS)
def test_everything_is_installed_by_hash_before_there_are_credentials(name: str) -> None:
    (job,) = workflow(name)["jobs"].values()
    steps = job["steps"]
    assert job["env"]["REQUIREMENTS"] == "requirements-deploy.txt"
    (signed_in,) = (number for number, step in enumerate(steps) if "configure-aws-credentials" in step.get("uses", ""))
    assert "make setup" in [step.get("run") for step in steps[:signed_in]]
    # The role's own default, an hour: AWS refuses more than the role allows.
    # https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
    assert "role-duration-seconds" not in steps[signed_in]["with"]
    for step in steps:
        secret = "PULUMI_CONFIG_PASSPHRASE" in step.get("env", {})
        assert secret is (step.get("run", "").startswith(("make up", "make destroy")))
    assert "PULUMI_CONFIG_PASSPHRASE" not in job["env"]


def test_the_drill_is_off_until_a_variable_names_its_stack_and_keeps_its_report_whatever_comes_of_it() -> None:
    job = workflow("drill")["jobs"]["drill"]
    assert "\non:\n  schedule:\n" in (FOLDER / "drill.yml").read_text(encoding="utf-8")
    assert job["if"] == "vars.DRILL_STACK != ''"
    drill, kept = job["steps"][-2:]
    words = drill["run"].split()
    assert words[-2:] == ["drill", "--yes"]
    assert not wrong("python -m recovery drill --yes", True)
    assert kept["if"] == "always()"
    assert kept["with"]["path"] == f"{REPORTS}/"


def test_the_outputs_of_a_deployment_are_kept() -> None:
    steps = workflow("deploy")["jobs"]["deploy"]["steps"]
    kept = next(step for step in steps if "upload-artifact" in step.get("uses", ""))
    assert kept["with"]["path"] == "cfn-outputs/flat-outputs.json"
    assert steps.index(kept) == [step.get("run") for step in steps].index("make up ARGS=--yes") + 1
