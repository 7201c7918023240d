"""What a region's controller does about what it sees. Pure functions: nothing here calls AWS."""
from dataclasses import dataclass

from contract import FailoverMode
from recovery.control_table import Pause
from recovery.observation import Observation
from recovery.plan import (
    COMMAND,
    Action,
    Evidence,
    Facts,
    Plan,
    describe_exposure,
    for_people,
    reasons,
    refusals,
)
from recovery.stack import Stack

ABANDONED_LOOKS = 6
"""For how many looks a run's heartbeat must stand still before the region that gives up leadership may undo it."""


@dataclass(frozen=True)
class Decision:
    """Whether to act or to notify people, and why. `subject` stays the same while nothing changes.

    `action` is what the controller carries out now, None if it only notifies.
    """

    subject: str
    why: str
    action: Action | None = None
    evidence: Evidence = Evidence.NONE


def alarming(stack: Stack, observation: Observation, writer: str | None) -> str:
    """What is wrong with the other region, if it leads or has the writer and so payments need it; "" if nothing is."""
    other = stack.other(observation.region).region
    if other not in (observation.leader, writer):
        return ""
    if observation.is_dead:
        return f"{other} does not answer: {observation.why}"
    if observation.is_unready:
        return f"{other} cannot take payments: {observation.why}"
    if observation.is_astray:
        return f"{other} leads, and clients are sent to {observation.region}: its health checks fail"
    return ""


def would_refuse(plan: Plan, facts: Facts) -> list[str]:
    """Why a failover to the plan's target would be refused if the other region failed right now."""
    return reasons([each for each in refusals(plan, facts) if not each.passes])


# pylint: disable-next=too-many-locals,too-many-return-statements
def decide(plan: Plan, facts: Facts, cool_down: float, pause: Pause | None) -> Decision | None:
    """What the controller of the plan's target does, None if nothing is alarming. `cool_down` in seconds.

    It takes over only in automatic mode, if nothing forbids it, nobody has paused it, and the last failover is long
    enough ago. A planned move since then ends that wait: a person has repaired the stack. It never fails back.
    """
    stack, region, observation, record = plan.stack, plan.target.region, facts.observation, facts.record
    if observation is None or record is None or misplaced(plan, facts):
        return None  # where the writer is here already, the region is made the leader
    why = alarming(stack, observation, facts.writer)
    if not why:
        return None
    what, command = why.partition(":")[0], f"{COMMAND} failover --to {region}"
    refused = refusals(plan, facts)
    if for_people(refused):
        options = sorted({refusal.option for refusal in for_people(refused)})
        override = (f"If that is acceptable: {command} {' '.join(options)}" if all(options)
                    else "No option overrides this")
        return Decision(
            f"{what}, and {region} must not take over", f"{why}. {'; '.join(reasons(refused))}. {override}.")
    risk = describe_exposure(observation.exposure(stack, facts.now))
    if stack.failover_mode != FailoverMode.AUTOMATIC or not observation.confirmed:
        return Decision(f"{what}: {region} can take over", f"{why}. {risk}. To take over: {command}")
    if refused:
        return Decision(f"{what}: {region} may not take over by itself",
                        f"{why}. {'; '.join(reasons(refused))}. {risk}. To take over: {command}")
    if pause:
        return Decision(f"{what}: {region} waits, because automatic failover is paused",
                        f"{why}. {pause.who} has paused it for {pause.until - facts.now:.0f} s more: {pause.reason}. "
                        f"To take over now: {command}")
    since = facts.now - record.moved
    if since < cool_down:
        return Decision(f"{what}: {region} waits, because the last failover was recent",
                        f"{why}. The last one was {since:.0f} s ago, and the controller waits for {cool_down:.0f} s "
                        f"after a failover. To take over now: {command}")
    evidence = Evidence.DEAD if observation.is_dead else Evidence.UNREADY
    return Decision(f"{region} takes over", f"{why}; {risk}", Action.FAILOVER, evidence)


def misplaced(plan: Plan, facts: Facts) -> str:
    """Why the target should be made the leader: it has the writer, but does not lead, or only under an old epoch."""
    record, region = facts.record, plan.target.region
    if record is None or facts.writer != region:
        return ""
    if record.region != region:
        return f"{region} has the database's writer, but {record.region} leads"
    if facts.own.ledger_epoch > record.epoch:
        return f"the ledger of {region} has seen epoch {facts.own.ledger_epoch}, but it leads under {record.epoch}"
    return ""


def left_behind(plan: Plan, facts: Facts) -> bool:
    """Whether the target leads while the other region has and keeps the writer, so that nobody takes payments."""
    return facts.record is not None and not facts.moving and (
        facts.record.region, facts.writer) == (plan.target.region, plan.other.region)
