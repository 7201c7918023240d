"""A drill: what it refuses, what it breaks and always mends, what its clients pay, and what it tells."""
import io
import json
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from email.message import Message
from functools import cache, partial
from pathlib import Path
from threading import Event
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from payments.errors import StoreUnavailable
from payments.leadership import DynamoLeadership
from recovery import cli, drill
from recovery.cloud import AwsFailure, Cloud
from recovery.control_table import DRILL, ControlTable, soon
from recovery.drill import NO_DNS, RESTORE, Drill, DrillTargets, Payer, Reply, SavedState, aim, kept, paying, restore
from recovery.journal import AlreadyRunning, Journal, Run, StepProgress
from recovery.measure import GOOD
from recovery.observation import Observation
from recovery.plan import STALE, Action, Plan, predict
from recovery.probe import ProbeResult
from recovery.runner import StepTimedOut
from recovery.stack import Stack, StackError
from tests.unit.payments.fakes import TABLE, Crash, Fault, Item, Network, client_error
from tests.unit.recovery.fakes import AWAY, HOME, NOW, OUTPUTS, REGIONS, FakeClock, FakeTable

SERVICE = "https://pay.example"
KEY = "the key"
TICK = 0.5  # seconds from one payment to the next, and how often the world moves on
CHECKS = {HOME: "check-home", AWAY: "check-away"}
FUNCTIONS = {HOME: "payments-home", AWAY: "payments-away"}
KEYS = {HOME: "key-home", AWAY: "key-away"}
MORE = {f"{role}_{name}": value[region] for role, region in (("primary", HOME), ("dr", AWAY))
        for name, value in (("function_name", FUNCTIONS), ("api_key_id", KEYS), ("health_check_id", CHECKS))}


@cache
def shape(service: str, operation: str) -> Any:
    """What AWS takes for an operation, as botocore has it."""
    model = botocore.session.get_session().get_service_model(service)
    name = "".join(part.capitalize() for part in operation.split("_"))
    return model.operation_model(name).input_shape


class Line(Network):
    """The operator's way to AWS; `left` are the calls until the process is killed. What the world does goes aside."""

    left: int | None = None
    aside = False
    denied: frozenset[str] = frozenset()

    def carry(self, operation: str, effect: Callable[[], Item]) -> Item:
        """Makes the call, unless the process is dead."""
        if self.aside:
            return effect()
        if self.left is not None:
            if self.left == 0:
                raise Crash
            self.left -= 1
        if operation in self.denied:
            raise client_error("AccessDeniedException")
        return super().carry(operation, effect)

    @contextmanager
    def off(self) -> Iterator[None]:
        """Others are at it."""
        before, self.aside = self.aside, True
        try:
            yield
        finally:
            self.aside = before


@dataclass
class Client:
    """The client of a service in a region: each call is checked against botocore's model, and noted."""

    world: "Aws"
    service: str
    region: str

    def __getattr__(self, operation: str) -> Callable[..., Item]:
        def call(**given: Any) -> Item:
            if self.service not in ("rds", "s3"):  # of which nothing is called but by Cloud
                report = ParamValidator().validate(given, shape(self.service, operation))
                assert not report.has_errors(), report.generate_report()
            answer: Callable[..., Item] = getattr(self.world, operation)
            return self.world.network.carry(f"{operation} {self.region}", lambda: answer(self.region, **given))
        return call


class Time(FakeClock):
    """A clock in whose ticks the world moves on."""

    def __init__(self, tick: Callable[[], None]) -> None:
        super().__init__()
        self.tick, self.pace = tick, TICK

    def sleep(self, seconds: float, /) -> None:
        """Moves on, tick by tick."""
        for _ in range(round(seconds / self.pace)):
            super().sleep(self.pace)
            self.tick()


