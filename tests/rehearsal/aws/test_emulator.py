"""The emulator's process."""

from pathlib import Path

import httpx
import pytest

from rehearsal.aws.emulator import PROGRAM, Emulator, free_port
from rehearsal.errors import EmulatorError, NoAnswer
from rehearsal.workload.http import ApiClient


def test_an_emulator_listens_on_loopback_and_leaves_nothing(tmp_path: Path) -> None:
    emulator = Emulator(parent=tmp_path)
    try:
        emulator.start()
        assert emulator.endpoint.startswith("http://127.0.0.1:")
        client = ApiClient(region="", url=emulator.endpoint)
        assert client.get("/_ministack/health").status == 200
        assert emulator.secret("AKIDUNKNOWN", "us-east-1", "payments_app") == ""
        assert httpx.get(emulator.endpoint, headers={"Origin": "http://attacker.example"}).status_code == 403
        assert httpx.get(emulator.endpoint, headers={"Host": "attacker.example"}).status_code == 403
        assert len(list(tmp_path.iterdir())) == 1
    finally:
        emulator.stop()
    with pytest.raises(NoAnswer, match="refused"):
        client.get("/")
    with pytest.raises(EmulatorError, match="/_rehearsal/login: ConnectError"):
        emulator.secret("AKIDUNKNOWN", "us-east-1", "payments_app")
    assert list(tmp_path.iterdir()) == []
    emulator.stop()


def test_a_port_that_another_emulator_took_first_is_given_up_for_another() -> None:
    first = Emulator()
    try:
        first.start()
        taken = int(first.endpoint.rpartition(":")[2])
        ports = iter([taken, free_port()])
        second = Emulator(port=lambda: next(ports))
        try:
            second.start()
            assert second.endpoint != first.endpoint
        finally:
            second.stop()
        never = Emulator(port=lambda: taken)
        try:
            with pytest.raises(EmulatorError, match="already in use"):
                never.start()
        finally:
            never.stop()
    finally:
        first.stop()


@pytest.mark.parametrize(
    ("script", "complaint"),
    [(None, "ministack is missing: install requirements-dev.txt"),
     ("#!/bin/sh\necho no room; env; exit 3\n", r"it did not start: .*BIND_HOST=127.0.0.1"),
     ("#!/bin/sh\nexit 3\n", "it did not start: it wrote nothing")])
def test_an_emulator_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, complaint: str
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the caller's own")
    program = tmp_path / "emulator"
    if script:
        program.write_text(script)
        program.chmod(0o755)
    else:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    emulator = Emulator([str(program)] if script else PROGRAM)
    try:
        with pytest.raises(EmulatorError, match=complaint) as error:
            emulator.start()
        assert "AWS_SECRET" not in str(error.value)
    finally:
        emulator.stop()
