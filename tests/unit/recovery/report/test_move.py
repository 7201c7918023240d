"""The report of a move says who moved payments, when, for how long none was taken, what is lost, and what is to do."""
import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from contract import Phase
from payments.reconcile import PassPart
from recovery.plan import Action
from recovery.record import Run, StepProgress
from recovery.report import move
from recovery.report.move import MoveReport, Repairs, read_repairs
from recovery.report.timeline import seconds
from simulator.vocabulary import FailureMode
from tests.unit.recovery.calm_world import EAST, WEST
from tests.unit.recovery.fakes import stack
from tests.unit.recovery.report.reader import Reader
from tests.unit.recovery.report.report_world import ReportWorld, line

ARN = "arn:aws:sts::123456789012:assumed-role/operator/alice"
STEPS = {key: StepProgress(began=began, ended=ended, note=f"{key} noted") for key, began, ended in (
    ("fence", 1100.0, 1100.5), ("traffic", 1100.5, 1101.0), ("promote", 1101.0, 1180.0), ("epoch", 1180.0, 1181.0),
    ("verify", 1181.0, 1190.0))}
FAILOVER = Run(id="20270115T080134Z-f9fcfc", action="failover", target=WEST, driver="alice on laptop", caller=ARN,
               began=1099.0, why="failover requested", seen=1098.0, since=1000.0, at_risk=3.2, epoch=2, steps=STEPS,
               ended=1190.5, outcome="done")
ALL_ENDED = Repairs(ended=True)


def report(repairs: Repairs = ALL_ENDED, *, outputs: Any = None, **changes: Any) -> MoveReport:
    """The report of the failover, or of a run that differs."""
    return MoveReport(run=replace(FAILOVER, **changes), stack=stack(**(outputs or {})), repairs=repairs)


def text(found: MoveReport) -> str:
    """What its page says."""
    return Reader(found.page().html()).text


def test_the_time_without_payments_is_split_into_phases() -> None:
    recovery = report().recovery
    assert recovery
    assert recovery.wall_s == 190.0
    assert {each.phase: each.wall_s for each in recovery.split} == {
        Phase.DETECT: 98.0, Phase.DECIDE: 1.0, Phase.FENCE: 1.5, Phase.PROMOTE: 79.5, Phase.FIRST_WRITE: 10.0}


@pytest.mark.parametrize(("changes", "began"), [
    ({}, 1000.0), ({"since": None}, 1098.0), ({"since": None, "seen": None}, 1099.0),
    ({"action": "switchover"}, 1100.0), ({"action": "switchover", "steps": {}}, 1099.0)])
def test_payments_stopped_with_the_failure_or_with_the_fence_of_a_planned_move(
        changes: dict[str, Any], began: float) -> None:
    assert report(**changes).began == began


def test_the_page_says_what_somebody_must_account_for() -> None:
    found = text(report(Repairs(ended=True, lines={"p1": line("p1"), "p2": line("p2", "refused", 99, "USD")})))
    for words in (ARN, "alice on laptop", "failover requested", seconds(190.0), "payments at risk at the start", "3 s",
                  "recoveryTimeObjective", "promote noted", "us-east-1 fails", "1250 EUR (minor units)",
                  "p2 99 USD alice bob", "ledger: lost refused", "python -m recovery failback"):
        assert words in found
    assert "emulated" not in found
    assert "compressed" not in found
    assert found.startswith("✗ Failover to us-west-2, 1970-01-01 00:18:19 UTC")


def test_a_move_without_losses_is_well() -> None:
    found = report()
    assert (found.wrong, found.verdict) == (
        [], "failover from us-east-1 to us-west-2: done; payments were taken again after 190.0 s")
    assert "Payments that could not be restored" not in text(found)


