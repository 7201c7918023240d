"""The settings of a stack: each is declared once, read once, checked, and typed for the rest of the program.

A declaration is a field with `setting(...)` or `optional(...)`. Pulumi.yaml and docs/settings.md are written from the
declarations: run `make settings` after a change.

A key is looked up in the stack's configuration (`pulumi config set KEY VALUE`), then in the environment, then in the
defaults. An empty string counts as unset: Pulumi.yaml declares each key with an empty default, because Pulumi demands a
value for every declared key, and any other default would hide the environment.
"""
# `setting`, `optional` and `group` make dataclass fields.
# ruff: noqa: RUF009
# pylint: disable=invalid-field-call
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from ipaddress import IPv4Network
from typing import Annotated, Any, TypeVar, cast

import pulumi

from contract import DNS_TTL, PROJECT, Consistency, FailoverMode
from lib import parsers
from lib.errors import SettingsError
from lib.parsers import Parser

T = TypeVar("T")

EMULATOR_ACCOUNT = "000000000000"
REQUEST_SECONDS = 3  # the longest that a request takes, while a store is dead
_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What differs between a stack for experiments and one with real payments."""

    name: str
    protect: Annotated[bool, "data is protected against deletion, unless `deletionProtection` is set"]
    """Without it, buckets and vaults are emptied when the stack is destroyed."""
    final_snapshots: Annotated[bool, "the database leaves final snapshots when the stack is destroyed"]
    log_retention_days: Annotated[int, "days for which logs are kept"]
    backup_retention_days: Annotated[int, "days for which backups are kept"]
    noncurrent_version_days: Annotated[int, "days for which superseded versions of objects are kept"]
    key_deletion_days: Annotated[int, "days until a deleted key is gone"]
    secret_recovery_days: Annotated[int, "days for which a deleted secret can be recovered"]


PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in (
    Profile(name="dev", protect=False, final_snapshots=False, log_retention_days=7, backup_retention_days=1,
            noncurrent_version_days=7, key_deletion_days=7, secret_recovery_days=0),
    Profile(name="prod", protect=True, final_snapshots=True, log_retention_days=365, backup_retention_days=35,
            noncurrent_version_days=365, key_deletion_days=30, secret_recovery_days=30),
)}


# --- How a setting is declared

Default = str | Mapping[str, str] | Callable[[Mapping[str, str]], str]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The declaration of a setting.

    `default` is the text that counts where the key is unset: one for all profiles, one for each by its name, or made
    from the texts of the keys above. `unset` says what an empty or made default is. `variable` is the environment
    variable that may set the key, and `output` the output of the stack that shows the value. `pulumi_type` is `object`
    for a JSON object; numbers are strings, too, because they can be empty.
    """

    key: str
    parse: Parser[Any]
    description: str
    default: Default
    unset: str = "none"
    variable: str | None
    output: str | None = None
    pulumi_type: str = "string"

    def default_in(self, texts: Mapping[str, str]) -> str:
        """The default, where the keys above have these texts."""
        if isinstance(self.default, Mapping):
            return self.default[texts["profile"]]
        return self.default if isinstance(self.default, str) else self.default(texts)

    @property
    def default_in_words(self) -> str:
        """The default as the documentation shows it: `1 in dev, 2 in prod`."""
        if isinstance(self.default, Mapping):
            return ", ".join(f"{value} in {profile}" for profile, value in self.default.items())
        return self.default if isinstance(self.default, str) and self.default not in ("", "{}") else self.unset


def setting(key: str, parse: Parser[T], description: str, default: Default, **more: Any) -> T:
    """Declare a setting. Its variable is the key in capitals (`DR_REGION`), unless another, or None, is given."""
    variable = re.sub("(?=[A-Z])", "_", key).upper()
    declared = Setting(key=key, parse=parse, description=description, default=default,
                       **{"variable": variable, **more})
    return cast("T", field(metadata={"setting": declared}))


def optional(key: str, parse: Parser[T], description: str, **more: Any) -> T | None:
    """Declare a setting that is None where it is unset."""
    return setting(key, lambda text: parse(text) if text else None, description, "", **more)


