"""Parsers of settings: each takes a value as text, and raises ValueError with the reason if it cannot be used."""
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from ipaddress import IPv4Network
from types import MappingProxyType
from typing import TypeVar

from contract import CLIENT, DEFAULT_CLIENT, SERVERLESS
from lib import capacity as sizes
from lib import names

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
Parser = Callable[[str], T]

ZONES = 3  # that the stack uses in a region
CERTIFICATE_NAME_LIMIT = 64  # characters of a certificate's first name
TAGS_OF_THE_STACK = ("Project", "Environment", "ManagedBy")
TAG_LIMIT = 40  # AWS takes 50 on a resource; the rest is for the stack's own and for what an organisation adds
CLIENT_LIMIT, KEYS_AT_A_TIME = 50, 2
TAG_KEY_LIMIT, TAG_VALUE_LIMIT = 128, 256  # characters

# How many regions the aws partition has in each area; they are numbered from 1 without gaps.
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


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown word: `; did you mean X?`, or empty if no known word is close."""
    alike = get_close_matches(text.lower(), {each.lower(): each for each in known}, n=1)
    return next((f"; did you mean {each}?" for each in known if each.lower() in alike), "")


def one_of(values: Mapping[str, T]) -> Parser[T]:
    """Accepts one of the keys, and returns its value."""
    def parse(text: str) -> T:
        if text not in values:
            raise ValueError(f"must be {' or '.join(values)}")
        return values[text]
    return parse


def member(kind: type[E]) -> Parser[E]:
    """A member of the enumeration, by its value."""
    return one_of({str(each): each for each in kind})


def matching(pattern: str, reason: str) -> Parser[str]:
    """A text that matches the whole pattern; `reason` says which texts do."""
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(reason)
        return text
    return parse


def whole(low: int, high: int) -> Parser[int]:
    """A whole number within the bounds."""
    def parse(text: str) -> int:
        if not re.fullmatch("-?[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number, {low} to {high}")
        return int(text)
    return parse


def capacity(low: float, high: float) -> Parser[float]:
    """A capacity in ACUs within the bounds, in steps of 0.5."""
    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,3}(\.[05])?", text) or not low <= float(text) <= high:
            raise ValueError(f"must be a number of ACUs, {low:g} to {high:g} in steps of 0.5")
        return float(text)
    return parse


def instance_class(text: str) -> str:
    """The class of the database instances."""
    if text != SERVERLESS and text not in sizes.CLASSES:
        raise ValueError(f"must be {SERVERLESS}, or a Graviton class of {', '.join(sizes.GENERATIONS)}, large to "
                         "16xlarge, such as db.r7g.large")
    return text


def suffix(text: str) -> str:
    """The suffix of physical names, short enough for all of them."""
    if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", text):
        raise ValueError("must be lower-case letters and digits, with single hyphens between them")
    if not re.search("[a-z]", text):  # YAML reads 0123 as 83 and 1e3 as 1000, so such a suffix may be a stranger's
        raise ValueError("must have a letter: YAML would read it as a number")
    if len(text) > names.MAX_SUFFIX:
        raise ValueError(f"must be at most {names.MAX_SUFFIX} characters, because of {names.SUFFIX_LIMITED_BY}")
    return text


def region(text: str) -> str:
    """The name of a region."""
    if text not in REGIONS:
        accepted = ", ".join(f"{area}-1" + (f"..{count}" if count > 1 else "") for area, count in _AREAS.items())
        raise ValueError(f"must be a region of the aws partition: {accepted}")
    return text


def account(text: str) -> str:
    """The number of an AWS account."""
    if not text:
        raise ValueError("must be given: `make init` asks AWS and writes it into the stack's file")
    return matching("[0-9]{12}", "must be 12 digits, in quotes")(text)


def zones(text: str) -> tuple[str, ...]:
    """The names of three availability zones."""
    found = tuple(text.split(","))
    if len(set(found)) != ZONES or not all(re.fullmatch("[a-z]+(-[a-z]+)+-[0-9][a-z]", zone) for zone in found):
        raise ValueError(f"must be {ZONES} zones separated by commas, such as us-east-1a,us-east-1b,us-east-1c")
    return found


def network(text: str) -> IPv4Network:
    """The network of a VPC."""
    try:
        found = IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError("must be an IPv4 network such as 10.0.0.0/16") from None
    if str(found) != text:
        raise ValueError(f"must be aligned: {found}")
    if found.prefixlen not in _PREFIXES:
        raise ValueError(f"must have a prefix of /{_PREFIXES[0]} to /{_PREFIXES[-1]}")
    if not any(found.subnet_of(private) for private in _PRIVATE):
        raise ValueError(f"must be private, within {', '.join(map(str, _PRIVATE))}")
    return found


def concurrency(text: str) -> int:
    """Reserved executions of a function; -1 reserves none."""
    value = whole(-1, 1000)(text)
    if value == 0:
        raise ValueError("must be -1 (none reserved) or 1 to 1000: 0 would stop the function")
    return value


def tags(text: str) -> Mapping[str, str]:
    """Tags of every resource, from a JSON object."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError("must be an object of strings")  # noqa: TRY004  # what a parser raises
    if len(found) > TAG_LIMIT:
        raise ValueError(f"must be at most {TAG_LIMIT} tags")
    # IAM ignores the case of tag keys, so it refuses two that differ in nothing else.
    known = {name.lower() for name in TAGS_OF_THE_STACK}
    for name, value in found.items():
        if name.lower() in known:
            raise ValueError(f"the key {name!r} is given twice, or is one of {', '.join(TAGS_OF_THE_STACK)}")
        known.add(name.lower())
        _check_tag(name, value)
    return MappingProxyType(found)