class Aws:
    """What a drill calls, in both regions."""

    def __init__(self, writer: str) -> None:
        self.network, self.writer = Line(), writer
        self.tables = {region: FakeTable(self.network) for region in REGIONS}
        for region, other in ((HOME, AWAY), (AWAY, HOME)):
            self.tables[region].copy = self.tables[other].items.__setitem__
        self.reserved: dict[str, int | None] = {FUNCTIONS[HOME]: 300, FUNCTIONS[AWAY]: None}
        self.checks: dict[str, Item] = {check: {"Type": "HTTPS"} for check in CHECKS.values()}
        self.broken: Any = None  # what the table said as the region was broken

    def __call__(self, service: str, region: str, read: float = 5.0) -> Any:
        """The client of a service in a region."""
        assert read > 0
        return self.tables[region] if service == "dynamodb" else Client(self, service, region)

    def get_function_concurrency(self, _: str, *, FunctionName: str) -> Item:  # noqa: N803  # pylint: disable=invalid-name
        """As Lambda has it: nothing, if none are reserved."""
        found = self.reserved[FunctionName]
        return {} if found is None else {"ReservedConcurrentExecutions": found}

    def put_function_concurrency(self, region: str, **given: Any) -> Item:
        """Reserves executions."""
        assert given["FunctionName"] == FUNCTIONS[region]
        self._breaking()
        self.reserved[given["FunctionName"]] = given["ReservedConcurrentExecutions"]
        return {}

    def delete_function_concurrency(self, _: str, *, FunctionName: str) -> Item:  # noqa: N803  # pylint: disable=invalid-name
        """Reserves none."""
        self.reserved[FunctionName] = None
        return {}

    def get_health_check(self, _: str, *, HealthCheckId: str) -> Item:  # noqa: N803  # pylint: disable=invalid-name
        """A check."""
        return {"HealthCheck": {"HealthCheckConfig": dict(self.checks[HealthCheckId])}}

    def update_health_check(self, _: str, *, HealthCheckId: str, **given: Any) -> Item:  # noqa: N803  # pylint: disable=invalid-name
        """Changes what is given."""
        self._breaking()
        self.checks[HealthCheckId].update(given)
        return {}

    def get_api_key(self, region: str, **given: Any) -> Item:
        """The key, with its value."""
        assert given == {"apiKey": KEYS[region], "includeValue": True}
        return {"value": KEY}

    def describe_global_clusters(self, _region: str, **_given: Any) -> Item:
        """The database's writer."""
        return {"GlobalClusters": [{"GlobalClusterMembers": [
            {"DBClusterArn": f"arn:aws:rds:{region}:1:cluster:x", "IsWriter": region == self.writer}
            for region in REGIONS]}]}

    def describe_db_clusters(self, _region: str, **_given: Any) -> Item:
        """A cluster that is well."""
        return {"DBClusters": [{"Status": "available", "DBClusterMembers": [{"DBInstanceIdentifier": "one"}]}]}

    def describe_db_instances(self, _region: str, **_given: Any) -> Item:
        """An instance that is well."""
        return {"DBInstances": [{"DBInstanceStatus": "available"}]}

    def head_bucket(self, _region: str, **_given: Any) -> Item:
        """A bucket that is there."""
        return {}

    def _breaking(self) -> None:
        """Nothing is changed of which the table does not know."""
        self.broken = json.loads(self.tables[AWAY].items[DRILL]["document"]["S"])["broken"]
        assert self.broken


