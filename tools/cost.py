"""Estimates what a stack costs in a month, by region and service: idle, and at a load.

Run as `make cost` or `make cost ARGS="profile=prod domainName=pay.example.com"`. Prices are data (`prices.toml`). What
a month uses is counted from the settings and from the figures below, which are assumptions unless a comment says more.
Storage is that of one month of the load.
"""
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from pulumi.runtime import set_all_config
from rich.console import Console
from rich.table import Table

from contract import EMULATED_ACCOUNT, PROJECT, WATCH_SECONDS, Metric
from lib.errors import SettingsError
from lib.names import Names
from lib.region.alarms import alarm_specs
from lib.region.api import ROUTES
from lib.settings import RegionSettings, Settings

PRICES = tomllib.loads(Path(__file__).with_name("prices.toml").read_text(encoding="utf-8"))
SECONDS, NIGHTS = 730 * 3600, 30  # of a month
LOAD = 10.0  # payments a second
# What both controllers cause in the region that leads and in the standby from one start to the next, all being well: a
# number, and one more for each look of the standby's controller. A test counts them.
Calls = Mapping[str, tuple[int, int]]
LEADER: Calls = {
    "apigateway.million requests": (1, 1), "lambda.million readiness": (1, 1), "dynamodb.million reads": (4, 3),
    "dynamodb.million writes": (3, 2), "s3.million puts": (1, 1), "s3.million gets": (1, 0),
    "cloudwatch.million requests": (1, 0), "route53.million queries": (1, 1)}
STANDBY: Calls = {
    "apigateway.million requests": (1, 1), "lambda.million readiness": (1, 1), "dynamodb.million reads": (1, 6),
    "dynamodb.million writes": (0, 1), "s3.million puts": (1, 1), "s3.million gets": (0, 1),
    "cloudwatch.million requests": (2, 0), "route53.million queries": (0, 2)}
LOOK_SECONDS, CANARY_IOS = 0.6, 2
CONTROLLER_GIGABYTES, FUNCTION_GIGABYTES = 0.1875, 0.5
HEALTH_SECONDS, READINESS_SECONDS, PAYMENT_SECONDS = 0.01, 0.08, 0.06
ANSWER_KB, LOG_KB = 0.5, 0.8  # of one request: its answer, and its lines in the logs of API and function
ACCESS_LOG_KB = 0.6  # of one request to a bucket
FLOW_GB = 0.3  # of flow logs: some fifty connections of a region, and each minute a record of each
KMS_CALLS = 0.1  # for each payment or canary: keys of buckets and tables are remembered for minutes
FIREWALL_RULES = 2
METHOD_METRICS, COPY_METRICS = 5, 4  # that are charged for: of a method of the API, of a rule that copies in time
PAYMENT_KB = 1.0  # that one payment writes to each store
PAYMENT_IOS = 12  # of the ledger; each written page is copied as well
TRACED = 0.05  # of the requests, and one a second
CHECKERS, ENDPOINTS = 16, 2  # of Route 53 that ask each endpoint; endpoints of a region: liveness and lever
# What a setting adds is the difference that it makes alone.
OPTIONS: Mapping[str, Mapping[str, str]] = {
    "a domain": {"domainName": "pay.example.com"}, "lookInterval=10": {"lookInterval": "10"},
    "healthCheckInterval=30": {"healthCheckInterval": "30", "recoveryTimeObjective": "3600"},
    "another instance in primaryRegion": {"primaryInstances": "+1"},
    "another instance in drRegion": {"drInstances": "+1"},
    "databaseInstanceClass=db.r7g.large": {"databaseInstanceClass": "db.r7g.large"},
    "firewall=true": {"firewall": "true"}, "firewall=false": {"firewall": "false"}}


@dataclass(frozen=True)
class CostItem:
    """One line: US dollars a month when idle, and what the load adds; None if a price is unknown."""

    region: str
    service: str
    what: str
    idle: float | None
    load: float | None


