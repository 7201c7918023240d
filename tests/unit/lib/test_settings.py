"""The settings: every default, every check, where values come from, and what all accepted settings have in common."""
import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from ipaddress import IPv4Network
from operator import attrgetter
from pathlib import Path

import pulumi
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contract import Consistency, FailoverMode
from lib import names
from lib.errors import SettingsError
from lib.parsers import REGION_SETS, REGIONS
from lib.settings import (
    PROFILES,
    ApiSettings,
    DatabaseSettings,
    HealthCheckSettings,
    Objectives,
    PrimarySettings,
    Settings,
    StandbySettings,
    TableSettings,
    declarations,
)

ROOT = Path(__file__).parents[3]
SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:payments/database-AbCdEf"
DOMAIN = {"domainName": "payments.example.com"}
ACCOUNT = "123456789012"
STRONG = {"tableConsistency": "strong", "witnessRegion": "us-east-2"}


ZONES = {region: tuple(region + letter for letter in "abc") for region in ("us-east-1", "us-west-2")}


def load(keys: Mapping[str, str], environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a stack with these keys configured, in this environment."""
    pulumi.runtime.set_all_config({f"TapStack:{key}": value for key, value in {"account": ACCOUNT, **keys}.items()})
    return Settings.load(environ=environ or {})


def refusal(keys: Mapping[str, str]) -> str:
    """The text with which these keys are refused."""
    with pytest.raises(SettingsError) as raised:
        load(keys)
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
        deletion_protection=False,
        environment_suffix="dev",
        primary=PrimarySettings(region="us-east-1", zones=ZONES["us-east-1"], instances=1,
                                vpc_cidr=IPv4Network("10.0.0.0/16")),
        dr=StandbySettings(region="us-west-2", zones=ZONES["us-west-2"], instances=1,
                           vpc_cidr=IPv4Network("10.1.0.0/16")),
        domain_name=None,
        hosted_zone_id=None,
        database=DatabaseSettings(engine_version="17.7", min_capacity=0.5, max_capacity=4, secret_arn=None),
        table=TableSettings(consistency=Consistency.EVENTUAL, witness_region=None),
        health_check=HealthCheckSettings(interval=10, threshold=3),
        objectives=Objectives(recovery_time=900, recovery_point=60),
        failover_mode=FailoverMode.MANUAL,
        api=ApiSettings(rate_limit=100, burst_limit=200, manage_account=True),
        function_concurrency=-1,
        alarm_email=None,
        tags={})


def test_prod_has_defaults_of_its_own() -> None:
    prod = load({"profile": "prod"})
    assert (prod.primary.instances, prod.dr.instances, prod.function_concurrency) == (2, 2, 300)
    assert (prod.database.min_capacity, prod.database.max_capacity) == (2, 16)
    assert prod.profile == PROFILES["prod"]


def test_prod_protects_and_keeps_longer_than_dev() -> None:
    dev, prod = PROFILES["dev"], PROFILES["prod"]
    assert (prod.protect, dev.protect) == (True, False)
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
    ("databaseMinCapacity", "2.5", {}, "database.min_capacity", 2.5),
    ("databaseMaxCapacity", "256", {}, "database.max_capacity", 256),
    ("deletionProtection", "false", {"profile": "prod"}, "profile.protect", False),
    ("deletionProtection", "false", {"profile": "prod"}, "profile.final_snapshots", True),
    ("deletionProtection", "true", {}, "profile.protect", True),
    ("primaryInstances", "15", {}, "primary.instances", 15),
    ("drInstances", "0", {}, "dr.instances", 0),
    ("drInstances", "1", {"profile": "prod"}, "dr.instances", 1),
    ("databaseSecretArn", SECRET_ARN, {}, "database.secret_arn", SECRET_ARN),
    ("tableConsistency", "strong", STRONG, "table.consistency", "strong"),
    ("witnessRegion", "us-east-2", STRONG, "table.witness_region", "us-east-2"),
    ("healthCheckInterval", "30", {}, "health_check.interval", 30),
    ("healthCheckThreshold", "10", {}, "health_check.threshold", 10),
    ("recoveryTimeObjective", "90", {}, "objectives.recovery_time", 90),
    ("recoveryPointObjective", "0", STRONG, "objectives.recovery_point", 0),
    ("failoverMode", "automatic", {}, "failover_mode", "automatic"),
    ("apiRateLimit", "200", {}, "api.rate_limit", 200),
    ("apiBurstLimit", "100", {}, "api.burst_limit", 100),
    ("manageApiGatewayAccount", "false", {}, "api.manage_account", False),
    ("functionConcurrency", "1000", {}, "function_concurrency", 1000),
    ("functionConcurrency", "-1", {"profile": "prod"}, "function_concurrency", -1),
    ("alarmEmail", "on-call+pay@ops.example.com", {}, "alarm_email", "on-call+pay@ops.example.com"),
    ("tags", '{"Owner": "payments", "cost:centre": ""}', {}, "tags", {"Owner": "payments", "cost:centre": ""}),
    ("awsEndpoint", "http://127.0.0.1:4566", {}, "aws_endpoint", "http://127.0.0.1:4566"),
    ("awsEndpoint", "https://[::1]:4566", {}, "aws_endpoint", "https://[::1]:4566"),
]
ACCEPTED_IDS = [f"{key}={value}"[:50] for key, value, *_ in ACCEPTED]
KEYS = [each.key for each, _ in declarations()]
VARIABLES = {each.key: each.variable for each, _ in declarations() if each.variable}


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
    assert {key: VARIABLES[key] for key in ("drRegion", "manageApiGatewayAccount", "profile")} == {
        "drRegion": "DR_REGION", "manageApiGatewayAccount": "MANAGE_API_GATEWAY_ACCOUNT", "profile": "TAPSTACK_PROFILE"}
    assert [key for key in KEYS if key not in VARIABLES] == [
        "awsEndpoint", "account", "primaryZones", "drZones", "tags"]


def test_every_setting_has_an_accepted_and_a_refused_value() -> None:
    assert {key for key, *_ in ACCEPTED} == set(KEYS)
    assert {text.partition(" ")[0] for _, text in REFUSED} == set(KEYS)


def test_the_outputs_of_settings() -> None:
    assert load({"profile": "prod", **DOMAIN}).outputs() == {
        "profile": "prod", "environment_suffix": "dev", "domain_name": "payments.example.com",
        "table_consistency": "eventual", "witness_region": "", "health_check_interval": 10,
        "health_check_threshold": 3, "recovery_time_objective": 900, "recovery_point_objective": 60,
        "failover_mode": "manual"}


def test_a_shell_cannot_redirect_a_deployment() -> None:
    assert load({}, dict.fromkeys(("AWS_ENDPOINT", "AWS_ENDPOINT_URL"), "http://127.0.0.1:1")) == load({})


REFUSED: list[tuple[Mapping[str, str], str]] = [
    ({"account": ""}, "account = '': must be given: `make init` asks AWS and writes it into the stack's file"),
    ({"account": "12345678901"}, "account = '12345678901': must be 12 digits, in quotes"),
    ({"primaryZones": "us-east-1a,us-east-1b"},
     "primaryZones = 'us-east-1a,us-east-1b': must be 3 zones with commas between them, such as us-east-1a"),
    ({"primaryZones": "us-east-1a,us-east-1b,us-east-1a"},
     "primaryZones = 'us-east-1a,us-east-1b,us-east-1a': must be 3"),
    ({"drZones": "us-west-2a,us-west-2b,us-west-2-lax-1a"},
     "drZones = 'us-west-2a,us-west-2b,us-west-2-lax-1a': must be 3"),
    ({"drZones": "us-west-2a,us-west-2b,us-west-1c"},
     "drZones = 'us-west-2a,us-west-2b,us-west-1c': must be in us-west-2"),
    ({"environmentSuffix": "Dev"},
     "environmentSuffix = 'Dev': must be lower-case letters and digits, with single hyphens between them"),
    ({"environmentSuffix": "a--b"}, "environmentSuffix = 'a--b': must be lower-case letters"),
    ({"environmentSuffix": "a-"}, "environmentSuffix = 'a-': must be lower-case letters"),
    ({"environmentSuffix": "a" * (names.MAX_SUFFIX + 1)},
     f"environmentSuffix = '{'a' * (names.MAX_SUFFIX + 1)}': must be at most {names.MAX_SUFFIX} characters, because"),
    ({"profile": "test"}, "profile = 'test': must be dev or prod"),
    ({"primaryRegion": "us-est-1"}, "primaryRegion = 'us-est-1': must be a region of the aws partition: af-south-1, "),
    ({"drRegion": "us-gov-west-1"}, "drRegion = 'us-gov-west-1': must be a region of the aws partition: af-south-1, "),
    ({"drRegion": "us-east-1"}, "drRegion = 'us-east-1': must differ from primaryRegion"),
    ({"primaryRegion": "us-west-2"}, "drRegion = 'us-west-2': must differ from primaryRegion"),
    ({"primaryVpcCidr": "ten"}, "primaryVpcCidr = 'ten': must be an IPv4 network such as 10.0.0.0/16"),
    ({"primaryVpcCidr": "fd00::/16"}, "primaryVpcCidr = 'fd00::/16': must be an IPv4 network such as 10.0.0.0/16"),
    ({"primaryVpcCidr": "10.0.1.0/16"}, "primaryVpcCidr = '10.0.1.0/16': must be aligned: 10.0.0.0/16"),
    ({"primaryVpcCidr": "10.0.0.0/15"}, "primaryVpcCidr = '10.0.0.0/15': must have a prefix of /16 to /24"),
    ({"drVpcCidr": "10.0.0.0/25"}, "drVpcCidr = '10.0.0.0/25': must have a prefix of /16 to /24"),
    ({"drVpcCidr": "172.32.0.0/16"},
     "drVpcCidr = '172.32.0.0/16': must be private, within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16"),
    ({"drVpcCidr": "10.0.7.0/24"}, "drVpcCidr = '10.0.7.0/24': overlaps primaryVpcCidr 10.0.0.0/16"),
    ({"domainName": "Example.com"},
     "domainName = 'Example.com': must be a lower-case DNS name of at most 64 characters, such as payments."),
    ({"domainName": "localhost"}, "domainName = 'localhost': must be a lower-case DNS name"),
    ({"domainName": "example.com."}, "domainName = 'example.com.': must be a lower-case DNS name"),
    ({"domainName": "a" * 61 + ".com"}, f"domainName = '{'a' * 61}.com': must be a lower-case DNS name of at most 64"),
    ({"hostedZoneId": "abc", **DOMAIN},
     "hostedZoneId = 'abc': must be the id of a hosted zone, such as Z0123456789ABC"),
    ({"hostedZoneId": "Z0123456789ABC"}, "hostedZoneId = 'Z0123456789ABC': needs domainName"),
    ({"databaseEngineVersion": "14.9"},
     "databaseEngineVersion = '14.9': must be MAJOR.MINOR of Aurora PostgreSQL 15 to 18, such as 17.7"),
    ({"databaseEngineVersion": "17"}, "databaseEngineVersion = '17': must be MAJOR.MINOR"),
    ({"databaseMinCapacity": "0"},
     "databaseMinCapacity = '0': must be a number of ACUs, 0.5 to 256 in steps of 0.5"),
    ({"databaseMinCapacity": "0.7"}, "databaseMinCapacity = '0.7': must be a number of ACUs"),
    ({"databaseMinCapacity": "many"}, "databaseMinCapacity = 'many': must be a number of ACUs"),
    ({"databaseMinCapacity": "8"}, "databaseMinCapacity = '8': must not exceed databaseMaxCapacity 4"),
    ({"databaseMaxCapacity": "0.5"}, "databaseMaxCapacity = '0.5': must be a number of ACUs, 1 to 256 in steps of 0.5"),
    ({"databaseMaxCapacity": "256.5"}, "databaseMaxCapacity = '256.5': must be a number of ACUs, 1 to 256"),
    ({"primaryInstances": "0"}, "primaryInstances = '0': must be a whole number, 1 to 15"),
    ({"primaryInstances": "16"}, "primaryInstances = '16': must be a whole number, 1 to 15"),
    ({"drInstances": "-1"}, "drInstances = '-1': must be a whole number, 0 to 15"),
    ({"drInstances": "0", "profile": "prod"},
     "drInstances = '0': must be at least 1 in prod: a standby without an instance cannot be promoted"),
    ({"databaseSecretArn": "payments"},
     "databaseSecretArn = 'payments': must be the ARN of a secret: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME"),
    ({"databaseSecretArn": SECRET_ARN, "primaryRegion": "eu-west-1"},
     f"databaseSecretArn = '{SECRET_ARN}': must be in primaryRegion eu-west-1"),
    ({"tableConsistency": "weak"}, "tableConsistency = 'weak': must be eventual or strong"),
    ({"tableConsistency": "strong"}, "tableConsistency = 'strong': needs witnessRegion us-east-2"),
    ({"drRegion": "eu-west-1", **STRONG},
     "tableConsistency = 'strong': needs primaryRegion and drRegion in one region set: us-east-1, us-east-2, us-"),
    ({"witnessRegion": "us-east-2"}, "witnessRegion = 'us-east-2': needs tableConsistency strong"),
    ({"tableConsistency": "strong", "witnessRegion": "nowhere"}, "witnessRegion = 'nowhere': must be a region"),
    ({"tableConsistency": "strong", "witnessRegion": "us-west-2"},
     "witnessRegion = 'us-west-2': must be us-east-2: in the region set of primaryRegion and drRegion, and neither"),
    ({"tableConsistency": "strong", "witnessRegion": "us-west-1"}, "witnessRegion = 'us-west-1': must be us-east-2: "),
    ({"healthCheckInterval": "20"}, "healthCheckInterval = '20': must be 10 or 30"),
    ({"healthCheckInterval": "abc"}, "healthCheckInterval = 'abc': must be 10 or 30"),
    ({"healthCheckThreshold": "11"}, "healthCheckThreshold = '11': must be a whole number, 1 to 10"),
    ({"healthCheckThreshold": "three"}, "healthCheckThreshold = 'three': must be a whole number, 1 to 10"),
    ({"recoveryTimeObjective": "soon"}, "recoveryTimeObjective = 'soon': must be a whole number, 0 to 86400"),
    ({"recoveryTimeObjective": "89"},
     "recoveryTimeObjective = '89': must be at least 90: healthCheckInterval x healthCheckThreshold + 60 s of cached"),
    ({"recoveryPointObjective": "1.5"}, "recoveryPointObjective = '1.5': must be a whole number, 0 to 86400"),
    ({"recoveryPointObjective": "0"}, "recoveryPointObjective = '0': needs tableConsistency strong"),
    ({"failoverMode": "auto"}, "failoverMode = 'auto': must be manual or automatic"),
    ({"apiRateLimit": "0"}, "apiRateLimit = '0': must be a whole number, 1 to 1000000"),
    ({"apiBurstLimit": "99"}, "apiBurstLimit = '99': must not be less than apiRateLimit 100"),
    ({"deletionProtection": "on"}, "deletionProtection = 'on': must be true or false"),
    ({"manageApiGatewayAccount": "yes"}, "manageApiGatewayAccount = 'yes': must be true or false"),
    ({"functionConcurrency": "0"},
     "functionConcurrency = '0': must be -1 (none reserved) or 1 to 1000: 0 would stop the function"),
    ({"functionConcurrency": "299"}, "functionConcurrency = '299': must be -1 or at least 300: apiRateLimit x 3 s"),
    ({"functionConcurrency": "1001"}, "functionConcurrency = '1001': must be a whole number, -1 to 1000"),
    ({"alarmEmail": "nobody"}, "alarmEmail = 'nobody': must be an e-mail address such as ops@example.com"),
    ({"tags": '{"project": "x"}'},
     "tags = '{\"project\": \"x\"}': the key 'project' is given twice, or is one of Project, Environment, ManagedBy"),
    ({"tags": '{"a": "", "A": ""}'}, "tags = '{\"a\": \"\", \"A\": \"\"}': the key 'A' is given twice"),
    ({"tags": "Owner"}, "tags = 'Owner': must be an object of strings"),
    ({"tags": "[1]"}, "tags = '[1]': must be an object of strings"),
    ({"tags": '{"a": 1}'}, "tags = '{\"a\": 1}': must be an object of strings"),
    ({"tags": '{"AWS:a": ""}'}, "tags = '{\"AWS:a\": \"\"}': the key 'AWS:a' is reserved for AWS"),
    ({"tags": '{"": ""}'}, "tags = '{\"\": \"\"}': the key '' must be 1 to 128 letters, digits, spaces or _.:/=+@-"),
    ({"tags": '{"a": "#"}'},
     "tags = '{\"a\": \"#\"}': the value of 'a' must be at most 256 letters, digits, spaces or _.:/=+@-"),
    ({"awsEndpoint": "http://10.0.0.1:4566"},
     "awsEndpoint = 'http://10.0.0.1:4566': must be the URL of an emulator on this machine, such as http://127.0.0.1"),
    ({"awsEndpoint": "http://localhost.example.com"}, "awsEndpoint = 'http://localhost.example.com': must be the URL"),
    ({"awsEndpoint": "http://localhost\n"}, "awsEndpoint = 'http://localhost\\n': must be the URL"),
]


@pytest.mark.parametrize(("keys", "text"), REFUSED, ids=[text[:50] for _, text in REFUSED])
def test_refused(keys: Mapping[str, str], text: str) -> None:
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


@pytest.mark.parametrize("stack", ["dev", "local"])
def test_stack_files_are_accepted(stack: str) -> None:
    config = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"]
    loaded = load({key.removeprefix("TapStack:"): value for key, value in config.items()})
    assert loaded.environment_suffix == stack


def check_refusal(error: SettingsError, keys: Mapping[str, str]) -> None:
    """A refusal is one line that names a key and its value."""
    text = str(error)
    assert text == f"{error.key} = {error.value!r}: {error.reason}"
    assert error.key in KEYS
    assert error.value == keys.get(error.key, error.value)
    assert error.reason
    assert text.isprintable()


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
    assert accepted.objectives.recovery_time >= checks.interval * checks.threshold + 60
    assert accepted.api.burst_limit >= accepted.api.rate_limit >= 1
    assert accepted.function_concurrency != 0
    strong = accepted.table.consistency == "strong"
    assert (accepted.table.witness_region is not None) == strong
    assert strong or accepted.objectives.recovery_point > 0
    if strong:
        replicas = {primary.region, dr.region, accepted.table.witness_region}
        assert len(replicas) == 3
        assert any(replicas <= together for together in REGION_SETS)


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
    "healthCheckThreshold": whole(0, 11), "recoveryTimeObjective": whole(60, 400),
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
