"""The plan: the steps of an action, how long each may take, and what forbids it. Nothing here calls AWS.

A new step is entered here, and implemented in `steps`.
"""
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from contract import DNS_TTL, INSTANCE_SECONDS, SERVERLESS, UNREADY, Phase, Store
from recovery.observation import Observation, ProbeResult
from recovery.record import PLANNED, ControlRecord
from recovery.stack import Site, Stack

COMMAND = "python -m recovery"  # with which people start what a text names
PROMOTION = 60.0, 480.0  # seconds, at least and at most, that Aurora takes to make another cluster the writer
ACCEPT_LOSS, ACCEPT_SILENCE = "--accept-data-loss", "--accept-silent-api"
"""The options by which a person overrides a refusal."""
RESYNCING = "pending-resync"  # what RDS calls a member of the global database that does not follow the writer yet
AVAILABLE = "available"  # what RDS calls the state of a cluster, instance or snapshot that can be used
WORKING = frozenset({AVAILABLE, "backing-up", "modifying"})
"""States of a cluster or instance that answers: a nightly backup forbids no failover.

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Status.html
"""


class Action(StrEnum):
    """The moves. A switchover is planned and loses nothing; a failover does not call the other region.

    To align is to make the region that has the database's writer the leader, if another one leads.
    """

    SWITCHOVER = "switchover"
    FAILOVER = "failover"
    FAILBACK = "failback"
    ALIGN = "align"

    @property
    def planned(self) -> bool:
        """Whether the other region takes payments until it is fenced."""
        return self.value in PLANNED


class Evidence(StrEnum):
    """On what a failover is decided: the other region does not answer, its canary fails, or a person accepts it."""

    DEAD = "dead"
    UNREADY = "unready"
    NONE = ""


@dataclass(frozen=True)
class Step:
    """One step: what it does, what proves that it is done, and the seconds that it may take."""

    key: str
    does: str
    proof: str
    budget: float


REJOIN = Step("rejoin", "wait until the returning region can take payments and its database follows the writer",
              "its API answers, its function says that it can pay, and its cluster is an available reader of the "
              "global database", 7200)
SNAPSHOT = Step("snapshot", "keep the snapshot that Aurora took of what the old writer had not replicated",
                "a copy of each rds:unplanned-global-failover-* snapshot exists", 600)
CATCH_UP = Step("caught-up", "wait until its table and its database have caught up", "both replicas have caught up",
                900)
FENCE = Step("fence", "take leadership under a new epoch", "the table names the region as the leader", 10)
MOVE_TRAFFIC = Step("traffic", "pull or reset the levers that Route 53 watches",
                    "the levers (objects `takeover`) are where they must be", 10)
FAIL_OVER = Step("promote", "make its database the writer, and lose what was not copied",
                 "its cluster is the writer, and available", PROMOTION[1])
SWITCH_OVER = Step("promote", "swap the databases' roles", "its cluster is the writer, and available", PROMOTION[1])
RAISE_EPOCH = Step("epoch", "raise the epoch above any that its ledger has seen",
                   "the leader's epoch is not below the ledger's", 15)
VERIFY = Step("verify", "make a payment, and check that clients are sent here", "it is accepted, and Route 53 agrees",
              30)

