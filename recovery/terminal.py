"""The terminal of a command: the stack that it opens there, and what it prints and asks."""
import getpass
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import typer
from botocore.exceptions import NoCredentialsError
from rich.console import Console

from contract import EMULATOR, PAYMENTS_FILE, REHEARSALS, OutputsError
from payments.clock import SYSTEM, Clock
from payments.errors import StoreUnavailable
from recovery import doctor as doctors
from recovery import drill as drills
from recovery.cloud import Cloud
from recovery.environment import BotoClients, Environment, system_environment
from recovery.errors import CommandStopped, reason
from recovery.outputs import ANY_STACK, FoundOutputs, Wanted, check_place, in_files, in_region, reach
from recovery.plan import COMMAND, Action, Plan
from recovery.record import ControlRecord, Run
from recovery.report.move import MoveReport, read_repairs
from recovery.report.page import write
from recovery.stack import Stack

UNFINISHED, REFUSED, INTERRUPTED = 1, 2, 130
REPORTS = Path("recovery-reports")
"""Where reports of moves are written. Nothing removes them, except those of rehearsals."""
WIDTH = 80  # columns of a table, where the width of the terminal is unknown; other lines are not broken


@dataclass(frozen=True, kw_only=True)
class OpenStack:
    """A deployed stack: its outputs, and the environment in which it is called."""

    outputs: Mapping[str, Any]
    stack: Stack
    environment: Environment
    payments: Path | None = None
    """The file to which a sandbox's client writes its payments."""

    def cloud(self, action: Action, to: str) -> Cloud:
        """AWS for the plan of an action; by default a failback moves to the primary region, anything else away from it.

        Raises StackError.
        """
        usual = self.stack.sites[0 if action is Action.FAILBACK else 1]
        target = self.stack.site(to) if to else usual
        return Cloud(plan=Plan(action=action, stack=self.stack, target=target), environment=self.environment)

    def check_account(self) -> None:
        """Check that the credentials belong to the stack's account, if STS answers in a region. Raises StackError."""
        any(self.cloud(Action.ALIGN, site.region).caller() for site in self.stack.sites)

    def latest_run(self) -> Run | None:
        """The latest run that a region knows, None if there is none. Raises StoreUnavailable if that is unknown."""
        found, unavailable = list[ControlRecord](), list[StoreUnavailable]()
        for site in self.stack.sites:
            try:
                found.append(self.cloud(Action.ALIGN, site.region).table.record())
            except StoreUnavailable as error:
                unavailable.append(error)
        run = max(found, key=lambda record: (record.epoch, record.revision)).run if found else None
        if run is None and unavailable:
            raise unavailable[0]
        return run

    def report(self, run: Run) -> MoveReport:
        """The report of a run, from what its target's stores say."""
        cloud = self.cloud(Action.ALIGN, run.target)
        bucket = str(self.outputs.get(f"{cloud.plan.target.role}_receipts_bucket") or "")
        return MoveReport(run=run, stack=self.stack, repairs=read_repairs(cloud, bucket, run))


@dataclass(kw_only=True)
class Terminal:
    """Where a command runs: `driver` names the user to others, and `confirm` asks a question, whose default is no.

    `console(stderr)` prints text, and `connect` creates the environment that the command calls, for some outputs
    (empty: they are in AWS, and not known yet). `wanted` is the stack that was asked for, `reports` the folder of
    reports, and `program` what was typed to begin this.
    """

    environ: Mapping[str, str]
    driver: str
    console: Callable[[bool], Console]
    confirm: Callable[[str], bool]
    connect: Callable[[Mapping[str, Any]], Environment]
    wanted: Wanted = ANY_STACK
    program: str = COMMAND
    reports: Path = REPORTS
    clock: Clock = SYSTEM

    def open(self) -> OpenStack:
        """The stack, after a line on stderr that says which one it is, and how old its outputs are.

        Raises AwsFailure, CommandStopped, OutputsError and StackError.
        """
        found = self.outputs()
        stack = Stack.of(found.values)
        self.console(True).print(found.line(self.clock.time()))
        payments = Path(found.where).with_name(PAYMENTS_FILE) if EMULATOR in found.values else None
        return OpenStack(outputs=found.values, stack=stack, environment=self.connect(found.values), payments=payments)

    def outputs(self) -> FoundOutputs:
        """The outputs of the stack that is wanted. Raises AwsFailure, CommandStopped and OutputsError."""
        wanted = self.wanted
        if bool(wanted.region) is not bool(wanted.suffix) or (wanted.region and wanted.stack):
            raise CommandStopped(REFUSED, "name a stack with --stack, or with --region and --suffix")
        if wanted.region:
            return in_region(self.connect({}).clients, wanted.region, wanted.suffix)
        return in_files(self.environ, wanted.stack)

    def deployed(self, needs: doctors.Needs | None) -> OpenStack | None:
        """The stack of the outputs; None if another one is to be deployed. Raises what `open` raises."""
        try:
            found = self.outputs()
        except OutputsError:
            if needs is None:
                raise
            return None
        if needs and found.values.get("environment_suffix") != needs.environment_suffix:
            return None
        return self.open()

    def typed(self, text: Any) -> Any:
        """A text with its commands as a user types them here for this stack; any other value is returned unchanged."""
        return text.replace(COMMAND, " ".join([self.program, *self.wanted.options])) if isinstance(text, str) else text

    def show(self, document: Mapping[str, Any], *text: Any, as_json: bool) -> None:
        """Print a result on stdout: as a document, or as text."""
        self.console(False).print(*map(self.typed, [json.dumps(document, indent=2)] if as_json else text), sep="\n")

    def keep(self, deployed: OpenStack, make: Callable[[], MoveReport | drills.DrillReport], *, as_json: bool) -> bool:
        """Make and write a report, and say where it is. If that fails, warn and return False: no command stops."""
        folder, wrong = (REHEARSALS if EMULATOR in deployed.outputs else Path()) / self.reports, False
        try:
            found = make()
            line = f"report: {write(folder, found.name, found.page().html(), found.document())}"
        except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
            line, wrong = f"recovery: the report could not be written: {reason(error)}", True
        say(self.console(as_json or wrong), line)
        return not wrong

    def warn(self, line: str) -> None:
        """Print one line on stderr."""
        self.console(True).print(f"recovery: {self.typed(' '.join(line.split()))}")


def say(console: Console, line: str) -> None:
    """Print a line of progress, if that is possible: a move must not end because its terminal has gone."""
    with suppress(OSError, UnicodeError, SystemExit):  # rich ends the program where a pipe has lost its reader
        console.print(line)


def console_of(stderr: bool) -> Console:
    """A console that prints text unchanged, since names in AWS may look like markup."""
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else WIDTH
    return Console(stderr=stderr, width=width, soft_wrap=True, markup=False, emoji=False, highlight=False)


def ask(question: str) -> bool:
    """Whether a person says yes; no if there is no person to ask."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        return False


def user() -> str:
    """The user of this process, as other operators see it."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # the user has no name, as in some containers
        name = f"user {os.getuid()}"
    return f"{name} on {socket.gethostname()} (process {os.getpid()})"


def connect(outputs: Mapping[str, Any]) -> Environment:
    """The environment, with boto3's clients, for AWS or the emulator: where the stack with these outputs is.

    Raises OutputsError if it would lead elsewhere, ProfileNotFound and NoCredentialsError.
    """
    reach(outputs)
    environment = system_environment(BotoClients(), os.environ)
    if boto3.Session().get_credentials() is None:
        raise NoCredentialsError
    if outputs:
        check_place(outputs, environment.clients)
    return environment