class World(Aws):
    """Both regions, their payments, their controllers, and who drives a plan."""

    def __init__(self, changes: Mapping[str, Any] | None = None, active: str = HOME) -> None:
        super().__init__(active)
        self.active = active
        self.clock = Time(self.tick)
        with self.network.off():
            DynamoLeadership(self.tables[HOME], TABLE).create(self.active, soon())
        self.stack = Stack.of({**OUTPUTS, "dns": "on", "service_url": SERVICE, **(changes or {})})
        self.payers: list[Callable[[], None]] = []
        self.paid: dict[str, str] = {}  # the region that took a payment
        self.said: list[str] = []
        self.driven: list[tuple[str, str, float | None]] = []
        self.dead = dict.fromkeys(REGIONS, 0)
        self.told: dict[str, Callable[[], object]] = {}  # what happens as this is said
        self.lag: float | None = 1.0
        self.delay = 0.0  # seconds after which DNS follows
        self.ways: list[tuple[float, str]] = [(0.0, self.active)]
        self.controller: Callable[[], object] = bool  # what else happens with each tick

    # --- The service

    def well(self, region: str) -> bool:
        """Whether a region's payments function runs."""
        return self.reserved[FUNCTIONS[region]] != 0

    def look(self, url: str) -> ProbeResult:
        """A look at a region's API."""
        region = HOME if url.startswith(HOME) else AWAY
        return ProbeResult(alive=self.well(region), ready=self.well(region) and region == self.active == self.writer,
                    why="" if self.well(region) else "HTTP 500")

    def leads(self) -> str:
        """Where the service's name leads."""
        return [region for at, region in self.ways if at <= self.clock.now][-1]

    def send(self, method: str, url: str, key: str, body: bytes | None = None) -> Reply:
        """A request, wherever it goes."""
        assert key == KEY
        host, path = url.removeprefix("https://").split("/", 1)
        region = self.leads() if f"https://{host}" == SERVICE else host.removesuffix("-api_endpoint")
        if not self.well(region):
            return Reply(500, kind="500 Internal server error")
        if method == "GET":
            return Reply(200 if path.removeprefix("payment/") in self.paid else 404, region)
        assert path == "payment"
        if not region == self.active == self.writer:
            return Reply(503, region, "503 not the writer")
        self.paid[json.loads(body or b"")["payment_id"]] = region
        return Reply(201, region)

    @contextmanager
    def paying(self, pay: Callable[[], None]) -> Iterator[None]:
        """A client that pays with each tick."""
        self.payers.append(pay)
        try:
            yield
        finally:
            self.payers.clear()

    def tick(self) -> None:
        """Pay, and let the controllers look."""
        for pay in self.payers:
            pay()
        if self.clock.now % 10 == 0:
            for region, other in ((HOME, AWAY), (AWAY, HOME)):
                self.dead[region] = 0 if self.well(other) else self.dead[region] + 1
                self.watch(region)
        self.controller()

    def watch(self, region: str) -> None:
        """What a region's controller writes down."""
        lags = {} if self.lag is None else {"table": self.lag}
        with self.network.off():
            self.table(region).keep_watch(Observation(region=region, at=self.clock.time(), dead=self.dead[region], lags=lags))

    def table(self, region: str) -> ControlTable:
        """A region's replica."""
        return ControlTable(self.tables[region], TABLE)

    # --- The drill

    def move(self, to: str) -> None:
        """Payments go there from now on."""
        self.active = self.writer = to
        with self.network.off():
            self.table(to).take_right(to, 0)
        self.ways.append((self.clock.now + self.delay, to))

    def begun(self, planned: Plan, why: str, seen: float | None) -> Run:
        """A run of a plan that begins now."""
        return Run(id=f"run at {self.clock.now}", action=planned.action.value, target=planned.target.region,
                   driver="one", began=self.clock.time(), why=why, seen=seen)

    def carried(self, run: Run) -> Run:
        """The run at its end, some seconds later."""
        self.clock.sleep(2.0)
        fenced, self.active = self.clock.time(), ""
        self.clock.sleep(20.0)
        self.move(run.target)
        now = self.clock.time()
        return replace(run, ended=now, outcome="done", steps={
            "fence": StepProgress(began=run.began, ended=fenced), "promote": StepProgress(began=fenced, ended=now)})

    def journal(self, run: Run) -> None:
        """The latest run is this one."""
        with self.network.off():
            journal = Journal(self.table(run.target))
            journal.keep(run, journal.latest())

    def drive(self, cloud: Cloud, why: str, seen: float | None) -> Run:
        """What the command line does."""
        self.driven.append((cloud.plan.action.value, cloud.plan.target.region, seen))
        run = self.carried(self.begun(cloud.plan, why, seen))
        self.journal(run)
        return run

    def claim(self, _journal: object, planned: Plan, _driver: str, *, why: str, seen: float | None, clock: Time) -> Run:
        """A run of the command line."""
        assert clock is self.clock
        return self.begun(planned, why, seen)

    def go_on(self, _cloud: Cloud, run: Run, _console: object) -> Run:
        """The run of the command line at its end."""
        done = self.carried(run)
        self.journal(done)
        return done

    def say(self, what: str) -> None:
        """What the drill tells meanwhile."""
        self.said.append(what)
        self.told.get(what, bool)()

    def plan(self, action: Action, to: str = AWAY) -> Plan:
        """An action here."""
        return Plan(action=action, stack=self.stack, target=self.stack.site(to))

    def drill(self, action: Action = Action.FAILOVER, to: str = AWAY, **changes: Any) -> Drill:
        """A drill here."""
        for region in REGIONS:
            self.watch(region)
        none = {} if self.stack.service_url else dict.fromkeys(("primary_health_check_id", "dr_health_check_id"), "")
        return Drill(**{
            "plan": self.plan(action, to), "clients": self, "drive": self.drive, "send": self.send, "look": self.look,
            "handles": {site.region: DrillTargets.of({**MORE, **none}, site) for site in self.stack.sites},
            "clock": self.clock, "paying": self.paying, "say": self.say, **changes})

    def kept(self) -> Item:
        """What `status` shows of the last drill."""
        with self.network.off():
            found = kept(self.stack, self)
        assert found
        return found

    def assert_as_found(self) -> None:
        """Nothing is broken any more."""
        assert self.reserved == {FUNCTIONS[HOME]: 300, FUNCTIONS[AWAY]: None}
        assert not any(config.get(key) for config in self.checks.values() for key in ("Inverted", "Disabled"))
        assert self.kept()["broken"] is None


def quick(**changes: Any) -> World:
    """A stack in which one look is evidence."""
    return World({"health_check_threshold": 1, **changes})


# --- A failover

def test_a_failover_is_drilled_there_and_back_and_leaves_all_as_it_was() -> None:
    world = World()
    world.delay = 10.0
    found: list[Any] = []
    world.told[f"{HOME} is broken"] = lambda: found.extend([dict(world.reserved), dict(world.checks[CHECKS[HOME]])])
    report = world.drill().run()
    assert report.ok, report
    assert found == [{FUNCTIONS[HOME]: 0, FUNCTIONS[AWAY]: None}, {"Type": "HTTPS", "Inverted": True, "Disabled": True}]
    assert world.said == [f"{HOME} is broken", f"{AWAY} has taken over", f"{HOME} is restored"]
    assert [each[:2] for each in world.driven] == [("failover", AWAY), ("failback", HOME)]
    assert (world.active, world.writer) == (HOME, HOME)
    world.assert_as_found()


