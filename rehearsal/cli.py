"""The command line of the rehearsal: its options and its exit codes."""

import contextvars
import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pulumi.runtime import set_all_config
from rich.console import Console
from typer.exceptions import TyperException

from lib.errors import SettingsError
from lib.settings import Settings
from recovery.outputs import hide_account
from rehearsal.aws.processes import raise_interrupts
from rehearsal.deploy.project import Project
from rehearsal.deploy.pulumi_engine import PROGRAM
from rehearsal.drills.scenario import Scenario, choose
from rehearsal.errors import ProjectError
from rehearsal.report import RunReport
from rehearsal.run import ENGINES, PASSED, Parts, Rehearsal, RunOptions
from rehearsal.sandbox import NAME, ask

ROOT = Path(__file__).parents[1]
REPORTS = Path("reports")
NO_EMULATOR_YET = "http://127.0.0.1"
DRILL, MANUAL_DRILL, FACTOR = "region-lost", "by-hand", 10.0
STDERR = 2  # the file descriptor
BAD_INPUT = 2

app = typer.Typer(add_completion=False)


@app.command()
def rehearse(
    context: typer.Context,
    *,
    stack: Annotated[str, typer.Option(help="Stack whose Pulumi.STACK.yaml is read.")] = "local",
    config: Annotated[list[str] | None, typer.Option(
        metavar="KEY=VALUE", help="A setting; may be given several times.")] = None,
    command: Annotated[str, typer.Option("--exec", metavar="COMMAND", help="Run this while the stack is up.")] = "",
    shown: Annotated[str | None, typer.Option(
        "--outages", metavar="all|none|NAME[,NAME]",
        help="Outages to show. Default: all, or none with --exec.")] = None,
    drilled: Annotated[str | None, typer.Option(
        "--drills", metavar="all|gate|none|NAME[,NAME]",
        help="Recovery drills to run. Default: region-lost, or none with --exec.")] = None,
    fitting: Annotated[bool, typer.Option(
        "--fitting", help="Skip named drills that are not meant for this tableConsistency and failoverMode.")] = False,
    factor: Annotated[float, typer.Option(
        help="How many times faster than on AWS the health checks, TTLs and controllers run; work takes its own time.",
        min=1, max=20)] = FACTOR,
    reports: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the drills' report is written.")] = REPORTS,
    engine: Annotated[str, typer.Option(
        metavar="offline|pulumi", help="What deploys: the rehearsal's own engine, or Pulumi's.")] = "offline",
    sandbox: Annotated[bool, typer.Option(
        "--sandbox", help="Leave the stack up until Ctrl-C with everything running, and a client that pays.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, the rest on stderr.")] = False,
) -> int:
    """Deploy the program onto an emulator of AWS, send payments through it, and delete everything again.

    Exit codes: 0 everything held, 1 something did not, 2 the input cannot be used, 130 interrupted.
    """
    project = Project.load(ROOT, stack, _overrides(config or []))
    settings = _settings(project)
    if sandbox and not settings.domain_name:
        raise ProjectError("--sandbox: needs domainName: without it there is no DNS to move")
    if settings.api.authorization == "AWS_IAM":
        raise ProjectError("apiAuthorization = 'iam': the rehearsal's clients do not sign their requests")
    options = RunOptions(
        project=project, regions=_regions(settings), command=_words(command), output=STDERR if as_json else None,
        outages=choose("outages", shown or ("none" if command or sandbox else "all"),
                       consistency=settings.table.consistency),
        drills=_drills(drilled or ("none" if command or sandbox or not settings.domain_name else ""), settings,
                       fitting=fitting),
        factor=factor, reports=reports, sandbox=sandbox, engine=_engine(engine))
    if fitting and not options.drills:
        print(f"--drills {drilled}: none is meant for tableConsistency={settings.table.consistency} and "
              f"failoverMode={settings.failover_mode}", file=sys.stderr)
        return PASSED
    return _run(options, context.obj, as_json=as_json)


def _run(options: RunOptions, parts: Parts, *, as_json: bool) -> int:
    """Run the rehearsal and report it; returns the exit code."""
    report = RunReport(Console(stderr=as_json), parts.clock)
    report.document.update(
        stack=options.project.stack, config=options.project.config, regions=options.regions, engine=options.engine)
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        code = Rehearsal(options, report, parts).run()
    if as_json:
        print(json.dumps(report.document, indent=2))
    return code


def _settings(project: Project) -> Settings:
    """The program's settings. Raises SettingsError."""
    def load() -> Settings:
        set_all_config(dict(project.with_endpoint(NO_EMULATOR_YET).config), [])
        return Settings.load()

    return contextvars.copy_context().run(load)


def _regions(settings: Settings) -> list[str]:
    """The regions that the settings name, those of the two databases first."""
    return [*filter(None, (settings.primary.region, settings.dr.region, settings.table.witness_region))]


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
        raise ProjectError(f"--exec {command}: program not found: {words[0]}")
    return words


def _engine(name: str) -> str:
    if name not in ENGINES:
        raise ProjectError(f"--engine {name}: must be {' or '.join(ENGINES)}")
    if name == PROGRAM and not shutil.which(PROGRAM):
        raise ProjectError("--engine pulumi: the Pulumi CLI is not installed: "
                           "see https://www.pulumi.com/docs/iac/download-install/")
    return name


def _drills(words: str, settings: Settings, *, fitting: bool) -> list[Scenario]:
    manual = settings.failover_mode == "manual"
    found = choose("drills", words or (MANUAL_DRILL if manual else DRILL), consistency=settings.table.consistency,
                   manual=manual, fitting=fitting)
    if found and not settings.domain_name:
        raise ProjectError(f"--drills {words}: needs domainName: without it there is no DNS to move")
    return found


def run(arguments: Sequence[str], parts: Parts) -> int:
    """Run the command line with these arguments, and return the exit code. Bad input is reported in one line."""
    try:
        code: int = typer.main.get_command(app).main(arguments, "rehearsal", standalone_mode=False, obj=parts)
    except (TyperException, ProjectError, SettingsError) as error:
        why = error.format_message() if isinstance(error, TyperException) else error
        print(f"rehearsal: {why}", file=sys.stderr)
        return BAD_INPUT
    return code


def main() -> NoReturn:
    """Run the command line of this process, and exit."""
    if sys.argv[1:2] == [NAME]:
        code, text = ask(sys.argv[2:], ROOT)
        print(text, file=sys.stderr if code else sys.stdout)
        sys.exit(code)
    raise_interrupts()
    hide_account(os.environ)
    os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "1"  # an Output in an f-string raises an error
    sys.exit(run(sys.argv[1:], Parts()))
