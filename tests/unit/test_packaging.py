"""What is installed where: the requirements, their pins, and the package of the recovery commands."""
import importlib
import re
import tomllib
from pathlib import Path

import pytest

from recovery import cli

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ("requirements.txt", "requirements-recovery.txt", "requirements-dev.txt")
HASHED = ("requirements-locked.txt", "requirements-deploy.txt", "requirements-audit.txt")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(name: str) -> dict[str, str]:
    """The packages that a requirements file pins, by their normalised names, with their versions."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    pinned = (line.partition("==") for line in lines if line and not line.startswith("-"))
    return {package.lower().replace("_", "-"): version.partition(" ;")[0].strip("\\ ")
            for package, _, version in pinned}


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_what_is_required_is_pinned_and_locked_at_the_same_version(name: str) -> None:
    required = pins(name)
    assert required
    assert "" not in required.values()
    assert required.items() <= pins("constraints.txt").items()


@pytest.mark.parametrize(("name", "required"), [
    ("requirements-locked.txt", REQUIREMENTS), ("requirements-deploy.txt", REQUIREMENTS[:2])])
def test_a_set_with_hashes_has_what_is_required_and_locked(name: str, required: tuple[str, ...]) -> None:
    found = pins(name)
    assert found.items() <= pins("constraints.txt").items(), "run `make lock`"
    assert {package for file in required for package in pins(file)} | {"pytest", "schemathesis"} <= found.keys()
    assert name == "requirements-locked.txt" or not {"ministack", "mypy", "pylint", "ruff"} & found.keys()


@pytest.mark.parametrize("name", HASHED)
def test_every_package_of_a_set_has_its_hashes(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"\S+==[^#]+?( --hash=sha256:[0-9a-f]{64}\b)+", " ".join(
        line.split()))] == []


def test_no_package_is_required_in_two_files() -> None:
    required = [package for name in REQUIREMENTS for package in pins(name)]
    assert len(required) == len(set(required))


def test_recovery_installs_what_its_commands_need_and_no_more() -> None:
    assert PROJECT["tool"]["setuptools"]["dynamic"]["optional-dependencies"]["recovery"]["file"] == [REQUIREMENTS[1]]
    assert pins(REQUIREMENTS[1]).keys() == {"boto3", "dnspython", "jinja2", "rich", "typer"}


def test_the_command_is_recoverys_command_line() -> None:
    assert PROJECT["project"]["scripts"] == {"tapstack": "recovery.__main__:main"}
    assert importlib.import_module("recovery.__main__").main is cli.main


def test_each_file_that_a_package_reads_is_packed_with_it() -> None:
    packed = {path for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items()
              for pattern in patterns for path in (ROOT / package).glob(pattern)}
    files = {path for package in ("payments", "recovery") for path in (ROOT / package).rglob("*")
             if path.is_file() and path.suffix not in {".py", ".pyc"}}
    assert packed == files
