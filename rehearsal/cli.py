"""The command line: options, the order of the phases, and exit codes."""

import contextvars
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, redirect_stdout, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import pulumi
import typer
from pulumi.runtime import set_all_config
from rich.console import Console
from typer.exceptions import TyperException

from lib.settings import PROJECT, Settings, SettingsError
from rehearsal.aws.clients import CREDENTIALS, EmulatorClients
from rehearsal.aws.emulator import Emulator, EmulatorError
from rehearsal.aws.faults import OUTSIDE, Faults
from rehearsal.aws.processes import end, raise_interrupts, undisturbed
from rehearsal.aws.proxy import AwsProxies
from rehearsal.aws.replication import ReplicationControl
from rehearsal.deploy import inventory
from rehearsal.deploy.deployment import THREADS, Deployment, write_outputs
from rehearsal.deploy.engine import DeployTarget, RehearsalError
from rehearsal.deploy.project import Project, ProjectError
from rehearsal.drills import outages, scenario
from rehearsal.drills.environment import DrillEnvironment
from rehearsal.drills.report import page
from rehearsal.drills.report.model import DrillResult
from rehearsal.drills.runner import conclude, play
from rehearsal.drills.scenario import Scenario
from rehearsal.errors import CheckFailed
from rehearsal.postgres.aurora import Aurora
from rehearsal.rehearsed_stack import RehearsedStack
from rehearsal.report import RunReport
from rehearsal.tables import lines
from rehearsal.workload import smoke
from rehearsal.workload.checks import CheckResult
from rehearsal.workload.load import new_payment
from rehearsal.workload.region import RegionClient
from tools.migrate import MigrationFailed, migrate

ROOT = Path(__file__).parents[1]
OUTPUTS = Path("cfn-outputs") / "flat-outputs.json"
REPORTS = Path("reports")
DRILL, BY_HAND, FACTOR = "region-lost", "by-hand", 10.0
OUTPUTS_VARIABLE = "TAPSTACK_OUTPUTS"
STDERR = 2  # the descriptor
FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