@pytest.mark.parametrize(("changes", "wrong"), [
    ({"outcome": "", "ended": None}, "unfinished"), ({"outcome": "traffic was not done"}, "traffic was not done"),
    ({"since": 0.0}, "payments were not taken for 1190 s, and recoveryTimeObjective is 900 s"),
    ({"repairs": Repairs(lines={"p": line("p", "set aside", 7)})}, "1 payments are not restored yet: 7 EUR"),
    ({"repairs": Repairs(ended=True, lines={"p": line("p", "set aside", payment=None), "q": line("q", "refused", 3)})},
     "2 payments could not be restored: 3 EUR (minor units), 1 of unknown amount"),
    ({"repairs": Repairs(ended=True, lines={"p": line(
        "p", "refused", payment=None, others=[None, {"amount": 5, "currency": "GBP"}])})},
     "could not be restored: 5 GBP"),
])
def test_what_went_wrong_comes_first(changes: dict[str, Any], wrong: str) -> None:
    found = report(**changes)
    assert wrong in found.verdict
    assert not found.page().ok
    assert not found.document()["ok"]


@pytest.mark.parametrize(("found", "number"), [
    (Repairs(ended=True), "0"), (Repairs(), "0 so far"), (Repairs(ended=True, aside=["KEY, line 1: x"]), "0 so far"),
    (Repairs(ended=True, unknown="x"), "0 so far")])
def test_a_number_that_may_still_grow_says_so(found: Repairs, number: str) -> None:
    said = report(found).page()
    assert said.figures["payments not restored"] == said.figures["payments restored by repair"] == number


def test_what_cannot_be_counted_is_listed() -> None:
    assert "Lines of repair that cannot be counted line KEY, line 7: malformed" in text(
        report(Repairs(aside=["KEY, line 7: malformed"])))


def test_what_is_unknown_is_called_unknown() -> None:
    found = text(report(at_risk=None, caller="", steps={}, outcome="was not done"))
    assert "no payments were taken for unknown" in found
    assert "at most unknown" in found
    assert "caller unknown" in found


@pytest.mark.parametrize(("changes", "todo"), [
    ({}, ["once us-east-1 answers", "write this report again once the copies"]),
    ({"outputs": {"table_consistency": "strong"}}, ["once us-east-1 answers again, move back: python -m recovery fai"]),
    ({"target": EAST}, ["once us-west-2 answers again, move back: python -m recovery switchover --to us-west-2",
                        "write this"]),
    ({"action": "failback"}, ["check that the state agrees: pulumi refresh"]),
    ({"outcome": "was not done"}, ["see what to do now: python -m recovery status"]),
    ({"repairs": Repairs()}, ["wait until repair has gone through all payments", "once", "write"]),
    ({"repairs": Repairs(unknown="no bucket")}, ["read repair's findings", "once", "write"]),
    ({"repairs": Repairs(ended=True, lines={"p": line("p", "refused")})}, ["settle each payment", "once", "write"]),
    ({"repairs": Repairs(lines={"p": line("p", "refused")})}, ["wait until repair has", "once", "write"]),
    ({"repairs": Repairs(ended=True, aside=["KEY, line 1: malformed"])},
     ["check the 1 of repair's findings that could not be read or have no epoch, first KEY, line 1: mal", "once",
      "write"]),
])
def test_what_is_still_to_do_is_listed(changes: dict[str, Any], todo: list[str]) -> None:
    found = report(**changes).todo
    assert len(found) == len(todo)
    assert [said for said, begins in zip(found, todo, strict=True) if not said.startswith(begins)] == []


def test_the_document_has_all_of_it() -> None:
    found = report(Repairs(ended=True, lines={"p": line("p", "refused", 99)}))
    document = json.loads(json.dumps(found.document()))
    assert Run.of(document["run"]) == found.run
    assert (document["from"], document["to"], document["at_risk_s"]) == (EAST, WEST, 3.2)
    assert document["repair"] == {
        "ended": True, "unknown": "", "set_aside": [], "not_restored": 1, "not_restored_amounts": {"EUR": 99},
        "amount_unknown": 0, "payments": [line("p", "refused", 99)]}
    assert found.recovery
    assert document["recovery"] == asdict(found.recovery)


# --- What repair has found