@dataclass(frozen=True)
class Use:
    """A quantity of a month, idle and added by the load, and its price by its key in prices.toml."""

    price: str
    what: str
    idle: float
    load: float = 0.0

    def cost(self, region: str) -> CostItem:
        """Its line for a region."""
        service, price = self.price.partition(".")[0], PRICES["prices"].get(self.price)
        known = price is not None and region in PRICES["regions"]
        return CostItem(region, service, self.what, self.idle * price if known else None,
                        self.load * price if known else None)


def bill(settings: Settings, payments: float) -> list[CostItem]:
    """Every line, with `payments` a second, all in the primary region; what is free is left out."""
    found = []
    for region, peer, share in ((settings.primary, settings.dr, payments), (settings.dr, settings.primary, 0.0)):
        uses = [*_fixed(settings, region, peer), *_controllers(settings, region),
                *_load(payments * SECONDS / 1e6, share, settings.profile.backup_retention_days)]
        if settings.domain_name:
            uses += _dns(settings, region)
        if settings.api.firewall:
            uses += _firewall(uses)
        uses.append(Use("s3.GB month", "access logs of buckets", *(
            amount * ACCESS_LOG_KB for amount in _sum(uses, "s3.million puts", "s3.million gets"))))
        found += [use.cost(region.region) for use in uses if use.idle or use.load]
    return found


def _fixed(settings: Settings, region: RegionSettings, peer: RegionSettings) -> Iterator[Use]:
    database, hours = settings.database, region.instances * SECONDS / 3600
    if database.serverless:
        acus = database.min_capacity
        yield Use("aurora.acu hour", f"{region.instances} x {acus:g} ACU", hours * acus)
    else:
        yield Use(f"aurora.{database.instance_class} hour", f"{region.instances} x {database.instance_class}", hours)
    yield Use("kms.key month", "key", 1)
    yield Use("secrets.secret month", "database secret", 0 if database.secret_arn else 1)
    here, there = (Names(settings.environment_suffix, each.region, "") for each in (region, peer))
    alarms = len(alarm_specs(here, there, settings))
    yield Use("cloudwatch.alarm month", f"{alarms} alarms", alarms)
    yield Use("cloudwatch.dashboard month", "dashboard", 1)
    yield Use("cloudwatch.GB of logs", "flow logs", FLOW_GB)


def _controllers(settings: Settings, region: RegionSettings) -> Iterator[Use]:
    """What the controllers cost in a region; the primary one leads."""
    look, leads = settings.health_check.look, region == settings.primary
    starts, looks = SECONDS / WATCH_SECONDS, WATCH_SECONDS / look

    def calls(of: Calls, price: str) -> float:
        once, each = of.get(price, (0, 0))
        return starts * (once + each * looks)

    here = LEADER if leads else STANDBY
    busy = starts * (WATCH_SECONDS - look + LOOK_SECONDS)  # it ends with its last look
    asked = calls(here, "lambda.million readiness")
    yield Use("lambda.GB second", "controllers", busy * CONTROLLER_GIGABYTES
              + asked * READINESS_SECONDS * FUNCTION_GIGABYTES)
    yield Use("lambda.million requests", "controllers", (starts + asked) / 1e6)
    yield Use("kms.million requests", "controllers", asked * KMS_CALLS / 1e6)
    yield Use("cloudwatch.metric month", "controllers", len(Metric) - leads)  # a leader exposes nothing to itself
    yield Use("cloudwatch.GB of logs", "controllers", (starts * looks + asked) * LOG_KB / 1e6)
    for price in ("dynamodb.million reads", "s3.million puts", "s3.million gets", "cloudwatch.million requests",
                  *(["route53.million queries"] if settings.domain_name else ())):
        yield Use(price, "controllers", calls(here, price) / 1e6)
    # Both replicas have every write, and both clusters every canary's.
    yield Use("dynamodb.million writes", "controllers", sum(
        calls(each, "dynamodb.million writes") for each in (LEADER, STANDBY)) / 1e6)
    yield Use("aurora.million I/O", "controllers", calls(LEADER, "lambda.million readiness") * CANARY_IOS / 1e6)
    yield from _requests("controllers", calls(here, "apigateway.million requests"))


