"""The settings of a stack: each is declared once, read once, checked, and typed for the rest of the program.

A declaration is a field with `setting(...)` or `optional(...)`. Pulumi.yaml and docs/settings.md are written from the
declarations: run `make settings` after a change.

A key is looked up in the stack's configuration (`pulumi config set KEY VALUE`), then in the environment, then in the
defaults. What decides which stack this is, or how its data is protected, is not looked up in the environment, and the
first of these is fixed once the stack is deployed. An empty string counts as unset: Pulumi.yaml declares each key with
an empty default, because Pulumi demands a value for every declared key, and any other would hide the environment.
"""
# `setting`, `optional` and `group` make dataclass fields.
# ruff: noqa: RUF009
# pylint: disable=invalid-field-call
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import partial
from ipaddress import IPv4Network
from typing import Annotated, Any, NamedTuple, TypeVar, cast

import pulumi
from pulumi.runtime import config as pulumi_config

from contract import (
    DEFAULT_CLIENT,
    EMULATED_ACCOUNT,
    INSTANCE_SECONDS,
    PROJECT,
    SERVERLESS,
    Consistency,
    FailoverMode,
    longest_failover,
    provable_loss,
)
from lib import capacity, parsers
from lib.errors import BadSetting, SettingsError
from lib.parsers import Parser

T = TypeVar("T")

REAL_PAYMENTS = ("prod", "production")  # stacks of these names must have the profile prod
REQUEST_SECONDS = 3  # the longest that a request takes, while a store is dead
_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What differs between a stack for experiments and one with real payments."""

    name: str
    protect: Annotated[bool, "the stack is protected against deletion, unless `deletionProtection` is set"]
    retain: Annotated[bool, "final snapshots, backups, receipts and buckets' access logs outlive the stack, with the "
                      "keys that read them, unless `retainData` is set"]
    log_retention_days: Annotated[int, "days for which logs are kept"]
    backup_retention_days: Annotated[int, "days for which backups are kept"]
    noncurrent_version_days: Annotated[int, "days for which superseded versions of objects are kept"]
    key_deletion_days: Annotated[int, "days until a deleted key is gone"]
    secret_recovery_days: Annotated[int, "days for which a deleted secret can be recovered"]


PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in (
    Profile(name="dev", protect=False, retain=False, log_retention_days=7, backup_retention_days=1,
            noncurrent_version_days=7, key_deletion_days=7, secret_recovery_days=0),
    Profile(name="prod", protect=True, retain=True, log_retention_days=365, backup_retention_days=35,
            noncurrent_version_days=365, key_deletion_days=30, secret_recovery_days=30),
)}


# --- How a setting is declared

Default = str | Mapping[str, str] | Callable[[Mapping[str, str]], str]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The declaration of a setting.

    `default` is the text that counts where the key is unset: one for all profiles, one for each by its name, or made
    from the texts of the keys above. `unset` says what an empty or made default is. `variable` is the environment
    variable that may set the key, and `output` the output of the stack that shows the value. `fixed` says what a change
    would do once the stack is deployed, where none is allowed. `pulumi_type` is `object` for a JSON object; numbers are
    strings, too, because they can be empty.
    """

    key: str
    parse: Parser[Any]
    description: str
    default: Default
    unset: str = "none"
    variable: str | None
    output: str | None = None
    fixed: str = ""
    pulumi_type: str = "string"

    def default_in(self, texts: Mapping[str, str]) -> str:
        """The default, where the keys above have these texts."""
        if isinstance(self.default, Mapping):
            return self.default[texts["profile"]]
        return self.default if isinstance(self.default, str) else self.default(texts)

    @property
    def meaning(self) -> str:
        """What the setting is for, as the documentation shows it."""
        return f"{self.description} Fixed once deployed." if self.fixed else self.description

    @property
    def default_in_words(self) -> str:
        """The default as the documentation shows it: `1 in dev, 2 in prod`."""
        if isinstance(self.default, Mapping):
            return ", ".join(f"{value} in {profile}" for profile, value in self.default.items())
        return self.default if isinstance(self.default, str) and self.default not in ("", "{}") else self.unset


