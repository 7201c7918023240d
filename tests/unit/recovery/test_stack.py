"""What recovery takes from the outputs of a stack, and what it refuses."""
import re
from dataclasses import fields
from typing import Any

import pytest

from contract import RECOVERY_OUTPUTS, ROLES, RegionOutputs, StackOutputs
from recovery.errors import StackError
from recovery.stack import Stack
from simulator.world import Options, World
from tests.unit.recovery.calm_world import EAST as HOME
from tests.unit.recovery.calm_world import WEST as AWAY

OUTPUTS = World(1, Options()).outputs


def stack(**changes: Any) -> Stack:
    """A stack whose outputs are changed."""
    return Stack.of({**OUTPUTS, **changes})


def test_every_output_of_the_contract_is_read_and_others_are_ignored() -> None:
    found = Stack.of({**OUTPUTS, "more": 1})
    assert {each.name: getattr(found, each.name) for each in fields(StackOutputs)} == {
        each.name: OUTPUTS[each.name] for each in fields(StackOutputs)}
    assert [site.role for site in found.sites] == list(ROLES)
    for site in found.sites:
        assert {each.name: getattr(site, each.name) for each in fields(RegionOutputs)} == {
            each.name: OUTPUTS[f"{site.role}_{each.name}"] for each in fields(RegionOutputs)}


def test_a_whole_number_may_come_as_a_float() -> None:
    found = stack(health_check_interval=30.0, recovery_point_objective=0)
    assert (repr(found.health_check_interval), found.recovery_point_objective) == ("30", 0)


@pytest.mark.parametrize("key", RECOVERY_OUTPUTS)
def test_an_output_that_is_missing_is_named(key: str) -> None:
    for outputs in ({name: value for name, value in OUTPUTS.items() if name != key}, {**OUTPUTS, key: None}):
        with pytest.raises(StackError, match=f"^{key}: is not among the outputs of the stack$"):
            Stack.of(outputs)


@pytest.mark.parametrize(("key", "value", "reason"), [
    ("profile", 1, "must be a string"),
    ("dr_region", ["us-west-2"], "must be a string"),
    *(("health_check_threshold", value, "must be a whole number, at least 1")
      for value in ("3", True, 2.5, 0, -1, float("inf"), float("nan"), [3])),
    ("recovery_point_objective", -1, "must be a whole number, at least 0"),
    *(("dr_cluster_arn", value, f"must be a cluster's in {AWAY}") for value in ("db", OUTPUTS["primary_cluster_arn"])),
])
def test_an_output_of_another_type_is_named(key: str, value: Any, reason: str) -> None:
    with pytest.raises(StackError, match=re.escape(f"{key} = {value!r}: {reason}")):
        stack(**{key: value})


def test_the_sites_are_found_by_their_region() -> None:
    found = stack()
    home, away = found.sites
    assert (found.site(HOME), found.site(AWAY)) == (found.other(AWAY), found.other(HOME)) == (home, away)
    with pytest.raises(StackError, match=f"^region 'mars': must be {HOME} or {AWAY}$"):
        found.site("mars")


@pytest.mark.parametrize(("interval", "threshold", "look", "detection"), [
    (10, 3, 10, 30), (30, 3, 10, 90), (10, 1, 10, 10), (10, 3, 60, 60), (30, 3, 60, 120),
])
def test_detection_takes_as_long_as_route_53_takes_in_whole_looks(
        interval: int, threshold: int, look: int, detection: int) -> None:
    found = stack(health_check_interval=interval, health_check_threshold=threshold, look_interval=look)
    assert found.detection == detection


def test_the_names_of_what_route_53_says() -> None:
    assert stack().leads_name == "_region.pay.example.com"
    assert stack().alive_name(AWAY) == f"_alive.{AWAY}.pay.example.com"


def test_a_table_is_strong_or_not() -> None:
    assert stack(table_consistency="strong").strong
    assert not stack().strong
