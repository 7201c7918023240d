"""Kills the standby's controller at one of the calls that it makes while it takes over."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

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
    KillPoint("fence", "dynamodb", "UpdateItem"), KillPoint("traffic", "s3", "PUT "),
    KillPoint("promote", "rds", "FailoverGlobalCluster"), KillPoint("epoch", "lambda", "tapstack-reconcile"),
    KillPoint("verify", "lambda", "tapstack-payments"), KillPoint("reconcile", "lambda", "tapstack-reconcile", 1),
)
MOMENTS = ("before", "after")


class ControllerTrap:
    """Kills a region's controller at a call of its own: `after` it, or before; once. `killed` counts the processes.

    kill: kills the processes of a region's controller, and gives how many there were.
    """

    def __init__(self, kill: Callable[[str], int], point: KillPoint, *, after: bool) -> None:
        self.killed = 0
        self._kill, self._point, self._after, self._seen = kill, point, after, 0

    def watching(self, region: str) -> Callable[[ApiCall, bool], bool]:
        """What a proxy asks at each call, before it and after it: whether its caller was killed, in this region."""
        def caught(call: ApiCall, done: bool) -> bool:
            mine = (call.caller, call.service) == (region, self._point.service)
            if self.killed or not mine or self._point.operation not in call.operation or done is not self._after:
                return False
            self._seen += 1
            if self._seen > self._point.earlier:
                self.killed = self._kill(region)
            return bool(self.killed)

        return caught


def kill_processes(variables: set[str], processes: Path = Path("/proc")) -> int:
    """Kill the processes that have all of these variables, each `NAME=VALUE`; gives how many there were."""
    killed = 0
    for folder in processes.glob("[0-9]*"):
        with suppress(OSError):
            if variables <= {*(folder / "environ").read_text(errors="replace").split("\0")}:
                os.kill(int(folder.name), signal.SIGKILL)
                killed += 1
    return killed
