"""The monthly estimate follows the settings."""
import json
import sys

import pytest
import typer
from typer.testing import CliRunner

from tools import cost


def estimate(*settings: str) -> dict[str, float]:
    """Dollars by line, and the total."""
    app = typer.Typer()
    app.command()(cost.main)
    result = CliRunner().invoke(app, [*settings, "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    return {**{item["what"]: item["dollars"] for item in document["items"]}, "total": document["total"]}


def test_the_total_is_the_sum_of_the_lines() -> None:
    lines = estimate("domainName=pay.example.com")
    assert lines.pop("total") == pytest.approx(sum(lines.values()), abs=0.01)


def test_prod_has_a_reader_and_a_domain_its_checks() -> None:
    dev, prod, named = estimate(), estimate("profile=prod"), estimate("domainName=pay.example.com")
    assert prod["Aurora in us-east-1"] == 2 * prod["Aurora in us-west-2"] > 0
    assert named.keys() - dev.keys() == {"Hosted zone", "Health checks", "Answering health checks"}


def test_slower_checks_cost_less_and_an_existing_secret_nothing() -> None:
    fast = estimate("domainName=pay.example.com")
    slow = estimate("domainName=pay.example.com", "healthCheckInterval=30", "databaseSecretArn="
                    "arn:aws:secretsmanager:us-east-1:123456789012:secret:existing-AbCdEf")
    assert slow["Answering health checks"] == pytest.approx(fast["Answering health checks"] / 3)
    assert slow["Health checks"] < fast["Health checks"]
    assert "Secrets Manager" not in slow


def test_the_controllers_cost_the_same_whatever_they_watch() -> None:
    lines = {"Controllers", "Controllers' looks", "Controllers' metrics"}
    small, large = estimate(), estimate(
        "profile=prod", "domainName=pay.example.com", "healthCheckInterval=30", "recoveryTimeObjective=1000",
        "lookInterval=60")
    assert {line: small[line] for line in lines} == {line: large[line] for line in lines}
    # A quarter of a gigabyte in two regions, for 730 hours.
    assert small["Controllers"] == pytest.approx(2 * 730 * 3600 * 0.25 * 0.0000133334)


def test_a_bad_setting_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["cost", "drRegion=us-east-1"])
    with pytest.raises(SystemExit) as ended:
        typer.run(cost.main)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "cost: drRegion = 'us-east-1': must differ from primaryRegion\n"


def test_without_json_a_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    cost.main(["profile=prod"])
    shown = capsys.readouterr().out
    assert "total" in shown
    assert "2 x db.r7g.large" in shown
