"""What a rehearsal reports: progress while it runs, results line by line, and all of it as one document."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from payments.clock import SYSTEM, Clock
from rehearsal.workload.checks import CheckResult

SPARSE = 5.0  # seconds between two lines of progress where there is no terminal


class Progress:
    """One live line on a terminal, and elsewhere a plain line now and then; any thread may use `step`."""

    def __init__(self, console: Console, clock: Clock = SYSTEM) -> None:
        self._console, self._clock = console, clock
        self._lock = threading.Lock()
        self._title, self._done = "", 0
        self._under_way: dict[str, None] = {}
        self._began = self._printed = 0.0

    @contextmanager
    def phase(self, title: str, live: bool) -> Iterator[None]:
        """Count the steps until the end of the block under this title; `live`: on a line of their own."""
        self._title, self._done, self._under_way = title, 0, {}
        self._began = self._printed = self._clock.monotonic()
        if not (live and self._console.is_terminal):
            yield
            return
        with Live(get_renderable=self._line, console=self._console, refresh_per_second=10, transient=True):
            yield

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """One of the phase's steps; several may be under way at the same time."""
        with self._lock:
            self._under_way[label] = None
        try:
            yield
        finally:
            with self._lock:
                self._under_way.pop(label, None)
                self._done += 1
                now = self._clock.monotonic()
                due = not self._console.is_terminal and now - self._printed >= SPARSE
                self._printed = now if due else self._printed
            if due:
                self._console.print(self._line())

    def _line(self) -> Text:
        with self._lock:
            counts = f", {self._done} done, {len(self._under_way)} under way" if self._done or self._under_way else ""
            newest = next(reversed(self._under_way), "")
        text = f"{self._title} {self._clock.monotonic() - self._began:.1f} s{counts}  {newest}"
        return Text(text.rstrip(), overflow="ellipsis", no_wrap=True)


class RunReport:
    """The results. Each is printed as it comes in; `document` has all of them, and `ok` is true until one is bad."""

    def __init__(self, console: Console, clock: Clock = SYSTEM) -> None:
        self._console, self._clock = console, clock
        self.progress = Progress(console, clock)
        self.ok = True
        self.document: dict[str, Any] = {"ok": False, "phases": [], "checks": [], "errors": []}

    def say(self, *lines: str, style: str = "") -> None:
        """Print lines for people."""
        for line in lines:
            self._console.print(Text(line, style=style), soft_wrap=True)

    @contextmanager
    def phase(self, title: str, *, live: bool = True) -> Iterator[list[str]]:
        """A timed phase of the run; its line ends with what the block puts into the list.

        It must not be `live` if something else writes to the terminal meanwhile.
        """
        began = self._clock.monotonic()
        notes: list[str] = []
        try:
            with self.progress.phase(title, live):
                yield notes
        finally:
            seconds = self._clock.monotonic() - began
            self.document["phases"].append({"name": title, "seconds": round(seconds, 3), "notes": notes})
            self.say(f"{title} {seconds:.1f} s{': ' if notes else ''}{'; '.join(notes)}", style="bold")

    def fail(self, what: str, why: str) -> None:
        """Report something that must not be; the run goes on to clean up, and fails."""
        self.ok = False
        self.document["errors"].append(f"{what}: {why}")
        self.say(f"FAILED {what}: {why}", style="red")

    def check(self, check: CheckResult) -> None:
        """Report what came of a check."""
        self.ok = self.ok and check.ok
        self.document["checks"].append({**vars(check), "milliseconds": round(check.milliseconds, 1)})
        verdict, style = ("ok    ", "") if check.ok else ("FAILED", "red")
        self.say(f"  {verdict} {check.name}  {check.milliseconds:.0f} ms  {check.detail}".rstrip(), style=style)

    def conclude(self, verdict: str, seconds: float) -> None:
        """Print the last line, after what an emulator cannot show of what was deployed."""
        for gap in self.document.get("not_exercised", ()):
            self.say(f"  not exercised here: {gap}", style="dim")
        self.document.update(ok=self.ok, verdict=verdict, seconds=round(seconds, 3))
        self.say(f"rehearsal {verdict} in {seconds:.1f} s; every figure is the emulator's, none is AWS's",
                 style="green" if self.ok else "red")
