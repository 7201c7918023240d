"""What can go wrong, made to go wrong one by one on a deployed stack, with payments under way.

Each outage is a function of the ground that it happens on; it gives checks as they are done. When it begins, one region
has the database's writer and the right to write (`home`), and nothing is wrong; when it has ended, nothing is again.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

from contract import Store
from payments.deadline import Deadline, Timing
from payments.errors import NotTheWriter
from payments.payment import Record, parse
from recovery.plan import Action
from rehearsal.aws.faults import FailureMode
from rehearsal.aws.ministack import RECEIPTS, STOPPED, TABLE, CopyLag
from rehearsal.drills.chaos import kill9
from rehearsal.errors import CheckFailed, NoAnswer, ProjectError
from rehearsal.rehearsed_stack import PATIENCE, RehearsedStack
from rehearsal.workload.checks import CheckResult, arrives, attempt, expect
from rehearsal.workload.http import ApiClient
from rehearsal.workload.load import LoadGenerator, acknowledged, new_payment, send, send_all
from rehearsal.workload.move_writer import move_writer
from rehearsal.workload.region import RegionClient

ALL, NONE = "all", "none"

LAG = 1.5  # seconds of the table's lag
COPY_LAG, REPLAY_LAG = 1.0, 1.0
DELAY = 150.0  # milliseconds for each call of a slow region
SHARE, REQUESTS = 0.2, 60  # of the calls that fail; how many requests are sent meanwhile
FEWEST, MOST = 0.03, 0.5  # the share of requests that fail by it: a request is several calls, most of them tried again
LIMIT = 3.0  # seconds in which a request must be answered
BURST = 8  # payments at once
LOADED, DOWN = 0.8, 0.6  # seconds of load before the writer is killed, and until it is started again

Checks = Iterator[CheckResult]


@dataclass(frozen=True)
class Outage:
    """One thing that goes wrong. `strong` and `eventual`: with which consistency of the table it can be shown."""

    run: Callable[[RehearsedStack], Checks]
    strong: bool = True
    eventual: bool = True
    asked: bool = False  # only shown if it is asked for by name


# --- What the outages have in common


def _post(region: RegionClient, made: dict[str, Any] | None = None) -> dict[str, Any]:
    """Make a payment, and give its answer. Raises Unmet if it is not accepted."""
    answer = region.api.pay(made or new_payment())
    expect(answer.status, HTTPStatus.CREATED, f"status of {answer.body}")
    accepted: dict[str, Any] = answer.body
    return accepted


def _status(region: RegionClient, payment_id: str, url: str = "") -> int:
    return _api(region, url).find(payment_id).status


def _got(region: RegionClient, accepted: dict[str, Any]) -> None:
    answer = region.api.find(accepted["payment_id"])
    expect((answer.status, answer.body), (HTTPStatus.OK, accepted), "answer")


def _silent(work: Callable[[], object]) -> None:
    """Expect that there is no answer."""
    try:
        answer = work()
    except NoAnswer:
        return
    raise CheckFailed(f"{answer} instead of no answer")


def lagged(seconds: float, least: float) -> str:
    """What was measured, for people. Raises Unmet if it is less than the lag that was set."""
    if seconds < least:
        raise CheckFailed(f"it was there after {seconds:.2f} s instead of {least:.2f}")
    return f"{seconds:.2f} s after it was sent"


def _arrived(check: Callable[[], None], since: float) -> float:
    """The seconds since a moment after which a check first held."""
    arrives(check)
    return time.monotonic() - since


def _whole(ground: RehearsedStack, region: RegionClient, ids: Iterable[str]) -> str:
    """Expect that each of the payments is in each store of a region."""
    kept, wanted = ground.kept(region), sorted(ids)
    expect([each for each in wanted if not kept.whole(each)], [], f"not in every store of {region.name}")
    return f"{len(wanted)} payments"


def _measured(region: RegionClient, made: dict[str, Any], url: str = "") -> tuple[int, str, float]:
    """Status, Retry-After and seconds of a payment's request."""
    answer = _api(region, url).pay(made)
    return answer.status, answer.headers.get("Retry-After", ""), answer.seconds


def _api(region: RegionClient, url: str) -> ApiClient:
    return replace(region.api, url=url or region.url)


def _come_again(region: RegionClient, made: dict[str, Any], url: str = "") -> str:
    """Expect that the client is asked to come again, in time."""
    status, retry_after, seconds = _measured(region, made, url)
    expect((status, retry_after), (HTTPStatus.SERVICE_UNAVAILABLE, "1"), "status, Retry-After")
    if seconds > LIMIT:
        raise CheckFailed(f"{seconds:.1f} s")
    return ""


