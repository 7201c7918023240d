"""The steps of a plan, carried out in AWS. The end of this module names the function of each entry in `plan`.

Each does what is left to do, and returns its result in words, or None if it is not finished yet. Calling it again is
always safe, also for another driver that does not know how far it got. They raise AwsFailure.
"""
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from contract import ALIAS, Store
from payments.errors import NotTheWriter
from payments.leadership import LEASE, Leadership
from recovery import plan
from recovery.cloud import Cloud, writer_of
from recovery.environment import READ_TIMEOUT
from recovery.errors import AwsFailure, aws_failures
from recovery.journal import Run
from recovery.observation import json_object
from recovery.plan import AVAILABLE, Action, Step
from recovery.stack import Site

RECONCILE_TIMEOUT = 900.0  # seconds, the most that Lambda gives a function
MAX_LAG = 2.0  # seconds: a switchover begins with this lag, and waits for the rest while payments are held back
RESYNCING = "pending-resync"
LOST_SNAPSHOT, SNAPSHOT_COPY = "rds:unplanned-global-failover-", "lost-"  # prefixes
MAX_SNAPSHOT_NAME = 63  # characters


@dataclass(kw_only=True)
class AwsSteps:
    """Carries out the steps of the cloud's plan for one driver."""

    cloud: Cloud
    fenced_at: dict[str, float] = field(default_factory=dict)
    """By run: when the old writer was known to be fenced, by the monotonic clock."""

    @property
    def target(self) -> Site:
        """The site that takes over."""
        return self.cloud.plan.target

    @property
    def is_failover(self) -> bool:
        """Whether this is a failover, which must not call the other region."""
        return self.cloud.plan.action is Action.FAILOVER

    def do(self, step: Step, run: Run) -> str | None:
        """Do what is left of a step, as described above."""
        with aws_failures(step.key):
            return _IMPLEMENTATIONS[step](self, run)

    def take_leadership(self, ledger_epoch: int) -> Leadership:
        """Make the target the leader, under an epoch that is not below the ledger's."""
        try:
            return self.cloud.table.take_leadership(self.target.region, ledger_epoch)
        except NotTheWriter as error:
            raise AwsFailure(f"{error.writer} took leadership at the same moment") from error

    def invoke(self, function: str, event: Mapping[str, Any], read: float) -> dict[str, Any]:
        """What a function returns; `function` is its name, or the ARN of an alias."""
        qualified = {} if function.startswith("arn:") else {"Qualifier": ALIAS}
        answer = self.cloud.client("lambda", read).invoke(
            FunctionName=function, Payload=json.dumps(event), **qualified)
        found = json_object(answer["Payload"].read())
        if "FunctionError" in answer or not found:
            raise AwsFailure(f"{function}: {found.get('errorMessage', 'its answer is not a JSON object')}")
        return found


def rejoin(steps: AwsSteps, _: Run) -> str | None:
    """Wait for the returning region."""
    cloud, target = steps.cloud, steps.target
    members = cloud.global_database().get("GlobalClusterMembers", ())
    member = next((each for each in members if each["DBClusterArn"] == target.cluster_arn), None)
    if member is None:
        raise AwsFailure(f"{target.cluster_id} is not a member of the global database: AWS adds it once its region has "
                         "recovered; if it does not, add it by hand")
    follows = (cloud.look(target).alive and member.get("SynchronizationStatus") != RESYNCING
               and cloud.cluster() == AVAILABLE and cloud.instances())
    return f"{target.region} follows the writer" if follows else None


def keep_snapshots(steps: AwsSteps, _: Run) -> str | None:
    """Copy the snapshots that expire with the cluster's backups; a copy stays until a person deletes it."""
    rds, target = steps.cloud.client("rds"), steps.target
    pages = rds.get_paginator("describe_db_cluster_snapshots").paginate(DBClusterIdentifier=target.cluster_id)
    states = {each["DBClusterSnapshotIdentifier"]: each["Status"]
              for page in pages for each in page["DBClusterSnapshots"]}
    copies = {each: copy_name(each) for each in states if each.startswith(LOST_SNAPSHOT)}
    for each, copy in copies.items():
        if copy not in states:
            rds.copy_db_cluster_snapshot(SourceDBClusterSnapshotIdentifier=each, KmsKeyId=target.key_arn,
                                         TargetDBClusterSnapshotIdentifier=copy, CopyTags=True)
    finished = all(states.get(copy) == AVAILABLE for copy in copies.values())
    return f"copied: {', '.join(copies.values()) or 'no snapshot'}" if finished else None


def copy_name(snapshot: str) -> str:
    """The name of a snapshot's copy: shortened from the left, since the time at the end is what makes it unique."""
    return SNAPSHOT_COPY + snapshot.removeprefix(LOST_SNAPSHOT)[len(SNAPSHOT_COPY) - MAX_SNAPSHOT_NAME:].lstrip("-")


