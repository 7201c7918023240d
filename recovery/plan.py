"""The plan: the steps of an action, how long each may take, and what forbids it. Nothing here calls AWS.

A new step is entered here, and implemented in `steps`.
"""
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from contract import DNS_TTL, INSTANCE_SECONDS, SERVERLESS, UNREADY, Phase, Store
from payments.leadership import Leadership
from recovery.journal import Run
from recovery.observation import Observation, ProbeResult
from recovery.stack import Site, Stack

STALE = 60.0  # seconds, and at least three looks, after which what a controller has written no longer counts
PROMOTION = 60.0, 480.0  # seconds, at least and at most, that Aurora takes to make another cluster the writer
AVAILABLE = "available"  # what RDS calls the state of a cluster, instance or snapshot that can be used


class Action(StrEnum):
    """What can be done. A switchover is planned and loses nothing; a failover asks nothing of the other region."""

    SWITCHOVER = "switchover"
    FAILOVER = "failover"
    FAILBACK = "failback"


@dataclass(frozen=True)
class Step:
    """One step: what it does, what proves that it is done, and the seconds that it may take.

    `after`: it runs once payments are taken again, and is not part of the recovery time.
    """

    key: str
    does: str
    proof: str
    budget: float
    after: bool = False


REJOIN = Step("rejoin", "wait until the returning region answers and its database follows the writer",
              "its API answers, and its cluster is an available reader of the global database", 7200)
SNAPSHOT = Step("snapshot", "keep the snapshot that Aurora took of what the old writer had not replicated",
                "a copy of each rds:unplanned-global-failover-* snapshot exists", 600)
CATCH_UP = Step("caught-up", "wait until its table and its database have caught up", "both replicas have caught up",
                900)
FENCE = Step("fence", "take leadership under a new epoch", "the table names the region as the leader", 10)
MOVE_TRAFFIC = Step("traffic", "pull or reset the levers that Route 53 watches",
                    "the object `takeover` exists where it must, and only there", 10)
FAIL_OVER = Step("promote", "make its database the writer, whatever the other region's has",
                 "its cluster is the writer, and available", PROMOTION[1])
SWITCH_OVER = Step("promote", "swap the databases' roles", "its cluster is the writer, and available", PROMOTION[1])
RAISE_EPOCH = Step("epoch", "raise the epoch above any that its ledger has seen",
                   "the leader's epoch is not below the ledger's", 15)
VERIFY = Step("verify", "make a payment", "it is accepted", 30)
RECONCILE = Step("reconcile", "replay what one store has and another lacks", "the function reports that it is done",
                 900, after=True)

_TAKE_OVER = (FENCE, MOVE_TRAFFIC, FAIL_OVER, RAISE_EPOCH, VERIFY, RECONCILE)
_SWAP = (CATCH_UP, MOVE_TRAFFIC, FENCE, SWITCH_OVER, RAISE_EPOCH, VERIFY, RECONCILE)
STEPS: Mapping[Action, tuple[Step, ...]] = {
    Action.FAILOVER: _TAKE_OVER, Action.SWITCHOVER: _SWAP, Action.FAILBACK: (REJOIN, SNAPSHOT, *_SWAP)}
_BEFORE = frozenset({REJOIN, SNAPSHOT, CATCH_UP})  # the other region still takes payments during these


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An action on a stack; `target` is the site that is to take payments."""

    action: Action
    stack: Stack
    target: Site

    @property
    def other(self) -> Site:
        """The site that gives up the payments."""
        return self.stack.other(self.target.region)

    @property
    def steps(self) -> tuple[Step, ...]:
        """In their order."""
        return STEPS[self.action]

    def budget(self) -> dict[str, float]:
        """Seconds until payments are taken again, by what takes them: their sum must stay within the objective.

        The worst case: the slower kind of evidence, and clients that resolved the name just before it moved.
        """
        found = {"dns": float(DNS_TTL), "lever": float(self.stack.health_check_interval)}
        if self.action is Action.FAILOVER:
            found["detect"] = float(self.stack.detection * UNREADY)
        if not self.target.instances:
            found["instance"] = float(INSTANCE_SECONDS)
        return {**found, **{step.key: step.budget for step in self.steps if not step.after and step not in _BEFORE}}


@dataclass(frozen=True)
class Prediction:
    """What a phase is expected to take on AWS: between `least` and `most` seconds, and where the figures come from."""

    phase: str
    least: float
    most: float
    source: str


def predict(stack: Stack) -> list[Prediction]:
    """What a failover is expected to take on AWS until payments are taken again. It was never measured there."""
    return [
        Prediction(Phase.DETECT, stack.detection, stack.detection + stack.look_interval,
                   "healthCheckInterval x healthCheckThreshold, and the look that came just before"),
        Prediction(f"{Phase.DECIDE} and {Phase.FENCE}", 1, 4, "the lease of 1 s, and calls within one region"),
        Prediction(Phase.PROMOTE, *PROMOTION, "AWS says minutes; one user measured 8 minutes"),
        Prediction(Phase.DNS, 0, stack.health_check_interval + DNS_TTL - PROMOTION[0],
                   "the lever's interval and the TTL, which run while the database is promoted"),
        Prediction(Phase.FIRST_WRITE, 0, 5, "the function connects to the new writer"),
    ]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known before an action: all of it read in the target's own region, except `other`.

    `writer` is the region of the database's writer according to RDS, `cluster` the state of the target's cluster,
    `instances` the number of its available instances. `wrong` has the errors of its stores, by store. `other` is the
    other region seen from outside, None where it must not be called.
    """

    leadership: Leadership | None
    writer: str | None
    cluster: str
    instances: int
    own: ProbeResult
    wrong: Mapping[str, str] = field(default_factory=dict)
    observation: Observation | None = None
    run: Run | None = None
    other: ProbeResult | None = None


