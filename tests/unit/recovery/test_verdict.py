"""The verdict that `status` opens with."""
from typing import Any

import pytest

from recovery.verdict import UNKNOWN, Verdict, judge
from simulator.scheduler import EPOCH

EAST, WEST = "us-east-1", "us-west-2"
RUN = "python -m recovery "
WELL = {"role": "primary", "alive": True, "ready": True, "why": "", "led_to": EAST, "refused": [], "exposure_s": 2.4,
        "stale": False, "sees": True, "silent_since": None, "unknown": {}}
STANDBY = {**WELL, "role": "dr"}
DEAD = {**WELL, "alive": False, "ready": False, "why": "timed out"}
SICK = {**WELL, "ready": False, "why": "ledger unavailable"}
ALONE = {**STANDBY, "sees": False, "silent_since": EPOCH}
OPEN = {"action": "failover", "target": WEST, "driver": "bob", "ended": None, "epoch": 2}
LOST = f"no region takes payments: {EAST} leads, and has not answered since 08:00 UTC"
AWAY = f"{EAST} takes payments, and Route 53 sends clients to {WEST}: the controller of {EAST} pulls its lever"
COULD = f"{WEST} can take over; at most 2 s of payments at risk"


def verdict(east: dict[str, Any], west: dict[str, Any], **more: Any) -> Verdict:
    """The verdict on a stack that is in this state; us-east-1 leads unless something else is said."""
    return judge({"active": EAST, "writer": EAST, "run": None, "drill": None, "regions": {EAST: east, WEST: west},
                  **more})


@pytest.mark.parametrize(("east", "west", "more", "expected"), [
    (WELL, STANDBY, {}, Verdict(True, f"{EAST} takes payments; {COULD}")),
    (WELL, {**STANDBY, "refused": ["it is sick", "it lags"]}, {}, Verdict(
        True, f"{EAST} takes payments; a failover to {WEST} would be refused: it is sick; it lags")),
    (WELL, {**STANDBY, "stale": True}, {}, Verdict(
        True, f"{EAST} takes payments; it is unknown whether {WEST} could take over: its controller does not report")),
    (WELL, {**STANDBY, "stale": None}, {}, Verdict(
        True, f"{EAST} takes payments; it is unknown whether {WEST} could take over: its controller does not report")),
    (WELL, {**STANDBY, "alive": False, "why": "timed out"}, {}, Verdict(
        True, f"{EAST} takes payments; {WEST} cannot take over: its API does not answer (timed out)")),
    ({**WELL, "led_to": WEST}, STANDBY, {}, Verdict(True, AWAY)),
    (WELL, STANDBY, {"drill": {"broken": {"region": WEST}}}, Verdict(
        True, f"{EAST} takes payments; a drill has left {WEST} broken", f"{RUN}drill restore")),
    (WELL, STANDBY, {"drill": {"broken": None}, "run": {**OPEN, "ended": 1.0}}, Verdict(
        True, f"{EAST} takes payments; {COULD}")),
    (WELL, STANDBY, {"run": {**OPEN, "epoch": 0}}, Verdict(True, f"{EAST} takes payments; {COULD}")),
    (DEAD, ALONE, {}, Verdict(
        False, f"{LOST}; {COULD}",
        f"{RUN}failover --to {WEST}")),
    (DEAD, {**ALONE, "refused": ["the lag is unknown"]}, {}, Verdict(
        False, f"{LOST}; a failover to {WEST} "
        "would be refused: the lag is unknown", f"{RUN}plan failover --to {WEST}")),
    (DEAD, {**STANDBY, "sees": UNKNOWN, "silent_since": UNKNOWN, "stale": UNKNOWN}, {}, Verdict(
        False, f"no region takes payments: {EAST} leads, and does not answer (timed out); it is unknown whether {WEST} "
        "could take over: its controller does not report", f"{RUN}plan failover --to {WEST}")),
    (DEAD, {**ALONE, "alive": False, "why": "HTTP 503"}, {}, Verdict(
        False, f"{LOST}; {WEST} cannot take over: "
        "its API does not answer (HTTP 503)", f"{RUN}plan failover --to {WEST}")),
    (SICK, STANDBY, {}, Verdict(
        False, f"no region takes payments: {EAST} leads, and cannot take them (ledger unavailable); {COULD}",
        f"{RUN}failover --to {WEST}")),
    (SICK, STANDBY, {"writer": WEST}, Verdict(
        False, f"no region takes payments: {EAST} leads, and cannot take them (ledger unavailable); {WEST} has the "
        "database's writer", f"{RUN}align --to {WEST}")),
    (SICK, {**STANDBY, "ready": False, "why": "table unavailable"}, {"writer": WEST}, Verdict(
        False, f"no region takes payments: {EAST} leads, and cannot take them (ledger unavailable); {WEST} has the "
        "database's writer and cannot lead (table unavailable)", f"{RUN}plan failover --to {EAST}")),
    (DEAD, STANDBY, {}, Verdict(
        None, f"{EAST} does not answer from here (timed out), but it answered the last look of {WEST}'s controller: "
        "either only your connection to it is cut, or it has just failed", f"{RUN}status")),
    ({**WELL, "ready": None, "why": "AccessDenied"}, STANDBY, {}, Verdict(
        None, f"it is unknown whether {EAST} takes payments: AccessDenied", f"{RUN}status")),
    ({**WELL, "alive": UNKNOWN, "why": "", "unknown": {"API": "no answer within 10 s"}}, STANDBY, {}, Verdict(
        None, f"it is unknown whether {EAST} takes payments: no answer within 10 s", f"{RUN}status")),
    (DEAD, ALONE, {"run": OPEN}, Verdict(
        False, f"no region takes payments; failover to {WEST} by bob is under way; if the process that drives it has "
        "died", f"{RUN}failover --to {WEST}")),
    (WELL, STANDBY, {"run": {**OPEN, "action": "failback", "target": EAST}}, Verdict(
        True, f"{EAST} takes payments; failback to {EAST} by bob is under way; if the process that drives it has died",
        f"{RUN}failback")),
    ({**WELL, "led_to": WEST}, {**STANDBY, "led_to": WEST}, {"active": WEST}, Verdict(
        True, f"{WEST} takes payments; {EAST} can take over; at most 2 s of payments at risk. To move back when it "
        "suits you", f"{RUN}failback")),
    ({**DEAD, "led_to": UNKNOWN}, {**STANDBY, "led_to": ""}, {"active": WEST}, Verdict(
        True, f"{WEST} takes payments; {EAST} cannot take over: its API does not answer (timed out)")),
    (WELL, STANDBY, {"active": UNKNOWN}, Verdict(
        None, "no region says which one leads, so it is unknown whether payments are taken", f"{RUN}doctor")),
])
def test_the_verdict_says_what_is_so_and_what_to_do(
        east: dict[str, Any], west: dict[str, Any], more: dict[str, Any], expected: Verdict) -> None:
    assert verdict(east, west, **more) == expected


def test_the_verdict_is_one_line_and_a_document() -> None:
    assert str(Verdict(False, "nobody pays", "x")) == "nobody pays: run `x`"
    assert str(Verdict(True, "all is well")) == "all is well"
    assert Verdict(None, "a", "b").document() == {"paying": None, "says": "a", "run": "b"}
