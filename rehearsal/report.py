"""The output of a rehearsal: progress while it runs, results line by line, and everything as one document."""

import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from payments.clock import SYSTEM, Clock
from rehearsal.workload.checks import CheckResult

PROGRESS_INTERVAL = 5.0  # seconds between two lines of progress where there is no terminal
WIDTH = 160  # columns of a table; the width of the reader's terminal is unknown, so no line is broken to fit it


class RunReport:
    """Collects results and prints each as it comes in.

    `document` has all of them; `ok` is true until one is bad; `title` is that of the last phase.
    """

    def __init__(self, console: Console, clock: Clock = SYSTEM) -> None:
        self._console, self._clock = console, clock
        self._lock = threading.Lock()
        self.title, self._done = "", 0
        self._under_way: dict[str, None] = {}
        self._began = self._printed = 0.0
        self.ok = True
        self.document: dict[str, Any] = {"ok": False, "phases": [], "checks": [], "errors": []}

    def say(self, *lines: str, style: str = "") -> None:
        """Print lines for people."""
        for line in lines:
            self._console.print(Text(line, style=style), soft_wrap=True)

    @contextmanager
    def phase(self, title: str, *, live: bool = True) -> Iterator[list[str]]:
        """A timed phase of the run; its line ends with what the block puts into the list.

        On a terminal, a live line shows the steps. It must not be `live` if something else writes to the terminal.
        """
        self.title, self._done, self._under_way = title, 0, {}
        began = self._began = self._printed = self._clock.monotonic()
        notes: list[str] = []
        try:
            with (Live(get_renderable=self._line, console=self._console, refresh_per_second=10, transient=True)
                  if live and self._console.is_terminal else nullcontext()):
                yield notes
        finally:
            seconds = self._clock.monotonic() - began
            self.document["phases"].append({"name": title, "seconds": round(seconds, 3), "notes": notes})
            self.say(f"{title} {seconds:.1f} s{': ' if notes else ''}{'; '.join(notes)}", style="bold")

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """One of the phase's steps; any thread may take one. Without a terminal, a line is printed now and then."""
        with self._lock:
            self._under_way[label] = None
        try:
            yield
        finally:
            with self._lock:
                self._under_way.pop(label, None)
                self._done += 1
                now = self._clock.monotonic()
                due = not self._console.is_terminal and now - self._printed >= PROGRESS_INTERVAL
                self._printed = now if due else self._printed
            if due:
                self._console.print(self._line())

    def _line(self) -> Text:
        with self._lock:
            counts = f", {self._done} done, {len(self._under_way)} under way" if self._done or self._under_way else ""
            newest = next(reversed(self._under_way), "")
        text = f"{self.title} {self._clock.monotonic() - self._began:.1f} s{counts}  {newest}"
        return Text(text.rstrip(), overflow="ellipsis", no_wrap=True)

    def fail(self, what: str, why: str) -> None:
        """Report a failure; the run still cleans up, and fails."""
        self.ok = False
        self.document["errors"].append(f"{what}: {why}")
        self.say(f"FAILED {what}: {why}", style="red")

    def check(self, check: CheckResult) -> None:
        """Report the result of a check."""
        self.ok = self.ok and check.ok
        self.document["checks"].append({**vars(check), "milliseconds": round(check.milliseconds, 1)})
        verdict, style = ("ok    ", "") if check.ok else ("FAILED", "red")
        took = f"  {check.milliseconds:.0f} ms" if check.milliseconds else ""  # what drills judge takes no time
        self.say(f"  {verdict} {check.name}{took}  {check.detail}".rstrip(), style=style)

    def conclude(self, verdict: str, seconds: float) -> None:
        """Print what the emulator cannot show about this deployment, and the verdict."""
        for gap in self.document.get("not_exercised", ()):
            self.say(f"  not exercised here: {gap}", style="dim")
        self.document.update(ok=self.ok, verdict=verdict, seconds=round(seconds, 3))
        self.say(f"rehearsal {verdict} in {seconds:.1f} s; every figure is the emulator's, none is AWS's",
                 style="green" if self.ok else "red")


def lines(title: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines of a table whose columns are the keys of the rows; lists in a row follow below it, line by line."""
    if not rows:
        return []
    columns = [key for key, value in rows[0].items() if not isinstance(value, list)]
    table = Table(*columns, title=title, box=box.SIMPLE)
    for row in rows:
        table.add_row(*(_cell(row[key]) for key in columns))
    target = io.StringIO()
    Console(file=target, width=WIDTH, color_system=None).print(table)
    notes = [f"  {columns[0]} {row[columns[0]]}, {key.replace('_', ' ')}: {', '.join(map(_cell, value))}"
             for row in rows for key, value in row.items() if isinstance(value, list) and value]
    return [*(line.rstrip() for line in target.getvalue().splitlines() if line.strip()), *notes]


def _cell(value: Any) -> str:
    return " ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, Mapping) else str(value)
