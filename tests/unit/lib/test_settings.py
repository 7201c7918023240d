"""The settings: every default, every check, where values come from, and what all accepted settings have in common."""
import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from ipaddress import IPv4Network
from operator import attrgetter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pulumi
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contract import Consistency, FailoverMode, provable_loss
from lib import capacity, names
from lib.errors import SettingsError
from lib.parsers import REGION_SETS, REGIONS
from lib.settings import (
    PROFILES,
    ApiSettings,
    DatabaseSettings,
    HealthCheckSettings,
    Objectives,
    PrimarySettings,
    ProtectionSettings,
    Settings,
    StandbySettings,
    TableSettings,
    declarations,
)
from tools.needs import configuration

ROOT = Path(__file__).parents[3]
SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:payments/database-AbCdEf"
KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/mrk-1234567890abcdef"
DOMAIN = {"domainName": "payments.example.com"}
ACCOUNT = "123456789012"
STRONG = {"tableConsistency": "strong", "witnessRegion": "us-east-2"}


ZONES = {region: tuple(region + letter for letter in "abc") for region in ("us-east-1", "us-west-2")}


def load(keys: Mapping[str, str], environ: Mapping[str, str] | None = None, *, stack: str = "dev",
         deployed: Mapping[str, str] | None = None) -> Settings:
    """The settings of a stack with these keys configured, in this environment."""
    full = {key if ":" in key else f"TapStack:{key}": value for key, value in {"account": ACCOUNT, **keys}.items()}
    pulumi.runtime.set_all_config(full, [])
    with patch("pulumi.get_stack", return_value=stack):
        return Settings.load(deployed, environ or {})


def refusal(keys: Mapping[str, str], **more: Any) -> str:
    """The text with which these keys are refused."""
    with pytest.raises(SettingsError) as raised:
        load(keys, **more)
    return str(raised.value)


@pytest.fixture(autouse=True, scope="module")
def _no_configuration_left() -> Iterator[None]:
    yield
    pulumi.runtime.set_all_config({})


def test_defaults() -> None:
    assert load({}) == Settings(
        base_profile=PROFILES["dev"],
        aws_endpoint=None,
        account=ACCOUNT,
        data=ProtectionSettings(deletion=False, retain=False, receipts_days=0, backups=False),
        environment_suffix="dev",
        primary=PrimarySettings(region="us-east-1", zones=ZONES["us-east-1"], instances=1,
                                vpc_cidr=IPv4Network("10.0.0.0/16"), key_origin=None),
        dr=StandbySettings(region="us-west-2", zones=ZONES["us-west-2"], instances=1,
                           vpc_cidr=IPv4Network("10.1.0.0/16")),
        domain_name=None,
        hosted_zone_id=None,
        database=DatabaseSettings(instance_class="db.serverless", engine_version="17.7", min_capacity=0.5,
                                  max_capacity=4, secret_arn=None),
        table=TableSettings(consistency=Consistency.EVENTUAL, witness_region=None),
        health_check=HealthCheckSettings(interval=10, threshold=3, look=60, path=1),
        objectives=Objectives(recovery_time=900, recovery_point=200),
        failover_mode=FailoverMode.MANUAL,
        pauses=False,
        api=ApiSettings(clients={"default": (1,)}, authorization="NONE", rate_limit=100, burst_limit=200,
                        firewall=False, manage_account=True),
        function_concurrency=-1,
        alarm_email=None,
        tags={},
        allow_change={})


def test_prod_has_defaults_of_its_own() -> None:
    prod = load({"profile": "prod"})
    assert (prod.primary.instances, prod.dr.instances, prod.function_concurrency) == (2, 1, 300)
    assert (prod.database.instance_class, prod.database.least_connections) == ("db.r7g.large", 1669)
    assert (prod.database.min_capacity, prod.database.max_capacity) == (8, 16)
    assert (prod.health_check.look, prod.objectives.recovery_point) == (10, 60)
    assert prod.profile == PROFILES["prod"]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_default_recovery_point_is_what_the_looks_can_prove(profile: str) -> None:
    for interval in ("10", "30"):
        found = load({"profile": profile, "healthCheckInterval": interval, "recoveryTimeObjective": "3600"})
        assert found.objectives.recovery_point >= provable_loss(int(interval), found.health_check.look)


# AWS's table, on the page that `connections` names.
@pytest.mark.parametrize(("acus", "connections"), [(1, 189), (4, 823), (8, 1669), (16, 3360), (32, 5000), (256, 5000)])
def test_connections_are_those_of_awss_table(acus: float, connections: int) -> None:
    assert capacity.connections("db.serverless", acus) == connections