def setting(key: str, parse: Parser[T], description: str, default: Default, **more: Any) -> T:
    """Declare a setting. Its variable is the key in capitals (`ALARM_EMAIL`), unless it is fixed or None is given."""
    variable = None if "fixed" in more else re.sub("(?=[A-Z])", "_", key).upper()
    declared = Setting(key=key, parse=parse, description=description, default=default, **{"variable": variable, **more})
    return cast("T", field(metadata={"setting": declared}))


def optional(key: str, parse: Parser[T], description: str, **more: Any) -> T | None:
    """Declare a setting that is None where it is unset."""
    return setting(key, lambda text: parse(text) if text else None, description, "", **more)


def zones(key: str, region: str) -> tuple[str, ...]:
    """Declare the availability zones of the region that the key `region` names."""
    return setting(key, parsers.zones, f"Three availability zones of {region}, separated by commas.",
                   lambda texts: ",".join(texts[region] + letter for letter in "abc"), unset="its zones a, b and c",
                   fixed="the subnets, and the database in them, would be replaced")


def group(kind: type[T]) -> T:
    """Declare a group of settings."""
    return cast("T", field(metadata={"group": kind}))


# --- The settings

SUFFIX = "suffix"  # the default of environmentSuffix among the texts from which defaults are made
IN_ANOTHER_REGION = "everything in it would be created anew in another region; a failover changes no setting"
ANOTHER_NETWORK = "the network, and the database in it, would be replaced"
ANOTHER_TABLE = "AWS cannot change it, so the table would be replaced"
PROVABLE = "3 x lookInterval + healthCheckInterval + 10"
ANOTHER_KEY = "the primary region's key would be replaced, and what it encrypts could not be read"


@dataclass(frozen=True, kw_only=True)
class ProtectionSettings:
    """What protects the data; no version of a receipt can be deleted for `receipts_days`, unless the lock is lifted."""

    deletion: bool = setting(
        "deletionProtection", parsers.one_of(_FLAGS),
        "true or false; to destroy a prod stack, set false and deploy once more.",
        {profile.name: str(profile.protect).lower() for profile in PROFILES.values()}, variable=None)
    retain: bool = setting(
        "retainData", parsers.one_of(_FLAGS),
        "true or false: whether final snapshots, backups, receipts and buckets' access logs outlive the stack, with "
        "the keys that read them.",
        {profile.name: str(profile.retain).lower() for profile in PROFILES.values()}, variable=None)
    receipts_days: int = setting(
        "receiptsLockDays", parsers.whole(0, 36_500),
        "Days for which no version of a receipt can be deleted, except with the right to bypass governance; 0 sets no "
        "lock, but existing locks stay until they end.", {"dev": "0", "prod": "35"}, variable=None)
    backups: bool = setting(
        "backupLock", parsers.one_of(_FLAGS),
        "true or false: whether backups can be deleted only after their retention, unless the vault's lock is removed.",
        {"dev": "false", "prod": "true"}, variable=None)


@dataclass(frozen=True, kw_only=True)
class RegionSettings:
    """One of the two regions: three of its availability zones, and how many database instances it has."""

    region: str
    zones: tuple[str, ...]
    vpc_cidr: IPv4Network
    instances: int


@dataclass(frozen=True, kw_only=True)
class PrimarySettings(RegionSettings):
    """The region that the stack starts in. `key_origin` is None unless a lost region's key was replicated to it."""

    region: str = setting(
        "primaryRegion", parsers.region, "Region that starts with the database's writer.", "us-east-1",
        fixed=IN_ANOTHER_REGION)
    zones: tuple[str, ...] = zones("primaryZones", "primaryRegion")
    vpc_cidr: IPv4Network = setting(
        "primaryVpcCidr", parsers.network, "Private IPv4 network of the primary region's VPC, /16 to /24.",
        "10.0.0.0/16", fixed=ANOTHER_NETWORK)
    instances: int = setting(
        "primaryInstances", parsers.whole(1, 15), "Database instances in the primary region, 1 to 15.",
        {"dev": "1", "prod": "2"})
    key_origin: str | None = optional(
        "primaryKeyOrigin", parsers.key_arn,
        "ARN of the original of the primary region's key, if the original's region was replaced; `make replace` "
        "writes it.", unset="none: the primary region has the original", fixed=ANOTHER_KEY)