def zones(key: str, region: str) -> tuple[str, ...]:
    """Declare the availability zones of the region that the key `region` names."""
    return setting(key, parsers.zones, f"Three availability zones of {region}, with commas between them.",
                   lambda texts: ",".join(texts[region] + letter for letter in "abc"), unset="its zones a, b and c",
                   variable=None)


def group(kind: type[T]) -> T:
    """Declare a group of settings."""
    return cast("T", field(metadata={"group": kind}))


# --- The settings


@dataclass(frozen=True, kw_only=True)
class RegionSettings:
    """One of the two regions: three of its availability zones, and how many database instances it has."""

    region: str
    zones: tuple[str, ...]
    vpc_cidr: IPv4Network
    instances: int


@dataclass(frozen=True, kw_only=True)
class PrimarySettings(RegionSettings):
    """The region that the stack starts in."""

    region: str = setting(
        "primaryRegion", parsers.region, "Region that starts with the database's writer.", "us-east-1")
    zones: tuple[str, ...] = zones("primaryZones", "primaryRegion")
    vpc_cidr: IPv4Network = setting(
        "primaryVpcCidr", parsers.network, "Private IPv4 network of the primary region's VPC, /16 to /24.",
        "10.0.0.0/16")
    instances: int = setting(
        "primaryInstances", parsers.whole(1, 15), "Database instances in the primary region, 1 to 15.",
        {"dev": "1", "prod": "2"})


@dataclass(frozen=True, kw_only=True)
class StandbySettings(RegionSettings):
    """The region that starts as the standby."""

    region: str = setting(
        "drRegion", parsers.region, "Region that starts as the standby; must differ from primaryRegion.", "us-west-2")
    zones: tuple[str, ...] = zones("drZones", "drRegion")
    vpc_cidr: IPv4Network = setting(
        "drVpcCidr", parsers.network,
        "Private IPv4 network of the standby region's VPC, /16 to /24; must not overlap primaryVpcCidr.", "10.1.0.0/16")
    instances: int = setting(
        "drInstances", parsers.whole(0, 15), "Database instances in the standby region, 0 to 15, in prod at least 1.",
        {"dev": "1", "prod": "2"})


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """The Aurora PostgreSQL global database; capacities in ACUs, `secret_arn` None where one is generated."""

    engine_version: str = setting(
        "databaseEngineVersion", parsers.engine_version, "Version of Aurora PostgreSQL, MAJOR.MINOR, 15 to 18.", "17.7")
    min_capacity: float = setting(
        "databaseMinCapacity", parsers.capacity(0.5, 256),
        "Least capacity of a database instance in ACUs, 0.5 to 256 in steps of 0.5.", {"dev": "0.5", "prod": "2"})
    max_capacity: float = setting(
        "databaseMaxCapacity", parsers.capacity(1, 256),
        "Greatest capacity of a database instance in ACUs, 1 to 256 in steps of 0.5.", {"dev": "4", "prod": "16"})
    secret_arn: str | None = optional(
        "databaseSecretArn", parsers.secret_arn, "ARN of a secret in primaryRegion with the database's credentials.",
        unset="one is generated")


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """The payments table; `witness_region` is set exactly when `consistency` is strong."""

    consistency: Consistency = setting(
        "tableConsistency", parsers.member(Consistency),
        "Consistency of the table between regions, eventual or strong; cannot be changed later.",
        Consistency.EVENTUAL.value, output="table_consistency")
    witness_region: str | None = optional(
        "witnessRegion", parsers.region, "Third region of the same region set, with tableConsistency strong only.",
        output="witness_region")


