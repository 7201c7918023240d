"""Commands of recovery, typed in a world that answers them."""
import errno
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from contract import OUTPUTS_VARIABLE
from recovery.cli import run
from recovery.terminal import Terminal, console_of
from simulator.aurora import RdsClient
from simulator.metrics import StsClient
from tests.unit.recovery.calm_world import EAST, WEST, CalmWorld

HOME, AWAY = EAST, WEST


class Unwritable(io.StringIO):
    """A file on a full disk, and a pipe whose reader has gone, by turns."""

    failures = cycle([OSError(errno.ENOSPC, "full"), BrokenPipeError(errno.EPIPE, "gone")])

    def write(self, _text: str, /) -> int:
        """Fail."""
        raise next(self.failures)


@dataclass(frozen=True)
class Result:
    """The exit code of a command, and what it printed; stderr in lines."""

    code: object
    out: str
    err: list[str]


@dataclass(kw_only=True)
class Shell:
    """Where commands are typed; `world` is what they call."""

    capture: pytest.CaptureFixture[str]
    outputs: Path
    world: CalmWorld
    driver: str = "alice"
    head: str = ""

    @property
    def reports(self) -> Path:
        """Where reports are written."""
        return self.outputs.parent / "reports"

    def reported(self) -> list[str]:
        """The actions of which there are reports."""
        return sorted(each.name.partition("-")[0] for each in self.reports.glob("*.html"))

    def deploy(self, world: CalmWorld, **changes: Any) -> None:
        """Deploy another stack, and write its outputs."""
        self.world = world
        self.outputs.write_text(json.dumps({**world.outputs, **changes}), encoding="utf-8")

    def slow_down(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        """Let STS and RDS take so much longer to answer."""
        def slowly(call: Callable[..., Any]) -> Callable[..., Any]:
            def made(*arguments: Any, **given: Any) -> Any:
                self.world.scheduler.suspend(seconds)
                return call(*arguments, **given)

            return made

        monkeypatch.setattr(StsClient, "get_caller_identity", slowly(StsClient.get_caller_identity))
        monkeypatch.setattr(RdsClient, "describe_db_instances", slowly(RdsClient.describe_db_instances))

    def type(self, line: str | list[str], **changes: Any) -> Result:
        """Run a command, in a process of its own. Its first line, that of the outputs, goes to `head`."""
        arguments = line.split() if isinstance(line, str) else line
        terminal = Terminal(environ={OUTPUTS_VARIABLE: str(self.outputs)}, driver=self.driver, console=console_of,
                            reports=self.reports, confirm=lambda _: False, connect=lambda _: self.world.recovery())
        code = self.world.run_task(lambda: run(arguments, replace(terminal, **changes)))
        printed = self.capture.readouterr()
        assert "Traceback" not in printed.out + printed.err
        lines = printed.err.splitlines()
        self.head = lines.pop(0) if lines and lines[0].startswith("stack ") else ""
        return Result(code, printed.out, lines)


def down(shell: Shell) -> CalmWorld:
    """The primary region is lost, and the standby's controller knows it."""
    shell.world.cut_off(HOME, 50.0)
    return shell.world


def up(shell: Shell) -> CalmWorld:
    """The controllers report that all is well, and go on looking."""
    shell.world.look(times=2, pause=1.0)
    shell.world.wait(10.0)
    shell.world.look(times=1, pause=1.0)
    return shell.world


def returned(world: CalmWorld, seconds: float = 150.0) -> None:
    """The lost region has returned so many seconds ago, and what was late has been copied."""
    world.network.dead.clear()
    world.drain()
    world.wait(seconds)


def watching(world: CalmWorld) -> None:
    """Let the controllers look every 10 s for two minutes, while something else goes on."""
    for region in (HOME, AWAY):
        made = world.controller(region)

        def watch(made: Any = made) -> None:
            for _ in range(12):
                made.cloud.clock.sleep(10.0)
                made.look_once("controller")

        world.scheduler.spawn(world.process(region, "controller"), watch)


def api_down(shell: Shell) -> CalmWorld:
    """The primary region's API is down, as both views know, and all else in that region answers."""
    shell.world.look()
    shell.world.gateway.down.add(HOME)
    shell.world.look(AWAY, times=6)
    return shell.world
