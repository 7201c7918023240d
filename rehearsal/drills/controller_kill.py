"""Kills the standby's controller at one of the calls that it makes while it takes over."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from contract import RECORD_KEY
from rehearsal.aws.faults import ApiCall


@dataclass(frozen=True)
class KillPoint:
    """A call at which a controller is killed: its service, a part of its operation, and how many such come before it.

    `step` is the step of the plan that makes the call.
    """

    step: str
    service: str
    operation: str
    earlier: int = 0


KILLS = (
    KillPoint("fence", "dynamodb", f"PutItem {RECORD_KEY}", 2), KillPoint("traffic", "s3", "PUT "),
    KillPoint("promote", "rds", "FailoverGlobalCluster"), KillPoint("verify", "lambda", "tapstack-payments", 3),
)
MOMENTS = ("before", "after")


@dataclass
class ControllerTrap:
    """Kills a region's controller at a call of its own: `after` it, or before; once. `killed` counts the processes.

    kill: kills the processes of a region's controller, and gives how many there were.
    """

    kill: Callable[[str], int]
    region: str
    point: KillPoint
    after: bool
    killed: int = 0
    seen: int = 0

    def __call__(self, call: ApiCall, done: bool, /) -> bool:
        """Asked by a proxy before each call and after it: whether this has killed the caller."""
        mine = (call.caller, call.service) == (self.region, self.point.service)
        if self.killed or not mine or self.point.operation not in call.operation or done is not self.after:
            return False
        self.seen += 1
        if self.seen > self.point.earlier:
            self.killed = self.kill(self.region)
        return self.killed > 0


def kill_processes(variables: set[str], processes: Path = Path("/proc"), number: int = signal.SIGKILL) -> int:
    """Kill the processes that have all of these variables, each `NAME=VALUE`, or send them another signal.

    Gives how many there were.
    """
    killed = 0
    for folder in processes.glob("[0-9]*"):
        with suppress(OSError):
            if variables <= {*(folder / "environ").read_text(errors="replace").split("\0")}:
                os.kill(int(folder.name), number)
                killed += 1
    return killed