def _requests(what: str, number: float, load: float = 0.0, seconds: float = HEALTH_SECONDS) -> Iterator[Use]:
    """Requests to the API: a monthly number, and those of the load."""
    each: Mapping[str, float] = {
        "apigateway.million requests": 1e-6, "lambda.million requests": 1e-6,
        "lambda.GB second": seconds * FUNCTION_GIGABYTES, "cloudwatch.GB of logs": LOG_KB / 1e6,
        "transfer.GB to the internet": ANSWER_KB / 1e6}
    for price, amount in each.items():
        yield Use(price, what, number * amount, load * amount)


def _dns(settings: Settings, region: RegionSettings) -> Iterator[Use]:
    interval = settings.health_check.interval
    if region == settings.primary:
        yield Use("route53.zone month", "hosted zone, unless one is given", 0 if settings.hosted_zone_id else 1)
        yield Use("route53.check month", "calculated check", 1)
    yield Use("route53.check month", "health checks", ENDPOINTS)
    # HTTPS and a short interval are features of each check, a latency graph is one of liveness.
    yield Use("route53.feature month", "health checks", ENDPOINTS * (1 + (interval == 10)) + 1)  # noqa: PLR2004
    asked = CHECKERS * SECONDS / interval  # of each endpoint
    yield from _requests("health checks", asked)
    # S3 answers for the lever, not the function.
    for price, amount in (("apigateway.million requests", 1e-6), ("s3.million gets", 1e-6),
                          ("cloudwatch.GB of logs", LOG_KB / 1e6), ("transfer.GB to the internet", ANSWER_KB / 1e6)):
        yield Use(price, "health checks", asked * amount)


def _firewall(uses: list[Use]) -> list[Use]:
    """AWS WAF, which looks at every request to the API."""
    return [Use("waf.ACL month", "web ACL", 1), Use("waf.rule month", f"{FIREWALL_RULES} rules", FIREWALL_RULES),
            Use("waf.million requests", "requests", *_sum(uses, "apigateway.million requests"))]


def _sum(uses: list[Use], *prices: str) -> tuple[float, float]:
    """The sum of quantities at these prices, idle and by the load."""
    asked = [use for use in uses if use.price in prices]
    return sum(use.idle for use in asked), sum(use.load for use in asked)


def _load(millions: float, share: float, days: int) -> Iterator[Use]:
    """What `millions` of payments a month add to each region, and `share` a second to the region that takes them.

    Each region keeps nightly backups for `days`: its own, and copies of the other's. They grow as the month goes on.
    """
    paid = share * SECONDS
    gigabytes = millions * PAYMENT_KB
    kept = 2 * min(days, NIGHTS) * gigabytes / 2
    yield Use("dynamodb.million writes", "payments, in each replica", 0, 2 * millions)
    yield Use("dynamodb.GB month", "payments", 0, gigabytes)
    yield Use("dynamodb.GB month of point-in-time recovery", "payments", 0, gigabytes)
    yield Use("backup.GB month of the table", "backups and copies", 0, kept)
    yield Use("backup.GB month of the cluster", "backups and copies", 0, kept)
    yield Use("transfer.GB to the other region", "copies of backups", 0, 2 * NIGHTS * gigabytes / 2)
    yield Use("aurora.million I/O", "ledger, or its copy", 0, millions * PAYMENT_IOS)
    yield Use("aurora.GB month", "ledger, or its copy", 0, gigabytes)
    yield Use("s3.million puts", "receipts, or their copies", 0, millions)
    yield Use("s3.GB month", "receipts, or their copies", 0, gigabytes)
    if share:
        yield Use("kms.million requests", "payments", 0, millions * KMS_CALLS)
        metered = METHOD_METRICS * len(ROUTES)
        yield Use("cloudwatch.metric month", "detailed metrics of the API", 0, metered)
        yield Use("cloudwatch.metric month", "replication metrics", 0, COPY_METRICS)
        yield Use("s3.GB in replication time control", "receipts", 0, gigabytes)
        yield Use("transfer.GB to the other region", "copies of all three stores", 0, 3 * gigabytes)
        yield Use("xray.million traces", "payments", 0, (min(share, 1) + max(share - 1, 0) * TRACED) * SECONDS / 1e6)
        yield from _requests("payments", 0, paid, PAYMENT_SECONDS)


