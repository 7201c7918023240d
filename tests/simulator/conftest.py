"""What the tests of the simulator share."""
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator.history import History
from simulator.network import OUTSIDE, NetworkCall, SimulatedNetwork
from simulator.scheduler import Process, Scheduler

EAST, WEST = "us-east-1", "us-west-2"


class Machine:
    """A scheduler with a network and a process in each place."""

    def __init__(self) -> None:
        self.scheduler = Scheduler(1)
        self.history = History()
        self.network = SimulatedNetwork(self.scheduler, self.history)
        self.processes = {place: Process(self.scheduler, place, place) for place in (EAST, WEST, OUTSIDE)}

    def do(self, work: Callable[[], Any], place: str = OUTSIDE, seconds: float = 1000.0) -> Any:
        """What `work` gives, as a task of the place's process. Raises what it raises."""
        done = self.scheduler.spawn(self.processes[place], work)
        until = self.scheduler.now + seconds
        while not done.set and self.scheduler.now < until:
            self.scheduler.run(self.scheduler.now + 0.25)
        return done.result()

    def call(self, serve: Callable[[], Any], to: str = WEST, place: str = OUTSIDE) -> Any:
        """What a call from a place to a region gives."""
        call = NetworkCall(self.processes[place], to, "s3", "Get", 1.0, 0.5)
        return self.do(lambda: self.network.call(call, serve), place)


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine of its own."""
    made = Machine()
    yield made
    made.scheduler.end()