def test_its_report_tells_what_clients_saw_there_and_back_and_is_kept() -> None:
    world = World()
    world.delay = 10.0
    report = world.drill().run()
    assert (report.action, report.origin, report.target, report.why) == ("failover", HOME, AWAY, "")
    assert (report.acknowledged, report.lost) == (len(world.paid), 0)
    assert set(report.errors) == {"500 Internal server error", "503 not the writer"}
    assert report.began < (report.recovery.began or 0) < (report.recovery.ended or 0) < (report.ended or 0)
    detect, *others = report.recovery.phases.values()
    assert 20.0 < detect <= 30.0  # three looks, 10 s apart
    assert others == pytest.approx([0.5, 2.0, 20.0, 10.0, 0.0], abs=0.6)  # a poll, the run's steps, DNS, and a write
    assert report.back
    assert 20.0 < report.back.whole < 40.0
    assert report.back.phases["detect"] == 0.0
    assert world.kept() == {**report.document(), "broken": None}
    assert str(report).splitlines()[0] == f"drill failover from {HOME} to {AWAY}: ok"


def test_it_is_begun_on_the_evidence_of_the_standbys_controller() -> None:
    world = World()
    world.drill().run()
    seen = world.driven[0][2]
    assert seen
    assert (seen - NOW) % 10 == 0
    assert world.driven[1][2] is None


def test_the_key_is_read_first_and_route_53_is_not_called_from_the_outage_to_its_end() -> None:
    world = quick()
    world.drill().run()
    calls = world.network.calls
    key, inverted, outage, restored = (calls.index(call) for call in (
        f"get_api_key {AWAY}", f"update_health_check {HOME}", f"put_function_concurrency {HOME}", "PutItem"))
    assert key < restored < inverted < outage
    end = calls.index(f"put_function_concurrency {HOME}", outage + 1)
    during = calls[outage + 1:end]
    assert not [call for call in during if "health_check" in call or call.endswith(HOME)]
    assert calls[end + 1] == f"update_health_check {HOME}"


def test_the_region_that_home_failed_over_to_is_drilled_as_well() -> None:
    world = World({"health_check_threshold": 1}, active=AWAY)
    report = world.drill(to=HOME).run()
    assert report.ok, report
    assert [each[:2] for each in world.driven] == [("failover", HOME), ("switchover", AWAY)]
    assert world.reserved == {FUNCTIONS[HOME]: 300, FUNCTIONS[AWAY]: None}
    assert f"delete_function_concurrency {AWAY}" in world.network.calls


def test_without_dns_clients_turn_to_the_other_region_by_themselves_and_the_report_says_so() -> None:
    world = quick(service_url="", dns="off")
    made = world.drill()
    assert NO_DNS in made.warning()
    report = made.run()
    assert report.ok, report
    assert report.recovery.phases["dns"] == 0.0
    assert not report.dns
    assert str(report).endswith(NO_DNS)
    assert not [call for call in world.network.calls if "health_check" in call]
    assert set(world.paid.values()) == set(REGIONS)


# --- The controller takes over

@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> World:
    """A stack whose controller is to act, and in which nothing happens faster than it looks."""
    monkeypatch.setattr(drill, "POLL", 10.0)
    world = quick(failover_mode="automatic")
    world.clock.pace = 10.0
    return world


def automatic(world: World) -> None:
    """The standby's controller, in the mode automatic."""
    def act() -> None:
        if world.dead[AWAY] >= world.stack.failures and not world.well(HOME):
            world.controller = bool
            run = world.begun(world.plan(Action.FAILOVER), "it is dead", world.clock.time())
            world.journal(run)
            world.journal(world.carried(run))

    world.controller = act


def test_where_the_mode_is_automatic_it_waits_for_the_controller() -> None:
    world = quick(failover_mode="automatic")
    automatic(world)
    last = replace(world.begun(world.plan(Action.SWITCHOVER), "", None), id="the last one", ended=NOW)
    world.journal(last)
    report = world.drill().run()
    assert report.ok, report
    assert [each[:2] for each in world.driven] == [("failback", HOME)]
    world.assert_as_found()


def test_a_controller_that_does_nothing_is_waited_for_and_told_of(patient: World) -> None:
    report = patient.drill().run()
    assert (report.ok, report.why) == (False, f"the controller of {AWAY} has not begun to take over")
    steps = sum(step.budget for step in patient.plan(Action.FAILOVER).steps)
    assert steps < patient.clock.now < steps + 2 * patient.stack.detection + 2 * STALE + drill.SETTLE
    assert patient.driven == []
    patient.assert_as_found()


def test_a_controller_that_does_not_come_to_an_end_is_told_of(patient: World) -> None:
    run = patient.begun(patient.plan(Action.FAILOVER), "it is dead", None)
    patient.told[f"{HOME} is broken"] = lambda: patient.journal(run)
    assert patient.drill().run().why == f"failover to {AWAY} is not at its end"
    patient.assert_as_found()