@dataclass(frozen=True, kw_only=True)
class StandbySettings(RegionSettings):
    """The region that starts as the standby."""

    region: str = setting(
        "drRegion", parsers.region, "Region that starts as the standby; must differ from primaryRegion.", "us-west-2",
        fixed=IN_ANOTHER_REGION)
    zones: tuple[str, ...] = zones("drZones", "drRegion")
    vpc_cidr: IPv4Network = setting(
        "drVpcCidr", parsers.network,
        "Private IPv4 network of the standby region's VPC, /16 to /24; must not overlap primaryVpcCidr.", "10.1.0.0/16",
        fixed=ANOTHER_NETWORK)
    instances: int = setting(
        "drInstances", parsers.whole(0, 15), "Database instances in the standby region, 0 to 15, in prod at least 1.",
        "1")


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """The Aurora PostgreSQL global database; capacities in ACUs, `secret_arn` None where one is generated."""

    instance_class: str = setting(
        "databaseInstanceClass", parsers.instance_class,
        "Class of the database instances: db.serverless, or a Graviton class such as db.r7g.large, which has "
        "all its memory, connections and speed before a failover.",
        {"dev": SERVERLESS, "prod": "db.r7g.large"}, output="database_class")

    engine_version: str = setting(
        "databaseEngineVersion", parsers.engine_version,
        "Version of Aurora PostgreSQL in quotes, MAJOR.MINOR, 15 to 18.", "17.7")
    min_capacity: float = setting(
        "databaseMinCapacity", parsers.capacity(0.5, 256),
        "Least capacity of a serverless database instance in ACUs, 0.5 to 256 in steps of 0.5.",
        {"dev": "0.5", "prod": "8"})
    max_capacity: float = setting(
        "databaseMaxCapacity", parsers.capacity(1, 256),
        "Greatest capacity of a serverless database instance in ACUs, 1 to 256 in steps of 0.5.",
        {"dev": "4", "prod": "16"})
    secret_arn: str | None = optional(
        "databaseSecretArn", parsers.secret_arn, "ARN of a secret in primaryRegion with the database's credentials.",
        unset="one is generated", fixed="the database's login would change")

    @property
    def serverless(self) -> bool:
        """Whether the instances have a capacity that follows the load."""
        return self.instance_class == SERVERLESS

    @property
    def least_connections(self) -> int:
        """The connections that an instance allows at its least capacity."""
        return capacity.connections(self.instance_class, self.min_capacity)


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """The payments table; `witness_region` is set exactly when `consistency` is strong."""

    consistency: Consistency = setting(
        "tableConsistency", parsers.member(Consistency),
        "Consistency of the table between regions, eventual or strong.", Consistency.EVENTUAL.value,
        output="table_consistency", fixed=ANOTHER_TABLE)
    witness_region: str | None = optional(
        "witnessRegion", parsers.region, "Third region of the same region set, with tableConsistency strong only.",
        output="witness_region", fixed=ANOTHER_TABLE)