def repairs(world: ReportWorld, bucket: str = f"receipts-{WEST}") -> Repairs:
    """What it is after a failover to west."""
    run = world.record().run
    assert run
    return world.run_task(lambda: read_repairs(world.cloud(Action.ALIGN), bucket, run))


@pytest.fixture
def world() -> ReportWorld:
    """One after a failover, before which repair had written something too."""
    found = ReportWorld(automatic=False)
    found.repair(line("before", "reported", epoch=1), part=9, epoch=1)
    found.cut_off(EAST)
    found.move()
    return found


def test_a_failover_keeps_when_the_region_failed_and_what_was_at_risk(world: ReportWorld) -> None:
    run = world.record().run
    assert run
    assert run.since
    assert run.seen is None
    assert 40 <= run.began - run.since <= 70
    assert run.at_risk
    assert 0 < run.at_risk < 30


def test_a_planned_move_puts_nothing_at_risk() -> None:
    world = ReportWorld()
    hold = world.claim(Action.SWITCHOVER)
    assert (hold.run.since, hold.run.at_risk) == (None, None)


def test_what_repair_has_found_since_the_move_counts(world: ReportWorld) -> None:
    world.repair(line("p1", "refused"), line("p2"))
    world.repair(line("p1", "repaired"), part=1)
    found = repairs(world)
    assert (set(found.lines), found.ended, found.unknown) == ({"p1", "p2"}, True, "")
    assert (found.missing, len(found.restored)) == ([], 2)


def test_what_repair_was_not_permitted_to_restore_is_nothing_to_settle_with_a_client(world: ReportWorld) -> None:
    world.repair(line("p1", "denied"), line("p2"))
    found = repairs(world)
    assert (found.ended, found.state, [each["payment_id"] for each in found.denied]) == (
        False, "are not restored yet", ["p1"])
    todo = report(found).todo
    assert todo[0] == ("give repair the permission or key that its log names, for which payments wait (1), and write "
                       "this report again: python -m recovery report")
    assert not [each for each in todo if "settle" in each]
    world.repair(line("p1"), part=1)
    assert (repairs(world).ended, repairs(world).denied) == (True, [])


def test_what_the_region_reported_before_the_fence_was_only_on_its_way(world: ReportWorld) -> None:
    world.repair(line("arrived", "reported", epoch=1), line("q", "refused"))
    assert [*repairs(world).lines] == ["q"]


def test_what_the_region_reports_once_another_leads_is_on_its_way_too(world: ReportWorld) -> None:
    world.repair(line("arrived", "reported", epoch=3), line("q", "refused", epoch=4))
    assert [*repairs(world).lines] == ["q"]


def test_what_a_later_pass_finds_well_is_not_lost(world: ReportWorld) -> None:
    world.repair(line("well", "reported"), line("again", "refused"), line("restored"))
    world.repair(line("again", "refused"), number=2)
    assert [*repairs(world).lines] == ["again", "restored"]


@pytest.mark.parametrize(("number", "ended"), [(2, False), (3, True)])
def test_a_pass_that_follows_a_whole_one_does_not_hide_that_it_has_ended(
        world: ReportWorld, number: int, *, ended: bool) -> None:
    world.repair(line("well", "reported"))
    world.repair(number=number, phase="ledger")  # the first pass of an epoch looks at the latest postings only
    found = repairs(world)
    assert (found.ended, "well" in found.lines) == (ended, not ended)


def test_a_run_that_has_not_fenced_has_lost_nothing() -> None:
    world = ReportWorld()
    world.claim(Action.SWITCHOVER)
    world.repair(line("p", "reported", epoch=1))
    assert repairs(world) == Repairs()


@pytest.mark.parametrize("ahead", [600.0, -600.0])
def test_the_clock_of_the_machine_that_moved_payments_decides_nothing(world: ReportWorld, ahead: float) -> None:
    run = world.record().run
    assert run
    assert run.ahead is not None
    world.repair(line("p", "refused"))
    shifted = run.taken_over("bob", "", run.ahead + ahead)
    world.set_record(run=shifted)
    assert [*repairs(world).lines] == ["p"]
    assert shifted.began == run.began + ahead
    found = [MoveReport(run=each, stack=world.stack, repairs=ALL_ENDED).recovery for each in (run, shifted)]
    assert found[0]
    assert found[1]
    assert abs(found[0].wall_s - found[1].wall_s) < 0.001


