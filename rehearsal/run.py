"""One rehearsal, phase by phase. Tests replace its parts."""

import json
import os
import shlex
import subprocess
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi

from contract import EMULATOR, OUTPUTS_KEY, OUTPUTS_VARIABLE, PAYMENTS_FILE, REHEARSALS
from payments.clock import SYSTEM, Clock, utc_now
from recovery.outputs import reach
from rehearsal.aws.clients import EmulatorClients
from rehearsal.aws.emulator import Emulator
from rehearsal.aws.faults import OUTSIDE, Faults
from rehearsal.aws.processes import end, undisturbed
from rehearsal.aws.proxy import AwsProxies
from rehearsal.aws.replication import ReplicationControl
from rehearsal.deploy import inventory
from rehearsal.deploy.deployment import THREADS, Deployment
from rehearsal.deploy.project import Project
from rehearsal.deploy.pulumi_engine import PulumiDeployment
from rehearsal.deploy.resources.model import DeployTarget
from rehearsal.drills import runner
from rehearsal.drills.emulated.name_server import NameServer
from rehearsal.drills.environment import DrillEnvironment
from rehearsal.drills.report import page
from rehearsal.drills.report.model import DrillResult
from rehearsal.drills.scenario import Scenario
from rehearsal.errors import CheckFailed, DeploymentError, RehearsalError
from rehearsal.postgres.aurora import Aurora
from rehearsal.postgres.authentication import Secret
from rehearsal.rehearsed_stack import RehearsedStack
from rehearsal.report import RunReport, lines
from rehearsal.run_folder import require_writable, run_folder
from rehearsal.sandbox import ANSWER, NAME, RATE, Sandbox, listening, recorded, usage
from rehearsal.workload import smoke
from rehearsal.workload.checks import CheckResult
from rehearsal.workload.load import acknowledged
from tools.migrate import MigrationFailed, migrate

PASSED, FAILED, INTERRUPTED = 0, 1, 130
ENGINES: Mapping[str, Callable[..., Any]] = {"offline": Deployment, "pulumi": PulumiDeployment}


def _wait_for_interrupt() -> None:
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


