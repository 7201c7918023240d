"""The offline engine: runs the program against the emulator, keeps track of what exists, and deletes it."""

import asyncio
import logging
import runpy
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pulumi.runtime import mocks, run_in_stack, set_all_config
from pulumi.runtime.settings import Settings, configure

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy import gaps
from rehearsal.deploy.drift import DriftCheck
from rehearsal.deploy.monitor import Create, Monitor, Step
from rehearsal.deploy.project import Project
from rehearsal.deploy.provider.handlers import Handlers, ProviderConfig, Resource
from rehearsal.deploy.provider.values import plain
from rehearsal.deploy.resources.model import DeployTarget, Scope
from rehearsal.errors import DeploymentError

# Registrations at once. A deployment is limited by the one interpreter lock that the program, Pulumi's runtime and
# boto3 share: on 2 cores, 1 thread and 32 threads take the same 2.3 s. More threads only help calls that wait.
THREADS = 16
GRACE = 10.0  # seconds that an interrupted program has to end

Program = Callable[[], None]


class Deployment:
    """The resources of a program, from `up` until `down`.

    `outputs` are the stack's outputs, as plain values, once it is up; `resources` exist, the oldest first; `gaps` is a
    line for each thing that the emulator cannot do with them. `step` shows progress. `stopping` is set when a run ends
    or is interrupted: from then on nothing new begins. Each method raises DeploymentError.
    """

    def __init__(self, clients: EmulatorClients, target: DeployTarget, step: Step = nullcontext) -> None:
        self.handlers = Handlers(clients, target)
        self.resources: list[Resource] = []
        self.gaps: set[str] = set()
        self._lock = threading.Lock()
        self.outputs: dict[str, Any] = {}
        self.stopping = threading.Event()
        self._step = step

    def up(self, project: Project, program: Program | None = None) -> None:
        """Run the project's `__main__.py`, or `program` in its place.

        Raises DeploymentError for resources that could not be created and for a secret among the outputs, and whatever
        the program raises.
        """
        monitor, error = self._run(project, program, self.create)
        if monitor.failures:
            raise DeploymentError("; ".join(map(str, monitor.failures)))
        if error:
            raise error
        self.outputs = _public(monitor.outputs)

    def drift(self, project: Project, program: Program | None = None) -> list[str]:
        """A line for each thing that would change if the program were deployed once more. Nothing is changed.

        Raises DeploymentError for a secret among the outputs, and whatever the program raises.
        """
        check = DriftCheck(self.resources)
        monitor, error = self._run(project, program, check.create)
        if monitor.failures:  # after the first one nothing else was compared
            return [*check.differences, *map(str, monitor.failures)]
        if error:
            raise error
        outputs = _public(monitor.outputs)
        changed = [f"~ output {key}" for key in sorted(outputs.keys() | self.outputs.keys())
                   if outputs.get(key) != self.outputs.get(key)]
        return [*check.differences, *check.missing(), *changed]

    def _run(self, project: Project, program: Program | None, create: Create) -> tuple[Monitor, BaseException | None]:
        """Run the program to its end; returns its monitor and what it raised."""
        self.stopping.clear()
        monitor = Monitor(create, self.handlers, self._step, self.stopping)
        raised: list[BaseException] = []
        ended = threading.Event()  # an interrupted `Thread.join` makes Python 3.11 forget that the thread runs

        def run() -> None:
            try:
                with asyncio.Runner() as runner:  # its exit waits for the calls that are still running
                    runner.get_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="resource"))
                    runner.get_loop().set_exception_handler(lambda *_: None)  # `run` raises the same errors
                    runner.run(_deploy(program or partial(_run_file, project.folder), monitor, project))
            except BaseException as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
                raised.append(error)
            finally:
                ended.set()

        # On its own thread, so that Ctrl-C interrupts this wait and nothing inside Pulumi's runtime, which would then
        # wait forever for what was never registered. Once `stopping` is set, the program ends by itself.
        try:
            threading.Thread(target=run, name="program", daemon=True).start()
            ended.wait()
        finally:
            self.stopping.set()
            ended.wait(GRACE)
        return monitor, raised[0] if raised else None

    def create(self, token: str, name: str, config: ProviderConfig, inputs: Mapping[str, Any],
               protected: bool) -> Resource:
        """Create and configure a resource of the type `token`. Several threads may do so at once.

        A resource that exists when this fails can be deleted like any other.
        """
        described = self.handlers.resource(token, name, config, self.handlers.check(token, name, inputs, {}))
        resource = replace(described, protected=protected)
        try:
            self.handlers.create(resource)
        finally:
            with self._lock:
                if resource.scope["out"] or resource.scope["id"]:
                    self.resources.append(resource)
                    self.gaps |= gaps.of(resource.type_name, resource.scope["in"])
        return resource

    def scopes(self, token: str) -> list[Scope]:
        """The scopes of the existing resources of a type, the oldest first."""
        return [resource.scope for resource in self.resources if resource.token == token]

    def lift_protection(self) -> list[Resource]:
        """Lift what protects resources from deletion; returns those that were protected."""
        lifted = []
        for resource in self.resources:
            resource.scope["unprotected"] = True
            calls = [self.handlers.call(resource, call) for call in resource.type.unprotect]
            if resource.protected or any(calls):
                lifted.append(resource)
        return lifted

    def delete(self, resource: Resource) -> None:
        """Delete a resource; one that is already gone counts as deleted. Either way it is no longer tracked."""
        self.resources.remove(resource)
        self.handlers.delete(resource)

    def down(self) -> list[str]:
        """Delete everything, the newest first; returns a line for each resource that could not be deleted.

        Log groups come last: a function that is deleted while it runs logs its end, which creates its group again.
        """
        failures, newest_first = [], self.resources[::-1]
        for resource in sorted(newest_first, key=lambda each: each.type_name == "LogGroup"):
            with self._step(resource.label):
                try:
                    self.delete(resource)
                except DeploymentError as error:
                    failures.append(str(error))
        return failures

    def seconds(self) -> dict[str, float]:
        """Empty: the report's phases have all times."""
        return {}

    def close(self) -> None:
        """Nothing to end."""


async def _deploy(program: Program, monitor: Monitor, project: Project) -> None:
    # Pulumi keeps its state in context variables. Each run has its thread's, so a second one starts afresh.
    set_all_config(dict(project.config), [])
    configure(Settings(project=project.name, stack=project.stack, organization="organization", monitor=monitor,
                       engine=mocks.MockEngine(logging.getLogger("pulumi")), dry_run=False,
                       root_directory=str(project.folder)))
    await run_in_stack(program)


def _run_file(folder: Path) -> None:
    """Run the program as the Pulumi CLI does: as `__main__`, with its folder as the current one and importable."""
    with chdir(folder):
        runpy.run_path(str(folder), run_name="__main__")


def _public(outputs: dict[str, Any]) -> dict[str, Any]:
    return {key: plain(value, f"output {key}", public=True) for key, value in outputs.items()}
