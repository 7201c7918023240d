"""What is noted of a history as it happens."""
from dataclasses import replace
from functools import partial

import pytest
from botocore.exceptions import ClientError

from contract import RECEIPTS_PREFIX, RECORD_KEY
from payments.payment import Payment, Record
from payments.stores import item_of
from recovery.decision import ABANDONED_LOOKS
from recovery.plan import Action
from recovery.record import ControlRecord, Run
from simulator.clients import Acknowledged
from simulator.scheduler import Process
from simulator.world import PAYMENTS
from tests.unit.recovery.calm_world import EAST, WEST, CalmWorld

RUN = Run(id="a", action="failover", target=EAST, driver="alice", began=1.0, why="")
SWITCHOVER = replace(RUN, id="b", action="switchover", target=WEST, driver="bob")
PAYMENT = Payment(payment_id="p", amount=1, currency="EUR", payer="payer", payee="shop")


def created(second: int) -> Record:
    """The payment, settled, with a creation time."""
    return Record(payment=PAYMENT, fingerprint=PAYMENT.fingerprint(), epoch=1, settled=True,
                  created_at=f"2027-01-15T08:00:0{second}.000+00:00")


def settle(world: CalmWorld, region: str, record: Record) -> None:
    """Write a receipt, and then settle the item."""
    world.buckets.write(world.receipts[region], f"{RECEIPTS_PREFIX}p.json", record.receipt())
    world.table.writer = Process(world.scheduler, "payments", region)
    world.table.put(region, "p", item_of(record))


def test_a_failover_to_the_region_that_leads_already_is_noted_with_what_it_loses() -> None:
    world = CalmWorld()
    world.run_task(world.claim(Action.SWITCHOVER).fence)
    world.acknowledge(Acknowledged("p", world.scheduler.now, EAST, {}))
    world.lose(EAST, ends=True)
    hold = world.claim(driver="bob")
    world.run_task(hold.fence)
    world.run_task(partial(hold.lead, 8))
    led = [(event.who, event.facts["action"], event.facts["missing"]) for event in world.history.of("leads")]
    assert led == [(WEST, "switchover", 0), (WEST, "failover", 1)]
    assert world.given_up == {"p"}


def test_leadership_that_is_given_back_is_not_the_failovers_before_it() -> None:
    world = CalmWorld()
    world.look(times=2)
    hold = world.claim()
    world.run_task(hold.fence)
    world.run_task(partial(hold.write, ended=1.0, outcome="given up"))
    world.look(WEST, times=ABANDONED_LOOKS + 2)
    assert [(event.who, event.facts["action"]) for event in world.history.of("leads")] == [
        (WEST, "failover"), (EAST, None)]


def test_a_database_that_has_not_followed_is_not_promoted() -> None:
    world = CalmWorld()
    world.cut_off(EAST)
    world.network.dead.clear()
    rds = world.cloud(to=EAST).client("rds")
    with pytest.raises(ClientError, match="InvalidGlobalClusterStateFault"):
        world.run_task(lambda: rds.failover_global_cluster(
            TargetDbClusterIdentifier=world.stack.site(EAST).cluster_arn))
    assert not world.stranded()
    world.lose(WEST, ends=True)
    assert world.stranded()


def test_a_failover_calls_no_lost_region_whatever_the_drill_around_it_does() -> None:
    world = CalmWorld()
    process = world.process()
    hold = world.claim()
    hold.cloud = world.cloud(process=process)
    world.run_task(hold.fence, process)
    url, found = f"https://{EAST}.pay.example.com/payment", []
    functions = world.clients(process)("lambda", EAST)
    for call in (partial(world.http, process, url, "POST", b"{}", 1.0),
                 partial(functions.delete_function_concurrency, FunctionName=PAYMENTS),
                 partial(world.http, process, url, "GET", None, 1.0)):
        world.run_task(call, process)
        found.append(len(world.history.of("called")))
    assert found == [0, 0, 1]


@pytest.mark.parametrize(("strong", "elsewhere", "split"), [
    (False, SWITCHOVER, True), (True, SWITCHOVER, False), (False, replace(SWITCHOVER, ended=2.0), False),
    (False, RUN, False), (False, None, False)])
def test_two_open_runs_that_do_not_know_of_each_other_split_the_world(
        strong: bool, elsewhere: Run | None, split: bool) -> None:
    world = CalmWorld(strong=strong)
    for region, run in ((WEST, elsewhere), (EAST, RUN), (EAST, replace(RUN, ended=3.0, outcome="done"))):
        world.table.writer = Process(world.scheduler, "driver", region)
        world.table.put(region, RECORD_KEY, ControlRecord(revision=2, epoch=1, region=EAST, run=run).item())
    assert world.history.of("ends")[-1].facts["split"] is split


@pytest.mark.parametrize(("strong", "seconds", "second", "forked"), [
    (False, 0.0, 2, {"p"}), (False, 10.0, 2, set()), (False, 0.0, 1, set()), (True, 0.0, 2, set())])
def test_a_payment_is_forked_if_the_other_region_s_receipt_has_not_arrived(
        strong: bool, seconds: float, second: int, forked: set[str]) -> None:
    world = CalmWorld(strong=strong)
    world.table.stalled.add((EAST, WEST))
    settle(world, EAST, created(1))
    world.scheduler.run(seconds)
    settle(world, WEST, created(second))
    world.scheduler.end()
    assert world.forked == forked
