"""Which outages are shown, and that whatever comes of one, it is mended before the next."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from payments.errors import StoreUnavailable
from recovery.errors import AwsFailure
from recovery.plan import Action
from rehearsal.drills import outages
from rehearsal.drills.outages import OUTAGES, Outage, checks, chosen
from rehearsal.errors import CheckFailed, PostgresError, ProjectError
from rehearsal.postgres.global_database import ServerRole
from rehearsal.rehearsed_stack import StoreContents
from rehearsal.workload.checks import CheckResult, attempt


class FakeGround:
    """Counts how often it was mended; `waiting` copies."""

    def __init__(self) -> None:
        self.mended = 0
        self.clients = "clients"
        self.waiting: list[str] = []
        self.outputs = {"primary_region": "east", "global_cluster_id": "g"}
        self.writer = "east"
        self.pair = SimpleNamespace(role=lambda _: ServerRole.STANDBY, catch_up=lambda _: None)
        self.copies = SimpleNamespace(report=lambda: [{"store": "table", "waiting": self.waiting}])

    def mend(self) -> None:
        """Count."""
        self.mended += 1

    def sides(self) -> list[SimpleNamespace]:
        """The writer's region and the other."""
        names = sorted(("east", "west"), key=lambda name: name != self.writer)
        return [SimpleNamespace(name=name) for name in names]


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is asked of the plan."""
    found: list[Any] = []
    monkeypatch.setattr(outages, "move_writer", lambda *asked: found.append(asked))
    return found


@pytest.fixture
def ground(moved: list[Any]) -> Any:
    """Nothing but what is counted."""
    assert moved == []
    return FakeGround()


def shown(monkeypatch: pytest.MonkeyPatch, **runs: Any) -> None:
    """Make these the outages."""
    monkeypatch.setattr(outages, "OUTAGES", {name: Outage(run) for name, run in runs.items()})


def test_all_means_what_fits_the_table_and_was_not_to_be_asked_for() -> None:
    eventual, strong = chosen("all", strong=False), chosen("all", strong=True)
    assert set(eventual) ^ set(strong) == {"table-lag", "quorum"}
    assert set(OUTAGES) - {*eventual, *strong} == {"kill9", "kill9-short"}


def test_none_is_none_and_names_come_in_their_order() -> None:
    assert chosen("none", strong=False) == []
    assert chosen("slow,cut,kill9", strong=True) == ["slow", "cut", "kill9"]


@pytest.mark.parametrize(
    ("words", "strong", "complaint"),
    [("flood", False, "--outages flood: must be all, none or some of table-lag, "),
     ("", False, "--outages : must be"), ("cut,", False, "--outages : must be"),
     ("quorum", False, "--outages quorum: needs tableConsistency=strong"),
     ("table-lag", True, "--outages table-lag: needs tableConsistency=eventual")])
def test_what_cannot_be_shown_is_refused(words: str, strong: bool, complaint: str) -> None:
    with pytest.raises(ProjectError, match=complaint):
        chosen(words, strong=strong)


def test_each_outage_is_mended(monkeypatch: pytest.MonkeyPatch, ground: Any) -> None:
    def run(_: object) -> Iterator[CheckResult]:
        yield CheckResult("one", ok=True, milliseconds=1, detail="told")
        yield CheckResult("two", ok=False, milliseconds=2, detail="wrong")

    shown(monkeypatch, first=run, second=run)
    assert [(check.name, check.ok, check.detail) for check in checks(ground, ["first", "second"])] == [
        ("first: one", True, "told"), ("first: two", False, "wrong"),
        ("second: one", True, "told"), ("second: two", False, "wrong")]
    assert ground.mended == 2


@pytest.mark.parametrize("writer", ["east", "west"])
def test_right_and_writer_are_brought_home(
    monkeypatch: pytest.MonkeyPatch, ground: Any, moved: list[Any], writer: str
) -> None:
    shown(monkeypatch, first=lambda _: iter(()))
    ground.writer = writer
    assert list(checks(ground, ["first"])) == []
    assert moved == [(Action.SWITCHOVER, "east", ground.outputs, "clients")]


def test_what_cannot_be_brought_home_ends_it(monkeypatch: pytest.MonkeyPatch, ground: Any) -> None:
    def stuck(*_: object) -> None:
        raise AwsFailure("promote was not done within 10 s: it takes longer")

    shown(monkeypatch, first=lambda _: iter(()), second=lambda _: iter(()))
    monkeypatch.setattr(outages, "move_writer", stuck)
    (check,) = checks(ground, ["first", "second"])
    assert (check.name, check.ok, check.detail) == (
        "first: mended", False, "AwsFailure: promote was not done within 10 s: it takes longer")


def test_what_cannot_be_mended_ends_it(monkeypatch: pytest.MonkeyPatch, ground: Any) -> None:
    shown(monkeypatch, first=lambda _: iter(()), second=lambda _: iter(()))
    ground.waiting = ["x"]
    (check,) = checks(ground, ["first", "second"])
    assert (check.name, check.ok, ground.mended) == ("first: mended", False, 1)


def test_a_fault_of_an_outage_comes_out_after_the_mending(monkeypatch: pytest.MonkeyPatch, ground: Any) -> None:
    def run(_: object) -> Iterator[CheckResult]:
        yield CheckResult("one", ok=True, milliseconds=1 // 0)

    shown(monkeypatch, first=run)
    with pytest.raises(ZeroDivisionError):
        list(checks(ground, ["first"]))
    assert ground.mended == 1


@pytest.mark.parametrize(
    ("error", "detail"),
    [(PostgresError("east: is down"), "PostgresError: east: is down"),
     (StoreUnavailable("table", "Timeout"), "StoreUnavailable: ('table', 'Timeout')")])
def test_what_databases_and_stores_say_is_a_finding(error: Exception, detail: str) -> None:
    def check() -> None:
        raise error

    found = attempt("x", check)
    assert (found.ok, found.detail) == (False, detail)


def test_what_was_measured_is_told() -> None:
    found = attempt("x", lambda: "1.50 s")
    assert (found.ok, found.detail) == (True, "1.50 s")
    assert attempt("x", lambda: None).detail == ""


def test_a_payment_is_whole_if_every_store_has_it() -> None:
    table: Any = {"a": SimpleNamespace(settled=True), "b": SimpleNamespace(settled=False)}
    stores = StoreContents(table, frozenset("abc"), {"a": 1, "b": 1})
    assert [stores.whole(each) for each in "abc"] == [True, False, False]
    assert not StoreContents(table, frozenset(), {"a": 1}).whole("a")
    assert not StoreContents(table, frozenset("a"), {}).whole("a")


def test_a_copy_that_came_too_soon_is_a_finding() -> None:
    assert outages.lagged(1.2, 1.0) == "1.20 s after it was sent"
    with pytest.raises(CheckFailed, match=r"it was there after 0\.90 s instead of 1\.00"):
        outages.lagged(0.9, 1.0)


def test_every_refusal_is_counted() -> None:
    assert outages.refused_all([503, 503]) == "2 of 2 refused"
    with pytest.raises(CheckFailed, match="1 instead of 2"):
        outages.refused_all([503, 201])