@dataclass(frozen=True, kw_only=True)
class HealthCheckSettings:
    """Route 53's health checks: seconds between two, how many must fail in a row; seconds between a controller's.

    `path` is the number of the secret path that is asked.
    """

    interval: int = setting(
        "healthCheckInterval", parsers.one_of({"10": 10, "30": 30}), "Seconds between two health checks, 10 or 30.",
        "10", output="health_check_interval")
    threshold: int = setting(
        "healthCheckThreshold", parsers.whole(1, 10),
        "Failed health checks in a row that make a region unhealthy, 1 to 10.", "3", output="health_check_threshold")
    look: int = setting(
        "lookInterval", parsers.one_of({"10": 10, "20": 20, "30": 30, "60": 60}),
        "Seconds between two looks of a controller at the other region, 10, 20, 30 or 60.", {"dev": "60", "prod": "10"},
        output="look_interval")
    path: int = setting(
        "checkPath", parsers.whole(1, 1_000_000),
        "Number of the health checks' secret path: raise it by one to rotate it; the previous one still works.", "1",
        variable=None)


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """The declared objectives, in seconds."""

    recovery_time: int = setting(
        "recoveryTimeObjective", parsers.whole(0, 86_400),
        "Seconds until payments are accepted again; at least the longest that a failover may take.",
        "900", output="recovery_time_objective")
    recovery_point: int = setting(
        "recoveryPointObjective", parsers.whole(0, 86_400),
        f"Seconds of payments that may be lost; at least {PROVABLE}, unless tableConsistency is strong.",
        lambda texts: str(max(60, provable_loss(int(texts["healthCheckInterval"]), int(texts["lookInterval"])))),
        unset=f"60, or {PROVABLE} if that is more", output="recovery_point_objective")


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """The clients (the numbers of each one's keys), throttling, AWS WAF, and whether API Gateway's log role is ours.

    `authorization` is API Gateway's word for what a client needs beside its key. Limits are requests per second, and
    burst, of each client.
    """

    rate_limit: int = setting(
        "apiRateLimit", parsers.whole(1, 1_000_000), "Requests per second that each client may send.", "100")
    burst_limit: int = setting(
        "apiBurstLimit", parsers.whole(1, 1_000_000),
        "Burst of requests that each client may send; not less than apiRateLimit.", "200")
    clients: Mapping[str, tuple[int, ...]] = setting(
        "clients", parsers.clients,
        "Clients with their own keys and usage plan, as an object of key numbers, two while a client changes to the "
        f"newer key; {DEFAULT_CLIENT} has key 1 unless it is listed.", "{}", variable=None,
        pulumi_type="object")
    authorization: str = setting(
        "apiAuthorization", parsers.one_of({"key": "NONE", "iam": "AWS_IAM"}),
        "key or iam: whether a client needs only its API key, or also a signature (SigV4A) by its IAM role.", "key",
        variable=None)
    firewall: bool = setting(
        "firewall", parsers.one_of(_FLAGS),
        "true or false: whether AWS WAF is in front of both regions' APIs, with a limit for each address and AWS's "
        "common rules.", {"dev": "false", "prod": "true"}, variable=None)
    manage_account: bool = setting(
        "manageApiGatewayAccount", parsers.one_of(_FLAGS),
        "true or false: whether to set API Gateway's log role, which exists once per account and region.", "true")


class ClientKey(NamedTuple):
    """One of a client's API keys."""

    client: str
    number: int

    @property
    def label(self) -> str:
        """The end of its names; a stack that had one key keeps that."""
        return "" if self == (DEFAULT_CLIENT, 1) else f"-{self.client}-{self.number}"

    @property
    def owner(self) -> str:
        """The beginning of its value: the payments function knows the client by it."""
        return "" if self.client == DEFAULT_CLIENT else self.client


