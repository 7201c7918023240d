"""The settings of a stack: read once, checked in one place, typed for everybody else.

A key is looked up in the stack's configuration (`pulumi config set KEY VALUE`), then in the environment, then among
the defaults of `Settings.load`. An empty text counts as unset: Pulumi.yaml declares each key with an empty default,
because Pulumi demands a value of every declared key, and any other default would hide the environment.
"""
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from types import MappingProxyType
from typing import Literal, TypeVar

import pulumi

from lib import names

T = TypeVar("T")
Parser = Callable[[str], T]

PROJECT = "TapStack"
DNS_TTL_SECONDS = 60  # of an alias record to API Gateway; Route 53 sets it
CERTIFICATE_NAME_LIMIT = 64  # characters of a certificate's first name
REQUEST_SECONDS = 3  # at most, of the function; with fewer executions a dead store would make a region look dead
TAGS_OF_THE_STACK = ("Project", "Environment", "ManagedBy")
TAG_LIMIT = 40  # AWS takes 50 on a resource; the rest is for the stack's own and for what an organisation adds

# By area, how many regions the aws partition has there; they are numbered from 1 without gaps.
_AREAS = {
    "af-south": 1, "ap-east": 2, "ap-northeast": 3, "ap-south": 2, "ap-southeast": 7, "ca-central": 1, "ca-west": 1,
    "eu-central": 2, "eu-north": 1, "eu-south": 2, "eu-west": 3, "il-central": 1, "me-central": 1, "me-south": 1,
    "mx-central": 1, "sa-east": 1, "us-east": 2, "us-west": 2,
}
REGIONS = frozenset(f"{area}-{number}" for area, count in _AREAS.items() for number in range(1, count + 1))

# The regions among which a table may be strongly consistent: two replicas and a witness, all of one set.
REGION_SETS = (
    frozenset({"us-east-1", "us-east-2", "us-west-2"}),
    frozenset({"eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1"}),
    frozenset({"ap-northeast-1", "ap-northeast-2", "ap-northeast-3"}),
)

_PREFIXES = range(16, 25)  # AWS takes no larger VPC; a smaller one has no room for subnets in three zones
_PRIVATE = tuple(IPv4Network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))

_FLAGS = {"true": True, "false": False}

# A key's environment variable is its name in SCREAMING_SNAKE, but for these; None is a key that has no variable:
# tags are no single value, and a developer's shell must not redirect a deployment to another endpoint.
_ENVIRONMENT_EXCEPTIONS: Mapping[str, str | None] = {"profile": "TAPSTACK_PROFILE", "tags": None, "awsEndpoint": None}


class SettingsError(pulumi.RunError):
    """A setting that cannot be used; its text is one line, which the Pulumi CLI prints without a traceback."""

    def __init__(self, key: str, value: str, reason: str) -> None:
        super().__init__(key, value, reason)
        self.key, self.value, self.reason = key, value, reason

    def __str__(self) -> str:
        return f"{self.key} = {self.value!r}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What separates a stack to try things in from one that keeps payments."""

    name: str
    protect: bool
    """Deletion protection, unless set; without it, buckets and vaults are emptied at destroy."""
    final_snapshots: bool
    """Whether the clusters leave one at destroy."""
    log_retention_days: int
    backup_retention_days: int
    key_deletion_days: int
    instances: int
    """Database instances of a region, unless set for it."""
    capacity: tuple[float, float]
    """Least and greatest ACUs of an instance, unless set. A standby takes over with what it has at that moment."""
    function_concurrency: int
    """Reserved executions of a region's function, unless set; -1 reserves none."""
    secret_recovery_days: int
    noncurrent_version_days: int


PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in (
    Profile(name="dev", protect=False, final_snapshots=False, log_retention_days=7, backup_retention_days=1,
            key_deletion_days=7, instances=1, capacity=(0.5, 4), function_concurrency=-1, secret_recovery_days=0,
            noncurrent_version_days=7),
    Profile(name="prod", protect=True, final_snapshots=True, log_retention_days=365, backup_retention_days=35,
            key_deletion_days=30, instances=2, capacity=(2, 16), function_concurrency=300, secret_recovery_days=30,
            noncurrent_version_days=365),
)}


@dataclass(frozen=True, kw_only=True)
class RegionSettings:
    """One of the two regions; `instances` counts its database instances."""

    region: str
    vpc_cidr: IPv4Network
    instances: int


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """The Aurora PostgreSQL global database; capacities in ACUs, `secret_arn` None where one is generated."""

    engine_version: str
    min_capacity: float
    max_capacity: float
    secret_arn: str | None


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """The payments table; `witness_region` is set exactly when `consistency` is strong."""

    consistency: Literal["eventual", "strong"]
    witness_region: str | None


