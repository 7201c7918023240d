"""The simulator's world with nothing going on in it: no client pays, no controller starts, and nothing goes wrong.

A test runs the product's code in it as a task of a process, and breaks what it wants broken. Time is virtual.
"""
import json
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from contract import OBSERVATION_PREFIX, RECORD_KEY
from payments.clock import Stopwatch
from recovery import controller
from recovery.cloud import Cloud
from recovery.control_table import ControlTable
from recovery.environment import Environment
from recovery.observation import Observation
from recovery.permissions import OPERATOR
from recovery.plan import Action, Evidence, Plan
from recovery.record import ControlRecord, Run
from recovery.runner import Hold, Intent, Runner, claim
from recovery.steps import AwsSteps
from simulator.network import OUTSIDE, NetworkCall
from simulator.scheduler import Process
from simulator.world import REGIONS, Options, World

T = TypeVar("T")
EAST, WEST = REGIONS
"""East leads at first, and has the writer."""
CONTROLLER_ONLY = {"cloudwatch:GetMetricStatistics", "cloudwatch:PutMetricData"}
"""Calls of the controller alone, whose role is that of lib/region/controller.py."""
NO_AWS = frozenset({"dns", "execute-api", "drill"})


def assert_declared(service: str, operation: str) -> None:
    """A call that no policy of docs/iam permits fails: declare it in recovery/permissions.py, and `make iam`."""
    assert f"{service}:{operation}" in {*OPERATOR, *CONTROLLER_ONLY}


class CalmWorld(World):
    """The world; `calls` are those that were made: (region, service, operation)."""

    def __init__(self, **options: Any) -> None:
        given = {"clients": 0, "failover_takes": (2.0, 2.0), "switchover_takes": (2.0, 2.0), "table_lag": (0.1, 0.1),
                 "ledger_lag": (0.1, 0.1), **options}
        super().__init__(1, Options(**given))
        self.schedule.stopped.update(REGIONS)
        self.repairs.stopped.update(REGIONS)
        self.aurora.fenced = 1.0
        self.calls: list[tuple[str, str, str]] = []
        self._controllers: dict[str, controller.Controller] = {}
        leave = self.network._leave

        def noted(call: NetworkCall) -> tuple[str, float]:
            if call.caller.name in ("driver", "controller"):
                self.calls.append((call.region, call.service, call.operation))
                if call.service not in NO_AWS:
                    assert_declared(call.service, call.operation)
            return leave(call)

        self.network._leave = noted  # type: ignore[method-assign]

    def run_task(self, work: Callable[[], T], process: Process | None = None) -> T:
        """What some work returns or raises, once it is done."""
        done = self.scheduler.spawn(process or self.process(), work)
        until = self.scheduler.now + 20_000.0
        while not done.set:
            assert self.scheduler.now < until, "the task never ends"
            self.scheduler.run(self.scheduler.now + 0.25)
        found: T = done.result()
        return found

    def process(self, place: str = OUTSIDE, name: str = "driver") -> Process:
        """A new process somewhere."""
        return Process(self.scheduler, name, place)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.scheduler.run(self.scheduler.now + seconds)

    def at(self, seconds: float, event: Callable[[], object]) -> None:
        """Let something happen so many seconds from now."""
        self.scheduler.at(seconds, event)

    # --- The product's parts

    def recovery(self, process: Process | None = None) -> Environment:
        """Recovery's environment of a process."""
        found: Environment = self.environment(process or self.process())
        return found

    def plan(self, action: Action = Action.FAILOVER, to: str = WEST) -> Plan:
        """A plan for this stack."""
        return Plan(action=action, stack=self.stack, target=self.stack.site(to))

    def cloud(self, action: Action = Action.FAILOVER, to: str = WEST, process: Process | None = None) -> Cloud:
        """The cloud of a plan, in the hands of a process."""
        return Cloud(plan=self.plan(action, to), environment=self.recovery(process))

    def claim(self, action: Action = Action.FAILOVER, to: str = WEST, *, driver: str = "alice",
              evidence: Evidence = Evidence.NONE, accepted: bool = False) -> Hold:
        """Take hold of a run."""
        cloud = self.cloud(action, to)

        def work() -> Hold:
            since = Stopwatch(cloud.clock)
            return claim(cloud, Intent(plan=cloud.plan, driver=driver, why="asked for", facts=cloud.facts(),
                                       since=since, evidence=evidence, accepted=accepted))

        return self.run_task(work)

    def drive(self, hold: Hold) -> Run:
        """Carry out a run that was claimed."""
        steps = AwsSteps(cloud=hold.cloud)
        return self.run_task(Runner(hold=hold, do=steps.do, report=lambda _step, _progress: None).drive)

    def move(self, action: Action = Action.FAILOVER, to: str = WEST) -> Run:
        """Carry out an action from its claim to its end."""
        return self.drive(self.claim(action, to))

    def controller(self, region: str, *, fresh: bool = False) -> controller.Controller:
        """The controller of a region; a fresh one knows nothing of former looks."""
        if fresh or region not in self._controllers:
            environ = {"AWS_REGION": region, "STACK_OUTPUTS": json.dumps(self.outputs), "PROBE_SECONDS": "10",
                       "WATCH_SECONDS": "60", "COOL_DOWN_SECONDS": "300",
                       "DETECTION_SECONDS": str(self.stack.detection), "ROLE_ARN": f"arn:aws:iam::1:role/{region}"}
            self._controllers[region] = controller.create(environ, self.recovery(self.process(region, "controller")))
        return self._controllers[region]

    def look(self, *regions: str, times: int = 1, pause: float = 10.0, fresh: bool = False) -> None:
        """Let the controllers of regions look, one after the other, some times."""
        for _ in range(times):
            for region in regions or REGIONS:
                made = self.controller(region, fresh=fresh)
                self.run_task(partial(made.look_once, f"controller in {region}"))
            self.wait(pause)

    def cut_off(self, region: str, seconds: float = 60.0) -> None:
        """Lose a region, and let Route 53 and the other region's controller see it."""
        self.look()
        self.lose(region, ends=True)
        self.look(self.other(region), times=round(seconds / 10))

    # --- What is so

    def table_in(self, region: str) -> ControlTable:
        """The control table of a region, for somebody who is there."""
        return self.cloud(to=region, process=self.process(region, "test")).table

    def record(self, region: str = WEST) -> ControlRecord:
        """The record in a region's replica."""
        item = self.table.item(region, RECORD_KEY)
        assert item
        return ControlRecord.of(item)

    def observation(self, region: str = WEST) -> Observation:
        """What the controller of a region saw last."""
        item = self.table.item(region, OBSERVATION_PREFIX + region)
        assert item
        return Observation.of(json.loads(item["document"]["S"]))

    def set_record(self, **changes: Any) -> None:
        """Change the record in all regions, as a restore of the table does."""
        item = self.record().next(**changes).item()
        for region in REGIONS:
            self.table.writer = None
            self.table.put(region, RECORD_KEY, item)

    def notified(self) -> list[str]:
        """The subjects of what people were told."""
        return [event.facts["subject"] for event in self.history.of("notified")]

    def ended(self) -> list[str]:
        """What the runs that ended were, and how."""
        return [f"{event.facts['action']} to {event.facts['target']}: {event.facts['why']}"
                for event in self.history.of("ends")]
