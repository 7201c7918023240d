"""What a region's controller does about what it sees. Nothing here calls anybody."""
from dataclasses import dataclass
from enum import StrEnum

from payments.leadership import Leadership
from recovery.observation import Observation
from recovery.plan import Action, Facts, Plan, lags, refusals
from recovery.stack import Stack

AUTOMATIC = "automatic"


class Reaction(StrEnum):
    """What is to be done."""

    NOTHING = "nothing"
    TELL = "tell"
    ACT = "act"


@dataclass(frozen=True)
class Decision:
    """What is to be done, and why. `subject` stays the same as long as there is nothing new to tell."""

    deed: Reaction
    subject: str = ""
    why: str = ""


NOTHING = Decision(Reaction.NOTHING)


def alarming(stack: Stack, watch: Observation, right: Leadership) -> str:
    """What is wrong with the other region, if it has the right to write and has been unable to use it long enough."""
    other = stack.other(watch.region).region
    if right.region != other:
        return ""
    if watch.is_dead(stack):
        return f"{other} does not answer: {watch.why}"
    if watch.is_unready(stack):
        return f"{other} cannot take payments: {watch.why}"
    return ""


def decide(plan: Plan, facts: Facts, now: float, cool_down: float) -> Decision:
    """What the controller of the plan's target does, once something is alarming. `cool_down` in seconds.

    It acts only where the mode is automatic, nothing speaks against it, and the last failover is long enough ago,
    unless a planned move has come since: then somebody has put things in order. A failback is never its own idea.
    """
    stack, region, watch = plan.stack, plan.target.region, facts.watch
    if watch is None or facts.right is None:
        return NOTHING
    why = alarming(stack, watch, facts.right)
    if not why:
        return NOTHING
    what, command = why.partition(":")[0], f"python -m recovery failover --to {region}"
    against = refusals(plan, facts, now)
    if against:
        loses = all(refusal.loses for refusal in against)
        does = f"If the loss is acceptable: {command} --accept-data-loss" if loses else "No flag overrides that"
        return Decision(Reaction.TELL, f"{what}, and {region} must not take over",
                        f"{why}. {'; '.join(refusal.reason for refusal in against)}. {does}.")
    if stack.failover_mode != AUTOMATIC:
        return Decision(Reaction.TELL, f"{what}: {region} can take over", f"{why}. {lags(watch)}. To take over: {command}")
    run = facts.run
    if run and run.action == Action.FAILOVER and run.ended is not None and now - run.ended < cool_down:
        return Decision(Reaction.TELL, f"{what}: {region} waits, since the last failover was just now",
                        f"{why}. The last one ({run.what}) ended {now - run.ended:.0f} s ago, and after one the "
                        f"controller waits for {cool_down:.0f} s. To take over now: {command}")
    return Decision(Reaction.ACT, f"{region} takes over", f"{why}; {lags(watch)}")


def failover(stack: Stack, region: str) -> Plan:
    """The plan that a region's controller may carry out. Raises StackError if the stack is not in that region."""
    return Plan(action=Action.FAILOVER, stack=stack, target=stack.site(region))
