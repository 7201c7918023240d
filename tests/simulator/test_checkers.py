"""Each checker fires on a history that breaks its rule, and not on one that does not."""
from types import SimpleNamespace
from typing import Any

import pytest

from recovery.record import Run
from simulator import checkers
from simulator.clients import Acknowledged
from simulator.faults import TimedFault
from simulator.history import History
from simulator.world import Options
from tests.simulator.conftest import EAST, WEST

NOW = 1000.0
LED: dict[str, Any] = {
    "epoch": 2, "action": "failover", "accepted": False, "missing": 3, "exposure": 20.0, "reported": 25.0,
    "other_pays": False, "seen": True, "flooded": False, "resumed": False, "automatic": True, "by": "c", "run": "r",
    "dead": None, "looked": 5.0, "written_for": 0.1, "paused": False, "reached": True}

ASKED: dict[str, Any] = {
    "holds": True, "proved": False, "how": "failover", "target": WEST, "holder": "x", "evidence": "dead", "run": "r",
    "seen": 0.0}


class FakeWorld(SimpleNamespace):
    """As much of a world as checkers ask for; everything is well in it."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**{
            "history": paying(*range(0, 1000, 10)), "options": Options(), "regions": (EAST, WEST),
            "scheduler": SimpleNamespace(now=NOW), "stack": SimpleNamespace(look_interval=10),
            "served": {EAST: NOW, WEST: 0.0}, "permanent": [], "struck": {}, "given_up": set(),
            "contested": set(), "forked": set(), "healed": 0.0,
            "acknowledged": {}, "table": SimpleNamespace(views={EAST: {}, WEST: {}}, item=lambda _region, _key: None),
            "route53": SimpleNamespace(leads_to=lambda: EAST), "aurora": SimpleNamespace(writer=EAST),
            "takes_payments": lambda region: region == EAST, "leader": lambda _: (EAST, 1), "lever": lambda _: False,
            "stranded": lambda: False,
            "run": lambda _: None, "stores_with": lambda _region, _id: {"table", "ledger", "receipts"}, **changes})

    def note(self, what: str, who: str = EAST, at: float = 500.0, **facts: Any) -> "FakeWorld":
        """With an event."""
        self.history.note(at, what, who, **facts)
        return self


def rules(world: Any) -> list[str]:
    """The rules that a world breaks."""
    return [found.rule for check in (*checkers.SAFETY, *checkers.LIVENESS) for found in check(world)]


def led(**changes: Any) -> FakeWorld:
    """A world in which leadership was taken."""
    return FakeWorld().note("leads", WEST, **{**LED, **changes})


def doubted(epoch: int, **changes: Any) -> FakeWorld:
    """A world in which a payment is pending under an epoch."""
    item = {"status": checkers.PENDING, "epoch": {"N": str(epoch)}}
    return FakeWorld(table=SimpleNamespace(views={EAST: {"p": (item, (1.0, 1))}, WEST: {}}), **changes)


def asked(**changes: Any) -> FakeWorld:
    """A world in which a promotion was asked for."""
    return FakeWorld().note("asked to promote", WEST, **{**ASKED, **changes})


def denied(at: float, *, automatic: bool = True) -> FakeWorld:
    """A world in which a promotion was refused for a permission that is missing since then."""
    return FakeWorld().note("fault", WEST, at, name="promotion-denied").note(
        "not permitted", operation="FailoverGlobalCluster", region=WEST, automatic=automatic)


def ended(struck: dict[str, int] | None = None, **changes: Any) -> FakeWorld:
    """A world in which a run has ended."""
    return FakeWorld(struck=struck or {}).note("runs", at=400.0, run="r").note("ends", **{
        "why": "done", "action": "failover", "target": EAST, "writer": EAST, "led_to": EAST, "outrun": 0, "run": "r",
        "split": False, **changes})


def run(ended: float | None = None) -> Run:
    """A run."""
    return Run(id="r", action="failover", target=WEST, driver="c", began=100.0, why="", ended=ended)


def paying(*moments: float, repaired: float = NOW) -> History:
    """A history of payments, and of a repair in each region."""
    history = History()
    for moment in moments:
        history.note(float(moment), "paid", "client")
    history.note(repaired, "repaired", EAST, began=repaired - 1.0, epoch=1, leads=True)
    return history


def holding(stores: set[str], item: dict[str, Any] | None, amount: int = 7, created_at: int = 1, *, by: str = EAST,
            **changes: Any) -> FakeWorld:
    """A world with an acknowledged payment of 7, which the leading region has with an amount in these stores."""
    payment = Acknowledged("p", 100.0, by, {"amount": 7, "created_at": 1})
    kept = {store: {"amount": amount, "created_at": created_at} for store in stores}
    return FakeWorld(acknowledged={"p": payment}, stores_with=lambda _region, _id: kept, **{
        "table": SimpleNamespace(views={EAST: {}, WEST: {}}, item=lambda _region, _key: item), **changes})


def went_on(at: float = 50.0, name: str = "cut-one-way", **changes: Any) -> FakeWorld:
    """A world in which the west was paid at 100 s, and a person failed over from it; no copy comes from there."""
    found = holding(set(), None, by=WEST, permanent=[TimedFault(name, WEST, 0.0)], **changes)
    return found.note("leads", EAST, at, **{**LED, "accepted": True, "other_pays": True})


ITEM = {"amount": {"N": "7"}, "status": {"S": "SETTLED"}}
WHOLE = {"table", "ledger", "receipts"}
BROKEN: list[tuple[FakeWorld, str]] = [
    (led(exposure=30.0), "exposure understated"),
    (led(exposure=30.0, seen=False).note("fault", name="checkers-cut"), "exposure understated"),
    (led(exposure=30.0, seen=False, reached=False, dead=31.0).note("fault", name="checkers-cut"),
     "exposure understated"),
    (led(reported=None), "exposure understated"),
    (led(accepted=True, exposure=30.0), "exposure understated"),
    (led(exposure=70.0, reported=80.0), "more lost than the objective"),
    (led(other_pays=True), "failover of a healthy region"),
    (asked().note("leads", WEST, **{**LED, "other_pays": True, "written_for": 60.0}),
     "failover of a healthy region"),
    (led(other_pays=True, seen=False, flooded=True), "failover of a throttled region"),
    (led(other_pays=True, resumed=True), "refusals skipped"),
    (led(other_pays=True, resumed=True, automatic=False), "refusals skipped"),
    (led(paused=True), "failover although paused"),
    (led(dead=20.0), "decided too early"),
    (led(dead=15.0).note("fault", name="cut_connection"), "decided too early"), (ended(outrun=2), "an old epoch"),
    (led(looked=200.0), "stale evidence"),
    (asked(holds=False), "promotion without the run"), (asked(seen=20.0), "promotion against the second view"),
    (denied(0.0), "fenced without permission"),
    (led().note("fault", WEST, 0.0, name="receipts-denied"), "fenced without permission"),
    (FakeWorld().note("reopened", run="r"), "an ended run is open again"),
    (FakeWorld().note("called", operation="GET /health"), "the lost region was called"),
    (FakeWorld().note("settled", EAST, id="p", epoch=1).note("settled", WEST, id="q", epoch=1),
     "two regions under one epoch"),
    (FakeWorld(options=Options(strong=True)).note("leads", WEST, **LED).note(
        "settled", EAST, 510.0, id="p", epoch=1), "a lease outlives its time"),
    (FakeWorld(options=Options(strong=True)).note("leads", WEST, **LED).note(
        "settled", EAST, 510.0, id="!canary:east", epoch=1), "a lease outlives its time"),
    (FakeWorld(options=Options(strong=True), struck={"late": 1}).note(
        "repaired", WEST, 505.0, began=503.0, epoch=2, leads=True).note("settled", EAST, 510.0, id="p", epoch=1),
     "settled by a fenced writer"),
    (ended(led_to=WEST), "done and not done"), (ended(writer=WEST), "done and not done"),
    (ended(action="switchover").note("promoted", WEST, 600.0, how="switchover", asked=300.0), "done and undone"),
    (FakeWorld().note("another answer", id="p", status=409, region=EAST, now={}), "acknowledged, then 409"),
    (FakeWorld().note("another answer", id="p", status=201, region=EAST, now={}), "another answer"),
    (FakeWorld().note("refused its own", id="p", region=EAST), "conflict with itself"),
    (FakeWorld().note("crashed", why="KeyError"), "internal error"),
    (FakeWorld().note("audited", counted=1, lost=2), "lost and counted as kept"),
    (FakeWorld(served={EAST: 100.0, WEST: 0.0}, takes_payments=lambda _: False), "nobody takes payments"),
    (FakeWorld(served={EAST: 100.0, WEST: 0.0}, takes_payments=lambda region: region == WEST), "clients led astray"),
    (FakeWorld(history=paying(100.0, 300.0, 500.0, 700.0, 900.0)), "payments stop again"),
    (FakeWorld(history=paying(100.0, 900.0)), "nobody is notified"),
    (FakeWorld(run=lambda _: run()).note("runs", at=100.0, run="r"), "a run is left open"),
    (FakeWorld(history=paying(*range(0, 1000, 10), repaired=500.0), healed=600.0), "a repair does not end"),
    (FakeWorld(history=paying(*range(0, 1000, 10), repaired=500.0)).note("leads", EAST, 600.0, **LED),
     "a repair does not end"),
    (FakeWorld(aurora=SimpleNamespace(writer=WEST)), "leader and writer differ"),
    (doubted(epoch=0), "a payment stays in doubt"), (doubted(epoch=0, healed=850.0), "a payment stays in doubt"),
    (FakeWorld(lever=lambda region: region == EAST), "a lever is left pulled"),
    (FakeWorld(lever=lambda region: region == WEST), "a lever is left pulled"),
    (FakeWorld(table=SimpleNamespace(views={EAST: {f"!watch:{EAST}": ({}, (100.0, 1))}, WEST: {}})),
     "a controller is blind"),
    (holding(set(), None), "acknowledged and lost"), (went_on(at=200.0), "acknowledged and lost"),
    (went_on(name="cut"), "acknowledged and lost"), (went_on(options=Options(strong=True)), "acknowledged and lost"),
    (holding({"receipts"}, None), "kept and not found"),
    (holding({"ledger"}, {"status": {"S": "PENDING"}}), "acknowledged and pending"),
    (holding(WHOLE, ITEM, 8), "acknowledged and changed"), (holding(WHOLE, ITEM, 7, 2), "acknowledged and changed"),
    (holding(WHOLE, ITEM, 8, forked={"p"}), "acknowledged and changed"),
    (holding({"table"}, ITEM), "acknowledged and not whole"),
]
SOUND: list[FakeWorld] = [
    FakeWorld(),
    led(), led(accepted=True, exposure=700.0, reported=None, other_pays=True),
    led(missing=0, exposure=0.0), led(dead=31.0),
    led(exposure=30.0, reached=False, seen=False).note("fault", name="checkers-cut"),
    FakeWorld(struck={"cut before": 2}).note("leads", WEST, **{**LED, "dead": 15.0}),
    led(action="switchover", other_pays=True, exposure=99.0), led(other_pays=True, seen=False),
    led(action=None, other_pays=True, looked=100.0), led(other_pays=True, seen=False, flooded=True, reached=False),
    led(other_pays=True, automatic=False), led(paused=True, automatic=False), led(paused=True, resumed=True),
    led(other_pays=True, written_for=60.0),
    doubted(epoch=1), doubted(epoch=0, healed=950.0), denied(100.0), denied(0.0, automatic=False),
    doubted(epoch=0, healed=850.0, options=Options(table_lag=(70.0, 80.0))),
    led().note("fault", WEST, 100.0, name="receipts-denied"),
    ended(), ended(split=True, writer=WEST), ended(why="expired", led_to=WEST), ended({"lose": 1}, led_to=WEST),
    ended(action="switchover").note("promoted", WEST, 600.0, how="switchover", asked=450.0),
    ended(action="switchover", target=WEST, writer=WEST, led_to=WEST).note(
        "promoted", WEST, 600.0, how="switchover", asked=300.0),
    ended().note("promoted", WEST, 600.0, how="switchover", asked=300.0),
    ended(action="switchover").note("promoted", WEST, 600.0, how="failover"),
    FakeWorld(lever=lambda region: region == WEST, permanent=["a fault"]),
    FakeWorld(served={EAST: 100.0, WEST: 0.0}, takes_payments=lambda _: False, stranded=lambda: True),
    asked(holds=False, proved=True), asked(), asked(seen=5.0), asked(seen=20.0, evidence=""),
    FakeWorld().note("settled", EAST, id="p", epoch=1).note("settled", WEST, id="q", epoch=2),
    FakeWorld(history=paying(*range(0, 1000, 10), repaired=500.0)).note("leads", EAST, 950.0, **LED),
    FakeWorld(history=paying(*range(0, 1000, 10), repaired=500.0), healed=600.0, permanent=["a fault"]),
    FakeWorld(options=Options(strong=True)).note("leads", WEST, **LED).note(
        "settled", EAST, 502.0, id="p", epoch=1).note("settled", WEST, 510.0, id="q", epoch=2),
    FakeWorld(options=Options(strong=True), struck={"freeze before": 1}).note("leads", WEST, **LED).note(
        "settled", EAST, 510.0, id="p", epoch=1),
    FakeWorld(options=Options(strong=True)).note("leads", WEST, **LED).note("fault", name="restore-table").note(
        "settled", EAST, 510.0, id="!canary:east", epoch=1),
    FakeWorld(options=Options(strong=True), struck={"late": 1}).note(
        "repaired", WEST, 505.0, began=503.0, epoch=2, leads=False).note("settled", EAST, 510.0, id="p", epoch=1),
    FakeWorld(contested={"p"}).note("another answer", id="p", status=409, region=EAST, now={}),
    FakeWorld(history=paying(100.0, 900.0)).note("notified", at=200.0),
    FakeWorld(history=paying(100.0, 900.0)).note("fault", name="cut"),
    FakeWorld(run=lambda _: run(ended=5.0)).note("runs", at=100.0, run="r"),
    FakeWorld(run=lambda _: run()).note("runs", at=900.0, run="r"),
    FakeWorld(aurora=SimpleNamespace(writer=WEST), permanent=["a fault"]),
    holding(WHOLE, ITEM), holding(WHOLE, ITEM, 7, 2, forked={"p"}),
    went_on(), holding(set(), None, given_up={"p"}), holding({"table"}, ITEM, permanent=["a fault"]),
]


@pytest.mark.parametrize(("world", "rule"), BROKEN, ids=[rule for _, rule in BROKEN])
def test_a_broken_rule_is_found(world: FakeWorld, rule: str) -> None:
    assert rules(world) == [rule]


@pytest.mark.parametrize("world", SOUND)
def test_a_sound_history_breaks_no_rule(world: FakeWorld) -> None:
    assert rules(world) == []


def test_every_checker_has_a_history_that_breaks_it() -> None:
    every = {*checkers.SAFETY, *checkers.LIVENESS}
    worlds: list[Any] = [world for world, _ in BROKEN]
    assert {check for world in worlds for check in every if list(check(world))} == every
