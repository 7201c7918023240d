"""Finds a stack's outputs, in a file or in a region's control bucket, and checks where that stack is.

A rehearsed stack is never looked for in AWS, nor a stack of AWS on an emulator.
"""
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from contract import (
    CONTROL_BUCKET,
    EMULATED_ACCOUNT,
    EMULATOR,
    OUTPUTS_FILE,
    OUTPUTS_FOLDER,
    OUTPUTS_KEY,
    OUTPUTS_VARIABLE,
    REHEARSALS,
    OutputsError,
    Variable,
    parse_outputs,
    read_outputs,
)
from recovery.environment import ClientFactory
from recovery.errors import aws_failures

SANDBOX = "sandbox"
LOOPBACK = ("127.0.0.1", "localhost")
SERVICES = ("dynamodb", "rds", "s3")  # an endpoint may be set for one service alone
ELSEWHERE = "`make outputs STACK=NAME` writes them; `--region REGION --suffix SUFFIX` reads them from that region"
UNITS = {"d": 86400, "h": 3600, "min": 60, "s": 1}  # seconds


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The stack that a command concerns: by its name, or by its suffix in a region; if all are empty, the only one."""

    stack: str = ""
    region: str = ""
    suffix: str = ""

    @property
    def options(self) -> list[str]:
        """The options as they are typed."""
        return [f"--{name} {value}" for name, value in asdict(self).items() if value]


ANY_STACK = Wanted()


@dataclass(frozen=True, kw_only=True)
class FoundOutputs:
    """The outputs of a stack, where they were found, and when that was written (seconds since the epoch)."""

    values: Mapping[str, Any]
    where: str
    written: float

    def line(self, now: float) -> str:
        """Whose outputs they are, and how old, in one line."""
        values = self.values
        kind = "a rehearsal" if EMULATOR in values else f"account {account_of(values) or 'unknown'}"
        return (f"stack {values.get('stack_name') or values.get('environment_suffix')}, profile "
                f"{values.get('profile')}, {kind}; outputs written {age(now - self.written)} ago ({self.where})")


def age(seconds: float) -> str:
    """A duration in its largest unit: `3 h`."""
    unit, size = next(((unit, size) for unit, size in UNITS.items() if seconds >= size), ("s", 1))
    return f"{max(0.0, seconds) // size:.0f} {unit}"


def account_of(values: Mapping[str, Any]) -> str:
    """The account of a stack, empty if its outputs do not say."""
    return (str(values.get("primary_cluster_arn")).split(":") + [""] * 5)[4]


def in_files(environ: Mapping[str, str], stack: str, folder: Path = Path()) -> FoundOutputs:
    """The outputs of a stack, or of the only one (empty) that has any, from the file that `environ` names or `folder`.

    Raises OutputsError.
    """
    named = environ.get(OUTPUTS_VARIABLE)
    path = Path(named) if named and not stack else _file(stack, folder)
    values = read_outputs({OUTPUTS_VARIABLE: str(path)})
    return FoundOutputs(values=values, where=str(path), written=path.stat().st_mtime)


def _file(stack: str, folder: Path) -> Path:
    latest, sandbox = folder / OUTPUTS_FILE, folder / REHEARSALS / SANDBOX / OUTPUTS_KEY
    found = {path.stem: path for path in sorted((folder / OUTPUTS_FOLDER).glob("*.json")) if path != latest}
    if sandbox.is_file():
        found[SANDBOX] = sandbox
    if stack not in ("", *found) or not (found or latest.is_file()):
        raise OutputsError(f"there are no outputs of {stack or 'a stack'} here"
                           f"{', only of ' + ', '.join(found) if found else ''}: {ELSEWHERE}")
    if stack:
        return found[stack]
    if len(found) > 1:
        raise OutputsError(f"there are outputs of {', '.join(found)}: say which stack, as in --stack {min(found)}")
    return next(iter(found.values()), latest)


def in_region(clients: ClientFactory, region: str, suffix: str) -> FoundOutputs:
    """The outputs of the stack with a suffix, from its control bucket in a region, in the account of the credentials.

    Raises AwsFailure and OutputsError.
    """
    with aws_failures(f"outputs in {region}"):
        account = clients("sts", region).get_caller_identity()["Account"]
        bucket = CONTROL_BUCKET.format(suffix=suffix, region=region, account=account)
        answer = clients("s3", region).get_object(Bucket=bucket, Key=OUTPUTS_KEY)
        text = answer["Body"].read()
    where = f"s3://{bucket}/{OUTPUTS_KEY}"
    return FoundOutputs(values=parse_outputs(text, where), where=where, written=answer["LastModified"].timestamp())


def hide_account(environ: MutableMapping[str, str]) -> None:
    """Hide the caller's AWS account (environment variables, configuration files) and proxies."""
    for key in [key for key in environ if key.startswith("AWS_") or key.lower().endswith("_proxy")]:
        del environ[key]
    environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)


def reach(values: Mapping[str, Any], environ: MutableMapping[str, str] = os.environ) -> None:
    """Make this process call the emulator, if the outputs are a rehearsal's. Raises OutputsError."""
    emulator = values.get(EMULATOR)
    if emulator is None:
        return
    try:
        endpoint, servers = str(emulator["endpoint"]), str(emulator["name_servers"])
    except (KeyError, TypeError):
        raise OutputsError(f"{EMULATOR} = {emulator!r}: must have endpoint and name_servers") from None
    address = urlsplit(endpoint)
    if address.hostname not in LOOPBACK:
        raise OutputsError(f"{EMULATOR}: {endpoint}: a rehearsal's outputs must lead to this machine")
    hide_account(environ)
    environ.update({
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": str(values["primary_region"]), "HTTP_PROXY": endpoint, "NO_PROXY": address.netloc,
        Variable.NAME_SERVERS: servers})


def check_place(values: Mapping[str, Any], clients: ClientFactory) -> None:
    """Refuse to call AWS about a rehearsal's stack, and an emulator about one in AWS. Raises OutputsError."""
    region, account = str(values.get("primary_region")), account_of(values)
    emulated = EMULATOR in values or account == EMULATED_ACCOUNT
    for service in SERVICES:
        endpoint = clients(service, region).meta.endpoint_url
        if (urlsplit(endpoint).hostname or "").endswith(".amazonaws.com") is emulated:
            raise OutputsError(f"the outputs are those of a rehearsal, and {endpoint} is AWS" if emulated else
                               f"the stack is in AWS, account {account}, and {endpoint} is not: unset AWS_ENDPOINT_URL")
