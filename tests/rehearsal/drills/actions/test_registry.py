"""How a verb becomes an action, and what is said of a bad one."""

from typing import Any

import pytest

from rehearsal.drills import actions
from rehearsal.drills.actions.registry import ACTIONS, action, parse
from tests.rehearsal.drills.fakes import FakeStack, act, context


def test_an_action_is_a_function_whose_parameters_are_the_keys() -> None:
    stack = FakeStack()
    run = context(stack)
    assert act(run, pass_=2.5) == ""
    assert stack.clock.slept == [2.5]
    assert parse({"cut": "active", "inside": True}).work is actions.faults.cut


def test_every_verb_says_what_it_does() -> None:
    assert [name for name, model in ACTIONS.items() if not model.work.__doc__] == []


def test_a_verb_is_registered_once() -> None:
    with pytest.raises(ValueError, match=r"^cut: is the verb of cut$"):
        action("cut")(actions.faults.heal)


@pytest.mark.parametrize(("given", "text"), [
    ({"cut": "active", "inside": True}, "cut active inside True"), ({"heal": "standby"}, "heal standby"),
    ({"lag_back": {"table": 6}}, "lag back {'table': 6.0}"), ({"post": "x", "in": "standby"}, "post x in standby"),
    ({"run": "status", "exit": 0}, "run status exit 0")])
def test_an_action_is_shown_as_the_file_gives_it(given: dict[str, Any], text: str) -> None:
    assert str(parse(given)) == text


@pytest.mark.parametrize(("given", "complaint"), [
    ({"cutt": "active"}, " = {'cutt': 'active'}: must be a table with one of audit, back_up, begin, "),
    ({}, " = {}: must be a table with one of"), (3, " = 3: must be a table with one of"),
    ({"cut": "east"}, ".cut = 'east': must be 'active' or 'standby'"),
    ({"cut": "active", "heal": "active"}, ".heal = 'active': is not a key that belongs there"),
    ({"cut": "active", "inside": 1}, ".inside = 1: must be a valid boolean"),
    ({"lose": "ledger"}, ".of: is missing"),
    ({"lose": "disk", "of": "active"}, ".lose = 'disk': must be 'table', 'receipts', 'ledger', 'function' or 'api'"),
    ({"fail": 5, "of": "active"}, ".fail = 5: must be less than or equal to 1"),
    ({"kill": "nobody"}, ".kill = 'nobody': must be"),
    ({"lag": {"disk": 1}}, ".lag.disk = 1: is not a key that belongs there"),
    ({"lag_back": {"table": -1}}, ".lag_back.table"), ({"lag": 3}, ".lag = 3: must be a valid dictionary"),
    ({"wait": "long"}, ".wait = 'long': must be 'aligned', 'moved', 'notified' or 'recovered'"),
    ({"looks": 1.5}, ".looks = 1.5: must be a valid integer"), ({"looks": True}, ".looks = True: must be"),
    ({"post": "x", "count": -1}, ".count = -1: must be greater than or equal to 0"),
    ({"post": "x", "status": 600}, ".status.constrained-int = 600: must be less"),
    ({"pass": "x"}, ".pass = 'x': must be a valid number"), ({"pass": True}, ".pass = True: must be a valid number"),
    ({"pass": float("nan")}, ".pass = nan: must be"),
    ({"run": "failover --to {east}"}, ".run = 'failover --to {east}': must have no braces but {active} and {standby}"),
    ({"run": "failover }"}, ".run = 'failover }': must have no braces but"),
    ({"run": "status", "exit": 256}, ".exit = 256: must be less than or equal to 255"),
    ({"begin": "status", "says": 5}, ".says = 5: must be a valid string"),
    ({"join": 1}, ".join = 1: must be a valid string"),
])
def test_a_bad_action_is_refused_with_its_key_and_its_value(given: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"^[. ]") as refused:
        parse(given)
    assert str(refused.value).startswith(complaint)
    assert "\n" not in str(refused.value)
