"""One run of the program against the emulator, and its end."""

import asyncio
import contextvars
import json
import logging
import os
import runpy
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pulumi.runtime import mocks, rpc, run_in_stack, set_all_config
from pulumi.runtime.settings import Settings, configure

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy.drift import DriftCheck
from rehearsal.deploy.engine import DeployTarget, Engine, RehearsalError
from rehearsal.deploy.monitor import Monitor, plain
from rehearsal.deploy.project import Project
from rehearsal.report import Progress

# Registrations under way at once. What limits a deployment is the one interpreter lock that the program, Pulumi's
# runtime and boto3 share: on 2 cores 1 thread and 32 take the same 2.3 s. More threads are for calls that wait.
THREADS = 16
GRACE = 10.0  # seconds in which an interrupted program may come to its end


class Deployment:
    """The resources of a program, from `up` until `down`; `outputs` are the stack's, plain, once it is up."""

    def __init__(self, clients: EmulatorClients, around: DeployTarget, progress: Progress) -> None:
        self.engine = Engine(clients, around)
        self.outputs: dict[str, Any] = {}
        self._progress = progress

    def up(self, project: Project, program: Callable[[], None] | None = None) -> None:
        """Run the project's `__main__.py`, or `program` in its place.

        Raises RehearsalError for resources that could not be made, and for a secret among the outputs; what the program
        raises comes out as it is.
        """
        monitor = self._run(project, program, self.engine)
        self.outputs = _public(monitor.outputs)

    def again(self, project: Project, program: Callable[[], None] | None = None) -> list[str]:
        """What would change if the program were deployed once more: a line for each thing. Nothing is changed.

        Raises as `up`, but for resources.
        """
        again = DriftCheck(self.engine)
        monitor = self._run(project, program, again, refusing=False)
        if monitor.failures:  # after the first one the program was refused everything
            return [*again.differences, *map(str, monitor.failures)]
        outputs = _public(monitor.outputs)
        changed = [f"~ output {key}" for key in sorted(outputs.keys() | self.outputs.keys())
                   if outputs.get(key) != self.outputs.get(key)]
        return [*again.differences, *again.missing(), *changed]

    def _run(self, project: Project, program: Callable[[], None] | None, engine: Engine, *,
             refusing: bool = True) -> Monitor:
        """Run the program with its resources handed to the engine. What fails is raised, unless not `refusing`."""
        monitor = Monitor(engine, self._progress)
        raised: list[BaseException] = []
        ended = threading.Event()  # to be interrupted in `Thread.join` makes Python 3.11 forget that the thread runs

        def run() -> None:
            try:
                _run(program or (lambda: _run_file(project.folder)), monitor, project)
            except BaseException as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
                raised.append(error)
            finally:
                ended.set()

        # On a thread of its own, so that Ctrl-C breaks off the wait for it and nothing inside Pulumi's runtime, which
        # would then wait for ever for what was never registered. It comes to its end by itself once all is refused.
        threading.Thread(target=run, name="program", daemon=True).start()
        try:
            ended.wait()
        finally:
            monitor.stopped = True
            ended.wait(GRACE)
        if refusing and monitor.failures:
            raise RehearsalError("; ".join(map(str, monitor.failures)))
        if raised and (refusing or not monitor.failures):
            raise raised[0]
        return monitor

    def down(self) -> list[str]:
        """Delete everything, the newest first; gives what could not be deleted and why."""
        wrong = []
        for made in reversed(list(self.engine.resources)):
            with self._progress.step(made.label):
                try:
                    self.engine.delete(made)
                except RehearsalError as error:
                    wrong.append(str(error))
        return wrong


def write_outputs(path: Path, outputs: dict[str, Any]) -> None:
    """Write the outputs as JSON, sorted by key; the folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(outputs, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _run(program: Callable[[], None], monitor: Monitor, project: Project) -> None:
    # Pulumi keeps its state in context variables: in a context of its own, a second deployment starts afresh.
    context = contextvars.copy_context()
    context.run(_configure, monitor, project)
    with asyncio.Runner() as runner:  # to leave it is to wait for the calls that are under way
        runner.get_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="resource"))
        runner.get_loop().set_exception_handler(lambda *_: None)  # whatever it is, it comes out of `run` too
        runner.run(run_in_stack(program), context=context)


def _configure(monitor: Monitor, project: Project) -> None:
    set_all_config(dict(project.config), [])
    configure(Settings(project=project.name, stack=project.stack, organization="organization", monitor=monitor,
                       engine=mocks.MockEngine(logging.getLogger("pulumi")), dry_run=False,
                       root_directory=str(project.folder)))


def _run_file(folder: Path) -> None:
    """Run the program as the Pulumi CLI does: as `__main__`, its folder current and importable."""
    before = Path.cwd()
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        runpy.run_path("__main__.py", run_name="__main__")
    finally:
        sys.path.remove(str(folder))
        os.chdir(before)


def _public(outputs: dict[str, Any]) -> dict[str, Any]:
    for key, value in outputs.items():
        if _holds_secret(value):
            raise RehearsalError(f"output {key}: is secret, and so has no place in a file")
    return {key: plain(value, f"output {key}") for key, value in outputs.items()}


def _holds_secret(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return rpc.is_rpc_secret(value) or any(map(_holds_secret, inner))