# --- Whatever goes wrong

def test_what_speaks_against_the_failover_is_told_and_all_is_mended() -> None:
    world = quick()
    world.told[f"{HOME} is broken"] = lambda: setattr(world, "lag", None)
    report = world.drill(seconds=60.0).run()
    assert (report.ok, report.why) == (False, "unknown lag: nobody knows what would be lost")
    assert (report.recovery.recovered, report.back) == (False, None)
    assert "recovery: none" in str(report)
    world.assert_as_found()


def test_a_failover_that_is_not_done_is_not_followed_by_a_way_back() -> None:
    world = quick()

    def drive(cloud: Cloud, _why: str, _seen: float | None) -> Run:
        raise StepTimedOut(cloud.plan.steps[2], "it takes longer")

    report = world.drill(drive=drive, seconds=60.0).run()
    assert report.why == "promote was not done within 480 s: it takes longer"
    assert not report.ok
    world.assert_as_found()
    assert world.kept()["why"] == report.why


@pytest.mark.parametrize("when", [f"{HOME} is broken", f"{AWAY} has taken over"])
def test_ctrl_c_mends_and_ends(when: str) -> None:
    world = quick()

    def interrupt() -> None:
        raise KeyboardInterrupt

    world.told[when] = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.drill().run()
    world.assert_as_found()
    assert (world.kept()["ok"], world.kept()["why"]) == (False, "not at its end")


def test_killed_at_any_call_it_is_mended_by_restore_and_a_second_time_changes_nothing() -> None:
    world = quick()
    world.drill().run()
    calls = world.network.calls
    changing = [number for number, call in enumerate(calls) if call.split()[0] in (
        "PutItem", "put_function_concurrency", "update_health_check")]
    assert len(changing) == 8
    for killed in {number + after for number in changing for after in (0, 1)}:
        again = quick()
        made = again.drill()
        again.network.left = killed
        with suppress(Crash):
            made.run()
        again.network.left = None
        restore(again.stack, again)
        if DRILL in again.tables[AWAY].items:
            again.assert_as_found()
        again.network.calls.clear()
        assert restore(again.stack, again) is None
        assert set(again.network.calls) == {"GetItem"}


def test_what_cannot_be_mended_is_told_and_left_to_restore() -> None:
    world = quick()

    world.told[f"{AWAY} has taken over"] = lambda: world.network.faults.append(Fault(client_error("Throttled")))
    report = world.drill().run()
    assert report.why == f"not restored: payments function in {HOME}: Throttled: refused: `{RESTORE}`"
    assert not report.ok
    assert world.kept()["broken"]["reserved"] == 300
    assert not world.checks[CHECKS[HOME]]["Inverted"]
    assert world.drill().against(yes=True)[-1] == f"a drill has left {HOME} broken: `{RESTORE}`"
    assert restore(world.stack, world) == SavedState(
        region=HOME, function=FUNCTIONS[HOME], reserved=300, check=CHECKS[HOME])
    world.assert_as_found()


def test_a_check_that_was_inverted_before_is_inverted_after() -> None:
    world = quick()
    world.checks[CHECKS[HOME]].update(Inverted=True, Disabled=False)
    world.drill().run()
    assert world.checks[CHECKS[HOME]] == {"Type": "HTTPS", "Inverted": True, "Disabled": False}


def test_nothing_is_broken_for_clients_that_cannot_pay_anyway() -> None:
    world = quick()
    world.reserved[FUNCTIONS[HOME]] = 0
    report = world.drill().run()
    assert report.why == "payments fail before anything is done: 500 Internal server error"
    assert (report.ok, world.driven, world.broken) == (False, [], None)


def test_what_was_acknowledged_and_is_not_found_is_lost() -> None:
    world = quick()
    world.told[f"{HOME} is restored"] = lambda: [world.paid.pop(each) for each in list(world.paid)[:3]]
    report = world.drill().run()
    assert (report.lost, report.ok, report.why) == (3, False, "3 acknowledged payments are lost")
    assert "3 of them lost" in str(report)


def test_a_copy_may_need_a_moment_to_get_there() -> None:
    world = quick()
    payer = Payer(world.stack, KEY, world.send, world.clock, 60.0)
    payer.pay()
    late = dict(world.paid)
    world.paid.clear()
    world.controller = lambda: world.paid.update(late) if world.clock.now >= 2.0 else None
    assert payer.lost(world.stack.sites[1]) == 0
    assert world.clock.now == 2.0
    assert [payer.over, payer.acknowledged] == [False, list(late)]


def test_what_is_not_found_within_the_time_for_it_is_not_asked_for_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill, "PROOF", 0.0)
    world = quick()
    payer = Payer(world.stack, KEY, world.send, world.clock, 60.0)
    payer.pay()
    assert payer.lost(world.stack.sites[1]) == 1


