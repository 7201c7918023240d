"""What must hold of the calls, the stores and the databases."""

from types import SimpleNamespace
from typing import Any

import pytest

from payments.errors import NotTheWriter
from rehearsal.aws.faults import ApiCall
from rehearsal.errors import CheckFailed
from rehearsal.postgres.global_database import ServerRole
from tests.rehearsal.drills.fakes import FakeStack, act, context
from tests.rehearsal.stack import EAST, WEST


@pytest.fixture
def stack() -> Any:
    """A stack in which everything works."""
    return FakeStack()


def call(caller: str, status: int = 0) -> ApiCall:
    """A call with its answer."""
    made = ApiCall(caller, EAST, "s3", "GET")
    made.status = status
    return made


def test_a_region_is_isolated_if_it_calls_and_is_not_answered(stack: Any) -> None:
    run = context(stack)
    stack.relays.calls += [call(EAST, 200), call(EAST), call(EAST), call(WEST, 200)]
    run.first_call = 1
    assert act(run, isolated="active") == "2 calls, none answered"
    stack.relays.calls.append(call(EAST, 200))
    with pytest.raises(CheckFailed, match=r"^calls that were answered"):
        act(run, isolated="active")
    run.first_call = 5
    with pytest.raises(CheckFailed, match=r"^no call was made$"):
        act(run, isolated="active")


def test_a_database_is_behind_by_its_commits(stack: Any) -> None:
    run = context(stack)
    assert act(run, behind="ledger") == "1 commits and 70 ms behind"
    stack.pair.lag = lambda _: SimpleNamespace(commits=0, milliseconds=0.0)
    with pytest.raises(CheckFailed, match=r"^commits behind"):
        act(run, behind="ledger")


def test_a_database_is_waited_for_until_it_has_its_role(stack: Any) -> None:
    run = context(stack)
    act(run, database="standby", is_="standby")
    stack.roles[EAST] = ServerRole.STALE
    with pytest.raises(CheckFailed, match=f"^database in {EAST}: 'stale writer' instead of 'standby'$"):
        act(run, database="active", is_="standby")


def report(error: str = "", refused: tuple[str, ...] = (), repaired: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the function `reconcile` says."""
    return {"error": error, "refused": [*refused], "repaired": [*repaired]}


def test_a_repair_is_repeated_until_it_is_complete(stack: Any) -> None:
    run = context(stack)
    act(run, post="many", count=2)
    first, _ = run.group("many").ids()
    stack.reports = [report("table unavailable"), report(refused=("x",)), report(repaired=(first, "other"))]
    assert act(run, reconcile="standby", repairs="many") == "1 of 2 repaired"
    stack.reports = [report()]
    assert act(run, reconcile="standby") == ""


@pytest.mark.parametrize("refused", [2, 1])
def test_every_posting_of_the_old_epoch_must_be_refused(stack: Any, refused: int) -> None:
    run, epochs, closed = context(stack), list[int](), list[bool]()

    def post(record: Any, _: object) -> None:
        epochs.append(record.epoch)
        if len(epochs) <= refused:
            raise NotTheWriter(EAST)

    stack.ledger = lambda _: SimpleNamespace(post=post, close=lambda: closed.append(True))
    stack.leadership = lambda _: SimpleNamespace(epoch=5)
    if refused == 2:
        assert act(run, stale_postings=2, in_="standby") == "2 of 2 of epoch 4 refused"
    else:
        with pytest.raises(CheckFailed, match=r"^refused: 1 instead of 2$"):
            act(run, stale_postings=2, in_="standby")
    assert (epochs, closed) == ([4, 4], [True])
