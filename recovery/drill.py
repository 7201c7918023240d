"""A drill on AWS: an action carried out for practice, with a client that pays all the while, and what that client saw.

Before a failover the active region is broken by what AWS allows. What was there is in the table before anything is
changed, so that whoever comes later can mend what a drill has left broken.
"""
import http.client
import json
import math
import threading
import urllib.error
import urllib.request
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from botocore.exceptions import BotoCoreError

from payments.errors import StoreUnavailable
from recovery import probe
from recovery.clock import CLOCK, Clock
from recovery.cloud import AwsFailure, ClientFactory, Cloud, failing, reason
from recovery.control_table import DRILL, ControlTable
from recovery.decision import AUTOMATIC
from recovery.journal import AlreadyRunning, Journal, Run
from recovery.measure import GOOD, ClientWrite, Recovery, measure
from recovery.observation import UNREADY
from recovery.plan import STALE, STEPS, Action, Plan, predict, refusals
from recovery.runner import StepTimedOut
from recovery.stack import DNS_TTL, Site, Stack, StackError

T = TypeVar("T")

RESTORE = "python -m recovery drill restore"
PAYERS, PERIOD = 4, 1.0  # clients, and seconds from one payment of a client to its next
TIMEOUT = 5.0  # seconds for each step of a payment
DURATION = 3600.0  # seconds that clients pay at most, if nobody says otherwise
POLL = 1.0  # seconds between two looks at what is waited for
SETTLE = 3 * DNS_TTL  # seconds for clients to find their way: some resolvers keep a name for longer than they may
BACK = STEPS[Action.FAILBACK][0].budget  # seconds for the region that was given up to be able to take payments again
PROOF, ROUNDS = 900.0, 5  # seconds and tries to find what was acknowledged
PROD = "prod"
NO_DNS = "DNS is not part of it: clients turn from one region's API to the other's by themselves"


# --- What is broken, and mended


@dataclass(frozen=True, kw_only=True)
class DrillTargets:
    """What a drill takes hold of in a region, by the stack's outputs; without DNS there is no health check (empty)."""

    function_name: str
    api_key_id: str
    health_check_id: str

    @classmethod
    def of(cls, outputs: Mapping[str, Any], site: Site) -> "DrillTargets":
        """From the stack's flat outputs. Raises StackError."""
        found: dict[str, Any] = {each.name: outputs.get(f"{site.role}_{each.name}") for each in fields(cls)}
        for name, value in found.items():
            if not isinstance(value, str):
                raise StackError(f"{site.role}_{name} = {value!r}: must be a text")
        return cls(**found)


@dataclass(frozen=True, kw_only=True)
class SavedState:
    """What was there before a drill broke it.

    `reserved` are the executions reserved for the function of a region, None if none are; `inverted` and `disabled` is
    the health check, if there is one.
    """

    region: str
    function: str
    reserved: int | None
    check: str = ""
    inverted: bool = False
    disabled: bool = False


def present(clients: ClientFactory, region: str, handles: DrillTargets) -> SavedState:
    """What is there now. Raises Failed."""
    function, check = handles.function_name, handles.health_check_id
    with failing(f"payments function in {region}"):
        reserved = clients("lambda", region).get_function_concurrency(FunctionName=function)
    found = SavedState(region=region, function=function, reserved=reserved.get("ReservedConcurrentExecutions"))
    if not check:
        return found
    with failing("health check"):
        config = clients("route53", region).get_health_check(HealthCheckId=check)["HealthCheck"]["HealthCheckConfig"]
    return replace(found, check=check, inverted=config.get("Inverted", False), disabled=config.get("Disabled", False))


def inject(clients: ClientFactory, before: SavedState) -> None:
    """Make the region's API fail, and its health check. Raises Failed.

    A check that is only inverted would turn healthy as the API fails; one that is disabled as well stays unhealthy. It
    comes first: it is Route 53's control plane, which a failover must not need.
    """
    _set_check(clients, replace(before, inverted=True, disabled=True))
    _set_reserved(clients, replace(before, reserved=0))


