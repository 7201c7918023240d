"""Estimates what a stack costs in a month without traffic, line by line.

Run as `make cost` or `make cost ARGS="profile=prod domainName=pay.example.com"`. The prices are AWS's list prices in
US dollars for us-east-1 and us-west-2, from memory: correct them here. What grows with the traffic (requests, storage,
logs, copies between the regions) is left out.
"""
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from pulumi.runtime import set_all_config
from rich.console import Console
from rich.table import Table

from contract import PROJECT, Metric
from lib.errors import SettingsError
from lib.names import Names
from lib.region.alarms import alarm_specs
from lib.settings import EMULATOR_ACCOUNT, Settings

HOURS = 730
ACU_HOUR = 0.12
LARGE_HOUR = 0.276
KEY_MONTH = 1.00
SECRET_MONTH = 0.40
ALARM_MONTH = 0.10
ZONE_MONTH = 0.50
CHECK_FEATURE_MONTH = 1.00  # HTTPS, a 10 s interval and a latency graph are a feature each
API_REQUEST = 3.50e-6
FUNCTION_REQUEST = 0.20e-6
GIGABYTE_SECOND = 0.0000133334
METRIC_MONTH = 0.30
METRIC_REQUEST = 0.01e-3
FAST_SECONDS = 10
CHECKERS = 16  # health checkers of Route 53 that call each endpoint
ENDPOINTS = 4  # that they call: liveness and lever of each region
HEALTH_SECONDS = 0.01  # of the function, which has half a gigabyte, for one answer
ANSWER = API_REQUEST + FUNCTION_REQUEST + HEALTH_SECONDS * 0.5 * GIGABYTE_SECOND
CONTROLLER_GIGABYTES = 0.25
LOOK_REQUESTS = 4  # liveness and readiness of both regions
LOOK_METRIC_REQUESTS = 3  # publishing the metrics, and reading two lags


@dataclass(frozen=True)
class CostItem:
    """One line of the estimate: US dollars a month, and how they are calculated."""

    what: str
    dollars: float
    why: str


def bill(settings: Settings) -> Iterator[CostItem]:
    """The lines that do not depend on traffic; an idle database runs at its least capacity."""
    database = settings.database
    for region in (settings.primary, settings.dr):
        hourly = database.min_capacity * ACU_HOUR if database.serverless else LARGE_HOUR
        yield CostItem(f"Aurora in {region.region}", region.instances * HOURS * hourly,
                       f"{region.instances} x {database.instance_class}, idle")
    yield CostItem("KMS", 2 * KEY_MONTH, "a key and its replica")
    if not database.secret_arn:
        yield CostItem("Secrets Manager", 2 * SECRET_MONTH, "a secret and its replica")
    primary, standby = (Names(settings.environment_suffix, r.region, "") for r in (settings.primary, settings.dr))
    alarms = 2 * len(alarm_specs(primary, standby, settings))
    yield CostItem("CloudWatch alarms", alarms * ALARM_MONTH,
                   f"{alarms} alarms; the dashboards are within the free three")
    yield from _controllers(settings.health_check.look)
    if settings.domain_name:
        yield from _dns(settings)


def _controllers(interval: int) -> Iterator[CostItem]:
    seconds = 2 * HOURS * 3600
    looks = seconds / interval
    yield CostItem("Controllers", seconds * CONTROLLER_GIGABYTES * GIGABYTE_SECOND,
                   f"two functions of {CONTROLLER_GIGABYTES * 1024:g} MB around the clock")
    yield CostItem("Controllers' looks", looks * LOOK_REQUESTS * ANSWER,
                   f"{looks * LOOK_REQUESTS / 1e6:.1f} million requests: each looks at both regions every "
                   f"{interval} s")
    yield CostItem("Controllers' metrics",
                   2 * len(Metric) * METRIC_MONTH + looks * LOOK_METRIC_REQUESTS * METRIC_REQUEST,
                   f"{2 * len(Metric)} metrics, and {looks * LOOK_METRIC_REQUESTS / 1e6:.1f} million requests to "
                   "CloudWatch")


def _dns(settings: Settings) -> Iterator[CostItem]:
    interval = settings.health_check.interval
    yield CostItem("Hosted zone", ZONE_MONTH, "unless an existing one is given")
    features = ENDPOINTS + 2 + (ENDPOINTS if interval == FAST_SECONDS else 0)
    yield CostItem("Health checks", features * CHECK_FEATURE_MONTH, f"four HTTPS checks, {features} features")
    requests = ENDPOINTS * CHECKERS * HOURS * 3600 / interval
    yield CostItem("Answering health checks", requests * ANSWER,
                   f"{requests / 1e6:.1f} million requests of {CHECKERS} checkers every {interval} s to four endpoints")


def main(
    settings: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE...", help="Settings of the stack.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> None:
    """Estimate what a stack costs in a month without traffic, in US dollars."""
    config = dict(pair.partition("=")[::2] for pair in settings or [])
    set_all_config({f"{PROJECT}:{key}": value for key, value in {"account": EMULATOR_ACCOUNT, **config}.items()})
    try:
        items = list(bill(Settings.load()))
    except SettingsError as error:
        typer.echo(f"cost: {error}", err=True)
        raise typer.Exit(2) from None
    total = sum(item.dollars for item in items)
    if as_json:
        print(json.dumps({"items": [asdict(item) for item in items], "total": round(total, 2)}, indent=2))
        return
    table = Table("what", "USD a month", "why", title="Without traffic, at assumed list prices")
    for item in items:
        table.add_row(item.what, f"{item.dollars:.2f}", item.why)
    table.add_row("total", f"{total:.2f}", "", style="bold")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
