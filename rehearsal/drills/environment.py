"""The services that drills need around a stack: health checks, DNS, the controllers' schedule, metrics, commands."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

from contract import COOL_DOWN_SECONDS, DNS_TTL
from payments.clock import SYSTEM, Clock
from recovery.stack import Stack
from rehearsal.aws.clients import EmulatorClients
from rehearsal.aws.faults import OUTSIDE, WORLD, ApiCall, Heal
from rehearsal.deploy.resources.model import Scope
from rehearsal.drills.emulated.cloudwatch import telemetry
from rehearsal.drills.emulated.eventbridge import controller_schedule
from rehearsal.drills.emulated.periodic import PeriodicTask
from rehearsal.drills.emulated.route53 import ANSWER, HealthChecker, HostedZone
from rehearsal.drills.observer import StackObserver
from rehearsal.drills.process_trap import kill_processes
from rehearsal.drills.recording import CommandResult
from rehearsal.errors import CheckFailed
from rehearsal.polling import FAILURES, PATIENCE, retry, wait_until
from rehearsal.rehearsed_stack import RehearsedStack
from rehearsal.workload.checks import expect
from rehearsal.workload.http import ApiClient
from rehearsal.workload.load import CLIENTS, LoadGenerator, at_once, new_payment, send_all
from rehearsal.workload.region import RegionClient

PAUSE = 0.1  # seconds between two looks: each is many calls
CLIENT_TIMEOUT = 5.0  # seconds
REPAIR_PATIENCE = 5  # times the usual one: a pass reads the payments of all drills before this one
COMMAND_TIMEOUT = 120.0  # seconds


@dataclass(frozen=True)
class CommandLine:
    """Starts commands of recovery, with variables on top of the process's own, in a folder."""

    variables: Mapping[str, str]
    folder: Path
    program: Sequence[str] = (sys.executable, "-m", "recovery")
    timeout: float = COMMAND_TIMEOUT

    def __call__(self, words: str) -> Callable[[], CommandResult]:
        """Start one; what this gives waits for its end, and kills it if it takes too long."""
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            [*self.program, *words.split()], env={**os.environ, **self.variables}, cwd=self.folder,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

        def finish() -> CommandResult:
            try:
                text, _ = process.communicate(timeout=self.timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                text, _ = process.communicate()
            return CommandResult(words, process.returncode, " ".join(text.split()))

        return finish


def warm_up(api: ApiClient) -> None:
    """Let a region start as many functions as there are clients."""
    send_all(api, [new_payment() for _ in range(2 * CLIENTS)])


@dataclass(kw_only=True)
class DrillEnvironment:
    """A stack with its services going, from the beginning of a `with` block to its end.

    checker, tasks: executes the health checks; what goes on meanwhile, with that.
    factor: divides what the functions, the health checks and the records of DNS wait for.
    begin: starts a command of recovery, see `CommandLine`.
    check_drift: deploys the program once more, and gives what that would change.
    patience: seconds for anything that is waited for.
    kill, warm: signal the processes that have these variables, and let a region start its functions.
    """

    rehearsed: RehearsedStack
    observer: StackObserver
    checker: HealthChecker
    tasks: Sequence[PeriodicTask]
    factor: float
    begin: Callable[[str], Callable[[], CommandResult]]
    check_drift: Callable[[], Sequence[str]]
    clock: Clock = SYSTEM
    patience: float = PATIENCE
    kill: Callable[..., int] = kill_processes
    warm: Callable[[ApiClient], object] = warm_up

    @classmethod
    def of(cls, rehearsed: RehearsedStack, scopes: Callable[[str], Iterable[Scope]], factor: float, *,
           environment: Mapping[str, str], folder: Path,
           check_drift: Callable[[], Sequence[str]]) -> "DrillEnvironment":
        """That of a stack, of which `scopes` gives the resources of a type. environment, folder: see `CommandLine`."""
        clients = EmulatorClients(rehearsed.emulator, CLIENTS)
        observer = StackObserver(rehearsed, clients)
        apis = {region: replace(client.api, key="", via=rehearsed.proxies.url(WORLD), timeout=ANSWER)
                for region, client in observer.regions.items()}
        checker = HealthChecker(HostedZone.of(scopes), apis, factor)
        tasks = [*checker.tasks, telemetry(rehearsed, factor, clients), *controller_schedule(rehearsed, factor)]
        return cls(rehearsed=rehearsed, observer=observer, factor=factor, check_drift=check_drift, checker=checker,
                   tasks=tasks, begin=CommandLine(environment, folder))

    def __enter__(self) -> Self:
        for task in self.tasks:
            task.start()
        return self

    def __exit__(self, *_: object) -> None:
        at_once(lambda task: task.stop(), self.tasks)
        for region in self.observer.regions:  # what a drill has left broken must not stop the teardown
            self.rehearsed.faults.inject(Heal(region))

    @property
    def stack(self) -> Stack:
        """The stack, as recovery knows it."""
        return self.observer.stack

    @property
    def look_seconds(self) -> float:
        """Seconds between two looks of a controller."""
        return self.stack.look_interval / self.factor

    def resolve(self) -> tuple[str, float]:
        """Route 53's answer: the region that the service's name leads to now, and the seconds that it may be cached."""
        name = self.rehearsed.outputs["domain_name"]
        return self.checker.zone.value(name, self.checker.healthy), DNS_TTL / self.factor

    def text(self, name: str) -> str:
        """The TXT record of a name as Route 53 answers it. Raises LookupError."""
        return self.checker.zone.value(name, self.checker.healthy)

    def clients(self, rate: float, keep: float) -> LoadGenerator:
        """Clients outside, with one DNS cache, that send a payment again until it is acknowledged.

        rate: requests a second of all of them together, as long as they are answered in time. keep: as for `where`.
        """
        return LoadGenerator(self.where(keep), pause=CLIENTS / rate, repeat=True)

    def where(self, keep: float) -> Callable[[], ApiClient]:
        """Resolves the service's name for clients that keep an answer for its TTL, and for `keep` seconds at least."""
        apis = {region: replace(client.api, via=self.rehearsed.proxies.url(WORLD), timeout=CLIENT_TIMEOUT)
                for region, client in self.observer.regions.items()}
        region, until = "", 0.0

        def resolved() -> ApiClient:
            nonlocal region, until
            if self.clock.monotonic() >= until or not region:
                region, ttl = self.resolve()
                until = self.clock.monotonic() + max(ttl, keep)
            return apis[region]

        return resolved

    def signal_drivers(self, where: str, number: int, call: ApiCall | None = None) -> int:
        """Send the processes of a region's controller, or OUTSIDE those of commands, a signal; gives how many.

        call: only the one that makes it.
        """
        # Those of other rehearsals on the machine have other proxies.
        variables = {f"AWS_ENDPOINT_URL={self.rehearsed.proxies.url(where)}"}
        if where != OUTSIDE:
            variables |= {f"AWS_LAMBDA_FUNCTION_NAME={self.stack.site(where).controller_function_name}",
                          f"AWS_REGION={where}"}
        return self.kill(variables, number=number, call=call)

    def wait(self, check: Callable[[], object], what: str, times: int = 1) -> None:
        """Wait until something is true, for `times` as long as usual. Raises CheckFailed, with what controllers see."""
        try:
            wait_until(check, what, times * self.patience, failures=FAILURES, pause=PAUSE, clock=self.clock)
        except FAILURES as error:
            errors = dict.fromkeys(str(each) for task in self.tasks for each in task.errors)
            raise CheckFailed("; ".join([str(error), *self.observer.summary(), *errors])) from None

    # --- Before a drill, and after it

    def ready(self) -> None:
        """Return once everything is in order, and every function warm: a cold start must not count as an outage.

        Raises CheckFailed.
        """
        observer = self.observer
        at_once(lambda region: self.warm(region.api), observer.regions.values())
        self.wait(self._cooled_down, "the cool-down is over")
        self.wait(lambda: all(map(self._reports, observer.regions)), "the controllers report")
        self._until_passes(self._in_order)

    def restore(self) -> Sequence[str]:
        """Heal everything, and move all back to the primary region by the product's own means.

        Gives what the program would then change if it were deployed again. Raises CheckFailed.
        """
        rehearsed, primary = self.rehearsed, self.stack.sites[0].region
        # First the one that takes payments: a standby that works again before it sees that would take over.
        active = self.observer.active() if {*self.observer.regions} - {*rehearsed.faults.cut_off()} else primary
        rehearsed.faults.inject(Heal(active))
        self.wait(partial(self._sees, self.observer.other(active)), "the standby sees the active region")
        self.observer.direct.heal()
        self._until_passes(self._fail_back)
        self._until_passes(self._in_order)
        # What was copied only after the heal is repaired by the next pass, not by the one that followed the move.
        with ThreadPoolExecutor() as pool:
            repairs = pool.map(self._repair, self.observer.regions.values())
            differences = self.check_drift()
        list(repairs)  # raises what they raised
        self._until_passes(self._in_order)
        return differences

    def _fail_back(self) -> None:
        """Fail back if that is needed. Raises CheckFailed if it does not succeed: things may still recover."""
        self.wait(self._idle, "no run is under way")
        primary = self.stack.sites[0].region
        if (self.observer.active(), self.rehearsed.database.writer) != (primary, primary):
            result = self.begin("failback")()
            expect(result.code, 0, f"recovery {result.words}: {result.text}")

    def _repair(self, region: RegionClient) -> None:
        """Return once a pass of the region's repair has ended well."""
        def passed() -> bool:
            found = region.reconciled()
            return bool(found["done"] and not found["error"])

        self.wait(passed, f"the repair of {region.name} has passed", REPAIR_PATIENCE)

    def _sees(self, region: str) -> bool:
        """Whether the controller of a region sees the other one, unless it cannot look at all."""
        found = self.observer.observation(region) if region not in self.rehearsed.faults.cut_off() else None
        return found is None or bool(found.alive and found.ready)

    def _reports(self, region: str) -> bool:
        """Whether the controller of a region has looked lately."""
        found = self.observer.observation(region)
        return found is not None and found.is_fresh(self.clock.time())

    def _cooled_down(self) -> bool:
        """Whether a controller may begin a failover."""
        records = map(self.observer.record, self.observer.regions)
        return all(record.at - record.moved > COOL_DOWN_SECONDS / self.factor for record in records)

    def _idle(self) -> bool:
        run = self.observer.record(self.observer.active()).run
        return run is None or run.ended is not None

    def _until_passes(self, check: Callable[[], None]) -> None:
        """Repeat a check until it raises none of FAILURES, for as long as all is waited for."""
        retry(check, patience=self.patience, pause=PAUSE, clock=self.clock)

    def _in_order(self) -> None:
        """Raise CheckFailed unless everything is as it was when the stack was deployed."""
        observer, database, primary = self.observer, self.rehearsed.database, self.stack.sites[0].region
        standby = observer.other(primary)
        seen = [observer.observation(region) for region in observer.regions]
        expect((observer.active(), database.writer), (primary, primary), "leader and writer")
        expect(database.role(standby).value, "standby", f"database in {standby}")
        expect(observer.levers(), [], "levers")
        expect(self.resolve()[0], primary, "DNS leads to")
        expect([each.why for each in seen if each and not (each.alive and each.ready)], [], "what controllers see")
        expect([each.refused for each in seen if each and each.refused], [], "a failover would be refused")
        expect([lane["store"] for lane in self.rehearsed.copies.report() if lane["waiting"]
                and {lane["source"], lane["target"]} <= {*observer.regions}], [], "copies that wait")
