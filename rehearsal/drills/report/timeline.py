"""A drill's timeline as a picture: what happened in which lane, each request as a dot, the recovery and its phases.

Across are seconds of the wall clock, down are points. Importing this imports matplotlib, which takes a while.
"""

import io
import re
import warnings
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import accumulate, cycle, pairwise
from operator import attrgetter
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from rehearsal.drills.report.model import LANES, DrillResult, RecoveryTime, RequestMark, TimelineEvent
from rehearsal.drills.report.style import COLOURS, both, seconds

LIGHT = {name: light for name, (light, _) in COLOURS.items()}

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 960.0, 92.0, 14.0, 8.0, 42.0  # points
ACROSS = WIDTH - LEFT - RIGHT
ROW, PAD, BAR, BAND = 15.0, 4.0, 11.0, 28.0
SIZE = 10.0  # of the text
LETTER = 0.56  # of that: how wide a letter is, about, in whatever font a reader has
GAP, MARK = 9.0, 7.0  # after a label; from a mark to its label
LONGEST, MOST = 64, 9  # letters of a label, rows of a lane; the page lists every event in full
GRID = 0.75  # dots nearer to each other than this are one: the picture stays small, however many requests there were


def figure(drill: DrillResult, factor: float) -> Figure:
    """The picture, in light colours."""
    timeline = _Timeline(drill)
    if drill.recovery:
        timeline.recovery(drill.recovery)
    for lane in LANES:
        timeline.lane(lane, [event for event in drill.events if event.lane == lane])
    colours = cycle(("first", "second"))
    for region in sorted({each.region for each in drill.requests}, key=lambda name: (not name, name)):
        requests = [each for each in drill.requests if each.region == region]
        timeline.requests(region or "no address", requests, next(colours) if region else "nowhere")
    return timeline.finish(factor)


def svg(drill: DrillResult, factor: float, name: str) -> str:
    """The picture as an element of a page, whose stylesheet says what `COLOURS` are; `name` is its own on that page."""
    target = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a reader has other fonts
        figure(drill, factor).savefig(target, format="svg", metadata=nothing)
    root = ET.fromstring(target.getvalue())  # noqa: S314 - matplotlib wrote it
    for above in root.findall(".//{*}style/.."):
        root.remove(above)  # its rules would be the whole page's
    for element in root.iter():
        _tidy(element)
    title, desc = ET.Element("title", id=f"{name}-title"), ET.Element("desc", id=f"{name}-desc")
    title.text, desc.text = _clean(f"Timeline of {drill.title}"), describe(drill)
    root[:0] = title, desc
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-labelledby": f"{name}-title {name}-desc",
                   "stroke-linejoin": "round"}
    return ET.tostring(root, encoding="unicode")


def describe(drill: DrillResult) -> str:
    """The picture in words."""
    failed = sum(not each.ok for each in drill.requests)
    told = [f"{len(drill.requests)} requests, of which {failed} failed."]
    if drill.recovery:
        told.append(f"At {seconds(drill.recovery.at_s)} began a {_whole(drill.recovery)}: "
                    f"{', '.join(_phases(drill.recovery))}.")
    told += (f"{seconds(event.at_s)} {event.lane}: {event.what}."
             for event in sorted(drill.events, key=attrgetter("at_s")))
    return _clean(" ".join(told))


def below(spans: Iterable[tuple[float, float]]) -> list[int | None]:
    """A row for each label, from the top: below the one before if that is in the way; None where no row is free."""
    rows: list[list[tuple[float, float]]] = [[] for _ in range(MOST)]
    found: list[int | None] = []
    last, reach = -1, 0.0
    for begin, end in spans:
        lowest = last + 1 if begin < reach else 0
        order = (*range(lowest, MOST), *range(lowest))
        row = next((row for row in order if all(end <= left or right <= begin for left, right in rows[row])), None)
        found.append(row)
        if row is not None:
            rows[row].append((begin, end))
            last, reach = row, end
    return found


def above(spans: Sequence[tuple[float, float]]) -> list[int]:
    """A row for each label, from the bottom: no line down from a label's begin crosses the labels before it."""
    rows: dict[int, int] = {}
    for number in reversed(range(len(spans))):
        crossing = (row for other, row in rows.items() if spans[other][0] <= spans[number][1])
        rows[number] = max(crossing, default=-1) + 1
    return [row for _, row in sorted(rows.items())]


def _whole(recovery: RecoveryTime) -> str:
    return f"recovery {seconds(recovery.wall_s)} wall clock, {seconds(recovery.full_s)} uncompressed (emulated)"


