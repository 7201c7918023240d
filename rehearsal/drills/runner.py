"""Plays one scenario on a stage, and judges what came of it."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from http import HTTPStatus
from itertools import product

from contract import DNS_TTL, Phase, Store
from payments.leadership import LEASE
from recovery import measure
from recovery.journal import Run
from recovery.observation import UNREADY
from recovery.plan import Action, predict
from recovery.stack import Stack
from rehearsal.aws.faults import WORLD, ApiCall
from rehearsal.drills.environment import CommandResult, DrillEnvironment
from rehearsal.drills.report import model
from rehearsal.drills.scenario import Scenario, ScenarioAction
from rehearsal.errors import CheckFailed
from rehearsal.rehearsed_stack import StoreContents
from rehearsal.workload.checks import expect
from rehearsal.workload.http import ApiClient
from rehearsal.workload.load import SentPayment, acknowledged, new_payment, send_all

OVERHEAD = 2.0  # seconds that recovery may add of its own
SLACK = 0.3  # seconds: what is cut off does not end in one moment, and an acknowledgement takes its way
RATE = 20.0  # requests a second of all clients together
GLOBAL = frozenset({"route53", "iam"})  # control planes that a failover must do without

# The calls at which a controller is killed, by the step that makes them: service, a part of the operation, and how many
# of such calls come before it in the run.
KILLS = (
    ("fence", "dynamodb", "UpdateItem", 0), ("traffic", "s3", "PUT ", 0),
    ("promote", "rds", "FailoverGlobalCluster", 0), ("epoch", "lambda", "tapstack-reconcile", 0),
    ("verify", "lambda", "tapstack-payments", 0), ("reconcile", "lambda", "tapstack-reconcile", 1),
)
MOMENTS = ("before", "after")


class ScenarioRunner:
    """One scenario as it goes: what was done, what was seen, and by whom."""

    def __init__(self, stage: DrillEnvironment, scenario: Scenario, trap: "ControllerTrap | None" = None) -> None:
        self._stage, self._scenario, self._trap = stage, scenario, trap
        self._roles = self._cast()
        self._began = time.monotonic()
        self._offset = time.time() - self._began
        self._first_call = len(stage.ground.relays.calls)
        self._load = stage.clients(RATE, scenario.keeps)
        self._events: list[model.TimelineEvent] = []
        self._checks: list[model.DrillCheck] = []
        self._sent: list[SentPayment] = []
        self._stray: list[SentPayment] = []  # of clients that know no better than to ask the old region
        self._runs: dict[str, Run] = {}
        self._begun: list[tuple[ScenarioAction, Callable[[], CommandResult]]] = []
        self._outage: float | None = None
        self._before: StoreContents | None = None
        self._told: list[str] = []
        self._lost: list[str] = []
        self._refused = 0
        self._recovery: model.RecoveryTime | None = None

    def _cast(self) -> dict[str, str]:
        active = self._stage.active()
        return {"active": active, "standby": self._stage.stack.other(active).region}

    # --- The verbs

    def do(self, deed: ScenarioAction) -> None:
        """Do one thing. Raises Unmet if it does not come about."""
        self._note(_LANES.get(deed.verb, "plan"), str(deed))
        getattr(self, f"_{deed.verb}")(deed.what, **deed.beside)

    def _region(self, role: str) -> str:
        return self._roles[role]

    def _pass(self, seconds: float) -> None:
        time.sleep(seconds)

    def _looks(self, number: int) -> None:
        time.sleep(number * self._stage.look_seconds)

    def _break(self) -> None:
        """Remember when it began, and what the standby had by then."""
        if self._outage is None:
            self._outage = time.monotonic()

    def _snapshot(self) -> None:
        if self._before is None:
            self._before = self._kept("standby")

    def _kept(self, role: str) -> StoreContents:
        return self._stage.kept(self._region(role))

    def _cut(self, role: str, *, inside: bool = False) -> None:
        self._break()
        self._stage.ground.faults.cut(self._region(role), inside=inside)
        self._snapshot()

    def _heal(self, role: str) -> None:
        self._stage.ground.faults.heal(self._region(role))

    def _lose(self, store: str, of: str) -> None:
        self._break()
        self._stage.ground.faults.lose(self._region(of), store)
        self._snapshot()

    def _fail(self, share: float, of: str) -> None:
        self._stage.ground.faults.fail(self._region(of), share)

    def _kill(self, role: str) -> None:
        self._break()
        self._stage.ground.pair.kill(self._region(role))

    def _lag(self, lag: Mapping[str, float]) -> None:
        self._set_lag("active", "standby", lag)

    def _lag_back(self, lag: Mapping[str, float]) -> None:
        self._set_lag("standby", "active", lag)

    def _set_lag(self, source: str, target: str, lag: Mapping[str, float]) -> None:
        regions = self._stage.regions
        self._stage.ground.lag(regions[self._region(source)], regions[self._region(target)], **lag)

    def _wait(self, what: str) -> None:
        checks = {"moved": self._moved, "told": self._has_told, "recovered": self._recovered}
        self._stage.wait(what, checks[what])

    def _moved(self) -> bool:
        run = self._stage.run(self._region("standby"))
        if run is None or run.ended is None or run.ended < self._began + self._offset:
            return False
        self._runs[run.id] = run
        return True

    def _has_told(self) -> bool:
        watch = self._stage.watch(self._region("standby"))
        if watch is None or not watch.notified:
            return False
        self._told.append(watch.notified)
        return True

    def _recovered(self) -> bool:
        sent = self._load.sent[-measure.GOOD:]
        return len(sent) == measure.GOOD and all(each.acknowledged for each in sent)

    # `exit` is what the files call it.
    def _run(self, words: str, exit: int = 0, says: str = "") -> None:  # noqa: A002  # pylint: disable=redefined-builtin
        self._judge_words(self._stage.begin(self._named(words))(), exit, says)
        self._keep_runs()

    def _begin(self, words: str, exit: int = -1, says: str = "") -> None:  # noqa: A002  # pylint: disable=redefined-builtin
        deed = ScenarioAction(verb="begin", what=words, beside={"exit": exit, "says": says})
        self._begun.append((deed, self._stage.begin(self._named(words))))

    def _join(self, _: str) -> None:
        spoken = [(deed, join()) for deed, join in self._begun]
        self._begun.clear()
        for deed, said in spoken:
            if deed.beside["exit"] >= 0:
                self._judge_words(said, deed.beside["exit"], deed.beside["says"])
        self._keep_runs()
        if len(spoken) > 1:
            codes = sorted(said.code for _, said in spoken)
            told = all("already running" in said.text for _, said in spoken if said.code)
            self._check("one wins, the other is told who", codes == [0, 2] and told,
                        " | ".join(f"exit {said.code}: {said.text}" for _, said in spoken))

    def _named(self, words: str) -> str:
        return words.format(**self._roles)

    def _judge_words(self, said: CommandResult, code: int, says: str) -> None:
        self._check(f"recovery {said.words}: exit code {code}" + (f", says {says!r}" if says else ""),
                    said.code == code and says in said.text, f"exit {said.code}: {said.text}")

    def _keep_runs(self) -> None:
        """Remember the runs that have ended, whoever drove them: a journal has only the latest."""
        for region in self._roles.values():
            run = self._stage.run(region) if region not in self._stage.ground.faults.cut_off() else None
            if run and run.ended and run.began >= self._began + self._offset:
                self._runs[run.id] = run

    def _behind(self, number: int) -> None:
        """Payments of clients that are behind the cut, with the region that was active."""
        home = self._stage.regions[self._region("active")]
        self._stray += send_all(ApiClient(region=home.name, url=self._stage.ground.within(home), key=home.key),
                                [new_payment() for _ in range(number)])

    def _stale(self, number: int) -> None:
        home = self._stage.regions[self._region("active")]
        self._stray += send_all(home.api, [new_payment() for _ in range(number)])

    # --- Notes

    def _note(self, lane: model.Lane, what: str, at: float | None = None) -> None:
        self._events.append(model.TimelineEvent(at_s=self._at(time.monotonic() if at is None else at), lane=lane, what=what))

    def _at(self, moment: float) -> float:
        return round(moment - self._began, 3)

    def _check(self, name: str, ok: bool, detail: str = "") -> None:
        self._checks.append(model.DrillCheck(name=name, ok=ok, detail=detail))

    @contextmanager
    def _checked(self, name: str) -> Iterator[list[str]]:
        """A check of all that the block expects; what it puts into the list is what was found."""
        found: list[str] = []
        try:
            yield found
        except CheckFailed as error:
            self._check(name, ok=False, detail=str(error))
        else:
            self._check(name, ok=True, detail=", ".join(found))

    # --- The whole

    def play(self) -> model.DrillResult:
        """From the first payment until everything is again as it was."""
        scenario, stage = self._scenario, self._stage
        if scenario.lag:
            self._lag(scenario.lag)
        if self._trap:
            self._trap.set(self._region("standby"))
        with self._load:
            with self._checked("it comes about") as found:
                expect(self._load.wait_for(acknowledged, 10), True, "a payment is accepted at first")
                for deed in scenario.do:
                    self.do(deed)
                found.append(f"{len(scenario.do)} deeds")
            self._sent = list(self._load.finish())
        self._join("")
        after = self._kept(scenario.expect.active)
        self._judge(after)
        with self._checked("everything is as it was, by the product's own means"):
            for said in stage.restore():
                expect(said.code, 0, f"recovery {said.words}: {said.text}")
        self._judge_end()
        return self._drill(after)

    def _judge(self, after: StoreContents) -> None:
        expected, stage = self._scenario.expect, self._stage
        automatic = [run for run in self._runs.values() if run.driver.startswith("controller")]
        self._check(f"moves by itself: {expected.moves}", len(automatic) == expected.moves,
                    ", ".join(run.what for run in automatic) or "none")
        self._check(f"payments are taken in the region that was {expected.active}",
                    stage.active() == self._region(expected.active) == stage.ground.pair.writer, stage.active())
        self._lost = sorted(each.payment_id for each in acknowledged(self._sent) if not after.settled(each.payment_id))
        with self._checked(f"lost: {expected.lost}") as found:
            expect([each for each in self._lost if not self._may_be_lost(each)], [], "lost, and not by the lag")
            found.append(f"{len(self._lost)} of {len(acknowledged(self._sent))}")
        if expected.told:
            self._check("people were told", any(expected.told in told for told in self._told), "; ".join(self._told))
        if expected.refused or self._stray:
            self._judge_stray(expected.refused)
        if expected.errors:
            longest = max((each.ended for each in self._sent if not each.acknowledged), default=0.0) - min(
                (each.began for each in self._sent if not each.acknowledged), default=0.0)
            self._check(f"errors for at most {expected.errors:.0f} s", longest <= expected.errors, f"{longest:.1f} s")
        for run in self._runs.values():
            if run.action == Action.FAILOVER:
                self._judge_blackout(run)
        self._judge_overhead()
        if self._trap:
            self._check("the controller was killed", self._trap.killed > 0, f"{self._trap.killed} processes")

    def _may_be_lost(self, payment_id: str) -> bool:
        """Whether the payment was made within the shortest lag before the outage, and nothing else was promised."""
        if self._scenario.expect.lost != "lag" or self._stage.stack.strong or self._outage is None:
            return False
        lag = min(self._shortest, default=0.0)
        return any(-SLACK <= self._outage - each.ended <= lag + SLACK
                   for each in acknowledged(self._sent) if each.payment_id == payment_id)

    @property
    def _shortest(self) -> list[float]:
        lags = [deed.what for deed in self._scenario.do if deed.verb == "lag"]
        return [float(each) for each in (lags[-1] if lags else self._scenario.lag).values()]

    def _judge_stray(self, least: int) -> None:
        """What was sent to a region without the right: refused, or with an eventual table found afterwards."""
        old = self._region("active")
        stray = [*self._stray, *(each for each in self._sent if each.region == old and self._outage
                                 and each.began > self._outage)]
        refused = [each for each in stray if each.answer and each.answer.status == HTTPStatus.SERVICE_UNAVAILABLE]
        accepted = acknowledged(self._stray)
        self._refused = len(refused)
        self._check(f"the old writer refuses, at least {least}", len(refused) >= least, f"{len(refused)} refused")
        if self._stage.stack.strong:
            self._check("the old writer accepts none", not accepted, f"{len(accepted)} accepted")

    def _judge_blackout(self, run: Run) -> None:
        """During a failover nobody of the product calls the other region, or the control plane of Route 53 or IAM."""
        impaired = self._stage.stack.other(run.target).region
        calls = [call for call in self._stage.ground.relays.calls[self._first_call:]
                 if run.began <= call.at <= (run.ended or 0.0) and call.caller not in (impaired, WORLD)]
        wrong = [call for call in calls if call.region == impaired or call.service in GLOBAL]
        self._check(f"blackout: no call to {impaired}, to Route 53 or to IAM", bool(calls) and not wrong,
                    ", ".join(map(_told, wrong)) or f"{len(calls)} calls, all to {run.target}")

    def _judge_overhead(self) -> None:
        self._recovery = self._recover()
        if self._recovery and self._scenario.overhead:
            self._check(f"own overhead at most {OVERHEAD:.0f} s", self._recovery.overhead_s <= OVERHEAD,
                        f"{self._recovery.overhead_s:.2f} s")

    def _judge_end(self) -> None:
        stage = self._stage
        paid = {each.payment_id for each in acknowledged([*self._sent, *self._stray])} - set(self._lost)
        with self._checked("every payment that was acknowledged and not lost is whole in both regions") as found:
            for region in stage.regions:
                kept = stage.kept(region)
                expect(sorted(each for each in paid if not kept.whole(each)), [], f"not whole in {region}")
            found.append(f"{len(paid)} payments")
        differences = stage.again()
        self._check("the program deployed again changes nothing", not differences,
                    "; ".join(differences) or "no difference")

    def _recover(self) -> model.RecoveryTime | None:
        """What the clients saw of the first run, on both clocks; None if they saw no outage that a run ended."""
        run = next(iter(self._runs.values()), None)
        requests = [measure.ClientWrite(sent_at=each.began, answered_at=each.ended, accepted=each.acknowledged,
                                    where=each.region, kind="" if each.acknowledged else _kind(each))
                    for each in sorted(self._sent, key=lambda sent: sent.began)]
        found = measure.measure(requests, run, self._offset)
        if run is None or found.began is None or not found.recovered:
            return None
        factor = self._stage.factor
        split = [model.PhaseTime(phase=phase, wall_s=round(wall, 3),
                             full_s=round(wall * (factor if phase in _WAITED else 1), 3))
                 for phase, wall in zip(Phase, found.phases.values(), strict=True)]
        return model.RecoveryTime(
            at_s=self._at(found.began - self._offset), wall_s=round(found.whole, 3),
            full_s=round(sum(phase.full_s for phase in split), 3), split=split,
            overhead_s=round(found.overhead(self._detection(run), DNS_TTL / factor, _promotion(run)), 3))

    def _detection(self, run: Run) -> float:
        """The seconds after which an outage counts as one, and those of the lever's check where the API answers on."""
        stack, unready = self._stage.stack, "cannot take payments" in run.why
        seconds = stack.detection * UNREADY + stack.health_check_interval if unready else stack.detection
        return seconds / self._stage.factor

    def _drill(self, after: StoreContents) -> model.DrillResult:
        scenario, expected = self._scenario, self._scenario.expect
        for change in self._stage.prober.history:
            if change.at >= self._began:
                name = self._stage.zone.checks[change.check_id].name
                self._note("health", f"{name} {'healthy' if change.healthy else 'unhealthy'}", change.at)
        for run in self._runs.values():
            for key, done in run.steps.items():
                ended = (done.ended or done.began) - self._offset
                self._note("plan", f"{run.action} {key}: {done.note}", ended)
        moves = [each for before, each in zip(self._sent, self._sent[1:], strict=False) if before.region != each.region]
        for each in moves:
            self._note("dns", f"clients go to {each.region}", each.began)
        ok = all(check.ok for check in self._checks)
        lost = f"{len(self._lost)} lost" if self._lost else "nothing lost"
        outcome = f"{', '.join(run.what for run in self._runs.values()) or 'nobody moved'}; {lost}"
        return model.DrillResult(
            scenario=scenario.name, title=scenario.title, consistency=self._stage.stack.table_consistency,
            expected=scenario.expected, outcome=outcome if ok else f"not as expected: {outcome}", ok=ok,
            driver="controller" if expected.moves else "command line", recovery=self._recovery,
            stores=self._stores(after), lost=self._lost, refused_stale=self._refused, errors=self._errors(),
            requests=[model.RequestMark(at_s=self._at(each.began), ok=each.acknowledged, region=each.region)
                      for each in self._sent],
            events=sorted(self._events, key=lambda event: event.at_s), checks=self._checks)

    def _errors(self) -> dict[str, int]:
        return dict(Counter(_kind(each) for each in self._sent if not each.acknowledged))

    def _stores(self, after: StoreContents) -> list[model.StoreCounts]:
        """What the stores of the region that takes payments hold of those acknowledged before the outage."""
        if self._before is None or self._outage is None:
            return []
        paid = [each.payment_id for each in acknowledged(self._sent) if each.ended <= self._outage]
        return [model.StoreCounts(store=name, acknowledged=len(paid), before=sum(map(held(self._before), paid)),
                            after=sum(map(held(after), paid))) for name, held in _HELD.items()]


