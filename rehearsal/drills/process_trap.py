"""Kills or freezes a driver at one of the calls that it makes while it takes over."""

import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from contract import LEVER_KEY, RECORD_KEY
from rehearsal.aws.faults import ApiCall


@dataclass(frozen=True)
class KillPoint:
    """A call at which a driver is stopped: its service, its operation, and how many such come before it.

    `step` is the step of the plan that makes the call. They count from a call of the operation `since`, of any service.
    Operations are regular expressions for a part of them.
    """

    step: str
    service: str
    operation: str
    earlier: int = 0
    since: str = ""


WRITES_RECORD, PULLS_LEVER = f"PutItem {RECORD_KEY}", f"PUT .*/{LEVER_KEY}"  # the standby's canary puts objects, too
KILLS = (
    KillPoint("fence", "dynamodb", WRITES_RECORD, 2), KillPoint("traffic", "s3", PULLS_LEVER),
    KillPoint("promote", "rds", "FailoverGlobalCluster"), KillPoint("verify", "lambda", "tapstack-payments", 3),
)
MOMENTS = ("before", "after")
PROOF = KillPoint("promote", "dynamodb", WRITES_RECORD, 2, since=PULLS_LEVER)
"""What comes immediately before the promotion, unless a heartbeat comes in between, which is another proof."""


@dataclass
class ProcessTrap:
    """Strikes a caller at a call of its own: `after` it, or before; once. `struck` counts the processes.

    strike: kills or freezes the process that makes the call, and gives how many there were. resets: whether that also
    resets the connection of the call.
    """

    strike: Callable[[ApiCall], int]
    caller: str
    point: KillPoint
    after: bool
    resets: bool = True
    struck: int = 0
    begun: bool = False
    seen: int = 0

    def __call__(self, call: ApiCall, done: bool, /) -> bool:
        """Asked by a proxy before each call and after it: whether this has struck the caller."""
        point, mine = self.point, call.caller == self.caller
        self.begun = self.begun or bool(mine and re.search(point.since, call.operation))
        meant = self.begun and call.service == point.service and re.search(point.operation, call.operation)
        if self.struck or not (mine and meant) or done is not self.after:
            return False
        self.seen += 1
        if self.seen > point.earlier:
            self.struck = self.strike(call)
        return self.struck > 0 and self.resets


def moves(call: ApiCall) -> bool:
    """Whether a call may have moved clients, leadership or the database, or has changed the record."""
    return bool(re.search(f"{PULLS_LEVER}|overGlobalCluster", call.operation)) or (
        call.operation == WRITES_RECORD and call.status == HTTPStatus.OK)


def kill_processes(variables: set[str], processes: Path = Path("/proc"), number: int = signal.SIGKILL,
                   call: ApiCall | None = None) -> int:
    """Kill the processes that have all of these variables, each `NAME=VALUE`, or send them another signal.

    call: only the one that makes this call. Gives how many there were.
    """
    lines = [line.split() for line in (processes / "net/tcp").read_text().splitlines()] if call else []
    ends = {f"socket:[{line[9]}]" for line in lines if call and line[1].endswith(f":{call.port:04X}")}
    killed = 0
    for folder in processes.glob("[0-9]*"):
        with suppress(OSError):
            if variables <= {*(folder / "environ").read_text(errors="replace").split("\0")} and (
                    not call or ends & _open(folder / "fd")):
                os.kill(int(folder.name), number)
                killed += 1
    return killed


def _open(folder: Path) -> set[str]:
    """What a process has open; it may close any of them meanwhile."""
    found = set[str]()
    for each in folder.iterdir():
        with suppress(OSError):
            found.add(str(each.readlink()))
    return found
