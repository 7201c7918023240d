"""How much memory the data of a process takes: what its tasks' frames refer to, as far as it is the product's data."""
import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

from simulator.scheduler import Task

PACKAGES = ("payments.", "recovery.")
PLAIN = frozenset({str, bytes, int, float, bool})
CONTAINERS = list, tuple, set, frozenset


def size_of(tasks: Iterable[Task]) -> int:
    """Bytes of all texts, numbers, containers and dataclasses that the local variables of suspended tasks refer to."""
    seen: set[int] = set()
    total = 0
    waiting: list[Any] = []
    for task in tasks:
        frame: FrameType | None = task.gr_frame
        while frame is not None:
            waiting.extend(frame.f_locals.values())
            frame = frame.f_back
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if type(value) in PLAIN:
            pass
        elif isinstance(value, dict):
            waiting.extend(value)
            waiting.extend(value.values())
        elif isinstance(value, CONTAINERS):
            waiting.extend(value)
        elif not isinstance(value, str | int):
            if not type(value).__module__.startswith(PACKAGES) or not hasattr(value, "__dict__"):
                continue
            waiting.append(value.__dict__)
        total += sys.getsizeof(value)
    return total