def catch_up(steps: AwsSteps, _: Run) -> str:
    """The ledger's lag may be unknown, since Aurora's switchover waits for it; nothing later waits for the table."""
    region, observation = steps.target.region, steps.cloud.table.observation(steps.target.region)
    if observation is None or steps.cloud.clock.time() - observation.alive_at > plan.stale(steps.cloud.plan.stack):
        raise AwsFailure(f"the controller of {region} has had no recent answer from {steps.cloud.plan.other.region}")
    if max(observation.lags.get(Store.TABLE, math.inf), observation.lags.get(Store.LEDGER, 0.0)) > MAX_LAG:
        raise AwsFailure(f"{region} has not caught up: {plan.describe_lags(observation)}")
    return plan.describe_lags(observation)


def fence(steps: AwsSteps, run: Run) -> str:
    """Take leadership, unless the region has it."""
    leadership = steps.cloud.table.leadership()
    if leadership.region != steps.target.region:
        leadership = steps.take_leadership(0)
    steps.fenced_at[run.id] = steps.cloud.clock.monotonic()
    return f"epoch {leadership.epoch}"


def move_traffic(steps: AwsSteps, _: Run) -> str:
    """A failover touches the target's lever only. A planned move sets both, and the second one moves the traffic."""
    cloud, target = steps.cloud, steps.target
    if steps.is_failover:
        cloud.set_lever(target, pulled=True)
        return f"lever in {target.region} pulled"
    primary, standby = cloud.plan.stack.sites
    to_standby = target == standby
    cloud.set_lever(standby, pulled=to_standby)
    cloud.set_lever(primary, pulled=False)
    return f"lever in {standby.region} pulled" if to_standby else "levers reset"


def promote(steps: AwsSteps, run: Run) -> str | None:
    """Promote the database once the old writer's lease has run out, unless a promotion is under way."""
    cloud, target = steps.cloud, steps.target
    database = cloud.global_database()
    if writer_of(database) == target.region:
        return f"writer {target.cluster_id}" if cloud.cluster() == AVAILABLE else None
    if database.get("FailoverState"):
        return None
    # If another driver of this run fenced, the moment is unknown: wait for a whole lease.
    fenced_at = steps.fenced_at.setdefault(run.id, cloud.clock.monotonic())
    cloud.clock.sleep(max(0.0, fenced_at + LEASE - cloud.clock.monotonic()))
    request = {"GlobalClusterIdentifier": cloud.plan.stack.global_cluster_id,
               "TargetDbClusterIdentifier": target.cluster_arn}
    if steps.is_failover:
        cloud.client("rds").failover_global_cluster(**request, AllowDataLoss=True)
    else:
        # AWS requires this call in the region of the writer.
        cloud.environment.clients("rds", cloud.plan.other.region).switchover_global_cluster(**request)
    return None


def raise_epoch(steps: AwsSteps, _: Run) -> str:
    """Take leadership again if the ledger has seen a newer epoch."""
    answer = steps.invoke(steps.target.reconcile_function_name, {"only": "epoch"}, READ_TIMEOUT)
    if "epoch" not in answer:
        raise AwsFailure(f"the ledger's epoch is unknown: {answer.get('error')}")
    return f"epoch {steps.take_leadership(answer['epoch']).epoch}"


def verify(steps: AwsSteps, run: Run) -> str:
    """Pay one minor unit; its id is the run's, so that a repeat pays nothing more."""
    payment = {"payment_id": f"recovery-{run.id}", "amount": 1, "currency": "USD", "payer": "recovery:from",
               "payee": "recovery:to"}
    event = {"resource": "/payment", "httpMethod": "POST", "headers": {"Content-Type": "application/json"},
             "body": json.dumps(payment), "isBase64Encoded": False}
    answer = steps.invoke(steps.target.function_alias_arn, event, READ_TIMEOUT)
    if answer.get("statusCode") != HTTPStatus.CREATED:
        raise AwsFailure(f"the payment is not accepted: {answer.get('statusCode')} {answer.get('body')}")
    return f"{payment['payment_id']} accepted"


def reconcile(steps: AwsSteps, _: Run) -> str:
    """Reconcile from the beginning each time: what is repaired already needs no repair."""
    answer = steps.invoke(steps.target.reconcile_function_name, {"cursor": ""}, RECONCILE_TIMEOUT)
    if not answer.get("done"):
        raise AwsFailure(f"reconcile: {answer.get('error')}")
    return ", ".join(f"{len(answer[key])} {key}" for key in ("repaired", "refused", "pending"))


_IMPLEMENTATIONS: Mapping[Step, Callable[[AwsSteps, Run], str | None]] = {
    plan.REJOIN: rejoin, plan.SNAPSHOT: keep_snapshots, plan.CATCH_UP: catch_up, plan.FENCE: fence,
    plan.MOVE_TRAFFIC: move_traffic, plan.FAIL_OVER: promote, plan.SWITCH_OVER: promote, plan.RAISE_EPOCH: raise_epoch,
    plan.VERIFY: verify, plan.RECONCILE: reconcile}