@dataclass(frozen=True, kw_only=True)
class HealthCheckSettings:
    """Route 53's health checks: seconds between two, and how many must fail in a row."""

    interval: int = setting(
        "healthCheckInterval", parsers.one_of({"10": 10, "30": 30}), "Seconds between two health checks, 10 or 30.",
        "10", output="health_check_interval")
    threshold: int = setting(
        "healthCheckThreshold", parsers.whole(1, 10),
        "Failed health checks in a row that make a region unhealthy, 1 to 10.", "3", output="health_check_threshold")


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """The declared objectives, in seconds."""

    recovery_time: int = setting(
        "recoveryTimeObjective", parsers.whole(0, 86_400),
        f"Seconds until payments are accepted again; at least healthCheckInterval x healthCheckThreshold + {DNS_TTL}.",
        "900", output="recovery_time_objective")
    recovery_point: int = setting(
        "recoveryPointObjective", parsers.whole(0, 86_400),
        "Seconds of writes that may be lost; 0 needs tableConsistency strong.", "60", output="recovery_point_objective")


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """Throttling (requests per second, and burst), and whether this stack owns API Gateway's account-wide log role."""

    rate_limit: int = setting(
        "apiRateLimit", parsers.whole(1, 1_000_000), "Requests per second of an API key.", "100")
    burst_limit: int = setting(
        "apiBurstLimit", parsers.whole(1, 1_000_000), "Burst of requests of an API key; not less than apiRateLimit.",
        "200")
    manage_account: bool = setting(
        "manageApiGatewayAccount", parsers.one_of(_FLAGS),
        "true or false: whether to set API Gateway's log role, which exists once per account and region.", "true")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a deployment may choose."""

    # First, because the defaults of others depend on it.
    base_profile: Profile = setting(
        "profile", parsers.one_of(PROFILES),
        "dev is destroyed without a trace; prod protects its data and has two database instances in each region.",
        "dev", variable="TAPSTACK_PROFILE", output="profile")
    aws_endpoint: str | None = optional(
        "awsEndpoint", parsers.loopback_url, "URL of an emulator on this machine to use instead of AWS.",
        variable=None)  # a developer's shell must not redirect a deployment
    account: str = setting(
        "account", parsers.account, "AWS account of the stack, 12 digits; `make init` writes it.",
        lambda texts: EMULATOR_ACCOUNT if texts["awsEndpoint"] else "", unset="none: it must be given, except to an "
        "emulator", variable=None)
    deletion_protection: bool = setting(
        "deletionProtection", parsers.one_of(_FLAGS),
        "true or false; to destroy a prod stack, set false and deploy once more.",
        {profile.name: str(profile.protect).lower() for profile in PROFILES.values()})
    environment_suffix: str = setting(
        "environmentSuffix", parsers.suffix,
        "End of every physical name: lower-case letters and digits, with single hyphens between them.", "dev",
        output="environment_suffix")
    primary: RegionSettings = group(PrimarySettings)
    dr: RegionSettings = group(StandbySettings)
    domain_name: str | None = optional(
        "domainName", parsers.domain_name, "Lower-case DNS name of the service.",
        unset="none: no records, health checks or certificates", output="domain_name")
    hosted_zone_id: str | None = optional(
        "hostedZoneId", parsers.hosted_zone_id, "Id of an existing hosted zone for domainName.", unset="one is created")
    database: DatabaseSettings = group(DatabaseSettings)
    table: TableSettings = group(TableSettings)
    health_check: HealthCheckSettings = group(HealthCheckSettings)
    objectives: Objectives = group(Objectives)
    failover_mode: FailoverMode = setting(
        "failoverMode", parsers.member(FailoverMode),
        "manual or automatic: who decides that the standby takes over, a person or its controller.",
        FailoverMode.MANUAL.value, output="failover_mode")
    api: ApiSettings = group(ApiSettings)
    function_concurrency: int = setting(
        "functionConcurrency", parsers.concurrency,
        "Reserved executions of a region's function, 1 to 1000; -1 reserves none.", {"dev": "-1", "prod": "300"})
    alarm_email: str | None = optional("alarmEmail", parsers.email, "E-mail address that alarms are sent to.")
    tags: Mapping[str, str] = setting(
        "tags", parsers.tags, f"Tags of every resource, at most {parsers.TAG_LIMIT}, as an object of strings.", "{}",
        variable=None, pulumi_type="object")

    @property
    def profile(self) -> Profile:
        """The profile, with the deletion protection that is set."""
        return replace(self.base_profile, protect=self.deletion_protection)

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read every key from the stack's configuration, `environ` or its default.

        Raises SettingsError for the first key whose value is unusable, alone or together with the others.
        """
        configured = pulumi.Config(PROJECT)
        texts: dict[str, str] = {}  # what was given for each key, so that an error can quote it

        def read(declared: Setting) -> Any:
            key, variable = declared.key, declared.variable
            texts[key] = (configured.get(key) or (variable and environ.get(variable))
                          or declared.default_in(texts))
            try:
                return declared.parse(texts[key])
            except ValueError as error:
                raise SettingsError(key, texts[key], str(error)) from None

        def build(kind: type[Any]) -> Any:
            return kind(**{each.name: build(each.metadata["group"]) if "group" in each.metadata
                           else read(each.metadata["setting"]) for each in fields(kind)})

        settings: Settings = build(cls)
        for broken, key, reason in _rules(settings):
            if broken:
                raise SettingsError(key, texts[key], reason)
        return settings

    def outputs(self) -> dict[str, Any]:
        """The outputs of the stack that show settings; one that is unset is an empty string."""
        return {declared.output: "" if value is None else value.name if isinstance(value, Profile) else value
                for declared, value in declarations(self) if declared.output}