_WAITED = frozenset({"detect", "dns"})  # the phases that consist of waiting, which the factor divides
_LANES: Mapping[str, model.Lane] = {
    **dict.fromkeys(("cut", "heal", "lose", "fail", "kill", "lag", "lag_back"), "fault"),
    **dict.fromkeys(("behind", "stale"), "client")}
_HELD: Mapping[Store, Callable[[StoreContents], Callable[[str], bool]]] = {
    Store.TABLE: lambda kept: kept.settled, Store.LEDGER: lambda kept: kept.ledger.__contains__,
    Store.RECEIPTS: lambda kept: kept.receipts.__contains__}


def _kind(sent: SentPayment) -> str:
    """What a client was told in place of an acknowledgement."""
    if sent.answer is None:
        return "no answer"
    body = sent.answer.body
    return str(body.get("error", sent.answer.status)) if isinstance(body, dict) else str(sent.answer.status)


def _promotion(run: Run) -> float:
    """The seconds that the database itself took."""
    fence, promote = run.steps["fence"], run.steps["promote"]
    asked = max(promote.began, (fence.ended or promote.began) + LEASE)
    return max(0.0, (promote.ended or asked) - asked)


def _told(call: ApiCall) -> str:
    return f"{call.caller} to {call.region}: {call.service} {call.operation}"