def mend(clients: ClientFactory, before: SavedState) -> None:
    """Put everything back; to do so again changes nothing. Raises Failed once it has tried all of it."""
    wrong = []
    for put_back in (_set_reserved, _set_check):
        try:
            put_back(clients, before)
        except AwsFailure as error:
            wrong.append(str(error))
    if wrong:
        raise AwsFailure(f"not restored: {'; '.join(wrong)}: `{RESTORE}`")


def _set_reserved(clients: ClientFactory, wanted: SavedState) -> None:
    client = clients("lambda", wanted.region)
    with failing(f"payments function in {wanted.region}"):
        if wanted.reserved is None:
            client.delete_function_concurrency(FunctionName=wanted.function)
        else:
            client.put_function_concurrency(FunctionName=wanted.function, ReservedConcurrentExecutions=wanted.reserved)


def _set_check(clients: ClientFactory, wanted: SavedState) -> None:
    if wanted.check:
        with failing("health check"):
            clients("route53", wanted.region).update_health_check(
                HealthCheckId=wanted.check, Inverted=wanted.inverted, Disabled=wanted.disabled)


def kept(stack: Stack, clients: ClientFactory) -> dict[str, Any] | None:
    """The last drill, None if there never was one. Raises StoreUnavailable if no region tells.

    It is written in the region that stood by, whose replica knows best; another one may lag.
    """
    found, silent = dict[tuple[float, bool], dict[str, Any]](), list[StoreUnavailable]()
    for site in stack.sites:
        try:
            document = _table(stack, clients, site).document(DRILL)
        except StoreUnavailable as error:
            silent.append(error)
            continue
        if document is not None:
            found[document["began"], document["to"] == site.region] = document
    if silent and not found:
        raise silent[0]
    return found[max(found)] if found else None


def restore(stack: Stack, clients: ClientFactory) -> SavedState | None:
    """Mend what a drill left broken; None if nothing is. Raises Failed and StoreUnavailable."""
    document = kept(stack, clients)
    if document is None or document["broken"] is None:
        return None
    before = SavedState(**document["broken"])
    mend(clients, before)
    _table(stack, clients, stack.site(document["to"])).keep(DRILL, {**document, "broken": None})
    return before


def _table(stack: Stack, clients: ClientFactory, site: Site) -> ControlTable:
    return ControlTable(clients("dynamodb", site.region), stack.payments_table_name)


# --- The client


@dataclass(frozen=True)
class Reply:
    """An HTTP status (0: no answer), the region that gave it, empty if unknown, and in a word what was wrong."""

    status: int
    region: str = ""
    kind: str = ""


class Send(Protocol):
    """How a client sends a request."""

    @abstractmethod
    def __call__(self, method: str, url: str, key: str, body: bytes | None = None) -> Reply:
        """Sends it with an API key; that nothing comes back is a reply, too."""


def send(method: str, url: str, key: str, body: bytes | None = None) -> Reply:
    """Over a connection of its own: the name is resolved each time, by the system's resolver."""
    headers = {"Content-Type": "application/json", "x-api-key": key}
    request = urllib.request.Request(url, data=body, headers=headers, method=method)  # noqa: S310  # the stack's own
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)  # noqa: S310
    except urllib.error.HTTPError as error:
        response = error
    except (OSError, http.client.HTTPException) as error:
        return Reply(0, kind=probe.silence(error))
    with response:
        status, region = response.status, response.headers.get("X-Region", "")
        return Reply(status, region, f"{status} {_told(response)}".strip())


def _told(response: Any) -> str:
    """What an API says that is wrong: the payments function in `error`, API Gateway in `message`."""
    with suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
        found = json.loads(response.read())
        return str(found.get("error") or found.get("message") or "")
    return ""


