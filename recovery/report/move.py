"""The report of a move, from its journal and from what repair has found: for those who must account for it."""
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from contract import DNS_TTL, REPAIR_FOLDER, REPAIR_PREFIX
from payments.currencies import CURRENCIES
from payments.errors import StoreUnavailable
from payments.payment import MAX_AMOUNT
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
"""`payments.reconcile.PassPart.ENDED`, whose module a workstation need not be able to import."""
REPAIRED, REPORTED, DENIED = "repaired", "reported", "denied"
OUTCOMES = (REPAIRED, REPORTED, DENIED, "refused", "set aside")
KEYS = ("currency", "payer", "payee", "created_at")  # of a payment, with its amount
LANE: Mapping[str, Lane] = {MOVE_TRAFFIC.key: "dns", VERIFY.key: "client"}
CLOCKS = 60.0  # seconds: the clocks of the table service and of S3 differ by less

Line = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Repairs:
    """What repair has found in the new region since a move: the lines of payments.case.Case.line, by payment id.

    `ended`: a pass has gone through all payments, and repair was permitted to restore them; what it found well is left
    out, unless repair has restored it.
    `aside` names the lines that cannot be counted, and says why. `unknown` says why the rest is not known, empty if it
    is.
    """

    lines: Mapping[str, Line] = field(default_factory=dict)
    ended: bool = False
    aside: Sequence[str] = ()
    unknown: str = ""

    @property
    def restored(self) -> list[Line]:
        """The lines of the payments that were restored."""
        return [line for line in self.lines.values() if line["outcome"] == REPAIRED]

    @property
    def missing(self) -> list[Line]:
        """The lines of the payments that are not restored."""
        return [line for line in self.lines.values() if line["outcome"] != REPAIRED]

    @property
    def denied(self) -> list[Line]:
        """The lines of the payments that repair was not permitted to restore."""
        return [line for line in self.lines.values() if line["outcome"] == DENIED]

    @property
    def state(self) -> str:
        """What is to be said of the payments that are not restored."""
        return "could not be restored" if self.ended else "are not restored yet"

    def number(self, lines: Sequence[Line]) -> str:
        """The number of some lines, for people."""
        return f"{len(lines)}" if self.ended and not (self.aside or self.unknown) else f"{len(lines)} so far"


def read_repairs(cloud: Cloud, bucket: str, run: Run) -> Repairs:
    """What repair has found since a run fenced; `bucket` is the receipts bucket of the cloud's target. Never raises.

    Lines count by their epoch: what the region reported under an older one may only have been on its way.
    """
    if not bucket:
        return Repairs(unknown="the outputs do not name the receipts bucket")
    if not run.epoch:  # it has moved nothing
        return Repairs()
    key, progress, unknown = REPAIR_PREFIX + cloud.plan.target.region, None, ""
    found, aside = dict[str, tuple[int, Line]](), list[str]()
    try:
        progress = cloud.table.document(key)  # before the lines: those of a pass that has ended are there
        for place, number, text in _written(cloud, bucket, run):
            line = _line(text)
            if line is None or line["epoch"] is None:
                aside.append(f"{place}: {'malformed' if line is None else 'does not say under which epoch'}")
            # Under a newer epoch the region may stand by again.
            elif line["epoch"] == run.epoch or (line["epoch"] > run.epoch and line["outcome"] != REPORTED):
                found[line["payment_id"]] = number, line
    except (AwsFailure, StoreUnavailable) as error:
        unknown = reason(error)
    whole = _whole(progress, run, min((number for number, _ in found.values()), default=0))
    lines = {payment_id: line for payment_id, (number, line) in found.items()
             if number >= (whole or 0) or line["outcome"] == REPAIRED}
    return Repairs(lines=lines, ended=whole is not None and not any(
        line["outcome"] == DENIED for line in lines.values()), aside=aside, unknown=unknown)


def _written(cloud: Cloud, bucket: str, run: Run) -> Iterator[tuple[str, int, bytes]]:
    """What repair has written since a run fenced, and perhaps shortly before, in order: place, pass, and line.

    Times only limit what is read, and are those of AWS: the driver's clock is corrected. Raises AwsFailure.
    """
    region, fenced = cloud.plan.target.region, run.steps[FENCE.key].began if FENCE.key in run.steps else run.began
    since = 0.0 if run.ahead is None else fenced - run.ahead - CLOCKS
    with aws_failures(f"what repair has found in {region}"):
        s3 = cloud.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{REPAIR_FOLDER}{region}/")
        objects = sorted((each["LastModified"].timestamp(), each["Key"]) for page in pages
                         for each in page.get("Contents", ()))
        for key in [key for written, key in objects if written >= since]:
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            number = key.rpartition("/")[2].partition("-")[0]
            for place, text in enumerate(body.splitlines(), 1):
                yield f"{key}, line {place}", int(number) if number.isdecimal() else 0, text