_BEFORE = frozenset({REJOIN, SNAPSHOT, CATCH_UP})  # the other region still takes payments during these
_SWAP = (CATCH_UP, FENCE, MOVE_TRAFFIC, SWITCH_OVER, RAISE_EPOCH, VERIFY)
STEPS: Mapping[Action, tuple[Step, ...]] = {
    Action.FAILOVER: (FENCE, MOVE_TRAFFIC, FAIL_OVER, RAISE_EPOCH, VERIFY), Action.SWITCHOVER: _SWAP,
    Action.FAILBACK: (REJOIN, SNAPSHOT, *_SWAP), Action.ALIGN: (FENCE, MOVE_TRAFFIC, RAISE_EPOCH, VERIFY)}


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
    def at_its_fence(self) -> "Plan":
        """The plan as it is judged once nothing is waited for any more: a failback is a switchover then."""
        return replace(self, action=Action.SWITCHOVER) if self.action is Action.FAILBACK else self

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in their order."""
        return STEPS[self.action]

    def budget(self) -> dict[str, float]:
        """Seconds until payments are taken again, by cause: their sum must stay within the objective.

        The worst case: the slower kind of evidence, and clients that resolved the name just before it moved.
        """
        found = {"dns": float(DNS_TTL), "lever": float(self.stack.health_check_interval)}
        if self.action is Action.FAILOVER:
            found["detect"] = float(self.stack.detection * UNREADY)
        if not self.target.instances:
            found["instance"] = float(INSTANCE_SECONDS)
        return {**found, **{step.key: step.budget for step in self.steps if step not in _BEFORE}}


@dataclass(frozen=True)
class Prediction:
    """The expected time of a phase on AWS: between `least` and `most` seconds, and the source of these figures."""

    phase: str
    least: float
    most: float
    source: str


def predict(stack: Stack, action: Action = Action.FAILOVER) -> list[Prediction]:
    """The expected time of an action on AWS, from the last payment to the next. It was never measured there."""
    promotes = action is not Action.ALIGN
    dns = stack.health_check_interval + DNS_TTL
    found = [
        Prediction(Phase.DETECT, stack.detection, stack.detection + stack.look_interval,
                   "healthCheckInterval x healthCheckThreshold, and at most one lookInterval"),
        Prediction(f"{Phase.DECIDE} and {Phase.FENCE}", 1, 4, "the lease, and calls within one region"),
        Prediction(Phase.PROMOTE, *PROMOTION, "AWS says minutes; one user measured 8 minutes"),
        Prediction(Phase.DNS, 0, dns - PROMOTION[0] if promotes else dns,
                   "the lever's interval and the TTL, which run while the database is promoted"),
        Prediction(Phase.FIRST_WRITE, 0, 5, "the function connects to the new writer"),
    ]
    left_out = {*(() if action is Action.FAILOVER else (Phase.DETECT,)), *(() if promotes else (Phase.PROMOTE,))}
    return [each for each in found if each.phase not in left_out]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts before an action, all read in the target's own region, except `other`.

    `now` is the time of the target's table service. `writer` is the region of the database's writer according to RDS,
    `cluster` the state of the target's cluster, `instances` the number of its working instances; `moving`: Aurora
    switches over or fails over, whatever that makes of a cluster's state. `sync` is the SynchronizationStatus of the
    target's cluster in the global database, empty if it is no member, None if RDS does not say. `wrong` has the errors
    of what could not be read, by what it is. `lever` is whether the target's is pulled. `other` is the other
    region seen from outside, None where it must not be called. `denied`: the actions that IAM denies the person who
    asks for the plan.
    """

    now: float
    record: ControlRecord | None
    writer: str | None
    cluster: str
    instances: int
    own: ProbeResult
    moving: bool = False
    sync: str | None = None
    wrong: Mapping[str, str] = field(default_factory=dict)
    observation: Observation | None = None
    led_to: str = ""
    lever: bool | None = None
    other: ProbeResult | None = None
    denied: Sequence[str] = ()


@dataclass(frozen=True)
class Refusal:
    """Why an action must not begin.

    loses: it may begin if a person accepts the loss of data. silent: it may if a person accepts that the target's API
    does not answer here, although its function says that it can take payments. controller: it forbids only the target's
    controller to take over, and no person. passes: it is none any more once the other region is known to be down.
    """

    reason: str
    loses: bool = False
    silent: bool = False
    controller: bool = False
    passes: bool = False

    @property
    def option(self) -> str:
        """The option of the command by which a person accepts it, empty if nobody may."""
        return ACCEPT_LOSS if self.loses else ACCEPT_SILENCE if self.silent else ""


def refusals(plan: Plan, facts: Facts) -> list[Refusal]:
    """Everything that forbids the plan; empty if it may begin.

    What would be lost comes last: for a region that cannot take over it does not matter.
    """
    if plan.action is Action.ALIGN:
        return [*_alignment(plan, facts)]
    found = [*_role(plan, facts)] or [*unable(plan, facts)]
    if not all(each.option for each in for_people(found)):
        return found
    return [*found, *(_losses if plan.action is Action.FAILOVER else _planned)(plan, facts)]


