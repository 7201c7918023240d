"""MiniStack, the emulator that stands in for AWS, as a child process on a free loopback port."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from rehearsal.aws.clients import plain_http
from rehearsal.aws.ministack import LOGIN, PROCESS
from rehearsal.aws.processes import end, undisturbed
from rehearsal.errors import EmulatorError, RehearsalError
from rehearsal.polling import wait_until
from rehearsal.run_folder import memory

PORTS = 3  # that are tried: another program may take a free port first
START_TIMEOUT = 30.0  # seconds until the first healthy answer; 0.2 to 4 s are usual
IN_USE = "already in use"  # what MiniStack, and the operating system, say of a port
PROGRAM = (sys.executable, "-P", str(Path(__file__).with_name("ministack.py")))


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Emulator:
    """A MiniStack from `start` to `stop`, which may be called at any time; it has an `endpoint` once it is started.

    program: its command line. port: gives a port that nothing listens on. parent: of its folder, where packages are
    unpacked; by default in memory, if that has room.
    """

    def __init__(self, program: Sequence[str] = PROGRAM, port: Callable[[], int] = free_port,
                 parent: Path | None = None) -> None:
        self.endpoint = ""
        self._program, self._port, self._parent = program, port, parent or memory()
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return once the emulator answers. Raises EmulatorError."""
        if importlib.util.find_spec("ministack") is None:
            raise EmulatorError("ministack is missing: install requirements-dev.txt")
        for left in reversed(range(PORTS)):
            try:
                self._start(self._port())
            except EmulatorError as error:
                if not left or IN_USE not in str(error):
                    raise
                self.stop()
            else:
                return

    def _start(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        with undisturbed():
            self._folder = Path(tempfile.mkdtemp(prefix="rehearsal-", dir=self._parent))
            with (self._folder / "emulator.log").open("wb") as log:
                # In a group of its own: Ctrl-C must reach only this process, which stops everything in order. Not in a
                # session of its own: Linux shares the processors among sessions before it looks at who is nice.
                self._process = subprocess.Popen(  # pylint: disable=consider-using-with
                    self._program, env=self._environment(self._folder), stdout=log, stderr=log, cwd=self._folder,
                    process_group=0)
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

    def secret(self, key: str, region: str, user: str) -> str:
        """The secret of an access key that may log in to the region's database as this user, empty if it may not.

        Raises EmulatorError if the emulator does not answer.
        """
        asked = {"key": key, "region": region, "user": user}
        try:
            with plain_http(timeout=10) as client:
                found = client.post(self.endpoint + LOGIN, json=asked)
        except httpx.HTTPError as error:
            raise EmulatorError(f"{LOGIN}: {type(error).__name__}") from error
        return str(found.json()) if found.is_success else ""

    def _environment(self, folder: Path) -> dict[str, str]:
        # Functions inherit the emulator's whole environment, so the caller's must not be in it.
        return {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]), "LANG": "C.UTF-8",
            "HOME": str(folder), "TMPDIR": str(folder), "S3_DATA_DIR": str(folder / "s3"),
            "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": self.endpoint.rpartition(":")[2],
            "IOT_MTLS_ENABLED": "0", "AUTH": "true", "LOG_LEVEL": "WARNING"}

    def _wait_until_healthy(self, process: subprocess.Popen[bytes], log: Path) -> None:
        def healthy() -> bool:
            if process.poll() is not None:
                raise EmulatorError("the process has ended")
            return client.get(PROCESS).text == str(process.pid)  # another program may have taken the port

        with plain_http(base_url=self.endpoint, timeout=2) as client:
            try:
                wait_until(healthy, "a healthy emulator", START_TIMEOUT, failures=(httpx.HTTPError,))
            except (RehearsalError, httpx.HTTPError) as error:
                tail = filter(None, log.read_text(errors="replace").split("\n")[-5:])
                raise EmulatorError(f"it did not start: {' | '.join(tail) or 'it wrote nothing'}") from error