@dataclass(frozen=True)
class Parts:
    """The parts of a rehearsal; a test replaces those with effects that it does not want."""

    emulator: Callable[[], Emulator] = Emulator
    databases: Callable[[Sequence[str], Faults, Secret], Aurora] = Aurora
    proxies: Callable[..., AwsProxies] = AwsProxies
    clients: Callable[[str, int], EmulatorClients] = EmulatorClients
    deployments: Mapping[str, Callable[..., Any]] = field(default_factory=lambda: dict(ENGINES))
    """The classes that deploy, by the engine's name."""
    take_inventory: Callable[..., inventory.Inventory] = inventory.take
    migrate: Callable[..., Mapping[str, Any]] = migrate
    smoke_test: Callable[..., Iterator[CheckResult]] = smoke.checks
    show_outages: Callable[[RehearsedStack, Sequence[Scenario]], Iterator[CheckResult]] = runner.outages
    drill_environment: Callable[..., DrillEnvironment] = DrillEnvironment.of
    run_drill: Callable[[DrillEnvironment, Scenario], DrillResult] = runner.drill
    runs: Path = REHEARSALS
    """Where each run has a folder of its own, in the project's folder."""
    wait_for_interrupt: Callable[[], None] = _wait_for_interrupt
    clock: Clock = SYSTEM


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of a run.

    regions: those of the two databases first. engine: one of `ENGINES`.
    command: run while the stack is up; its stdout goes to the file descriptor `output`, None for this process's own.
    outages: shown in this order.
    drills: run after the outages, `factor` times as fast as on AWS; their report goes to the folder `reports`.
    sandbox: whether the stack stays up until Ctrl-C, with everything running.
    """

    project: Project
    regions: Sequence[str]
    engine: str = "offline"
    command: Sequence[str] = ()
    output: int | None = None
    outages: Sequence[Scenario] = ()
    drills: Sequence[Scenario] = ()
    factor: float = 1.0
    reports: Path = Path("reports")
    sandbox: bool = False


class Rehearsal:
    """One run of all phases. However it ends, the emulator and the databases are stopped and removed."""

    def __init__(self, options: RunOptions, report: RunReport, parts: Parts) -> None:
        self._options, self._report, self._parts = options, report, parts
        self._outputs_file = Path()
        self._ca_file = ""
        self._began = parts.clock.monotonic()
        self._name_server = NameServer()

    def run(self) -> int:
        """Run, report the verdict, and return the exit code. Raises ProjectError if a folder cannot be written."""
        clock, folder = self._parts.clock, self._options.project.folder
        verdict, code = "FAILED", FAILED
        if self._options.drills:
            require_writable(folder / self._options.reports)
        try:
            with ExitStack() as stack:
                self._outputs_file = stack.enter_context(run_folder(
                    folder / self._parts.runs, NAME if self._options.sandbox else "")) / OUTPUTS_KEY
                self._run(stack)
            if self._report.ok:
                verdict, code = "passed", PASSED
        except RehearsalError as error:
            self._report.fail(self._report.title, str(error))
        except KeyboardInterrupt:
            self._report.ok, verdict, code = False, "interrupted, the emulator stopped,", INTERRUPTED
        self._report.conclude(verdict, clock.monotonic() - self._began)
        return code

    def _run(self, stack: ExitStack) -> None:
        """Run all phases; what they start ends with the stack."""
        report, parts, regions, faults = self._report, self._parts, self._options.regions, Faults()
        with report.phase("emulator") as notes:
            emulator = parts.emulator()
            stack.callback(emulator.stop)
            emulator.start()
            notes.append(emulator.endpoint)
        with report.phase("databases") as notes:
            aurora = parts.databases(regions[:2], faults, emulator.secret)  # not in the witness
            stack.callback(aurora.close)
            self._ca_file = str(aurora.database.ca_file)
            notes.append(", ".join(f"{region}: port {port}" for region, port in aurora.ports.items()))
        proxies = parts.proxies(emulator.endpoint, regions, faults, followed=aurora.follow)
        stack.callback(proxies.stop)
        proxies.start()
        clients = parts.clients(proxies.url(OUTSIDE), THREADS)
        stack.callback(self._name_server.stop)
        self._name_server.start()
        target = DeployTarget({region: proxies.url(region) for region in regions}, aurora.ports, aurora.authority,
                              self._options.factor, self._name_server.address)
        deployment = parts.deployments[self._options.engine](clients, target, report.step)
        stack.callback(deployment.close)
        with report.phase("inventory") as notes:
            before = parts.take_inventory(clients, regions)
            notes.append(f"{len(before)} resources before the deployment")
        self._deploy(deployment, clients)
        if report.ok:
            self._migrate(deployment, clients)
        if report.ok:
            self._check("traffic", parts.smoke_test(clients, deployment.outputs))
            rehearsed = RehearsedStack(
                outputs=deployment.outputs, clients=clients, emulator=emulator.endpoint, faults=faults,
                copies=ReplicationControl(emulator.endpoint, faults), database=aurora.database, proxies=proxies)
            self._show_outages(rehearsed)
            self._drill(rehearsed, deployment)
            self._execute(clients)
            if self._options.sandbox and report.ok:
                self._sandbox(rehearsed, deployment)
        self._tear_down(deployment, clients, before)
        report.document["commands"] = deployment.seconds()
        if report.document["commands"]:
            report.say("pulumi: " + ", ".join(f"{each} {took:.1f} s" for each, took in deployment.seconds().items()))

    def _deploy(self, deployment: Deployment, clients: EmulatorClients) -> None:
        report = self._report
        try:
            with report.phase("deployment") as notes:
                deployment.up(self._options.project.with_endpoint(clients.endpoint))
                document = json.dumps({**deployment.outputs, **self._where(clients)}, indent=2, sort_keys=True)
                self._outputs_file.write_text(document + "\n", encoding="utf-8")
                notes.append(f"{len(deployment.resources)} resources, {len(deployment.outputs)} outputs")
        except (DeploymentError, pulumi.RunError) as error:
            report.fail("deployment", str(error))
        except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
            traceback.print_exception(error, limit=-6)  # an error in the program itself: its author needs to see where
            report.fail("program", f"{type(error).__name__}: {error}")
        report.document["resources"] = dict(sorted(Counter(each.token for each in deployment.resources).items()))
        report.document["not_exercised"] = sorted(deployment.gaps)

    def _migrate(self, deployment: Deployment, clients: EmulatorClients) -> None:
        """Create the ledger's schema, as after a deployment to AWS."""
        try:
            with self._report.phase("migrations") as notes:
                notes.append(", ".join(self._parts.migrate(deployment.outputs, clients)["applied"]))
        except MigrationFailed as error:
            self._report.fail("migrations", str(error))

    def _check(self, phase: str, checks: Iterable[CheckResult]) -> None:
        with self._report.phase(phase) as notes:
            held = []
            for check in checks:
                self._report.check(check)
                held.append(check.ok)
            notes.append(f"{held.count(True)} of {len(held)} checks hold")

    def _show_outages(self, rehearsed: RehearsedStack) -> None:
        """Show what the outages do, unless something has failed already."""
        if not (self._options.outages and self._report.ok):
            return
        self._check("outages", self._parts.show_outages(rehearsed, self._options.outages))
        for title, rows in rehearsed.tables.items():
            self._report.document[title] = rows
            self._report.say(*lines(title, rows))

    def _drill(self, rehearsed: RehearsedStack, deployment: Deployment) -> None:
        """Run the drills, unless something has failed already, and write their report."""
        options, report = self._options, self._report
        if not (options.drills and report.ok):
            return
        started = utc_now(self._parts.clock)
        with self._around(rehearsed, deployment) as environment:
            drills = list(self._drilled(environment))
        run = runner.conclude(environment.stack, drills, started=started, factor=options.factor)
        written = page.write(run, options.project.folder / options.reports)
        report.document["drills"] = page.document(run)
        report.say(*lines("drills", page.rows(run)), f"  the drills with their timelines: {written}")

    @contextmanager
    def _around(self, rehearsed: RehearsedStack, deployment: Deployment) -> Iterator[DrillEnvironment]:
        """Run AWS's services around the stack: health checks, DNS, the controllers' schedule, metrics."""
        options = self._options
        project = options.project.with_endpoint(rehearsed.clients.endpoint)
        with self._parts.drill_environment(
                rehearsed, deployment.scopes, options.factor, environment=self._environment(rehearsed.clients),
                folder=project.folder, check_drift=lambda: deployment.drift(project)) as environment:
            self._name_server.text = environment.text
            yield environment

    def _drilled(self, environment: DrillEnvironment) -> Iterator[DrillResult]:
        """Run the drills and yield each result; stop after one that cannot be run."""
        for scenario in self._options.drills:
            title = f"drill {scenario.name}"
            with self._report.phase(title) as notes:
                try:
                    drill = self._parts.run_drill(environment, scenario)
                except CheckFailed as error:
                    self._report.fail(title, f"cannot be run: {error}")
                    return
                for check in drill.checks:
                    self._report.check(CheckResult(check.name, check.ok, 0.0, check.detail))
                notes.append(drill.outcome)
            yield drill

    def _execute(self, clients: EmulatorClients) -> None:
        """Run the command, which finds the deployment by its environment variables."""
        command, words = self._options.command, shlex.join(self._options.command)
        if not command:
            return
        with self._report.phase(words, live=False) as notes:
            with undisturbed():
                process = subprocess.Popen(  # pylint: disable=consider-using-with
                    command, env={**os.environ, **self._environment(clients)}, stdout=self._options.output)
            try:
                code = process.wait()
            finally:
                end(process)
            notes.append(f"exit {code}")
        if code:
            self._report.fail(words, f"exit {code}")

    def _environment(self, clients: EmulatorClients) -> dict[str, str]:
        """The variables by which another program finds the deployment."""
        found = {OUTPUTS_VARIABLE: str(self._outputs_file), "PGSSLROOTCERT": self._ca_file}
        reach({**self._where(clients), "primary_region": self._options.regions[0]}, found)
        return found

    def _where(self, clients: EmulatorClients) -> dict[str, Any]:
        """The output by which recovery finds the emulator."""
        return {EMULATOR: {"endpoint": clients.endpoint, "name_servers": self._name_server.address}}

    def _sandbox(self, rehearsed: RehearsedStack, deployment: Deployment) -> None:
        """Run everything, with a client, and carry out commands from other shells, until Ctrl-C."""
        with self._around(rehearsed, deployment) as environment:
            try:
                with self._report.phase("sandbox"):
                    environment.ready()
            except CheckFailed as error:
                self._report.fail("sandbox", f"did not come up: {error}")
                return
            with environment.clients(RATE, 0.0) as load, recorded(
                    load, self._outputs_file.with_name(PAYMENTS_FILE)):
                sandbox = Sandbox(environment, load)
                with listening(sandbox.do, self._outputs_file.parent):
                    load.wait_for(acknowledged, ANSWER)
                    self._report.say(
                        f"{self._parts.clock.monotonic() - self._began:.1f} s after the start a payment was accepted.",
                        "A client pays, until Ctrl-C. From another shell:", "",
                        *(f"  python -m rehearsal sandbox {each}" for each in usage()), "",
                        f"and the operator's own commands: python -m recovery --stack {NAME} status")
                    self._parts.wait_for_interrupt()
            with suppress(RehearsalError, OSError):  # as far as it is possible before the teardown
                sandbox.heal()

    def _tear_down(self, deployment: Deployment, clients: EmulatorClients, before: inventory.Inventory) -> None:
        """Lift the protection of the resources, delete them, and compare what exists with what existed before."""
        report = self._report
        try:
            lifted = Counter(each.type_name for each in deployment.lift_protection())
        except DeploymentError as error:
            report.fail("lifting protection", str(error))
        else:
            if lifted:
                counts = ", ".join(f"{count} {name}" for name, count in sorted(lifted.items()))
                report.say(f"protection lifted, since a rehearsal is disposable: {counts}")
        with report.phase("teardown") as notes:
            for failure in deployment.down():
                report.fail("teardown", failure)
            after = self._parts.take_inventory(clients, self._options.regions)
            left = report.document["left"] = sorted(after - before)
            notes.append(f"{len(left) or 'nothing'} left")
        for name in left:
            report.fail("left over", name)
        for name in sorted(before - after):
            report.fail("existed before, now missing", name)