class Payer:
    """A client that pays one minor unit after the other, for `seconds` at most, and keeps what it was told.

    It knows the service by its name. Where there is no DNS it knows both regions, and turns to the other one when a
    payment fails.
    """

    def __init__(self, stack: Stack, key: str, send_: Send, clock: Clock, seconds: float) -> None:
        self._stack, self._key, self._send, self._clock = stack, key, send_, clock
        self._until = clock.monotonic() + seconds
        self._at = stack.sites[0].region
        self._requests: list[ClientWrite] = []
        self.acknowledged: list[str] = []

    @property
    def over(self) -> bool:
        """Whether it pays no more."""
        return self._clock.monotonic() >= self._until

    @property
    def requests(self) -> list[ClientWrite]:
        """What it has sent and heard of, in the order of sending."""
        return sorted(self._requests, key=lambda request: request.sent_at)

    def pay(self) -> None:
        """One payment."""
        if self.over:
            return
        stack, at, payment_id = self._stack, self._at, f"drill-{uuid4().hex}"
        body = json.dumps({"payment_id": payment_id, "amount": 1, "currency": "USD", "payer": "drill:from",
                           "payee": "drill:to"}).encode()
        sent_at = self._clock.monotonic()
        reply = self._send("POST", f"{stack.service_url or stack.site(at).api_endpoint}/payment", self._key, body)
        accepted = reply.status == HTTPStatus.CREATED
        if accepted:
            self.acknowledged.append(payment_id)
        else:
            self._at = stack.other(at).region
        self._requests.append(ClientWrite(
            sent_at=sent_at, answered_at=self._clock.monotonic(), accepted=accepted,
            where=reply.region if stack.service_url else at, kind="" if accepted else reply.kind))

    def steady(self, since: float) -> bool:
        """Whether the last GOOD of what it has sent since a moment (monotonic seconds) are accepted."""
        latest = [request.accepted for request in self.requests if request.sent_at >= since][-GOOD:]
        return len(latest) == GOOD and all(latest)

    def lost(self, site: Site) -> int:
        """How many payments were acknowledged, and are not found in a region: a copy may need a moment to get there."""
        until = self._clock.monotonic() + PROOF
        missing = self.acknowledged
        with ThreadPoolExecutor(PAYERS, "payer") as pool:
            for _ in range(ROUNDS):
                found = pool.map(partial(self._finds, site, until), missing)
                missing = [payment_id for payment_id, there in zip(missing, found, strict=True) if not there]
                if not missing:
                    break
                self._clock.sleep(POLL)
        return len(missing)

    def _finds(self, site: Site, until: float, payment_id: str) -> bool:
        if self._clock.monotonic() >= until:
            return False
        return self._send("GET", f"{site.api_endpoint}/payment/{payment_id}", self._key).status == HTTPStatus.OK