# --- Lag


def lag_of_the_table(ground: RehearsedStack) -> Checks:
    """The other region does not have a payment before its copy is made."""
    home, away = ground.sides()

    def fixed() -> str:
        ground.copies.lag(TABLE, home.name, away.name, CopyLag(LAG))
        at, accepted = time.monotonic(), _post(home)
        expect(_status(away, accepted["payment_id"]), HTTPStatus.NOT_FOUND, f"status in {away.name} at once")
        return lagged(_arrived(lambda: _got(away, accepted), at), LAG)

    def stopped() -> str:
        ground.copies.lag(TABLE, home.name, away.name, STOPPED)
        accepted = _post(home)
        time.sleep(0.5)
        expect(_status(away, accepted["payment_id"]), HTTPStatus.NOT_FOUND, f"status in {away.name}")
        behind = max(each["lag_ms"] for each in ground.copies.report() if each["store"] == TABLE)
        ground.copies.lag(TABLE, home.name, away.name, CopyLag())
        _got(away, accepted)
        return f"{behind:.0f} ms behind when it was resumed"

    def growing() -> str:
        ground.copies.lag(TABLE, home.name, away.name, CopyLag(0.2, 0.5))  # after 2 * 0.2 s, and twice that the next time
        found = []
        for _ in range(2):
            at, accepted = time.monotonic(), _post(home)
            found.append(_arrived(partial(_got, away, accepted), at))
        if not found[1] > 1.5 * found[0]:
            raise CheckFailed(f"{found[0]:.2f} s, then {found[1]:.2f} s")
        return f"{found[0]:.2f} s, then {found[1]:.2f} s"

    yield attempt(f"a payment is in {away.name} once {LAG} s are over", fixed)
    yield attempt("stopped and resumed, it is there at once", stopped)
    yield attempt("growing, each takes longer than the last", growing)


def lag_of_the_receipts(ground: RehearsedStack) -> Checks:
    """A receipt comes later than the payment."""
    home, away = ground.sides()

    def late() -> str:
        ground.copies.lag(RECEIPTS, home.name, away.name, CopyLag(COPY_LAG))
        at, accepted = time.monotonic(), _post(home)
        _got(away, accepted)
        try:
            away.receipt(accepted["payment_id"])
        except ClientError as error:
            expect(error.response["Error"]["Code"], "NoSuchKey", "error")
        else:
            raise CheckFailed("its receipt was there at once")
        status = home.receipt(accepted["payment_id"])[0]
        expect(status, "PENDING", "replication status")
        return lagged(_arrived(lambda: _has_receipt(away, accepted["payment_id"]), at), COPY_LAG)

    yield attempt(f"a receipt is in {away.name} once {COPY_LAG} s are over, its payment before", late)


def _has_receipt(region: RegionClient, payment_id: str) -> None:
    region.receipt(payment_id)


def lag_of_the_database(ground: RehearsedStack) -> Checks:
    """The standby replays late."""
    home, away = ground.sides()

    def posted(payment_id: str) -> None:
        expect(payment_id in ground.posted(away), True, f"posted in {away.name}")

    def late() -> str:
        ground.pair.delay(away.name, REPLAY_LAG)
        at, accepted = time.monotonic(), _post(home)
        expect(accepted["payment_id"] in ground.posted(away), False, f"posted in {away.name} at once")
        lag, seen = ground.pair.lag(away.name), time.monotonic() - at
        expect(lag.commits > 0, True, "commits behind")
        return (f"{lag.commits} commits and {lag.milliseconds:.0f} ms behind, {seen * 1000:.0f} ms after it was sent; "
                + lagged(_arrived(lambda: posted(accepted["payment_id"]), at), REPLAY_LAG))

    yield attempt(f"a posting is in {away.name} once {REPLAY_LAG} s are over, and the lag is told", late)


# --- Regions and stores


