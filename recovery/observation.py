"""What is known of a region from outside: from one look, and from a controller's looks so far.

Nothing here raises for what it finds. Times are those of the table service (see `control_table`).
"""
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from contract import CHECK_PATH_KEY, HEALTH_PATH, LEVER_PATH, READINESS, UNREADY
from payments.deadline import Deadline, Timing
from recovery.environment import Environment, HttpReply
from recovery.errors import AwsFailure, aws_failures
from recovery.record import known
from recovery.stack import Site, Stack

T = TypeVar("T")

# Seconds for a whole answer: a region that is cut off must not delay the reaction to it.
LIVENESS_TIMEOUT = 2.0
READINESS_TIMEOUT = 4.0  # the function calls its stores for as long as a payment may take
FRESH_LOOKS = 3  # looks after which what a controller has written no longer counts
MAX_GAP_LOOKS = 3  # looks that may be missing between two that are still "in a row"
PENDING_MARKS = 30  # marks on their way that are remembered
DENIED = "denied"
SAYS_NOTHING: Mapping[int, str] = {
    HTTPStatus.TOO_MANY_REQUESTS: "HTTP 429: throttled", HTTPStatus.FORBIDDEN: "HTTP 403: not its path"}


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """The result of a look at a region; None is unknown.

    Whether its API answers; whether it can pay, by its own function, and why not; whom that believes to lead, under
    which epoch; the mark that its canary has set in the ledger; and of its replica of the ledger the newest epoch and
    the newest mark of each region.
    """

    alive: bool | None
    ready: bool | None = None
    why: str = ""
    leader: str = ""
    mark: int | None = None
    marks: Mapping[str, int] = field(default_factory=dict)
    ledger_epoch: int = 0


def ask_readiness(environment: Environment, site: Site) -> ProbeResult:
    """What a region's payments function reports about itself; in the leading region it writes a canary."""
    event: dict[str, Any] = {
        "resource": READINESS, "httpMethod": "POST", "headers": {}, "body": None, "isBase64Encoded": False}
    try:
        answer = environment.clients("lambda", site.region, READINESS_TIMEOUT).invoke(
            FunctionName=site.function_alias_arn, Payload=json.dumps(event))
        body = json_object(json_object(answer["Payload"].read()).get("body") or b"")
    except (ClientError, BotoCoreError, ResponseParserError, OSError) as error:
        return ProbeResult(alive=True, why=f"its function does not answer: {type(error).__name__}")
    if not isinstance(body.get("ready"), bool):
        return ProbeResult(alive=True, why="its function does not say whether it can take payments")
    found = known(ProbeResult, {**body, "alive": True})
    marks = {region: number for region, number in found.get("marks", {}).items() if isinstance(number, int)}
    return ProbeResult(**{**found, "marks": marks})


@dataclass(frozen=True, kw_only=True)
class PublicChecks:
    """Asks regions what health checks ask, by the secret path that the control bucket of the region `keeper` has."""

    environment: Environment
    keeper: Site

    @cached_property
    def segment(self) -> str:
        """The secret segment of the path, the same for both regions. Raises AwsFailure."""
        client = self.environment.clients("s3", self.keeper.region)
        with aws_failures("path of the health checks"):
            return self._in_time(lambda: quote(client.get_object(
                Bucket=self.keeper.control_bucket, Key=CHECK_PATH_KEY)["Body"].read(), safe=""))

    def look(self, site: Site) -> ProbeResult:
        """Liveness of a region by its public API, and readiness by its payments function. Calls it. Never raises."""
        try:
            reply = self._get(site, HEALTH_PATH)
        except AwsFailure as error:
            return ProbeResult(alive=None, why=str(error))
        if reply.status in SAYS_NOTHING:
            vars(self).pop("segment", None)  # it may have changed: the next look reads it again
            return ProbeResult(alive=None, why=f"{SAYS_NOTHING[reply.status]}, which says nothing about its health")
        if reply.why or reply.status != HTTPStatus.OK:
            return ProbeResult(alive=False, ready=False, why=reply.why or f"HTTP {reply.status}")
        return ask_readiness(self.environment, site)

    def lever_is_pulled(self, site: Site) -> bool:
        """Whether a region's API says that its lever is pulled; also true if it does not say. Raises AwsFailure."""
        return json_object(self._get(site, LEVER_PATH).body).get("takeover") is not False

    def _get(self, site: Site, path: str) -> HttpReply:
        url = f"{site.api_endpoint}/{self.segment}{path}"
        try:
            return self._in_time(partial(self.environment.http, "GET", url, LIVENESS_TIMEOUT))
        except TimeoutError:
            return HttpReply(0, why="timed out")

    def _in_time(self, call: Callable[[], T]) -> T:
        """The result of a call, if it ends within LIVENESS_TIMEOUT. Raises TimeoutError, and what the call raises."""
        timing = Timing(connect=LIVENESS_TIMEOUT, read=0, attempts=1)
        return Deadline(timing, LIVENESS_TIMEOUT, self.environment.runtime).call(call, lambda _: False)


