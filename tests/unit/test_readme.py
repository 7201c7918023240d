"""What the README says of the settings is what Pulumi.yaml says."""
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_table_of_settings_is_pulumi_yamls() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
    expected = [f"| `{key}` | {value['description'].strip()} |" for key, value in declared.items() if ":" not in key]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Settings")[2].partition("| profile |")[0]
    assert [line for line in table.splitlines() if line.startswith("| `")] == expected