def test_an_outage_longer_than_the_objective_is_not_ok() -> None:
    report = quick(recovery_time_objective=15).drill().run()
    assert report.why.startswith("payments were not accepted for ")
    assert report.why.count(" s, and the recovery time objective is 15 s") == 2
    assert (report.ok, report.recovery.recovered, report.lost) == (False, True, 0)


def test_clients_whose_time_is_over_pay_no_more() -> None:
    report = quick().drill(seconds=20.0).run()
    assert (report.ok, report.recovery.recovered, report.back) == (False, False, None)
    assert report.why == "payments were not accepted any more, and the recovery time objective is 900 s"


def test_a_report_that_cannot_be_kept_is_told_all_the_same() -> None:
    world = quick()
    made = world.drill(Action.SWITCHOVER)

    def drive(cloud: Cloud, why: str, seen: float | None) -> Run:
        run = world.drive(cloud, why, seen)
        world.network.denied = frozenset({"PutItem"})
        return run

    report = replace(made, drive=drive).run()
    assert report.ok
    assert world.said == ["the report could not be kept: table: AccessDeniedException"]


# --- What is planned

@pytest.mark.parametrize(("action", "active", "to"), [(Action.SWITCHOVER, HOME, AWAY), (Action.FAILBACK, AWAY, HOME)])
def test_a_planned_move_breaks_nothing_and_stays(action: Action, active: str, to: str) -> None:
    world = World(active=active)
    made = world.drill(action, to)
    assert made.against(yes=False) == []
    assert "to stay" in made.warning()
    report = made.run()
    assert report.ok, report
    assert world.driven == [(action.value, to, None)]
    assert world.active == to
    assert report.back is None
    assert report.recovery.phases["detect"] == 0.0
    assert not [call for call in world.network.calls if "concurrency" in call or "update_health_check" in call]
    assert world.kept() == {**report.document(), "broken": None}


def test_a_move_that_no_client_noticed_has_no_recovery() -> None:
    world = World()
    world.clock.sleep(1.0)

    def drive(cloud: Cloud, why: str, seen: float | None) -> Run:
        world.move(AWAY)
        return world.begun(cloud.plan, why, seen)

    report = world.drill(Action.SWITCHOVER, drive=drive).run()
    assert report.ok
    assert "recovery: no payment failed" in str(report)
    assert "errors: none" in str(report)


# --- What it refuses, before anything is changed

def unfinished(world: World) -> None:
    """A run that broke off."""
    world.journal(replace(world.begun(world.plan(Action.FAILOVER), "", None), steps={"fence": StepProgress(began=NOW)}))


def in_arrears(world: World) -> None:
    """More lag than the objective."""
    world.lag = 61.0


def silent(world: World) -> None:
    """A table that gives no answer."""
    world.network.denied = frozenset({"GetItem"})


REFUSED: Mapping[str, tuple[Callable[[World], object], str]] = {
    "unknown state": (silent, f"unknown state: {AWAY} does not say who has the right to write"),
    "the active region is down": (lambda world: world.reserved.update({FUNCTIONS[HOME]: 0}), f"{HOME} does not answer"),
    "the active region is not ready": (lambda world: setattr(world, "active", ""), f"{HOME} cannot take payments"),
    "the standby is down": (lambda world: world.reserved.update({FUNCTIONS[AWAY]: 0}), f"{AWAY} is not healthy"),
    "the writer is elsewhere": (lambda world: setattr(world, "writer", AWAY),
                                f"unknown state: {HOME} has the right to write, and {AWAY} has the database's writer"),
    "it is there": (lambda world: world.move(AWAY), f"{AWAY} has the right to write and the database's writer already"),
    "a run": (unfinished, f"a run is not at its end, of one: failover to {AWAY}, step fence"),
    "lag": (in_arrears, "the last 61 s of payments would be lost"),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED)
def test_it_refuses_where_the_stack_is_not_in_order(change: Callable[[World], object], reason: str) -> None:
    world = World()
    change(world)
    made = world.drill()
    items = dict(world.tables[AWAY].items)
    found = made.against(yes=True)
    assert any(each.startswith(reason) for each in found), found
    assert world.tables[AWAY].items == items


def test_it_refuses_where_the_standbys_controller_does_not_report() -> None:
    world = World()
    made = world.drill()
    world.clock.now = STALE + 1
    assert "has not reported for 61 s" in made.against(yes=False)[0]


def test_it_refuses_prod_without_a_yes_and_asks_nobody() -> None:
    world = World({"profile": "prod"})
    made = world.drill()
    assert made.against(yes=False) == ["the profile is prod: a drill there needs --yes"]
    assert world.network.calls == []
    assert made.against(yes=True) == []


def test_a_failback_leads_home() -> None:
    world = World()
    assert world.drill(Action.FAILBACK).against(yes=True) == [f"a failback leads to {HOME}: use switchover --to {AWAY}"]