def json_object(text: Any) -> dict[str, Any]:
    """The JSON object in a text, an empty one if there is none, or if it is no text."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, kw_only=True)
class Observation:  # pylint: disable=too-many-instance-attributes
    """What the controller of `region` saw at its look number `number`, which began `at`.

    Times in seconds: `interval` between two looks, `detection` until a region that does not answer counts as dead.

    `leader` leads, and `writer` is the region of the database's writer. `alive` and `ready` are of the other region
    (None: unknown), `why` says what is wrong there; `silent_since` is the end of the first of its failed looks in a
    row, at the latest, and `silent_for` how long ago that is, at least. `failing_since` is the end of the first of its
    failed canaries if this look shows another one, `failed_from` also if it does not show whether the region can pay;
    the last one was shown at `failed_at`. `failing_for`: for how long they have failed, without the time before looks
    that did not show it. `seen`: whether Route 53's checkers see its API answer; `unseen_since`: the end of the first
    look in a row at which they did not; `led_to`: the region that clients are sent to, empty if unknown. The zone's own
    name servers say so. `astray_since`: since when they have been led here although the other region leads and is not
    silent, None if they are not.

    `covered`: everything that the other region acknowledged before then is in this region's replica of the ledger, None
    if that is unknown; `arrived` is the newest mark of the other region there, and `pending` are those that have not
    arrived, each with the moment before it was set. `lag` is CloudWatch's figure for the ledger, `lag_at` of when it
    is.

    `own` says what is wrong with this region, and `denied` what its controller may not do. `refused`: why a failover to
    here would be refused now. `notified` is the subject of the last notification.
    """

    region: str
    at: float
    number: int = 0
    interval: float = 10.0
    detection: float = 30.0
    leader: str = ""
    writer: str = ""
    alive: bool | None = None
    ready: bool | None = None
    why: str = ""
    silent_since: float | None = None
    silent_for: float = 0.0
    failing_since: float | None = None
    failing_for: float = 0.0
    failed_from: float | None = None
    failed_at: float = 0.0
    seen: bool | None = None
    unseen_since: float | None = None
    led_to: str = ""
    astray_since: float | None = None
    covered: float | None = None
    arrived: int = 0
    pending: Sequence[Sequence[float]] = ()
    lag: float | None = None
    lag_at: float = 0.0
    own: Sequence[str] = ()
    denied: Sequence[str] = ()
    asked_iam: float = 0.0
    refused: Sequence[str] = ()
    notified: str = ""

    @property
    def failed_since(self) -> float | None:
        """Since when the other region has failed, at the latest: it does not answer, or cannot take payments."""
        return self.failing_since if self.silent_since is None else self.silent_since

    @property
    def is_dead(self) -> bool:
        """Whether the other region has not answered for the detection time."""
        return self.silent_since is not None and self.silent_for >= self.detection

    @property
    def is_unready(self) -> bool:
        """Whether the other region leads, answers, and its own canary fails, and has for twice the detection time."""
        return self.failing_since is not None and self.was_unready

    @property
    def was_unready(self) -> bool:
        """Whether that is so, or was when a look last showed whether it can pay."""
        failed = self.failing_since is not None or self.failed_from is not None
        return failed and self.failing_for >= self.detection * UNREADY

    @property
    def is_astray(self) -> bool:
        """Whether clients have been led here for twice the detection time, although the other region leads."""
        return self.astray_since is not None and self.at - self.astray_since >= self.detection * UNREADY

    @property
    def confirmed(self) -> bool:
        """Whether a second view agrees: Route 53's for a dead region, and its own canary where it answers."""
        return self.is_unready or (self.is_dead and self.seen is False)

    def is_fresh(self, now: float) -> bool:
        """Whether it still counts at `now`."""
        return now - self.at <= self.interval * FRESH_LOOKS

    def exposure(self, stack: Stack, now: float) -> float | None:
        """Seconds of acknowledged payments that no store of this region may have, at most; None if unknown.

        What the ledger has, repair restores elsewhere. A strong table has everything.
        """
        if stack.strong:
            return 0.0
        if self.covered is None:
            return None
        # The table service's clock shows whole seconds.
        bound = max(0.0, self._stopped(stack, now) - self.covered) + 1.0
        return max(bound, self.lag) if self.lag is not None and self.lag_at >= self.covered else bound

    def _stopped(self, stack: Stack, now: float) -> float:
        """The last moment at which the other region can have acknowledged a payment.

        The silence does not tell: at first perhaps only the connection between the regions was cut. Route 53's verdict
        does: it follows the first failed check by `threshold - 1` intervals.
        """
        if self.silent_since is None or self.unseen_since is None:
            return now
        checks = stack.health_check_interval * (stack.health_check_threshold - 1)
        return max(self.silent_since, self.unseen_since - checks)

    def document(self) -> dict[str, Any]:
        """All of it as JSON."""
        return dict(vars(self))

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Observation":
        """The opposite of `document`; raises KeyError, TypeError and ValueError."""
        found = cls(**known(cls, document))
        pending = [(float(number), float(moment)) for number, moment in found.pending]
        known_at = [*(moment for _, moment in pending), *([] if found.covered is None else [found.covered])]
        if not all(moment <= found.at for moment in known_at):  # nor is it, if one is no number (NaN)
            raise ValueError("it says that what comes later is covered")
        own, denied, refused = ([*map(str, each)] for each in (found.own, found.denied, found.refused))
        return replace(found, pending=pending, own=own, denied=denied, refused=refused)