@pytest.mark.parametrize(("keys", "warnings"), [
    ({"profile": "prod", "alarmEmail": "night@example.com"}, []),
    ({}, ["databaseMinCapacity = '0.5': AWS recommends at least 8 ACU in a global database",
          "databaseMinCapacity = '0.5': AWS recommends at least 2 ACU with Performance Insights"]),
    ({"databaseMinCapacity": "2"}, ["databaseMinCapacity = '2': AWS recommends at least 8 ACU in a global database"]),
    ({"databaseMinCapacity": "8", "databaseMaxCapacity": "8"}, []),
    ({"profile": "prod"},
     ["alarmEmail = '': alarms reach nobody until something subscribes to the topics of both regions"]),
    ({"profile": "prod", "functionConcurrency": "-1", "alarmEmail": "night@example.com"},
     [("functionConcurrency = '-1': nothing keeps the function within the 1669 connections that a database instance "
       "allows")]),
    ({"databaseInstanceClass": "db.r7g.large", **STRONG}, []),
    ({"databaseInstanceClass": "db.r7g.large", **STRONG, "witnessRegion": "eu-west-1"},
     [("witnessRegion = 'eu-west-1': eu-west-1, us-east-1, us-west-2 is no region set that was known when this was "
       "written; AWS may refuse it")]),
])
def test_what_is_allowed_and_may_be_a_mistake_is_said(keys: Mapping[str, str], warnings: list[str]) -> None:
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/multi-region-strong-consistency-gt.html
    assert load(keys).warnings() == warnings


def test_prod_protects_and_keeps_longer_than_dev() -> None:
    dev, prod = PROFILES["dev"], PROFILES["prod"]
    assert (prod.protect, prod.retain, dev.protect, dev.retain) == (True, True, False, False)
    for days in (name for name in vars(dev) if name.endswith("_days")):
        assert getattr(prod, days) > getattr(dev, days), days


# key, value, the keys that it needs with it, the attribute that shows it, its value
ACCEPTED: list[tuple[str, str, Mapping[str, str], str, object]] = [
    ("environmentSuffix", "pr-42", {}, "environment_suffix", "pr-42"),
    ("environmentSuffix", "a" * names.MAX_SUFFIX, {}, "environment_suffix", "a" * names.MAX_SUFFIX),
    ("profile", "prod", {}, "profile", PROFILES["prod"]),
    ("account", "000123456789", {}, "account", "000123456789"),
    ("primaryZones", "us-east-1c,us-east-1f,us-east-1b", {}, "primary.zones",
     ("us-east-1c", "us-east-1f", "us-east-1b")),
    ("drZones", "ap-northeast-1a,ap-northeast-1c,ap-northeast-1d", {"drRegion": "ap-northeast-1"}, "dr.zones",
     ("ap-northeast-1a", "ap-northeast-1c", "ap-northeast-1d")),
    ("primaryRegion", "eu-west-1", {}, "primary.region", "eu-west-1"),
    ("primaryRegion", "us-west-2", {"drRegion": "us-east-1"}, "primary.region", "us-west-2"),
    ("drRegion", "ap-southeast-7", {}, "dr.region", "ap-southeast-7"),
    ("primaryVpcCidr", "172.31.255.0/24", {}, "primary.vpc_cidr", IPv4Network("172.31.255.0/24")),
    ("drVpcCidr", "192.168.0.0/16", {}, "dr.vpc_cidr", IPv4Network("192.168.0.0/16")),
    ("domainName", "payments.example.com", {}, "domain_name", "payments.example.com"),
    ("domainName", "a" * 60 + ".com", {}, "domain_name", "a" * 60 + ".com"),
    ("databaseMinCapacity", "2", {"profile": "prod"}, "database.min_capacity", 2),
    ("hostedZoneId", "Z0123456789ABC", DOMAIN, "hosted_zone_id", "Z0123456789ABC"),
    ("databaseEngineVersion", "16.11", {}, "database.engine_version", "16.11"),
    ("databaseEngineVersion", "17.10", {}, "database.engine_version", "17.10"),
    ("databaseEngineVersion", "18.1", {}, "database.engine_version", "18.1"),
    ("databaseMinCapacity", "2.5", {}, "database.min_capacity", 2.5),
    ("databaseMaxCapacity", "256", {}, "database.max_capacity", 256),
    ("deletionProtection", "false", {"profile": "prod"}, "profile.protect", False),
    ("deletionProtection", "false", {"profile": "prod"}, "profile.retain", True),
    ("deletionProtection", "true", {}, "profile.protect", True),
    ("retainData", "false", {"profile": "prod"}, "profile.retain", False),
    ("receiptsLockDays", "3650", {}, "data.receipts_days", 3650),
    ("backupLock", "false", {"profile": "prod"}, "data.backups", False),
    ("primaryInstances", "15", {}, "primary.instances", 15),
    ("drInstances", "0", {"recoveryTimeObjective": "1275"}, "dr.instances", 0),
    ("databaseInstanceClass", "db.r8g.16xlarge", {}, "database.least_connections", 5000),
    ("databaseInstanceClass", "db.serverless", {"profile": "prod"}, "database.least_connections", 1669),
    ("lookInterval", "20", {}, "health_check.look", 20),
    ("checkPath", "7", {}, "health_check.path", 7),
    ("witnessRegion", "us-west-1", {"tableConsistency": "strong"}, "table.witness_region", "us-west-1"),
    ("drInstances", "1", {"profile": "prod"}, "dr.instances", 1),
    ("databaseSecretArn", SECRET_ARN, {}, "database.secret_arn", SECRET_ARN),
    ("primaryKeyOrigin", KEY_ARN, {}, "primary.key_origin", KEY_ARN),
    ("tableConsistency", "strong", STRONG, "table.consistency", "strong"),
    ("witnessRegion", "us-east-2", STRONG, "table.witness_region", "us-east-2"),
    ("healthCheckInterval", "30", {}, "health_check.interval", 30),
    ("healthCheckThreshold", "10", {"recoveryTimeObjective": "975"}, "health_check.threshold", 10),
    ("recoveryTimeObjective", "675", {"lookInterval": "10"}, "objectives.recovery_time", 675),
    ("recoveryTimeObjective", "735", {}, "objectives.recovery_time", 735),
    ("recoveryPointObjective", "0", STRONG, "objectives.recovery_point", 0),
    ("replicationPauses", "true", {}, "pauses", True),
    ("failoverMode", "automatic", DOMAIN, "failover_mode", "automatic"),
    ("apiRateLimit", "200", {}, "api.rate_limit", 200),
    ("apiBurstLimit", "100", {}, "api.burst_limit", 100),
    ("firewall", "true", {}, "api.firewall", True),
    ("apiAuthorization", "iam", {}, "api.authorization", "AWS_IAM"),
    ("apiAuthorization", "key", {}, "api.authorization", "NONE"),
    ("clients", '{"shop": "1,2"}', {}, "api.clients", {"default": (1,), "shop": (1, 2)}),
    ("clients", '{"default": "7"}', {}, "api.clients", {"default": (7,)}),
    ("clients", '{"shop": 2}', {}, "api.clients", {"default": (1,), "shop": (2,)}),
    ("firewall", "false", {"profile": "prod"}, "api.firewall", False),
    ("manageApiGatewayAccount", "false", {}, "api.manage_account", False),
    ("functionConcurrency", "1000", {"databaseInstanceClass": "db.r7g.large"}, "function_concurrency", 1000),
    ("functionConcurrency", "179", {"databaseMinCapacity": "1", "apiRateLimit": "50"}, "function_concurrency", 179),
    ("functionConcurrency", "-1", {"profile": "prod"}, "function_concurrency", -1),
    ("alarmEmail", "on-call+pay@ops.example.com", {}, "alarm_email", "on-call+pay@ops.example.com"),
    ("tags", '{"Ort": "Zürich 2"}', {}, "tags", {"Ort": "Zürich 2"}),
    ("allowChange", "profile=prod", {}, "allow_change", {"profile": "prod"}),
    ("tags", '{"Owner": "payments", "cost:centre": ""}', {}, "tags", {"Owner": "payments", "cost:centre": ""}),
    ("awsEndpoint", "http://127.0.0.1:4566", {}, "aws_endpoint", "http://127.0.0.1:4566"),
    ("awsEndpoint", "https://[::1]:4566", {}, "aws_endpoint", "https://[::1]:4566"),
]
ACCEPTED_IDS = [f"{key}={value}"[:50] for key, value, *_ in ACCEPTED]
KEYS = [each.key for each, _ in declarations()]
VARIABLES = {each.key: each.variable for each, _ in declarations() if each.variable}
FIXED = {each.key for each, _ in declarations() if each.fixed}