def declarations(settings: Any = Settings) -> Iterator[tuple[Setting, Any]]:
    """Every setting in the order in which they are documented, with its value if `settings` are loaded ones."""
    for each in fields(settings):
        value = getattr(settings, each.name, None)
        if "group" in each.metadata:
            yield from declarations(value or each.metadata["group"])
        else:
            yield each.metadata["setting"], value


def _rules(settings: Settings) -> tuple[tuple[object, str, str], ...]:
    """What the settings must observe together: whether a rule is broken, the key to refuse for it, and why."""
    primary, dr, database, table, api = settings.primary, settings.dr, settings.database, settings.table, settings.api
    strong, replicas = table.consistency is Consistency.STRONG, {primary.region, dr.region}
    witnesses = next((sorted(whole - replicas) for whole in parsers.REGION_SETS if replicas <= whole), [])
    busy = api.rate_limit * REQUEST_SECONDS
    soonest = settings.health_check.interval * settings.health_check.threshold + DNS_TTL
    return (
        (dr.region == primary.region, "drRegion", "must differ from primaryRegion"),
        *((any(zone[:-1] != each.region for zone in each.zones), key, f"must be in {each.region}")
          for key, each in (("primaryZones", primary), ("drZones", dr))),
        (dr.vpc_cidr.overlaps(primary.vpc_cidr), "drVpcCidr", f"overlaps primaryVpcCidr {primary.vpc_cidr}"),
        (settings.profile.name == "prod" and not dr.instances, "drInstances",
         "must be at least 1 in prod: a standby without an instance cannot be promoted"),
        (settings.hosted_zone_id and not settings.domain_name, "hostedZoneId", "needs domainName"),
        (database.min_capacity > database.max_capacity, "databaseMinCapacity",
         f"must not exceed databaseMaxCapacity {database.max_capacity:g}"),
        (database.secret_arn and database.secret_arn.split(":")[3] != primary.region, "databaseSecretArn",
         f"must be in primaryRegion {primary.region}"),
        (0 < settings.function_concurrency < busy, "functionConcurrency",
         (f"must be -1 or at least {busy}: apiRateLimit x {REQUEST_SECONDS} s that a request takes while a store "
          "is dead")),
        (table.witness_region and not strong, "witnessRegion", "needs tableConsistency strong"),
        # A strongly consistent table takes a witness of its replicas' own region set.
        (strong and not witnesses, "tableConsistency", "needs primaryRegion and drRegion in one region set: "
         + "; ".join(", ".join(sorted(whole)) for whole in parsers.REGION_SETS)),
        (strong and not table.witness_region, "tableConsistency", f"needs witnessRegion {' or '.join(witnesses)}"),
        (strong and table.witness_region not in witnesses, "witnessRegion",
         f"must be {' or '.join(witnesses)}: in the region set of primaryRegion and drRegion, and neither of them"),
        (settings.objectives.recovery_time < soonest, "recoveryTimeObjective",
         f"must be at least {soonest}: healthCheckInterval x healthCheckThreshold + {DNS_TTL} s of cached DNS"),
        (settings.objectives.recovery_point == 0 and not strong, "recoveryPointObjective",
         "needs tableConsistency strong"),
        (api.burst_limit < api.rate_limit, "apiBurstLimit", f"must not be less than apiRateLimit {api.rate_limit}"),
    )
