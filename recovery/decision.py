"""What a region's controller does about what it sees. Pure functions: nothing here calls AWS."""
from dataclasses import dataclass

from contract import FailoverMode
from payments.leadership import Leadership
from recovery.observation import Observation
from recovery.plan import Action, Facts, Plan, describe_lags, refusals
from recovery.stack import Stack


@dataclass(frozen=True)
class Decision:
    """Whether to take over or to notify people, and why. `subject` stays the same while nothing changes."""

    subject: str
    why: str
    takes_over: bool = False


def alarming(stack: Stack, observation: Observation, leadership: Leadership) -> str:
    """What is wrong with the other region, if it leads and has been unable to take payments for long enough; or ""."""
    other = stack.other(observation.region).region
    if leadership.region != other:
        return ""
    if observation.is_dead(stack):
        return f"{other} does not answer: {observation.why}"
    if observation.is_unready(stack):
        return f"{other} cannot take payments: {observation.why}"
    return ""


def decide(plan: Plan, facts: Facts, now: float, cool_down: float) -> Decision | None:
    """What the controller of the plan's target does, None if nothing is alarming. `cool_down` in seconds.

    It takes over only in automatic mode, if nothing forbids it and the last failover is long enough ago. A planned
    move since then ends that wait: a person has repaired the stack. A controller never fails back.
    """
    stack, region, observation = plan.stack, plan.target.region, facts.observation
    if observation is None or facts.leadership is None:
        return None
    why = alarming(stack, observation, facts.leadership)
    if not why:
        return None
    what, command = why.partition(":")[0], f"python -m recovery failover --to {region}"
    refused = refusals(plan, facts, now)
    if refused:
        loses = all(refusal.loses for refusal in refused)
        override = (f"If the loss is acceptable: {command} --accept-data-loss" if loses
                    else "No option overrides this")
        return Decision(f"{what}, and {region} must not take over",
                        f"{why}. {'; '.join(refusal.reason for refusal in refused)}. {override}.")
    if stack.failover_mode != FailoverMode.AUTOMATIC:
        return Decision(f"{what}: {region} can take over",
                        f"{why}. {describe_lags(observation)}. To take over: {command}")
    run = facts.run
    if run and run.action == Action.FAILOVER and run.ended is not None and now - run.ended < cool_down:
        return Decision(f"{what}: {region} waits, since the last failover was just now",
                        f"{why}. The last one ({run.what}) ended {now - run.ended:.0f} s ago, and the controller waits "
                        f"for {cool_down:.0f} s after a failover. To take over now: {command}")
    return Decision(f"{region} takes over", f"{why}; {describe_lags(observation)}", takes_over=True)