@pytest.mark.parametrize(("key", "value", "others", "path", "expected"), ACCEPTED, ids=ACCEPTED_IDS)
def test_accepted(key: str, value: str, others: Mapping[str, str], path: str, expected: object) -> None:
    assert attrgetter(path)(load({**others, key: value})) == expected


@pytest.mark.parametrize(("key", "variable", "value", "others"), [
    (key, VARIABLES[key], value, others) for key, value, others, *_ in ACCEPTED if key in VARIABLES])
def test_configuration_then_environment_then_default(
        key: str, variable: str, value: str, others: Mapping[str, str]) -> None:
    configured = load({**others, key: value})
    assert load({**others, key: value}, {variable: "?"}) == configured
    assert load({**others, key: ""}, {variable: value}) == configured
    assert load({key: ""}, {variable: ""}) == load({})


def test_environment_variables() -> None:
    assert {key: VARIABLES[key] for key in ("alarmEmail", "manageApiGatewayAccount")} == {
        "alarmEmail": "ALARM_EMAIL", "manageApiGatewayAccount": "MANAGE_API_GATEWAY_ACCOUNT"}


def test_a_shell_decides_neither_which_stack_this_is_nor_how_its_data_is_protected() -> None:
    # A strong table stays one:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/multi-region-strong-consistency-gt.html
    protecting = {"deletionProtection", "retainData", "allowChange", "receiptsLockDays", "backupLock"}
    assert set(KEYS) - VARIABLES.keys() == FIXED | protecting | {
        "tags", "checkPath", "firewall", "clients", "apiAuthorization", "replicationPauses"}
    assert {"account", "primaryRegion", "drRegion", "environmentSuffix", "tableConsistency", "witnessRegion", "profile",
            "primaryVpcCidr", "drVpcCidr", "domainName", "hostedZoneId", "databaseSecretArn", "primaryZones",
            "drZones", "primaryKeyOrigin", "awsEndpoint"} == FIXED
    shell = {re.sub("(?=[A-Z])", "_", key).upper(): "x" for key in KEYS if key not in VARIABLES}
    assert load({}, shell) == load({})


