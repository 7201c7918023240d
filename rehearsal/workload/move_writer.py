"""The payments moved to another region by the product's own plan, as far as that moves the writer: nobody watches."""

import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from recovery.cloud import AwsFailure, Cloud
from recovery.journal import Run
from recovery.plan import Action, Plan
from recovery.stack import Stack
from rehearsal.aws.clients import EmulatorClients

STEPS = ("fence", "promote", "epoch")  # no other one moves the right to write, or the database's writer
PATIENCE, PAUSE = 10.0, 0.05  # seconds for a step, and between two tries at it


def move_writer(action: Action, region: str, outputs: Mapping[str, Any], clients: EmulatorClients) -> dict[str, str]:
    """Let a region take the right to write and the database, by the clients of somebody who is anywhere.

    Gives what there is to tell of each step. Raises Failed if one is not done in time.
    """
    stack = Stack.of(outputs)
    plan = Plan(action=action, stack=stack, target=stack.site(region))
    cloud = Cloud(plan=plan, clients=clients)
    run = Run(id=uuid4().hex, action=action, target=region, driver="rehearsal", began=time.time(), why="asked for")
    return {step.key: _done(cloud, step.key, run) for step in plan.steps if step.key in STEPS}


def _done(cloud: Cloud, key: str, run: Run) -> str:
    """What a step tells once it is done."""
    until = time.monotonic() + PATIENCE
    while True:
        why = "it takes longer"
        try:
            note = cloud.step(key, run)
        except AwsFailure as error:
            note, why = None, str(error)
        if note is not None:
            return note
        if time.monotonic() > until:
            raise AwsFailure(f"{key} was not done within {PATIENCE:.0f} s: {why}")
        time.sleep(PAUSE)
