"""The report of a move, from its journal and from what repair has found: for those who must account for it."""
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from contract import DNS_TTL, REPAIR_FOLDER, REPAIR_PREFIX
from payments.errors import StoreUnavailable
from recovery.cloud import Cloud
from recovery.errors import AwsFailure, aws_failures, reason
from recovery.measure import phases
from recovery.plan import COMMAND, FENCE, MOVE_TRAFFIC, VERIFY, Action
from recovery.record import Run
from recovery.report.model import Lane, RecoveryTime, Story, TimelineEvent
from recovery.report.page import ReportPage
from recovery.show import Rows, utc
from recovery.stack import Stack

ENDED = "ended"
"""`payments.reconcile.Phase.ENDED`, whose module a workstation need not be able to import."""
REPAIRED = "repaired"
LANE: Mapping[str, Lane] = {MOVE_TRAFFIC.key: "dns", VERIFY.key: "client"}
CLOCKS = 2.0  # seconds by which the driver's clock and that of S3 may differ


@dataclass(frozen=True, kw_only=True)
class Repairs:
    """What repair has found in the new region since a move: the lines of payments.case.Case.line, by payment id.

    `unknown` says why it is not known, empty if it is; `ended` whether a pass has gone through all payments.
    """

    lines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ended: bool = False
    unknown: str = ""

    @property
    def lost(self) -> list[Mapping[str, Any]]:
        """The lines of the payments that could not be restored."""
        return [line for line in self.lines.values() if line["outcome"] != REPAIRED]


def read_repairs(cloud: Cloud, bucket: str, run: Run) -> Repairs:
    """What repair has found since a run; `bucket` is the receipts bucket of the cloud's target. Never raises."""
    region, found = cloud.plan.target.region, dict[str, Mapping[str, Any]]()
    if not bucket:
        return Repairs(unknown="the outputs do not name the receipts bucket")
    try:
        progress = cloud.table.document(REPAIR_PREFIX + region) or {}
        with aws_failures(f"what repair has found in {region}"):
            s3 = cloud.client("s3")
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{REPAIR_FOLDER}{region}/")
            for key in [each["Key"] for page in pages for each in page.get("Contents", ())
                        if each["LastModified"].timestamp() >= run.began - CLOCKS]:
                body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                found.update((line["payment_id"], line) for line in map(json.loads, body.splitlines()))
    except (AwsFailure, StoreUnavailable) as error:
        return Repairs(unknown=reason(error))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return Repairs(unknown=f"what repair has written is malformed: {error!r}")
    return Repairs(lines=found, ended=progress.get("epoch", 0) >= run.epoch and progress.get("phase") == ENDED)