def cut_off(ground: RehearsedStack) -> Checks:
    """First the other region is cut off, then the writer's own."""
    home, away = ground.sides()
    before, meanwhile = new_payment(), [new_payment() for _ in range(BURST)]
    yield attempt("a payment before", lambda: _got(away, _post(home, before)))

    def nobody(region: RegionClient) -> None:
        _silent(lambda: region.api.pay(new_payment()))
        _silent(lambda: _status(region, before["payment_id"]))

    def inside(region: RegionClient) -> str:
        count = len(ground.relays.calls)
        _come_again(region, new_payment(), ground.within(region))
        expect(_status(region, before["payment_id"], ground.within(region)), HTTPStatus.SERVICE_UNAVAILABLE, "status")
        calls = [call for call in ground.relays.calls[count:] if call.caller == region.name]
        expect([call for call in calls if call.status], [], "calls that got out")
        return f"{len(calls)} calls, none got out"

    def goes_on() -> str:
        accepted = acknowledged(send_all(home.api, meanwhile))
        expect(len(accepted), BURST, "accepted")
        return f"{BURST} payments"

    ground.faults.cut(away.name)
    yield attempt(f"{away.name} cut off: neither POST nor GET from outside", lambda: nobody(away))
    yield attempt(f"{away.name} cut off: its function reaches nothing", lambda: inside(away))
    yield attempt(f"{away.name} cut off: {home.name} takes payments", goes_on)
    ground.faults.heal(away.name)
    yield attempt(f"healed: all of it arrives in {away.name}", lambda: arrives(
        lambda: expect(bool(_whole(ground, away, [each["payment_id"] for each in meanwhile])), True, "arrived")))
    ground.faults.cut(home.name, FailureMode.RESET)
    yield attempt(f"{home.name} cut off: neither POST nor GET from outside", lambda: nobody(home))
    yield attempt(f"{home.name} cut off: its function reaches nothing", lambda: inside(home))
    yield attempt(f"{home.name} cut off: {away.name} finds payments", lambda: expect(
        _status(away, before["payment_id"]), HTTPStatus.OK, "status"))
    yield attempt(f"{home.name} cut off: {away.name} takes none, as nobody took over",
                  lambda: _come_again(away, new_payment()))
    ground.faults.heal(home.name)
    yield attempt(f"healed: {home.name} takes payments", lambda: arrives(lambda: _got(home, _post(home, meanwhile[0]))))


def slow(ground: RehearsedStack) -> Checks:
    """Each call from a region and to it takes longer."""
    home, _ = ground.sides()

    def timed() -> str:
        before = min(_measured(home, new_payment())[2] for _ in range(3))
        ground.faults.slow(home.name, DELAY)
        status, _, seconds = _measured(home, new_payment())
        expect(status, HTTPStatus.CREATED, "status")
        slower = (seconds - before) * 1000
        # The API, the table twice, the receipt, and perhaps the right: the database is no HTTP call.
        if not 4 * DELAY * 0.9 <= slower <= 10 * DELAY:
            raise CheckFailed(f"{slower:.0f} ms more")
        return f"{before * 1000:.0f} ms before, {seconds * 1000:.0f} ms slowed"

    yield attempt(f"{home.name} slow by {DELAY:.0f} ms a call: a payment takes four or five of it more", timed)


def failing(ground: RehearsedStack) -> Checks:
    """A share of a region's calls fails, some of them after they are done."""
    home, away = ground.sides()
    made = [new_payment() for _ in range(REQUESTS)]
    accepted: list[str] = []

    def share() -> str:
        ground.faults.fail(home.name, SHARE)
        sent = send_all(home.api, made)
        ground.faults.heal(home.name)
        accepted.extend(each.payment_id for each in acknowledged(sent))
        failed = 1 - len(accepted) / REQUESTS
        if not FEWEST <= failed <= MOST:
            raise CheckFailed(f"{failed:.0%} of {REQUESTS} requests failed")
        return f"{failed:.0%} of {REQUESTS} requests failed"

    def completed() -> str:
        repeated = acknowledged(send_all(home.api, made))
        expect(len(repeated), REQUESTS, "accepted by now")
        arrives(lambda: expect(bool(_whole(ground, away, [each["payment_id"] for each in made])), True, "arrived"))
        return f"{REQUESTS - len(accepted)} more"

    yield attempt(f"{SHARE:.0%} of the calls fail: so do about as many requests", share)
    yield attempt("every acknowledged payment is in every store", lambda: _whole(ground, home, accepted))
    yield attempt("repeats complete the others", completed)


def lost_store(ground: RehearsedStack) -> Checks:
    """One store of the writer's region gives no answer."""
    home, _ = ground.sides()
    before = new_payment()
    yield attempt("a payment before", lambda: _got(home, _post(home, before)))
    for store in (TABLE, RECEIPTS, Store.LEDGER):
        made, found = new_payment(), HTTPStatus.SERVICE_UNAVAILABLE if store == TABLE else HTTPStatus.OK
        ground.faults.lose(home.name, store)
        yield attempt(f"{store} lost: POST 503 with Retry-After within {LIMIT:.0f} s",
                      partial(_come_again, home, made))
        yield attempt(f"{store} lost: GET {found:d}", lambda wanted=found: expect(  # type: ignore[misc]
            _status(home, before["payment_id"]), wanted, "status"))
        ground.faults.heal(home.name)
        yield attempt(f"{store} back: the same POST 201", partial(arrives, partial(_posted, home, made)))


