"""A world in which drills run: clients pay, controllers look, and a region can be broken as a drill breaks it."""
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from contract import ROLES
from payments.clock import Stopwatch
from recovery.cloud import Cloud
from recovery.drill import Drill, DrillTargets, drill_refusals
from recovery.drill.outage import last_drill
from recovery.plan import Action, Facts, Plan
from recovery.record import Run
from recovery.runner import Intent, Runner, claim
from recovery.steps import AwsSteps
from simulator.adapters import Tasks
from simulator.aws import AwsClient, Paginator
from simulator.metrics import Metrics
from simulator.scheduler import Process
from simulator.world import PAYMENTS, REGIONS
from tests.unit.recovery.calm_world import EAST, WEST, CalmWorld


class ExperimentsClient(AwsClient[Metrics]):
    """FIS's."""

    service = "fis"

    def __init__(self, world: "DrillWorld", caller: Process, region: str) -> None:
        super().__init__(world.metrics, caller, region)
        self._world = world

    def start_experiment(self, *, experimentTemplateId: str, clientToken: str) -> Any:  # noqa: N803
        """StartExperiment."""
        assert (experimentTemplateId, bool(clientToken)) == (f"EXT-{self._region}", True)

        def start() -> Any:
            self._world.pauses[self._region] = [*self._world.begun]
            return {"experiment": {"id": f"EXP-{self._region}"}}

        return self._call("StartExperiment", start)

    def get_paginator(self, operation: str) -> Any:
        """ListExperiments, of the region's only template."""
        assert operation == "list_experiments"
        return Paginator(lambda: self._call("ListExperiments", lambda: {"experiments": [
            {"id": f"EXP-{region}", "state": {"status": states[0]}} for region, states in self._world.pauses.items()
            if region == self._region]}))

    def get_experiment(self, *, id: str) -> Any:  # noqa: A002  # pylint: disable=redefined-builtin
        """GetExperiment: its next state; the last one stays."""
        states = self._world.pauses[id.removeprefix("EXP-")]
        state = states[0] if len(states) == 1 else states.pop(0)
        return self._call("GetExperiment", lambda: {"experiment": {"id": id, "state": {"status": state}}})

    def stop_experiment(self, *, id: str) -> Any:  # noqa: A002  # pylint: disable=redefined-builtin
        """StopExperiment."""
        self._world.pauses[id.removeprefix("EXP-")] = ["stopping"]
        return self._call("StopExperiment", dict)


class OneClient(Tasks):
    """Background work in which one client pays: each payment costs the tests, and four of them show nothing more."""

    @contextmanager
    def every(self, seconds: float, task: Callable[[], object], *, workers: int = 1) -> Iterator[None]:
        """As `recovery.environment.Background`, with one worker."""
        with super().every(seconds, task, workers=min(workers, 1)):
            yield


class DrillWorld(CalmWorld):
    """The world; executions are reserved in one region. `said` is what the drill reports.

    `pauses` are the states of the experiment of each region, and `begun` those of one that begins.
    """

    def __init__(self, **options: Any) -> None:
        self.pauses, self.begun = dict[str, list[str]](), ["pending", "initiating", "running"]
        self.said: list[str] = []
        super().__init__(**{"automatic": False, "threshold": 1, **options})
        self.functions.reserved[EAST, PAYMENTS] = 300
        self.schedule.stopped.clear()
        self.wait(20.0)

    @property
    def reserved(self) -> dict[str, int | None]:
        """The executions that are reserved for the payments function of each region."""
        return {region: self.functions.reserved.get((region, PAYMENTS)) for region in REGIONS}

    def environment(self, process: Process) -> Any:
        """Recovery's environment of a process."""
        return replace(super().environment(process), background=OneClient(process))

    def _client_of(self, process: Process, service: str, region: str, read: float, *, once: bool) -> Any:
        if service == "fis":
            return ExperimentsClient(self, process, region)
        return super()._client_of(process, service, region, read, once=once)

    def drill(self, action: Action = Action.FAILOVER, to: str = WEST, **changes: Any) -> Drill:
        """A drill here."""
        targets = {site.region: DrillTargets.of(self.outputs, site) for site in self.stack.sites}
        return Drill(**{"cloud": self.cloud(action, to), "targets": targets, "drive": self.carry_out,
                        "say": self.said.append, **changes})

    def carry_out(self, cloud: Cloud, why: str, facts: Facts | None) -> Run:
        """Carry out a plan, as the command does."""
        since = Stopwatch(cloud.clock)
        intent = Intent(plan=cloud.plan, driver="drill", why=why, facts=facts or cloud.facts(), since=since)
        return Runner(
            hold=claim(cloud, intent), do=AwsSteps(cloud=cloud).do, report=lambda _step, _progress: None).drive()

    def refusals(self, action: Action = Action.FAILOVER, to: str = WEST, *, yes: bool = False) -> list[str]:
        """What forbids a drill."""
        plan: Plan = self.plan(action, to)
        return self.run_task(lambda: drill_refusals(self.recovery(), plan, yes=yes))

    def recorded(self) -> dict[str, Any]:
        """The record of the last drill."""
        found = self.run_task(lambda: last_drill(self.recovery(), self.stack))
        assert found
        return found

    def is_restored(self) -> bool:
        """Whether nothing is broken any more."""
        checks = (self.route53.checks[role] for role in ROLES)
        return (self.reserved == {EAST: 300, WEST: None} and not any(each.inverted or each.disabled for each in checks)
                and self.recorded()["broken"] is None)