def test_it_says_what_it_breaks_and_for_how_long() -> None:
    world = World()
    made = world.drill()
    warning = made.warning()
    assert f"all executions from the payments function in {HOME}, and lets its health check fail" in warning
    least, most = (sum(getattr(each, end) for each in predict(world.stack)) for end in ("least", "most"))
    assert f"{least:.0f} to {most:.0f} s (predicted; the budget is {sum(made.plan.budget().values()):.0f} s)" in warning
    assert "drill:from to drill:to" in warning
    assert NO_DNS not in warning


def test_of_two_drills_at_once_one_is_refused() -> None:
    world = quick()
    made = world.drill()
    other = {"document": {"S": json.dumps({"began": NOW, "to": AWAY, "broken": None})}, "payment_id": {"S": DRILL}}
    world.network.meanwhile[2] = lambda: world.tables[AWAY].items.update({DRILL: other})
    with pytest.raises(AlreadyRunning):
        made.run()
    assert world.broken is None


def test_a_claim_that_got_through_without_an_answer_is_the_drills_own() -> None:
    world = quick()
    made = world.drill(Action.SWITCHOVER)
    world.network.faults = [None, None, Fault(client_error("RequestTimeout"), done=True)]
    assert made.run().ok


def test_without_the_key_nothing_is_begun() -> None:
    world = quick()
    made = world.drill()
    world.network.faults = [Fault(client_error("NotFoundException"))]
    with pytest.raises(AwsFailure, match="API key: NotFoundException"):
        made.run()
    assert DRILL not in world.tables[AWAY].items


# --- What is kept

def test_the_newest_drill_counts_as_the_region_tells_it_that_stood_by() -> None:
    world = World()
    assert kept(world.stack, world) is None
    assert restore(world.stack, world) is None
    for table in world.tables.values():
        table.copy = lambda _key, _item: None
    old, broken, mended = ({"began": began, "to": AWAY, "broken": what}
                           for began, what in ((1.0, None), (2.0, {"region": HOME}), (2.0, None)))
    world.table(HOME).keep(DRILL, broken)
    world.table(AWAY).keep(DRILL, old)
    assert kept(world.stack, world) == broken
    world.table(AWAY).keep(DRILL, mended)
    assert kept(world.stack, world) == mended


def test_one_region_that_tells_is_enough() -> None:
    world = World()
    world.table(AWAY).keep(DRILL, {"began": 1.0, "to": AWAY, "broken": None})
    world.network.faults = [Fault(client_error("AccessDeniedException"))]
    assert kept(world.stack, world) == {"began": 1.0, "to": AWAY, "broken": None}
    silent(world)
    with pytest.raises(StoreUnavailable):
        kept(world.stack, world)


def test_it_leads_away_from_the_region_that_has_the_right_and_a_failback_home() -> None:
    world = World()
    assert aim(world.stack, Action.SWITCHOVER, world).region == AWAY
    world.move(AWAY)
    assert aim(world.stack, Action.FAILOVER, world).region == HOME
    silent(world)
    assert aim(world.stack, Action.FAILOVER, world).region == AWAY
    assert aim(world.stack, Action.FAILBACK, world).region == HOME


@pytest.mark.parametrize("value", [None, 7])
def test_outputs_that_a_drill_needs_must_be_there(value: object) -> None:
    with pytest.raises(StackError, match=r"dr_api_key_id = .*: must be a text"):
        DrillTargets.of({**MORE, "dr_api_key_id": value}, World().stack.sites[1])


# --- The client

def test_clients_pay_until_the_end_of_the_block() -> None:
    calls, enough = list[int](), Event()

    def pay() -> None:
        calls.append(1)
        if len(calls) >= 3 * GOOD:
            enough.set()

    with paying(pay, 0.001):
        assert enough.wait(10)
    before = len(calls)
    assert not enough.wait(0) or len(calls) == before


class Response(io.BytesIO):
    """An answer over HTTP."""

    def __init__(self, status: int, body: bytes, region: str = AWAY) -> None:
        super().__init__(body)
        self.status, self.headers = status, {"X-Region": region}


class Broken(Response):
    """One that breaks off."""

    def read(self, _size: int | None = -1, /) -> bytes:
        """Nothing more comes."""
        raise ConnectionResetError


def failure(status: int, body: bytes) -> urllib.error.HTTPError:
    """An answer that urllib raises."""
    return urllib.error.HTTPError("https://x", status, "", Message(), io.BytesIO(body))