def _posted(region: RegionClient, made: dict[str, Any]) -> None:
    _post(region, made)


# --- The writer


def killed(ground: RehearsedStack) -> Checks:
    """Every process of the writer's database is killed while it works, and it is started again."""
    home, _ = ground.sides()
    accepted: list[str] = []
    others: list[Any] = []

    def kill() -> str:
        with LoadGenerator(lambda: home.api) as load:
            time.sleep(LOADED)
            ground.pair.kill(home.name)
            time.sleep(DOWN)
            ground.pair.restart(home.name)
            sent = load.finish()
        accepted.extend(each.payment_id for each in acknowledged(sent))
        others.extend(each.payment for each in sent if not each.acknowledged)
        expect(bool(accepted), True, "acknowledged")
        return f"{len(accepted)} acknowledged, {len(others)} not"

    def completed() -> str:
        for made in others:
            arrives(partial(_posted, home, made))
        return _whole(ground, home, [*accepted, *(each["payment_id"] for each in others)])

    yield attempt(f"the writer in {home.name} killed under load and started again", kill)
    yield attempt("every acknowledged payment is in every store", lambda: _whole(ground, home, accepted))
    yield attempt("repeats complete the others", completed)


def failover(ground: RehearsedStack) -> Checks:
    """The writer's region is cut off before its ledger and its receipts have come over, and the standby takes over."""
    home, away = ground.sides()
    beside = ground.beside(away)  # nothing that is done meanwhile may need the region that is cut off
    made = [new_payment() for _ in range(BURST)]
    ids = [each["payment_id"] for each in made]

    def before() -> str:
        ground.lag(home, away, 0, PATIENCE, PATIENCE)
        expect(len(acknowledged(send_all(home.api, made))), BURST, "accepted")
        ground.faults.cut(home.name)
        missing = [each for each in ids if each not in ground.posted(away)]
        expect(len(missing), BURST, "not posted there")
        return f"{BURST} payments, of which the standby has posted none"

    def taken_over() -> str:
        began = time.monotonic()
        found = move_writer(Action.FAILOVER, away.name, ground.outputs, beside)
        return f"{found['epoch']}, {time.monotonic() - began:.1f} s"

    def repaired() -> str:
        found = away.reconciled()
        expect(found["error"], "", "error")
        _whole(ground, away, ids)
        return f"{len(set(found['repaired']) & set(ids))} of {BURST} repaired, none lost"

    def behind_the_cut() -> str:
        inside = replace(home.api, url=ground.within(home))
        refused = [send(inside, new_payment()) for _ in range(3)]
        return refused_all([each.answer.status if each.answer else 0 for each in refused])

    def returned() -> str:
        arrives(lambda: expect(ground.pair.role(home.name).value, "standby", "role"))
        sent = [_measured(home, new_payment())[0] for _ in range(BURST)]
        return refused_all(sent)

    yield attempt(f"{home.name} takes payments, and is cut off", before)
    yield attempt(f"{away.name} takes the right to write and the database", taken_over)
    yield attempt(f"{away.name} repairs what its stores have lost", repaired)
    yield attempt(f"{away.name} takes payments", lambda: arrives(lambda: _got(away, _post(away))))
    yield attempt(f"{home.name}, still cut off, acknowledges none", behind_the_cut)
    ground.faults.heal(home.name)
    yield attempt(f"{home.name} rejoins and refuses what it is asked to write", returned)
    yield attempt(f"{away.name} refuses postings of the old epoch", lambda: _stale(ground, away, ids))
    yield attempt("all is in both regions", lambda: arrives(lambda: _everywhere(ground, (home, away), ids)))


def _everywhere(ground: RehearsedStack, regions: Sequence[RegionClient], ids: Sequence[str]) -> None:
    for region in regions:
        _whole(ground, region, ids)


def refused_all(statuses: Sequence[int]) -> str:
    """How many requests were refused, for people. Raises Unmet if any was not."""
    refused = statuses.count(HTTPStatus.SERVICE_UNAVAILABLE)
    expect(refused, len(statuses), f"refused of {statuses}")
    return f"{refused} of {len(statuses)} refused"


