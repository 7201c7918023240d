"""The steps of a plan, carried out in AWS. The end of this module names the function of each entry in `plan`.

Each does what is left to do, and returns its result in words, or None if it is not finished yet. Calling it again is
always safe, also for another driver that does not know how far it got: it first looks whether its result is there. They
raise AwsFailure, and GivenUp or EvidenceTooOld where the run must not go on.
"""
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from botocore.exceptions import ClientError

from payments.clock import Stopwatch
from payments.leadership import LEASE
from recovery import plan
from recovery.cloud import Cloud, writer_of
from recovery.errors import AwsFailure, EvidenceTooOld, GivenUp, aws_failures
from recovery.observation import ask_readiness, json_object
from recovery.plan import AVAILABLE, WORKING, Evidence, Step, reasons, refusals, waits_for
from recovery.runner import EVIDENCE_LASTS, Hold
from recovery.stack import Site

TICK = 0.01  # seconds, the shortest wait
FAILED = "failed"  # what RDS calls a snapshot that will never be available
LOST_SNAPSHOT, SNAPSHOT_COPY = "rds:unplanned-global-failover-", "lost-"  # prefixes
MAX_SNAPSHOT_NAME = 63  # characters
NOT_PERMITTED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


@dataclass(kw_only=True)
class AwsSteps:
    """Carries out the steps of the cloud's plan for one driver."""

    cloud: Cloud
    began: dict[str, tuple[float, int]] = field(default_factory=dict)
    """By run: the table service's time when it began to catch up, and the number of the other region's look then."""

    @property
    def target(self) -> Site:
        """The site that takes over."""
        return self.cloud.plan.target

    def do(self, step: Step, hold: Hold) -> str | None:
        """Do what is left of a step. Returns its result in words, or None if it is not finished."""
        with aws_failures(step.key):
            return _IMPLEMENTATIONS[step](self, hold)


def rejoin(steps: AwsSteps, _: Hold) -> str:
    """Wait until the returning region can take payments, which would be demanded of a switchover at once."""
    if missing := waits_for(steps.cloud.plan, steps.cloud.facts()):
        raise AwsFailure("; ".join(missing))
    return f"{steps.target.region} can take payments, and follows the writer"


def keep_snapshots(steps: AwsSteps, _: Hold) -> str | None:
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
    failed = [copy for copy in copies.values() if states.get(copy) == FAILED]
    if failed:
        raise AwsFailure(f"RDS could not finish the copy {', '.join(failed)}: its state is {FAILED}: delete it (RDS, "
                         f"cluster snapshots in {target.region}), and it is made again")
    finished = all(states.get(copy) == AVAILABLE for copy in copies.values())
    return f"copied: {', '.join(copies.values()) or 'no snapshot'}" if finished else None


def copy_name(snapshot: str) -> str:
    """The name of a snapshot's copy: shortened from the left, since the time at the end is what makes it unique."""
    return SNAPSHOT_COPY + snapshot.removeprefix(LOST_SNAPSHOT)[len(SNAPSHOT_COPY) - MAX_SNAPSHOT_NAME:].lstrip("-")


def catch_up(steps: AwsSteps, hold: Hold) -> str | None:
    """Wait until everything written before this step began has arrived.

    A later look of the other region's controller proves it for the table, and a later mark for the ledger, unless the
    target has the writer.
    """
    cloud, table, region, other = steps.cloud, steps.cloud.table, steps.target.region, steps.cloud.plan.other.region
    theirs, observation = table.observation(other), table.observation(region)
    looks = theirs.number if theirs else -1
    began, first = steps.began.setdefault(hold.run.id, (table.now, looks))
    if theirs is None or looks <= first:
        raise AwsFailure(f"no look of the controller of {other} has arrived in the table of {region} since this step "
                         "began")
    if cloud.writer() != region and (observation is None or (observation.covered or 0.0) < began):
        raise AwsFailure(f"no mark that {other} has set since this step began has arrived in the ledger of {region}")
    return "table and ledger have caught up"


def fence(steps: AwsSteps, hold: Hold) -> str:
    """Take leadership, unless this run has done so. A planned move, which may have waited for hours, is decided again.

    What forbids it then may still pass within the step's budget. If it does not, the run ends without a fence.
    """
    cloud = steps.cloud
    if cloud.plan.action.planned and not hold.run.epoch:
        facts = cloud.facts()
        since = Stopwatch(cloud.clock)
        if refused := reasons(refusals(cloud.plan.at_its_fence, facts)):
            raise AwsFailure(f"{'; '.join(refused)}; nothing is moved")
        hold.intent = replace(hold.intent, facts=facts, since=since)
    return f"epoch {hold.fence()}"


def move_traffic(steps: AwsSteps, hold: Hold) -> str:
    """Lead clients to the target. Only its own lever is sure to work: the other region may be lost, now or later.

    The standby's lever leads to it while it is pulled. The primary region's counts against that one, and is needed only
    if that cannot be reset; a region's controller resets a lever that is no longer needed.
    """
    cloud, target, other = steps.cloud, steps.target, steps.cloud.plan.other
    to_standby = target == cloud.plan.stack.sites[1]
    reset = False
    if cloud.plan.action.planned:
        hold.prove()
        with suppress(AwsFailure):
            cloud.set_lever(other, pulled=False)
            reset = True
    needed = to_standby or not reset
    if cloud.lever(target) is not needed:
        hold.prove()
        cloud.set_lever(target, pulled=needed)
    return f"lever in {target.region} {'pulled' if needed else 'reset'}"