def client_keys(api: ApiSettings) -> list[ClientKey]:
    """Every client's keys, the newer one last."""
    return [ClientKey(client, number) for client, numbers in api.clients.items() for number in numbers]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a stack."""

    # First, because the defaults of others depend on it.
    base_profile: Profile = setting(
        "profile", parsers.one_of(PROFILES),
        "dev can be destroyed without a trace; prod protects its data and has full database capacity in each region.",
        "dev", output="profile", fixed="the other profile protects its data in another way")
    aws_endpoint: str | None = optional(
        "awsEndpoint", parsers.loopback_url, "URL of an emulator on this machine to use instead of AWS.",
        fixed="the stack would be looked for elsewhere, where none of it exists")
    account: str = setting(
        "account", parsers.account, "AWS account of the stack, 12 digits; `make init` writes it.",
        lambda texts: EMULATED_ACCOUNT if texts["awsEndpoint"] else "", unset="none: it must be given, except to an "
        "emulator", fixed="everything would be created anew in another account")
    data: ProtectionSettings = group(ProtectionSettings)
    environment_suffix: str = setting(
        "environmentSuffix", parsers.suffix,
        "End of every physical name: lower-case letters and digits, with single hyphens between them.",
        lambda texts: texts[SUFFIX], unset="the stack's name", output="environment_suffix",
        fixed="everything would be created anew under other names")
    primary: PrimarySettings = group(PrimarySettings)
    dr: RegionSettings = group(StandbySettings)
    domain_name: str | None = optional(
        "domainName", parsers.domain_name, "Lower-case DNS name of the service.",
        unset="none: no records, health checks or certificates", output="domain_name",
        fixed="names, certificates and health checks would be replaced")
    hosted_zone_id: str | None = optional(
        "hostedZoneId", parsers.hosted_zone_id, "Id of an existing hosted zone for domainName.", unset="one is created",
        fixed="every record would move to another zone")
    database: DatabaseSettings = group(DatabaseSettings)
    table: TableSettings = group(TableSettings)
    health_check: HealthCheckSettings = group(HealthCheckSettings)
    objectives: Objectives = group(Objectives)
    failover_mode: FailoverMode = setting(
        "failoverMode", parsers.member(FailoverMode),
        "manual or automatic: who decides that the standby takes over, a person or its controller; automatic needs "
        "domainName.",
        FailoverMode.MANUAL.value, output="failover_mode")
    pauses: bool = setting(
        "replicationPauses", parsers.one_of(_FLAGS),
        "true or false: whether `drill failover` pauses the copies of table and receipts, by AWS FIS, before it breaks "
        "the region.", "false", variable=None)
    api: ApiSettings = group(ApiSettings)
    function_concurrency: int = setting(
        "functionConcurrency", parsers.concurrency,
        "Reserved executions of a region's function, 1 to 1000, within the connections of a database instance; -1 "
        "reserves none.", {"dev": "-1", "prod": "300"})
    alarm_email: str | None = optional("alarmEmail", parsers.email, "E-mail address that alarms are sent to.")
    tags: Mapping[str, str] = setting(
        "tags", parsers.tags, f"Tags of every resource, at most {parsers.TAG_LIMIT}, as an object of strings.", "{}",
        variable=None, pulumi_type="object")
    allow_change: Mapping[str, str] = setting(
        "allowChange", parsers.changes,
        "Intended changes of fixed settings, as KEY=VALUE, separated by spaces.", "", variable=None)

    @property
    def profile(self) -> Profile:
        """The profile, with the protection that is set."""
        return replace(self.base_profile, protect=self.data.deletion, retain=self.data.retain)

    @classmethod
    def protection(cls) -> bool:
        """Whether the stack is to be protected against deletion; False if its settings are refused."""
        try:
            return cls.load().profile.protect
        except SettingsError:
            return False

    @classmethod
    def load(cls, deployed: Mapping[str, str] | None = None,
             environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read every key from the stack's configuration, `environ` or its default.

        `deployed` are the fixed settings of the stack as it was deployed, empty for a new one and None if that is not
        known; a renamed stack keeps its suffix by them.
        Raises SettingsError with all that is wrong.
        """
        configured = pulumi.Config(PROJECT)
        kept = (deployed or {}).get("environmentSuffix")
        texts = {SUFFIX: kept or pulumi.get_stack()}  # and what was given for each key
        refused = {refusal.key: refusal for refusal in _misplaced()}

        def build(kind: type[Any]) -> Any:
            """An instance of a class of settings, without those that cannot be read."""
            built = object.__new__(kind)
            for each in fields(kind):
                if "group" in each.metadata:
                    vars(built)[each.name] = build(each.metadata["group"])
                    continue
                declared: Setting = each.metadata["setting"]
                key, variable = declared.key, declared.variable
                with suppress(KeyError):  # its default depends on another one, which cannot be read
                    text = (configured.get(key) or (variable and environ.get(variable)) or declared.default_in(texts))
                    try:
                        vars(built)[each.name] = declared.parse(text)
                        texts[key] = text
                    except ValueError as error:
                        refused.setdefault(key, BadSetting(key, text, str(error)))
            return built

        settings: Settings = build(cls)
        rules: list[Rule] = [*_RULES, partial(_fixed, deployed or {}), *([_new] if deployed == {} else ())]
        for rule in rules:
            with suppress(AttributeError):  # a setting that it needs cannot be read
                for key, reason in rule(settings):
                    if key in texts:
                        refused.setdefault(key, BadSetting(key, texts[key], reason))
        if refused:
            raise SettingsError(*refused.values())
        return settings

    def identity(self) -> dict[str, str]:
        """The fixed settings by key, as texts."""
        return {declared.key: ",".join(value) if isinstance(value, tuple) else str(_shown(value))
                for declared, value in declarations(self) if declared.fixed}

    def warnings(self) -> list[str]:
        """Warnings about values that are allowed but may be mistakes: each names the key, and says why."""
        database, table, connections = self.database, self.table, self.database.least_connections
        least, sets = f"databaseMinCapacity = '{database.min_capacity:g}'", parsers.REGION_SETS
        together = {self.primary.region, self.dr.region, table.witness_region}
        return [text for holds, text in (
            (database.serverless and database.min_capacity < capacity.GLOBAL_ACUS,
             f"{least}: AWS recommends at least {capacity.GLOBAL_ACUS} ACU in a global database"),
            (database.serverless and database.min_capacity < capacity.INSIGHTS_ACUS,
             f"{least}: AWS recommends at least {capacity.INSIGHTS_ACUS} ACU with Performance Insights"),
            (self.base_profile.name == "prod" and self.function_concurrency < 0,
             (f"functionConcurrency = '-1': nothing keeps the function within the {connections} connections that a "
              "database instance allows")),
            (table.witness_region and not any(together <= whole for whole in sets),
             (f"witnessRegion = '{table.witness_region}': {', '.join(sorted(map(str, together)))} is no region set "
              "that was known when this was written; AWS may refuse it")),
            (self.base_profile.name == "prod" and not self.alarm_email,
             "alarmEmail = '': alarms reach nobody until something subscribes to the topics of both regions"),
        ) if holds]

    def outputs(self) -> dict[str, Any]:
        """The outputs of the stack that show settings; one that is unset is an empty string."""
        return {declared.output: _shown(value) for declared, value in declarations(self) if declared.output}


