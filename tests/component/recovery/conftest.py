"""The shell of the tests of commands."""
from pathlib import Path

import pytest

from tests.component.recovery.shell import Shell
from tests.unit.recovery.report.report_world import ReportWorld


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """One with a healthy stack, whose controllers have looked."""
    found = Shell(capture=capsys, outputs=tmp_path / "outputs.json", world=ReportWorld(automatic=False))
    found.deploy(found.world, environment_suffix="dev")
    return found