def promote(steps: AwsSteps, hold: Hold) -> str | None:
    """Promote the database once the old writer's lease has run out, unless a promotion is under way.

    A failover waits for no switchover, which waits for the old writer, and asks the second view once more. A planned
    move waits also if the writer is here, which Aurora may be moving away. Raises EvidenceTooOld if the second view
    does not agree any more, and GivenUp if the call is not permitted, or may have been made before.
    """
    cloud, target = steps.cloud, steps.target
    planned, database = cloud.plan.action.planned, cloud.global_database()
    under_way = database.get("FailoverState")
    if writer_of(database) == target.region and not (planned and under_way):
        return f"writer {target.cluster_id}" if cloud.cluster() in WORKING else None
    if under_way and (planned or under_way.get("IsDataLossAllowed")):
        return None
    hold.fence()
    while hold.fenced and (left := LEASE - hold.fenced.seconds()) > 0:
        cloud.clock.sleep(max(left, TICK))
    request = {"GlobalClusterIdentifier": cloud.plan.stack.global_cluster_id,
               "TargetDbClusterIdentifier": target.cluster_arn}
    asked = Stopwatch(cloud.clock)
    if hold.run.evidence == Evidence.DEAD and cloud.seen(cloud.plan.other):
        if under_way:
            return None  # the switchover to here can end now
        raise _no_longer_dead(hold)
    # AWS requires a switchover to be asked for in the region of the writer.
    asked_in = cloud.plan.other if planned else target
    rds = cloud.environment.clients("rds", asked_in.region, once=True)
    hold.prove()
    if asked.seconds() > EVIDENCE_LASTS:
        return None  # stopped in between: the second view is asked again
    hold.promoting = True
    try:
        if planned:
            rds.switchover_global_cluster(**request)
        else:
            rds.failover_global_cluster(**request, AllowDataLoss=True)
    except ClientError as error:
        if error.response["Error"]["Code"] in NOT_PERMITTED:
            raise GivenUp(f"the promotion is not permitted: {error.response['Error']['Code']}") from error
        raise
    return None


def _no_longer_dead(hold: Hold) -> EvidenceTooOld | GivenUp:
    healthy = f"Route 53 sees {hold.cloud.plan.other.region} as healthy"
    return GivenUp(f"{healthy}, and the promotion may still be done") if hold.promoting else (
        EvidenceTooOld(f"{healthy}, so it is to lead again"))


def raise_epoch(steps: AwsSteps, hold: Hold) -> str:
    """Take leadership again if the ledger has seen a newer epoch."""
    found = ask_readiness(steps.cloud.environment, steps.target)
    if not found.ledger_epoch:
        raise AwsFailure(f"the ledger's epoch is unknown: {found.why}")
    if found.ledger_epoch > hold.record.epoch:
        hold.lead(found.ledger_epoch)
    return f"epoch {hold.record.epoch}"


def verify(steps: AwsSteps, hold: Hold) -> str | None:
    """Wait until clients are sent here, and then pay: the payment proves how it is now, and not before the wait.

    A repeat by the same driver pays nothing; a driver that resumes the run pays again.
    """
    led_to, payment_id = steps.cloud.led_to(), f"recovery-{hold.run.id}-{hold.claimed}"
    if led_to not in ("", steps.target.region):
        raise AwsFailure(f"Route 53 still sends clients to {led_to}")
    _pay(steps.cloud, payment_id)
    return f"{payment_id} accepted"


def _pay(cloud: Cloud, payment_id: str) -> None:
    """Pay one minor unit by the target's payments function."""
    payment = {"payment_id": payment_id, "amount": 1, "currency": "USD", "payer": "recovery:from",
               "payee": "recovery:to"}
    event = {"resource": "/payment", "httpMethod": "POST", "headers": {"Content-Type": "application/json"},
             "body": json.dumps(payment), "isBase64Encoded": False}
    function = cloud.plan.target.function_alias_arn
    answer = cloud.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    found = json_object(answer["Payload"].read())
    if "FunctionError" in answer or not found:
        raise AwsFailure(f"{function}: {found.get('errorMessage', 'its answer is not a JSON object')}")
    if found.get("statusCode") != HTTPStatus.CREATED:
        raise AwsFailure(f"the payment is not accepted: {found.get('statusCode')} {found.get('body')}")


_IMPLEMENTATIONS: Mapping[Step, Callable[[AwsSteps, Hold], str | None]] = {
    plan.REJOIN: rejoin, plan.SNAPSHOT: keep_snapshots, plan.CATCH_UP: catch_up, plan.FENCE: fence,
    plan.MOVE_TRAFFIC: move_traffic, plan.FAIL_OVER: promote, plan.SWITCH_OVER: promote, plan.RAISE_EPOCH: raise_epoch,
    plan.VERIFY: verify}
