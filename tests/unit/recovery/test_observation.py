"""A look at a region, and what many looks make of it."""
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from recovery.environment import Background, Environment, HttpReply
from recovery.observation import Observation, ProbeResult, PublicChecks, ask_readiness, json_object, observe
from recovery.stack import Stack
from simulator.world import Options, World
from tests.unit.payments.fakes import still_runtime
from tests.unit.recovery.calm_world import EAST, WEST, CalmWorld

STACK = World(1, Options()).stack
SITE = STACK.sites[0]
NOW = Observation(region=WEST, at=1000.0, leader=EAST, writer=EAST)
WELL = ProbeResult(alive=True, ready=True, leader=EAST, mark=7)
DEAD = ProbeResult(alive=False, ready=False, why="timed out")
FAILS = ProbeResult(alive=True, ready=False, leader=EAST, why="table: throttled")


def environment(reply: HttpReply, answer: object = None) -> Environment:
    """One in which a region's API replies, and its function answers."""
    def invoke(**_: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}

    return Environment(clients=lambda *_: SimpleNamespace(invoke=invoke), http=lambda *_: reply,
                       background=Background(), runtime=still_runtime(), verdict=str)


def checks(there: Environment) -> PublicChecks:
    """Looks from the other region, which knows the secret segment already."""
    found = PublicChecks(environment=there, keeper=STACK.sites[1])
    vars(found)["segment"] = "secret"
    return found


def ready(**body: Any) -> dict[str, Any]:
    """What the function answers."""
    return {"statusCode": 200, "body": json.dumps({"ready": True, **body})}


# --- One look

@pytest.mark.parametrize(("reply", "alive"), [
    (HttpReply(429), None), (HttpReply(403), None), (HttpReply(500), False), (HttpReply(0, why="timed out"), False)])
def test_a_throttled_or_refused_request_says_nothing_and_another_answer_than_200_is_none(
        reply: HttpReply, *, alive: bool | None) -> None:
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
    found = checks(environment(reply)).look(SITE)
    assert (found.alive, bool(found.ready), bool(found.why)) == (alive, False, True)


def test_a_region_that_answers_says_itself_whether_it_can_pay() -> None:
    answer = ready(leader=EAST, mark=3, marks={EAST: 3, WEST: "x"}, ledger_epoch=5, why="")
    assert checks(environment(HttpReply(200), answer)).look(SITE) == ProbeResult(
        alive=True, ready=True, leader=EAST, mark=3, marks={EAST: 3}, ledger_epoch=5)


@pytest.mark.parametrize("answer", [
    EndpointConnectionError(endpoint_url="x"), OSError(), {}, {"body": "{"}, {"body": "[]"}, {"errorMessage": "x"},
    {"body": json.dumps({"ready": "yes"})}])
def test_a_function_that_does_not_say_leaves_it_unknown(answer: object) -> None:
    found = ask_readiness(environment(HttpReply(200), answer), SITE)
    assert (found.alive, found.ready, bool(found.why)) == (True, None, True)


def test_what_another_release_says_in_other_types_is_unknown() -> None:
    body = {"ready": True, "why": 5, "mark": "7", "marks": [3], "ledger_epoch": "five"}
    found = ask_readiness(environment(HttpReply(200), {"body": json.dumps(body)}), SITE)
    assert found == ProbeResult(alive=True, ready=True)


@pytest.mark.parametrize(("reply", "pulled"), [
    (HttpReply(404, b'{"takeover": false}'), False), (HttpReply(200, b'{"takeover": true}'), True),
    (HttpReply(0, why="timed out"), True), (HttpReply(429, b"no JSON"), True)])
def test_a_lever_that_nobody_says_is_at_rest_may_be_pulled(reply: HttpReply, *, pulled: bool) -> None:
    assert checks(environment(reply)).lever_is_pulled(SITE) is pulled


def test_a_look_ends_in_time_whatever_the_region_does() -> None:
    world = CalmWorld()
    world.lose(EAST, ends=True)
    began = world.scheduler.now
    found = world.run_task(lambda: checks(world.recovery()).look(world.stack.sites[0]))
    assert (found.alive, world.scheduler.now - began <= 3.0) == (False, True)


def test_a_call_that_takes_too_long_is_no_answer() -> None:
    def late(*_: Any) -> HttpReply:
        raise TimeoutError

    there = checks(replace(environment(HttpReply(200)), http=late))
    assert (there.look(SITE).alive, there.lever_is_pulled(SITE)) == (False, True)


@pytest.mark.parametrize("text", [b"[1]", "x", b"", None, 5, {"ready": True}])
def test_what_is_no_json_object_is_an_empty_one(text: Any) -> None:
    assert json_object(text) == {}