@contextmanager
def paying(pay: Callable[[], None], period: float = PERIOD) -> Iterator[None]:
    """Pay all the while, from PAYERS threads, each of them once a period (seconds)."""
    over = threading.Event()

    def run(delay: float) -> None:
        while not over.wait(delay):
            pay()
            delay = period

    threads = [threading.Thread(target=run, args=(period * number / PAYERS,), name="payer", daemon=True)
               for number in range(PAYERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


# --- The drill


@dataclass(frozen=True, kw_only=True)
class DrillReport:
    """What came of a drill; times in seconds since the epoch.

    `why` says what went wrong: with the drill itself, or else that payments were not accepted again within the recovery
    time objective, or that some of those acknowledged are lost; empty if all went well. `back` is the way back of a
    failover; None if there was none, or nobody paid.
    """

    began: float
    ended: float
    action: str
    origin: str
    target: str
    recovery: Recovery
    acknowledged: int
    lost: int
    back: Recovery | None = None
    errors: Mapping[str, int] = field(default_factory=dict)
    dns: bool = True
    why: str = ""

    @property
    def ok(self) -> bool:
        """Whether all went well."""
        return not self.why

    def document(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {"began": self.began, "ended": self.ended, "action": self.action, "from": self.origin, "to": self.target,
                "ok": self.ok, "why": self.why, "acknowledged": self.acknowledged, "lost": self.lost,
                "errors": dict(self.errors), "dns": self.dns, "recovery": self.recovery.document(),
                "back": self.back and self.back.document()}

    def __str__(self) -> str:
        """For people, in lines."""
        head = f"drill {self.action} from {self.origin} to {self.target}: {self.why or 'ok'}"
        errors = ", ".join(f"{count} x {kind}" for kind, count in self.errors.items()) or "none"
        return "\n".join([
            head, f"recovery: {_text(self.recovery)}",
            *([f"way back: {_text(self.back)}"] if self.back else []),
            f"payments: {self.acknowledged} acknowledged, {self.lost} of them lost; errors: {errors}",
            *([] if self.dns else [NO_DNS])])


def _text(recovery: Recovery) -> str:
    if recovery.began is None:
        return "no payment failed"
    if not recovery.recovered:
        return f"none: no {GOOD} payments in a row were accepted again"
    phases = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in recovery.phases.items())
    return f"{recovery.whole:.1f} s{phases and f' ({phases})'}; longest gap {recovery.gap:.1f} s"


def _late(recovery: Recovery, objective: float) -> str:
    """What is wrong with a recovery; `objective` in seconds."""
    if recovery.whole <= objective:
        return ""
    took = f"for {recovery.whole:.0f} s" if recovery.recovered else "any more"
    return f"payments were not accepted {took}, and the recovery time objective is {objective:.0f} s"


def aim(stack: Stack, action: Action, clients: ClientFactory) -> Site:
    """Where a drill leads if nobody says: a failback home, anything else to the region without the right to write."""
    if action is not Action.FAILBACK:
        for site in stack.sites:
            with suppress(StoreUnavailable):
                return stack.other(_table(stack, clients, site).right().region)
    return stack.sites[0 if action is Action.FAILBACK else 1]


@dataclass(kw_only=True)
class Drill:
    """A drill of the plan's action; it is run once.

    `drive` carries out the plan of a cloud, for the reason given, on evidence that was complete at a time (since the
    epoch; None: there is none), and raises what a Runner raises. `handles` are by region; clients pay for `seconds` at
    most; `say` is told what happens.
    """

    plan: Plan
    handles: Mapping[str, DrillTargets]
    clients: ClientFactory
    drive: Callable[[Cloud, str, float | None], Run]
    seconds: float = DURATION
    send: Send = send
    look: Callable[[str], probe.ProbeResult] = probe.look
    clock: Clock = CLOCK
    paying: Callable[[Callable[[], None]], AbstractContextManager[None]] = paying
    say: Callable[[str], None] = lambda _: None
    _document: dict[str, Any] = field(default_factory=dict, init=False)
    _run: Run | None = field(default=None, init=False)
    _back: Run | None = field(default=None, init=False)
    _turned: float | None = field(default=None, init=False)

    # --- Before it

    def against(self, *, yes: bool) -> list[str]:
        """Everything that speaks against the drill; nothing is changed. `yes`: it may be done to the profile prod."""
        stack = self.plan.stack
        if stack.profile == PROD and not yes:
            return [f"the profile is {PROD}: a drill there needs --yes"]
        facts, now = self._cloud(replace(self.plan, action=Action.SWITCHOVER)).facts(), self.clock.time()
        # Whether a failover could begin if the other region were down, as it is going to be.
        down = facts.watch and replace(facts.watch, dead=stack.failures)
        found = [refusal.reason for action in (Action.SWITCHOVER, self.plan.action)
                 for refusal in refusals(replace(self.plan, action=action), replace(facts, watch=down), now)]
        if facts.right and facts.writer and facts.right.region != facts.writer:
            found.append(f"unknown state: {facts.right.region} has the right to write, and {facts.writer} has the "
                         "database's writer")
        if facts.run and facts.run.ended is None:
            found.append(f"a run is not at its end, of {facts.run.driver}: {facts.run.what}")
        with suppress(StoreUnavailable):  # which is said already
            last = kept(stack, self.clients)
            if last and last["broken"]:
                found.append(f"a drill has left {last['broken']['region']} broken: `{RESTORE}`")
        return list(dict.fromkeys(found))

    def warning(self) -> str:
        """What the drill does, and for how long, for whoever is to agree."""
        plan, stack, active = self.plan, self.plan.stack, self.plan.other.region
        most = sum(plan.budget().values())
        if plan.action is Action.FAILOVER:
            expected = predict(stack)
            least, longest = (sum(getattr(each, end) for each in expected) for end in ("least", "most"))
            check = ", and lets its health check fail" if self.handles[active].health_check_id else ""
            does = (f"Takes all executions from the payments function in {active}{check}, until {plan.target.region} "
                    f"has taken over. Payments fail for {least:.0f} to {longest:.0f} s (predicted; the budget is "
                    f"{most:.0f} s), alarms are raised, and what the database has not copied by then is lost to it. "
                    "Then goes back, for which payments wait once more.")
        else:
            does = f"Moves payments from {active} to {plan.target.region}, to stay. They wait for {most:.0f} s at most."
        clients = "Clients make real payments of one minor unit from drill:from to drill:to."
        return " ".join([f"Drill, {plan.action}.", does, clients, *([] if stack.service_url else [f"{NO_DNS}."])])

    # --- The drill itself

    def run(self) -> DrillReport:
        """Carry it out; the report tells what went wrong. Raises Failed, Busy, StoreUnavailable if it cannot begin."""
        began, why = self.clock.time(), ""
        offset = began - self.clock.monotonic()
        standing = self.plan.target.region
        with failing("API key"):
            key = self.clients("apigateway", standing).get_api_key(
                apiKey=self.handles[standing].api_key_id, includeValue=True)["value"]
        self._claim(began)
        payer = Payer(self.plan.stack, key, self.send, self.clock, self.seconds)
        try:
            with self.paying(payer.pay):
                if not self._settles(payer):
                    told = sorted({each.kind for each in payer.requests if not each.accepted})
                    raise AwsFailure(f"payments fail before anything is done: {', '.join(told)}")
                self._act(payer)
        except (AwsFailure, StepTimedOut, AlreadyRunning, StoreUnavailable, BotoCoreError) as error:
            why = reason(error)
            self.say(why)
        report = self._report(payer, offset, began, why)
        try:
            self._keep(**report.document())
        except StoreUnavailable as error:
            self.say(f"the report could not be kept: {reason(error)}")
        return report

    def _act(self, payer: Payer) -> None:
        if self.plan.action is Action.FAILOVER:
            self._break(payer)
            self._return()
        else:
            self._run = self.drive(self._cloud(self.plan), f"drill of a {self.plan.action}", None)
        self._settles(payer)

    def _break(self, payer: Payer) -> None:
        """Break the active region until the other one has taken over."""
        active, last = self.plan.other.region, Journal(self._table).latest()
        before = present(self.clients, active, self.handles[active])
        try:
            self._keep(broken=asdict(before))
            inject(self.clients, before)
            self.say(f"{active} is broken")
            self._run = self._take_over(last.id if last else "")
            self.say(f"{self.plan.target.region} has taken over")
            self._settles(payer)
        finally:
            mend(self.clients, before)
            self._keep(broken=None)
            self.say(f"{active} is restored")

    def _take_over(self, last: str) -> Run:
        """The run that follows on the evidence: this drill's own, or that of the standby's controller."""
        plan, cloud = self.plan, self._cloud(self.plan)
        patience = plan.stack.detection * UNREADY + 2 * STALE
        if plan.stack.failover_mode == AUTOMATIC:
            return self._wait(partial(self._controllers, last), patience + sum(step.budget for step in plan.steps))
        seen = self._wait(partial(self._may_begin, cloud), patience)
        return self.drive(cloud, "drill of a failover", seen)

    def _return(self) -> None:
        """Back to the region that was broken, once it can take payments again."""
        plan, self._turned = self.plan, self.clock.monotonic()
        action = Action.FAILBACK if plan.other is plan.stack.sites[0] else Action.SWITCHOVER
        cloud = self._cloud(Plan(action=action, stack=plan.stack, target=plan.other))
        self._wait(partial(self._may_begin, cloud), BACK)
        self._back = self.drive(cloud, "drill of a failover, the way back", None)

    # --- What it waits for

    def _wait(self, look: Callable[[], T], seconds: float) -> T:
        """What a look gives as soon as it does not raise Failed. Raises what the last one raised."""
        until = self.clock.monotonic() + seconds
        while True:
            try:
                return look()
            except AwsFailure:
                if self.clock.monotonic() >= until:
                    raise
            self.clock.sleep(POLL)

    def _may_begin(self, cloud: Cloud) -> float | None:
        """When the target last looked at the other region. Raises Failed if anything speaks against the plan."""
        facts = cloud.facts()
        found = refusals(cloud.plan, facts, self.clock.time())
        if found:
            raise AwsFailure("; ".join(refusal.reason for refusal in found))
        return facts.watch.at if facts.watch else None

    def _controllers(self, last: str) -> Run:
        """The controller's run, later than the last one, at its end. Raises Failed until there is one."""
        with failing("journal"):
            run = Journal(self._table).latest()
        if run is None or run.id == last:
            raise AwsFailure(f"the controller of {self.plan.target.region} has not begun to take over")
        if run.ended is None:
            raise AwsFailure(f"{run.what} is not at its end")
        return run

    def _settles(self, payer: Payer) -> bool:
        """Whether clients come to have GOOD payments in a row accepted from now on."""
        since = self.clock.monotonic()
        while not payer.steady(since):
            if payer.over or self.clock.monotonic() >= since + SETTLE:
                return False
            self.clock.sleep(POLL)
        return True

    # --- What is kept of it

    @property
    def _table(self) -> ControlTable:
        """The replica of the region that stands."""
        return _table(self.plan.stack, self.clients, self.plan.target)

    def _cloud(self, plan: Plan) -> Cloud:
        return Cloud(plan=plan, clients=self.clients, look=self.look, clock=self.clock)

    def _claim(self, began: float) -> None:
        """Write that a drill is under way, unless another one has done so since the last look. Raises Busy."""
        table = self._table
        last = table.read(DRILL)
        self._document = {"began": began, "ended": None, "action": self.plan.action.value,
                          "from": self.plan.other.region, "to": self.plan.target.region, "ok": False,
                          "why": "not at its end", "broken": None}
        item = {"document": {"S": json.dumps(self._document)}}
        found = table.write(DRILL, item, {"document": last["document"]["S"]} if last else {})
        if found is not None and found.get("document") != item["document"]:
            raise AlreadyRunning("somebody else", "a drill")

    def _keep(self, **changes: Any) -> None:
        self._document |= changes
        self._table.keep(DRILL, self._document)

    def _report(self, payer: Payer, offset: float, began: float, why: str) -> DrillReport:
        plan, requests = self.plan, payer.requests
        turned = math.inf if self._turned is None else self._turned
        there = measure([each for each in requests if each.sent_at <= turned], self._run, offset)
        returning = [each for each in requests if each.sent_at > turned]
        back = measure(returning, self._back, offset) if returning else None
        lost = payer.lost(plan.other if self._back else plan.target)
        objective = plan.stack.recovery_time_objective
        wrong = [*(_late(each, objective) for each in (there, back) if each),
                 f"{lost} acknowledged payments are lost" if lost else ""]
        return DrillReport(
            began=began, ended=self.clock.time(), action=plan.action.value, origin=plan.other.region,
            target=plan.target.region, recovery=there, back=back, acknowledged=len(payer.acknowledged), lost=lost,
            errors=Counter(each.kind for each in requests if not each.accepted), dns=bool(plan.stack.service_url),
            why=why or "; ".join(filter(None, wrong)))