def _line(text: bytes) -> Line | None:
    """A line's fields as far as they are known, else None; None if it does not name a payment and its outcome."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not (isinstance(found, dict) and isinstance(found.get("payment_id"), str) and found.get("outcome") in OUTCOMES):
        return None
    wrong, others, epoch = (found.get(name) for name in ("wrong", "others", "epoch"))
    return {"payment_id": found["payment_id"], "outcome": found["outcome"],
            "epoch": epoch if isinstance(epoch, int) else None,
            "wrong": {store: each for store, each in wrong.items() if isinstance(each, str)} if (
                isinstance(wrong, dict)) else {},
            "payment": _known(found.get("payment")),
            "others": [_known(each) for each in others] if isinstance(others, list) else []}


def _known(found: Any) -> dict[str, Any] | None:
    """What a store holds of a payment, as far as it is well-formed; None if it is no object."""
    if not isinstance(found, dict):
        return None
    amount = found.get("amount")
    known = isinstance(amount, int) and not isinstance(amount, bool) and 0 < amount <= MAX_AMOUNT
    return {"amount": amount if known else None,
            **{key: found[key] if isinstance(found.get(key), str) else None for key in KEYS}}


def _whole(progress: Any, run: Run, first: int) -> int | None:
    """The number of the latest pass that has gone through all payments since a run fenced; None: none is known.

    `first` is a pass since then: the first one does not go through all.
    """
    match progress:
        case {"epoch": run.epoch, "number": int() as number, "phase": phase}:
            if phase == ENDED:
                return number
            return number - 1 if 0 < first < number - 1 else None
    return None


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
        if missing := self.repairs.missing:
            found.append(f"{len(missing)} payments {self.repairs.state}: {_sums(missing)}")
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
            yield f"read repair's findings in the receipts bucket: they could not be read here ({repairs.unknown})"
        elif repairs.denied:
            yield (f"give repair the permission or key that its log names, for which payments wait "
                   f"({len(repairs.denied)}), and write this report again: {COMMAND} report")
        elif not repairs.ended:
            yield f"wait until repair has gone through all payments, and write this report again: {COMMAND} report"
        if repairs.aside:
            yield (f"check the {len(repairs.aside)} of repair's findings that could not be read or have no epoch, "
                   f"first {repairs.aside[0]}")
        if repairs.ended and repairs.missing:
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
        missing = self.repairs.missing
        amounts, unknown = _amounts(missing)
        return {"ok": not self.wrong, "verdict": self.verdict, "run": self.run.document(), "from": self.origin,
                "to": self.run.target, "payments_stopped": self.began,
                "recovery": self.recovery and asdict(self.recovery), "at_risk_s": self.run.at_risk,
                "repair": {"ended": self.repairs.ended, "unknown": self.repairs.unknown,
                           "set_aside": [*self.repairs.aside], "not_restored": len(missing),
                           "not_restored_amounts": amounts, "amount_unknown": unknown,
                           "payments": [*self.repairs.lines.values()]},
                "todo": self.todo}

    def page(self) -> ReportPage:
        """The report as a page for people."""
        run, recovery, repairs, stack = self.run, self.recovery, self.repairs, self.stack
        risk = "unknown" if run.at_risk is None else f"{run.at_risk:.0f} s"
        restored, missing = repairs.restored, repairs.missing
        figures = {
            "no payments were taken for": f"{recovery.wall_s:.1f} s" if recovery else "unknown",
            "recoveryTimeObjective": f"{stack.recovery_time_objective} s",
            **({"payments at risk at the start, at most": risk,
                "recoveryPointObjective": f"{stack.recovery_point_objective} s"}
               if run.action == Action.FAILOVER else {}),
            "payments restored by repair": repairs.number(restored), "payments not restored": repairs.number(missing)}
        facts = {"stack": stack.environment_suffix, "driver": run.driver, "caller": run.caller or "unknown",
                 "why": run.why, "accepted": "a person has accepted the loss of data" if run.accepted else "",
                 "began": utc(run.began), "ended": utc(run.ended) if run.ended else "not yet",
                 "outcome": run.outcome or "unfinished", "restored by repair": _sums(restored),
                 "not restored": _sums(missing), "clients follow": f"within {stack.health_check_interval + DNS_TTL} s"}
        return ReportPage(
            story=Story(title=f"{run.action.capitalize()} to {run.target}, {utc(run.began)}", recovery=recovery,
                        requests=(), events=[*self._failure(), *events(run, self.began)]),
            ok=not self.wrong, verdict=self.verdict, figures=figures, todo=self.todo,
            facts={key: value for key, value in facts.items() if value},
            tables={"Steps": steps(run), **({f"Payments that {repairs.state}": _listed(missing)} if missing else {}),
                    **({"Lines of repair that cannot be counted": [["line"], *([each] for each in repairs.aside)]}
                       if repairs.aside else {})})

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


def _content(line: Line) -> Mapping[str, Any]:
    """The payment of a line, or what a store holds instead; empty if nothing could be read."""
    return next(filter(None, [line["payment"], *line["others"]]), {})


def _amounts(lines: Sequence[Line]) -> tuple[dict[str, int], int]:
    """Minor units by currency, and the number of payments whose amount is unknown."""
    found, unknown = Counter[str](), 0
    for content in map(_content, lines):
        amount, currency = content.get("amount"), content.get("currency")
        if amount is None or currency not in CURRENCIES:
            unknown += 1
        else:
            found[currency] += amount
    return dict(found), unknown


def _sums(lines: Sequence[Line]) -> str:
    amounts, unknown = _amounts(lines)
    known = ", ".join(f"{amount} {currency}" for currency, amount in amounts.items())
    return ", ".join(filter(None, [known and f"{known} (minor units)", f"{unknown} of unknown amount" * bool(unknown)]))


def _listed(lines: Sequence[Line]) -> Rows:
    keys = ("amount", *KEYS)
    return [["payment", *keys, "wrong", "outcome"],
            *([line["payment_id"], *(str(_content(line).get(key) or "unknown") for key in keys),
               ", ".join(f"{store}: {wrong}" for store, wrong in line["wrong"].items()), line["outcome"]]
              for line in lines)]