def for_people(found: Sequence[Refusal]) -> list[Refusal]:
    """The refusals that also forbid a person to begin: what they may do, IAM says of themselves."""
    return [each for each in found if not each.controller]


def shortfalls(plan: Plan) -> list[str]:
    """What the target's database lacks before it is promoted, by the stack's outputs: in time, and in connections."""
    stack, target, other, found = plan.stack, plan.target, plan.other, list[str]()
    if not target.instances:
        found.append(f"{target.region} has no database instance: RDS refuses to promote its cluster until one is "
                     f"created, about {INSTANCE_SECONDS} s")
    elif target.instances < other.instances:
        found.append(f"{target.region} has {target.instances} of {other.instances} database instances: until more are "
                     f"created (about {INSTANCE_SECONDS} s each), {target.instances * stack.least_connections} of "
                     f"{other.instances * stack.least_connections} connections, and fewer spare instances")
    if stack.database_class == SERVERLESS:
        found.append(f"a serverless instance allows {stack.least_connections} connections at its least capacity, and "
                     "scales up only once it is promoted and under load")
    return found


def resumes(plan: Plan, record: ControlRecord | None, seen: int) -> bool:
    """Whether the record's run is an unfinished one of this plan that has fenced: what has not is decided again.

    So is one from before an epoch that the ledger has `seen`: its record was restored.
    """
    run = record.run if record and record.epoch >= seen else None
    return (run is not None and run.ended is None and bool(run.epoch)
            and (run.action, run.target) == (plan.action.value, plan.target.region))


def unable(plan: Plan, facts: Facts) -> Iterator[Refusal]:
    """Refuses if the target cannot take over. A failback waits in its first step until the returning region can."""
    target = plan.target.region
    for what, why in sorted(facts.wrong.items()):
        yield Refusal(f"{target} is not healthy: {what}: {why}")
    if plan.action is Action.FAILBACK:
        return
    if facts.own.alive is False:
        yield Refusal(f"{target} is not healthy: its API does not answer: {facts.own.why}",
                      silent=facts.own.ready is True)
    elif not facts.own.ready and not _fenced_out(plan, facts):
        why = facts.own.why or "its function does not say that it can take payments"
        yield Refusal(f"{target} is not healthy: {why}")
    if not (facts.cluster in WORKING or facts.moving) or not facts.instances:
        yield Refusal(f"{target} is not healthy: its database is {facts.cluster or 'missing'}, with "
                      f"{facts.instances} instances available")
    if facts.sync in ("", RESYNCING) and facts.writer != target:
        yield Refusal(f"{target} is not healthy: {plan.target.cluster_id} " + (
            f"does not follow the writer yet: its state in the global database is {RESYNCING}" if facts.sync else
            "is not a member of the global database: AWS adds it once its region has recovered; if it does not, add it "
            "by hand"))
    if plan.action is Action.FAILOVER:  # a controller begins no planned move
        for action in facts.observation.denied if facts.observation else ():
            yield Refusal(f"{target} is not healthy: its controller may not call {action}", controller=True)


def waits_for(plan: Plan, facts: Facts) -> list[str]:
    """What a failback waits for in its first step: what a switchover would demand at once. Other plans do not wait."""
    return reasons([*unable(plan.at_its_fence, facts)]) if plan.action is Action.FAILBACK else []


def in_order(plan: Plan, facts: Facts) -> bool:
    """Whether the target leads, has and keeps the writer, can pay, and clients are sent to it."""
    record, target = facts.record, plan.target.region
    return (record is not None and record.region == target == facts.writer and facts.own.ledger_epoch <= record.epoch
            and not facts.moving and facts.led_to in ("", target) and record.open_run is None)


def _fenced_out(plan: Plan, facts: Facts) -> bool:
    """Whether the target cannot pay only because it leads without the writer, or under an old epoch."""
    return facts.record is not None and facts.record.region == plan.target.region and (
        facts.writer != plan.target.region or facts.own.ledger_epoch > facts.record.epoch)


