"""Pulumi.yaml and docs/settings.md are what the declarations of the settings say."""
import shutil
from pathlib import Path

import pytest
import typer
import yaml

from lib.settings import PROFILES, declarations
from tools import settings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with copies of both files."""
    for path in settings.MARKERS:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def test_both_files_are_up_to_date() -> None:
    settings.main(check=True)


@pytest.mark.parametrize("path", settings.MARKERS)
def test_a_stale_file_is_named_and_written_again(copy: Path, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    current = (copy / path).read_text(encoding="utf-8")
    (copy / path).write_text(current.replace("eventual", "perhaps"), encoding="utf-8")
    with pytest.raises(typer.Exit) as ended:
        settings.main(check=True, root=copy)
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == f"settings: {path} is stale: run `make settings`\n"
    settings.main(root=copy)
    assert capsys.readouterr().out == f"{path}: written\n"
    assert (copy / path).read_text(encoding="utf-8") == current


def test_what_is_written_by_hand_stays(copy: Path) -> None:
    path = copy / settings.DOCUMENTATION
    path.write_text("# By hand\n", encoding="utf-8")
    settings.main(root=copy)
    assert path.read_text(encoding="utf-8").startswith(f"# By hand\n{settings.MARKERS[settings.DOCUMENTATION]}\n\n| ")


def test_every_setting_is_in_both_files() -> None:
    # https://www.pulumi.com/docs/iac/concepts/config/
    keys = [each.key for each, _ in declarations()]
    declared = yaml.safe_load((ROOT / settings.PULUMI).read_text(encoding="utf-8"))["config"]
    assert declared.pop("pulumi:disable-default-providers") == {"value": ["aws"]}
    assert list(declared) == keys
    for key, declaration in declared.items():
        expected = ("object", {}) if key in ("clients", "tags") else ("string", "")
        assert (declaration["type"], declaration["default"]) == expected, "a default would hide the environment"
    rows = (ROOT / settings.DOCUMENTATION).read_text(encoding="utf-8").splitlines()
    assert [row.split("`")[1] for row in rows if row.startswith("| `")][:len(keys)] == keys


def test_the_documentation_shows_what_a_profile_decides() -> None:
    text = "\n".join(settings.documentation())
    for profile in PROFILES.values():
        assert str(profile.log_retention_days) in text
    assert "| `primaryInstances`, unless it is set | 1 | 2 |" in text
    assert "| 0.5 in dev, 8 in prod | `DATABASE_MIN_CAPACITY` |" in text
    assert ("| `awsEndpoint` | URL of an emulator on this machine to use instead of AWS. "
            "Fixed once deployed. | none | none |") in text