def _phases(recovery: RecoveryTime) -> list[str]:
    return [f"{each.phase} {both(each.wall_s, each.full_s)}" for each in recovery.split]


def _moments(recovery: RecoveryTime) -> list[float]:
    """When each phase begins, and when the last one ends."""
    return [*accumulate((each.wall_s for each in recovery.split), initial=recovery.at_s)]


def _clean(text: str) -> str:
    """Without what XML cannot hold and what would break the line."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _label(text: str) -> str:
    return _clean(text if len(text) <= LONGEST else f"{text[:LONGEST - 1]}…")


def _width(text: str) -> float:
    """How far a label reaches, about, in points."""
    return SIZE * LETTER * len(text) + GAP


def _end(drill: DrillResult) -> float:
    """The seconds to show: all that happened, and the names of the recovery and its phases beside where they begin."""
    ends = [*(each.at_s for each in drill.requests), *(each.at_s for each in drill.events)]
    if drill.recovery:
        *begins, end = _moments(drill.recovery)
        named = zip((drill.recovery.at_s, *begins), (_whole(drill.recovery), *_phases(drill.recovery)), strict=True)
        ends += (end, *(begin / (1 - _width(text) / ACROSS) for begin, text in named))
    return max(ends, default=0) * 1.02 or 1.0


def _short(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _tidy(element: ET.Element) -> None:
    """Leave what a page needs: no namespaces, no ids that nothing refers to, no fonts, named colours, short numbers."""
    element.tag = element.tag.rpartition("}")[2]
    attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    if element.tag == "g":
        attributes.pop("id", None)
    if attributes.get("transform", "").startswith("rotate(-0 "):
        del attributes["transform"]
    for key in attributes.keys() & {"d", "x", "y"}:
        attributes[key] = re.sub(r"-?\d+\.\d+", _short, attributes[key])
    if style := attributes.get("style"):
        style = re.sub(r"font-family:[^;]*;?\s*", "", style)
        for name, light in LIGHT.items():
            style = style.replace(light, f"var(--{name})")
        attributes["style"] = style
    element.attrib = attributes


class _Timeline:
    """Bands from the top down, over one axis of time."""

    def __init__(self, drill: DrillResult) -> None:
        self.figure = Figure(facecolor="none")
        self.axes = self.figure.add_axes((0, 0, 1, 1), facecolor="none")
        self.end = _end(drill)
        self.scale = ACROSS / self.end  # points a second
        self.y = 0.0
        self.shades: list[Rectangle] = []  # from the recovery's bar on; how far down is only known in the end

    def recovery(self, recovery: RecoveryTime) -> None:
        """The phases as a bar, each named above it on both clocks."""
        moments, texts = _moments(recovery), _phases(recovery)
        rows = above([(x, x + _width(text) / self.scale) for x, text in zip(moments, texts, strict=False)])
        base = (max(rows, default=-1) + 2) * ROW
        self._text(recovery.at_s, ROW / 2, _whole(recovery), bold=True)
        for number, (begin, end) in enumerate(pairwise(moments)):
            y = base - (rows[number] + 0.5) * ROW
            self._line((begin, y - ROW / 3), (begin, base), "phase")
            self._text(begin, y, texts[number], shift=4)
            dark, shade = (("phase", "shade"), ("phase-next", "shade-next"))[number % 2]
            self._box((begin, base), max(end - begin, 1.5 / self.scale), BAR, dark)
            self.shades.append(self._box((begin, base + BAR), end - begin, 0, shade))
        self.y = base + BAR + PAD

    def lane(self, name: str, events: Iterable[TimelineEvent]) -> None:
        """Marks with what happened beside them, in as many rows as it takes."""
        events = sorted(events, key=attrgetter("at_s"))
        texts = [_label(event.what) for event in events]
        spans = []
        for event, text in zip(events, texts, strict=True):
            x, reach = event.at_s * self.scale, MARK + _width(text)
            spans.append((x - MARK, x + reach) if x + reach <= ACROSS + RIGHT else (x - reach, x + MARK))
        rows = below(spans)
        for event, text, (begin, _), row in zip(events, texts, spans, rows, strict=True):
            y = self.y + PAD + ROW * ((MOST if row is None else row) + 0.5)
            self._mark(event.at_s, y, fault=name == "fault")
            if row is not None:
                mirrored = event.at_s * self.scale - begin > MARK
                self._text(event.at_s, y, text, shift=-MARK if mirrored else MARK, ha="right" if mirrored else "left")
        self._band(name, ROW * max((1 + (MOST if row is None else row) for row in rows), default=1))

    def requests(self, region: str, requests: Iterable[RequestMark], colour: str) -> None:
        """A region's requests: as dots those that were acknowledged, as crosses below them those that were not."""
        places: dict[bool, set[int]] = {True: set(), False: set()}
        for each in requests:
            places[each.ok].add(round(each.at_s * self.scale / GRID))
        self._dots(sorted(places[True]), self.y + PAD + ROW / 2, colour=colour)
        self._crosses(sorted(places[False]), self.y + PAD + BAND - ROW / 2)
        self._band(region, BAND, colour)

    def finish(self, factor: float) -> Figure:
        """Shade the phases, number the axis, say what is what, and cut the paper to size."""
        for shade in self.shades:
            shade.set_height(self.y - shade.get_y())
        self.axes.set(xlim=(0, self.end), ylim=(self.y, 0), yticks=[])
        self.axes.spines[["left", "right", "top"]].set_visible(False)
        self.axes.spines["bottom"].set_color(LIGHT["line"])
        self.axes.tick_params(color=LIGHT["line"], labelcolor=LIGHT["muted"], labelsize=SIZE, length=4, width=0.75)
        x, y = ACROSS, self.y + BOTTOM - ROW / 2
        clock = f"seconds by the wall clock, emulated; waiting is compressed {factor:g} times"
        self._text(0, y, clock, colour="muted")
        for text, draw in (("failed", self._crosses), ("acknowledged", partial(self._dots, colour="first"))):
            x -= _width(text) + 2 * GAP
            draw([round(x / GRID)], y)
            self._text(x / self.scale, y, text, shift=MARK, colour="muted")
        height = TOP + self.y + BOTTOM
        self.figure.set_size_inches(WIDTH / 72, height / 72)
        self.axes.set_position((LEFT / WIDTH, BOTTOM / height, ACROSS / WIDTH, self.y / height))
        return self.figure

    def _text(self, x: float, y: float, text: str, *, colour: str = "ink", shift: float = 0.0, ha: str = "left",
              bold: bool = False) -> None:
        self.axes.text(x + shift / self.scale, y, text, color=LIGHT[colour], fontsize=SIZE, ha=ha,
                       va="center_baseline", weight="bold" if bold else "normal", parse_math=False)

    def _line(self, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
        xs, ys = zip(start, end, strict=True)
        self.axes.plot(xs, ys, color=LIGHT[colour], linewidth=0.75, clip_on=False, zorder=2)

    def _box(self, corner: tuple[float, float], width: float, height: float, colour: str) -> Rectangle:
        box = Rectangle(corner, width, height, facecolor=LIGHT[colour], linewidth=0, clip_on=False, zorder=0)
        self.axes.add_patch(box)
        return box

    def _mark(self, x: float, y: float, *, fault: bool) -> None:
        colour, marker, size = ("failed", "D", 6) if fault else ("ink", "o", 5)
        self.axes.plot([x], [y], linestyle="none", marker=marker, markersize=size, markeredgewidth=0,
                       color=LIGHT[colour], clip_on=False, zorder=4)

    def _dots(self, places: Iterable[int], y: float, *, colour: str) -> None:
        self._strokes([(place * GRID + right, y) for place in places for right in (-0.2, 0.2)], colour, 4.5)

    def _crosses(self, places: Iterable[int], y: float) -> None:
        corners = ((-2.5, -2.5), (2.5, 2.5), (-2.5, 2.5), (2.5, -2.5))
        ends = [(place * GRID + right, y + down) for place in places for right, down in corners]
        self._strokes(ends, "failed", 1.2)

    def _strokes(self, ends: Sequence[tuple[float, float]], colour: str, width: float) -> None:
        """Strokes from the first point to the second, the third to the fourth and so on, as one path."""
        if ends:
            path = Path([(x / self.scale, y) for x, y in ends], [Path.MOVETO, Path.LINETO] * (len(ends) // 2))
            path.should_simplify = False
            self.axes.add_patch(PathPatch(path, edgecolor=LIGHT[colour], facecolor="none", linewidth=width,
                                          capstyle="round", clip_on=False, zorder=3))

    def _band(self, name: str, height: float, colour: str = "muted") -> None:
        """Name a band as high as that, below a line, and go on below it."""
        self._line((-LEFT / self.scale, self.y), (self.end, self.y), "line")
        self._text(0, self.y + PAD + ROW / 2, _label(name), colour=colour, shift=4 - LEFT, bold=True)
        self.y += height + 2 * PAD
