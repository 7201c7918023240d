"""What `make` writes, and what it removes."""
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def make(folder: Path, *words: str, outputs: Any = None) -> "subprocess.CompletedProcess[str]":
    """Run make in a folder, with a Pulumi that has these outputs."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "pulumi").write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(outputs)}\nEND\n")
    (programs / "pulumi").chmod(0o755)
    return subprocess.run(
        ["make", "-f", str(ROOT / "Makefile"), *words], cwd=folder, capture_output=True, text=True, check=False,
        env={"PATH": f"{programs}:{os.environ['PATH']}"})


def names(folder: Path) -> list[str]:
    """The files in a folder."""
    return sorted(each.name for each in folder.iterdir())


def test_outputs_are_kept_by_stack_and_the_last_ones_are_copied(tmp_path: Path) -> None:
    folder = tmp_path / "cfn-outputs"
    folder.mkdir()
    for stack in ("prod", "dev"):
        assert make(tmp_path, "outputs", f"STACK={stack}", outputs={"stack_name": stack}).returncode == 0
    assert names(folder) == ["dev.json", "flat-outputs.json", "prod.json"]
    for name, stack in (("dev", "dev"), ("prod", "prod"), ("flat-outputs", "dev")):
        assert json.loads((folder / f"{name}.json").read_text()) == {"stack_name": stack}


def test_a_stack_without_outputs_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "cfn-outputs").mkdir()
    result = make(tmp_path, "outputs", "STACK=dev", outputs={})
    assert result.returncode != 0
    assert result.stderr.startswith("dev has no outputs: cfn-outputs stays as it was")
    assert names(tmp_path / "cfn-outputs") == []


@pytest.mark.parametrize("target", ["destroy", "outputs", "verify"])
@pytest.mark.parametrize("stack", ["", " "])
def test_no_stack_is_not_the_one_that_happens_to_be_selected(tmp_path: Path, target: str, stack: str) -> None:
    result = make(tmp_path, target, f"STACK={stack}", outputs={"stack_name": "selected"})
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.endswith("STACK is empty: name the stack, as in STACK=dev.  Stop.\n")
    assert names(tmp_path) == ["programs"]


@pytest.mark.parametrize("name", ["prod.json", "flat-outputs.json", "README.md"])
def test_cleaning_leaves_the_outputs(tmp_path: Path, name: str) -> None:
    for folder in ("cfn-outputs", ".rehearsal", "coverage"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).touch()
    assert make(tmp_path, "clean").returncode == 0
    assert (tmp_path / "cfn-outputs" / name).exists()
    assert not (tmp_path / ".rehearsal").exists()