# --- Many looks

def looked(*looks: ProbeResult, arrived: Sequence[int] = (), step: float = 10.0, **changes: Any) -> Observation:
    """What is known after looks that are some seconds apart and take one second each.

    arrived: the newest mark in the replica of the ledger at each of the last looks.
    """
    found, unread = None, len(looks) - len(arrived)
    for number, each in enumerate(looks):
        at = 1000.0 + step * number
        marks = {EAST: arrived[number - unread]} if number >= unread else {}
        found = observe(found, replace(NOW, at=at, **changes), each, marks, other=EAST, ended=at + 1)
    assert found
    return found


@pytest.mark.parametrize(("looks", "dead"), [
    ([DEAD] * 4, False), ([DEAD] * 5, True), ([DEAD, DEAD, WELL, DEAD, DEAD], False),
    ([DEAD, DEAD, ProbeResult(alive=None), DEAD, DEAD], False)])
def test_a_region_is_dead_after_the_detection_time_not_after_some_looks(
        looks: list[ProbeResult], *, dead: bool) -> None:
    found = looked(*looks)
    assert (STACK.detection, found.is_dead) == (30, dead)


def test_looks_that_are_far_apart_are_not_in_a_row() -> None:
    assert not looked(DEAD, DEAD, DEAD, step=31.0).is_dead
    assert looked(DEAD, DEAD, DEAD, step=30.0).is_dead


@pytest.mark.parametrize(("other", "changes", "unready"), [
    (FAILS, {}, True), (replace(FAILS, leader=""), {}, True), (replace(FAILS, leader=WEST), {}, False),
    (FAILS, {"leader": WEST}, False), (replace(FAILS, ready=None), {}, False), (WELL, {}, False), (DEAD, {}, False)])
def test_a_region_that_leads_is_unready_after_twice_the_detection_time_of_failed_canaries(
        other: ProbeResult, changes: dict[str, Any], *, unready: bool) -> None:
    assert not looked(*[other] * 7, **changes).is_unready
    assert looked(*[other] * 8, **changes).is_unready is unready


UNKNOWN = ProbeResult(alive=True, why="its function does not answer: ReadTimeoutError")
THROTTLED = ProbeResult(alive=None, why="HTTP 429: throttled")


@pytest.mark.parametrize("other", [UNKNOWN, THROTTLED, DEAD])
def test_looks_that_do_not_say_whether_it_can_pay_do_not_end_the_failure_of_canaries(other: ProbeResult) -> None:
    found = looked(*[FAILS, FAILS, other] * 4)
    assert (found.failed_from, found.failing_since, found.failing_for) == (1001.0, None, 69.0)
    assert (found.was_unready, found.is_unready) == (True, False)  # it may only be throttled now, or cut off
    assert looked(*[FAILS, FAILS, other] * 4, FAILS).is_unready
    assert looked(*[FAILS, other] * 8, FAILS).is_unready
    # Hardly fewer must have failed than without such looks.
    assert not looked(*[FAILS, FAILS, other] * 3, FAILS).was_unready
    assert not looked(*[FAILS, other] * 5, FAILS).is_unready
    # A canary that succeeds does, and so does a time without one.
    assert not looked(*[FAILS] * 4, WELL, *[FAILS] * 7).is_unready
    assert looked(*[FAILS] * 8, other, other, FAILS, step=10.5).failed_from == 1001.0
    assert looked(*[FAILS] * 8, other, other, other, FAILS).failed_from == 1111.0


def test_what_an_older_release_has_seen_goes_on() -> None:
    before = replace(looked(*[FAILS] * 7), failed_from=None, failed_at=0.0)
    found = observe(before, replace(NOW, at=1070.0), FAILS, {}, other=EAST, ended=1071.0)
    assert (found.failing_since, found.is_unready) == (1001.0, True)


def test_canaries_that_failed_while_the_writer_was_elsewhere_do_not_count() -> None:
    before = looked(*[FAILS] * 8, writer=WEST)
    found = observe(before, replace(NOW, at=1080.0, writer=EAST), FAILS, {}, other=EAST, ended=1081.0)
    assert (before.is_unready, found.is_unready, found.failing_since) == (True, False, 1081.0)


@pytest.mark.parametrize(("other", "changes", "astray"), [
    (WELL, {"led_to": WEST}, True), (ProbeResult(alive=None), {"led_to": WEST}, True), (WELL, {"led_to": EAST}, False),
    (WELL, {}, False), (WELL, {"led_to": WEST, "leader": WEST}, False), (DEAD, {"led_to": WEST}, False)])