class Rehearsal:
    """One run of everything, in order. Whatever happens, the emulator ends, and with it everything in it."""

    def __init__(self, project: Project, settings: Settings, report: RunReport, *, broken: Sequence[str],
                 drills: Sequence[Scenario], factor: float, reports: Path) -> None:
        """`broken` names the outages that are shown after the first payments; `drills` are played after them.

        `factor` is for the drills, and `reports` the folder of their report.
        """
        self._project, self._regions, self._report, self._broken = project, _regions(settings), report, broken
        self._drills, self._factor, self._reports = drills, factor, project.folder / reports
        self._outputs_file = project.folder / OUTPUTS
        self._authority = ""

    def run(self, command: Sequence[str], keep: bool, output: int | None) -> None:
        """Deploy, send payments, run `command` with its stdout on the descriptor `output`, wait if `keep`, delete."""
        report = self._report
        with ExitStack() as stack:
            with report.phase("emulator") as notes:
                emulator = Emulator()
                stack.callback(emulator.stop)
                emulator.start()
                notes.append(emulator.endpoint)
            faults = Faults()
            with report.phase("databases") as notes:
                aurora = Aurora(self._regions, faults)
                stack.callback(aurora.close)
                self._authority = str(aurora.pair.ca_file)
                notes.append(", ".join(f"{region}: port {aurora.port(region)}" for region in self._regions[:2]))
            relays = AwsProxies(emulator.endpoint, self._regions, faults, moved=aurora.follow)
            stack.callback(relays.stop)
            relays.start()
            clients = EmulatorClients(relays.url(OUTSIDE), THREADS)
            deployment = Deployment(clients, DeployTarget(
                {region: relays.url(region) for region in self._regions}, aurora, self._factor), report.progress)
            with report.phase("inventory") as notes:
                before = inventory.take(deployment.engine, self._regions)
                notes.append(f"{len(before)} things before the deployment")
            self._deploy(deployment, clients.endpoint)
            if report.ok:
                self._migrate(clients, deployment.outputs)
            if report.ok:
                self._check("traffic", smoke.checks(clients, deployment.outputs))
                ground = RehearsedStack(deployment.outputs, clients, emulator.endpoint, faults,
                                ReplicationControl(emulator.endpoint, faults), aurora.pair, relays)
                self._break(ground)
                self._drill(ground, deployment)
                self._execute(clients, command, output)
                if keep:
                    self._keep(clients, deployment.outputs)
            self._tear_down(deployment, before)

    def _deploy(self, deployment: Deployment, endpoint: str) -> None:
        engine, report = deployment.engine, self._report
        try:
            with report.phase("deployment") as notes:
                deployment.up(self._project.with_endpoint(endpoint))
                write_outputs(self._outputs_file, deployment.outputs)
                notes.extend((f"{len(engine.resources)} resources", f"{len(deployment.outputs)} outputs in {OUTPUTS}"))
        except (RehearsalError, pulumi.RunError) as error:
            report.fail("deployment", str(error))
        except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
            traceback.print_exception(error, limit=-6)  # the program's own fault: its author needs the way there
            report.fail("program", f"{type(error).__name__}: {error}")
        report.document["resources"] = dict(sorted(Counter(made.token for made in engine.resources).items()))
        report.document["not_exercised"] = [str(gap) for gap in sorted(engine.gaps)]

    def _migrate(self, clients: EmulatorClients, outputs: Mapping[str, object]) -> None:
        """Make the ledger's schema, as after a deployment to AWS."""
        try:
            with self._report.phase("migrations") as notes:
                notes.append(", ".join(migrate(outputs, clients)["applied"]))
        except MigrationFailed as error:
            self._report.fail("migrations", str(error))

    def _check(self, title: str, checks: Iterable[CheckResult]) -> None:
        with self._report.phase(title) as notes:
            found = []
            for check in checks:
                self._report.check(check)
                found.append(check.ok)
            notes.append(f"{found.count(True)} of {len(found)} checks hold")

    def _break(self, ground: RehearsedStack) -> None:
        """Show what goes wrong, unless something does already."""
        if not (self._broken and self._report.ok):
            return
        self._check("outages", outages.checks(ground, self._broken))
        for title, rows in ground.tables.items():
            self._report.document[title] = rows
            for line in lines(title, rows):
                self._report.say(line)

    def _drill(self, ground: RehearsedStack, deployment: Deployment) -> None:
        """Play the drills, unless something is wrong already, and write their report."""
        report = self._report
        if not (self._drills and report.ok):
            return
        started, project = datetime.now(UTC), self._project.with_endpoint(ground.clients.endpoint)
        with DrillEnvironment(ground, deployment.engine, self._factor, environment=self._environment(ground.clients),
                   folder=project.folder, again=lambda: deployment.again(project)) as stage:
            run = conclude(stage.stack, list(self._played(stage)), started=started, factor=self._factor)
        written, _ = page.write(run, self._reports)
        report.document["drills"] = page.document(run)
        for line in lines("drills", page.rows(run)):
            report.say(line)
        report.say(f"  the drills with their timelines: {written}")

    def _played(self, stage: DrillEnvironment) -> Iterator[DrillResult]:
        """The drills, each as it was played, until one cannot be."""
        for each in self._drills:
            title = f"drill {each.name}"
            with self._report.phase(title) as notes:
                try:
                    drill = play(stage, each)
                except CheckFailed as error:
                    self._report.fail(title, f"cannot be played: {error}")
                    return
                for check in drill.checks:
                    self._report.check(CheckResult(check.name, check.ok, 0.0, check.detail))
                notes.append(drill.outcome)
            yield drill

    def _execute(self, clients: EmulatorClients, command: Sequence[str], output: int | None) -> None:
        if not command:
            return
        with self._report.phase(shlex.join(command), live=False) as notes:
            with undisturbed():
                process = subprocess.Popen(  # pylint: disable=consider-using-with
                    command, env={**os.environ, **self._environment(clients)}, stdout=output)
            try:
                code = process.wait()
            finally:
                end(process)
            notes.append(f"exit {code}")
        if code:
            self._report.fail(shlex.join(command), f"exit {code}")

    def _environment(self, clients: EmulatorClients) -> dict[str, str]:
        """What a program needs to find the deployment."""
        return {"AWS_ENDPOINT_URL": clients.endpoint, "AWS_DEFAULT_REGION": self._regions[0],
                "HTTP_PROXY": clients.endpoint, "NO_PROXY": clients.endpoint.rpartition("/")[2],
                **{key.upper(): value for key, value in CREDENTIALS.items()},
                OUTPUTS_VARIABLE: str(self._outputs_file), "PGSSLROOTCERT": self._authority}

    def _keep(self, clients: EmulatorClients, outputs: Mapping[str, object]) -> None:
        """Say how to reach the deployment, and wait for Ctrl-C."""
        primary = RegionClient.of("primary", outputs, clients)
        exports = (f"  export {key}={shlex.quote(value)}" for key, value in self._environment(clients).items())
        for line in ("", "The stack is up until Ctrl-C. To reach it:", "", *exports, "",
                     f"  curl -i {primary.url}/payment -H 'Content-Type: application/json' \\",
                     f"       -H 'x-api-key: {primary.key}' -d '{json.dumps(new_payment())}'", ""):
            self._report.say(line)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()

    def _tear_down(self, deployment: Deployment, before: inventory.Inventory) -> None:
        """Lift what protects the resources, delete them, and compare what the emulator holds with what it held."""
        report = self._report
        try:
            lifted = Counter(made.kind_name for made in deployment.engine.lift_protection())
        except RehearsalError as error:
            report.fail("lifting protection", str(error))
        else:
            if lifted:
                found = ", ".join(f"{count} {kind}" for kind, count in sorted(lifted.items()))
                report.say(f"protection lifted, since a rehearsal is disposable: {found}")
        with report.phase("teardown") as notes:
            for wrong in deployment.down():
                report.fail("teardown", wrong)
            after = inventory.take(deployment.engine, self._regions)
            report.document["left"] = sorted(after - before)
            notes.append(f"{len(after - before) or 'nothing'} left")
        for name in sorted(after - before):
            report.fail("left over", name)
        for name in sorted(before - after):
            report.fail("gone, though it was there before", name)


