"""The plan: the steps of an action, how long each may take, and what speaks against it. Nothing here calls anybody."""
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from contract import DNS_TTL, LOOK_SECONDS
from payments.leadership import Leadership
from recovery.journal import Run
from recovery.observation import UNREADY, Observation
from recovery.probe import ProbeResult
from recovery.stack import Site, Stack

STALE = 60.0  # seconds after which what a controller has written says nothing of the present
PROMOTION = 60.0, 480.0  # seconds, at least and at most, that Aurora takes to make another cluster the writer


class Action(StrEnum):
    """What may be done. A switchover is planned and loses nothing; a failover asks the other region for nothing."""

    SWITCHOVER = "switchover"
    FAILOVER = "failover"
    FAILBACK = "failback"


@dataclass(frozen=True)
class Step:
    """One step: what it does, what proves it done, and the seconds that it may take.

    `after`: payments are taken again by then, so it is no part of the recovery time.
    """

    key: str
    does: str
    proof: str
    budget: float
    after: bool = False


_REJOIN = Step("rejoin", "wait until the returning region answers and its database follows the writer",
               "its API answers, and its cluster is an available reader of the global database", 7200)
_SNAPSHOT = Step("snapshot", "keep the snapshot that Aurora took of what the old writer had not replicated",
                 "a copy of each rds:unplanned-global-failover-* snapshot is there", 600)
_CAUGHT_UP = Step("caught-up", "wait until its table and its database have caught up", "neither lags for sure", 900)
_FENCE = Step("fence", "take the right to write, under a new epoch", "the right names the region", 10)
_TRAFFIC = Step("traffic", "move the lever that Route 53 watches",
                "the object `takeover` is where it must be, only there", 10)
_FAIL_OVER = Step("promote", "make its database the writer, whatever the other one has",
                  "its cluster is the writer, and available", PROMOTION[1])
_SWITCH_OVER = Step("promote", "swap the databases' roles", "its cluster is the writer, and available", PROMOTION[1])
_EPOCH = Step("epoch", "raise the epoch above any that its ledger has seen",
              "the right's epoch is not below the ledger's", 15)
_VERIFY = Step("verify", "make a payment", "it is accepted", 30)
_RECONCILE = Step("reconcile", "replay what one store has and another lacks", "the function says that it is done", 900,
                  after=True)

_MOVE = (_FENCE, _TRAFFIC, _FAIL_OVER, _EPOCH, _VERIFY, _RECONCILE)
_SWAP = (_CAUGHT_UP, _TRAFFIC, _FENCE, _SWITCH_OVER, _EPOCH, _VERIFY, _RECONCILE)
STEPS: Mapping[Action, tuple[Step, ...]] = {
    Action.FAILOVER: _MOVE, Action.SWITCHOVER: _SWAP, Action.FAILBACK: (_REJOIN, _SNAPSHOT, *_SWAP)}
_WAITS = frozenset({_REJOIN, _SNAPSHOT, _CAUGHT_UP})  # payments go on meanwhile


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An action on a stack, towards the site that is to take payments."""

    action: Action
    stack: Stack
    target: Site

    @property
    def other(self) -> Site:
        """The site that is left."""
        return self.stack.other(self.target.region)

    @property
    def steps(self) -> tuple[Step, ...]:
        """In their order."""
        return STEPS[self.action]

    def budget(self) -> dict[str, float]:
        """Seconds, by what takes them, until payments are taken again: their sum is to stay within the objective.

        The worst case: the slower kind of evidence, and clients that asked for the name just before it moved.
        """
        found = {"dns": DNS_TTL, "lever": float(self.stack.health_check_interval)}
        if self.action is Action.FAILOVER:
            found["detect"] = float(self.stack.detection * UNREADY)
        return {**found, **{step.key: step.budget for step in self.steps if not step.after and step not in _WAITS}}


@dataclass(frozen=True)
class Prediction:
    """What a phase is expected to take in AWS: between `least` and `most` seconds, and where the figures are from."""

    phase: str
    least: float
    most: float
    source: str


def predict(stack: Stack) -> list[Prediction]:
    """What a failover is expected to take in AWS until payments are taken again; nobody has measured it there."""
    return [
        Prediction("detect", stack.detection, stack.detection + LOOK_SECONDS,
                   "healthCheckInterval x healthCheckThreshold, and the look that came just before"),
        Prediction("decide and fence", 1, 4, "the lease of 1 s, and calls within one region"),
        Prediction("promote", *PROMOTION, "AWS says minutes; one user measured 8 minutes"),
        Prediction("dns", 0, stack.health_check_interval + DNS_TTL - PROMOTION[0],
                   "the lever's interval and the TTL, which run while the database is promoted"),
        Prediction("first write", 0, 5, "the function connects to the new writer"),
    ]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known before an action, all of it from the target's own region but for `other`.

    `writer` is the region of the writer by RDS, `cluster` the state of the target's cluster, `instances` how many of
    its database instances are available. `wrong` says what its stores fail with, by store. `other` is the other region
    seen from outside, None where it must not be asked.
    """

    right: Leadership | None
    writer: str | None
    cluster: str
    instances: int
    own: ProbeResult
    wrong: Mapping[str, str] = field(default_factory=dict)
    watch: Observation | None = None
    run: Run | None = None
    other: ProbeResult | None = None


