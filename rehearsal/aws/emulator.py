"""MiniStack, the emulator that stands in for AWS, as a child process on a free loopback port (`lagging` runs it)."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from rehearsal.aws.processes import end, undisturbed

START_TIMEOUT = 30.0  # seconds until the first healthy answer; 0.2 to 4 s are usual


class EmulatorError(RuntimeError):
    """The emulator is not installed, did not start, or died."""


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Emulator:
    """A MiniStack of its own from `start` to `stop`, which may be called at any time; its files go with it."""

    def __init__(self) -> None:
        self.endpoint = f"http://127.0.0.1:{free_port()}"
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return once the emulator answers. Raises EmulatorError."""
        if importlib.util.find_spec("ministack") is None:
            raise EmulatorError("ministack is missing: install requirements-dev.txt")
        with undisturbed():
            self._folder = Path(tempfile.mkdtemp(prefix="rehearsal-"))
            with (self._folder / "emulator.log").open("wb") as log:
                # In a session of its own: a terminal's Ctrl-C is for this process, which then stops things in order.
                self._process = subprocess.Popen(  # pylint: disable=consider-using-with
                    [sys.executable, "-P", str(Path(__file__).with_name("ministack.py"))],
                    env=self._environment(self._folder), stdout=log, stderr=log, cwd=self._folder,
                    start_new_session=True)
        self._wait_until_healthy(self._process, self._folder / "emulator.log")

    def stop(self) -> None:
        """End the emulator with every process that it started, and remove its files."""
        with undisturbed():
            if self._process is not None:
                end(self._process)
                self._process = None
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def _environment(self, folder: Path) -> dict[str, str]:
        # Function handlers inherit the emulator's whole environment, so it must hold nothing of the caller's.
        return {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "LANG": "C.UTF-8",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": self.endpoint.rpartition(":")[2],
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            "S3_DATA_DIR": str(folder / "s3"),
        }

    def _wait_until_healthy(self, process: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.02)
        tail = log.read_text(errors="replace").split("\n")[-5:]
        raise EmulatorError("it did not start: " + (" | ".join(filter(None, tail)) or "it wrote nothing"))
