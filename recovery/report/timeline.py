"""The layout of a timeline: what is where. `timeline.svg.j2` draws it.

Across are the seconds of the wall clock. From the top down: the phases of the recovery, the lanes of events, a band of
requests for each region, and the axis. Every length is in units of the picture, in which text is SIZE high.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, cycle, pairwise
from operator import attrgetter

from recovery.report.model import LANES, PhaseTime, RecoveryTime, Story

SIZE, ROW, PAD, BAND = 10.0, 15.0, 4.0, 36.0  # of text, of a row, around a band's rows, of a band of requests
RIGHT, MARK, GAP, TICK = 10.0, 7.0, 9.0, 60.0  # the margin; mark to label; label to next mark; between ticks, at least
LONGEST, MOST = 64, 12  # letters of a label, rows of a lane; the page lists every event in full
GRID = 0.75  # requests closer together than this are drawn as one, which keeps the picture small
NO_ADDRESS = "no address"
# Each in light and in dark, as a variable of CSS. Blue, green and vermilion are Okabe and Ito's, which no common colour
# blindness confuses. Failures also differ in shape, and regions in place.
COLOURS = {
    "paper": ("#ffffff", "#12171d"), "card": ("#f6f8fa", "#1a2129"), "link": ("#0b5cad", "#7cc0ff"),
    "good": ("#00714f", "#3ccf9f"), "bad": ("#b84300", "#ff9a5c"),
    "ink": ("#1c2733", "#e6ebf0"), "muted": ("#5a6774", "#a3afbb"), "line": ("#d6dce2", "#37424d"),
    "first": ("#0072b2", "#56b4e9"), "second": ("#008f68", "#2fc99d"), "nowhere": ("#6b6b6b", "#b0b0b0"),
    "failed": ("#c94f00", "#ff8f4d"),
    "phase": ("#7b5aa6", "#b79ae0"), "phase-next": ("#bda6d9", "#7d62a8"),
    "shade": ("#f7f3fb", "#1c1a29"), "shade-next": ("#ede6f5", "#252136"),
}
NARROW_LETTERS, WIDE_LETTERS = frozenset("fijlrtI .,:;'|!()[]/-"), frozenset("mwMWOQ@%…")


@dataclass(frozen=True, kw_only=True)
class Label:
    """A line of text, centred on `y`; `anchor` says whether its "start", "middle" or "end" is at `x`."""

    x: float
    y: float
    text: str
    colour: str = "ink"
    anchor: str = "start"
    bold: bool = False

    @property
    def span(self) -> tuple[float, float]:
        """Where it begins and ends, at most."""
        width = text_width(self.text, bold=self.bold)
        begin = self.x - width * {"start": 0, "middle": 0.5, "end": 1}[self.anchor]
        return begin, begin + width


@dataclass(frozen=True, kw_only=True)
class Marks:
    """A "dot", "cross" or "diamond" at each `x`."""

    shape: str
    xs: Sequence[float]
    y: float
    colour: str


@dataclass(frozen=True, kw_only=True)
class PhaseBar:
    """A phase of the recovery, `y` the top of its row; down from there to the axis its time is shaded."""

    x: float
    y: float
    width: float


class Timeline:
    """What to draw: `labels`, `marks`, `bars`, and the `lines` between bands; the axis is at the height `axis`."""

    size, row = SIZE, ROW

    def __init__(self, story: Story, width: float, factor: float | None = None) -> None:
        """The timeline of a story, `width` wide; of a rehearsal, waiting was compressed by `factor`."""
        self.story, self.width, self.factor = story, width, factor
        self.labels: list[Label] = []
        self.marks: list[Marks] = []
        self.bars: list[PhaseBar] = []
        self.lines: list[float] = []
        self.axis = 0.0
        regions = sorted({each.region for each in story.requests}, key=lambda name: (not name, name))
        names = [cut(name, width / 4, bold=True) for name in ("recovery", *LANES, *regions, NO_ADDRESS)]
        self.left = max(text_width(name, bold=True) for name in names) + 2 * PAD
        self._across = width - self.left - RIGHT
        moments = [*(each.at_s for each in story.requests), *(each.at_s for each in story.events), *self._phases()]
        self._end = max(moments, default=0.0) * 1.02 or 1.0
        self._draw_recovery()
        for lane in LANES:
            self._draw_lane(lane)
        colours = cycle(("first", "second"))
        for region in regions:
            self._draw_requests(region, next(colours) if region else "nowhere")
        self.ticks = [(f"{tick:g}", self._x(tick)) for tick in ticks(self._end, max(1, int(self._across / TICK)))]

    def time(self, took: PhaseTime | RecoveryTime) -> str:
        """A time in words, on both clocks if there are two."""
        return both(took.wall_s, took.full_s) if self.factor else seconds(took.wall_s)

    def _x(self, second: float) -> float:
        return self.left + self._across * second / self._end

    def _phases(self) -> list[float]:
        recovery = self.story.recovery
        return [*accumulate((each.wall_s for each in recovery.split), initial=recovery.at_s)] if recovery else []

    def _draw_recovery(self) -> None:
        """The whole time in words, then a row for each phase."""
        recovery = self.story.recovery
        if not recovery:
            return
        whole = seconds(recovery.wall_s)
        if self.factor:
            whole = f"{whole} wall clock, {seconds(recovery.full_s)} uncompressed (emulated)"
        self.labels.append(Label(x=self.left, y=PAD + ROW / 2, text=cut(whole, self._across)))
        for number, (begin, end) in enumerate(pairwise(map(self._x, self._phases()))):
            phase, y = recovery.split[number], PAD + ROW * (number + 1)
            self.bars.append(PhaseBar(x=begin, y=y, width=end - begin))
            text = f"{phase.phase} {self.time(phase)}"
            self.labels.append(self._place(begin, end, y + ROW / 2, text))
        self._band("recovery", ROW * (len(recovery.split) + 1) + 2 * PAD)

    def _draw_lane(self, name: str) -> None:
        """A mark for each event with what happened next to it, in as many rows as the labels need."""
        events = sorted((each for each in self.story.events if each.lane == name), key=attrgetter("at_s"))
        shape, colour = ("diamond", "failed") if name == "fault" else ("dot", "ink")
        rows: list[list[tuple[float, float]]] = [[] for _ in range(MOST)]
        lowest = 0
        for event in events:
            x = self._x(event.at_s)
            label = self._place(x, x, self.axis + PAD + ROW / 2, event.what)
            span = min(x - MARK, label.span[0] - GAP), max(x + MARK, label.span[1] + GAP)
            row = free_row(rows, span)
            y = label.y + ROW * row
            self.marks.append(Marks(shape=shape, xs=[x], y=y, colour=colour))
            if row < MOST:
                rows[row].append(span)
                self.labels.append(replace(label, y=y))
            lowest = max(lowest, row)
        self._band(name, ROW * (lowest + 1) + 2 * PAD)

    def _draw_requests(self, region: str, colour: str) -> None:
        """A region's requests: those that were acknowledged as dots, those that failed as crosses below them."""
        for ok, shape, shown in ((True, "dot", colour), (False, "cross", "failed")):
            places = {round(self._x(each.at_s) / GRID) for each in self.story.requests
                      if each.region == region and each.ok is ok}
            y = self.axis + PAD + ROW / 2 if ok else self.axis + BAND - PAD - ROW / 2
            self.marks.append(Marks(shape=shape, xs=[place * GRID for place in sorted(places)], y=y, colour=shown))
        self._band(region or NO_ADDRESS, BAND, colour)

    def _place(self, begin: float, end: float, y: float, text: str) -> Label:
        """A label on the right of what reaches from `begin` to `end`, or on its left if there is more room."""
        right, left = self.width - end - MARK, begin - MARK - self.left
        text = cut(text, max(right, left))
        if text_width(text) <= right:
            return Label(x=end + MARK, y=y, text=text)
        return Label(x=begin - MARK, y=y, text=text, anchor="end")

    def _band(self, name: str, height: float, colour: str = "muted") -> None:
        """Name a band as high as that, below a line, and go on below it."""
        self.lines.append(self.axis)
        self.labels.append(Label(x=PAD, y=self.axis + PAD + ROW / 2, text=cut(name, self.left - 2 * PAD, bold=True),
                                 colour=colour, bold=True))
        self.axis += height


