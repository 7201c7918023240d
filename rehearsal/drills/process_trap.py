"""Kills or freezes a driver at one of the calls that it makes while it takes over."""

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
    """A call at which a driver is stopped: its service, a part of its operation, and how many such come before it.

    `step` is the step of the plan that makes the call. They count from a call of the operation `since`, of any service.
    """

    step: str
    service: str
    operation: str
    earlier: int = 0
    since: str = ""


KILLS = (
    KillPoint("fence", "dynamodb", f"PutItem {RECORD_KEY}", 2), KillPoint("traffic", "s3", "PUT "),
    KillPoint("promote", "rds", "FailoverGlobalCluster"), KillPoint("verify", "lambda", "tapstack-payments", 3),
)
MOMENTS = ("before", "after")
PROOF = KillPoint("promote", "dynamodb", f"PutItem {RECORD_KEY}", 2, since="PUT ")
"""What comes immediately before the promotion, unless a heartbeat comes in between, which is another proof."""


@dataclass
class ProcessTrap:
    """Strikes a caller at a call of its own: `after` it, or before; once. `struck` counts the processes.

    strike: kills or freezes the caller's processes, and gives how many there were.
    """

    strike: Callable[[], int]
    caller: str
    point: KillPoint
    after: bool
    struck: int = 0
    begun: bool = False
    seen: int = 0

    def __call__(self, call: ApiCall, done: bool, /) -> bool:
        """Asked by a proxy before each call and after it: whether this has struck the caller."""
        point, mine = self.point, call.caller == self.caller
        self.begun = self.begun or (mine and point.since in call.operation)
        meant = self.begun and call.service == point.service and point.operation in call.operation
        if self.struck or not (mine and meant) or done is not self.after:
            return False
        self.seen += 1
        if self.seen > point.earlier:
            self.struck = self.strike()
        return self.struck > 0


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