def _check_tag(name: str, value: object) -> None:
    """Raise ValueError unless AWS accepts the tag.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
    """
    if name.lower().startswith("aws:"):
        raise ValueError(f"the key {name!r} is reserved for AWS")
    if not 1 <= len(name) <= TAG_KEY_LIMIT or not _taggable(name):
        raise ValueError(f"the key {name!r} must be 1 to {TAG_KEY_LIMIT} letters, digits, spaces or _.:/=+@-")
    if not isinstance(value, str):
        raise ValueError(f"the value of {name!r} must be text: put {json.dumps(value)} in quotes")  # noqa: TRY004
    if len(value) > TAG_VALUE_LIMIT or not _taggable(value):
        raise ValueError(f"the value of {name!r} must be at most {TAG_VALUE_LIMIT} letters, digits, spaces or "
                         "_.:/=+@-")


def _taggable(text: str) -> bool:
    """Whether a text has only letters, digits and spaces of any script, and the signs that AWS accepts."""
    return all(unicodedata.category(each)[0] in "LNZ" or each in "_.:/=+@-" for each in text)


def clients(text: str) -> Mapping[str, tuple[int, ...]]:
    """The numbers of each client's API keys, one or two of them, from a JSON object; DEFAULT_CLIENT has one always.

    `pulumi config set --path` stores a single number as a number.
    """
    try:
        found = json.loads(text)
        numbers = {name: tuple(map(int, str(keys).split(","))) for name, keys in found.items()}
    except (ValueError, AttributeError, RecursionError):
        raise ValueError('must be an object of the numbers of keys, such as {"shop": "1,2"}') from None
    for name, keys in numbers.items():
        if not CLIENT.fullmatch(name):
            raise ValueError(f"{name!r} must be 1 to 20 lower-case letters and digits, a letter first")
        if len(keys) > KEYS_AT_A_TIME or list(keys) != sorted({*keys}) or keys[0] < 1:
            raise ValueError(f"{name} must have one or two numbers from 1, the newer key last, such as 1 or 1,2")
    if len(numbers) > CLIENT_LIMIT:
        raise ValueError(f"must be at most {CLIENT_LIMIT} clients")
    return MappingProxyType({DEFAULT_CLIENT: (1,), **numbers})


def changes(text: str) -> Mapping[str, str]:
    """Keys and values: `drRegion=eu-west-1 profile=prod`."""
    pairs = [part.partition("=") for part in text.split()]
    if not all(key and equals for key, equals, _ in pairs):
        raise ValueError("must be KEY=VALUE, several separated by spaces")
    return MappingProxyType({key: value for key, _, value in pairs})


_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
domain_name = matching(rf"(?=.{{1,{CERTIFICATE_NAME_LIMIT}}}$)({_LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?",
                       f"must be a lower-case DNS name of at most {CERTIFICATE_NAME_LIMIT} characters, such as "
                       "payments.example.com")
hosted_zone_id = matching("Z[A-Z0-9]{1,31}", "must be the id of a hosted zone, such as Z0123456789ABC")
# 17.10 without quotes arrives as 17.1. Aurora never had 15.1 and 17.1, and 16.1 cannot be created any more:
# https://github.com/aws/aws-cdk/pull/37080 (answers of RDS)
engine_version = matching(r"1[5-7]\.(?!1$)[0-9]{1,2}|18\.[0-9]{1,2}",
                          'must be MAJOR.MINOR of Aurora PostgreSQL 15 to 18 in quotes, such as "17.10", which is '
                          "17.1 without them")
secret_arn = matching("arn:aws:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]{1,519}",
                      "must be the ARN of a secret: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME")
key_arn = matching("arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]{1,128}",
                   "must be the ARN of a key: arn:aws:kms:REGION:ACCOUNT:key/ID")
email = matching(r"[!-?A-~]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}",
                 "must be an e-mail address such as ops@example.com")
loopback_url = matching(r"https?://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?",
                        "must be the URL of an emulator on this machine, such as http://127.0.0.1:4566")