@dataclass(frozen=True, kw_only=True)
class DnsSettings:
    """The service's name, and its hosted zone, None where one is made."""

    domain_name: str
    hosted_zone_id: str | None


@dataclass(frozen=True, kw_only=True)
class HealthCheckSettings:
    """Route 53's checks: seconds between two, and how many must fail in a row."""

    interval: int
    threshold: int

    @property
    def detection_seconds(self) -> int:
        """Seconds until a dead region counts as unhealthy."""
        return self.interval * self.threshold


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """The declared objectives, in seconds."""

    recovery_time: int
    recovery_point: int


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """Throttling (requests a second, and at once), and whether this stack owns API Gateway's account-wide log role."""

    rate_limit: int
    burst_limit: int
    manage_account: bool


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a deployment may choose; `dns` is None without a domain, `alarm_email` without an address."""

    environment_suffix: str
    profile: Profile
    primary: RegionSettings
    dr: RegionSettings
    database: DatabaseSettings
    table: TableSettings
    dns: DnsSettings | None
    health_check: HealthCheckSettings
    objectives: Objectives
    failover_mode: Literal["manual", "automatic"]
    """Who decides that the standby takes over: a person, or the standby's controller."""
    api: ApiSettings
    function_concurrency: int
    alarm_email: str | None
    tags: Mapping[str, str]
    aws_endpoint: str | None
    """URL of an emulator on this machine, None for AWS."""

    @classmethod
    def load(cls, config: pulumi.Config | None = None, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read every key from `config` (default: the project's own), `environ` or its default.

        Raises SettingsError for the first key whose value is unusable, alone or beside the others.
        """
        source = _Source(pulumi.Config(PROJECT) if config is None else config, environ)
        read, optional = source.read, source.optional
        profile = read("profile", _one_of(PROFILES), "dev")
        profile = replace(profile, protect=read("deletionProtection", _one_of(_FLAGS), str(profile.protect).lower()))
        domain_name = optional("domainName", _domain_name)
        hosted_zone_id = optional("hostedZoneId", _hosted_zone_id)
        if hosted_zone_id and not domain_name:
            raise SettingsError("hostedZoneId", hosted_zone_id, "needs domainName")
        settings = cls(
            environment_suffix=read("environmentSuffix", _suffix, "dev"),
            profile=profile,
            primary=RegionSettings(
                region=read("primaryRegion", _region, "us-east-1"),
                vpc_cidr=read("primaryVpcCidr", _network, "10.0.0.0/16"),
                instances=read("primaryInstances", _whole(1, 15), str(profile.instances))),
            dr=RegionSettings(
                region=read("drRegion", _region, "us-west-2"),
                vpc_cidr=read("drVpcCidr", _network, "10.1.0.0/16"),
                instances=read("drInstances", _whole(0, 15), str(profile.instances))),
            database=DatabaseSettings(
                engine_version=read("databaseEngineVersion", _engine_version, "17.7"),
                min_capacity=read("databaseMinCapacity", _capacity(0.5, 256), f"{profile.capacity[0]:g}"),
                max_capacity=read("databaseMaxCapacity", _capacity(1, 256), f"{profile.capacity[1]:g}"),
                secret_arn=optional("databaseSecretArn", _secret_arn)),
            table=TableSettings(
                consistency=read("tableConsistency", _one_of(_CONSISTENCIES), "eventual"),
                witness_region=optional("witnessRegion", _region)),
            dns=DnsSettings(domain_name=domain_name, hosted_zone_id=hosted_zone_id) if domain_name else None,
            health_check=HealthCheckSettings(
                interval=read("healthCheckInterval", _one_of({"10": 10, "30": 30}), "10"),
                threshold=read("healthCheckThreshold", _whole(1, 10), "3")),
            objectives=Objectives(
                recovery_time=read("recoveryTimeObjective", _whole(0, 86_400), "900"),
                recovery_point=read("recoveryPointObjective", _whole(0, 86_400), "60")),
            failover_mode=read("failoverMode", _one_of(_FAILOVER_MODES), "manual"),
            api=ApiSettings(
                rate_limit=read("apiRateLimit", _whole(1, 1_000_000), "100"),
                burst_limit=read("apiBurstLimit", _whole(1, 1_000_000), "200"),
                manage_account=read("manageApiGatewayAccount", _one_of(_FLAGS), "true")),
            function_concurrency=read("functionConcurrency", _concurrency, str(profile.function_concurrency)),
            alarm_email=optional("alarmEmail", _email),
            tags=read("tags", _tags, "{}"),
            aws_endpoint=optional("awsEndpoint", _loopback_url))
        for key, reason in _conflicts(settings):
            raise SettingsError(key, source.texts[key], reason)
        return settings


def environment_name(key: str) -> str | None:
    """The environment variable that may set the key, None if none may: `drRegion` gives `DR_REGION`."""
    if key in _ENVIRONMENT_EXCEPTIONS:
        return _ENVIRONMENT_EXCEPTIONS[key]
    return re.sub("(?=[A-Z])", "_", key).upper()


class _Source:
    """Where values come from; `texts` keeps what was given for each key, so that an error can quote it."""

    def __init__(self, config: pulumi.Config, environ: Mapping[str, str]) -> None:
        self._config, self._environ = config, environ
        self.texts: dict[str, str] = {}

    def read(self, key: str, parse: Parser[T], default: str) -> T:
        """The key's value; `parse` raises ValueError with the reason why a text is none."""
        variable = environment_name(key)
        text = self._config.get(key) or (variable and self._environ.get(variable)) or default
        self.texts[key] = text
        try:
            return parse(text)
        except ValueError as error:
            raise SettingsError(key, text, str(error)) from None

    def optional(self, key: str, parse: Parser[T]) -> T | None:
        """The key's value, None if it is unset."""
        return self.read(key, lambda text: parse(text) if text else None, "")


def _conflicts(settings: Settings) -> Iterator[tuple[str, str]]:
    """The keys whose values do not go with those of others, and why."""
    primary, dr, database, api = settings.primary, settings.dr, settings.database, settings.api
    if dr.region == primary.region:
        yield "drRegion", "must differ from primaryRegion"
    if dr.vpc_cidr.overlaps(primary.vpc_cidr):
        yield "drVpcCidr", f"overlaps primaryVpcCidr {primary.vpc_cidr}"
    if settings.profile.name == "prod" and not dr.instances:
        yield "drInstances", "must be at least 1 in prod: a standby without an instance cannot be promoted"
    if database.min_capacity > database.max_capacity:
        yield "databaseMinCapacity", f"must not exceed databaseMaxCapacity {database.max_capacity:g}"
    if database.secret_arn and database.secret_arn.split(":")[3] != primary.region:
        yield "databaseSecretArn", f"must be in primaryRegion {primary.region}"
    if 0 < settings.function_concurrency < api.rate_limit * REQUEST_SECONDS:
        yield "functionConcurrency", (f"must be -1 or at least {api.rate_limit * REQUEST_SECONDS}: apiRateLimit x "
                                      f"{REQUEST_SECONDS} s that a request takes while a store is dead")
    yield from _table_conflicts(settings.table, {primary.region, dr.region})
    soonest = settings.health_check.detection_seconds + DNS_TTL_SECONDS
    if settings.objectives.recovery_time < soonest:
        yield "recoveryTimeObjective", (f"must be at least {soonest}: healthCheckInterval x healthCheckThreshold "
                                        f"+ {DNS_TTL_SECONDS} s of cached DNS")
    if settings.objectives.recovery_point == 0 and settings.table.consistency == "eventual":
        yield "recoveryPointObjective", "needs tableConsistency strong"
    if api.burst_limit < api.rate_limit:
        yield "apiBurstLimit", f"must not be less than apiRateLimit {api.rate_limit}"


def _table_conflicts(table: TableSettings, replicas: set[str]) -> Iterator[tuple[str, str]]:
    """Strong consistency takes a witness of the replicas' own region set, and eventual consistency takes none."""
    witnesses = next((sorted(whole - replicas) for whole in REGION_SETS if replicas <= whole), [])
    if table.consistency == "eventual":
        if table.witness_region:
            yield "witnessRegion", "needs tableConsistency strong"
    elif not witnesses:
        yield "tableConsistency", ("needs primaryRegion and drRegion in one region set: "
                                   + "; ".join(", ".join(sorted(whole)) for whole in REGION_SETS))
    elif not table.witness_region:
        yield "tableConsistency", f"needs witnessRegion {' or '.join(witnesses)}"
    elif table.witness_region not in witnesses:
        yield "witnessRegion", (f"must be {' or '.join(witnesses)}: in the region set of primaryRegion and drRegion, "
                                "and neither of them")


def _one_of(values: Mapping[str, T]) -> Parser[T]:
    def parse(text: str) -> T:
        if text not in values:
            raise ValueError(f"must be {' or '.join(values)}")
        return values[text]
    return parse


def _matching(pattern: str, reason: str) -> Parser[str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(reason)
        return text
    return parse


def _whole(low: int, high: int) -> Parser[int]:
    def parse(text: str) -> int:
        if not re.fullmatch("-?[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number, {low} to {high}")
        return int(text)
    return parse


def _capacity(low: float, high: float) -> Parser[float]:
    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,3}(\.[05])?", text) or not low <= float(text) <= high:
            raise ValueError(f"must be a number of ACUs, {low:g} to {high:g} in steps of 0.5")
        return float(text)
    return parse


def _suffix(text: str) -> str:
    if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", text):
        raise ValueError("must be lower-case letters and digits, with single hyphens between them")
    if len(text) > names.MAX_SUFFIX:
        raise ValueError(f"must be at most {names.MAX_SUFFIX} characters, because of {names.SUFFIX_LIMITED_BY}")
    return text


def _region(text: str) -> str:
    if text not in REGIONS:
        accepted = ", ".join(f"{area}-1" + (f"..{count}" if count > 1 else "") for area, count in _AREAS.items())
        raise ValueError(f"must be a region of the aws partition: {accepted}")
    return text


def _network(text: str) -> IPv4Network:
    try:
        network = IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError("must be an IPv4 network such as 10.0.0.0/16") from None
    if str(network) != text:
        raise ValueError(f"must be aligned: {network}")
    if network.prefixlen not in _PREFIXES:
        raise ValueError(f"must have a prefix of /{_PREFIXES[0]} to /{_PREFIXES[-1]}")
    if not any(network.subnet_of(private) for private in _PRIVATE):
        raise ValueError(f"must be private, within {', '.join(map(str, _PRIVATE))}")
    return network


def _concurrency(text: str) -> int:
    value = _whole(-1, 1000)(text)
    if value == 0:
        raise ValueError("must be -1 (none reserved) or 1 to 1000: 0 would stop the function")
    return value


def _tags(text: str) -> Mapping[str, str]:
    try:
        tags = json.loads(text)
    except (ValueError, RecursionError):
        tags = None
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise ValueError("must be an object of strings")
    if len(tags) > TAG_LIMIT:
        raise ValueError(f"must be at most {TAG_LIMIT} tags")
    # IAM's tag keys know no case: two that differ in nothing else would fail there.
    known = {name.lower() for name in TAGS_OF_THE_STACK}
    for name, value in tags.items():
        if name.lower() in known:
            raise ValueError(f"the key {name!r} is given twice, or is one of {', '.join(TAGS_OF_THE_STACK)}")
        known.add(name.lower())
        if name.lower().startswith("aws:"):
            raise ValueError(f"the key {name!r} is reserved for AWS")
        # The characters that every service takes; some take more.
        if not re.fullmatch("[A-Za-z0-9 _.:/=+@-]{1,128}", name):
            raise ValueError(f"the key {name!r} must be 1 to 128 letters, digits, spaces or _.:/=+@-")
        if not re.fullmatch("[A-Za-z0-9 _.:/=+@-]{0,256}", value):
            raise ValueError(f"the value of {name!r} must be at most 256 letters, digits, spaces or _.:/=+@-")
    return MappingProxyType(tags)


_CONSISTENCIES: Mapping[str, Literal["eventual", "strong"]] = {"eventual": "eventual", "strong": "strong"}
_FAILOVER_MODES: Mapping[str, Literal["manual", "automatic"]] = {"manual": "manual", "automatic": "automatic"}
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_domain_name = _matching(rf"(?=.{{1,{CERTIFICATE_NAME_LIMIT}}}$)({_LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?",
                         f"must be a lower-case DNS name of at most {CERTIFICATE_NAME_LIMIT} characters, such as "
                         "payments.example.com")
_hosted_zone_id = _matching("Z[A-Z0-9]{1,31}", "must be the id of a hosted zone, such as Z0123456789ABC")
_engine_version = _matching(r"1[5-8]\.[0-9]{1,2}", "must be MAJOR.MINOR of Aurora PostgreSQL 15 to 18, such as 17.7")
_secret_arn = _matching("arn:aws:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]{1,519}",
                        "must be the ARN of a secret: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME")
_email = _matching(r"[!-?A-~]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}",
                   "must be an e-mail address such as ops@example.com")
_loopback_url = _matching(r"https?://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?",
                          "must be the URL of an emulator on this machine, such as http://127.0.0.1:4566")
