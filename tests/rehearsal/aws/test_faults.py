"""What each fault does to calls, and how listeners learn of it."""

import threading

import pytest

from contract import Store
from rehearsal.aws.faults import (
    OUTSIDE,
    ApiCall,
    Cut,
    CutConnection,
    Fail,
    Fault,
    Faults,
    Heal,
    InjectedFailure,
    Kill,
    Lag,
    Lose,
    Slow,
)
from rehearsal.polling import PATIENCE
from simulator.vocabulary import FailureMode

EAST, WEST = "us-east-1", "us-west-2"


def call(caller: str = EAST, region: str = EAST, service: str = "dynamodb") -> ApiCall:
    """A call within the region by default."""
    return ApiCall(caller, region, service, "GetItem")


@pytest.fixture
def faults() -> Faults:
    """Nothing is wrong yet."""
    return Faults()


@pytest.mark.parametrize(("caller", "region"), [(EAST, EAST), (EAST, WEST), (WEST, EAST), (OUTSIDE, EAST)])
def test_a_cut_fails_every_call_from_the_region_and_to_it(faults: Faults, caller: str, region: str) -> None:
    faults.inject(Cut(EAST, FailureMode.HANG))
    assert faults.refusal(call(caller, region)) is FailureMode.HANG
    assert faults.cut_off() == [EAST]


def test_a_cut_fails_no_other_call(faults: Faults) -> None:
    faults.inject(Cut(EAST))
    assert faults.refusal(call(WEST, WEST)) is faults.refusal(call(OUTSIDE, WEST)) is None


def test_with_inside_a_region_that_is_cut_off_still_serves_its_own_clients(faults: Faults) -> None:
    faults.inject(Cut(EAST, inside=True))
    assert faults.refusal(call(EAST, EAST)) is faults.refusal(call(OUTSIDE, EAST, "execute-api")) is None
    for across in (call(EAST, WEST), call(WEST, EAST), call(OUTSIDE, EAST), call(WEST, EAST, "execute-api")):
        assert faults.refusal(across) is FailureMode.RESET


@pytest.mark.parametrize("healed", [EAST, WEST])
def test_where_only_the_way_is_cut_no_region_reaches_the_other_and_all_else_works(faults: Faults, healed: str) -> None:
    faults.inject(CutConnection(EAST, WEST))
    assert faults.refusal(call(EAST, WEST)) is faults.refusal(call(WEST, EAST, "execute-api")) is FailureMode.RESET
    for other in (call(EAST, EAST), call(WEST, WEST), call(OUTSIDE, EAST), call(EAST, "us-east-2")):
        assert faults.refusal(other) is None
    assert (faults.connection_cut, faults.cut_off()) == (True, [])
    faults.inject(Heal(healed))
    assert (faults.connection_cut, faults.refusal(call(EAST, WEST))) == (False, None)


def test_what_a_cut_spares_answers_in_that_region_too(faults: Faults) -> None:
    faults.inject(Cut(EAST, spared=("iam",)))
    assert faults.refusal(call(WEST, EAST, "iam")) is None
    assert faults.refusal(call(WEST, EAST, "sts")) is FailureMode.RESET


def test_a_lost_store_fails_the_calls_to_it_in_its_region(faults: Faults) -> None:
    faults.inject(Lose(EAST, "table"))
    faults.inject(Lose(EAST, "receipts", FailureMode.HANG))
    assert faults.refusal(call(WEST, EAST)) is FailureMode.ERROR
    assert faults.refusal(call(service="s3")) is FailureMode.HANG
    assert faults.refusal(call(service="sts")) is faults.refusal(call(EAST, WEST)) is None
    assert faults.lost() == [("receipts", EAST), ("table", EAST)]


def test_an_api_is_lost_with_the_function_behind_it(faults: Faults) -> None:
    faults.inject(Lose(EAST, "function"))
    assert faults.refusal(call(OUTSIDE, EAST, "execute-api")) is FailureMode.ERROR


def test_each_region_delays_a_call_once(faults: Faults) -> None:
    faults.inject(Slow(EAST, 30))
    faults.inject(Slow(WEST, 20))
    assert [faults.delay(call(EAST, region)) for region in (EAST, WEST)] == [0.03, 0.05]


def test_a_share_of_the_calls_fails_in_every_way() -> None:
    faults = Faults(seed=1)
    faults.inject(Fail(EAST, 0.2))
    drawn = [faults.draw(call()) for _ in range(10_000)]
    failures = [each for each in drawn if each]
    assert 1900 < len(failures) < 2100
    ways = [InjectedFailure(mode, late) for mode in (FailureMode.ERROR, FailureMode.RESET) for late in (False, True)]
    assert all(400 < failures.count(way) < 600 for way in ways)


def test_the_draws_follow_from_the_seed_and_leave_other_regions_alone() -> None:
    one, other = Faults(seed=3), Faults(seed=3)
    for faults in (one, other):
        faults.inject(Fail(EAST, 0.5))
    assert [one.draw(call()) for _ in range(50)] == [other.draw(call()) for _ in range(50)]
    assert not any(one.draw(call(WEST, WEST)) for _ in range(50))


def test_faults_add_up_until_the_region_heals(faults: Faults) -> None:
    faults.inject(Slow(EAST, 10))
    faults.inject(Lose(EAST, "table"))
    faults.inject(Cut(WEST))
    assert (faults.delay(call()), faults.refusal(call())) == (0.01, FailureMode.ERROR)
    faults.inject(Heal(EAST))
    assert (faults.delay(call()), faults.refusal(call()), faults.cut_off()) == (0, None, [WEST])


def test_a_fault_replaces_the_earlier_one_of_its_kind(faults: Faults) -> None:
    faults.inject(Cut(EAST))
    faults.inject(Cut(EAST, FailureMode.HANG))
    faults.inject(Lose(WEST, "table", FailureMode.ERROR))
    faults.inject(Lose(WEST, "table", FailureMode.RESET))
    assert faults.refusal(call(EAST, EAST)) is FailureMode.HANG
    assert faults.refusal(call(WEST, WEST)) is FailureMode.RESET
    assert (faults.cut_off(), faults.lost()) == ([EAST], [("table", WEST)])


def test_a_cut_comes_before_any_other_refusal(faults: Faults) -> None:
    faults.inject(Cut(EAST, FailureMode.HANG))
    faults.inject(Lose(EAST, "table"))
    assert faults.refusal(call()) is FailureMode.HANG


def test_listeners_are_called_with_each_fault_once_it_is_active() -> None:
    faults, received = Faults(), list[tuple[Fault, list[str]]]()
    faults.listen(lambda fault: received.append((fault, faults.cut_off())))
    faults.inject(Cut(EAST))
    faults.inject(Lag(Store.LEDGER, EAST, WEST, 3))
    faults.inject(Kill(WEST))
    faults.inject(Heal(EAST))
    assert received == [(Cut(EAST), [EAST]), (Lag(Store.LEDGER, EAST, WEST, 3), [EAST]), (Kill(WEST), [EAST]),
                     (Heal(EAST), [])]


def test_a_server_can_be_killed_while_another_fault_is_taking_effect() -> None:
    faults, killed = Faults(), threading.Event()

    def carry_out(fault: Fault) -> None:
        if isinstance(fault, Kill):
            killed.set()
        else:
            assert killed.wait(PATIENCE)

    faults.listen(carry_out)
    cutting = threading.Thread(target=faults.inject, args=(Cut(EAST),))
    cutting.start()
    faults.inject(Kill(EAST))
    cutting.join()
    assert faults.cut_off() == [EAST]
