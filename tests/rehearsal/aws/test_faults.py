"""The switches."""

import pytest

from rehearsal.aws.faults import OUTSIDE, ApiCall, FailureMode, Faults, InjectedFailure

EAST, WEST = "us-east-1", "us-west-2"


def call(caller: str = EAST, region: str = EAST, service: str = "dynamodb") -> ApiCall:
    """A call within the region, if nothing else is said."""
    return ApiCall(caller, region, service, "GetItem")


@pytest.mark.parametrize(("caller", "region"), [(EAST, EAST), (EAST, WEST), (WEST, EAST), (OUTSIDE, EAST)])
def test_a_cut_takes_every_call_from_the_region_and_to_it(caller: str, region: str) -> None:
    faults = Faults()
    faults.cut(EAST, FailureMode.HANG)
    assert faults.refusal(call(caller, region)) is FailureMode.HANG
    assert faults.cut_off() == [EAST]


def test_a_cut_takes_no_other_call() -> None:
    faults = Faults()
    faults.cut(EAST)
    assert faults.refusal(call(WEST, WEST)) is faults.refusal(call(OUTSIDE, WEST)) is None


def test_inside_a_cut_a_region_and_its_clients_go_on() -> None:
    faults = Faults()
    faults.cut(EAST, inside=True)
    assert faults.refusal(call(EAST, EAST)) is faults.refusal(call(OUTSIDE, EAST, "execute-api")) is None
    for over in (call(EAST, WEST), call(WEST, EAST), call(OUTSIDE, EAST), call(WEST, EAST, "execute-api")):
        assert faults.refusal(over) is FailureMode.RESET


def test_a_lost_store_takes_the_calls_to_it_in_its_region() -> None:
    faults = Faults()
    faults.lose(EAST, "table")
    faults.lose(EAST, "receipts", FailureMode.HANG)
    assert faults.refusal(call(WEST, EAST)) is FailureMode.ERROR
    assert faults.refusal(call(service="s3")) is FailureMode.HANG
    assert faults.refusal(call(service="sts")) is faults.refusal(call(EAST, WEST)) is None
    assert faults.lost() == [("receipts", EAST), ("table", EAST)]


def test_an_api_is_lost_with_the_function_behind_it() -> None:
    faults = Faults()
    faults.lose(EAST, "function")
    assert faults.refusal(call(OUTSIDE, EAST, "execute-api")) is FailureMode.ERROR


def test_each_region_delays_a_call_once() -> None:
    faults = Faults()
    faults.slow(EAST, 30)
    faults.slow(WEST, 20)
    assert [faults.delay(call(EAST, region)) for region in (EAST, WEST)] == [0.03, 0.05]


def test_a_share_of_the_calls_fails_in_every_way() -> None:
    faults = Faults(seed=1)
    faults.fail(EAST, 0.2)
    drawn = [faults.draw(call()) for _ in range(10_000)]
    failures = [each for each in drawn if each]
    assert 1900 < len(failures) < 2100
    ways = [InjectedFailure(manner, late) for manner in (FailureMode.ERROR, FailureMode.RESET) for late in (False, True)]
    assert all(400 < failures.count(way) < 600 for way in ways)


def test_the_draws_follow_from_the_seed_and_leave_other_regions_alone() -> None:
    one, other = Faults(seed=3), Faults(seed=3)
    for faults in (one, other):
        faults.fail(EAST, 0.5)
    assert [one.draw(call()) for _ in range(50)] == [other.draw(call()) for _ in range(50)]
    assert not any(one.draw(call(WEST, WEST)) for _ in range(50))


def test_switches_add_up_until_the_region_heals() -> None:
    faults = Faults()
    faults.slow(EAST, 10)
    faults.lose(EAST, "table")
    faults.cut(WEST)
    assert (faults.delay(call()), faults.refusal(call())) == (0.01, FailureMode.ERROR)
    faults.heal(EAST)
    assert (faults.delay(call()), faults.refusal(call()), faults.cut_off()) == (0, None, [WEST])


def test_listeners_hear_of_each_change_before_the_switch_returns() -> None:
    faults, heard = Faults(), list[list[str]]()
    faults.listen(lambda: heard.append(faults.cut_off()))
    faults.cut(EAST)
    faults.heal(EAST)
    assert heard == [[EAST], []]
