"""The monthly estimate follows the settings, and stays within what a stack may cost."""
import json
import re
import sys
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tools import cost

DOMAIN = "domainName=pay.example.com"


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
    used = {item["service"] for item in estimate(DOMAIN)["items"]}
    assert {key.partition(".")[0] for key in cost.PRICES["prices"]} == used


def test_load_costs_what_it_is_and_nothing_without_any() -> None:
    none, some, twice = (estimate("--load", load) for load in ("0", "5", "10"))
    assert none["with_load"] == none["idle"] == some["idle"]
    assert of(twice, "receipts", "load") == pytest.approx(2 * of(some, "receipts", "load"))
    services = {item["service"] for item in some["items"] if item["load"]}
    assert services == {"apigateway", "aurora", "cloudwatch", "dynamodb", "lambda", "s3", "transfer", "xray"}
    # One payment a second for a month: its write in each replica, twice.
    assert of(estimate("--load", "1"), "payments, in each replica", "load") == pytest.approx(2 * 2 * 2.628 * 0.625)


def test_prod_has_a_reader_and_a_domain_its_checks() -> None:
    prod, named = estimate("profile=prod"), estimate(DOMAIN)
    assert of(prod, "2 x db.r7g.large") == pytest.approx(2 * 730 * 0.276)
    assert of(prod, "1 x db.r7g.large") == pytest.approx(730 * 0.276)
    assert of(named, "health checks") > 50
    assert of(estimate(DOMAIN, "hostedZoneId=Z0123456789ABC"), "hosted zone") == 0 < of(named, "hosted zone")


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
    for text in ("total", "2 x db.r7g.large", "What one more setting changes", "a domain"):
        assert text in shown
