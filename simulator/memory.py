"""How much memory the data of a process takes: what its tasks' frames refer to, as far as it is the product's data."""
import gc
import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

from simulator.scheduler import Task

PACKAGES, OWN = ("payments.", "recovery."), "simulator."
PLAIN = str, bytes, int, float, dict, list, tuple, set, frozenset


def size_of(tasks: Iterable[Task]) -> int:
    """Bytes of all texts, numbers, containers and dataclasses that its suspended functions refer to."""
    found: list[Any] = []
    for task in tasks:
        frame: FrameType | None = task.gr_frame
        while frame is not None:
            if not frame.f_globals["__name__"].startswith(OWN):
                found.extend(frame.f_locals.values())
            frame = frame.f_back
    data: dict[int, Any] = {}
    while found:
        counts = {kind: _is_data(kind) for kind in set(map(type, found))}
        new = {id(each): each for each in found if counts[type(each)] and id(each) not in data}
        data |= new
        found = gc.get_referents(*new.values())
    return sum(map(sys.getsizeof, data.values()))


def _is_data(kind: type) -> bool:
    return issubclass(kind, PLAIN) or kind.__module__.startswith(PACKAGES)
