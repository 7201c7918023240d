"""Moving the leadership and the database's writer to another region by the steps of the product's own plan."""

from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import uuid4

from recovery.clock import CLOCK, Clock
from recovery.cloud import AwsFailure, Cloud
from recovery.journal import Run
from recovery.plan import Action, Plan
from recovery.stack import Stack
from rehearsal.aws.clients import EmulatorClients
from rehearsal.polling import wait_until

STEPS = ("fence", "promote", "epoch")  # no other step moves the leadership or the database's writer
PATIENCE, PAUSE = 10.0, 0.05  # seconds for a step, and between two tries


def move_writer(action: Action, region: str, outputs: Mapping[str, Any], clients: EmulatorClients,
                clock: Clock = CLOCK) -> dict[str, str]:
    """Let a region take the leadership and the database's writer; gives the note of each step by the step's key.

    Raises CheckFailed or AwsFailure if a step is not done within PATIENCE.
    """
    stack = Stack.of(outputs)
    plan = Plan(action=action, stack=stack, target=stack.site(region))
    cloud = Cloud(plan=plan, clients=clients, clock=clock)
    run = Run(id=uuid4().hex, action=action, target=region, driver="rehearsal", began=clock.time(), why="asked for")
    return {key: wait_until(partial(cloud.step, key, run), f"step {key}", PATIENCE, failures=(AwsFailure,), pause=PAUSE,
                            clock=clock)
            for key in (step.key for step in plan.steps) if key in STEPS}