@pytest.mark.parametrize(("outcome", "reply"), [
    (Response(201, b'{"payment_id": "x"}'), Reply(201, AWAY, "201")),
    (Broken(201, b""), Reply(201, AWAY, "201")),
    (failure(503, b'{"error": "not the writer"}'), Reply(503, "", "503 not the writer")),
    (failure(500, b'{"message": "Internal server error"}'), Reply(500, "", "500 Internal server error")),
    (failure(502, b"<html>"), Reply(502, "", "502")),
    (failure(502, b"[]"), Reply(502, "", "502")),
    (urllib.error.URLError(socket.gaierror(8, "no such name")), Reply(0, "", "gaierror")),
    (urllib.error.URLError("odd"), Reply(0, "", "odd")),
    (TimeoutError(), Reply(0, "", "TimeoutError")),
])
def test_whatever_comes_back_is_a_reply(monkeypatch: pytest.MonkeyPatch, outcome: Any, reply: Reply) -> None:
    sent: list[urllib.request.Request] = []

    def urlopen(request: urllib.request.Request, timeout: float) -> Any:
        assert timeout == drill.TIMEOUT
        sent.append(request)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    assert drill.send("POST", "https://x/payment", KEY, b"{}") == reply
    assert (sent[0].get_method(), sent[0].data, dict(sent[0].header_items())) == (
        "POST", b"{}", {"Content-type": "application/json", "X-api-key": KEY})


# --- The command

Outcome = tuple[Any, ...]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Outcome]:
    """What is typed after `drill` is done in a world, on a terminal with this answer; gives code and reasons."""
    def run(world: World, *typed: str, answer: str = "", **changes: Any) -> Outcome:
        path = tmp_path / "outputs.json"
        path.write_text(json.dumps({**OUTPUTS, **MORE, "service_url": SERVICE, **changes}), encoding="utf-8")
        made = partial(Drill, send=world.send, look=world.look, clock=world.clock, paying=world.paying)
        for name, value in (("BotoClients", lambda: world), ("Drill", made), ("claim", world.claim), ("drive", world.go_on)):
            monkeypatch.setattr(cli, name, value)
        monkeypatch.setenv(cli.OUTPUTS_VARIABLE, str(path))
        monkeypatch.setattr(sys, "argv", ["recovery", "drill", *typed])
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        for region in REGIONS:
            world.watch(region)
        return cli._outcome()  # pylint: disable=protected-access  # main() ends the process

    return run


def test_the_command_asks_first_and_prints_the_report(command: Callable[..., Outcome],
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    assert command(world, "switchover", answer="y\n") == (0,)
    told = capsys.readouterr()
    assert "Moves payments from us-east-1 to us-west-2" in told.err
    assert told.out.lstrip().startswith(f"drill switchover from {HOME} to {AWAY}: ok\nrecovery: 2")
    assert command(world, "failback", "--yes", "--json", "--seconds", "100") == (0,)
    told = capsys.readouterr()
    assert json.loads(told.out) == {key: value for key, value in world.kept().items() if key != "broken"}
    assert told.err == ""


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_the_command_does_nothing_unless_somebody_agrees(command: Callable[..., Outcome], answer: str) -> None:
    world = World()
    assert command(world, "failover", answer=answer) == (2, "nobody agreed to it")
    assert (world.broken, DRILL in world.tables[AWAY].items) == (None, False)


def test_the_command_refuses_with_the_reasons(command: Callable[..., Outcome]) -> None:
    world = World()
    assert command(world, "failover", profile="prod") == (2, "the profile is prod: a drill there needs --yes")
    assert command(world, "switchover", "--to", HOME, "--yes") == (
        2, f"{HOME} has the right to write and the database's writer already")
    assert command(world, "failover", "--seconds", "0")[0] == 2
    assert world.driven == []


def test_the_command_tells_when_a_drill_is_not_ok(command: Callable[..., Outcome],
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    assert command(World(), "switchover", "--yes", recovery_time_objective=1) == (1,)
    assert "payments were not accepted for 2" in capsys.readouterr().out
    world = World()
    world.network.denied = frozenset({f"get_api_key {AWAY}"})
    assert command(world, "switchover", "--yes") == (1, "API key: AccessDeniedException: refused")


def test_the_command_restores_what_is_left_broken(command: Callable[..., Outcome],
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    world = quick()

    def interrupt() -> None:
        world.network.left = 0
        raise KeyboardInterrupt

    world.told[f"{HOME} is broken"] = interrupt
    with pytest.raises(Crash):
        world.drill().run()
    world.network.left = None
    assert command(world, "restore", "--json") == (0,)
    assert json.loads(capsys.readouterr().out)["restored"] == {
        "region": HOME, "function": FUNCTIONS[HOME], "reserved": 300, "check": CHECKS[HOME], "inverted": False,
        "disabled": False}
    world.assert_as_found()
    assert command(world, "restore") == (0,)
    assert capsys.readouterr().out == "nothing is left broken\n"


def test_the_command_is_interrupted(command: Callable[..., Outcome]) -> None:
    world = World()

    def interrupt() -> None:
        raise KeyboardInterrupt

    world.controller = interrupt
    assert command(world, "switchover", "--yes") == (
        130, "interrupted", f"`{RESTORE}` makes sure that nothing is left broken")