def seconds(value: float) -> str:
    """Measured seconds, to three digits but no finer than hundredths."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2  # noqa: PLR2004
    return f"{value:.{digits}f} s"


def both(wall_s: float, full_s: float) -> str:
    """A time on both clocks."""
    return f"{seconds(wall_s)} ({seconds(full_s)})"


def text_width(text: str, *, bold: bool = False) -> float:
    """How wide a text is at most, in any common font: the figures are those of DejaVu Sans, which is the widest."""
    return SIZE * (1.12 if bold else 1) * sum(
        0.42 if each in NARROW_LETTERS else 1.0 if each in WIDE_LETTERS or not each.isascii() else
        0.78 if each.isupper() else 0.64 for each in text)


def cut(text: str, space: float, *, bold: bool = False) -> str:
    """As much of a text as fits into a space, with an ellipsis if something is missing."""
    text = clean(text)
    if len(text) <= LONGEST and text_width(text, bold=bold) <= space:
        return text
    kept = text[:LONGEST - 1]
    while kept and text_width(f"{kept}…", bold=bold) > space:
        kept = kept[:-1]
    return f"{kept}…"


def clean(text: str) -> str:
    """The text without what XML cannot hold and what would break the line."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def free_row(rows: Sequence[Iterable[tuple[float, float]]], span: tuple[float, float]) -> int:
    """The first of the rows in which nothing overlaps the span; the number of rows if there is none."""
    begin, end = span
    free = (number for number, row in enumerate(rows) if all(end <= left or right <= begin for left, right in row))
    return next(free, len(rows))


def ticks(end: float, most: int) -> list[float]:
    """Round numbers from 0 up to `end`: at most `most` steps of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(end / most))
    step = next(power * each for each in (1, 2, 5, 10) if power * each >= end / most)
    return [step * number for number in range(math.floor(end / step) + 1)]
