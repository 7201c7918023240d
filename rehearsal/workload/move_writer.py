"""Moving the leadership and the database's writer to another region by the steps of the product's own plan."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from payments.clock import SYSTEM, Clock, Stopwatch
from recovery.cloud import Cloud
from recovery.environment import system_environment
from recovery.errors import AwsFailure, aws_failures
from recovery.observation import ProbeResult
from recovery.plan import FENCE, Action, Facts, Plan, Step
from recovery.runner import Intent, claim
from recovery.stack import Stack
from recovery.steps import AwsSteps
from rehearsal.aws.clients import EmulatorClients
from rehearsal.polling import wait_until

STEPS = ("fence", "promote", "epoch")  # no other step moves the leadership or the database's writer
PAUSE = 0.05  # seconds between two tries of a step


def move_writer(action: Action, region: str, outputs: Mapping[str, Any], clients: EmulatorClients,
                clock: Clock = SYSTEM) -> dict[str, str]:
    """Move the leadership and the database's writer to a region. Returns each step's note by the step's key.

    Raises CheckFailed or AwsFailure if a step is not done within `polling.PATIENCE`.
    """
    stack = Stack.of(outputs)
    plan = Plan(action=action, stack=stack, target=stack.site(region))
    environment = system_environment(clients, {})
    cloud = Cloud(plan=plan, environment=replace(environment, runtime=replace(environment.runtime, clock=clock)))
    steps = AwsSteps(cloud=cloud)
    unknown = Facts(now=0.0, record=None, writer=None, cluster="", instances=0, own=ProbeResult(alive=None))
    hold = claim(cloud, Intent(plan=plan, driver="rehearsal", why="asked for", facts=unknown, since=Stopwatch(clock)))

    def do(step: Step) -> str | None:
        if step is not FENCE:
            return steps.do(step, hold)
        hold.intent = replace(hold.intent, since=Stopwatch(clock))  # no controller looks here, so nothing is decided
        with aws_failures(step.key):
            return f"epoch {hold.fence()}"

    notes = {step.key: wait_until(partial(do, step), f"step {step.key}", failures=(AwsFailure,), pause=PAUSE,
                                  clock=clock)
             for step in plan.steps if step.key in STEPS}
    hold.write(ended=clock.time(), outcome="done")
    return notes
