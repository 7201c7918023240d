"""What scenarios are played on: a deployed stack, and what stands in for the rest of AWS, running.

What the stage itself wants to know it asks the emulator directly, past the relays, so that their record has nothing but
calls of the product, of its clients and of Route 53's checkers.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Self

from contract import COOL_DOWN_SECONDS, LOOK_SECONDS
from payments.runtime import system_runtime
from recovery.control_table import ControlTable
from recovery.journal import Journal, Run
from recovery.observation import Observation
from recovery.plan import Action
from recovery.stack import Stack
from rehearsal.aws.clients import EmulatorClients
from rehearsal.aws.faults import WORLD
from rehearsal.deploy.engine import Engine
from rehearsal.drills.emulated.cloudwatch import Telemetry
from rehearsal.drills.emulated.eventbridge import ControllerSchedule
from rehearsal.drills.emulated.route53 import HealthChecker, HostedZone, Resolver, asking
from rehearsal.drills.payers import payers
from rehearsal.errors import CheckFailed
from rehearsal.rehearsed_stack import RehearsedStack, StoreContents
from rehearsal.workload.checks import arrives, expect
from rehearsal.workload.load import CLIENTS, LoadGenerator, new_payment, send_all
from rehearsal.workload.region import RegionClient

PATIENCE = 40.0  # seconds for anything that is waited for
CLIENT_TIMEOUT = 5.0  # seconds
FAILBACKS = 3  # times that a failback is asked for
COMMAND_TIMEOUT = 120.0  # seconds


@dataclass(frozen=True)
class CommandResult:
    """What a command of recovery said: exit code, and all that it printed."""

    words: str
    code: int
    text: str


class DrillEnvironment:
    """The stack with its clock, health checks and metrics going, from the beginning of a `with` block to its end.

    `factor` divides what the functions, the health checks and the records of DNS wait for. `environment` is what a
    command needs to find the deployment; `again` deploys the program once more, and gives what that would change.
    """

    def __init__(self, ground: RehearsedStack, engine: Engine, factor: float, *, environment: Mapping[str, str], folder: Path,
                 again: Callable[[], Sequence[str]]) -> None:
        self.ground, self.factor, self.again = ground, factor, again
        self.stack = Stack.of(ground.outputs)
        self.zone = HostedZone.of(engine.scopes)
        self._clients = EmulatorClients(ground.emulator, 4)
        self._past = replace(ground, clients=self._clients)
        apis = {site.region: site.api_endpoint for site in self.stack.sites}
        self.prober = HealthChecker(self.zone, asking(ground.relays.url(WORLD), apis), factor)
        self.resolver = Resolver(self.zone, self.prober.healthy, factor)
        self.clock = ControllerSchedule(ground, factor)
        self._environment, self._folder = {**os.environ, **environment}, folder
        self._running = ExitStack()

    def __enter__(self) -> Self:
        for each in (self.prober, Telemetry(self.ground, self.factor), self.clock):
            each.start()
            self._running.callback(each.stop)
        return self

    def ready(self) -> None:
        """Return once everything is in order and warm: nothing that is cold at first may pass for an outage.

        Raises Unmet.
        """
        home = self.stack.sites[0].region
        self.wait("the cool-down is over", self._cooled)
        self.wait("the controllers report", lambda: all(map(self.watch, self.regions)))
        arrives(partial(self._in_order, home), PATIENCE)
        for region in self.regions.values():
            send_all(region.api, [new_payment() for _ in range(2 * CLIENTS)])

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._running.close()
        for region in self.regions:  # what a drill has left broken must not stop the teardown
            self.ground.faults.heal(region)

    # --- What is known, past every cut

    @cached_property
    def regions(self) -> Mapping[str, RegionClient]:
        """The stack's regions by name, as somebody sees them whom no cut stops."""
        return {self.ground.outputs[f"{role}_region"]: RegionClient.of(role, self.ground.outputs, self._clients)
                for role in ("primary", "dr")}

    def kept(self, region: str) -> StoreContents:
        """What the stores of a region hold."""
        return self._past.kept(self.regions[region])

    def table(self, region: str) -> ControlTable:
        """The table in a region."""
        return ControlTable(self._clients("dynamodb", region), self.stack.payments_table_name, system_runtime())

    def run(self, region: str) -> Run | None:
        """The latest run, by a region's journal."""
        return Journal(self.table(region)).latest()

    def watch(self, region: str) -> Observation | None:
        """What the controller of a region saw last."""
        return self.table(region).observation(region)

    def active(self) -> str:
        """The region that has the right to write: by the newest that a replica tells which is not cut off."""
        cut = self.ground.faults.cut_off()
        return max((self.table(region).leadership() for region in self.regions if region not in cut),
                   key=lambda right: right.epoch).region

    def levers(self) -> list[str]:
        """The regions whose lever says that they take the traffic."""
        found = []
        for site in self.stack.sites:
            listed = self._clients("s3", site.region).list_objects_v2(Bucket=site.control_bucket, Prefix="takeover")
            found += [site.region] if listed.get("KeyCount") else []
        return found

    def leads_to(self) -> str:
        """The region that the service's name leads to now."""
        return self.resolver.answer(self.ground.outputs["domain_name"])[0]

    @property
    def look_seconds(self) -> float:
        """Seconds between two looks of a controller."""
        return LOOK_SECONDS / self.factor

    # --- What is done

    def clients(self, rate: float, least: float) -> LoadGenerator:
        """Clients of the service, who send a payment again until it is acknowledged; see `client.payers`."""
        return payers(self.ground, self.resolver, rate=rate, least=least, timeout=CLIENT_TIMEOUT, repeat=True)

    def begin(self, words: str) -> Callable[[], CommandResult]:
        """Start a command of recovery; what is given waits for its end and tells what it said."""
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            [sys.executable, "-m", "recovery", *words.split()], env=self._environment, cwd=self._folder,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

        def join() -> CommandResult:
            try:
                text, _ = process.communicate(timeout=COMMAND_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                text, _ = process.communicate()
            return CommandResult(words, process.returncode, " ".join(text.split()))

        return join

    def kill_controller(self, region: str) -> int:
        """Kill the processes of a region's controller; gives how many there were.

        Other rehearsals on this machine have functions of the same name, but not this one's relay.
        """
        mine = {f"AWS_LAMBDA_FUNCTION_NAME={self.stack.site(region).controller_function_name}",
                f"AWS_REGION={region}", f"AWS_ENDPOINT_URL={self.ground.relays.url(region)}"}
        killed = 0
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mine <= {*(folder / "environ").read_text(errors="replace").split("\0")}:
                    os.kill(int(folder.name), signal.SIGKILL)
                    killed += 1
        return killed

    def wait(self, what: str, check: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait until something holds. Raises Unmet if it does not in time."""
        until = time.monotonic() + patience
        while not check():
            if time.monotonic() > until:
                raise CheckFailed(f"waited {patience:.0f} s for: {what}; {self._seen()}")
            time.sleep(0.02)

    def _seen(self) -> str:
        """What the controllers see, for people."""
        cut = self.ground.faults.cut_off()
        found = [f"{region}: {self.watch(region)}, {self.run(region)}" for region in self.regions if region not in cut]
        return "; ".join([*found, *self.said("failed")[-3:], *map(str, self.clock.errors)])

    def said(self, event: str) -> list[str]:
        """The lines with an event in the logs of the controllers, oldest first of each region."""
        found = []
        for site in self.stack.sites:
            pages = self._clients("logs", site.region).get_paginator("filter_log_events").paginate(
                logGroupName=f"/aws/lambda/{site.controller_function_name}")
            lines = (line["message"] for page in pages for line in page["events"])
            found += [line for line in lines if f'"event": "{event}"' in line]
        return found

    def restore(self) -> list[CommandResult]:
        """Let everything work again and be where it was at first, by the product's own means: gives what they said.

        A failback may be refused while what was broken mends itself, and is asked for again. Raises Unmet.
        """
        ground, home = self.ground, self.stack.sites[0].region
        # The one that takes payments first: a standby that is well again before it sees that would take over.
        active = self.active() if set(self.regions) - set(ground.faults.cut_off()) else home
        ground.faults.heal(active)
        self.wait("the standby sees the active region", lambda: self._sees(self.stack.other(active).region))
        self._past.mend()
        spoken: list[CommandResult] = []
        for _ in range(FAILBACKS):
            self.wait("no run is under way", self._idle)
            if self.active() != home or ground.pair.writer != home:
                spoken.append(self.begin("failback")())
        try:
            arrives(partial(self._in_order, home), PATIENCE)
        except CheckFailed as error:
            raise CheckFailed(f"{error}; {'; '.join(each.text for each in spoken)}") from error
        return spoken[-1:]

    def _sees(self, region: str) -> bool:
        """Whether the controller of a region sees the other one, unless it cannot look at all."""
        watch = self.watch(region) if region not in self.ground.faults.cut_off() else None
        return watch is None or not (watch.dead or watch.unready)

    def _cooled(self) -> bool:
        """Whether a controller may act again."""
        runs = [run for run in map(self.run, self.regions) if run and run.action == Action.FAILOVER and run.ended]
        return all(time.time() - (run.ended or 0) > COOL_DOWN_SECONDS / self.factor for run in runs)

    def _idle(self) -> bool:
        run = self.run(self.active())
        return run is None or run.ended is not None

    def _in_order(self, home: str) -> None:
        """Raise Unmet unless everything is as it was when the stack was deployed."""
        away = self.stack.other(home).region
        watched = [self.watch(region) for region in self.regions]
        expect((self.active(), self.ground.pair.writer), (home, home), "right and writer")
        expect(self.ground.pair.role(away).value, "standby", f"database in {away}")
        expect(self.levers(), [], "levers")
        expect(self.leads_to(), home, "DNS leads to")
        expect([watch.why for watch in watched if watch and (watch.dead or watch.unready)], [], "what controllers see")
        expect([lane["store"] for lane in self.ground.copies.report() if lane["waiting"]], [], "copies that wait")
