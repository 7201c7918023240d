"""The context in which a scenario's actions run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from payments.clock import SYSTEM, Clock
from payments.stores import AwsResponse
from rehearsal.drills.environment import DrillEnvironment
from rehearsal.drills.recording import CommandResult, PaymentGroup, Recording
from rehearsal.errors import CheckFailed
from rehearsal.polling import PATIENCE, retry
from rehearsal.rehearsed_stack import RehearsedStack, StoreContents
from rehearsal.workload.http import ApiClient
from rehearsal.workload.load import LoadGenerator, acknowledged, new_payment
from rehearsal.workload.region import RegionClient

T = TypeVar("T")
Role = Literal["active", "standby"]
"""A region, by its role when the scenario began."""


@dataclass(kw_only=True)
class ScenarioContext:
    """A scenario that runs on a rehearsed stack; a drill has an environment, too.

    load: the clients that pay, or paid last. begun: each waits for a command that goes on in the background.
    first_call: the number of calls before the present check. backup: the items of the table as they were kept, by key.
    """

    stack: RehearsedStack
    active: RegionClient
    standby: RegionClient
    recording: Recording
    drill: DrillEnvironment | None = None
    clock: Clock = SYSTEM
    load: LoadGenerator | None = None
    begun: list[Callable[[], CommandResult]] = field(default_factory=list)
    first_call: int = 0
    backup: Mapping[str, AwsResponse] = field(default_factory=dict)

    @classmethod
    def of(cls, stack: RehearsedStack, drill: DrillEnvironment | None = None,
           clock: Clock = SYSTEM) -> "ScenarioContext":
        """The context of a scenario that begins now."""
        if drill:
            name = drill.observer.active()
            active, standby = drill.observer.regions[name], drill.observer.regions[drill.observer.other(name)]
        else:
            active, standby = stack.writer_and_standby()
        began = clock.monotonic()
        return cls(stack=stack, active=active, standby=standby, drill=drill, clock=clock, recording=Recording(
            began=began, offset=clock.time() - began, active=active.name, standby=standby.name))

    @property
    def environment(self) -> DrillEnvironment:
        """The environment of a drill. Raises CheckFailed in an outage, which has none."""
        if self.drill is None:
            raise CheckFailed("only a drill can do that")
        return self.drill

    def region(self, role: Role) -> RegionClient:
        """The region of a role."""
        return self.active if role == "active" else self.standby

    def api(self, role: Role, *, behind_cut: bool = False) -> ApiClient:
        """A region's API, for a client outside or for one that is in the region with it."""
        region = self.region(role)
        return replace(region.api, url=self.stack.within(region)) if behind_cut else region.api

    def contents(self, role: Role) -> StoreContents:
        """What the stores of a region hold; in a drill whatever the region is cut off from."""
        region = self.region(role)
        return self.drill.observer.contents(region.name) if self.drill else self.stack.contents(region)

    def group(self, name: str, count: int = 1) -> PaymentGroup:
        """The payments of a name, so many new ones if there are none yet."""
        return self.recording.groups.setdefault(name, PaymentGroup([new_payment() for _ in range(count)]))

    def named(self, text: str) -> str:
        """A text with the regions' names in place of `{active}` and `{standby}`."""
        return text.replace("{active}", self.active.name).replace("{standby}", self.standby.name)

    def start_load(self, load: LoadGenerator) -> None:
        """Let clients pay, and wait for the first acknowledgement. Raises CheckFailed."""
        self.load = load.__enter__()  # pylint: disable=unnecessary-dunder-call  # it ends in another action
        if not load.wait_for(acknowledged, PATIENCE):
            raise CheckFailed("no payment was acknowledged")

    def eventually(self, check: Callable[[], T]) -> T:
        """Try a check until it holds, and give its result."""
        return retry(check, clock=self.clock)