def test_every_setting_has_an_accepted_and_a_refused_value() -> None:
    assert {key for key, *_ in ACCEPTED} == set(KEYS)
    assert {text.partition(" ")[0] for _, text in REFUSED} == set(KEYS)


def test_the_outputs_of_settings() -> None:
    assert load({"profile": "prod", **DOMAIN}).outputs() == {
        "profile": "prod", "environment_suffix": "dev", "domain_name": "payments.example.com",
        "table_consistency": "eventual", "witness_region": "", "health_check_interval": 10,
        "health_check_threshold": 3, "recovery_time_objective": 900, "recovery_point_objective": 60,
        "look_interval": 10, "database_class": "db.r7g.large",
        "failover_mode": "manual"}


def test_a_shell_cannot_redirect_a_deployment() -> None:
    assert load({}, dict.fromkeys(("AWS_ENDPOINT", "AWS_ENDPOINT_URL"), "http://127.0.0.1:1")) == load({})


# key, value that is refused by itself, why
ALONE: list[tuple[str, str, str]] = [
    ("account", "", "must be given: `make init` asks AWS and writes it into the stack's file"),
    ("account", "12345678901", "must be 12 digits, in quotes"),
    ("primaryZones", "us-east-1a,us-east-1b", "must be 3 zones separated by commas, such as us-east-1a"),
    ("primaryZones", "us-east-1a,us-east-1b,us-east-1a", "must be 3"),
    ("drZones", "us-west-2a,us-west-2b,us-west-2-lax-1a", "must be 3"),
    ("drZones", "us-west-2a,us-west-2b,us-west-1c", "must be in us-west-2"),
    ("environmentSuffix", "Dev", "must be lower-case letters and digits, with single hyphens between them"),
    ("environmentSuffix", "83", "must have a letter: YAML would read it as a number"),
    ("environmentSuffix", "a--b", "must be lower-case letters"),
    ("environmentSuffix", "a-", "must be lower-case letters"),
    ("profile", "test", "must be dev or prod"),
    ("primaryRegion", "us-est-1", "must be a region of the aws partition: af-south-1, "),
    ("drRegion", "us-gov-west-1", "must be a region of the aws partition: af-south-1, "),
    ("drRegion", "us-east-1", "must differ from primaryRegion"),
    ("primaryVpcCidr", "ten", "must be an IPv4 network such as 10.0.0.0/16"),
    ("primaryVpcCidr", "fd00::/16", "must be an IPv4 network such as 10.0.0.0/16"),
    ("primaryVpcCidr", "10.0.1.0/16", "must be aligned: 10.0.0.0/16"),
    ("primaryVpcCidr", "10.0.0.0/15", "must have a prefix of /16 to /24"),
    ("drVpcCidr", "10.0.0.0/25", "must have a prefix of /16 to /24"),
    ("drVpcCidr", "172.32.0.0/16", "must be private, within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16"),
    ("drVpcCidr", "10.0.7.0/24", "overlaps primaryVpcCidr 10.0.0.0/16"),
    ("domainName", "Example.com", "must be a lower-case DNS name of at most 64 characters, such as payments."),
    ("domainName", "localhost", "must be a lower-case DNS name"),
    ("domainName", "example.com.", "must be a lower-case DNS name"),
    ("hostedZoneId", "Z0123456789ABC", "needs domainName"),
    ("databaseEngineVersion", "14.9", "must be MAJOR.MINOR of Aurora PostgreSQL 15 to 18 in quotes"),
    ("databaseEngineVersion", "17.1", "must be MAJOR.MINOR"),
    ("databaseEngineVersion", "17", "must be MAJOR.MINOR"),
    ("databaseMinCapacity", "0", "must be a number of ACUs, 0.5 to 256 in steps of 0.5"),
    ("databaseMinCapacity", "0.7", "must be a number of ACUs"),
    ("databaseMinCapacity", "many", "must be a number of ACUs"),
    ("databaseMinCapacity", "8", "must not exceed databaseMaxCapacity 4"),
    ("databaseMaxCapacity", "0.5", "must be a number of ACUs, 1 to 256 in steps of 0.5"),
    ("databaseMaxCapacity", "256.5", "must be a number of ACUs, 1 to 256"),
    ("primaryInstances", "0", "must be a whole number, 1 to 15"),
    ("primaryInstances", "16", "must be a whole number, 1 to 15"),
    ("drInstances", "-1", "must be a whole number, 0 to 15"),
    ("primaryKeyOrigin", "mrk-1", "must be the ARN of a key: arn:aws:kms:REGION:ACCOUNT:key/ID"),
    ("databaseSecretArn", "payments", "must be the ARN of a secret: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME"),
    ("tableConsistency", "weak", "must be eventual or strong"),
    ("tableConsistency", "strong", "needs witnessRegion us-east-2"),
    ("witnessRegion", "us-east-2", "needs tableConsistency strong"),
    ("receiptsLockDays", "-1", "must be a whole number, 0 to 36500"),
    ("backupLock", "on", "must be true or false"),
    ("healthCheckInterval", "20", "must be 10 or 30"),
    ("healthCheckInterval", "abc", "must be 10 or 30"),
    ("healthCheckThreshold", "11", "must be a whole number, 1 to 10"),
    ("healthCheckThreshold", "three", "must be a whole number, 1 to 10"),
    ("recoveryTimeObjective", "soon", "must be a whole number, 0 to 86400"),
    ("recoveryTimeObjective", "734", "must be at least 735: the longest that a failover may take"),
    ("databaseInstanceClass", "db.t4g.medium", "must be db.serverless, or a "),
    ("checkPath", "0", "must be a whole number, 1 to 1000000"),
    ("apiAuthorization", "none", "must be key or iam"),
    ("firewall", "yes", "must be true or false"),
    ("lookInterval", "5", "must be 10 or 20 or 30 or 60"),
    ("recoveryPointObjective", "1.5", "must be a whole number, 0 to 86400"),
    ("recoveryPointObjective", "0", "needs tableConsistency strong"),
    ("failoverMode", "automatic", "automatic needs domainName: a controller acts"),
    ("recoveryPointObjective", "24", "must be at least 200: 3 x lookInterval"),
    ("failoverMode", "auto", "must be manual or automatic"),
    ("apiRateLimit", "0", "must be a whole number, 1 to 1000000"),
    ("apiBurstLimit", "99", "must not be less than apiRateLimit 100"),
    ("deletionProtection", "on", "must be true or false"),
    ("retainData", "no", "must be true or false"),
    ("manageApiGatewayAccount", "yes", "must be true or false"),
    ("functionConcurrency", "0", "must be -1 (none reserved) or 1 to 1000: 0 would stop the function"),
    ("functionConcurrency", "299", "must be -1 or at least 300: apiRateLimit x 3 s"),
    ("functionConcurrency", "1001", "must be a whole number, -1 to 1000"),
    ("alarmEmail", "nobody", "must be an e-mail address such as ops@example.com"),
    ("tags", '{"project": "x"}', "the key 'project' is given twice, or is one of Project, Environment, ManagedBy"),
    ("tags", '{"a": "", "A": ""}', "the key 'A' is given twice"),
    ("tags", "Owner", "must be an object of strings"),
    ("tags", "[1]", "must be an object of strings"),
    ("tags", '{"a": 4711}', "the value of 'a' must be text: put 4711 in quotes"),
    ("tags", '{"AWS:a": ""}', "the key 'AWS:a' is reserved for AWS"),
    ("tags", '{"": ""}', "the key '' must be 1 to 128 letters, digits, spaces or _.:/=+@-"),
    ("tags", '{"a": "#"}', "the value of 'a' must be at most 256 letters, digits, spaces or _.:/=+@-"),
    ("allowChange", "drRegion", "must be KEY=VALUE, several separated by spaces"),
    ("allowChange", "drregion=x", "'drregion' is not a fixed setting; did you mean drRegion?"),
    ("awsEndpoint", "http://10.0.0.1:4566", "must be the URL of an emulator on this machine, such as http://127.0.0.1"),
    ("awsEndpoint", "http://localhost.example.com", "must be the URL"),
    ("awsEndpoint", "http://localhost\n", "must be the URL"),
    *(("clients", each, "must be an object of the numbers of keys, such as") for each in (
        "shop", "[]", '{"shop": [1]}', '{"shop": true}', '{"shop": 1.5}', '{"shop": "one"}', '{"shop": ""}')),
    ("clients", '{"Shop": "1"}', "'Shop' must be 1 to 20 lower-case letters and digits, a letter first"),
    *(("clients", f'{{"shop": "{each}"}}', "shop must have one or two numbers from 1, the newer key last, such as 1 or")
      for each in ("2,1", "1,1", "1,2,3", "0")),
    ("clients", json.dumps({f"c{number}": "1" for number in range(51)}), "must be at most 50 clients"),
]
REFUSED: list[tuple[Mapping[str, str], str]] = [
    *(({key: value}, f"{key} = {value!r}: {why}") for key, value, why in ALONE),
    ({"environmentSuffix": "a" * (names.MAX_SUFFIX + 1)},
     f"environmentSuffix = '{'a' * (names.MAX_SUFFIX + 1)}': must be at most {names.MAX_SUFFIX} characters, because"),
    ({"primaryRegion": "us-west-2"}, "drRegion = 'us-west-2': must differ from primaryRegion"),
    ({"domainName": "a" * 61 + ".com"}, f"domainName = '{'a' * 61}.com': must be a lower-case DNS name of at most 64"),
    ({"hostedZoneId": "abc", **DOMAIN},
     "hostedZoneId = 'abc': must be the id of a hosted zone, such as Z0123456789ABC"),
    ({"drInstances": "0", "profile": "prod"},
     "drInstances = '0': must be at least 1 in prod: a standby without an instance cannot be promoted"),
    ({"databaseSecretArn": SECRET_ARN, "primaryRegion": "eu-west-1"},
     f"databaseSecretArn = '{SECRET_ARN}': must be in primaryRegion eu-west-1"),
    ({"drRegion": "eu-west-1", "tableConsistency": "strong"},
     "tableConsistency = 'strong': needs witnessRegion a third region"),
    ({**STRONG, "replicationPauses": "true"}, "replicationPauses = 'true': needs tableConsistency eventual"),
    ({"tableConsistency": "strong", "witnessRegion": "nowhere"}, "witnessRegion = 'nowhere': must be a region"),
    ({"tableConsistency": "strong", "witnessRegion": "us-west-2"},
     "witnessRegion = 'us-west-2': must be neither primaryRegion nor drRegion"),
    ({"healthCheckThreshold": "10", "healthCheckInterval": "30"},
     "recoveryTimeObjective = '900': must be at least 1235: the longest that a failover may take"),
    ({"drInstances": "0"},
     "recoveryTimeObjective = '900': must be at least 1155: the longest that a failover may take, 420 s of it to cr"),
    ({"clients": '{"shop": "1"}', "profile": "prod"},
     ("functionConcurrency = '300': must be -1 or at least 600: apiRateLimit x 3 s that a request takes while a "
      "store is dead, for each client (2)")),
    ({"functionConcurrency": "1000", "databaseMinCapacity": "1"},
     ("functionConcurrency = '1000': must be at most 179: a database instance allows 189 connections at its least "
      "capacity, and 10 are kept for others")),
    ({"functionConcurrency": "74", "apiRateLimit": "20"}, "functionConcurrency = '74': must be at most 73: a database"),
]


