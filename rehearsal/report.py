"""What a rehearsal says: progress while it runs, findings line by line, and all of it as one document."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rehearsal.workload.checks import CheckResult

SPARSE = 5.0  # seconds between two lines of progress where there is no terminal


class Progress:
    """One live line on a terminal, a plain line now and then elsewhere; `step` may be used by any thread."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._title, self._done = "", 0
        self._under_way: dict[str, None] = {}
        self._began = self._said = 0.0

    @contextmanager
    def phase(self, title: str, live: bool) -> Iterator[None]:
        """The steps until the end of the block are counted under this title; `live`: on a line of their own."""
        self._title, self._done, self._under_way = title, 0, {}
        self._began = self._said = time.monotonic()
        if not (live and self._console.is_terminal):
            yield
            return
        with Live(get_renderable=self._line, console=self._console, refresh_per_second=10, transient=True):
            yield

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """One thing of many that may go on at the same time."""
        with self._lock:
            self._under_way[label] = None
        try:
            yield
        finally:
            with self._lock:
                self._under_way.pop(label, None)
                self._done += 1
                due = not self._console.is_terminal and time.monotonic() - self._said >= SPARSE
                self._said = time.monotonic() if due else self._said
            if due:
                self._console.print(self._line())

    def _line(self) -> Text:
        with self._lock:
            counts = f", {self._done} done, {len(self._under_way)} under way" if self._done or self._under_way else ""
            newest = next(reversed(self._under_way), "")
        text = f"{self._title} {time.monotonic() - self._began:.1f} s{counts}  {newest}"
        return Text(text.rstrip(), overflow="ellipsis", no_wrap=True)


class RunReport:
    """The findings. Each is printed as it comes in; `document` holds all of them, and `ok` until one is bad."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.progress = Progress(console)
        self.ok = True
        self.document: dict[str, Any] = {"ok": False, "phases": [], "checks": [], "errors": []}

    def say(self, line: str, style: str = "") -> None:
        """A line for people."""
        self._console.print(Text(line, style=style), soft_wrap=True)

    @contextmanager
    def phase(self, title: str, *, live: bool = True) -> Iterator[list[str]]:
        """A phase of the run, timed; its line ends with what the block puts into the list.

        Not `live` if something else writes to the terminal meanwhile.
        """
        began = time.monotonic()
        notes: list[str] = []
        try:
            with self.progress.phase(title, live):
                yield notes
        finally:
            seconds = time.monotonic() - began
            self.document["phases"].append({"name": title, "seconds": round(seconds, 3), "notes": notes})
            self.say(f"{title} {seconds:.1f} s{': ' if notes else ''}{'; '.join(notes)}", "bold")

    def fail(self, what: str, why: str) -> None:
        """Something that must not be; the run goes on to clean up, and fails."""
        self.ok = False
        self.document["errors"].append(f"{what}: {why}")
        self.say(f"FAILED {what}: {why}", "red")

    def check(self, check: CheckResult) -> None:
        """A check of the traffic."""
        self.ok = self.ok and check.ok
        self.document["checks"].append({**vars(check), "milliseconds": round(check.milliseconds, 1)})
        verdict, style = ("ok    ", "") if check.ok else ("FAILED", "red")
        self.say(f"  {verdict} {check.name}  {check.milliseconds:.0f} ms  {check.detail}".rstrip(), style)

    def conclude(self, verdict: str, seconds: float) -> None:
        """The last line, after what an emulator cannot show of what was deployed."""
        for gap in self.document.get("not_exercised", ()):
            self.say(f"  not exercised here: {gap}", "dim")
        self.document.update(ok=self.ok, verdict=verdict, seconds=round(seconds, 3))
        self.say(f"rehearsal {verdict} in {seconds:.1f} s; every figure is the emulator's, none is AWS's",
                 "green" if self.ok else "red")
