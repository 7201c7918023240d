"""The loader of the stack's outputs."""
import json
from pathlib import Path

import pytest

from contract import OUTPUTS_FILE, OutputsError, read_outputs


def test_outputs_are_read_from_the_default_file_or_a_named_one(tmp_path: Path) -> None:
    default, named = tmp_path / OUTPUTS_FILE, tmp_path / "named.json"
    default.parent.mkdir()
    for path in (default, named):
        path.write_text(json.dumps({"file": path.name}), encoding="utf-8")
    assert read_outputs({}, tmp_path) == read_outputs({"TAPSTACK_OUTPUTS": ""}, tmp_path) == {"file": default.name}
    assert read_outputs({"TAPSTACK_OUTPUTS": str(named)}, tmp_path) == {"file": "named.json"}


@pytest.mark.parametrize(("content", "reason"), [
    (None, "No such file or directory"), ("{", "is not JSON"), ("[" * 100_000, "is not JSON"),
    ("[]", "is not a JSON object")])
def test_unusable_outputs_are_reported_in_one_line(tmp_path: Path, content: str | None, reason: str) -> None:
    path = tmp_path / "outputs.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(OutputsError) as raised:
        read_outputs({"TAPSTACK_OUTPUTS": str(path)})
    assert str(raised.value) == f"{path}: {reason}: `make outputs` writes it"
