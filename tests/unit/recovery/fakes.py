"""What the tests of the doctor take from outside: a clock that they move, no threads, the shape of AWS's answers."""
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from recovery.environment import Background, Environment, HttpReply
from recovery.stack import Stack
from simulator.scheduler import EPOCH
from simulator.world import REGIONS, Options, World
from tests.unit.payments.fakes import StillClock, still_runtime

K = TypeVar("K")
T = TypeVar("T")
HOME, AWAY = REGIONS


def stack(**changes: Any) -> Stack:
    """A stack whose outputs are changed."""
    return Stack.of({**World(1, Options(clients=0)).outputs, **changes})


class FakeClock(StillClock):
    """Time that passes only when something sleeps."""

    def time(self) -> float:
        """Seconds since the epoch."""
        return EPOCH + self.now


class FakeBackground(Background):
    """No threads: questions are asked one after the other. `late`: those whose answers do not arrive in time."""

    def __init__(self, late: Callable[[Any], bool] = lambda _name: False) -> None:
        self.late = late

    def gather(self, questions: Mapping[K, Callable[[], T]], seconds: float) -> dict[K, T]:
        """Ask each at once, unless its answer would be late."""
        assert seconds > 0
        return {name: question() for name, question in questions.items() if not self.late(name)}


def environment_of(clock: FakeClock, clients: Any = None, background: Background | None = None) -> Environment:
    """An environment on a clock that tests move."""
    def refuse(*request: Any, **more: Any) -> HttpReply:
        raise AssertionError((request, more))

    return Environment(clients=clients or refuse, http=refuse, background=background or FakeBackground(),
                       runtime=still_runtime(clock), verdict=str, name_servers=lambda zone: frozenset({zone}))


def unknown_keys(value: Any, shape: Any, where: str) -> list[str]:
    """What an answer has that AWS does not give."""
    if shape.type_name == "structure":
        strange = [f"{where}.{key}" for key in value if key not in shape.members]
        return strange or [wrong for key, each in value.items()
                           for wrong in unknown_keys(each, shape.members[key], f"{where}.{key}")]
    if shape.type_name == "list":
        return [wrong for each in value for wrong in unknown_keys(each, shape.member, f"{where}[]")]
    return []