@dataclass(frozen=True)
class Refusal:
    """Why an action is not begun. `loses`: a person who accepts the loss of data may begin it all the same."""

    reason: str
    loses: bool = False


def refusals(plan: Plan, facts: Facts, now: float) -> list[Refusal]:
    """Everything that speaks against the plan at `now` (seconds since the epoch); nothing if it may begin.

    What would be lost is asked last: of a region that cannot take over it does not matter.
    """
    return [*_role(plan, facts)] or [*_unhealthy(plan, facts)] or [
        *(_losses if plan.action is Action.FAILOVER else _planned)(plan, facts, now)]


def resumes(plan: Plan, run: Run | None) -> bool:
    """Whether the run is this plan's, and not at its end."""
    return (run is not None and run.ended is None
            and (run.action, run.target) == (plan.action.value, plan.target.region))


def _role(plan: Plan, facts: Facts) -> Iterator[Refusal]:
    target, home = plan.target.region, plan.stack.sites[0].region
    if plan.action is Action.FAILBACK and target != home:
        yield Refusal(f"a failback leads to {home}: use switchover --to {target}")
    if facts.right is None or facts.writer is None:
        store, lacking = ("table", "who has the right to write") if facts.right is None else (
            "ledger", "where the database's writer is")
        yield Refusal(f"unknown state: {target} does not say {lacking}: {facts.wrong.get(store, 'there is none')}")
    elif facts.right.region == target == facts.writer:
        yield Refusal(f"{target} has the right to write and the database's writer already")


def _unhealthy(plan: Plan, facts: Facts) -> Iterator[Refusal]:
    """Whether the target can take over. A region on its way back may still become able to: that is waited for."""
    target = plan.target.region
    for store, why in sorted(facts.wrong.items()):
        yield Refusal(f"{target} is not healthy: {store}: {why}")
    if plan.action is Action.FAILBACK:
        return
    if not facts.own.alive:
        yield Refusal(f"{target} is not healthy: its API does not answer: {facts.own.why}")
    if facts.cluster != "available" or not facts.instances:
        yield Refusal(f"{target} is not healthy: its database is {facts.cluster or 'not there'}, with "
                      f"{facts.instances} instances available")


def _losses(plan: Plan, facts: Facts, now: float) -> Iterator[Refusal]:
    """What a failover would lose, or that nobody knows."""
    other, watch, objective = plan.other.region, facts.watch, plan.stack.recovery_point_objective
    silent = _silent(plan, watch, now)
    if watch is None or silent:
        yield Refusal(f"{silent}, so nobody knows what would be lost", loses=True)
        return
    if not (watch.is_dead(plan.stack) or watch.is_unready(plan.stack)):
        yield Refusal(f"{other} is not known to be down, and what it takes until it is fenced may be lost: "
                      "use switchover", loses=True)
    if watch.exposure is None:
        yield Refusal("unknown lag: nobody knows what would be lost", loses=True)
    elif watch.exposure > objective:
        yield Refusal(f"the last {watch.exposure:.0f} s of payments would be lost, and the recovery point is "
                      f"{objective} s: {lags(watch)}", loses=True)


def _planned(plan: Plan, facts: Facts, now: float) -> Iterator[Refusal]:
    """Whether the region that gives up the payments is well enough to do so without losing any.

    The controller of a region on its way back may yet report: that is waited for.
    """
    silent = _silent(plan, facts.watch, now)
    if silent and plan.action is not Action.FAILBACK:
        yield Refusal(f"{silent}, so nobody knows how far it is behind")
    other, seen = plan.other.region, facts.other
    if seen is None or not seen.alive:
        yield Refusal(f"{other} does not answer ({seen.why if seen else 'not asked'}): a planned move needs both "
                      "regions")
    elif facts.writer == other and not seen.ready:
        yield Refusal(f"{other} cannot take payments ({seen.why}): a planned move needs both regions healthy")


def _silent(plan: Plan, watch: Observation | None, now: float) -> str:
    """What there is to say of a controller that does not report; nothing of one that does."""
    if watch is not None and now - watch.at <= STALE:
        return ""
    age = "has never reported" if watch is None else f"has not reported for {now - watch.at:.0f} s"
    return f"unknown state: the controller of {plan.target.region} {age}"


def lags(watch: Observation) -> str:
    """How far each store was behind when the other region last answered, for people."""
    known = (f"{store} {seconds:.1f} s behind" for store, seconds in sorted(watch.lags.items()))
    return ", ".join(known) or "lag unknown"