def _role(plan: Plan, facts: Facts) -> Iterator[Refusal]:
    target, primary = plan.target.region, plan.stack.sites[0].region
    if plan.action is Action.FAILBACK and target != primary:
        yield Refusal(f"a failback always moves to {primary}: use switchover --to {target}")
    if facts.record is None or facts.writer is None:
        what, unknown = (Store.TABLE, "which region leads") if facts.record is None else (
            Store.LEDGER, "where the database's writer is")
        yield Refusal(f"unknown state: {target} does not know {unknown}: {facts.wrong.get(what, 'none is reported')}")
    elif in_order(plan, facts):
        yield Refusal(f"{target} already leads, has the database's writer, and clients are sent to it")


def _alignment(plan: Plan, facts: Facts) -> Iterator[Refusal]:
    yield from _role(plan, facts)
    if facts.writer is not None and facts.writer != plan.target.region:
        yield Refusal(f"{facts.writer} has the database's writer: use align --to {facts.writer}, or a failover")
    elif facts.own.alive is False:
        yield Refusal(f"{plan.target.region} is not healthy: {facts.own.why}")


def _losses(plan: Plan, facts: Facts) -> Iterator[Refusal]:
    other, observation, objective = plan.other.region, facts.observation, plan.stack.recovery_point_objective
    silent = _silent(plan, facts)
    if observation is None or silent:
        yield Refusal(f"{silent}, so it is unknown what would be lost", loses=True)
        return
    if not (observation.is_dead or observation.was_unready):
        yield Refusal(f"{other} is not known to be down, and payments that it takes until it is fenced may be lost: "
                      "use switchover", loses=True, passes=True)
    elif observation.seen and observation.alive is False and not observation.is_unready:
        yield Refusal(f"{other} does not answer {plan.target.region}, but Route 53 sees it: perhaps only the "
                      "connection between the regions is cut", loses=True, passes=True)
    exposure = observation.exposure(plan.stack, facts.now)
    if exposure is None:
        yield Refusal("the lag is unknown, so it is unknown what would be lost", loses=True)
    elif exposure > objective:
        yield Refusal(f"up to {exposure:.0f} s of payments would be lost, and the recovery point objective is "
                      f"{objective} s", loses=True)


def _planned(plan: Plan, facts: Facts) -> Iterator[Refusal]:
    """Refuses if the region that gives up the payments is not healthy enough to do so without losing any.

    A failback waits for the report of the returning region's controller. The claim of a target that does not know who
    leads would be copied over the record that says so.
    """
    silent = _silent(plan, facts)
    if silent and plan.action is not Action.FAILBACK:
        yield Refusal(f"{silent}, so it is unknown how far it lags")
    other, seen = plan.other.region, facts.other
    if seen is None or not seen.alive:
        yield Refusal(f"{other} does not answer ({seen.why if seen else 'not asked'}): a planned move needs both "
                      "regions")
    elif facts.writer == other and not seen.ready:
        yield Refusal(f"{other} cannot take payments ({seen.why}): a planned move needs both regions healthy")
    elif facts.record and seen.leader not in ("", facts.record.region):
        yield Refusal(f"{other} says that {seen.leader} leads, and {plan.target.region} that {facts.record.region} "
                      "does: wait until the table has been copied")


def _silent(plan: Plan, facts: Facts) -> str:
    """Why the target's controller counts as silent; empty if it reports."""
    observation = facts.observation
    if observation is not None and observation.is_fresh(facts.now):
        return ""
    age = "has never reported" if observation is None else f"has not reported for {facts.now - observation.at:.0f} s"
    return f"unknown state: the controller of {plan.target.region} {age}"


def describe_exposure(exposure: float | None) -> str:
    """A sentence for what a failover would lose at most (seconds; None if unknown)."""
    return "it is unknown what would be lost" if exposure is None else f"at most {exposure:.0f} s of payments at risk"


def denials(actions: Sequence[str]) -> list[str]:
    """Why a person whom IAM denies these actions must not begin."""
    return [f"IAM denies you {action}" for action in actions]


def reasons(found: Sequence[Refusal]) -> list[str]:
    """The reasons of refusals."""
    return [each.reason for each in found]