@pytest.mark.parametrize(("keys", "text"), REFUSED, ids=[text[:50] for _, text in REFUSED])
def test_refused(keys: Mapping[str, str], text: str) -> None:
    # The interval and the threshold of a check:
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-creating-values.html
    # A standby without an instance:
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-attach.console.headless.html
    assert refusal(keys).startswith(text)


@pytest.mark.parametrize("tags", [
    {str(number): "" for number in range(41)}, {"k" * 129: ""}, {"k": "v" * 257}], ids=["many", "key", "value"])
def test_tags_at_and_over_their_limits(tags: dict[str, str]) -> None:
    assert refusal({"tags": json.dumps(tags)}).startswith("tags = ")
    within = {key[:128]: value[:256] for key, value in list(tags.items())[:40]}
    assert load({"tags": json.dumps(within)}).tags == within


def test_a_suffix_too_long_names_the_name_that_limits_it() -> None:
    assert names.SUFFIX_LIMITED_BY in refusal({"environmentSuffix": "a" * 64})


def test_an_error_ends_the_program_without_a_traceback() -> None:
    with pytest.raises(pulumi.RunError):
        load({"profile": "test"})


def test_regions_are_those_of_the_sdk() -> None:
    partitions = json.loads(files("botocore").joinpath("data/partitions.json").read_text(encoding="utf-8"))
    known = next(partition["regions"] for partition in partitions["partitions"] if partition["id"] == "aws")
    assert set(known) - {"aws-global"} == REGIONS
    assert len(names.LONGEST_REGION) == max(map(len, REGIONS)), "names are bounded for the longest"


