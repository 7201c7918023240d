"""The monthly estimate follows the settings, and stays within what a stack may cost."""
import json
import re
import sys
from collections import Counter
from functools import cache
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from simulator.functions import HEALTH
from simulator.network import NetworkCall
from simulator.world import REGIONS
from tests.unit.recovery.calm_world import CalmWorld
from tools import cost

DOMAIN = "domainName=pay.example.com"


@cache
def estimate(*arguments: str) -> dict[str, Any]:
    """The estimate as JSON."""
    app = typer.Typer()
    app.command()(cost.main)
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def of(found: dict[str, Any], what: str, amount: str = "idle") -> float:
    """The dollars of all lines whose purpose begins so."""
    return sum(float(item[amount]) for item in found["items"] if item["what"].startswith(what))


# The price of a call that a controller makes, or a payments function when a controller asks whether it can pay.
PRICES = {
    f"GET {HEALTH}": "apigateway.million requests", "Invoke": "lambda.million readiness",
    "GetItem": "dynamodb.million reads", "PutItem": "dynamodb.million writes", "UpdateItem": "dynamodb.million writes",
    "PutObject": "s3.million puts", "HeadObject": "s3.million gets",
    "PutMetricData": "cloudwatch.million requests", "GetMetricStatistics": "cloudwatch.million requests",
    "TXT": "route53.million queries"}
FREE = {"DescribeDBClusters", "DescribeDBInstances", "DescribeGlobalClusters", "SimulatePrincipalPolicy", "connect",
        "query"}


@pytest.mark.parametrize("looks", [1, 6])
def test_what_the_controllers_call_is_what_they_call(looks: int) -> None:
    """Ten windows of the simulated world in which nothing goes wrong; clients and Route 53 are somebody else's."""
    world, windows, seen = CalmWorld(), 10, Counter[tuple[str, str]]()
    leave = world.network._leave  # pylint: disable=protected-access

    def counted(call: NetworkCall) -> tuple[str, float]:
        by_function, operation = call.caller.name.startswith("tapstack-payments"), call.operation
        if operation not in FREE and (call.caller.name == "controller" or by_function):
            seen[call.caller.place if operation == "TXT" else call.region, PRICES[operation]] += 1
        return leave(call)

    for region in REGIONS:
        world.controller(region).interval = 60 / looks
    world.look(times=looks, pause=60 / looks)
    world.network._leave = counted  # type: ignore[method-assign]  # pylint: disable=protected-access
    world.look(times=looks * windows, pause=60 / looks)
    for region, known in zip(REGIONS, (cost.LEADER, cost.STANDBY), strict=True):
        expected = {price: once + each * looks for price, (once, each) in known.items()}
        assert {price: calls / windows for (where, price), calls in seen.items() if where == region} == {
            price: number for price, number in expected.items() if number}


def test_the_controllers_of_prod_cost_at_most_25_dollars() -> None:
    assert of(estimate("profile=prod", DOMAIN), "controllers") <= 25


@pytest.mark.parametrize(("settings", "most"), [
    ([], 110), (["profile=prod"], 800), (["profile=prod", DOMAIN], 800)])
def test_an_idle_stack_stays_within_its_goal(settings: list[str], most: float) -> None:
    found = estimate(*settings)
    assert found["unknown"] == []
    assert 0 < found["idle"] <= most


def test_the_totals_are_the_sums_of_the_lines() -> None:
    found = estimate(DOMAIN)
    idle, load = (sum(item[key] for item in found["items"]) for key in ("idle", "load"))
    assert (found["idle"], found["with_load"]) == (pytest.approx(idle, abs=0.01), pytest.approx(idle + load, abs=0.01))
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", found["as_of"])


def test_every_service_that_has_a_price_is_used() -> None:
    used = {item["service"] for item in estimate(DOMAIN, "firewall=true")["items"]}
    assert {key.partition(".")[0] for key in cost.PRICES["prices"]} == used


def test_load_costs_what_it_is_and_nothing_without_any() -> None:
    none, some, twice = (estimate("--load", load) for load in ("0", "5", "10"))
    assert none["with_load"] == none["idle"] == some["idle"]
    assert of(twice, "receipts", "load") == pytest.approx(2 * of(some, "receipts", "load"))
    services = {item["service"] for item in some["items"] if item["load"]}
    assert services == {"apigateway", "aurora", "backup", "cloudwatch", "dynamodb", "kms", "lambda", "s3", "transfer",
                        "xray"}
    assert of(some, "detailed metrics", "load") == of(twice, "detailed metrics", "load") > 0
    # One payment a second for a month: its write in each replica, twice.
    assert of(estimate("--load", "1"), "payments, in each replica", "load") == pytest.approx(2 * 2 * 2.628 * 0.625)