@dataclass(frozen=True, kw_only=True)
class MoveReport:
    """The report of a run on a stack, and of what repair has found since; `origin` is the region that gave up."""

    run: Run
    stack: Stack
    repairs: Repairs

    @property
    def origin(self) -> str:
        """The region that gave up the payments."""
        return self.stack.other(self.run.target).region

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"{self.run.action}-{self.run.id}"

    @property
    def began(self) -> float:
        """From when at the latest no payments were taken, as far as known (seconds since the epoch)."""
        run = self.run
        if run.action == Action.FAILOVER:
            return min(each for each in (run.since, run.seen, run.began) if each is not None)
        return run.steps[FENCE.key].began if FENCE.key in run.steps else run.began

    @property
    def recovery(self) -> RecoveryTime | None:
        """How long no payments were taken, by the journal; None if it does not say that any were taken again."""
        verified = self.run.steps.get(VERIFY.key)
        if verified is None or verified.ended is None:
            return None
        split = phases(self.run, self.began, verified.ended, None)
        return RecoveryTime.of(0.0, {phase: took for phase, took in split.items() if took})

    @property
    def wrong(self) -> list[str]:
        """What went wrong."""
        run, recovery, objective = self.run, self.recovery, self.stack.recovery_time_objective
        found = [] if run.outcome == "done" else [run.outcome or "unfinished"]
        if recovery and recovery.wall_s > objective:
            found.append(f"payments were not taken for {recovery.wall_s:.0f} s, and recoveryTimeObjective is "
                         f"{objective} s")
        if self.repairs.lost:
            found.append(f"{len(self.repairs.lost)} payments could not be restored: {_sums(self.repairs.lost)}")
        return found

    @property
    def verdict(self) -> str:
        """The move in a sentence."""
        taken = f"payments were taken again after {self.recovery.wall_s:.1f} s" if self.recovery else ""
        what = f"{self.run.action} from {self.origin} to {self.run.target}"
        return "; ".join([f"{what}: {'; '.join(self.wrong) or 'done'}", *filter(None, [taken])])

    @property
    def todo(self) -> list[str]:
        """What is still to do, in order."""
        return [*self._todo()]

    def _todo(self) -> Iterator[str]:
        run, repairs = self.run, self.repairs
        if run.outcome != "done":
            yield f"see what to do now: {COMMAND} status"
            return
        if repairs.unknown:
            yield f"find out what repair has found (unknown here: {repairs.unknown})"
        elif not repairs.ended:
            yield f"wait until repair has gone through all payments, and write this report again: {COMMAND} report"
        if repairs.lost:
            yield "settle each payment that could not be restored, with its client"
        if run.action == Action.FAILOVER:
            yield (f"once {self.origin} answers again, move back: " + (
                f"{COMMAND} failback" if self.origin == self.stack.sites[0].region else
                f"{COMMAND} switchover --to {self.origin}"))
            if not self.stack.strong:
                yield (f"write this report again once the copies from {self.origin} have arrived: payments that no "
                       f"store in {run.target} had are found only then")
        else:
            yield "check that the state agrees: pulumi refresh, then pulumi preview --expect-no-changes"

    def document(self) -> dict[str, Any]:
        """All of it as JSON; times in seconds since the epoch."""
        return {"ok": not self.wrong, "verdict": self.verdict, "run": self.run.document(), "from": self.origin,
                "to": self.run.target, "payments_stopped": self.began,
                "recovery": self.recovery and asdict(self.recovery), "at_risk_s": self.run.at_risk,
                "repair": {"ended": self.repairs.ended, "unknown": self.repairs.unknown,
                           "lost": len(self.repairs.lost), "lost_amounts": _amounts(self.repairs.lost),
                           "payments": [*self.repairs.lines.values()]},
                "todo": self.todo}

    def page(self) -> ReportPage:
        """The report as a page for people."""
        run, recovery, lost, stack = self.run, self.recovery, self.repairs.lost, self.stack
        risk = "unknown" if run.at_risk is None else f"{run.at_risk:.0f} s"
        restored = [each for each in self.repairs.lines.values() if each["outcome"] == REPAIRED]
        figures = {
            "no payments were taken for": f"{recovery.wall_s:.1f} s" if recovery else "unknown",
            "recoveryTimeObjective": f"{stack.recovery_time_objective} s",
            **({"payments at risk at the start, at most": risk,
                "recoveryPointObjective": f"{stack.recovery_point_objective} s"}
               if run.action == Action.FAILOVER else {}),
            "payments restored by repair": f"{len(restored)}", "payments not restored": f"{len(lost)}"}
        facts = {"stack": stack.environment_suffix, "driver": run.driver, "caller": run.caller or "unknown",
                 "why": run.why, "accepted": "a person has accepted the loss of data" if run.accepted else "",
                 "began": utc(run.began), "ended": utc(run.ended) if run.ended else "not yet",
                 "outcome": run.outcome or "unfinished", "restored by repair": _sums(restored),
                 "not restored": _sums(lost), "clients follow": f"within {stack.health_check_interval + DNS_TTL} s"}
        return ReportPage(
            story=Story(title=f"{run.action.capitalize()} to {run.target}, {utc(run.began)}", recovery=recovery,
                        requests=(), events=[*self._failure(), *events(run, self.began)]),
            ok=not self.wrong, verdict=self.verdict, figures=figures, todo=self.todo,
            facts={key: value for key, value in facts.items() if value},
            tables={"Steps": steps(run), **({"Payments that could not be restored": _listed(lost)} if lost else {})})

    def _failure(self) -> Iterator[TimelineEvent]:
        if self.run.since is not None:
            yield TimelineEvent(at_s=self.run.since - self.began, lane="fault", what=f"{self.origin} fails")


def events(run: Run, began: float) -> Iterator[TimelineEvent]:
    """The events in a run's journal; times in seconds since `began`."""
    yield TimelineEvent(at_s=run.began - began, lane="plan", what=f"{run.driver} begins {run.action}")
    for key, done in run.steps.items():
        yield TimelineEvent(at_s=(done.ended or done.began) - began, lane=LANE.get(key, "plan"),
                            what=f"{key}: {done.note or 'not done'}")


def steps(run: Run) -> Rows:
    """The steps of a run, after a row of headings."""
    return [["step", "began", "took", "result"],
            *([key, utc(done.began), f"{done.ended - done.began:.1f} s" if done.ended else "", done.note]
              for key, done in run.steps.items())]


def _content(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """The payment of a line, or what a store holds instead; empty if nothing could be read."""
    return line["payment"] or next(iter(line["others"]), {})


def _amounts(lines: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Minor units by currency."""
    found = Counter[str]()
    for content in map(_content, lines):
        found[content.get("currency", "unknown")] += content.get("amount", 0)
    return dict(found)


def _sums(lines: Sequence[Mapping[str, Any]]) -> str:
    found = ", ".join(f"{amount} {currency}" for currency, amount in _amounts(lines).items())
    return found and f"{found} (minor units)"


def _listed(lines: Sequence[Mapping[str, Any]]) -> Rows:
    keys = ("amount", "currency", "payer", "payee", "created_at")
    return [["payment", *keys, "wrong", "outcome"],
            *([line["payment_id"], *(str(_content(line).get(key, "unknown")) for key in keys),
               ", ".join(f"{store}: {wrong}" for store, wrong in line["wrong"].items()), line["outcome"]]
              for line in lines)]