def declarations(settings: Any = Settings) -> Iterator[tuple[Setting, Any]]:
    """Every setting in the order in which they are documented, with its value if `settings` are loaded ones."""
    for each in fields(settings):
        value = getattr(settings, each.name, None)
        if "group" in each.metadata:
            yield from declarations(value or each.metadata["group"])
        else:
            yield each.metadata["setting"], value


def _shown(value: Any) -> Any:
    """The value of a setting outside the program."""
    return "" if value is None else value.name if isinstance(value, Profile) else value


def _misplaced() -> Iterator[BadSetting]:
    """Configured keys that are no settings, and secrets, which the program would write in clear."""
    keys = [declared.key for declared, _ in declarations()]
    configuration = {**pulumi_config.get_config_env(), **pulumi_config.CONFIG.get()}
    for full, value in configuration.items():
        space, _, key = full.rpartition(":")
        secret = pulumi_config.is_config_secret(full)
        shown = "[secret]" if secret else value
        if space == "aws":
            yield BadSetting(full, shown, "is not read, because each region has a provider of its own: use AWS_PROFILE "
                             "in the environment, and the settings account and tags")
        elif space == PROJECT and key not in keys:
            yield BadSetting(key, shown, f"is not a setting{parsers.did_you_mean(key, keys)}")
        elif space not in (PROJECT, "pulumi"):
            yield BadSetting(full, shown, f"is not a setting: each is {PROJECT}:KEY{parsers.did_you_mean(key, keys)}")
        elif space == PROJECT and secret:
            yield BadSetting(key, shown, "would be in clear in the state and in AWS: set it with --plaintext")


# --- What the settings must observe together: each rule names the keys to refuse, and why

Rule = Callable[[Settings], Iterator[tuple[str, str]]]


def _new(settings: Settings) -> Iterator[tuple[str, str]]:
    suffix, stack = settings.environment_suffix, pulumi.get_stack()
    if suffix not in (stack, settings.allow_change.get("environmentSuffix")):
        yield "environmentSuffix", (
            f"is not the name of the new stack {stack}: if the file is another stack's, the new stack would overwrite "
            f"that one. If it is not, set allowChange to environmentSuffix={suffix}")


def _fixed(deployed: Mapping[str, str], settings: Settings) -> Iterator[tuple[str, str]]:
    now = settings.identity()
    for key in settings.allow_change.keys() - now.keys():
        yield "allowChange", f"{key!r} is not a fixed setting{parsers.did_you_mean(key, now)}"
    for declared, _ in declarations():
        key, was = declared.key, deployed.get(declared.key)
        if declared.fixed and was not in (None, now[key]) and settings.allow_change.get(key) != now[key]:
            yield key, (f"the stack was deployed with {was!r}; {declared.fixed}. If that is intended, set allowChange "
                        f"to {key}={now[key]}")


def _names(settings: Settings) -> Iterator[tuple[str, str]]:
    if pulumi.get_stack() in REAL_PAYMENTS and settings.base_profile.name != "prod":
        yield "profile", f"must be prod in a stack that is named {pulumi.get_stack()}"