def test_region_sets_are_regions_that_do_not_overlap() -> None:
    regions = [region for whole in REGION_SETS for region in whole]
    assert REGIONS.issuperset(regions)
    assert len(set(regions)) == len(regions)


@pytest.mark.parametrize(("stack", "profile"), [("dev", "dev"), ("local", "dev"), ("prod", "prod")])
def test_stack_files_are_accepted(stack: str, profile: str) -> None:
    loaded = load(configuration(ROOT / f"Pulumi.{stack}.yaml"), stack=stack)
    assert (loaded.environment_suffix, loaded.profile.name) == (stack, profile)


def test_the_suffix_is_the_stacks_name_and_a_renamed_stack_keeps_its_own() -> None:
    assert load({}, stack="pay").environment_suffix == "pay"
    deployed = load({}, stack="pay").identity()
    assert load({}, stack="payments", deployed=deployed).environment_suffix == "pay"
    assert refusal({}, stack="4711") == (
        "environmentSuffix = '4711': must have a letter: YAML would read it as a number")


def test_a_new_stack_with_the_file_of_another_one_is_refused() -> None:
    copied = {"environmentSuffix": "pay"}
    assert refusal(copied, stack="pay2", deployed={}) == (
        "environmentSuffix = 'pay': is not the name of the new stack pay2: if the file is another stack's, the new "
        "stack would overwrite that one. If it is not, set allowChange to environmentSuffix=pay")
    meant = load({**copied, "allowChange": "environmentSuffix=pay"}, stack="pay2", deployed={})
    assert meant.environment_suffix == "pay"
    assert load(copied, stack="pay2").environment_suffix == "pay"  # whether it is new is not known


@pytest.mark.parametrize("stack", ["prod", "production"])
def test_a_stack_that_is_named_for_real_payments_must_protect_them(stack: str) -> None:
    assert refusal({}, stack=stack) == f"profile = 'dev': must be prod in a stack that is named {stack}"
    assert load({"profile": "prod"}, stack=stack).profile.protect