def _settings(project: Project) -> Settings:
    """The program's settings. Raises SettingsError."""
    def load() -> Settings:
        set_all_config(dict(project.config), [])
        return Settings.load(pulumi.Config(PROJECT))

    return contextvars.copy_context().run(load)


def _regions(settings: Settings) -> list[str]:
    """The regions that the settings name, those of the two databases first."""
    named = (settings.primary.region, settings.dr.region, settings.table.witness_region)
    return [region for region in named if region]


def _overrides(pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if not pair.partition("=")[0] or "=" not in pair:
            raise ProjectError(f"--config {pair}: must be KEY=VALUE")
    return dict(pair.split("=", 1) for pair in pairs)


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ProjectError(f"--exec {command}: {error}") from None
    if words and not shutil.which(words[0]):
        raise ProjectError(f"--exec {command}: there is no program {words[0]}")
    return words


app = typer.Typer(add_completion=False)


@app.command()
def rehearse(
    *,
    stack: Annotated[str, typer.Option(help="Stack whose Pulumi.STACK.yaml is read.")] = "local",
    config: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A setting; again for more.")] = None,
    command: Annotated[str, typer.Option("--exec", metavar="COMMAND", help="Run this while the stack is up.")] = "",
    broken: Annotated[str | None, typer.Option(
        "--outages", metavar="all|none|NAME[,NAME]",
        help="What is made to go wrong; none with --exec, or else all, unless said.")] = None,
    drilled: Annotated[str | None, typer.Option(
        "--drills", metavar="all|gate|none|NAME[,NAME]",
        help="Recovery drills that are played; none with --exec, or else region-lost, unless said.")] = None,
    factor: Annotated[float, typer.Option(
        help="How many times faster health checks, TTLs and the controllers' clock go by; work takes its own time.",
        min=1, max=20)] = FACTOR,
    reports: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the drills' report is written.")] = REPORTS,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, the rest on stderr.")] = False,
) -> int:
    """Deploy the program onto an emulator of AWS, send payments through it, and delete everything again.

    Exit codes: 0 everything held, 1 something did not, 2 the input cannot be used, 130 interrupted.
    """
    words = _words(command)
    project = Project.load(ROOT, stack, _overrides(config or []))
    settings = _settings(project)
    report = RunReport(Console(stderr=as_json))
    report.document.update(stack=stack, config=project.config, regions=_regions(settings))
    rehearsal = Rehearsal(
        project, settings, report, factor=factor, reports=reports,
        broken=outages.chosen(broken or (outages.NONE if words else outages.ALL), strong=_strong(settings)),
        drills=_drills(drilled or ("none" if words or not settings.dns else ""), settings))
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        code = _concluded(report, lambda: rehearsal.run(words, keep, STDERR if as_json else None))
    if as_json:
        print(json.dumps(report.document, indent=2))
    return code


def _strong(settings: Settings) -> bool:
    return settings.table.consistency == "strong"


def _drills(words: str, settings: Settings) -> list[Scenario]:
    manual = settings.failover_mode == "manual"
    found = scenario.chosen(words or (BY_HAND if manual else DRILL), strong=_strong(settings), manual=manual)
    if found and not settings.dns:
        raise ProjectError(f"--drills {words}: needs domainName: without it there is no DNS to move")
    return found


def _concluded(report: RunReport, work: Callable[[], None]) -> int:
    """Do the work, say how it ended, and give the exit code."""
    began, verdict, code = time.monotonic(), "FAILED", FAILED
    try:
        work()
        if report.ok:
            verdict, code = "passed", 0
    except EmulatorError as error:
        report.fail("emulator", str(error))
    except KeyboardInterrupt:
        report.ok, verdict, code = False, "interrupted, the emulator stopped,", INTERRUPTED
    report.conclude(verdict, time.monotonic() - began)
    return code


def main() -> NoReturn:
    """Run the command line, and exit. What cannot be used is told in one line."""
    raise_interrupts()
    # Nothing of the caller's AWS account may reach what runs here, neither variables nor files.
    for key in [key for key in os.environ if key.startswith("AWS_")]:
        del os.environ[key]
    os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull,
                      PULUMI_ERROR_OUTPUT_STRING="1")  # an Output in an f-string is an error, not a text
    try:
        code = typer.main.get_command(app).main(standalone_mode=False)
    except (TyperException, ProjectError, SettingsError) as error:
        why = error.format_message() if isinstance(error, TyperException) else error
        print(f"rehearsal: {why}", file=sys.stderr)
        code = BAD_INPUT
    sys.exit(code)
