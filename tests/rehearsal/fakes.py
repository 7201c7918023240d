"""A fake for every part of a rehearsal."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from recovery.stack import Stack
from rehearsal.deploy.project import Project
from rehearsal.drills.report import model
from rehearsal.drills.scenario import Scenario
from rehearsal.errors import CheckFailed
from rehearsal.rehearsed_stack import RehearsedStack
from rehearsal.run import Parts
from rehearsal.workload.checks import CheckResult
from tests.rehearsal.cloud import ENDPOINT, Cloud
from tests.rehearsal.stack import OUTPUTS
from tests.rehearsal.workload.api import InstantClock


def held(name: str) -> CheckResult:
    """A check that held."""
    return CheckResult(name, ok=True, milliseconds=1)


def failed(name: str, detail: str = "") -> CheckResult:
    """A check that failed."""
    return CheckResult(name, ok=False, milliseconds=1, detail=detail)


@dataclass
class World:  # pylint: disable=too-many-instance-attributes  # everything that a run may meet
    """What happens in a rehearsal, and what was asked of its parts.

    starting, deploying, migrating, lifting: raised there.
    before, after: what exists before the deployment and after the teardown.
    bad_drills: end in another way than expected. impossible_drills: cannot be run.
    outputs_file, outputs: where the run wrote its outputs, and what it wrote.
    shown, drilled: the outages and drills that were asked for. environment: what the drills' environment was given.
    """

    folder: Path
    cloud: Cloud
    starting: Exception | None = None
    deploying: BaseException | None = None
    torn_down: bool = False
    migrating: Exception | None = None
    lifting: Exception | None = None
    smoke: list[CheckResult] = field(default_factory=lambda: [held("POST")])
    outages: list[CheckResult] = field(default_factory=list)
    bad_drills: frozenset[str] = frozenset()
    impossible_drills: frozenset[str] = frozenset()
    protected: list[str] = field(default_factory=list)
    undeleted: list[str] = field(default_factory=list)
    before: frozenset[str] = frozenset({"Vpc default"})
    after: frozenset[str] = frozenset({"Vpc default"})
    shown: list[str] = field(default_factory=list)
    drilled: list[str] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    waited: int = 0
    outputs_file: Path = Path()
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def runs(self) -> Path:
        """Where runs have their folders."""
        return self.folder / "runs"

    def parts(self) -> Parts:
        """The parts of a rehearsal in this world."""
        parts: dict[str, Any] = {
            "emulator": lambda: SimpleNamespace(
                endpoint=ENDPOINT, secret=None, start=lambda: self._raise(self.starting),
                stop=lambda: self._stop("emulator")),
            "databases": lambda *_: SimpleNamespace(
                database=SimpleNamespace(ca_file="/ca.pem"), ports={}, authority="", follow=None,
                close=lambda: self._stop("databases")),
            "proxies": lambda *_, **__: SimpleNamespace(
                start=lambda: None, stop=lambda: self._stop("proxies"), url=lambda _: ENDPOINT),
            "clients": lambda *_: self.cloud,
            "deployments": {"offline": lambda *_: FakeDeployment(self)},
            "take_inventory": lambda *_: self.after if self.torn_down else self.before,
            "migrate": self._migrate,
            "smoke_test": lambda *_: iter(self.smoke), "show_outages": self._show,
            "drill_environment": lambda *given, **more: FakeDrillEnvironment(self, *given, **more),
            "run_drill": self._drill, "runs": self.runs, "wait_for_interrupt": self._wait,
            "clock": InstantClock()}
        return Parts(**parts)

    @staticmethod
    def _raise(error: BaseException | None) -> None:
        if error:
            raise error

    def _migrate(self, *_: object) -> dict[str, list[str]]:
        (self.outputs_file,) = self.runs.glob("*/outputs.json")
        self.outputs = json.loads(self.outputs_file.read_text(encoding="utf-8"))
        self._raise(self.migrating)
        return {"applied": ["0001_ledger.sql"]}

    def _stop(self, part: str) -> None:
        self.stopped.append(part)

    def _wait(self) -> None:
        self.waited += 1

    def _show(self, rehearsed: RehearsedStack, scenarios: list[Scenario]) -> Iterator[CheckResult]:
        self.shown = [each.name for each in scenarios]
        rehearsed.tables["kills"] = [{"run": 1, "lost": 0, "ids": ["x"]}]
        return iter(self.outages)

    def _drill(self, _: object, scenario: Scenario) -> model.DrillResult:
        name, ok = scenario.name, scenario.name not in self.bad_drills
        self.drilled.append(name)
        if name in self.impossible_drills:
            raise CheckFailed("waited 40 s")
        return model.DrillResult(
            scenario=name, title="t", consistency="eventual", expected="e", outcome=f"{name} is over", ok=ok,
            driver="controller", recovery=None, stores=[], lost=[], refused_stale=0, errors={}, requests=[], events=[],
            checks=[model.DrillCheck(name=f"{name} holds", ok=ok, detail="found")])


class FakeDeployment:
    """Creates nothing."""

    resources: tuple[()] = ()
    gaps: tuple[()] = ()

    def __init__(self, world: World) -> None:
        self._world = world
        self.outputs: dict[str, Any] = {}

    def up(self, project: Project) -> None:
        """Raise, or have outputs."""
        assert project.config["TapStack:awsEndpoint"] == ENDPOINT
        if self._world.deploying:
            raise self._world.deploying
        self.outputs = OUTPUTS

    def drift(self, project: Project) -> list[str]:
        """Where the program would be deployed again."""
        return [project.config["TapStack:awsEndpoint"]]

    def scopes(self, token: str) -> list[Any]:
        """There are none."""
        assert token
        return []

    def lift_protection(self) -> list[Any]:
        """What was protected, by the names of the resource types."""
        if self._world.lifting:
            raise self._world.lifting
        return [SimpleNamespace(type_name=name) for name in self._world.protected]

    def down(self) -> list[str]:
        """What could not be deleted."""
        self._world.torn_down = True
        return self._world.undeleted

    def seconds(self) -> dict[str, float]:
        """How long two commands took."""
        return {"preview": 1.04, "up": 2.0}

    def close(self) -> None:
        """Record it."""
        self._world.stopped.append("deployment")


class FakeDrillEnvironment:
    """Records what it was given."""

    stack = Stack.of(OUTPUTS)

    def __init__(self, world: World, *given: Any, **more: Any) -> None:
        world.environment.update(zip(("rehearsed", "scopes", "factor"), given, strict=True), **more)
        self.rehearsed = given[0]
        self.observer = SimpleNamespace(direct=SimpleNamespace(heal=lambda: None))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def text(self, name: str) -> str:
        """No name has one."""
        raise LookupError(name)

    def ready(self) -> None:
        """Nothing to wait for."""

    def clients(self, _rate: float, _keep: float) -> Any:
        """Clients that pay nothing."""
        return nullcontext(SimpleNamespace(sent=[], wait_for=lambda *_: True))

    def signal_drivers(self, _where: str, _number: int) -> int:
        """There is none."""
        return 0