OTHER = {
    "profile": "prod", "account": "999999999999", "environmentSuffix": "other", "primaryRegion": "eu-west-1",
    "primaryZones": "us-east-1b,us-east-1c,us-east-1d", "primaryVpcCidr": "10.9.0.0/16", "drRegion": "eu-west-1",
    "drZones": "us-west-2b,us-west-2c,us-west-2d", "drVpcCidr": "10.9.0.0/16", "domainName": "pay.example.com",
    "hostedZoneId": "Z0123456789ABC", "databaseSecretArn": SECRET_ARN, "tableConsistency": "strong",
    "witnessRegion": "us-east-2", "primaryKeyOrigin": KEY_ARN,
    "awsEndpoint": "http://127.0.0.1:4566"}


@pytest.mark.parametrize("key", sorted(FIXED))
def test_what_is_fixed_is_refused_once_the_stack_is_deployed_unless_the_change_is_allowed(key: str) -> None:
    needs = {"hostedZoneId": DOMAIN, "tableConsistency": STRONG, "witnessRegion": {"tableConsistency": "strong"}}
    with_it = {**needs.get(key, {}), key: OTHER[key]}
    deployed = {name: value for name, value in load({}).identity().items() if name not in with_it or name == key}
    if key in ("primaryRegion", "drRegion"):
        deployed.pop(key.replace("Region", "Zones"))  # these follow
    was = deployed[key]
    assert refusal(with_it, deployed=deployed) == (
        f"{key} = {OTHER[key]!r}: the stack was deployed with {was!r}; "
        f"{next(each.fixed for each, _ in declarations() if each.key == key)}. If that is intended, set allowChange to "
        f"{key}={OTHER[key]}")
    allowed = load({**with_it, "allowChange": f"{key}={OTHER[key]}"}, deployed=deployed)
    # The permission that is left behind allows no way back.
    back = {name: value for name, value in allowed.identity().items() if name not in with_it or name == key}
    assert refusal({"environmentSuffix": "dev", "allowChange": f"{key}={OTHER[key]}"}, deployed=back).startswith(
        f"{key} = ")


def test_swapped_regions_are_refused_with_all_that_would_change() -> None:
    deployed = load({}).identity()
    text = refusal({"primaryRegion": "us-west-2", "drRegion": "us-east-1"}, deployed=deployed)
    assert [line.partition(" ")[0] for line in text.split("\n")] == [
        "primaryRegion", "primaryZones", "drRegion", "drZones"]
    assert "a failover changes no setting" in text


def test_a_fixed_setting_that_cannot_be_read_is_refused_for_that_alone() -> None:
    text = refusal({"tableConsistency": "weak"}, deployed=load({}).identity())
    assert text == "tableConsistency = 'weak': must be eventual or strong"


def test_what_is_deployed_as_it_was_is_accepted() -> None:
    keys = {"profile": "prod", **DOMAIN, **STRONG, "databaseSecretArn": SECRET_ARN}
    assert load(keys, deployed=load(keys).identity()) == load(keys)


def test_all_that_is_wrong_is_reported_at_once() -> None:
    lines = refusal({"profile": "test", "primaryRegion": "us-est-1", "drVpcCidr": "10.0.7.0/24", "apiBurstLimit": "1",
                     "drZone": "x", "aws:profile": "pay"}, deployed={"drVpcCidr": "10.1.0.0/16"}).split("\n")
    assert [line.partition(" ")[0] for line in lines] == [
        "drZone", "aws:profile", "profile", "primaryRegion", "drVpcCidr", "apiBurstLimit"]


@pytest.mark.parametrize(("key", "text"), [
    ("profil", "profil = 'x': is not a setting; did you mean profile?"),
    ("DRREGION", "DRREGION = 'x': is not a setting; did you mean drRegion?"),
    ("nothing-like-it", "nothing-like-it = 'x': is not a setting"),
    ("tapstack:profile", "tapstack:profile = 'x': is not a setting: each is TapStack:KEY; did you mean profile?"),
    ("aws:profile", ("aws:profile = 'x': is not read, because each region has a provider of its own: use AWS_PROFILE "
                     "in the environment, and the settings account and tags"))])
def test_a_key_that_is_no_setting_is_refused(key: str, text: str) -> None:
    # An explicit provider takes nothing from `aws:*`:
    # https://www.pulumi.com/docs/iac/concepts/resources/options/provider/
    assert refusal({key: "x", "pulumi:disable-default-providers": "[]"}) == text


@pytest.mark.parametrize(("key", "reason"), [
    ("databaseSecretArn", "would be in clear in the state and in AWS: set it with --plaintext"),
    ("tapstackKey", "is not a setting")])
def test_a_value_that_is_kept_secret_is_refused_and_not_shown(key: str, reason: str) -> None:
    pulumi.runtime.set_all_config({"TapStack:account": ACCOUNT, f"TapStack:{key}": "hidden"}, [f"TapStack:{key}"])
    with patch("pulumi.get_stack", return_value="dev"), pytest.raises(SettingsError) as raised:
        Settings.load({}, {})
    assert str(raised.value) == f"{key} = '[secret]': {reason}"
    pulumi.runtime.set_all_config({}, [])


