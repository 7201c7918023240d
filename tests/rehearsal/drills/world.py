"""What drills find of a deployed stack, in a cloud that is made up."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from recovery.journal import Run
from recovery.observation import Observation
from rehearsal.aws.faults import Faults
from rehearsal.drills.environment import DrillEnvironment
from rehearsal.drills.observer import StackObserver
from rehearsal.drills.recording import CommandResult
from rehearsal.postgres.global_database import ServerRole
from rehearsal.rehearsed_stack import RehearsedStack
from tests.rehearsal.cloud import ENDPOINT, Cloud
from tests.rehearsal.stack import EAST, OUTPUTS, REGIONS
from tests.rehearsal.workload.api import InstantClock


@dataclass
class World:
    """Leaders, observations and runs by the region whose replica has them, levers, logs, databases.

    waiting: copies that are late. leads_to: where DNS leads. done: what was set or begun.
    failbacks: the exit codes of failbacks; the one that succeeds, or the first if there are none, moves all home.
    """

    cloud: Cloud
    leaders: dict[str, tuple[int, str]] = field(default_factory=lambda: dict.fromkeys(REGIONS, (1, EAST)))
    observations: dict[str, Observation] = field(
        default_factory=lambda: {region: Observation(region=region, at=0) for region in REGIONS})
    runs: dict[str, Run] = field(default_factory=dict)
    levers: set[str] = field(default_factory=set)
    logs: dict[str, list[str]] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    leads_to: str = EAST
    failbacks: list[int] = field(default_factory=lambda: [0])
    done: list[Any] = field(default_factory=list)
    clock: InstantClock = field(default_factory=InstantClock)

    def __post_init__(self) -> None:
        self.faults = Faults()
        pair: Any = SimpleNamespace(writer=EAST, role=lambda _: ServerRole.STANDBY)
        self.pair = pair
        copies: Any = SimpleNamespace(report=lambda: [{"store": "table", "waiting": self.waiting}])
        relays: Any = SimpleNamespace(url=lambda name: f"http://127.0.0.1:9/{name}")
        self.rehearsed = RehearsedStack(
            outputs=OUTPUTS, clients=self.cloud, emulator=ENDPOINT, faults=self.faults, copies=copies, pair=pair,
            relays=relays)
        self.cloud.answers.update(
            GetApiKey={"value": "k"}, GetItem=self._item,
            ListObjectsV2=lambda _: {"KeyCount": int(self._asked in self.levers)},
            FilterLogEvents=lambda _: {"events": [{"message": each} for each in self.logs.get(self._asked, [])]})
        self.observer = StackObserver(self.rehearsed, self.cloud)

    def environment(self) -> DrillEnvironment:
        """The environment of drills in this world, in which nothing goes yet."""
        checker: Any = SimpleNamespace(
            zone=SimpleNamespace(region=lambda *_: self.leads_to, checks={}), healthy=lambda _: True)
        return DrillEnvironment(
            rehearsed=self.rehearsed, observer=self.observer, factor=100.0, begin=self._begin, check_drift=list,
            checker=checker, tasks=[self._task("checks", []), self._task("schedule", [OSError("no start")] * 2)],
            clock=self.clock, warm=self._warm, patience=0.5)

    def _task(self, name: str, errors: list[Exception]) -> Any:
        """A task that notes when it starts and stops."""
        return SimpleNamespace(errors=errors, start=lambda: self.done.append(f"start {name}"),
                               stop=lambda: self.done.append(f"stop {name}"))

    def go_home(self) -> None:
        """The east leads and writes again."""
        self.leaders, self.pair.writer = dict.fromkeys(REGIONS, (9, EAST)), EAST

    def _warm(self, api: Any) -> None:
        self.done.append(f"warm {api.region}")

    def _begin(self, words: str) -> Callable[[], CommandResult]:
        self.done.append(words)
        code = self.failbacks.pop(0)
        if not code:
            self.go_home()
        return lambda: CommandResult(words, code, f"exit {code}")

    @property
    def _asked(self) -> str:
        """The region of the call that is answered."""
        return self.cloud.calls[-1][1]

    def _item(self, params: Mapping[str, Any]) -> dict[str, Any]:
        key, region = params["Key"]["payment_id"]["S"], self._asked
        if key == "!right":
            epoch, where = self.leaders[region]
            return {"Item": {"epoch": {"N": str(epoch)}, "region": {"S": where}}}
        found: Any = self.runs.get(region) if key == "!recovery" else self.observations.get(key.partition(":")[2])
        return {"Item": {"document": {"S": json.dumps(found.document())}}} if found else {}