def conclude(stack: Stack, drills: Sequence[model.DrillResult], *, started: datetime, factor: float) -> model.DrillRun:
    """The drills with what was promised of them, and what AWS is expected to take."""
    return model.DrillRun(
        title=f"Recovery drills of {stack.environment_suffix}", started=started.isoformat(timespec="seconds"),
        factor=factor, consistency=stack.table_consistency, drills=drills,
        objectives=model.DeclaredObjectives(recovery_time_s=stack.recovery_time_objective,
                                    recovery_point_s=stack.recovery_point_objective),
        prediction=[model.PredictedStep(step=each.phase, seconds=each.most, source=each.source)
                    for each in predict(stack)])


def play(stage: DrillEnvironment, scenario: Scenario) -> model.DrillResult:
    """Play a scenario; one whose driver is to be killed once for each of `KILLS`, before the call and after it."""
    if not scenario.kills:
        return _play(stage, scenario)
    played: list[tuple[str, str, model.DrillResult]] = []
    for (step, *matches, number), moment in product(KILLS, MOMENTS):
        last = _play(stage, scenario, ControllerTrap(stage, matches, number, moment == "after"))
        played.append((step, moment, last))
        if not last.ok:  # the next would show nothing
            break
    resumed, whole = sum(drill.ok for _, _, drill in played), len(KILLS) * len(MOMENTS)
    return replace(
        played[-1][2], ok=resumed == whole, outcome=f"resumed after {resumed} of {whole} kills",
        lost=[each for _, _, drill in played for each in drill.lost],
        kills=[model.ControllerKill(step=step, moment=moment, resumed=drill.ok) for step, moment, drill in played],
        checks=[replace(check, name=f"killed {moment} {step}: {check.name}")
                for step, moment, drill in played for check in drill.checks])


def _play(stage: DrillEnvironment, scenario: Scenario, trap: "ControllerTrap | None" = None) -> model.DrillResult:
    stage.ready()
    return ScenarioRunner(stage, scenario, trap).play()


class ControllerTrap:
    """Kills the standby's controller at a call of its own: `after` it, or before. It springs once."""

    def __init__(self, stage: DrillEnvironment, matches: Sequence[str], number: int, after: bool) -> None:
        (self._service, self._operation), self._number, self._after = matches, number, after
        self._stage, self._seen, self.killed = stage, 0, 0

    def set(self, region: str) -> None:
        """Lie in wait for the controller of a region."""
        self._stage.ground.faults.intercept(partial(self._spring, region))

    def _spring(self, region: str, call: ApiCall, done: bool) -> bool:
        """Whether this call is the one; its caller is dead by then."""
        mine = (call.caller, call.service) == (region, self._service) and self._operation in call.operation
        if self.killed or not mine or done is not self._after:
            return False
        self._seen += 1
        if self._seen <= self._number:
            return False
        self.killed = self._stage.kill_controller(region)
        return bool(self.killed)