def check_refusal(error: SettingsError, keys: Mapping[str, str]) -> None:
    """Each refusal is one line that names a key and its value."""
    assert error.refusals
    assert str(error).split("\n") == [str(each) for each in error.refusals]
    for each in error.refusals:
        assert str(each) == f"{each.key} = {each.value!r}: {each.reason}"
        assert each.key in KEYS
        assert each.value == keys.get(each.key, each.value)
        assert each.reason
        assert str(each).isprintable()


def check_invariants(accepted: Settings) -> None:
    """What the rest of the program relies on."""
    primary, dr, database = accepted.primary, accepted.dr, accepted.database
    assert 0 < len(accepted.environment_suffix) <= names.MAX_SUFFIX
    assert primary.region != dr.region
    assert {primary.region, dr.region} <= REGIONS
    assert not primary.vpc_cidr.overlaps(dr.vpc_cidr)
    for region in (primary, dr):
        assert region.vpc_cidr.is_private
        assert 16 <= region.vpc_cidr.prefixlen <= 24
        name = names.Names(accepted.environment_suffix, region.region, "123456789012")
        for key, physical in names.CATALOGUE.items():
            assert len(getattr(name, key)) <= physical.limit, key
    assert len(accepted.domain_name or "") <= 64
    assert accepted.function_concurrency == -1 or accepted.function_concurrency >= 3 * accepted.api.rate_limit
    assert primary.instances >= 1
    assert dr.instances >= (1 if accepted.profile.name == "prod" else 0)
    assert 0.5 <= database.min_capacity <= database.max_capacity
    assert database.max_capacity * 2 == int(database.max_capacity * 2)
    checks = accepted.health_check
    assert accepted.objectives.recovery_time >= (
        2 * checks.interval * checks.threshold + checks.interval + 60 + 480 + (0 if dr.instances else 420))
    assert accepted.function_concurrency < database.least_connections
    assert accepted.api.burst_limit >= accepted.api.rate_limit >= 1
    assert accepted.function_concurrency != 0
    strong = accepted.table.consistency == "strong"
    assert (accepted.table.witness_region is not None) == strong
    assert strong or accepted.objectives.recovery_point > 0
    if strong:
        replicas = {primary.region, dr.region, accepted.table.witness_region}
        assert len(replicas) == 3
        known = any(replicas <= together for together in REGION_SETS)
        assert known is not any("region set" in line for line in accepted.warnings())


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
                    max_leaves=5).map(json.dumps)


@settings(deadline=None)
@given(key=st.sampled_from(KEYS), text=st.text(max_size=40) | JSON)
@example(key="tags", text="[" * 100_000)
@example(key="primaryInstances", text="1" * 10_000)
@example(key="apiRateLimit", text="٣")
@example(key="drRegion", text="us\u2028east")
def test_any_text_is_accepted_or_refused(key: str, text: str) -> None:
    try:
        check_invariants(load({key: text}))
    except SettingsError as error:
        check_refusal(error, {key: text})


def whole(low: int, high: int) -> st.SearchStrategy[str]:
    """Whole numbers around a bound."""
    return st.integers(low, high).map(str)


REGION = st.sampled_from(["us-east-1", "us-east-2", "us-west-2", "eu-west-1", "ap-northeast-1"])
CIDR = st.builds(lambda second, prefix: f"10.{second}.0.0/{prefix}", st.integers(0, 2), st.integers(15, 25))
ACUS = st.sampled_from(["0", "0.5", "1", "4", "4.5"])
PLAUSIBLE: dict[str, st.SearchStrategy[str]] = {
    **{key: st.sampled_from([value for name, value, *_ in ACCEPTED if name == key]) for key in KEYS},
    "environmentSuffix": st.text("ab1-", min_size=1, max_size=names.MAX_SUFFIX + 1),
    "primaryRegion": REGION, "drRegion": REGION, "witnessRegion": REGION,
    "primaryVpcCidr": CIDR, "drVpcCidr": CIDR,
    "databaseMinCapacity": ACUS, "databaseMaxCapacity": ACUS,
    "primaryInstances": whole(0, 3), "drInstances": whole(-1, 2),
    "healthCheckThreshold": whole(0, 11), "recoveryTimeObjective": whole(600, 1300),
    "recoveryPointObjective": whole(-1, 2),
    "apiRateLimit": whole(0, 250), "apiBurstLimit": whole(50, 300), "functionConcurrency": whole(-2, 2),
}


@settings(deadline=None)
@given(st.sampled_from([{}, DOMAIN, STRONG]), st.lists(st.sampled_from(KEYS), max_size=5, unique=True).flatmap(
    lambda keys: st.fixed_dictionaries({key: PLAUSIBLE[key] for key in keys})))
def test_any_settings_that_are_accepted_fit_together(base: Mapping[str, str], changes: Mapping[str, str]) -> None:
    keys = {**base, **changes}
    try:
        check_invariants(load(keys))
    except SettingsError as error:
        check_refusal(error, keys)
