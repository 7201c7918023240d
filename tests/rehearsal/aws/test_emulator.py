"""The emulator's process."""

import sys
from pathlib import Path

import pytest

from rehearsal.aws.emulator import Emulator, EmulatorError
from rehearsal.errors import NoAnswer
from rehearsal.workload.http import ApiClient


def test_an_emulator_listens_on_loopback_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    emulator = Emulator()
    try:
        emulator.start()
        assert emulator.endpoint.startswith("http://127.0.0.1:")
        client = ApiClient(region="", url=emulator.endpoint)
        assert client.get("/_ministack/health").status == 200
        assert len(list(tmp_path.iterdir())) == 1
    finally:
        emulator.stop()
    with pytest.raises(NoAnswer, match="refused"):
        client.get("/")
    assert list(tmp_path.iterdir()) == []
    emulator.stop()


@pytest.mark.parametrize(
    ("script", "complaint"),
    [(None, "ministack is missing: install requirements-dev.txt"),
     ("#!/bin/sh\necho no room; env; exit 3\n", r"it did not start: .*BIND_HOST=127.0.0.1"),
     ("#!/bin/sh\nexit 3\n", "it did not start: it wrote nothing")])
def test_an_emulator_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, complaint: str
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    if not script:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the caller's own")
    if script:
        (tmp_path / "python").write_text(script)
        (tmp_path / "python").chmod(0o755)
    emulator = Emulator()
    try:
        with pytest.raises(EmulatorError, match=complaint) as error:
            emulator.start()
        assert "AWS_SECRET" not in str(error.value)
    finally:
        emulator.stop()
