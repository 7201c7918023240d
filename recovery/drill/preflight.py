"""Before a drill: where it leads, what forbids it, and what it will do."""
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from payments.errors import StoreUnavailable
from recovery.cloud import Cloud
from recovery.drill.outage import RESTORE, DrillTargets
from recovery.drill.record import last_drill, table_of
from recovery.drill.report import NO_DNS
from recovery.environment import Environment
from recovery.plan import Action, Plan, predict, refusals
from recovery.stack import Site, Stack

PRODUCTION = "prod"


def default_target(environment: Environment, stack: Stack, action: Action) -> Site:
    """Where a drill leads by default: a failback to the primary region, anything else to the region that stands by."""
    if action is not Action.FAILBACK:
        for site in stack.sites:
            with suppress(StoreUnavailable):
                return stack.other(table_of(environment, stack, site).leadership().region)
    return stack.sites[0 if action is Action.FAILBACK else 1]


def plan_drill(environment: Environment, outputs: Mapping[str, Any], action: Action,
               to: str) -> tuple[Plan, dict[str, DrillTargets]]:
    """The plan of a drill, to a region or by default (empty), and its targets by region. Raises StackError."""
    stack = Stack.of(outputs)
    target = stack.site(to) if to else default_target(environment, stack, action)
    targets = {site.region: DrillTargets.of(outputs, site) for site in stack.sites}
    return Plan(action=action, stack=stack, target=target), targets


def drill_refusals(environment: Environment, plan: Plan, *, yes: bool) -> list[str]:
    """Everything that forbids the drill; changes nothing. `yes`: it may be done to the profile prod."""
    stack = plan.stack
    if stack.profile == PRODUCTION and not yes:
        return [f"the profile is {PRODUCTION}: a drill there needs --yes"]
    switchover = replace(plan, action=Action.SWITCHOVER)
    facts, now = Cloud(plan=switchover, environment=environment).facts(), environment.clock.time()
    # Whether a failover could begin if the other region were down, as it is going to be.
    down = facts.observation and replace(facts.observation, dead=stack.failures)
    found = [refusal.reason for each in (switchover, plan)
             for refusal in refusals(each, replace(facts, observation=down), now)]
    if facts.leadership and facts.writer and facts.leadership.region != facts.writer:
        found.append(f"unknown state: {facts.leadership.region} leads, and {facts.writer} has the database's writer")
    if facts.run and facts.run.ended is None:
        found.append(f"a run is unfinished: {facts.run.what}, by {facts.run.driver}")
    with suppress(StoreUnavailable):  # the facts have said so
        last = last_drill(environment, stack)
        if last and last["broken"]:
            found.append(f"a drill has left {last['broken']['region']} broken: `{RESTORE}`")
    return list(dict.fromkeys(found))


def warning(plan: Plan, targets: Mapping[str, DrillTargets]) -> str:
    """What the drill does, and how long payments fail, for the person who must confirm it. `targets` are by region."""
    active = plan.other.region
    budget = sum(plan.budget().values())
    if plan.action is Action.FAILOVER:
        expected = predict(plan.stack)
        least, most = (sum(getattr(each, bound) for each in expected) for bound in ("least", "most"))
        check = ", and makes its health check fail" if targets[active].health_check_id else ""
        does = (f"Blocks the payments function in {active}{check}, until {plan.target.region} has taken over. Payments "
                f"fail for {least:.0f} to {most:.0f} s (predicted; the budget is {budget:.0f} s), alarms are raised, "
                "and the database loses what it has not replicated by then. Then the drill moves back, and payments "
                "wait once more.")
    else:
        does = f"Moves payments from {active} to {plan.target.region}, to stay. They wait for {budget:.0f} s at most."
    clients = "Clients make real payments of one minor unit from drill:from to drill:to."
    return " ".join([f"Drill, {plan.action}.", does, clients, *([] if plan.stack.service_url else [f"{NO_DNS}."])])