def test_backups_are_kept_for_as_long_as_the_profile_says() -> None:
    dev, prod = (of(estimate(*profile, "--load", "10"), "backups and copies", "load") for profile in (
        [], ["profile=prod"]))
    assert prod == pytest.approx(30 * dev)


def test_prod_has_a_reader_and_a_domain_its_checks() -> None:
    prod, named = estimate("profile=prod"), estimate(DOMAIN)
    assert of(prod, "2 x db.r7g.large") == pytest.approx(2 * 730 * 0.276)
    assert of(prod, "1 x db.r7g.large") == pytest.approx(730 * 0.276)
    assert of(named, "health checks") > 50
    assert of(estimate(DOMAIN, "hostedZoneId=Z0123456789ABC"), "hosted zone") == 0 < of(named, "hosted zone")


def test_each_request_to_a_bucket_is_logged() -> None:
    # Sixteen checkers ask for each region's lever every 10 s.
    added = of(estimate(DOMAIN), "access logs") - of(estimate(), "access logs")
    assert added == pytest.approx(2 * 16 * 730 * 360 * 0.6e-6 * 0.023)


def test_slower_checks_cost_less_and_an_existing_secret_nothing() -> None:
    fast = estimate(DOMAIN)
    slow = estimate(DOMAIN, "healthCheckInterval=30", "recoveryTimeObjective=3600", "databaseSecretArn="
                    "arn:aws:secretsmanager:us-east-1:123456789012:secret:existing-AbCdEf")
    assert of(slow, "health checks") < of(fast, "health checks") / 2
    assert of(slow, "database secret") == 0 < of(fast, "database secret")


def test_controllers_cost_less_where_they_look_seldom() -> None:
    often, seldom = of(estimate("profile=prod"), "controller"), of(estimate(), "controller")
    assert seldom < 10 < often
    assert of(estimate("lookInterval=10"), "controller") == pytest.approx(often)


def test_what_one_more_setting_changes_is_the_difference_between_two_estimates() -> None:
    found, named = estimate(), estimate(DOMAIN)
    assert found["added_by"]["a domain"] == pytest.approx(named["with_load"] - found["with_load"], abs=0.02)
    assert "a domain" not in named["added_by"]
    reader = estimate("primaryInstances=2")["idle"] - found["idle"]
    assert found["added_by"]["another instance in primaryRegion"] == pytest.approx(reader, abs=0.02)


def test_an_unknown_price_is_said_to_be_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    found = estimate("drRegion=eu-west-1", "databaseInstanceClass=db.r8g.large")
    assert "aurora in us-east-1: 1 x db.r8g.large" in found["unknown"]
    assert any(line.startswith("kms in eu-west-1: ") for line in found["unknown"])
    cost.main(["drRegion=eu-west-1"])
    shown = capsys.readouterr().out
    assert "at least" in shown
    assert "unknown price: kms in eu-west-1: key" in shown


def test_a_bad_setting_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["cost", "drRegion=us-east-1"])
    with pytest.raises(SystemExit) as ended:
        typer.run(cost.main)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "cost: drRegion = 'us-east-1': must differ from primaryRegion\n"


def test_without_json_tables_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    cost.main(["profile=prod"])
    shown = capsys.readouterr().out
    for text in ("total", "2 x db.r7g.large", "What changing one more setting adds", "a domain"):
        assert text in shown


def test_a_firewall_costs_its_rules_and_every_request() -> None:
    off, on = (estimate(DOMAIN, f"firewall={each}") for each in ("false", "true"))
    assert {item["service"] for item in on["items"]} - {item["service"] for item in off["items"]} == {"waf"}
    # An ACL and two rules in each region, and the requests of checkers and controllers.
    assert 14 < on["idle"] - off["idle"] < 14 + 0.6 * 20
    assert off["added_by"]["firewall=true"] == pytest.approx(on["with_load"] - off["with_load"], abs=0.02)
    assert on["added_by"]["firewall=false"] == pytest.approx(off["with_load"] - on["with_load"], abs=0.02)