def _regions(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.dr.region == settings.primary.region:
        yield "drRegion", "must differ from primaryRegion"
    for key, region in (("primaryZones", settings.primary), ("drZones", settings.dr)):
        if any(zone[:-1] != region.region for zone in region.zones):
            yield key, f"must be in {region.region}"


def _networks(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.dr.vpc_cidr.overlaps(settings.primary.vpc_cidr):
        yield "drVpcCidr", f"overlaps primaryVpcCidr {settings.primary.vpc_cidr}"


def _standby(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.base_profile.name == "prod" and not settings.dr.instances:
        yield "drInstances", "must be at least 1 in prod: a standby without an instance cannot be promoted"


def _zone(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.hosted_zone_id and not settings.domain_name:
        yield "hostedZoneId", "needs domainName"


def _capacity(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.database.min_capacity > settings.database.max_capacity:
        yield "databaseMinCapacity", f"must not exceed databaseMaxCapacity {settings.database.max_capacity:g}"


def _secret(settings: Settings) -> Iterator[tuple[str, str]]:
    arn = settings.database.secret_arn
    if arn and arn.split(":")[3] != settings.primary.region:
        yield "databaseSecretArn", f"must be in primaryRegion {settings.primary.region}"


def _requests(settings: Settings) -> Iterator[tuple[str, str]]:
    api, busy = settings.api, settings.api.rate_limit * len(settings.api.clients) * REQUEST_SECONDS
    if api.burst_limit < api.rate_limit:
        yield "apiBurstLimit", f"must not be less than apiRateLimit {api.rate_limit}"
    if 0 < settings.function_concurrency < busy:
        yield "functionConcurrency", (f"must be -1 or at least {busy}: apiRateLimit x {REQUEST_SECONDS} s that a "
                                      f"request takes while a store is dead, for each client ({len(api.clients)})")
    connections = settings.database.least_connections
    if settings.function_concurrency > connections - capacity.SPARE_CONNECTIONS:
        yield "functionConcurrency", (
            f"must be at most {connections - capacity.SPARE_CONNECTIONS}: a database instance allows {connections} "
            f"connections at its least capacity, and {capacity.SPARE_CONNECTIONS} are kept for others")


def _table(settings: Settings) -> Iterator[tuple[str, str]]:
    strong, witness = settings.table.consistency == Consistency.STRONG, settings.table.witness_region
    if settings.objectives.recovery_point == 0 and not strong:
        yield "recoveryPointObjective", "needs tableConsistency strong"
    if witness and not strong:
        yield "witnessRegion", "needs tableConsistency strong"
    if strong and not witness:
        replicas = {settings.primary.region, settings.dr.region}
        known = next((sorted(each - replicas) for each in parsers.REGION_SETS if replicas <= each), ["a third region"])
        yield "tableConsistency", f"needs witnessRegion {' or '.join(known)}"
    if strong and settings.pauses:
        yield "replicationPauses", "needs tableConsistency eventual: a strong table refuses what it cannot copy"
    if witness in (settings.primary.region, settings.dr.region):
        yield "witnessRegion", "must be neither primaryRegion nor drRegion"


def _recovery_point(settings: Settings) -> Iterator[tuple[str, str]]:
    point, checks = settings.objectives.recovery_point, settings.health_check
    provable = provable_loss(checks.interval, checks.look)
    if 0 < point < provable and settings.table.consistency != Consistency.STRONG:
        yield "recoveryPointObjective", f"must be at least {provable}: {PROVABLE}; less cannot be proved"


def _mode(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.failover_mode == FailoverMode.AUTOMATIC and not settings.domain_name:
        yield "failoverMode", ("automatic needs domainName: a controller acts only if Route 53's health checks agree "
                               "that the other region is down")


def _recovery_time(settings: Settings) -> Iterator[tuple[str, str]]:
    checks, instances = settings.health_check, settings.dr.instances
    longest = longest_failover(checks.interval, checks.threshold, checks.look, instances)
    headless = "" if instances else f", {INSTANCE_SECONDS} s of it to create drRegion's database instance"
    if settings.objectives.recovery_time < longest:
        yield "recoveryTimeObjective", f"must be at least {longest}: the longest that a failover may take{headless}"


_RULES: tuple[Rule, ...] = (
    _names, _regions, _networks, _standby, _zone, _capacity, _secret, _requests, _table, _recovery_point, _mode,
    _recovery_time)