def _stale(ground: RehearsedStack, region: RegionClient, ids: Sequence[str]) -> str:
    """What a writer that does not know better would post: new payments, under the epoch before the present one."""
    ledger, epoch = ground.ledger(region), ground.right(region).epoch - 1
    refused = 0
    for _ in ids:
        new = parse(json.dumps(new_payment()).encode(), set())
        record = Record(payment=new, fingerprint=new.fingerprint(), created_at="2026-01-01T00:00:00.000+00:00",
                        epoch=epoch)
        try:
            ledger.post(record, Deadline(Timing(), PATIENCE))
        except NotTheWriter:
            refused += 1
    ledger.close()
    expect(refused, len(ids), "refused")
    return f"{refused} of {len(ids)} of epoch {epoch} refused"


def quorum(ground: RehearsedStack) -> Checks:
    """With strong consistency a region alone, though it lives on behind the cut, cannot write."""
    home, away = ground.sides()
    before, made = new_payment(), new_payment()
    yield attempt("a payment before", lambda: _got(away, _post(home, before)))
    ground.faults.cut(home.name, inside=True)

    def alone() -> None:
        answer = home.api.pay(made)
        expect((answer.status, answer.body), (HTTPStatus.SERVICE_UNAVAILABLE, {"error": "table unavailable"}), "answer")

    def not_kept() -> None:
        for region in (home, away):
            expect(region.item(made["payment_id"]), None, f"item in {region.name}")

    yield attempt(f"{home.name} cut off but alive: POST behind the cut 503, the table has no quorum", alone)
    yield attempt(f"{home.name} cut off but alive: GET behind the cut 503", lambda: expect(
        _status(home, before["payment_id"]), HTTPStatus.SERVICE_UNAVAILABLE, "status"))
    yield attempt(f"{away.name} and the witness are a quorum: GET 200", lambda: expect(
        _status(away, before["payment_id"]), HTTPStatus.OK, "status"))
    ground.faults.heal(home.name)
    yield attempt("nothing of it was kept", not_kept)
    yield attempt("healed: the same POST 201", lambda: arrives(lambda: _got(away, _post(home, made))))


OUTAGES = {
    "table-lag": Outage(lag_of_the_table, strong=False),
    "receipts-lag": Outage(lag_of_the_receipts),
    "database-lag": Outage(lag_of_the_database),
    "cut": Outage(cut_off),
    "slow": Outage(slow),
    "failing": Outage(failing),
    "lost-store": Outage(lost_store),
    "killed": Outage(killed),
    "failover": Outage(failover),
    "quorum": Outage(quorum, eventual=False),
    "kill9": Outage(kill9, asked=True),
    "kill9-short": Outage(partial(kill9, runs=3), asked=True),
}


def chosen(words: str, *, strong: bool) -> list[str]:
    """The outages that `all`, `none` or names with commas between mean. Raises ProjectError."""
    fits = {name for name, outage in OUTAGES.items() if (outage.strong if strong else outage.eventual)}
    if words == ALL:
        return [name for name, outage in OUTAGES.items() if name in fits and not outage.asked]
    names = [] if words == NONE else words.split(",")
    for name in names:
        if name not in OUTAGES:
            raise ProjectError(f"--outages {name}: must be {ALL}, {NONE} or some of {', '.join(OUTAGES)}")
        if name not in fits:
            raise ProjectError(f"--outages {name}: needs tableConsistency={'eventual' if strong else 'strong'}")
    return names


def checks(ground: RehearsedStack, names: Sequence[str]) -> Checks:
    """The checks of the outages of these names, each as it is done, and of what is mended after each."""
    for name in names:
        try:
            for check in OUTAGES[name].run(ground):
                yield CheckResult(f"{name}: {check.name}", check.ok, check.milliseconds, check.detail)
        finally:
            ground.mend()
        mended = attempt(f"{name}: mended", partial(_mended, ground))
        if not mended.ok:
            yield mended
            return  # what came next would show nothing


def _mended(ground: RehearsedStack) -> None:
    """Bring the writer and the right to write home, if they are not there, and wait until all copies are made."""
    _, away = ground.sides()
    arrives(lambda: expect(ground.pair.role(away.name).value, "standby", f"{away.name}"))
    ground.pair.catch_up(away.name)
    move_writer(Action.SWITCHOVER, ground.outputs["primary_region"], ground.outputs, ground.clients)
    waiting = [each for each in ground.copies.report() if each["waiting"]]
    expect(waiting, [], "copies that wait")