@dataclass(frozen=True)
class Refusal:
    """Why an action must not begin. `loses`: it may begin if a person accepts the loss of data."""

    reason: str
    loses: bool = False


def refusals(plan: Plan, facts: Facts, now: float) -> list[Refusal]:
    """Everything that forbids the plan at `now` (seconds since the epoch); empty if it may begin.

    What would be lost comes last: for a region that cannot take over it does not matter.
    """
    return [*_role(plan, facts)] or [*_unhealthy(plan, facts)] or [
        *(_losses if plan.action is Action.FAILOVER else _planned)(plan, facts, now)]


def shortfalls(plan: Plan) -> list[str]:
    """What the target's database lacks before it is promoted, by the stack's outputs: in time, and in connections."""
    stack, target, other, found = plan.stack, plan.target, plan.other, list[str]()
    if not target.instances:
        found.append(f"{target.region} has no database instance: RDS refuses to promote its cluster until one is "
                     f"created, about {INSTANCE_SECONDS} s")
    elif target.instances < other.instances:
        found.append(f"{target.region} has {target.instances} of {other.instances} database instances: until more are "
                     f"created, about {INSTANCE_SECONDS} s each, {target.instances * stack.least_connections} of "
                     f"{other.instances * stack.least_connections} connections, and fewer to replace one that fails")
    if stack.database_class == SERVERLESS:
        found.append(f"a serverless instance allows {stack.least_connections} connections at its least capacity, and "
                     "scales up only once it is promoted and under load")
    return found


def stale(stack: Stack) -> float:
    """Seconds after which what a controller of the stack has written no longer counts."""
    return max(STALE, 3.0 * stack.look_interval)


def resumes(plan: Plan, run: Run | None) -> bool:
    """Whether the run is an unfinished one of this plan."""
    return (run is not None and run.ended is None
            and (run.action, run.target) == (plan.action.value, plan.target.region))


def _role(plan: Plan, facts: Facts) -> Iterator[Refusal]:
    target, primary = plan.target.region, plan.stack.sites[0].region
    if plan.action is Action.FAILBACK and target != primary:
        yield Refusal(f"a failback always moves to {primary}: use switchover --to {target}")
    if facts.leadership is None or facts.writer is None:
        store, unknown = (Store.TABLE, "which region leads") if facts.leadership is None else (
            Store.LEDGER, "where the database's writer is")
        yield Refusal(f"unknown state: {target} does not know {unknown}: {facts.wrong.get(store, 'none is reported')}")
    elif facts.leadership.region == target == facts.writer:
        yield Refusal(f"{target} already leads and already has the database's writer")


def _unhealthy(plan: Plan, facts: Facts) -> Iterator[Refusal]:
    """Whether the target can take over. A failback waits until the returning region can."""
    target = plan.target.region
    for store, why in sorted(facts.wrong.items()):
        yield Refusal(f"{target} is not healthy: {store}: {why}")
    if plan.action is Action.FAILBACK:
        return
    if not facts.own.alive:
        yield Refusal(f"{target} is not healthy: its API does not answer: {facts.own.why}")
    if facts.cluster != AVAILABLE or not facts.instances:
        yield Refusal(f"{target} is not healthy: its database is {facts.cluster or 'missing'}, with "
                      f"{facts.instances} instances available")


def _losses(plan: Plan, facts: Facts, now: float) -> Iterator[Refusal]:
    other, observation, objective = plan.other.region, facts.observation, plan.stack.recovery_point_objective
    silent = _silent(plan, observation, now)
    if observation is None or silent:
        yield Refusal(f"{silent}, so it is unknown what would be lost", loses=True)
        return
    if not (observation.is_dead(plan.stack) or observation.is_unready(plan.stack)):
        yield Refusal(f"{other} is not known to be down, and payments that it takes until it is fenced may be lost: "
                      "use switchover", loses=True)
    if observation.exposure is None:
        yield Refusal("unknown lag: it is unknown what would be lost", loses=True)
    elif observation.exposure > objective:
        yield Refusal(f"the last {observation.exposure:.0f} s of payments would be lost, and the recovery point "
                      f"objective is {objective} s: {describe_lags(observation)}", loses=True)


def _planned(plan: Plan, facts: Facts, now: float) -> Iterator[Refusal]:
    """Whether the region that gives up the payments is healthy enough to do so without losing any.

    A failback waits for the report of the returning region's controller.
    """
    silent = _silent(plan, facts.observation, now)
    if silent and plan.action is not Action.FAILBACK:
        yield Refusal(f"{silent}, so it is unknown how far it lags")
    other, seen = plan.other.region, facts.other
    if seen is None or not seen.alive:
        yield Refusal(f"{other} does not answer ({seen.why if seen else 'not asked'}): a planned move needs both "
                      "regions")
    elif facts.writer == other and not seen.ready:
        yield Refusal(f"{other} cannot take payments ({seen.why}): a planned move needs both regions healthy")


def _silent(plan: Plan, observation: Observation | None, now: float) -> str:
    """Says that the target's controller does not report; empty if it does."""
    if observation is not None and now - observation.at <= stale(plan.stack):
        return ""
    age = "has never reported" if observation is None else f"has not reported for {now - observation.at:.0f} s"
    return f"unknown state: the controller of {plan.target.region} {age}"


def describe_lags(observation: Observation) -> str:
    """How far each store lagged when the other region last answered."""
    known = (f"{store} {seconds:.1f} s behind" for store, seconds in sorted(observation.lags.items()))
    return ", ".join(known) or "lag unknown"