def test_clients_are_astray_that_are_led_here_for_twice_the_detection_time_while_the_other_region_leads_and_lives(
        other: ProbeResult, changes: dict[str, Any], *, astray: bool) -> None:
    assert not looked(*[other] * 6, **changes).is_astray
    assert looked(*[other] * 7, **changes).is_astray is astray


@pytest.mark.parametrize(("observation", "confirmed"), [
    (looked(*[DEAD] * 5, seen=False), True), (looked(*[DEAD] * 5, seen=True), False), (looked(*[DEAD] * 5), False),
    (looked(*[DEAD] * 2, seen=False), False), (looked(*[FAILS] * 8, seen=True), True)])
def test_a_second_view_must_agree(observation: Observation, *, confirmed: bool) -> None:
    assert observation.confirmed is confirmed


def test_what_is_covered_is_the_moment_before_the_newest_mark_that_arrived_was_asked_for() -> None:
    marks = [replace(WELL, mark=number) for number in (1, 2, 3)]
    assert looked(*marks).covered is None
    found = looked(*marks, arrived=[2])
    assert (found.covered, [*map(tuple, found.pending)]) == (1010.0, [(3, 1020.0)])
    assert looked(*marks, DEAD, arrived=[3]).covered == 1020.0


def test_marks_of_a_ledger_that_was_restored_do_not_arrive_in_a_replica_of_the_old_one() -> None:
    marks = [replace(WELL, mark=number) for number in (70, 71, 5, 6, 7)]
    before = looked(*marks[:2], arrived=[70, 71])
    after = looked(*marks, arrived=[70, 71, 71, 71, 71])
    assert (before.covered, after.covered, after.pending, after.arrived) == (1010.0, None, [], 71)
    # Nor does it help that the replica cannot be read in between.
    assert looked(*marks[:3], WELL, *marks[3:], arrived=[70, 71, 71]).covered is None
    # In a replica of the restored one they do.
    assert looked(*marks, arrived=[70, 71, 71, 5, 7]).covered == 1040.0


def test_marks_of_another_writer_count_no_more() -> None:
    before = looked(WELL, WELL, arrived=[0, 7])
    now = replace(NOW, at=1020.0, writer=WEST)
    after = observe(before, now, ProbeResult(alive=True), {EAST: 7}, other=EAST, ended=1021)
    assert (before.covered, after.covered, after.pending) == (1010.0, None, [])


def test_the_verdict_of_route_53_has_an_age() -> None:
    assert looked(*[DEAD] * 5, seen=False).unseen_since == looked(*[DEAD] * 5, seen=False).silent_since
    assert looked(*[DEAD] * 5, seen=True).unseen_since is None


STRONG = World(1, Options(strong=True)).stack


@pytest.mark.parametrize(("stack", "changes", "exposure"), [
    (STACK, {}, None), (STRONG, {}, 0.0),
    (STACK, {"covered": 990.0}, 31.0),  # until now, and a second that the clock does not show
    (STACK, {"covered": 990.0, "silent_since": 1001.0}, 31.0),  # only one view says so
    (STACK, {"covered": 990.0, "unseen_since": 1001.0}, 31.0),
    (STACK, {"covered": 990.0, "silent_since": 1001.0, "unseen_since": 1018.0}, 12.0),
    (STACK, {"covered": 1005.0, "silent_since": 1001.0, "unseen_since": 1018.0}, 1.0),
    # Only the way to it was cut at first: it was lost at most two checks before Route 53 said so.
    (STACK, {"covered": 990.0, "silent_since": 1001.0, "unseen_since": 1022.0}, 13.0),
    (STACK, {"covered": 990.0, "silent_since": 1001.0, "unseen_since": 1100.0}, 91.0),
    (STACK, {"covered": 990.0, "lag": 400.0, "lag_at": 995.0}, 400.0),  # the worse figure counts
    (STACK, {"covered": 990.0, "lag": 400.0, "lag_at": 980.0}, 31.0),  # it is older than the proof
    (STACK, {"covered": 990.0, "lag": 0.1, "lag_at": 995.0}, 31.0)])
def test_exposure_is_an_upper_bound(stack: Stack, changes: dict[str, Any], exposure: float | None) -> None:
    assert replace(NOW, **changes).exposure(stack, 1020.0) == exposure


@pytest.mark.parametrize(("age", "fresh"), [(0.0, True), (30.0, True), (30.1, False)])
def test_an_observation_counts_for_three_looks(age: float, *, fresh: bool) -> None:
    assert NOW.is_fresh(NOW.at + age) is fresh


@pytest.mark.parametrize("change", [lambda document: document.update(release=2), lambda document: document.pop("why")])
def test_an_observation_of_another_release_is_read(change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(json.dumps(NOW.document()))
    change(document)
    assert json.loads(json.dumps(Observation.of(document).document())) == json.loads(json.dumps(NOW.document()))
