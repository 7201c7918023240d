"""A rehearsed stack that is made up, with a service that takes payments, on a clock that tests move."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx

from rehearsal.aws.faults import Faults, Heal
from rehearsal.drills.actions import parse
from rehearsal.drills.context import ScenarioContext
from rehearsal.drills.recording import Recording
from rehearsal.postgres.global_database import ServerRole
from rehearsal.rehearsed_stack import StoreContents
from rehearsal.workload.http import Answer
from rehearsal.workload.load import SentPayment
from tests.rehearsal.stack import EAST, OUTPUTS, REGIONS, WEST
from tests.rehearsal.workload.api import InstantClock, Reply, api

SETTLED: Any = SimpleNamespace(settled=True)


def contents(*ids: str) -> StoreContents:
    """Stores of which each has these payments."""
    return StoreContents(dict.fromkeys(ids, SETTLED), frozenset(ids), dict.fromkeys(ids, 1))


def sent(payment_id: str, at: float, region: str = EAST, status: int = 201, seconds: float = 0.1) -> SentPayment:
    """A payment that was sent at a moment, and its answer; none with status 0."""
    answer = Answer(status, {"error": f"error {status}"}) if status else None
    return SentPayment(payment={"payment_id": payment_id}, region=region, answer=answer, began=at, ended=at + seconds)


class FakeStack:
    """A stack of which the east leads. `done` is what was asked for.

    refusals: what each region answers to a payment instead of taking it, by the region.
    late: seconds after which a payment is in the other region. stores: the ids in each region's stores.
    """

    def __init__(self, *, strong: bool = False) -> None:
        self.clock, self.strong, self.done, self.tables = InstantClock(), strong, list[Any](), dict[str, Any]()
        self.outputs = {**OUTPUTS, "table_consistency": "strong" if strong else "eventual"}
        self.refusals: dict[str, Reply] = {}
        self.late, self.seconds = 0.0, 0.0
        self.made: dict[str, float] = {}
        self.missing: set[str] = set()
        self.waiting: list[dict[str, Any]] = []
        self.roles = {EAST: ServerRole.WRITER, WEST: ServerRole.STANDBY}
        self.reports: list[dict[str, Any]] = []
        self.faults = Faults()
        self.faults.listen(self.done.append)
        self.proxies = SimpleNamespace(calls=[], url=lambda name: f"http://proxy/{name}")
        self.copies = SimpleNamespace(report=lambda: self.waiting)
        self.database: Any = SimpleNamespace(
            writer=EAST, role=self.roles.__getitem__, catch_up=lambda region: self.done.append(("catch up", region)),
            lag=lambda _: SimpleNamespace(commits=1, milliseconds=70.0))
        self.regions: dict[str, Any] = {name: SimpleNamespace(
            name=name, role=role, api=api(self._answerer(name), region=name, url=f"http://{name}"),
            receipt=lambda _: ("PENDING", b"", 1), reconciled=lambda: self.reports.pop(0))
            for role, name in zip(("primary", "dr"), REGIONS, strict=True)}

    def writer_and_standby(self) -> tuple[Any, Any]:
        """The regions."""
        other = WEST if self.database.writer == EAST else EAST
        return self.regions[self.database.writer], self.regions[other]

    def within(self, region: Any) -> str:
        """The URL behind a cut."""
        return f"http://inside-{region.name}"

    def contents(self, region: Any) -> StoreContents:
        """What was made, as far as it is in this region, but for what is missing."""
        return contents(*(each for each in self.made if each not in self.missing and self._is_in(region.name, each)))

    def heal(self) -> None:
        """Note it."""
        self.done.append("heal")
        for region in REGIONS:
            self.faults.inject(Heal(region))

    def _is_in(self, region: str, payment_id: str) -> bool:
        made = self.made.get(payment_id)
        return made is not None and (region == self.database.writer or self.clock.now >= made + self.late)

    def _answerer(self, region: str) -> Callable[[httpx.Request], Reply]:
        def answer(request: httpx.Request) -> Reply:
            self.done.append((request.method, str(request.url)))
            self.clock.now += self.seconds
            if region in self.refusals:
                return self.refusals[region]
            if request.method == "GET":
                payment_id = request.url.path.rpartition("/")[2]
                return (200, {"payment_id": payment_id}) if self._is_in(region, payment_id) else (404, {})
            payment = json.loads(request.content)
            self.made.setdefault(payment["payment_id"], self.clock.now)
            return 201, {"payment_id": payment["payment_id"]}

        return answer


def context(stack: Any, drill: Any = None) -> ScenarioContext:
    """A scenario on the stack, in which the east is active."""
    return ScenarioContext(stack=stack, active=stack.regions[EAST], standby=stack.regions[WEST], drill=drill,
                           clock=stack.clock, recording=recording(stack.clock.now))


def recording(began: float = 100.0, **more: Any) -> Recording:
    """A recording that began at a moment, with a wall clock 1000 s ahead."""
    return Recording(began=began, offset=1000.0, active=EAST, standby=WEST, **more)


def act(run: ScenarioContext, /, **given: Any) -> str:
    """Carry out an action, given as in a file; `in_` stands for `in`, and so on."""
    return parse({key.rstrip("_"): value for key, value in given.items()}).perform(run)