def test_what_was_written_long_before_the_fence_is_not_even_read() -> None:
    late = ReportWorld(automatic=False)
    late.repair(text=b"of an older release")
    late.wait(100.0)
    late.cut_off(EAST)
    late.move()
    assert repairs(late).aside == []
    run = late.record().run
    assert run
    late.set_record(run=replace(run, ahead=None, steps={}))  # as an older release has written it
    assert repairs(late).aside == [f"repair/{WEST}/00000001-00000.jsonl, line 1: malformed"]


@pytest.mark.parametrize("odd", [
    7, [], {}, {"payment_id": "p"}, {"payment_id": 7, "outcome": "refused"}, line("p", "adopted"),
    {**line("p"), "outcome": []}])
def test_a_malformed_line_is_set_aside_by_name(world: ReportWorld, odd: Any) -> None:
    world.repair(line("before"), odd, line("after", "refused"))
    found = repairs(world)
    assert ([*found.lines], found.aside, found.unknown) == (
        ["before", "after"], [f"repair/{WEST}/00000001-00000.jsonl, line 2: malformed"], "")


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[" * 100_000, b"9" * 5000])
def test_a_line_that_is_no_json_is_set_aside_by_name(world: ReportWorld, text: bytes) -> None:
    world.repair(text=text + b"\n" + json.dumps(line("p", "refused")).encode())
    found = repairs(world)
    assert ([*found.lines], len(found.aside)) == (["p"], 1)


@pytest.mark.parametrize("epoch", [None, "2", float("nan")])
def test_a_line_without_an_epoch_is_named(world: ReportWorld, epoch: Any) -> None:
    world.repair(line("p", "refused", epoch=epoch))
    found = repairs(world)
    assert (found.lines, found.aside) == (
        {}, [f"repair/{WEST}/00000001-00000.jsonl, line 1: does not say under which epoch"])


@pytest.mark.parametrize("content", [
    *({"amount": amount, "currency": "EUR"} for amount in ("9", float("nan"), float("inf"), 10**400, True, -1, None)),
    {"amount": 9, "currency": "\x1b[2J\ud800"}, {"amount": 9, "currency": ["EUR"]}, "x", 7, {}])
def test_an_odd_field_hides_no_refused_payment(world: ReportWorld, content: Any) -> None:
    odd = {"payment_id": "p\ud800", "outcome": "refused", "epoch": 2, "payment": content}  # others are missing
    world.repair({**odd, "wrong": 7}, {**odd, "payment_id": "q", "wrong": {"table": {}}, "others": {}})
    found = report(repairs(world))
    assert "2 payments could not be restored: 2 of unknown amount" in found.verdict
    assert found.verdict.isprintable()
    assert found.document()["repair"]["amount_unknown"] == 2
    assert json.dumps(found.document(), allow_nan=False)
    assert "Payments that could not be restored" in text(found)


@pytest.mark.parametrize("progress", [{"epoch": 1}, {"phase": "ledger"}])
def test_a_pass_under_way_or_before_the_move_has_not_ended(world: ReportWorld, progress: dict[str, Any]) -> None:
    world.repair(line("p"), line("q", "reported"), **progress)
    found = repairs(world)
    assert (found.ended, *found.lines) == (False, "p", "q")
    assert move.ENDED == PassPart.ENDED


def test_what_cannot_be_read_is_unknown(world: ReportWorld) -> None:
    assert repairs(world, "").unknown == "the outputs do not name the receipts bucket"
    world.network.refusing[WEST, "s3"] = FailureMode.ERROR
    assert repairs(world).unknown.startswith("what repair has found in us-west-2: ")
    world.network.refusing[WEST, "dynamodb"] = FailureMode.ERROR
    assert repairs(world).unknown == "table: InternalServerError"
