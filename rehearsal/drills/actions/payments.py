"""Actions: payments that a scenario sends and looks for, each group under a name."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated, Literal

from pydantic import Field

from rehearsal.drills.actions.registry import Count, Seconds, action
from rehearsal.drills.context import Role, ScenarioContext
from rehearsal.drills.recording import PaymentGroup
from rehearsal.errors import CheckFailed, NoAnswer
from rehearsal.workload.checks import expect
from rehearsal.workload.http import Answer
from rehearsal.workload.load import CLIENTS, LoadGenerator, acknowledged, at_once, send

Status = Annotated[int, Field(ge=0, le=599)]
"""An HTTP status; 0 for no answer."""
Range = Annotated[list[float], Field(min_length=2, max_length=2)]
"""The least and the greatest value."""
ANSWER_LIMIT = 3.0  # seconds in which a payment must be refused
LONGER = 1.5  # times


@action("post", "client")
def post(  # pylint: disable=too-many-arguments
    run: ScenarioContext, name: str, *, count: Count = 1, in_: Role = "active", behind_cut: bool = False,
    status: Status | Literal["any"] = 201, error: str = "", clients: Count = CLIENTS, unacknowledged: bool = False,
) -> str:
    """Send the payments of a name: `count` new ones when the name is new, the same ones again after that.

    status: what each must be answered; 201 if clients repeat them as 503 asks them to, since a busy machine may be too
    slow for the function's deadlines; 503 must come in time, and ask for that. error: what a refusal must say. clients:
    how many send at the same time. unacknowledged: only those that never were acknowledged. behind_cut: by clients that
    are in the region.
    """
    group, api = run.group(name, count), run.api(in_, behind_cut=behind_cut)

    def send_them() -> str:
        payments = group.unacknowledged if unacknowledged else group.payments
        sent = at_once(partial(send, api, clock=run.clock), payments, clients)
        group.sent += sent
        for each in sent if status != "any" else ():
            expect(each.answer.status if each.answer else 0, status, f"status of {each.answer and each.answer.body}")
            if each.answer and status == HTTPStatus.SERVICE_UNAVAILABLE:
                judge_refusal(each.answer, each.ended - each.began, error)
        return f"{len(sent)} {'refused' if status == HTTPStatus.SERVICE_UNAVAILABLE else 'payments'}"

    found = run.eventually(send_them) if status == HTTPStatus.CREATED else send_them()
    return found if len(group.payments) > 1 else ""


def judge_refusal(answer: Answer, seconds: float, error: str) -> None:
    """Raise CheckFailed unless a refusal came in time, asks the client to come again, and says this, if anything."""
    expect(answer.headers.get("Retry-After"), "1", "Retry-After")
    expect(answer.body, {"error": error} if error else answer.body, "answer")
    if seconds > ANSWER_LIMIT:
        raise CheckFailed(f"answered after {seconds:.1f} s")


@action("failed", "client")
def failed(run: ScenarioContext, name: str, *, between: Range) -> str:
    """Expect that a share of the requests for the payments of a name failed."""
    sent = run.group(name).sent
    share = 1 - len(acknowledged(sent)) / len(sent)
    found = f"{share:.0%} of {len(sent)} requests failed"
    if not between[0] <= share <= between[1]:
        raise CheckFailed(found)
    return found


@action("slower", "client")
def slower(run: ScenarioContext, name: str, *, than: str, milliseconds: Range) -> str:
    """Expect the fastest payment of a name to take so much longer than the fastest of another name."""
    now, before = (min(each.ended - each.began for each in run.group(one).sent) * 1000 for one in (name, than))
    if not milliseconds[0] <= now - before <= milliseconds[1]:
        raise CheckFailed(f"{now - before:.0f} ms more")
    return f"{before:.0f} ms before, {now:.0f} ms slowed"


@action("get", "client")
def get(  # pylint: disable=too-many-arguments
    run: ScenarioContext, name: str, *, in_: Role = "active", behind_cut: bool = False, status: Status = 200,
    eventually: bool = False, after: Seconds = 0.0, longer_than: str = "",
) -> str:
    """Ask a region for the payments of a name; each that is found must be as it was acknowledged.

    after: seconds from the first request for them, before which they must not be found. longer_than: the name of
    payments that were found in clearly less time.
    """
    group, api = run.group(name), run.api(in_, behind_cut=behind_cut)

    def look() -> None:
        for payment_id in group.ids():
            try:
                answer = api.find(payment_id)
            except NoAnswer as error:
                expect(0, status, f"status ({error})")
                continue
            expect(answer.status, status, f"status of {answer.body}")
            if status == HTTPStatus.OK:
                expect(answer.body, group.answers[payment_id], "answer")

    found = search(run, group, look, eventually=eventually, after=after)
    if longer_than and not group.arrived > LONGER * run.group(longer_than).arrived:
        raise CheckFailed(f"{group.arrived:.2f} s, after {run.group(longer_than).arrived:.2f} s for {longer_than}")
    return found


def search(run: ScenarioContext, group: PaymentGroup, look: Callable[[], object], *, eventually: bool,
           after: float) -> str:
    """Look once, or until it succeeds, not before `after` seconds from the first request; gives how long that took."""
    if not (eventually or after):
        look()
        return ""
    run.eventually(look)
    group.arrived = run.clock.monotonic() - group.sent[0].began
    if group.arrived < after:
        raise CheckFailed(f"there after {group.arrived:.2f} s instead of {after:.2f}")
    return f"{group.arrived:.2f} s after it was sent"


@action("stored", "client")
def stored(  # pylint: disable=too-many-arguments
    run: ScenarioContext, name: str, *, in_: Role = "active", found: bool = True, acknowledged: bool = False,  # pylint: disable=redefined-outer-name
    store: Literal["every", "table", "ledger", "receipts"] = "every", eventually: bool = False, after: Seconds = 0.0,
) -> str:
    """Expect the payments of a name in a store of a region, or in every one; or, if not `found`, none of them.

    acknowledged: only those that were. after: as for `get`.
    """
    group, where = run.group(name), f"{store} store of {run.region(in_).name}"
    ids = group.ids(acknowledged=acknowledged)

    def look() -> None:
        contents = run.contents(in_)
        holds = {"every": contents.whole, "table": contents.table.__contains__, "ledger": contents.ledger.__contains__,
                 "receipts": contents.receipts.__contains__}[store]
        expect([each for each in ids if holds(each) is not found], [], f"{'not ' * found}in {where}")

    seconds = search(run, group, look, eventually=eventually, after=after)
    return seconds if after else f"{len(ids) if found else 'none'} of {len(ids)} payments"


@action("replication", "client")
def replication(run: ScenarioContext, name: str, *, in_: Role = "active", status: str) -> None:
    """Expect a replication status of the receipts of a name's payments."""
    for payment_id in run.group(name).ids():
        expect(run.region(in_).receipt(payment_id)[0], status, "replication status")


@action("load", "client")
def load(run: ScenarioContext, what: Literal["on", "stop", "off"]) -> str | None:
    """Let clients pay in the active region, `on`; `stop` them; or end them, `off`, and wait for their answers.

    With `on`, one payment is acknowledged before what follows. After `off`, the payments are those of the name `load`.
    """
    if what == "on":
        api = run.api("active")
        run.start_load(LoadGenerator(lambda: api))
        return None
    if run.load is None:
        raise CheckFailed("there is no load")
    run.load.stop()
    if what == "stop":
        return None
    sent = [*run.load.finish()]
    run.recording.groups["load"] = PaymentGroup([*{each.payment_id: each.payment for each in sent}.values()], sent)
    return f"{len(acknowledged(sent))} acknowledged, {len(sent) - len(acknowledged(sent))} not"
