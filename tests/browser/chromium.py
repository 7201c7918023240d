"""Debian's chromium without a screen, driven by its DevTools protocol over two pipes."""
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from rehearsal.polling import wait_until

PROGRAM = "chromium"
PATIENCE = 60.0  # seconds for what a page is to show


class Browser:
    """A browser that is open; `commands` and `answers` are its pipes."""

    def __init__(self, commands: IO[bytes], answers: IO[bytes]) -> None:
        self._commands, self._answers, self._numbers = commands, answers, itertools.count(1)
        self._session: dict[str, str] = {}

    def open(self, page: str, width: int) -> None:
        """Open a page (URL) in a window so wide (pixels)."""
        self._session = {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=page)
        self.wait('document.readyState === "complete" && location.href !== "about:blank"')

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true."""
        wait_until(lambda: self.value(expression) is True, expression, PATIENCE)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What a command gives."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters, **self._session}
        self._commands.write(json.dumps(command).encode() + b"\0")
        self._commands.flush()
        while True:
            answer = json.loads(self._message())
            if answer.get("id") == number:
                assert "error" not in answer, answer
                found: dict[str, Any] = answer["result"]
                return found

    def _message(self) -> bytes:
        found = bytearray()
        while (letter := self._answers.read(1)) != b"\0":
            assert letter, "the browser has ended"
            found += letter
        return bytes(found)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser, until the block ends."""
    program = shutil.which(PROGRAM)
    assert program, f"{PROGRAM} is not installed: apt install {PROGRAM}"
    (theirs, commands), (answers, their_answers) = os.pipe(), os.pipe()
    # Its sandbox needs privileges that a container lacks, and it opens our own pages only. The pipes are its 3 and 4.
    process = subprocess.Popen(
        ["sh", "-c", f'exec "$@" 3</dev/fd/{theirs} 4>/dev/fd/{their_answers}', "sh", program, "--headless",
         "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"],
        pass_fds=(theirs, their_answers), stderr=subprocess.DEVNULL)
    try:
        with os.fdopen(commands, "wb") as into, os.fdopen(answers, "rb") as out:
            yield Browser(into, out)
    finally:
        process.kill()
        process.wait()
        for each in (theirs, their_answers):
            os.close(each)
