"""What every program of the Makefile does when it is interrupted."""

import sys
from importlib import reload

import pytest

import tools


def test_an_interrupted_program_says_so_in_a_line(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "excepthook", None)
    hook = reload(tools).report
    assert sys.excepthook is hook
    hook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == "interrupted\n"
    hook(ValueError, ValueError("a fault"), None)
    assert "ValueError: a fault" in capsys.readouterr().err
