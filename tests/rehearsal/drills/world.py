"""What drills find of a deployed stack, in a cloud that is made up."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from io import BytesIO
from types import SimpleNamespace
from typing import Any

from contract import OBSERVATION_PREFIX, RECORD_KEY
from recovery.observation import Observation
from recovery.record import ControlRecord, Run
from rehearsal.aws.faults import Faults
from rehearsal.drills.environment import DrillEnvironment
from rehearsal.drills.observer import StackObserver
from rehearsal.drills.recording import CommandResult
from rehearsal.postgres.global_database import ServerRole
from rehearsal.rehearsed_stack import RehearsedStack
from tests.rehearsal.cloud import ENDPOINT, Cloud
from tests.rehearsal.stack import EAST, OUTPUTS, REGIONS, WEST
from tests.rehearsal.workload.api import InstantClock


def sees(region: str, **more: Any) -> Observation:
    """What the controller of a region sees: by default that the other region can pay."""
    return Observation(**{"region": region, "at": 1000.0, "alive": True, "ready": True, **more})


@dataclass
class World:
    """Leaders, observations and runs by the region whose replica has them, levers, logs, databases.

    waiting: copies that are late. moved: when the latest failover was fenced.
    leads_to: where DNS leads. repairs: the errors of the next repairs. done: what was set or begun.
    failbacks: the exit codes of failbacks; the one that succeeds, or the first if there are none, moves all home.
    """

    cloud: Cloud
    leaders: dict[str, tuple[int, str]] = field(default_factory=lambda: dict.fromkeys(REGIONS, (1, EAST)))
    observations: dict[str, Observation] = field(
        default_factory=lambda: {region: sees(region) for region in REGIONS})
    runs: dict[str, Run] = field(default_factory=dict)
    levers: set[str] = field(default_factory=set)
    logs: dict[str, list[str]] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    moved: float = 0.0
    leads_to: str = EAST
    failbacks: list[int] = field(default_factory=lambda: [0])
    repairs: list[str] = field(default_factory=list)
    done: list[Any] = field(default_factory=list)
    clock: InstantClock = field(default_factory=InstantClock)

    def __post_init__(self) -> None:
        self.faults = Faults()
        database: Any = SimpleNamespace(writer=EAST, role=lambda _: ServerRole.STANDBY)
        self.database = database
        copies: Any = SimpleNamespace(report=lambda: [
            {"store": "table", "source": EAST, "target": WEST, "waiting": self.waiting},
            {"store": "receipts", "source": EAST, "target": "eu-west-1", "waiting": ["for a replaced region"]}])
        proxies: Any = SimpleNamespace(url=lambda name: f"http://127.0.0.1:9/{name}")
        self.rehearsed = RehearsedStack(
            outputs=OUTPUTS, clients=self.cloud, emulator=ENDPOINT, faults=self.faults, copies=copies,
            database=database, proxies=proxies)
        self.cloud.answers.update(
            GetApiKey={"value": "k"}, GetItem=self._item, Invoke=self._repair,
            GetObject=lambda _: {"Body": BytesIO(b"secret")},
            ListObjectsV2=lambda _: {"KeyCount": int(self._asked in self.levers)},
            FilterLogEvents=lambda _: {"events": [{"message": each} for each in self.logs.get(self._asked, [])]})
        self.observer = StackObserver(self.rehearsed, self.cloud)

    def environment(self) -> DrillEnvironment:
        """The environment of drills in this world, in which nothing goes yet."""
        checker: Any = SimpleNamespace(
            zone=SimpleNamespace(value=lambda *_: self.leads_to, checks={}), healthy=lambda _: True)
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
        self.leaders, self.database.writer = dict.fromkeys(REGIONS, (9, EAST)), EAST

    def _warm(self, api: Any) -> None:
        self.done.append(f"warm {api.region}")

    def _begin(self, words: str) -> Callable[[], CommandResult]:
        self.done.append(words)
        code = self.failbacks.pop(0)
        if not code:
            self.go_home()
        return lambda: CommandResult(words, code, f"exit {code}")

    def _repair(self, _: object) -> dict[str, Any]:
        error = self.repairs.pop(0) if self.repairs else ""
        self.done.append(f"repair {self._asked}")
        return {"Payload": BytesIO(json.dumps({"done": not error, "error": error}).encode())}

    @property
    def _asked(self) -> str:
        """The region of the call that is answered."""
        return self.cloud.calls[-1][1]

    def _item(self, params: Mapping[str, Any]) -> dict[str, Any]:
        key, region = params["Key"]["payment_id"]["S"], self._asked
        answer = {"ResponseMetadata": {"HTTPHeaders": {"date": formatdate(self.clock.now, usegmt=True)}}}
        if key == RECORD_KEY:
            epoch, where = self.leaders[region]
            record = ControlRecord(revision=1, epoch=epoch, region=where, run=self.runs.get(region), moved=self.moved)
            return {**answer, "Item": record.item()}
        found = self.observations.get(key.removeprefix(OBSERVATION_PREFIX))
        return {**answer, "Item": {"number": {"N": str(found.number)}, "document": {
            "S": json.dumps(found.document())}}} if found else answer