def observe(previous: Observation | None, now: Observation, seen: ProbeResult, marks: Mapping[str, int], *, other: str,
            ended: float) -> Observation:
    """What is known after a look at the region `other`, which was asked to set a mark not before `now.at`.

    `marks` are those of this region's replica of the ledger; the look has `ended` at the latest then. `now` has what is
    known of this region. What was seen before a long gap does not count, nor marks of another writer, nor canaries that
    failed while the writer was elsewhere.
    """
    new = Observation(region=now.region, at=0.0)
    last = previous or new
    kept = last if now.at - last.at <= now.interval * MAX_GAP_LOOKS else new
    pending, covered = ([*last.pending], last.covered) if last.writer == now.writer else ([], None)
    if seen.mark is not None:
        pending = [*pending, (seen.mark, now.at)][-PENDING_MARKS:]
        if seen.mark <= last.arrived:
            pending, covered = [], None  # a restored ledger numbers its marks anew: what has arrived is not of this one
    arrived = marks.get(other, 0)
    covered = max((moment for number, moment in pending if number <= arrived), default=covered)
    silent = _since(kept.silent_since, ended, holds=seen.alive is False)
    if now.leader == other and seen.leader in ("", other):
        now = _canaries(kept if last.writer == now.writer else new, now, seen, ended)
    return replace(
        now, number=last.number + 1, alive=seen.alive, ready=seen.ready, why=seen.why, notified=last.notified,
        covered=covered, arrived=marks.get(other, last.arrived),
        pending=[each for each in pending if each[0] > arrived],
        unseen_since=_since(kept.unseen_since, ended, holds=now.seen is False),
        astray_since=_since(kept.astray_since, now.at, holds=(
            now.led_to == now.region and now.leader == other and seen.alive is not False)),
        silent_since=silent, silent_for=0.0 if silent is None else max(0.0, now.at - silent))


def _canaries(last: Observation, now: Observation, seen: ProbeResult, ended: float) -> Observation:
    """`now` with what is known of the other region's canaries after a look at it while it leads, and `last` before it.

    Only one that succeeds ends their failure, or a time without one: some looks may not reach the function.
    """
    begun = last.failing_since if last.failed_from is None else last.failed_from  # an older release has no such field
    if seen.ready or begun is None or now.at - (last.failed_at or last.at) > now.interval * (MAX_GAP_LOOKS + 0.5):
        begun = None
    lasts = 0.0 if begun is None else last.failing_for
    if not (seen.alive and seen.ready is False):
        return replace(now, failed_from=begun, failed_at=last.failed_at, failing_for=lasts)
    if begun is not None:
        lasts += max(0.0, now.at - max(last.at, begun))
    begun = ended if begun is None else begun
    return replace(now, failing_since=begun, failed_from=begun, failed_at=ended, failing_for=lasts)


def _since(known: float | None, moment: float, *, holds: bool) -> float | None:
    """Since when a condition has held: `known`, or else `moment`; None if it does not hold."""
    return (moment if known is None else known) if holds else None
