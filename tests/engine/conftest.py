"""Stacks on an emulator, deployed by Pulumi's own engine; `make engine` runs these where its CLI is installed."""

import json
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contract import EMULATOR, OUTPUTS_KEY, OUTPUTS_VARIABLE
from rehearsal.aws.clients import EmulatorClients
from rehearsal.aws.emulator import Emulator
from rehearsal.aws.faults import OUTSIDE, Faults
from rehearsal.aws.proxy import AwsProxies
from rehearsal.aws.replication import ReplicationControl
from rehearsal.cli import ROOT
from rehearsal.deploy import inventory
from rehearsal.deploy.project import Project
from rehearsal.deploy.pulumi_engine import PROGRAM, YES, PulumiCommand, resource_of
from rehearsal.deploy.resources.model import DeployTarget, Scope
from rehearsal.drills.emulated.name_server import NameServer
from rehearsal.drills.environment import DrillEnvironment
from rehearsal.errors import DeploymentError
from rehearsal.postgres.aurora import Aurora
from rehearsal.rehearsed_stack import RehearsedStack
from tests.rehearsal.stack import EAST, WEST

REGIONS = (EAST, WEST)
THREADS = 16
TRIES = 60
collect_ignore_glob = [] if shutil.which(PROGRAM) else ["test_*"]


@dataclass(frozen=True)
class World:
    """A stack that is not deployed yet, the emulator behind it, and the faults on the way to the emulator."""

    pulumi: PulumiCommand
    clients: EmulatorClients
    faults: Faults
    proxies: AwsProxies
    copies: ReplicationControl
    emulator: str
    aurora: Aurora | None
    name_server: NameServer
    factor: float

    def rehearsed(self) -> RehearsedStack:
        """The stack as it is deployed now; it must have databases."""
        assert self.aurora
        return RehearsedStack(outputs=self.outputs(), clients=self.clients, emulator=self.emulator, faults=self.faults,
                              copies=self.copies, database=self.aurora.database, proxies=self.proxies)

    @contextmanager
    def drilled(self, folder: Path) -> Iterator[DrillEnvironment]:
        """What AWS does around the stack as it is deployed now: health checks, DNS, the controllers' schedule.

        `folder` gets the outputs, by which the commands of recovery find it.
        """
        rehearsed, file = self.rehearsed(), folder / OUTPUTS_KEY
        where = {"endpoint": self.clients.endpoint, "name_servers": self.name_server.address}
        file.write_text(json.dumps({**rehearsed.outputs, EMULATOR: where}), encoding="utf-8")
        with DrillEnvironment.of(rehearsed, self.scopes, self.factor, environment={OUTPUTS_VARIABLE: str(file)},
                                 folder=ROOT,
                                 check_drift=lambda: [*self.pulumi.refresh(), *self.pulumi.preview()]) as environment:
            self.name_server.text = environment.text
            yield environment

    def scopes(self, token: str) -> list[Scope]:
        """What the state says of the resources of a type."""
        return [resource_of(each).scope for each in self.pulumi.state()["resources"] if each["type"] == token]

    def run(self, *words: str, text: str | None = None) -> str:
        """As the tools run Pulumi: they name the stack, which is this one."""
        at = words.index("--stack")
        return self.pulumi(*words[:at], *words[at + 2:], text=text)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs."""
        found: dict[str, Any] = json.loads(self.pulumi("stack", "output", "--json"))
        return found

    def make(self, *words: str) -> str:
        """Run make on the stack, as its operator does; gives what it prints. Raises CalledProcessError."""
        return subprocess.run(["make", *words, "STACK=local"], cwd=self.pulumi.folder, env=self.pulumi.environment,
                              stdout=subprocess.PIPE, text=True, check=True).stdout

    def until_done(self, *words: str) -> list[str]:
        """Repeat a command until it succeeds; gives how it failed before."""
        failures: list[str] = []
        for _ in range(TRIES):
            try:
                self.pulumi(*words)
            except DeploymentError as error:
                failures.append(str(error))
            else:
                return failures
        raise AssertionError(failures)

    def state(self) -> Counter[str]:
        """How many resources of each type the state has."""
        return Counter(each["type"] for each in self.pulumi.state().get("resources") or ())

    def holds(self) -> Counter[str]:
        """How many resources of each type the emulator holds."""
        return Counter(line.split()[0] for line in inventory.take(self.clients, REGIONS))

    def of(self, token: str, name: str = "") -> dict[str, Any]:
        """The state of the first resource of a type whose name has `name` in it."""
        found: dict[str, Any] = next(each for each in self.pulumi.state()["resources"]
                                     if each["type"] == token and name in each["urn"].rpartition("::")[2])
        return found

    def client(self, service: str, record: Mapping[str, Any]) -> Any:
        """The client of a service in the region of a resource."""
        return self.clients(service, record["outputs"]["region"])

    def fail(self, share: float, seed: int = 0) -> None:
        """Make a share of the calls that create or delete fail from now on, before they are carried out."""
        drawn = random.Random(seed)
        self.faults.intercept = lambda call, done: not done and call.operation.startswith(
            ("Create", "Put", "Delete")) and drawn.random() < share


@contextmanager
def deployable(regions: Sequence[str] = REGIONS, *, databases: bool = False, factor: float = 1.0,
               **config: str) -> Iterator[World]:
    """A world, which ends with the block; without databases its clusters are records only.

    factor: divides what the functions, the health checks and the controllers wait for.
    """
    with ExitStack() as stack:
        emulator, faults = Emulator(), Faults()
        stack.callback(emulator.stop)
        emulator.start()
        aurora = stack.enter_context(closing(Aurora(regions, faults, emulator.secret))) if databases else None
        proxies = AwsProxies(emulator.endpoint, regions, faults, aurora.follow if aurora else lambda _: None)
        stack.callback(proxies.stop)
        proxies.start()
        name_server = NameServer()
        stack.callback(name_server.stop)
        name_server.start()
        clients = EmulatorClients(proxies.url(OUTSIDE), THREADS)
        project = Project.load(ROOT, "local", config).with_endpoint(clients.endpoint)
        target = DeployTarget({region: proxies.url(region) for region in regions}, aurora.ports if aurora else {},
                              aurora.authority if aurora else "", factor, name_server.address)
        pulumi = PulumiCommand()
        stack.callback(pulumi.close)
        pulumi.open(project, clients, target)
        yield World(pulumi, clients, faults, proxies, ReplicationControl(emulator.endpoint, faults), emulator.endpoint,
                    aurora, name_server, factor)


@pytest.fixture
def world() -> Iterator[World]:
    """A world of the stack `local`."""
    with deployable() as found:
        yield found


@pytest.fixture
def stack(world: World) -> World:
    """A world whose stack is up."""
    world.pulumi("up", *YES)
    return world
