"""The Pulumi CLI is asked, and a failure of it is one line."""
from collections.abc import Sequence
from typing import Any

import pytest

from tools.pulumi_cli import PulumiFailed, run


def test_the_cli_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(arguments: Sequence[str], **options: Any) -> Any:
        assert options["input"] in (None, "text")
        return type("Done", (), {"returncode": len(arguments) - 2, "stdout": "answer"})
    monkeypatch.setattr("subprocess.run", failing)
    assert run("version", text="text") == "answer"
    with pytest.raises(PulumiFailed, match=r"^pulumi stack ls failed$"):
        run("stack", "ls")