def totals(items: Iterable[CostItem]) -> tuple[float, float]:
    """The sums of the known amounts: idle, and what the load adds."""
    known = [(item.idle, item.load or 0.0) for item in items if item.idle is not None]
    return sum(idle for idle, _ in known), sum(load for _, load in known)


def added(config: Mapping[str, str], payments: float) -> dict[str, float]:
    """What each option would add to a month with the load, in US dollars; one that is refused is left out."""
    def cost(changes: Mapping[str, str]) -> float:
        return sum(totals(bill(load({**config, **changes}), payments)))

    now, found = load(config), dict[str, float]()
    counts = {"primaryInstances": now.primary.instances, "drInstances": now.dr.instances}
    before = cost({})
    for label, changes in OPTIONS.items():
        wanted = {key: str(counts[key] + 1) if value == "+1" else value for key, value in changes.items()}
        difference = cost(wanted) - before
        if round(difference, 2):
            found[label] = difference
    return found


def load(config: Mapping[str, str]) -> Settings:
    """The settings of a stack that is configured so. Raises SettingsError."""
    set_all_config({f"{PROJECT}:{key}": value for key, value in {"account": EMULATED_ACCOUNT, **config}.items()})
    return Settings.load()


def main(
    settings: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE...", help="Settings of the stack.")] = None,
    payments: Annotated[float, typer.Option("--load", min=0, help="Payments a second.")] = LOAD,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> None:
    """Estimate what a stack costs in a month, idle and at a load, in US dollars."""
    config = dict(pair.partition("=")[::2] for pair in settings or [])
    try:
        items, options = bill(load(config), payments), added(config, payments)
    except SettingsError as error:
        typer.echo(f"cost: {error}", err=True)
        raise typer.Exit(2) from None
    idle, more = totals(items)
    unknown = sorted({f"{item.service} in {item.region}: {item.what}" for item in items if item.idle is None})
    if as_json:
        print(json.dumps({
            "as_of": str(PRICES["as_of"]), "items": [asdict(item) for item in items], "idle": round(idle, 2),
            "with_load": round(idle + more, 2), "load": payments, "added_by": options, "unknown": unknown}, indent=2))
        return
    console = Console()
    console.print(lines(items, payments, "at least " if unknown else ""))
    changes = Table("setting", "USD more a month", title="What changing one more setting adds")
    for label, dollars in options.items():
        changes.add_row(label, f"{dollars:+.2f}")
    console.print(changes)
    for line in unknown:
        console.print(f"unknown price: {line}")


def lines(items: list[CostItem], payments: float, least: str) -> Table:
    """The estimate for people: a row for each region, service and purpose, and the totals, before them `least`."""
    def amounts(of: list[CostItem]) -> list[str]:
        return [f"{amount:.2f}" for amount in totals(of)]

    rows: dict[tuple[str, str, str], list[CostItem]] = {}
    for item in items:
        rows.setdefault((item.region, item.service, item.what), []).append(item)
    table = Table("region", "service", "what", "USD idle", f"USD more at {payments:g} payments/s",
                  title=f"A month at AWS's list prices, as remembered on {PRICES['as_of']}")
    for key, same in sorted(rows.items()):
        table.add_row(*key, *(["unknown"] * 2 if same[0].idle is None else amounts(same)))
    table.add_row("total", "", "", *(least + amount for amount in amounts(items)), style="bold")
    return table


if __name__ == "__main__":
    typer.run(main)
